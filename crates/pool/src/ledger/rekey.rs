//! Connections that change hands alive: what is to be done, and what became of it.

use std::sync::Arc;

use scheduler::{ClassId, CloseReason, ConnId, ConnectFailure, RouteId, StateKey, Time};

use super::{Connected, Job, Ledger};
use crate::connector::Connector;
use crate::error::ConnectFault;
use crate::table::{Login, Phase};

impl<C: Connector> Ledger<C> {
    pub(super) fn rekey(&mut self, conn: ConnId, from: RouteId, to: RouteId, now: Time) {
        let Some(entry) = self.table.get_mut(conn) else { return };
        let Some(connection) = entry.take_idle(Phase::Rekeying { since: now }) else { return };
        entry.route = to;
        match self.targets.get(&to) {
            Some(target) => {
                // Whatever it logged in with before, it will be logged in with this.
                entry.login = Login::Current;
                self.jobs.push_back(Job::Rekey { conn, connection, from, to, target: Arc::clone(&target.route) });
            }
            None => self.abandon(conn, connection, ConnectFailure::Unavailable, now),
        }
    }

    /// A re-key succeeded.
    pub(crate) fn handle_rekeyed(
        &mut self,
        conn: ConnId,
        connection: Box<C::Connection>,
        state: StateKey,
        now: Time,
    ) -> Option<Connected<C::Error>> {
        let Some(entry) = self.table.get_mut(conn) else {
            self.close_unknown(conn, connection);
            return None;
        };
        let Phase::Rekeying { since } = entry.phase else {
            self.close_unknown(conn, connection);
            return None;
        };
        entry.phase = Phase::Idle { connection };
        (entry.state, entry.fresh_at) = (state, now);
        let (took, login) = (now.since(since), entry.login);
        let (route, class) = self.scheduler.route_of(conn).unwrap_or((entry.route, ClassId::DEFAULT));
        self.scheduler.handle_rekeyed(conn, state, took, now);
        let mended = self.arrived(conn, route, login, now);
        Some(Connected { class, took, mended })
    }

    /// A re-key failed: the connection is closed. Returns what is forgotten for it, to be dropped outside the lock.
    pub(crate) fn handle_rekey_failed(
        &mut self,
        conn: ConnId,
        connection: Box<C::Connection>,
        fault: ConnectFault<C::Error>,
        now: Time,
    ) -> Option<ConnectFault<C::Error>> {
        let failure = fault.failure();
        let target = self.table.get(conn).and_then(|entry| self.targets.get_mut(&entry.route));
        let forgotten = match target {
            Some(target) => target.last_fault.replace(fault),
            None => Some(fault),
        };
        self.abandon(conn, connection, failure, now);
        forgotten
    }

    fn abandon(&mut self, conn: ConnId, connection: Box<C::Connection>, failure: ConnectFailure, now: Time) {
        let reason = CloseReason::RekeyFailed;
        if let Some(entry) = self.table.get_mut(conn) {
            entry.phase = Phase::Closing { reason };
        }
        self.scheduler.handle_rekey_failed(conn, failure, now);
        self.jobs.push_back(Job::Close { conn, connection, reason });
    }
}
