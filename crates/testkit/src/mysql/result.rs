//! What a MySQL server answers to a command, read back from its packets.

use anyhow::{Context, Result, ensure};

/// A row of a result as text, `None` for null.
pub type Row = Vec<Option<String>>;

/// What a statement gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No rows: an OK packet.
    Done(Done),
    /// Rows, perhaps none.
    Rows(Table),
}

impl Answer {
    /// The server's status flags at its end, such as `SERVER_STATUS_IN_TRANS` (1).
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Done(done) => done.status,
            Self::Rows(table) => table.status,
        }
    }
}

/// An OK packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Rows changed.
    pub affected: u64,
    /// The first automatic number of an insert.
    pub insert_id: u64,
    /// Status flags.
    pub status: u16,
    /// How many warnings there are.
    pub warnings: u16,
    /// The rest, as it came: text, and changes of the session's state where they were asked for.
    pub rest: Vec<u8>,
}

/// A result set of the text protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Status flags of the packet that ended it.
    pub status: u16,
}

/// An error the server answered with, so that a test can look at its code through [`anyhow::Error::downcast_ref`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The number, such as 1045.
    pub code: u16,
    /// SQLSTATE, five characters; empty when the server sent none, as it does before a login.
    pub state: String,
    /// The message text.
    pub text: String,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.state, self.text)
    }
}

impl std::error::Error for ServerError {}

impl ServerError {
    /// Reads an ERR packet, its first byte included.
    pub(super) fn read(body: &[u8]) -> Result<Self> {
        let mut fields = Fields(body.get(1..).unwrap_or_default());
        let code = fields.u16()?;
        let state = match fields.0.strip_prefix(b"#").and_then(|rest| rest.split_at_checked(5)) {
            Some((state, rest)) => {
                fields.0 = rest;
                String::from_utf8_lossy(state).into_owned()
            }
            None => String::new(),
        };
        Ok(Self { code, state, text: String::from_utf8_lossy(fields.0).into_owned() })
    }
}

impl Done {
    /// Reads an OK packet, its first byte included.
    pub(super) fn read(body: &[u8]) -> Result<Self> {
        let mut fields = Fields(body.get(1..).unwrap_or_default());
        let (affected, insert_id) = (fields.length()?, fields.length()?);
        let (status, warnings) = (fields.u16()?, fields.u16()?);
        Ok(Self { affected, insert_id, status, warnings, rest: fields.0.to_vec() })
    }
}

/// A row of the text protocol.
pub(super) fn row(body: &[u8]) -> Result<Row> {
    let mut fields = Fields(body);
    let mut values = Vec::new();
    while !fields.0.is_empty() {
        if fields.0.first() == Some(&NULL) {
            fields.take(1)?;
            values.push(None);
        } else {
            values.push(Some(String::from_utf8_lossy(fields.string()?).into_owned()));
        }
    }
    Ok(values)
}

/// What a row's values are, and how they are written.
pub(super) struct Column {
    pub(super) name: String,
    /// The type, such as 3 for an integer of four bytes (`MYSQL_TYPE_…`).
    pub(super) kind: u8,
    pub(super) unsigned: bool,
}

impl Column {
    /// Reads a column definition.
    pub(super) fn read(body: &[u8]) -> Result<Self> {
        let mut fields = Fields(body);
        for _ in ["catalog", "schema", "table", "table before its alias"] {
            fields.string()?;
        }
        let name = String::from_utf8_lossy(fields.string()?).into_owned();
        let _name_before_its_alias = fields.string()?;
        let mut facts = Fields(fields.string()?);
        let (_collation, _display_len) = (facts.u16()?, facts.u32()?);
        let kind = facts.u8()?;
        Ok(Self { name, kind, unsigned: facts.u16()? & UNSIGNED != 0 })
    }
}

/// A packet's bytes, taken from the front.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        ensure!(count <= self.0.len(), "a field of {count} bytes, {} are left", self.0.len());
        let (field, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(field)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.take(2)?.try_into()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into()?))
    }

    /// A length-encoded integer.
    pub(super) fn length(&mut self) -> Result<u64> {
        let first = self.u8()?;
        let width = match first {
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            NULL | 0xff => anyhow::bail!("a length that begins with {first:#x}"),
            small => return Ok(small.into()),
        };
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// A string after its length.
    pub(super) fn string(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.length()?)?;
        self.take(length)
    }

    /// A string before a zero byte.
    pub(super) fn until_zero(&mut self) -> Result<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0).context("the end of a string")?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }
}

/// Where a length should be: the value is null.
const NULL: u8 = 0xfb;

/// `UNSIGNED_FLAG` of a column.
const UNSIGNED: u16 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_nulls_and_text() {
        assert_eq!(row(b"\xfb\x02ab\x00").unwrap(), [None, Some("ab".to_owned()), Some(String::new())]);
        assert!(row(b"\x03ab").is_err(), "a value longer than its row");
    }

    #[test]
    fn lengths_have_four_widths() {
        for (bytes, value) in [
            (&b"\xfa"[..], 250),
            (b"\xfc\xfb\x00", 251),
            (b"\xfd\x00\x00\x01", 65_536),
            (b"\xfe\0\0\0\0\x01\0\0\0", 1 << 32),
        ] {
            assert_eq!(Fields(bytes).length().unwrap(), value);
        }
        assert!(Fields(b"\xfc\x00").length().is_err());
        assert!(Fields(b"\xff").length().is_err());
    }

    #[test]
    fn errors_come_with_a_state_or_without() {
        let with = ServerError::read(b"\xff\x15\x04#28000Access denied").unwrap();
        assert_eq!((with.code, with.state.as_str(), with.text.as_str()), (1045, "28000", "Access denied"));
        let without = ServerError::read(b"\xff\x10\x04Too many connections").unwrap();
        assert_eq!((without.code, without.state.as_str(), without.text.as_str()), (1040, "", "Too many connections"));
    }
}
