//! The pool as it stands, for consoles and metrics.

use std::panic::Location;
use std::time::Duration;

use scheduler::{
    ClassId, ClassView, CloseReason, ConnId, Faults, RouteId, RouteView, StateKey, Time, Totals, TransactionView,
};

use crate::connector::Connector;
use crate::ledger::Ledger;
use crate::table::{Entry, Phase};

/// Everything there is to know about a pool at one instant.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When it was taken, on the clock of [`RouteView::oldest_waiter`].
    pub at: Time,
    /// Sums over all routes.
    pub totals: Totals,
    /// Broken promises; all must be zero.
    pub faults: Faults,
    /// Every class, by number.
    pub classes: Vec<(ClassId, ClassView)>,
    /// Every route.
    pub routes: Vec<(RouteId, RouteView)>,
    /// The limit on transactions, and who has how many.
    pub transactions: TransactionView,
    /// Every connection that holds a permit.
    pub connections: Vec<ConnectionView>,
}

/// One connection.
#[derive(Debug, Clone)]
pub struct ConnectionView {
    /// Its id.
    pub id: ConnId,
    /// Whose it is.
    pub route: RouteId,
    /// Its session state when it was last given back.
    pub state: StateKey,
    /// How long ago its connect began.
    pub age: Duration,
    /// Leases so far, a present one included.
    pub uses: u64,
    /// Where it is.
    pub activity: Activity,
}

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Its connect is under way, or it is being re-keyed for its route.
    Connecting,
    /// It has nothing to do.
    Idle {
        /// Since how long; a test does not count as something to do.
        since: Duration,
    },
    /// It is lent.
    Lent {
        /// Since how long.
        since: Duration,
        /// Where in the source it was checked out.
        place: &'static Location<'static>,
        /// The number of whoever did, see [`Checkout::borrower`](crate::Checkout::borrower).
        borrower: u64,
    },
    /// It is being validated.
    Testing,
    /// It is being closed.
    Closing {
        /// Why.
        reason: CloseReason,
    },
}

impl<C: Connector> Ledger<C> {
    pub(crate) fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            at: now,
            totals: self.scheduler.totals(),
            faults: *self.scheduler.faults(),
            classes: self.scheduler.classes().collect(),
            routes: self.scheduler.routes().collect(),
            transactions: self.limiter.view(self.scheduler.capacity(self.limiter.limit().classes)),
            connections: self.table.iter().map(|entry| self.view(entry, now)).collect(),
        }
    }

    fn view(&self, entry: &Entry<C::Connection>, now: Time) -> ConnectionView {
        let &Entry { id, route, state, uses, .. } = entry;
        let activity = match entry.phase {
            Phase::Connecting | Phase::Rekeying { .. } => Activity::Connecting,
            Phase::Idle { .. } => {
                let since = self.scheduler.idle_since(id).unwrap_or(now);
                Activity::Idle { since: now.since(since) }
            }
            Phase::Lent { since, site, .. } => {
                Activity::Lent { since: now.since(since), place: site.place, borrower: site.borrower }
            }
            Phase::Testing => Activity::Testing,
            Phase::Closing { reason } => Activity::Closing { reason },
        };
        ConnectionView { id, route, state, age: now.since(entry.born), uses, activity }
    }
}
