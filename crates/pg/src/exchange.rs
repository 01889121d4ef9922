//! Which replies a server connection still owes, and for whom.
//!
//! Every message sent to a server that will be answered is noted as an [`Expect`]; every message it sends is checked
//! against the head of that queue. From this follow: where a unit of work ends, which replies the client must see,
//! where replies of our own making belong, and which messages the server skipped after an error.
//!
//! The rules are those of PostgreSQL's main loop (`src/backend/tcop/postgres.c`): after an error in the extended
//! protocol, everything up to the next `Sync` is skipped; while a COPY takes data in, `Sync` and `Flush` are ignored.

use std::{collections::VecDeque, sync::Arc};

use crate::{ProtocolError, frame::server, statement::Statement};

/// The most replies one server connection may owe. A client that pipelines more is not read from until some came.
pub const OUTSTANDING_MAX: usize = 32_768;

/// The server's transaction state, as `ReadyForQuery` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transaction {
    /// Not in a transaction block.
    #[default]
    Idle,
    /// In a transaction block.
    Open,
    /// In a transaction block that failed.
    Failed,
}

/// Who sees the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The client: it asked.
    Client,
    /// Nobody: we asked, to prepare the connection.
    Us,
}

/// One reply, or group of replies, that is owed.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// Everything up to `ReadyForQuery`, for a simple query.
    Query(Audience),
    /// Everything up to `ReadyForQuery`, for a function call.
    Function,
    /// `ReadyForQuery`.
    Sync(Audience),
    /// `ParseComplete`.
    Parse {
        /// Who sees it.
        audience: Audience,
        /// What was prepared, when it is shared or must be remembered.
        statement: Option<Arc<Statement>>,
        /// The name the client gave it, when it was the client who prepared it under a name.
        name: Option<Box<[u8]>>,
    },
    /// `BindComplete`.
    Bind,
    /// `ParameterDescription` and then `RowDescription` or `NoData`; for a portal only the latter.
    Describe,
    /// Rows, then `CommandComplete`, `EmptyQueryResponse` or `PortalSuspended`.
    Execute,
    /// `CloseComplete`.
    Close {
        /// Who sees it.
        audience: Audience,
        /// The shared statement we closed, when it was our doing.
        statement: Option<Arc<Statement>>,
    },
    /// Nothing comes: we answer `ParseComplete` ourselves, in its place.
    FakeParse {
        /// The name the client gave it; `None` for the unnamed statement.
        name: Option<Box<[u8]>>,
    },
    /// Nothing comes: we answer `CloseComplete` ourselves, in its place.
    FakeClose {
        /// What the client closed, to be restored if the server never came to it.
        closed: Option<(Box<[u8]>, Arc<Statement>)>,
    },
    /// Nothing comes: the client ended a COPY that had perhaps not begun when it said so.
    CopyEnd,
}

impl Expect {
    /// Whether the server says `ReadyForQuery` to it.
    fn ends_unit(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Sync(_) | Self::Function)
    }

    /// Whether it prepares a statement that must be remembered.
    fn prepares(&self) -> bool {
        matches!(self, Self::Parse { statement: Some(_), .. })
    }
}

/// What a message from the server means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Part of a reply, or something asynchronous.
    Progress,
    /// `ParseComplete`, `BindComplete`, a description, or a result: the statement was accepted.
    Accepted,
    /// A command completed: its tag is in the body.
    Completed,
    /// An error. In the extended protocol the server now skips to `Sync`.
    Failed,
    /// `ReadyForQuery`.
    Ready,
}

/// What to do with a message from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Who sees it.
    pub audience: Audience,
    /// What it means.
    pub event: Event,
}

/// A COPY under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum CopyIn {
    /// None.
    #[default]
    Off,
    /// The server takes data; `Sync` and `Flush` are ignored until the client ends it.
    Taking,
}

/// Whether the server skips what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Skip {
    /// It does not.
    #[default]
    No,
    /// After an error in the extended protocol, everything up to `Sync`.
    ToSync,
}

/// Whether what was sent so far ends where a unit of work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Unit {
    /// It does.
    #[default]
    Complete,
    /// Messages of the extended protocol were sent, and no `Sync` behind them yet: their transaction is still open, even
    /// if every reply has come (the client may have asked for them with `Flush`).
    Open,
}

/// The replies that a server connection owes.
#[derive(Debug, Default)]
pub struct Exchange {
    owed: VecDeque<Expect>,
    /// What the server skipped because of an error, to be undone by the caller.
    skipped: Vec<Expect>,
    transaction: Transaction,
    copy: CopyIn,
    skip: Skip,
    unit: Unit,
    /// How many of `owed` prepare a statement that must be remembered.
    preparing: usize,
}

impl Exchange {
    /// Notes that a message was sent which will be answered thus.
    pub fn expect(&mut self, expect: Expect) {
        match (self.skip, self.copy, &expect) {
            (Skip::ToSync, _, Expect::Sync(_)) => {
                self.skip = Skip::No;
                self.owe(expect);
            }
            (Skip::ToSync, ..) => self.skipped.push(expect),
            (Skip::No, CopyIn::Taking, Expect::Sync(_)) => {}
            (Skip::No, CopyIn::Taking, Expect::CopyEnd) => self.copy = CopyIn::Off,
            // A stray end of COPY is ignored by the server when nothing before it can begin one.
            (Skip::No, CopyIn::Off, Expect::CopyEnd) if self.owed.is_empty() => {}
            _ => self.owe(expect),
        }
    }

    fn owe(&mut self, expect: Expect) {
        if expect.ends_unit() {
            self.unit = Unit::Complete;
        } else if !matches!(expect, Expect::CopyEnd | Expect::Close { audience: Audience::Us, .. }) {
            self.unit = Unit::Open;
        }
        self.preparing += usize::from(expect.prepares());
        self.owed.push_back(expect);
    }

    /// Takes a message from the server.
    ///
    /// # Errors
    /// [`ProtocolError::Unexpected`] when it answers nothing that is owed. The connection must be closed.
    pub fn handle(&mut self, tag: u8, body: &[u8]) -> Result<Reply, ProtocolError> {
        let audience = self.audience();
        match tag {
            server::NOTIFICATION_RESPONSE => Ok(Reply { audience: Audience::Client, event: Event::Progress }),
            server::NOTICE_RESPONSE | server::PARAMETER_STATUS => Ok(Reply { audience, event: Event::Progress }),
            server::ERROR_RESPONSE => {
                let ours = matches!(self.owed.front(), Some(Expect::Query(Audience::Us)));
                self.fail()?;
                let audience = if ours { Audience::Us } else { Audience::Client };
                Ok(Reply { audience, event: Event::Failed })
            }
            server::READY_FOR_QUERY => {
                self.ready(body)?;
                Ok(Reply { audience, event: Event::Ready })
            }
            _ => Ok(Reply { audience, event: self.advance(tag)? }),
        }
    }

    /// Takes the next reply that we must write ourselves, if its turn has come.
    pub fn poll_fake(&mut self) -> Option<Expect> {
        loop {
            match self.owed.front()? {
                Expect::FakeParse { .. } | Expect::FakeClose { .. } => return self.owed.pop_front(),
                Expect::CopyEnd => self.owed.pop_front(),
                _ => return None,
            };
        }
    }

    /// Takes what the server skipped because of an error.
    pub fn take_skipped(&mut self) -> impl Iterator<Item = Expect> + '_ {
        self.skipped.drain(..)
    }

    /// Whether a unit of work is complete: sent to its end, nothing is owed, and no COPY waits for data.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.owed.is_empty() && self.unit == Unit::Complete && self.copy == CopyIn::Off && self.skip == Skip::No
    }

    /// Whether the next message begins a unit of work and the client waits for no other: at most we have asked something.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        let ours =
            |owed: &Expect| matches!(owed, Expect::Query(Audience::Us) | Expect::Close { audience: Audience::Us, .. });
        self.unit == Unit::Complete && self.copy == CopyIn::Off && self.skip == Skip::No && self.owed.iter().all(ours)
    }

    /// Whether a unit of work before the one being sent may still fail to prepare a statement: until it is answered, nobody
    /// knows whether that statement can be used.
    #[must_use]
    pub fn may_fail_to_prepare(&self) -> bool {
        self.preparing > 0 && self.readies_owed() > 0
    }

    /// Whether so much is owed that the client must not be read from.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.owed.len() >= OUTSTANDING_MAX
    }

    /// Whether the server takes COPY data.
    #[must_use]
    pub fn takes_copy_data(&self) -> bool {
        self.copy == CopyIn::Taking
    }

    /// How many `ReadyForQuery` are owed to the client.
    #[must_use]
    pub fn readies_owed(&self) -> usize {
        let ready = |owed: &&Expect| {
            matches!(owed, Expect::Query(Audience::Client) | Expect::Sync(Audience::Client) | Expect::Function)
        };
        self.owed.iter().filter(ready).count()
    }

    /// Whether all that is owed will be followed by `ReadyForQuery`.
    #[must_use]
    pub fn ends_with_ready(&self) -> bool {
        matches!(self.owed.back(), None | Some(Expect::Query(_) | Expect::Sync(_) | Expect::Function))
            && self.skip == Skip::No
    }

    /// Whether nothing at all is owed.
    #[must_use]
    pub fn owes_nothing(&self) -> bool {
        self.owed.is_empty()
    }

    /// Whether the server skips what it reads until `Sync`.
    #[must_use]
    pub fn skips(&self) -> bool {
        self.skip == Skip::ToSync
    }

    /// The transaction state at the last `ReadyForQuery`.
    #[must_use]
    pub fn transaction(&self) -> Transaction {
        self.transaction
    }

    fn audience(&self) -> Audience {
        match self.owed.front() {
            Some(
                Expect::Query(audience)
                | Expect::Sync(audience)
                | Expect::Parse { audience, .. }
                | Expect::Close { audience, .. },
            ) => *audience,
            _ => Audience::Client,
        }
    }

    /// One step of the reply at the head of the queue.
    fn advance(&mut self, tag: u8) -> Result<Event, ProtocolError> {
        use server as s;
        let unexpected = ProtocolError::Unexpected { tag, when: "from the server here" };
        let event = match (tag, self.owed.front().ok_or_else(|| unexpected.clone())?) {
            (s::COMMAND_COMPLETE, Expect::Query(_) | Expect::Execute) => Event::Completed,
            (s::DATA_ROW | s::COPY_DATA | s::COPY_DONE | s::COPY_OUT_RESPONSE, Expect::Query(_) | Expect::Execute)
            | (s::COPY_IN_RESPONSE | s::COPY_BOTH_RESPONSE, Expect::Query(_) | Expect::Execute)
            | (s::ROW_DESCRIPTION | s::EMPTY_QUERY_RESPONSE, Expect::Query(_))
            | (s::FUNCTION_CALL_RESPONSE, Expect::Function)
            | (s::PARAMETER_DESCRIPTION | s::ROW_DESCRIPTION | s::NO_DATA, Expect::Describe)
            | (s::PARSE_COMPLETE, Expect::Parse { .. })
            | (s::BIND_COMPLETE, Expect::Bind)
            | (s::CLOSE_COMPLETE, Expect::Close { .. })
            | (s::EMPTY_QUERY_RESPONSE | s::PORTAL_SUSPENDED, Expect::Execute) => Event::Accepted,
            _ => return Err(unexpected),
        };
        match tag {
            s::COPY_IN_RESPONSE | s::COPY_BOTH_RESPONSE => self.begin_copy_in(),
            _ if self.ends_head(tag) => {
                if let Some(Expect::Parse { statement: Some(statement), .. }) = self.owed.pop_front() {
                    self.preparing -= 1;
                    statement.prove();
                }
            }
            _ => {}
        }
        Ok(event)
    }

    /// Whether a message with this tag is the last of the reply at the head of the queue.
    fn ends_head(&self, tag: u8) -> bool {
        match self.owed.front() {
            Some(Expect::Parse { .. } | Expect::Bind | Expect::Close { .. }) => true,
            Some(Expect::Describe) => tag != server::PARAMETER_DESCRIPTION,
            Some(Expect::Execute) => {
                matches!(tag, server::COMMAND_COMPLETE | server::EMPTY_QUERY_RESPONSE | server::PORTAL_SUSPENDED)
            }
            _ => false,
        }
    }

    /// The server takes COPY data from here on, also from what was already sent behind the command.
    ///
    /// Up to the client's end of data it ignores `Sync`; anything else makes it fail, and is lost.
    fn begin_copy_in(&mut self) {
        self.take_copy_data();
        if !self.owed.iter().any(Expect::ends_unit) {
            self.unit = Unit::Open;
        }
    }

    fn take_copy_data(&mut self) {
        self.copy = CopyIn::Taking;
        let simple = matches!(self.owed.front(), Some(Expect::Query(_)));
        while let Some(owed) = self.owed.get(1) {
            match owed {
                Expect::Sync(_) => drop(self.owed.remove(1)),
                Expect::CopyEnd => {
                    self.owed.remove(1);
                    self.copy = CopyIn::Off;
                    return;
                }
                // In the extended protocol the failure skips to Sync, which `fail` follows.
                _ if !simple => return,
                _ => {
                    let lost = self.owed.remove(1);
                    self.preparing -= usize::from(lost.is_some_and(|lost| lost.prepares()));
                    return;
                }
            }
        }
    }

    /// A failure. What the client asked depends on all that we asked before it, so it sees the error of that, too;
    /// except of a query of our own, which the caller answers for.
    fn fail(&mut self) -> Result<(), ProtocolError> {
        self.copy = CopyIn::Off;
        match self.owed.front() {
            // Nobody asked: the server ends the connection and says why.
            None => {
                return Err(ProtocolError::Unexpected { tag: server::ERROR_RESPONSE, when: "while nothing is asked" });
            }
            Some(Expect::Query(_) | Expect::Function) => {}
            Some(_) => {
                while let Some(head) = self.owed.pop_front_if(|head| !matches!(head, Expect::Sync(_))) {
                    self.preparing -= usize::from(head.prepares());
                    self.skipped.push(head);
                }
                // Without a Sync yet, the server goes on skipping what is still to come.
                if self.owed.is_empty() {
                    self.skip = Skip::ToSync;
                }
            }
        }
        Ok(())
    }

    fn ready(&mut self, body: &[u8]) -> Result<(), ProtocolError> {
        self.transaction = match body {
            b"I" => Transaction::Idle,
            b"T" => Transaction::Open,
            b"E" => Transaction::Failed,
            _ => {
                return Err(ProtocolError::Malformed {
                    tag: server::READY_FOR_QUERY,
                    what: "unknown transaction state",
                });
            }
        };
        match self.owed.pop_front() {
            Some(Expect::Query(_) | Expect::Sync(_) | Expect::Function) => {}
            _ => return Err(ProtocolError::Unexpected { tag: server::READY_FOR_QUERY, when: "before it is owed" }),
        }
        self.copy = CopyIn::Off;
        // Ends of COPY that belonged to the finished query have nothing left to end.
        while self.owed.pop_front_if(|head| matches!(head, Expect::CopyEnd)).is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests;
