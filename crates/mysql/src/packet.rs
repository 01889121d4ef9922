//! Where a packet begins and ends: 3 bytes of length, 1 byte of sequence, then the payload.
//!
//! A payload of [`PAYLOAD_MAX`] bytes or more goes over several packets; one shorter than that, empty if need be, ends it.

use crate::ProtocolError;

/// Bytes of a packet's header: length and sequence.
pub const HEADER_LEN: usize = 4;

/// Most payload bytes one packet holds; a packet that holds as many is followed by another of the same payload.
pub const PAYLOAD_MAX: usize = 0xff_ffff;

/// A packet's header. Every length is possible: what a payload may have in all is the [`Assembler`]'s business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length of the payload in bytes, without the header.
    pub len: usize,
    /// The packet's number within its exchange, wrapping at 256.
    pub sequence: u8,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` when it is not complete yet.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        let (&[a, b, c, sequence], _) = bytes.split_first_chunk::<HEADER_LEN>()?;
        Some(Self { len: u32::from_le_bytes([a, b, c, 0]) as usize, sequence })
    }

    /// The header as on the wire.
    ///
    /// A payload has at most [`PAYLOAD_MAX`] bytes; the bits of a longer one's length that there is no room for are lost.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        debug_assert!(self.len <= PAYLOAD_MAX);
        let [a, b, c, ..] = self.len.to_le_bytes();
        [a, b, c, self.sequence]
    }

    /// Length of the whole packet in bytes, header included.
    #[must_use]
    pub fn total(self) -> usize {
        HEADER_LEN + self.len
    }

    /// Whether the payload goes on in another packet.
    #[must_use]
    pub fn continues(self) -> bool {
        self.len == PAYLOAD_MAX
    }
}

/// A complete packet, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The packet's number within its exchange, wrapping at 256.
    pub sequence: u8,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Splits the first complete packet off `bytes`; `None` when it is not complete yet.
    #[must_use]
    pub fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let header = Header::peek(bytes)?;
        let (packet, rest) = bytes.split_at_checked(header.total())?;
        Some((Self { sequence: header.sequence, payload: packet.get(HEADER_LEN..)? }, rest))
    }

    /// Whether the payload goes on in another packet.
    #[must_use]
    pub fn continues(&self) -> bool {
        self.payload.len() == PAYLOAD_MAX
    }
}

/// Appends a payload as one packet, or as several where it is longer than [`PAYLOAD_MAX`], and counts `sequence` on.
pub fn write(out: &mut Vec<u8>, sequence: &mut u8, payload: &[u8]) {
    let mut rest = payload;
    loop {
        let (part, after) = rest.split_at_checked(PAYLOAD_MAX).unwrap_or((rest, &[]));
        out.extend_from_slice(&header(part.len(), sequence));
        out.extend_from_slice(part);
        if part.len() < PAYLOAD_MAX {
            return;
        }
        rest = after;
    }
}

/// As [`build`], for a payload that may turn out to be none: then nothing is appended, and `sequence` stays.
///
/// # Errors
/// Those of `fill`.
pub fn try_build<E>(
    out: &mut Vec<u8>,
    sequence: &mut u8,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let (start, mut next, mut filled) = (out.len(), *sequence, Ok(()));
    build(out, &mut next, |out| filled = fill(out));
    match filled {
        Ok(()) => *sequence = next,
        Err(_) => out.truncate(start),
    }
    filled
}

/// Appends a payload that `fill` writes in place, and counts `sequence` on.
pub fn build(out: &mut Vec<u8>, sequence: &mut u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    fill(out);
    let len = out.len() - start - HEADER_LEN;
    if len < PAYLOAD_MAX {
        if let Some(place) = out.get_mut(start..start + HEADER_LEN) {
            place.copy_from_slice(&header(len, sequence));
        }
    } else {
        // Rare enough for a copy: headers have to go between the parts.
        let payload = out.split_off(start + HEADER_LEN);
        out.truncate(start);
        write(out, sequence, &payload);
    }
}

fn header(len: usize, sequence: &mut u8) -> [u8; HEADER_LEN] {
    let header = Header { len, sequence: *sequence }.to_bytes();
    *sequence = sequence.wrapping_add(1);
    header
}

/// Puts a payload together that came in several packets, and checks that they are numbered in order.
#[derive(Debug)]
pub struct Assembler {
    len_max: usize,
    numbering: Numbering,
    state: State,
    parts: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbering {
    /// The next packet must have this number.
    Next(u8),
    /// Numbers are followed, not checked.
    Followed(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next packet begins a payload; what is in `parts` was handed out already.
    Between,
    /// `parts` holds the beginning of a payload.
    Within,
}

impl Assembler {
    /// Takes payloads of at most `len_max` bytes; the first packet must be numbered 0.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { len_max, numbering: Numbering::Next(0), state: State::Between, parts: Vec::new() }
    }

    /// As [`Assembler::new`], for packets inside the compressed protocol: servers set their numbers to the compressed
    /// packet's whenever they flush (`net_flush`, MySQL `sql-common/net_serv.cc`), and only the outer numbers are in order.
    #[must_use]
    pub fn inside_compression(len_max: usize) -> Self {
        Self { numbering: Numbering::Followed(0), ..Self::new(len_max) }
    }

    /// Says which number the next packet must have: 0 where a command begins, else one more than the packet before it,
    /// whoever sent that.
    pub fn expect(&mut self, sequence: u8) {
        match &mut self.numbering {
            Numbering::Next(next) | Numbering::Followed(next) => *next = sequence,
        }
    }

    /// The number of the packet that would come next, from either side.
    #[must_use]
    pub fn next_sequence(&self) -> u8 {
        match self.numbering {
            Numbering::Next(next) | Numbering::Followed(next) => next,
        }
    }

    /// Takes the next packet; returns the payload when this one completes it. A payload of one packet is not copied.
    ///
    /// # Errors
    /// [`ProtocolError::Sequence`] for a packet out of order; [`ProtocolError::Limit`] for a payload that is too long.
    pub fn push<'a>(&'a mut self, packet: Packet<'a>) -> Result<Option<&'a [u8]>, ProtocolError> {
        match &mut self.numbering {
            Numbering::Next(next) if *next != packet.sequence => {
                return Err(ProtocolError::Sequence { expected: *next, found: packet.sequence });
            }
            Numbering::Next(next) | Numbering::Followed(next) => *next = packet.sequence.wrapping_add(1),
        }
        if self.state == State::Between {
            self.parts.clear();
        }
        if packet.payload.len() > self.len_max.saturating_sub(self.parts.len()) {
            return Err(ProtocolError::Limit { what: "a payload", limit: self.len_max });
        }
        match (self.state, packet.continues()) {
            (State::Between, false) => return Ok(Some(packet.payload)),
            (_, true) => self.state = State::Within,
            (State::Within, false) => self.state = State::Between,
        }
        self.parts.extend_from_slice(packet.payload);
        Ok((self.state == State::Between).then_some(&self.parts))
    }

    /// Gives memory back that a long payload took.
    pub fn shrink(&mut self) {
        if self.state == State::Between {
            self.parts = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(bytes: &[u8]) -> Vec<Packet<'_>> {
        let mut rest = bytes;
        let packets = std::iter::from_fn(|| {
            let (packet, after) = Packet::split(rest)?;
            rest = after;
            Some(packet)
        })
        .collect();
        assert_eq!(rest, b"");
        packets
    }

    #[test]
    fn packets_split_in_order_and_only_when_complete() {
        let bytes = b"\x01\0\0\0\x0e\x03\0\0\x01abcd";
        assert_eq!(Header::peek(&bytes[..3]), None);
        let (ping, rest) = Packet::split(bytes).unwrap();
        assert_eq!(ping, Packet { sequence: 0, payload: b"\x0e" });
        let (second, rest) = Packet::split(rest).unwrap();
        assert_eq!((second, rest), (Packet { sequence: 1, payload: b"abc" }, &b"d"[..]));
        for short in 0..5 {
            assert_eq!(Packet::split(&bytes[..short]), None);
        }
    }

    #[test]
    fn long_payloads_go_over_several_packets_and_come_back() {
        for (len, parts) in [(0, 1), (5, 1), (PAYLOAD_MAX - 1, 1), (PAYLOAD_MAX, 2), (PAYLOAD_MAX + 1, 2)] {
            let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let (mut written, mut built, mut sequence) = (Vec::new(), Vec::new(), 255);
            write(&mut written, &mut sequence, &payload);
            assert_eq!(sequence, 255_u8.wrapping_add(parts));
            let mut sequence = 255;
            build(&mut built, &mut sequence, |out| out.extend_from_slice(&payload));
            assert!(written == built, "{len}");

            let mut assembler = Assembler::new(len);
            assembler.expect(255);
            let packets = packets(&written);
            assert_eq!(packets.len(), usize::from(parts));
            let (last, before) = packets.split_last().unwrap();
            for packet in before {
                assert_eq!(assembler.push(*packet), Ok(None));
            }
            assert!(assembler.push(*last) == Ok(Some(&payload)), "{len}");
            assert_eq!(assembler.next_sequence(), sequence);
        }
    }

    #[test]
    fn a_payload_that_is_none_leaves_nothing() {
        let (mut out, mut sequence) = (b"before".to_vec(), 7);
        let failed = try_build(&mut out, &mut sequence, |out| {
            out.push(b'x');
            Err("no")
        });
        assert_eq!((failed, &out[..], sequence), (Err("no"), &b"before"[..], 7));
        let built = try_build(&mut out, &mut sequence, |out| {
            out.push(b'x');
            Ok::<_, ()>(())
        });
        assert_eq!((built, &out[6..], sequence), (Ok(()), &b"\x01\0\0\x07x"[..], 8));
    }

    #[test]
    fn a_payload_beyond_the_limit_is_refused_before_it_is_kept() {
        let mut assembler = Assembler::new(3);
        assert_eq!(assembler.push(Packet { sequence: 0, payload: b"abc" }), Ok(Some(&b"abc"[..])));
        let refused = assembler.push(Packet { sequence: 1, payload: b"abcd" });
        assert_eq!(refused, Err(ProtocolError::Limit { what: "a payload", limit: 3 }));

        let full = vec![0; PAYLOAD_MAX];
        let mut assembler = Assembler::new(PAYLOAD_MAX + 1);
        assert_eq!(assembler.push(Packet { sequence: 0, payload: &full }), Ok(None));
        assert!(matches!(assembler.push(Packet { sequence: 1, payload: &full }), Err(ProtocolError::Limit { .. })));
    }

    #[test]
    fn packets_out_of_order_are_refused_except_inside_compression() {
        let stray = Packet { sequence: 7, payload: b"x" };
        let mut assembler = Assembler::new(9);
        assert_eq!(assembler.push(stray), Err(ProtocolError::Sequence { expected: 0, found: 7 }));
        let mut assembler = Assembler::inside_compression(9);
        assert_eq!(assembler.push(stray), Ok(Some(&b"x"[..])));
        assert_eq!(assembler.next_sequence(), 8);
    }

    #[test]
    fn payloads_follow_each_other_without_mixing() {
        let full = vec![1; PAYLOAD_MAX];
        let mut assembler = Assembler::new(2 * PAYLOAD_MAX);
        for _ in 0..2 {
            assembler.expect(0);
            assert_eq!(assembler.push(Packet { sequence: 0, payload: &full }), Ok(None));
            let payload = assembler.push(Packet { sequence: 1, payload: b"" }).unwrap().unwrap();
            assert_eq!(payload.len(), PAYLOAD_MAX);
        }
        assembler.shrink();
        assert_eq!(assembler.push(Packet { sequence: 2, payload: b"" }), Ok(Some(&b""[..])));
    }
}
