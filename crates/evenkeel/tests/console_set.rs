//! `SET` on the console of a running program: it holds at once, loses no client, and goes with the next reload.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use common::{DATABASE, PASSWORD, Setup, errors, fails_with, sqlstate};
use mysql::MySetup;
use testkit::mysql::Server;
use testkit::{Evenkeel, Result, Wire, poll_until};
use watch::{ADMIN, SOON, at_rest, console, held, show, until_waiting};

/// What the console answers to a command that is done: its notice and the details of that.
fn told(console: &mut Wire, text: &str) -> Result<(String, String)> {
    console.send_query(text)?;
    let messages = console.read_until_ready()?;
    assert_eq!(errors(&messages), [""; 0], "{text}");
    let notice = messages.iter().find(|message| message.tag == b'N');
    let field = |name| notice.and_then(|notice| notice.field(name)).unwrap_or_default();
    Ok((field(b'M'), field(b'D')))
}

/// A key's value as `SHOW CONFIG` has it, and whether it is changed.
fn shown(evenkeel: &Evenkeel, key: &str) -> Result<(String, String)> {
    let table = show(&mut console(evenkeel)?, "config")?;
    let row = table.find("key", key).unwrap_or_else(|| panic!("{key} in {:?}", table.rows));
    Ok((table.get(row, "value").into(), table.get(row, "changed").into()))
}

#[test]
fn what_is_set_holds_at_once_and_goes_with_a_reload() -> Result<()> {
    let setup = Setup::new().budget(1).toml(ADMIN).toml("[pool]\ncheckout_timeout = \"45s\"");
    let scene = setup.start()?;
    let evenkeel = &scene.evenkeel;
    let mut operator = console(evenkeel)?;
    // A client waits for the one connection; a larger budget serves it.
    let holder = scene.hold()?;
    let mut waiting = scene.client()?;
    waiting.send_query("select 'served'")?;
    until_waiting(evenkeel, 1)?;
    let (notice, detail) = told(&mut operator, "SET servers.main.budget = 3")?;
    assert!(notice.contains("until the next RELOAD or restart"), "{notice}");
    assert_eq!(detail, "server main budget: 1 -> 3");
    waiting.read_until_ready()?;
    assert_eq!(shown(evenkeel, "servers.main.budget")?, ("3".into(), "yes".into()));
    // And back: nobody loses a connection that is in use.
    let second = scene.hold()?;
    told(&mut operator, "SET servers.main.budget TO '1'")?;
    second.release()?;
    poll_until(SOON, "one connection to be left", || Ok((held(evenkeel)? == 1).then_some(())))?;
    // A shorter wait holds for who comes next, also for sessions that are connected.
    let (_, detail) = told(&mut operator, "set checkout_timeout = '100ms'")?;
    assert_eq!(detail, "[pool] checkout_timeout: \"45s\" -> \"100ms\"");
    assert_eq!(fails_with(&mut waiting, "select 1"), "53300");
    assert_eq!(shown(evenkeel, "query_wait_timeout")?, ("100ms".into(), "yes".into()));
    // PgBouncer's words.
    told(&mut operator, "SET query_wait_timeout = 45;")?;
    assert_eq!(shown(evenkeel, "pool.checkout_timeout")?, ("45s".into(), "yes".into()));
    // A limit of one database only.
    told(&mut operator, &format!("SET databases.{DATABASE}.checkout_timeout = '100ms'"))?;
    assert_eq!(fails_with(&mut waiting, "select 1"), "53300");
    holder.release()?;
    assert_eq!(waiting.value("select 'still here'")?, "still here");
    evenkeel.reload(&setup.config(&scene.pg.address()))?;
    for (key, value) in [("servers.main.budget", "1"), ("pool.checkout_timeout", "45s")] {
        let before = (value.to_owned(), "no".to_owned());
        poll_until(SOON, "the file to hold again", || Ok((shown(evenkeel, key)? == before).then_some(())))?;
    }
    drop(waiting);
    at_rest(evenkeel)
}

#[test]
fn a_mistake_changes_nothing_and_says_what_was_meant() -> Result<()> {
    let access = "[admin]\nusers = [\"app\"]\nstats_users = [\"watcher\"]";
    let scene = Setup::new().user("watcher").toml(access).start()?;
    let mut operator = console(&scene.evenkeel)?;
    let before = show(&mut operator, "config")?.rows;
    for (text, code, words) in [
        ("SET pool.max_liftime = '1h'", "42P02", "pool.max_lifetime"),
        ("SET pool.max_lifetime = 60", "22023", "unit"),
        ("SET pool.mode = sesion", "22023", "session"),
        ("SET pool.lifetime_jitter = 2", "22023", "0 to 0.5"),
        ("SET servers.main.budget = -1", "22023", "whole number"),
        ("SET servers.man.budget = 5", "42P02", "servers.main.budget"),
        ("SET listen.postgres = 'x'", "55P02", "restart"),
        ("SET users.app.password = 'hunter2'", "55P02", "RELOAD"),
    ] {
        let error = operator.query(text).unwrap_err();
        assert_eq!(sqlstate(&error), code, "{text}");
        operator.send_query(text)?;
        let messages = operator.read_until_ready()?;
        let said: String = messages
            .iter()
            .filter(|message| message.tag == b'E')
            .flat_map(|message| [message.field(b'M'), message.field(b'H')])
            .flatten()
            .collect();
        assert!(said.contains(words), "{text}: {said}");
    }
    assert_eq!(show(&mut operator, "config")?.rows, before);
    assert!(!scene.evenkeel.log().contains("hunter2"));
    let mut watcher = scene.evenkeel.client("watcher", PASSWORD, "evenkeel")?;
    assert_eq!(fails_with(&mut watcher, "SET pool.max_uses = 1"), "42501");
    watcher.query("SET application_name = 'psql'")?;
    Ok(())
}

#[test]
fn clients_of_mysql_set_the_same_keys() -> Result<()> {
    MySetup::new().on_mariadb(|server| set_on_mysql(server))
}

fn set_on_mysql(server: &Server) -> Result<()> {
    let setup = MySetup::new().budget(1).toml("[admin]\nusers = [\"app\"]\n[pool]\ncheckout_timeout = \"45s\"");
    let scene = setup.before(server)?;
    let mut operator = mysql::console(&scene.evenkeel)?;
    let holder = scene.hold()?;
    let mut waiting = scene.client()?;
    waiting.send_query("select 'served' from dual where sleep(0) = 0")?;
    until_waiting(&scene.evenkeel, 1)?;
    let told = operator.value("SET servers.main.budget = 2")?;
    assert_eq!(told, "server main budget: 1 -> 2", "in a row, which every client shows");
    assert_eq!(mysql::read_value(&mut waiting)?, "served");
    operator.query("SET pool.max_uses = 1")?;
    let first = mysql::connection(&mut waiting)?;
    assert_ne!(mysql::connection(&mut waiting)?, first, "each connection is lent once");
    let config = mysql::show(&mut operator, "config")?;
    let row = config.find("key", "pool.max_uses").unwrap();
    assert_eq!((config.get(row, "value"), config.get(row, "changed")), ("1", "yes"));
    for (text, number) in [
        ("SET pool.max_use = 1", 1193),
        ("SET pool.max_lifetime = 60", 1231),
        ("SET listen.mysql = 'x'", 1238),
        ("SET pool.max_uses", 1064),
    ] {
        assert_eq!(mysql::fails_with(&mut operator, text), number, "{text}");
    }
    operator.query("SET autocommit = 1")?;
    scene.evenkeel.reload(&setup.config(&server.address()))?;
    poll_until(SOON, "the file to hold again", || {
        let config = mysql::show(&mut operator, "config")?;
        let row = config.find("key", "pool.max_uses").unwrap();
        Ok((config.get(row, "changed") == "no").then_some(()))
    })?;
    holder.release()?;
    assert_eq!(waiting.value("select 'still here'")?, "still here");
    drop((waiting, operator));
    scene.at_rest()
}
