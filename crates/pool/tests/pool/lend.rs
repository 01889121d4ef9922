//! Lending: who gets what, in which order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use pool::{Activity, Checkout, CheckoutError, Home, Refusal, Reuse, Settings, StateKey};
use tokio::time::{Instant, sleep};

use crate::fake::{Event, Server, at_rest, equal, eventually, plain, pool, settle};

#[tokio::test(start_paused = true)]
async fn a_connection_is_opened_once_and_lent_again() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(4));
    let first = pool.checkout(route, Checkout::new()).await.unwrap();
    let (id, serial) = (first.id(), first.serial);
    first.detach_now();
    let second = pool.checkout(route, Checkout::new()).await.unwrap();
    assert_eq!((second.id(), second.serial), (id, serial));
    drop(second);
    assert_eq!(server.connects_begun(), 1);
    assert_eq!(server.count(|event| matches!(event, Event::Leased(_))), 2);
    assert_eq!(server.count(|event| matches!(event, Event::Returned(_))), 2);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn try_checkout_takes_what_is_idle_and_opens_nothing() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(4));
    assert!(pool.try_checkout(route, StateKey(0), Home(0)).is_none());
    settle().await;
    assert_eq!(server.connects_begun(), 0, "asking in vain must not open a connection");
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    let lease = pool.try_checkout(route, StateKey(0), Home(0)).expect("one is idle");
    assert!(pool.try_checkout(route, StateKey(0), Home(0)).is_none());
    drop(lease);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_the_wanted_state_is_preferred() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(4));
    let mut leases = Vec::new();
    for state in 1..=3 {
        let mut lease = pool.checkout(route, Checkout::new()).await.unwrap();
        lease.state = StateKey(state);
        leases.push(lease);
    }
    drop(leases);
    for state in [2, 1, 3] {
        let lease = pool.checkout(route, Checkout::new().state(StateKey(state))).await.unwrap();
        assert_eq!(lease.state, StateKey(state));
    }
}

/// The wanted state decides before `reuse` does, which decides among the rest and when nothing is in that state.
#[tokio::test(start_paused = true)]
async fn an_unknown_state_leaves_the_choice_to_reuse() {
    for (reuse, first) in [(Reuse::MostRecent, 2), (Reuse::LeastRecent, 0)] {
        let server = Server::new();
        let (pool, route) = pool(&server, Settings { reuse, ..plain(4) });
        assert_eq!(pool.warm(route, 3).await, 3);
        // Serial n in state n, returned in this order.
        let mut leases = Vec::new();
        for _ in 0..3 {
            leases.push(pool.checkout(route, Checkout::new()).await.unwrap());
        }
        leases.sort_by_key(|lease| lease.serial);
        for mut lease in leases {
            lease.state = StateKey(lease.serial);
            drop(lease);
            sleep(Duration::from_millis(1)).await;
        }
        let serial = async |state| pool.checkout(route, Checkout::new().state(StateKey(state))).await.unwrap().serial;
        assert_eq!(serial(99).await, first, "nothing is in that state: {reuse:?}");
        sleep(Duration::from_millis(1)).await;
        for state in [1, 0, 2, 1] {
            assert_eq!(serial(state).await, state, "{reuse:?}");
            sleep(Duration::from_millis(1)).await;
        }
        // Used in the order 0, 2, 1 since.
        let next = if reuse == Reuse::MostRecent { 1 } else { 0 };
        assert_eq!(serial(99).await, next, "{reuse:?}");
        at_rest(&server, &pool).await;
    }
}

#[tokio::test(start_paused = true)]
async fn reuse_is_a_setting_that_can_change_while_running() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(4));
    let leases = [
        pool.checkout(route, Checkout::new()).await.unwrap(),
        pool.checkout(route, Checkout::new()).await.unwrap(),
        pool.checkout(route, Checkout::new()).await.unwrap(),
    ];
    let serials: Vec<_> = leases.iter().map(|lease| lease.serial).collect();
    for lease in leases {
        drop(lease);
        sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..2 {
        assert_eq!(pool.checkout(route, Checkout::new()).await.unwrap().serial, serials[2], "most recent");
    }
    pool.set_settings(Settings { reuse: Reuse::LeastRecent, ..plain(4) });
    for serial in serials {
        assert_eq!(pool.checkout(route, Checkout::new()).await.unwrap().serial, serial, "least recent");
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let server = Server::new();
    let (pool, route) = pool(&server, Settings { max_waiters: 2, ..plain(1) });
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    let waiters = [pool.start_checkout(route, Checkout::new()), pool.start_checkout(route, Checkout::new())];
    let began = Instant::now();
    match pool.checkout(route, Checkout::new()).await {
        Err(CheckoutError::Refused(Refusal::QueueFull { limit: 2 })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop((waiters, lease));
    at_rest(&server, &pool).await;
}

/// Hazard H5 of the field (bb8#122): two returns, one wake-up.
#[tokio::test(start_paused = true)]
async fn two_returns_in_a_row_wake_two_waiters() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(2));
    let leases =
        [pool.checkout(route, Checkout::new()).await.unwrap(), pool.checkout(route, Checkout::new()).await.unwrap()];
    let served = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let (pool, served) = (pool.clone(), Arc::clone(&served));
        tokio::spawn(async move {
            let lease = pool.checkout(route, Checkout::new()).await.unwrap();
            served.fetch_add(1, SeqCst);
            std::future::pending::<()>().await;
            drop(lease);
        });
    }
    settle().await;
    drop(leases);
    settle().await;
    assert_eq!(served.load(SeqCst), 2);
}

/// Hazard H6 (bb8: one waiter overtaken 27,992 times of 32,000): here nobody is.
#[tokio::test]
async fn nobody_overtakes() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(8));
    let asked = Arc::new(AtomicU64::new(0));
    let granted = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (pool, asked, granted) = (pool.clone(), Arc::clone(&asked), Arc::clone(&granted));
        tasks.spawn(async move {
            let mut overtaken = 0;
            for _ in 0..100 {
                let mine = asked.fetch_add(1, SeqCst);
                let lease = pool.checkout(route, Checkout::new()).await.unwrap();
                // One thread: wake-ups are run in the order of grants.
                overtaken += granted.fetch_add(1, SeqCst).saturating_sub(mine);
                tokio::task::yield_now().await;
                drop(lease);
            }
            overtaken
        });
    }
    let overtaken: u64 = tasks.join_all().await.into_iter().sum();
    // A connect may end between a request and its turn to run, so a neighbour may be a step early, never more.
    assert!(overtaken <= 8, "{overtaken}");
    assert_eq!(pool.snapshot().faults.overtaken, 0);
    at_rest(&server, &pool).await;
}

/// The spike test of HikariCP: 50 requests, 5 idle connections, a connect takes 150 ms, a query 2 ms. The release comes
/// first, so the connects are for nothing.
async fn spike(settings: Settings) {
    let concurrency = settings.connect_concurrency as usize;
    let server = Server::new();
    let (pool, route) = pool(&server, settings);
    assert_eq!(pool.warm(route, 5).await, 5);
    *server.connect_time.lock().unwrap() = Duration::from_millis(150);
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let lease = pool.checkout(route, Checkout::new()).await.unwrap();
            sleep(Duration::from_millis(2)).await;
            drop(lease);
        });
    }
    tasks.join_all().await;
    let took = began.elapsed();
    assert!(took <= Duration::from_millis(30), "{took:?}");
    sleep(Duration::from_secs(1)).await;
    let surplus = server.connects_begun() - 5;
    assert!(surplus <= concurrency, "{surplus} connections too many");
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_spike_is_served_by_releases_rather_than_by_connects() {
    spike(plain(50)).await;
}

#[tokio::test(start_paused = true)]
async fn a_spike_with_connects_one_by_one_leaves_at_most_one_connection_too_many() {
    spike(Settings { connect_concurrency: 1, ..plain(50) }).await;
}

/// Hazard H8 (vitess#20308: 18,000 goroutines, throughput 0): connections handed to callers that had given up. The
/// keeper had no chance yet to end this wait; the return itself must see that its time is up.
#[tokio::test(start_paused = true)]
async fn a_connection_goes_past_a_waiter_whose_time_is_up() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(1));
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    let late = pool.start_checkout(route, Checkout::new().within(Duration::ZERO));
    let next = pool.start_checkout(route, Checkout::new());
    drop(lease);
    let lease = next.await.unwrap();
    assert!(matches!(late.await, Err(CheckoutError::Timeout(_))));
    assert_eq!(server.connects_begun(), 1);
    drop(lease);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn two_routes_share_the_budget_and_never_a_connection() {
    let server = Server::taking(Duration::from_millis(2));
    let (pool, app) = pool(&server, plain(4));
    let report = pool.add_route("report", equal());
    let done = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let mut tasks = Vec::new();
    for (which, route, clients) in [(0, app, 40), (1, report, 4)] {
        for _ in 0..clients {
            let (pool, done) = (pool.clone(), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                loop {
                    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
                    assert_eq!(lease.route(), route);
                    sleep(Duration::from_millis(5)).await;
                    drop(lease);
                    done[which].fetch_add(1, SeqCst);
                }
            }));
        }
    }
    sleep(Duration::from_secs(10)).await;
    let [heavy, light] = [done[0].load(SeqCst), done[1].load(SeqCst)];
    assert!(light * 10 >= heavy * 7, "equal weights, both with more demand than half: {heavy} to {light}");
    assert!(server.live_max.load(SeqCst) <= 4);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_says_who_holds_what_since_when_and_from_where() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(4));
    let idle = pool.checkout(route, Checkout::new()).await.unwrap();
    let lent = pool.checkout(route, Checkout::new()).await.unwrap();
    let line = line!() - 1;
    drop(idle);
    sleep(Duration::from_secs(3)).await;
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.totals.idle, snapshot.totals.in_use), (1, 1));
    assert_eq!(snapshot.routes[0].1.served, 2);
    let of = |id| snapshot.connections.iter().find(|view| view.id == id).unwrap();
    match of(lent.id()).activity {
        Activity::Lent { since, place, .. } => {
            assert_eq!((since.as_secs(), place.line()), (3, line));
            assert!(place.file().ends_with("lend.rs"));
        }
        other => panic!("{other:?}"),
    }
    let resting = snapshot.connections.iter().find(|view| view.id != lent.id()).unwrap();
    assert!(matches!(resting.activity, Activity::Idle { since } if since.as_secs() == 3));
    assert_eq!(lent.held_since().elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_requests_and_resume_serves_them() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(2));
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    pool.pause();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.checkout(route, Checkout::new()).await.map(drop) }
    });
    sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    pool.resume();
    waiting.await.unwrap().unwrap();
    eventually("one connection", || pool.totals().idle == 1).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_as_long_as_it_takes_is_not_given_the_default_time() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(1));
    let held = pool.checkout(route, Checkout::new()).await.unwrap();
    let waiter = pool.start_checkout(route, Checkout::new().within(Duration::MAX));
    sleep(Duration::from_secs(3_600)).await;
    drop(held);
    assert!(waiter.await.is_ok());
}
