//! How connections are made, and replaced.

use testkit::Result;
use testkit::cut::Weather;

use crate::common::USER;
use crate::place::Heard;
use crate::stage::{Case, Stage};

pub(crate) const CASES: &[Case] = &[
    Case {
        setting: "connect_timeout",
        values: ["\"30s\"", "\"150ms\""],
        beside: "checkout_timeout = \"30s\"",
        budget: 2,
        done: "the server accepts connections and says nothing; a client asks",
        see: connect_timeout,
    },
    Case {
        setting: "connect_concurrency",
        values: ["4", "1"],
        beside: "checkout_timeout = \"30s\"\n{gate}",
        budget: 4,
        done: "4 clients ask at once, and there is no connection",
        see: connect_concurrency,
    },
    Case {
        setting: "init_sql",
        values: ["\"\"", "\"insert into events values ('born')\""],
        beside: "",
        budget: 2,
        done: "2 connections are made, and work",
        see: init_sql,
    },
    Case {
        setting: "probe_after",
        values: ["\"1h\"", "\"20ms\""],
        beside: "checkout_timeout = \"30s\"",
        budget: 4,
        done: "the server refuses the third connection, as it has too many; then it has room",
        see: probe_after,
    },
    Case {
        setting: "min_idle",
        values: ["0", "2"],
        beside: "checkout_timeout = \"30s\"\nmax_uses = 1\n{gate}",
        budget: 4,
        done: "connections are used up (`max_uses = 1`), and making one takes long; a client asks twice",
        see: refresh,
    },
    Case {
        setting: "max_lifetime",
        values: ["\"1h\"", "\"200ms\""],
        beside: "min_idle = 1\nlifetime_jitter = 0.0\n{gate}",
        budget: 2,
        done: "the only connection is idle, kept by `min_idle = 1`, and making one takes long; after half a second a client asks",
        see: succession,
    },
];

fn connect_timeout(stage: &mut Stage<'_>) -> Result<String> {
    let mut guest = stage.guest()?;
    stage.empty()?;
    stage.cut.set(Weather::Stalled);
    let before = stage.connect_failures()?;
    guest.ask("select 1")?;
    let given_up = stage.until_or_long("a connect to be given up", Stage::has_waited, |stage| {
        Ok(stage.connect_failures()? >= before + 2)
    })?;
    stage.cut.set(Weather::Clear);
    assert_eq!(guest.heard()?, Heard::Served);
    stage.rest([guest]);
    Ok(if given_up { "the connect is given up and tried again" } else { "the connect is waited for" }.to_owned())
}

fn connect_concurrency(stage: &mut Stage<'_>) -> Result<String> {
    let mut guests = stage.guests(4)?;
    stage.empty()?;
    stage.shut_gate()?;
    for guest in &mut guests {
        guest.ask("select 1")?;
    }
    let totals = stage.until_totals("4 to wait", |totals| totals.waiting == 4)?;
    stage.until("the server to have as many", |stage| {
        Ok((stage.sessions(USER)?.len() == totals.connecting as usize).then_some(()))
    })?;
    stage.open_gate()?;
    for guest in &mut guests {
        assert_eq!(guest.heard()?, Heard::Served);
    }
    stage.rest(guests);
    Ok(format!("{} connect at once", totals.connecting))
}

fn init_sql(stage: &mut Stage<'_>) -> Result<String> {
    let guests = stage.guests(2)?;
    stage.rest(guests);
    stage.empty()?;
    stage.admin.run("delete from events")?;
    stage.fill(2)?;
    Ok(format!("it has run {} times", stage.events()?))
}

fn probe_after(stage: &mut Stage<'_>) -> Result<String> {
    let mut guests = stage.guests(3)?;
    stage.empty()?;
    limit_connections(stage, Some(2))?;
    let seen = (|| {
        let [one, two, third] = guests.as_mut_slice() else { unreachable!("three were asked for") };
        one.run("begin")?;
        two.run("begin")?;
        let before = stage.connect_failures()?;
        third.ask("select 1")?;
        stage.until("a refusal", |stage| Ok((stage.connect_failures()? > before).then_some(())))?;
        limit_connections(stage, None)?;
        let told = stage.told()?;
        let served = stage.until_told(told)?;
        one.run("commit")?;
        two.run("commit")?;
        assert_eq!(third.heard()?, Heard::Served);
        Ok(if served { "it is asked again, and gives it" } else { "the pool does with two" }.to_owned())
    })();
    limit_connections(stage, None)?;
    stage.rest(guests);
    seen
}

/// Lets the server take so many connections of [`USER`].
fn limit_connections(stage: &mut Stage<'_>, limit: Option<u32>) -> Result<()> {
    let postgres = limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
    let mysql = limit.unwrap_or(0);
    let sql = stage
        .place
        .tongue(
            &format!("alter role {USER} connection limit {postgres}"),
            &format!("alter user '{USER}'@'%' with max_user_connections {mysql}"),
        )
        .to_owned();
    stage.admin.run(&sql)
}

fn refresh(stage: &mut Stage<'_>) -> Result<String> {
    let mut guest = stage.guest()?;
    stage.order("reconnect")?;
    let kept = stage.value().parse::<u32>()?;
    stage.until("those that are kept", |stage| Ok((stage.sessions(USER)?.len() == kept as usize).then_some(())))?;
    stage.until_totals("those that are kept", |totals| (totals.idle, totals.connecting) == (kept, 0))?;
    stage.shut_gate()?;
    let seen = if kept == 0 {
        guest.ask("select 1")?;
        stage.until_totals("the client to wait", |totals| (totals.waiting, totals.connecting) == (1, 1))?;
        stage.open_gate()?;
        assert_eq!(guest.heard()?, Heard::Served);
        "each time it waits for a new one"
    } else {
        guest.run("select 'by the first'")?;
        stage.until_totals("the successor to be made", |totals| (totals.idle, totals.connecting) == (1, 1))?;
        guest.run("select 'by the second'")?;
        stage.until_totals("both successors to be made", |totals| (totals.idle, totals.connecting) == (0, 2))?;
        stage.open_gate()?;
        "it is served at once both times, while the successors are made"
    };
    stage.rest([guest]);
    Ok(seen.to_owned())
}

fn succession(stage: &mut Stage<'_>) -> Result<String> {
    let mut guest = stage.guest()?;
    stage.until_totals("the one that is kept", |totals| (totals.idle, totals.connecting) == (1, 0))?;
    stage.shut_gate()?;
    let succeeded = stage
        .until_or_long("a successor to be made", Stage::has_rested, |stage| Ok(stage.totals()?.connecting == 1))?;
    guest.run("select 1")?;
    stage.open_gate()?;
    stage.rest([guest]);
    Ok(if succeeded { "it is served at once, while a successor is made" } else { "it is served at once" }.to_owned())
}
