//! Borrowed views of message bodies. No text is assumed to be UTF-8: names and values are bytes, as on the wire.

use crate::{
    ProtocolError,
    frame::{client, server},
};

/// Splits a NUL-terminated string off the start of `bytes`.
#[must_use]
pub fn split_cstr(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

fn malformed(tag: u8, what: &'static str) -> ProtocolError {
    ProtocolError::Malformed { tag, what }
}

/// `Query`: its text.
///
/// # Errors
/// [`ProtocolError::Malformed`] without a terminator, or with bytes after it.
pub fn query(body: &[u8]) -> Result<&[u8], ProtocolError> {
    match split_cstr(body) {
        Some((text, [])) => Ok(text),
        _ => Err(malformed(client::QUERY, "the text must end with the message")),
    }
}

/// `Parse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The statement's text.
    pub text: &'a [u8],
    /// Count word and object ids of the parameter types given, as on the wire.
    pub types: &'a [u8],
}

/// `Parse`.
///
/// # Errors
/// [`ProtocolError::Malformed`] when the fields do not fill the body exactly.
pub fn parse(body: &[u8]) -> Result<Parse<'_>, ProtocolError> {
    let fields = || {
        let (name, rest) = split_cstr(body)?;
        let (text, types) = split_cstr(rest)?;
        let (&[high, low], ids) = types.split_first_chunk::<2>()?;
        (ids.len() == 4 * usize::from(u16::from_be_bytes([high, low]))).then_some(Parse { name, text, types })
    };
    fields().ok_or_else(|| malformed(client::PARSE, "name, text and types must fill the message"))
}

/// The names at the start of `Bind`: portal, statement, and how many bytes both take with their terminators.
/// `None` when they are not complete in `prefix` (the parameters behind them may be large and still on their way).
#[must_use]
pub fn bind_names(prefix: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let (portal, rest) = split_cstr(prefix)?;
    let (statement, _) = split_cstr(rest)?;
    Some((portal, statement, portal.len() + statement.len() + 2))
}

/// What `Describe` and `Close` name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

/// `Describe` or `Close`.
///
/// # Errors
/// [`ProtocolError::Malformed`] for another kind than `S` and `P`, or a name that does not fill the body.
pub fn target(tag: u8, body: &[u8]) -> Result<Target<'_>, ProtocolError> {
    let (kind, name) = body.split_first().ok_or_else(|| malformed(tag, "it is empty"))?;
    let Some((name, [])) = split_cstr(name) else { return Err(malformed(tag, "the name must end with the message")) };
    match kind {
        b'S' => Ok(Target::Statement(name)),
        b'P' => Ok(Target::Portal(name)),
        _ => Err(malformed(tag, "neither statement nor portal")),
    }
}

/// `ParameterStatus`: name and value.
///
/// # Errors
/// [`ProtocolError::Malformed`] when the two strings do not fill the body.
pub fn parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), ProtocolError> {
    let fields = || {
        let (name, rest) = split_cstr(body)?;
        let (value, rest) = split_cstr(rest)?;
        rest.is_empty().then_some((name, value))
    };
    fields().ok_or_else(|| malformed(server::PARAMETER_STATUS, "name and value must fill the message"))
}

/// `DataRow`: its values, in text form if that was asked for; `None` is NULL.
///
/// # Errors
/// [`ProtocolError::Malformed`] when the values do not fill the body.
pub fn data_row(body: &[u8]) -> Result<Vec<Option<&[u8]>>, ProtocolError> {
    let values = || {
        let (&columns, mut rest) = body.split_first_chunk::<2>()?;
        // No room is reserved for what is only announced.
        let mut values = Vec::new();
        for _ in 0..u16::from_be_bytes(columns) {
            let (&len, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            values.push(match i32::from_be_bytes(len) {
                -1 => None,
                len => {
                    let (value, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
                    rest = after;
                    Some(value)
                }
            });
        }
        rest.is_empty().then_some(values)
    };
    values().ok_or_else(|| malformed(server::DATA_ROW, "the values must fill the message"))
}

/// `CommandComplete`: its tag, such as `SELECT 1`.
#[must_use]
pub fn command_tag(body: &[u8]) -> &[u8] {
    split_cstr(body).map_or(body, |(tag, _)| tag)
}

/// One field of an `ErrorResponse` or `NoticeResponse`; `C` is the SQLSTATE, `M` the message.
#[must_use]
pub fn error_field(body: &[u8], field: u8) -> Option<&[u8]> {
    let mut rest = body;
    loop {
        let (&kind, after) = rest.split_first()?;
        if kind == 0 {
            return None;
        }
        let (value, after) = split_cstr(after)?;
        if kind == field {
            return Some(value);
        }
        rest = after;
    }
}

/// `BackendKeyData`: process number and key.
///
/// # Errors
/// [`ProtocolError::Malformed`] for a key below 4 or beyond 256 bytes (protocol 3.2).
pub fn backend_key_data(body: &[u8]) -> Result<(u32, &[u8]), ProtocolError> {
    match body.split_first_chunk::<4>() {
        Some((&process, key)) if (4..=256).contains(&key.len()) => Ok((u32::from_be_bytes(process), key)),
        _ => Err(malformed(server::BACKEND_KEY_DATA, "the key must have 4 to 256 bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_must_fill_its_body() {
        assert_eq!(
            parse(b"s\0select $1\0\0\x01\0\0\0\x17").unwrap(),
            Parse { name: b"s", text: b"select $1", types: b"\0\x01\0\0\0\x17" }
        );
        for bad in [&b""[..], b"s\0", b"s\0t\0", b"s\0t\0\0", b"s\0t\0\0\x01", b"s\0t\0\0\0x", b"s\0t\0\xff\xff"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn error_fields_are_found_by_kind() {
        let body = b"SERROR\0VERROR\0C42P01\0Mno such table\0\0";
        assert_eq!(error_field(body, b'C'), Some(&b"42P01"[..]));
        assert_eq!(error_field(body, b'M'), Some(&b"no such table"[..]));
        assert_eq!(error_field(body, b'H'), None);
        assert_eq!(error_field(b"S", b'C'), None);
        assert_eq!(error_field(b"SERROR", b'C'), None);
    }

    #[test]
    fn a_row_must_fill_its_body() {
        let row = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(data_row(row).unwrap(), [Some(&b"ab"[..]), None, Some(b"")]);
        assert!(data_row(b"\0\0").unwrap().is_empty());
        for cut in 0..row.len() {
            assert!(data_row(&row[..cut]).is_err(), "{cut}");
        }
        for bad in
            [&b"\0\0x"[..], b"\xff\xff", b"\0\x01\0\0\0\x02a", b"\0\x01\xff\xff\xff\xfe", b"\0\x01\x7f\xff\xff\xff"]
        {
            assert!(data_row(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn targets_and_names() {
        assert_eq!(target(b'D', b"Sx\0").unwrap(), Target::Statement(b"x"));
        assert_eq!(target(b'C', b"P\0").unwrap(), Target::Portal(b""));
        for bad in [&b""[..], b"S", b"Sx", b"Sx\0y", b"Qx\0"] {
            assert!(target(b'D', bad).is_err(), "{bad:?}");
        }
        assert_eq!(bind_names(b"p\0st\0\0\0"), Some((&b"p"[..], &b"st"[..], 5)));
        assert_eq!(bind_names(b"p\0st"), None);
    }

    #[test]
    fn a_key_of_protocol_3_2_is_long() {
        let mut body = vec![0, 0, 0, 9];
        body.extend_from_slice(&[7; 32]);
        assert_eq!(backend_key_data(&body).unwrap(), (9, &[7_u8; 32][..]));
        assert!(backend_key_data(b"\0\0\0\x01abc").is_err());
    }
}
