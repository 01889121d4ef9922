//! What a session is told from outside, and its time limits.

use std::{
    task::Context,
    time::{Duration, Instant},
};

use pg::{ErrorReply, exchange::Transaction};

use super::Client;
use crate::{
    fault::Fault,
    registry::{Alarm, Phase},
    server::ServerConnection,
};

/// After a query was asked to stop because of its time limit, how long it may take to do so.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// What an alarm asks of a session at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarmed {
    /// Nothing.
    No,
    /// To stop waiting, or the query under way.
    Cancel,
}

impl Client {
    /// While a unit of work is under way: alarms may end it or the session.
    pub(super) fn poll_alarm(&mut self, cx: &Context<'_>) -> Result<Alarmed, Fault> {
        match self.shared.poll_alarm(cx.waker()) {
            None | Some(Alarm::IdleTimeout) => Ok(Alarmed::No),
            // What is under way may end; the session is left when it is idle.
            Some(Alarm::Drain) => {
                self.leaving = true;
                Ok(Alarmed::No)
            }
            // A cancel request for what the server runs went to the server; here it can only mean the wait.
            Some(Alarm::Cancel) if self.phase == Phase::Waiting => Ok(Alarmed::Cancel),
            Some(Alarm::Cancel) => Ok(Alarmed::No),
            Some(Alarm::QueryTimeout) => Ok(Alarmed::Cancel),
            Some(alarm) => Err(ended(alarm)),
        }
    }

    /// While nothing is under way: every alarm but a stray cancel request ends the session.
    pub(super) fn poll_alarm_idle(&self, cx: &Context<'_>) -> Result<(), Fault> {
        match self.shared.poll_alarm(cx.waker()) {
            None if self.leaving && self.phase == Phase::Idle => Err(ended(Alarm::Drain)),
            None | Some(Alarm::Cancel | Alarm::QueryTimeout) => Ok(()),
            Some(alarm) => Err(ended(alarm)),
        }
    }

    /// Notes what the session does, and when that has taken too long.
    pub(super) fn set_phase(&mut self, phase: Phase) {
        if phase == self.phase {
            return;
        }
        if phase == Phase::Active && self.phase == Phase::Holding {
            self.asked_at = Instant::now();
        }
        self.phase = phase;
        self.shared.set_phase(phase);
        let terms = self.route.terms.load();
        let limits = &terms.timeouts;
        let transaction = limits.transaction.limit().map(|limit| (self.leased_at + limit, Alarm::TransactionTimeout));
        let own = match phase {
            Phase::Waiting => None,
            Phase::Active => limits.query.limit().map(|limit| (self.asked_at + limit, Alarm::QueryTimeout)),
            Phase::Holding => {
                limits.idle_in_transaction.limit().map(|limit| (Instant::now() + limit, Alarm::HoldingTimeout))
            }
            Phase::Idle => limits.client_idle.limit().map(|limit| (Instant::now() + limit, Alarm::IdleTimeout)),
        };
        let transaction = transaction.filter(|_| matches!(phase, Phase::Active | Phase::Holding));
        let due = match (own, transaction) {
            (Some(own), Some(transaction)) => Some(if own.0 <= transaction.0 { own } else { transaction }),
            (own, transaction) => own.or(transaction),
        };
        self.engine.registry.set_due(&self.shared, due);
    }

    /// Both sides are silent: is it the client's turn or the server's?
    pub(super) fn note_silence(&mut self, server: &ServerConnection) {
        let exchange = &server.exchange;
        // A unit without its Sync holds the connection like a transaction does.
        let held = exchange.transaction() != Transaction::Idle || self.state.pin().is_some() || !exchange.is_settled();
        self.set_phase(if exchange.owes_nothing() && held { Phase::Holding } else { Phase::Active });
    }

    /// A unit of work was answered to its end.
    pub(super) fn unit_ended(&mut self) {
        let now = Instant::now();
        self.route.meters().query.record(now.saturating_duration_since(self.asked_at));
        self.asked_at = now;
    }

    /// Asks the server to stop the query under way. If it does not, the transaction's time is up.
    pub(super) fn stop_query(&self) {
        tracing::info!(client = self.shared.number(), "query_timeout: the query is canceled");
        if let Some(underway) = self.shared.cancel_target() {
            tokio::spawn(underway.deliver());
        }
        self.engine.registry.set_due(&self.shared, Some((Instant::now() + CANCEL_GRACE, Alarm::TransactionTimeout)));
    }
}

/// What a client hears whose session is ended from our side.
fn ended(alarm: Alarm) -> Fault {
    let reply = match alarm {
        Alarm::TransactionTimeout => ErrorReply::fatal("25P04", "terminating connection due to transaction timeout"),
        Alarm::HoldingTimeout => {
            ErrorReply::fatal("25P03", "terminating connection due to idle-in-transaction timeout")
        }
        Alarm::IdleTimeout => ErrorReply::fatal("57P05", "terminating connection due to client_idle timeout"),
        Alarm::Drain => ErrorReply::fatal("57P01", "the pooler is shutting down"),
        Alarm::Kill | Alarm::Cancel | Alarm::QueryTimeout => {
            ErrorReply::fatal("57P01", "terminating connection due to administrator command")
        }
    };
    Fault::Refused(Box::new(reply))
}
