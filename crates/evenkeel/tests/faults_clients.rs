//! Clients that vanish, at every point: their server connection goes back clean, their transaction is rolled back, their
//! place in the queue is given up, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{DATABASE, PASSWORD, Scene, Setup, USER};
use testkit::wire::message;
use testkit::{Result, Wire};
use watch::{TRUST, at_rest, until_in_use, until_says, until_waiting};

/// No query of ours runs on the server any more, and no transaction is open there.
fn server_at_rest(scene: &Scene) -> Result<()> {
    at_rest(&scene.evenkeel)?;
    until_says(&scene.pg, "select count(*) from pg_stat_activity where usename = 'app' and state <> 'idle'", "0")?;
    assert_eq!(scene.client()?.value("select 'served'")?, "served");
    Ok(())
}

fn with_table(scene: &Scene) -> Result<()> {
    scene.pg.psql_in("shop", "create table t(n int); grant all on t to public").map(drop)
}

fn count(scene: &Scene) -> Result<String> {
    scene.pg.psql_in("shop", "select count(*) from t")
}

#[test]
fn a_client_that_vanishes_while_waiting_leaves_the_queue() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    with_table(&scene)?;
    let held = scene.hold()?;
    let (mut vanishing, mut staying) = (scene.client()?, scene.client()?);
    vanishing.send_query("insert into t values (1)")?;
    until_waiting(&scene.evenkeel, 1)?;
    staying.send_query("select 'stayed'")?;
    until_waiting(&scene.evenkeel, 2)?;
    drop(vanishing);
    until_waiting(&scene.evenkeel, 1)?;
    held.release()?;
    assert_eq!(common::only(&staying.read_until_ready()?), "stayed");
    server_at_rest(&scene)?;
    assert_eq!(count(&scene)?, "0", "what it waited to do was not done");
    Ok(())
}

#[test]
fn the_query_of_a_client_that_vanishes_is_canceled() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let mut wire = scene.client()?;
    let before = common::backend(&mut wire)?;
    wire.send_query("select pg_sleep(600)")?;
    until_says(&scene.pg, "select count(*) from pg_stat_activity where query ~ '^select pg_sleep'", "1")?;
    drop(wire);
    server_at_rest(&scene)?;
    assert_eq!(common::backend(&mut scene.client()?)?, before, "the server connection is still good");
    Ok(())
}

/// The server forgets a request that comes while it runs nothing, and would go on with the query for ten minutes.
#[test]
fn a_query_that_its_cancel_request_overtakes_is_canceled_nonetheless() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let mut wire = scene.client()?;
    let backend = common::backend(&mut wire)?;
    scene.pg.pause_backend(backend)?;
    wire.send_query("select pg_sleep(600)")?;
    until_in_use(&scene.evenkeel, 1)?;
    drop(wire);
    scene.pg.until_cancel_is_pending(backend)?;
    scene.pg.resume_backend(backend)?;
    server_at_rest(&scene)?;
    assert_eq!(common::backend(&mut scene.client()?)?, backend, "the server connection is still good");
    Ok(())
}

#[test]
fn the_transaction_of_a_client_that_vanishes_is_rolled_back() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    with_table(&scene)?;
    for farewell in [None, Some(message(b'X', b""))] {
        let mut wire = scene.client()?;
        wire.query("begin")?;
        wire.query("insert into t values (1)")?;
        if let Some(farewell) = &farewell {
            wire.send(farewell)?;
        }
        drop(wire);
        server_at_rest(&scene)?;
        assert_eq!(count(&scene)?, "0");
    }
    Ok(())
}

#[test]
fn a_failed_transaction_and_a_half_sent_pipeline_are_put_in_order() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    with_table(&scene)?;
    let mut failed = scene.client()?;
    failed.query("begin")?;
    assert_eq!(common::fails_with(&mut failed, "select 1/0"), "22012");
    drop(failed);
    server_at_rest(&scene)?;
    // Parse, Bind and Execute were done and answered; the Sync that would commit never comes.
    let mut half = scene.client()?;
    let unit = [
        message(b'P', b"\0insert into t values (1)\0\0\0"),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'H', b""),
    ];
    half.send(&unit.concat())?;
    for tag in *b"12C" {
        assert_eq!(half.read()?.tag, tag);
    }
    drop(half);
    server_at_rest(&scene)?;
    assert_eq!(count(&scene)?, "0");
    Ok(())
}

#[test]
fn messages_that_end_in_their_middle_do_no_harm() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    with_table(&scene)?;
    let whole = message(b'Q', b"insert into t values (1)\0");
    let large = message(b'Q', &[b"insert into t values (1) /* ", &[b'x'; 100_000][..], b" */\0"].concat());
    let cuts = [&whole[..1], &whole[..4], &whole[..5], &whole[..whole.len() - 1], &large[..70_000]];
    for opening in ["select 1", "begin"] {
        for cut in cuts {
            let mut wire = scene.client()?;
            wire.query(opening)?;
            wire.send(cut)?;
            drop(wire);
        }
    }
    server_at_rest(&scene)?;
    assert_eq!(count(&scene)?, "0");
    Ok(())
}

#[test]
fn a_query_is_canceled_also_when_its_client_vanishes_in_the_middle_of_the_next_message() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let parts = [message(b'Q', b"select 'never'\0")[..9].to_vec(), message(b'Q', &[b'x'; 20_000_000])];
    for part in parts {
        let mut wire = scene.client()?;
        wire.send_query("select pg_sleep(600)")?;
        wire.set_timeout(Duration::from_secs(1))?;
        // What is too much for sockets and buffers is not taken, and need not be.
        wire.send(&part).ok();
        until_says(&scene.pg, "select count(*) from pg_stat_activity where query ~ '^select pg_sleep'", "1")?;
        drop(wire);
        server_at_rest(&scene)?;
    }
    Ok(())
}

#[test]
fn a_copy_whose_client_vanishes_leaves_nothing() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    with_table(&scene)?;
    let data = message(b'd', b"1\n2\n3\n");
    for sent in [data.clone(), data[..data.len() - 2].to_vec(), data.repeat(50_000)] {
        let mut wire = scene.client()?;
        wire.send_query("copy t from stdin")?;
        assert_eq!(wire.read()?.tag, b'G');
        wire.send(&sent)?;
        drop(wire);
        server_at_rest(&scene)?;
        assert_eq!(count(&scene)?, "0");
    }
    for unread in [false, true] {
        let mut wire = scene.client()?;
        wire.send_query("copy (select repeat('x', 1000) from generate_series(1, 300000)) to stdout")?;
        if !unread {
            for _ in 0..1000 {
                wire.read()?;
            }
        }
        until_in_use(&scene.evenkeel, 1)?;
        drop(wire);
        server_at_rest(&scene)?;
    }
    Ok(())
}

#[test]
fn a_large_result_whose_client_vanishes_stops() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let mut wire = scene.client()?;
    wire.send_query("select repeat('x', 1000) from generate_series(1, 1000000)")?;
    wire.read()?;
    drop(wire);
    server_at_rest(&scene)
}

#[test]
fn a_half_closed_client_is_gone() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    with_table(&scene)?;
    for doing in [None, Some("select pg_sleep(600)")] {
        let mut wire = scene.client()?;
        wire.query("begin")?;
        wire.query("insert into t values (1)")?;
        if let Some(sql) = doing {
            wire.send_query(sql)?;
        }
        wire.close_write()?;
        wire.read_to_close()?;
        server_at_rest(&scene)?;
        assert_eq!(count(&scene)?, "0");
    }
    Ok(())
}

#[test]
fn a_killed_process_leaves_nothing_behind() -> Result<()> {
    let scene = Setup::new().budget(2).start()?;
    let run = |sql: &str| {
        let url = format!("postgres://{USER}:{PASSWORD}@{}/{DATABASE}", scene.evenkeel.address()).replace(' ', "%20");
        let mut psql = scene.pg.install().command("psql");
        psql.args(["-X", "-d", &url, "-c", "begin", "-c", sql]).stdout(Stdio::null()).stderr(Stdio::null());
        psql.stdin(Stdio::null()).spawn()
    };
    let mut children = [run("select pg_sleep(600)")?, run("select pg_sleep(601)")?];
    until_says(&scene.pg, "select count(*) from pg_stat_activity where query ~ '^select pg_sleep'", "2")?;
    for child in &mut children {
        assert!(Command::new("kill").args(["-9", &child.id().to_string()]).status()?.success());
        child.wait()?;
    }
    server_at_rest(&scene)
}

#[test]
fn a_pinned_session_leaves_no_state_behind() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let mut wire = scene.client()?;
    wire.query("create temp table mine as select 1 as n")?;
    wire.query("select pg_advisory_lock(42)")?;
    until_in_use(&scene.evenkeel, 1)?;
    wire.send_query("select pg_sleep(600)")?;
    until_says(&scene.pg, "select count(*) from pg_stat_activity where query ~ '^select pg_sleep'", "1")?;
    drop(wire);
    server_at_rest(&scene)?;
    let mut next = scene.client()?;
    assert_eq!(common::fails_with(&mut next, "select n from mine"), "42P01");
    until_says(&scene.pg, "select count(*) from pg_locks where locktype = 'advisory'", "0")
}

#[test]
fn ten_thousand_waits_given_up_cost_nobody_anything() -> Result<()> {
    const THREADS: usize = 4;
    const ROUNDS: usize = 25;
    const CROWD: usize = 100;
    let scene = Setup::new().budget(2).toml(TRUST).toml("[pool]\ncheckout_timeout = \"120s\"").start()?;
    let held = [scene.hold()?, scene.hold()?];
    // Logs in and asks without reading: the answers to the login stay in the socket.
    let startup = {
        let body = [&0x0003_0000_u32.to_be_bytes()[..], b"user\0app\0database\0shop\0\0"].concat();
        [&u32::try_from(body.len() + 4)?.to_be_bytes()[..], &body].concat()
    };
    thread::scope(|scope| {
        let crowds: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    for _ in 0..ROUNDS {
                        let mut crowd = Vec::new();
                        for _ in 0..CROWD {
                            let mut wire = Wire::connect(&scene.evenkeel.address())?;
                            wire.send(&startup)?;
                            wire.authenticate(USER, PASSWORD)?;
                            wire.send_query("select 1")?;
                            crowd.push(wire);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        crowds.into_iter().try_for_each(|crowd| crowd.join().unwrap())
    })?;
    until_waiting(&scene.evenkeel, 0)?;
    for held in held {
        held.release()?;
    }
    server_at_rest(&scene)
}
