//! Encoders: each appends one message to a buffer that the caller reuses.

use crate::frame::{client, server};

/// Appends a message whose body `fill` writes.
pub fn message(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    untyped(out, fill);
}

/// Appends a packet without a type byte: length word, then what `fill` writes.
pub fn untyped(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(word) = out.get_mut(start..start + 4) {
        word.copy_from_slice(&length);
    }
}

/// Appends a string and its terminating NUL.
pub fn cstr(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

/// A simple query.
pub fn query(out: &mut Vec<u8>, text: &[u8]) {
    message(out, client::QUERY, |out| cstr(out, text));
}

/// `Parse`: `types` is the rest of the body as the client sent it, count word included.
pub fn parse(out: &mut Vec<u8>, name: &[u8], text: &[u8], types: &[u8]) {
    message(out, client::PARSE, |out| {
        cstr(out, name);
        cstr(out, text);
        out.extend_from_slice(types);
    });
}

/// `Close` of a prepared statement.
pub fn close_statement(out: &mut Vec<u8>, name: &[u8]) {
    message(out, client::CLOSE, |out| {
        out.push(b'S');
        cstr(out, name);
    });
}

/// `Describe` of a prepared statement.
pub fn describe_statement(out: &mut Vec<u8>, name: &[u8]) {
    message(out, client::DESCRIBE, |out| {
        out.push(b'S');
        cstr(out, name);
    });
}

/// `Sync`.
pub fn sync(out: &mut Vec<u8>) {
    message(out, client::SYNC, |_| {});
}

/// `Terminate`.
pub fn terminate(out: &mut Vec<u8>) {
    message(out, client::TERMINATE, |_| {});
}

/// A password, SASL or md5 answer: all share one type byte.
pub fn password(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    message(out, client::PASSWORD, body);
}

/// `ReadyForQuery` with its transaction status byte.
pub fn ready_for_query(out: &mut Vec<u8>, status: u8) {
    message(out, server::READY_FOR_QUERY, |out| out.push(status));
}

/// `ParameterStatus`.
pub fn parameter_status(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    message(out, server::PARAMETER_STATUS, |out| {
        cstr(out, name);
        cstr(out, value);
    });
}

/// `BackendKeyData`: process number and secret key (4 bytes before protocol 3.2, up to 256 since).
pub fn backend_key_data(out: &mut Vec<u8>, process: u32, key: &[u8]) {
    message(out, server::BACKEND_KEY_DATA, |out| {
        out.extend_from_slice(&process.to_be_bytes());
        out.extend_from_slice(key);
    });
}

/// An `Authentication…` message: its code, then what `fill` writes.
pub fn authentication(out: &mut Vec<u8>, code: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    message(out, server::AUTHENTICATION, |out| {
        out.extend_from_slice(&code.to_be_bytes());
        fill(out);
    });
}

/// `CommandComplete`.
pub fn command_complete(out: &mut Vec<u8>, tag: &str) {
    message(out, server::COMMAND_COMPLETE, |out| cstr(out, tag.as_bytes()));
}

/// A column of a result that we make ourselves; always in text format.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// The column's name.
    pub name: &'a str,
    /// The type's object id: 25 text, 20 int8, 23 int4, 701 float8, 1700 numeric.
    pub type_oid: u32,
}

/// `RowDescription` of text-format columns.
pub fn row_description(out: &mut Vec<u8>, columns: &[Column<'_>]) {
    message(out, server::ROW_DESCRIPTION, |out| {
        out.extend_from_slice(&u16::try_from(columns.len()).unwrap_or(u16::MAX).to_be_bytes());
        for column in columns {
            cstr(out, column.name.as_bytes());
            out.extend_from_slice(&[0; 6]); // no table, no column number
            out.extend_from_slice(&column.type_oid.to_be_bytes());
            let size: i16 = match column.type_oid {
                20 | 701 => 8,
                23 => 4,
                _ => -1,
            };
            out.extend_from_slice(&size.to_be_bytes());
            out.extend_from_slice(&(-1_i32).to_be_bytes()); // type modifier
            out.extend_from_slice(&[0, 0]); // text format
        }
    });
}

/// `DataRow` of text values; `None` is NULL.
pub fn data_row<'a>(out: &mut Vec<u8>, values: impl ExactSizeIterator<Item = Option<&'a str>>) {
    message(out, server::DATA_ROW, |out| {
        out.extend_from_slice(&u16::try_from(values.len()).unwrap_or(u16::MAX).to_be_bytes());
        for value in values {
            match value {
                None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
                Some(text) => {
                    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
    });
}

/// The first packet of a session: protocol version and parameters.
pub fn startup<'a>(out: &mut Vec<u8>, version: u32, parameters: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    untyped(out, |out| {
        out.extend_from_slice(&version.to_be_bytes());
        for (name, value) in parameters {
            cstr(out, name);
            cstr(out, value);
        }
        out.push(0);
    });
}

/// The only packet of a cancel connection.
pub fn cancel_request(out: &mut Vec<u8>, process: u32, key: &[u8]) {
    untyped(out, |out| {
        out.extend_from_slice(&crate::startup::CANCEL_REQUEST.to_be_bytes());
        out.extend_from_slice(&process.to_be_bytes());
        out.extend_from_slice(key);
    });
}
