//! What a session needs while it is at work, and owns only then.

use super::replies::BODY_LEN_MAX;
use crate::flow::{Buffers, Flow};

/// Longest unit of work, in bytes, of which a copy is kept so that it can be sent again.
const RETRY_LEN_MAX: usize = 8 * 1024;

/// Buffers and the possibility of a second try.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Client to server.
    pub(crate) up: Flow,
    /// Server to client.
    pub(crate) down: Flow,
    /// Whether the unit under way can be sent again.
    pub(crate) retry: Retry,
    /// The copy of the unit, while `retry` says that there is one.
    unit: Vec<u8>,
    /// How many bytes of that unit are still to be translated.
    untranslated: usize,
    /// The query under way was asked to stop because its time was up.
    pub(crate) out_of_time: bool,
    /// What waits to be written to the client, if all of it is of our own making: it can wait for the server's reply.
    pub(crate) own_pending: usize,
}

/// Whether a unit of work that used a shared statement can be sent again, because nothing of it has run.
///
/// A statement that was prepared earlier, for this client or another, may have become outdated by a change of schema, so
/// that it fails where a freshly prepared one would not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Retry {
    /// It cannot.
    #[default]
    Off,
    /// It can, until the first reply that is not of our own making.
    Armed {
        /// How many `ParseComplete` we answered ourselves.
        faked: u32,
        /// Which failures may come from the sharing.
        suspect: Suspect,
    },
    /// It failed; the rest of its replies is awaited and dropped.
    Draining {
        /// As above.
        faked: u32,
    },
    /// It is being sent again; so many `ParseComplete` the client has seen already.
    Again {
        /// As above.
        faked: u32,
    },
}

/// Which failures may come from the sharing of statements rather than from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspect {
    /// That the statement does not exist. Any other the client must see: it knows the shape of the rows from an earlier
    /// unit, and nothing in this one would tell it a new one.
    Missing,
    /// Also "cached plan must not change result type": the client asks in this very unit what the rows look like, or
    /// prepares the statement in it.
    Outdated,
    /// Any: the client sent its statement to be prepared afresh.
    Any,
}

impl Retry {
    /// The unit's first reply has come: from here on it has run.
    pub(crate) fn disarm(&mut self) {
        if !matches!(self, Self::Draining { .. }) {
            *self = Self::Off;
        }
    }
}

impl Work {
    /// Takes up a buffer for what the client says.
    pub(crate) fn open_up(&mut self, buffers: &Buffers, message_len_max: usize) {
        self.up.open_small(buffers, message_len_max);
    }

    /// Takes up a buffer for what the server says.
    pub(crate) fn open_down(&mut self, buffers: &Buffers) {
        self.down.open_full(buffers, BODY_LEN_MAX);
    }

    /// Gives up what is not in use. Returns whether nothing is.
    pub(crate) fn close(&mut self, buffers: &Buffers) -> bool {
        self.retry = Retry::Off;
        self.unit = Vec::new();
        let down = self.down.close(buffers);
        self.up.close(buffers) && down
    }

    /// Keeps a copy of the unit of work at the start of what was read, if all of it is here and it is small.
    pub(crate) fn arm(&mut self, unit_len: usize, suspect: Suspect) {
        if unit_len <= RETRY_LEN_MAX
            && let Some(unit) = self.up.unscanned().get(..unit_len)
        {
            self.unit.clear();
            self.unit.extend_from_slice(unit);
            self.untranslated = unit_len;
            self.retry = Retry::Armed { faked: 0, suspect };
        }
    }

    /// So many bytes of what was read were translated.
    pub(crate) fn translated(&mut self, len: usize) {
        self.untranslated = self.untranslated.saturating_sub(len);
    }

    /// The copy of the unit.
    pub(crate) fn unit(&self) -> &[u8] {
        &self.unit
    }

    /// Whether what follows the unit must wait until its first reply.
    pub(crate) fn holds_back(&self) -> bool {
        match self.retry {
            Retry::Armed { .. } => self.untranslated == 0,
            Retry::Draining { .. } => true,
            Retry::Off | Retry::Again { .. } => false,
        }
    }
}
