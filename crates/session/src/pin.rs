//! Why a session keeps its server connection.

use std::fmt;

/// Why a session keeps its server connection beyond the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pin {
    /// It may have a temporary table, view or sequence.
    TemporaryTable,
    /// It listens for notifications.
    Listen,
    /// It prepared a statement in SQL.
    SqlPrepare,
    /// It may hold an advisory or named lock.
    AdvisoryLock,
    /// It has a cursor that outlives its transaction.
    HoldCursor,
    /// It changed its role or session user.
    Role,
    /// It changed settings in a way that cannot be followed from outside.
    Settings,
    /// It sent a statement that is too large to look at.
    LargeStatement,
    /// Its statements cannot be read with certainty: its settings or its encoding hide ASCII characters.
    Illegible,
    /// It called a function or procedure that may leave something in the session.
    Function,
    /// It has user variables.
    UserVariable,
    /// It has locked tables.
    LockTables,
    /// It opened a handler on a table.
    Handler,
    /// It is inside a distributed transaction.
    Xa,
    /// It set what its next transaction shall be like.
    NextTransaction,
    /// It asks how many rows its last statement found or changed, and only the connection that ran it knows.
    RowCounts,
    /// It sent a part of a prepared statement's parameters ahead.
    LongData,
    /// It reads the server's binary log.
    BinaryLog,
    /// The server says that its session state changed, and the text does not explain how.
    StateChange,
    /// It changed a setting, and the configuration has such sessions keep their connection.
    Reserved,
}

impl Pin {
    const ALL: [Self; 20] = [
        Self::TemporaryTable,
        Self::Listen,
        Self::SqlPrepare,
        Self::AdvisoryLock,
        Self::HoldCursor,
        Self::Role,
        Self::Settings,
        Self::LargeStatement,
        Self::Illegible,
        Self::Function,
        Self::UserVariable,
        Self::LockTables,
        Self::Handler,
        Self::Xa,
        Self::NextTransaction,
        Self::RowCounts,
        Self::LongData,
        Self::BinaryLog,
        Self::StateChange,
        Self::Reserved,
    ];

    /// A number from 1 on, so that 0 can stand for none.
    pub(crate) fn code(self) -> u8 {
        self as u8 + 1
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|pin| pin.code() == code)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TemporaryTable => "temporary table",
            Self::Listen => "LISTEN",
            Self::SqlPrepare => "SQL PREPARE",
            Self::AdvisoryLock => "advisory lock",
            Self::HoldCursor => "cursor WITH HOLD",
            Self::Role => "changed role",
            Self::Settings => "settings that cannot be replayed",
            Self::LargeStatement => "statement too large to look at",
            Self::Illegible => "illegible statements",
            Self::Function => "function with session state",
            Self::UserVariable => "user variable",
            Self::LockTables => "LOCK TABLES",
            Self::Handler => "HANDLER",
            Self::Xa => "XA transaction",
            Self::NextTransaction => "SET TRANSACTION",
            Self::RowCounts => "prepared FOUND_ROWS() or ROW_COUNT()",
            Self::LongData => "long data of a prepared statement",
            Self::BinaryLog => "binary log",
            Self::StateChange => "session state that cannot be followed",
            Self::Reserved => "settings (session_state = \"reserve\")",
        })
    }
}
