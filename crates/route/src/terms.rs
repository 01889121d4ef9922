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

/// What becomes of session settings (`SET`) when the next lease may be of another server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SessionState {
    /// They are set again on the next connection.
    #[default]
    Replay,
    /// The first of them makes its connection the client's for the rest of the session, in the class `reserved`.
    Reserve,
    /// Nothing: they last as long as the lease.
    Ignore,
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

/// A route's part of its server, in one of its classes: plain numbers, given to the scheduler.
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
    /// What becomes of its session settings.
    pub session_state: SessionState,
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
    /// [`Terms::session_state`].
    pub session_state: Option<SessionState>,
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
    /// The first key for which something is said here, as the configuration spells it.
    pub(crate) fn first_key(&self) -> Option<&'static str> {
        let given = [
            ("pool_mode", self.pool_mode.is_some()),
            ("session_state", self.session_state.is_some()),
            ("checkout_timeout", self.checkout_timeout.is_some()),
            ("query_timeout", self.query_timeout.is_some()),
            ("transaction_timeout", self.transaction_timeout.is_some()),
            ("idle_in_transaction_timeout", self.idle_in_transaction_timeout.is_some()),
            ("client_idle_timeout", self.client_idle_timeout.is_some()),
        ];
        given.iter().find(|(_, is_given)| *is_given).map(|(key, _)| *key)
    }

    /// Writes what is said here over `terms`.
    pub(crate) fn apply(&self, terms: &mut Terms) {
        let timeouts = &mut terms.timeouts;
        terms.pool_mode = self.pool_mode.unwrap_or(terms.pool_mode);
        terms.session_state = self.session_state.unwrap_or(terms.session_state);
        timeouts.checkout = self.checkout_timeout.unwrap_or(timeouts.checkout);
        timeouts.query = self.query_timeout.unwrap_or(timeouts.query);
        timeouts.transaction = self.transaction_timeout.unwrap_or(timeouts.transaction);
        timeouts.idle_in_transaction = self.idle_in_transaction_timeout.unwrap_or(timeouts.idle_in_transaction);
        timeouts.client_idle = self.client_idle_timeout.unwrap_or(timeouts.client_idle);
    }
}
