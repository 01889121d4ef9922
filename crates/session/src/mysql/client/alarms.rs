//! What a session is told from outside, in the words of its protocol.

use std::task::Context;

use mysql::ErrorReply;
use route::PoolMode;

use super::Client;
use crate::{
    mysql::{fault::Fault, server::ServerConnection},
    registry::{Alarm, Phase},
    vigil::{Alarmed, Silence},
};

impl Client {
    pub(super) fn enter(&mut self, phase: Phase) {
        self.vigil.enter(phase, &self.route.terms);
    }

    /// While a command is under way: alarms may end it or the session.
    pub(super) fn poll_alarm(&mut self, cx: &Context<'_>) -> Result<Alarmed, Fault> {
        self.vigil.poll(cx, &self.route.terms).map_err(ended)
    }

    /// While nothing is under way.
    pub(super) fn poll_alarm_idle(&self, cx: &Context<'_>) -> Result<(), Fault> {
        self.vigil.poll_idle(cx).map_err(ended)
    }

    /// Whether the session keeps its server connection at this boundary.
    pub(super) fn holds(&self, server: &ServerConnection) -> bool {
        server.exchange.in_transaction() || self.mode == PoolMode::Session || self.state.pin().is_some()
    }

    /// It is the client's turn, and the server connection stays with it.
    pub(super) fn hold(&mut self, server: &ServerConnection) {
        self.show_pin();
        let silence = if server.exchange.in_transaction() { Silence::Inside } else { Silence::Outside };
        self.vigil.hold(silence, &self.route.terms);
    }

    /// Lets others see why the session keeps its server connection, when that has changed.
    pub(super) fn show_pin(&mut self) {
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

    /// Asks the server to stop the query under way. If it does not, the session ends.
    pub(super) fn stop_query(&mut self) {
        self.work.out_of_time = true;
        tracing::info!(client = self.shared.number(), "timeouts.query: the query is killed");
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
            ErrorReply::interrupted("Connection closed because a query did not stop after timeouts.query")
        }
        Alarm::TransactionTimeout => ErrorReply::idle_timeout("Connection closed by timeouts.transaction"),
        Alarm::HoldingTimeout => ErrorReply::idle_timeout("Connection closed by timeouts.idle_in_transaction"),
        Alarm::IdleTimeout => ErrorReply::idle_timeout("Connection closed by timeouts.client_idle"),
        Alarm::Drain => ErrorReply::shutdown("The pooler is shutting down"),
        Alarm::Kill | Alarm::Cancel | Alarm::QueryTimeout => ErrorReply::killed("Connection was killed"),
    };
    Fault::Refused(Box::new(reply))
}
