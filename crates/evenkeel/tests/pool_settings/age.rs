//! How long connections live, and what happens when they end.

use std::time::Instant;

use testkit::Result;

use crate::common::USER;
use crate::place::OTHERS;
use crate::stage::{Case, LONG, Stage};

pub(crate) const CASES: &[Case] = &[
    Case {
        setting: "idle_timeout",
        values: ["\"off\"", "\"150ms\""],
        beside: "min_idle = 1",
        budget: 4,
        done: "4 clients worked at once; then nobody does for half a second, with `min_idle = 1`",
        see: idle_timeout,
    },
    Case {
        setting: "max_idle_timeout",
        values: ["\"off\"", "\"150ms\""],
        beside: "min_idle = 2",
        budget: 4,
        done: "2 connections are idle for half a second, with `min_idle = 2`",
        see: max_idle_timeout,
    },
    Case {
        setting: "max_lifetime",
        values: ["\"1h\"", "\"200ms\""],
        beside: "lifetime_jitter = 0.0",
        budget: 2,
        done: "a client works without a pause",
        see: max_lifetime,
    },
    Case {
        setting: "lifetime_jitter",
        values: ["0.0", "0.5"],
        beside: "max_lifetime = \"800ms\"\ninitial = 6",
        budget: 12,
        done: "6 connections are opened at once and left alone, with `max_lifetime = \"800ms\"`",
        see: lifetime_jitter,
    },
    Case {
        setting: "max_uses",
        values: ["0", "3"],
        beside: "",
        budget: 4,
        done: "a client carries out 9 transactions",
        see: max_uses,
    },
];

fn idle_timeout(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(4)?;
    let shrinks =
        stage.until_or_long("a smaller pool", Stage::has_rested, |stage| Ok(stage.sessions(USER)?.len() < 4))?;
    if shrinks {
        stage.until("a rest", |stage| Ok((stage.has_rested()? && stage.sessions(USER)?.len() == 1).then_some(())))?;
    }
    let kept = stage.sessions(USER)?.len();
    Ok(format!("the server has {kept}"))
}

fn max_idle_timeout(stage: &mut Stage<'_>) -> Result<String> {
    let before = stage.fill(2)?;
    let replaced = stage.until_or_long("two others", Stage::has_rested, |stage| {
        let now = stage.sessions(USER)?;
        Ok(now.len() == 2 && now.iter().all(|session| !before.contains(session)))
    })?;
    assert!(replaced || stage.sessions(USER)? == before);
    Ok(if replaced { "two others have taken their place" } else { "the same two are there" }.to_owned())
}

fn max_lifetime(stage: &mut Stage<'_>) -> Result<String> {
    let mut guest = stage.guest()?;
    let (mut seen, began) = (Vec::new(), Instant::now());
    let replaced = stage.until_or_long(
        "new connections",
        |_| Ok(began.elapsed() >= 2 * LONG),
        |_| {
            seen.push(guest.server_session()?);
            seen.dedup();
            Ok(seen.len() > 2)
        },
    )?;
    assert!(replaced || seen.len() == 1, "{seen:?}");
    stage.rest([guest]);
    Ok(if replaced { "one new connection after the other serves it" } else { "one connection serves it all the time" }
        .to_owned())
}

fn lifetime_jitter(stage: &mut Stage<'_>) -> Result<String> {
    // Six at once, once for each user. On a machine that is busy they may all be closed late; then others have a try.
    let users = if stage.is_changed() { &OTHERS[..] } else { &[USER] };
    let mut youngest = f64::INFINITY;
    for user in users {
        stage.stranger(user)?.run("select 1")?;
        let whose = format!("user={user} ");
        let ages = stage.until("their end", |stage| {
            let log = stage.log();
            let ages = log.iter().filter(|line| line.contains(&whose)).filter_map(|line| age_ms(line));
            Ok(Some(ages.collect::<Vec<f64>>()).filter(|ages| ages.len() >= 6))
        })?;
        youngest = ages.iter().copied().fold(youngest, f64::min);
        if youngest < 800.0 {
            break;
        }
    }
    let resting = stage.guest()?;
    stage.rest([resting]);
    assert!(youngest >= 400.0, "half of it is the most that is taken off, not {youngest}");
    Ok(if youngest >= 800.0 { "none is closed before that age" } else { "some are closed when they are younger" }
        .to_owned())
}

/// The age in a log's line about a connection whose time was up, in milliseconds.
fn age_ms(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once("reason=Lifetime age=")?;
    let age = rest.split_whitespace().next()?;
    match age.strip_suffix("ms") {
        Some(ms) => ms.parse().ok(),
        None => age.strip_suffix('s')?.parse::<f64>().ok().map(|seconds| seconds * 1_000.0),
    }
}

fn max_uses(stage: &mut Stage<'_>) -> Result<String> {
    stage.order("reconnect")?;
    let mut guest = stage.guest()?;
    let mut used = Vec::new();
    for _ in 0..9 {
        used.push(guest.server_session()?);
    }
    used.dedup();
    stage.rest([guest]);
    Ok(match used.len() {
        1 => "on one connection".to_owned(),
        number => format!("on {number} connections, one after the other"),
    })
}
