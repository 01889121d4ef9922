//! What the pool tells about itself as it happens.

use std::error::Error;
use std::panic::Location;
use std::time::Duration;

use scheduler::{ClassId, CloseReason, ConnId, ConnectFailure, RouteId};

/// A lease that is out longer than [`Settings::leak_timeout`](crate::Settings::leak_timeout).
#[derive(Debug, Clone, Copy)]
pub struct Overdue {
    /// Whose connection it is.
    pub route: RouteId,
    /// The connection.
    pub conn: ConnId,
    /// Where in the source it was checked out.
    pub place: &'static Location<'static>,
    /// The number of whoever did, see [`Checkout::borrower`](crate::Checkout::borrower).
    pub borrower: u64,
    /// Since how long it is out.
    pub held: Duration,
}

/// Hears what happens in a pool, to count and log it. Methods do nothing unless overridden, but for
/// [`on_leak`](Self::on_leak), which logs.
///
/// They are called outside the pool's lock, [`on_lease`](Self::on_lease) and [`on_return`](Self::on_return) in the
/// task that takes or gives back a connection: they should count and return.
pub trait Observer: Send + Sync + 'static {
    /// A connection was opened for a route, which was in this class; connect and login took this long.
    fn on_open(&self, route: RouteId, class: ClassId, conn: ConnId, took: Duration) {
        let _ = (route, class, conn, took);
    }

    /// A connect failed.
    fn on_open_failed(&self, route: RouteId, failure: ConnectFailure, error: &dyn Error) {
        let _ = (route, failure, error);
    }

    /// A connection moved from one route to another by a re-key, which took this long: that saved a reconnect.
    fn on_move(&self, from: RouteId, to: RouteId, conn: ConnId, took: Duration) {
        let _ = (from, to, conn, took);
    }

    /// A connection was to move from one route to another, and its login for that one failed. It is closed.
    fn on_move_failed(&self, from: RouteId, to: RouteId, failure: ConnectFailure, error: &dyn Error) {
        let _ = (from, to, failure, error);
    }

    /// A connection's socket is closed and its permit free.
    fn on_close(&self, route: RouteId, conn: ConnId, reason: CloseReason, age: Duration, uses: u64) {
        let _ = (route, conn, reason, age, uses);
    }

    /// A connection was lent, after this long; zero when one was at hand.
    fn on_lease(&self, route: RouteId, class: ClassId, waited: Duration) {
        let _ = (route, class, waited);
    }

    /// A lease ended, with this route, which is not the one it began with if it was transferred, and in the class where that
    /// is now.
    fn on_return(&self, route: RouteId, class: ClassId, held: Duration) {
        let _ = (route, class, held);
    }

    /// A lease has been held longer than `leak_timeout`. Told once per lease. Nobody ends it.
    fn on_leak(&self, leak: &Overdue) {
        let Overdue { place, held, .. } = leak;
        tracing::warn!(%place, ?held, "a connection has not been given back");
    }

    /// A checkout ran out of time.
    fn on_timeout(&self, route: RouteId, waited: Duration) {
        let _ = (route, waited);
    }
}

/// Hears nothing.
impl Observer for () {}
