//! Opening and closing: what became of connects and closes, and credentials that change.

use std::sync::Arc;

use scheduler::{ClassId, CloseReason, ConnId, ConnectFailure, Home, RouteId, StateKey, Time};

use super::{Connected, Job, Ledger};
use crate::connector::Connector;
use crate::error::ConnectFault;
use crate::table::{Entry, Login, Phase};

impl<C: Connector> Ledger<C> {
    pub(super) fn open(&mut self, conn: ConnId, route: RouteId, now: Time) {
        let Some(target) = self.targets.get(&route) else {
            return self.scheduler.handle_connect_failed(conn, ConnectFailure::Unavailable, now);
        };
        self.table.open(conn, route, now);
        self.jobs.push_back(Job::Connect { conn, route, target: Arc::clone(&target.route) });
    }

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
        let (took, login) = (now.since(entry.born), entry.login);
        let (route, class) = self.scheduler.route_of(conn).unwrap_or((entry.route, ClassId::DEFAULT));
        self.scheduler.handle_connected(conn, state, home, took, now);
        let mended = self.arrived(conn, route, login, now);
        Some(Connected { class, took, mended })
    }

    /// What follows from a connection that is ready for its route. Returns the fault that is over, if there was one.
    pub(super) fn arrived(
        &mut self,
        conn: ConnId,
        route: RouteId,
        login: Login,
        now: Time,
    ) -> Option<ConnectFault<C::Error>> {
        self.carry_out_decisions(now);
        if login == Login::Outdated {
            self.retire_idle(conn, now);
        }
        self.targets.get_mut(&route).and_then(|target| target.last_fault.take())
    }

    /// A connect failed. Returns what is forgotten for it, to be dropped outside the lock.
    pub(crate) fn handle_connect_failed(
        &mut self,
        conn: ConnId,
        fault: ConnectFault<C::Error>,
        now: Time,
    ) -> Option<ConnectFault<C::Error>> {
        let entry = self.table.remove(conn);
        let failure = match (fault.failure(), &entry) {
            (ConnectFailure::TooManyForRoute, Some(entry)) if self.shares_its_account(entry.route) => {
                // Only where the budget is lowered do idle connections of those routes move to this one.
                ConnectFailure::TooManyConnections
            }
            (failure, _) => failure,
        };
        let forgotten = match entry.and_then(|entry| self.targets.get_mut(&entry.route)) {
            Some(target) => target.last_fault.replace(fault),
            None => Some(fault),
        };
        self.scheduler.handle_connect_failed(conn, failure, now);
        forgotten
    }

    /// Whether another route has connections of the same user. Siblings are none: what they have serves this route as well.
    fn shares_its_account(&self, route: RouteId) -> bool {
        let Some(own) = self.targets.get(&route).filter(|target| target.account.is_some()) else { return false };
        let others = self.targets.iter().filter(|(_, other)| !Arc::ptr_eq(&own.route, &other.route));
        let alike = others.filter(|(_, other)| own.account == other.account);
        alike.filter_map(|(id, _)| self.scheduler.route(*id)).any(|view| view.idle + view.in_use + view.connecting > 0)
    }

    pub(super) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        if let Some(connection) = self.table.get_mut(conn).and_then(|entry| entry.take_idle(Phase::Closing { reason }))
        {
            self.jobs.push_back(Job::Close { conn, connection, reason });
        }
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
}
