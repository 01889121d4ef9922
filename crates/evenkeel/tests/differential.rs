//! The same bytes sent to a server directly and through Evenkeel get the same replies, byte for byte.
//!
//! Random scripts of the extended and the simple protocol, each on a pair of connections with databases of their own, so
//! that what they create cannot meet. What must differ is taken out first; our names of statements must never show.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;

use std::time::{Duration, Instant};

use common::script::{Dice, seed};
use common::{DATABASE, PASSWORD, Script, Setup, USER};
use testkit::wire::Message;
use testkit::{Result, Wire, poll_until};

const RUN: Duration = Duration::from_secs(8);
const UNITS_MAX: usize = 6;
const MESSAGES_MAX: usize = 7;
const NAMES: [&str; 3] = ["", "s", "other one"];
/// What follows a column's name in RowDescription: table, attribute, type, type length, type modifier and format.
const COLUMN_FACTS_LEN: usize = 18;
const PORTALS: [&str; 2] = ["", "p"];

/// Statements whose replies depend on nothing but the session; `$1` is a number when there is one.
const TEXTS: [&str; 16] = [
    "select 1",
    "select $1::int + 1",
    "select n, repeat('x', n) from generate_series(1, 5) as n",
    "select 10 / $1::int",
    "select 1 / 0",
    "selec",
    "",
    "insert into t values ($1::int) returning n",
    "insert into t select generate_series(1, 3)",
    "select count(*) from t",
    "select * from nowhere",
    "begin",
    "commit",
    "rollback",
    "set statement_timeout = 100000",
    "show statement_timeout",
];

/// Texts of simple queries only.
const QUERIES: [&str; 9] = [
    "select 1; select 2; select 1/0; select 3",
    ";;",
    "deallocate s",
    "deallocate all",
    "savepoint a",
    "rollback to a",
    "set timezone = 'Asia/Tokyo'",
    "reset timezone",
    "copy t to stdout",
];

/// A random run of units of work, each ended by Sync or a simple query.
fn script(dice: &mut Dice) -> Script {
    let mut script = Script::new();
    for _ in 0..=dice.roll(UNITS_MAX) {
        script = match dice.roll(8) {
            0 => script.query(TEXTS[dice.roll(TEXTS.len())]),
            1 => script.query(QUERIES[dice.roll(QUERIES.len())]),
            2 => copy_in(script, dice),
            _ => extended(script, dice),
        };
    }
    script
}

/// Begins with an unnamed Parse that cannot be skipped: what the unnamed statement is after a skipped one is the one thing
/// in which Evenkeel differs (there is none).
fn extended(script: Script, dice: &mut Dice) -> Script {
    let mut script = script.parse("", TEXTS[dice.roll(TEXTS.len())]);
    for _ in 0..=dice.roll(MESSAGES_MAX) {
        let (name, portal) = (NAMES[dice.roll(NAMES.len())], PORTALS[dice.roll(PORTALS.len())]);
        script = match dice.roll(12) {
            0..3 => script.parse(name, TEXTS[dice.roll(TEXTS.len())]),
            3..5 => script.bind(portal, name, &[]),
            5 => script.bind(portal, name, &[["0", "7", "seven"][dice.roll(3)]]),
            6 => script.describe_statement(name),
            7 => script.describe_portal(portal),
            8 | 9 => script.execute(portal, [0, 0, 2][dice.roll(3)]),
            10 => script.close_statement(name),
            _ => match dice.roll(2) {
                0 => script.close_portal(portal),
                _ => script.flush(),
            },
        };
    }
    script.sync()
}

fn copy_in(script: Script, dice: &mut Dice) -> Script {
    let script = match dice.roll(3) {
        0 => script.query("copy t from stdin"),
        1 => script.query("copy nowhere from stdin"),
        _ => script.parse("", "copy t from stdin").run("", &[]),
    };
    let script = script.copy_data("1\n2\n").copy_data(["3\n", "three\n"][dice.roll(2)]);
    let script = if dice.roll(2) == 0 { script.copy_done() } else { script.copy_fail("enough") };
    // Behind a simple COPY it is one unit more.
    script.sync()
}

/// Sends a script and collects every reply.
fn replies(wire: &mut Wire, script: &Script) -> Result<Vec<Message>> {
    Ok(script.run_on(wire)?.into_iter().map(normal).collect())
}

/// A message without what must differ: the object ids of tables, which are those of the one database or the other. And
/// without what may: a statement that has two names is called by either where parameters do not fit it.
fn normal(mut message: Message) -> Message {
    assert!(!String::from_utf8_lossy(&message.body).contains("__ek_"), "a name of ours shows: {message:?}");
    if message.tag == b'E' && message.field(b'C').is_some_and(|code| code == "08P01") {
        message.body = message.body.split(|byte| *byte == b'"').step_by(2).collect::<Vec<_>>().concat();
    }
    if message.tag == b'T' {
        let mut at = 2;
        while let Some(end) = message.body[at..].iter().position(|byte| *byte == 0) {
            message.body[at + end + 1..][..4].fill(0);
            at += end + 1 + COLUMN_FACTS_LEN;
        }
    }
    message
}

/// Replies without what units say in a failed transaction, but how they end: a statement that is not prepared on the
/// connection yet is refused when it is prepared, not when it is used.
fn without_refused(replies: Vec<Message>, mut failed: bool) -> Vec<Message> {
    let mut kept = Vec::new();
    for unit in replies.split_inclusive(|message| message.tag == b'Z') {
        let end = unit.last().filter(|message| message.tag == b'Z');
        let from = if failed { unit.len() - end.iter().count() } else { 0 };
        kept.extend_from_slice(&unit[from..]);
        failed = end.is_some_and(|message| message.body == b"E");
    }
    kept
}

#[test]
fn random_scripts_get_the_same_replies_directly_and_through() -> Result<()> {
    let mut dice = Dice::new(seed("DIFFERENTIAL_SEED"));
    let scene = Setup::new().budget(3).database("direct").toml("[prepared]\nmax_per_server = 2").start()?;
    for database in [DATABASE, "direct"] {
        scene.pg.psql_in(database, "create table t (n int); grant all on t to public")?;
    }
    // Some scripts make PostgreSQL 15 crash; it is back soon.
    let connect = || {
        let direct = Wire::log_in(&scene.pg.address(), USER, PASSWORD, "direct").ok();
        Ok(direct.and_then(|direct| Some([direct, scene.client().ok()?, scene.client().ok()?])))
    };
    let deadline = Instant::now() + RUN;
    let (mut scripts, mut messages) = (0, 0);
    'round: while Instant::now() < deadline {
        let [mut direct, mut through, mut busy] = poll_until(RUN, "both let us in", connect)?;
        for wire in [&mut direct, &mut through] {
            wire.query("truncate t")?;
        }
        let mut failed = false;
        // The third takes and returns connections between the scripts.
        for _ in 0..20 {
            let script = script(&mut dice);
            if dice.roll(3) == 0 {
                // It may meet the end of a connection that a crash has left behind.
                let _ = busy.query("select 1");
            }
            // Some scripts end PostgreSQL's own session; they tell nothing about ours.
            let Ok(expected) = replies(&mut direct, &script) else { continue 'round };
            let seen = match replies(&mut through, &script) {
                Ok(seen) => seen,
                Err(_) if direct.query("select 1").is_err() => continue 'round,
                Err(error) => {
                    let text = String::from_utf8_lossy(script.bytes()).into_owned();
                    return Err(error.context(format!("script {scripts}: {text:?}\n{}", scene.evenkeel.log())));
                }
            };
            let (seen, expected) = (without_refused(seen, failed), without_refused(expected, failed));
            assert_eq!(seen, expected, "script {scripts}: {:?}", String::from_utf8_lossy(script.bytes()));
            failed = seen.last().is_some_and(|message| message.body == b"E");
            scripts += 1;
            messages += expected.len();
        }
    }
    println!("{scripts} scripts, {messages} messages alike");
    assert!(scripts > 100, "only {scripts} scripts");
    Ok(())
}
