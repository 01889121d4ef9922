//! Attach, detach, cancel: lending connections and queueing for them.

use crate::classes::BlockedBy;
use crate::conn::ConnState;
use crate::list::{Links, List};
use crate::scheduler::{Mode, Scheduler};
use crate::types::{Attach, ConnId, Decision, Detach, ExpireReason, Refusal, Request, Reuse, RouteId, Ticket, Time};
use crate::waiter::Waiter;

/// How many idle connections are looked at for a better match; more would make an attach depend on the pool's size.
const CANDIDATES_MAX: usize = 8;

impl Scheduler {
    /// Asks for a connection (seeds/001, attach): an idle one of the route unless somebody waits there; else a place in
    /// its queue, and a slot is opened or reclaimed for it if there is one. Deciding and queueing are one step.
    pub fn attach(&mut self, route: RouteId, request: Request, now: Time) -> Attach {
        if self.mode == Mode::Draining {
            return Attach::Refused(Refusal::Closing);
        }
        let Some(index) = self.live(route) else { return Attach::Refused(Refusal::UnknownRoute) };
        if self.mode == Mode::Running
            && self.routes[index].queue.is_empty()
            && let Some(conn) = self.pick_idle(index, &request)
        {
            self.lend(conn, now);
            return Attach::Granted(self.conn_id(conn));
        }
        self.attach_elsewhere(index, request, now)
    }

    /// The same for a route without an idle connection for it: an idle one of a sibling, or a place in the queue.
    fn attach_elsewhere(&mut self, index: u32, request: Request, now: Time) -> Attach {
        if self.mode == Mode::Running
            && self.routes[index].queue.is_empty()
            && let Some(conn) = self.sibling_idle(index, &request)
        {
            self.leave_idle(conn);
            self.relabel(conn, index, now);
            self.lend_out(conn, now);
            self.settle(index, now);
            self.fill(now);
            return Attach::Granted(self.conn_id(conn));
        }
        if let Some(refusal) = self.queue_full(index) {
            self.class_mut(index).counters.failed_waits += 1;
            return Attach::Refused(refusal);
        }
        let ticket = self.enqueue(index, request, now);
        self.settle(index, now);
        self.fill(now);
        Attach::Queued(ticket)
    }

    /// A waiter went away. If it has been granted or expired meanwhile its ticket is stale and nothing happens: then the
    /// caller finds the decision in its own hands, and gives a granted connection back with [`Scheduler::detach`].
    pub fn cancel(&mut self, ticket: Ticket, now: Time) {
        if !self.waiters.has(ticket.index, ticket.generation) {
            return;
        }
        if let Some(waiter) = self.end_wait(ticket.index) {
            self.settle(waiter.route, now);
            self.fill(now);
        }
    }

    /// Takes a connection back and chooses who gets it, or its slot, before anybody else can see it.
    ///
    /// After [`Detach::Discard`] the caller closes the connection without being told, then reports
    /// [`Scheduler::handle_closed`]. After [`Detach::Keep`] a [`Decision::Close`] may follow.
    pub fn detach(&mut self, conn: ConnId, how: Detach, now: Time) {
        let Some(index) = self.conn(conn) else { return self.faults.stale_reports += 1 };
        let idle_since = match self.conns[index].state {
            ConnState::Lent { since } => {
                self.charge(self.conns[index].route, since, now);
                now
            }
            ConnState::Tested { idle_since } => idle_since,
            _ => return self.faults.stale_reports += 1,
        };
        self.leave_use(index);
        match how {
            Detach::Discard(reason) => {
                self.begin_closing(index, reason, None, now);
                self.fill(now);
            }
            Detach::Keep(session) => {
                self.conns[index].session = session;
                self.place(index, idle_since, now);
            }
        }
    }

    /// Takes this idle connection in use for a test; [`Scheduler::detach`] gives it back, as idle as it was before.
    /// False if it is not idle (any more).
    pub fn take_idle(&mut self, conn: ConnId, _now: Time) -> bool {
        let Some(index) = self.conn(conn) else { return false };
        let ConnState::Idle { since } = self.conns[index].state else { return false };
        self.leave_idle(index);
        self.enter_use(index, ConnState::Tested { idle_since: since });
        true
    }

    /// Finds the next thing to do for a connection that is in nobody's hands: its end, another route, the next waiter of
    /// its own, rest. It is in no list and no count of its route when this is called.
    pub(crate) fn place(&mut self, conn: u32, idle_since: Time, now: Time) {
        let route = self.conns[conn].route;
        let had_waiters = !self.routes[route].queue.is_empty();
        // Before waiters that have run out of time are expired, for that is the route's last known state.
        let was_hungry = self.routes[route].hungry_since.is_some();
        if let Some(reason) = self.must_close(conn, now) {
            self.close(conn, reason, None, now);
            return self.fill(now);
        }
        // What has just been brought here serves somebody first: else a slot could go round and serve nobody, where moves
        // take longer than slots are kept.
        let has_come = matches!(self.conns[conn].state, ConnState::Connecting | ConnState::Rekeying);
        if !(has_come && had_waiters)
            && let Some(heir) = self.successor(conn, now)
        {
            self.move_slot(conn, heir, now);
            return self.fill(now);
        }
        if self.mode == Mode::Running
            && let Some(waiter) = self.next_waiter(route, now)
        {
            self.watch_hunger(route, now);
            self.grant(waiter, conn, now);
            if was_hungry != self.routes[route].hungry_since.is_some() {
                // It may want more now, or somebody else's claim may be the strongest.
                self.fill(now);
            }
            return;
        }
        self.rest(conn, idle_since);
        if had_waiters {
            // They have expired just now, while this connection was in no count.
            self.settle(route, now);
        }
        if self.sums.hungry > 0 || self.sums.looking > 0 {
            self.fill(now);
        }
    }

    /// The connection falls idle, in the order of idle time: at the back, unless it was out for a test.
    pub(crate) fn rest(&mut self, conn: u32, since: Time) {
        let index = self.conns[conn].route;
        let route = &mut self.routes[index];
        if self.mode == Mode::Running && !route.queue.is_empty() {
            self.faults.idle_beside_waiter += 1;
        }
        let mut after = None;
        if route.idle.back().is_some_and(|last| self.conns[last].rested_since() > since) {
            // Tested connections are few and the longest idle, so their place is near the front.
            after = route.idle.front();
            while let Some(other) = after
                && self.conns[other].rested_since() <= since
            {
                after = List::after(&self.conns, other);
            }
        }
        self.conns[conn].state = ConnState::Idle { since };
        route.idle.insert_before(&mut self.conns, after, conn);
        self.offer_idle(index);
        self.look_around(index);
        self.watch_age(conn);
    }

    /// The first waiter of the route who still has time; those who have not are expired.
    pub(crate) fn next_waiter(&mut self, route: u32, now: Time) -> Option<u32> {
        while let Some(waiter) = self.routes[route].queue.front() {
            if self.waiters[waiter].request.deadline > now {
                return Some(waiter);
            }
            self.expire_late(waiter, now);
        }
        None
    }

    /// Ends a wait with a connection.
    pub(crate) fn grant(&mut self, waiter: u32, conn: u32, now: Time) {
        let ticket = Ticket { index: waiter, generation: self.waiters.generation(waiter) };
        let route = self.conns[conn].route;
        if let Some(waiter) = self.end_wait(waiter) {
            let counters = &mut self.class_mut(route).counters;
            counters.waits += 1;
            counters.wait_ns = counters.wait_ns.saturating_add(now.0.saturating_sub(waiter.since.0));
            let route = &mut self.routes[route];
            self.faults.overtaken += u64::from(waiter.arrival <= route.last_arrival);
            route.last_arrival = waiter.arrival;
        }
        self.lend_out(conn, now);
        self.decisions.push_back(Decision::Grant { ticket, conn: self.conn_id(conn) });
        self.settle(route, now);
    }

    /// Ends a wait whose time is up.
    pub(crate) fn expire_late(&mut self, waiter: u32, now: Time) {
        let blocked_by = self.blocked_by(self.waiters[waiter].route);
        self.expire(waiter, ExpireReason::Deadline { blocked_by }, now);
    }

    /// Which limit a waiter of this route meets.
    fn blocked_by(&self, route: u32) -> BlockedBy {
        let route = &self.routes[route];
        if let Some(cap) = route.limits.cap.filter(|cap| route.permits() + route.promised >= *cap) {
            return BlockedBy::Route { cap };
        }
        match self.caps.of(route.class()).limits().cap {
            Some(cap) if !self.caps.has_room(route.class()) => BlockedBy::Class { class: route.limits.class, cap },
            _ => BlockedBy::Budget,
        }
    }

    /// Ends a wait without one.
    pub(crate) fn expire(&mut self, waiter: u32, reason: ExpireReason, now: Time) {
        let ticket = Ticket { index: waiter, generation: self.waiters.generation(waiter) };
        if let Some(waiter) = self.end_wait(waiter) {
            self.class_mut(waiter.route).counters.failed_waits += 1;
            self.decisions.push_back(Decision::Expire { ticket, reason });
            self.settle(waiter.route, now);
        }
    }

    /// Takes a waiter out of everything; its ticket is stale from now on.
    fn end_wait(&mut self, index: u32) -> Option<Waiter> {
        self.routes[self.waiters[index].route].queue.remove(&mut self.waiters, index);
        self.deadlines.remove(index);
        let waiter = self.waiters.remove(index);
        if waiter.is_none() {
            self.faults.ended_twice += 1;
        }
        waiter
    }

    fn enqueue(&mut self, route: u32, request: Request, now: Time) -> Ticket {
        self.counters.arrivals += 1;
        let arrival = self.counters.arrivals;
        let waiter = Waiter { route, request, since: now, arrival, links: Links::UNLINKED };
        let (index, generation) = self.waiters.insert(waiter);
        let virtual_time = self.virtual_time;
        let route = &mut self.routes[route];
        if route.queue.is_empty() {
            route.clock = route.clock.max(virtual_time);
        }
        route.queue.push_back(&mut self.waiters, index);
        self.deadlines.set(index, request.deadline);
        Ticket { index, generation }
    }

    fn queue_full(&self, route: u32) -> Option<Refusal> {
        let route = &self.routes[route];
        if let Some(limit) = route.limits.max_waiters
            && route.waiting() >= limit
        {
            return Some(Refusal::RouteQueueFull { limit });
        }
        let limit = self.limits.max_waiters;
        (self.waiters.len() >= limit as usize).then_some(Refusal::QueueFull { limit })
    }

    /// An idle connection for this request: among the first few in the order of `reuse`, the best match.
    #[inline]
    pub(crate) fn pick_idle(&self, route: u32, request: &Request) -> Option<u32> {
        let idle = &self.routes[route].idle;
        let (first, next): (_, fn(&_, u32) -> Option<u32>) = match self.limits.reuse {
            Reuse::MostRecent => (idle.back(), List::before),
            Reuse::LeastRecent => (idle.front(), List::after),
        };
        let mut best = None;
        let mut best_match = None;
        let candidates = std::iter::successors(first, |conn| next(&self.conns, *conn)).take(CANDIDATES_MAX);
        for index in candidates {
            let conn = &self.conns[index];
            let matches = (conn.session == request.state, conn.home == request.home);
            if best_match < Some(matches) {
                (best, best_match) = (Some(index), Some(matches));
            }
            if matches == (true, true) {
                break;
            }
        }
        best
    }

    fn lend(&mut self, conn: u32, now: Time) {
        self.leave_idle(conn);
        self.lend_out(conn, now);
    }

    /// Puts a connection that is in no list in use by a client.
    pub(crate) fn lend_out(&mut self, conn: u32, now: Time) {
        self.conns[conn].uses += 1;
        let route = self.conns[conn].route;
        self.enter_use(conn, ConnState::Lent { since: now });
        self.class_mut(route).counters.leases += 1;
        self.note_exhaustion(route);
        let route = &mut self.routes[route];
        route.served += 1;
        self.virtual_time = self.virtual_time.max(route.clock);
    }

    pub(crate) fn enter_use(&mut self, conn: u32, state: ConnState) {
        let conn = &mut self.conns[conn];
        conn.state = state;
        let route = conn.route;
        self.routes[route].in_use += 1;
        self.class_mut(route).in_use += 1;
        self.sums.in_use += 1;
    }

    /// The end of [`enter_use`](Self::enter_use).
    pub(crate) fn leave_use(&mut self, conn: u32) {
        let route = self.conns[conn].route;
        self.routes[route].in_use -= 1;
        self.class_mut(route).in_use -= 1;
        self.sums.in_use -= 1;
    }

    /// Counts that a class has run out, if what it has just lent was the last of what is its own.
    ///
    /// VTTablet's `Exhausted` to the letter: its pools count every `Get` behind which `Available`, the capacity less what is
    /// lent, is not above zero (Vitess up to 18, `go/pools/resource_pool.go`). So it does not depend on whether somebody had to
    /// wait, nor on how many connections were open or being opened.
    pub(crate) fn note_exhaustion(&mut self, route: u32) {
        let (number, budget) = (self.routes[route].class(), self.limits.budget);
        let account = self.caps.of(number);
        let capacity = account.limits().cap.map_or(budget, |cap| cap.min(budget));
        let class = &mut self.classes[number];
        class.counters.exhausted += u64::from(class.in_use + account.lent() >= capacity);
    }

    /// Takes an idle connection out of its route's list.
    pub(crate) fn leave_idle(&mut self, conn: u32) {
        let route = self.conns[conn].route;
        self.routes[route].idle.remove(&mut self.conns, conn);
    }
}
