//! What we ask of a server ourselves: one command, its answer awaited, nothing of it shown to a client.

use mysql::{
    exchange::{Asked, Event},
    packet::Packet,
    view::{Change, ErrPacket, OkPacket, PrepareOk},
    write,
};

use super::ServerError;
use crate::mysql::server::ServerConnection;

/// The most bytes of an answer that are taken where no client waits for it.
const ANSWER_LEN_MAX: usize = 16 * 1024 * 1024;

/// Sends a command and waits for the end of its answer.
///
/// # Errors
/// [`ServerError::Statement`] when it failed; anything else means that the connection is broken.
pub(crate) async fn run(server: &mut ServerConnection, asked: Asked, packet: &[u8]) -> Result<(), ServerError> {
    converse(server, asked, packet, |_, _| {}).await
}

/// Runs a text that returns no rows.
pub(crate) async fn query(server: &mut ServerConnection, text: &[u8]) -> Result<(), ServerError> {
    rows(server, text).await.map(drop)
}

/// Runs a text and returns the payloads of its rows.
pub(crate) async fn rows(server: &mut ServerConnection, text: &[u8]) -> Result<Vec<Vec<u8>>, ServerError> {
    let mut packet = Vec::new();
    write::query(&mut packet, server.capabilities(), text);
    let (mut rows, mut behind) = (Vec::new(), Place::Columns);
    let deprecates = server.capabilities().contains(mysql::Capabilities::DEPRECATE_EOF);
    converse(server, Asked::Results, &packet, |event, payload| match (event, behind) {
        (Event::LastColumn, _) if deprecates => behind = Place::Rows,
        (Event::ColumnsEnd, _) => behind = Place::Rows,
        (Event::Part, Place::Rows) => rows.push(payload.to_vec()),
        _ => {}
    })
    .await?;
    Ok(rows)
}

/// Runs a text that returns no rows, and tells which variables it has set to what.
pub(super) async fn changes(
    server: &mut ServerConnection,
    text: &[u8],
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, ServerError> {
    let (mut packet, mut changed) = (Vec::new(), Vec::new());
    let capabilities = server.capabilities();
    write::query(&mut packet, capabilities, text);
    converse(server, Asked::Results, &packet, |event, payload| {
        if let (Event::Done { .. }, Ok(ok)) = (event, OkPacket::parse(payload, capabilities)) {
            let variables = ok.changes.filter_map(|change| match change {
                Change::SystemVariable { name, value } => Some((name.to_vec(), value.to_vec())),
                _ => None,
            });
            changed.extend(variables);
        }
    })
    .await?;
    Ok(changed)
}

/// Where in a result we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Columns,
    Rows,
}

/// Sends a `COM_STMT_PREPARE`, with what may go before it; returns the number of the statement.
pub(crate) async fn prepare(server: &mut ServerConnection, packet: &[u8]) -> Result<u32, ServerError> {
    let mut id = None;
    converse(server, Asked::Prepare, packet, |event, _| {
        if let Event::Prepared(PrepareOk { statement_id, .. }) = event {
            id = Some(statement_id);
        }
    })
    .await?;
    id.ok_or(ServerError::Closed)
}

async fn converse(
    server: &mut ServerConnection,
    asked: Asked,
    packet: &[u8],
    see: impl FnMut(Event, &[u8]),
) -> Result<(), ServerError> {
    server.exchange.ask(asked);
    server.stream.write_all(packet).await?;
    take_answer(server, Vec::new(), see).await
}

/// Reads and drops what is owed for a command of a client that has left; `bytes` were read before.
pub(crate) async fn settle(server: &mut ServerConnection, bytes: Vec<u8>) -> Result<(), ServerError> {
    match take_answer(server, bytes, |_, _| {}).await {
        // Whatever the client's command came to.
        Err(ServerError::Statement { .. }) => Ok(()),
        other => other,
    }
}

async fn take_answer(
    server: &mut ServerConnection,
    mut bytes: Vec<u8>,
    mut see: impl FnMut(Event, &[u8]),
) -> Result<(), ServerError> {
    let mut refused = None;
    let mut total = bytes.len();
    loop {
        let mut rest = bytes.as_slice();
        while let Some((packet, after)) = Packet::split(rest) {
            rest = after;
            let event = server.exchange.handle(packet.payload.len(), packet.payload)?;
            match event {
                Event::Failed => refused = Some(read_error(packet.payload)?),
                // A client that is gone sends no file; an empty packet ends it.
                Event::FileWanted => {
                    let end = [0, 0, 0, packet.sequence.wrapping_add(1)];
                    server.stream.write_all(&end).await?;
                    server.exchange.file_sent();
                }
                Event::Done { .. } => note(server, packet.payload),
                _ => {}
            }
            see(event, packet.payload);
        }
        let consumed = bytes.len() - rest.len();
        bytes.drain(..consumed);
        if server.exchange.is_settled() {
            return refused.map_or(Ok(()), Err);
        }
        if total > ANSWER_LEN_MAX {
            return Err(ServerError::Flood);
        }
        match server.stream.read_some(&mut bytes).await? {
            0 => return Err(ServerError::Closed),
            read => total += read,
        }
    }
}

/// A database that was left behind is no longer the current one, whoever changed it.
fn note(server: &mut ServerConnection, payload: &[u8]) {
    if let Ok(ok) = OkPacket::parse(payload, server.capabilities()) {
        for change in ok.changes {
            if let Change::Schema(name) = change {
                server.settings.set_schema(name);
            }
        }
    }
}

/// What an ERR packet says.
pub(crate) fn read_error(payload: &[u8]) -> Result<ServerError, ServerError> {
    let ErrPacket { code, sqlstate, message } = ErrPacket::parse(payload)?;
    let message = String::from_utf8_lossy(message).into_owned();
    Ok(ServerError::Statement { code, sqlstate: sqlstate.unwrap_or(*b"HY000"), message })
}
