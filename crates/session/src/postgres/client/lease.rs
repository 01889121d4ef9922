//! From a unit of work to a server connection, and back again at its boundary.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use pg::{ErrorReply, Severity, exchange::Transaction, write};
use pool::{Checkout, CheckoutError, Lease, RouteId, StateKey};
use route::PoolMode;

use super::{Client, intake::Skip, relay::End, state::Traces, tidy};
use crate::{
    driver::AnyLink,
    lane::{Flavour, is_retired},
    placing::{self, Keeps},
    postgres::{
        connector::{PgConnector, ServerError},
        fault::{Fault, ServerFault},
        server::ServerConnection,
    },
    registry::Phase,
    vigil::Alarmed,
};

/// How a wait for a server connection ends.
enum Wait {
    Granted(Lease<PgConnector>),
    Failed(CheckoutError<ServerError>),
    /// The client asked, on another connection, not to wait any longer.
    Canceled,
}

impl Client {
    /// Carries out units of work on a server connection until the client needs it no more.
    pub(super) async fn transact(&mut self) -> Result<End, Fault> {
        let Some(mut lease) = self.lease().await? else { return Ok(End::Settled) };
        self.enter(Phase::Active);
        let class = self.placing.as_ref().and_then(|placing| placing.class_name(&self.route));
        self.shared.begin_lease(&lease.cancel, class);
        self.work.open_down(&self.engine.buffers);
        self.adopt(&mut lease);
        match poll_fn(|cx| self.poll_relay(cx, &mut lease)).await {
            Ok(End::Settled) => {
                self.release(lease);
                self.flush().await?;
                Ok(End::Settled)
            }
            Ok(End::ClientLeft) => {
                self.tidy(lease);
                Ok(End::ClientLeft)
            }
            Err(Fault::Server(fault)) => self.lost(lease, fault).await,
            Err(fault) => {
                self.tidy(lease);
                Err(fault)
            }
        }
    }

    /// A connection for the unit of work at hand; `None` when there is none and the client was told so.
    async fn lease(&mut self) -> Result<Option<Lease<PgConnector>>, Fault> {
        let began = Instant::now();
        loop {
            let within = self.take_terms();
            let queue = match self.choose_queue() {
                Ok(queue) => queue,
                Err(reply) => {
                    self.deny(reply);
                    return Ok(None);
                }
            };
            match self.queue(queue.route, began, within).await? {
                Wait::Granted(mut lease) if lease.is_alive() => {
                    if queue.keeps == Keeps::Reserved
                        && let Err(reply) = self.reserve(&mut lease)
                    {
                        self.deny(reply);
                        return Ok(None);
                    }
                    let now = Instant::now();
                    self.route.meters().wait.record(now.saturating_duration_since(began));
                    self.vigil.leased(now);
                    return Ok(Some(lease));
                }
                Wait::Granted(lease) => lease.discard("the server ended it while it was idle"),
                Wait::Failed(error) if is_retired(&error) => self.reroute()?,
                Wait::Failed(error) => {
                    self.route.meters().refusals.inc();
                    self.deny(self.refusal(&error)?);
                    return Ok(None);
                }
                Wait::Canceled => {
                    self.deny(ErrorReply::error("57014", "canceling statement due to user request"));
                    return Ok(None);
                }
            }
        }
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

    /// Takes over what holds for the route now. Returns how long a connection may be waited for.
    fn take_terms(&mut self) -> Duration {
        let terms = self.route.terms.load();
        self.mode = terms.pool_mode;
        self.state.session_state = terms.session_state;
        terms.timeouts.checkout
    }

    /// The boundary: the connection goes back before the replies are written to a client that may be slow.
    fn release(&mut self, mut lease: Lease<PgConnector>) {
        self.shared.end_lease();
        self.state.end_lease();
        if let Some(placing) = &mut self.placing {
            placing.leave(&mut lease, &self.route);
        }
        let meters = self.route.meters();
        meters.transactions.inc();
        // The end of its last unit is the end of the transaction.
        meters.transaction.record(self.vigil.lease_age());
        match self.state.take_traces() {
            Traces::Possible => tidy::release_cleaned(lease),
            Traces::None if lease.cancel.is_calm() => drop(lease),
            Traces::None => tidy::release_when_calm(lease),
        }
    }

    /// The route was retired by a changed configuration: goes on with its successor, if there is one.
    fn reroute(&mut self) -> Result<(), Fault> {
        let lane = self
            .engine
            .link(&self.route.user, &self.route.database, Flavour::Plain)
            .and_then(AnyLink::postgres)
            .map_err(|error| {
                let reply =
                    ErrorReply::fatal("57P01", "this user or database is no longer served").detail(error.to_string());
                Fault::Refused(Box::new(reply))
            })?;
        if Arc::ptr_eq(&lane, &self.route) {
            // Nothing has taken its place: it is the whole program that ends.
            return Err(Fault::Refused(Box::new(ErrorReply::fatal("57P01", "the pooler is shutting down"))));
        }
        self.route.meters().clients.dec();
        lane.meters().clients.inc();
        self.mode = lane.terms().pool_mode;
        self.route = lane;
        Ok(())
    }

    /// Answers the unit of work at hand with an error; the session goes on behind it.
    fn deny(&mut self, reply: ErrorReply) {
        reply.write(self.work.down.insert());
        self.skip = Skip::Unit;
        if let Some(placing) = &mut self.placing {
            placing.end();
        }
        self.route.meters().errors.inc();
    }

    /// The server connection broke while it was lent.
    async fn lost(&mut self, lease: Lease<PgConnector>, fault: ServerFault) -> Result<End, Fault> {
        let survives = self.survives(&lease);
        let told = lease.unfit().is_some();
        self.shared.end_lease();
        let (user, database) = (&self.route.user, &self.route.database);
        tracing::warn!(%user, %database, process = lease.process(), %fault, "server connection lost while in use");
        lease.discard("it broke while in use");
        if let Some(placing) = &mut self.placing {
            placing.end();
        }
        self.route.meters().errors.inc();
        self.work.up.clear();
        if !survives {
            return Err(if told { Fault::EndedByServer } else { fault.into() });
        }
        server_gone(&fault, Severity::Error).write(self.work.down.insert());
        write::ready_for_query(self.work.down.insert(), b'I');
        self.flush().await?;
        Ok(End::Settled)
    }

    /// Whether the session can go on without the connection: one unit was asked and is told to have failed; nothing
    /// else was lost, no transaction either, and the client knows where it stands.
    fn survives(&self, server: &ServerConnection) -> bool {
        self.mode != PoolMode::Session
            && self.state.pin().is_none()
            && server.unfit().is_none()
            && server.exchange.transaction() == Transaction::Idle
            && server.exchange.readies_owed() == 1
            && server.exchange.ends_with_ready()
            && !self.work.down.is_amid_message()
            && self.work.down.unscanned().is_empty()
            && self.work.up.unscanned().is_empty()
            && !self.work.up.is_amid_message()
    }
}

impl Client {
    /// What the client hears when there is no connection for it. Some reasons end the session.
    fn refusal(&self, error: &CheckoutError<ServerError>) -> Result<ErrorReply, Fault> {
        let fatal = |reply| Err(Fault::Refused(Box::new(reply)));
        match error {
            CheckoutError::Timeout(timeout) => {
                let hint = if self.route.pool.totals().paused {
                    "The pool of this server is paused. RESUME on the console lets it go on.".into()
                } else if timeout.last_connect_error.is_some() {
                    "The database server could not be reached. See the log.".into()
                } else {
                    placing::advice(timeout.blocked_by, &self.route.seats.seating())
                };
                let reply = ErrorReply::error("53300", "no server connection in time (checkout_timeout)");
                Ok(reply.detail(timeout.to_string()).hint(hint))
            }
            CheckoutError::Refused(refusal) => Ok(ErrorReply::error("53300", refusal.to_string())),
            CheckoutError::LoginRefused(error) => fatal(match error.said() {
                Some((code, message)) => {
                    let mut reply = ErrorReply::fatal("08006", message.to_owned());
                    reply.code = code.to_owned().into();
                    reply.detail("The database server refused the login of the pool.")
                }
                None => ErrorReply::fatal("08001", "the pool cannot log in to the database server")
                    .detail(error.to_string()),
            }),
            _ => fatal(ErrorReply::fatal("08006", error.to_string())),
        }
    }
}

/// What the client hears when its server connection broke.
pub(super) fn server_gone(fault: &ServerFault, severity: Severity) -> ErrorReply {
    let mut reply = ErrorReply::error("08006", "the connection to the database server was lost")
        .detail(fault.to_string())
        .hint("The transaction was not committed, unless it was just being committed. Try again.");
    reply.severity = severity;
    reply
}
