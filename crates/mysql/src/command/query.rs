//! `COM_QUERY`: a text, and with query attributes some named values in front of it.

use super::{Command, types::ParameterTypes};
use crate::{Capabilities, ProtocolError, cursor::Cursor, error::malformed, packet};

/// The body of `COM_QUERY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The attributes as on the wire, from their count to the last value; empty when there are none.
    pub attributes: &'a [u8],
    /// The text.
    pub text: &'a [u8],
}

/// What stands where attributes could and there are none: a count of 0, and one set of parameters.
const NO_ATTRIBUTES: &[u8] = &[0, 1];

impl<'a> Query<'a> {
    /// Reads what follows the command's code. With [`Capabilities::QUERY_ATTRIBUTES`] the text is found only by walking over
    /// every attribute before it.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when an attribute is cut short or of no known type.
    pub fn parse(body: &'a [u8], capabilities: Capabilities) -> Result<Self, ProtocolError> {
        if !capabilities.contains(Capabilities::QUERY_ATTRIBUTES) {
            return Ok(Self { attributes: &[], text: body });
        }
        let mut cursor = Cursor::new(body);
        let count = skip_attributes(&mut cursor)
            .ok_or_else(|| malformed("a query", "an attribute is cut short or of no known type"))?;
        let text = cursor.rest();
        let attributes = body.get(..body.len() - text.len()).filter(|_| count > 0).unwrap_or_default();
        Ok(Self { attributes, text })
    }

    /// Appends the command. Attributes are left out where the receiver does not know them.
    pub fn write(&self, out: &mut Vec<u8>, sequence: &mut u8, capabilities: Capabilities) {
        packet::build(out, sequence, |out| {
            out.push(Command::Query.code());
            if capabilities.contains(Capabilities::QUERY_ATTRIBUTES) {
                out.extend_from_slice(if self.attributes.is_empty() { NO_ATTRIBUTES } else { self.attributes });
            }
            out.extend_from_slice(self.text);
        });
    }
}

/// Walks over the attributes; returns how many there are.
fn skip_attributes(cursor: &mut Cursor<'_>) -> Option<usize> {
    let count = usize::try_from(cursor.lenenc()?).ok()?;
    let sets = cursor.lenenc()?;
    if sets != 1 {
        return None;
    }
    if count == 0 {
        return Some(0);
    }
    // Every attribute takes a bit of the bitmap and two bytes of type, so a count is believed only as far as bytes are there.
    let nulls = cursor.take(count.div_ceil(8))?;
    let types_follow = cursor.u8()?;
    if types_follow != 1 {
        return None;
    }
    for (at, (kind, _)) in ParameterTypes::read(cursor, count, true)?.enumerate() {
        if !is_null(nulls, at) {
            kind.value(cursor)?;
        }
    }
    Some(count)
}

/// Whether a bitmap says that the parameter at this place is NULL.
fn is_null(nulls: &[u8], at: usize) -> bool {
    nulls.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}
