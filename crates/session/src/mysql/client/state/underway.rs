//! The command under way: what it may do to the session, and what it came to.

use mysql::{Capabilities, Status};
use sql::{
    Count,
    mysql::{Assignment, Effects, Keyword, Scope, TransactionVerb, Verdict},
};

use super::{
    State,
    given::Given,
    memory::Afterwards,
    pins::{PINNING, Pins, Traces},
    trackers::Trackers,
};
use crate::{
    mysql::server::{Echo, ServerConnection},
    pin::Pin,
};

/// `ER_PARSE_ERROR`.
const NOT_PARSED: u16 = 1064;

/// How much of a text is looked for in the error that says where it was not understood, in bytes. Servers tell 80 characters.
const UNKNOWN_LEN: usize = 24;

/// `ER_UNKNOWN_STMT_HANDLER`.
const NOT_PREPARED: u16 = 1243;

/// What a failing statement may have changed without our being told: the server reports changes with OK only.
const UNTOLD: Effects = Effects::CALLS.union(Effects::SETS);

/// What is to be watched for while a command is under way.
#[derive(Debug)]
pub(super) struct Underway {
    pub(super) effects: Effects,
    /// How many statements the text holds.
    statements: Count,
    /// What pinned before.
    pins_before: Pins,
    /// Variables that the text sets and the server has not reported yet.
    pub(super) assigned: Vec<Vec<u8>>,
    /// Whether the names in `assigned` are all that the text sets.
    assignments: Assignments,
    /// Variables and databases that the server reported.
    pub(super) reported: u32,
    /// The server says that something in the session changed.
    pub(super) changed: bool,
    /// The last insert id may be set without our being told.
    pub(super) sets_insert_id: bool,
    /// Where the client may have given an insert id itself.
    pub(super) given: Given,
    /// What the text may have the server tell.
    pub(super) trackers: Trackers,
    /// The statement whose cursor is opened or read.
    pub(super) cursor: Option<u32>,
    /// How the text begins, if with a word that we do not know.
    unknown: Vec<u8>,
    /// The server does not know that word either.
    misspelt: bool,
    /// It ends the connection, if it succeeds.
    releases: bool,
    /// What will be known of it afterwards.
    pub(super) afterwards: Afterwards,
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
            given: Given::default(),
            trackers: Trackers::default(),
            cursor: None,
            unknown: Vec::new(),
            misspelt: false,
            releases: false,
            afterwards: Afterwards::NOTHING,
        }
    }
}

/// How well the assignments of a text are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Assignments {
    /// There are none, or all of them are known by name.
    #[default]
    Known,
    /// There are some.
    Some,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// With this error number.
    Failed(u16),
}

impl State {
    /// A command is about to be sent that does nothing to the session but what its reply says.
    pub(crate) fn begin(&mut self) {
        self.underway = Underway { pins_before: self.pins, ..Underway::default() };
        self.unsent = Some(self.pins);
        self.changes_schema = false;
    }

    /// The command that was about to be sent is not sent after all.
    pub(crate) fn abandon(&mut self) {
        if let Some(pins) = self.unsent.take() {
            self.restore(pins);
        }
        self.underway = Underway::default();
    }

    /// The command is on its way: whatever it does is done.
    pub(crate) fn sent(&mut self) {
        self.unsent = None;
    }

    /// A text, or a statement with this text, is about to run.
    pub(crate) fn begin_text(&mut self, text: &[u8], verdict: Verdict) {
        let effects = verdict.effects;
        self.begin();
        self.underway.effects = effects;
        self.underway.afterwards = self.afterwards(text, verdict);
        self.underway.statements = verdict.statements;
        self.changes_schema = may_change_schema(verdict);
        let names_insert_id = effects.intersects(Effects::LAST_INSERT_ID);
        self.habits.insert_id |= names_insert_id;
        self.underway.sets_insert_id =
            effects.intersects(Effects::CALLS) || (names_insert_id && may_set_insert_id(text));
        if effects.is_empty() {
            return;
        }
        if effects.intersects(Effects::WRITES) && !self.habits.insert_id {
            self.underway.given = Given::by_text(text, verdict);
        }
        if verdict.first == Keyword::Other {
            let begins = text.trim_ascii_start();
            self.underway.unknown = begins.get(..UNKNOWN_LEN).unwrap_or(begins).to_vec();
        }
        self.underway.releases = effects.intersects(Effects::TRANSACTION) && self.releases(text);
        for (effect, pin) in PINNING {
            if effects.intersects(effect) {
                self.pin_for(pin);
            }
        }
        self.habits.global_locks |= effects.intersects(Effects::FLUSH_LOCK);
        if effects.intersects(Effects::NEXTVAL) {
            self.habits.advanced = true;
            if self.habits.sequences {
                self.pin_for(Pin::Function);
            }
        }
        if effects.intersects(Effects::SETS) {
            self.underway.trackers = Trackers::named_in(text);
            if !self.underway.trackers.is_empty() {
                // Whether we were told of all else that the text sets is not known then.
                self.pin_for(Pin::Settings);
            }
            let assignments = (verdict.statements == Count::One).then(|| sql::mysql::assignments(text, self.reading));
            match assignments.flatten() {
                Some(assignments) => self.underway.assigned = assignments.flat_map(assigned_names).collect(),
                None => self.underway.assignments = Assignments::Some,
            }
        }
    }

    /// The command failed with this message: notes whether the server stumbled over the very first word of the text.
    pub(super) fn note_failure(&mut self, message: &[u8]) {
        let unknown = &self.underway.unknown;
        let quoted = [b"'", unknown.as_slice()].concat();
        self.underway.misspelt = !unknown.is_empty() && memchr::memmem::find(message, &quoted).is_some();
    }

    /// The command was answered to its end. Decides what its changes come to.
    pub(crate) fn settle(&mut self, outcome: Outcome, server: &mut ServerConnection) {
        let Underway {
            effects,
            statements,
            pins_before,
            assigned,
            assignments,
            reported,
            changed,
            cursor,
            afterwards,
            releases,
            misspelt,
            ..
        } = std::mem::take(&mut self.underway);
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
            // It was no statement at all, so it did nothing of what it looked like. A procedure may say so of one of its own.
            let nothing = code == NOT_PARSED && (misspelt || !effects.intersects(Effects::CALLS));
            // There is no such prepared statement, as was to be expected.
            let unknown =
                code == NOT_PREPARED && effects.intersects(Effects::SQL_PREPARE) && !pins_before.has(Pin::SqlPrepare);
            if statements == Count::One && (nothing || unknown) {
                self.restore(pins_before);
                return;
            }
            if effects.intersects(UNTOLD) {
                self.traces = Traces::Possible;
            }
            return;
        }
        self.settle_memory(afterwards);
        if releases {
            // The server closes it, and so ends the session.
            server.spoil("its client released it at the end of a transaction");
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
        let keeps_locks = effects.intersects(Effects::LOCK_TABLES) || self.habits.global_locks;
        if effects.intersects(Effects::UNLOCK_TABLES) && !keeps_locks {
            self.unpin(Pin::LockTables);
        }
        if changed {
            self.explain_change(effects, reported, server);
        } else if effects.intersects(Effects::CALLS) && !tracked {
            self.pin_for(Pin::Function);
        }
    }

    /// Whether a statement about transactions ends the connection.
    fn releases(&self, text: &[u8]) -> bool {
        match sql::mysql::transaction_verb(text, self.reading) {
            Some(TransactionVerb::Commit(end) | TransactionVerb::Rollback(end)) => {
                end.release.unwrap_or_else(|| self.settings.get(b"completion_type") == Some(b"RELEASE"))
            }
            _ => false,
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
