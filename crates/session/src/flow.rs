//! Bytes on their way from one side to the other, in bulk, bounded, copied as rarely as possible.
//!
//! A [`Flow`] reads into one buffer and looks at the bytes there. What is passed on unchanged is written from the same
//! buffer; only what is inserted, or follows something inserted or dropped, goes through a second one.

use std::{
    io::{self, IoSlice},
    mem,
    ops::Range,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::io::ReadBuf;

use crate::stream::Stream;

/// Beyond this many bytes that wait to be written, nothing more is read for the same direction.
const PENDING_MAX: usize = 64 * 1024;

/// Up to this many bytes are copied behind others that are written first.
const COPY_MAX: usize = 4 * 1024;

/// Bytes of our own making for which room is made at once.
const SPILL_LEN: usize = 256;

/// Up to this capacity, in bytes, room for bytes of our own making is kept with a free buffer.
const SPILL_KEPT_MAX: usize = 2 * COPY_MAX;

/// The most free buffers of a size kept for the next session that becomes active.
const FREE_MAX: usize = 256;

/// Bytes of the buffer in which a session looks what its client wants: room for an ordinary query. A client that says
/// more gets a full one.
const SMALL_LEN: usize = 2 * 1024;

/// Buffers that no session uses at the moment. Idle sessions own none.
#[derive(Debug)]
pub(crate) struct Buffers {
    full_len: usize,
    small: Mutex<Vec<Room>>,
    full: Mutex<Vec<Room>>,
}

/// What a [`Flow`] at work needs, and gives back: so that no unit of work allocates.
#[derive(Debug)]
struct Room {
    /// For what is read.
    buffer: Box<[u8]>,
    /// For bytes of our own making. Empty.
    spill: Vec<u8>,
}

impl Buffers {
    /// Full buffers have this many bytes.
    pub(crate) fn new(full_len: usize) -> Self {
        Self { full_len, small: Mutex::default(), full: Mutex::default() }
    }

    fn take(&self, len: usize) -> Room {
        let free = self.free(len).lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Room { buffer: vec![0; len].into_boxed_slice(), spill: Vec::new() })
    }

    /// Takes a buffer back. Its bytes are not wiped here; no reader looks at bytes that it did not read itself.
    fn give(&self, mut room: Room) {
        let len = room.buffer.len();
        if len == self.small_len() || len == self.full_len {
            if room.spill.capacity() > SPILL_KEPT_MAX {
                room.spill = Vec::new();
            }
            let mut free = self.free(len).lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() < FREE_MAX {
                free.push(room);
            }
        }
    }

    fn free(&self, len: usize) -> &Mutex<Vec<Room>> {
        if len == self.full_len { &self.full } else { &self.small }
    }

    fn small_len(&self) -> usize {
        SMALL_LEN.min(self.full_len)
    }
}

/// What becomes of the rest of a message that is not here yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Forward,
    Drop,
}

/// One direction of a relay.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    buffer: Box<[u8]>,
    /// Approved bytes in `buffer`, not yet written. They lie before `scan`.
    approved: Range<usize>,
    /// The first byte not yet looked at.
    scan: usize,
    /// The end of what was read.
    end: usize,
    /// Bytes to be written before those approved.
    spill: Vec<u8>,
    /// How many bytes of `spill` were written.
    spilled: usize,
    /// How many bytes were written in all.
    written: u64,
    /// Bytes of the current message that have not come yet, and what becomes of them.
    rest: Option<(usize, Rest)>,
    /// To this it grows as soon as it is filled.
    len_full: usize,
    /// The largest the buffer may grow, to hold one message that must be seen whole (a query's text).
    len_max: usize,
}

impl Flow {
    /// A flow into which these bytes were read.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        Self { buffer: bytes.into(), end: bytes.len(), len_max: bytes.len(), ..Self::default() }
    }

    /// What was read and not yet looked at, for whoever takes over.
    pub(crate) fn into_unscanned(self) -> Vec<u8> {
        self.buffer[self.scan..self.end].to_vec()
    }

    /// Moves what waits to be written to `out`.
    pub(crate) fn move_pending(&mut self, out: &mut Vec<u8>) {
        self.spill_approved();
        out.extend_from_slice(&self.spill[self.spilled..]);
        self.spill.clear();
        self.spilled = 0;
    }

    /// Takes up a small buffer, if it has none. It grows to a full one when that is filled, and to `len_max` for a
    /// message that must be whole.
    pub(crate) fn open_small(&mut self, buffers: &Buffers, len_max: usize) {
        self.open(buffers, buffers.small_len(), len_max);
    }

    /// Takes up a full buffer, if it has none, which may grow to `len_max`.
    pub(crate) fn open_full(&mut self, buffers: &Buffers, len_max: usize) {
        self.open(buffers, buffers.full_len, len_max);
    }

    fn open(&mut self, buffers: &Buffers, len: usize, len_max: usize) {
        (self.len_full, self.len_max) = (buffers.full_len, len_max);
        if self.buffer.is_empty() {
            let Room { buffer, spill } = buffers.take(len);
            self.buffer = buffer;
            // Bytes of our own may wait already.
            if self.spill.is_empty() {
                self.spill = spill;
            }
        }
    }

    /// Gives its buffer up, if nothing is in it. Returns whether it did.
    pub(crate) fn close(&mut self, buffers: &Buffers) -> bool {
        if !self.is_empty() {
            return false;
        }
        (self.scan, self.end, self.approved) = (0, 0, 0..0);
        let (buffer, spill) = (mem::take(&mut self.buffer), mem::take(&mut self.spill));
        if !buffer.is_empty() {
            buffers.give(Room { buffer, spill });
        }
        true
    }

    /// Forgets everything in it.
    pub(crate) fn clear(&mut self) {
        (self.scan, self.end, self.approved, self.spilled, self.rest) = (0, 0, 0..0, 0, None);
        self.spill.clear();
    }

    /// What was read and not yet looked at.
    pub(crate) fn unscanned(&self) -> &[u8] {
        &self.buffer[self.scan..self.end]
    }

    /// The same, for what must be changed in place before it is passed on.
    pub(crate) fn unscanned_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.scan..self.end]
    }

    /// Whether nothing is in it, neither to look at nor to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.scan == self.end && self.pending() == 0 && self.rest.is_none()
    }

    /// Whether it stands in the middle of a message whose rest has not come.
    pub(crate) fn is_amid_message(&self) -> bool {
        self.rest.is_some()
    }

    /// Bytes that it holds before what came first must go.
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.len().max(self.len_full)
    }

    /// The most bytes of one message that it can hold.
    pub(crate) fn len_max(&self) -> usize {
        self.len_max.max(self.buffer.len())
    }

    /// Bytes that wait to be written.
    pub(crate) fn pending(&self) -> usize {
        self.spill.len() - self.spilled + self.approved.len()
    }

    /// How many bytes were written so far. Only good to be compared with itself.
    pub(crate) fn written_len(&self) -> u64 {
        self.written
    }

    /// Passes `len` bytes on, also those of them that have not come yet.
    pub(crate) fn forward(&mut self, len: usize) {
        self.pass(len, Rest::Forward);
    }

    /// Drops `len` bytes, also those of them that have not come yet.
    pub(crate) fn drop(&mut self, len: usize) {
        self.pass(len, Rest::Drop);
    }

    /// Where to append bytes of our own, behind all that was passed on so far.
    pub(crate) fn insert(&mut self) -> &mut Vec<u8> {
        if self.spill.capacity() == 0 {
            // Room for a short answer at once, instead of growing to it step by step.
            self.spill.reserve(SPILL_LEN);
        }
        self.spill_approved();
        &mut self.spill
    }

    /// Puts what `write` makes of the next `len` bytes in their place; it is given as many of them as are here.
    pub(crate) fn replace<T>(&mut self, len: usize, write: impl FnOnce(&[u8], &mut Vec<u8>) -> T) -> T {
        self.insert();
        let here = &self.buffer[self.scan..self.end];
        let made = write(here.get(..len).unwrap_or(here), &mut self.spill);
        self.drop(len);
        made
    }

    /// Whether there is room to read more.
    pub(crate) fn wants_more(&self) -> bool {
        self.pending() < PENDING_MAX && (self.end < self.capacity() || self.kept_from() > 0)
    }

    /// Whether the last read filled all the room there was, so that more is likely at hand.
    pub(crate) fn is_filled(&self) -> bool {
        self.end == self.buffer.len()
    }

    /// Makes room for a message of `len` bytes that must be whole before it can be looked at.
    /// Returns whether it may be that large.
    pub(crate) fn make_room(&mut self, len: usize) -> bool {
        if len > self.len_max.max(self.buffer.len()) {
            return false;
        }
        if self.buffer.len() - self.scan < len {
            self.compact();
        }
        if self.buffer.len() - self.scan < len {
            self.grow((self.scan + len).next_power_of_two());
        }
        true
    }

    fn grow(&mut self, len: usize) {
        let mut larger = vec![0; len].into_boxed_slice();
        larger[..self.end].copy_from_slice(&self.buffer[..self.end]);
        self.buffer = larger;
    }

    /// Reads once. `Ready(0)` means that the other side sends no more.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<usize>> {
        if self.approved.is_empty() && self.scan == self.end {
            (self.scan, self.end, self.approved) = (0, 0, 0..0);
        } else if self.end == self.buffer.len() {
            self.compact();
        }
        if self.end == self.buffer.len() && self.buffer.len() < self.len_full {
            self.grow(self.len_full);
        }
        let mut buffer = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(stream.poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        self.end += read;
        if let Some((len, rest)) = self.rest.take() {
            self.pass(len, rest);
        }
        Poll::Ready(Ok(read))
    }

    /// Writes until nothing is pending.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        // One write of both parts is cheaper than a gathering one, as long as there is little to copy.
        if !self.spill.is_empty() && self.approved.len() <= COPY_MAX {
            self.spill_approved();
        }
        while self.pending() > 0 {
            let written = if self.spilled == self.spill.len() {
                ready!(stream.poll_write(cx, &self.buffer[self.approved.clone()]))?
            } else if self.approved.is_empty() {
                ready!(stream.poll_write(cx, &self.spill[self.spilled..]))?
            } else {
                let parts = [&self.spill[self.spilled..], &self.buffer[self.approved.clone()]].map(IoSlice::new);
                ready!(stream.poll_write_vectored(cx, &parts))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written(written);
        }
        Poll::Ready(Ok(()))
    }

    fn written(&mut self, len: usize) {
        self.written += len as u64;
        let from_spill = len.min(self.spill.len() - self.spilled);
        self.spilled += from_spill;
        self.approved.start += len - from_spill;
        if self.spilled == self.spill.len() {
            self.spill.clear();
            self.spilled = 0;
        }
    }

    fn pass(&mut self, len: usize, rest: Rest) {
        let here = len.min(self.end - self.scan);
        if here < len {
            self.rest = Some((len - here, rest));
        }
        let range = self.scan..self.scan + here;
        self.scan = range.end;
        if rest == Rest::Drop || range.is_empty() {
            return;
        }
        if self.approved.is_empty() {
            self.approved = range;
        } else if self.approved.end == range.start {
            self.approved.end = range.end;
        } else {
            self.spill_approved();
            self.approved = range;
        }
    }

    fn spill_approved(&mut self) {
        let range = mem::take(&mut self.approved);
        self.spill.extend_from_slice(&self.buffer[range]);
    }

    /// Where the part of the buffer begins that is still needed.
    fn kept_from(&self) -> usize {
        if self.approved.is_empty() { self.scan } else { self.approved.start }
    }

    /// Moves what is still needed to the buffer's start.
    fn compact(&mut self) {
        let from = self.kept_from();
        self.buffer.copy_within(from..self.end, 0);
        self.scan -= from;
        self.end -= from;
        self.approved = if self.approved.is_empty() { 0..0 } else { 0..self.approved.end - from };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flow into which `bytes` were read.
    fn flow(bytes: &[u8]) -> Flow {
        let mut flow = Flow { buffer: vec![0; 32].into_boxed_slice(), len_max: 1000, ..Flow::default() };
        flow.buffer[..bytes.len()].copy_from_slice(bytes);
        flow.end = bytes.len();
        flow
    }

    fn drain(flow: &mut Flow) -> Vec<u8> {
        let out = [&flow.spill[flow.spilled..], &flow.buffer[flow.approved.clone()]].concat();
        flow.written(out.len());
        out
    }

    #[test]
    fn what_is_passed_on_stays_in_place_and_in_order() {
        let mut flow = flow(b"abcdefghij");
        flow.forward(3);
        flow.forward(1);
        assert!(flow.spill.is_empty());
        flow.drop(2);
        flow.forward(1);
        flow.insert().extend_from_slice(b"XY");
        flow.forward(2);
        assert_eq!((flow.unscanned(), flow.pending()), (&b"j"[..], 9));
        assert_eq!(drain(&mut flow), b"abcdgXYhi");
        assert_eq!(flow.pending(), 0);
    }

    #[test]
    fn the_rest_of_a_message_follows_its_beginning() {
        let mut flow = flow(b"abc");
        flow.forward(5);
        assert!(flow.is_amid_message());
        flow.buffer[3..6].copy_from_slice(b"def");
        flow.end = 6;
        let (len, rest) = flow.rest.take().unwrap();
        flow.pass(len, rest);
        assert_eq!(flow.unscanned(), b"f");
        assert_eq!(drain(&mut flow), b"abcde");
    }

    #[test]
    fn partial_writes_keep_their_place() {
        let mut flow = flow(b"abcdef");
        flow.insert().extend_from_slice(b"123");
        flow.forward(4);
        flow.written(2);
        assert_eq!(flow.pending(), 5);
        flow.written(2);
        assert_eq!(drain(&mut flow), b"bcd");
    }

    #[test]
    fn what_is_replaced_stands_where_it_stood() {
        let mut flow = flow(b"abcdefghij");
        flow.forward(2);
        let seen = flow.replace(3, |bytes, out| {
            out.extend_from_slice(b"[");
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"]");
            bytes.len()
        });
        flow.forward(1);
        assert_eq!((seen, flow.unscanned()), (3, &b"ghij"[..]));
        assert_eq!(drain(&mut flow), b"ab[cde]f");
        assert_eq!(flow.replace(9, |bytes, _| bytes.to_vec()), b"ghij");
        assert!(flow.is_amid_message());
    }

    #[test]
    fn an_idle_flow_leaves_what_the_next_one_takes_up_unless_it_is_large() {
        let buffers = Buffers::new(4096);
        let mut flow = Flow::default();
        for (len, kept) in [(SPILL_LEN, true), (SPILL_KEPT_MAX + 1, false)] {
            flow.open_small(&buffers, 0);
            flow.insert().extend_from_slice(&vec![b'x'; len]);
            assert!(!flow.close(&buffers), "bytes wait to be written");
            flow.written(len);
            assert!(flow.close(&buffers));
            assert_eq!((flow.buffer.len(), flow.spill.capacity()), (0, 0));
            let free = buffers.small.lock().unwrap();
            assert_eq!(free.len(), 1);
            assert_eq!(free[0].spill.capacity() >= SPILL_LEN, kept);
            assert!(free[0].spill.is_empty());
        }
    }

    #[test]
    fn a_large_message_makes_the_buffer_grow_to_a_bound() {
        let mut flow = flow(b"abcdefgh");
        flow.drop(6);
        assert!(flow.make_room(100));
        assert_eq!(flow.unscanned(), b"gh");
        assert!(flow.buffer.len() >= 100);
        assert!(!flow.make_room(1001));
    }
}
