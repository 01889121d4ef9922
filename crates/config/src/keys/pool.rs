//! `[pool]` and `[servers.pool]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PoolMode, SessionState};
use crate::values::{Cap, Period, TestAfter, Timeout};

/// How the connections to one server are pooled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolKeys {
    /// When a server connection goes back to the pool.
    pub mode: PoolMode,
    /// What becomes of what a client changes by `SET`, which holds for its whole session. What cannot follow a client keeps
    /// it on one server connection in any case.
    pub session_state: SessionState,
    /// Server connections that sessions may keep to themselves: the cap of the class `reserved`, unless the server's
    /// `classes` gives it one. A session that needs one more gets an error.
    pub max_reserved: Cap,
    /// Server connections opened for a route when it is first used. (Druid: initialSize)
    pub initial: u32,
    /// Idle server connections kept open for each route that is in use. (minIdle; PgBouncer: min_pool_size)
    pub min_idle: u32,
    /// Server connections that one route may hold at most, unless its `[[routes]]` entry gives a `cap`. The server's
    /// `budget` limits all routes together. (maxActive; pool_size)
    pub max: Cap,
    /// How long a client waits for a server connection before it gets an error. (maxWait; query_wait_timeout)
    pub checkout_timeout: Period,
    /// Clients that may wait for this server at once; one more gets an error.
    pub max_waiters: u32,
    /// Clients of one route that may wait at once.
    pub max_waiters_per_route: Cap,
    /// An idle server connection is closed after this long; `min_idle` are kept. (minEvictableIdleTimeMillis;
    /// server_idle_timeout)
    pub idle_timeout: Timeout,
    /// Any idle server connection is closed after this long, also within `min_idle`.
    pub max_idle_timeout: Timeout,
    /// A server connection is closed when it is this old, as soon as nobody uses it. (phyTimeoutMillis; server_lifetime)
    pub max_lifetime: Timeout,
    /// Up to this fraction of `max_lifetime`, from 0 to 0.5, is taken off at random when a connection is opened, so that
    /// connections opened together are not closed together.
    pub lifetime_jitter: f64,
    /// A server connection is closed after it was lent this often. (phyMaxUseCount)
    pub max_uses: Cap,
    /// How often idle connections are looked after: tested, and checked for leaks. (timeBetweenEvictionRunsMillis)
    pub maintenance_interval: Period,
    /// Test a server connection before it is lent if nothing was heard from its server for this long; `"always"`: every
    /// time, at the cost of a round trip. One that fails is replaced, unseen by the client. (testOnBorrow)
    pub test_on_checkout: TestAfter,
    /// Test an idle server connection whenever nothing was heard from its server for this long. (testWhileIdle)
    pub test_while_idle: Timeout,
    /// Test a server connection every time it comes back. (testOnReturn)
    pub test_on_return: bool,
    /// How long a test may take; then the connection counts as broken.
    pub validate_timeout: Period,
    /// The query of a test; empty: the protocol's own ping. (validationQuery; server_check_query)
    pub validation_query: String,
    /// Which idle server connection is lent first.
    pub reuse: Reuse,
    /// A server connection lent for longer than this is reported, with the client that has it. (removeAbandoned)
    pub leak_timeout: Timeout,
    /// How long opening a server connection may take, login included.
    pub connect_timeout: Period,
    /// Server connections being opened at once, at most.
    pub connect_concurrency: u32,
    /// SQL that runs on every new server connection before it is first lent; empty: none. (PgBouncer: connect_query)
    pub init_sql: String,
    /// An idle connection of a route that has no more than its share is taken for another route only after being idle for
    /// this long.
    pub reclaim_after: Period,
    /// A route keeps a connection at least this many times the measured connect time before fairness moves it to another
    /// route; higher means fewer reconnects and coarser sharing.
    pub retention_connects: u32,
    /// How a connection moves from one route to another.
    pub moves: Moves,
    /// What follows if more connections may be opened than the server's own limit leaves us. It is compared at the start, at
    /// a reload, by `SHOW SUM` and by `evenkeel check`.
    pub fit: Fit,
    /// After the server refused a connection because it has too many, the budget is lowered and tried again after this
    /// long; doubles up to 16 times.
    pub probe_after: Period,
}

impl Default for PoolKeys {
    fn default() -> Self {
        Self {
            mode: PoolMode::Transaction,
            session_state: SessionState::Replay,
            max_reserved: Cap::NONE,
            initial: 0,
            min_idle: 0,
            max: Cap::NONE,
            checkout_timeout: Period::secs(5),
            max_waiters: 10_000,
            max_waiters_per_route: Cap::NONE,
            idle_timeout: Timeout::secs(600),
            max_idle_timeout: Timeout::OFF,
            max_lifetime: Timeout::secs(3_600),
            lifetime_jitter: 0.1,
            max_uses: Cap::NONE,
            maintenance_interval: Period::secs(5),
            test_on_checkout: TestAfter::secs(30),
            test_while_idle: Timeout::secs(120),
            test_on_return: false,
            validate_timeout: Period::secs(1),
            validation_query: String::new(),
            reuse: Reuse::MostRecent,
            leak_timeout: Timeout::OFF,
            connect_timeout: Period::secs(5),
            connect_concurrency: 4,
            init_sql: String::new(),
            reclaim_after: Period::millis(100),
            retention_connects: 4,
            moves: Moves::Rekey,
            fit: Fit::Warn,
            probe_after: Period::secs(1),
        }
    }
}

/// Which idle server connection is lent first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Reuse {
    /// The one used last: the others fall idle and are closed, so the pool shrinks to what is needed.
    #[default]
    MostRecent,
    /// The one unused longest: all are used alike, so replicas behind one address share the load.
    LeastRecent,
}

/// How a connection moves from one route to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Moves {
    /// By a new login on it where the protocol can (MySQL: COM_CHANGE_USER), else like `reconnect`.
    #[default]
    Rekey,
    /// It is closed, and another opened.
    Reconnect,
}

/// What follows if more connections may be opened than the server allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Fit {
    /// Nothing: it is not compared.
    Off,
    /// A warning in the log, with the numbers.
    #[default]
    Warn,
    /// Evenkeel does not start, and a reload changes nothing. A server that does not answer refuses nothing, nor does one that a
    /// reload brings and that was not asked yet: see the log, or `SHOW SUM`, after it.
    Refuse,
}
