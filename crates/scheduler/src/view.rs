//! What the scheduler shows: numbers for consoles, metrics and tests. Nothing here steers anything.

use std::time::Duration;

use crate::classes::{ClassId, ClassSet};
use crate::route::{Life, Route};
use crate::scheduler::{Mode, Scheduler};
use crate::types::{CloseReason, Time};

/// One route's standing.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteView {
    /// Its class.
    pub class: ClassId,
    /// Its share of contended capacity relative to other routes.
    pub weight: u32,
    /// Connections it gets before anyone gets more than theirs.
    pub guarantee: u32,
    /// The most connections it may hold.
    pub cap: Option<u32>,
    /// Connections being made, or re-keyed for it.
    pub connecting: u32,
    /// Connections with nothing to do.
    pub idle: u32,
    /// Connections lent out, or out for a test.
    pub in_use: u32,
    /// Connections whose permit is not back yet.
    pub closing: u32,
    /// Waiters.
    pub waiting: u32,
    /// The plain quota of seeds/001: effective budget divided by active routes.
    pub quota: f64,
    /// Its part of the effective budget by weight among the active routes, at least its guarantee.
    pub share: f64,
    /// Leases granted so far.
    pub served: u64,
    /// Slot time had so far, summed over ended leases.
    pub service: Duration,
    /// Connections that came to it from other routes by a re-key so far: each saved a reconnect.
    pub rekeys: u64,
    /// Since when its first waiter has waited.
    pub oldest_waiter: Option<Time>,
}

impl RouteView {
    pub(crate) fn of(scheduler: &Scheduler, route: &Route) -> Self {
        let budget = f64::from(scheduler.effective_budget());
        let sums = &scheduler.sums;
        let by_weight = budget * route.weight() as f64 / sums.active_weight.max(route.weight()) as f64;
        Self {
            class: route.limits.class,
            weight: route.limits.weight,
            guarantee: route.limits.guarantee,
            cap: route.limits.cap,
            connecting: route.connecting,
            idle: route.idle.len(),
            in_use: route.in_use,
            closing: route.closing,
            waiting: route.waiting(),
            quota: budget / f64::from(sums.active_routes.max(1)),
            share: by_weight.max(f64::from(route.guarantee())),
            served: route.served,
            service: route.service,
            rekeys: route.rekeys,
            oldest_waiter: route.queue.front().map(|waiter| scheduler.waiters[waiter].since),
        }
    }

    /// Connections that serve the route or soon will.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.connecting + self.idle + self.in_use
    }
}

/// One class's standing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassView {
    /// The most connections of all its routes together.
    pub cap: Option<u32>,
    /// The classes that may use what is left of its cap.
    pub lends_to: ClassSet,
    /// Its routes.
    pub routes: u32,
    /// Its connections, in every state.
    pub active: u32,
    /// Those being made, or re-keyed for it.
    pub connecting: u32,
    /// Those with nothing to do.
    pub idle: u32,
    /// Those lent out, or out for a test.
    pub in_use: u32,
    /// Those whose permit is not back yet.
    pub closing: u32,
    /// How many more connections it could lend out now without asking any other class: its idle ones, and what cap and budget
    /// leave it to open.
    pub available: u32,
    /// Its connections that count against other classes' caps.
    pub borrowed: u32,
    /// Other classes' connections that count against its cap.
    pub lent: u32,
    /// Waiters.
    pub waiting: u32,
    /// Waits that ended with a connection so far.
    pub waits: u64,
    /// How long these were together.
    pub wait_time: Duration,
    /// Requests so far that were refused, and waits that ended without a connection.
    pub failed_waits: u64,
    /// How often it has run out so far: leases, and transfers to it, that took the last connection it may lend out of its own
    /// cap, or one beyond it. Who had to wait is in `waits` and `failed_waits`.
    pub exhausted: u64,
    /// Leases so far.
    pub leases: u64,
    /// How long the connections of this class have been lent out so far, present leases apart.
    pub hold_time: Duration,
    /// Connections that came from other classes as they were, in use or idle, so far.
    pub transfers: u64,
    /// Connects that succeeded so far.
    pub connects: u64,
    /// How long these took together.
    pub connect_time: Duration,
    /// Connects that failed so far.
    pub connect_failures: u64,
    /// Closes so far, by reason.
    pub closes: CloseCounts,
}

impl ClassView {
    /// All classes, by number.
    pub(crate) fn all(scheduler: &Scheduler) -> Vec<Self> {
        let mut views: Vec<Self> = (0..scheduler.classes.len()).map(|class| Self::of(scheduler, class)).collect();
        for (_, route) in scheduler.routes.iter() {
            let view = &mut views[route.class()];
            view.routes += u32::from(route.life == Life::Live);
            view.connecting += route.connecting;
            view.idle += route.idle.len();
            view.waiting += route.waiting();
        }
        let free = scheduler.effective_budget().saturating_sub(scheduler.sums.permits);
        for (class, view) in views.iter_mut().enumerate() {
            let room = scheduler.caps.of(class).room().unwrap_or(u32::MAX);
            view.available = view.idle + room.min(free);
        }
        views
    }

    /// What needs no look at the routes.
    fn of(scheduler: &Scheduler, number: usize) -> Self {
        let (class, account) = (&scheduler.classes[number], scheduler.caps.of(number));
        let counters = &class.counters;
        Self {
            cap: account.limits().cap,
            lends_to: account.limits().lends_to,
            active: account.permits(),
            in_use: class.in_use,
            closing: class.closing,
            borrowed: account.borrowed(),
            lent: account.lent(),
            waits: counters.waits,
            wait_time: Duration::from_nanos(counters.wait_ns),
            failed_waits: counters.failed_waits,
            exhausted: counters.exhausted,
            leases: counters.leases,
            hold_time: Duration::from_nanos(counters.hold_ns),
            transfers: counters.transfers,
            connects: counters.connects,
            connect_time: Duration::from_nanos(counters.connect_ns),
            connect_failures: counters.connect_failures,
            closes: counters.closes,
            ..Self::default()
        }
    }
}

/// Sums over all routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// The most connections there may be.
    pub budget: u32,
    /// The most connections the server lets us have, for all we know.
    pub effective_budget: u32,
    /// Connections being made or re-keyed.
    pub connecting: u32,
    /// Those of them that are being re-keyed.
    pub rekeying: u32,
    /// Connections with nothing to do.
    pub idle: u32,
    /// Connections lent out, or out for a test.
    pub in_use: u32,
    /// Connections whose permit is not back yet.
    pub closing: u32,
    /// Waiters.
    pub waiting: u32,
    /// Routes that hold a connection or have a waiter.
    pub active_routes: u32,
    /// Connects decided so far.
    pub opens: u64,
    /// Closes so far, by reason.
    pub closes: CloseCounts,
    /// Slots that moved from one route to another so far, or began to, in whatever way.
    pub moves: u64,
    /// Those of them that moved by a re-key: each saved a reconnect.
    pub rekeys: u64,
    /// Re-keys that failed: each cost a connection.
    pub rekey_failures: u64,
    /// The measured connect time; zero before the first.
    pub connect_time: Duration,
    /// The measured time of a re-key; zero before the first.
    pub rekey_time: Duration,
    /// Whether nothing is granted and opened until it is resumed.
    pub paused: bool,
    /// Connects in a row that nobody answered; those under way together count as one. Zero once the server answers.
    pub unanswered: u32,
}

impl Totals {
    pub(crate) fn of(scheduler: &Scheduler) -> Self {
        let sums = &scheduler.sums;
        Self {
            budget: scheduler.limits.budget,
            effective_budget: scheduler.effective_budget(),
            connecting: sums.connecting,
            rekeying: scheduler.rekeys.under_way,
            idle: sums.permits - sums.connecting - sums.in_use - sums.closing,
            in_use: sums.in_use,
            closing: sums.closing,
            waiting: scheduler.waiters.len() as u32,
            active_routes: sums.active_routes,
            opens: scheduler.counters.opens,
            closes: scheduler.counters.closes,
            moves: scheduler.counters.moves,
            rekeys: scheduler.rekeys.done,
            rekey_failures: scheduler.rekeys.failed,
            connect_time: scheduler.connect_time.get(),
            rekey_time: scheduler.rekeys.time.get(),
            paused: scheduler.mode == Mode::Paused,
            unanswered: scheduler.backoff.failures(),
        }
    }
}

/// A count per [`CloseReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CloseCounts([u64; CloseReason::ALL.len()]);

impl CloseCounts {
    /// How many connections were closed for this reason.
    #[must_use]
    pub const fn get(&self, reason: CloseReason) -> u64 {
        self.0[reason as usize]
    }

    /// How many were closed for any reason.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) const fn add(&mut self, reason: CloseReason) {
        self.0[reason as usize] += 1;
    }
}

/// Broken promises, counted. Every one of these must stay zero in production; a metric above zero is a bug report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// I1: a connection was opened beyond the budget or a cap.
    pub over_budget: u64,
    /// I2: a connection fell idle beside a waiter of its own route.
    pub idle_beside_waiter: u64,
    /// I3: a waiter was granted before one of its route that came earlier.
    pub overtaken: u64,
    /// I4: a waiter was to end that had ended.
    pub ended_twice: u64,
    /// I5: everything had left and a permit was still out.
    pub permits_lost: u64,
    /// I6: a route with a claim was passed over more often than the bound allows.
    pub starved: u64,
    /// I7: a backlogged route fell behind a richer one further than the bound allows.
    pub unfair: u64,
    /// The caller reported on a connection that does not exist, or not in that state.
    pub stale_reports: u64,
}

impl Faults {
    /// Nothing has gone wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}
