//! One server connection as the scheduler knows it.

use crate::list::{Linked, Links};
use crate::types::{Home, Realm, StateKey, Time};

#[derive(Debug)]
pub(crate) struct Conn {
    /// The route it is or will be logged in for, by index.
    pub(crate) route: u32,
    /// Among which routes it may be re-keyed.
    pub(crate) realm: Option<Realm>,
    pub(crate) state: ConnState,
    /// When its route got the slot: at the decision to open or to re-key.
    pub(crate) since: Time,
    /// When it was ready to serve for the first time.
    pub(crate) born: Time,
    /// Rolled at birth, uniform in `0.0..1.0`: how much of the jitter its lifetime loses.
    pub(crate) luck: f64,
    /// Leases so far.
    pub(crate) uses: u64,
    pub(crate) session: StateKey,
    pub(crate) home: Home,
    /// Which `reconnect` it has survived.
    pub(crate) epoch: u64,
    pub(crate) links: Links,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnState {
    Connecting,
    /// Logging in anew, for `Conn::route`, which counts it among those connecting.
    Rekeying,
    Idle {
        since: Time,
    },
    /// With a client.
    Lent {
        since: Time,
    },
    /// Out for a test; it has been idle since then and goes on being so.
    Tested {
        idle_since: Time,
    },
    /// Waiting for `handle_closed`. `heir`: the route that its slot is promised to.
    Closing {
        heir: Option<u32>,
    },
}

impl Conn {
    /// Since when this member of an idle list has been idle.
    pub(crate) fn rested_since(&self) -> Time {
        match self.state {
            ConnState::Idle { since } => since,
            _ => unreachable!("idle lists hold idle connections"),
        }
    }
}

impl Linked for Conn {
    fn links(&self) -> &Links {
        &self.links
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}
