//! A client that has logged in: its loop from idle to command to lease to boundary, and back.
//!
//! While a client is idle it owns no buffer. A server connection is leased when a command is here that needs one, and
//! goes back at its boundary, before the last replies are written to a client that may be slow to take them.

mod alarms;
mod answers;
mod command;
mod demand;
mod diagnostics;
mod intake;
mod lease;
mod moved;
mod place;
mod prepare;
mod query;
mod relay;
mod replies;
mod state;
mod statements;
mod tidy;
mod user;
mod work;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use mysql::{Capabilities, ErrorReply, handshake::Nonce, packet::HEADER_LEN};
use pool::Lease;
use route::PoolMode;

use self::{command::Next, intake::Intake, work::Work};
pub(crate) use self::{diagnostics::Diagnostics, lease::login_refused, place::Words, state::State};
use crate::{
    engine::Engine,
    lane::Link,
    mysql::{connector::MyConnector, driver::Mysql, fault::Fault, server::Texts},
    pin::Pin,
    placing::Placing,
    registry::{ClientEntry, Phase, Presence},
    stream::Stream,
    vigil::Vigil,
};

/// How long a client may take to read our last words.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Beyond this many bytes of answers that wait to be written, a client's next command waits for its turn: some of them ask
/// little and are answered by much.
const UNSENT_MAX: usize = 64 * 1024;

/// A client that has logged in.
pub(crate) struct Client {
    stream: Stream,
    engine: Arc<Engine>,
    route: Arc<Link<Mysql>>,
    shared: Arc<ClientEntry>,
    /// Its place among the clients.
    presence: Presence,
    /// The nonce of our greeting: a change of user is answered to it.
    greeted: Nonce,
    /// What it and we have agreed to.
    capabilities: Capabilities,
    /// Whether its texts may hold several statements.
    texts: Texts,
    state: State,
    work: Work,
    mode: PoolMode,
    vigil: Vigil,
    /// What it says of itself.
    words: Words,
    /// What its work counts as, where that makes a difference. Boxed: mostly it makes none, and idle sessions are small.
    placing: Option<Box<Placing<MyConnector>>>,
    /// The reason to keep a server connection that others were shown.
    shown_pin: Option<Pin>,
}

/// The server connection that a session holds, if it holds one.
type Held = Option<Lease<MyConnector>>;

/// What a login has found out and the session goes on with.
pub(crate) struct Newcomer {
    pub(crate) route: Arc<Link<Mysql>>,
    pub(crate) presence: Presence,
    pub(crate) capabilities: Capabilities,
    pub(crate) state: State,
    pub(crate) greeted: Nonce,
    pub(crate) words: Words,
}

impl Client {
    pub(crate) fn new(stream: Stream, engine: Arc<Engine>, newcomer: Newcomer) -> Box<Self> {
        let Newcomer { route, presence, capabilities, state, greeted, words } = newcomer;
        let shared = presence.entry().clone();
        let texts = match capabilities.contains(Capabilities::MULTI_STATEMENTS) {
            true => Texts::Many,
            false => Texts::One,
        };
        Box::new(Self {
            stream,
            greeted,
            mode: route.terms().pool_mode,
            vigil: Vigil::new(engine.registry.clone(), shared.clone(), &route.terms),
            engine,
            route,
            shared,
            presence,
            capabilities,
            texts,
            state,
            work: Work::default(),
            words,
            placing: None,
            shown_pin: None,
        })
    }

    /// Serves the client until it leaves or has to.
    pub(crate) async fn serve(mut self: Box<Self>) {
        self.route.meters().clients.inc();
        let mut held = None;
        let fault = self.live(&mut held).await.err();
        if let Some(lease) = held {
            self.tidy(lease);
        }
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
            Some(Fault::Client(error)) => ErrorReply::from(&error),
            Some(Fault::Refused(reply)) => *reply,
            // Whoever waits for an answer takes a closed connection for a lost one (2013), as it is.
            Some(Fault::Server(fault)) => {
                self.hang_up().await;
                return fault.to_string();
            }
        };
        self.say_last(&reply).await;
        reply.message.into_owned()
    }

    async fn live(&mut self, held: &mut Held) -> Result<(), Fault> {
        loop {
            self.idle().await?;
            // Boxed: the commands need far more room than an idle session shall take.
            if Box::pin(self.serve_commands(held)).await? == Next::Leave {
                return Ok(());
            }
        }
    }

    /// Carries commands out until the client has none, and nothing of it is held.
    async fn serve_commands(&mut self, held: &mut Held) -> Result<Next, Fault> {
        self.work.open_up(&self.engine.buffers, self.route.handling.load().message_len_max);
        self.fill().await?;
        loop {
            match self.take_in()? {
                Intake::Command(command) => {
                    if self.work.down.pending() > UNSENT_MAX {
                        self.flush_holding(held).await?;
                    }
                    if self.carry_out(command, held).await? == Next::Leave {
                        return Ok(Next::Leave);
                    }
                }
                Intake::More => {
                    // What is said unasked is read as the answer to the next command, and has its number.
                    self.work.reply.sequence = 0;
                    self.flush_holding(held).await?;
                    if held.is_some() {
                        self.await_holding(held).await?;
                    } else if self.work.close(&self.engine.buffers) {
                        return Ok(Next::Command);
                    } else {
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
            Ok(0) => Poll::Ready(Err(Fault::ClientGone)),
            Err(error) => Poll::Ready(Err(Fault::of_client(&error))),
            Ok(read) => {
                self.route.meters().bytes_received.add(read as u64);
                Poll::Ready(Ok(()))
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        self.flush_heeding(|client, cx| client.poll_alarm_idle(cx)).await
    }

    /// As [`Client::flush`]. The time limits of whoever holds a server connection go on: they are for clients that do not take
    /// their answer, too.
    async fn flush_holding(&mut self, held: &Held) -> Result<(), Fault> {
        match held {
            Some(lease) if self.work.down.pending() > 0 => {
                self.hold(lease);
                self.flush_heeding(|client, cx| client.poll_alarm(cx).map(drop)).await
            }
            _ => self.flush().await,
        }
    }

    async fn flush_heeding(
        &mut self,
        poll_alarm: impl Fn(&mut Self, &Context<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let pending = self.work.down.pending();
        if pending > 0 {
            poll_fn(|cx| {
                poll_alarm(self, cx)?;
                self.work.down.poll_flush(cx, &mut self.stream).map_err(|_| Fault::ClientGone)
            })
            .await?;
            self.route.meters().bytes_sent.add(pending as u64);
        }
        Ok(())
    }

    /// Writes what can be written without waiting.
    async fn write_what_goes(&mut self) -> Result<(), Fault> {
        let pending = self.work.down.pending();
        let gone = poll_fn(|cx| match self.work.down.poll_flush(cx, &mut self.stream) {
            Poll::Ready(Err(_)) => Poll::Ready(Err(Fault::ClientGone)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        });
        gone.await?;
        self.route.meters().bytes_sent.add((pending - self.work.down.pending()) as u64);
        Ok(())
    }

    /// Tells a client that is about to be left why, if it listens.
    async fn say_last(&mut self, reply: &ErrorReply) {
        // In the middle of a packet of the server's, another one would only be taken for its rest.
        if self.work.down.is_amid_message() {
            return;
        }
        let mut sequence = self.work.reply.sequence.wrapping_add(1);
        reply.write(self.work.down.insert(), &mut sequence, self.capabilities);
        self.hang_up().await;
    }

    /// Writes what is still to be written, to a client that listens, and closes in order.
    async fn hang_up(&mut self) {
        let written = poll_fn(|cx| self.work.down.poll_flush(cx, &mut self.stream));
        if let Ok(Ok(())) = tokio::time::timeout(FAREWELL_TIMEOUT, written).await {
            self.stream.shut_down().await;
        }
    }

    /// The packet of the command at hand, whole.
    fn command_packet(&self, total: usize) -> &[u8] {
        self.work.up.unscanned().get(..total).unwrap_or_default()
    }

    /// What follows the code of the command at hand.
    fn command_body(&self, total: usize) -> &[u8] {
        self.command_packet(total).get(HEADER_LEN + 1..).unwrap_or_default()
    }
}
