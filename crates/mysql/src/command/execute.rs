//! `COM_STMT_EXECUTE` and MariaDB's `COM_STMT_BULK_EXECUTE`: which statement, and with which parameters.
//!
//! A client sends the parameters' types with its first execution and may leave them out afterwards: the server keeps them
//! with the statement. On another connection the statement is another one and has no types yet, so a pooler keeps them too
//! and writes them into the execution again.

use super::{Command, LAST_STATEMENT, ParameterType, ParameterTypes};
use crate::{Capabilities, ProtocolError, cursor::Cursor, error::malformed, lenenc};

/// Flags of an execution.
mod flag {
    /// The rows come by `COM_STMT_FETCH` (three sorts of cursors, of which servers know one).
    pub(super) const CURSOR: u8 = 0x07;
    /// The count of parameters is sent even if the statement takes none.
    pub(super) const PARAMETER_COUNT_AVAILABLE: u8 = 0x08;
}

/// The body of `COM_STMT_EXECUTE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StmtExecute<'a> {
    /// The statement's number; [`LAST_STATEMENT`] for the one prepared last.
    pub statement_id: u32,
    /// Flags as on the wire.
    pub flags: u8,
    /// How often to execute, which is 1: servers do not look at it.
    pub iterations: u32,
    /// How many values there are: the statement's parameters, then the attributes.
    pub values_count: usize,
    /// Which values are NULL, a bit each.
    pub nulls: &'a [u8],
    /// The values' types; `None` when the client relies on those it sent before.
    pub types: Option<ParameterTypes<'a>>,
    /// The values that are not NULL and were not sent ahead by `COM_STMT_SEND_LONG_DATA`.
    pub values: &'a [u8],
}

impl<'a> StmtExecute<'a> {
    /// Reads what follows the command's code. `parameters` is how many the statement takes: the body does not say.
    ///
    /// Only the beginning of a long body is needed: what is cut off of the values is not missed.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when a field before the values is cut short, or when fewer values are announced than the
    /// statement takes.
    pub fn parse(body: &'a [u8], parameters: u16, capabilities: Capabilities) -> Result<Self, ProtocolError> {
        let fields = Self::fields(Cursor::new(body), usize::from(parameters), capabilities);
        fields.ok_or_else(|| malformed("an execution", "a field is cut short, or values are missing"))
    }

    fn fields(mut cursor: Cursor<'a>, parameters: usize, capabilities: Capabilities) -> Option<Self> {
        let (statement_id, flags, iterations) = (cursor.u32()?, cursor.u8()?, cursor.u32()?);
        let named = capabilities.contains(Capabilities::QUERY_ATTRIBUTES);
        let mut execute =
            Self { statement_id, flags, iterations, values_count: parameters, nulls: &[], types: None, values: &[] };
        if named && (parameters > 0 || flags & flag::PARAMETER_COUNT_AVAILABLE != 0) {
            execute.values_count = usize::try_from(cursor.lenenc()?).ok().filter(|&count| count >= parameters)?;
        }
        if execute.values_count > 0 {
            execute.nulls = cursor.take(execute.values_count.div_ceil(8))?;
            if cursor.u8()? != 0 {
                execute.types = Some(ParameterTypes::read(&mut cursor, execute.values_count, named)?);
            }
        }
        execute.values = cursor.rest();
        Some(execute)
    }

    /// Whether the client says which types its values have.
    #[must_use]
    pub fn new_params_bound(&self) -> bool {
        self.types.is_some()
    }

    /// Whether the statement is meant that was prepared last.
    #[must_use]
    pub fn is_last_statement(&self) -> bool {
        self.statement_id == LAST_STATEMENT
    }

    /// Whether an execution's rows shall wait in a cursor, told from the beginning of its body alone.
    #[must_use]
    pub fn asks_for_cursor(body: &[u8]) -> bool {
        body.get(4).is_some_and(|flags| flags & flag::CURSOR != 0)
    }

    /// Whether the rows shall wait in a cursor.
    #[must_use]
    pub fn opens_cursor(&self) -> bool {
        self.flags & flag::CURSOR != 0
    }

    /// Appends the payload of the same execution for another connection: the statement has another number there, may have no
    /// types yet, and the server may read executions differently. `types` are those of the statement's own parameters, from
    /// the client's last execution that had any; they are used if this one has none.
    ///
    /// Attributes cannot be left out on the way: where their values begin is not known if any of the others were sent ahead.
    /// So [`Capabilities::QUERY_ATTRIBUTES`] is offered to clients only where every server has it.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when a type is missing, or when there are attributes that the server does not know. `out` is
    /// then as it was.
    pub fn write(
        &self,
        statement_id: u32,
        parameters: u16,
        types: &[ParameterType],
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        let named = capabilities.contains(Capabilities::QUERY_ATTRIBUTES);
        let count = if named { self.values_count } else { usize::from(parameters) };
        if count < self.values_count {
            return Err(malformed("an execution", "it has attributes, which the server does not know"));
        }
        let bound = Bound::new(self.types, types, count)?;
        let flags = match named && count > 0 {
            true => self.flags | flag::PARAMETER_COUNT_AVAILABLE,
            false => self.flags & !flag::PARAMETER_COUNT_AVAILABLE,
        };
        out.push(Command::StmtExecute.code());
        out.extend_from_slice(&statement_id.to_le_bytes());
        out.push(flags);
        out.extend_from_slice(&self.iterations.to_le_bytes());
        if count == 0 {
            return Ok(());
        }
        if named {
            lenenc::write(out, count as u64);
        }
        out.extend_from_slice(self.nulls);
        out.push(1);
        for (kind, name) in bound {
            out.extend_from_slice(&kind.0);
            if named {
                lenenc::write_bytes(out, name);
            }
        }
        out.extend_from_slice(self.values);
        Ok(())
    }
}

/// Types that came with the execution, or else those kept from an earlier one.
struct Bound<'a, 'b> {
    own: Option<ParameterTypes<'a>>,
    kept: std::slice::Iter<'b, ParameterType>,
}

impl<'a, 'b> Bound<'a, 'b> {
    /// The types of `count` values.
    fn new(own: Option<ParameterTypes<'a>>, kept: &'b [ParameterType], count: usize) -> Result<Self, ProtocolError> {
        if own.is_some() {
            return Ok(Self { own, kept: [].iter() });
        }
        let missing = || malformed("an execution", "the type of a parameter was never sent");
        Ok(Self { own, kept: kept.get(..count).ok_or_else(missing)?.iter() })
    }
}

impl<'a> Iterator for Bound<'a, '_> {
    type Item = (ParameterType, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.own {
            Some(own) => own.next(),
            None => self.kept.next().map(|kind| (*kind, &b""[..])),
        }
    }
}

/// The body of MariaDB's `COM_STMT_BULK_EXECUTE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkExecute<'a> {
    /// The statement's number; [`LAST_STATEMENT`] for the one prepared last.
    pub statement_id: u32,
    /// Flags as on the wire.
    pub flags: u16,
    /// The parameters' types; `None` when the client relies on those it sent before.
    pub types: Option<ParameterTypes<'a>>,
    /// Rows of values, each with an indicator before it.
    pub values: &'a [u8],
}

impl<'a> BulkExecute<'a> {
    /// The types are sent.
    const SEND_TYPES: u16 = 128;

    /// Reads what follows the command's code. `parameters` is how many the statement takes: the body does not say.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when a field before the values is cut short.
    pub fn parse(body: &'a [u8], parameters: u16) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(body);
        let mut fields = || {
            let (statement_id, flags) = (cursor.u32()?, cursor.u16()?);
            let types = match flags & Self::SEND_TYPES != 0 {
                true => Some(ParameterTypes::read(&mut cursor, usize::from(parameters), false)?),
                false => None,
            };
            Some(Self { statement_id, flags, types, values: cursor.rest() })
        };
        fields().ok_or_else(|| malformed("a bulk execution", "a field is cut short"))
    }

    /// Appends the payload of the same execution for another connection, with types; see [`StmtExecute::write`].
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when the client sent no types and none were kept. `out` is then as it was.
    pub fn write(
        &self,
        statement_id: u32,
        parameters: u16,
        types: &[ParameterType],
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        let bound = Bound::new(self.types, types, usize::from(parameters))?;
        out.push(Command::StmtBulkExecute.code());
        out.extend_from_slice(&statement_id.to_le_bytes());
        out.extend_from_slice(&(self.flags | Self::SEND_TYPES).to_le_bytes());
        for (kind, _) in bound {
            out.extend_from_slice(&kind.0);
        }
        out.extend_from_slice(self.values);
        Ok(())
    }
}
