//! From the client's bytes to a command.

use mysql::{
    ErrorReply, ProtocolError,
    command::Command,
    packet::{HEADER_LEN, Header},
};

use super::{Client, work::renumber};
use crate::mysql::fault::Fault;

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intake {
    /// A command is here.
    Command(Asked),
    /// Wait for more from the client.
    More,
}

/// A command that is here, or whose beginning is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) header: Header,
    pub(super) size: Size,
}

/// Whether a command is here as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// It is: one packet.
    Whole,
    /// It is too large to be held: its beginning is here.
    Large,
}

/// Of a large command, so many bytes are awaited before it is passed on: enough to see which statement it is about and
/// whether the types of its parameters are in it.
const BEGINNING_LEN: usize = 16 * 1024;

/// Up to this length a packet is allowed whatever the configuration says: it is the least that `mysql.max_packet` can be.
const PACKET_LEN_FREE: usize = 1024;

impl Client {
    /// Looks whether a command is here.
    pub(super) fn take_in(&mut self) -> Result<Intake, Fault> {
        let Some(header) = Header::peek(self.work.up.unscanned()) else { return Ok(Intake::More) };
        if self.stream.is_compressed() {
            // Nobody checks the numbers of packets inside compressed ones. Now somebody may.
            renumber(&mut self.work.up, 0);
        } else if header.sequence != 0 {
            return Err(ProtocolError::Sequence { expected: 0, found: header.sequence }.into());
        }
        if header.len > PACKET_LEN_FREE && header.len > self.engine.plan().mysql.packet_len_max {
            return Err(Fault::Refused(Box::new(ErrorReply::packet_too_large())));
        }
        let read = self.work.up.unscanned();
        let Some(&code) = read.get(HEADER_LEN) else {
            return match header.len {
                0 => Err(ProtocolError::Malformed { payload: "a command", what: "it is empty" }.into()),
                _ => Ok(Intake::More),
            };
        };
        let Some(command) = Command::from_code(code) else {
            return Err(Fault::Refused(Box::new(ErrorReply::unknown_command("Unknown command"))));
        };
        let here = read.len();
        let large = header.continues() || header.total() > self.work.up.len_max();
        let wanted = if large { BEGINNING_LEN.min(header.total()) } else { header.total() };
        if here >= wanted {
            let size = if large { Size::Large } else { Size::Whole };
            return Ok(Intake::Command(Asked { command, header, size }));
        }
        if self.work.up.make_room(wanted) {
            return Ok(Intake::More);
        }
        Err(Fault::Refused(Box::new(ErrorReply::packet_too_large())))
    }
}
