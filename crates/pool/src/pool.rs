//! The pool's handle.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use scheduler::{
    Admission, ClassId, ClassLimits, FOREVER, Home, OverLimit, Request, RouteId, RouteLimits, RouteView, StateKey,
    Time, Totals, TransactionLimit,
};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::checkout::{Checkout, Pending};
use crate::connector::Connector;
use crate::error::CheckoutError;
use crate::keeper::keep;
use crate::lease::Lease;
use crate::ledger::{Answer, Ledger, Life, Target};
use crate::observer::Observer;
use crate::settings::Settings;
use crate::shared::{Shared, Starter};
use crate::snapshot::Snapshot;
use crate::table::CallSite;
use crate::transaction::TransactionPermit;

/// A pool of connections to one server, shared by routes. A clone is another handle to the same pool.
///
/// When the last handle and the last lease are gone, idle connections are dropped without a goodbye; [`close`](Self::close)
/// says it.
pub struct Pool<C: Connector> {
    shared: Arc<Shared<C>>,
}

/// What came of [`Pool::close`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseReport {
    /// Connections closed, those that were in use at first included.
    pub closed: u64,
    /// Connections still in use or on the way when time was up. Each is closed when it comes back.
    pub abandoned: u32,
    /// How long it took.
    pub took: Duration,
}

impl<C: Connector> Pool<C> {
    /// An empty pool, on the runtime this is called on. It has no routes yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime; there, use [`with_runtime`](Self::with_runtime).
    #[must_use]
    pub fn new(connector: C, settings: Settings, observer: impl Observer) -> Self {
        Self::with_runtime(connector, settings, observer, Handle::current())
    }

    /// An empty pool on this runtime, which must have its time driver on.
    #[must_use]
    pub fn with_runtime(connector: C, settings: Settings, observer: impl Observer, runtime: Handle) -> Self {
        let ledger = Ledger::new(settings, seed(), Time::default());
        let epoch = Instant::now();
        let shared = Arc::new(Shared::new(connector, Box::new(observer), ledger, epoch, runtime));
        shared.runtime.spawn(keep(Arc::downgrade(&shared), Arc::clone(&shared.alarm)));
        Self { shared }
    }

    // ---- checkout

    /// Waits for a connection of this route. Dropping the future at any point loses nothing but the place in the queue.
    ///
    /// # Errors
    /// See [`CheckoutError`].
    pub async fn checkout(&self, route: RouteId, checkout: Checkout) -> Result<Lease<C>, CheckoutError<C::Error>> {
        self.start_checkout(route, checkout).await
    }

    /// The same as a future that can be held and polled by hand; it has its place in the queue from now on.
    pub fn start_checkout(&self, route: RouteId, checkout: Checkout) -> Pending<C> {
        let Checkout { state, home, deadline, place, borrower } = checkout;
        let site = CallSite { place, borrower };
        let deadline = deadline.map(|deadline| self.shared.time_of(deadline));
        let answer = self.shared.act(Starter::Caller(home), |ledger, now| {
            let deadline = deadline.unwrap_or_else(|| now.after(ledger.settings.checkout_timeout));
            ledger.attach(route, Request { state, home, deadline }, site, now)
        });
        match answer {
            Answer::Granted(granted) => {
                Pending::granted(Lease::observed(Arc::clone(&self.shared), granted, Duration::ZERO))
            }
            Answer::Waiting(place) => Pending::waiting(Arc::clone(&self.shared), place),
            Answer::Refused(refusal) => Pending::failed(refusal.into()),
        }
    }

    /// A connection if one can be had at once: idle, with no earlier waiter, and not due for a test.
    #[must_use]
    #[track_caller]
    pub fn try_checkout(&self, route: RouteId, state: StateKey, home: Home) -> Option<Lease<C>> {
        let site = CallSite { place: std::panic::Location::caller(), borrower: 0 };
        let granted = self.shared.act(Starter::Caller(home), |ledger, now| {
            ledger.try_attach(route, Request { state, home, deadline: now }, site, now)
        })?;
        Some(Lease::observed(Arc::clone(&self.shared), granted, Duration::ZERO))
    }

    // ---- routes

    /// Makes a route known; its `min_idle` connections are opened at once.
    pub fn add_route(&self, route: C::Route, limits: RouteLimits) -> RouteId {
        let realm = self.shared.connector.realm(&route);
        let account = self.shared.connector.account(&route);
        let target = Target { route: Arc::new(route), account, last_fault: None };
        self.act(|ledger, now| {
            let id = ledger.scheduler.add_route(limits, realm, now);
            ledger.targets.insert(id, target);
            id
        })
    }

    /// Makes a route known that differs from `of` in its class and limits only: connections are lent to either as caps allow,
    /// and a lease can be [transferred](crate::Lease::transfer). `None`: that route is not known (any more).
    pub fn add_sibling(&self, of: RouteId, limits: RouteLimits) -> Option<RouteId> {
        self.act(|ledger, now| {
            let Target { route, account, .. } = ledger.targets.get(&of)?;
            let target = Target { route: Arc::clone(route), account: *account, last_fault: None };
            let id = ledger.scheduler.add_sibling(of, limits, now)?;
            ledger.targets.insert(id, target);
            Some(id)
        })
    }

    /// Changes what holds for a route. An unknown one is ignored.
    pub fn set_route_limits(&self, route: RouteId, limits: RouteLimits) {
        self.act(|ledger, now| ledger.scheduler.set_route(route, limits, now));
    }

    /// Gives a route and its siblings new credentials: idle connections are closed now, those in use when they come back, and all
    /// connects from now on use these. An unknown route is ignored.
    pub fn replace_route(&self, route: RouteId, credentials: C::Route) {
        let (realm, account) = (self.shared.connector.realm(&credentials), self.shared.connector.account(&credentials));
        let credentials = Arc::new(credentials);
        let old = self.act(|ledger, now| {
            let siblings: Vec<RouteId> = ledger.scheduler.siblings(route).collect();
            let mut old = Vec::with_capacity(siblings.len());
            for sibling in siblings {
                if let Some(target) = ledger.targets.get_mut(&sibling) {
                    target.account = account;
                    old.push(std::mem::replace(&mut target.route, Arc::clone(&credentials)));
                }
                ledger.outdate(sibling, now);
            }
            ledger.scheduler.set_realm(route, realm, now);
            old
        });
        drop(old);
    }

    /// Removes a route: its waiters are told, its idle connections closed, those in use when they come back.
    pub fn remove_route(&self, route: RouteId) {
        let target = self.act(|ledger, now| {
            ledger.scheduler.remove_route(route, now);
            ledger.targets.remove(&route)
        });
        drop(target);
    }

    /// Opens connections of a route ahead of demand, once, until it has this many or one of them is closed. Returns at once; they
    /// take only slots that nobody else wants, so it may take a while. An unknown route is ignored.
    pub fn open_ahead(&self, route: RouteId, connections: u32) {
        self.act(|ledger, now| ledger.scheduler.open_ahead(route, connections, now));
    }

    /// Waits until up to this many connections of a route stand ready, at most for [`Settings::checkout_timeout`], and
    /// returns how many did. Meanwhile nobody else gets those that do.
    pub async fn warm(&self, route: RouteId, connections: u32) -> u32 {
        let pending: Vec<_> = (0..connections).map(|_| self.start_checkout(route, Checkout::new())).collect();
        let mut leases = Vec::new();
        for pending in pending {
            leases.extend(pending.await.ok());
        }
        u32::try_from(leases.len()).unwrap_or(u32::MAX)
    }

    // ---- control

    /// Changes the settings. No lease and no waiter is lost: a smaller budget closes connections as they come back.
    pub fn set_settings(&self, settings: Settings) {
        self.act(|ledger, now| {
            ledger.scheduler.set_limits(settings.limits(), now);
            ledger.scheduler.set_recycling(settings.recycling(), now);
            ledger.settings = settings;
        });
        // Rounds may have become due, or more frequent.
        self.shared.alarm.notify_one();
    }

    /// Sets what holds for a class.
    pub fn set_class(&self, class: ClassId, limits: ClassLimits) {
        self.act(|ledger, now| ledger.scheduler.set_class(class, limits, now));
    }

    /// Forgets a class and all that was counted in it, so that another one may have its number. Its routes go on in the default
    /// class, which itself is never forgotten.
    pub fn remove_class(&self, class: ClassId) {
        self.act(|ledger, now| ledger.scheduler.remove_class(class, now));
    }

    /// Sets how many transactions one party may have at once.
    pub fn set_transaction_limit(&self, limit: TransactionLimit) {
        self.shared.lock().limiter.set_limit(limit);
    }

    /// Lets a transaction of this party in, unless it has as many as [`TransactionLimit`] allows it of what its classes can
    /// hold at this moment. `None`: there is no limit. The permit is to be kept as long as the transaction.
    ///
    /// # Errors
    /// [`OverLimit`]: it has. Nobody waits for this.
    pub fn begin_transaction(&self, party: &Arc<str>) -> Result<Option<TransactionPermit<C>>, OverLimit> {
        let admission = {
            let ledger = &mut *self.shared.lock();
            let capacity = ledger.scheduler.capacity(ledger.limiter.limit().classes);
            ledger.limiter.begin(party, capacity)?
        };
        Ok(admission.map(|admission| self.permit(party, admission)))
    }

    /// The permit of a transaction that is open already, for nobody could tell before that it would be one: beyond the limit as
    /// well, which is counted ([`Refusals::exceeded`](crate::Refusals::exceeded)). `None`: there is no limit.
    pub fn join_transaction(&self, party: &Arc<str>) -> Option<TransactionPermit<C>> {
        let admission = {
            let ledger = &mut *self.shared.lock();
            let capacity = ledger.scheduler.capacity(ledger.limiter.limit().classes);
            ledger.limiter.join(party, capacity)
        };
        admission.map(|admission| self.permit(party, admission))
    }

    fn permit(&self, party: &Arc<str>, admission: Admission) -> TransactionPermit<C> {
        TransactionPermit::new(Arc::clone(&self.shared), Arc::clone(party), admission)
    }

    /// Lends nothing until [`resume`](Self::resume). Requests queue and keep their deadlines.
    pub fn pause(&self) {
        self.act(|ledger, now| ledger.scheduler.pause(now));
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.act(|ledger, now| ledger.scheduler.resume(now));
    }

    /// Replaces every connection: idle ones are closed now, those in use when they come back.
    pub fn reconnect(&self) {
        self.act(|ledger, now| ledger.scheduler.reconnect(now));
    }

    /// Closes the pool: nobody new is served, waiters are told, idle connections closed, and leases may end by
    /// themselves until the deadline. It returns when every permit is back, or then.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        let began = Instant::now();
        let closed_before = self.act(|ledger, now| {
            let before = ledger.scheduler.totals().closes.sum();
            ledger.life = Life::Draining;
            ledger.scheduler.drain(now);
            before
        });
        let until = began + deadline.min(FOREVER);
        loop {
            let emptied = self.shared.empty.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            let held = self.shared.lock().scheduler.held();
            if held == 0 || timeout_at(until, emptied).await.is_err() {
                break;
            }
        }
        let ledger = self.shared.lock();
        let (closed, abandoned) = (ledger.scheduler.totals().closes.sum() - closed_before, ledger.scheduler.held());
        CloseReport { closed, abandoned, took: began.elapsed() }
    }

    // ---- view

    /// Sums over all routes. Cheap.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.lock().scheduler.totals()
    }

    /// What one route holds and has had. Cheap.
    #[must_use]
    pub fn route(&self, route: RouteId) -> Option<RouteView> {
        self.shared.lock().scheduler.route(route)
    }

    /// Everything, as of one instant. It holds the lock for a time that grows with routes and connections.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = self.shared.now();
        self.shared.lock().snapshot(now)
    }

    /// The current settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.shared.lock().settings.clone()
    }

    fn act<R>(&self, section: impl FnOnce(&mut Ledger<C>, Time) -> R) -> R {
        self.shared.act(Starter::Caller(Home::default()), section)
    }
}

/// A seed for jitter: it must differ between pools and processes, and needs no other quality.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

impl<C: Connector> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C: Connector> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("totals", &self.totals()).finish_non_exhaustive()
    }
}
