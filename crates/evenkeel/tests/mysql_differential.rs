//! The same commands sent to a server directly and through Evenkeel get the same replies, packet for packet.
//!
//! Random scripts of several interleaved sessions, which share fewer server connections than they are, each script once
//! per side and at the same time. Everything is compared: numbers of packets, definitions, rows, all of OK, EOF and ERR.
//! What may differ is listed, with its reason, in [`talk`]. A script that makes a difference is cut down before it is shown.
//!
//! `MYSQL_DIFFERENTIAL_SEED` and `MYSQL_DIFFERENTIAL_SECONDS` ask for other scripts and for more of them, and
//! `MYSQL_DIFFERENTIAL_SHOWN` for more than the first difference, cut down in at most `MYSQL_DIFFERENTIAL_CUTS` steps.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests: helpers outside #[test] functions too")]

mod common;
#[path = "mysql_differential/scene.rs"]
mod scene;
#[path = "mysql_differential/script.rs"]
mod script;
#[path = "mysql_differential/talk.rs"]
mod talk;
#[path = "mysql_differential/texts.rs"]
mod texts;

use std::time::{Duration, Instant};

use common::script::{Dice, seed};
use scene::Scene;
use script::{Difference, Script};
use testkit::Result;
use testkit::mysql::{Install, Kind, skipped};

/// How many scripts, unless the environment asks for a time.
const SCRIPTS: usize = 6;
/// How often a script that makes a difference is run again, at most, to find a shorter one.
const CUTS_MAX: u64 = 150;

#[test]
fn random_scripts_get_the_same_replies_directly_and_through_on_mariadb() -> Result<()> {
    compare(Kind::MariaDb)
}

#[test]
fn random_scripts_get_the_same_replies_directly_and_through_on_mysql() -> Result<()> {
    match Install::find(Kind::MySql) {
        Ok(_) => compare(Kind::MySql),
        Err(why) => {
            skipped("MySQL", &format!("{why:#}"));
            Ok(())
        }
    }
}

fn compare(kind: Kind) -> Result<()> {
    let mut dice = Dice::new(seed("MYSQL_DIFFERENTIAL_SEED"));
    let run = Duration::from_secs(wish("SECONDS", 0));
    let scene = Scene::start(kind)?;
    let began = Instant::now();
    let (mut scripts, mut steps, mut packets, mut differences) = (0, 0, 0, 0);
    while (scripts < SCRIPTS || began.elapsed() < run) && differences < wish("SHOWN", 1) {
        let script = Script::random(&mut dice, kind);
        scripts += 1;
        steps += script.len();
        match script.run(&scene)? {
            Ok(alike) => packets += alike,
            Err(first) => {
                differences += 1;
                let (shortest, difference) = shorten(script, first, &scene)?;
                let Difference { what, .. } = difference;
                println!("script {scripts} of {}:\n{shortest}\n{what}\n{}", kind.name(), scene.log_end());
            }
        }
    }
    println!("{}: {scripts} scripts, {steps} commands, {packets} packets alike", kind.name());
    assert_eq!(differences, 0, "the same commands got other replies");
    Ok(())
}

/// A number that the environment may ask for.
fn wish(name: &str, usual: u64) -> u64 {
    std::env::var(format!("MYSQL_DIFFERENTIAL_{name}")).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Leaves out what is not needed for a difference, larger parts first.
fn shorten(script: Script, mut difference: Difference, scene: &Scene) -> Result<(Script, Difference)> {
    let mut script = script.first(difference.at + 1);
    let (mut size, mut at, mut cuts) = (script.len().next_power_of_two() / 2, 0, 0);
    while size > 0 && cuts < wish("CUTS", CUTS_MAX) {
        if at >= script.len() {
            (size, at) = (size / 2, 0);
            continue;
        }
        cuts += 1;
        let shorter = script.without(at, size);
        match shorter.run(scene)? {
            Ok(_) => at += size,
            Err(found) => (script, difference) = (shorter.first(found.at + 1), found),
        }
    }
    Ok((script, difference))
}
