//! Client to server: what a client sends, in the terms of the connection that serves it.
//!
//! Most messages pass as they are. Those that name prepared statements are rewritten to the names the statements have on
//! this server connection; what the connection has prepared already is not prepared again, and what it lacks is
//! prepared in passing. No message waits for an answer here.

use std::sync::{Arc, Mutex, PoisonError};

use pg::{
    ErrorReply, ProtocolError,
    exchange::{Audience, Expect, Transaction},
    frame::{HEADER_LEN, Header, client},
    statement::{Interner, NAME_PREFIX, Sharing, Statement},
    view::{self, Target},
    write,
};
use route::PoolMode;
use sql::{Deallocate, Effects, Identifier, Verdict};

use super::{
    state::{Pin, State},
    work::{Retry, Suspect, Work},
};
use crate::{
    fault::Fault,
    flow::Flow,
    server::{ServerConnection, Unnamed},
};

/// What holds for the client's route.
pub(crate) struct Rules<'a> {
    pub(crate) client: u64,
    pub(crate) mode: PoolMode,
    pub(crate) interner: &'a Mutex<Interner>,
    /// The most named statements a client may have.
    pub(crate) statements_max: usize,
    /// Whether an unnamed `Parse` may be answered by a statement that is prepared already.
    pub(crate) reuse_unnamed: bool,
}

/// What the client wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing that is complete here; or nothing that may be sent yet.
    Wait,
    /// To leave.
    Leave,
}

/// Translates what was read from the client.
pub(crate) struct Translator<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) server: &'a mut ServerConnection,
    pub(crate) rules: Rules<'a>,
}

impl Translator<'_> {
    /// Translates all that is complete in `work.up`.
    ///
    /// # Errors
    /// [`Fault`] for what no client may send.
    pub(crate) fn run(&mut self, work: &mut Work) -> Result<Next, Fault> {
        while !work.holds_back() && !self.holds_back() && !work.up.is_amid_message() && !self.server.exchange.is_full()
        {
            let Some(header) = Header::peek(work.up.unscanned())? else { break };
            if header.tag == client::TERMINATE {
                return Ok(Next::Leave);
            }
            if self.server.exchange.is_at_boundary() {
                self.begin_unit(header.tag, work);
            }
            if !self.message(header, &mut work.up, &mut work.retry)? {
                break;
            }
            work.translated(header.total);
        }
        Ok(Next::Wait)
    }

    /// Sends a unit again that failed before it ran, with its statements prepared afresh.
    pub(crate) fn again(&mut self, work: &mut Work) -> Result<(), Fault> {
        let mut unit = Flow::holding(work.unit());
        while let Some(header) = Header::peek(unit.unscanned())? {
            if !self.message(header, &mut unit, &mut work.retry)? {
                break;
            }
        }
        unit.move_pending(work.up.insert());
        work.retry = Retry::Off;
        Ok(())
    }

    /// Prepares the connection for this client: closes what is left to close, and makes its settings the client's.
    pub(crate) fn adopt(&mut self, up: &mut Flow) {
        let server = &mut *self.server;
        for name in server.to_close.drain(..) {
            write::close_statement(up.insert(), &name);
            server.exchange.expect(Expect::Close { audience: Audience::Us, statement: None });
        }
        if server.settings != self.state.settings {
            let mut text = Vec::new();
            server.settings.write_change(&self.state.settings, &mut text);
            write::query(up.insert(), &text);
            server.unnamed = Unnamed::Absent;
            server.exchange.expect(Expect::Query(Audience::Us));
            server.settings = self.state.settings.clone();
        }
        self.state.sequences.used = false;
        if self.server.sequences_of != self.rules.client {
            self.server.sequences_of = 0;
            if self.state.sequences.asked {
                self.forget_sequences(up);
            }
        }
    }

    /// At the first message of a unit: keep a copy if it may have to be sent again.
    fn begin_unit(&self, tag: u8, work: &mut Work) {
        let extended = matches!(tag, client::PARSE | client::BIND | client::DESCRIBE);
        if extended
            && self.server.exchange.transaction() == Transaction::Idle
            && let Some((len, suspect)) = whole_unit(work.up.unscanned())
        {
            work.arm(len, suspect);
        }
    }

    /// Translates one message. Returns whether it could; `false` when more of it must come first.
    fn message(&mut self, header: Header, up: &mut Flow, retry: &mut Retry) -> Result<bool, Fault> {
        let Header { tag, total } = header;
        let copying = self.server.exchange.takes_copy_data();
        match tag {
            client::COPY_DATA => {
                // A COPY that failed leaves data on its way; the server ignores it, and so do we.
                if copying || !self.server.exchange.owes_nothing() {
                    up.forward(total)
                } else {
                    up.drop(total)
                }
                return Ok(true);
            }
            client::COPY_DONE | client::COPY_FAIL | client::SYNC | client::FLUSH => {}
            client::BIND | client::DESCRIBE | client::PARSE if self.server.exchange.may_fail_to_prepare() => {
                return Ok(false);
            }
            _ if copying => return Err(ProtocolError::Unexpected { tag, when: "while COPY takes data" }.into()),
            client::BIND => return self.bind(total, up, retry),
            client::FUNCTION_CALL => {
                up.forward(total);
                self.server.exchange.expect(Expect::Function);
                return Ok(true);
            }
            client::QUERY if !up.make_room(total) => {
                self.state.pin_for(Pin::LargeStatement);
                self.forward(total, Expect::Query(Audience::Client), up);
                return Ok(true);
            }
            client::QUERY | client::PARSE | client::DESCRIBE | client::CLOSE | client::EXECUTE => {
                if !up.make_room(total) {
                    return Err(ProtocolError::Limit { what: "a message's length", limit: up.len_max() }.into());
                }
            }
            _ => return Err(ProtocolError::Unexpected { tag, when: "in a session" }.into()),
        }
        let Some(message) = up.unscanned().get(HEADER_LEN..total) else { return Ok(false) };
        match tag {
            client::QUERY => return self.query(total, up),
            // Names are taken and given up for certain only once the server has come there, which an error may prevent.
            client::PARSE | client::CLOSE
                if self.server.exchange.readies_owed() > 0 && names_statement(tag, message) =>
            {
                return Ok(false);
            }
            client::PARSE => self.parse(total, up, retry)?,
            client::DESCRIBE => match view::target(tag, message)? {
                Target::Statement(name) => {
                    let name = name.to_vec();
                    self.describe(&name, total, up, retry);
                }
                Target::Portal(_) => self.forward(total, Expect::Describe, up),
            },
            client::CLOSE => match view::target(tag, message)? {
                Target::Statement(name) => {
                    let name = name.to_vec();
                    self.close(name, total, up);
                }
                Target::Portal(_) => {
                    self.forward(total, Expect::Close { audience: Audience::Client, statement: None }, up);
                }
            },
            client::EXECUTE => self.forward(total, Expect::Execute, up),
            client::SYNC => self.forward(total, Expect::Sync(Audience::Client), up),
            client::COPY_DONE | client::COPY_FAIL => self.forward(total, Expect::CopyEnd, up),
            _ => up.forward(total),
        }
        Ok(true)
    }

    fn forward(&mut self, total: usize, expect: Expect, up: &mut Flow) {
        up.forward(total);
        self.server.exchange.expect(expect);
    }

    /// Whether what follows must wait until a unit that changes the session is answered.
    fn holds_back(&self) -> bool {
        let exchange = &self.server.exchange;
        self.state.is_changing() && exchange.readies_owed() > 0 && !exchange.takes_copy_data()
    }

    /// Whether a statement must wait until the units before its own are answered.
    fn must_wait(&self, verdict: Verdict) -> bool {
        State::must_follow(verdict) && self.server.exchange.readies_owed() > 0
    }

    fn query(&mut self, total: usize, up: &mut Flow) -> Result<bool, Fault> {
        let text = view::query(up.unscanned().get(HEADER_LEN..total).unwrap_or_default())?;
        let verdict = sql::inspect(text, true);
        self.admit(verdict)?;
        if self.must_wait(verdict) {
            return Ok(false);
        }
        self.state.note(text, verdict);
        let refused = self.server.exchange.transaction() == Transaction::Failed;
        let deallocated = deallocated_name(text)
            .filter(|name| !refused && !name.is_empty() && self.state.statements.remove(name).is_some());
        self.isolate_sequences(verdict, up);
        // The client's protocol-level statement has another name here; give the server one to deallocate.
        if let Some(name) = deallocated {
            self.give_name(&name, up);
        }
        // A simple query ends the unnamed statement.
        self.state.statements.remove(b"");
        self.server.unnamed = Unnamed::Absent;
        self.forward(total, Expect::Query(Audience::Client), up);
        Ok(true)
    }

    fn parse(&mut self, total: usize, up: &mut Flow, retry: &mut Retry) -> Result<(), Fault> {
        let fields = view::parse(up.unscanned().get(HEADER_LEN..total).unwrap_or_default())?;
        if !fields.name.is_empty()
            && self.state.statements.get(fields.name).is_some()
            && !matches!(retry, Retry::Again { faked: 1.. })
        {
            let name = fields.name.to_vec();
            self.parse_duplicate(&name, total, up);
            return Ok(());
        }
        let statement = {
            let mut interner = self.rules.interner.lock().unwrap_or_else(PoisonError::into_inner);
            // Where it cannot be shared it gets an identity of its own, for the server then knows it by no name of ours.
            let shareable = self.rules.reuse_unnamed && matches!(retry, Retry::Armed { .. });
            match (fields.name.is_empty(), shareable) {
                (false, _) => interner.shared(fields.text, fields.types),
                (true, true) => interner.unnamed(fields.text, fields.types),
                (true, false) => interner.private(fields.text, fields.types),
            }
        };
        self.admit(statement.verdict())?;
        let name: Box<[u8]> = fields.name.into();
        if !name.is_empty() && self.state.statements.len() >= self.rules.statements_max {
            return Err(too_many_statements(self.rules.statements_max));
        }
        self.isolate_sequences(statement.verdict(), up);
        self.state.statements.insert(&name, statement.clone());
        let audience = parse_audience(retry);
        if name.is_empty() && !may_share(&statement, retry) {
            self.server.unnamed = Unnamed::Known(statement.id());
            self.forward(total, Expect::Parse { audience, statement: Some(statement), name: None }, up);
            return Ok(());
        }
        let name = (!name.is_empty()).then_some(name);
        if name.is_none() {
            suspect_all(retry);
        }
        up.drop(total);
        // There the server refuses it, or not, by rules of its own.
        if self.server.exchange.transaction() == Transaction::Failed {
            self.close_shared(&statement, up);
        }
        self.refresh(&statement, retry, up);
        if self.server.statements.touch(statement.id()) {
            count_fake(retry);
            self.server.exchange.expect(Expect::FakeParse { name });
        } else {
            write::parse(up.insert(), &statement.name(), statement.text(), statement.types());
            self.server.exchange.expect(Expect::Parse { audience, statement: Some(statement.clone()), name });
            self.remember(statement, up);
        }
        Ok(())
    }

    /// The name is taken. The server shall say so, exactly as it would: it is given the name first, then the client's
    /// statement, so that an error in that statement's text also comes first, as it would.
    fn parse_duplicate(&mut self, name: &[u8], total: usize, up: &mut Flow) {
        self.give_name(name, up);
        self.forward(total, Expect::Parse { audience: Audience::Client, statement: None, name: None }, up);
    }

    /// Gives the server a statement of this name, to be gone before the next lease.
    fn give_name(&mut self, name: &[u8], up: &mut Flow) {
        if self.server.to_close.iter().any(|other| **other == *name) {
            write::close_statement(up.insert(), name);
            self.server.exchange.expect(Expect::Close { audience: Audience::Us, statement: None });
        } else {
            self.server.to_close.push(name.into());
        }
        self.inject_parse(name, b"", b"\0\0", None, up);
    }

    fn bind(&mut self, total: usize, up: &mut Flow, retry: &Retry) -> Result<bool, Fault> {
        let body = up.unscanned().get(HEADER_LEN..).unwrap_or_default();
        let Some((portal, name, names_len)) = view::bind_names(body.get(..total - HEADER_LEN).unwrap_or(body)) else {
            if body.len() >= total - HEADER_LEN {
                return Err(ProtocolError::Malformed { tag: client::BIND, what: "no portal and statement" }.into());
            }
            // The names are first in the message; they are all that must be here.
            return if up.make_room(total.min(up.capacity())) && up.wants_more() {
                Ok(false)
            } else {
                Err(ProtocolError::Limit { what: "the length of names in Bind", limit: up.capacity() }.into())
            };
        };
        let (portal, name) = (portal.to_vec(), name.to_vec());
        let known = self.state.statements.get(&name).cloned();
        if let Some(statement) = &known {
            if self.must_wait(statement.verdict()) {
                return Ok(false);
            }
            self.state.note(statement.text(), statement.verdict());
            self.isolate_sequences(statement.verdict(), up);
        }
        match self.locate(&name, known, up, retry) {
            None => up.forward(total),
            Some(server_name) => {
                // The parameters follow as they come; only the head of the message is new.
                let length = u32::try_from(total - 1 - name.len() + server_name.len()).unwrap_or(u32::MAX);
                let out = up.insert();
                out.push(client::BIND);
                out.extend_from_slice(&length.to_be_bytes());
                write::cstr(out, &portal);
                write::cstr(out, &server_name);
                up.drop(HEADER_LEN + names_len);
                up.forward(total - HEADER_LEN - names_len);
            }
        }
        self.server.exchange.expect(Expect::Bind);
        Ok(true)
    }

    fn describe(&mut self, name: &[u8], total: usize, up: &mut Flow, retry: &Retry) {
        let known = self.state.statements.get(name).cloned();
        match self.locate(name, known, up, retry) {
            None => up.forward(total),
            Some(server_name) => {
                up.drop(total);
                write::describe_statement(up.insert(), &server_name);
            }
        }
        self.server.exchange.expect(Expect::Describe);
    }

    /// Shared statements stay prepared; only the client's name goes.
    fn close(&mut self, name: Vec<u8>, total: usize, up: &mut Flow) {
        up.drop(total);
        let closed = self.state.statements.remove(&name).map(|statement| (name.into(), statement));
        self.server.exchange.expect(Expect::FakeClose { closed });
    }

    /// The name that the client's statement has on this connection, once it is sure to be prepared there; `None` when
    /// it is the name that the client uses.
    fn locate(&mut self, name: &[u8], known: Option<Arc<Statement>>, up: &mut Flow, retry: &Retry) -> Option<Vec<u8>> {
        match known {
            None if name.is_empty() => {
                // Whatever unnamed statement is here is somebody else's.
                if self.server.unnamed != Unnamed::Absent {
                    write::close_statement(up.insert(), b"");
                    self.server.exchange.expect(Expect::Close { audience: Audience::Us, statement: None });
                    self.server.unnamed = Unnamed::Absent;
                }
                None
            }
            // Not the client's, though it may exist here: a name that surely does not.
            None if name.starts_with(NAME_PREFIX) => Some([b"?", name].concat()),
            None => {
                // It still exists here if it was given away twice in this lease (see `parse_duplicate`).
                if self.server.to_close.iter().any(|other| **other == *name) {
                    write::close_statement(up.insert(), name);
                    self.server.exchange.expect(Expect::Close { audience: Audience::Us, statement: None });
                }
                None
            }
            Some(statement) => {
                if name.is_empty() {
                    if self.server.unnamed == Unnamed::Known(statement.id()) {
                        return None;
                    }
                    if statement.sharing() == Sharing::Once {
                        self.inject_parse(b"", statement.text(), statement.types(), Some(statement.clone()), up);
                        self.server.unnamed = Unnamed::Known(statement.id());
                        return None;
                    }
                }
                self.refresh(&statement, retry, up);
                if !self.server.statements.touch(statement.id()) {
                    self.inject_parse(
                        &statement.name(),
                        statement.text(),
                        statement.types(),
                        Some(statement.clone()),
                        up,
                    );
                    self.remember(statement.clone(), up);
                }
                Some(statement.name())
            }
        }
    }

    /// When a unit is sent again, its shared statements are prepared afresh.
    fn refresh(&mut self, statement: &Statement, retry: &Retry, up: &mut Flow) {
        if matches!(retry, Retry::Again { .. }) {
            self.close_shared(statement, up);
        }
    }

    fn close_shared(&mut self, statement: &Statement, up: &mut Flow) {
        let name = statement.name();
        if let statement @ Some(_) = self.server.statements.remove(statement.id()) {
            write::close_statement(up.insert(), &name);
            self.server.exchange.expect(Expect::Close { audience: Audience::Us, statement });
        }
    }

    fn inject_parse(
        &mut self,
        name: &[u8],
        text: &[u8],
        types: &[u8],
        statement: Option<Arc<Statement>>,
        up: &mut Flow,
    ) {
        write::parse(up.insert(), name, text, types);
        self.server.exchange.expect(Expect::Parse { audience: Audience::Us, statement, name: None });
    }

    fn remember(&mut self, statement: Arc<Statement>, up: &mut Flow) {
        if let Some(evicted) = self.server.statements.insert(statement) {
            write::close_statement(up.insert(), &evicted.name());
            self.server.exchange.expect(Expect::Close { audience: Audience::Us, statement: Some(evicted) });
        }
    }

    /// A connection remembers the last sequence values of whoever used it before. A client that asks for "the last
    /// value" gets its own, or PostgreSQL's error that there is none, never a stranger's.
    ///
    /// If it did something in this lease already, that may be what it asks for, and stays. But who asked once begins all
    /// later leases with a connection that remembers nothing.
    fn isolate_sequences(&mut self, verdict: Verdict, up: &mut Flow) {
        if verdict.effects.intersects(Effects::CURRVAL) {
            self.state.sequences.asked = true;
            let first = !std::mem::replace(&mut self.state.sequences.used, true);
            if first && self.server.sequences_of != self.rules.client && self.server.exchange.is_at_boundary() {
                self.forget_sequences(up);
            }
        } else if verdict.effects != Effects::BEGINS {
            self.state.sequences.used = true;
        }
    }

    fn forget_sequences(&mut self, up: &mut Flow) {
        write::query(up.insert(), b"DISCARD SEQUENCES");
        self.server.exchange.expect(Expect::Query(Audience::Us));
        self.server.unnamed = Unnamed::Absent;
        self.server.sequences_of = self.rules.client;
    }

    fn admit(&self, verdict: Verdict) -> Result<(), Fault> {
        if self.rules.mode == PoolMode::Statement && verdict.effects.intersects(Effects::BEGINS) {
            let reply = ErrorReply::fatal("0A000", "transaction blocks not allowed in statement pooling mode")
                .hint("Set pool_mode = \"transaction\" for this user or database.");
            return Err(Fault::Refused(Box::new(reply)));
        }
        Ok(())
    }
}

/// The one name that a text of nothing but `DEALLOCATE` forgets.
fn deallocated_name(text: &[u8]) -> Option<Vec<u8>> {
    match sql::deallocate_target(text)? {
        Deallocate::All => None,
        Deallocate::Name(Identifier::Folded(name)) => Some(name.to_ascii_lowercase()),
        Deallocate::Name(Identifier::Exact(name)) => Some(name.to_vec()),
    }
}

/// Whether a message gives or takes back the name of a statement.
fn names_statement(tag: u8, body: &[u8]) -> bool {
    match tag {
        client::PARSE => body.first().is_some_and(|first| *first != 0),
        _ => body.first() == Some(&b'S'),
    }
}

/// Whether the unnamed statement may be answered by one that is prepared under a name of ours.
fn may_share(statement: &Statement, retry: &Retry) -> bool {
    // Only where a failure can be told from one of the client's making, and made good.
    statement.sharing() == Sharing::Shared && matches!(retry, Retry::Armed { .. })
}

fn suspect_all(retry: &mut Retry) {
    if let Retry::Armed { suspect, .. } = retry {
        *suspect = Suspect::Any;
    }
}

fn count_fake(retry: &mut Retry) {
    if let Retry::Armed { faked, .. } = retry {
        *faked += 1;
    }
}

/// Who sees the next `ParseComplete`: not the client, if we answered it before the unit had to be sent again.
fn parse_audience(retry: &mut Retry) -> Audience {
    match retry {
        Retry::Again { faked } if *faked > 0 => {
            *faked -= 1;
            Audience::Us
        }
        _ => Audience::Client,
    }
}

/// Length of the unit of work at the start of `bytes`, `Sync` included, if all of it is there; and which failures may
/// come from the sharing of statements.
fn whole_unit(bytes: &[u8]) -> Option<(usize, Suspect)> {
    let (mut len, mut suspect) = (0, Suspect::Missing);
    loop {
        let header = Header::peek(bytes.get(len..)?).ok()??;
        len += header.total;
        match header.tag {
            client::SYNC => return (len <= bytes.len()).then_some((len, suspect)),
            client::PARSE | client::DESCRIBE => suspect = Suspect::Outdated,
            client::BIND | client::EXECUTE => {}
            // Close among them: we answer it at once, and must not a second time.
            _ => return None,
        }
    }
}

fn too_many_statements(limit: usize) -> Fault {
    let reply = ErrorReply::fatal("53400", format!("too many prepared statements in one session ({limit})"))
        .hint("Close statements that are no longer used, or raise prepared.max_per_client.");
    Fault::Refused(Box::new(reply))
}
