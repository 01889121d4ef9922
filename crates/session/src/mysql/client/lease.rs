//! From a command to a server connection, and back again at its boundary.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use mysql::ErrorReply;
use pool::{Checkout, CheckoutError, Lease, RouteId, StateKey};
use route::PoolMode;

use super::{Client, Held, state::Traces, tidy};
use crate::{
    demand::Demand,
    driver::AnyLink,
    lane::is_retired,
    mysql::{
        connector::{MyConnector, ServerError},
        fault::{Fault, ServerFault},
        server::{Conditions, ServerConnection},
    },
    placing::{self, Keeps},
    vigil::Alarmed,
};

/// How a wait for a server connection ends.
enum Wait {
    Granted(Lease<MyConnector>),
    Failed(CheckoutError<ServerError>),
    /// Somebody asked, on another connection, that it end.
    Canceled,
}

impl Client {
    /// Sees to it that a connection is held; answers the command with an error and returns `false` when there is none.
    pub(super) async fn acquire(&mut self, demand: Demand, held: &mut Held) -> Result<bool, Fault> {
        if held.is_none() {
            if self.work.down.pending() > 0 {
                // What was answered before must not get lost with a connection that breaks, and who is slow to take it shall
                // not keep one meanwhile.
                self.flush().await?;
            }
            let began = Instant::now();
            let mut lease = loop {
                let within = self.take_terms();
                let queue = match self.choose_queue(demand) {
                    Ok(queue) => queue,
                    Err(reply) => return Ok(self.turn_away(&reply)),
                };
                match self.queue(queue.route, began, within).await? {
                    Wait::Granted(mut lease) if lease.is_alive() => {
                        if queue.keeps == Keeps::Reserved
                            && let Err(reply) = self.reserve(&mut lease)
                        {
                            return Ok(self.turn_away(&reply));
                        }
                        break lease;
                    }
                    Wait::Granted(lease) => lease.discard("the server ended it while it was idle"),
                    Wait::Failed(error) if is_retired(&error) => self.reroute()?,
                    Wait::Failed(error) => {
                        self.route.meters().refusals.inc();
                        let reply = self.refusal(&error)?;
                        return Ok(self.turn_away(&reply));
                    }
                    Wait::Canceled => {
                        return Ok(self.turn_away(&ErrorReply::interrupted("Query execution was interrupted")));
                    }
                }
            };
            lease.conditions = Conditions::Foreign;
            let now = Instant::now();
            self.route.meters().wait.record(now.saturating_duration_since(began));
            self.vigil.leased(now);
            let class = self.placing.as_ref().and_then(|placing| placing.class_name(&self.route));
            self.shared.begin_lease(&lease.cancel, class);
            *held = Some(lease);
        } else if self.placing.is_some()
            && let Some(lease) = held
            && let Err(reply) = self.open_transaction(demand, lease)
        {
            self.deny(&reply);
            return Ok(false);
        }
        self.work.open_down(&self.engine.buffers);
        Ok(true)
    }

    /// A connection that is at hand, or the next one in the route's queue; a client that goes away leaves it. It is given up
    /// `within` this time, counted from when the client began to ask.
    async fn queue(&mut self, route: RouteId, began: Instant, within: Duration) -> Result<Wait, Fault> {
        let state = StateKey(self.state.settings.key());
        let deadline = began.checked_add(within).map(Into::into);
        let checkout = Checkout { deadline, ..Checkout::new().state(state).borrower(self.shared.number()) };
        let mut pending = self.route.pool.start_checkout(route, checkout);
        if pending.is_waiting() {
            self.vigil.wait(began, &self.route.terms);
        }
        poll_fn(|cx| {
            match Pin::new(&mut pending).poll(cx) {
                Poll::Ready(Ok(lease)) => return Poll::Ready(Ok(Wait::Granted(lease))),
                Poll::Ready(Err(error)) => return Poll::Ready(Ok(Wait::Failed(error))),
                Poll::Pending => {}
            }
            if self.poll_alarm(cx)? == Alarmed::Cancel {
                return Poll::Ready(Ok(Wait::Canceled));
            }
            while self.work.up.wants_more() {
                match self.poll_client(cx) {
                    Poll::Ready(result) => result?,
                    Poll::Pending => break,
                }
            }
            Poll::Pending
        })
        .await
    }

    /// No connection was had: answers the command at hand with an error. Returns `false`, as nothing is held.
    fn turn_away(&mut self, reply: &ErrorReply) -> bool {
        if let Some(placing) = &mut self.placing {
            placing.end();
        }
        self.deny(reply);
        false
    }

    /// Takes over what holds for the route now. Returns how long a connection may be waited for.
    fn take_terms(&mut self) -> Duration {
        let terms = self.route.terms.load();
        self.mode = terms.pool_mode;
        self.state.session_state = terms.session_state;
        terms.timeouts.checkout
    }

    /// Notes what is asked, if somebody watches for leaks.
    pub(super) fn note_asked(&self, text: &[u8]) {
        if let Some(client) = self.route.shared.meters.watched(&self.shared) {
            client.note_asked(sql::mysql::outline(text, self.state.reading()));
        }
    }

    /// A command is answered. At a boundary the connection goes back before its last packets are written.
    pub(super) fn finish(&mut self, held: &mut Held) -> Result<(), Fault> {
        let took = self.vigil.answered();
        let meters = self.route.meters();
        meters.query.record(took);
        meters.answered(1, u32::from(self.work.reply.failure.is_some()));
        let Some(lease) = held else { return Ok(()) };
        if lease.unfit().is_some() {
            // What the server said on leaving was passed on; nothing that the session had there is left.
            return Err(ServerFault::Closed.into());
        }
        if self.mode == PoolMode::Statement && lease.exchange.in_transaction() {
            let reply = ErrorReply::not_supported("Transactions are not possible with pool mode \"statement\"");
            return Err(Fault::Refused(Box::new(reply)));
        }
        self.let_go(held);
        match held {
            Some(lease) if self.placing.is_some() => self.keep_place(lease),
            _ => Ok(()),
        }
    }

    /// Something that held the connection is gone: gives it back, if nothing else does.
    pub(super) fn let_go(&mut self, held: &mut Held) {
        if held.as_ref().is_some_and(|lease| !self.holds(lease))
            && let Some(mut lease) = held.take()
        {
            lease.to_close.append(&mut self.state.take_outdated());
            self.release(lease);
        }
    }

    /// The boundary: the connection goes back before the answer is written to a client that may be slow.
    fn release(&mut self, mut lease: Lease<MyConnector>) {
        self.show_pin();
        self.shared.end_lease();
        self.state.memory.part();
        self.state.end_lease();
        if let Some(placing) = &mut self.placing {
            placing.leave(&mut lease, &self.route);
        }
        let meters = self.route.meters();
        meters.transactions.inc();
        meters.transaction.record(self.vigil.lease_age());
        match self.state.take_traces() {
            Traces::Possible => tidy::release_cleaned(lease),
            Traces::None if lease.cancel.is_calm() => drop(lease),
            Traces::None => tidy::release_when_calm(lease),
        }
    }

    /// Waits for the client's next command while the session holds its server connection, which must be silent.
    pub(super) async fn await_holding(&mut self, held: &mut Held) -> Result<(), Fault> {
        let Some(lease) = held else { return Ok(()) };
        self.hold(lease);
        poll_fn(|cx| {
            self.poll_alarm(cx)?;
            while lease.stream.poll_readable(cx).is_ready() {
                if !lease.stream.is_quiet() {
                    lease.spoil("the server ended it between commands");
                    return Poll::Ready(Err(ServerFault::Closed.into()));
                }
            }
            self.poll_client(cx)
        })
        .await
    }

    /// The route was retired by a changed configuration: goes on with its successor, if there is one.
    fn reroute(&mut self) -> Result<(), Fault> {
        let refused = |reply| Fault::Refused(Box::new(reply));
        let (user, database) = (&self.route.user, &self.route.database);
        let link = self.engine.link(user, database, self.route.flavour).and_then(AnyLink::mysql);
        let link = link.map_err(|error| {
            refused(ErrorReply::shutdown(format!("This user or database is no longer served: {error}")))
        })?;
        if Arc::ptr_eq(&link, &self.route) {
            // Nothing has taken its place: it is the whole program that ends.
            return Err(refused(ErrorReply::shutdown("The pooler is shutting down")));
        }
        self.route.meters().clients.dec();
        link.meters().clients.inc();
        self.mode = link.terms().pool_mode;
        self.state.move_over((&self.route.server_database, &link.server_database), link.shared.reading());
        self.route = link;
        Ok(())
    }

    /// Answers the command at hand with an error; the session goes on behind it.
    pub(super) fn deny(&mut self, reply: &ErrorReply) {
        self.state.fail(reply.code, reply.message.as_bytes());
        self.state.abandon();
        reply.write(self.work.down.insert(), &mut 1, self.capabilities);
        self.route.meters().errors.inc();
    }

    /// The server connection broke while it was held. The session goes on if nothing of it was lost and the client has
    /// seen nothing of the answer yet.
    pub(super) fn lost(&mut self, held: &mut Held, fault: ServerFault, seen: Seen) -> Result<(), Fault> {
        let Some(lease) = held.take() else { return Err(fault.into()) };
        let survives = seen == Seen::Nothing && self.survives(&lease);
        self.shared.end_lease();
        let (user, database) = (&self.route.user, &self.route.database);
        tracing::warn!(%user, %database, process = lease.process(), %fault, "server connection lost while in use");
        lease.discard("it broke while in use");
        if let Some(placing) = &mut self.placing {
            placing.end();
        }
        self.state.take_outdated();
        self.route.meters().errors.inc();
        if !survives {
            return Err(fault.into());
        }
        self.work.down.clear();
        let message = format!("The connection to the database server was lost: {fault}. Try again.");
        let mut sequence = self.work.reply.asked.wrapping_add(1);
        ErrorReply::read_error(message).write(self.work.down.insert(), &mut sequence, self.capabilities);
        Ok(())
    }

    fn survives(&self, server: &ServerConnection) -> bool {
        self.mode != PoolMode::Session
            && self.state.pin().is_none()
            && !server.exchange.in_transaction()
            && server.unfit().is_none()
            && !self.work.up.is_amid_message()
            && self.work.upload == super::work::Upload::Done
    }
}

/// What a client has seen of the answer to its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    Some,
}

impl Client {
    /// What the client hears when there is no connection for it. Some reasons end the session.
    fn refusal(&self, error: &CheckoutError<ServerError>) -> Result<ErrorReply, Fault> {
        match error {
            CheckoutError::Timeout(timeout) => {
                let advice = if self.route.pool.totals().paused {
                    "The pool of this server is paused; RESUME on the console lets it go on".into()
                } else if timeout.last_connect_error.is_some() {
                    "The database server could not be reached; see the log".into()
                } else {
                    placing::advice(timeout.blocked_by, &self.route.seats.seating())
                };
                Ok(ErrorReply::wait_timeout(format!(
                    "No server connection in time (checkout_timeout): {timeout}. {advice}"
                )))
            }
            CheckoutError::Refused(refusal) => Ok(ErrorReply::user_limit(refusal.to_string())),
            CheckoutError::LoginRefused(error) => Err(Fault::Refused(Box::new(login_refused(error)))),
            _ => Err(Fault::Refused(Box::new(ErrorReply::read_error(error.to_string())))),
        }
    }
}

/// What the client hears when the server refused the pool's login.
pub(crate) fn login_refused(error: &ServerError) -> ErrorReply {
    match error.said() {
        Some((code, sqlstate, message)) => ErrorReply::new(code, sqlstate, message.to_owned()),
        None => ErrorReply::unknown(format!("The pool cannot log in to the database server: {error}")),
    }
}
