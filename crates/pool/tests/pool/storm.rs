//! Many tasks on several threads that come, wait, vanish and fail at random.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use std::time::Duration;

use pool::{Checkout, ConnectFailure, Lease, Pool, Settings, StateKey};
use tokio::task::{JoinSet, yield_now};

use crate::fake::{Dialer, Play, Server, Watch, at_rest, equal, plain, pool};

/// A small generator, so that a failure can be run again by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Awaits a future for so many polls; `None` if it was not ready by then.
async fn for_polls<F: Future>(polls: u64, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Works on a connection and sees that nobody else does.
async fn work(mut lease: Lease<Dialer>, dice: &mut Dice) {
    assert!(!lease.busy.swap(true, SeqCst), "two holders of one connection");
    for _ in 0..dice.roll(3) {
        yield_now().await;
    }
    assert!(lease.busy.swap(false, SeqCst));
    match dice.roll(40) {
        0 => lease.clean = false,
        1 => lease.discard("bad luck"),
        state => lease.state = StateKey(state % 3),
    }
}

async fn storm(seed: u64, settings: Settings) {
    storm_on(seed, settings, ["app", "b", "c"]).await;
}

async fn storm_on(seed: u64, settings: Settings, users: [&'static str; 3]) -> Arc<Server> {
    let budget = settings.budget as usize;
    let server = Server::new();
    let mut dice = Dice(seed);
    server.play_connects((0..40).map(|_| match dice.roll(10) {
        0 => Play::Refuse(ConnectFailure::Unavailable),
        1 => Play::Refuse(ConnectFailure::TooManyConnections),
        2 => Play::Panic,
        3 => Play::After(Duration::from_millis(1)),
        _ => Play::After(Duration::ZERO),
    }));
    server.play_validations((0..300).map(|_| match dice.roll(8) {
        0 => Play::Refuse(ConnectFailure::Unavailable),
        1 => Play::Panic,
        _ => Play::After(Duration::ZERO),
    }));
    server.play_closes((0..50).map(|_| if dice.roll(4) == 0 { Play::Panic } else { Play::After(Duration::ZERO) }));
    server.play_rekeys((0..400).map(|_| match dice.roll(12) {
        0 => Play::Refuse(ConnectFailure::Unavailable),
        1 => Play::Panic,
        2 => Play::After(Duration::from_millis(1)),
        _ => Play::After(Duration::ZERO),
    }));
    let pool = Pool::new(Dialer(Arc::clone(&server)), settings, Watch(Arc::clone(&server)));
    let routes = users.map(|user| pool.add_route(user, equal()));
    let first = routes[0];
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let pool = pool.clone();
        let mut dice = Dice(seed ^ (task << 32));
        tasks.spawn(async move {
            let mut served = 0_u32;
            for _ in 0..200 {
                let who = dice.roll(3) as usize;
                let (route, user) = (routes[who], users[who]);
                let checkout = Checkout::new().within(Duration::from_secs(30)).state(StateKey(dice.roll(3)));
                let pending = pool.start_checkout(route, checkout);
                let lease =
                    if dice.roll(3) == 0 { Some(pending.await) } else { for_polls(dice.roll(4), pending).await };
                if let Some(lease) = lease {
                    served += 1;
                    let lease = lease.unwrap();
                    assert_eq!(lease.user, user, "somebody else's login");
                    work(lease, &mut dice).await;
                }
            }
            served
        });
    }
    let served: u32 = tasks.join_all().await.into_iter().sum();
    assert!(served >= 64 * 200 / 3, "{served}");
    assert!(server.live_max.load(SeqCst) <= budget, "seed {seed}");
    at_rest(&server, &pool).await;
    // All of it can be had by one route.
    let mut leases = Vec::new();
    for _ in 0..budget {
        leases.push(pool.checkout(first, Checkout::new().within(Duration::from_secs(30))).await.unwrap());
    }
    drop(leases);
    at_rest(&server, &pool).await;
    assert_eq!(Arc::strong_count(&server), 3 + server.live(), "no task is left over");
    server
}

fn quick(budget: u32) -> Settings {
    Settings { probe_after: Duration::from_millis(5), ..plain(budget) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_dropped_checkouts_loses_nothing() {
    for seed in 1..=3 {
        storm(seed, quick(4)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_connections_that_change_hands_mixes_up_nobody() {
    for seed in 21..=23 {
        let settings = Settings { reclaim_after: Duration::ZERO, retention_connects: 0, ..quick(4) };
        let server = storm_on(seed, settings, ["ada@0", "bob@0", "cyd@1"]).await;
        assert!(server.moved() > 0, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_with_every_test_on_loses_nothing() {
    for seed in 11..=12 {
        let settings = Settings {
            test_on_checkout: Some(Duration::ZERO),
            test_on_return: true,
            test_while_idle: Some(Duration::ZERO),
            maintenance_interval: Duration::from_millis(1),
            max_uses: Some(7),
            idle_timeout: Some(Duration::from_millis(2)),
            ..quick(6)
        };
        storm(seed, settings).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_in_a_pool_that_changes_size_loses_nothing() {
    let server = Server::new();
    let (pool, route) = pool(&server, quick(16));
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let pool = pool.clone();
        let mut dice = Dice(task);
        tasks.spawn(async move {
            for _ in 0..200 {
                let polls = dice.roll(6);
                let checkout = Checkout::new().within(Duration::from_secs(30));
                if let Some(lease) = for_polls(polls, pool.checkout(route, checkout)).await {
                    work(lease.unwrap(), &mut dice).await;
                }
            }
        });
    }
    let mut dice = Dice(99);
    while !tasks.is_empty() {
        pool.set_settings(quick(1 + dice.roll(16) as u32));
        tokio::time::sleep(Duration::from_micros(200)).await;
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    assert!(server.live_max.load(SeqCst) <= 16);
    pool.set_settings(quick(3));
    at_rest(&server, &pool).await;
    assert!(server.live() <= 3);
}
