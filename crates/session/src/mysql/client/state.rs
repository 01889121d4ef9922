//! What a client's session consists of beyond its current transaction, and so must follow it from one server connection
//! to the next, or hold it on one.

mod given;
mod memory;
mod open;
mod pins;
mod tracked;
mod trackers;
mod underway;

use mysql::{Status, settings::Settings, statement::ClientStatements};
use route::SessionState;
use sql::mysql::{Effects, Mode};

use self::{memory::Memory, open::Opened, pins::Pins, tracked::Collation, trackers::Trackers, underway::Underway};
pub(crate) use self::{open::Open, pins::Traces, underway::Outcome};
use crate::mysql::facts::Facts;

/// A client's session state.
#[derive(Debug)]
pub(crate) struct State {
    /// Its prepared statements.
    pub(crate) statements: ClientStatements,
    /// Its settings and its current database, as they shall be on whichever connection serves it.
    pub(crate) settings: Settings,
    /// What it came with; resetting the connection leads back to it.
    startup: Settings,
    /// What becomes of settings that it changes.
    pub(crate) session_state: SessionState,
    pub(crate) memory: Memory,
    collation: Collation,
    /// How its texts are to be read, and how if `sql_mode` is the server's default.
    reading: Mode,
    reading_by_default: Mode,
    pins: Pins,
    /// What pinned before the command that is about to be sent.
    unsent: Option<Pins>,
    traces: Traces,
    underway: Underway,
    /// What of its statements is open on the server connection.
    open: Vec<Opened>,
    /// The server's numbers of statements that were set apart and are no longer needed.
    outdated: Vec<u32>,
    habits: Habits,
    /// Whether the last text may have changed tables.
    changes_schema: bool,
    trackers: Trackers,
    /// The session's state as the client was last told.
    pub(crate) status: Status,
}

/// What a client has shown to want of its connections. Facts that do not depend on each other.
#[derive(Debug, Clone, Copy, Default)]
struct Habits {
    /// It has asked for its last insert id.
    insert_id: bool,
    /// It has asked how many rows were found when nobody knew.
    found_rows: bool,
    /// It has asked for the last value of a sequence.
    sequences: bool,
    /// It has advanced a sequence on the connection that it holds.
    advanced: bool,
    /// It has taken locks of the whole server on the connection that it holds, of which `UNLOCK TABLES` gives back some only.
    global_locks: bool,
}

impl Habits {
    /// Those that are the client's, and not of the connection that it holds.
    fn elsewhere(self) -> Self {
        Self { advanced: false, global_locks: false, ..self }
    }
}

impl State {
    /// The state of a client that came with these settings, to a server whose default `sql_mode` reads texts like this.
    pub(crate) fn new(startup: Settings, reading_by_default: Mode) -> Self {
        let mut state = Self {
            statements: ClientStatements::default(),
            settings: startup.clone(),
            startup,
            session_state: SessionState::default(),
            memory: Memory::default(),
            collation: Collation::default(),
            reading: reading_by_default,
            reading_by_default,
            pins: Pins::default(),
            unsent: None,
            traces: Traces::None,
            underway: Underway::default(),
            open: Vec::new(),
            outdated: Vec::new(),
            habits: Habits::default(),
            changes_schema: false,
            trackers: Trackers::default(),
            status: Status::AUTOCOMMIT,
        };
        state.check_reading();
        state
    }

    /// Back to how sessions of this server begin, but for the current database: that stays, as with the servers' own reset.
    pub(crate) fn reset(&mut self, facts: Option<&Facts>) {
        let schema = self.settings.schema().to_vec();
        let (memory, habits) = (self.memory.after_reset(), self.habits.elsewhere());
        let startup = facts.map_or_else(|| self.startup.clone(), |facts| facts.after_reset(&self.startup));
        *self = Self::new(startup, self.reading_by_default);
        self.settings.set_schema(&schema);
        (self.memory, self.habits) = (memory, habits);
    }

    /// The client goes on with another server, or in another database of the name that it asked for: one that is in the
    /// database where its route began is where the new one begins.
    pub(crate) fn move_over(&mut self, (from, to): (&str, &str), reading: Mode) {
        for settings in [&mut self.startup, &mut self.settings] {
            if settings.schema() == from.as_bytes() {
                settings.set_schema(to.as_bytes());
            }
        }
        self.reading_by_default = reading;
        self.check_reading();
    }

    /// How its texts are to be read.
    pub(crate) fn reading(&self) -> Mode {
        self.reading
    }

    /// Whether a statement of the client's asks how many rows the one before it found or changed.
    pub(crate) fn has_row_counts(&self) -> bool {
        let asks = Effects::FOUND_ROWS.union(Effects::ROW_COUNT);
        self.statements.iter().any(|statement| statement.verdict().effects.intersects(asks))
    }

    /// Whether the last value of a sequence can be asked for. If not, it will be from now on.
    pub(crate) fn knows_sequences(&mut self) -> bool {
        self.habits.sequences = true;
        self.habits.advanced
    }

    /// Whether the text about to run may set the last insert id without its reply saying so.
    pub(crate) fn sets_insert_id(&self) -> bool {
        self.underway.sets_insert_id
    }

    /// Whether tables may be other than before the last command.
    pub(crate) fn changes_schema(&self) -> bool {
        self.changes_schema || self.status.contains(Status::METADATA_CHANGED)
    }
}
