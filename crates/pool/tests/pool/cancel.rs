//! Futures dropped at every point, hand by hand.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Waker};
use std::time::Duration;

use pool::{Checkout, Settings};
use tokio::time::sleep;

use crate::fake::{Play, Server, at_rest, eventually, plain, pool, settle};

/// Polls a future `polls` times, letting everybody else run in between, then drops it. True if it was ready.
async fn drop_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        sleep(Duration::from_millis(1)).await;
    }
    false
}

/// Hazard H1 (bb8#59, sqlx#83): wherever a checkout is dropped, nothing is lost.
#[tokio::test(start_paused = true)]
async fn a_checkout_dropped_after_any_number_of_polls_leaks_nothing() {
    let scripts: [&[Play]; 4] = [
        &[],
        &[Play::After(Duration::from_millis(3))],
        &[Play::Refuse(pool::ConnectFailure::Unavailable), Play::After(Duration::from_millis(2))],
        &[Play::Panic],
    ];
    for script in scripts {
        for test in [None, Some(Duration::ZERO)] {
            for polls in 0..8 {
                let server = Server::new();
                server.play_connects(script.iter().copied());
                let (pool, route) = pool(&server, Settings { test_on_checkout: test, ..plain(2) });
                for _ in 0..3 {
                    drop_after(polls, pool.checkout(route, Checkout::new())).await;
                }
                // All of the budget can still be had, at once.
                let both = (pool.checkout(route, Checkout::new()), pool.checkout(route, Checkout::new()));
                let both = (both.0.await.unwrap(), both.1.await.unwrap());
                assert_eq!(pool.totals().in_use, 2);
                drop(both);
                at_rest(&server, &pool).await;
                assert!(server.live_max.load(SeqCst) <= 2);
            }
        }
    }
}

/// Hazard H1 (boost/mysql#509): a cancelled waiter swallows the wake-up.
#[tokio::test(start_paused = true)]
async fn a_connection_granted_to_a_waiter_that_leaves_goes_to_the_next() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(1));
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    let first = pool.start_checkout(route, Checkout::new());
    let second = pool.start_checkout(route, Checkout::new());
    // Granted to the first, which has not looked yet and never will.
    drop(lease);
    assert_eq!(pool.totals().in_use, 1);
    drop(first);
    let lease = second.await.unwrap();
    assert_eq!(server.connects_begun(), 1);
    drop(lease);
    at_rest(&server, &pool).await;
}

/// Hazard H2 (sqlx#3132): cancelled callers made the pool open and drop thousands of connections a second.
#[tokio::test(start_paused = true)]
async fn a_connect_outlives_the_caller_that_asked_for_it() {
    let server = Server::taking(Duration::from_millis(100));
    let (pool, route) = pool(&server, plain(1));
    for _ in 0..9 {
        let hurried = pool.checkout(route, Checkout::new().within(Duration::from_millis(10)));
        assert!(hurried.await.is_err());
    }
    eventually("the connect is done", || pool.totals().idle == 1).await;
    assert_eq!(server.connects_begun(), 1);
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_checkout_that_was_never_polled_leaves_its_place() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(1));
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    let pending: Vec<_> = (0..10).map(|_| pool.start_checkout(route, Checkout::new())).collect();
    assert_eq!(pool.totals().waiting, 10);
    drop(pending);
    assert_eq!(pool.totals().waiting, 0);
    drop(lease);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_during_the_test_of_its_connection_gives_it_back() {
    let server = Server::new();
    let (pool, route) = pool(&server, Settings { test_on_checkout: Some(Duration::from_millis(1)), ..plain(1) });
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    server.play_validations([Play::After(Duration::from_millis(50))]);
    let pending = pool.start_checkout(route, Checkout::new());
    assert!(pending.is_waiting());
    settle().await;
    drop(pending);
    assert_eq!(pool.totals().in_use, 1, "the test goes on");
    at_rest(&server, &pool).await;
    assert_eq!(server.connects_begun(), 1);
    assert_eq!(Arc::strong_count(&server), 4, "test, connector, observer, socket");
}
