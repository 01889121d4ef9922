//! Changing and closing a running pool.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use pool::{Activity, Checkout, CheckoutError, CloseReason, Options, Refusal, RouteLimits, Settings};
use tokio::time::{Instant, sleep};

use crate::fake::{Dialer, Event, Play, Server, Watch, at_rest, equal, eventually, plain, pool, settle};

/// Hazard H4 (deadpool#205): shrunk and grown with leases out, a pool of 10 had 15.
#[tokio::test(start_paused = true)]
async fn resizing_with_leases_out_never_exceeds_the_budget() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(10));
    let mut leases = Vec::new();
    for _ in 0..10 {
        leases.push(pool.checkout(route, Checkout::new()).await.unwrap());
    }
    pool.set_settings(plain(5));
    pool.set_settings(plain(10));
    let short = || Checkout::new().within(Duration::from_millis(100));
    assert!(pool.checkout(route, short()).await.is_err(), "ten are out of ten");
    pool.set_settings(plain(5));
    leases.truncate(7);
    settle().await;
    assert!(pool.checkout(route, short()).await.is_err(), "seven are out of five");
    leases.truncate(4);
    leases.push(pool.checkout(route, short()).await.unwrap());
    assert!(pool.checkout(route, short()).await.is_err(), "five are out of five");
    pool.set_settings(plain(8));
    for _ in 0..3 {
        leases.push(pool.checkout(route, short()).await.unwrap());
    }
    assert!(pool.checkout(route, short()).await.is_err(), "eight are out of eight");
    drop(leases);
    assert_eq!(server.live_max.load(SeqCst), 10);
    at_rest(&server, &pool).await;
    assert_eq!(server.live(), 8);
    pool.set_settings(plain(0));
    eventually("the idle ones are closed", || server.live() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn settings_changed_under_load_lose_no_client() {
    let server = Server::taking(Duration::from_millis(3));
    let (pool, route) = pool(&server, plain(4));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let pool = pool.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                let lease = pool.checkout(route, Checkout::new()).await.unwrap();
                sleep(Duration::from_millis(1)).await;
                drop(lease);
            }
        });
    }
    for round in 0..40 {
        let settings = Settings {
            test_on_return: round % 3 == 0,
            max_uses: (round % 2 == 0).then_some(5),
            test_on_checkout: (round % 5 == 0).then_some(Duration::ZERO),
            ..plain([1, 20, 3, 8][round % 4])
        };
        pool.set_settings(settings);
        sleep(Duration::from_millis(7)).await;
    }
    tasks.join_all().await;
    at_rest(&server, &pool).await;
}

/// Hazard H14 (sqlx): a close that waits for a lease for ever.
#[tokio::test(start_paused = true)]
async fn close_ends_by_its_deadline_and_says_what_is_left() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(4));
    assert_eq!(pool.warm(route, 3).await, 3);
    let kept = pool.checkout(route, Checkout::new()).await.unwrap();
    let began = Instant::now();
    let report = pool.close(Duration::from_secs(2)).await;
    assert_eq!((report.closed, report.abandoned), (2, 1));
    assert_eq!((began.elapsed().as_secs(), report.took.as_secs()), (2, 2));
    let refused = pool.checkout(route, Checkout::new()).await;
    assert!(matches!(refused, Err(CheckoutError::Refused(Refusal::Closing))), "{refused:?}");
    drop(kept);
    eventually("the last one is closed when it comes back", || server.live() == 0).await;
    assert_eq!(server.closed_for(CloseReason::Draining), 3);
}

#[tokio::test(start_paused = true)]
async fn close_lets_leases_finish_and_tells_waiters() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(1));
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    let waiter = pool.start_checkout(route, Checkout::new());
    tokio::spawn(async move {
        sleep(Duration::from_millis(300)).await;
        drop(lease);
    });
    let report = pool.close(Duration::from_secs(30)).await;
    assert_eq!((report.closed, report.abandoned), (1, 0));
    assert!((300..=310).contains(&report.took.as_millis()), "{:?}", report.took);
    assert!(matches!(waiter.await, Err(CheckoutError::Closing)));
    assert_eq!(server.live(), 0);
    let again = pool.close(Duration::from_secs(30)).await;
    assert_eq!((again.closed, again.abandoned, again.took), (0, 0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_close_while_connecting_waits_for_the_connect() {
    let server = Server::taking(Duration::from_millis(200));
    let (pool, route) = pool(&server, plain(1));
    let waiter = pool.start_checkout(route, Checkout::new());
    settle().await;
    let report = pool.close(Duration::from_secs(5)).await;
    assert_eq!(report.abandoned, 0);
    assert!(matches!(waiter.await, Err(CheckoutError::Closing)));
    assert_eq!(server.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn new_credentials_replace_every_connection() {
    let server = Server::taking(Duration::from_millis(10));
    let (pool, route) = pool(&server, plain(4));
    let lent = pool.checkout(route, Checkout::new()).await.unwrap();
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    let connecting = (pool.start_checkout(route, Checkout::new()), pool.start_checkout(route, Checkout::new()));
    settle().await;
    pool.replace_route(route, "app-rotated");
    drop((connecting.0.await.unwrap(), connecting.1.await.unwrap()));
    drop(lent);
    eventually("the old ones are closed", || server.live() == 0).await;
    let closed = server.closed_for(CloseReason::Reconnect);
    assert_eq!(closed, server.connects_begun());
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    assert_eq!(server.logins.lock().unwrap().last(), Some(&"app-rotated"));
    assert!(server.logins.lock().unwrap().iter().rev().skip(1).all(|login| *login == "app"));
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_connect_with_old_credentials_that_nobody_waits_for_is_closed_when_it_is_done() {
    let server = Server::taking(Duration::from_millis(100));
    let (pool, route) = pool(&server, plain(4));
    let waiter = pool.start_checkout(route, Checkout::new());
    settle().await;
    pool.replace_route(route, "app-rotated");
    drop(waiter);
    eventually("it came and went", || server.closed_for(CloseReason::Reconnect) == 1).await;
    at_rest(&server, &pool).await;
    assert_eq!((server.live(), server.connects_begun()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_replaces_every_connection() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(4));
    let lent = pool.checkout(route, Checkout::new()).await.unwrap();
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    pool.reconnect();
    drop(lent);
    eventually("both are closed", || server.closed_for(CloseReason::Reconnect) == 2).await;
    assert_eq!(pool.checkout(route, Checkout::new()).await.unwrap().serial, 2);
}

#[tokio::test(start_paused = true)]
async fn a_removed_route_takes_its_waiters_and_connections_with_it() {
    let server = Server::new();
    let (pool, keep) = pool(&server, plain(2));
    let gone = pool.add_route("gone", equal());
    let lease = pool.checkout(gone, Checkout::new()).await.unwrap();
    drop(pool.checkout(gone, Checkout::new()).await.unwrap());
    let second = pool.checkout(gone, Checkout::new()).await.unwrap();
    let waiter = pool.start_checkout(gone, Checkout::new());
    pool.remove_route(gone);
    assert!(matches!(waiter.await, Err(CheckoutError::RouteGone)));
    assert!(matches!(pool.checkout(gone, Checkout::new()).await, Err(CheckoutError::Refused(Refusal::UnknownRoute))));
    drop((lease, second));
    eventually("its connections are closed", || server.live() == 0).await;
    assert!(pool.route(gone).is_none());
    drop(pool.checkout(keep, Checkout::new()).await.unwrap());
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn limits_of_a_class_and_a_route_hold() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(10));
    let class = pool::ClassId::new(1).expect("there may be more than one");
    pool.set_class(class, pool::ClassLimits::capped(2));
    let classed = pool.add_route("classed", RouteLimits { class, ..equal() });
    pool.set_route_limits(route, RouteLimits { cap: Some(1), ..equal() });
    assert_eq!(tokio::join!(pool.warm(route, 5), pool.warm(classed, 5)), (1, 2));
    assert_eq!(server.live_max.load(SeqCst), 3);
    assert_eq!(pool.settings().budget, 10);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_never_given_back_is_reported_once_with_its_place_and_its_borrower() {
    let server = Server::new();
    let settings = Settings {
        leak_timeout: Some(Duration::from_secs(30)),
        maintenance_interval: Duration::from_secs(1),
        ..plain(2)
    };
    let (pool, route) = pool(&server, settings);
    let leaked = pool.checkout(route, Checkout::new().borrower(77)).await.unwrap();
    let here = line!() - 1;
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    sleep(Duration::from_secs(29)).await;
    let leaks = || server.count(|event| matches!(event, Event::Leaked { .. }));
    assert_eq!(leaks(), 0);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(leaks(), 1);
    let found = server.count(
        |event| matches!(event, Event::Leaked { line, borrower: 77, held } if *line == here && held.as_secs() <= 31),
    );
    assert_eq!(found, 1);
    let shown =
        pool.snapshot().connections.iter().any(|view| matches!(view.activity, Activity::Lent { borrower: 77, .. }));
    assert!(shown);
    drop(leaked);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_maintenance_interval_holds_at_once() {
    let server = Server::new();
    let rare = Settings {
        test_while_idle: Some(Duration::from_secs(10)),
        maintenance_interval: Duration::from_secs(3_600),
        ..plain(1)
    };
    let (pool, route) = pool(&server, rare.clone());
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    sleep(Duration::from_secs(5_000)).await;
    let before = server.validated.load(SeqCst);
    pool.set_settings(Settings { maintenance_interval: Duration::from_secs(5), ..rare });
    sleep(Duration::from_secs(60)).await;
    assert!(server.validated.load(SeqCst) > before + 3, "{before} tests before");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_nobody_holds_ends_its_keeper_and_drops_its_connections() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(2));
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    drop(pool);
    settle().await;
    assert_eq!(server.live(), 2, "a lease keeps its pool");
    drop(lease);
    settle().await;
    assert_eq!(server.live(), 0);
    assert_eq!(Arc::strong_count(&server), 1);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn slow_closes_hold_their_permits_and_nothing_else() {
    let server = Server::new();
    server.play_closes([Play::After(Duration::from_millis(500)); 2]);
    let (pool, route) = pool(&server, plain(2));
    let pair =
        (pool.checkout(route, Checkout::new()).await.unwrap(), pool.checkout(route, Checkout::new()).await.unwrap());
    pair.0.discard("the test wants a close");
    let began = Instant::now();
    drop(pair.1);
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    assert_eq!(began.elapsed(), Duration::ZERO, "the other connection serves on");
    let pair =
        (pool.checkout(route, Checkout::new()).await.unwrap(), pool.checkout(route, Checkout::new()).await.unwrap());
    assert!((500..=510).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    drop(pair);
    assert_eq!(server.live_max.load(SeqCst), 2);
}

/// As many as the budget has, and far more than it has.
#[tokio::test(start_paused = true)]
async fn clients_do_not_wait_for_the_initial_connections() {
    for initial in [10, 50] {
        let server = Server::taking(Duration::from_millis(100));
        let options = Options { settings: plain(10), initial, ..Options::default() };
        let (pool, route) = options.open(Dialer(Arc::clone(&server)), "app", Watch(Arc::clone(&server)));
        // The tasks of the pool come first.
        settle().await;
        let began = Instant::now();
        drop(pool.checkout(route, Checkout::new()).await.unwrap());
        assert!(began.elapsed() <= Duration::from_millis(100), "{:?}", began.elapsed());
        eventually("all that there is room for are open", || pool.totals().idle == 10).await;
        assert_eq!(server.connects_begun(), 10);
    }
}
