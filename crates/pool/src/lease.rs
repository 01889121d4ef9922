//! A connection, lent.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use scheduler::{ClassId, CloseReason, ConnId, Home, NoTransfer, RouteId, Time};
use tokio::time::Instant;

use crate::connector::Connector;
use crate::ledger::{Granted, Verdict};
use crate::shared::{Shared, Starter};

/// A server connection lent to one caller, with its permit. Dropping it gives it back or closes it.
///
/// It is given back as it is: whoever drops a lease in the middle of a transaction relies on the connector's
/// [`is_reusable`](Connector::is_reusable) to notice. A lease dropped by a panic is closed.
pub struct Lease<C: Connector> {
    shared: Arc<Shared<C>>,
    /// Present until the lease is dropped.
    connection: Option<Box<C::Connection>>,
    conn: ConnId,
    route: RouteId,
    class: ClassId,
    since: Time,
    end: End,
}

/// How a lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As the connector judges.
    Judged,
    /// The holder wants it closed.
    Discarded,
}

impl<C: Connector> Lease<C> {
    /// Wraps a connection that was granted after this wait, and tells the observer: in this order, so that a panic of
    /// the observer gives the connection back.
    pub(crate) fn observed(shared: Arc<Shared<C>>, granted: Granted<C>, waited: Duration) -> Self {
        let Granted { conn, route, class, connection, since } = granted;
        let lease = Self { shared, connection: Some(connection), conn, route, class, since, end: End::Judged };
        lease.shared.observer.on_lease(route, class, waited);
        lease
    }

    /// Which connection this is. The same id comes again when it is lent again, never for another connection.
    #[must_use]
    pub fn id(&self) -> ConnId {
        self.conn
    }

    /// Whose connection it is.
    #[must_use]
    pub fn route(&self) -> RouteId {
        self.route
    }

    /// The class in which it was lent, or to which it was last transferred.
    #[must_use]
    pub fn class(&self) -> ClassId {
        self.class
    }

    /// Makes the connection one of a sibling route of another class, while it is lent: the class it leaves has room for another
    /// one at once, and its waiters get it.
    ///
    /// # Errors
    /// [`NoTransfer`]: nothing has changed. A class with a cap takes nobody in while others wait for its room.
    pub fn transfer(&mut self, to: RouteId) -> Result<(), NoTransfer> {
        let conn = self.conn;
        let class = self.shared.act(Starter::Caller(Home::default()), |ledger, now| ledger.transfer(conn, to, now))?;
        (self.route, self.class) = (to, class);
        Ok(())
    }

    /// Since when it has been lent.
    #[must_use]
    pub fn held_since(&self) -> Instant {
        self.shared.instant_of(self.since)
    }

    /// Ends the lease and closes the connection. The reason goes to the log.
    pub fn discard(mut self, why: &'static str) {
        tracing::debug!(conn = ?self.conn, why, "connection discarded by its holder");
        self.end = End::Discarded;
    }

    /// Ends the lease now. The same as dropping it.
    pub fn detach_now(self) {
        drop(self);
    }

    /// What becomes of the connection. The connector's opinion is foreign code: should it panic, it has none.
    fn verdict(&self, connection: &mut C::Connection) -> Verdict {
        let close = Verdict::Close(CloseReason::Unusable);
        if self.end == End::Discarded || std::thread::panicking() {
            return close;
        }
        let connector = &self.shared.connector;
        let judge = AssertUnwindSafe(|| {
            if !connector.is_reusable(connection) {
                return close;
            }
            let state = connector.state(connection);
            if connector.must_settle(connection) { Verdict::Settle(state) } else { Verdict::Keep(state) }
        });
        catch_unwind(judge).unwrap_or(close)
    }
}

impl<C: Connector> Deref for Lease<C> {
    type Target = C::Connection;

    fn deref(&self) -> &C::Connection {
        self.connection.as_deref().expect("only drop takes the connection out")
    }
}

impl<C: Connector> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C::Connection {
        self.connection.as_deref_mut().expect("only drop takes the connection out")
    }
}

impl<C: Connector> Drop for Lease<C> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let verdict = self.verdict(&mut connection);
        let (conn, since) = (self.conn, self.since);
        let (class, held) = self.shared.act(Starter::Keeper, |ledger, now| {
            // Its route may have changed its class meanwhile.
            let class = ledger.scheduler.route_of(conn).map_or(self.class, |(_, class)| class);
            ledger.give_back(conn, connection, verdict, now);
            (class, now.since(since))
        });
        self.shared.observer.on_return(self.route, class, held);
    }
}

impl<C: Connector> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("conn", &self.conn).field("route", &self.route).finish_non_exhaustive()
    }
}
