//! Stops what a server connection runs, from another connection: MySQL knows no other way.

use mysql::exchange::{Asked, Event, Exchange};

use super::connector::{Habits, Login, ServerError, greet, read_error};
use crate::{cancel::CancelTarget, stream::Stream};

/// `ER_NO_SUCH_THREAD`.
const NO_SUCH_THREAD: u16 = 1094;

/// Logs in as the same user and kills the query that the connection runs. The connection stays.
pub(crate) async fn kill_query(target: &CancelTarget, login: &Login, habits: &Habits) -> Result<(), ServerError> {
    let stream = habits.dialling.connect(target.address()).await?;
    let (mut stream, session) = greet(stream, login, target.address(), habits).await?;
    let mut exchange = Exchange::new(session.capabilities, session.status);
    let mut packet = Vec::new();
    let text = format!("KILL QUERY {}", target.process());
    mysql::write::query(&mut packet, session.capabilities, text.as_bytes());
    exchange.ask(Asked::Results);
    target.note_sent();
    stream.write_all(&packet).await?;
    let answer = await_answer(&mut stream, &mut exchange).await;
    if matches!(answer, Ok(()) | Err(ServerError::Statement { .. })) {
        target.note_arrived();
        packet.clear();
        mysql::write::command(&mut packet, mysql::command::Command::Quit, b"");
        // Whoever has done what was asked need not hear that this is all.
        if stream.write_all(&packet).await.is_ok() {
            stream.shut_down().await;
        }
    }
    answer
}

async fn await_answer(stream: &mut Stream, exchange: &mut Exchange) -> Result<(), ServerError> {
    let mut bytes = Vec::new();
    loop {
        if let Some((packet, _)) = mysql::packet::Packet::split(&bytes) {
            return match exchange.handle(packet.payload.len(), packet.payload)? {
                Event::Failed => match read_error(packet.payload)? {
                    // That there is no such connection any more is as good.
                    ServerError::Statement { code: NO_SUCH_THREAD, .. } => Ok(()),
                    refused => Err(refused),
                },
                _ => Ok(()),
            };
        }
        if stream.read_some(&mut bytes).await? == 0 {
            return Err(ServerError::Closed);
        }
    }
}
