//! Encoders: each appends one payload, as packets, to a buffer that the caller reuses, and counts the sequence on.
//!
//! The reply to a command begins with sequence 1; see [`crate::packet`]. What the capabilities do not allow is left out.

mod result;

pub use result::{Column, Kind, text_result};

use crate::{
    Capabilities, Status,
    command::{Command, Query},
    lenenc, packet,
    view::{self, ColumnDefinition, DefaultValue, EofPacket, OkPacket, PrepareOk},
};

/// An OK packet.
pub fn ok(out: &mut Vec<u8>, sequence: &mut u8, capabilities: Capabilities, ok: &OkPacket<'_>) {
    ok_like(out, sequence, capabilities, view::OK, ok);
}

/// The end of a result: with [`Capabilities::DEPRECATE_EOF`] an OK packet with another first byte, else an EOF packet.
pub fn result_end(out: &mut Vec<u8>, sequence: &mut u8, capabilities: Capabilities, end: &OkPacket<'_>) {
    if capabilities.contains(Capabilities::DEPRECATE_EOF) {
        ok_like(out, sequence, capabilities, view::EOF, end);
    } else {
        let status = end.status.without(Status::SESSION_STATE_CHANGED);
        eof(out, sequence, EofPacket { warnings: end.warnings, status });
    }
}

/// What stands between definitions and rows: an EOF packet, or with [`Capabilities::DEPRECATE_EOF`] nothing.
pub fn definitions_end(out: &mut Vec<u8>, sequence: &mut u8, capabilities: Capabilities, end: EofPacket) {
    if !capabilities.contains(Capabilities::DEPRECATE_EOF) {
        eof(out, sequence, end);
    }
}

/// An EOF packet.
pub fn eof(out: &mut Vec<u8>, sequence: &mut u8, eof: EofPacket) {
    packet::build(out, sequence, |out| {
        out.push(view::EOF);
        out.extend_from_slice(&eof.warnings.to_le_bytes());
        out.extend_from_slice(&eof.status.0.to_le_bytes());
    });
}

fn ok_like(out: &mut Vec<u8>, sequence: &mut u8, capabilities: Capabilities, first: u8, ok: &OkPacket<'_>) {
    let tracked = capabilities.contains(Capabilities::SESSION_TRACK) && !ok.changes.is_empty();
    let status = match tracked {
        true => ok.status | Status::SESSION_STATE_CHANGED,
        false => ok.status.without(Status::SESSION_STATE_CHANGED),
    };
    packet::build(out, sequence, |out| {
        out.push(first);
        lenenc::write(out, ok.affected_rows);
        lenenc::write(out, ok.last_insert_id);
        out.extend_from_slice(&status.0.to_le_bytes());
        out.extend_from_slice(&ok.warnings.to_le_bytes());
        if tracked || !ok.info.is_empty() {
            lenenc::write_bytes(out, ok.info);
        }
        if tracked {
            lenenc::write_bytes(out, ok.changes.as_bytes());
        }
    });
}

/// The number of columns, which begins a result; their definitions follow.
pub fn column_count(out: &mut Vec<u8>, sequence: &mut u8, capabilities: Capabilities, columns: u64) {
    packet::build(out, sequence, |out| {
        lenenc::write(out, columns);
        if capabilities.may_leave_definitions_out() {
            out.push(1);
        }
    });
}

/// The definition of a column or parameter.
pub fn column_definition(
    out: &mut Vec<u8>,
    sequence: &mut u8,
    capabilities: Capabilities,
    column: &ColumnDefinition<'_>,
) {
    packet::build(out, sequence, |out| {
        let ColumnDefinition { catalog, schema, table, org_table, name, org_name, .. } = column;
        for text in [catalog, schema, table, org_table, name, org_name] {
            lenenc::write_bytes(out, text);
        }
        if capabilities.contains(Capabilities::EXTENDED_METADATA) {
            lenenc::write_bytes(out, column.extended);
        }
        out.push(12); // bytes of the fields that follow
        out.extend_from_slice(&column.charset.to_le_bytes());
        out.extend_from_slice(&column.length.to_le_bytes());
        out.push(column.column_type);
        out.extend_from_slice(&column.flags.to_le_bytes());
        out.extend_from_slice(&[column.decimals, 0, 0]);
        match column.default {
            DefaultValue::Unsaid => {}
            DefaultValue::Null => out.push(lenenc::NULL),
            DefaultValue::Text(text) => lenenc::write_bytes(out, text),
        }
    });
}

/// A row in text form; `None` is NULL.
pub fn text_row<'a>(out: &mut Vec<u8>, sequence: &mut u8, values: impl Iterator<Item = Option<&'a [u8]>>) {
    packet::build(out, sequence, |out| {
        for value in values {
            match value {
                None => out.push(lenenc::NULL),
                Some(bytes) => lenenc::write_bytes(out, bytes),
            }
        }
    });
}

/// The first packet of the answer to `COM_STMT_PREPARE`; definitions of parameters, then of columns, come behind it.
pub fn prepare_ok(out: &mut Vec<u8>, sequence: &mut u8, capabilities: Capabilities, prepared: &PrepareOk) {
    packet::build(out, sequence, |out| {
        out.push(view::OK);
        out.extend_from_slice(&prepared.statement_id.to_le_bytes());
        out.extend_from_slice(&prepared.columns.to_le_bytes());
        out.extend_from_slice(&prepared.parameters.to_le_bytes());
        out.push(0);
        out.extend_from_slice(&prepared.warnings.to_le_bytes());
        if capabilities.contains(Capabilities::OPTIONAL_RESULTSET_METADATA) {
            out.push(u8::from(prepared.metadata));
        }
    });
}

/// A request for a local file.
pub fn local_infile_request(out: &mut Vec<u8>, sequence: &mut u8, name: &[u8]) {
    packet::build(out, sequence, |out| {
        out.push(view::LOCAL_INFILE);
        out.extend_from_slice(name);
    });
}

/// A command with its body, from us to a server: numbers begin at 0.
pub fn command(out: &mut Vec<u8>, command: Command, body: &[u8]) {
    packet::build(out, &mut 0, |out| {
        out.push(command.code());
        out.extend_from_slice(body);
    });
}

/// A text to run, without attributes, from us to a server.
pub fn query(out: &mut Vec<u8>, capabilities: Capabilities, text: &[u8]) {
    Query { attributes: &[], text }.write(out, &mut 0, capabilities);
}

#[cfg(test)]
mod tests;
