//! Limits: who comes too much is told so, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use common::{DATABASE, PASSWORD, Setup, USER, errors, sqlstate};
use testkit::{Evenkeel, Result, Wire, poll_until};
use watch::{SOON, TRUST, at_rest, last_words, until_logged, until_waiting, whole};

/// Logs in, or says why not.
fn log_in(evenkeel: &Evenkeel, user: &str, database: &str) -> std::result::Result<Wire, String> {
    evenkeel.client(user, PASSWORD, database).map_err(|error| sqlstate(&error).to_owned())
}

/// Logs in as soon as there is room.
fn log_in_soon(evenkeel: &Evenkeel, user: &str, database: &str) -> Result<Wire> {
    poll_until(SOON, "room for one more client", || Ok(log_in(evenkeel, user, database).ok()))
}

#[test]
fn one_client_too_many_is_told_before_it_is_asked_for_a_password() -> Result<()> {
    let scene = Setup::new().toml("[limits]\nmax_clients = 2").start()?;
    let first = scene.client()?;
    let _second = scene.client()?;
    let mut third = Wire::connect(&scene.evenkeel.address())?;
    third.start(&[("user", USER), ("database", DATABASE)])?;
    assert_eq!(last_words(&mut third)?, "53300");
    first.terminate()?;
    assert_eq!(log_in_soon(&scene.evenkeel, USER, DATABASE)?.value("select 'in'")?, "in");
    at_rest(&scene.evenkeel)
}

#[test]
fn users_databases_and_addresses_have_limits() -> Result<()> {
    let own = "[[users]]\nname = \"few\"\npassword = \"open sesame\"\nmax_clients = 1\n\
               [[databases]]\nname = \"small\"\nserver = \"main\"\nserver_database = \"shop\"\nmax_clients = 2";
    let limits = "[limits]\nmax_clients_per_user = 3\nmax_clients_per_database = 5\nmax_clients_per_address = 6";
    let scene = Setup::new().user("other").user("third").toml(TRUST).toml(limits).toml(own).start()?;
    scene.pg.psql("create role few login password 'open sesame'")?;
    let keel = &scene.evenkeel;
    let refused = |user, database| log_in(keel, user, database).map(drop).unwrap_err();
    {
        let _app: Vec<_> = (0..3).map(|_| scene.client()).collect::<Result<_>>()?;
        assert_eq!(refused(USER, DATABASE), "53300", "a fourth of the user");
        let _other: Vec<_> = (0..2).map(|_| keel.client("other", PASSWORD, DATABASE)).collect::<Result<_>>()?;
        assert_eq!(refused("other", DATABASE), "53300", "a sixth of the database");
        let _third = keel.client("third", PASSWORD, "small")?;
        assert_eq!(refused("third", "small"), "53300", "a seventh of the address");
    }
    let one = log_in_soon(keel, "few", "small")?;
    assert_eq!(refused("few", "small"), "53300", "a second of a user that may have one");
    let two = keel.client("third", PASSWORD, "small")?;
    assert_eq!(refused("third", "small"), "53300", "a third of a database that may have two");
    drop((one, two));
    log_in_soon(keel, "few", "small")?;
    at_rest(keel)
}

#[test]
fn one_waiter_too_many_is_refused_at_once() -> Result<()> {
    let pool = "[pool]\nmax_waiters = 3\nmax_waiters_per_route = 2\ncheckout_timeout = \"60s\"";
    let scene = Setup::new().budget(1).user("other").toml(pool).start()?;
    let other = || scene.evenkeel.client("other", PASSWORD, DATABASE);
    // The first login of a route asks the server.
    other()?.terminate()?;
    let held = scene.hold()?;
    let mut queue = [scene.client()?, scene.client()?, other()?];
    for wire in &mut queue {
        wire.send_query("select 'waited'")?;
    }
    until_waiting(&scene.evenkeel, 3)?;
    let mut refused = [scene.client()?, other()?];
    for wire in &mut refused {
        wire.send_query("select 1")?;
        assert_eq!(errors(&wire.read_until_ready()?), ["53300"]);
    }
    held.release()?;
    for wire in &mut queue {
        assert_eq!(common::only(&wire.read_until_ready()?), "waited");
    }
    for wire in &mut refused {
        assert_eq!(wire.value("select 'goes on'")?, "goes on");
    }
    at_rest(&scene.evenkeel)
}

#[test]
fn running_out_of_file_descriptors_ends_nothing() -> Result<()> {
    const DESCRIPTORS: u32 = 300;
    let setup = Setup::new().budget(4).toml(TRUST).toml("[timeouts]\nlogin = \"60s\"");
    let pg = setup.postgres()?;
    let folder = tempfile::tempdir()?;
    let limited = folder.path().join("limited");
    fs::write(&limited, format!("#!/bin/sh\nulimit -n {DESCRIPTORS}\nexec {} \"$@\"\n", common::binary().display()))?;
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o755))?;
    let keel = Evenkeel::start(&limited, &setup.config(&pg.address()))?;
    // Kept: 64 for other things, 64 for those who have not said what they want, 8 for operators, and two for each server
    // connection: the connection and a cancel request.
    assert_eq!(whole(&keel, "evenkeel_process_clients_max")?, DESCRIPTORS - 64 - 64 - 8 - 2 * 4);
    until_logged(&keel, "not enough file descriptors")?;
    let mut present = keel.client(USER, PASSWORD, DATABASE)?;
    assert_eq!(present.value("select 1")?, "1");
    let crowd: Vec<_> =
        (0..2 * DESCRIPTORS).map(|_| TcpStream::connect(keel.address())).collect::<std::io::Result<_>>()?;
    // They take what is kept for those who say nothing, and no descriptor that a client or a server connection needs.
    assert_eq!(present.value("select 'still served'")?, "still served");
    drop(crowd);
    assert_eq!(log_in_soon(&keel, USER, DATABASE)?.value("select 'accepted again'")?, "accepted again");
    at_rest(&keel)
}

#[test]
fn a_slow_reader_holds_no_server_connection() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let mut slow: Vec<_> = (0..3).map(|_| scene.client()).collect::<Result<_>>()?;
    for wire in &mut slow {
        wire.send_query("select repeat('x', 200000)")?;
    }
    // None of them reads; each has had its turn when this one has.
    assert_eq!(scene.client()?.value("select 'served'")?, "served");
    for wire in &mut slow {
        assert_eq!(common::only(&wire.read_until_ready()?).len(), 200_000);
    }
    at_rest(&scene.evenkeel)
}
