//! Carries the console's statements and answers over the protocol: simple queries only, a bounded statement at a time.

use std::sync::Arc;

use pg::{
    ErrorReply,
    frame::{Header, Message, client},
    view, write,
};

use crate::{
    console::{Answer, Kind, Operator},
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
    let mut skip = Skip::No;
    loop {
        let next = answer(engine, &operator, &mut read, &mut skip, &mut out).await;
        // What was said last is worth saying also when the session is over.
        if stream.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
        match next {
            Next::Message => {}
            Next::More if matches!(stream.read_some(&mut read).await, Ok(1..)) => {}
            Next::More => return,
            Next::End => return stream.shut_down().await,
        }
    }
}

/// What is to be done after a message.
enum Next {
    /// Look for another one in what was read.
    Message,
    /// Read more first.
    More,
    /// The session is over.
    End,
}

/// Whether messages are skipped, as a server does after an error in the extended protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    No,
    ToSync,
}

/// Answers the first message in `read`, if it is complete.
async fn answer(engine: &Engine, operator: &Operator, read: &mut Vec<u8>, skip: &mut Skip, out: &mut Vec<u8>) -> Next {
    match Header::peek(read) {
        Ok(Some(header)) if header.total > STATEMENT_LEN_MAX => {
            ErrorReply::fatal("54000", "the console takes no statement that long").write(out);
            return Next::End;
        }
        Ok(_) => {}
        Err(error) => {
            ErrorReply::fatal("08P01", error.to_string()).write(out);
            return Next::End;
        }
    }
    let Ok(Some((message, rest))) = Message::split(read) else { return Next::More };
    let (tag, body, left) = (message.tag, message.body.to_vec(), rest.len());
    read.drain(..read.len() - left);
    match tag {
        client::TERMINATE => return Next::End,
        client::SYNC => {
            *skip = Skip::No;
            write::ready_for_query(out, b'I');
        }
        _ if *skip == Skip::ToSync => {}
        client::QUERY => {
            let text = view::query(&body).ok().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
            let answer = match engine.console() {
                Some(console) => console.run(text, operator).await,
                None => Answer::Failed(ErrorReply::error("55000", "the console is not ready yet")),
            };
            write_answer(&answer, out);
            write::ready_for_query(out, b'I');
        }
        client::PARSE | client::BIND | client::DESCRIBE | client::EXECUTE | client::CLOSE => {
            *skip = Skip::ToSync;
            ErrorReply::error("0A000", "the console takes simple queries only")
                .hint("With psycopg use a client cursor, with JDBC preferQueryMode=simple.")
                .write(out);
        }
        _ => {}
    }
    Next::Message
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
                table.columns.iter().map(|&(name, kind)| write::Column { name, type_oid: oid(kind) }).collect();
            write::row_description(out, &columns);
            for row in &table.rows {
                write::data_row(out, row.iter().map(Option::as_deref));
            }
            write::command_complete(out, "SHOW");
        }
    }
}

/// The type's object id (PostgreSQL, `src/include/catalog/pg_type.dat`).
const fn oid(kind: Kind) -> u32 {
    match kind {
        Kind::Text => 25,
        Kind::Int4 => 23,
        Kind::Int8 => 20,
        Kind::Numeric => 1700,
        Kind::Float8 => 701,
    }
}
