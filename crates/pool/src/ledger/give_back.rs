//! Taking a connection back.

use scheduler::{CloseReason, ConnId, Detach, Time};

use super::{Granted, Job, Ledger, Pace, Then, Verdict};
use crate::connector::Connector;
use crate::table::{Login, Phase};

impl<C: Connector> Ledger<C> {
    /// Takes a connection back from its holder.
    pub(crate) fn give_back(&mut self, conn: ConnId, connection: Box<C::Connection>, verdict: Verdict, now: Time) {
        let limit = self.settings.validate_timeout;
        let test = self.settings.test_on_return || matches!(verdict, Verdict::Settle(_));
        let Some(entry) = self.table.get_mut(conn) else { return self.close_unknown(conn, connection) };
        match verdict {
            Verdict::Close(reason) => self.discard(conn, connection, reason, now),
            Verdict::Keep(_) | Verdict::Settle(_) if entry.login == Login::Outdated => {
                self.discard(conn, connection, CloseReason::Reconnect, now);
            }
            Verdict::Keep(state) | Verdict::Settle(state) => {
                entry.state = state;
                entry.fresh_at = now;
                if test {
                    entry.phase = Phase::Testing;
                    self.jobs.push_back(Job::Test { conn, connection, then: Then::GiveBack, limit });
                } else {
                    entry.phase = Phase::Idle { connection };
                    self.pace = Pace::Routine;
                    self.scheduler.detach(conn, Detach::Keep(state), now);
                }
            }
        }
    }

    /// Starts the close of a connection in use.
    pub(crate) fn discard(&mut self, conn: ConnId, connection: Box<C::Connection>, reason: CloseReason, now: Time) {
        if let Some(entry) = self.table.get_mut(conn) {
            entry.phase = Phase::Closing { reason };
        }
        self.scheduler.detach(conn, Detach::Discard(reason), now);
        self.jobs.push_back(Job::Close { conn, connection, reason });
    }

    /// Takes back a connection that nobody has used since it was granted.
    pub(super) fn restore(&mut self, granted: Granted<C>, now: Time) {
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
    pub(super) fn close_unknown(&mut self, conn: ConnId, connection: Box<C::Connection>) {
        debug_assert!(false, "{conn:?} is in use, so it holds a permit and is in the table");
        self.jobs.push_back(Job::Close { conn, connection, reason: CloseReason::Unusable });
    }
}
