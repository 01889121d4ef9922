//! Moving a live connection from one route to another: it logs in anew instead of being replaced.
//!
//! A re-key takes the place of "close this one, open one for the other route" wherever that was decided, and changes
//! nothing about who gets the slot. The slot stays held throughout: the connection counts as one of the taker's that is
//! being made from the moment of the decision, and nobody can see it until the login has come through.

use std::time::Duration;

use crate::conn::ConnState;
use crate::pace::{Backoff, Mean};
use crate::scheduler::Scheduler;
use crate::types::{CloseReason, ConnId, ConnectFailure, Decision, Moves, StateKey, Time};

/// How re-keys fare.
#[derive(Debug, Default)]
pub(crate) struct Rekeys {
    /// What one takes.
    pub(crate) time: Mean,
    /// After a failure moves are reconnects for a while. This is apart from the back-off of connects: what a broken
    /// connection says of the server is little, and the connect that follows will tell.
    backoff: Backoff,
    pub(crate) under_way: u32,
    pub(crate) done: u64,
    pub(crate) failed: u64,
}

impl Scheduler {
    /// A re-key has come through after `took`; the connection serves the first waiter of its new route or falls idle.
    pub fn handle_rekeyed(&mut self, conn: ConnId, session: StateKey, took: Duration, now: Time) {
        let Some(index) = self.rekeying(conn) else { return self.faults.stale_reports += 1 };
        self.rekeys.time.add(took);
        self.rekeys.backoff.succeeded();
        self.rekeys.done += 1;
        let route = self.conns[index].route;
        self.end_rekey(route);
        self.welcome(route, now);
        self.routes[route].rekeys += 1;
        self.conns[index].session = session;
        self.place(index, now, now);
        self.settle(route, now);
        self.fill(now);
    }

    /// A re-key has failed, and with it the connection: the caller closes it without being told, then reports
    /// [`Scheduler::handle_closed`]. If the new route still needs the slot, a connection is opened for it then.
    ///
    /// [`ConnectFailure::LoginRefused`] and [`ConnectFailure::TooManyForRoute`] must mean that an ordinary login of that route
    /// would have been refused as well. Any other failure says nothing of the server, which is not asked for one connection more.
    pub fn handle_rekey_failed(&mut self, conn: ConnId, failure: ConnectFailure, now: Time) {
        let Some(index) = self.rekeying(conn) else { return self.faults.stale_reports += 1 };
        let (route, began) = (self.conns[index].route, self.conns[index].since);
        self.rekeys.failed += 1;
        self.end_rekey(route);
        self.disturbed_at = now;
        match failure {
            ConnectFailure::LoginRefused => {
                self.rekeys.backoff.succeeded();
                self.turn_away(route, began, now);
            }
            ConnectFailure::TooManyForRoute => {
                self.rekeys.backoff.succeeded();
                self.lower_route(route, began, now);
            }
            ConnectFailure::TooManyConnections | ConnectFailure::Unavailable => {
                self.rekeys.backoff.failed(began, now, &mut self.rng);
            }
        }
        let heir = self.routes[route].wants_connection(now, self.connect_time.get()).then_some(route);
        self.begin_closing(index, CloseReason::RekeyFailed, heir, now);
        self.fill(now);
    }

    /// Sets the slot of a connection moving to `taker`. The connection is in no list and no count of its route.
    pub(crate) fn move_slot(&mut self, conn: u32, taker: u32, now: Time) {
        if self.are_siblings(self.conns[conn].route, taker) {
            return self.pass_on(conn, taker, now);
        }
        self.counters.moves += 1;
        if self.may_rekey(conn, taker, now) {
            self.rekey(conn, taker, now);
        } else {
            self.close(conn, CloseReason::Reclaimed, Some(taker), now);
        }
    }

    /// Whether this connection would get to `taker` alive.
    pub(crate) fn may_rekey(&self, conn: u32, taker: u32, now: Time) -> bool {
        let realm = self.conns[conn].realm;
        let Rekeys { backoff, under_way, .. } = &self.rekeys;
        // While they fail, one at a time tries.
        let is_their_time = backoff.until() <= now && (!backoff.failing() || *under_way == 0);
        self.limits.moves == Moves::Rekey && realm.is_some() && realm == self.routes[taker].realm && is_their_time
    }

    /// How long it takes to move this connection's slot to `taker`, by measure. The first re-key is taken to be a connect.
    pub(crate) fn move_time(&self, conn: u32, taker: u32, now: Time) -> Duration {
        if self.are_siblings(self.conns[conn].route, taker) {
            return Duration::ZERO;
        }
        let rekey = if self.may_rekey(conn, taker, now) { self.rekeys.time.sampled() } else { None };
        rekey.unwrap_or_else(|| self.connect_time.get())
    }

    /// Gives a re-key that ends, in whatever way, out of the counts.
    pub(crate) fn end_rekey(&mut self, route: u32) {
        self.routes[route].connecting -= 1;
        self.sums.connecting -= 1;
        self.rekeys.under_way -= 1;
    }

    fn rekey(&mut self, conn: u32, taker: u32, now: Time) {
        let moved = &mut self.conns[conn];
        let giver = std::mem::replace(&mut moved.route, taker);
        (moved.since, moved.state) = (now, ConnState::Rekeying);
        let fits = self.change_permit(giver, taker);
        self.routes[taker].connecting += 1;
        self.sums.connecting += 1;
        self.rekeys.under_way += 1;
        self.faults.over_budget += u64::from(!fits || self.is_beyond_cap(taker));
        self.settle(giver, now);
        self.settle(taker, now);
        let (conn, from, to) = (self.conn_id(conn), self.route_id(giver), self.route_id(taker));
        self.decisions.push_back(Decision::Rekey { conn, from, to });
    }

    /// Takes a connection's permit from the class of one route to that of another. False if it does not fit there; inside a
    /// class, as inside the budget, no permit is taken, so there it always does.
    pub(crate) fn change_permit(&mut self, giver: u32, taker: u32) -> bool {
        let (from, to) = (self.routes[giver].class(), self.routes[taker].class());
        self.caps.change(from, to)
    }

    fn rekeying(&self, conn: ConnId) -> Option<u32> {
        self.conn(conn).filter(|index| self.conns[*index].state == ConnState::Rekeying)
    }
}
