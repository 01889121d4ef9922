//! The relay: both directions at once, in bulk, as long as the client holds the server connection.

use std::{
    io,
    task::{Context, Poll},
};

use pg::exchange::Transaction;
use pool::Lease;
use route::PoolMode;

use super::{
    Client,
    replies::Replier,
    translate::{Next, Rules, Translator},
    work::{Retry, Work},
};
use crate::{
    postgres::{
        connector::PgConnector,
        fault::{Fault, ServerFault},
        server::ServerConnection,
    },
    registry::Phase,
    vigil::Alarmed,
};

/// How a relay ends well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The client no longer needs the connection. Its last replies may still have to be written.
    Settled,
    /// The client said goodbye.
    ClientLeft,
}

/// What one side did when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// It was not asked: what it said before has not been taken yet.
    Full,
    /// Nothing; it will wake this task.
    Silent,
    /// It said something.
    Spoke,
    /// It filled all the room there was, and there is room for more.
    More,
}

impl Side {
    /// Whether there is nothing to be done until a wake-up.
    fn is_silent(self) -> bool {
        matches!(self, Self::Full | Self::Silent)
    }
}

impl Client {
    /// Moves bytes until the client no longer needs the connection.
    ///
    /// Nothing is read from a side while what it sent before waits to be written to the other.
    pub(crate) fn poll_relay(
        &mut self,
        cx: &mut Context<'_>,
        lease: &mut Lease<PgConnector>,
    ) -> Poll<Result<End, Fault>> {
        if self.poll_alarm(cx)? == Alarmed::Timeout {
            self.stop_query();
        }
        loop {
            let server: &mut ServerConnection = lease;
            if !self.work.up.unscanned().is_empty() && self.translate(server)? == Next::Leave {
                return Poll::Ready(Ok(End::ClientLeft));
            }
            if self.work.up.pending() > 0
                && let Poll::Ready(Err(error)) = self.work.up.poll_flush(cx, &mut server.stream)
            {
                return Poll::Ready(Err(self.broken(server, error)));
            }
            let from_server = self.poll_server(cx, server)?;
            if self.is_settled(server) {
                return Poll::Ready(Ok(End::Settled));
            }
            if self.placing.is_some() {
                self.keep_place(lease)?;
            }
            let server: &mut ServerConnection = lease;
            let written = from_server != Side::More && self.poll_write_down(cx, server)?;
            let from_client = self.poll_read_up(cx, server)?;
            // Both sides must have been asked once without success, or they would not wake this task.
            let room_made = written && from_server == Side::Full;
            if from_server.is_silent() && from_client.is_silent() && !room_made {
                self.note_silence(server);
                return Poll::Pending;
            }
        }
    }

    /// Reads from the server what there is room for, and sorts it.
    fn poll_server(&mut self, cx: &mut Context<'_>, server: &mut ServerConnection) -> Result<Side, Fault> {
        if !self.work.down.wants_more() {
            return Ok(Side::Full);
        }
        match self.work.down.poll_fill(cx, &mut server.stream) {
            Poll::Pending => Ok(Side::Silent),
            Poll::Ready(Ok(0)) => Err(ServerFault::Closed.into()),
            Poll::Ready(Err(error)) => Err(ServerFault::Io(error).into()),
            Poll::Ready(Ok(_)) => {
                let more = self.work.down.is_filled() && self.work.down.wants_more();
                self.reply(server)?;
                Ok(if more { Side::More } else { Side::Spoke })
            }
        }
    }

    /// Writes to the client what came, once the server has nothing more at hand: few, large writes. Returns whether all
    /// of it went out.
    fn poll_write_down(&mut self, cx: &mut Context<'_>, server: &ServerConnection) -> Result<bool, Fault> {
        let pending = self.work.down.pending();
        // Replies of our own making go out with the server's, which they precede.
        let ours = pending == self.work.own_pending && server.exchange.readies_owed() > 0;
        if pending == 0 || ours {
            return Ok(false);
        }
        match self.work.down.poll_flush(cx, &mut self.stream) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(_)) => Err(Fault::ClientGone),
            Poll::Ready(Ok(())) => {
                self.work.own_pending = 0;
                self.route.meters().bytes_sent.add(pending as u64);
                Ok(true)
            }
        }
    }

    /// Reads from the client what there is room for.
    fn poll_read_up(&mut self, cx: &mut Context<'_>, server: &ServerConnection) -> Result<Side, Fault> {
        if !self.work.up.wants_more() || server.exchange.is_full() {
            return Ok(Side::Full);
        }
        match self.poll_client(cx) {
            Poll::Pending => Ok(Side::Silent),
            Poll::Ready(result) => {
                result?;
                self.enter(Phase::Active);
                Ok(Side::Spoke)
            }
        }
    }

    /// Makes a connection that was just leased the client's.
    pub(crate) fn adopt(&mut self, server: &mut ServerConnection) {
        let (mut translator, work) = self.translator(server);
        translator.adopt(&mut work.up);
    }

    fn translate(&mut self, server: &mut ServerConnection) -> Result<Next, Fault> {
        let (mut translator, work) = self.translator(server);
        let next = translator.run(work)?;
        // Replies of our own making may be due before the server says anything.
        self.reply(server)?;
        Ok(next)
    }

    fn reply(&mut self, server: &mut ServerConnection) -> Result<(), Fault> {
        loop {
            let seen = Replier { state: &mut self.state, server }.run(&mut self.work)?;
            self.route.meters().answered(seen.answered, seen.errors);
            if seen.answered > 0 {
                self.unit_ended();
            }
            if !matches!(self.work.retry, Retry::Again { .. }) {
                return Ok(());
            }
            self.route.meters().retries.inc();
            let (mut translator, work) = self.translator(server);
            translator.again(work)?;
        }
    }

    fn translator<'a>(&'a mut self, server: &'a mut ServerConnection) -> (Translator<'a>, &'a mut Work) {
        let prepared = self.route.handling.load().prepared;
        let rules = Rules {
            client: self.shared.number(),
            mode: self.mode,
            interner: &self.route.shared.interner,
            statements_max: prepared.per_client_max,
            reuse_unnamed: prepared.reuse_unnamed,
            placing: self.placing.as_deref(),
            watched: self.route.shared.meters.watched(&self.shared),
        };
        (Translator { state: &mut self.state, server, rules }, &mut self.work)
    }

    /// Whether the connection can go back: the unit of work is answered, and nothing holds the session to it.
    fn is_settled(&self, server: &ServerConnection) -> bool {
        server.exchange.is_settled()
            && server.exchange.transaction() == Transaction::Idle
            && self.mode != PoolMode::Session
            && self.state.pin().is_none()
            && self.work.down.unscanned().is_empty()
            && !self.work.down.is_amid_message()
            && !self.work.up.is_amid_message()
            && self.work.up.pending() == 0
    }

    /// The server's last words may explain why writing to it failed.
    fn broken(&mut self, server: &mut ServerConnection, error: io::Error) -> Fault {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Ok(1..)) = self.work.down.poll_fill(&mut cx, &mut server.stream) {
            if self.reply(server).is_err() {
                break;
            }
        }
        ServerFault::Io(error).into()
    }
}
