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

/// What the console answers.
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
    /// Names and type object ids.
    pub columns: Vec<(&'static str, u32)>,
    /// Values; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
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
