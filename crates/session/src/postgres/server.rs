//! A logged-in server connection: its socket, what it owes, and the session state it holds.

use std::sync::Arc;

use pg::{
    dial::Parameters,
    exchange::{Exchange, Expect, Transaction},
    settings::Settings,
    statement::ServerStatements,
};

use crate::{cancel::CancelTarget, stream::Stream};

/// A server connection that can be lent.
#[derive(Debug)]
pub struct ServerConnection {
    pub(crate) stream: Stream,
    pub(crate) exchange: Exchange,
    pub(crate) cancel: Arc<CancelTarget>,
    /// What clients have set here.
    pub(crate) settings: Settings,
    /// Parameters as last reported: names and values.
    pub(crate) reported: Parameters,
    /// Statements prepared here under names of ours.
    pub(crate) statements: ServerStatements,
    /// The unnamed statement, if there may be one.
    pub(crate) unnamed: Unnamed,
    /// Names to be closed before the next unit of work.
    pub(crate) to_close: Vec<Box<[u8]>>,
    /// The client, by its number, whose sequence values are all that it remembers; 0: anybody's.
    pub(crate) sequences_of: u64,
    fitness: Fitness,
}

/// What the server's unnamed statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unnamed {
    /// There is none.
    Absent,
    /// The one with this identity.
    Known(u64),
    /// Somebody's: the server skipped what would have replaced it.
    Unknown,
}

/// Whether a connection may serve again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    Fit,
    Unfit(&'static str),
}

impl ServerConnection {
    /// A connection that has just logged in.
    pub(crate) fn new(stream: Stream, cancel: CancelTarget, reported: Parameters, statements_max: usize) -> Self {
        Self {
            stream,
            exchange: Exchange::default(),
            cancel: Arc::new(cancel),
            settings: Settings::default(),
            reported,
            statements: ServerStatements::new(statements_max),
            unnamed: Unnamed::Absent,
            to_close: Vec::new(),
            sequences_of: 0,
            fitness: Fitness::Fit,
        }
    }

    /// The server's number for this connection, as `pg_stat_activity` shows it.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.cancel.process()
    }

    /// The server's version, as it reports it.
    pub(crate) fn version(&self) -> String {
        let version = self.reported.iter().find(|(name, _)| **name == *b"server_version");
        version.map_or_else(String::new, |(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// How many statements are prepared here.
    #[must_use]
    pub fn statements_len(&self) -> usize {
        self.statements.len()
    }

    /// Why it must not serve again, if so.
    pub(crate) fn unfit(&self) -> Option<&'static str> {
        match self.fitness {
            Fitness::Unfit(why) => Some(why),
            Fitness::Fit => None,
        }
    }

    /// Marks it as not to serve again. The first reason stays.
    pub(crate) fn spoil(&mut self, why: &'static str) {
        if self.fitness == Fitness::Fit {
            self.fitness = Fitness::Unfit(why);
        }
    }

    /// Whether it can be lent to anybody: nothing owed, no transaction, nothing doubtful.
    pub(crate) fn is_clean(&self) -> bool {
        self.fitness == Fitness::Fit && self.exchange.is_settled() && self.exchange.transaction() == Transaction::Idle
    }

    /// Whether it is clean and silent. An idle server only speaks to say goodbye.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_clean() && self.stream.is_quiet()
    }

    /// Notes a parameter's value as reported.
    pub(crate) fn report(&mut self, name: &[u8], value: &[u8]) {
        if let Some((_, old)) = self.reported.iter_mut().find(|(known, _)| **known == *name) {
            *old = value.into();
        } else if self.reported.len() < pg::dial::PARAMETERS_MAX {
            self.reported.push((name.into(), value.into()));
        }
    }

    /// Whether the server reports this parameter's changes by itself.
    pub(crate) fn reports(&self, name: &[u8]) -> bool {
        self.reported.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Undoes what was noted for messages that the server skipped after an error.
    pub(crate) fn undo(&mut self, skipped: &Expect) {
        match skipped {
            Expect::Parse { statement: Some(statement), .. } => {
                self.statements.remove(statement.id());
                if self.unnamed == Unnamed::Known(statement.id()) {
                    self.unnamed = Unnamed::Unknown;
                }
            }
            Expect::Close { statement: Some(statement), .. } => self.statements.restore(statement.clone()),
            _ => {}
        }
    }
}
