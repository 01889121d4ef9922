//! Borrowed views of payloads that servers send. No text is assumed to be UTF-8: names and values are bytes, as on the
//! wire.
//!
//! A payload does not say what it is: its first byte, its length and the place where it comes do. The predicates here need
//! no more than the first packet's header and the payload's first byte, so that a relay can decide before the rest came.

mod changes;
mod column;
mod ok;
mod prepare;
mod row;

pub use changes::{Change, SessionChanges};
pub use column::{ColumnCount, ColumnDefinition, DefaultValue};
pub use ok::{EofPacket, ErrPacket, OkPacket, Progress};
pub use prepare::PrepareOk;
pub use row::TextRow;

use crate::{Capabilities, ProtocolError, error::malformed, packet::PAYLOAD_MAX};

/// First byte of an OK packet.
pub const OK: u8 = 0x00;
/// First byte of a request for a local file, where a result might begin.
pub const LOCAL_INFILE: u8 = 0xfb;
/// First byte of an EOF packet, and of the OK packet that takes its place.
pub const EOF: u8 = 0xfe;
/// First byte of an ERR packet.
pub const ERR: u8 = 0xff;
/// The code of an ERR packet that reports progress and ends nothing (MariaDB, [`Capabilities::PROGRESS`]).
pub const PROGRESS_CODE: u16 = 0xffff;

/// An EOF packet is shorter than this: a row that begins with 0xFE has at least the 8 bytes of its length behind it.
const EOF_LEN_MAX: usize = 9;

/// Whether a payload is an ERR packet, by its first byte. No row and no column count begins so.
#[must_use]
pub fn is_err(first: u8) -> bool {
    first == ERR
}

/// Whether a payload is an OK packet, by its first byte, where a command's answer begins: among rows 0x00 begins a row.
#[must_use]
pub fn is_ok(first: u8) -> bool {
    first == OK
}

/// Whether a payload is an EOF packet as it was before [`Capabilities::DEPRECATE_EOF`], by its first byte and length.
#[must_use]
pub fn is_eof_classic(first: u8, len: usize) -> bool {
    first == EOF && len < EOF_LEN_MAX
}

/// Whether a payload ends a result's rows, by its first byte and its first packet's length; an error ends them too, and
/// is told by [`is_err`].
///
/// A text row may begin with 0xFE, the marker of a length of 16 MiB or more; its first packet is then a full one.
#[must_use]
pub fn is_result_end(first: u8, len: usize, capabilities: Capabilities) -> bool {
    if capabilities.contains(Capabilities::DEPRECATE_EOF) {
        first == EOF && len < PAYLOAD_MAX
    } else {
        is_eof_classic(first, len)
    }
}

/// A request for a local file (`LOAD DATA LOCAL INFILE`): the file's name.
///
/// # Errors
/// [`ProtocolError::Malformed`] for a payload that is no such request.
pub fn local_infile_request(payload: &[u8]) -> Result<&[u8], ProtocolError> {
    match payload.split_first() {
        Some((&LOCAL_INFILE, name)) => Ok(name),
        _ => Err(malformed("a request for a local file", "it does not begin with 0xfb")),
    }
}

#[cfg(test)]
pub(crate) mod tests;
