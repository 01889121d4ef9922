//! Servers and connectors that fail, hang and panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use pool::{
    Checkout, CheckoutError, ClassId, CloseReason, ConnectFailure, ConnectFault, Connector, Observer, Pool, RouteId,
    Settings,
};
use tokio::time::{Instant, sleep};

use crate::fake::{Dialer, Event, Play, Server, Watch, at_rest, equal, eventually, plain, pool};

/// Hazard H3 (bb8 0.9.1: two panics or hangs, and a pool of two is dead for good).
#[tokio::test(start_paused = true)]
async fn connects_that_panic_or_hang_do_not_cost_a_permit() {
    for fault in [Play::Panic, Play::Hang, Play::Refuse(ConnectFailure::Unavailable)] {
        let server = Server::new();
        server.play_connects([fault; 4]);
        let settings = Settings { connect_timeout: Duration::from_secs(1), ..plain(2) };
        let (pool, route) = pool(&server, settings);
        let patient = || Checkout::new().within(Duration::from_secs(60));
        let (a, b) = tokio::join!(pool.checkout(route, patient()), pool.checkout(route, patient()));
        assert_eq!(pool.totals().in_use, 2, "{fault:?}");
        drop((a, b));
        at_rest(&server, &pool).await;
        assert!(server.count(|event| *event == Event::OpenFailed(ConnectFailure::Unavailable)) >= 4);
    }
}

/// Hazard H3 (sqlx#4349): a peer that is silent when the connection is let go.
#[tokio::test(start_paused = true)]
async fn closes_that_panic_or_hang_free_their_permit() {
    for fault in [Play::Panic, Play::Hang] {
        let server = Server::new();
        server.play_closes([fault]);
        let settings = Settings { close_timeout: Duration::from_secs(1), ..plain(1) };
        let (pool, route) = pool(&server, settings);
        pool.checkout(route, Checkout::new()).await.unwrap().discard("the test wants a close");
        let began = Instant::now();
        drop(pool.checkout(route, Checkout::new()).await.unwrap());
        assert!(began.elapsed() <= Duration::from_millis(1_100), "{:?}", began.elapsed());
        assert_eq!(server.live_max.load(SeqCst), 1, "the permit is free only when the socket is closed");
        assert_eq!(server.closed_for(CloseReason::Unusable), 1);
        at_rest(&server, &pool).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_told_to_its_own_waiters_only() {
    let server = Server::new();
    let (pool, good) = pool(&server, plain(4));
    let bad = pool.add_route("intruder", equal());
    server.play_connects([Play::Refuse(ConnectFailure::LoginRefused)]);
    match pool.checkout(bad, Checkout::new()).await {
        Err(CheckoutError::LoginRefused(error)) => assert_eq!(error.to_string(), "refused by the script"),
        other => panic!("{other:?}"),
    }
    drop(pool.checkout(good, Checkout::new()).await.unwrap());
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_with_no_connection_left_lowers_the_budget_and_serves_on() {
    let server = Server::new();
    let (pool, route) = pool(&server, Settings { connect_concurrency: 1, ..plain(4) });
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    server.play_connects([Play::Refuse(ConnectFailure::TooManyConnections)]);
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.checkout(route, Checkout::new()).await }
    });
    eventually("the refusal", || pool.totals().effective_budget == 1).await;
    drop(lease);
    let lease = waiter.await.unwrap().unwrap();
    // The probe that follows succeeds.
    let second = pool.checkout(route, Checkout::new()).await.unwrap();
    drop((lease, second));
    assert!(pool.totals().effective_budget >= 2);
    at_rest(&server, &pool).await;
}

/// Hazard H15 (sqlx#2276): a timeout that does not say why.
#[tokio::test(start_paused = true)]
async fn a_timeout_tells_its_cause() {
    let server = Server::new();
    server.play_connects([Play::Refuse(ConnectFailure::Unavailable); 100]);
    let (pool, route) = pool(&server, plain(3));
    let impatient = Checkout::new().within(Duration::from_millis(200));
    let error = pool.checkout(route, impatient).await.map(drop).unwrap_err();
    let CheckoutError::Timeout(timeout) = &error else { panic!("{error:?}") };
    assert!((200..=202).contains(&timeout.waited.as_millis()), "{:?}", timeout.waited);
    assert_eq!((timeout.queue_position, timeout.in_use, timeout.budget), (1, 0, 3));
    assert!(matches!(&timeout.last_connect_error, Some(ConnectFault::Failed { .. })));
    assert!(error.to_string().ends_with("the last connect failed: refused by the script"), "{error}");
    assert_eq!(server.count(|event| matches!(event, Event::TimedOut(_))), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_in_a_busy_pool_tells_what_is_busy() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(1));
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    let patient = pool.start_checkout(route, Checkout::new());
    let error = pool.checkout(route, Checkout::new().within(Duration::from_millis(50))).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("1 of 1 were in use, the request was number 2 in its queue"), "{error}");
    assert!(error.to_string().contains("raise the budget"), "{error}");
    drop((patient, lease));
}

/// Hazard H7 (windmill#10823): a session that is not clean never serves again.
#[tokio::test(start_paused = true)]
async fn a_dirty_connection_is_closed() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(2));
    let mut lease = pool.checkout(route, Checkout::new()).await.unwrap();
    let serial = lease.serial;
    lease.clean = false;
    drop(lease);
    assert_ne!(pool.checkout(route, Checkout::new()).await.unwrap().serial, serial);
    eventually("the close", || server.closed_for(CloseReason::Unusable) == 1).await;
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_as_judge_loses_the_connection_only() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(1));
    let mut lease = pool.checkout(route, Checkout::new()).await.unwrap();
    lease.judge_panics = true;
    drop(lease);
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    assert_eq!(server.connects_begun(), 2);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_panics_leaves_no_half_used_connection_behind() {
    let server = Server::new();
    let (pool, route) = pool(&server, plain(1));
    let task = tokio::spawn({
        let pool = pool.clone();
        async move {
            let _lease = pool.checkout(route, Checkout::new()).await.unwrap();
            panic!("as the test wants");
        }
    });
    assert!(task.await.is_err());
    drop(pool.checkout(route, Checkout::new()).await.unwrap());
    assert_eq!(server.connects_begun(), 2);
    at_rest(&server, &pool).await;
}

/// Calls back into the pool from everywhere.
struct Meddler {
    pool: Arc<std::sync::OnceLock<Pool<Dialer>>>,
    calls: Arc<AtomicUsize>,
}

impl Observer for Meddler {
    fn on_open(&self, _: RouteId, _: ClassId, _: pool::ConnId, _: Duration) {
        self.meddle();
    }
    fn on_close(&self, _: RouteId, _: pool::ConnId, _: CloseReason, _: Duration, _: u64) {
        self.meddle();
    }
    fn on_lease(&self, _: RouteId, _: ClassId, _: Duration) {
        self.meddle();
    }
    fn on_return(&self, _: RouteId, _: ClassId, _: Duration) {
        self.meddle();
    }
}

impl Meddler {
    fn meddle(&self) {
        self.calls.fetch_add(1, SeqCst);
        if let Some(pool) = self.pool.get() {
            let _ = pool.snapshot();
        }
    }
}

/// Hazard H10 (bb8#154): foreign code that comes back to the pool finds its lock taken.
#[tokio::test(start_paused = true)]
async fn foreign_code_may_call_the_pool_from_anywhere() {
    let server = Server::new();
    let known = Arc::new(std::sync::OnceLock::new());
    let calls = Arc::new(AtomicUsize::new(0));
    let meddler = Meddler { pool: Arc::clone(&known), calls: Arc::clone(&calls) };
    let pool = Pool::new(Dialer(Arc::clone(&server)), plain(1), meddler);
    let route = pool.add_route("app", equal());
    let _ = known.set(pool.clone());
    let (for_drop, in_drop) = (pool.clone(), Arc::clone(&calls));
    *server.on_drop.lock().unwrap() = Some(Box::new(move || {
        let _ = for_drop.totals();
        in_drop.fetch_add(100, SeqCst);
    }));
    let lease = pool.checkout(route, Checkout::new()).await.unwrap();
    let waiter = pool.start_checkout(route, Checkout::new());
    lease.discard("the test wants a close");
    drop(waiter.await.unwrap());
    eventually("open, lease, return, close, open, lease, return, and one drop", || calls.load(SeqCst) == 107).await;
}

/// Panics when told of a leak.
struct Grumbler;

impl Observer for Grumbler {
    fn on_leak(&self, _: &pool::Overdue) {
        panic!("as the test wants");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_does_not_stop_the_keeper() {
    let server = Server::new();
    let settings = Settings {
        leak_timeout: Some(Duration::from_secs(1)),
        maintenance_interval: Duration::from_secs(1),
        ..plain(1)
    };
    let pool = Pool::new(Dialer(Arc::clone(&server)), settings, Grumbler);
    let route = pool.add_route("app", equal());
    let _lease = pool.checkout(route, Checkout::new()).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    let late = pool.checkout(route, Checkout::new().within(Duration::from_secs(1))).await;
    assert!(matches!(late, Err(CheckoutError::Timeout(_))), "only the keeper ends a wait");
}

/// Hazard H13 (golang#57248): a burst that connects all at once.
#[tokio::test(start_paused = true)]
async fn connects_under_way_are_limited() {
    let server = Server::taking(Duration::from_millis(20));
    let (pool, route) = pool(&server, Settings { connect_concurrency: 3, ..plain(30) });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let lease = pool.checkout(route, Checkout::new()).await.unwrap();
            sleep(Duration::from_millis(50)).await;
            drop(lease);
        });
    }
    tasks.join_all().await;
    assert_eq!(server.connecting_max.load(SeqCst), 3);
    at_rest(&server, &pool).await;
}

/// Hazard H12 (sqlx#1799): a lease that outlives its runtime.
#[test]
fn a_lease_may_be_dropped_without_a_runtime() {
    let server = Server::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (pool, kept, dirty, pending) = runtime.block_on(async {
        let (pool, route) = pool(&server, plain(2));
        let kept = pool.checkout(route, Checkout::new()).await.unwrap();
        let mut dirty = pool.checkout(route, Checkout::new()).await.unwrap();
        dirty.clean = false;
        let pending = pool.start_checkout(route, Checkout::new());
        (pool, kept, dirty, pending)
    });
    drop(runtime);
    drop(dirty);
    drop(kept);
    drop(pending);
    // Whoever comes with a runtime starts what was left.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let route = pool.snapshot().routes[0].0;
    runtime.block_on(async {
        let leases = (pool.checkout(route, Checkout::new()).await, pool.checkout(route, Checkout::new()).await);
        assert!(leases.0.is_ok() && leases.1.is_ok());
    });
    assert_eq!(server.live_max.load(SeqCst), 2);
}

/// A connect that is cut off by the end of its runtime counts as failed.
#[test]
fn a_connect_whose_runtime_ends_gives_its_permit_back() {
    let server = Server::new();
    let own = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pool =
        Pool::with_runtime(Dialer(Arc::clone(&server)), plain(1), Watch(Arc::clone(&server)), own.handle().clone());
    let route = pool.add_route("app", equal());
    let callers = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    server.play_connects([Play::Hang]);
    let pending = callers.block_on(async {
        let pending = pool.start_checkout(route, Checkout::new().within(Duration::from_secs(20)));
        tokio::task::yield_now().await;
        [pending]
    });
    assert_eq!(server.connects_begun(), 1);
    drop(callers);
    own.block_on(async {
        let [pending] = pending;
        drop(pending.await.unwrap());
    });
    assert_eq!(server.count(|event| *event == Event::OpenFailed(ConnectFailure::Unavailable)), 1);
}

/// The connector's trait has a default for connectors without session state.
#[test]
fn connectors_without_session_state_need_not_speak_of_it() {
    struct Bare;
    impl Connector for Bare {
        type Connection = ();
        type Route = ();
        type Error = std::io::Error;
        async fn connect(&self, _: &Arc<()>) -> Result<(), pool::ConnectError<std::io::Error>> {
            Ok(())
        }
        fn is_reusable(&self, (): &mut ()) -> bool {
            true
        }
        async fn validate(&self, (): &mut ()) -> Result<(), std::io::Error> {
            Ok(())
        }
        async fn close(&self, (): (), _: CloseReason) {}
    }
    assert_eq!(Bare.state(&()), pool::StateKey::default());
}

/// Beside one that waits at the limit of its own user, and one whose user another route has used up.
#[tokio::test(start_paused = true)]
async fn a_users_limit_lowers_the_budget_only_where_others_have_to_give_something_back() {
    for (idle, budget_left) in [("other/shop", 4), ("small/shop", 1)] {
        let server = Server::new();
        let pool = Pool::new(Dialer(Arc::clone(&server)), plain(4), Watch(Arc::clone(&server)));
        let [idle, small] = [idle, "small/orders"].map(|route| pool.add_route(route, equal()));
        assert_eq!(pool.warm(idle, 1).await, 1);
        server.play_connects([Play::Refuse(ConnectFailure::TooManyForRoute)]);
        let waiter = pool.start_checkout(small, Checkout::new());
        let refused = || server.count(|event| *event == Event::OpenFailed(ConnectFailure::TooManyForRoute)) == 1;
        eventually("the refusal", refused).await;
        assert_eq!(pool.totals().effective_budget, budget_left);
        drop(waiter.await.expect("a slot that moves, or the probe"));
        at_rest(&server, &pool).await;
    }
}
