//! Which reply a server connection owes, and where it ends.
//!
//! A MySQL connection answers one command at a time. [`Exchange`] is told what was asked ([`Asked`]) and sees every packet
//! of the answer; it tells which of them ends a result, whether another follows, and what the status flags say then. Rows
//! and definitions are never looked into: their header and first byte decide.
//!
//! Rules: MySQL Source Code Documentation, "Command Phase"; MariaDB documentation, "Result Set Packets".

use crate::{
    Capabilities, ProtocolError, Status,
    packet::PAYLOAD_MAX,
    view::{self, ColumnCount, EofPacket, ErrPacket, OkPacket, PrepareOk},
};

/// What was asked, as far as it decides the form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A command that is answered by OK, EOF or ERR.
    Simple,
    /// A query or the execution of a statement: results, one after the other.
    Results,
    /// Rows of an open cursor.
    Rows,
    /// The columns of a table (`COM_FIELD_LIST`).
    Fields,
    /// A statement to be prepared.
    Prepare,
    /// One packet of text (`COM_STATISTICS`).
    Text,
    /// Events without end (`COM_BINLOG_DUMP`).
    Events,
}

/// What a packet of the answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A part of the answer, passed on as it is.
    Part,
    /// The last definition of a result's columns; a server that deprecates EOF goes on with rows at once.
    LastColumn,
    /// The EOF packet between a result's columns and its rows.
    ColumnsEnd,
    /// The server waits for the contents of a file of the client's.
    FileWanted,
    /// A statement was prepared; its definitions may follow.
    Prepared(PrepareOk),
    /// The last definition of a prepared statement's parameters, or of its columns when `ends`.
    LastDefinition {
        /// Whether the answer ends here.
        ends: bool,
    },
    /// An EOF packet behind definitions of a prepared statement.
    DefinitionsEnd {
        /// Whether the answer ends here.
        ends: bool,
    },
    /// OK or EOF: a result is complete.
    Done {
        /// Whether another result follows.
        more: bool,
    },
    /// ERR: the answer ends here.
    Failed,
}

/// Where in an answer the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// Nothing is owed.
    #[default]
    Settled,
    /// Before the first packet of an answer, or of one more result.
    First(Asked),
    /// So many column definitions are to come.
    Columns(u64),
    /// The EOF packet behind the column definitions is to come.
    ColumnsEnd,
    /// Among rows or fields.
    Rows,
    /// The client sends a file; the server is silent.
    File,
    /// Behind a file: OK or ERR.
    FileEnd,
    /// Definitions of a prepared statement: so many of its parameters and of its columns are to come.
    Definitions { parameters: u16, columns: u16 },
    /// The EOF packet behind one sort of definitions, and how many of the other are to come.
    DefinitionsEnd { columns: u16 },
    /// Among the events of a binary log.
    Events,
}

/// The answer that a server connection owes.
#[derive(Debug)]
pub struct Exchange {
    capabilities: Capabilities,
    stage: Stage,
    /// Whether the payload of the last packet goes on in the next one.
    continues: bool,
    status: Status,
    /// Rows of the result under way.
    rows: u64,
}

impl Exchange {
    /// A connection with these capabilities that owes nothing and is in this state.
    #[must_use]
    pub fn new(capabilities: Capabilities, status: Status) -> Self {
        Self { capabilities, stage: Stage::Settled, continues: false, status, rows: 0 }
    }

    /// What the connection was opened with.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The session's state as last reported.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether a transaction is open, as last reported.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.status.contains(Status::IN_TRANS)
    }

    /// Whether nothing is owed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.stage == Stage::Settled && !self.continues
    }

    /// Whether the next packet begins an answer, or one more result of it.
    #[must_use]
    pub fn is_before_result(&self) -> bool {
        matches!(self.stage, Stage::First(_)) && !self.continues
    }

    /// Whether the server waits for a file.
    #[must_use]
    pub fn wants_file(&self) -> bool {
        self.stage == Stage::File
    }

    /// Rows of the result under way, or of the last one.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Notes that a command was sent. Nothing else may be owed.
    pub fn ask(&mut self, asked: Asked) {
        debug_assert!(self.is_settled(), "one command at a time");
        self.stage = Stage::First(asked);
    }

    /// Notes that the packet was sent that ends the file the server waited for.
    pub fn file_sent(&mut self) {
        if self.stage == Stage::File {
            self.stage = Stage::FileEnd;
        }
    }

    /// Whether a packet must be seen whole before [`Exchange::handle`] can judge it: by its length and its first byte.
    #[must_use]
    pub fn needs_whole(&self, len: usize, first: u8) -> bool {
        if self.continues {
            return false;
        }
        match self.stage {
            Stage::First(Asked::Text)
            | Stage::Columns(_)
            | Stage::Definitions { .. }
            | Stage::Settled
            | Stage::File => false,
            Stage::First(Asked::Rows | Asked::Fields | Asked::Events) | Stage::Rows | Stage::Events => {
                view::is_err(first) || self.ends_rows(first, len)
            }
            Stage::First(_) | Stage::ColumnsEnd | Stage::FileEnd | Stage::DefinitionsEnd { .. } => true,
        }
    }

    /// Takes a packet of the answer: the length that its header says, and its payload, which may be cut short where
    /// [`Exchange::needs_whole`] allows it.
    ///
    /// # Errors
    /// [`ProtocolError`] when the packet has no place here. The connection must be closed.
    pub fn handle(&mut self, len: usize, payload: &[u8]) -> Result<Event, ProtocolError> {
        if std::mem::replace(&mut self.continues, len == PAYLOAD_MAX) {
            // The rest of a payload that is too long for one packet belongs to a row or a definition, which was counted.
            return Ok(Event::Part);
        }
        let first = payload.first().copied().unwrap_or_default();
        match self.stage {
            Stage::Settled | Stage::File => Err(ProtocolError::Unexpected { first, when: "while nothing was asked" }),
            Stage::First(asked) => self.first(asked, len, first, payload),
            Stage::Columns(left) => Ok(self.column(left)),
            Stage::ColumnsEnd => self.columns_end(first, len, payload),
            Stage::Rows => self.row(first, len, payload),
            Stage::FileEnd => self.result_start(len, first, payload),
            Stage::Definitions { parameters, columns } => Ok(self.definition(parameters, columns)),
            Stage::DefinitionsEnd { columns } => {
                self.stage = if columns == 0 { Stage::Settled } else { Stage::Definitions { parameters: 0, columns } };
                Ok(Event::DefinitionsEnd { ends: columns == 0 })
            }
            Stage::Events if view::is_err(first) => self.failed(payload),
            Stage::Events if view::is_eof_classic(first, len) => self.done(payload, first, len),
            Stage::Events => Ok(Event::Part),
        }
    }

    fn first(&mut self, asked: Asked, len: usize, first: u8, payload: &[u8]) -> Result<Event, ProtocolError> {
        match asked {
            Asked::Text => {
                self.stage = Stage::Settled;
                Ok(Event::Part)
            }
            Asked::Rows | Asked::Fields => {
                self.stage = Stage::Rows;
                self.rows = 0;
                self.row(first, len, payload)
            }
            Asked::Events => {
                self.stage = Stage::Events;
                self.handle_again(len, payload)
            }
            Asked::Simple if view::is_err(first) => self.failed(payload),
            Asked::Simple => self.done(payload, first, len),
            Asked::Prepare if view::is_err(first) => self.failed(payload),
            Asked::Prepare => self.prepared(payload),
            Asked::Results => self.result_start(len, first, payload),
        }
    }

    fn handle_again(&mut self, len: usize, payload: &[u8]) -> Result<Event, ProtocolError> {
        self.continues = false;
        self.handle(len, payload)
    }

    fn result_start(&mut self, len: usize, first: u8, payload: &[u8]) -> Result<Event, ProtocolError> {
        match first {
            view::ERR => self.failed(payload),
            view::OK => self.done(payload, first, len),
            view::LOCAL_INFILE => {
                self.stage = Stage::File;
                Ok(Event::FileWanted)
            }
            _ => {
                let count = ColumnCount::parse(payload, self.capabilities)?;
                self.rows = 0;
                self.stage = match (count.definitions, self.deprecates_eof()) {
                    (true, _) if count.columns > 0 => Stage::Columns(count.columns),
                    (_, true) => Stage::Rows,
                    (_, false) => Stage::ColumnsEnd,
                };
                Ok(Event::Part)
            }
        }
    }

    fn column(&mut self, left: u64) -> Event {
        if left > 1 {
            self.stage = Stage::Columns(left - 1);
            return Event::Part;
        }
        if self.deprecates_eof() {
            self.stage = Stage::Rows;
            return Event::LastColumn;
        }
        self.stage = Stage::ColumnsEnd;
        Event::Part
    }

    fn columns_end(&mut self, first: u8, len: usize, payload: &[u8]) -> Result<Event, ProtocolError> {
        if view::is_err(first) {
            return self.failed(payload);
        }
        if !view::is_eof_classic(first, len) {
            return Err(ProtocolError::Unexpected { first, when: "behind the columns of a result" });
        }
        let eof = EofPacket::parse(payload)?;
        // An open cursor's rows come when they are asked for.
        if eof.status.contains(Status::CURSOR_EXISTS) {
            return self.done(payload, first, len);
        }
        self.stage = Stage::Rows;
        Ok(Event::ColumnsEnd)
    }

    fn row(&mut self, first: u8, len: usize, payload: &[u8]) -> Result<Event, ProtocolError> {
        if view::is_err(first) {
            return self.failed(payload);
        }
        if self.ends_rows(first, len) {
            return self.done(payload, first, len);
        }
        self.rows += 1;
        Ok(Event::Part)
    }

    fn prepared(&mut self, payload: &[u8]) -> Result<Event, ProtocolError> {
        let prepared = PrepareOk::parse(payload, self.capabilities)?;
        let PrepareOk { parameters, columns, metadata, .. } = prepared;
        self.stage = if metadata && (parameters > 0 || columns > 0) {
            Stage::Definitions { parameters, columns }
        } else {
            Stage::Settled
        };
        Ok(Event::Prepared(prepared))
    }

    fn definition(&mut self, parameters: u16, columns: u16) -> Event {
        let (left, columns) = match parameters {
            0 => (columns.saturating_sub(1), 0),
            _ => (parameters - 1, columns),
        };
        let deprecates = self.deprecates_eof();
        self.stage = match (left, parameters) {
            (1.., 0) => Stage::Definitions { parameters: 0, columns: left },
            (1.., _) => Stage::Definitions { parameters: left, columns },
            (0, _) if !deprecates => Stage::DefinitionsEnd { columns },
            (0, _) if columns > 0 => Stage::Definitions { parameters: 0, columns },
            (0, _) => Stage::Settled,
        };
        match left {
            0 if deprecates => Event::LastDefinition { ends: columns == 0 },
            _ => Event::Part,
        }
    }

    fn done(&mut self, payload: &[u8], first: u8, len: usize) -> Result<Event, ProtocolError> {
        let status = if view::is_eof_classic(first, len) && !self.reads_as_ok(len) {
            EofPacket::parse(payload)?.status
        } else {
            // What stands behind it is read by whoever wants to know it.
            OkPacket::status(payload)?
        };
        self.status = status;
        let more = status.contains(Status::MORE_RESULTS_EXISTS);
        self.stage = if more { Stage::First(Asked::Results) } else { Stage::Settled };
        Ok(Event::Done { more })
    }

    fn failed(&mut self, payload: &[u8]) -> Result<Event, ProtocolError> {
        ErrPacket::parse(payload)?;
        self.stage = Stage::Settled;
        Ok(Event::Failed)
    }

    /// Whether a payload that begins with 0xFE is an OK packet in the place of EOF. `COM_SET_OPTION` and `COM_DEBUG` are
    /// answered by a short EOF packet on every connection.
    fn reads_as_ok(&self, len: usize) -> bool {
        self.deprecates_eof() && len > EOF_LEN
    }

    fn ends_rows(&self, first: u8, len: usize) -> bool {
        view::is_result_end(first, len, self.capabilities)
    }

    fn deprecates_eof(&self) -> bool {
        self.capabilities.contains(Capabilities::DEPRECATE_EOF)
    }
}

/// Payload bytes of an EOF packet. The shortest OK packet has two more.
const EOF_LEN: usize = 5;

#[cfg(test)]
mod tests;
