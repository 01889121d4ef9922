//! What holds for a client of one route: mode, time limits, shares.

use std::time::Duration;

/// When a server connection goes back to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PoolMode {
    /// When the client disconnects.
    Session,
    /// When the transaction ends.
    #[default]
    Transaction,
    /// When the statement ends; explicit transactions are refused.
    Statement,
}

/// A time limit that may be absent on purpose: `Off` in an override beats a limit set elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Timeout {
    /// No limit.
    #[default]
    Off,
    /// This long.
    After(Duration),
}

impl Timeout {
    /// The limit, if there is one.
    #[must_use]
    pub const fn limit(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::After(limit) => Some(limit),
        }
    }
}

/// How long a client may take for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Waiting for a server connection. Always limited: a client that waits forever learns nothing.
    pub checkout: Duration,
    /// One query on the server, until its answer is complete.
    pub query: Timeout,
    /// One transaction.
    pub transaction: Timeout,
    /// Silence of the client inside a transaction.
    pub idle_in_transaction: Timeout,
    /// Silence of the client outside a transaction.
    pub client_idle: Timeout,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            checkout: Duration::from_secs(5),
            query: Timeout::Off,
            transaction: Timeout::Off,
            idle_in_transaction: Timeout::Off,
            client_idle: Timeout::Off,
        }
    }
}

/// A route's part of its server: plain numbers, given to the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Share of contended capacity relative to other routes; at least 1.
    pub weight: u32,
    /// Server connections it gets before anyone gets more than theirs, while it has demand.
    pub guarantee: u32,
    /// The most server connections it may hold; `None`: the budget limits it.
    pub cap: Option<u32>,
    /// Idle server connections kept open for it.
    pub min_idle: u32,
    /// Server connections opened when the route is first used.
    pub initial: u32,
    /// The most clients that may wait for it; `None`: only the server's limit.
    pub max_waiters: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { weight: 1, guarantee: 0, cap: None, min_idle: 0, initial: 0, max_waiters: None }
    }
}

/// Everything that holds for a client of one route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// When its server connection goes back.
    pub pool_mode: PoolMode,
    /// Its time limits.
    pub timeouts: Timeouts,
    /// Its shares.
    pub limits: Limits,
}

/// What a database, a user or a rule says differently; `None` leaves what held before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// [`Terms::pool_mode`].
    pub pool_mode: Option<PoolMode>,
    /// [`Timeouts::checkout`].
    pub checkout_timeout: Option<Duration>,
    /// [`Timeouts::query`].
    pub query_timeout: Option<Timeout>,
    /// [`Timeouts::transaction`].
    pub transaction_timeout: Option<Timeout>,
    /// [`Timeouts::idle_in_transaction`].
    pub idle_in_transaction_timeout: Option<Timeout>,
    /// [`Timeouts::client_idle`].
    pub client_idle_timeout: Option<Timeout>,
}

impl Overrides {
    /// Writes what is said here over `terms`.
    pub(crate) fn apply(&self, terms: &mut Terms) {
        let timeouts = &mut terms.timeouts;
        terms.pool_mode = self.pool_mode.unwrap_or(terms.pool_mode);
        timeouts.checkout = self.checkout_timeout.unwrap_or(timeouts.checkout);
        timeouts.query = self.query_timeout.unwrap_or(timeouts.query);
        timeouts.transaction = self.transaction_timeout.unwrap_or(timeouts.transaction);
        timeouts.idle_in_transaction = self.idle_in_transaction_timeout.unwrap_or(timeouts.idle_in_transaction);
        timeouts.client_idle = self.client_idle_timeout.unwrap_or(timeouts.client_idle);
    }
}
