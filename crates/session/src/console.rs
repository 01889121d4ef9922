//! The place of the admin console: a database that we answer for ourselves.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use pg::ErrorReply;

use crate::plan::ConsoleRole;

/// The databases that are the console. The second is where PgBouncer's tools look.
pub const DATABASES: [&str; 2] = ["evenkeel", "pgbouncer"];

/// Who asks.
#[derive(Debug, Clone)]
pub struct Operator {
    /// User name.
    pub user: Arc<str>,
    /// What it may do.
    pub role: ConsoleRole,
}

/// What the console answers. Errors and notices are PostgreSQL's; MySQL's clients are told the same in the words of their
/// protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Rows.
    Table(Rows),
    /// Done, nothing to show.
    Done(&'static str),
    /// Done, with a text for the reader.
    Notice(&'static str, ErrorReply),
    /// Not done.
    Failed(ErrorReply),
}

/// A table of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// Names, and what the values are.
    pub columns: Vec<(&'static str, Kind)>,
    /// Values; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// What the values of a column are, by PostgreSQL's types. All are sent as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text in UTF-8.
    Text,
    /// Integers of 32 bits.
    Int4,
    /// Integers of 64 bits.
    Int8,
    /// Integers that PgBouncer shows as `numeric`: sums. Ours fit into 64 bits.
    Numeric,
    /// Floating-point numbers of 64 bits.
    Float8,
}

impl Kind {
    /// The type's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Numeric => "numeric",
            Self::Float8 => "float8",
        }
    }
}

/// Answers statements. Implemented by crate `control`, which sees and steers everything; the session only carries it.
pub trait Console: Send + Sync + 'static {
    /// Runs one statement.
    fn run<'a>(
        &'a self,
        statement: &'a str,
        operator: &'a Operator,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;
}

impl fmt::Debug for dyn Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Console")
    }
}
