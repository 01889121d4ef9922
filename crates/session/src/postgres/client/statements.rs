//! Prepared statements on their way to the server: which of them this connection has already, and under which names.

use std::sync::{Arc, PoisonError};

use pg::{
    ErrorReply, ProtocolError,
    exchange::{Audience, Expect, Transaction},
    frame::{HEADER_LEN, client},
    statement::{CLIENT_TEXTS_LEN_MAX, NAME_PREFIX, Sharing, Statement},
    view, write,
};

use super::{
    translate::Translator,
    work::{Retry, Suspect},
};
use crate::{
    flow::Flow,
    postgres::{fault::Fault, server::Unnamed},
};

impl Translator<'_> {
    pub(super) fn parse(&mut self, total: usize, up: &mut Flow, retry: &mut Retry) -> Result<(), Fault> {
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
        // Where the unit is sent again, the client has the name already.
        if !name.is_empty() && self.state.statements.get(&name).is_none() {
            if self.state.statements.len() >= self.rules.statements_max {
                return Err(too_many_statements(self.rules.statements_max));
            }
            if !self.state.statements.has_room(fields.text.len()) {
                return Err(too_long_statements());
            }
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
    pub(super) fn give_name(&mut self, name: &[u8], up: &mut Flow) {
        if self.server.to_close.iter().any(|other| **other == *name) {
            write::close_statement(up.insert(), name);
            self.server.exchange.expect(Expect::Close { audience: Audience::Us, statement: None });
        } else {
            self.server.to_close.push(name.into());
        }
        self.inject_parse(name, b"", b"\0\0", None, up);
    }

    pub(super) fn bind(&mut self, total: usize, up: &mut Flow, retry: &Retry) -> Result<bool, Fault> {
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
            self.rules.note_asked(statement.text());
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

    pub(super) fn describe(&mut self, name: &[u8], total: usize, up: &mut Flow, retry: &Retry) {
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
    pub(super) fn close(&mut self, name: Vec<u8>, total: usize, up: &mut Flow) {
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

    pub(super) fn inject_parse(
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
        let mut outdated = self.server.statements.insert(statement);
        while let Some(evicted) = outdated.or_else(|| self.server.statements.shed()) {
            write::close_statement(up.insert(), &evicted.name());
            self.server.exchange.expect(Expect::Close { audience: Audience::Us, statement: Some(evicted) });
            outdated = None;
        }
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

fn too_long_statements() -> Fault {
    let limit = CLIENT_TEXTS_LEN_MAX >> 20;
    let message = format!("too many prepared statements in one session (more than {limit} MiB of texts)");
    Fault::Refused(Box::new(ErrorReply::fatal("53400", message).hint("Close statements that are no longer used.")))
}

fn too_many_statements(limit: usize) -> Fault {
    let reply = ErrorReply::fatal("53400", format!("too many prepared statements in one session ({limit})"))
        .hint("Close statements that are no longer used, or raise prepared.max_per_client.");
    Fault::Refused(Box::new(reply))
}
