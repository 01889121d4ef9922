//! The numbers of compressed packets: 0 where a command begins, then one more with each packet of either side.

use std::io;

use mysql::{ProtocolError, packet::Header};

use super::Side;

/// Which numbers come next.
#[derive(Debug)]
pub(super) enum Numbers {
    /// Towards a client, which says by number 0 where its commands begin.
    Client {
        /// What follows the last packet read.
        read: u8,
        /// What follows the last packet of the exchange under way, of either side.
        write: u8,
        turn: Turn,
    },
    /// Towards a server. Its own numbers are followed, not checked: there may be an error of it to read.
    Server { next: u8, commands: Commands },
}

/// What the client has said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The command under way, or a part of it.
    Current,
    /// A command behind the one that is being answered.
    Ahead,
}

impl Numbers {
    pub(super) fn towards(side: Side) -> Self {
        match side {
            Side::Client => Self::Client { read: 0, write: 0, turn: Turn::Current },
            Side::Server => Self::Server { next: 0, commands: Commands::default() },
        }
    }

    /// Whether a packet of this number may come.
    pub(super) fn check(&self, found: u8) -> Result<(), ProtocolError> {
        match *self {
            Self::Client { read, write, .. } if found != 0 && found != read && found != write => {
                Err(ProtocolError::Sequence { expected: read, found })
            }
            _ => Ok(()),
        }
    }

    /// A packet came.
    pub(super) fn came(&mut self, number: u8) {
        let after = number.wrapping_add(1);
        match self {
            Self::Server { next, .. } => *next = after,
            Self::Client { read, write, turn } => {
                // A long exchange comes past 255 to a 0 where no command begins.
                let begins = number == 0 && *read != 0;
                if begins {
                    *turn = Turn::Ahead;
                } else if *turn == Turn::Current {
                    *write = after;
                }
                *read = after;
            }
        }
    }

    /// What is written next answers the command that was read last.
    pub(super) fn begin_reply(&mut self) {
        if let Self::Client { read, write, turn } = self {
            // With another command behind it, it was a short one: the numbers then go on from that one's first packet, which
            // is the same.
            *write = *read;
            *turn = Turn::Current;
        }
    }

    /// How many of these bytes to be written, at most `len_max`, go together; they are numbered on from
    /// [`next`](Self::next).
    ///
    /// A server reads each command anew from a packet numbered 0, so no two commands share one.
    pub(super) fn piece(&mut self, bytes: &[u8], len_max: usize) -> io::Result<usize> {
        match self {
            Self::Client { .. } => Ok(bytes.len().min(len_max)),
            Self::Server { next, commands } => {
                let piece = commands.piece(bytes, len_max)?;
                if piece.place == Place::Start {
                    *next = 0;
                }
                Ok(piece.len)
            }
        }
    }

    /// The number of the next packet that is written; whoever writes it counts it on.
    pub(super) fn next(&mut self) -> &mut u8 {
        match self {
            Self::Client { write, .. } => write,
            Self::Server { next, .. } => next,
        }
    }
}

/// Finds where commands begin in the packets that are written.
#[derive(Debug)]
pub(super) struct Commands {
    /// The last packet that was begun.
    last: Header,
    /// Bytes of it that are still to come.
    rest: usize,
}

/// Bytes of one command.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    len: usize,
    place: Place,
}

/// Which part of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Within,
}

impl Default for Commands {
    fn default() -> Self {
        Self { last: Header { len: 0, sequence: 0 }, rest: 0 }
    }
}

impl Commands {
    fn piece(&mut self, bytes: &[u8], len_max: usize) -> io::Result<Piece> {
        let mut piece = Piece { len: 0, place: Place::Within };
        loop {
            let here = self.rest.min(bytes.len().min(len_max) - piece.len);
            self.rest -= here;
            piece.len += here;
            let behind = bytes.get(piece.len..).unwrap_or_default();
            if self.rest > 0 || behind.is_empty() || piece.len == len_max {
                return Ok(piece);
            }
            let Some(header) = Header::peek(behind) else {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a write ends within the header of a packet"));
            };
            if self.begins(header) {
                if piece.len > 0 {
                    return Ok(piece);
                }
                piece.place = Place::Start;
            }
            self.last = header;
            self.rest = header.total();
        }
    }

    /// A command begins with number 0. So does no other packet but the one behind number 255: of a file, which ends with an
    /// empty packet.
    fn begins(&self, header: Header) -> bool {
        header.sequence == 0 && !(self.last.sequence == 255 && self.last.len > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u8, len: usize) -> Vec<u8> {
        [&[len as u8, (len >> 8) as u8, 0, sequence][..], &vec![7; len]].concat()
    }

    /// The lengths of the pieces and the numbers with which they begin.
    fn pieces(numbers: &mut Numbers, bytes: &[u8], len_max: usize) -> Vec<(usize, u8)> {
        let (mut rest, mut pieces) = (bytes, Vec::new());
        while !rest.is_empty() {
            let len = numbers.piece(rest, len_max).unwrap();
            pieces.push((len, *numbers.next()));
            *numbers.next() = numbers.next().wrapping_add(1);
            rest = &rest[len..];
        }
        pieces
    }

    #[test]
    fn each_command_begins_a_packet_of_its_own() {
        let mut numbers = Numbers::towards(Side::Server);
        let commands = [packet(0, 5), packet(0, 5), packet(0, 300)].concat();
        assert_eq!(pieces(&mut numbers, &commands, 1000), [(9, 0), (9, 0), (304, 0)]);
        assert_eq!(pieces(&mut numbers, &packet(0, 300), 100), [(100, 0), (100, 1), (100, 2), (4, 3)]);
        numbers.came(4);
        numbers.came(5);
        assert_eq!(pieces(&mut numbers, &[packet(6, 3), packet(7, 0)].concat(), 1000), [(11, 6)]);
        numbers.came(7);
        assert_eq!(pieces(&mut numbers, &packet(0, 1), 1000), [(5, 0)]);
    }

    #[test]
    fn a_file_of_many_packets_does_not_begin_a_command_in_its_middle() {
        let mut numbers = Numbers::towards(Side::Server);
        assert_eq!(pieces(&mut numbers, &packet(0, 5), 1000), [(9, 0)]);
        numbers.came(1);
        let file: Vec<u8> = (2..=257).flat_map(|number: u32| packet(number as u8, 1)).collect();
        assert_eq!(pieces(&mut numbers, &file, 5000), [(5 * 256, 2)]);
        assert_eq!(pieces(&mut numbers, &packet(2, 0), 5000), [(4, 3)]);
        assert_eq!(pieces(&mut numbers, &packet(0, 5), 5000), [(9, 0)]);
        // One that ends at 255.
        let file: Vec<u8> = (2..255).flat_map(|number: u8| packet(number, 1)).chain(packet(255, 0)).collect();
        assert_eq!(pieces(&mut numbers, &[file, packet(0, 1)].concat(), 5000), [(5 * 253 + 4, 1), (5, 0)]);
    }

    #[test]
    fn a_header_is_never_cut_by_whoever_writes() {
        let mut numbers = Numbers::towards(Side::Server);
        assert!(numbers.piece(b"\x01\0\0", 1000).is_err());
    }

    #[test]
    fn replies_are_numbered_on_from_their_commands() {
        let mut numbers = Numbers::towards(Side::Client);
        for packets in [1, 3, 256, 2] {
            for number in 0..packets {
                numbers.check(number as u8).unwrap();
                numbers.came(number as u8);
            }
            numbers.begin_reply();
            assert_eq!(*numbers.next(), packets as u8);
            *numbers.next() += 5;
        }
        // A file is asked for in the middle.
        numbers.check(7).unwrap();
        numbers.came(7);
        numbers.came(8);
        assert_eq!(*numbers.next(), 9);
    }

    #[test]
    fn a_command_sent_ahead_does_not_disturb_the_reply_under_way() {
        let mut numbers = Numbers::towards(Side::Client);
        numbers.came(0);
        numbers.begin_reply();
        *numbers.next() += 1;
        numbers.came(0);
        numbers.came(1);
        assert_eq!(*numbers.next(), 2);
        numbers.begin_reply();
        assert_eq!(*numbers.next(), 2, "the second command had two packets");
        // Two at once: the first is answered from its own first packet.
        numbers.came(0);
        numbers.came(0);
        numbers.begin_reply();
        assert_eq!(*numbers.next(), 1);
        *numbers.next() += 1;
        numbers.begin_reply();
        assert_eq!(*numbers.next(), 1);
    }

    #[test]
    fn a_client_out_of_order_is_refused_and_a_server_is_followed() {
        let mut client = Numbers::towards(Side::Client);
        client.came(0);
        client.begin_reply();
        *client.next() += 3;
        for (found, expected) in [(0, true), (1, true), (4, true), (2, false), (5, false), (255, false)] {
            assert_eq!(client.check(found).is_ok(), expected, "{found}");
        }
        let server = Numbers::towards(Side::Server);
        assert_eq!(server.check(200), Ok(()));
    }
}
