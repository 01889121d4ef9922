//! Validations: which connections need one, and what becomes of them.

use std::time::Duration;

use scheduler::{CloseReason, ConnId, Detach, StateKey, Time};

use super::{Job, Ledger, Outcome, Stage, Then};
use crate::connector::Connector;
use crate::table::{Entry, Login, Phase};

impl<C: Connector> Ledger<C> {
    /// Starts tests of idle connections whose servers have been silent for `after`; a quarter of them at most at once,
    /// so that a round of tests does not leave callers without a connection.
    pub(crate) fn test_idle(&mut self, after: Duration, now: Time) {
        let idle = |entry: &&Entry<_>| matches!(entry.phase, Phase::Idle { .. });
        let at_once = self.table.iter().filter(idle).count().div_ceil(4);
        let due: Vec<ConnId> = self
            .table
            .iter()
            .filter(idle)
            .filter(|entry| now.since(entry.fresh_at) >= after)
            .map(|entry| entry.id)
            .take(at_once)
            .collect();
        for conn in due {
            if self.scheduler.take_idle(conn, now) {
                self.start_test(conn, Then::GiveBack, now);
            }
        }
    }

    pub(super) fn must_test(&self, conn: ConnId, now: Time) -> bool {
        let Some(after) = self.settings.test_on_checkout else { return false };
        self.table.get(conn).is_some_and(|entry| now.since(entry.fresh_at) >= after && now != entry.fresh_at)
    }

    /// Starts the test of a connection that is in use for the scheduler and still here.
    pub(super) fn start_test(&mut self, conn: ConnId, then: Then, now: Time) {
        let mut limit = self.settings.validate_timeout;
        if let Then::Deliver(place) = then
            && let Some(waiter) = self.places.waiting_mut(place)
        {
            waiter.stage = Stage::Tested;
            limit = limit.min(waiter.request.deadline.since(now));
        }
        if let Some(connection) = self.table.get_mut(conn).and_then(|entry| entry.take_idle(Phase::Testing)) {
            self.jobs.push_back(Job::Test { conn, connection, then, limit });
        }
    }

    /// Takes back a connection that passed its test, or hands it to whom it was meant for.
    pub(crate) fn handle_tested(
        &mut self,
        conn: ConnId,
        connection: Box<C::Connection>,
        then: Then,
        state: StateKey,
        now: Time,
    ) {
        let Some(entry) = self.table.get_mut(conn) else { return self.close_unknown(conn, connection) };
        (entry.fresh_at, entry.state) = (now, state);
        if entry.login == Login::Outdated {
            self.discard(conn, connection, CloseReason::Reconnect, now);
            if let Then::Deliver(place) = then {
                self.attach_again(place, now);
            }
            return;
        }
        entry.phase = Phase::Idle { connection };
        if let Then::Deliver(place) = then
            && let Some(site) = self.places.waiting_mut(place).map(|waiter| waiter.site)
        {
            let granted = self.lend(conn, site, now);
            self.settle(place, Outcome::Granted(granted), now);
        } else {
            self.scheduler.detach(conn, Detach::Keep(state), now);
        }
    }
}
