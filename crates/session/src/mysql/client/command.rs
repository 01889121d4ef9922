//! Which command is carried out how: answered here, or by a server connection.

use mysql::{
    Capabilities, ErrorReply, Status,
    command::{self, Command},
    exchange,
    packet::Header,
    view::{EofPacket, OkPacket},
    write,
};

use super::{
    Client, Held,
    intake::{Asked, Size},
    lease::Seen,
    prepare::{Begins, Brought, Needs},
    state::Outcome,
    work::{Reply, Upload},
};
use crate::{
    mysql::{
        connector,
        facts::Facts,
        fault::{Fault, ServerFault},
        server::{InsertId, ServerConnection, Texts},
    },
    pin::Pin,
};

/// What follows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next one.
    Command,
    /// The end of the session.
    Leave,
}

impl Client {
    /// Carries out the command at hand.
    pub(super) async fn carry_out(&mut self, asked: Asked, held: &mut Held) -> Result<Next, Fault> {
        self.work.reply = Reply::default();
        self.stream.begin_reply();
        self.work.out_of_time = false;
        let Asked { command, header, size } = asked;
        if size == Size::Large {
            self.carry_out_large(command, header, held).await?;
            return Ok(Next::Command);
        }
        match command {
            Command::Quit => return Ok(Next::Leave),
            Command::Query => self.query(header, held).await?,
            Command::StmtPrepare => self.stmt_prepare(header, held).await?,
            Command::StmtExecute => self.stmt_execute(header, held).await?,
            Command::StmtSendLongData => self.stmt_long_data(header, held).await?,
            Command::StmtFetch => self.stmt_fetch(header, held).await?,
            Command::StmtReset => self.stmt_reset(header, held).await?,
            Command::StmtClose => self.stmt_close(header, held)?,
            Command::Ping => self.answer_ok(header),
            Command::SetOption => self.set_option(header)?,
            Command::ResetConnection => self.reset_connection(header, held),
            Command::ChangeUser => self.change_user(header, held).await?,
            Command::ProcessKill => {
                let id = command::process_kill(self.command_body(header.total()))?;
                self.work.up.drop(header.total());
                self.kill_connection(u64::from(id));
            }
            Command::InitDb => {
                self.pass(header, exchange::Asked::Simple, Needs::default(), held).await?;
                let tracks = |facts: &Facts| facts.capabilities.contains(Capabilities::SESSION_TRACK);
                if !self.route.shared.facts().is_some_and(|facts| tracks(&facts)) {
                    self.state.pin_for(Pin::Settings);
                }
            }
            Command::Statistics => self.pass(header, exchange::Asked::Text, Needs::default(), held).await?,
            Command::FieldList => self.pass(header, exchange::Asked::Fields, Needs::default(), held).await?,
            Command::Refresh | Command::Debug => {
                self.pass(header, exchange::Asked::Simple, Needs::default(), held).await?;
            }
            Command::ProcessInfo => self.pass(header, exchange::Asked::Results, Needs::default(), held).await?,
            Command::BinlogDump | Command::BinlogDumpGtid | Command::RegisterSlave => {
                self.binary_log(command, header, held).await?;
            }
            _ => {
                self.work.up.drop(header.total());
                self.deny(&ErrorReply::unknown_command(format!("{command:?} is not possible through the pooler")));
            }
        }
        Ok(Next::Command)
    }

    /// A command that is too large to be looked at, or to be held.
    async fn carry_out_large(&mut self, command: Command, header: Header, held: &mut Held) -> Result<(), Fault> {
        if header.continues() {
            self.work.upload = Upload::Payload(header.len);
        }
        match command {
            Command::Query => {
                // Whatever its text does, nobody else gets the connection afterwards as it is.
                self.state.begin();
                self.state.pin_for(Pin::LargeStatement);
                self.query_large(header, held).await
            }
            Command::StmtExecute => self.stmt_execute_large(header, held).await,
            Command::StmtSendLongData => self.stmt_long_data(header, held).await,
            _ => Err(Fault::Refused(Box::new(ErrorReply::packet_too_large()))),
        }
    }

    /// Passes the command at hand on as it is.
    pub(super) async fn pass(
        &mut self,
        header: Header,
        asked: exchange::Asked,
        needs: Needs,
        held: &mut Held,
    ) -> Result<(), Fault> {
        if needs.begins == Begins::Here && self.work.upload == Upload::Done {
            self.state.begin();
        }
        if !self.acquire(held).await? {
            self.drop_command(header);
            return Ok(());
        }
        if self.bring(held, &needs).await? == Brought::Denied {
            self.drop_command(header);
            return Ok(());
        }
        self.work.up.forward(header.total());
        self.converse(asked, held).await
    }

    /// Drops the command at hand; what of it has not come yet is dropped when it comes.
    pub(super) fn drop_command(&mut self, header: Header) {
        self.work.up.drop(header.total());
    }

    /// The command was passed on: relays the answer, and takes what it means for the session.
    pub(super) async fn converse(&mut self, asked: exchange::Asked, held: &mut Held) -> Result<(), Fault> {
        // What was answered before must not get lost with this connection.
        self.flush().await?;
        let Some(lease) = held else { return Ok(()) };
        lease.exchange.ask(asked);
        if self.state.sets_insert_id() {
            lease.insert_id = InsertId::Of(self.shared.number());
        }
        let sent_before = self.route.meters().bytes_sent.get();
        match self.relay(lease).await {
            Ok(()) => {}
            Err(Fault::Server(fault)) => {
                let seen = match self.route.meters().bytes_sent.get() == sent_before {
                    true if !self.work.down.is_amid_message() => Seen::Nothing,
                    _ => Seen::Some,
                };
                return self.lost(held, fault, seen);
            }
            Err(fault) => return Err(fault),
        }
        let outcome = self.work.reply.failure.map_or(Outcome::Done, Outcome::Failed);
        self.state.settle(outcome, lease);
        if self.state.changes_schema() {
            self.route.shared.schema_changed();
        }
        if let Err(fault) = self.look_back(held).await {
            return self.lost(held, fault, Seen::Some);
        }
        self.finish(held)
    }

    /// Before the connection goes back: asks it what only it can tell of the statement that it ran.
    async fn look_back(&mut self, held: &mut Held) -> Result<(), ServerFault> {
        let Some(lease) = held else { return Ok(()) };
        if self.holds(lease) || lease.unfit().is_some() {
            return Ok(());
        }
        let reply = &self.work.reply;
        let wants = LookBack {
            warnings: reply.warnings > 0 && reply.failure.is_none(),
            insert_id: matches!(lease.insert_id, InsertId::Of(_))
                || (reply.insert_id != 0 && self.state.looks_back_at_insert_id()),
            found_rows: self.state.counts_found_rows(),
        };
        if reply.failure.is_none() && reply.warnings == 0 {
            self.state.memory.diagnostics = super::diagnostics::Diagnostics::default();
        }
        if wants == LookBack::default() {
            return Ok(());
        }
        // The client has its answer while we ask.
        let pending = self.work.down.pending();
        if self.flush().await.is_err() {
            return Ok(());
        }
        tracing::trace!(pending, ?wants, "asking the connection about its last statement");
        self.ask_back(wants, held).await
    }

    async fn ask_back(&mut self, wants: LookBack, held: &mut Held) -> Result<(), ServerFault> {
        let Some(lease) = held else { return Ok(()) };
        let server: &mut ServerConnection = lease;
        // In this order: a SELECT clears what SHOW WARNINGS would tell, which clears nothing.
        if wants.warnings {
            let rows = connector::rows(server, b"SHOW WARNINGS").await.map_err(untold)?;
            self.state.memory.diagnostics = super::diagnostics::Diagnostics::of_rows(&rows, self.work.reply.warnings);
        }
        if wants.found_rows {
            self.state.memory.found_rows =
                number(&connector::rows(server, b"SELECT FOUND_ROWS()").await.map_err(untold)?);
        }
        if wants.insert_id {
            let id = number(&connector::rows(server, b"SELECT LAST_INSERT_ID()").await.map_err(untold)?);
            self.state.memory.insert_id = id;
            server.insert_id = InsertId::Known(id);
        }
        Ok(())
    }

    /// Answers the command at hand with OK.
    pub(super) fn answer_ok(&mut self, header: Header) {
        self.work.up.drop(header.total());
        let ok = OkPacket { status: self.shown_status(), ..OkPacket::default() };
        write::ok(self.work.down.insert(), &mut 1, self.capabilities, &ok);
    }

    /// The session's state as a client that asks nothing of a server may see it.
    pub(super) fn shown_status(&self) -> Status {
        self.state.status.without(Status::MORE_RESULTS_EXISTS | Status::CURSOR_EXISTS | Status::SESSION_STATE_CHANGED)
    }

    fn set_option(&mut self, header: Header) -> Result<(), Fault> {
        let many = command::multi_statements(self.command_body(header.total()))?;
        self.texts = if many { Texts::Many } else { Texts::One };
        self.work.up.drop(header.total());
        let eof = EofPacket { warnings: 0, status: self.shown_status() };
        if self.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            write::ok(
                self.work.down.insert(),
                &mut 1,
                self.capabilities,
                &OkPacket { status: eof.status, ..OkPacket::default() },
            );
        } else {
            write::eof(self.work.down.insert(), &mut 1, eof);
        }
        Ok(())
    }

    /// The commands of replicas: a session of their own until its end, where that is allowed.
    async fn binary_log(&mut self, command: Command, header: Header, held: &mut Held) -> Result<(), Fault> {
        if !self.engine.plan().mysql.binlog_dump {
            self.work.up.drop(header.total());
            self.deny(&ErrorReply::not_allowed(
                "Reading the binary log through the pooler is not allowed (mysql.binlog_dump)",
            ));
            return Ok(());
        }
        self.state.pin_for(Pin::BinaryLog);
        let asked = match command {
            Command::RegisterSlave => exchange::Asked::Simple,
            _ => exchange::Asked::Events,
        };
        self.pass(header, asked, Needs::default(), held).await
    }
}

/// What is asked of a connection before it goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct LookBack {
    warnings: bool,
    insert_id: bool,
    found_rows: bool,
}

fn untold(error: connector::ServerError) -> ServerFault {
    ServerFault::Settings(error.to_string())
}

/// The number in the first column of the first row.
fn number(rows: &[Vec<u8>]) -> u64 {
    let value = rows.first().and_then(|row| mysql::view::TextRow::new(row).next().flatten());
    value.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0)
}
