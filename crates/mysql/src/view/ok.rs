//! The packets that end a command or a result: OK, EOF, ERR.

use super::{EOF, ERR, OK, PROGRESS_CODE, SessionChanges, is_eof_classic};
use crate::{Capabilities, ProtocolError, Status, cursor::Cursor, error::malformed};

/// An OK packet, or with [`Capabilities::DEPRECATE_EOF`] the end of a result, which differs only in its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OkPacket<'a> {
    /// Rows changed, inserted or deleted; rows found with [`Capabilities::FOUND_ROWS`].
    pub affected_rows: u64,
    /// The first value generated for an `AUTO_INCREMENT` column; 0 without one.
    pub last_insert_id: u64,
    /// The session's state after the statement.
    pub status: Status,
    /// How many warnings there are.
    pub warnings: u16,
    /// A text for the user.
    pub info: &'a [u8],
    /// What changed in the session; empty without [`Capabilities::SESSION_TRACK`].
    pub changes: SessionChanges<'a>,
}

impl<'a> OkPacket<'a> {
    /// Reads an OK packet, first byte 0x00 or 0xFE.
    ///
    /// The documentation has `info` end the packet when sessions are not tracked; both servers write its length before it
    /// in either case (`net_send_ok`, MySQL `sql/protocol_classic.cc`), and clients read it so. Here a text without a
    /// length is taken as well.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when a field is cut short.
    pub fn parse(payload: &'a [u8], capabilities: Capabilities) -> Result<Self, ProtocolError> {
        let (mut ok, mut cursor) = Self::beginning(payload)?;
        let tail = cursor.rest();
        let info = cursor.lenenc_bytes();
        if !capabilities.contains(Capabilities::SESSION_TRACK) {
            ok.info = info.filter(|_| cursor.is_empty()).unwrap_or(tail);
            return Ok(ok);
        }
        if !tail.is_empty() {
            ok.info = info.ok_or_else(|| malformed("an OK packet", "its text is cut short"))?;
        }
        if ok.status.contains(Status::SESSION_STATE_CHANGED) && !cursor.is_empty() {
            let changes = cursor.lenenc_bytes();
            ok.changes =
                SessionChanges::parse(changes.ok_or_else(|| malformed("an OK packet", "its changes are cut short"))?)?;
        }
        Ok(ok)
    }

    /// The status in an OK packet, whatever stands behind it.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when a field up to the count of warnings is cut short.
    pub fn status(payload: &[u8]) -> Result<Status, ProtocolError> {
        OkPacket::beginning(payload).map(|(ok, _)| ok.status)
    }

    /// Cuts what changed in the session off an OK packet, in place, as if nothing had: returns how many bytes of the payload
    /// are left of it; `None` when it is no packet that [`OkPacket::parse`] has read with [`Capabilities::SESSION_TRACK`].
    pub fn cut_changes(payload: &mut [u8]) -> Option<usize> {
        let len = payload.len();
        let mut cursor = Cursor::new(payload.get(1..)?);
        let (_affected_rows, _insert_id) = (cursor.lenenc()?, cursor.lenenc()?);
        let status_at = len - cursor.rest().len();
        let status = Status(cursor.u16()?).without(Status::SESSION_STATE_CHANGED);
        cursor.u16()?;
        let fixed_len = len - cursor.rest().len();
        let kept = match cursor.lenenc_bytes() {
            // Without a text and without changes, the text's length is left out as well.
            None | Some([]) => fixed_len,
            Some(_) => len - cursor.rest().len(),
        };
        payload.get_mut(status_at..status_at + 2)?.copy_from_slice(&status.0.to_le_bytes());
        Some(kept)
    }

    /// Reads the fields that are always there; the rest is behind the cursor.
    fn beginning(payload: &'a [u8]) -> Result<(Self, Cursor<'a>), ProtocolError> {
        let mut cursor = Cursor::new(payload);
        if !matches!(cursor.u8(), Some(OK | EOF)) {
            return Err(malformed("an OK packet", "it begins with neither 0x00 nor 0xfe"));
        }
        match Self::fixed_fields(&mut cursor) {
            Some(ok) => Ok((ok, cursor)),
            None => Err(malformed("an OK packet", "a field is cut short")),
        }
    }

    fn fixed_fields(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            affected_rows: cursor.lenenc()?,
            last_insert_id: cursor.lenenc()?,
            status: Status(cursor.u16()?),
            warnings: cursor.u16()?,
            info: &[],
            changes: SessionChanges::default(),
        })
    }
}

/// An EOF packet: ends column definitions, and rows, without [`Capabilities::DEPRECATE_EOF`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EofPacket {
    /// How many warnings there are.
    pub warnings: u16,
    /// The session's state after the statement.
    pub status: Status,
}

impl EofPacket {
    /// Reads an EOF packet.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] for anything else.
    pub fn parse(payload: &[u8]) -> Result<Self, ProtocolError> {
        match *payload {
            [first, a, b, c, d, ..] if is_eof_classic(first, payload.len()) => {
                Ok(Self { warnings: u16::from_le_bytes([a, b]), status: Status(u16::from_le_bytes([c, d])) })
            }
            _ => Err(malformed("an EOF packet", "it has not 5 to 8 bytes of which the first is 0xfe")),
        }
    }
}

/// An ERR packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrPacket<'a> {
    /// The error's number.
    pub code: u16,
    /// SQLSTATE; missing in errors sent before the client has answered the greeting.
    pub sqlstate: Option<[u8; 5]>,
    /// The text.
    pub message: &'a [u8],
}

impl<'a> ErrPacket<'a> {
    /// Reads an ERR packet. One that [reports progress](Progress) comes out with [`PROGRESS_CODE`].
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] for another first byte, or without a number.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(payload);
        let (Some(ERR), Some(code)) = (cursor.u8(), cursor.u16()) else {
            return Err(malformed("an ERR packet", "it has no number behind 0xff"));
        };
        let mut state = cursor;
        let sqlstate = match state.array() {
            Some([b'#', a, b, c, d, e]) if code != PROGRESS_CODE => {
                cursor = state;
                Some([a, b, c, d, e])
            }
            _ => None,
        };
        Ok(Self { code, sqlstate, message: cursor.rest() })
    }
}

/// What MariaDB tells of a long statement in an ERR packet of [`PROGRESS_CODE`], which ends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The stage, from 1.
    pub stage: u8,
    /// How many stages there are.
    pub stages: u8,
    /// Progress within the stage in thousandths of a percent.
    pub millipercent: u32,
    /// The stage's name.
    pub info: &'a [u8],
}

impl<'a> Progress<'a> {
    /// Reads a progress report; `None` for an ERR packet that is an error.
    ///
    /// The server writes a count of strings (1) before the stage, which the documentation leaves out (`net_send_progress_packet`,
    /// MariaDB `sql/protocol.cc`).
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(payload);
        if (cursor.u8()?, cursor.u16()?) != (ERR, PROGRESS_CODE) {
            return None;
        }
        let [_strings, stage, stages, a, b, c] = cursor.array()?;
        let millipercent = u32::from_le_bytes([a, b, c, 0]);
        Some(Self { stage, stages, millipercent, info: cursor.lenenc_bytes()? })
    }
}
