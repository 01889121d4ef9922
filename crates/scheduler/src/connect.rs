//! Opening and closing connections, and the permits they hold.

use std::time::Duration;

use crate::class::Title;
use crate::conn::{Conn, ConnState};
use crate::list::Links;
use crate::pace::nanos;
use crate::route::Life;
use crate::scheduler::{Mode, Scheduler};
use crate::types::{CloseReason, ConnId, ConnectFailure, Decision, ExpireReason, Home, Limits, StateKey, Time};

impl Scheduler {
    /// A connect has come through after `took`; the connection serves the first waiter or falls idle.
    pub fn handle_connected(&mut self, conn: ConnId, session: StateKey, home: Home, took: Duration, now: Time) {
        let Some(index) = self.connecting(conn) else { return self.faults.stale_reports += 1 };
        self.connect_time.add(took);
        self.backoff.succeeded();
        let (held, limits) = (self.sums.permits, &self.limits);
        self.ceiling.accepted(held, limits.budget, limits.probe_after, now);

        let luck = self.rng.unit();
        let conn = &mut self.conns[index];
        (conn.session, conn.home, conn.born, conn.luck) = (session, home, now, luck);
        let route = conn.route;
        let counters = &mut self.class_mut(route).counters;
        counters.connects += 1;
        counters.connect_ns = counters.connect_ns.saturating_add(nanos(took));
        self.welcome(route, now);
        self.routes[route].connecting -= 1;
        self.sums.connecting -= 1;
        self.place(index, now, now);
        self.settle(route, now);
        self.fill(now);
    }

    /// A connect has failed and nothing is left of it: its permit is free.
    pub fn handle_connect_failed(&mut self, conn: ConnId, failure: ConnectFailure, now: Time) {
        let Some(index) = self.connecting(conn) else { return self.faults.stale_reports += 1 };
        let (route, began) = (self.conns[index].route, self.conns[index].since);
        self.routes[route].connecting -= 1;
        self.sums.connecting -= 1;
        self.class_mut(route).counters.connect_failures += 1;
        self.free_permit(index, None);
        self.disturbed_at = now;
        match failure {
            ConnectFailure::TooManyConnections => {
                self.ceiling.refused(self.sums.permits, began, now, self.limits.probe_after);
            }
            ConnectFailure::TooManyForRoute => {
                // The server is well, it only has no more for this route.
                self.backoff.succeeded();
                self.lower_route(route, began, now);
            }
            ConnectFailure::Unavailable => self.backoff.failed(began, now, &mut self.rng),
            ConnectFailure::LoginRefused => {
                // The server is well, it only does not want this route.
                self.backoff.succeeded();
                self.turn_away(route, began, now);
            }
        }
        self.settle(route, now);
        self.drop_if_gone(route);
        self.fill(now);
    }

    /// The socket is closed, for whatever reason and in whatever state: the permit is free, and goes to the route it was
    /// promised to, or to the strongest claim.
    pub fn handle_closed(&mut self, conn: ConnId, now: Time) {
        let Some(index) = self.conn(conn) else { return self.faults.stale_reports += 1 };
        let route = self.conns[index].route;
        let mut heir = None;
        match self.conns[index].state {
            ConnState::Closing { heir: promised } => {
                self.routes[route].closing -= 1;
                self.class_mut(route).closing -= 1;
                self.sums.closing -= 1;
                heir = promised;
            }
            ConnState::Connecting => {
                self.routes[route].connecting -= 1;
                self.sums.connecting -= 1;
                self.class_mut(route).counters.connect_failures += 1;
            }
            ConnState::Rekeying => self.end_rekey(route),
            ConnState::Idle { .. } => self.leave_idle(index),
            ConnState::Lent { since } => {
                self.charge(route, since, now);
                self.leave_use(index);
            }
            ConnState::Tested { .. } => self.leave_use(index),
        }
        self.free_permit(index, heir);
        self.settle(route, now);
        if let Some(heir) = heir {
            self.keep_promise(heir, now);
            self.caps.settle();
        }
        if let Some(heir) = heir.filter(|heir| *heir != route) {
            self.drop_if_gone(heir);
        }
        self.drop_if_gone(route);
        self.fill(now);
    }

    /// The slot promised to `heir` is free. It gets it unless a guarantee is due, or it does not need it any more; then
    /// the slot is everybody's.
    fn keep_promise(&mut self, heir: u32, now: Time) {
        self.routes[heir].promised -= 1;
        self.sums.promised -= 1;
        self.settle(heir, now);
        let [owed, _] = self.claimants(|class| self.caps.has_room(class));
        if owed.is_none()
            && self.mode == Mode::Running
            && self.routes[heir].hungry_since.is_some()
            && self.caps.has_room(self.routes[heir].class())
            && self.may_connect(now)
            && self.slot_is_free_for(Title::Weight, heir)
        {
            self.open(heir, now);
        }
    }

    /// Takes a permit and has a connection opened for the route.
    pub(crate) fn open(&mut self, route: u32, now: Time) {
        let conn = Conn {
            route,
            realm: self.routes[route].realm,
            state: ConnState::Connecting,
            since: now,
            born: now,
            luck: 0.0,
            uses: 0,
            session: StateKey::default(),
            home: Home::default(),
            epoch: self.epoch,
            links: Links::UNLINKED,
        };
        let (index, generation) = self.conns.insert(conn);
        self.routes[route].connecting += 1;
        self.sums.connecting += 1;
        self.sums.permits += 1;
        self.counters.opens += 1;
        let fits = self.caps.enter(self.routes[route].class());
        if self.sums.permits > self.limits.budget || !fits || self.is_beyond_cap(route) {
            self.faults.over_budget += 1;
        }
        self.settle(route, now);
        self.decisions.push_back(Decision::Open { conn: ConnId { index, generation }, route: self.route_id(route) });
    }

    /// The server let the route in.
    pub(crate) fn welcome(&mut self, route: u32, now: Time) {
        let Limits { budget, probe_after, .. } = self.limits;
        let welcome = &mut self.routes[route];
        welcome.refused.succeeded();
        let (held, most) = (welcome.permits(), welcome.limits.cap.unwrap_or(budget));
        welcome.ceiling.accepted(held, most, probe_after, now);
        self.watch_attempts(route, now);
    }

    /// The server has no more connections for the route than it holds now, as a connect that began at `began` was told.
    pub(crate) fn lower_route(&mut self, route: u32, began: Time, now: Time) {
        let lowered = &mut self.routes[route];
        let held = lowered.permits();
        lowered.ceiling.refused(held, began, now, self.limits.probe_after);
        lowered.wanted_once = 0;
        self.watch_attempts(route, now);
    }

    /// Sees to it that a route is looked at when the server may let it in again.
    pub(crate) fn watch_attempts(&mut self, route: u32, now: Time) {
        match self.routes[route].next_attempt(now) {
            Some(at) => self.refusals.set(route, at),
            None => self.refusals.remove(route),
        }
    }

    /// The server refused a login of the route that began at `began`: its waiters are told, and the next one tries again
    /// only after a while.
    pub(crate) fn turn_away(&mut self, route: u32, began: Time, now: Time) {
        self.routes[route].refused.failed(began, now, &mut self.rng);
        self.routes[route].wanted_once = 0;
        self.watch_attempts(route, now);
        self.expire_all(route, ExpireReason::LoginRefused, now);
    }

    /// The class of this route holds more than it may, those apart that are closing.
    #[inline]
    pub(crate) fn is_beyond_class(&self, route: u32) -> bool {
        let class = self.routes[route].class();
        let excess = self.caps.of(class).excess();
        excess > 0 && excess > self.classes[class].closing
    }

    /// This route holds more than its cap allows.
    pub(crate) fn is_beyond_cap(&self, route: u32) -> bool {
        let route = &self.routes[route];
        route.limits.cap.is_some_and(|cap| route.permits() > cap)
    }

    /// Has a connection closed that is in no list and no count of its route.
    pub(crate) fn close(&mut self, conn: u32, reason: CloseReason, heir: Option<u32>, now: Time) {
        self.decisions.push_back(Decision::Close { conn: self.conn_id(conn), reason });
        self.begin_closing(conn, reason, heir, now);
    }

    /// Counts a connection as closing and promises its slot, to `heir` or to the strongest claim that can use it, so that
    /// nobody sets a second slot moving for the same waiter.
    pub(crate) fn begin_closing(&mut self, conn: u32, reason: CloseReason, heir: Option<u32>, now: Time) {
        self.counters.closes.add(reason);
        let route = self.conns[conn].route;
        self.routes[route].closing += 1;
        self.routes[route].wanted_once = 0;
        let class = self.class_mut(route);
        class.closing += 1;
        class.counters.closes.add(reason);
        self.sums.closing += 1;
        self.settle(route, now);
        let heir = heir.or_else(|| self.natural_heir(route, now));
        if let Some(heir) = heir {
            self.routes[heir].promised += 1;
            self.sums.promised += 1;
            self.settle(heir, now);
        }
        self.conns[conn].state = ConnState::Closing { heir };
    }

    /// Who will get the slot of a closing connection of `route`, if a slot is what is scarce.
    fn natural_heir(&self, route: u32, now: Time) -> Option<u32> {
        let scarce = self.sums.permits >= self.effective_budget();
        if self.sums.hungry == 0 || self.mode != Mode::Running || !scarce || !self.may_connect(now) {
            return None;
        }
        let own = self.routes[route].class();
        let claimants = self.claimants(|class| self.caps.may_move(own, class));
        claimants.into_iter().flatten().next().map(|(_, heir)| heir)
    }

    /// Takes a connection off the books. What its class has borrowed goes where `heir` has the use of it.
    fn free_permit(&mut self, conn: u32, heir: Option<u32>) {
        let class = self.routes[self.conns[conn].route].class();
        self.caps.leave(class, heir.map_or(class, |heir| self.routes[heir].class()));
        if heir.is_none() {
            self.caps.settle();
        }
        self.sums.permits -= 1;
        self.expiries.remove(conn);
        self.conns.remove(conn);
        if self.conns.len() == 0 && (self.sums.permits, self.sums.in_use, self.sums.closing) != (0, 0, 0) {
            self.faults.permits_lost += 1;
        }
    }

    /// Forgets a removed route whose last connection is closed.
    pub(crate) fn drop_if_gone(&mut self, index: u32) {
        let route = &self.routes[index];
        if route.life == Life::Leaving && route.permits() == 0 && route.promised == 0 {
            self.stop_looking(index);
            self.class_mut(index).forget(index);
            self.refusals.remove(index);
            self.routes.remove(index);
        }
    }

    fn connecting(&self, conn: ConnId) -> Option<u32> {
        self.conn(conn).filter(|index| self.conns[*index].state == ConnState::Connecting)
    }
}
