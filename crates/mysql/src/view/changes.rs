//! What an OK packet tells of the session: entries of one byte for their kind and a length-encoded string each.

use crate::{ProtocolError, cursor::Cursor, error::malformed, lenenc};

/// The kinds of entries (MySQL: `enum_session_state_type`, `include/mysql_com.h`).
mod kind {
    pub(super) const SYSTEM_VARIABLES: u8 = 0;
    pub(super) const SCHEMA: u8 = 1;
    pub(super) const STATE_CHANGE: u8 = 2;
    pub(super) const GTIDS: u8 = 3;
    pub(super) const TRANSACTION_CHARACTERISTICS: u8 = 4;
    pub(super) const TRANSACTION_STATE: u8 = 5;
}

/// One change of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// A system variable named in `session_track_system_variables` was set, perhaps to what it was.
    SystemVariable {
        /// The variable's name.
        name: &'a [u8],
        /// Its value as text. NULL comes as the empty text: the format cannot tell the two apart.
        value: &'a [u8],
    },
    /// The current database is now this one; empty for none.
    Schema(&'a [u8]),
    /// With `session_track_state_change`: whether anything at all changed.
    StateChanged(bool),
    /// The statement's global transaction identifiers (MySQL; MariaDB tells the system variable `last_gtid` instead).
    Gtid(&'a [u8]),
    /// The statements that set up the open or next transaction as it is, or nothing (`SET TRANSACTION …; START …;`).
    Characteristics(&'a [u8]),
    /// Eight letters: what the open transaction did so far. `T_______` and `________` are an explicit and no transaction;
    /// the first place is `I` for an implicit one; then come `r`/`R` (read non-transactional/transactional tables),
    /// `w`/`W` (wrote them), `s` (unsafe statement), `S` (sent a result), `L` (locked tables).
    TransactionState(&'a [u8]),
    /// A kind we do not know.
    Unknown {
        /// Its number.
        kind: u8,
        /// Its content.
        data: &'a [u8],
    },
}

impl Change<'_> {
    /// Appends the change as an entry of an OK packet's list.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, texts): (u8, &[&[u8]]) = match self {
            Self::SystemVariable { name, value } => (kind::SYSTEM_VARIABLES, &[name, value]),
            Self::Schema(name) => (kind::SCHEMA, &[name]),
            Self::StateChanged(changed) => {
                return write_raw(out, kind::STATE_CHANGE, if *changed { b"1" } else { b"0" });
            }
            Self::Gtid(text) => return write_gtid(out, text),
            Self::Characteristics(text) => (kind::TRANSACTION_CHARACTERISTICS, &[text]),
            Self::TransactionState(text) => (kind::TRANSACTION_STATE, &[text]),
            Self::Unknown { kind, data } => return write_raw(out, *kind, data),
        };
        out.push(kind);
        lenenc::write(out, texts.iter().map(|text| encoded_len(text)).sum());
        for text in texts {
            lenenc::write_bytes(out, text);
        }
    }
}

/// An entry whose content has no further structure.
fn write_raw(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    out.push(kind);
    lenenc::write_bytes(out, data);
}

/// The only entry with a byte before its string: the text's encoding, of which there is one (0, plain text).
fn write_gtid(out: &mut Vec<u8>, text: &[u8]) {
    out.push(kind::GTIDS);
    lenenc::write(out, 1 + encoded_len(text));
    out.push(0);
    lenenc::write_bytes(out, text);
}

fn encoded_len(text: &[u8]) -> u64 {
    (lenenc::len(text.len() as u64) + text.len()) as u64
}

/// The changes in an OK packet, in order. The list was checked when the packet was read, so iterating cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionChanges<'a> {
    entries: Cursor<'a>,
    /// What is left of an entry that holds several variables.
    variables: Cursor<'a>,
}

impl<'a> SessionChanges<'a> {
    /// Reads a list of entries.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when an entry is cut short or not what its kind says.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ProtocolError> {
        let changes = Self { entries: Cursor::new(bytes), variables: Cursor::default() };
        let mut check = changes;
        while !check.is_empty() {
            check.step().ok_or_else(|| malformed("a change of session state", "an entry is not what its kind says"))?;
        }
        Ok(changes)
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.variables.is_empty()
    }

    /// The list as on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.entries.rest()
    }

    fn step(&mut self) -> Option<Change<'a>> {
        if !self.variables.is_empty() {
            return self.variable();
        }
        let kind = self.entries.u8()?;
        let data = self.entries.lenenc_bytes()?;
        let mut entry = Cursor::new(data);
        Some(match kind {
            kind::SYSTEM_VARIABLES => {
                // Servers write one variable an entry; the documentation allows more.
                self.variables = entry;
                return self.variable();
            }
            kind::SCHEMA => Change::Schema(entry.lenenc_bytes()?),
            kind::STATE_CHANGE => Change::StateChanged(data == b"1"),
            kind::GTIDS => {
                let _encoding = entry.u8()?;
                Change::Gtid(entry.lenenc_bytes()?)
            }
            kind::TRANSACTION_CHARACTERISTICS => Change::Characteristics(entry.lenenc_bytes()?),
            kind::TRANSACTION_STATE => Change::TransactionState(entry.lenenc_bytes()?),
            _ => Change::Unknown { kind, data },
        })
    }

    fn variable(&mut self) -> Option<Change<'a>> {
        Some(Change::SystemVariable { name: self.variables.lenenc_bytes()?, value: self.variables.lenenc_bytes()? })
    }
}

impl<'a> Iterator for SessionChanges<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        self.step()
    }
}
