//! Carries the console's statements and answers over the protocol: texts only, a bounded statement at a time.

use std::sync::Arc;

use mysql::{
    Capabilities, ErrorReply, Status,
    command::{Command, Query},
    packet::{HEADER_LEN, Header},
    view::OkPacket,
    write::{self, Column, Kind},
};

use crate::{
    console::{Answer, Operator},
    engine::Engine,
    stream::Stream,
};

/// Longest packet of an operator, in bytes.
const STATEMENT_LEN_MAX: usize = 64 * 1024;

/// PostgreSQL's object ids of the types that the console's columns have, where they are numbers.
const INTEGERS: [u32; 3] = [20, 21, 23];

/// Serves an operator who has logged in, to the end.
pub(crate) async fn serve(engine: &Arc<Engine>, mut stream: Stream, operator: Operator, capabilities: Capabilities) {
    tracing::info!(user = %operator.user, role = ?operator.role, peer = %stream.peer(), "operator logged in");
    let (mut read, mut out) = (Vec::new(), Vec::new());
    loop {
        let next = answer(engine, &operator, &mut read, capabilities, &mut out).await;
        // What was said last is worth saying also when the session is over.
        if stream.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
        match next {
            Next::Packet => {}
            Next::More if matches!(stream.read_some(&mut read).await, Ok(1..)) => {}
            Next::More => return,
            Next::End => return stream.shut_down().await,
        }
    }
}

/// What is to be done after a packet.
enum Next {
    /// Look for another one in what was read.
    Packet,
    /// Read more first.
    More,
    /// The session is over.
    End,
}

/// Answers the first packet in `read`, if it is complete.
async fn answer(
    engine: &Engine,
    operator: &Operator,
    read: &mut Vec<u8>,
    capabilities: Capabilities,
    out: &mut Vec<u8>,
) -> Next {
    let Some(header) = Header::peek(read) else { return Next::More };
    if header.total() > STATEMENT_LEN_MAX {
        ErrorReply::packet_too_large().write(out, &mut 1, capabilities);
        return Next::End;
    }
    let Some(packet) = read.get(HEADER_LEN..header.total()).map(<[u8]>::to_vec) else { return Next::More };
    read.drain(..header.total());
    let (code, body) = packet.split_first().map_or((0, &[][..]), |(code, body)| (*code, body));
    match Command::from_code(code) {
        Some(Command::Quit) => return Next::End,
        Some(Command::Ping | Command::InitDb | Command::ResetConnection) => done(out, capabilities, b""),
        Some(Command::Query) => {
            let text = Query::parse(body, capabilities).ok().and_then(|query| std::str::from_utf8(query.text).ok());
            query(engine, operator, text.unwrap_or_default(), capabilities, out).await;
        }
        _ => ErrorReply::unknown_command("The console takes texts only").write(out, &mut 1, capabilities),
    }
    Next::Packet
}

async fn query(engine: &Engine, operator: &Operator, text: &str, capabilities: Capabilities, out: &mut Vec<u8>) {
    if let Some(value) = asked_by_clients(text) {
        let columns = [Column { name: value.0, kind: Kind::Text }];
        write::text_result(out, &mut 1, capabilities, Status::AUTOCOMMIT, &columns, [[Some(value.1)]].into_iter());
        return;
    }
    if is_setup(text) {
        return done(out, capabilities, b"");
    }
    let Some(console) = engine.console() else {
        return ErrorReply::unknown("The console is not ready yet").write(out, &mut 1, capabilities);
    };
    match console.run(text, operator).await {
        Answer::Done(_) => done(out, capabilities, b""),
        Answer::Notice(_, notice) => done(out, capabilities, notice.message.as_bytes()),
        Answer::Failed(reply) => {
            let parts = [Some(reply.message.as_ref()), reply.detail.as_deref(), reply.hint.as_deref()];
            let message = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
            ErrorReply::unknown(message).write(out, &mut 1, capabilities);
        }
        Answer::Table(table) => {
            let columns: Vec<_> = table
                .columns
                .iter()
                .map(|&(name, kind)| Column {
                    name,
                    kind: if INTEGERS.contains(&kind) { Kind::Integer } else { Kind::Text },
                })
                .collect();
            let rows = table.rows.iter().map(|row| row.iter().map(Option::as_deref));
            write::text_result(out, &mut 1, capabilities, Status::AUTOCOMMIT, &columns, rows);
        }
    }
}

fn done(out: &mut Vec<u8>, capabilities: Capabilities, info: &[u8]) {
    let ok = OkPacket { status: Status::AUTOCOMMIT, info, ..OkPacket::default() };
    write::ok(out, &mut 1, capabilities, &ok);
}

/// What command lines ask when they begin: name and value.
fn asked_by_clients(text: &str) -> Option<(&'static str, &'static str)> {
    let text = text.trim().trim_end_matches(';').to_ascii_lowercase();
    match text.as_str() {
        "select @@version_comment limit 1" => Some(("@@version_comment", "Evenkeel admin console")),
        "select @@version" | "select version()" => Some(("version()", env!("CARGO_PKG_VERSION"))),
        "select database()" => Some(("DATABASE()", "evenkeel")),
        _ => None,
    }
}

/// What drivers set when they begin, and what means nothing here. Variables of ours have no such names.
fn is_setup(text: &str) -> bool {
    let mut words =
        text.trim_start().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_ascii_lowercase);
    let is_set = words.next().is_some_and(|word| word == "set");
    let names = ["names", "character", "session", "autocommit", "sql_mode", "net_write_timeout", "time_zone"];
    is_set && words.find(|word| !word.is_empty()).is_some_and(|word| names.contains(&word.as_str()))
}
