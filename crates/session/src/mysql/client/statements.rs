//! Prepared statements: a client's numbers for them, and the server's, which differ from connection to connection.
//!
//! A text is prepared once per server connection, whoever asks, and stays prepared when its client closes it. A client
//! that prepares a text that is known is answered without a server connection.

use std::sync::Arc;

use mysql::{
    ErrorReply,
    command::{Command, SendLongData, StmtExecute, StmtFetch},
    exchange,
    packet::{self, HEADER_LEN, Header},
    statement::{CLIENT_TEXTS_LEN_MAX, Description, Statement},
    view::{EofPacket, PrepareOk},
    write,
};
use sql::mysql::Effects;

use super::{
    Client, Held,
    moved::GROWTH_MAX,
    prepare::{Begins, Brought, Needs, adopt},
    query::Runs,
    query::past,
    state::Open,
    work::Preparing,
};
use crate::{
    demand::Demand,
    mysql::{
        connector::{self, ServerError},
        fault::{Fault, ServerFault},
        server::{Echo, ServerConnection},
    },
    pin::Pin,
};

/// Bytes of an execution before what it says of its parameters: the statement's number, flags and a count come first.
const VALUES_AT: usize = HEADER_LEN + 1 + 9;

impl Client {
    /// `COM_STMT_PREPARE`.
    pub(super) async fn stmt_prepare(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let limit = self.route.handling.load().prepared.per_client_max;
        if self.state.statements.len() >= limit {
            self.drop_command(header);
            let message = format!("Can't create more than {limit} prepared statements (prepared.per_client_max)");
            self.deny(&ErrorReply::too_many_statements(message));
            return Ok(());
        }
        let mut text = self.command_body(header.total()).to_vec();
        let verdict = sql::mysql::inspect(&text, self.state.reading());
        if let Some(reply) = self.refusal_of(verdict) {
            self.drop_command(header);
            self.deny(&reply);
            return Ok(());
        }
        let rewritten = self.rewritten(&text, verdict, Runs::Later);
        let is_rewritten = rewritten.is_some();
        text = rewritten.unwrap_or(text);
        if !self.state.statements.has_room(text.len()) {
            self.drop_command(header);
            let message = format!(
                "Can't keep more than {} MiB of prepared statements for one client. Close some of them first",
                CLIENT_TEXTS_LEN_MAX >> 20
            );
            self.deny(&ErrorReply::too_many_statements(message));
            return Ok(());
        }
        let statement = self.route.shared.intern(&text, &self.state.settings, verdict);
        // With state of its own on a connection, a temporary table above all, a text may mean something else.
        let known = statement.description(&self.route.server_user, self.route.shared.schema_age());
        if let Some(description) = known.filter(|_| self.state.pin().is_none()) {
            self.drop_command(header);
            self.tell_prepared(statement, &description);
            return Ok(());
        }
        self.state.begin_preparing();
        if !self.acquire(Demand::ANY, held).await?
            || self.bring(held, &Needs { begins: Begins::Told, ..Needs::default() }).await? == Brought::Denied
        {
            self.drop_command(header);
            return Ok(());
        }
        if is_rewritten {
            let mut packet = Vec::new();
            write::command(&mut packet, Command::StmtPrepare, &text);
            self.replace_command(header, &packet);
        } else {
            self.work.up.forward(header.total());
        }
        if let Some(lease) = held {
            lease.echo = Echo::Prepared;
        }
        self.converse_preparing(statement, held).await
    }

    /// The prepare was passed on: learns what the server says of the statement, and tells the client.
    async fn converse_preparing(&mut self, statement: Arc<Statement>, held: &mut Held) -> Result<(), Fault> {
        let Some(lease) = held else { return Ok(()) };
        let age = self.route.shared.schema_age();
        lease.exchange.ask(exchange::Asked::Prepare);
        match self.relay(lease).await {
            Ok(()) => {}
            Err(Fault::Server(fault)) => return self.lost(held, fault, super::lease::Seen::Nothing),
            Err(fault) => return Err(fault),
        }
        if let Some(Preparing { first, definitions, .. }) = self.work.reply.preparing.take() {
            let PrepareOk { statement_id, parameters, columns, warnings, .. } = first;
            let description = Arc::new(Description { parameters, columns, warnings, definitions });
            if self.state.pin().is_none() {
                statement.describe(&description, &self.route.server_user, age);
            }
            if let Some(outdated) = lease.statements.insert(statement.clone(), statement_id) {
                lease.to_close.push(outdated);
            }
            self.tell_prepared(statement, &description);
        }
        self.finish(held)
    }

    /// Gives the client a number for a statement and tells what it is like.
    fn tell_prepared(&mut self, statement: Arc<Statement>, description: &Description) {
        self.pin_for_row_counts(statement.verdict().effects);
        let Description { parameters, columns, warnings, definitions } = description;
        self.state.prepared(statement.text(), statement.verdict(), *warnings);
        let statement_id = self.state.statements.insert(statement, *parameters);
        let first =
            PrepareOk { statement_id, parameters: *parameters, columns: *columns, warnings: *warnings, metadata: true };
        let status = self.shown_status();
        let (out, mut sequence) = (self.work.down.insert(), 1);
        write::prepare_ok(out, &mut sequence, self.capabilities, &first);
        let (of_parameters, of_columns) = definitions.split_at(usize::from(*parameters).min(definitions.len()));
        for group in [of_parameters, of_columns].into_iter().filter(|group| !group.is_empty()) {
            for definition in group {
                packet::write(out, &mut sequence, definition);
            }
            write::definitions_end(out, &mut sequence, self.capabilities, EofPacket { warnings: *warnings, status });
        }
        self.route.meters().answered(1, 0);
    }

    /// `COM_STMT_EXECUTE`.
    pub(super) async fn stmt_execute(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let id = Command::statement_id(self.command_body(header.total()))?;
        let Some((statement, parameters)) = self.known(id) else {
            self.drop_command(header);
            let reply = self.unknown_statement(id, "mysqld_stmt_execute");
            self.deny(&reply);
            return Ok(());
        };
        let demand = self.demand_of_execution(&statement, self.command_body(header.total()));
        self.note_asked(statement.text());
        let statement = self.with_values(statement);
        self.state.begin_text(statement.text(), statement.verdict());
        self.state.note_values(self.work.up.unscanned().get(VALUES_AT..header.total()));
        let Some(server_id) = self.ready(id, &statement, demand, held).await? else {
            self.drop_command(header);
            return Ok(());
        };
        let Some(lease) = held else { return Ok(()) };
        let capabilities = lease.capabilities();
        let body = self.work.up.unscanned().get(HEADER_LEN + 1..header.total()).unwrap_or_default();
        let execute = StmtExecute::parse(body, parameters, self.capabilities)?;
        let opens_cursor = execute.opens_cursor();
        let types = self.state.statements.bind(id, execute.types);
        let as_it_is = execute.types.is_some() || execute.values_count == 0;
        if as_it_is && Command::reads_alike(self.capabilities, capabilities) {
            let packet = self.work.up.unscanned_mut().get_mut(HEADER_LEN + 1..).unwrap_or_default();
            Command::set_statement_id(packet, server_id);
            self.work.up.forward(header.total());
        } else {
            let read_as = self.capabilities;
            let written = self.work.up.replace(header.total(), |packet, out| {
                let body = packet.get(HEADER_LEN + 1..).unwrap_or_default();
                let execute = StmtExecute::parse(body, parameters, read_as)?;
                packet::try_build(out, &mut 0, |out| execute.write(server_id, parameters, types, capabilities, out))
            });
            if written.is_err() {
                self.deny(&ErrorReply::wrong_arguments("mysqld_stmt_execute"));
                return self.finish(held);
            }
        }
        self.converse_executing(id, server_id, opens_cursor, held).await
    }

    async fn converse_executing(
        &mut self,
        id: u32,
        server_id: u32,
        opens_cursor: bool,
        held: &mut Held,
    ) -> Result<(), Fault> {
        // Pieces sent ahead are used up, and a cursor that was open is closed.
        self.state.close(id);
        if opens_cursor {
            self.set_apart(id, server_id, Open::Cursor, held);
        }
        self.converse(exchange::Asked::Results, held).await
    }

    /// A large execution is passed on as it comes; only the statement's number is changed.
    pub(super) async fn stmt_execute_large(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let body = self.work.up.unscanned().get(HEADER_LEN + 1..).unwrap_or_default();
        let id = Command::statement_id(body)?;
        let Some((statement, parameters)) = self.known(id) else {
            return Err(Fault::Refused(Box::new(self.unknown_statement(id, "mysqld_stmt_execute"))));
        };
        let body = self.work.up.unscanned().get(HEADER_LEN + 1..).unwrap_or_default();
        let execute = StmtExecute::parse(body, parameters, self.capabilities)?;
        let opens_cursor = execute.opens_cursor();
        self.state.statements.bind(id, execute.types);
        let typed = execute.types.is_some();
        let demand =
            self.demand_of_execution(&statement, self.work.up.unscanned().get(HEADER_LEN + 1..).unwrap_or_default());
        self.note_asked(statement.text());
        self.state.begin_text(statement.text(), statement.verdict());
        self.state.note_values(None);
        let Some(server_id) = self.ready(id, &statement, demand, held).await? else {
            self.drop_command(header);
            return Ok(());
        };
        let Some(lease) = held else { return Ok(()) };
        let capabilities = lease.capabilities();
        if typed && Command::reads_alike(self.capabilities, capabilities) {
            Command::set_statement_id(
                self.work.up.unscanned_mut().get_mut(HEADER_LEN + 1..).unwrap_or_default(),
                server_id,
            );
            self.work.up.forward(header.total());
        } else {
            let here = self.beginning(header);
            let execute = StmtExecute::parse(here.get(1..).unwrap_or_default(), parameters, self.capabilities)?;
            let (mut moved, len) = (Vec::new(), here.len());
            let types = self.state.statements.types(id);
            let written = execute.write(server_id, parameters, types, capabilities, &mut moved);
            if written.is_err() || moved.len() > len + GROWTH_MAX {
                let message = "An execution this large must bring the types of its parameters along (prepare it anew)";
                return Err(Fault::Refused(Box::new(ErrorReply::not_supported(message))));
            }
            self.pass_moved(header, len, &moved);
        }
        self.converse_executing(id, server_id, opens_cursor, held).await
    }

    /// `COM_STMT_SEND_LONG_DATA`, which is not answered; what is wrong with it shows when the statement is executed.
    pub(super) async fn stmt_long_data(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let body = self.work.up.unscanned().get(HEADER_LEN + 1..).unwrap_or_default();
        let id = SendLongData::parse(body)?.statement_id;
        let Some((statement, _)) = self.known(id) else {
            self.drop_command(header);
            return Ok(());
        };
        self.state.begin();
        let demand = self.within_autocommit(Demand::ANY);
        let Some(server_id) = self.ready(id, &statement, demand, held).await? else {
            // Whatever was answered, nobody waits for an answer to this.
            self.drop_command(header);
            return Err(Fault::Server(ServerFault::Closed));
        };
        if self.state.opened(id, Open::LongData).is_none() {
            self.set_apart(id, server_id, Open::LongData, held);
        }
        Command::set_statement_id(
            self.work.up.unscanned_mut().get_mut(HEADER_LEN + 1..).unwrap_or_default(),
            server_id,
        );
        self.work.up.forward(header.total());
        let Some(lease) = held else { return Ok(()) };
        self.deliver(lease).await
    }

    /// `COM_STMT_FETCH`.
    pub(super) async fn stmt_fetch(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let id = StmtFetch::parse(self.command_body(header.total()))?.statement_id;
        if self.known(id).is_none() {
            self.drop_command(header);
            let reply = self.unknown_statement(id, "mysqld_stmt_fetch");
            self.deny(&reply);
            return Ok(());
        }
        let Some(server_id) = self.state.opened(id, Open::Cursor).filter(|_| held.is_some()) else {
            self.drop_command(header);
            self.deny(&ErrorReply::no_cursor(id, self.state.reading().mariadb));
            return Ok(());
        };
        Command::set_statement_id(
            self.work.up.unscanned_mut().get_mut(HEADER_LEN + 1..).unwrap_or_default(),
            server_id,
        );
        self.state.begin();
        self.state.fetching(id);
        self.work.down.open_full(&self.engine.buffers, 0);
        self.work.up.forward(header.total());
        self.converse(exchange::Asked::Rows, held).await
    }

    /// `COM_STMT_RESET`.
    pub(super) async fn stmt_reset(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let id = Command::statement_id(self.command_body(header.total()))?;
        if self.known(id).is_none() {
            self.drop_command(header);
            let reply = self.unknown_statement(id, "mysqld_stmt_reset");
            self.deny(&reply);
            return Ok(());
        }
        // Both, if there are: what is no longer open is closed with the statement that was set apart for it.
        let opened = self.state.opened(id, Open::Cursor).or_else(|| self.state.opened(id, Open::LongData));
        let Some(server_id) = opened.filter(|_| held.is_some()) else {
            self.answer_ok(header, 0);
            return Ok(());
        };
        Command::set_statement_id(
            self.work.up.unscanned_mut().get_mut(HEADER_LEN + 1..).unwrap_or_default(),
            server_id,
        );
        self.state.begin();
        self.state.close(id);
        self.work.up.forward(header.total());
        self.converse(exchange::Asked::Simple, held).await
    }

    /// `COM_STMT_CLOSE`, which is not answered. The statement stays prepared on the connections that have it, unless
    /// something of it is open.
    pub(super) fn stmt_close(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let id = Command::statement_id(self.command_body(header.total()))?;
        self.drop_command(header);
        self.state.close(id);
        if self.state.statements.remove(id).is_none() {
            return Ok(());
        }
        if !self.state.has_row_counts() {
            self.state.unpin(Pin::RowCounts);
        }
        self.let_go(held);
        Ok(())
    }

    /// Keeps others from a statement of which something is open.
    fn set_apart(&mut self, id: u32, server_id: u32, what: Open, held: &mut Held) {
        if let (Some(lease), Some((statement, _))) = (held, self.known(id)) {
            lease.statements.remove(statement.id());
        }
        self.state.open(id, what, server_id);
    }

    /// The statement with what its text asks of the one before it, which the connection at hand may not know.
    fn with_values(&self, statement: Arc<Statement>) -> Arc<Statement> {
        match self.rewritten(statement.text(), statement.verdict(), Runs::Now) {
            Some(text) => self.route.shared.intern(&text, statement.context(), statement.verdict()),
            None => statement,
        }
    }

    /// What the server says of a number that stands for no statement; `function` is where MariaDB notices.
    fn unknown_statement(&self, id: u32, function: &str) -> ErrorReply {
        ErrorReply::unknown_statement(id, if self.state.reading().mariadb { function } else { "mysql_stmt_precheck" })
    }

    /// What a number of the client's stands for: the statement, and how many parameters it takes.
    fn known(&self, id: u32) -> Option<(Arc<Statement>, u16)> {
        self.state.statements.get(id).map(|own| (own.statement.clone(), own.parameters))
    }

    /// Sees to it that a connection is held on which the statement is prepared. Returns the server's number for it, or
    /// answers the client.
    async fn ready(
        &mut self,
        id: u32,
        statement: &Arc<Statement>,
        demand: Demand,
        held: &mut Held,
    ) -> Result<Option<u32>, Fault> {
        let effects = statement.verdict().effects;
        let past = past(effects, held);
        if !self.acquire(demand, held).await? {
            return Ok(None);
        }
        let needs = Needs {
            insert_id: effects.intersects(Effects::LAST_INSERT_ID.union(Effects::CALLS)),
            begins: Begins::Told,
            past,
            ..Needs::default()
        };
        if self.bring(held, &needs).await? == Brought::Denied {
            return Ok(None);
        }
        let Some(lease) = held else { return Ok(None) };
        let ahead = self.state.opened(id, Open::LongData);
        if let Some(server_id) = ahead.or_else(|| lease.statements.touch(statement.id())) {
            return Ok(Some(server_id));
        }
        let prepared = self.attended(lease, async |server| prepare_anew(statement, server).await).await?;
        match prepared {
            Ok(server_id) => {
                self.route.meters().retries.inc();
                if self.bring(held, &needs).await? == Brought::Denied {
                    return Ok(None);
                }
                let stays = held.as_mut().and_then(|lease| lease.statements.touch(statement.id()));
                if stays.is_none() {
                    // The client is in no database, and no command leads there but one that forgets all statements.
                    let reply = self.unknown_statement(id, "mysqld_stmt_execute");
                    self.deny(&reply);
                    self.finish(held)?;
                }
                Ok(stays.filter(|&stays| stays == server_id))
            }
            Err(ServerError::Statement { code, sqlstate, message }) => {
                self.deny(&ErrorReply::new(code, sqlstate, message));
                self.work.reply.failure = Some(code);
                self.finish(held)?;
                Ok(None)
            }
            Err(error) => {
                self.lost(held, ServerFault::Settings(error.to_string()), super::lease::Seen::Nothing)?;
                Ok(None)
            }
        }
    }
}

/// Prepares a statement on a connection that does not have it, under the settings under which the client did.
async fn prepare_anew(statement: &Arc<Statement>, server: &mut ServerConnection) -> Result<u32, ServerError> {
    let mut context = statement.context().clone();
    // No text means another thing by it, and setting it would end a transaction that is open here.
    context.take_over(b"autocommit", &server.settings);
    adopt(server, &context).await?;
    let mut packet = Vec::new();
    write::command(&mut packet, Command::StmtPrepare, statement.text());
    let prepared = connector::prepare(server, &packet).await?;
    server.echo = Echo::Prepared;
    if let Some(outdated) = server.statements.insert(statement.clone(), prepared) {
        server.to_close.push(outdated);
    }
    Ok(prepared)
}
