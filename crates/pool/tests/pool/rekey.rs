//! Connections that change hands alive.

use std::sync::Arc;
use std::time::Duration;

use pool::{
    Activity, Checkout, CheckoutError, CloseReason, ConnectError, ConnectFailure, Connector, Moves, Pool, Realm,
    RouteId, Settings,
};
use tokio::time::{Instant, sleep};

use crate::fake::{Dialer, Event, Play, Refused, Server, Watch, at_rest, equal, eventually, plain, settle};

const AFTER_100_MS: Play = Play::After(Duration::from_millis(100));

/// A pool with two routes, the first of which has all of the budget, idle.
async fn rich_and_poor(server: &Arc<Server>, settings: Settings, poor: &'static str) -> (Pool<Dialer>, [RouteId; 2]) {
    let budget = settings.budget;
    let pool = Pool::new(Dialer(Arc::clone(server)), settings, Watch(Arc::clone(server)));
    let routes = [pool.add_route("ada@0", equal()), pool.add_route(poor, equal())];
    assert_eq!(pool.warm(routes[0], budget).await, budget);
    (pool, routes)
}

#[tokio::test(start_paused = true)]
async fn a_connection_moves_alive_and_serves_as_its_new_user() {
    let server = Server::new();
    let (pool, [ada, bob]) = rich_and_poor(&server, plain(2), "bob@0").await;
    server.play_rekeys([Play::After(Duration::from_millis(3))]);
    let lease = pool.checkout(bob, Checkout::new()).await.unwrap();
    assert_eq!((lease.user, lease.route()), ("bob@0", bob));
    let totals = pool.totals();
    assert_eq!((totals.rekeys, totals.rekey_failures, totals.moves, totals.opens), (1, 0, 1, 2));
    assert_eq!((server.connects_begun(), server.live(), server.moved()), (2, 2, 1));
    let took = |event: &Event| matches!(event, Event::Moved(took) if (3..=4).contains(&took.as_millis()));
    assert_eq!(server.count(took), 1);
    let view = pool.route(bob).unwrap();
    assert_eq!((view.rekeys, view.in_use, pool.route(ada).unwrap().idle), (1, 1, 1));
    let snapshot = pool.snapshot();
    let moved = snapshot.connections.iter().find(|view| view.id == lease.id()).unwrap();
    assert_eq!((moved.route, moved.uses), (bob, 2), "lent once by each route");
    drop(lease);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn connections_stay_in_their_realm() {
    for (moves, poor) in [(Moves::Rekey, "bob@1"), (Moves::Rekey, "bob"), (Moves::Reconnect, "bob@0")] {
        let server = Server::new();
        let (pool, [_, bob]) = rich_and_poor(&server, Settings { moves, ..plain(2) }, poor).await;
        assert_eq!(pool.checkout(bob, Checkout::new()).await.unwrap().user, poor);
        assert_eq!((server.moved(), server.closed_for(CloseReason::Reclaimed)), (0, 1), "{moves:?} {poor}");
        at_rest(&server, &pool).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_under_way_is_nobodys_and_counts_as_the_new_routes() {
    let server = Server::new();
    let (pool, [ada, bob]) = rich_and_poor(&server, plain(1), "bob@0").await;
    server.play_rekeys([AFTER_100_MS]);
    let waiter = pool.start_checkout(bob, Checkout::new());
    settle().await;
    assert!(pool.try_checkout(ada, Default::default(), Default::default()).is_none());
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.totals.connecting, snapshot.totals.rekeying, snapshot.totals.idle), (1, 1, 0));
    assert_eq!(snapshot.connections[0].activity, Activity::Connecting);
    assert_eq!(snapshot.connections[0].route, bob);
    drop(waiter.await.unwrap());
    at_rest(&server, &pool).await;
}

/// Hazard H3, for this way of failing.
#[tokio::test(start_paused = true)]
async fn rekeys_that_fail_hang_or_panic_cost_a_connection_and_not_a_permit() {
    let faults = [
        Play::Panic,
        Play::Hang,
        Play::Refuse(ConnectFailure::Unavailable),
        Play::Refuse(ConnectFailure::TooManyConnections),
    ];
    for fault in faults {
        let server = Server::new();
        let settings = Settings { connect_timeout: Duration::from_secs(1), ..plain(2) };
        let (pool, [_, bob]) = rich_and_poor(&server, settings, "bob@0").await;
        server.play_rekeys([fault]);
        let began = Instant::now();
        let lease = pool.checkout(bob, Checkout::new()).await.unwrap();
        assert!(began.elapsed() <= Duration::from_millis(1_010), "{fault:?}: no back-off of connects");
        assert_eq!((lease.user, lease.serial), ("bob@0", 2), "by a connect in its place");
        assert_eq!(server.closed_for(CloseReason::RekeyFailed), 1, "{fault:?}");
        assert_eq!(server.count(|event| matches!(event, Event::MoveFailed(_))), 1);
        let totals = pool.totals();
        assert_eq!((totals.rekeys, totals.rekey_failures, totals.effective_budget), (0, 1, 2), "{fault:?}");
        drop(lease);
        at_rest(&server, &pool).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_refused_on_a_live_connection_is_told_to_its_own_waiters_only() {
    let server = Server::new();
    let (pool, [ada, bob]) = rich_and_poor(&server, plain(2), "bob@0").await;
    server.play_rekeys([Play::Refuse(ConnectFailure::LoginRefused)]);
    match pool.checkout(bob, Checkout::new()).await {
        Err(CheckoutError::LoginRefused(error)) => assert_eq!(error.to_string(), "refused by the script"),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.totals().unanswered, 0, "the server is well");
    assert_eq!(pool.checkout(ada, Checkout::new()).await.unwrap().user, "ada@0");
    assert_eq!(server.closed_for(CloseReason::RekeyFailed), 1);
    // The first back-off of a refused login is 50 ms at most.
    sleep(Duration::from_millis(60)).await;
    assert_eq!(pool.checkout(bob, Checkout::new()).await.unwrap().user, "bob@0");
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_meanwhile_loses_nothing() {
    for fault in [AFTER_100_MS, Play::Hang] {
        let server = Server::new();
        let settings = Settings { connect_timeout: Duration::from_millis(200), ..plain(1) };
        let (pool, [_, bob]) = rich_and_poor(&server, settings, "bob@0").await;
        server.play_rekeys([fault]);
        let waiter = pool.start_checkout(bob, Checkout::new());
        settle().await;
        drop(waiter);
        at_rest(&server, &pool).await;
        assert_eq!(pool.checkout(bob, Checkout::new()).await.unwrap().user, "bob@0");
        at_rest(&server, &pool).await;
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_change_meanwhile_are_used_before_anyone_is_served_for_long() {
    let server = Server::new();
    let (pool, [_, bob]) = rich_and_poor(&server, plain(1), "bob@0").await;
    server.play_rekeys([AFTER_100_MS]);
    let waiter = pool.start_checkout(bob, Checkout::new());
    settle().await;
    pool.replace_route(bob, "bob-rotated@0");
    // Who waited may be served by the login that was under way, as with a connect; nobody after.
    drop(waiter.await.unwrap());
    eventually("the close", || server.closed_for(CloseReason::Reconnect) == 1).await;
    assert_eq!(pool.checkout(bob, Checkout::new()).await.unwrap().user, "bob-rotated@0");
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_route_with_new_credentials_may_be_in_another_realm() {
    let server = Server::new();
    let (pool, [_, bob]) = rich_and_poor(&server, plain(1), "bob@0").await;
    pool.replace_route(bob, "bob@1");
    assert_eq!(pool.checkout(bob, Checkout::new()).await.unwrap().user, "bob@1");
    assert_eq!((server.moved(), server.connects_begun()), (0, 2));
    pool.replace_route(bob, "bob@0");
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_route_removed_meanwhile_gets_no_connection() {
    let server = Server::new();
    let (pool, [ada, bob]) = rich_and_poor(&server, plain(1), "bob@0").await;
    server.play_rekeys([AFTER_100_MS]);
    let waiter = pool.start_checkout(bob, Checkout::new());
    settle().await;
    pool.remove_route(bob);
    assert!(matches!(waiter.await, Err(CheckoutError::RouteGone)));
    eventually("the close", || server.closed_for(CloseReason::Shrunk) == 1).await;
    assert_eq!(pool.checkout(ada, Checkout::new()).await.unwrap().user, "ada@0");
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_closes_waits_for_rekeys_under_way() {
    let server = Server::new();
    let (pool, [_, bob]) = rich_and_poor(&server, plain(1), "bob@0").await;
    server.play_rekeys([AFTER_100_MS]);
    let waiter = pool.start_checkout(bob, Checkout::new());
    settle().await;
    let report = pool.close(Duration::from_secs(1)).await;
    assert_eq!((report.closed, report.abandoned, server.live()), (1, 0, 0));
    assert!(matches!(waiter.await, Err(CheckoutError::Closing)));
}

/// A re-key that is cut off by the end of its runtime counts as failed.
#[test]
fn a_rekey_whose_runtime_ends_gives_its_permit_back() {
    let server = Server::new();
    let own = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let at_once = Settings { retention_connects: 0, ..plain(1) };
    let (pool, [_, bob]) = own.block_on(rich_and_poor(&server, at_once, "bob@0"));
    let callers = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    server.play_rekeys([Play::Hang]);
    let pending = callers.block_on(async {
        let pending = pool.start_checkout(bob, Checkout::new().within(Duration::from_secs(20)));
        tokio::task::yield_now().await;
        [pending]
    });
    assert_eq!(pool.totals().rekeying, 1);
    drop(callers);
    own.block_on(async {
        let [pending] = pending;
        assert_eq!(pending.await.unwrap().user, "bob@0");
    });
    assert_eq!(server.count(|event| *event == Event::MoveFailed(ConnectFailure::Unavailable)), 1);
}

/// Names a realm and forgets to say how connections are re-keyed in it.
struct Forgetful;

impl Connector for Forgetful {
    type Connection = &'static str;
    type Route = &'static str;
    type Error = Refused;

    async fn connect(&self, user: &Arc<&'static str>) -> Result<&'static str, ConnectError<Refused>> {
        Ok(**user)
    }
    fn realm(&self, _: &&'static str) -> Option<Realm> {
        Some(Realm(0))
    }
    fn is_reusable(&self, _: &mut &'static str) -> bool {
        true
    }
    async fn validate(&self, _: &mut &'static str) -> Result<(), Refused> {
        Ok(())
    }
    async fn close(&self, _: &'static str, _: CloseReason) {}
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_cannot_do_what_it_promised_serves_by_connects() {
    let pool = Pool::new(Forgetful, plain(1), ());
    let (ada, bob) = (pool.add_route("ada", equal()), pool.add_route("bob", equal()));
    drop(pool.checkout(ada, Checkout::new()).await.unwrap());
    assert_eq!(*pool.checkout(bob, Checkout::new()).await.unwrap(), "bob");
    assert_eq!(pool.totals().rekey_failures, 1);
}
