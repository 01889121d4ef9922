//! Cancel requests: they reach their own client's query, at any time, and never a stranger's.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use common::{DATABASE, PASSWORD, Setup, USER, errors, fails_with, only};
use testkit::{Evenkeel, Result, Wire};
use watch::{Over, TRUST, at_rest, until_in_use, until_waiting};

/// Longer than any test runs: whoever waits for its end was not canceled.
const FOREVER: &str = "select pg_sleep(600)";

/// Reads the answer of a query that must have been canceled; the session goes on.
fn must_be_canceled(wire: &mut Wire) -> Result<()> {
    let answer = wire.read_until_ready()?;
    assert_eq!(errors(&answer), ["57014"], "{answer:?}");
    assert_eq!(wire.value("select 'goes on'")?, "goes on");
    Ok(())
}

/// Sends a cancel request with any key, and waits until it was acted upon; returns what was answered.
fn cancel_with(evenkeel: &Evenkeel, process: u32, key: &[u8]) -> Result<Vec<u8>> {
    let mut packet = u32::try_from(12 + key.len())?.to_be_bytes().to_vec();
    packet.extend(80_877_102_u32.to_be_bytes());
    packet.extend(process.to_be_bytes());
    packet.extend(key);
    let mut wire = Wire::connect(&evenkeel.address())?;
    wire.send(&packet)?;
    wire.read_to_close()
}

#[test]
fn a_cancel_request_reaches_its_own_query_and_no_other() -> Result<()> {
    let scene = Setup::new().budget(2).start()?;
    let (mut own, mut other) = (scene.client()?, scene.client()?);
    own.send_query(FOREVER)?;
    other.send_query("select pg_sleep(0.7), 'unharmed'")?;
    until_in_use(&scene.evenkeel, 2)?;
    own.cancel()?;
    must_be_canceled(&mut own)?;
    let answer = other.read_until_ready()?;
    assert!(errors(&answer).is_empty(), "{answer:?}");
    at_rest(&scene.evenkeel)
}

#[test]
fn a_request_with_a_wrong_key_does_nothing() -> Result<()> {
    let scene = Setup::new().start()?;
    let (mut own, other) = (scene.client()?, scene.client()?);
    own.send_query("select pg_sleep(1)")?;
    until_in_use(&scene.evenkeel, 1)?;
    let process = own.backend_id().unwrap();
    for key in [&[0; 4][..], &[0; 5], &[0xff; 4], &[0; 32], &[7; 255]] {
        assert_eq!(cancel_with(&scene.evenkeel, process, key)?, b"", "a cancel request is never answered");
    }
    for stranger in [0, process + 1, process + 1_000_000, u32::MAX] {
        assert_eq!(cancel_with(&scene.evenkeel, stranger, &[1, 2, 3, 4])?, b"");
    }
    // No key has so few bytes: this is no cancel request at all.
    for key in [&[][..], &[0], &[0; 3]] {
        cancel_with(&scene.evenkeel, process, key)?;
    }
    // The right key of another client.
    other.cancel()?;
    let answer = own.read_until_ready()?;
    assert!(errors(&answer).is_empty(), "{answer:?}");
    at_rest(&scene.evenkeel)
}

#[test]
fn queries_and_waits_can_be_canceled_while_every_connection_is_busy() -> Result<()> {
    let scene = Setup::new().budget(2).toml("[pool]\ncheckout_timeout = \"60s\"").start()?;
    let mut busy = [scene.client()?, scene.client()?];
    for wire in &mut busy {
        wire.send_query(FOREVER)?;
    }
    until_in_use(&scene.evenkeel, 2)?;
    let mut queue = [scene.client()?, scene.client()?, scene.client()?];
    for wire in &mut queue {
        wire.send_query("select 'served'")?;
    }
    until_waiting(&scene.evenkeel, 3)?;
    let [first, second, third] = &mut queue;
    second.cancel()?;
    let answer = second.read_until_ready()?;
    assert_eq!(errors(&answer), ["57014"], "{answer:?}");
    until_waiting(&scene.evenkeel, 2)?;
    let [busy_one, busy_two] = &mut busy;
    busy_one.cancel()?;
    let answer = busy_one.read_until_ready()?;
    assert_eq!(errors(&answer), ["57014"], "{answer:?}");
    for wire in [first, third] {
        assert_eq!(only(&wire.read_until_ready()?), "served");
    }
    assert_eq!(second.value("select 'goes on'")?, "goes on");
    busy_two.cancel()?;
    must_be_canceled(busy_two)?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_wait_in_the_extended_protocol_is_skipped_to_sync_when_canceled() -> Result<()> {
    let scene = Setup::new().budget(1).toml("[pool]\ncheckout_timeout = \"60s\"").start()?;
    let held = scene.hold()?;
    let mut wire = scene.client()?;
    let mut pipeline = testkit::wire::message(b'P', b"\0select 1\0\0\0");
    pipeline.extend(testkit::wire::message(b'B', b"\0\0\0\0\0\0\0\0"));
    pipeline.extend(testkit::wire::message(b'E', b"\0\0\0\0\0"));
    pipeline.extend(testkit::wire::message(b'S', b""));
    wire.send(&pipeline)?;
    until_waiting(&scene.evenkeel, 1)?;
    wire.cancel()?;
    let answer = wire.read_until_ready()?;
    assert_eq!(common::tags(&answer), "EZ", "{answer:?}");
    assert_eq!(errors(&answer), ["57014"]);
    held.release()?;
    assert_eq!(wire.value("select 'goes on'")?, "goes on");
    at_rest(&scene.evenkeel)
}

#[test]
fn a_transaction_that_idles_is_not_canceled_and_its_next_query_can_be() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    wire.query("begin")?;
    wire.cancel()?;
    assert_eq!(wire.value("select 'alive'")?, "alive");
    wire.send_query(FOREVER)?;
    // A request that arrives before the query begins finds nothing to cancel.
    watch::until_says(
        &scene.pg,
        "select count(*) from pg_stat_activity where usename = 'app' and state = 'active'",
        "1",
    )?;
    wire.cancel()?;
    let answer = wire.read_until_ready()?;
    assert_eq!(errors(&answer), ["57014"], "{answer:?}");
    assert_eq!(fails_with(&mut wire, "select 1"), "25P02");
    wire.query("rollback")?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_request_that_comes_late_finds_nobody() -> Result<()> {
    let scene = Setup::new().budget(1).toml(TRUST).start()?;
    let mut own = scene.client()?;
    assert_eq!(own.value("select 'done'")?, "done");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // The next client on the same server connection, all the time.
        let next = scope.spawn(|| -> Result<u32> {
            let mut wire = scene.client()?;
            let mut served = 0;
            while !over.load(Ordering::Relaxed) {
                let token = format!("next {served}");
                assert_eq!(wire.value(&format!("select '{token}' from pg_sleep(0.001)"))?, token);
                served += 1;
            }
            Ok(served)
        });
        let end = Over(&over);
        let canceled = (0..300).try_for_each(|_| own.cancel());
        drop(end);
        assert!(next.join().unwrap()? > 0);
        canceled
    })?;
    at_rest(&scene.evenkeel)
}

#[test]
fn thousands_of_cancellations_under_load_hit_no_stranger() -> Result<()> {
    const CANCELED: u32 = 6;
    const BYSTANDERS: u32 = 6;
    const REQUESTS: u32 = 2_000;
    let scene = Setup::new().budget(3).toml(TRUST).toml("[pool]\ncheckout_timeout = \"60s\"").start()?;
    let left = AtomicU32::new(REQUESTS);
    let hits = AtomicU32::new(0);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for number in 0..CANCELED {
            let (scene, hits) = (&scene, &hits);
            threads.push(scope.spawn(move || -> Result<()> {
                let mut wire = scene.client()?;
                let mut round = 0;
                while take() {
                    let token = format!("canceled {number} {round}");
                    wire.send_query(&format!("select '{token}' from pg_sleep(0.002)"))?;
                    wire.cancel()?;
                    let answer = wire.read_until_ready()?;
                    match errors(&answer).as_slice() {
                        [] => assert_eq!(only(&answer), token),
                        [code] => {
                            assert_eq!(code, "57014");
                            hits.fetch_add(1, Ordering::Relaxed);
                        }
                        more => panic!("{more:?}"),
                    }
                    round += 1;
                }
                Ok(())
            }));
        }
        for number in 0..BYSTANDERS {
            let (scene, left) = (&scene, &left);
            threads.push(scope.spawn(move || -> Result<()> {
                let mut wire = scene.client()?;
                let mut round = 0;
                while left.load(Ordering::Relaxed) > 0 {
                    let token = format!("bystander {number} {round}");
                    assert_eq!(wire.value(&format!("select '{token}' from pg_sleep(0.001)"))?, token);
                    round += 1;
                }
                Ok(())
            }));
        }
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;
    assert!(hits.load(Ordering::Relaxed) > 0, "some requests must come in time");
    at_rest(&scene.evenkeel)
}

#[test]
fn ten_thousand_waits_are_canceled_and_every_session_goes_on() -> Result<()> {
    const CLIENTS: u32 = 10;
    const ROUNDS: u32 = 1_000;
    let scene = Setup::new().budget(1).toml(TRUST).toml("[pool]\ncheckout_timeout = \"60s\"").start()?;
    let held = scene.hold()?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let mut wire = scene.client()?;
                    for _ in 0..ROUNDS {
                        wire.send_query("select 'must not be served'")?;
                        // A request that overtakes the query is for nothing.
                        wire.set_timeout(Duration::from_millis(200))?;
                        let answer = loop {
                            wire.cancel()?;
                            if let Ok(message) = wire.read() {
                                break message;
                            }
                        };
                        wire.set_timeout(watch::SOON)?;
                        assert_eq!(watch::code(&answer), "57014");
                        assert_eq!(wire.read()?.tag, b'Z');
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;
    held.release()?;
    at_rest(&scene.evenkeel)?;
    assert_eq!(scene.client()?.value("select 'served'")?, "served");
    Ok(())
}

#[test]
fn long_keys_of_protocol_3_2_cancel_too() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = Wire::connect(&scene.evenkeel.address())?;
    let mut body = 0x0003_0002_u32.to_be_bytes().to_vec();
    for text in ["user", USER, "database", DATABASE, ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let mut packet = u32::try_from(body.len() + 4)?.to_be_bytes().to_vec();
    packet.extend(body);
    wire.send(&packet)?;
    wire.authenticate(USER, PASSWORD)?;
    wire.send_query(FOREVER)?;
    until_in_use(&scene.evenkeel, 1)?;
    let process = wire.backend_id().unwrap();
    cancel_with(&scene.evenkeel, process, &[0; 4])?;
    wire.cancel()?;
    must_be_canceled(&mut wire)?;
    at_rest(&scene.evenkeel)
}
