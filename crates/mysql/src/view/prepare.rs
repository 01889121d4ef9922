//! The answer to `COM_STMT_PREPARE`.

use crate::{Capabilities, ProtocolError, cursor::Cursor, error::malformed};

/// The first packet of the answer to `COM_STMT_PREPARE`; parameter and column definitions follow, each sort ended by an
/// EOF packet without [`Capabilities::DEPRECATE_EOF`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrepareOk {
    /// The number by which the statement is executed on this connection.
    pub statement_id: u32,
    /// How many columns its result has; 0 for a statement without one.
    pub columns: u16,
    /// How many parameters it takes.
    pub parameters: u16,
    /// How many warnings there are.
    pub warnings: u16,
    /// Whether definitions follow; always, without [`Capabilities::OPTIONAL_RESULTSET_METADATA`].
    pub metadata: bool,
}

impl PrepareOk {
    /// Offset of the statement's number in the payload, for a relay that changes it in place.
    pub const STATEMENT_ID_AT: usize = 1;

    /// Reads the first packet of the answer.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when it does not begin with 0x00 or a field is cut short.
    pub fn parse(payload: &[u8], capabilities: Capabilities) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(payload);
        let mut fields = || {
            if cursor.u8()? != super::OK {
                return None;
            }
            let (statement_id, columns, parameters) = (cursor.u32()?, cursor.u16()?, cursor.u16()?);
            let _filler = cursor.u8()?;
            let warnings = cursor.u16().unwrap_or(0);
            let optional = capabilities.contains(Capabilities::OPTIONAL_RESULTSET_METADATA);
            let metadata = !optional || cursor.u8().is_none_or(|follows| follows != 0);
            Some(Self { statement_id, columns, parameters, warnings, metadata })
        };
        fields().ok_or_else(|| malformed("the answer to a prepare", "a field is missing"))
    }

    /// How many packets of definitions follow, EOF packets included.
    #[must_use]
    pub fn packets_after(&self, capabilities: Capabilities) -> u32 {
        if !self.metadata {
            return 0;
        }
        let eof = u32::from(!capabilities.contains(Capabilities::DEPRECATE_EOF));
        [self.parameters, self.columns].into_iter().filter(|&count| count > 0).map(|count| u32::from(count) + eof).sum()
    }
}
