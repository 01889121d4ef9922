//! Client to server: what a client sends, in the terms of the connection that serves it.
//!
//! Most messages pass as they are. Those that name prepared statements are rewritten to the names the statements have on
//! this server connection; what the connection has prepared already is not prepared again, and what it lacks is
//! prepared in passing. No message waits for an answer here.

use std::sync::Mutex;

use pg::{
    ErrorReply, ProtocolError,
    exchange::{Audience, Expect, Transaction},
    frame::{HEADER_LEN, Header, client},
    statement::Interner,
    view::{self, Target},
    write,
};
use route::PoolMode;
use sql::{Deallocate, Effects, Identifier, Verdict};

use super::{
    demand,
    state::State,
    work::{Retry, Suspect, Work},
};
use crate::{
    flow::Flow,
    pin::Pin,
    placing::Placing,
    postgres::{
        connector::PgConnector,
        fault::Fault,
        server::{ServerConnection, Unnamed},
    },
    registry::ClientEntry,
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
    /// What the lease counts as, where that makes a difference.
    pub(crate) placing: Option<&'a Placing<PgConnector>>,
    /// The client, if it is to be noted what it asks.
    pub(crate) watched: Option<&'a ClientEntry>,
}

impl Rules<'_> {
    /// Notes what the client asks, if that is wanted.
    pub(super) fn note_asked(&self, text: &[u8]) {
        if let Some(client) = self.watched {
            client.note_asked(sql::outline(text));
        }
    }
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
            if self.belongs_elsewhere(header.tag, work.up.unscanned()) {
                break;
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

    /// Whether a unit of work begins here that is for another lease than the units before it, which are not answered yet: the
    /// lease ends with them.
    fn belongs_elsewhere(&self, tag: u8, unit: &[u8]) -> bool {
        let Some(placing) = self.rules.placing else { return false };
        let exchange = &self.server.exchange;
        let behind = exchange.readies_owed() > 0 && exchange.ends_with_ready() && !exchange.takes_copy_data();
        let begins = matches!(tag, client::QUERY | client::FUNCTION_CALL | client::PARSE | client::BIND);
        let ends = exchange.transaction() == Transaction::Idle
            && self.state.pin().is_none()
            && self.rules.mode != PoolMode::Session;
        if !(behind && begins && ends) {
            return false;
        }
        let demand = demand::of_unit(unit, &self.state.statements);
        placing.is_elsewhere(demand, self.state.session_state)
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

    pub(super) fn forward(&mut self, total: usize, expect: Expect, up: &mut Flow) {
        up.forward(total);
        self.server.exchange.expect(expect);
    }

    /// Whether what follows must wait until a unit that changes the session is answered.
    fn holds_back(&self) -> bool {
        let exchange = &self.server.exchange;
        self.state.is_changing() && exchange.readies_owed() > 0 && !exchange.takes_copy_data()
    }

    /// Whether a statement must wait until the units before its own are answered.
    pub(super) fn must_wait(&self, verdict: Verdict) -> bool {
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
        self.rules.note_asked(text);
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

    /// A connection remembers the last sequence values of whoever used it before. A client that asks for "the last
    /// value" gets its own, or PostgreSQL's error that there is none, never a stranger's.
    ///
    /// If it did something in this lease already, that may be what it asks for, and stays. But who asked once begins all
    /// later leases with a connection that remembers nothing.
    pub(super) fn isolate_sequences(&mut self, verdict: Verdict, up: &mut Flow) {
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

    pub(super) fn admit(&self, verdict: Verdict) -> Result<(), Fault> {
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
