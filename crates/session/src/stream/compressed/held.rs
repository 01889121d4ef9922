//! Packets whose rest is not here yet, held back from a client.
//!
//! The protocol lets a packet be cut anywhere, and servers cut only long ones, after a buffer of 16 KiB. There are clients
//! that take it from there: MySQL's Connector/Python, without its C extension, never reads a packet out of more than two
//! compressed ones, and no header out of two.

use mysql::packet::Header;

/// The most bytes of one packet that wait for its rest. Nobody could do anything with them yet.
pub(super) const HELD_MAX: usize = 256 * 1024;

/// Bytes to be written, some of which wait.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// Up to here packets are complete.
    whole: usize,
    /// Where the next packet begins, in these bytes or behind them.
    next: usize,
}

impl Held {
    /// Adds bytes behind those that are here.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while let Some(behind) = self.bytes.get(self.next..) {
            self.whole = self.next;
            let Some(header) = Header::peek(behind) else { return };
            self.next += header.total();
        }
    }

    /// What may go out: whole packets, or as much of a long one as is here.
    pub(super) fn ready(&self) -> &[u8] {
        self.bytes.get(..self.ready_len()).unwrap_or_default()
    }

    /// What was ready went out.
    pub(super) fn release(&mut self) {
        let len = self.ready_len();
        self.bytes.drain(..len);
        self.next -= len;
        self.whole = 0;
        if self.bytes.is_empty() {
            super::empty(&mut self.bytes);
        }
    }

    fn ready_len(&self) -> usize {
        if self.whole == 0 && self.bytes.len() > HELD_MAX { self.bytes.len() } else { self.whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(held: &mut Held, bytes: &[u8]) -> usize {
        held.add(bytes);
        let ready = held.ready().len();
        held.release();
        ready
    }

    #[test]
    fn packets_go_out_whole() {
        let mut held = Held::default();
        assert_eq!(taken(&mut held, b"\x01\0\0\x01a\x03\0\0\x02b"), 5);
        assert_eq!(taken(&mut held, b"b"), 0);
        assert_eq!(taken(&mut held, b"b"), 7);
        assert_eq!(taken(&mut held, b"\0\0\0\x03"), 4);
        assert_eq!(taken(&mut held, b"\x01\0"), 0, "nor is a header cut");
        assert_eq!(taken(&mut held, b"\0\x04c\0"), 5);
        assert_eq!(taken(&mut held, b"\0\0\x05"), 4);
        assert!(held.bytes.is_empty());
    }

    #[test]
    fn of_a_long_packet_no_more_than_the_limit_waits() {
        let mut held = Held::default();
        assert_eq!(taken(&mut held, b"\xff\xff\xff\x01"), 0);
        assert_eq!(taken(&mut held, &[7; HELD_MAX]), HELD_MAX + 4);
        assert_eq!(taken(&mut held, &[7; 100]), 0);
        assert_eq!(taken(&mut held, &[7; HELD_MAX]), HELD_MAX + 100);
        assert_eq!(taken(&mut held, &vec![7; 0xff_ffff - 2 * HELD_MAX - 100]), 0xff_ffff - 2 * HELD_MAX - 100);
        assert_eq!(taken(&mut held, b"\x01\0\0\x02a"), 5);
    }
}
