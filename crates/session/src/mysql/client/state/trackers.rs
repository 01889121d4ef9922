//! What a client hears of changes in its session: what a server tells unasked, and what the client has asked for.
//!
//! Server connections tell us of everything. A client that changes what is told keeps its connection from then on, so that
//! the server itself does as it was asked; here is only known that it was.

use mysql::view::Change;

use super::{State, tracked::TRACKED_BY_DEFAULT};

/// Variables by which a client changes what is told, of those whose default would have us tell less than the server does.
const NAMES: [(&[u8], u8); 3] = [
    (b"session_track_system_variables", Trackers::VARIABLES),
    (b"session_track_state_change", Trackers::STATE_CHANGE),
    (b"session_track_transaction_info", Trackers::TRANSACTION),
];

/// Which of them a client has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Trackers(u8);

impl State {
    /// Whether the client hears of a change that the server told.
    pub(crate) fn hears_of(&self, change: &Change<'_>) -> bool {
        self.trackers.let_through(change)
    }

    /// Whether the client hears of what clients hear of who have not asked for anything else.
    pub(crate) fn hears_as_usual(&self) -> bool {
        self.trackers.is_empty()
    }
}

impl Trackers {
    const VARIABLES: u8 = 1;
    const STATE_CHANGE: u8 = 2;
    const TRANSACTION: u8 = 4;

    /// Those that a text with assignments may set.
    pub(super) fn named_in(text: &[u8]) -> Self {
        let names = |name: &[u8]| text.windows(name.len()).any(|word| word.eq_ignore_ascii_case(name));
        Self(NAMES.iter().filter(|(name, _)| names(name)).fold(0, |all, (_, tracker)| all | tracker))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn add(&mut self, more: Self) {
        self.0 |= more.0;
    }

    /// Whether the client hears of a change that the server told.
    pub(super) fn let_through(self, change: &Change<'_>) -> bool {
        match change {
            Change::SystemVariable { name, .. } => self.has(Self::VARIABLES) || TRACKED_BY_DEFAULT.contains(name),
            // Of these we have servers tell no more than they would anyway.
            Change::Schema(_) | Change::Gtid(_) => true,
            Change::StateChanged(_) => self.has(Self::STATE_CHANGE),
            Change::Characteristics(_) | Change::TransactionState(_) => self.has(Self::TRANSACTION),
            Change::Unknown { .. } => false,
        }
    }

    fn has(self, tracker: u8) -> bool {
        self.0 & tracker != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_hears_what_it_has_asked_for() {
        let changes = [
            Change::SystemVariable { name: b"time_zone", value: b"UTC" },
            Change::Schema(b"shop"),
            Change::Gtid(b"x:1"),
            Change::SystemVariable { name: b"statement_id", value: b"7" },
            Change::StateChanged(true),
            Change::TransactionState(b"________"),
            Change::Characteristics(b""),
            Change::Unknown { kind: 9, data: b"" },
        ];
        let heard = |text: &str| {
            let trackers = Trackers::named_in(text.as_bytes());
            changes.map(|change| if trackers.let_through(&change) { '+' } else { '-' }).iter().collect::<String>()
        };
        assert_eq!(heard("set sql_mode = ''"), "+++-----");
        assert_eq!(heard("set SESSION_track_system_variables = '*'"), "++++----");
        assert_eq!(heard("set @@session.`session_track_state_change` = on"), "+++-+---");
        assert_eq!(heard("set session_track_transaction_info = 'STATE', sql_mode = ''"), "+++--++-");
    }
}
