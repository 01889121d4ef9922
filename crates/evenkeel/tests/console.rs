//! The admin console on a running program: what it shows is what is, and what it is told is done.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use common::{PASSWORD, Script, Setup, USER, fails_with};
use testkit::{Result, Wire, poll_until};
use watch::{ADMIN, SOON, at_rest, console, last_words, show, until_in_use, until_logged, until_waiting};

#[test]
fn routes_clients_and_servers_are_shown_as_they_are() -> Result<()> {
    let scene = Setup::new().budget(2).user("other").toml(ADMIN).start()?;
    let held = scene.hold()?;
    let mut waiting = [scene.client()?, scene.client()?];
    let second = scene.hold()?;
    for wire in &mut waiting {
        wire.send_query("select 1")?;
    }
    until_waiting(&scene.evenkeel, 2)?;
    let mut console = console(&scene.evenkeel)?;
    let routes = show(&mut console, "routes")?;
    let row = routes.find("user", USER).unwrap();
    assert_eq!(routes.rows.len(), 1, "routes in use only");
    for (name, value) in [("clients", 4), ("held", 2), ("in_use", 2), ("idle", 0), ("waiting", 2), ("weight", 1)] {
        assert_eq!(routes.number(row, name), value, "{name}");
    }
    let clients = show(&mut console, "clients")?;
    let phases = |phase| clients.rows.iter().filter(|row| clients.get(row, "phase") == phase).count();
    assert_eq!((phases("waiting"), phases("holding")), (2, 2));
    let holding = clients.find("server_pid", &held.backend().to_string()).unwrap();
    assert_eq!(clients.get(holding, "phase"), "holding");
    assert_eq!(show(&mut console, "servers")?.rows.len(), 2);
    held.release()?;
    second.release()?;
    for wire in &mut waiting {
        wire.read_until_ready()?;
    }
    at_rest(&scene.evenkeel)
}

#[test]
fn drivers_that_flush_instead_of_sync_are_answered() -> Result<()> {
    let scene = Setup::new().toml(ADMIN).start()?;
    let mut console = console(&scene.evenkeel)?;
    let unit = Script::new().parse("", "show version").describe_statement("").flush();
    console.send(unit.bytes())?;
    let refused = console.read()?;
    assert_eq!((refused.tag, refused.field(b'C').as_deref()), (b'E', Some("0A000")));
    console.send(Script::new().sync().bytes())?;
    assert_eq!(console.read()?.tag, b'Z');
    // A whole unit in one packet is one error, and the session goes on.
    let answer = unit.sync().run_on(&mut console)?;
    assert_eq!(answer.iter().map(|message| message.tag).collect::<Vec<_>>(), b"EZ");
    assert!(!show(&mut console, "version")?.rows.is_empty());
    Ok(())
}

/// Every table there is, by what the console itself says.
fn topics(console: &mut Wire) -> Result<Vec<String>> {
    console.send_query("show help")?;
    let messages = console.read_until_ready()?;
    let help = messages.iter().find(|message| message.tag == b'N').and_then(|notice| notice.field(b'D'));
    let help = help.unwrap_or_default();
    let tables = help.lines().filter_map(|line| line.trim().strip_prefix("SHOW ")).find(|rest| rest.contains('|'));
    Ok(tables.unwrap_or_default().split('|').map(str::to_lowercase).collect())
}

#[test]
fn every_table_can_be_shown_and_every_mistake_is_explained() -> Result<()> {
    let scene = Setup::new().toml(ADMIN).start()?;
    assert_eq!(scene.client()?.value("select 1")?, "1");
    let mut console = console(&scene.evenkeel)?;
    let topics = topics(&mut console)?;
    assert!(topics.len() > 15, "{topics:?}");
    for topic in &topics {
        let shown = show(&mut console, topic)?;
        // The one client has left, and nobody has a limit.
        let may_be_empty = ["clients", "processlist", "transaction_limits"].contains(&&**topic);
        assert!(may_be_empty || !shown.rows.is_empty(), "{topic}");
    }
    assert_eq!(fails_with(&mut console, "show poools"), "42601");
    assert_eq!(fails_with(&mut console, "drop database shop"), "42601");
    let config = show(&mut console, "config")?;
    assert!(config.rows.iter().flatten().flatten().all(|value| !value.contains(PASSWORD)), "no secret is shown");
    at_rest(&scene.evenkeel)
}

#[test]
fn only_administrators_change_anything() -> Result<()> {
    let access = "[admin]\nusers = [\"app\"]\nstats_users = [\"watcher\"]";
    let scene = Setup::new().user("watcher").user("other").toml(access).start()?;
    let mut watcher = scene.evenkeel.client("watcher", PASSWORD, "pgbouncer")?;
    assert!(!show(&mut watcher, "databases")?.rows.is_empty());
    for command in ["pause", "resume", "reload", "shutdown", "kill 1", "reconnect"] {
        assert_eq!(fails_with(&mut watcher, command), "42501", "{command}");
    }
    let error = scene.evenkeel.client("other", PASSWORD, "evenkeel").unwrap_err();
    assert_eq!(common::sqlstate(&error), "42501");
    at_rest(&scene.evenkeel)
}

#[test]
fn a_pause_waits_for_transactions_and_keeps_clients_until_resume() -> Result<()> {
    let scene = Setup::new().toml(ADMIN).toml("[pool]\ncheckout_timeout = \"30s\"").start()?;
    let mut at_work = scene.client()?;
    at_work.query("begin")?;
    let mut pausing = console(&scene.evenkeel)?;
    pausing.send_query("pause")?;
    let paused = || scene.evenkeel.metric("evenkeel_server_paused{server=\"main\"}");
    poll_until(SOON, "the pause", || Ok((paused()? > 0.5).then_some(())))?;
    let mut waiting = scene.client()?;
    waiting.send_query("select 'after the pause'")?;
    until_waiting(&scene.evenkeel, 1)?;
    at_work.query("commit")?;
    let answer = pausing.read_until_ready()?;
    assert!(common::errors(&answer).is_empty(), "{answer:?}");
    until_in_use(&scene.evenkeel, 0)?;
    until_waiting(&scene.evenkeel, 1)?;
    pausing.query("resume")?;
    assert_eq!(common::only(&waiting.read_until_ready()?), "after the pause");
    at_rest(&scene.evenkeel)
}

#[test]
fn reconnect_replaces_every_server_connection() -> Result<()> {
    let scene = Setup::new().budget(1).toml(ADMIN).start()?;
    let mut wire = scene.client()?;
    let before = common::backend(&mut wire)?;
    console(&scene.evenkeel)?.query("reconnect")?;
    assert_ne!(common::backend(&mut wire)?, before);
    at_rest(&scene.evenkeel)
}

#[test]
fn a_killed_client_is_told_and_its_transaction_rolled_back() -> Result<()> {
    let scene = Setup::new().toml(ADMIN).start()?;
    scene.pg.psql_in("shop", "create table t(n int); grant all on t to public")?;
    let mut wire = scene.client()?;
    wire.query("begin")?;
    wire.query("insert into t values (1)")?;
    let mut console = console(&scene.evenkeel)?;
    let clients = show(&mut console, "clients")?;
    let id = clients.number(clients.find("phase", "holding").unwrap(), "id");
    console.query(&format!("kill {id}"))?;
    assert_eq!(last_words(&mut wire)?, "57P01");
    at_rest(&scene.evenkeel)?;
    assert_eq!(scene.client()?.value("select count(*) from t")?, "0");
    assert!(console.query("kill 4000000000").is_err(), "nobody has that number");
    Ok(())
}

#[test]
fn the_console_reloads_and_shuts_down() -> Result<()> {
    let mut scene = Setup::new().toml(ADMIN).start()?;
    let mut console = console(&scene.evenkeel)?;
    console.query("reload")?;
    let mut wire = scene.client()?;
    assert_eq!(wire.value("select 1")?, "1");
    console.query("shutdown wait_for_clients").ok();
    assert_eq!(last_words(&mut wire)?, "57P01");
    drop(console);
    until_logged(&scene.evenkeel, "stopped")?;
    assert!(
        scene.evenkeel.terminate(SOON).is_ok_and(|status| status.success()) || scene.evenkeel.log().contains("stopped")
    );
    Ok(())
}
