//! How a running Evenkeel is watched from outside, and known to be at rest.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use testkit::wire::{Message, Row};
use testkit::{Evenkeel, Result, Wire, poll_until};

use crate::common::{PASSWORD, USER};

/// Far more than anything here takes, even on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The first line of a configuration, for tests that log in often: it belongs to the `[listen]` section.
pub(crate) const TRUST: &str = "auth = \"trust\"";

/// Makes the user of every test an administrator of the console.
pub(crate) const ADMIN: &str = "[admin]\nusers = [\"app\"]";

/// Server connections in a state: `connecting`, `idle`, `in_use` or `closing`.
pub(crate) fn connections(evenkeel: &Evenkeel, state: &str) -> Result<u32> {
    whole(evenkeel, &format!("evenkeel_server_connections{{server=\"main\",state=\"{state}\"}}"))
}

/// Clients that wait for a server connection.
pub(crate) fn waiting(evenkeel: &Evenkeel) -> Result<u32> {
    whole(evenkeel, "evenkeel_server_waiting_clients{server=\"main\"}")
}

/// Server connections in any state, all seen at once.
pub(crate) fn held(evenkeel: &Evenkeel) -> Result<u32> {
    let (_, page) = evenkeel.http("/metrics")?;
    let states = page.lines().filter(|line| line.starts_with("evenkeel_server_connections{server=\"main\""));
    states.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<u32>()?)).sum()
}

/// Tells the threads of a test that it is over, also when it fails: a scope would wait for them forever.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A metric that counts.
pub(crate) fn whole(evenkeel: &Evenkeel, sample: &str) -> Result<u32> {
    let value = evenkeel.metric(sample)?;
    Ok(format!("{value:.0}").parse()?)
}

/// Waits until so many clients wait for a server connection.
pub(crate) fn until_waiting(evenkeel: &Evenkeel, count: u32) -> Result<()> {
    poll_until(SOON, &format!("{count} clients to wait"), || Ok((waiting(evenkeel)? == count).then_some(())))
}

/// Waits until so many server connections are lent.
pub(crate) fn until_in_use(evenkeel: &Evenkeel, count: u32) -> Result<()> {
    poll_until(SOON, &format!("{count} connections to be lent"), || {
        Ok((connections(evenkeel, "in_use")? == count).then_some(()))
    })
}

/// Waits until a line of the log contains `text`.
pub(crate) fn until_logged(evenkeel: &Evenkeel, text: &str) -> Result<String> {
    poll_until(SOON, &format!("{text:?} in the log"), || {
        Ok(evenkeel.log().lines().find(|line| line.contains(text)).map(ToOwned::to_owned))
    })
}

/// Strikes until a client has lost the connection that it was using: whoever is struck may have become idle just before.
pub(crate) fn until_lost(evenkeel: &Evenkeel, mut strike: impl FnMut() -> Result<()>) -> Result<()> {
    let lost = || Ok(evenkeel.log().contains("lost while in use").then_some(()));
    for _ in 0..5 {
        strike()?;
        if poll_until(Duration::from_secs(4), "a connection lost while in use", lost).is_ok() {
            return Ok(());
        }
    }
    bail!("no connection was lost while in use")
}

/// Waits until nothing is lent and nobody waits; no promise was broken, and nothing panicked on the way.
pub(crate) fn at_rest(evenkeel: &Evenkeel) -> Result<()> {
    until_in_use(evenkeel, 0)?;
    until_waiting(evenkeel, 0)?;
    sound(evenkeel)
}

/// No promise was broken, and nothing panicked.
pub(crate) fn sound(evenkeel: &Evenkeel) -> Result<()> {
    let (_, page) = evenkeel.http("/metrics")?;
    let promises: Vec<_> = page.lines().filter(|line| line.starts_with("evenkeel_server_faults_total{")).collect();
    assert!(!promises.is_empty(), "no promises in\n{page}");
    for promise in promises {
        assert!(promise.ends_with(" 0"), "{promise}");
    }
    let log = evenkeel.log();
    assert!(!log.contains("panicked"), "{log}");
    Ok(())
}

/// The console, as the user of every test.
pub(crate) fn console(evenkeel: &Evenkeel) -> Result<Wire> {
    evenkeel.client(USER, PASSWORD, "evenkeel")
}

/// A table of the console's.
pub(crate) struct Shown {
    pub(crate) names: Vec<String>,
    /// Its rows.
    pub(crate) rows: Vec<Row>,
}

impl Shown {
    /// The value in a row's column; null is empty.
    pub(crate) fn get<'a>(&self, row: &'a Row, name: &str) -> &'a str {
        let place = self.names.iter().position(|known| known == name);
        let place = place.unwrap_or_else(|| panic!("no column {name} in {:?}", self.names));
        row[place].as_deref().unwrap_or_default()
    }

    /// The number in a row's column.
    pub(crate) fn number(&self, row: &Row, name: &str) -> u64 {
        self.get(row, name).parse().unwrap_or_else(|_| panic!("{name} is no number in {row:?}"))
    }

    /// The row whose column `name` is `value`.
    pub(crate) fn find(&self, name: &str, value: &str) -> Option<&Row> {
        self.rows.iter().find(|row| self.get(row, name) == value)
    }
}

/// What the console shows of `topic`.
pub(crate) fn show(console: &mut Wire, topic: &str) -> Result<Shown> {
    let (names, rows) = console.query_named(&format!("show {topic}"))?;
    Ok(Shown { names, rows })
}

/// The SQLSTATE of an error message.
pub(crate) fn code(message: &Message) -> String {
    assert_eq!(message.tag, b'E', "{message:?}");
    message.field(b'C').unwrap_or_default()
}

/// Reads until an error comes, which must be what ends the session; its SQLSTATE.
pub(crate) fn last_words(wire: &mut Wire) -> Result<String> {
    let message = wire.read()?;
    let code = code(&message);
    assert_eq!(message.field(b'V').as_deref(), Some("FATAL"), "{message:?}");
    assert_eq!(wire.read_to_close()?, b"", "nothing follows a session's end");
    Ok(code)
}

/// Waits until a query of the superuser's says `expected`.
pub(crate) fn until_says(pg: &testkit::Postgres, sql: &str, expected: &str) -> Result<()> {
    let mut last = String::new();
    let answer = poll_until(SOON, sql, || {
        last = pg.psql(sql)?;
        Ok((last == expected).then_some(()))
    });
    answer.map_err(|error| error.context(format!("it said {last:?} instead of {expected:?}")))
}
