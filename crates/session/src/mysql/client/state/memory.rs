//! What the functions that look back at the last statement answer.

use mysql::Status;
use sql::{
    Count,
    mysql::{Diagnostics as Asked, Effects, FoundRows, Keyword, Verdict},
};

use super::State;
use crate::mysql::client::Diagnostics;

/// What the functions that look back at the last statement answer.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// `LAST_INSERT_ID()`.
    pub(crate) insert_id: u64,
    /// `FOUND_ROWS()`, as far as it is known here.
    found_rows: u64,
    found_by: FoundBy,
    /// `ROW_COUNT()`.
    pub(crate) row_count: i64,
    /// `SHOW WARNINGS`, as far as it is known here.
    pub(crate) diagnostics: Diagnostics,
    conditions_at: ConditionsAt,
    /// How many of them the last statement told. MySQL tells that again with every command that is no statement.
    warnings: u16,
}

/// Who knows the conditions of the client's last statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ConditionsAt {
    #[default]
    Here,
    /// The connection that is held, which is asked before it goes back. The statement has told so many warnings.
    Server { warnings: u16 },
}

/// Who knows what `FOUND_ROWS()` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum FoundBy {
    /// It is known here.
    #[default]
    Here,
    /// The connection that is held knows. It is asked before it goes back.
    Asking,
    /// The connection that is held knows. It is not asked: few clients want to know.
    Server,
    /// Nobody any more; what is known here is as good as it gets.
    Nobody,
}

impl Memory {
    /// What `FOUND_ROWS()` answers; `None`: the connection that is held knows.
    pub(crate) fn found_rows(&self) -> Option<u64> {
        match self.found_by {
            FoundBy::Here | FoundBy::Nobody => Some(self.found_rows),
            FoundBy::Asking | FoundBy::Server => None,
        }
    }

    /// Whether the connection is to be asked for `FOUND_ROWS()` before it goes back.
    pub(crate) fn wants_found_rows(&self) -> bool {
        self.found_by == FoundBy::Asking
    }

    /// The connection was asked.
    pub(crate) fn learn_found_rows(&mut self, rows: u64) {
        (self.found_rows, self.found_by) = (rows, FoundBy::Here);
    }

    /// The connection was asked for `LAST_INSERT_ID()`; `before` is what it said before, if that was another client's.
    pub(crate) fn learn_insert_id(&mut self, told: u64, before: Option<u64>) {
        if before != Some(told) {
            self.insert_id = told;
        }
    }

    /// What a reset leaves of it: servers forget all but how many rows were found.
    pub(super) fn after_reset(&self) -> Self {
        Self { found_rows: self.found_rows, found_by: self.found_by, ..Self::default() }
    }

    /// Whether the connection is to be asked for the conditions before it goes back.
    pub(crate) fn wants_conditions(&self) -> bool {
        self.conditions_at != ConditionsAt::Here
    }

    /// The connection was asked: the rows of its `SHOW WARNINGS`.
    pub(crate) fn learn_conditions(&mut self, rows: &[Vec<u8>]) {
        if let ConditionsAt::Server { warnings } = std::mem::take(&mut self.conditions_at) {
            self.diagnostics = Diagnostics::of_rows(rows, warnings);
        }
    }

    fn know_conditions(&mut self, diagnostics: Diagnostics) {
        (self.diagnostics, self.conditions_at) = (diagnostics, ConditionsAt::Here);
    }

    /// The connection goes back: what it knows is no longer to be had.
    pub(crate) fn part(&mut self) {
        if self.wants_conditions() {
            self.know_conditions(Diagnostics::default());
        }
        if self.found_rows().is_none() {
            self.found_by = FoundBy::Nobody;
        }
    }
}

/// What the text under way will do to the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Afterwards {
    found_rows: FoundRows,
    /// Rows were left out by a `LIMIT` and counted, so that the client can ask.
    counts_rows: bool,
    conditions: Conditions,
}

/// What becomes of the conditions of the statement before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conditions {
    /// The command is no statement. What the server tells of them is of whoever ran one on the connection before.
    Untouched,
    /// They stay, if this statement has none.
    Kept,
    Cleared,
    /// Some of its statements look at them, or keep them, and others do not.
    Unsure,
}

impl Afterwards {
    /// What most commands that are no texts do.
    pub(super) const NOTHING: Self =
        Self { found_rows: FoundRows::Kept, counts_rows: false, conditions: Conditions::Untouched };
}

impl State {
    /// What a text will do to the memory. Only what matters to this client is looked at.
    pub(super) fn afterwards(&mut self, text: &[u8], verdict: Verdict) -> Afterwards {
        let effects = verdict.effects;
        if effects.intersects(Effects::FOUND_ROWS) && self.memory.found_by == FoundBy::Nobody {
            self.habits.found_rows = true;
        }
        let found_rows = match self.habits.found_rows {
            true => sql::mysql::found_rows(text, self.reading, verdict),
            false if effects.intersects(Effects::TRANSACTION | Effects::USE | Effects::SETS) => FoundRows::Kept,
            false => FoundRows::Unsure,
        };
        let conditions = self.conditions_behind(text, verdict);
        Afterwards { found_rows, counts_rows: effects.intersects(Effects::CALC_FOUND_ROWS), conditions }
    }

    fn conditions_behind(&self, text: &[u8], verdict: Verdict) -> Conditions {
        if verdict.effects.intersects(Effects::READS_DIAGNOSTICS) {
            let is_show = verdict.statements == Count::One && matches!(verdict.first, Keyword::Show | Keyword::Get);
            return if is_show { Conditions::Kept } else { Conditions::Unsure };
        }
        let are_none = self.memory.diagnostics.is_empty() && !self.memory.wants_conditions();
        let are_kept = !are_none && self.reading.mariadb && sql::mysql::uses_no_table(text, self.reading, verdict);
        if are_kept { Conditions::Kept } else { Conditions::Cleared }
    }

    /// A statement is about to be prepared. If that fails, it leaves an error like any other.
    pub(crate) fn begin_preparing(&mut self) {
        self.begin();
        self.underway.afterwards.conditions = Conditions::Kept;
    }

    /// The client was told here what a statement wanted to know of the one before.
    pub(crate) fn looked_back(&mut self, asked: &Asked<'_>, verdict: Verdict) {
        (self.memory.row_count, self.memory.warnings) = (-1, 0);
        if let Asked::CountWarnings { .. } | Asked::CountErrors { .. } = asked {
            self.memory.learn_found_rows(1);
        }
        if verdict.first == Keyword::Select && !self.reading.mariadb {
            self.memory.know_conditions(Diagnostics::default());
        }
    }

    /// A `SET` was answered here.
    pub(crate) fn set_is_answered(&mut self) {
        (self.memory.row_count, self.memory.warnings) = (0, 0);
        if !self.reading.mariadb {
            self.memory.know_conditions(Diagnostics::default());
        }
    }

    /// The command failed.
    pub(crate) fn fail(&mut self, code: u16, message: &[u8]) {
        self.note_failure(message);
        self.memory.row_count = -1;
        match self.underway.afterwards.conditions {
            Conditions::Untouched if !self.reading.mariadb => {
                self.memory.diagnostics.add_error(code, message);
                self.memory.warnings = self.memory.warnings.saturating_add(1);
            }
            _ => {
                self.memory.know_conditions(Diagnostics::of_error(code, message));
                self.memory.warnings = 1;
            }
        }
    }

    /// How many warnings the client is told where the server tells so many, and how many of them are new.
    pub(crate) fn warned(&mut self, told: u16) -> (u16, u16) {
        match self.underway.afterwards.conditions {
            Conditions::Untouched => (self.warnings(), 0),
            _ => {
                self.memory.warnings = told;
                (told, told)
            }
        }
    }

    /// How many warnings a command that is no statement tells.
    pub(crate) fn warnings(&self) -> u16 {
        if self.reading.mariadb { 0 } else { self.memory.warnings }
    }

    /// A statement was prepared, with so many warnings.
    pub(crate) fn prepared(&mut self, text: &[u8], verdict: Verdict, warnings: u16) {
        if !self.reading.mariadb {
            self.memory.warnings = warnings;
        } else if verdict.effects.intersects(Effects::READS_DIAGNOSTICS)
            || sql::mysql::uses_no_table(text, self.reading, verdict)
        {
            return;
        }
        self.memory.know_conditions(Diagnostics::default());
    }

    /// A result has ended that had so many rows.
    pub(crate) fn returned(&mut self, rows: u64) {
        if self.underway.afterwards.found_rows != FoundRows::Kept {
            self.memory.found_rows = rows;
        }
        self.memory.row_count = -1;
    }

    /// The text has succeeded, with so many warnings.
    pub(super) fn settle_memory(&mut self, afterwards: Afterwards) {
        let Afterwards { found_rows, counts_rows, conditions } = afterwards;
        match found_rows {
            // The rows behind a cursor are still to be fetched.
            FoundRows::Returned if self.status.contains(Status::CURSOR_EXISTS) => {
                self.memory.found_by = FoundBy::Asking
            }
            FoundRows::Kept => {}
            FoundRows::Returned => self.memory.found_by = FoundBy::Here,
            FoundRows::Unsure if counts_rows || self.habits.found_rows => self.memory.found_by = FoundBy::Asking,
            FoundRows::Unsure if self.memory.found_by == FoundBy::Asking => {}
            FoundRows::Unsure => self.memory.found_by = FoundBy::Server,
        }
        match (conditions, self.memory.warnings) {
            (Conditions::Untouched, _) | (Conditions::Kept, 0) => {}
            (Conditions::Cleared, 0) => self.memory.know_conditions(Diagnostics::default()),
            (_, warnings) => self.memory.conditions_at = ConditionsAt::Server { warnings },
        }
    }
}
