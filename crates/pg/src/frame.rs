//! Where a message begins and ends: one tag byte, then a 32-bit length that counts itself but not the tag.

use crate::ProtocolError;

/// Bytes of a message's header: tag and length word.
pub const HEADER_LEN: usize = 5;

/// Longest message body we believe, in bytes. PostgreSQL allocates at most 1 GiB - 1 for one message
/// (`MaxAllocSize`, `src/include/utils/memutils.h`), so a longer one is not a message.
pub const MESSAGE_LEN_MAX: usize = 0x3fff_ffff;

/// A message's header, its length checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The message's type byte.
    pub tag: u8,
    /// Length of the whole message in bytes, header included.
    pub total: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` when it is not complete yet.
    ///
    /// # Errors
    /// [`ProtocolError::Length`] when the length word is below 4 or beyond [`MESSAGE_LEN_MAX`].
    pub fn peek(bytes: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(4..=MESSAGE_LEN_MAX).contains(&len) {
            return Err(ProtocolError::Length { tag, len });
        }
        Ok(Some(Self { tag, total: len + 1 }))
    }
}

/// A complete message, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The message's type byte.
    pub tag: u8,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Splits the first complete message off `bytes`; `None` when it is not complete yet.
    ///
    /// # Errors
    /// As [`Header::peek`].
    pub fn split(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, ProtocolError> {
        let Some(header) = Header::peek(bytes)? else { return Ok(None) };
        let Some((message, rest)) = bytes.split_at_checked(header.total) else { return Ok(None) };
        Ok(Some((Self { tag: header.tag, body: message.get(HEADER_LEN..).unwrap_or_default() }, rest)))
    }
}

/// Type bytes of messages that clients send.
pub mod client {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const BIND: u8 = b'B';
    pub const CLOSE: u8 = b'C';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_FAIL: u8 = b'f';
    pub const DESCRIBE: u8 = b'D';
    pub const EXECUTE: u8 = b'E';
    pub const FLUSH: u8 = b'H';
    pub const FUNCTION_CALL: u8 = b'F';
    pub const PARSE: u8 = b'P';
    pub const PASSWORD: u8 = b'p';
    pub const QUERY: u8 = b'Q';
    pub const SYNC: u8 = b'S';
    pub const TERMINATE: u8 = b'X';
}

/// Type bytes of messages that servers send.
pub mod server {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const AUTHENTICATION: u8 = b'R';
    pub const BACKEND_KEY_DATA: u8 = b'K';
    pub const BIND_COMPLETE: u8 = b'2';
    pub const CLOSE_COMPLETE: u8 = b'3';
    pub const COMMAND_COMPLETE: u8 = b'C';
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_IN_RESPONSE: u8 = b'G';
    pub const COPY_OUT_RESPONSE: u8 = b'H';
    pub const DATA_ROW: u8 = b'D';
    pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
    pub const ERROR_RESPONSE: u8 = b'E';
    pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    pub const NO_DATA: u8 = b'n';
    pub const NOTICE_RESPONSE: u8 = b'N';
    pub const NOTIFICATION_RESPONSE: u8 = b'A';
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const PARSE_COMPLETE: u8 = b'1';
    pub const PORTAL_SUSPENDED: u8 = b's';
    pub const READY_FOR_QUERY: u8 = b'Z';
    pub const ROW_DESCRIPTION: u8 = b'T';
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_believed_only_within_its_bounds() {
        assert_eq!(Header::peek(b"Q\0\0\0").unwrap(), None);
        assert_eq!(Header::peek(b"S\0\0\0\x04").unwrap(), Some(Header { tag: b'S', total: 5 }));
        for length in [0_u32, 3, 0x4000_0000, u32::MAX] {
            let mut bytes = vec![b'Q'];
            bytes.extend_from_slice(&length.to_be_bytes());
            assert!(matches!(Header::peek(&bytes), Err(ProtocolError::Length { .. })), "{length}");
        }
    }

    #[test]
    fn messages_split_in_order() {
        let bytes = b"S\0\0\0\x04Z\0\0\0\x05Irest";
        let (sync, rest) = Message::split(bytes).unwrap().unwrap();
        assert_eq!(sync, Message { tag: b'S', body: b"" });
        let (ready, rest) = Message::split(rest).unwrap().unwrap();
        assert_eq!(ready, Message { tag: b'Z', body: b"I" });
        assert_eq!(rest, b"rest");
        assert_eq!(Message::split(b"Z\0\0\0\x05").unwrap(), None);
    }
}
