//! What clients ask: one byte for the command, then its body. The bodies whose insides matter to a pooler are here.

mod execute;
mod query;
mod types;

pub use execute::{BulkExecute, StmtExecute};
pub use query::Query;
pub use types::{ParameterType, ParameterTypes};

use crate::{Capabilities, ProtocolError, cursor::Cursor, error::malformed};

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A command, by the first byte of its payload (MySQL: `enum_server_command`, `include/my_command.h`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Command {
            $($(#[$doc])* $name = $code,)*
        }

        impl Command {
            /// Every command.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The command of this code; `None` for codes that clients may not send.
            #[must_use]
            pub fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

commands! {
    /// Ends the session. Not answered.
    Quit = 0x01,
    /// Changes the database.
    InitDb = 0x02,
    /// Runs a text.
    Query = 0x03,
    /// Lists a table's columns (deprecated; old command lines, PHP).
    FieldList = 0x04,
    /// Creates a database (removed in MySQL 4.1 already).
    CreateDb = 0x05,
    /// Drops a database (removed in MySQL 4.1 already).
    DropDb = 0x06,
    /// `FLUSH` of some sort (deprecated).
    Refresh = 0x07,
    /// Stops the server.
    Shutdown = 0x08,
    /// A line of text about the server.
    Statistics = 0x09,
    /// `SHOW PROCESSLIST` (deprecated).
    ProcessInfo = 0x0a,
    /// `KILL` (deprecated).
    ProcessKill = 0x0c,
    /// Makes the server write to its log.
    Debug = 0x0d,
    /// Asks whether the server is there.
    Ping = 0x0e,
    /// Logs in anew and resets the session.
    ChangeUser = 0x11,
    /// Turns the connection into a stream of the binary log.
    BinlogDump = 0x12,
    /// Sends a table in the manner of MySQL 3.23.
    TableDump = 0x13,
    /// Registers a replica.
    RegisterSlave = 0x15,
    /// Prepares a statement.
    StmtPrepare = 0x16,
    /// Executes a prepared statement.
    StmtExecute = 0x17,
    /// Sends a piece of a parameter ahead of the execution. Not answered.
    StmtSendLongData = 0x18,
    /// Closes a prepared statement. Not answered.
    StmtClose = 0x19,
    /// Forgets a prepared statement's pieces of parameters, and closes its cursor.
    StmtReset = 0x1a,
    /// Turns several statements in one text on or off.
    SetOption = 0x1b,
    /// Fetches rows from a prepared statement's cursor.
    StmtFetch = 0x1c,
    /// Used inside servers; no client sends it.
    Daemon = 0x1d,
    /// As [`Command::BinlogDump`], by global transaction identifiers.
    BinlogDumpGtid = 0x1e,
    /// Resets the session and keeps the login.
    ResetConnection = 0x1f,
    /// Turns the connection into a copy of the server's data.
    Clone = 0x20,
    /// MySQL: subscribes to group replication's changes; reserved.
    SubscribeGroupReplicationStream = 0x21,
    /// MariaDB: executes a prepared statement for many rows of parameters.
    StmtBulkExecute = 0xfa,
}

impl Command {
    /// The command's code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Whether the server answers. After one that it does not answer the next command follows at once, and an error shows
    /// only when the statement is executed.
    #[must_use]
    pub fn has_reply(self) -> bool {
        !matches!(self, Self::Quit | Self::StmtSendLongData | Self::StmtClose)
    }

    /// Whether a query or an execution reads the same under both: whether both or neither know attributes.
    #[must_use]
    pub fn reads_alike(one: Capabilities, other: Capabilities) -> bool {
        one.contains(Capabilities::QUERY_ATTRIBUTES) == other.contains(Capabilities::QUERY_ATTRIBUTES)
    }

    /// The number of a prepared statement, with which the bodies of all `STMT` commands but the first begin.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when the body is too short to hold one.
    pub fn statement_id(body: &[u8]) -> Result<u32, ProtocolError> {
        Cursor::new(body).u32().ok_or_else(|| malformed("a command", "it holds no statement's number"))
    }

    /// Writes another statement's number over the one at the start of a body. Does nothing to a body too short to hold one,
    /// which [`Command::statement_id`] refuses.
    pub fn set_statement_id(body: &mut [u8], id: u32) {
        if let Some(place) = body.first_chunk_mut::<4>() {
            *place = id.to_le_bytes();
        }
    }
}

/// The number that stands for "the statement prepared last on this connection" (MariaDB, since 10.2): clients send the
/// execution right behind the prepare, before they have its answer.
pub const LAST_STATEMENT: u32 = u32::MAX;

/// `COM_STMT_FETCH`: which statement's cursor, and how many rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StmtFetch {
    /// The statement's number.
    pub statement_id: u32,
    /// Most rows to send.
    pub rows: u32,
}

impl StmtFetch {
    /// Reads what follows the command's code.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when a field is cut short.
    pub fn parse(body: &[u8]) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(body);
        let (statement_id, rows) =
            cursor.u32().zip(cursor.u32()).ok_or_else(|| malformed("a fetch", "a field is cut short"))?;
        Ok(Self { statement_id, rows })
    }
}

/// `COM_STMT_SEND_LONG_DATA`: a piece of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendLongData<'a> {
    /// The statement's number.
    pub statement_id: u32,
    /// Which parameter, from 0.
    pub parameter: u16,
    /// The piece, to be put behind those that came before.
    pub data: &'a [u8],
}

impl<'a> SendLongData<'a> {
    /// Reads what follows the command's code.
    ///
    /// # Errors
    /// [`ProtocolError::Malformed`] when a field is cut short.
    pub fn parse(body: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut cursor = Cursor::new(body);
        let (statement_id, parameter) = cursor
            .u32()
            .zip(cursor.u16())
            .ok_or_else(|| malformed("a piece of a parameter", "a field is cut short"))?;
        Ok(Self { statement_id, parameter, data: cursor.rest() })
    }
}

/// `COM_SET_OPTION`: whether a text may hold several statements.
///
/// # Errors
/// [`ProtocolError::Malformed`] for another option than the two there are (`MYSQL_OPTION_MULTI_STATEMENTS_ON` 0 and `_OFF` 1).
pub fn multi_statements(body: &[u8]) -> Result<bool, ProtocolError> {
    match Cursor::new(body).u16() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(malformed("a change of options", "there is no such option")),
    }
}

/// `COM_PROCESS_KILL`: the number of the connection to kill.
///
/// # Errors
/// [`ProtocolError::Malformed`] when the body is too short to hold one.
pub fn process_kill(body: &[u8]) -> Result<u32, ProtocolError> {
    Cursor::new(body).u32().ok_or_else(|| malformed("a kill", "it holds no connection's number"))
}

#[cfg(test)]
mod tests;
