//! Everything under the pool's one lock: the scheduler, the connections, the waiters, and the work decided on.
//!
//! Nothing here waits, spawns, wakes or calls foreign code. A critical section changes the state, then
//! [`Ledger::carry_out`] turns the scheduler's decisions into outcomes for waiters and [`Job`]s for tasks; what must
//! happen outside the lock comes out as [`FollowUp`].

mod attach;
mod give_back;
mod rekey;
mod socket;
mod trial;

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use scheduler::{
    BlockedBy, ClassId, CloseReason, ConnId, ConnectFailure, Decision, Detach, ExpireReason, Refusal, Request, RouteId,
    Scheduler, StateKey, Ticket, Time, TransactionLimiter,
};

use crate::connector::{Account, Connector};
use crate::error::{CheckoutError, ConnectFault, Timeout};
use crate::handoff::{Place, Places};
use crate::settings::Settings;
use crate::table::{CallSite, Table};

/// Who has what, and who waits. One value, one lock.
pub(crate) struct Ledger<C: Connector> {
    pub(crate) scheduler: Scheduler,
    pub(crate) limiter: TransactionLimiter,
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
    /// What the present critical section is, and leaves to be done.
    pace: Pace,
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
    pub(crate) account: Option<Account>,
    /// Why the last connect failed, if none succeeded since.
    pub(crate) last_fault: Option<ConnectFault<C::Error>>,
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
    Denied(CheckoutError<C::Error>),
}

/// A connection in use, on its way to whoever asked for it. Whoever holds it gives it back.
pub(crate) struct Granted<C: Connector> {
    pub(crate) conn: ConnId,
    pub(crate) route: RouteId,
    pub(crate) class: ClassId,
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
    Rekey { conn: ConnId, connection: Box<C::Connection>, from: RouteId, to: RouteId, target: Arc<C::Route> },
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
    /// The same, but only after a test.
    Settle(StateKey),
    /// It is closed.
    Close(CloseReason),
}

/// A connect or a re-key that succeeded.
pub(crate) struct Connected<E> {
    /// The class of its route when it came.
    pub(crate) class: ClassId,
    pub(crate) took: Duration,
    /// Why the one before it failed: no longer true, and dropped outside the lock.
    pub(crate) mended: Option<ConnectFault<E>>,
}

/// Whether a critical section can have brought anything forward that the keeper waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// A connection was lent from idle, or fell idle: if nobody waits, the keeper's regular look is early enough.
    Routine,
    /// Anything else.
    Eventful,
}

/// What a critical section leaves to be done outside the lock. The flags are independent: each is one call to make.
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

impl<C: Connector> Ledger<C> {
    pub(crate) fn new(settings: Settings, seed: u64, now: Time) -> Self {
        Self {
            scheduler: Scheduler::new(settings.limits(), settings.recycling(), seed, now),
            limiter: TransactionLimiter::default(),
            settings,
            life: Life::Serving,
            table: Table::new(),
            targets: HashMap::new(),
            places: Places::new(),
            tickets: Vec::new(),
            jobs: VecDeque::new(),
            alarm: Time(u64::MAX),
            pace: Pace::Eventful,
            after: FollowUp::default(),
        }
    }

    /// Carries out what the scheduler has decided and says what is left to do outside the lock, if anything. Ends every
    /// critical section.
    pub(crate) fn carry_out(&mut self, now: Time) -> Option<FollowUp> {
        let decided = self.carry_out_decisions(now);
        let pace = mem::replace(&mut self.pace, Pace::Eventful);
        if pace == Pace::Eventful || decided || !self.places.is_empty() {
            self.advance_alarm(now);
        }
        let empty = self.life == Life::Draining && self.scheduler.held() == 0;
        if self.jobs.is_empty() && !empty && self.after.is_nothing() {
            return None;
        }
        Some(FollowUp { jobs: !self.jobs.is_empty(), empty, ..mem::take(&mut self.after) })
    }

    /// When there is something to look after: what the scheduler asks for, and a regular look while there is anything.
    pub(crate) fn next_look(&self, now: Time) -> Time {
        let regular = match self.scheduler.held() {
            0 => Time(u64::MAX),
            _ => now.after(self.settings.maintenance_interval),
        };
        self.scheduler.next_time().map_or(regular, |next| next.min(regular))
    }

    fn advance_alarm(&mut self, now: Time) {
        // Never before now: what is due again at once still leaves the keeper its nap.
        let next = self.next_look(now).max(now);
        if next.after(ALARM_SLACK) < self.alarm {
            self.alarm = next;
            self.after.alarm = true;
        }
    }

    /// True if there were any.
    pub(crate) fn carry_out_decisions(&mut self, now: Time) -> bool {
        let mut decided = false;
        while let Some(decision) = self.scheduler.poll_decision() {
            decided = true;
            match decision {
                Decision::Grant { ticket, conn } => self.grant(ticket, conn, now),
                Decision::Open { conn, route } => self.open(conn, route, now),
                Decision::Rekey { conn, from, to } => self.rekey(conn, from, to, now),
                Decision::Close { conn, reason } => self.close(conn, reason),
                Decision::Expire { ticket, reason } => self.expire(ticket, reason, now),
            }
        }
        decided
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

    fn expire(&mut self, ticket: Ticket, reason: ExpireReason, now: Time) {
        let Some(place) = self.unbind(ticket) else { return };
        let Some(waiter) = self.places.waiting_mut(place) else { return };
        let (waited, queue_position) = (now.since(waiter.since), waiter.position);
        let last_fault = self.targets.get(&waiter.route).and_then(|target| target.last_fault.as_ref());
        let error = match (reason, last_fault) {
            (ExpireReason::Draining, _) => CheckoutError::Closing,
            (
                ExpireReason::LoginRefused,
                Some(ConnectFault::Failed { failure: ConnectFailure::LoginRefused, error }),
            ) => CheckoutError::LoginRefused(Arc::clone(error)),
            // A route that has no record of its refusal is gone.
            (ExpireReason::RouteGone | ExpireReason::LoginRefused, _) => CheckoutError::RouteGone,
            (_, _) => {
                let blocked_by = match reason {
                    ExpireReason::Deadline { blocked_by } => blocked_by,
                    _ => BlockedBy::Budget,
                };
                let totals = self.scheduler.totals();
                CheckoutError::Timeout(Box::new(Timeout {
                    waited,
                    queue_position,
                    in_use: totals.in_use,
                    budget: totals.effective_budget,
                    blocked_by,
                    last_connect_error: last_fault.cloned(),
                }))
            }
        };
        self.settle(place, Outcome::Denied(error), now);
    }

    fn settle(&mut self, place: Place, outcome: Outcome<C>, now: Time) {
        match self.places.settle(place, outcome) {
            Ok(Some(waker)) => self.after.wake(waker),
            Ok(None) | Err(Outcome::Denied(_)) => {}
            Err(Outcome::Granted(granted)) => self.restore(granted, now),
        }
    }

    fn bind(&mut self, ticket: Ticket, place: Place) {
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
    fn is_nothing(&self) -> bool {
        self.waker.is_none() && !self.alarm
    }

    fn wake(&mut self, waker: Waker) {
        match &self.waker {
            None => self.waker = Some(waker),
            Some(_) => self.more_wakers.push(waker),
        }
    }
}
