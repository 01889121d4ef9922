//! Validation on checkout, on return and while idle.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use pool::{Activity, Checkout, CheckoutError, CloseReason, ConnectFailure, Home, Settings, StateKey};
use tokio::time::{Instant, sleep};

use crate::fake::{Play, Server, at_rest, eventually, plain, pool, settle};

const BROKEN: Play = Play::Refuse(ConnectFailure::Unavailable);

fn tested_after(idle: Duration, budget: u32) -> Settings {
    Settings { test_on_checkout: Some(idle), ..plain(budget) }
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_is_not_tested_and_a_rested_one_is() {
    let server = Server::new();
    let (pool, route) = pool(&server, tested_after(Duration::from_millis(500), 1));
    for _ in 0..10 {
        drop(pool.checkout(route, Checkout::new()).await.unwrap());
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(server.validated.load(SeqCst), 0);
    sleep(Duration::from_secs(1)).await;
    assert!(pool.try_checkout(route, StateKey(0), Home(0)).is_none(), "it would have to wait for a test");
    assert!(pool.try_checkout(route, StateKey(0), Home(0)).is_none(), "and asking in vain is no test");
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    assert_eq!(server.validated.load(SeqCst), 1);
    assert_eq!(server.connects_begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn broken_connections_are_replaced_unseen_by_the_caller() {
    for fault in [BROKEN, Play::Panic, Play::Hang] {
        let server = Server::new();
        let (pool, route) = pool(&server, tested_after(Duration::from_millis(1), 3));
        assert_eq!(pool.warm(route, 3).await, 3);
        sleep(Duration::from_secs(1)).await;
        server.play_validations([fault; 3]);
        let began = Instant::now();
        let lease = pool.checkout(route, Checkout::new().within(Duration::from_secs(30))).await.unwrap();
        assert_eq!(lease.serial, 3, "{fault:?}: a fourth connection, after three that failed");
        assert!(began.elapsed() <= Duration::from_secs(4));
        drop(lease);
        assert_eq!(server.closed_for(CloseReason::Invalid), 3);
        at_rest(&server, &pool).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_a_test() {
    let server = Server::new();
    let (pool, route) = pool(&server, tested_after(Duration::from_millis(1), 1));
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    server.play_validations([Play::Hang]);
    let began = Instant::now();
    let late = pool.checkout(route, Checkout::new().within(Duration::from_millis(100))).await;
    assert!(matches!(late, Err(CheckoutError::Timeout(_))), "{late:?}");
    assert!((100..=105).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_must_settle_is_tested_before_anyone_gets_it_and_one_that_need_not_is_not() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(1));
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    assert!(matches!(pool.snapshot().connections[0].activity, Activity::Idle { .. }));
    let mut lease = pool.checkout(route, Checkout::new()).await.unwrap();
    lease.unsettled = true;
    drop(lease);
    assert_eq!(pool.snapshot().connections[0].activity, Activity::Testing);
    let mut lease = pool.checkout(route, Checkout::new()).await.unwrap();
    assert_eq!((lease.serial, server.validated.load(SeqCst)), (0, 1));
    // What does not settle in time is closed, and its permit serves the next.
    lease.unsettled = true;
    server.play_validations([Play::Hang]);
    drop(lease);
    assert_eq!(pool.checkout(route, Checkout::new()).await.unwrap().serial, 1);
    at_rest(&server, &pool).await;
    assert_eq!(server.closed_for(CloseReason::Invalid), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_tested_on_its_return_before_anyone_gets_it() {
    let server = Server::new();
    let (pool, route) = pool(&server, Settings { test_on_return: true, ..plain(1) });
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    server.play_validations([Play::After(Duration::from_millis(20))]);
    drop(lease);
    assert_eq!(pool.snapshot().connections[0].activity, Activity::Testing);
    let began = Instant::now();
    let mut lease = pool.checkout(route, Checkout::new()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(20));
    assert_eq!(lease.serial, 0);
    server.play_validations([BROKEN]);
    lease.state = StateKey(7);
    drop(lease);
    assert_eq!(pool.checkout(route, Checkout::new()).await.unwrap().serial, 1);
    assert_eq!(pool.totals().closes.get(CloseReason::Invalid), 1);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn broken_idle_connections_are_found_before_anyone_gets_them() {
    let server = Server::new();
    let settings = Settings {
        test_while_idle: Some(Duration::from_secs(10)),
        maintenance_interval: Duration::from_secs(1),
        ..plain(8)
    };
    let (pool, route) = pool(&server, settings);
    assert_eq!(pool.warm(route, 8).await, 8);
    server.play_validations([BROKEN; 8]);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(server.live(), 8);
    sleep(Duration::from_secs(2)).await;
    assert!((4..8).contains(&server.live()), "a part of them at a time, {} left", server.live());
    eventually("all are gone", || server.live() == 0).await;
    assert_eq!(server.closed_for(CloseReason::Invalid), 8);
    settle().await;
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_during_a_test_while_idle_gets_the_connection_when_it_passed() {
    let server = Server::new();
    let settings = Settings {
        test_while_idle: Some(Duration::from_secs(10)),
        maintenance_interval: Duration::from_secs(1),
        ..plain(1)
    };
    let (pool, route) = pool(&server, settings);
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    server.play_validations([Play::After(Duration::from_millis(500))]);
    sleep(Duration::from_secs(9)).await;
    eventually("the test", || pool.snapshot().connections[0].activity == Activity::Testing).await;
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    assert_eq!(lease.serial, 0);
    drop(lease);
    at_rest(&server, &pool).await;
}
