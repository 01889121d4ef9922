//! A server, a connector and an observer for tests. They count everything.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pool::{
    Account, ClassId, CloseReason, ConnId, ConnectError, ConnectFailure, Connector, Observer, Overdue, Pool, Realm,
    RouteId, RouteLimits, Settings, StateKey,
};
use tokio::time::{Instant, sleep};

/// How the server takes one call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Play {
    /// It works, after this long.
    After(Duration),
    Refuse(ConnectFailure),
    Hang,
    Panic,
}

impl Play {
    async fn run(self) -> Result<(), ConnectError<Refused>> {
        match self {
            Self::After(Duration::ZERO) => {}
            Self::After(time) => sleep(time).await,
            Self::Refuse(failure) => return Err(ConnectError { failure, source: Refused }),
            Self::Hang => std::future::pending().await,
            // A panic that does not print a stack for each of a storm's hundreds.
            Self::Panic => std::panic::resume_unwind(Box::new("as the script says")),
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("refused by the script")]
pub(crate) struct Refused;

/// The server as tests see it.
#[derive(Default)]
pub(crate) struct Server {
    /// How the next connects go; when it is empty, `connect_time` holds.
    pub(crate) connects: Mutex<VecDeque<Play>>,
    pub(crate) rekeys: Mutex<VecDeque<Play>>,
    pub(crate) validations: Mutex<VecDeque<Play>>,
    pub(crate) closes: Mutex<VecDeque<Play>>,
    pub(crate) connect_time: Mutex<Duration>,
    pub(crate) connects_begun: AtomicUsize,
    pub(crate) connecting: AtomicUsize,
    pub(crate) connecting_max: AtomicUsize,
    pub(crate) validated: AtomicUsize,
    /// Sockets open now, and at most.
    pub(crate) live: AtomicUsize,
    pub(crate) live_max: AtomicUsize,
    /// Credentials of each login, in order.
    pub(crate) logins: Mutex<Vec<&'static str>>,
    pub(crate) events: Mutex<Vec<Event>>,
    /// Called when a connection is dropped.
    pub(crate) on_drop: Mutex<Option<Box<dyn Fn() + Send>>>,
    next: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    Opened(ClassId),
    OpenFailed(ConnectFailure),
    Moved(Duration),
    MoveFailed(ConnectFailure),
    Closed { reason: CloseReason, age: Duration, uses: u64, at: Instant },
    Leased(Duration),
    Returned(Duration),
    ReturnedIn(ClassId),
    Leaked { line: u32, borrower: u64, held: Duration },
    TimedOut(Duration),
}

impl Server {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub(crate) fn taking(connect_time: Duration) -> Arc<Self> {
        let server = Self::new();
        *server.connect_time.lock().unwrap() = connect_time;
        server
    }

    pub(crate) fn play_connects(&self, plays: impl IntoIterator<Item = Play>) {
        self.connects.lock().unwrap().extend(plays);
    }

    pub(crate) fn play_rekeys(&self, plays: impl IntoIterator<Item = Play>) {
        self.rekeys.lock().unwrap().extend(plays);
    }

    pub(crate) fn play_validations(&self, plays: impl IntoIterator<Item = Play>) {
        self.validations.lock().unwrap().extend(plays);
    }

    pub(crate) fn play_closes(&self, plays: impl IntoIterator<Item = Play>) {
        self.closes.lock().unwrap().extend(plays);
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(SeqCst)
    }

    pub(crate) fn connects_begun(&self) -> usize {
        self.connects_begun.load(SeqCst)
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }

    pub(crate) fn moved(&self) -> usize {
        self.count(|event| matches!(event, Event::Moved(_)))
    }

    pub(crate) fn closed_for(&self, wanted: CloseReason) -> usize {
        self.count(|event| matches!(event, Event::Closed { reason, .. } if *reason == wanted))
    }

    fn next_connect(&self) -> Play {
        let scripted = self.connects.lock().unwrap().pop_front();
        scripted.unwrap_or_else(|| Play::After(*self.connect_time.lock().unwrap()))
    }

    fn tell(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }
}

/// One socket. It counts itself.
pub(crate) struct Socket {
    pub(crate) serial: u64,
    /// Whom the server takes it for.
    pub(crate) user: &'static str,
    pub(crate) clean: bool,
    pub(crate) judge_panics: bool,
    /// Whether it must be tested when it comes back.
    pub(crate) unsettled: bool,
    pub(crate) state: StateKey,
    /// Set while one holder works on it: nobody else may.
    pub(crate) busy: AtomicBool,
    server: Arc<Server>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.server.live.fetch_sub(1, SeqCst);
        if let Some(on_drop) = &*self.server.on_drop.lock().unwrap() {
            on_drop();
        }
    }
}

pub(crate) struct Dialer(pub(crate) Arc<Server>);

/// Counts connects under way, whatever becomes of them.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Connections can be re-keyed among the users whose names are alike behind an `@`.
impl Connector for Dialer {
    type Connection = Socket;
    type Route = &'static str;
    type Error = Refused;

    async fn connect(&self, route: &Arc<&'static str>) -> Result<Socket, ConnectError<Refused>> {
        let server = &self.0;
        server.connects_begun.fetch_add(1, SeqCst);
        let now = server.connecting.fetch_add(1, SeqCst) + 1;
        server.connecting_max.fetch_max(now, SeqCst);
        let under_way = UnderWay(&server.connecting);
        let play = server.next_connect();
        play.run().await?;
        drop(under_way);
        server.logins.lock().unwrap().push(**route);
        let live = server.live.fetch_add(1, SeqCst) + 1;
        server.live_max.fetch_max(live, SeqCst);
        Ok(Socket {
            serial: server.next.fetch_add(1, SeqCst),
            user: **route,
            clean: true,
            judge_panics: false,
            unsettled: false,
            state: StateKey::default(),
            busy: AtomicBool::new(false),
            server: Arc::clone(server),
        })
    }

    fn realm(&self, route: &&'static str) -> Option<Realm> {
        route.split_once('@').map(|(_, realm)| Realm(realm.parse().unwrap()))
    }

    /// What is before a slash is the user.
    fn account(&self, route: &&'static str) -> Option<Account> {
        route.split('/').next().map(Account::of)
    }

    async fn rekey(&self, socket: &mut Socket, to: &Arc<&'static str>) -> Result<(), ConnectError<Refused>> {
        // From here on nobody can tell whose it is, until it has come through.
        socket.user = "nobody";
        let play = self.0.rekeys.lock().unwrap().pop_front();
        play.unwrap_or(Play::After(Duration::ZERO)).run().await?;
        (socket.user, socket.state) = (**to, StateKey::default());
        Ok(())
    }

    fn is_reusable(&self, socket: &mut Socket) -> bool {
        assert!(!socket.judge_panics, "as the test says");
        socket.clean
    }

    fn state(&self, socket: &Socket) -> StateKey {
        socket.state
    }

    fn must_settle(&self, socket: &Socket) -> bool {
        socket.unsettled
    }

    async fn validate(&self, socket: &mut Socket) -> Result<(), Refused> {
        let play = self.0.validations.lock().unwrap().pop_front();
        let verdict = play.unwrap_or(Play::After(Duration::ZERO)).run().await.map_err(|error| error.source);
        self.0.validated.fetch_add(1, SeqCst);
        socket.unsettled = false;
        verdict
    }

    async fn close(&self, socket: Socket, _: CloseReason) {
        let play = self.0.closes.lock().unwrap().pop_front();
        let _ = play.unwrap_or(Play::After(Duration::ZERO)).run().await;
        drop(socket);
    }
}

pub(crate) struct Watch(pub(crate) Arc<Server>);

impl Observer for Watch {
    fn on_open(&self, _: RouteId, class: ClassId, _: ConnId, _: Duration) {
        self.0.tell(Event::Opened(class));
    }
    fn on_open_failed(&self, _: RouteId, failure: ConnectFailure, _: &dyn Error) {
        self.0.tell(Event::OpenFailed(failure));
    }
    fn on_move(&self, from: RouteId, to: RouteId, _: ConnId, took: Duration) {
        assert_ne!(from, to);
        self.0.tell(Event::Moved(took));
    }
    fn on_move_failed(&self, from: RouteId, to: RouteId, failure: ConnectFailure, _: &dyn Error) {
        assert_ne!(from, to);
        self.0.tell(Event::MoveFailed(failure));
    }
    fn on_close(&self, _: RouteId, _: ConnId, reason: CloseReason, age: Duration, uses: u64) {
        self.0.tell(Event::Closed { reason, age, uses, at: Instant::now() });
    }
    fn on_lease(&self, _: RouteId, _: ClassId, waited: Duration) {
        self.0.tell(Event::Leased(waited));
    }
    fn on_return(&self, _: RouteId, class: ClassId, held: Duration) {
        self.0.tell(Event::Returned(held));
        self.0.tell(Event::ReturnedIn(class));
    }
    fn on_leak(&self, leak: &Overdue) {
        self.0.tell(Event::Leaked { line: leak.place.line(), borrower: leak.borrower, held: leak.held });
    }
    fn on_timeout(&self, _: RouteId, waited: Duration) {
        self.0.tell(Event::TimedOut(waited));
    }
}

/// Settings that do nothing by themselves.
pub(crate) fn plain(budget: u32) -> Settings {
    Settings {
        budget,
        test_on_checkout: None,
        test_while_idle: None,
        max_lifetime: None,
        idle_timeout: None,
        ..Settings::default()
    }
}

/// What holds for a route by default.
pub(crate) fn equal() -> RouteLimits {
    RouteLimits { class: ClassId::DEFAULT, weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None }
}

/// A pool with one route.
pub(crate) fn pool(server: &Arc<Server>, settings: Settings) -> (Pool<Dialer>, RouteId) {
    let pool = Pool::new(Dialer(Arc::clone(server)), settings, Watch(Arc::clone(server)));
    let route = pool.add_route("app", equal());
    (pool, route)
}

/// Lets every task run until nothing moves, on a paused clock.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(5)).await;
}

/// Waits until this holds; time is virtual or real.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("not within ten seconds: {what}");
}

/// Everything is back: nothing in use, nobody waits, no broken promise, and no socket that the pool does not know of.
pub(crate) async fn at_rest(server: &Server, pool: &Pool<Dialer>) {
    // One snapshot for all of it: where idle connections are tested, the pool is at rest for moments only.
    eventually("the pool is at rest, every socket has its permit and is idle", || {
        let snapshot = pool.snapshot();
        assert!(snapshot.faults.is_clean(), "{:?}", snapshot.faults);
        let totals = &snapshot.totals;
        totals.in_use + totals.connecting + totals.closing + totals.waiting == 0
            && snapshot.connections.len() == server.live()
            && totals.idle as usize == server.live()
    })
    .await;
}
