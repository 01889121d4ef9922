//! What a session needs while it is at work, and owns only then.

use mysql::{packet::HEADER_LEN, view::PrepareOk};

use crate::flow::{Buffers, Flow};

/// Longest packet of a reply that must be seen whole, in bytes: an OK with what changed, an ERR. Nothing that matters is
/// as long.
const PACKET_LEN_MAX: usize = 256 * 1024;

/// Buffers, and where the command under way stands.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Client to server.
    pub(crate) up: Flow,
    /// Server to client.
    pub(crate) down: Flow,
    pub(crate) upload: Upload,
    pub(crate) reply: Reply,
    /// The query under way was asked to stop because its time was up.
    pub(crate) out_of_time: bool,
}

/// What the client is still to send of the command under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Upload {
    /// Nothing.
    #[default]
    Done,
    /// More packets of a payload that is too long for one, of which so many bytes were passed on.
    Payload(usize),
    /// More packets of such a payload, each of which goes out later than it came: `sent` bytes of it came in packets that were
    /// passed on, all but the last `tail` of them.
    Moved { sent: usize, tail: usize },
    /// The last bytes of such a payload, in a packet of their own.
    Excess { len: usize, sequence: u8 },
    /// A file, to its empty packet. The server expects its next one under this number.
    File(u8),
}

/// How the reply under way is passed on.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Whether the client is owed an EOF packet that the server does not send.
    pub(crate) eof: OwedEof,
    /// Whether results of our own making come first.
    pub(crate) prefix: Prefix,
    /// The number of the last packet between the client and us, from either side. What we pass on is numbered anew: there
    /// are packets on one side only, and inside compression numbers mean nothing.
    pub(crate) sequence: u8,
    /// The number of the last packet of the command.
    pub(crate) asked: u8,
    /// The statement that is being prepared, and what was said of it so far.
    pub(crate) preparing: Option<Preparing>,
    /// Warnings of the last result.
    pub(crate) warnings: u16,
    /// The number of the error with which the client's part of it failed.
    pub(crate) failure: Option<u16>,
}

/// Whether a client that knows EOF packets is owed one behind the columns of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OwedEof {
    #[default]
    No,
    /// It goes before whatever comes next, if that is not the end.
    BeforeRows,
}

/// Results of our own making that come before the client's, because what we asked went out with its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Prefix {
    #[default]
    None,
    /// One, of a `SET`.
    Set,
}

/// A statement that is being prepared.
#[derive(Debug)]
pub(crate) struct Preparing {
    pub(crate) first: PrepareOk,
    pub(crate) definitions: Vec<Box<[u8]>>,
    /// Bytes of the definitions.
    pub(crate) len: usize,
}

/// Gives the packet that begins what was not looked at another number.
pub(crate) fn renumber(flow: &mut Flow, number: u8) {
    if let Some(place) = flow.unscanned_mut().get_mut(HEADER_LEN - 1) {
        *place = number;
    }
}

impl Work {
    /// Takes up a buffer for what the client says.
    pub(crate) fn open_up(&mut self, buffers: &Buffers, message_len_max: usize) {
        self.up.open_small(buffers, message_len_max);
    }

    /// Takes up a buffer for what the server says.
    pub(crate) fn open_down(&mut self, buffers: &Buffers) {
        self.down.open_full(buffers, PACKET_LEN_MAX);
    }

    /// Gives up what is not in use. Returns whether nothing is.
    pub(crate) fn close(&mut self, buffers: &Buffers) -> bool {
        let down = self.down.close(buffers);
        self.up.close(buffers) && down
    }
}
