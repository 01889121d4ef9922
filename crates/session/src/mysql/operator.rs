//! Carries the console's statements and answers over the protocol: texts only, a bounded statement at a time.

mod formalities;

use std::sync::Arc;

use mysql::{
    Capabilities, ErrorReply, Status,
    command::{self, Command, Query},
    packet::{self, HEADER_LEN, Header},
    view::{ErrPacket, OkPacket},
    write,
};
use sql::mysql::Mode;

use self::formalities::{Formality, Guide};
use super::{client::Diagnostics, facts::TextForm};
use crate::{
    console::{self, Answer, Kind, Operator, Rows},
    engine::Engine,
    stream::Stream,
};

/// Longest packet of an operator, in bytes.
const STATEMENT_LEN_MAX: usize = 64 * 1024;

/// The state of a session here: no transaction is ever open.
const STATUS: Status = Status::AUTOCOMMIT;

/// Serves an operator who has logged in, to the end; `id` is the number that the greeting gave to the connection.
pub(crate) async fn serve(
    engine: &Arc<Engine>,
    mut stream: Stream,
    operator: &Operator,
    capabilities: Capabilities,
    id: u32,
) {
    tracing::info!(user = %operator.user, role = ?operator.role, peer = %stream.peer(), "operator logged in");
    let mut desk = Desk {
        engine,
        operator,
        capabilities,
        id,
        diagnostics: Diagnostics::default(),
        read: Vec::new(),
        out: Vec::new(),
    };
    loop {
        let next = desk.answer().await;
        if !desk.out.is_empty() {
            stream.begin_reply();
        }
        // What was said last is worth saying also when the session is over.
        if stream.write_all(&desk.out).await.is_err() {
            return;
        }
        desk.out.clear();
        match next {
            Next::Packet => {}
            Next::More if matches!(stream.read_some(&mut desk.read).await, Ok(1..)) => {}
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

/// Where an operator is served.
struct Desk<'a> {
    engine: &'a Engine,
    operator: &'a Operator,
    capabilities: Capabilities,
    /// The number of the connection, as the client knows it.
    id: u32,
    /// What the last statement left for `SHOW WARNINGS`.
    diagnostics: Diagnostics,
    read: Vec<u8>,
    out: Vec<u8>,
}

impl Desk<'_> {
    /// Answers the first packet of what was read, if it is complete.
    async fn answer(&mut self) -> Next {
        let Some(header) = Header::peek(&self.read) else { return Next::More };
        if header.total() > STATEMENT_LEN_MAX {
            self.refuse(&ErrorReply::packet_too_large());
            return Next::End;
        }
        let Some(packet) = self.read.get(HEADER_LEN..header.total()).map(<[u8]>::to_vec) else { return Next::More };
        self.read.drain(..header.total());
        let Some((&code, body)) = packet.split_first() else {
            self.refuse(&ErrorReply::malformed_packet("A command is empty"));
            return Next::End;
        };
        let Some(command) = Command::from_code(code) else {
            self.refuse(&ErrorReply::unknown_command("Unknown command"));
            return Next::Packet;
        };
        match command {
            Command::Quit => return Next::End,
            Command::Query => match Query::parse(body, self.capabilities) {
                Ok(query) => self.query(query.text).await,
                Err(error) => self.refuse(&ErrorReply::from(&error)),
            },
            Command::Ping | Command::ResetConnection => self.done(b""),
            Command::InitDb => self.enter(body),
            Command::SetOption => {
                let end = OkPacket { status: STATUS, ..OkPacket::default() };
                write::result_end(&mut self.out, &mut 1, self.capabilities, &end);
            }
            Command::Statistics => {
                packet::build(&mut self.out, &mut 1, |out| out.extend_from_slice(formalities::COMMENT.as_bytes()));
            }
            Command::ProcessInfo => self.command("SHOW PROCESSLIST").await,
            Command::ProcessKill => match command::process_kill(body) {
                Ok(id) => self.command(&format!("KILL {id}")).await,
                Err(error) => self.refuse(&ErrorReply::from(&error)),
            },
            // Drivers that prepare by themselves send the text instead when they see this number (`ER_UNSUPPORTED_PS`).
            Command::StmtPrepare => {
                self.refuse(&ErrorReply::new(1295, *b"HY000", "The console prepares no statements"))
            }
            // Not answered, see `Command::has_reply`.
            Command::StmtSendLongData | Command::StmtClose => {}
            _ => self.refuse(&ErrorReply::unknown_command(format!("The console takes texts, not {command:?}"))),
        }
        Next::Packet
    }

    async fn query(&mut self, text: &[u8]) {
        if let Some(asked) = sql::mysql::show_diagnostics(text, Mode::STANDARD) {
            return self.diagnostics.answer(&asked, TextForm::UTF8MB4, &mut self.out, self.capabilities, STATUS);
        }
        self.diagnostics = Diagnostics::default();
        let guide = Guide { user: &self.operator.user, id: self.id };
        match guide.look_at(text) {
            Some(Formality::Nothing) => self.done(b""),
            Some(Formality::Database(name)) => self.enter(name),
            Some(Formality::UnknownVariable(name)) => {
                let message = format!("Unknown system variable '{}'", String::from_utf8_lossy(name));
                self.refuse(&ErrorReply::new(1193, *b"HY000", message));
            }
            Some(Formality::Row(values)) => {
                let columns: Vec<_> =
                    values.iter().map(|value| write::Column { name: &value.name, kind: value.kind }).collect();
                let row = [values.iter().map(|value| Some(value.text.as_str()))];
                write::text_result(&mut self.out, &mut 1, self.capabilities, STATUS, &columns, row.into_iter());
            }
            Some(Formality::Variables(rows)) => {
                let columns = ["Variable_name", "Value"].map(|name| write::Column { name, kind: write::Kind::Text });
                let rows = rows.into_iter().map(|(name, value)| [Some(name), Some(value)]);
                write::text_result(&mut self.out, &mut 1, self.capabilities, STATUS, &columns, rows);
            }
            None => match std::str::from_utf8(text) {
                Ok(text) => self.command(text).await,
                Err(_) => self.refuse(&ErrorReply::new(1300, *b"HY000", "The console takes texts in UTF-8")),
            },
        }
    }

    /// Runs a command of the console.
    async fn command(&mut self, text: &str) {
        let Some(console) = self.engine.console() else {
            return self.refuse(&ErrorReply::unknown("The console is not ready yet"));
        };
        match console.run(text, self.operator).await {
            Answer::Done(_) => self.done(b""),
            Answer::Failed(reply) => self.refuse(&in_words_of_mysql(&reply)),
            Answer::Notice(_, notice) => match &notice.detail {
                None => self.done(notice.message.as_bytes()),
                // The text of an OK packet is one line that many clients do not show; rows are seen by everybody.
                Some(detail) => {
                    let columns = [write::Column { name: &notice.message, kind: write::Kind::Text }];
                    let rows = detail.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| [Some(line)]);
                    write::text_result(&mut self.out, &mut 1, self.capabilities, STATUS, &columns, rows);
                }
            },
            Answer::Table(table) => self.table(&table),
        }
    }

    fn table(&mut self, table: &Rows) {
        let kind = |kind| match kind {
            Kind::Text => write::Kind::Text,
            Kind::Int4 | Kind::Int8 | Kind::Numeric => write::Kind::Integer,
            Kind::Float8 => write::Kind::Real,
        };
        let columns: Vec<_> = table.columns.iter().map(|&(name, of)| write::Column { name, kind: kind(of) }).collect();
        let rows = table.rows.iter().map(|row| row.iter().map(Option::as_deref));
        write::text_result(&mut self.out, &mut 1, self.capabilities, STATUS, &columns, rows);
    }

    /// Goes to another database: to another name of the console's, that is.
    fn enter(&mut self, name: &[u8]) {
        if console::DATABASES.iter().any(|known| known.as_bytes() == name) {
            return self.done(b"");
        }
        let message = format!(
            "The console has no way to database '{}'; connect to it anew",
            String::from_utf8_lossy(name).escape_debug()
        );
        self.refuse(&ErrorReply::new(1049, *b"42000", message));
    }

    fn done(&mut self, info: &[u8]) {
        write::ok(&mut self.out, &mut 1, self.capabilities, &OkPacket { status: STATUS, info, ..OkPacket::default() });
    }

    fn refuse(&mut self, reply: &ErrorReply) {
        let error = ErrPacket { code: reply.code, sqlstate: Some(reply.sqlstate), message: reply.message.as_bytes() };
        self.diagnostics = Diagnostics::of_error(error.code, error.message);
        reply.write(&mut self.out, &mut 1, self.capabilities);
    }
}

/// The console's error under the number that MySQL has for its like, all of it in one message.
fn in_words_of_mysql(reply: &pg::ErrorReply) -> ErrorReply {
    let parts = [Some(&*reply.message), reply.detail.as_deref(), reply.hint.as_deref()];
    let mut message = String::new();
    for part in parts.into_iter().flatten() {
        if !message.is_empty() {
            message.push_str(if message.ends_with(['.', '?', '!']) { " " } else { ". " });
        }
        message.push_str(part);
    }
    match &*reply.code {
        "42501" => ErrorReply::missing_privilege(message),
        "42601" => ErrorReply::new(1064, *b"42000", message), // ER_PARSE_ERROR
        "42704" => ErrorReply::new(1094, *b"HY000", message), // ER_NO_SUCH_THREAD: all that is looked for here are clients
        "42P02" => ErrorReply::new(1193, *b"HY000", message), // ER_UNKNOWN_SYSTEM_VARIABLE
        "55P02" => ErrorReply::new(1238, *b"HY000", message), // ER_INCORRECT_GLOBAL_LOCAL_VAR: it can only be read
        "22023" => ErrorReply::new(1231, *b"42000", message), // ER_WRONG_VALUE_FOR_VAR
        "3D000" => ErrorReply::new(1049, *b"42000", message), // ER_BAD_DB_ERROR
        "57014" => ErrorReply::interrupted(message),
        _ => ErrorReply::unknown(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_number_and_all_that_was_to_be_said() {
        let unknown = pg::ErrorReply::error("42601", "unknown command: SHOW POLLS").hint("Did you mean SHOW POOLS?");
        let said = in_words_of_mysql(&unknown);
        assert_eq!((said.code, said.sqlstate), (1064, *b"42000"));
        assert_eq!(said.message, "unknown command: SHOW POLLS. Did you mean SHOW POOLS?");
        let denied = pg::ErrorReply::error("42501", "admin access needed").detail("Only that.").hint("Ask.");
        let said = in_words_of_mysql(&denied);
        assert_eq!((said.code, &*said.message), (1227, "admin access needed. Only that. Ask."));
        assert_eq!(in_words_of_mysql(&pg::ErrorReply::error("F0000", "the configuration is wrong")).code, 1105);
    }
}
