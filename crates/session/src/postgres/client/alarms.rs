//! What a session is told from outside, in the words of its protocol.

use std::task::Context;

use pg::{ErrorReply, exchange::Transaction};
use route::PoolMode;

use super::Client;
use crate::{
    postgres::{fault::Fault, server::ServerConnection},
    registry::{Alarm, Phase},
    vigil::{Alarmed, Silence},
};

impl Client {
    pub(super) fn enter(&mut self, phase: Phase) {
        self.vigil.enter(phase, &self.route.terms);
    }

    /// While a unit of work is under way: alarms may end it or the session.
    pub(super) fn poll_alarm(&mut self, cx: &Context<'_>) -> Result<Alarmed, Fault> {
        self.vigil.poll(cx, &self.route.terms).map_err(ended)
    }

    /// While nothing is under way.
    pub(super) fn poll_alarm_idle(&self, cx: &Context<'_>) -> Result<(), Fault> {
        self.vigil.poll_idle(cx).map_err(ended)
    }

    /// Both sides are silent: is it the client's turn or the server's?
    pub(super) fn note_silence(&mut self, server: &ServerConnection) {
        self.show_pin();
        let exchange = &server.exchange;
        // A unit without its Sync holds the connection like a transaction does.
        let inside = exchange.transaction() != Transaction::Idle || !exchange.is_settled();
        let held = inside || self.mode == PoolMode::Session || self.state.pin().is_some();
        if exchange.owes_nothing() && held {
            let silence = if inside { Silence::Inside } else { Silence::Outside };
            self.vigil.hold(silence, &self.route.terms);
        } else {
            self.enter(Phase::Active);
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
        self.work.out_of_time = false;
        self.route.meters().query.record(self.vigil.answered());
    }

    /// Asks the server to stop the query under way. If it does not, the session ends.
    pub(super) fn stop_query(&mut self) {
        self.work.out_of_time = true;
        tracing::info!(client = self.shared.number(), "timeouts.query: the query is canceled");
        if let Some(underway) = self.shared.cancel_target() {
            tokio::spawn(underway.deliver());
        }
        self.vigil.expect_end();
    }
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
