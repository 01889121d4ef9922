//! A route in use: one (user, database) pair with its pool, its terms and its numbers.

use std::{error::Error, fmt::Debug, ops::Deref, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use meter::{Counter, Gauge, Histogram};
use mysql::Capabilities;
use pool::{CheckoutError, Connector, Pool, Refusal, RouteId};
use route::{Classes, Terms};

use crate::{
    pools::AnyPool,
    seats::{ClassRules, Era, Seats},
};

/// A route in use. Clients hold it as long as they are connected; a changed configuration retires it, and clients then
/// look for its successor.
#[derive(Debug)]
pub struct Lane {
    /// The user, as clients name it.
    pub user: Arc<str>,
    /// The database, as clients name it.
    pub database: Arc<str>,
    /// The name of the server it leads to.
    pub server: Arc<str>,
    /// The user name there.
    pub server_user: Arc<str>,
    /// The database name there.
    pub server_database: Arc<str>,
    /// What its connections are beyond that.
    pub flavour: Flavour,
    pub(crate) id: RouteId,
    /// Its routes in the scheduler, `id` among them.
    pub(crate) seats: Seats,
    pub(crate) terms: ArcSwap<Terms>,
    pub(crate) handling: ArcSwap<Handling>,
    pool: AnyPool,
    meters: Meters,
}

/// One of the protocols, as a type: what its sessions need of a route beyond what all routes are.
pub(crate) trait Protocol: Debug + Send + Sync + 'static {
    /// Makes its server connections.
    type Connector: Connector;
    /// What its sessions share with others of the same server, or learn from it.
    type Shared: Debug + Clone + Send + Sync;
}

/// A route as the sessions of its protocol use it.
#[derive(Debug)]
pub(crate) struct Link<P: Protocol> {
    lane: Arc<Lane>,
    pub(crate) pool: Pool<P::Connector>,
    pub(crate) shared: P::Shared,
}

impl<P: Protocol> Link<P> {
    pub(crate) fn new(lane: Arc<Lane>, pool: Pool<P::Connector>, shared: P::Shared) -> Self {
        Self { lane, pool, shared }
    }

    /// What it is to everybody else.
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }
}

impl<P: Protocol> Deref for Link<P> {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        &self.lane
    }
}

/// Whether a checkout failed because the route or its pool was retired, by a changed configuration or by the end of the
/// program.
pub(crate) fn is_retired<E: Error>(error: &CheckoutError<E>) -> bool {
    matches!(
        error,
        CheckoutError::RouteGone
            | CheckoutError::Closing
            | CheckoutError::Refused(Refusal::UnknownRoute | Refusal::Closing)
    )
}

/// How clients' messages are treated; it follows a changed configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handling {
    pub(crate) prepared: Prepared,
    /// The most bytes of one message that are held before they are sent on.
    pub(crate) message_len_max: usize,
}

/// How prepared statements are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// The most statements kept prepared on one server connection.
    pub per_server_max: usize,
    /// The most named statements of one client.
    pub per_client_max: usize,
    /// Whether an unnamed `Parse` may be answered by a statement that is prepared already.
    pub reuse_unnamed: bool,
}

impl Default for Prepared {
    fn default() -> Self {
        Self { per_server_max: 500, per_client_max: 10_000, reuse_unnamed: true }
    }
}

/// What a route counts.
#[derive(Debug, Default)]
pub struct Meters {
    /// Clients connected now.
    pub clients: Gauge,
    /// Transactions: leases that ended at a boundary.
    pub transactions: Counter,
    /// Units of work answered.
    pub queries: Counter,
    /// Errors that clients saw.
    pub errors: Counter,
    /// Units of work sent again because a shared statement was outdated.
    pub retries: Counter,
    /// Leases held beyond their transaction, because of session state.
    pub pins: Counter,
    /// Checkouts that failed.
    pub refusals: Counter,
    /// Bytes from clients.
    pub bytes_received: Counter,
    /// Bytes to clients.
    pub bytes_sent: Counter,
    /// Waits for a server connection.
    pub wait: Histogram,
    /// From the unit of work to the end of its answer.
    pub query: Histogram,
    /// From the lease to its end.
    pub transaction: Histogram,
}

impl Meters {
    pub(crate) fn answered(&self, answered: u32, errors: u32) {
        if answered > 0 {
            self.queries.add(u64::from(answered));
        }
        if errors > 0 {
            self.errors.add(u64::from(errors));
        }
    }
}

impl Lane {
    pub(crate) fn new(names: Names, pool: AnyPool, id: RouteId, ground: Ground) -> Self {
        let Names { user, database, server, server_user, server_database, flavour } = names;
        let Ground { terms, handling, rules, era } = ground;
        Self {
            user,
            database,
            server,
            server_user,
            server_database,
            flavour,
            id,
            seats: Seats::new(id, rules, era),
            terms: ArcSwap::from_pointee(terms),
            handling: ArcSwap::from_pointee(handling),
            pool,
            meters: Meters::default(),
        }
    }

    /// What it counts.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// What holds for its clients.
    #[must_use]
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// Its id in its server's scheduler: of its route in the default class.
    #[must_use]
    pub fn id(&self) -> RouteId {
        self.id
    }

    /// Its routes in its server's scheduler: one for each class that its clients have used.
    #[must_use]
    pub fn ids(&self) -> Vec<RouteId> {
        self.seats.seating().routes().collect()
    }

    /// The classes of its server.
    #[must_use]
    pub fn classes(&self) -> Arc<Classes> {
        self.seats.seating().classes.clone()
    }

    /// The pool of its server.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Median and 99th percentile of the waits so far.
    #[must_use]
    pub fn waits(&self) -> (Duration, Duration) {
        let waits = self.meters.wait.snapshot();
        (waits.quantile(0.5), waits.quantile(0.99))
    }
}

/// What differs between server connections of one user to one database from their first byte on, so that none can serve
/// for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Flavour {
    /// Nothing.
    #[default]
    Plain,
    /// MySQL: `UPDATE` counts the rows it found, not those it changed (`CLIENT_FOUND_ROWS`).
    FoundRows,
    /// MySQL: queries and executions may carry attributes, and are written in another form (`CLIENT_QUERY_ATTRIBUTES`).
    Attributes,
    /// Both.
    FoundRowsAttributes,
}

impl Flavour {
    /// That of connections that serve clients of these capabilities.
    pub(crate) const fn of(capabilities: Capabilities) -> Self {
        let found_rows = capabilities.contains(Capabilities::FOUND_ROWS);
        match (found_rows, capabilities.contains(Capabilities::QUERY_ATTRIBUTES)) {
            (false, false) => Self::Plain,
            (true, false) => Self::FoundRows,
            (false, true) => Self::Attributes,
            (true, true) => Self::FoundRowsAttributes,
        }
    }

    /// What its connections must ask of the server.
    pub(crate) const fn capabilities(self) -> Capabilities {
        match self {
            Self::Plain => Capabilities::NONE,
            Self::FoundRows => Capabilities::FOUND_ROWS,
            Self::Attributes => Capabilities::QUERY_ATTRIBUTES,
            Self::FoundRowsAttributes => Capabilities::FOUND_ROWS.with(Capabilities::QUERY_ATTRIBUTES),
        }
    }

    /// As tables and metrics write it; `None` where there is nothing to tell.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::FoundRows => Some("found_rows"),
            Self::Attributes => Some("attributes"),
            Self::FoundRowsAttributes => Some("found_rows+attributes"),
        }
    }
}

/// What the configuration says of a route's clients when it is opened.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) terms: Terms,
    pub(crate) handling: Handling,
    /// Those of its server.
    pub(crate) rules: ClassRules,
    pub(crate) era: Era,
}

/// The names of a route, on both sides.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) user: Arc<str>,
    pub(crate) database: Arc<str>,
    pub(crate) server: Arc<str>,
    pub(crate) server_user: Arc<str>,
    pub(crate) server_database: Arc<str>,
    pub(crate) flavour: Flavour,
}
