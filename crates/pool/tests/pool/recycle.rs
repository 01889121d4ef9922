//! How long connections live.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use pool::{Checkout, CloseReason, ConnectFailure, RouteLimits, Settings};
use tokio::time::{Instant, sleep};

use crate::fake::{Event, Play, Server, at_rest, equal, eventually, plain, pool, settle};

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_after_its_uses() {
    let server = Server::new();
    let (pool, route) = pool(&server, Settings { max_uses: Some(3), ..plain(1) });
    for _ in 0..7 {
        drop(pool.checkout(route, Checkout::new()).await.unwrap());
    }
    assert_eq!(server.connects_begun(), 3);
    let used = |event: &Event| matches!(event, Event::Closed { reason: CloseReason::Uses, uses: 3, .. });
    eventually("two closed", || server.count(used) == 2).await;
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_in_time() {
    let server = Server::new();
    let (pool, route) = pool(&server, Settings { idle_timeout: Some(Duration::from_secs(10)), ..plain(5) });
    assert_eq!(pool.warm(route, 5).await, 5);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(server.live(), 5);
    sleep(Duration::from_secs(6)).await;
    assert_eq!((server.live(), server.closed_for(CloseReason::IdleTimeout)), (0, 5));
}

/// Hazard H11 (bb8#123: min_idle 5, no traffic, 3 s: 65 connects).
#[tokio::test(start_paused = true)]
async fn connections_kept_for_min_idle_are_left_alone() {
    let server = Server::new();
    let (pool, route) = pool(&server, Settings { idle_timeout: Some(Duration::from_secs(1)), ..plain(10) });
    pool.set_route_limits(route, RouteLimits { min_idle: 3, ..equal() });
    eventually("min_idle is there", || pool.totals().idle == 3).await;
    assert_eq!(pool.warm(route, 6).await, 6);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(server.live(), 3);
    assert_eq!(server.connects_begun(), 6, "no churn");
    assert_eq!(server.closed_for(CloseReason::IdleTimeout), 3);
}

/// Hazard H11 (sqlx): whoever looks at an idle connection must not make it young.
#[tokio::test(start_paused = true)]
async fn a_test_while_idle_does_not_reset_the_idle_clock() {
    let server = Server::new();
    let settings = Settings {
        idle_timeout: Some(Duration::from_secs(60)),
        test_while_idle: Some(Duration::from_secs(5)),
        maintenance_interval: Duration::from_secs(1),
        ..plain(4)
    };
    let (pool, route) = pool(&server, settings);
    assert_eq!(pool.warm(route, 4).await, 4);
    let began = Instant::now();
    sleep(Duration::from_secs(70)).await;
    assert!(server.validated.load(SeqCst) >= 16, "{:?}", server.validated);
    assert_eq!(server.closed_for(CloseReason::IdleTimeout), 4);
    for event in server.events.lock().unwrap().iter() {
        if let Event::Closed { at, .. } = event {
            assert!((60..=62).contains(&at.duration_since(began).as_secs()), "{:?}", at.duration_since(began));
        }
    }
}

/// Hazard H9 (sqlx#2854, PostHog#49745): born together, dead together.
#[tokio::test(start_paused = true)]
async fn connections_born_together_do_not_die_together() {
    let server = Server::new();
    let settings = Settings { max_lifetime: Some(Duration::from_secs(600)), lifetime_jitter: 0.2, ..plain(100) };
    let (pool, route) = pool(&server, Settings { connect_concurrency: 100, ..settings });
    assert_eq!(pool.warm(route, 100).await, 100);
    sleep(Duration::from_secs(470)).await;
    assert_eq!(server.live(), 100, "nobody dies before the jitter allows");
    sleep(Duration::from_secs(140)).await;
    assert_eq!(server.live(), 0);
    assert_eq!(server.closed_for(CloseReason::Lifetime), 100);
    let mut per_second = BTreeMap::new();
    for event in server.events.lock().unwrap().iter() {
        if let Event::Closed { age, .. } = event {
            *per_second.entry(age.as_secs()).or_insert(0) += 1;
        }
    }
    let most = per_second.values().max().copied().unwrap_or(0);
    assert!(most <= 8, "{most} of 100 died within one second");
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_that_ends_in_use_ends_the_connection_at_its_return() {
    let server = Server::new();
    let settings = Settings { max_lifetime: Some(Duration::from_secs(10)), lifetime_jitter: 0.0, ..plain(1) };
    let (pool, route) = pool(&server, settings);
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(server.live(), 1, "a lease is never ended from outside");
    drop(lease);
    eventually("the close", || server.closed_for(CloseReason::Lifetime) == 1).await;
    at_rest(&server, &pool).await;
}

/// Hazard H16: time that jumps, here a machine that slept a day. Everything that was due ends once, and service goes on.
#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_wakes_to_a_working_pool() {
    let server = Server::new();
    let settings = Settings {
        idle_timeout: Some(Duration::from_secs(600)),
        test_on_checkout: Some(Duration::from_millis(500)),
        max_lifetime: Some(Duration::from_secs(360000)),
        ..plain(2)
    };
    let (pool, route) = pool(&server, settings);
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    tokio::time::advance(Duration::from_secs(86400)).await;
    settle().await;
    assert_eq!(server.closed_for(CloseReason::IdleTimeout), 1);
    drop(lease);
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    at_rest(&server, &pool).await;
}

/// An application's own numbers: zero as others spell "never", and the longest duration for the same.
#[tokio::test(start_paused = true)]
async fn odd_durations_neither_hang_nor_reconnect_nor_panic() {
    for (odd, uses) in [(Duration::ZERO, 0), (Duration::MAX, u64::MAX)] {
        let server = Server::new();
        let settings = Settings {
            idle_timeout: Some(odd),
            max_idle_timeout: Some(odd),
            max_lifetime: Some(odd),
            max_uses: Some(uses),
            lifetime_jitter: 0.0,
            reclaim_after: odd,
            probe_after: odd,
            ..plain(2)
        };
        let (pool, route) = pool(&server, settings);
        pool.set_route_limits(route, RouteLimits { min_idle: 1, ..equal() });
        server.play_connects([Play::After(Duration::ZERO), Play::Refuse(ConnectFailure::TooManyConnections)]);
        for _ in 0..3 {
            let held = pool.checkout(route, Checkout::new()).await.unwrap();
            let next = pool.start_checkout(route, Checkout::new());
            settle().await;
            drop(held);
            drop(next.await.unwrap());
            sleep(Duration::from_secs(60)).await;
        }
        assert!(server.connects_begun() <= 3, "{}", server.connects_begun());
        assert_eq!(server.count(|event| matches!(event, Event::Closed { .. })), 0);
        assert_eq!(pool.close(Duration::MAX).await.abandoned, 0);
    }
}
