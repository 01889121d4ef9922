//! Servers that die, hang, refuse, or lose the network: clients are told what happened to their own work, others go on,
//! and the pool refills.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod crowd;
mod watch;

use common::{Setup, backend, errors, fails_with, sqlstate};
use crowd::{Persistent, in_vain, under_load};
use testkit::cut::{Direction, Weather};
use testkit::{Cut, Options, Postgres, Result, Stop, Wire, poll_until};
use watch::{SOON, TRUST, at_rest, connections, last_words, sound, until_in_use, until_lost, whole};

/// A backend at work for a client of ours.
fn any_backend(pg: &Postgres) -> Result<u32> {
    poll_until(SOON, "a backend at work", || {
        let pid = pg.psql("select pid from pg_stat_activity where usename = 'app' and state = 'active' limit 1")?;
        Ok(pid.parse().ok())
    })
}

#[test]
fn a_killed_backend_under_load_harms_nobody_for_long() -> Result<()> {
    let scene = Setup::new().budget(4).toml(TRUST).start()?;
    let failed = under_load::<Wire>(&scene.evenkeel, 10, || {
        // PostgreSQL ends all other backends, and recovers.
        until_lost(&scene.evenkeel, || scene.pg.kill9_backend(any_backend(&scene.pg)?))
    })?;
    assert!(failed > 0, "somebody must have noticed");
    Ok(())
}

#[test]
fn a_terminated_backend_is_its_own_clients_matter() -> Result<()> {
    let scene = Setup::new().budget(3).start()?;
    let (mut own, mut other, mut idle) = (scene.client()?, scene.client()?, scene.client()?);
    let pid = backend(&mut own)?;
    own.send_query("select pg_sleep(600)")?;
    until_in_use(&scene.evenkeel, 1)?;
    other.query("begin")?;
    scene.pg.psql(&format!("select pg_terminate_backend({pid})"))?;
    // The description of the rows came before.
    while own.read()?.tag != b'T' {}
    assert_eq!(last_words(&mut own)?, "57P01", "the server's own words reach the client");
    assert_eq!(other.value("select 'unharmed'")?, "unharmed");
    other.query("commit")?;
    assert_eq!(idle.value("select 'unharmed'")?, "unharmed");
    at_rest(&scene.evenkeel)
}

#[test]
fn connections_that_died_while_idle_are_replaced_unnoticed() -> Result<()> {
    let scene = Setup::new().budget(3).start()?;
    let mut clients: Vec<Wire> = (0..3).map(|_| scene.client()).collect::<Result<_>>()?;
    for wire in &mut clients {
        wire.query("begin")?;
    }
    for wire in &mut clients {
        wire.query("commit")?;
    }
    scene.pg.psql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")?;
    watch::until_says(&scene.pg, "select count(*) from pg_stat_activity where usename = 'app'", "0")?;
    for wire in &mut clients {
        assert_eq!(wire.value("select 'served'")?, "served");
    }
    at_rest(&scene.evenkeel)
}

#[test]
fn a_restarted_server_is_used_again() -> Result<()> {
    let mut scene = Setup::new().budget(3).toml(TRUST).toml("[pool]\ncheckout_timeout = \"300ms\"").start()?;
    let mut wire = scene.client()?;
    let mut busy = scene.client()?;
    busy.query("begin")?;
    scene.pg.stop(Stop::Fast)?;
    // In a transaction: it is lost, and the client must know.
    let lost = last_words(&mut busy)?;
    assert!(lost == "08006" || lost == "57P01", "{lost}");
    let refused = fails_with(&mut wire, "select 1");
    assert!(refused.starts_with("08") || refused == "53300", "{refused}");
    scene.pg.restart()?;
    Persistent::<Wire>::new(&scene.evenkeel, "next").until_served(1)?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_server_that_is_away_is_not_hammered() -> Result<()> {
    let mut scene = Setup::new().budget(5).toml(TRUST).toml("[pool]\ncheckout_timeout = \"250ms\"").start()?;
    assert_eq!(scene.client()?.value("select 1")?, "1");
    scene.pg.stop(Stop::Immediate)?;
    let failures = "evenkeel_server_connect_failures_total{server=\"main\"}";
    let before = whole(&scene.evenkeel, failures)?;
    in_vain::<Wire>(&scene.evenkeel, 20, 6)?;
    let tries = whole(&scene.evenkeel, failures)? - before;
    assert!((1..60).contains(&tries), "{tries} connects for 120 queries");
    scene.pg.restart()?;
    Persistent::<Wire>::new(&scene.evenkeel, "next").until_served(1)?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_server_that_is_not_up_yet_is_waited_for() -> Result<()> {
    let setup = Setup::new().toml(TRUST).toml("[pool]\ncheckout_timeout = \"300ms\"");
    let mut pg = setup.postgres()?;
    pg.stop(Stop::Fast)?;
    let keel = setup.evenkeel(&pg.address())?;
    let error = common::log_in_with(&keel.address(), &[]).unwrap_err();
    assert_eq!(sqlstate(&error), "08006", "{error:#}");
    pg.restart()?;
    Persistent::<Wire>::new(&keel, "first").until_served(1)?;
    at_rest(&keel)
}

#[test]
fn a_server_that_hangs_costs_time_but_nothing_else() -> Result<()> {
    let limits = "[pool]\ncheckout_timeout = \"400ms\"\nconnect_timeout = \"300ms\"\n[timeouts]\nquery = \"400ms\"";
    let scene = Setup::new().budget(2).toml(TRUST).toml(limits).start()?;
    let mut busy = [scene.client()?, scene.client()?];
    for wire in &mut busy {
        wire.query("begin")?;
    }
    let mut waiting = scene.client()?;
    scene.pg.pause()?;
    // All server connections are taken; nobody gets one, and the wait has an end.
    assert_eq!(fails_with(&mut waiting, "select 1"), "53300");
    drop(busy);
    scene.pg.resume()?;
    poll_until(SOON, "service", || Ok(waiting.value("select 'served'").ok()))?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_reply_that_is_cut_in_its_middle_ends_the_session() -> Result<()> {
    let (setup, pg, cut) = behind_cut(2)?;
    let keel = setup.evenkeel(&cut.address())?;
    let (mut own, mut other) = (common::log_in_with(&keel.address(), &[])?, common::log_in_with(&keel.address(), &[])?);
    assert_eq!(own.value("select 1")?, "1");
    // In the middle of a row: no error can be put there that the client would understand.
    cut.truncate_after(Direction::ToClient, 5_000);
    own.send_query("select repeat('x', 200000)")?;
    let said = own.read_to_close()?;
    assert!(said.len() < 200_000);
    assert!(said.is_empty() || said[0] == b'T', "nothing but the beginning of the result");
    poll_until(SOON, "service after the cut", || Ok(other.value("select 'served'").ok()))?;
    at_rest(&keel)?;
    drop(pg);
    Ok(())
}

#[test]
fn a_cut_between_messages_is_told_and_the_session_goes_on() -> Result<()> {
    let (setup, pg, cut) = behind_cut(2)?;
    let keel = setup.evenkeel(&cut.address())?;
    let mut wire = common::log_in_with(&keel.address(), &[])?;
    for _ in 0..2 {
        assert_eq!(wire.value("select 1")?, "1");
        wire.send_query("select pg_sleep(600)")?;
        until_in_use(&keel, 1)?;
        cut.cut();
        let answer = wire.read_until_ready()?;
        assert_eq!(errors(&answer), ["08006"], "{answer:?}");
    }
    // A transaction is lost: what its client sends next must not be taken for statements of their own.
    for query in [None, Some("select pg_sleep(600)")] {
        let mut wire = common::log_in_with(&keel.address(), &[])?;
        wire.query("begin")?;
        if let Some(query) = query {
            wire.send_query(query)?;
            watch::until_says(
                &pg,
                "select count(*) > 0 from pg_stat_activity where xact_start < query_start and state = 'active' and usename = 'app'",
                "t",
            )?;
        }
        cut.cut();
        assert_eq!(last_words(&mut wire)?, "08006");
    }
    at_rest(&keel)
}

#[test]
fn a_query_that_is_cut_on_its_way_to_the_server_is_told() -> Result<()> {
    let (setup, pg, cut) = behind_cut(2)?;
    pg.psql_in("shop", "create table t(n int); grant all on t to public")?;
    let keel = setup.evenkeel(&cut.address())?;
    let mut wire = common::log_in_with(&keel.address(), &[])?;
    assert_eq!(wire.value("select 1")?, "1");
    cut.truncate_after(Direction::ToServer, 20);
    assert_eq!(fails_with(&mut wire, "insert into t values (1)"), "08006");
    assert_eq!(pg.psql_in("shop", "select count(*) from t")?, "0");
    poll_until(SOON, "service after the cut", || {
        let mut next = common::log_in_with(&keel.address(), &[])?;
        Ok(next.value("select 'served'").ok())
    })?;
    at_rest(&keel)
}

#[test]
fn a_network_that_drops_packets_silently_is_noticed_by_time_limits() -> Result<()> {
    let (setup, _pg, cut) = behind_cut(1)?;
    let limits =
        "[pool]\ncheckout_timeout = \"400ms\"\nconnect_timeout = \"300ms\"\n[timeouts]\ntransaction = \"500ms\"";
    let keel = setup.toml(limits).evenkeel(&cut.address())?;
    let (mut own, mut other) = (common::log_in_with(&keel.address(), &[])?, common::log_in_with(&keel.address(), &[])?);
    assert_eq!(own.value("select 1")?, "1");
    cut.set(Weather::Stalled);
    own.send_query("select 1")?;
    assert_eq!(last_words(&mut own)?, "25P04");
    let refused = fails_with(&mut other, "select 1");
    assert!(refused == "53300" || refused == "08006", "{refused}");
    cut.set(Weather::Clear);
    poll_until(SOON, "service", || Ok(other.value("select 'served'").ok()))?;
    at_rest(&keel)
}

#[test]
fn a_login_that_is_cut_is_tried_again() -> Result<()> {
    let (setup, _pg, cut) = behind_cut(2)?;
    let keel = setup.evenkeel(&cut.address())?;
    for bytes in [0, 3, 30, 200] {
        cut.truncate_after(Direction::ToClient, bytes);
        poll_until(SOON, "a login", || Ok(common::log_in_with(&keel.address(), &[]).ok()))?;
        cut.cut();
    }
    cut.set(Weather::Refusing);
    cut.cut();
    poll_until(SOON, "a refusal", || match common::log_in_with(&keel.address(), &[])?.value("select 1") {
        Err(error) => {
            assert_eq!(sqlstate(&error), "53300", "{error:#}");
            Ok(Some(()))
        }
        // It had a connection that the cut had not reached yet.
        Ok(_) => Ok(None),
    })?;
    cut.set(Weather::Clear);
    poll_until(SOON, "service", || Ok(common::log_in_with(&keel.address(), &[])?.value("select 1").ok()))?;
    at_rest(&keel)
}

/// A server with a network in front of it that can be broken, and what an Evenkeel for it is told.
fn behind_cut(budget: u32) -> Result<(Setup, Postgres, Cut)> {
    let setup = Setup::new().budget(budget).toml(TRUST);
    let pg = setup.postgres()?;
    let cut = Cut::before(&pg.address())?;
    Ok((setup, pg, cut))
}

#[test]
fn a_server_with_fewer_connections_than_the_budget_teaches_it() -> Result<()> {
    const EFFECTIVE: &str = "evenkeel_server_effective_budget{server=\"main\"}";
    // Three are kept for superusers: six are left, of which strangers take two.
    let options = Options::new().max_connections(9);
    let pool = "[pool]\ncheckout_timeout = \"30s\"\nprobe_after = \"200ms\"";
    let scene = Setup::new().options(options).budget(8).toml(TRUST).toml(pool).start()?;
    let strangers = [scene.direct()?, scene.direct()?];
    let mut clients: Vec<Wire> = (0..12).map(|_| scene.client()).collect::<Result<_>>()?;
    let ask_all = |clients: &mut [Wire]| -> Result<()> {
        for _ in 0..5 {
            for wire in &mut *clients {
                wire.send_query("select 'served' from pg_sleep(0.02)")?;
            }
            for wire in &mut *clients {
                let answer = wire.read_until_ready()?;
                assert_eq!(common::only(&answer), "served", "no client hears of it");
            }
        }
        Ok(())
    };
    ask_all(&mut clients)?;
    assert_eq!(whole(&scene.evenkeel, EFFECTIVE)?, 4, "what the server has left");
    assert!(connections(&scene.evenkeel, "idle")? <= 4);
    drop(strangers);
    poll_until(SOON, "the budget to be probed back", || {
        ask_all(&mut clients)?;
        Ok((whole(&scene.evenkeel, EFFECTIVE)? >= 6).then_some(()))
    })?;
    sound(&scene.evenkeel)?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_role_at_its_connection_limit_leaves_the_budget_to_others() -> Result<()> {
    let pool = "[pool]\ncheckout_timeout = \"30s\"\nprobe_after = \"200ms\"";
    let scene = Setup::new().user("small").budget(12).toml(TRUST).toml(pool).start()?;
    scene.pg.psql("alter role small connection limit 2")?;
    let client_of = |user| scene.evenkeel.client(user, common::PASSWORD, common::DATABASE);
    let mut small = [client_of("small")?, client_of("small")?];
    for wire in &mut small {
        wire.query("begin")?;
    }
    let mut third = client_of("small")?;
    third.send_query("select 'served'")?;
    let failures = "evenkeel_server_connect_failures_total{server=\"main\"}";
    poll_until(SOON, "the refusal", || Ok((whole(&scene.evenkeel, failures)? > 0).then_some(())))?;
    let mut others = (0..8).map(|_| scene.client()).collect::<Result<Vec<Wire>>>()?;
    for wire in &mut others {
        wire.query("begin")?;
    }
    assert_eq!(whole(&scene.evenkeel, "evenkeel_server_effective_budget{server=\"main\"}")?, 12);
    small[0].query("commit")?;
    assert_eq!(common::only(&third.read_until_ready()?), "served", "who waited at the limit does not hear of it");
    for wire in small[1..].iter_mut().chain(&mut others) {
        wire.query("commit")?;
    }
    sound(&scene.evenkeel)?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_refused_login_says_what_the_server_said_and_nothing_is_retried_forever() -> Result<()> {
    let scene = Setup::new().user("gone").toml(TRUST).start()?;
    scene.pg.psql("drop role gone")?;
    let error = scene.evenkeel.client("gone", common::PASSWORD, common::DATABASE).unwrap_err();
    assert_eq!(sqlstate(&error), "28P01", "{error:#}");
    assert_eq!(scene.client()?.value("select 'others are served'")?, "others are served");
    // One pause between the tries of a route, not a storm.
    let failures = whole(&scene.evenkeel, "evenkeel_server_connect_failures_total{server=\"main\"}")?;
    assert!(failures <= 3, "{failures} tries for one client");
    at_rest(&scene.evenkeel)
}
