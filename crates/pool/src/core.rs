//! Everything under the pool's one lock: the scheduler, the connections, the waiters, and the work decided on.
//!
//! Nothing here waits, spawns, wakes or calls foreign code. A critical section changes the state, then
//! [`Core::carry_out`] turns the scheduler's decisions into outcomes for waiters and [`Job`]s for tasks; what must
//! happen outside the lock comes out as [`FollowUp`].

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use scheduler::{
    Attach, CloseReason, ConnId, ConnectFailure, Decision, Detach, ExpireReason, Home, Refusal, Request, RouteId,
    Scheduler, StateKey, Ticket, Time,
};

use crate::connector::Connector;
use crate::error::{CheckoutError, ConnectFault, Timeout};
use crate::handoff::{Left, Place, Places};
use crate::settings::Settings;
use crate::table::{CallSite, Entry, Leak, Login, Phase, Table};

/// The state behind the lock.
pub(crate) struct Core<C: Connector> {
    pub(crate) scheduler: Scheduler,
    pub(crate) settings: Settings,
    pub(crate) life: Life,
    pub(crate) table: Table<C::Connection>,
    pub(crate) targets: HashMap<RouteId, Target<C>>,
    pub(crate) places: Places<Waiter, Outcome<C>>,
    /// The place of each ticket, by its index.
    tickets: Vec<Option<Place>>,
    /// Work for tasks. Each job holds a permit, so there are never more than permits.
    pub(crate) jobs: VecDeque<Job<C>>,
    /// When the keeper will next look by itself.
    pub(crate) alarm: Time,
    after: FollowUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Serving,
    Draining,
}

/// Where a route's connects go, and how they fared.
pub(crate) struct Target<C: Connector> {
    pub(crate) route: Arc<C::Route>,
    /// Why the last connect failed, if none succeeded since.
    pub(crate) last_fault: Option<ConnectFault<C::Error>>,
    /// What the server said when it last refused a login.
    pub(crate) refusal: Option<Arc<C::Error>>,
}

/// Who waits.
pub(crate) struct Waiter {
    pub(crate) route: RouteId,
    pub(crate) since: Time,
    request: Request,
    site: CallSite,
    /// Its place in its route's queue when it began to wait; 1 is the head.
    position: u32,
    stage: Stage,
}

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its turn.
    Queued(Ticket),
    /// The validation of the connection meant for it.
    Tested,
}

/// What a waiter gets.
pub(crate) enum Outcome<C: Connector> {
    Granted(Granted<C>),
    Denied(Box<CheckoutError<C::Error>>),
}

/// A connection in use, on its way to whoever asked for it. Whoever holds it gives it back.
pub(crate) struct Granted<C: Connector> {
    pub(crate) conn: ConnId,
    pub(crate) route: RouteId,
    pub(crate) connection: Box<C::Connection>,
    pub(crate) since: Time,
}

/// The immediate answer to a request.
pub(crate) enum Answer<C: Connector> {
    Granted(Granted<C>),
    Waiting(Place),
    Refused(Refusal),
}

/// Work for a task.
pub(crate) enum Job<C: Connector> {
    Connect { conn: ConnId, route: RouteId, target: Arc<C::Route> },
    Test { conn: ConnId, connection: Box<C::Connection>, then: Then, limit: Duration },
    Close { conn: ConnId, connection: Box<C::Connection>, reason: CloseReason },
}

/// What becomes of a connection that passed its test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It goes to this waiter.
    Deliver(Place),
    /// It goes back.
    GiveBack,
}

/// What becomes of a connection that is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may serve again; its session state is this.
    Keep(StateKey),
    /// It is closed.
    Close(CloseReason),
}

/// A connect that succeeded.
pub(crate) struct Connected<E> {
    pub(crate) took: Duration,
    /// Why the one before it failed: no longer true, and dropped outside the lock.
    pub(crate) mended: Option<ConnectFault<E>>,
}

/// What a critical section leaves to be done outside the lock.
#[derive(Default)]
pub(crate) struct FollowUp {
    /// A waiter with an outcome. There is nearly always one at most; the second part allocates only when used.
    pub(crate) waker: Option<Waker>,
    pub(crate) more_wakers: Vec<Waker>,
    /// There are jobs to start.
    pub(crate) jobs: bool,
    /// The keeper would sleep too long.
    pub(crate) alarm: bool,
    /// The pool drains and every permit is back.
    pub(crate) empty: bool,
}

/// The keeper's timer has this resolution, so waking it for less gains nothing.
const ALARM_SLACK: Duration = Duration::from_millis(1);

impl<C: Connector> Core<C> {
    pub(crate) fn new(settings: Settings, seed: u64, now: Time) -> Self {
        Self {
            scheduler: Scheduler::new(settings.limits(), settings.recycling(), seed, now),
            settings,
            life: Life::Serving,
            table: Table::new(),
            targets: HashMap::new(),
            places: Places::new(),
            tickets: Vec::new(),
            jobs: VecDeque::new(),
            alarm: Time(u64::MAX),
            after: FollowUp::default(),
        }
    }

    // ---- asking

    /// Asks for a connection. A request that must wait gets a place.
    pub(crate) fn attach(&mut self, route: RouteId, request: Request, site: CallSite, now: Time) -> Answer<C> {
        let stage = match self.scheduler.attach(route, request, now) {
            Attach::Refused(refusal) => return Answer::Refused(refusal),
            Attach::Granted(conn) if !self.must_test(conn, now) => return Answer::Granted(self.lend(conn, site, now)),
            Attach::Granted(conn) => {
                let place =
                    self.places.take(Waiter { route, since: now, request, site, position: 1, stage: Stage::Tested });
                self.start_test(conn, Then::Deliver(place), now);
                return Answer::Waiting(place);
            }
            Attach::Queued(ticket) => Stage::Queued(ticket),
        };
        let position = self.scheduler.route(route).map_or(1, |view| view.waiting.max(1));
        let place = self.places.take(Waiter { route, since: now, request, site, position, stage });
        self.bind(stage, place);
        Answer::Waiting(place)
    }

    /// Asks again for a waiter whose connection failed its test.
    pub(crate) fn attach_again(&mut self, place: Place, now: Time) {
        let Some(waiter) = self.places.waiting_mut(place) else { return };
        let (route, request, site) = (waiter.route, waiter.request, waiter.site);
        match self.scheduler.attach(route, request, now) {
            Attach::Granted(conn) => self.deliver(conn, place, site, now),
            Attach::Queued(ticket) => {
                waiter.stage = Stage::Queued(ticket);
                self.bind(Stage::Queued(ticket), place);
            }
            Attach::Refused(refusal) => self.settle(place, Outcome::Denied(Box::new(refusal.into())), now),
        }
    }

    /// Asks for a connection that needs neither a wait nor a test.
    pub(crate) fn try_attach(
        &mut self,
        route: RouteId,
        request: Request,
        site: CallSite,
        now: Time,
    ) -> Option<Granted<C>> {
        // Asking without this would queue the request, and that may open a connection.
        if self.scheduler.route(route)?.idle == 0 {
            return None;
        }
        match self.scheduler.attach(route, request, now) {
            Attach::Granted(conn) if self.must_test(conn, now) => {
                let state = self.table.get(conn)?.state;
                self.scheduler.detach(conn, Detach::Keep(state), now);
                None
            }
            Attach::Granted(conn) => Some(self.lend(conn, site, now)),
            Attach::Queued(ticket) => {
                self.scheduler.cancel(ticket, now);
                None
            }
            Attach::Refused(_) => None,
        }
    }

    /// A waiter goes away. What it leaves behind is dropped outside the lock.
    pub(crate) fn leave(&mut self, place: Place, now: Time) -> (Option<Waker>, Option<Outcome<C>>) {
        match self.places.leave(place) {
            None => (None, None),
            Some(Left::Waiting(waiter, waker)) => {
                if let Stage::Queued(ticket) = waiter.stage {
                    self.tickets[ticket.index()] = None;
                    self.scheduler.cancel(ticket, now);
                }
                (waker, None)
            }
            Some(Left::Settled(Outcome::Granted(granted))) => {
                self.restore(granted, now);
                (None, None)
            }
            Some(Left::Settled(denied)) => (None, Some(denied)),
        }
    }

    // ---- giving back

    /// Takes a connection back from its holder.
    pub(crate) fn give_back(&mut self, conn: ConnId, connection: Box<C::Connection>, verdict: Verdict, now: Time) {
        let limit = self.settings.validate_timeout;
        let test = self.settings.test_on_return;
        let Some(entry) = self.table.get_mut(conn) else { return self.close_unknown(conn, connection) };
        match verdict {
            Verdict::Close(reason) => self.discard(conn, connection, reason, now),
            Verdict::Keep(_) if entry.login == Login::Outdated => {
                self.discard(conn, connection, CloseReason::Reconnect, now);
            }
            Verdict::Keep(state) => {
                entry.state = state;
                entry.fresh_at = now;
                if test {
                    entry.phase = Phase::Testing;
                    self.jobs.push_back(Job::Test { conn, connection, then: Then::GiveBack, limit });
                } else {
                    entry.phase = Phase::Idle { connection };
                    self.scheduler.detach(conn, Detach::Keep(state), now);
                }
            }
        }
    }

    /// Takes back a connection that passed its test, or hands it to whom it was meant for.
    pub(crate) fn handle_tested(
        &mut self,
        conn: ConnId,
        connection: Box<C::Connection>,
        then: Then,
        state: StateKey,
        now: Time,
    ) {
        let Some(entry) = self.table.get_mut(conn) else { return self.close_unknown(conn, connection) };
        (entry.fresh_at, entry.state) = (now, state);
        if entry.login == Login::Outdated {
            self.discard(conn, connection, CloseReason::Reconnect, now);
            if let Then::Deliver(place) = then {
                self.attach_again(place, now);
            }
            return;
        }
        entry.phase = Phase::Idle { connection };
        match then {
            Then::Deliver(place) if let Some(waiter) = self.places.waiting_mut(place) => {
                let site = waiter.site;
                let granted = self.lend(conn, site, now);
                self.settle(place, Outcome::Granted(granted), now);
            }
            Then::Deliver(_) | Then::GiveBack => self.scheduler.detach(conn, Detach::Keep(state), now),
        }
    }

    /// Starts the close of a connection in use.
    pub(crate) fn discard(&mut self, conn: ConnId, connection: Box<C::Connection>, reason: CloseReason, now: Time) {
        if let Some(entry) = self.table.get_mut(conn) {
            entry.phase = Phase::Closing { reason };
        }
        self.scheduler.detach(conn, Detach::Discard, now);
        self.jobs.push_back(Job::Close { conn, connection, reason });
    }

    /// Takes back a connection that nobody has used since it was granted.
    fn restore(&mut self, granted: Granted<C>, now: Time) {
        let Granted { conn, connection, .. } = granted;
        let Some(entry) = self.table.get_mut(conn) else { return self.close_unknown(conn, connection) };
        if entry.login == Login::Outdated {
            return self.discard(conn, connection, CloseReason::Reconnect, now);
        }
        entry.phase = Phase::Idle { connection };
        let state = entry.state;
        self.scheduler.detach(conn, Detach::Keep(state), now);
    }

    /// A connection without a permit: there is none, but if there were it would have to be closed outside the lock.
    fn close_unknown(&mut self, conn: ConnId, connection: Box<C::Connection>) {
        debug_assert!(false, "{conn:?} is in use, so it holds a permit and is in the table");
        self.jobs.push_back(Job::Close { conn, connection, reason: CloseReason::Unusable });
    }

    // ---- what became of connects and closes

    /// A connect succeeded.
    pub(crate) fn handle_connected(
        &mut self,
        conn: ConnId,
        connection: Box<C::Connection>,
        state: StateKey,
        home: Home,
        now: Time,
    ) -> Option<Connected<C::Error>> {
        let Some(entry) = self.table.get_mut(conn) else {
            self.close_unknown(conn, connection);
            return None;
        };
        entry.phase = Phase::Idle { connection };
        (entry.state, entry.fresh_at) = (state, now);
        let (route, took, login) = (entry.route, now.since(entry.born), entry.login);
        self.scheduler.handle_connected(conn, state, home, took, now);
        self.carry_out_decisions(now);
        if login == Login::Outdated {
            self.retire_idle(conn, now);
        }
        let mended = self.targets.get_mut(&route).and_then(|target| target.last_fault.take());
        Some(Connected { took, mended })
    }

    /// A connect failed. Returns what is forgotten for it, to be dropped outside the lock.
    pub(crate) fn handle_connect_failed(
        &mut self,
        conn: ConnId,
        fault: ConnectFault<C::Error>,
        now: Time,
    ) -> (Option<ConnectFault<C::Error>>, Option<Arc<C::Error>>) {
        let failure = fault.failure();
        let target = self.table.remove(conn).and_then(|entry| self.targets.get_mut(&entry.route));
        let forgotten = match target {
            Some(target) => {
                let refusal = match &fault {
                    ConnectFault::Failed { failure: ConnectFailure::LoginRefused, error } => {
                        target.refusal.replace(Arc::clone(error))
                    }
                    _ => None,
                };
                (target.last_fault.replace(fault), refusal)
            }
            None => (Some(fault), None),
        };
        self.scheduler.handle_connect_failed(conn, failure, now);
        forgotten
    }

    /// A socket is closed: the permit is free.
    pub(crate) fn handle_closed(&mut self, conn: ConnId, now: Time) -> Option<Entry<C::Connection>> {
        let entry = self.table.remove(conn);
        self.scheduler.handle_closed(conn, now);
        entry
    }

    /// The credentials of a route changed: its connections are closed, those in use when they come back.
    pub(crate) fn outdate(&mut self, route: RouteId, now: Time) {
        let conns: Vec<ConnId> = self.table.iter().filter(|entry| entry.route == route).map(|entry| entry.id).collect();
        for conn in conns {
            if let Some(entry) = self.table.get_mut(conn) {
                entry.login = Login::Outdated;
            }
            self.retire_idle(conn, now);
        }
    }

    fn retire_idle(&mut self, conn: ConnId, now: Time) {
        if !self.scheduler.take_idle(conn, now) {
            return;
        }
        if let Some(connection) = self.table.get_mut(conn).and_then(|entry| entry.take_idle(Phase::Testing)) {
            self.discard(conn, connection, CloseReason::Reconnect, now);
        }
    }

    // ---- tests

    /// Starts tests of idle connections whose servers have been silent for `after`; a quarter of them at most at once,
    /// so that a round of tests does not leave callers without a connection.
    pub(crate) fn test_idle(&mut self, after: Duration, now: Time) {
        let idle = |entry: &&Entry<_>| matches!(entry.phase, Phase::Idle { .. });
        let at_once = self.table.iter().filter(idle).count().div_ceil(4);
        let due: Vec<ConnId> = self
            .table
            .iter()
            .filter(idle)
            .filter(|entry| now.since(entry.fresh_at) >= after)
            .map(|entry| entry.id)
            .take(at_once)
            .collect();
        for conn in due {
            if self.scheduler.take_idle(conn, now) {
                self.start_test(conn, Then::GiveBack, now);
            }
        }
    }

    fn must_test(&self, conn: ConnId, now: Time) -> bool {
        let Some(after) = self.settings.test_on_checkout else { return false };
        self.table.get(conn).is_some_and(|entry| now.since(entry.fresh_at) >= after && now != entry.fresh_at)
    }

    /// Starts the test of a connection that is in use for the scheduler and still here.
    fn start_test(&mut self, conn: ConnId, then: Then, now: Time) {
        let mut limit = self.settings.validate_timeout;
        if let Then::Deliver(place) = then
            && let Some(waiter) = self.places.waiting_mut(place)
        {
            waiter.stage = Stage::Tested;
            limit = limit.min(waiter.request.deadline.since(now));
        }
        if let Some(connection) = self.table.get_mut(conn).and_then(|entry| entry.take_idle(Phase::Testing)) {
            self.jobs.push_back(Job::Test { conn, connection, then, limit });
        }
    }

    // ---- decisions

    /// Carries out what the scheduler has decided and says what is left to do outside the lock. Ends every critical
    /// section.
    pub(crate) fn carry_out(&mut self, now: Time) -> FollowUp {
        self.carry_out_decisions(now);
        if let Some(next) = self.scheduler.next_time()
            && next.after(ALARM_SLACK) < self.alarm
        {
            self.alarm = next;
            self.after.alarm = true;
        }
        self.after.jobs = !self.jobs.is_empty();
        self.after.empty = self.life == Life::Draining && self.scheduler.held() == 0;
        mem::take(&mut self.after)
    }

    pub(crate) fn carry_out_decisions(&mut self, now: Time) {
        while let Some(decision) = self.scheduler.poll_decision() {
            match decision {
                Decision::Grant { ticket, conn } => self.grant(ticket, conn, now),
                Decision::Open { conn, route } => self.open(conn, route, now),
                Decision::Close { conn, reason } => self.close(conn, reason),
                Decision::Expire { ticket, reason } => self.expire(ticket, reason, now),
            }
        }
    }

    fn grant(&mut self, ticket: Ticket, conn: ConnId, now: Time) {
        let waiter = self.unbind(ticket).and_then(|place| Some((place, self.places.waiting_mut(place)?.site)));
        match waiter {
            Some((place, site)) => self.deliver(conn, place, site, now),
            None => {
                debug_assert!(false, "{ticket:?} was cancelled when its waiter left, so it is not granted");
                let state = self.table.get(conn).map(|entry| entry.state).unwrap_or_default();
                self.scheduler.detach(conn, Detach::Keep(state), now);
            }
        }
    }

    /// Hands a connection to a waiter, after a test if it needs one.
    fn deliver(&mut self, conn: ConnId, place: Place, site: CallSite, now: Time) {
        if self.must_test(conn, now) {
            self.start_test(conn, Then::Deliver(place), now);
        } else {
            let granted = self.lend(conn, site, now);
            self.settle(place, Outcome::Granted(granted), now);
        }
    }

    fn lend(&mut self, conn: ConnId, site: CallSite, now: Time) -> Granted<C> {
        let entry = self.table.get_mut(conn).expect("what the scheduler grants holds a permit, so it is in the table");
        entry.uses += 1;
        let (route, leak) = (entry.route, Leak::Unreported);
        let connection = entry
            .take_idle(Phase::Lent { since: now, site, leak })
            .expect("the scheduler grants only what was idle, and idle connections are kept in the table");
        Granted { conn, route, connection, since: now }
    }

    fn open(&mut self, conn: ConnId, route: RouteId, now: Time) {
        let Some(target) = self.targets.get(&route) else {
            return self.scheduler.handle_connect_failed(conn, ConnectFailure::Unavailable, now);
        };
        self.table.open(conn, route, now);
        self.jobs.push_back(Job::Connect { conn, route, target: Arc::clone(&target.route) });
    }

    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        if let Some(connection) = self.table.get_mut(conn).and_then(|entry| entry.take_idle(Phase::Closing { reason }))
        {
            self.jobs.push_back(Job::Close { conn, connection, reason });
        }
    }

    fn expire(&mut self, ticket: Ticket, reason: ExpireReason, now: Time) {
        let Some(place) = self.unbind(ticket) else { return };
        let Some(waiter) = self.places.waiting_mut(place) else { return };
        let (waited, queue_position) = (now.since(waiter.since), waiter.position);
        let target = self.targets.get(&waiter.route);
        let error = match (reason, target.and_then(|target| target.refusal.clone())) {
            (ExpireReason::Draining, _) => CheckoutError::Closing,
            (ExpireReason::LoginRefused, Some(refusal)) => CheckoutError::LoginRefused(refusal),
            // A route without a record of its refusal is a route without a record.
            (ExpireReason::RouteGone | ExpireReason::LoginRefused, _) => CheckoutError::RouteGone,
            (_, _) => {
                let totals = self.scheduler.totals();
                CheckoutError::Timeout(Timeout {
                    waited,
                    queue_position,
                    in_use: totals.in_use,
                    budget: totals.effective_budget,
                    last_connect_error: target.and_then(|target| target.last_fault.clone()),
                })
            }
        };
        self.settle(place, Outcome::Denied(Box::new(error)), now);
    }

    fn settle(&mut self, place: Place, outcome: Outcome<C>, now: Time) {
        match self.places.settle(place, outcome) {
            Ok(Some(waker)) => self.after.wake(waker),
            Ok(None) | Err(Outcome::Denied(_)) => {}
            Err(Outcome::Granted(granted)) => self.restore(granted, now),
        }
    }

    fn bind(&mut self, stage: Stage, place: Place) {
        let Stage::Queued(ticket) = stage else { return };
        let index = ticket.index();
        if self.tickets.len() <= index {
            self.tickets.resize(index + 1, None);
        }
        self.tickets[index] = Some(place);
    }

    fn unbind(&mut self, ticket: Ticket) -> Option<Place> {
        self.tickets.get_mut(ticket.index())?.take()
    }
}

impl FollowUp {
    fn wake(&mut self, waker: Waker) {
        match &self.waker {
            None => self.waker = Some(waker),
            Some(_) => self.more_wakers.push(waker),
        }
    }
}
