//! What passed on a PostgreSQL connection, as far as it tells whether anything is still under way there.
//!
//! Bytes in, facts out; it knows no socket. Only the frames of messages are read, and of one message the body: the
//! transaction status in `ReadyForQuery`.

/// Frames of messages in one direction, in whatever pieces they come.
///
/// Source: PostgreSQL's manual, "Message Formats": a type byte, then a length of 4 bytes that counts itself.
struct Frames {
    /// Type, length and the first byte of the body, as far as they are here.
    head: [u8; HEAD_LEN],
    filled: usize,
    /// Bytes of the body still to come.
    left: usize,
}

const HEAD_LEN: usize = 6;

/// The head without the first byte of the body.
const FRAME_LEN: usize = 5;

/// A length that cannot be: where the next message begins is not known any more.
struct Lost;

impl Frames {
    const fn new() -> Self {
        Self { head: [0; HEAD_LEN], filled: 0, left: 0 }
    }

    /// The same, beginning with a message that has no type: the startup message of a client. Its type reads as 0.
    const fn from_startup() -> Self {
        Self { head: [0; HEAD_LEN], filled: 1, left: 0 }
    }

    /// Whether the last message is complete.
    const fn is_between(&self) -> bool {
        self.filled == 0 && self.left == 0
    }

    /// Takes bytes and tells of each message its type and the first byte of its body, 0 where it has none.
    fn take(&mut self, mut bytes: &[u8], mut tell: impl FnMut(u8, u8)) -> Result<(), Lost> {
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
            bytes = rest;
            self.head[self.filled] = byte;
            self.filled += 1;
            if self.filled < FRAME_LEN {
                continue;
            }
            let [tag, a, b, c, d, first] = self.head;
            // A length of 2 GiB and more is none that PostgreSQL writes.
            let length = u32::from_be_bytes([a, b, c, d]);
            let Some(body) = length.checked_sub(4).filter(|_| length < 1 << 31) else {
                (self.filled, self.left) = (0, usize::MAX);
                return Err(Lost);
            };
            match (body, self.filled) {
                (0, _) => tell(tag, 0),
                (_, HEAD_LEN) => tell(tag, first),
                _ => continue,
            }
            self.left = (body as usize).saturating_sub(1);
            self.filled = 0;
        }
    }
}

/// Where the session stood when the server last answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// It has not answered yet, or not in its protocol.
    Unknown,
    /// Outside a transaction.
    Idle,
    /// Inside a transaction, sound or failed.
    InTransaction,
}

/// What came of the last read or write of the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Passed,
    /// There was nothing to read, or no room to write.
    Stalled,
}

/// What passed on one connection.
pub(super) struct Traffic {
    sent: Frames,
    received: Frames,
    /// Requests that `ReadyForQuery` has yet to answer.
    unanswered: u32,
    /// Requests among them that will not be answered: a `Sync` that arrives during `COPY … FROM STDIN` is ignored.
    ignored: u32,
    session: Session,
    read: Last,
    write: Last,
}

impl Traffic {
    /// A connection on which the client is about to send its startup message, which will be answered.
    pub(super) const fn new() -> Self {
        Self {
            sent: Frames::from_startup(),
            received: Frames::new(),
            unanswered: 1,
            ignored: 0,
            session: Session::Unknown,
            read: Last::Passed,
            write: Last::Passed,
        }
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.write = Last::Passed;
        let unanswered = &mut self.unanswered;
        let frames = self.sent.take(bytes, |tag, _| {
            // Query, Sync, FunctionCall.
            if matches!(tag, b'Q' | b'S' | b'F') {
                *unanswered = unanswered.saturating_add(1);
            }
        });
        self.unless_lost(frames);
    }

    pub(super) fn received(&mut self, bytes: &[u8]) {
        self.read = Last::Passed;
        let Self { unanswered, ignored, session, .. } = self;
        let frames = self.received.take(bytes, |tag, first| match tag {
            // CopyInResponse: the driver has sent a Sync with the command, and sends another one at the end of the data.
            b'G' => *ignored = ignored.saturating_add(1),
            // ReadyForQuery.
            b'Z' => {
                *unanswered = unanswered.saturating_sub(1 + std::mem::take(ignored));
                *session = if first == b'I' { Session::Idle } else { Session::InTransaction };
            }
            _ => {}
        });
        self.unless_lost(frames);
    }

    pub(super) fn nothing_to_read(&mut self) {
        self.read = Last::Stalled;
    }

    pub(super) fn no_room_to_write(&mut self) {
        self.write = Last::Stalled;
    }

    /// Whether a request is under way, as far as it has been sent.
    pub(super) const fn is_answering(&self) -> bool {
        self.unanswered > 0
    }

    /// Where the session stood when the server last answered.
    pub(super) const fn session(&self) -> Session {
        self.session
    }

    /// Whether everything that was to be sent has been, all of it is answered, and no transaction is open.
    pub(super) fn is_done(&self) -> bool {
        self.session == Session::Idle && self.unanswered == 0 && self.sent.is_between() && self.write == Last::Passed
    }

    /// Whether everything that came was read. A driver that waits for somebody to take an answer does not get there.
    pub(super) fn is_read(&self) -> bool {
        self.read == Last::Stalled
    }

    fn unless_lost(&mut self, frames: Result<(), Lost>) {
        if let Err(Lost) = frames {
            // Never at rest again: what follows cannot be told apart.
            self.unanswered = u32::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Traffic {
        fn is_at_rest(&self) -> bool {
            self.is_done() && self.is_read()
        }
    }

    const STARTUP: &[u8] = b"\0\0\0\x09\0\x03\0\0\0";
    const LOGGED_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x07a\0\0Z\0\0\0\x05I";

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[tag][..], &length, body].concat()
    }

    fn logged_in() -> Traffic {
        let mut traffic = Traffic::new();
        traffic.sent(STARTUP);
        traffic.received(LOGGED_IN);
        traffic.nothing_to_read();
        traffic
    }

    fn answer(traffic: &mut Traffic, bytes: &[u8]) {
        traffic.received(bytes);
        traffic.nothing_to_read();
    }

    #[test]
    fn a_connection_rests_after_its_login_and_not_before() {
        let mut traffic = Traffic::new();
        assert!(!traffic.is_at_rest());
        traffic.sent(STARTUP);
        assert!(traffic.is_answering());
        answer(&mut traffic, &LOGGED_IN[..LOGGED_IN.len() - 1]);
        assert!(!traffic.is_at_rest(), "the last byte is the status");
        answer(&mut traffic, b"I");
        assert!(traffic.is_at_rest());
    }

    #[test]
    fn a_request_is_under_way_until_ready_for_query() {
        for request in [message(b'Q', b"select 1\0"), [message(b'P', b"\0\0\0\0"), message(b'S', b"")].concat()] {
            let mut traffic = logged_in();
            traffic.sent(&request[..3]);
            assert!(!traffic.is_at_rest(), "a message is not yet complete");
            traffic.sent(&request[3..]);
            assert!(!traffic.is_at_rest());
            answer(&mut traffic, &[message(b'D', &[0; 9000]), message(b'C', b"SELECT 1\0")].concat());
            assert!(traffic.is_answering());
            answer(&mut traffic, &message(b'Z', b"I"));
            assert!(traffic.is_at_rest());
        }
    }

    #[test]
    fn an_open_transaction_is_no_rest() {
        let mut traffic = logged_in();
        traffic.sent(&message(b'Q', b"begin\0"));
        for status in [b"T", b"E"] {
            answer(&mut traffic, &message(b'Z', status));
            assert!(!traffic.is_at_rest() && !traffic.is_answering());
            assert_eq!(traffic.session(), Session::InTransaction);
        }
    }

    #[test]
    fn the_sync_that_a_copy_ignores_is_not_waited_for() {
        let mut traffic = logged_in();
        let sync = message(b'S', b"");
        traffic.sent(&[message(b'E', b"\0\0\0\0\0"), sync.clone()].concat());
        answer(&mut traffic, &message(b'G', b"\0\0\0"));
        traffic.sent(&[message(b'd', b"1\n"), message(b'c', b""), sync].concat());
        assert!(traffic.is_answering());
        answer(&mut traffic, &message(b'Z', b"I"));
        assert!(traffic.is_at_rest());
        // One refused before it began ignores none.
        traffic.sent(&message(b'S', b""));
        answer(&mut traffic, &[message(b'E', b"S\0\0"), message(b'Z', b"I")].concat());
        assert!(traffic.is_at_rest());
    }

    #[test]
    fn bytes_not_yet_written_and_answers_not_yet_taken_are_no_rest() {
        let mut traffic = logged_in();
        traffic.no_room_to_write();
        assert!(!traffic.is_at_rest());
        traffic.sent(&message(b'H', b""));
        assert!(traffic.is_at_rest());
        traffic.received(&message(b'N', b"\0"));
        assert!(!traffic.is_at_rest(), "more may be there to read");
    }

    #[test]
    fn a_length_that_cannot_be_ends_all_rest() {
        for length in [0_u32, 3, 1 << 31, u32::MAX] {
            let mut traffic = logged_in();
            answer(&mut traffic, &[b"D", &length.to_be_bytes()[..], b"x"].concat());
            for byte in message(b'Z', b"I").repeat(3) {
                answer(&mut traffic, &[byte]);
            }
            assert!(!traffic.is_at_rest(), "{length}");
        }
    }

    proptest! {
        /// Whatever pieces the bytes come in, the same is known at the end.
        #[test]
        fn pieces_do_not_matter(
            messages in prop::collection::vec((prop::sample::select(&b"DGZCN"[..]), prop::collection::vec(0_u8..=255, 0..12)), 0..12),
            cuts in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
            let (mut whole, mut pieces) = (logged_in(), logged_in());
            for traffic in [&mut whole, &mut pieces] {
                traffic.sent(&message(b'S', b"").repeat(5));
            }
            answer(&mut whole, &bytes);
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                answer(&mut pieces, piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(whole.unanswered, pieces.unanswered);
            prop_assert_eq!(whole.session, pieces.session);
            prop_assert_eq!(whole.received.is_between(), pieces.received.is_between());
        }
    }
}
