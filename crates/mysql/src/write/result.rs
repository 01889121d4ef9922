//! Whole results of our own, in text form: what an administration console answers.

use super::{column_count, column_definition, definitions_end, result_end, text_row};
use crate::{
    Capabilities, Status,
    view::{ColumnDefinition, DefaultValue, EofPacket, OkPacket},
};

/// `utf8mb4_general_ci`: known to both servers and to every client.
const UTF8MB4: u16 = 45;
/// `binary`: the collation of numbers.
const BINARY: u16 = 63;

/// A column of a result that we make ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// The column's name.
    pub name: &'a str,
    /// What its values are.
    pub kind: Kind,
}

/// What a column's values are; all are sent as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text in UTF-8.
    Text,
    /// Integers of at most 64 bits, with a sign.
    Integer,
    /// Floating-point numbers of 64 bits, with as many decimals as they have.
    Real,
}

impl Column<'_> {
    fn definition(&self) -> ColumnDefinition<'_> {
        const DOUBLE: u8 = 0x05;
        const LONGLONG: u8 = 0x08;
        const VAR_STRING: u8 = 0xfd;
        /// `DECIMAL_NOT_SPECIFIED` (MySQL, `include/field_types.h`).
        const NOT_FIXED: u8 = 31;
        let (column_type, charset, length, decimals) = match self.kind {
            Kind::Text => (VAR_STRING, UTF8MB4, 4 * 1024, 0),
            Kind::Integer => (LONGLONG, BINARY, 20, 0),
            Kind::Real => (DOUBLE, BINARY, 22, NOT_FIXED),
        };
        ColumnDefinition {
            catalog: b"def",
            schema: b"",
            table: b"",
            org_table: b"",
            name: self.name.as_bytes(),
            org_name: self.name.as_bytes(),
            extended: b"",
            charset,
            length,
            column_type,
            flags: 0,
            decimals,
            default: DefaultValue::Unsaid,
        }
    }
}

/// A whole result, from the column count to its end. `status` is the session's, with
/// [`Status::MORE_RESULTS_EXISTS`] when another result follows.
pub fn text_result<'a, Row>(
    out: &mut Vec<u8>,
    sequence: &mut u8,
    capabilities: Capabilities,
    status: Status,
    columns: &[Column<'_>],
    rows: impl Iterator<Item = Row>,
) where
    Row: IntoIterator<Item = Option<&'a str>>,
{
    column_count(out, sequence, capabilities, columns.len() as u64);
    for column in columns {
        column_definition(out, sequence, capabilities, &column.definition());
    }
    definitions_end(out, sequence, capabilities, EofPacket { warnings: 0, status });
    for row in rows {
        text_row(out, sequence, row.into_iter().map(|value| value.map(str::as_bytes)));
    }
    result_end(out, sequence, capabilities, &OkPacket { status, ..OkPacket::default() });
}
