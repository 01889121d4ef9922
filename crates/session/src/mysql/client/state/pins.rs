//! Why a session holds its server connection, and what it may leave there.

use sql::mysql::Effects;

use super::State;
use crate::pin::Pin;

/// The reasons to keep a server connection that hold now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pins(u32);

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

    pub(super) fn has(self, pin: Pin) -> bool {
        self.0 & Self::bit(pin) != 0
    }

    /// The first of them, by number.
    fn first(self) -> Option<Pin> {
        Pin::from_code(u8::try_from(self.0.trailing_zeros()).ok()?)
    }
}

/// What pins, by effect.
pub(super) const PINNING: [(Effects, Pin); 8] = [
    (Effects::TEMP, Pin::TemporaryTable),
    (Effects::SQL_PREPARE, Pin::SqlPrepare),
    (Effects::LOCK_FUNCTION, Pin::AdvisoryLock),
    (Effects::LOCK_TABLES.union(Effects::FLUSH_LOCK), Pin::LockTables),
    (Effects::USER_VARIABLE_WRITE, Pin::UserVariable),
    (Effects::HANDLER, Pin::Handler),
    (Effects::XA, Pin::Xa),
    (Effects::SET_ROLE, Pin::Role),
];

/// Reasons that end with what the client is in the middle of: reading a cursor, sending parameters, and saying what its next
/// transaction shall be like.
const PASSING: [Pin; 3] = [Pin::HoldCursor, Pin::LongData, Pin::NextTransaction];

/// What a lease may leave on its connection that nobody can tell from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Traces {
    /// Nothing.
    #[default]
    None,
    /// What a failed statement may have changed.
    Possible,
}

impl State {
    /// Why the server connection must stay with the client, if so.
    pub(crate) fn pin(&self) -> Option<Pin> {
        self.pins.first()
    }

    /// Whether the session keeps its server connection for longer than what it is in the middle of.
    pub(crate) fn is_pinned_for_good(&self) -> bool {
        let mut pins = self.pins;
        PASSING.into_iter().for_each(|pin| pins.clear(pin));
        pins != Pins::default()
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
        self.pin().is_some() || self.traces == Traces::Possible || !self.underway.effects.is_empty()
    }

    /// What the lease that ends may leave behind; the next one begins with nothing.
    pub(crate) fn take_traces(&mut self) -> Traces {
        self.habits = self.habits.elsewhere();
        std::mem::take(&mut self.traces)
    }

    /// What a command did to the pins is undone, but for what it has opened and closed.
    pub(super) fn restore(&mut self, pins: Pins) {
        self.pins = pins;
        self.pin_for_what_is_open();
    }
}
