//! What a client's session consists of beyond its current transaction, and so must follow it from one server connection
//! to the next, or hold it on one.

use pg::{
    settings::{Settings, Value},
    statement::ClientStatements,
};
use route::SessionState;
use sql::{Effects, Scope, SettingChange, Verdict};

use crate::{pin::Pin, postgres::server::ServerConnection};

/// What pins, by effect.
const PINNING: [(Effects, Pin); 8] = [
    (Effects::TEMP, Pin::TemporaryTable),
    (Effects::LISTENS, Pin::Listen),
    (Effects::PREPARES, Pin::SqlPrepare),
    (Effects::ADVISORY, Pin::AdvisoryLock),
    (Effects::CURSOR_HOLD, Pin::HoldCursor),
    (Effects::ROLE, Pin::Role),
    (Effects::SET_CONFIG, Pin::Settings),
    (Effects::SESSION_FUNCTION, Pin::Function),
];

/// The setting by which a session says what work it does: Vitess's `workload`.
pub(super) const WORKLOAD: &[u8] = b"evenkeel.workload";

/// Settings that follow a client whatever is to become of others: what its class is chosen by, and in which characters it
/// speaks. They cost no connection of its own.
const FOLLOWED: [&[u8]; 3] = [WORKLOAD, b"application_name", b"client_encoding"];

fn is_followed(name: &[u8]) -> bool {
    FOLLOWED.iter().any(|followed| followed.eq_ignore_ascii_case(name))
}

/// Whether a text changes a setting that makes its connection the session's own, where that is so configured.
pub(super) fn reserves(text: &[u8]) -> bool {
    let Some(mut changes) = sql::inspect_settings(text, true) else { return true };
    changes.any(|change| match change {
        SettingChange::Set { name, scope, .. } => scope == Scope::Session && !is_followed(name),
        SettingChange::TransactionDefaults { .. } => true,
        // Back to where it began.
        SettingChange::Reset { .. } | SettingChange::ResetAll => false,
    })
}

/// Client encodings in which a byte of a longer character may look like ASCII.
const HIDING: [&str; 8] = ["SJIS", "SHIFTJIS2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "MSKANJI"];

/// PostgreSQL compares encoding names without regard to case and to what is neither letter nor digit
/// (`clean_encoding_name`, `src/common/encnames.c`).
fn same_encoding(known: &str, name: &[u8]) -> bool {
    let clean = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase);
    clean.eq(known.bytes())
}

/// A client's session state.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Its prepared statements.
    pub(crate) statements: ClientStatements,
    /// Its settings, as they shall be on whichever connection serves it.
    pub(crate) settings: Settings,
    /// What it came with; RESET leads back to it.
    startup: Settings,
    /// What becomes of settings that it changes.
    pub(crate) session_state: SessionState,
    pin: Option<Pin>,
    changes: Vec<Change>,
    underway: Underway,
    pub(crate) sequences: Sequences,
    traces: Traces,
    savepoints: Savepoints,
}

/// A change of settings that is not certain yet: its statement may fail, its transaction may roll back.
#[derive(Debug)]
struct Change {
    what: What,
    stage: Stage,
}

#[derive(Debug)]
enum What {
    Set(Box<[u8]>, Value),
    Reset(Box<[u8]>),
    ResetAll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Sent, not yet answered.
    Sent,
    /// Done, if the transaction commits.
    Done,
}

/// What a unit of work that was sent and not yet answered does to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Underway {
    /// Nothing that must be followed.
    #[default]
    Ordinary,
    /// It changes settings or forgets statements. What came of it decides how the next one is to be read.
    Changing,
}

/// What makes a unit of work [`Underway::Changing`].
const CHANGING: Effects = Effects::SETS.union(Effects::DISCARDS).union(Effects::DEALLOCATES);

/// What a lease may leave on its connection that nobody can tell from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Traces {
    /// Nothing.
    #[default]
    None,
    /// What code that the client called may have set up: `DO`, `CALL`, functions that run a string.
    Possible,
}

/// What is known of the client's use of sequences. Two facts that do not depend on each other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sequences {
    /// It has asked for the last value of one before.
    pub(crate) asked: bool,
    /// It may have advanced one in the lease under way.
    pub(crate) used: bool,
}

/// Whether the open transaction used savepoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Savepoints {
    #[default]
    None,
    Used,
}

impl State {
    /// The state of a client that came with these settings.
    pub(crate) fn new(startup: Settings) -> Self {
        let mut state = Self { settings: startup.clone(), startup, ..Self::default() };
        state.check_legible();
        state
    }

    /// Why the server connection must stay with the client, if so.
    pub(crate) fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// Holds the session on its server connection from now on.
    pub(crate) fn pin_for(&mut self, why: Pin) {
        self.pin.get_or_insert(why);
    }

    /// Whether a statement must wait until all that was sent before it is answered: else it could not be told which
    /// statement an answer belongs to, and what a failure took back.
    pub(crate) fn must_follow(verdict: Verdict) -> bool {
        verdict.effects.intersects(CHANGING)
    }

    /// Whether such a statement is on its way, and the next unit must wait for its answer.
    pub(crate) fn is_changing(&self) -> bool {
        self.underway == Underway::Changing
    }

    /// A unit of work was answered to its end.
    pub(crate) fn unit_ended(&mut self) {
        self.underway = Underway::Ordinary;
    }

    /// Whether the connection holds session state that must not meet another client.
    pub(crate) fn leaves_traces(&self) -> bool {
        self.pin.is_some()
            || self.traces == Traces::Possible
            || !self.changes.is_empty()
            || self.underway == Underway::Changing
    }

    /// What the lease that ends may leave behind; the next one begins with nothing.
    pub(crate) fn take_traces(&mut self) -> Traces {
        std::mem::take(&mut self.traces)
    }

    /// Takes notice of a statement that is about to run.
    pub(crate) fn note(&mut self, text: &[u8], verdict: Verdict) {
        let effects = verdict.effects;
        if effects.is_empty() {
            return;
        }
        for (effect, pin) in PINNING {
            if effects.intersects(effect) {
                self.pin_for(pin);
            }
        }
        if effects.intersects(CHANGING) {
            self.underway = Underway::Changing;
        }
        if effects.intersects(Effects::SETS) {
            self.note_settings(text);
        }
        if effects.intersects(Effects::CALLS) {
            self.traces = Traces::Possible;
        }
        if effects.intersects(Effects::SAVEPOINTS) {
            self.savepoints = Savepoints::Used;
        }
        // A savepoint may take back some changes and keep others; which, only the server knows.
        if self.savepoints == Savepoints::Used && !self.changes.is_empty() {
            self.pin_for(Pin::Settings);
        }
    }

    fn note_settings(&mut self, text: &[u8]) {
        let Some(changes) = sql::inspect_settings(text, true) else { return self.pin_for(Pin::Settings) };
        for change in changes {
            let what = match change {
                SettingChange::Set { scope: Scope::Local, .. } | SettingChange::Reset { scope: Scope::Local, .. } => {
                    continue;
                }
                SettingChange::Set { name, value, .. } => What::Set(name.into(), Value::Sql(value.into())),
                SettingChange::Reset { name, .. } => What::Reset(name.into()),
                SettingChange::ResetAll => What::ResetAll,
                SettingChange::TransactionDefaults { .. } => return self.pin_for(Pin::Settings),
            };
            self.changes.push(Change { what, stage: Stage::Sent });
        }
    }

    /// A command of the client completed with this tag.
    pub(crate) fn completed(&mut self, tag: &[u8], server: &mut ServerConnection) {
        match tag {
            b"SET" | b"RESET" => {
                if let Some(change) = self.changes.iter_mut().find(|change| change.stage == Stage::Sent) {
                    change.stage = Stage::Done;
                }
            }
            // A text of several statements may go on behind the end of its transaction.
            b"COMMIT" | b"PREPARE TRANSACTION" => self.commit(server),
            b"ROLLBACK" => self.changes.retain(|change| change.stage == Stage::Sent),
            b"DEALLOCATE ALL" => self.forget_statements(server),
            b"DISCARD ALL" => {
                self.forget_statements(server);
                self.pin = None;
                self.changes.clear();
                self.changes.push(Change { what: What::ResetAll, stage: Stage::Done });
            }
            _ => {}
        }
    }

    /// A command of the client failed: whatever its transaction had changed will be taken back.
    pub(crate) fn failed(&mut self) {
        self.changes.clear();
        self.underway = Underway::Ordinary;
    }

    /// The server is outside a transaction: what is certain now becomes part of the session.
    pub(crate) fn settle(&mut self, server: &mut ServerConnection) {
        self.savepoints = Savepoints::None;
        self.commit(server);
        self.changes.clear();
    }

    /// What was done is certain now.
    fn commit(&mut self, server: &mut ServerConnection) {
        let (done, sent) =
            std::mem::take(&mut self.changes).into_iter().partition(|change| change.stage == Stage::Done);
        self.changes = sent;
        let done: Vec<Change> = done;
        for change in done {
            self.apply(change.what, server);
        }
    }

    /// The server reported a parameter's value: the truth, whoever changed it.
    pub(crate) fn reported(&mut self, name: &[u8], value: &[u8], server: &mut ServerConnection) {
        if pg::settings::is_report_only(name) {
            return;
        }
        self.take_over(name, &Value::Plain(value.into()), server);
        self.check_legible();
    }

    /// Verdicts on statements hold for standard strings in encodings in which ASCII bytes are ASCII.
    fn check_legible(&mut self) {
        let nonstandard = matches!(
            self.settings.get(b"standard_conforming_strings"),
            Some(Value::Plain(value)) if !matches!(&**value, b"on" | b"true" | b"yes" | b"1")
        );
        let hiding = matches!(
            self.settings.get(b"client_encoding"),
            Some(Value::Plain(value)) if HIDING.iter().any(|name| same_encoding(name, value))
        );
        if nonstandard || hiding {
            self.pin_for(Pin::Illegible);
        }
    }

    /// A setting of the connection has this value now.
    fn take_over(&mut self, name: &[u8], value: &Value, server: &mut ServerConnection) {
        if !self.settings.set(name, value.clone()) || !server.settings.set(name, value.clone()) {
            self.pin_for(Pin::Settings);
        }
    }

    /// The lease ends. Where changed settings are to last no longer, the session is as it came.
    pub(crate) fn end_lease(&mut self) {
        if self.session_state != SessionState::Ignore || self.settings == self.startup {
            return;
        }
        let mut settings = self.startup.clone();
        for (name, value) in self.settings.iter().filter(|(name, _)| is_followed(name)) {
            settings.set(name, value.clone());
        }
        self.settings = settings;
    }

    fn apply(&mut self, what: What, server: &mut ServerConnection) {
        if let What::Set(name, _) = &what
            && self.session_state == SessionState::Reserve
            && !is_followed(name)
        {
            self.pin_for(Pin::Reserved);
        }
        match what {
            // Reported parameters are followed by their reports, which are exact.
            What::Set(name, _) | What::Reset(name) if server.reports(&name) => {}
            What::Set(name, value) => self.take_over(&name, &value, server),
            What::Reset(name) => {
                server.settings.reset(&name);
                let startup = self.startup.get(&name.to_ascii_lowercase()).cloned();
                match startup {
                    Some(value) => drop(self.settings.set(&name, value)),
                    None => self.settings.reset(&name),
                }
            }
            What::ResetAll => {
                self.settings = self.startup.clone();
                server.settings = Settings::default();
            }
        }
    }

    fn forget_statements(&mut self, server: &mut ServerConnection) {
        self.statements.clear();
        server.statements.clear();
        server.to_close.clear();
    }
}
