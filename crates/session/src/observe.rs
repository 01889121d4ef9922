//! What the pool of a server tells, counted and logged: why every connection was opened and closed.

use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use meter::{Counter, Histogram};
use pool::{ClassId, CloseReason, ConnId, ConnectFailure, Observer, Overdue, RouteId};

use crate::{
    census::LastCensus,
    class_meters::{ClassMeters, MetersByClass},
    registry::{ClientEntry, Registry},
};

/// User and database of a route, as clients name them.
type RouteNames = (Arc<str>, Arc<str>);

/// What happens to the connections of one server.
#[derive(Debug)]
pub struct ServerMeters {
    server: Arc<str>,
    routes: Mutex<HashMap<RouteId, RouteNames>>,
    /// Connections opened: connect and login took this long.
    pub connect: Histogram,
    /// Connects that failed.
    pub connect_failures: Counter,
    /// Connections moved from one route to another by a new login, which took this long.
    pub rekey: Histogram,
    /// What the server said of how many it lets in.
    pub(crate) census: LastCensus,
    /// Leases that were out longer than `leak_timeout`.
    pub leaks: Counter,
    /// What is measured of each class.
    pub(crate) classes: MetersByClass,
    /// Connections closed, by reason.
    closed: Mutex<HashMap<CloseReason, u64>>,
    /// Whether there is a `leak_timeout`: then it is noted what clients ask.
    watches_leaks: AtomicBool,
    clients: Arc<Registry>,
}

impl ServerMeters {
    pub(crate) fn new(server: Arc<str>, clients: Arc<Registry>) -> Self {
        Self {
            server,
            routes: Mutex::default(),
            connect: Histogram::new(),
            connect_failures: Counter::new(),
            rekey: Histogram::new(),
            census: LastCensus::default(),
            leaks: Counter::new(),
            classes: MetersByClass::new(),
            closed: Mutex::default(),
            watches_leaks: AtomicBool::new(false),
            clients,
        }
    }

    /// From now on leaks are watched for, or not.
    pub(crate) fn watch_leaks(&self, watches: bool) {
        if self.watches_leaks.swap(watches, Relaxed) && !watches {
            // Those of other servers too: they tell again when they next ask something.
            self.clients.entries().iter().for_each(|client| client.forget_asked());
        }
    }

    /// This client, if it is to be noted what it asks.
    pub(crate) fn watched<'c>(&self, client: &'c ClientEntry) -> Option<&'c ClientEntry> {
        self.watches_leaks.load(Relaxed).then_some(client)
    }

    /// Connections closed so far, by reason.
    #[must_use]
    pub fn closed(&self) -> Vec<(CloseReason, u64)> {
        let mut closed: Vec<_> = self
            .closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(reason, n)| (*reason, *n))
            .collect();
        closed.sort_by_key(|(reason, _)| format!("{reason:?}"));
        closed
    }

    /// Connections that were opened and are not closed yet.
    pub(crate) fn open(&self) -> u32 {
        let closed: u64 = self.closed().iter().map(|(_, n)| n).sum();
        u32::try_from(self.connect.snapshot().count().saturating_sub(closed)).unwrap_or(u32::MAX)
    }

    /// What is measured of a class; `None`: the server has one class only.
    #[must_use]
    pub fn class(&self, class: ClassId) -> Option<&ClassMeters> {
        self.classes.get(class)
    }

    /// User and database of a route, as clients name them.
    #[must_use]
    pub fn route(&self, route: RouteId) -> Option<(Arc<str>, Arc<str>)> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).get(&route).cloned()
    }

    pub(crate) fn name_route(&self, route: RouteId, user: Arc<str>, database: Arc<str>) {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).insert(route, (user, database));
    }

    pub(crate) fn forget_route(&self, route: RouteId) {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).remove(&route);
    }

    fn names(&self, route: RouteId) -> (Arc<str>, Arc<str>) {
        self.route(route).unwrap_or_else(|| ("?".into(), "?".into()))
    }
}

/// The observer of one server's pool.
#[derive(Debug, Clone)]
pub(crate) struct Watch(pub(crate) Arc<ServerMeters>);

impl Observer for Watch {
    fn on_open(&self, route: RouteId, class: ClassId, conn: ConnId, took: Duration) {
        let (user, database) = self.0.names(route);
        self.0.connect.record(took);
        if let Some(meters) = self.0.classes.get(class) {
            meters.connect.record(took);
        }
        tracing::info!(server = %self.0.server, %user, %database, conn = conn.index(), ?took, "server connection opened");
    }

    fn on_open_failed(&self, route: RouteId, failure: ConnectFailure, error: &dyn Error) {
        let (user, database) = self.0.names(route);
        self.0.connect_failures.inc();
        tracing::warn!(server = %self.0.server, %user, %database, ?failure, %error, "server connection not opened");
    }

    fn on_move(&self, from: RouteId, to: RouteId, conn: ConnId, took: Duration) {
        let ((from_user, from_database), (user, database)) = (self.0.names(from), self.0.names(to));
        self.0.rekey.record(took);
        tracing::debug!(
            server = %self.0.server, %user, %database, conn = conn.index(), %from_user, %from_database, ?took,
            "server connection moved"
        );
    }

    fn on_move_failed(&self, from: RouteId, to: RouteId, failure: ConnectFailure, error: &dyn Error) {
        let ((from_user, from_database), (user, database)) = (self.0.names(from), self.0.names(to));
        tracing::warn!(
            server = %self.0.server, %user, %database, %from_user, %from_database, ?failure, %error,
            "server connection not moved; it is closed"
        );
    }

    fn on_close(&self, route: RouteId, conn: ConnId, reason: CloseReason, age: Duration, uses: u64) {
        let (user, database) = self.0.names(route);
        *self.0.closed.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_insert(0) += 1;
        let conn = conn.index();
        tracing::info!(server = %self.0.server, %user, %database, conn, ?reason, ?age, uses, "server connection closed");
    }

    fn on_lease(&self, _: RouteId, class: ClassId, waited: Duration) {
        if let Some(meters) = self.0.classes.get(class) {
            meters.wait.record(waited);
        }
    }

    fn on_return(&self, _: RouteId, class: ClassId, held: Duration) {
        if let Some(meters) = self.0.classes.get(class) {
            meters.hold.record(held);
        }
    }

    fn on_leak(&self, leak: &Overdue) {
        let Overdue { route, conn, borrower, held, .. } = *leak;
        let (user, database) = self.0.names(route);
        self.0.leaks.inc();
        let client = self.0.clients.find_whole_number(borrower);
        let peer = client.as_ref().map(|client| client.peer.to_string());
        let asked = client.as_ref().and_then(|client| client.asked());
        let pin = client.as_ref().and_then(|client| client.pin()).map(|pin| pin.to_string());
        let process = client.as_ref().and_then(|client| client.server_process());
        tracing::warn!(
            server = %self.0.server, %user, %database, client = borrower, peer, conn = conn.index(), process, ?held,
            pin, asked = asked.as_deref(),
            "server connection held for long"
        );
    }
}
