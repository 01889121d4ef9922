//! The pool's settings, all of which may change while it runs.

use std::time::Duration;

use scheduler::{Limits, Moves, Recycling, Reuse};

/// How a [`Pool`](crate::Pool) behaves. The default is safe and good for one application beside others on a server.
///
/// What concerns one route (its weight, guarantee, cap and `min_idle`) is in [`RouteLimits`](crate::RouteLimits). Where `None`
/// ends a connection never, zero does as well; durations above 100 years are taken to be that long.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The most connections to the server, in every state from connecting to closing.
    pub budget: u32,
    /// The most waiters over all routes; one more is refused at once.
    pub max_waiters: u32,
    /// How long a checkout may take when it brings no deadline of its own.
    pub checkout_timeout: Duration,
    /// How long a connect with its login may take, and a new login on a live connection.
    pub connect_timeout: Duration,
    /// The most connects under way at once; at least 1.
    pub connect_concurrency: u32,
    /// How long a validation may take.
    pub validate_timeout: Duration,
    /// How long the goodbye to a server may take.
    pub close_timeout: Duration,
    /// An idle connection beyond its route's `min_idle` is closed after this long; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Any idle connection is closed after this long; `None`: never.
    pub max_idle_timeout: Option<Duration>,
    /// A connection this old is closed at its next return or while idle; `None`: never.
    pub max_lifetime: Option<Duration>,
    /// Up to this fraction of `max_lifetime` is taken off at random, once, when a connection is born (0 to 0.5).
    pub lifetime_jitter: f64,
    /// A connection is closed after this many leases; `None`: never.
    pub max_uses: Option<u64>,
    /// How often the pool looks for connections that are past their time, due for a test or never given back; such things
    /// are noticed up to this much late. Waits are ended in time, whatever this is.
    pub maintenance_interval: Duration,
    /// A connection is validated before it is lent if nothing was heard from its server for this long; zero: each time,
    /// `None`: never. One that fails is replaced, unseen by the caller.
    pub test_on_checkout: Option<Duration>,
    /// An idle connection is validated each time nothing was heard from its server for this long; `None`: never.
    pub test_while_idle: Option<Duration>,
    /// A connection is validated each time it is given back.
    pub test_on_return: bool,
    /// Which idle connection is taken first.
    pub reuse: Reuse,
    /// A lease held longer than this is reported once, with the place of its checkout; `None`: never. It is not ended.
    pub leak_timeout: Option<Duration>,
    /// An idle connection of a route at or below its share may be taken from it only after this long.
    pub reclaim_after: Duration,
    /// A route keeps a slot at least this many connect times before fairness moves it; re-key times, where it would move
    /// so.
    pub retention_connects: u32,
    /// How a slot gets to another route. By default connections are re-keyed where the connector says that they can be.
    pub moves: Moves,
    /// How long after a "too many connections" the lowered budget is tried again; doubles up to 16 times this.
    pub probe_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            budget: 10,
            max_waiters: 1_000,
            checkout_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            connect_concurrency: 4,
            validate_timeout: Duration::from_secs(1),
            close_timeout: Duration::from_secs(1),
            idle_timeout: Some(Duration::from_secs(600)),
            max_idle_timeout: None,
            max_lifetime: Some(Duration::from_secs(1_800)),
            lifetime_jitter: 0.1,
            max_uses: None,
            maintenance_interval: Duration::from_secs(5),
            test_on_checkout: Some(Duration::from_millis(500)),
            test_while_idle: Some(Duration::from_secs(120)),
            test_on_return: false,
            reuse: Reuse::MostRecent,
            leak_timeout: None,
            reclaim_after: Duration::from_millis(100),
            retention_connects: 4,
            moves: Moves::default(),
            probe_after: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// The scheduler's part. No connect at all would be a pool that serves nobody, so at least one is allowed.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            budget: self.budget,
            connect_concurrency: self.connect_concurrency.max(1),
            max_waiters: self.max_waiters,
            reuse: self.reuse,
            reclaim_after: self.reclaim_after,
            retention_connects: self.retention_connects,
            moves: self.moves,
            probe_after: self.probe_after,
        }
    }

    /// The scheduler's part about the lives of connections.
    pub(crate) fn recycling(&self) -> Recycling {
        Recycling {
            idle_timeout: self.idle_timeout,
            max_idle_timeout: self.max_idle_timeout,
            max_lifetime: self.max_lifetime,
            lifetime_jitter: self.lifetime_jitter,
            max_uses: self.max_uses,
        }
    }

    /// Whether rounds of maintenance have anything to look for.
    pub(crate) fn wants_rounds(&self) -> bool {
        self.leak_timeout.is_some() || self.test_while_idle.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_would_serve_nobody_are_mended() {
        let odd = Settings { connect_concurrency: 0, ..Settings::default() };
        assert_eq!(odd.limits().connect_concurrency, 1);
    }
}
