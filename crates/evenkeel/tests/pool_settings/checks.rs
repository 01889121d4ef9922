//! Connections that are dead without anybody having been told: how they are found.

use testkit::cut::{Direction, Weather};
use testkit::{Result, poll_until};

use crate::common::USER;
use crate::place::{Guest, Heard};
use crate::stage::{Case, Stage};
use crate::watch::SOON;

pub(crate) const CASES: &[Case] = &[
    Case {
        setting: "test_on_checkout",
        values: ["\"off\"", "\"always\""],
        beside: "validate_timeout = \"150ms\"\nidle_timeout = \"off\"",
        budget: 4,
        done: "a firewall forgets the 2 idle connections; a client asks",
        see: on_checkout,
    },
    Case {
        setting: "test_on_checkout",
        values: ["\"off\"", "\"always\""],
        beside: "validate_timeout = \"150ms\"\ncheckout_timeout = \"400ms\"\nconnect_timeout = \"200ms\"",
        budget: 4,
        done: "the server is stopped (SIGSTOP); a client asks",
        see: on_checkout_of_a_stopped_server,
    },
    Case {
        setting: "test_while_idle",
        values: ["\"off\"", "\"100ms\""],
        beside: "validate_timeout = \"150ms\"\nmaintenance_interval = \"50ms\"\nmin_idle = 2\ntest_on_checkout = \"off\"",
        budget: 4,
        done: "a firewall forgets the 2 idle connections; nobody asks",
        see: while_idle,
    },
    Case {
        setting: "test_while_idle",
        values: ["\"off\"", "\"100ms\""],
        beside: "validate_timeout = \"150ms\"\nmaintenance_interval = \"50ms\"\ntest_on_checkout = \"off\"",
        budget: 4,
        done: "the server is stopped (SIGSTOP); nobody asks",
        see: while_idle_of_a_stopped_server,
    },
    Case {
        setting: "test_on_return",
        values: ["false", "true"],
        beside: "validate_timeout = \"150ms\"\ntest_on_checkout = \"off\"",
        budget: 4,
        done: "a firewall forgets the connection just before it comes back",
        see: on_return,
    },
    Case {
        setting: "validate_timeout",
        values: ["\"30s\"", "\"100ms\""],
        beside: "test_on_checkout = \"always\"\ncheckout_timeout = \"30s\"",
        budget: 4,
        done: "a firewall forgets the idle connection for half a second; a client asks",
        see: validate_timeout,
    },
    Case {
        setting: "validation_query",
        values: ["\"\"", "\"insert into events values ('test')\""],
        beside: "test_on_checkout = \"always\"",
        budget: 2,
        done: "a connection is lent 3 times with `test_on_checkout = \"always\"`",
        see: validation_query,
    },
    Case {
        setting: "maintenance_interval",
        values: ["\"1h\"", "\"50ms\""],
        beside: "test_while_idle = \"50ms\"\nvalidation_query = \"insert into events values ('test')\"",
        budget: 2,
        done: "a connection is idle for half a second, with `test_while_idle = \"50ms\"`",
        see: maintenance_interval,
    },
    Case {
        setting: "leak_timeout",
        values: ["\"off\"", "\"150ms\""],
        beside: "maintenance_interval = \"50ms\"",
        budget: 2,
        done: "a client begins a transaction, updates a row and falls silent for half a second",
        see: leak_timeout,
    },
];

/// Both ways.
fn forget(stage: &Stage<'_>) {
    stage.cut.silence(Direction::ToServer);
    stage.cut.silence(Direction::ToClient);
}

fn on_checkout(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(2)?;
    forget(stage);
    let seen = ask(stage, "it gets no answer", "it is served, by a new connection")?;
    stage.cut.end_silence();
    answered(stage, seen)
}

fn on_checkout_of_a_stopped_server(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(2)?;
    stage.place.pause()?;
    let seen = ask(stage, "it gets no answer", "it is told that there is no connection");
    stage.place.resume()?;
    answered(stage, seen?)
}

/// A client asks; what it saw, depending on whether it was told something, and the client.
fn ask(stage: &mut Stage<'_>, silence: &'static str, told: &'static str) -> Result<(&'static str, Guest)> {
    let mut guest = stage.guest()?;
    let before = stage.told()?;
    guest.ask("select 1")?;
    let was_told = stage.until_told(before)?;
    Ok((if was_told { told } else { silence }, guest))
}

/// The answer arrives at last, and the next one too.
fn answered(stage: &mut Stage<'_>, (seen, mut guest): (&'static str, Guest)) -> Result<String> {
    let heard = guest.heard()?;
    assert_eq!(heard == Heard::Refused, seen.contains("told"), "{seen}");
    poll_until(SOON, "service", || {
        guest.ask("select 1")?;
        Ok((guest.heard()? == Heard::Served).then_some(()))
    })?;
    stage.rest([guest]);
    Ok(seen.to_owned())
}

fn while_idle(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(2)?;
    let before = stage.closed("invalid")?;
    forget(stage);
    let found = until_found(stage, before + 2)?;
    if found {
        // What the server still has are those that the firewall keeps from it, and their successors.
        stage.until_totals("their successors", |totals| totals.idle == 2)?;
        let mut guest = stage.guest()?;
        guest.run("select 1")?;
        stage.rest([guest]);
    }
    stage.cut.end_silence();
    Ok(if found { "both are found and replaced" } else { "they wait for clients" }.to_owned())
}

fn while_idle_of_a_stopped_server(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(2)?;
    let before = stage.closed("invalid")?;
    stage.place.pause()?;
    let found = until_found(stage, before + 2);
    stage.place.resume()?;
    Ok(if found? { "both are found and closed" } else { "they wait for clients" }.to_owned())
}

/// Whether so many were found invalid before all had rested for long.
fn until_found(stage: &mut Stage<'_>, closed: u32) -> Result<bool> {
    stage.until_or_long("a test", Stage::has_rested, |stage| Ok(stage.closed("invalid")? >= closed))
}

fn on_return(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(1)?;
    let before = stage.closed("invalid")?;
    let mut guest = stage.guest()?;
    stage.lock_events()?;
    guest.ask("select count(*) from events")?;
    let busy = stage.place.tongue(
        "select count(*) from pg_stat_activity where query like '%from events' and state = 'active' and usename = 'app'",
        "select count(*) from information_schema.processlist where info like '%from events' and user = 'app'",
    );
    // Who holds the lock does so in a transaction, and in it would always see the same.
    let mut watcher = stage.place.admin()?;
    stage.until("the server to work on it", |_| Ok((watcher.value(busy)? == "1").then_some(())))?;
    // The answer comes through; what is asked afterwards does not.
    stage.cut.silence(Direction::ToServer);
    stage.unlock_events()?;
    assert_eq!(guest.heard()?, Heard::Served);
    stage.rest([guest]);
    let found = until_found(stage, before + 1)?;
    stage.cut.end_silence();
    Ok(if found { "it is found at once" } else { "it waits for the next client" }.to_owned())
}

fn validate_timeout(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(1)?;
    forget(stage);
    let (seen, guest) = ask(stage, "the client waits for the end of the test", "it is served, by a new connection")?;
    stage.cut.end_silence();
    answered(stage, (seen, guest))
}

fn validation_query(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(1)?;
    stage.admin.run("delete from events")?;
    let mut guest = stage.guest()?;
    for _ in 0..3 {
        guest.run("select 1")?;
    }
    stage.rest([guest]);
    Ok(format!("the query has run {} times", stage.events()?))
}

fn maintenance_interval(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(1)?;
    let tested = stage.until_or_long("tests", Stage::has_rested, |stage| Ok(stage.events()? >= 3))?;
    assert!(tested || stage.events()? == 0);
    Ok(if tested { "it is tested again and again" } else { "it is not tested" }.to_owned())
}

fn leak_timeout(stage: &mut Stage<'_>) -> Result<String> {
    stage.cut.set(Weather::Clear);
    let mut guest = stage.guest()?;
    let seen = stage.log().len();
    guest.run("begin")?;
    guest.run("update events set what = 'secret' where what = 'none'")?;
    let find = |stage: &Stage<'_>| stage.log().into_iter().skip(seen).find(|line| line.contains("held for long"));
    stage.until_or_long("a report", Stage::has_held, |stage| Ok(find(stage).is_some()))?;
    let report = find(stage);
    guest.run("commit")?;
    stage.rest([guest]);
    let Some(report) = report else { return Ok("nothing is said".to_owned()) };
    assert!(!report.contains("secret"), "{report}");
    for part in ["user=app", "database=shop", "peer=\"127.0.0.1:", "held=", "update events set what = ? where what = ?"]
    {
        assert!(report.contains(part), "{part} in {report}");
    }
    let clients = stage.show("clients")?;
    let known = clients.rows.iter().any(|row| report.contains(&format!("client={} ", clients.get(row, "id"))));
    assert!(known, "the number is that of {USER}: {report}");
    Ok("the log names the client, its address, for how long it has had the connection, and its query without the values".to_owned())
}
