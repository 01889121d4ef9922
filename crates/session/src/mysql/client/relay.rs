//! The relay: a command to the server, its answer to the client, both directions at once.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use mysql::{ErrorReply, packet::Header};

use super::{
    Client,
    replies::Replier,
    work::{Upload, renumber},
};
use crate::{
    mysql::{
        connector::ServerError,
        fault::{Fault, ServerFault},
        server::ServerConnection,
    },
    registry::Phase,
    vigil::Alarmed,
};

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
    /// Moves bytes until the command that was passed on is answered. Its last packets may still have to be written.
    pub(super) async fn relay(&mut self, server: &mut ServerConnection) -> Result<(), Fault> {
        self.state.sent();
        self.enter(Phase::Active);
        poll_fn(|cx| self.poll_relay(cx, server)).await
    }

    /// Has the server do something of ours that the client waits for. Alarms and time limits hold meanwhile, and a client
    /// that leaves is noticed; a connection that is left in the middle of it serves nobody again.
    pub(super) async fn attended<T>(
        &mut self,
        server: &mut ServerConnection,
        ours: impl AsyncFnOnce(&mut ServerConnection) -> Result<T, ServerError>,
    ) -> Result<Result<T, ServerError>, Fault> {
        self.enter(Phase::Active);
        let done = {
            // Boxed: it happens rarely, and the commands need not have room for it all the time.
            let mut ours = Box::pin(ours(server));
            poll_fn(|cx| {
                if let Poll::Ready(done) = ours.as_mut().poll(cx) {
                    return Poll::Ready(Ok(done));
                }
                if self.poll_alarm(cx)? == Alarmed::Timeout {
                    self.stop_query();
                }
                while self.poll_read_up(cx)? == Side::Spoke {}
                Poll::Pending
            })
            .await
        };
        if done.is_err() {
            server.spoil("its client was left while the pool asked something of it");
        }
        done
    }

    /// Passes a command on that is not answered.
    pub(super) async fn deliver(&mut self, server: &mut ServerConnection) -> Result<(), Fault> {
        self.state.sent();
        self.enter(Phase::Active);
        poll_fn(|cx| {
            self.poll_alarm(cx)?;
            loop {
                self.upload(server)?;
                if self.work.up.pending() > 0
                    && let Err(error) = ready!(self.work.up.poll_flush(cx, &mut server.stream))
                {
                    return Poll::Ready(Err(self.broken(server, error)));
                }
                if self.work.upload == Upload::Done && !self.work.up.is_amid_message() {
                    return Poll::Ready(Ok(()));
                }
                ready!(self.poll_client(cx))?;
            }
        })
        .await
    }

    /// Nothing is read from a side while what it sent before waits to be written to the other.
    fn poll_relay(&mut self, cx: &mut Context<'_>, server: &mut ServerConnection) -> Poll<Result<(), Fault>> {
        if self.poll_alarm(cx)? == Alarmed::Timeout {
            self.stop_query();
        }
        loop {
            self.upload(server)?;
            if self.work.up.pending() > 0
                && let Poll::Ready(Err(error)) = self.work.up.poll_flush(cx, &mut server.stream)
            {
                return Poll::Ready(Err(self.broken(server, error)));
            }
            let from_server = self.poll_server(cx, server)?;
            if self.is_answered(server)? {
                return Poll::Ready(Ok(()));
            }
            let written = from_server != Side::More && self.poll_write_down(cx, server)?;
            let from_client = self.poll_read_up(cx)?;
            // Both sides must have been asked once without success, or they would not wake this task.
            let room_made = written && from_server == Side::Full;
            if from_server.is_silent() && from_client.is_silent() && !room_made {
                return Poll::Pending;
            }
        }
    }

    /// Passes on what belongs to the command under way beyond its first packet.
    fn upload(&mut self, server: &mut ServerConnection) -> Result<(), Fault> {
        while self.work.upload != Upload::Done && !self.work.up.is_amid_message() {
            match self.work.upload {
                Upload::Moved { sent, tail } => match self.pass_next_moved(sent, tail)? {
                    true => continue,
                    false => return Ok(()),
                },
                Upload::Excess { len, sequence } => {
                    self.pass_excess(len, sequence);
                    continue;
                }
                Upload::Payload(_) | Upload::File(_) | Upload::Done => {}
            }
            let Some(header) = Header::peek(self.work.up.unscanned()) else { return Ok(()) };
            match self.work.upload {
                Upload::Payload(sent) => {
                    let sent = sent + header.len;
                    if sent > self.engine.plan().mysql.packet_len_max {
                        return Err(Fault::Refused(Box::new(ErrorReply::packet_too_large())));
                    }
                    self.work.upload = if header.continues() { Upload::Payload(sent) } else { Upload::Done };
                    // Inside compression clients number the rest of a payload as they please.
                    let number = self.work.reply.sequence.wrapping_add(1);
                    renumber(&mut self.work.up, number);
                    self.work.reply.sequence = number;
                }
                Upload::File(number) => {
                    renumber(&mut self.work.up, number);
                    (self.work.reply.sequence, self.work.reply.asked) = (header.sequence, header.sequence);
                    if header.len > 0 {
                        self.work.upload = Upload::File(number.wrapping_add(1));
                    } else {
                        self.work.upload = Upload::Done;
                        server.exchange.file_sent();
                    }
                }
                Upload::Moved { .. } | Upload::Excess { .. } | Upload::Done => {}
            }
            self.work.up.forward(header.total());
        }
        Ok(())
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
                self.sort(server)?;
                Ok(if more { Side::More } else { Side::Spoke })
            }
        }
    }

    fn sort(&mut self, server: &mut ServerConnection) -> Result<(), ServerFault> {
        let client = self.shared.number();
        Replier { capabilities: self.capabilities, state: &mut self.state, client, server }.run(&mut self.work)
    }

    /// Writes to the client what came, once the server has nothing more at hand: few, large writes. Returns whether all
    /// of it went out.
    fn poll_write_down(&mut self, cx: &mut Context<'_>, server: &ServerConnection) -> Result<bool, Fault> {
        let pending = self.work.down.pending();
        if pending == 0 {
            return Ok(false);
        }
        match self.work.down.poll_flush(cx, &mut self.stream) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(_)) => Err(Fault::ClientGone),
            Poll::Ready(Ok(())) => {
                self.route.meters().bytes_sent.add(pending as u64);
                if server.exchange.is_before_result() {
                    self.follow_compression();
                }
                Ok(true)
            }
        }
    }

    /// A result that begins in a compressed packet of its own takes that one's number, as it does with servers: they flush
    /// after each result, and then count on from there. mysql_async insists on it.
    fn follow_compression(&mut self) {
        if let Some(number) = self.stream.next_number() {
            self.work.reply.sequence = number.wrapping_sub(1);
        }
    }

    /// Reads from the client what there is room for: the rest of its command, the next one, or that it is gone.
    fn poll_read_up(&mut self, cx: &mut Context<'_>) -> Result<Side, Fault> {
        if !self.work.up.wants_more() && !self.make_room_up() {
            return Ok(Side::Full);
        }
        match self.poll_client(cx) {
            Poll::Pending => Ok(Side::Silent),
            Poll::Ready(result) => result.map(|()| Side::Spoke),
        }
    }

    /// Makes room for the rest of the next command, if it may be held as a whole: who reads nothing more of a client does
    /// not see it leave, and its query would go on for nobody.
    fn make_room_up(&mut self) -> bool {
        let up = &mut self.work.up;
        let here = up.unscanned();
        let next = Header::peek(here).map_or(0, |header| header.total());
        next > here.len() && up.make_room(next) && up.wants_more()
    }

    /// Whether the command is answered to its end.
    fn is_answered(&self, server: &mut ServerConnection) -> Result<bool, Fault> {
        let ended =
            server.exchange.is_settled() && self.work.down.unscanned().is_empty() && !self.work.down.is_amid_message();
        if !ended {
            return Ok(false);
        }
        if self.work.upload == Upload::Done && !self.work.up.is_amid_message() && self.work.up.pending() == 0 {
            return Ok(true);
        }
        // The server has answered before it had all of the command: it will read no more of it.
        server.spoil("it answered before the end of the command");
        Err(ServerFault::Closed.into())
    }

    /// The server's last words may explain why writing to it failed.
    fn broken(&mut self, server: &mut ServerConnection, error: io::Error) -> Fault {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Ok(1..)) = self.work.down.poll_fill(&mut cx, &mut server.stream) {
            if self.sort(server).is_err() {
                break;
            }
        }
        ServerFault::Io(error).into()
    }
}
