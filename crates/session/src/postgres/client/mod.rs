//! A client that has logged in: its loop from idle to unit of work to lease to boundary, and back.
//!
//! While a client is idle it owns no buffer. A server connection is leased when a unit of work is complete, and goes
//! back at its boundary, before the last replies are written to a client that may be slow to take them.

mod alarms;
mod demand;
mod intake;
mod lease;
mod place;
mod relay;
mod replies;
mod state;
mod statements;
mod tidy;
mod translate;
mod work;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pg::{ErrorReply, settings::Settings};
use route::PoolMode;

use self::{
    intake::{Intake, Skip},
    lease::server_gone,
    relay::End,
    state::State,
    work::Work,
};
use crate::{
    engine::Engine,
    lane::Link,
    pin::Pin,
    placing::Placing,
    postgres::{Postgres, connector::PgConnector, fault::Fault},
    registry::{ClientEntry, Phase, Presence},
    stream::Stream,
    vigil::Vigil,
};

/// How long a client may take to read our last words.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// A client that has logged in.
pub(crate) struct Client {
    stream: Stream,
    engine: Arc<Engine>,
    route: Arc<Link<Postgres>>,
    shared: Arc<ClientEntry>,
    /// Its place among the clients.
    _presence: Presence,
    state: State,
    work: Work,
    mode: PoolMode,
    skip: Skip,
    vigil: Vigil,
    /// What its work counts as, where that makes a difference. Boxed: mostly it makes none, and idle sessions are small.
    placing: Option<Box<Placing<PgConnector>>>,
    /// The reason to keep a server connection that others were shown.
    shown_pin: Option<Pin>,
}

impl Client {
    pub(crate) fn new(
        stream: Stream,
        engine: Arc<Engine>,
        route: Arc<Link<Postgres>>,
        presence: Presence,
        settings: Settings,
    ) -> Box<Self> {
        let mode = route.terms().pool_mode;
        let shared = presence.entry().clone();
        Box::new(Self {
            stream,
            vigil: Vigil::new(engine.registry.clone(), shared.clone(), &route.terms),
            engine,
            route,
            mode,
            state: State::new(settings),
            work: Work::default(),
            skip: Skip::No,
            placing: None,
            shown_pin: None,
            shared,
            _presence: presence,
        })
    }

    /// Serves the client until it leaves or has to.
    pub(crate) async fn serve(mut self: Box<Self>) {
        self.route.meters().clients.inc();
        let fault = self.live().await.err();
        self.route.meters().clients.dec();
        // Boxed: it happens once, and the session's task need not have room for it all the time.
        let why = Box::pin(self.take_leave(fault)).await;
        let ClientEntry { user, database, peer, .. } = &*self.shared;
        tracing::debug!(client = self.shared.number(), %user, %database, %peer, why, "client closed");
    }

    /// Tells the client, if it is still there, why the session ends; returns it for the log.
    async fn take_leave(&mut self, fault: Option<Fault>) -> String {
        let reply = match fault {
            None => return "it left".into(),
            Some(Fault::ClientGone) => return "it is gone".into(),
            Some(Fault::Client(error)) => ErrorReply::fatal("08P01", error.to_string()),
            Some(Fault::Refused(reply)) => *reply,
            Some(Fault::Server(fault)) => server_gone(&fault, pg::Severity::Fatal),
            Some(Fault::EndedByServer) => {
                self.hang_up().await;
                return "the server ended its session".into();
            }
        };
        self.say_last(&reply).await;
        reply.message.into_owned()
    }

    async fn live(&mut self) -> Result<(), Fault> {
        loop {
            self.idle().await?;
            self.work.open_up(&self.engine.buffers, self.route.handling.load().message_len_max);
            self.fill().await?;
            loop {
                match self.take_in()? {
                    Intake::Leave => return Ok(()),
                    Intake::Unit => {
                        if self.transact().await? == End::ClientLeft {
                            return Ok(());
                        }
                    }
                    Intake::More => {
                        self.flush().await?;
                        if self.work.close(&self.engine.buffers) {
                            break;
                        }
                        self.fill().await?;
                    }
                }
            }
        }
    }

    /// Waits, without a buffer, until the client says something.
    async fn idle(&mut self) -> Result<(), Fault> {
        self.enter(Phase::Idle);
        poll_fn(|cx| {
            self.poll_alarm_idle(cx)?;
            self.stream.poll_readable(cx).map_err(|_| Fault::ClientGone)
        })
        .await
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        poll_fn(|cx| {
            self.poll_alarm_idle(cx)?;
            self.poll_client(cx)
        })
        .await
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match ready!(self.work.up.poll_fill(cx, &mut self.stream)) {
            Ok(0) | Err(_) => Poll::Ready(Err(Fault::ClientGone)),
            Ok(read) => {
                self.route.meters().bytes_received.add(read as u64);
                Poll::Ready(Ok(()))
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        let pending = self.work.down.pending();
        if pending > 0 {
            poll_fn(|cx| {
                self.poll_alarm_idle(cx)?;
                self.work.down.poll_flush(cx, &mut self.stream).map_err(|_| Fault::ClientGone)
            })
            .await?;
            self.work.own_pending = 0;
            self.route.meters().bytes_sent.add(pending as u64);
        }
        Ok(())
    }

    /// Tells a client that is about to be left why, if it listens.
    async fn say_last(&mut self, reply: &ErrorReply) {
        // In the middle of a message of the server's, another one would only be taken for its rest.
        if self.work.down.is_amid_message() {
            return;
        }
        reply.write(self.work.down.insert());
        self.hang_up().await;
    }

    /// Writes what is still to be written, to a client that listens, and closes in order.
    async fn hang_up(&mut self) {
        let written = poll_fn(|cx| self.work.down.poll_flush(cx, &mut self.stream));
        if let Ok(Ok(())) = tokio::time::timeout(FAREWELL_TIMEOUT, written).await {
            self.stream.shut_down().await;
        }
    }
}
