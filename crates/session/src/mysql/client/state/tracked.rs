//! The settings that a session has: those that the server reports, and those that are certain without it.

use mysql::{
    Status, settings,
    view::{Change, OkPacket},
};
use route::SessionState;
use sql::mysql::{Assignment, Charset, Scope, Value};

use super::State;
use crate::{
    mysql::{
        facts::Facts,
        server::{InsertId, ServerConnection},
    },
    pin::Pin,
};

/// MariaDB's name for what a transaction became in the binary log: reported like a setting, but nobody can set it.
const LAST_GTID: &[u8] = b"last_gtid";

/// The variables whose changes a server reports unless it is asked for others (`session_track_system_variables`, MySQL
/// 9, MariaDB 10.11): what a client that tracks its session expects to hear of.
pub(super) const TRACKED_BY_DEFAULT: [&[u8]; 6] = [
    b"autocommit",
    b"character_set_client",
    b"character_set_connection",
    b"character_set_results",
    b"redirect_url",
    b"time_zone",
];

/// Variables that follow a client whatever is to become of others: where its transactions end, and in which characters it
/// speaks. They cost no connection of its own.
const FOLLOWED: [&[u8]; 5] = [
    b"autocommit",
    b"character_set_client",
    b"character_set_connection",
    b"character_set_results",
    b"collation_connection",
];

/// Whether the session's `collation_connection` is known. Servers report the character set that `SET NAMES` sets, but not the
/// collation, which it sets too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Collation {
    #[default]
    Known,
    /// The connection is asked before it goes back.
    Untold,
}

impl State {
    /// Whether the connection is to be asked for its collation before it goes back.
    pub(crate) fn wants_collation(&self) -> bool {
        self.collation == Collation::Untold
    }

    /// The connection has told its collation, or could not.
    pub(crate) fn learn_collation(&mut self, told: Option<&[u8]>, server: &mut ServerConnection) {
        const NAME: &[u8] = b"collation_connection";
        match told {
            Some(name) if self.settings.set(NAME, name) && server.settings.set(NAME, name) => {
                self.collation = Collation::Known;
            }
            _ => self.pin_for(Pin::Settings),
        }
    }

    /// A result is complete. Takes over what the server tells of the session.
    pub(crate) fn note(&mut self, ok: &OkPacket<'_>, server: &mut ServerConnection) {
        self.status = ok.status;
        self.trackers.add(self.underway.trackers);
        for change in ok.changes {
            if let Change::SystemVariable { name, .. } = change {
                self.collation = match name {
                    b"character_set_connection" => Collation::Untold,
                    b"collation_connection" => Collation::Known,
                    _ => self.collation,
                };
            }
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
        } else if self.session_state == SessionState::Reserve && !FOLLOWED.contains(&name) {
            self.pin_for(Pin::Reserved);
        }
        self.check_reading();
    }

    /// The lease ends. Where changed settings are to last no longer, the session is as it came.
    pub(crate) fn end_lease(&mut self) {
        if self.session_state != SessionState::Ignore || self.settings == self.startup {
            return;
        }
        let mut settings = self.startup.clone();
        settings.set_schema(self.settings.schema());
        for name in FOLLOWED {
            if let Some(value) = self.settings.get(name) {
                settings.set(name, value);
            }
        }
        self.settings = settings;
        self.check_reading();
    }

    /// Whether a text changes a setting that makes its connection the session's own, where that is so configured.
    pub(crate) fn reserves(&self, text: &[u8]) -> bool {
        let Some(mut assignments) = sql::mysql::assignments(text, self.reading) else { return true };
        assignments.any(|assignment| match assignment {
            Assignment::System { scope: Scope::Session, name, .. } => {
                !FOLLOWED.contains(&name.to_ascii_lowercase().as_slice())
            }
            _ => false,
        })
    }

    /// Characteristics told outside a transaction are those of the next one.
    fn characteristics(&mut self, text: &[u8], status: Status) {
        if status.contains(Status::IN_TRANS) || text.is_empty() {
            self.unpin(Pin::NextTransaction);
        } else {
            self.pin_for(Pin::NextTransaction);
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
                let known = self.settings.get(&name)?.to_vec();
                if !settings::is_replayable(&name) || value.plain() != Some(known.as_slice()) {
                    return None;
                }
                changes.push((name, known));
                Some(())
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
        if name == b"collation_connection" {
            self.collation = Collation::Known;
        }
        self.check_reading();
    }

    /// How texts are cut into words follows the settings.
    pub(super) fn check_reading(&mut self) {
        self.reading = match self.settings.get(b"sql_mode") {
            Some(mode) => self.reading_by_default.with_sql_mode(mode),
            None => self.reading_by_default,
        };
        if let Some(charset) = self.settings.get(b"character_set_client") {
            self.reading.charset = Charset::of(charset);
        }
    }
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

/// Variables that have two names.
pub(super) fn is_same_variable(assigned: &[u8], reported: &[u8]) -> bool {
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
