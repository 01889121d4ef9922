//! Carries the console's statements and answers over the protocol: simple queries only, a bounded statement at a time.

use std::sync::Arc;

use pg::{
    ErrorReply,
    frame::{Header, Message, client},
    view, write,
};

use crate::{
    console::{Answer, Operator},
    engine::Engine,
    secrets::random,
    stream::Stream,
};

/// Longest message of an operator, in bytes.
const STATEMENT_LEN_MAX: usize = 64 * 1024;

/// Serves an operator who has logged in, to the end.
pub(crate) async fn serve(engine: &Arc<Engine>, mut stream: Stream, operator: Operator) {
    tracing::info!(user = %operator.user, role = ?operator.role, peer = %stream.peer(), "operator logged in");
    let mut out = Vec::new();
    for (name, value) in [
        ("server_version", concat!(env!("CARGO_PKG_VERSION"), "/evenkeel")),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
    ] {
        write::parameter_status(&mut out, name.as_bytes(), value.as_bytes());
    }
    // Nothing here runs long enough to be canceled; the key leads nowhere.
    write::backend_key_data(&mut out, u32::MAX, &random::<4>());
    write::ready_for_query(&mut out, b'I');
    let mut read = Vec::new();
    loop {
        if stream.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
        match answer_all(engine, &operator, &mut read, &mut out).await {
            Some(()) => {}
            None => {
                // What was said last is still worth saying.
                if stream.write_all(&out).await.is_ok() {
                    stream.shut_down().await;
                }
                return;
            }
        }
        if out.is_empty() && !matches!(stream.read_some(&mut read).await, Ok(1..)) {
            return;
        }
    }
}

/// Answers what is complete in `read`; `None` when the session is over.
async fn answer_all(engine: &Engine, operator: &Operator, read: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<()> {
    let total = match Header::peek(read) {
        Ok(Some(header)) => header.total,
        Ok(None) => return Some(()),
        Err(error) => {
            ErrorReply::fatal("08P01", error.to_string()).write(out);
            return None;
        }
    };
    if total > STATEMENT_LEN_MAX {
        ErrorReply::fatal("54000", "the console takes no statement that long").write(out);
        return None;
    }
    let Ok(Some((message, rest))) = Message::split(read) else { return Some(()) };
    let (tag, body, left) = (message.tag, message.body.to_vec(), rest.len());
    read.drain(..read.len() - left);
    match tag {
        client::TERMINATE => return None,
        client::QUERY => {
            let text = view::query(&body).ok().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
            let answer = match engine.console() {
                Some(console) => console.run(text, operator).await,
                None => Answer::Failed(ErrorReply::error("55000", "the console is not ready yet")),
            };
            write_answer(&answer, out);
            write::ready_for_query(out, b'I');
        }
        client::SYNC => {
            ErrorReply::error("0A000", "the console takes simple queries only")
                .hint("With psycopg use a client cursor, with JDBC preferQueryMode=simple.")
                .write(out);
            write::ready_for_query(out, b'I');
        }
        _ => {}
    }
    Some(())
}

fn write_answer(answer: &Answer, out: &mut Vec<u8>) {
    match answer {
        Answer::Done(tag) => write::command_complete(out, tag),
        Answer::Notice(tag, notice) => {
            notice.write(out);
            write::command_complete(out, tag);
        }
        Answer::Failed(reply) => reply.write(out),
        Answer::Table(table) => {
            let columns: Vec<_> =
                table.columns.iter().map(|&(name, type_oid)| write::Column { name, type_oid }).collect();
            write::row_description(out, &columns);
            for row in &table.rows {
                write::data_row(out, row.iter().map(Option::as_deref));
            }
            write::command_complete(out, "SHOW");
        }
    }
}
