//! What a client's session consists of beyond its current transaction, and so must follow it from one server connection
//! to the next, or hold it on one.

use mysql::{
    Capabilities, Status,
    settings::{self, Settings},
    statement::ClientStatements,
    view::{Change, OkPacket},
};
use sql::{
    Count,
    mysql::{Assignment, Charset, Effects, Mode, Scope, Value, Verdict},
};

use super::diagnostics::Diagnostics;
use crate::{
    mysql::{
        facts::Facts,
        server::{Echo, InsertId, ServerConnection},
    },
    pin::Pin,
};

/// The reasons to keep a server connection that hold now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pins(u32);

impl Pins {
    fn bit(pin: Pin) -> u32 {
        1 << pin.code()
    }

    fn set(&mut self, pin: Pin) {
        self.0 |= Self::bit(pin);
    }

    fn clear(&mut self, pin: Pin) {
        self.0 &= !Self::bit(pin);
    }

    /// The first of them, by number.
    pub(crate) fn first(self) -> Option<Pin> {
        Pin::from_code(u8::try_from(self.0.trailing_zeros()).ok()?)
    }
}

/// What pins, by effect.
const PINNING: [(Effects, Pin); 8] = [
    (Effects::TEMP, Pin::TemporaryTable),
    (Effects::SQL_PREPARE, Pin::SqlPrepare),
    (Effects::LOCK_FUNCTION, Pin::AdvisoryLock),
    (Effects::LOCK_TABLES.union(Effects::FLUSH_LOCK), Pin::LockTables),
    (Effects::USER_VARIABLE_WRITE, Pin::UserVariable),
    (Effects::HANDLER, Pin::Handler),
    (Effects::XA, Pin::Xa),
    (Effects::SET_ROLE, Pin::Role),
];

/// MariaDB's name for what a transaction became in the binary log: reported like a setting, but nobody can set it.
const LAST_GTID: &[u8] = b"last_gtid";

/// `ER_PARSE_ERROR`.
const NOT_PARSED: u16 = 1064;

/// What a failing statement may have changed without our being told: the server reports changes with OK only.
const UNTOLD: Effects = Effects::CALLS.union(Effects::SETS);

/// The variables whose changes a server reports unless it is asked for others (`session_track_system_variables`, MySQL
/// 9, MariaDB 10.11): what a client that tracks its session expects to hear of.
const TRACKED_BY_DEFAULT: [&[u8]; 6] = [
    b"autocommit",
    b"character_set_client",
    b"character_set_connection",
    b"character_set_results",
    b"redirect_url",
    b"time_zone",
];

/// What a lease may leave on its connection that nobody can tell from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Traces {
    /// Nothing.
    #[default]
    None,
    /// What a failed statement may have changed.
    Possible,
}

/// What the functions that look back at the last statement answer.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// `LAST_INSERT_ID()`.
    pub(crate) insert_id: u64,
    /// `FOUND_ROWS()`.
    pub(crate) found_rows: u64,
    /// `ROW_COUNT()`.
    pub(crate) row_count: i64,
    /// `SHOW WARNINGS`.
    pub(crate) diagnostics: Diagnostics,
}

/// What is to be watched for while a command is under way.
#[derive(Debug)]
struct Underway {
    effects: Effects,
    /// How many statements the text holds.
    statements: Count,
    /// What pinned before.
    pins_before: Pins,
    /// Variables that the text sets and the server has not reported yet.
    assigned: Vec<Vec<u8>>,
    /// Whether the names in `assigned` are all that the text sets.
    assignments: Assignments,
    /// Variables and databases that the server reported.
    reported: u32,
    /// The server says that something in the session changed.
    changed: bool,
    /// The last insert id may be set without our being told.
    sets_insert_id: bool,
    /// The statement whose cursor is opened or read.
    cursor: Option<u32>,
}

impl Default for Underway {
    fn default() -> Self {
        Self {
            effects: Effects::NONE,
            statements: Count::Zero,
            pins_before: Pins::default(),
            assigned: Vec::new(),
            assignments: Assignments::Known,
            reported: 0,
            changed: false,
            sets_insert_id: false,
            cursor: None,
        }
    }
}

/// How well the assignments of a text are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Assignments {
    /// There are none, or all of them are known by name.
    #[default]
    Known,
    /// There are some.
    Some,
}

/// A client's session state.
#[derive(Debug)]
pub(crate) struct State {
    /// Its prepared statements.
    pub(crate) statements: ClientStatements,
    /// Its settings and its current database, as they shall be on whichever connection serves it.
    pub(crate) settings: Settings,
    /// What it came with; resetting the connection leads back to it.
    startup: Settings,
    pub(crate) memory: Memory,
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
    /// What the last text did.
    ran: Effects,
    habits: Habits,
    /// Whether the last text may have changed tables.
    changes_schema: bool,
    /// The session's state as the client was last told.
    pub(crate) status: Status,
}

/// A statement of the client's that is set apart on the server connection, because something of it is open there: nobody
/// else may execute it meanwhile. Nor afterwards: MySQL 9 answers an execution without a cursor wrongly that follows one
/// with a cursor.
#[derive(Debug, Clone, Copy)]
struct Opened {
    /// The client's number.
    id: u32,
    what: Open,
    /// The server's number.
    server_id: u32,
}

/// What of a prepared statement is open on a server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// A cursor with rows to be fetched.
    Cursor,
    /// Parameters that were sent ahead of the execution.
    LongData,
}

/// What a client has shown to want of its connections. Facts that do not depend on each other.
#[derive(Debug, Clone, Copy, Default)]
struct Habits {
    /// It has asked for its last insert id.
    insert_id: bool,
    /// It has asked for the last value of a sequence.
    sequences: bool,
    /// It has advanced a sequence on the connection that it holds.
    advanced: bool,
}

impl State {
    /// The state of a client that came with these settings, to a server whose default `sql_mode` reads texts like this.
    pub(crate) fn new(startup: Settings, reading_by_default: Mode) -> Self {
        let mut state = Self {
            statements: ClientStatements::default(),
            settings: startup.clone(),
            startup,
            memory: Memory::default(),
            reading: reading_by_default,
            reading_by_default,
            pins: Pins::default(),
            unsent: None,
            traces: Traces::None,
            underway: Underway::default(),
            open: Vec::new(),
            outdated: Vec::new(),
            ran: Effects::NONE,
            habits: Habits::default(),
            changes_schema: false,
            status: Status::AUTOCOMMIT,
        };
        state.check_reading();
        state
    }

    /// Back to what it came with, but for the current database: that stays, as with the servers' own reset.
    pub(crate) fn reset(&mut self) {
        let schema = self.settings.schema().to_vec();
        *self = Self::new(self.startup.clone(), self.reading_by_default);
        self.settings.set_schema(&schema);
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

    /// Why the server connection must stay with the client, if so.
    pub(crate) fn pin(&self) -> Option<Pin> {
        self.pins.first()
    }

    /// Holds the session on its server connection from now on.
    pub(crate) fn pin_for(&mut self, why: Pin) {
        self.pins.set(why);
    }

    /// A reason to hold the session on its connection is gone.
    pub(crate) fn unpin(&mut self, why: Pin) {
        self.pins.clear(why);
    }

    /// Whether the connection holds session state that must not meet another client.
    pub(crate) fn leaves_traces(&self) -> bool {
        self.pin().is_some() || self.traces == Traces::Possible
    }

    /// What the lease that ends may leave behind; the next one begins with nothing.
    pub(crate) fn take_traces(&mut self) -> Traces {
        self.habits.advanced = false;
        std::mem::take(&mut self.traces)
    }

    /// A command is about to be sent that does nothing to the session but what its reply says.
    pub(crate) fn begin(&mut self) {
        self.underway = Underway { pins_before: self.pins, ..Underway::default() };
        self.unsent = Some(self.pins);
        self.ran = Effects::NONE;
        self.changes_schema = false;
    }

    /// The command that was about to be sent is not sent after all.
    pub(crate) fn abandon(&mut self) {
        if let Some(pins) = self.unsent.take() {
            self.restore(pins);
        }
    }

    /// The command is on its way: whatever it does is done.
    pub(crate) fn sent(&mut self) {
        self.unsent = None;
    }

    /// A text, or a statement with this text, is about to run.
    pub(crate) fn begin_text(&mut self, text: &[u8], verdict: Verdict) {
        let effects = verdict.effects;
        self.begin();
        (self.underway.effects, self.ran) = (effects, effects);
        self.underway.statements = verdict.statements;
        self.changes_schema = may_change_schema(verdict);
        let names_insert_id = effects.intersects(Effects::LAST_INSERT_ID);
        self.habits.insert_id |= names_insert_id;
        self.underway.sets_insert_id =
            effects.intersects(Effects::CALLS) || (names_insert_id && may_set_insert_id(text));
        if effects.is_empty() {
            return;
        }
        for (effect, pin) in PINNING {
            if effects.intersects(effect) {
                self.pin_for(pin);
            }
        }
        if effects.intersects(Effects::NEXTVAL) {
            self.habits.advanced = true;
            if self.habits.sequences {
                self.pin_for(Pin::Function);
            }
        }
        if effects.intersects(Effects::SETS) {
            let assignments = (verdict.statements == Count::One).then(|| sql::mysql::assignments(text, self.reading));
            match assignments.flatten() {
                Some(assignments) => self.underway.assigned = assignments.flat_map(assigned_names).collect(),
                None => self.underway.assignments = Assignments::Some,
            }
        }
    }

    /// A result is complete. Takes over what the server tells of the session.
    pub(crate) fn note(&mut self, ok: &OkPacket<'_>, server: &mut ServerConnection) {
        self.status = ok.status;
        for change in ok.changes {
            match change {
                Change::SystemVariable { name, .. } if settings::is_bookkeeping(name) => {}
                Change::SystemVariable { name, value } => self.variable(name, value, server),
                Change::Schema(name) => {
                    self.underway.reported += 1;
                    self.settings.set_schema(name);
                    server.settings.set_schema(name);
                }
                Change::StateChanged(changed) => self.underway.changed |= changed,
                Change::Characteristics(text) => self.characteristics(text, ok.status),
                Change::Gtid(_) | Change::TransactionState(_) | Change::Unknown { .. } => {}
            }
        }
    }

    fn variable(&mut self, name: &[u8], value: &[u8], server: &mut ServerConnection) {
        if name == LAST_GTID {
            return;
        }
        self.underway.reported += 1;
        self.underway.assigned.retain(|assigned| !is_same_variable(assigned, name));
        if matches!(name, b"last_insert_id" | b"identity") {
            let id = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0);
            self.memory.insert_id = id;
            server.insert_id = InsertId::Known(id);
            return;
        }
        let kept = settings::is_replayable(name) && self.settings.set(name, value) && server.settings.set(name, value);
        if !kept {
            self.pin_for(Pin::Settings);
        }
        self.check_reading();
    }

    /// Characteristics told outside a transaction are those of the next one.
    fn characteristics(&mut self, text: &[u8], status: Status) {
        if status.contains(Status::IN_TRANS) || text.is_empty() {
            self.unpin(Pin::NextTransaction);
        } else {
            self.pin_for(Pin::NextTransaction);
        }
    }

    /// Notes that something of a statement is opened by the command under way, or ahead of one.
    pub(crate) fn open(&mut self, id: u32, what: Open, server_id: u32) {
        self.open.push(Opened { id, what, server_id });
        if what == Open::Cursor {
            self.underway.cursor = Some(id);
        }
        self.pin_for_what_is_open();
    }

    /// Rows of a statement's cursor are fetched by the command under way.
    pub(crate) fn fetching(&mut self, id: u32) {
        self.underway.cursor = Some(id);
    }

    /// The server's number of a statement of which this is open.
    pub(crate) fn opened(&self, id: u32, what: Open) -> Option<u32> {
        self.open.iter().find(|opened| opened.id == id && opened.what == what).map(|opened| opened.server_id)
    }

    /// The server's numbers of statements that were set apart and are no longer needed; told once.
    pub(crate) fn take_outdated(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.outdated)
    }

    /// Nothing of a statement is open any more.
    pub(crate) fn close(&mut self, id: u32) {
        let outdated = &mut self.outdated;
        self.open.retain(|opened| {
            let stays = opened.id != id;
            if !stays && !outdated.contains(&opened.server_id) {
                outdated.push(opened.server_id);
            }
            stays
        });
        self.pin_for_what_is_open();
    }

    fn pin_for_what_is_open(&mut self) {
        for (what, pin) in [(Open::Cursor, Pin::HoldCursor), (Open::LongData, Pin::LongData)] {
            match self.open.iter().any(|opened| opened.what == what) {
                true => self.pin_for(pin),
                false => self.unpin(pin),
            }
        }
    }

    /// What a command did to the pins is undone, but for what it has opened and closed.
    fn restore(&mut self, pins: Pins) {
        self.pins = pins;
        self.pin_for_what_is_open();
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

    /// Whether the client is one that asks for its last insert id.
    pub(crate) fn looks_back_at_insert_id(&self) -> bool {
        self.habits.insert_id
    }

    /// Whether tables may be other than before the last command.
    pub(crate) fn changes_schema(&self) -> bool {
        self.changes_schema || self.status.contains(Status::METADATA_CHANGED)
    }

    /// Whether the last text counted rows beyond those that it returned.
    pub(crate) fn counts_found_rows(&self) -> bool {
        self.ran.intersects(Effects::CALC_FOUND_ROWS)
    }

    /// The command was answered to its end. Decides what its changes come to.
    pub(crate) fn settle(&mut self, outcome: Outcome, server: &mut ServerConnection) {
        let Underway { effects, statements, pins_before, assigned, assignments, reported, changed, cursor, .. } =
            std::mem::take(&mut self.underway);
        if let Some(id) = cursor {
            let stays = self.status.contains(Status::CURSOR_EXISTS) && !self.status.contains(Status::LAST_ROW_SENT);
            if outcome != Outcome::Done || !stays {
                self.close(id);
            }
        }
        // Closed before the next command, however long the connection stays with the client.
        let open = &self.open;
        server.to_close.extend(self.outdated.extract_if(.., |id| !open.iter().any(|opened| opened.server_id == *id)));
        if let Outcome::Failed(code) = outcome {
            if code == NOT_PARSED && statements == Count::One && !effects.intersects(Effects::CALLS) {
                // It was no statement at all, so it did nothing of what it looked like. A procedure may say so of one of its own.
                self.restore(pins_before);
                return;
            }
            if effects.intersects(UNTOLD) {
                self.traces = Traces::Possible;
            }
            return;
        }
        let tracked = server.capabilities().contains(Capabilities::SESSION_TRACK);
        let untold = match assignments {
            Assignments::Known => !assigned.is_empty(),
            Assignments::Some => reported == 0,
        };
        if untold || (!tracked && effects.intersects(Effects::SETS.union(Effects::USE))) {
            self.pin_for(Pin::Settings);
        }
        if effects.intersects(Effects::NEXT_TRANSACTION) && !server.exchange.in_transaction() {
            self.pin_for(Pin::NextTransaction);
        }
        if effects.intersects(Effects::UNLOCK_TABLES) && !effects.intersects(Effects::LOCK_TABLES) {
            self.unpin(Pin::LockTables);
        }
        if changed {
            self.explain_change(effects, reported, server);
        } else if effects.intersects(Effects::CALLS) && !tracked {
            self.pin_for(Pin::Function);
        }
    }

    /// The server says that something changed: is it something we know of?
    fn explain_change(&mut self, effects: Effects, reported: u32, server: &mut ServerConnection) {
        let echo = std::mem::replace(&mut server.echo, Echo::None);
        if effects.intersects(Effects::CALLS) {
            // What was reported need not be all of it.
            return self.pin_for(Pin::Function);
        }
        let pinned = PINNING.iter().any(|(effect, _)| effects.intersects(*effect));
        if reported == 0 && !pinned && echo == Echo::None {
            self.pin_for(Pin::StateChange);
        }
    }

    /// What an assignment comes to, if that is certain: appends names and values as a server would report them.
    pub(crate) fn certain(
        &self,
        assignment: &Assignment<'_>,
        facts: &Facts,
        changes: &mut Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Option<()> {
        match assignment {
            Assignment::System { scope: Scope::Session, name, value } => {
                let name = name.to_ascii_lowercase();
                if name == b"autocommit" {
                    changes.push((name, switch(value)?.to_vec()));
                    return Some(());
                }
                // What it is already, whatever that means to the server.
                let known = self.settings.get(&name)?;
                (settings::is_replayable(&name) && value.plain() == Some(known)).then_some(())
            }
            Assignment::Names { charset, collation } => {
                // Without a collation it is the character set's default, of which servers have their own ideas.
                let found = facts.names(charset.plain()?, collation.as_ref()?.plain()?)?;
                for name in [&b"character_set_client"[..], b"character_set_connection", b"character_set_results"] {
                    changes.push((name.to_vec(), found.charset.clone()));
                }
                changes.push((b"collation_connection".to_vec(), found.name.clone()));
                Some(())
            }
            _ => None,
        }
    }

    /// Takes over a setting that no server was asked about.
    pub(crate) fn set_here(&mut self, name: &[u8], value: &[u8]) {
        if name == b"autocommit" {
            self.status = match value {
                b"ON" => self.status | Status::AUTOCOMMIT,
                _ => self.status.without(Status::AUTOCOMMIT),
            };
        }
        if !self.settings.set(name, value) {
            self.pin_for(Pin::Settings);
        }
        self.check_reading();
    }

    /// How texts are cut into words follows the settings.
    fn check_reading(&mut self) {
        self.reading = match self.settings.get(b"sql_mode") {
            Some(mode) => self.reading_by_default.with_sql_mode(mode),
            None => self.reading_by_default,
        };
        if let Some(charset) = self.settings.get(b"character_set_client") {
            self.reading.charset = Charset::of(charset);
        }
    }
}

/// Whether a text calls `LAST_INSERT_ID` with something between its parentheses, which is its next value.
fn may_set_insert_id(text: &[u8]) -> bool {
    const NAME: &[u8] = b"last_insert_id";
    let calls = text.windows(NAME.len()).enumerate().filter(|(_, word)| word.eq_ignore_ascii_case(NAME));
    let mut behind = calls.map(|(at, _)| text.get(at + NAME.len()..).unwrap_or_default().trim_ascii_start());
    behind.any(|rest| rest.strip_prefix(b"(").is_some_and(|inside| !inside.trim_ascii_start().starts_with(b")")))
}

/// The session's variables that an assignment sets, as servers report them.
fn assigned_names(assignment: Assignment<'_>) -> Vec<Vec<u8>> {
    match assignment {
        Assignment::System { scope: Scope::Session, name, .. } => vec![name.to_ascii_lowercase()],
        Assignment::Names { .. } | Assignment::CharacterSet { .. } => vec![b"character_set_client".to_vec()],
        Assignment::System { .. } | Assignment::User { .. } | Assignment::Transaction { .. } => Vec::new(),
    }
}

/// Whether a text may make, change or drop tables.
fn may_change_schema(verdict: Verdict) -> bool {
    use sql::mysql::Keyword::{Delete, Do, Insert, Load, Replace, Select, Set, Update, With};
    let only_rows = verdict.statements == Count::One
        && matches!(verdict.first, Delete | Do | Insert | Load | Replace | Select | Set | Update | With);
    let writes = Effects::WRITES.union(Effects::CALLS).union(Effects::TEMP).union(Effects::SQL_PREPARE);
    verdict.effects.intersects(writes) && !only_rows
}

/// The value of a switch, as servers report it.
fn switch(value: &Value<'_>) -> Option<&'static [u8]> {
    let text = match value {
        Value::Number(digits) => digits,
        value => value.plain()?,
    };
    match text.to_ascii_lowercase().as_slice() {
        b"1" | b"on" | b"true" => Some(b"ON"),
        b"0" | b"off" | b"false" => Some(b"OFF"),
        _ => None,
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// With this error number.
    Failed(u16),
}

/// Whether a client hears of a variable's change if it tracks its session and has not asked for more.
pub(crate) fn is_tracked_by_default(name: &[u8]) -> bool {
    TRACKED_BY_DEFAULT.contains(&name)
}

/// Variables that have two names.
fn is_same_variable(assigned: &[u8], reported: &[u8]) -> bool {
    const TWINS: [(&[u8], &[u8]); 4] = [
        (b"tx_isolation", b"transaction_isolation"),
        (b"tx_read_only", b"transaction_read_only"),
        (b"identity", b"last_insert_id"),
        (b"storage_engine", b"default_storage_engine"),
    ];
    assigned == reported
        || TWINS
            .iter()
            .any(|&(one, other)| (assigned, reported) == (one, other) || (assigned, reported) == (other, one))
}
