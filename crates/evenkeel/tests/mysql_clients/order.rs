//! What a client is told to do, and what it says came of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A thing that users do with a client.
pub(crate) struct Feature {
    /// What orders and reports call it.
    pub(crate) word: &'static str,
    /// What readers call it.
    pub(crate) title: &'static str,
    /// In which pool modes it is tried.
    pub(crate) modes: &'static [Mode],
}

/// A pool mode, each with conditions of its own, so that every feature meets several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Two server connections; nothing encrypted; files of clients may be loaded.
    Transaction,
    /// Both sides encrypted; files of clients may be loaded.
    Session,
    /// Two server connections; nothing encrypted; clients compress; files of clients are refused.
    Statement,
}

/// What a client makes of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Plain,
    Tls,
    /// Not encrypted, but compressed, if the client can.
    Compressed,
}

/// Who is to do what, where.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
    pub(crate) channel: Channel,
    /// The certificate to trust.
    pub(crate) ca: PathBuf,
    pub(crate) task: Task,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// Try these features.
    Features { mode: Mode, words: Vec<&'static str> },
    /// Log in and ask for a number; reported under this name.
    Login(String),
}

/// What a client says came of something: its word, and `ok`, `-` or what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) word: String,
    pub(crate) outcome: Outcome,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Works,
    /// The client has no such thing.
    Missing,
    Fails(String),
}

impl Mode {
    /// Its name in the configuration, and in orders.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Session => "session",
            Self::Statement => "statement",
        }
    }

    /// How clients connect in it.
    pub(crate) fn channel(self) -> Channel {
        match self {
            Self::Session => Channel::Tls,
            Self::Transaction => Channel::Plain,
            Self::Statement => Channel::Compressed,
        }
    }
}

impl Order {
    /// The order as an argument of a script.
    pub(crate) fn argument(&self, driver: &str) -> String {
        let Self { port, user, password, database, channel, ca, task } = self;
        let channel = match channel {
            Channel::Plain => "plain",
            Channel::Tls => "tls",
            Channel::Compressed => "compressed",
        };
        let task = match task {
            Task::Features { mode, words } => format!("mode={} features={}", mode.name(), words.join(",")),
            Task::Login(name) => format!("login={name}"),
        };
        let ca = ca.display();
        format!(
            "driver={driver} port={port} user={user} password={password} database={database} channel={channel} ca={ca} {task}"
        )
    }

    /// What reports are to be about, in order.
    pub(crate) fn words(&self) -> Vec<&str> {
        match &self.task {
            Task::Features { words, .. } => words.clone(),
            Task::Login(name) => vec![name],
        }
    }
}

impl Outcome {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "ok" => Self::Works,
            "-" => Self::Missing,
            other => Self::Fails(other.to_owned()),
        }
    }

    pub(crate) fn of(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Works,
            Err(error) => Self::Fails(format!("{error:#}")),
        }
    }
}

/// Reads what a script printed about its orders: one list for each.
pub(crate) fn read(printed: &str, orders: &[Order]) -> Result<Vec<Vec<Report>>> {
    let mut lines = printed.lines();
    let mut report = |expected: &str| {
        let line = lines.next().with_context(|| format!("nothing about {expected} in\n{printed}"))?;
        let (word, outcome) = line.split_once('\t').with_context(|| format!("no report: {line}"))?;
        ensure!(word == expected, "{word} instead of {expected} in\n{printed}");
        Ok(Report { word: word.to_owned(), outcome: Outcome::parse(outcome) })
    };
    orders.iter().map(|order| order.words().into_iter().map(&mut report).collect()).collect()
}

/// The features, in the order of the table.
pub(crate) const FEATURES: &[Feature] = {
    use Mode::{Session, Statement, Transaction};
    const ALL: &[Mode] = &[Transaction, Session, Statement];
    const NOT_STATEMENT: &[Mode] = &[Transaction, Session];
    const TRANSACTION: &[Mode] = &[Transaction];
    const STATEMENT: &[Mode] = &[Statement];
    &[
        Feature { word: "queries", title: "queries, errors, ping", modes: ALL },
        Feature { word: "types", title: "types and NULL", modes: ALL },
        Feature { word: "transactions", title: "transactions", modes: NOT_STATEMENT },
        Feature { word: "autocommit", title: "autocommit off", modes: NOT_STATEMENT },
        Feature { word: "prepared", title: "prepared statements, on several server connections", modes: ALL },
        Feature { word: "pieces", title: "rows in pieces: cursors, streams", modes: NOT_STATEMENT },
        Feature { word: "big-rows", title: "rows over 16 MiB", modes: TRANSACTION },
        Feature { word: "big-parameters", title: "parameters over 16 MiB", modes: TRANSACTION },
        Feature { word: "statements", title: "several statements in a text", modes: ALL },
        Feature { word: "procedures", title: "procedures with several results", modes: NOT_STATEMENT },
        Feature { word: "local-infile", title: "LOAD DATA LOCAL, allowed", modes: NOT_STATEMENT },
        Feature { word: "local-infile-refused", title: "LOAD DATA LOCAL, refused", modes: STATEMENT },
        Feature { word: "settings", title: "session variables, SET NAMES", modes: NOT_STATEMENT },
        Feature { word: "kill", title: "KILL QUERY", modes: TRANSACTION },
        Feature { word: "change-user", title: "change of user", modes: NOT_STATEMENT },
        Feature { word: "reset", title: "reset of the session", modes: NOT_STATEMENT },
        Feature { word: "warnings", title: "warnings", modes: ALL },
        Feature { word: "insert-id", title: "last insert id", modes: ALL },
        Feature { word: "found-rows", title: "CLIENT_FOUND_ROWS", modes: ALL },
        Feature { word: "compression", title: "compression", modes: STATEMENT },
    ]
};

/// Where scripts are.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mysql_clients").join(name)
}
