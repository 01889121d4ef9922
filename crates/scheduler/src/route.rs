//! One route: what it holds, who waits, what service it has had.

use std::time::Duration;

use crate::list::List;
use crate::pace::{Backoff, Ceiling, Mean, nanos};
use crate::types::{Realm, RouteLimits, Time};

#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) limits: RouteLimits,
    /// Among which routes connections opened for it may be re-keyed.
    pub(crate) realm: Option<Realm>,
    /// The next of the routes that differ from it in nothing but their class, in a ring; itself, if there are none.
    pub(crate) sibling: u32,
    pub(crate) life: Life,
    /// Being opened, or re-keyed for it.
    pub(crate) connecting: u32,
    /// The idle connections, the longest idle in front.
    pub(crate) idle: List,
    /// Lent or out for a test.
    pub(crate) in_use: u32,
    pub(crate) closing: u32,
    /// Slots of closing connections that are promised to this route.
    pub(crate) promised: u32,
    /// The waiters, the first to come in front.
    pub(crate) queue: List,
    /// Virtual time (start-time fair queueing): nanoseconds of slot time had so far, per unit of weight.
    pub(crate) clock: u64,
    pub(crate) lease_mean: Mean,
    pub(crate) refused: Backoff,
    /// How many connections the server lets this route have.
    pub(crate) ceiling: Ceiling,
    /// Since when it has been entitled to one more connection without getting it.
    pub(crate) hungry_since: Option<Time>,
    pub(crate) served: u64,
    pub(crate) service: Duration,
    /// Connections that it shall have once, ahead of demand; 0 when it has had them, or as many as there ever were for it: when
    /// one of them is closed. Else a number beyond reach would open each again that had just been idle for too long.
    pub(crate) wanted_once: u32,
    /// Connections that came to it by a re-key.
    pub(crate) rekeys: u64,
    /// The arrival number of the waiter granted last.
    pub(crate) last_arrival: u64,
    /// What the scheduler's totals contain for this route.
    pub(crate) counted: Counted,
}

/// Whether a route takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Live,
    /// Removed; its place is free when its last connection is closed.
    Leaving,
}

/// A route's share of the scheduler's running sums, so that a change is a difference and never a scan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Its weight if it is active, else 0.
    pub(crate) active_weight: u64,
    /// Connections it lacks of its guarantee.
    pub(crate) guarantee_gap: u32,
}

impl Route {
    /// A route that is going to have this index.
    pub(crate) fn new(limits: RouteLimits, realm: Option<Realm>, index: u32) -> Self {
        Self {
            limits,
            realm,
            sibling: index,
            life: Life::Live,
            connecting: 0,
            idle: List::EMPTY,
            in_use: 0,
            closing: 0,
            promised: 0,
            queue: List::EMPTY,
            clock: 0,
            lease_mean: Mean::default(),
            refused: Backoff::default(),
            ceiling: Ceiling::Budget,
            hungry_since: None,
            served: 0,
            service: Duration::ZERO,
            wanted_once: 0,
            rekeys: 0,
            last_arrival: 0,
            counted: Counted::default(),
        }
    }

    /// The number of its class.
    pub(crate) const fn class(&self) -> usize {
        self.limits.class.number()
    }

    /// Connections that serve it or soon will. Closing ones hold a permit but have stopped serving.
    pub(crate) const fn held(&self) -> u32 {
        self.connecting + self.idle.len() + self.in_use
    }

    /// Permits it occupies, in every state.
    pub(crate) const fn permits(&self) -> u32 {
        self.held() + self.closing
    }

    /// What it holds plus what is promised to it: the measure by which claims are compared.
    pub(crate) const fn expected(&self) -> u32 {
        self.held() + self.promised
    }

    pub(crate) fn weight(&self) -> u64 {
        u64::from(self.limits.weight.max(1))
    }

    pub(crate) const fn waiting(&self) -> u32 {
        self.queue.len()
    }

    /// It holds a connection or has a waiter; merely connected clients do not count.
    pub(crate) const fn is_active(&self) -> bool {
        self.held() > 0 || self.waiting() > 0
    }

    /// Someone uses it or wants to.
    pub(crate) const fn has_demand(&self) -> bool {
        self.in_use > 0 || self.waiting() > 0
    }

    /// Whether one more connect would serve a waiter, pacing and the server's budget aside.
    pub(crate) fn wants_connection(&self, now: Time, connect_time: Duration) -> bool {
        let coming = self.connecting + self.promised;
        self.life == Life::Live
            && self.waiting() > coming
            && self.may_have_more(now)
            && (coming == 0 || !self.drains_within(connect_time))
    }

    /// Whether the queue will be empty, at the measured pace of releases, before another connect could help.
    ///
    /// This is what keeps a spike of short requests from ending in as many connections as it had requests. One connect
    /// is always allowed, so a route can still grow while its queue is short.
    fn drains_within(&self, connect_time: Duration) -> bool {
        self.in_use > 0
            && u128::from(self.waiting()) * self.lease_mean.get().as_nanos()
                <= u128::from(self.in_use) * connect_time.as_nanos()
    }

    /// Its guarantee, as far as its cap lets it have that: what is out of reach is kept for nobody.
    pub(crate) const fn guarantee(&self) -> u32 {
        match self.limits.cap {
            Some(cap) if cap < self.limits.guarantee => cap,
            _ => self.limits.guarantee,
        }
    }

    /// Whether it would fall below its guarantee by holding no more than `after`, while somebody there needs it.
    pub(crate) const fn is_protected(&self, after: u32) -> bool {
        after < self.guarantee() && self.has_demand()
    }

    /// Whether its cap allows one connection more.
    pub(crate) fn has_room(&self) -> bool {
        self.limits.cap.is_none_or(|cap| self.permits() < cap)
    }

    /// Connections it lacks of its guarantee.
    pub(crate) fn guarantee_gap(&self) -> u32 {
        match self.life {
            Life::Live => self.guarantee().saturating_sub(self.expected()),
            Life::Leaving => 0,
        }
    }

    /// Whether it should have more connections ahead of demand.
    pub(crate) fn lacks_idle(&self, now: Time) -> bool {
        self.life == Life::Live
            && self.expected() < self.limits.min_idle.max(self.wanted_once)
            && self.may_have_more(now)
    }

    /// Whether its own cap, and what the server last said to its logins, allow one more connection.
    pub(crate) fn may_have_more(&self, now: Time) -> bool {
        let all = self.permits() + self.promised;
        self.limits.cap.is_none_or(|cap| all < cap)
            && self.refused.until() <= now
            && self.ceiling.admits(all, self.connecting + self.promised, now)
    }

    /// When what the server said to its logins next allows another one, if that is not now.
    pub(crate) fn next_attempt(&self, now: Time) -> Option<Time> {
        let attempts = [Some(self.refused.until()), self.ceiling.probe_at()];
        attempts.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Charges a lease that has ended.
    pub(crate) fn charge(&mut self, lease: Duration) {
        self.clock = self.clock.saturating_add(nanos(lease) / self.weight());
        self.service = self.service.saturating_add(lease);
        self.lease_mean.add(lease);
    }
}
