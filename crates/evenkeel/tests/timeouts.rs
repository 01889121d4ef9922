//! Time limits: each ends exactly what it is about, with the SQLSTATE that says so.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use std::time::{Duration, Instant};

use common::{Setup, backend, errors, fails_with, tags};
use testkit::wire::message;
use testkit::{Result, Wire};
use watch::{at_rest, last_words, until_in_use, until_says, until_waiting};

#[test]
fn a_login_that_takes_too_long_is_ended() -> Result<()> {
    let scene = Setup::new().toml("[timeouts]\nlogin = \"300ms\"").start()?;
    let mut silent = Wire::connect(&scene.evenkeel.address())?;
    let mut undecided = Wire::connect(&scene.evenkeel.address())?;
    undecided.start(&[("user", "app"), ("database", "shop")])?;
    assert_eq!(undecided.read()?.tag, b'R', "asked for a password, it does not answer");
    for wire in [&mut silent, &mut undecided] {
        assert_eq!(last_words(wire)?, "08P01");
    }
    assert_eq!(scene.client()?.value("select 'others log in'")?, "others log in");
    at_rest(&scene.evenkeel)
}

#[test]
fn an_idle_client_is_disconnected_and_a_busy_one_is_not() -> Result<()> {
    let scene = Setup::new().toml("[timeouts]\nclient_idle = \"400ms\"").start()?;
    let (mut idle, mut busy) = (scene.client()?, scene.client()?);
    assert_eq!(idle.value("select 1")?, "1");
    busy.send_query("select pg_sleep(1), 'busy'")?;
    assert_eq!(last_words(&mut idle)?, "57P05");
    let answer = busy.read_until_ready()?;
    assert!(errors(&answer).is_empty(), "{answer:?}");
    // In a transaction it is not idle in this sense.
    busy.query("begin")?;
    until_in_use(&scene.evenkeel, 1)?;
    busy.set_timeout(Duration::from_millis(800))?;
    assert!(busy.read().is_err(), "nothing is said to a client in a transaction");
    busy.set_timeout(watch::SOON)?;
    busy.query("commit")?;
    assert_eq!(last_words(&mut busy)?, "57P05");
    at_rest(&scene.evenkeel)
}

#[test]
fn a_transaction_that_idles_too_long_is_rolled_back() -> Result<()> {
    let scene = Setup::new().toml("[timeouts]\nidle_in_transaction = \"300ms\"").start()?;
    scene.pg.psql_in("shop", "create table t(n int); grant all on t to public")?;
    let mut wire = scene.client()?;
    wire.query("begin")?;
    wire.query("insert into t values (1)")?;
    // A query may take as long as it wants.
    wire.query("select pg_sleep(0.6)")?;
    assert_eq!(last_words(&mut wire)?, "25P03");
    at_rest(&scene.evenkeel)?;
    assert_eq!(scene.client()?.value("select count(*) from t")?, "0");
    Ok(())
}

#[test]
fn a_query_that_takes_too_long_is_canceled_and_the_session_goes_on() -> Result<()> {
    let scene = Setup::new().budget(1).toml("[timeouts]\nquery = \"300ms\"").start()?;
    let mut wire = scene.client()?;
    let before = backend(&mut wire)?;
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(fails_with(&mut wire, "select pg_sleep(600)"), "57014");
        assert!(began.elapsed() >= Duration::from_millis(300));
    }
    assert_eq!(backend(&mut wire)?, before, "the server connection is still good");
    // Each query of a transaction has its own time, and silence between them has none.
    wire.query("begin")?;
    for _ in 0..3 {
        wire.query("select pg_sleep(0.2)")?;
    }
    wire.set_timeout(Duration::from_millis(500))?;
    assert!(wire.read().is_err(), "a silent transaction runs no query");
    wire.set_timeout(watch::SOON)?;
    assert_eq!(fails_with(&mut wire, "select pg_sleep(600)"), "57014");
    assert_eq!(fails_with(&mut wire, "select 1"), "25P02");
    wire.query("rollback")?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_wait_that_takes_too_long_is_an_error_and_the_session_goes_on() -> Result<()> {
    let scene = Setup::new().budget(1).toml("[pool]\ncheckout_timeout = \"300ms\"").start()?;
    let held = scene.hold()?;
    let mut wire = scene.client()?;
    wire.send_query("select 1")?;
    let answer = wire.read_until_ready()?;
    assert_eq!(errors(&answer), ["53300"], "{answer:?}");
    let detail = answer[0].field(b'D').unwrap();
    assert!(detail.contains("in use"), "the detail says what the pool does: {detail}");
    assert!(answer[0].field(b'H').unwrap().contains("budget"), "the hint says what to change");
    held.release()?;
    assert_eq!(wire.value("select 'goes on'")?, "goes on");
    at_rest(&scene.evenkeel)
}

#[test]
fn a_pipeline_that_waits_too_long_is_skipped_to_its_sync() -> Result<()> {
    let scene = Setup::new().budget(1).toml("[pool]\ncheckout_timeout = \"300ms\"").start()?;
    let held = scene.hold()?;
    let mut wire = scene.client()?;
    // The last two parts of the first unit come only after its error.
    let part = |sql: &[u8]| {
        let parse = message(b'P', &[b"\0", sql, b"\0\0\0"].concat());
        [parse, message(b'B', b"\0\0\0\0\0\0\0\0"), message(b'E', b"\0\0\0\0\0")].concat()
    };
    wire.send(&[part(b"insert into nowhere values (1)"), message(b'H', b"")].concat())?;
    let error = wire.read()?;
    assert_eq!(watch::code(&error), "53300");
    wire.send(&[part(b"select 'skipped'"), message(b'S', b"")].concat())?;
    assert_eq!(tags(&wire.read_until_ready()?), "Z");
    held.release()?;
    wire.send(&[part(b"select 'served'"), message(b'S', b"")].concat())?;
    let answer = wire.read_until_ready()?;
    assert_eq!(tags(&answer), "12DCZ");
    assert_eq!(common::only(&answer), "served");
    at_rest(&scene.evenkeel)
}

#[test]
fn a_wait_counts_from_its_beginning_not_from_its_place_in_the_queue() -> Result<()> {
    let scene = Setup::new().budget(1).toml("[pool]\ncheckout_timeout = \"700ms\"").start()?;
    let held = scene.hold()?;
    let mut queue = [scene.client()?, scene.client()?, scene.client()?];
    let began = Instant::now();
    for wire in &mut queue {
        wire.send_query("select 1")?;
    }
    until_waiting(&scene.evenkeel, 3)?;
    for wire in &mut queue {
        assert_eq!(errors(&wire.read_until_ready()?), ["53300"]);
        assert!(began.elapsed() >= Duration::from_millis(600));
    }
    held.release()?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_transaction_that_takes_too_long_is_rolled_back() -> Result<()> {
    let scene = Setup::new().toml("[timeouts]\ntransaction = \"500ms\"").start()?;
    scene.pg.psql_in("shop", "create table t(n int); grant all on t to public")?;
    let (mut busy, mut silent) = (scene.client()?, scene.client()?);
    for wire in [&mut busy, &mut silent] {
        wire.query("begin")?;
        wire.query("insert into t values (1)")?;
    }
    busy.send_query("select pg_sleep(600)")?;
    assert_eq!(last_words(&mut busy)?, "25P04");
    assert_eq!(last_words(&mut silent)?, "25P04");
    at_rest(&scene.evenkeel)?;
    until_says(&scene.pg, "select count(*) from pg_stat_activity where state = 'active' and query ~ 'pg_sleep'", "1")?;
    assert_eq!(scene.client()?.value("select count(*) from t")?, "0");
    Ok(())
}

#[test]
fn a_user_and_a_database_may_have_limits_of_their_own() -> Result<()> {
    let users = "[[users]]\nname = \"slow\"\npassword = \"open sesame\"\nquery_timeout = \"off\"\n\
                 [[users]]\nname = \"quick\"\npassword = \"open sesame\"\nquery_timeout = \"100ms\"";
    let setup = Setup::new().toml("[timeouts]\nquery = \"300ms\"").toml(users);
    let scene = setup.start()?;
    scene.pg.psql("create role slow login password 'open sesame'; create role quick login password 'open sesame'")?;
    let log_in = |user| scene.evenkeel.client(user, common::PASSWORD, common::DATABASE);
    assert_eq!(log_in("slow")?.value("select 'slow' from pg_sleep(0.6)")?, "slow");
    assert_eq!(fails_with(&mut log_in("quick")?, "select pg_sleep(0.25)"), "57014");
    assert_eq!(fails_with(&mut scene.client()?, "select pg_sleep(600)"), "57014");
    at_rest(&scene.evenkeel)
}

#[test]
fn each_query_of_a_pipeline_has_its_own_time() -> Result<()> {
    const QUERIES: usize = 12;
    let scene = Setup::new().toml("[timeouts]\nquery = \"400ms\"").start()?;
    let mut wire = scene.client()?;
    let unit = [
        message(b'P', b"\0select 'served' from pg_sleep(0.1)\0\0\0"),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ];
    wire.send(&unit.concat().repeat(QUERIES))?;
    for _ in 0..QUERIES {
        assert_eq!(common::only(&wire.read_until_ready()?), "served");
    }
    at_rest(&scene.evenkeel)
}

#[test]
fn a_session_that_keeps_its_connection_is_not_in_a_transaction() -> Result<()> {
    let limits = "[timeouts]\nquery = \"200ms\"\nidle_in_transaction = \"200ms\"\ntransaction = \"500ms\"";
    for mode in ["session", "transaction"] {
        let scene = Setup::new().toml(limits).toml(&format!("[pool]\nmode = \"{mode}\"")).start()?;
        let mut wire = scene.client()?;
        // Pins it, where the mode does not.
        wire.query("create temp table mine as select 'kept' as n")?;
        wire.set_timeout(Duration::from_millis(900))?;
        assert!(wire.read().is_err(), "nothing is said to it");
        wire.set_timeout(watch::SOON)?;
        assert_eq!(wire.value("select n from mine")?, "kept");
        // Its transactions have their limits all the same.
        wire.query("begin")?;
        assert_eq!(last_words(&mut wire)?, "25P03");
        at_rest(&scene.evenkeel)?;
    }
    Ok(())
}
