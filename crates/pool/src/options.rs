//! Everything that an application says of one pool with one user, in one place.

use scheduler::{ClassId, RouteId, RouteLimits};

use crate::connector::Connector;
use crate::observer::Observer;
use crate::pool::Pool;
use crate::settings::Settings;

/// The settings of a pool whose connections are all of one user: those of the pool, of its only route, and of the sessions.
///
/// An application with several users or databases makes a [`Pool`] and adds a route for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How the pool behaves.
    pub settings: Settings,
    /// What holds for the route.
    pub route: RouteLimits,
    /// Connections opened at the start, as far as there are slots. No client waits for them.
    pub initial: u32,
    /// What happens on the connections, for the adapters.
    pub session: Session,
}

/// What an adapter does on a connection besides what it is asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// SQL that runs on a new connection before it is first lent; empty: none.
    pub init_sql: String,
    /// The query of a test; empty: the cheapest that the protocol has.
    pub validation_query: String,
    /// In what state the next holder finds a session.
    pub on_return: OnReturn,
}

/// What an adapter does with a connection that is given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnReturn {
    /// What its holder left unfinished is ended: a transaction is rolled back, answers are read to their end, and a connection
    /// still at work after [`Settings::validate_timeout`] is closed. What the holder changed in the session stays.
    #[default]
    Settle,
    /// That, and the session becomes what it was after its login: settings, temporary tables, locks and the like are gone. It
    /// costs a round trip for each lease, after the lease.
    Reset,
}

impl Default for Options {
    fn default() -> Self {
        let class = ClassId::default();
        Self {
            settings: Settings::default(),
            route: RouteLimits { class, weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None },
            initial: 0,
            session: Session::default(),
        }
    }
}

impl Options {
    /// Makes a pool with one route, on the runtime this is called on. The [`initial`](Self::initial) connections are opened
    /// in the background.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn open<C: Connector>(&self, connector: C, route: C::Route, observer: impl Observer) -> (Pool<C>, RouteId) {
        let pool = Pool::new(connector, self.settings.clone(), observer);
        let route = pool.add_route(route, self.route.clone());
        if self.initial > 0 {
            pool.open_ahead(route, self.initial);
        }
        (pool, route)
    }
}
