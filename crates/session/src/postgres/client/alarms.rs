//! What a session is told from outside, and its time limits.

use std::{
    task::Context,
    time::{Duration, Instant},
};

use pg::{ErrorReply, exchange::Transaction};
use route::PoolMode;

use super::Client;
use crate::{
    postgres::{fault::Fault, server::ServerConnection},
    registry::{Alarm, Phase},
};

/// After a query was asked to stop because of its time limit, how long it may take to do so.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// Where the silence of a client falls that holds its server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// Into a transaction, or a unit of work without its end.
    Inside,
    /// Between transactions of a session that keeps its connection.
    Outside,
}

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
            Some(Alarm::Drain) if (self.phase, self.silence) == (Phase::Holding, Silence::Outside) => {
                Err(ended(Alarm::Drain))
            }
            // What is under way may end; the session is left when it is idle.
            Some(Alarm::Drain) => {
                self.leaving = true;
                Ok(Alarmed::No)
            }
            // A cancel request for what the server runs went to the server; here it can only mean the wait.
            Some(Alarm::Cancel) if self.phase == Phase::Waiting => Ok(Alarmed::Cancel),
            Some(Alarm::Cancel) => Ok(Alarmed::No),
            Some(alarm) if self.is_outdated(alarm) => {
                self.arm();
                Ok(Alarmed::No)
            }
            Some(Alarm::QueryTimeout) => Ok(Alarmed::Cancel),
            Some(alarm) => Err(ended(alarm)),
        }
    }

    /// While nothing is under way: every alarm ends the session, but those about what was under way.
    pub(super) fn poll_alarm_idle(&self, cx: &Context<'_>) -> Result<(), Fault> {
        match self.shared.poll_alarm(cx.waker()) {
            None if self.leaving && self.phase == Phase::Idle => Err(ended(Alarm::Drain)),
            None
            | Some(
                Alarm::Cancel
                | Alarm::QueryTimeout
                | Alarm::QueryStuck
                | Alarm::TransactionTimeout
                | Alarm::HoldingTimeout,
            ) => Ok(()),
            Some(alarm) => Err(ended(alarm)),
        }
    }

    /// Whether the alarm is about a query or transaction that has ended since it was set.
    fn is_outdated(&self, alarm: Alarm) -> bool {
        let limits = &self.route.terms.load().timeouts;
        let due = match alarm {
            Alarm::QueryTimeout => limits.query.limit().map(|limit| self.asked_at + limit),
            Alarm::QueryStuck => limits.query.limit().map(|limit| self.asked_at + limit + CANCEL_GRACE),
            Alarm::TransactionTimeout => limits.transaction.limit().map(|limit| self.leased_at + limit),
            _ => return false,
        };
        due.is_none_or(|due| due > Instant::now())
    }

    /// Notes what the session does, and when that has taken too long.
    pub(super) fn set_phase(&mut self, phase: Phase) {
        if phase == self.phase {
            return;
        }
        if phase == Phase::Active && self.phase == Phase::Holding {
            self.asked_at = Instant::now();
            if self.silence == Silence::Outside {
                self.leased_at = self.asked_at;
            }
        }
        self.phase = phase;
        self.shared.set_phase(phase);
        self.arm();
    }

    /// Sets the alarm for what the session does now.
    fn arm(&self) {
        let terms = self.route.terms.load();
        let limits = &terms.timeouts;
        let query = || limits.query.limit().map(|limit| (self.asked_at + limit, Alarm::QueryTimeout));
        let transaction =
            || limits.transaction.limit().map(|limit| (self.leased_at + limit, Alarm::TransactionTimeout));
        let holding =
            || limits.idle_in_transaction.limit().map(|limit| (Instant::now() + limit, Alarm::HoldingTimeout));
        let idle = || limits.client_idle.limit().map(|limit| (Instant::now() + limit, Alarm::IdleTimeout));
        let due = match (self.phase, self.silence) {
            (Phase::Waiting, _) => None,
            (Phase::Active, _) => earlier(query(), transaction()),
            (Phase::Holding, Silence::Inside) => earlier(holding(), transaction()),
            (Phase::Holding, Silence::Outside) | (Phase::Idle, _) => idle(),
        };
        self.engine.registry.set_due(&self.shared, due);
    }

    /// Both sides are silent: is it the client's turn or the server's?
    pub(super) fn note_silence(&mut self, server: &ServerConnection) {
        self.show_pin();
        let exchange = &server.exchange;
        // A unit without its Sync holds the connection like a transaction does.
        let inside = exchange.transaction() != Transaction::Idle || !exchange.is_settled();
        let held = inside || self.mode == PoolMode::Session || self.state.pin().is_some();
        if exchange.owes_nothing() && held {
            self.silence = if inside { Silence::Inside } else { Silence::Outside };
            self.set_phase(Phase::Holding);
        } else {
            self.set_phase(Phase::Active);
        }
    }

    /// Lets others see why the session keeps its server connection, when that has changed.
    fn show_pin(&mut self) {
        let pin = self.state.pin();
        if pin == self.shown_pin {
            return;
        }
        self.shown_pin = pin;
        self.shared.set_pin(pin);
        if let Some(why) = pin {
            self.route.meters().pins.inc();
            tracing::debug!(client = self.shared.number(), %why, "session keeps its server connection");
        }
    }

    /// A unit of work was answered to its end.
    pub(super) fn unit_ended(&mut self) {
        let now = Instant::now();
        self.work.out_of_time = false;
        self.route.meters().query.record(now.saturating_duration_since(self.asked_at));
        self.asked_at = now;
    }

    /// Asks the server to stop the query under way. If it does not, the session ends.
    pub(super) fn stop_query(&mut self) {
        self.work.out_of_time = true;
        tracing::info!(client = self.shared.number(), "query_timeout: the query is canceled");
        if let Some(underway) = self.shared.cancel_target() {
            tokio::spawn(underway.deliver());
        }
        self.engine.registry.set_due(&self.shared, Some((Instant::now() + CANCEL_GRACE, Alarm::QueryStuck)));
    }
}

fn earlier(one: Option<(Instant, Alarm)>, other: Option<(Instant, Alarm)>) -> Option<(Instant, Alarm)> {
    one.into_iter().chain(other).min_by_key(|(at, _)| *at)
}

/// What a client hears whose session is ended from our side.
fn ended(alarm: Alarm) -> Fault {
    let reply = match alarm {
        Alarm::QueryStuck => {
            ErrorReply::fatal("57014", "terminating connection because a query did not stop after query timeout")
        }
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
