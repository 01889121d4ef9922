//! Which command is carried out how: answered here, or by a server connection.

use mysql::{
    Capabilities, ErrorReply, Status,
    command::{self, Command},
    exchange,
    packet::Header,
    view::OkPacket,
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
    demand::Demand,
    mysql::{
        connector::{self, ServerError},
        facts::Facts,
        fault::{Fault, ServerFault},
        server::{Conditions, InsertId, ServerConnection, Texts},
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
        if self.stream.is_compressed() {
            // Another numbering begins.
            self.flush().await?;
            self.stream.begin_reply();
        }
        self.work.out_of_time = false;
        let Asked { command, header, size } = asked;
        if size == Size::Large {
            self.carry_out_large(command, header, held).await?;
            if self.work.upload != Upload::Done {
                // It was denied in the middle. What is still to come of it must not be taken for commands.
                self.hang_up().await;
                return Ok(Next::Leave);
            }
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
            Command::Ping => self.answer_ok(header, self.state.warnings()),
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
        let demand = self.within_autocommit(Demand::ANY);
        if !self.acquire(demand, held).await? {
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
        let Some(lease) = held else { return Ok(()) };
        lease.exchange.ask(asked);
        if self.state.sets_insert_id() {
            lease.doubt_insert_id(self.shared.number(), self.state.memory.insert_id);
        }
        let written_before = self.work.down.written_len();
        match self.relay(lease).await {
            Ok(()) => {}
            Err(Fault::Server(fault)) => {
                let seen = match self.work.down.written_len() == written_before {
                    true => Seen::Nothing,
                    false => Seen::Some,
                };
                return self.lost(held, fault, seen);
            }
            Err(fault) => return Err(fault),
        }
        if self.work.reply.warnings > 0 || self.work.reply.failure.is_some() {
            lease.conditions = Conditions::Own;
        }
        let outcome = self.work.reply.failure.map_or(Outcome::Done, Outcome::Failed);
        self.state.settle(outcome, lease);
        if self.state.changes_schema() {
            self.route.shared.schema_changed();
        }
        let may_be_inside = lease.exchange.in_transaction() || !lease.exchange.status().contains(Status::AUTOCOMMIT);
        if outcome != Outcome::Done && may_be_inside && lease.unfit().is_none() {
            self.ask_status(lease).await?;
        }
        if let Err(error) = self.look_back(held).await?
            && let Some(lease) = held.take()
        {
            // Nothing of the session is there, and the client has its answer.
            self.shared.end_lease();
            tracing::warn!(process = lease.process(), %error, "server connection lost behind an answer");
            lease.discard("it broke behind an answer");
        }
        self.finish(held)
    }

    /// A statement failed in a transaction. That is over, perhaps: a deadlock ends it, and DDL has ended it before it failed. Or it
    /// was the first one where statements begin transactions, and that one is open. Errors do not say so.
    async fn ask_status(&mut self, lease: &mut ServerConnection) -> Result<(), Fault> {
        self.write_what_goes().await?;
        let mut packet = Vec::new();
        write::command(&mut packet, Command::Ping, &[]);
        let asked =
            async |server: &mut ServerConnection| connector::run(server, exchange::Asked::Simple, &packet).await;
        match self.attended(lease, asked).await? {
            Ok(()) => {
                self.state.status = lease.exchange.status();
                Ok(())
            }
            Err(error) => Err(Fault::Server(ServerFault::Settings(error.to_string()))),
        }
    }

    /// Before the connection goes back: asks it what only it can tell of the statement that it ran.
    async fn look_back(&mut self, held: &mut Held) -> Result<Result<(), ServerError>, Fault> {
        let Some(lease) = held else { return Ok(Ok(())) };
        if self.holds(lease) || lease.unfit().is_some() {
            return Ok(Ok(()));
        }
        let (number, insert_id) = (self.shared.number(), lease.insert_id);
        let wants = LookBack {
            warnings: self.state.memory.wants_conditions(),
            insert_id: matches!(insert_id, InsertId::Of { .. }),
            found_rows: self.state.memory.wants_found_rows(),
            collation: self.state.wants_collation(),
        };
        if wants == LookBack::default() {
            return Ok(Ok(()));
        }
        // The client may have its answer while we ask; who is slow to take it does not keep the connection.
        self.write_what_goes().await?;
        let told = match self.attended(lease, async |server| wants.ask(server).await).await? {
            Ok(told) => told,
            // Killed, perhaps, by somebody who meant what ran before.
            Err(ServerError::Statement { .. }) => Told::default(),
            Err(error) => return Ok(Err(error)),
        };
        if wants.collation {
            self.state.learn_collation(told.collation.as_deref(), lease);
        }
        let memory = &mut self.state.memory;
        if let Some(rows) = told.warnings {
            memory.learn_conditions(&rows);
        }
        if let Some(rows) = told.found_rows {
            memory.learn_found_rows(rows);
        }
        if let (Some(told), InsertId::Of { client, before }) = (told.insert_id, insert_id)
            && client == number
        {
            memory.learn_insert_id(told, before);
        }
        Ok(Ok(()))
    }

    /// Answers the command at hand with OK.
    pub(super) fn answer_ok(&mut self, header: Header, warnings: u16) {
        self.work.up.drop(header.total());
        self.state.memory.row_count = 0;
        let ok = OkPacket { status: self.shown_status(), warnings, ..OkPacket::default() };
        write::ok(self.work.down.insert(), &mut 1, self.capabilities, &ok);
    }

    /// The session's state as a client that asks nothing of a server may see it.
    pub(super) fn shown_status(&self) -> Status {
        // The rest tells of the last statement.
        const OF_SESSION: Status = Status(
            Status::IN_TRANS.0
                | Status::AUTOCOMMIT.0
                | Status::NO_BACKSLASH_ESCAPES.0
                | Status::IN_TRANS_READONLY.0
                | Status::ANSI_QUOTES.0,
        );
        self.state.status & OF_SESSION
    }

    fn set_option(&mut self, header: Header) -> Result<(), Fault> {
        let many = command::multi_statements(self.command_body(header.total()))?;
        self.texts = if many { Texts::Many } else { Texts::One };
        self.work.up.drop(header.total());
        self.state.memory.row_count = -1;
        let end = OkPacket { status: self.shown_status(), warnings: self.state.warnings(), ..OkPacket::default() };
        write::result_end(self.work.down.insert(), &mut 1, self.capabilities, &end);
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
    collation: bool,
}

/// What it told.
#[derive(Debug, Default)]
struct Told {
    warnings: Option<Vec<Vec<u8>>>,
    found_rows: Option<u64>,
    insert_id: Option<u64>,
    collation: Option<Vec<u8>>,
}

impl LookBack {
    async fn ask(self, server: &mut ServerConnection) -> Result<Told, ServerError> {
        let mut told = Told::default();
        // In this order: a SELECT clears what SHOW WARNINGS would tell, which clears nothing.
        if self.warnings {
            told.warnings = Some(connector::rows(server, b"SHOW WARNINGS").await?);
        }
        if self.found_rows {
            told.found_rows = Some(number(&connector::rows(server, b"SELECT FOUND_ROWS()").await?));
        }
        if self.insert_id {
            told.insert_id = Some(ask_insert_id(server).await?);
        }
        if self.collation {
            let rows = connector::rows(server, b"SELECT @@SESSION.collation_connection").await?;
            told.collation = value(&rows).map(<[u8]>::to_vec);
        }
        Ok(told)
    }
}

/// What the connection's `LAST_INSERT_ID()` says, which is known from then on.
pub(super) async fn ask_insert_id(server: &mut ServerConnection) -> Result<u64, ServerError> {
    let id = number(&connector::rows(server, b"SELECT LAST_INSERT_ID()").await?);
    server.insert_id = InsertId::Known(id);
    Ok(id)
}

/// The first column of the first row.
fn value(rows: &[Vec<u8>]) -> Option<&[u8]> {
    rows.first().and_then(|row| mysql::view::TextRow::new(row).next().flatten())
}

fn number(rows: &[Vec<u8>]) -> u64 {
    value(rows).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0)
}
