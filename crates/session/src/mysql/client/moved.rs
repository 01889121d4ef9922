//! Large commands that the server reads otherwise than the client wrote them: the beginning is written anew and is longer, and
//! all that follows moves up by as much, from packet to packet, while it streams through.

use mysql::{
    ErrorReply,
    packet::{HEADER_LEN, Header, PAYLOAD_MAX},
};

use super::{Client, work::Upload};
use crate::mysql::fault::Fault;

/// The most bytes that a command may grow by. Twice as many are held back at each end of a packet.
pub(super) const GROWTH_MAX: usize = 8 * 1024;

impl Client {
    /// The payload of the command at hand, as far as it is here.
    pub(super) fn beginning(&self, header: Header) -> &[u8] {
        let here = self.work.up.unscanned().get(HEADER_LEN..).unwrap_or_default();
        here.get(..header.len).unwrap_or(here)
    }

    /// Passes on the packet at hand with another beginning in place of the first `len` bytes of its payload, which are here.
    pub(super) fn pass_moved(&mut self, header: Header, len: usize, beginning: &[u8]) {
        self.work.up.drop(HEADER_LEN + len);
        self.move_up(header, header.len.saturating_sub(len), beginning, 0);
    }

    /// Goes on with the next packet of a command of which so many bytes are in its own packets, and `tail` bytes are still
    /// to go out before it. Returns whether it is here.
    ///
    /// # Errors
    /// With this packet the command is longer than allowed.
    pub(super) fn pass_next_moved(&mut self, sent: usize, tail: usize) -> Result<bool, Fault> {
        let read = self.work.up.unscanned();
        let (Some(held), Some(header)) = (read.get(..tail), read.get(tail..).and_then(Header::peek)) else {
            // Far less than a buffer holds.
            return Ok(!self.work.up.make_room(tail + HEADER_LEN));
        };
        if sent + header.len > self.engine.plan().mysql.packet_len_max {
            return Err(Fault::Refused(Box::new(ErrorReply::packet_too_large())));
        }
        let held = held.to_vec();
        self.work.up.drop(tail + HEADER_LEN);
        self.move_up(header, header.len, &held, sent);
        Ok(true)
    }

    /// What did not fit into the last packet goes out in one more.
    pub(super) fn pass_excess(&mut self, len: usize, sequence: u8) {
        write_header(self.work.up.insert(), len, sequence);
        self.work.up.forward(len);
        self.work.upload = Upload::Done;
    }

    /// Writes a packet that begins with `beginning`, goes on with bytes of the client's packet, of which `rest` are still to
    /// come, and is full if that one was.
    fn move_up(&mut self, header: Header, rest: usize, beginning: &[u8], sent: usize) {
        let whole = beginning.len() + rest;
        let len = whole.min(PAYLOAD_MAX);
        let out = self.work.up.insert();
        write_header(out, len, header.sequence);
        out.extend_from_slice(beginning);
        self.work.up.forward(len - beginning.len());
        self.work.reply.sequence = header.sequence;
        self.work.upload = match whole - len {
            tail if header.continues() => Upload::Moved { sent: sent + header.len, tail },
            0 if len < PAYLOAD_MAX => Upload::Done,
            excess => Upload::Excess { len: excess, sequence: header.sequence.wrapping_add(1) },
        };
    }
}

fn write_header(out: &mut Vec<u8>, len: usize, sequence: u8) {
    let [first, second, third, ..] = len.to_le_bytes();
    out.extend_from_slice(&[first, second, third, sequence]);
}
