//! The scheduler's state, and what can be read from it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::caps::Caps;
use crate::class::Class;
use crate::classes::{ClassId, ClassSet};
use crate::conn::{Conn, ConnState};
use crate::heap::Heap;
use crate::list::List;
use crate::pace::{Backoff, Ceiling, Mean};
use crate::rekey::Rekeys;
use crate::rng::Rng;
use crate::route::{Life, Route};
use crate::slots::Slots;
use crate::types::{ConnId, Decision, Limits, Recycling, RouteId, Time};
use crate::view::{ClassView, CloseCounts, Faults, RouteView, Totals};
use crate::waiter::Waiter;

/// Shares one server's budget of connections among routes. See the [crate's page](crate).
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) limits: Limits,
    pub(crate) recycling: Recycling,
    pub(crate) mode: Mode,
    pub(crate) rng: Rng,

    pub(crate) conns: Slots<Conn>,
    pub(crate) waiters: Slots<Waiter>,
    pub(crate) routes: Slots<Route>,
    /// The classes, by number.
    pub(crate) classes: Vec<Class>,
    pub(crate) caps: Caps,
    pub(crate) decisions: VecDeque<Decision>,

    pub(crate) sums: Sums,
    /// Virtual time: the clock of the route granted most lately. A route that comes back starts from here, without
    /// credit for the time it asked for nothing.
    pub(crate) virtual_time: u64,
    pub(crate) connect_time: Mean,
    pub(crate) backoff: Backoff,
    pub(crate) ceiling: Ceiling,
    pub(crate) rekeys: Rekeys,
    /// Counts `reconnect` calls; connections of an earlier epoch are closed.
    pub(crate) epoch: u64,

    pub(crate) deadlines: Heap<Time>,
    /// When to look at an idle connection's age; early is harmless, late is not.
    pub(crate) expiries: Heap<Time>,
    /// No recycling before this: closes are spread.
    pub(crate) recycle_from: Time,
    /// Routes that were refused a login or one more, by when they may try again.
    pub(crate) refusals: Heap<Time>,
    /// When a slot that could not be given just now may be tried again.
    pub(crate) retry_at: Option<Time>,

    /// When something last happened that excuses unfairness: a failed connect, a pause, a change of limits.
    pub(crate) disturbed_at: Time,
    pub(crate) counters: Counters,
    pub(crate) faults: Faults,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Running,
    Paused,
    Draining,
}

/// Sums over all routes, kept current by differences.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Permits out: connections in every state.
    pub(crate) permits: u32,
    /// Being opened or re-keyed.
    pub(crate) connecting: u32,
    pub(crate) in_use: u32,
    pub(crate) closing: u32,
    pub(crate) promised: u32,
    /// Routes entitled to one more connection.
    pub(crate) hungry: u32,
    /// Routes that wait and have siblings, as far as it is not known that these can do nothing for them.
    pub(crate) looking: u32,
    pub(crate) active_routes: u32,
    pub(crate) active_weight: u64,
    pub(crate) guarantee_gap: u64,
}

/// What has happened since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) arrivals: u64,
    pub(crate) opens: u64,
    pub(crate) moves: u64,
    pub(crate) closes: CloseCounts,
    pub(crate) longest_lease: Duration,
}

impl Scheduler {
    /// An empty scheduler. `seed` feeds the jitter of lifetimes and back-offs, nothing else.
    #[must_use]
    pub fn new(limits: Limits, recycling: Recycling, seed: u64, now: Time) -> Self {
        let mut scheduler = Self {
            limits: limits.sound(),
            recycling: recycling.sound(),
            mode: Mode::Running,
            rng: Rng::new(seed),
            conns: Slots::new(),
            waiters: Slots::new(),
            routes: Slots::new(),
            classes: Vec::new(),
            caps: Caps::default(),
            decisions: VecDeque::new(),
            sums: Sums::default(),
            virtual_time: 0,
            connect_time: Mean::default(),
            backoff: Backoff::default(),
            ceiling: Ceiling::Budget,
            rekeys: Rekeys::default(),
            epoch: 0,
            deadlines: Heap::default(),
            expiries: Heap::default(),
            recycle_from: now,
            refusals: Heap::default(),
            retry_at: None,
            disturbed_at: now,
            counters: Counters::default(),
            faults: Faults::default(),
        };
        scheduler.make_class(ClassId::DEFAULT);
        scheduler
    }

    /// The next thing to carry out, in order. Ask until `None` after every other call.
    pub fn poll_decision(&mut self) -> Option<Decision> {
        self.decisions.pop_front()
    }

    /// When [`Scheduler::handle_time`] is wanted next. May be early, never late; ask again after every other call.
    #[must_use]
    pub fn next_time(&self) -> Option<Time> {
        let expiry = self.expiries.peek().map(|(at, _)| at.max(self.recycle_from));
        [self.deadlines.peek().map(|(at, _)| at), self.refusals.peek().map(|(at, _)| at), expiry, self.retry_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Permits out: connections in every state, from connecting to closing.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.sums.permits
    }

    /// What one route holds and has had; `None` for an id that is unknown or stale.
    #[must_use]
    pub fn route(&self, id: RouteId) -> Option<RouteView> {
        self.live(id).map(|index| RouteView::of(self, &self.routes[index]))
    }

    /// How many wait at a route; 0 for an id that is unknown or stale.
    #[must_use]
    pub fn waiting(&self, id: RouteId) -> u32 {
        self.live(id).map_or(0, |index| self.routes[index].waiting())
    }

    /// All routes.
    pub fn routes(&self) -> impl Iterator<Item = (RouteId, RouteView)> {
        self.routes
            .iter()
            .filter(|(_, route)| route.life == Life::Live)
            .map(|(index, route)| (self.route_id(index), RouteView::of(self, route)))
    }

    /// All classes there have been, by number.
    pub fn classes(&self) -> impl Iterator<Item = (ClassId, ClassView)> {
        ClassView::all(self).into_iter().enumerate().filter_map(|(number, view)| Some((ClassId::new(number)?, view)))
    }

    /// The most connections that these classes can hold together: their caps, and at most the budget.
    #[must_use]
    pub fn capacity(&self, classes: ClassSet) -> u32 {
        let budget = self.limits.budget;
        let known = (0..self.classes.len()).filter(|class| ClassId::new(*class).is_some_and(|id| classes.contains(id)));
        let caps = known.map(|class| self.caps.of(class).limits().cap.unwrap_or(budget));
        caps.fold(0, u32::saturating_add).min(budget)
    }

    /// Sums over all routes.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals::of(self)
    }

    /// Counters that must stay zero.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Since when this connection has been idle; `None` if it is not idle.
    #[must_use]
    pub fn idle_since(&self, id: ConnId) -> Option<Time> {
        match self.conns[self.conn(id)?].state {
            ConnState::Idle { since } => Some(since),
            _ => None,
        }
    }

    /// The idle connections of a route, the longest idle first.
    pub fn idle_conns(&self, id: RouteId) -> impl Iterator<Item = ConnId> {
        let first = self.live(id).and_then(|index| self.routes[index].idle.front());
        std::iter::successors(first, |conn| List::after(&self.conns, *conn)).map(|conn| self.conn_id(conn))
    }

    /// The route and the class that a connection counts in.
    #[must_use]
    pub fn route_of(&self, id: ConnId) -> Option<(RouteId, ClassId)> {
        let route = self.conns[self.conn(id)?].route;
        Some((self.route_id(route), self.routes[route].limits.class))
    }

    /// The index behind an id, if its route is live.
    pub(crate) fn live(&self, id: RouteId) -> Option<u32> {
        (self.routes.has(id.index, id.generation) && self.routes[id.index].life == Life::Live).then_some(id.index)
    }

    /// The index behind an id, if the connection exists.
    pub(crate) fn conn(&self, id: ConnId) -> Option<u32> {
        self.conns.has(id.index, id.generation).then_some(id.index)
    }

    pub(crate) fn route_id(&self, index: u32) -> RouteId {
        RouteId { index, generation: self.routes.generation(index) }
    }

    pub(crate) fn conn_id(&self, index: u32) -> ConnId {
        ConnId { index, generation: self.conns.generation(index) }
    }

    pub(crate) fn class_mut(&mut self, route: u32) -> &mut Class {
        let class = self.routes[route].class();
        &mut self.classes[class]
    }

    /// The budget as far as the server honours it.
    pub(crate) fn effective_budget(&self) -> u32 {
        self.ceiling.effective(self.limits.budget)
    }
}
