//! The packets before a result's rows.

use crate::{Capabilities, ProtocolError, cursor::Cursor, error::malformed, lenenc};

/// The first packet of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnCount {
    /// How many columns there are.
    pub columns: u64,
    /// Whether their definitions follow.
    pub definitions: bool,
}

impl ColumnCount {
    /// Reads the first packet of a result.
    ///
    /// Where definitions may be left out ([`Capabilities::OPTIONAL_RESULTSET_METADATA`] of MySQL,
    /// [`Capabilities::CACHE_METADATA`] of MariaDB), a byte behind the count says whether they are. MySQL's documentation has
    /// that byte before the count; the server (9.7) writes it behind.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] unless the fields fill the packet.
    pub fn parse(payload: &[u8], capabilities: Capabilities) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(payload);
        let mut fields = || {
            let columns = cursor.lenenc()?;
            let definitions = !capabilities.may_leave_definitions_out() || cursor.u8()? != 0;
            cursor.is_empty().then_some(Self { columns, definitions })
        };
        fields().ok_or_else(|| malformed("a column count", "it is not one number"))
    }
}

/// The definition of a column, or of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnDefinition<'a> {
    /// Always `def`.
    pub catalog: &'a [u8],
    /// The database.
    pub schema: &'a [u8],
    /// The table's alias.
    pub table: &'a [u8],
    /// The table's name.
    pub org_table: &'a [u8],
    /// The column's alias.
    pub name: &'a [u8],
    /// The column's name.
    pub org_name: &'a [u8],
    /// MariaDB: extended type information as on the wire; empty without [`Capabilities::EXTENDED_METADATA`].
    pub extended: &'a [u8],
    /// Number of the collation.
    pub charset: u16,
    /// Longest value in bytes.
    pub length: u32,
    /// Number of the type.
    pub column_type: u8,
    /// Flags: `NOT NULL` and the like.
    pub flags: u16,
    /// Digits behind the decimal point to show.
    pub decimals: u8,
    /// The default value.
    pub default: DefaultValue<'a>,
}

/// A column's default value, which only answers to `COM_FIELD_LIST` hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultValue<'a> {
    /// The definition is not of that sort.
    #[default]
    Unsaid,
    /// NULL, or none.
    Null,
    /// This text.
    Text(&'a [u8]),
}

impl<'a> ColumnDefinition<'a> {
    /// Reads a column definition.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when a field is cut short.
    pub fn parse(payload: &'a [u8], capabilities: Capabilities) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(payload);
        let fields = Self::fields(&mut cursor, capabilities);
        fields.ok_or_else(|| malformed("a column definition", "a field is cut short"))
    }

    fn fields(cursor: &mut Cursor<'a>, capabilities: Capabilities) -> Option<Self> {
        let mut text = || cursor.lenenc_bytes();
        let (catalog, schema, table) = (text()?, text()?, text()?);
        let (org_table, name, org_name) = (text()?, text()?, text()?);
        let extended = if capabilities.contains(Capabilities::EXTENDED_METADATA) { text()? } else { &[] };
        let mut fixed = Cursor::new(cursor.lenenc_bytes()?);
        let (charset, length, column_type) = (fixed.u16()?, fixed.u32()?, fixed.u8()?);
        let (flags, decimals) = (fixed.u16()?, fixed.u8()?);
        let default = match cursor.rest().first() {
            None => DefaultValue::Unsaid,
            Some(&lenenc::NULL) => DefaultValue::Null,
            Some(_) => DefaultValue::Text(cursor.lenenc_bytes()?),
        };
        Some(Self {
            catalog,
            schema,
            table,
            org_table,
            name,
            org_name,
            extended,
            charset,
            length,
            column_type,
            flags,
            decimals,
            default,
        })
    }
}
