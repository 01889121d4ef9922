//! Reload and shutdown: what changes, changes; what is under way, goes on.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use std::thread;
use std::time::Duration;

use common::{DATABASE, PASSWORD, Scene, Setup, USER, fails_with, sqlstate};
use rustix::process::Signal;
use testkit::{Result, Wire, poll_until};
use watch::{
    ADMIN, Over, SOON, Shown, TRUST, at_rest, connections, console, held, last_words, show, until_in_use, until_logged,
};

/// Reloads and waits until it has taken effect, `times` reloads after the start.
fn reload(scene: &Scene, setup: &Setup, times: usize) -> Result<()> {
    scene.evenkeel.reload(&setup.config(&scene.pg.address()))?;
    poll_until(SOON, "the reload", || {
        Ok((scene.evenkeel.log().matches("configuration reloaded").count() >= times).then_some(()))
    })
}

fn refused(scene: &Scene, user: &str, password: &str) -> String {
    match scene.evenkeel.client(user, password, DATABASE) {
        Ok(_) => panic!("{user} was let in"),
        Err(error) => sqlstate(&error).to_owned(),
    }
}

#[test]
fn users_come_and_go_and_change_their_passwords() -> Result<()> {
    let start = Setup::new().user("leaver");
    let scene = start.start()?;
    scene.pg.psql("create role comer login password 'open sesame'")?;
    let (mut stayer, mut leaver) = (scene.client()?, scene.evenkeel.client("leaver", PASSWORD, DATABASE)?);
    assert_eq!(leaver.value("select 1")?, "1");
    let mut leaver_at_work = scene.evenkeel.client("leaver", PASSWORD, DATABASE)?;
    leaver_at_work.query("begin")?;
    assert_eq!(refused(&scene, "comer", PASSWORD), "28P01");
    reload(&scene, &Setup::new().user("comer"), 1)?;
    assert_eq!(stayer.value("select 'stays'")?, "stays");
    assert_eq!(scene.evenkeel.client("comer", PASSWORD, DATABASE)?.value("select 'new'")?, "new");
    assert_eq!(refused(&scene, "leaver", PASSWORD), "28P01");
    // A transaction under way ends on the connection that it began on; then there is no route any more.
    assert_eq!(leaver_at_work.value("select 'ends in order'")?, "ends in order");
    leaver_at_work.query("commit")?;
    for wire in [&mut leaver, &mut leaver_at_work] {
        wire.send_query("select 1")?;
        assert_eq!(last_words(wire)?, "57P01");
    }
    scene.pg.psql("alter role app password 'changed'")?;
    let changed = Setup::new().config(&scene.pg.address()).replace(PASSWORD, "changed");
    scene.evenkeel.reload(&changed)?;
    poll_until(SOON, "the new password", || Ok(scene.evenkeel.client(USER, "changed", DATABASE).ok()))?;
    assert_eq!(refused(&scene, USER, PASSWORD), "28P01");
    assert_eq!(stayer.value("select 'still'")?, "still");
    at_rest(&scene.evenkeel)
}

#[test]
fn terms_of_routes_change_while_clients_are_connected() -> Result<()> {
    let route = |terms: &str| {
        Setup::new().budget(4).toml(TRUST).toml(ADMIN).toml(&format!("[[routes]]\nuser = \"app\"\n{terms}"))
    };
    let scene = route("weight = 2").start()?;
    let mut wire = scene.client()?;
    assert_eq!(wire.value("select 1")?, "1");
    let mut console = console(&scene.evenkeel)?;
    let terms = |console: &mut Wire| -> Result<[String; 3]> {
        let routes: Shown = show(console, "routes")?;
        let row = routes.find("user", USER).unwrap();
        Ok(["weight", "guarantee", "cap"].map(|name| routes.get(row, name).to_owned()))
    };
    assert_eq!(terms(&mut console)?, ["2", "0", ""]);
    reload(&scene, &route("weight = 5\nguarantee = 2\ncap = 3"), 1)?;
    assert_eq!(terms(&mut console)?, ["5", "2", "3"]);
    // The cap holds at once.
    let held = [scene.hold()?, scene.hold()?, scene.hold()?];
    wire.send_query("select 'within the new cap'")?;
    watch::until_waiting(&scene.evenkeel, 1)?;
    assert_eq!(connections(&scene.evenkeel, "in_use")?, 3);
    reload(&scene, &route("cap = 4"), 2)?;
    assert_eq!(common::only(&wire.read_until_ready()?), "within the new cap");
    assert_eq!(terms(&mut console)?, ["1", "0", "4"]);
    for held in held {
        held.release()?;
    }
    at_rest(&scene.evenkeel)
}

#[test]
fn the_budget_goes_up_and_down_without_a_client_noticing() -> Result<()> {
    let budget = |count| Setup::new().budget(count).toml(TRUST).toml("[pool]\ncheckout_timeout = \"30s\"");
    let scene = budget(2).start()?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (scene, stop) = (&scene, &stop);
                scope.spawn(move || -> Result<()> {
                    let mut wire = scene.client()?;
                    let mut round = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let token = format!("{number} {round}");
                        assert_eq!(wire.value(&format!("select '{token}' from pg_sleep(0.003)"))?, token);
                        round += 1;
                    }
                    Ok(())
                })
            })
            .collect();
        let change = || -> Result<()> {
            for (times, count) in [6, 1, 4].into_iter().enumerate() {
                reload(&scene, &budget(count), times + 1)?;
                until_in_use(&scene.evenkeel, count)?;
                let held = held(&scene.evenkeel)?;
                assert!(held <= count.max(6), "{held} of {count}");
            }
            Ok(())
        };
        let over = Over(&stop);
        let changed = change();
        drop(over);
        let served = threads.into_iter().try_for_each(|thread| thread.join().unwrap());
        changed.and(served)
    })?;
    at_rest(&scene.evenkeel)
}

#[test]
fn time_limits_change_for_clients_that_are_connected() -> Result<()> {
    let limit = |limit: &str| Setup::new().toml(&format!("[timeouts]\nquery = \"{limit}\""));
    let scene = limit("off").start()?;
    let mut wire = scene.client()?;
    assert_eq!(wire.value("select 'slow' from pg_sleep(0.3)")?, "slow");
    reload(&scene, &limit("100ms"), 1)?;
    assert_eq!(fails_with(&mut wire, "select pg_sleep(600)"), "57014");
    reload(&scene, &limit("20s"), 2)?;
    assert_eq!(wire.value("select 'slow' from pg_sleep(0.3)")?, "slow");
    at_rest(&scene.evenkeel)
}

#[test]
fn a_broken_file_leaves_the_old_configuration_in_force() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let good = Setup::new().config(&scene.pg.address());
    for broken in ["[[servers]", "budgte = 3\n", ""] {
        scene.evenkeel.reload(&format!("{broken}{}", if broken.is_empty() { "" } else { &good }))?;
        let line = until_logged(&scene.evenkeel, "configuration not reloaded")?;
        assert!(line.contains("evenkeel.toml"), "it says where: {line}");
        assert_eq!(wire.value("select 'served'")?, "served");
        assert_eq!(scene.client()?.value("select 'let in'")?, "let in");
    }
    reload(&scene, &Setup::new().user("second"), 1)?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_server_that_moves_is_found_at_its_new_address() -> Result<()> {
    let setup = Setup::new();
    let scene = setup.start()?;
    let new = setup.postgres()?;
    let mut wire = scene.client()?;
    let port = |wire: &mut Wire| wire.value("select inet_server_port()");
    assert_eq!(port(&mut wire)?, scene.pg.port().to_string());
    let mut at_work = scene.client()?;
    at_work.query("begin")?;
    scene.evenkeel.reload(&setup.config(&new.address()))?;
    until_logged(&scene.evenkeel, "configuration reloaded")?;
    assert_eq!(port(&mut wire)?, new.port().to_string());
    assert_eq!(port(&mut at_work)?, scene.pg.port().to_string(), "a transaction stays where it began");
    at_work.query("commit")?;
    assert_eq!(port(&mut at_work)?, new.port().to_string());
    watch::until_says(&scene.pg, "select count(*) from pg_stat_activity where usename = 'app'", "0")?;
    at_rest(&scene.evenkeel)
}

#[test]
fn sigterm_lets_transactions_finish_and_sends_idle_clients_away() -> Result<()> {
    let mut scene = Setup::new().start()?;
    scene.pg.psql_in("shop", "create table t(n int); grant all on t to public")?;
    let (mut idle, mut pinned, mut at_work) = (scene.client()?, scene.client()?, scene.client()?);
    pinned.query("create temp table mine()")?;
    at_work.query("begin")?;
    at_work.query("insert into t values (1)")?;
    scene.evenkeel.process().signal(Signal::TERM)?;
    for wire in [&mut idle, &mut pinned] {
        assert_eq!(last_words(wire)?, "57P01");
    }
    assert!(Wire::connect(&scene.evenkeel.address()).is_err(), "nobody new is accepted");
    at_work.query("insert into t values (2)")?;
    at_work.query("commit")?;
    assert_eq!(last_words(&mut at_work)?, "57P01");
    let status = scene.evenkeel.terminate(SOON)?;
    assert!(status.success(), "{status}: {}", scene.evenkeel.log());
    assert_eq!(scene.pg.psql_in("shop", "select count(*) from t")?, "2");
    watch::until_says(&scene.pg, "select count(*) from pg_stat_activity where usename = 'app'", "0")
}

#[test]
fn a_second_signal_ends_it_at_once() -> Result<()> {
    let mut scene = Setup::new().start()?;
    let (mut idle, mut at_work) = (scene.client()?, scene.client()?);
    at_work.query("begin")?;
    at_work.send_query("select pg_sleep(600)")?;
    until_in_use(&scene.evenkeel, 1)?;
    scene.evenkeel.process().signal(Signal::TERM)?;
    assert_eq!(last_words(&mut idle)?, "57P01");
    let status = scene.evenkeel.terminate(Duration::from_secs(8))?;
    assert!(status.success(), "{status}");
    assert_eq!(last_words(&mut at_work)?, "57P01");
    watch::until_says(&scene.pg, "select count(*) from pg_stat_activity where usename = 'app'", "0")
}

#[test]
fn transactions_that_do_not_end_are_ended_at_the_shutdown_limit() -> Result<()> {
    let mut scene = Setup::new().toml("[timeouts]\nshutdown = \"500ms\"").start()?;
    let mut at_work = scene.client()?;
    at_work.query("begin")?;
    let status = scene.evenkeel.terminate(SOON)?;
    assert!(status.success(), "{status}");
    assert_eq!(last_words(&mut at_work)?, "57P01");
    Ok(())
}
