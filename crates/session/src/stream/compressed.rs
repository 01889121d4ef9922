//! The compressed protocol of MySQL as a layer between the packets and what carries them.
//!
//! Compressed packets do not begin and end with those inside, which may be cut anywhere. So this layer knows nothing of what
//! passes through it, with two exceptions: towards a server each command begins a compressed packet, numbered 0; towards a
//! client no packet is cut without need.
//!
//! What is worth keeping between two packets is with [`Codecs`]. A connection that waits for its client owns nothing here.

mod held;
mod numbers;

use std::{
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Poll, ready},
};

use mysql::{
    ProtocolError,
    compress::{Algorithm, HEADER_LEN},
};
use tokio::io::ReadBuf;

use self::{held::Held, numbers::Numbers};
use super::{codecs::Codecs, transport::Transport};

/// Bytes of the buffer into which compressed packets are read. It grows for one that is longer.
const RECEIVED_LEN: usize = 16 * 1024;

/// A buffer that grew beyond this many bytes for one packet is given back after it.
const KEPT_LEN: usize = 64 * 1024;

/// The most bytes that are compressed ahead of what the other side takes.
const AHEAD_MAX: usize = 256 * 1024;

/// How a connection is compressed from now on.
#[derive(Debug)]
pub(crate) struct CompressionTerms {
    /// Who is at the other end.
    pub(crate) side: Side,
    pub(crate) algorithm: Algorithm,
    /// The most bytes that one compressed packet of the other side may hold, compressed or not.
    pub(crate) content_len_max: usize,
    pub(crate) codecs: Arc<Codecs>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// It asks, and we answer.
    Client,
    /// It answers.
    Server,
}

/// A connection that is compressed, over `below`.
#[derive(Debug)]
pub(super) struct Compressed {
    below: Transport,
    algorithm: Algorithm,
    content_len_max: usize,
    codecs: Arc<Codecs>,
    numbers: Numbers,
    received: Received,
    /// What was in the last compressed packet.
    content: Vec<u8>,
    /// How many bytes of it were read.
    consumed: usize,
    /// What is written and waits for the rest of its packet.
    held: Held,
    /// What goes to the layer below.
    packed: Vec<u8>,
    /// How many bytes of it are there.
    sent: usize,
    /// Of how many bytes it was made.
    taken: usize,
}

/// Which part of the compressed protocol the other side has broken, where that is why reading failed.
pub(crate) fn broken(error: &io::Error) -> Option<&ProtocolError> {
    error.get_ref()?.downcast_ref()
}

impl Compressed {
    pub(super) fn new(below: Transport, terms: CompressionTerms) -> Self {
        let CompressionTerms { side, algorithm, content_len_max, codecs } = terms;
        Self {
            below,
            algorithm,
            content_len_max,
            codecs,
            numbers: Numbers::towards(side),
            received: Received::default(),
            content: Vec::new(),
            consumed: 0,
            held: Held::default(),
            packed: Vec::new(),
            sent: 0,
            taken: 0,
        }
    }

    pub(super) fn below(&self) -> &Transport {
        &self.below
    }

    pub(super) fn begin_reply(&mut self) {
        self.numbers.begin_reply();
    }

    pub(super) fn next_number(&mut self) -> u8 {
        *self.numbers.next()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.consumed == self.content.len() && self.received.here().is_empty() && self.below.is_quiet()
    }

    /// Waits for bytes to read, or for a part of a compressed packet. Whoever waits here may do so for hours: what is not in
    /// use is given up.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let at_hand = self.received.missing() == 0;
        if self.consumed < self.content.len() || at_hand {
            return Poll::Ready(Ok(()));
        }
        self.content = Vec::new();
        self.consumed = 0;
        if self.received.here().is_empty() {
            self.received = Received::default();
        }
        if self.packed.is_empty() {
            self.packed = Vec::new();
        }
        self.below.poll_readable(cx)
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            self.hand_out(buffer);
            let came = buffer.filled().len() > before;
            if buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            match self.unpack() {
                Ok(true) => continue,
                // What is broken is so at the next try as well.
                _ if came => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(error) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
            }
            if ready!(self.received.poll_fill(cx, &mut self.below))? == 0 {
                return Poll::Ready(match self.received.here().is_empty() {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                });
            }
        }
    }

    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) {
        let content = self.content.get(self.consumed..).unwrap_or_default();
        let (now, later) = content.split_at(content.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.consumed += now.len();
        if later.is_empty() {
            self.consumed = 0;
            empty(&mut self.content);
        }
    }

    /// Takes the content out of the next compressed packet, if that is here. Only when the last one was read.
    fn unpack(&mut self) -> Result<bool, ProtocolError> {
        let received = self.received.here();
        let Some(head) = Head::peek(received) else { return Ok(false) };
        self.numbers.check(head.number)?;
        if head.len.max(head.original_len) > self.content_len_max {
            return Err(ProtocolError::Limit { what: "a compressed packet", limit: self.content_len_max });
        }
        if received.len() < head.total() {
            return Ok(false);
        }
        let content = &mut self.content;
        let taken =
            self.codecs.decompress(self.algorithm, |codec| codec.unwrap(received, &mut { head.number }, content))?;
        self.numbers.came(head.number);
        self.received.consume(taken.unwrap_or_default());
        Ok(true)
    }

    /// Writes, as [`Stream::poll_write`](super::Stream::poll_write) promises it.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.taken == 0 {
            self.pack(parts)?;
        }
        while let Some(rest) = self.packed.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(self.below.poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.sent = 0;
        empty(&mut self.packed);
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        let done = self.taken.min(offered);
        self.taken -= done;
        Poll::Ready(Ok(done))
    }

    fn pack(&mut self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let Self { numbers, held, packed, taken, .. } = self;
        self.codecs.compress(self.algorithm, |codec| {
            for part in parts {
                let mut rest: &[u8] = part;
                while !rest.is_empty() && *taken < AHEAD_MAX {
                    let (piece, after) = rest.split_at(numbers.piece(rest, AHEAD_MAX - *taken)?);
                    match numbers {
                        Numbers::Client { .. } => held.add(piece),
                        Numbers::Server { .. } => codec.wrap(piece, numbers.next(), packed),
                    }
                    *taken += piece.len();
                    rest = after;
                }
            }
            if !held.ready().is_empty() {
                codec.wrap(held.ready(), numbers.next(), packed);
                held.release();
            }
            Ok(())
        })
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_shutdown(cx)
    }
}

/// Empties a buffer, and gives back what it took for an uncommonly long packet.
fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_LEN {
        *buffer = Vec::new();
    }
    buffer.clear();
}

/// The header of a compressed packet.
#[derive(Debug, Clone, Copy)]
struct Head {
    len: usize,
    number: u8,
    original_len: usize,
}

impl Head {
    fn peek(bytes: &[u8]) -> Option<Self> {
        let (&[a, b, c, number, d, e, f], _) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let [len, original_len] = [[a, b, c], [d, e, f]].map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]) as usize);
        Some(Self { len, number, original_len })
    }

    fn total(self) -> usize {
        HEADER_LEN + self.len
    }
}

/// What came from the layer below and was not looked at.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Received {
    fn here(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEPT_LEN {
                self.bytes = Vec::new();
            }
        }
    }

    /// How many bytes are missing, at least, for a compressed packet to be complete.
    fn missing(&self) -> usize {
        let here = self.here();
        Head::peek(here).map_or(HEADER_LEN, Head::total).saturating_sub(here.len())
    }

    /// Reads once. The length that a packet announces is not believed: memory grows with what came.
    fn poll_fill(&mut self, cx: &mut Context<'_>, below: &mut Transport) -> Poll<io::Result<usize>> {
        if self.bytes.len() - self.start < self.end - self.start + self.missing() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            let len = (2 * self.end).min((self.end + self.missing()).next_power_of_two());
            self.bytes.resize(len.max(RECEIVED_LEN), 0);
        }
        let mut buffer = ReadBuf::new(self.bytes.get_mut(self.end..).unwrap_or_default());
        ready!(below.poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        self.end += read;
        Poll::Ready(Ok(read))
    }
}

#[cfg(test)]
mod tests;
