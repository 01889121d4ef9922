//! Short rules that others state, for comparison and as lower bounds.

use std::time::Duration;

use crate::{
    Derived, Error,
    number::{ceil, count, real, time, within},
};

/// PostgreSQL's and HikariCP's rule of thumb: 2 × cores of the database server + disks that work at once.
///
/// Source: wiki.postgresql.org, "Number Of Database Connections"; HikariCP's wiki, "About Pool Sizing". A point to start
/// measuring from, no more: it knows nothing of the work.
pub fn by_cores(cores: u32, disks: u32) -> Derived<u32> {
    let connections = cores.saturating_mul(2).saturating_add(disks);
    Derived::of(
        connections,
        "connections by cores",
        "cores × 2 + disks",
        format!("{cores} × 2 + {disks}"),
        count(connections.into()),
    )
}

/// The fewest connections with which tasks that take several at a time cannot block one another for ever: T × (C − 1) + 1.
///
/// Source: HikariCP's wiki, "Pool-locking".
pub fn deadlock_floor(tasks: u32, connections_each: u32) -> Derived<u32> {
    let floor = tasks.saturating_mul(connections_each.saturating_sub(1)).saturating_add(1);
    Derived::of(
        floor,
        "fewest connections without a deadlock",
        "tasks × (connections of each - 1) + 1",
        format!("{tasks} × ({connections_each} - 1) + 1"),
        count(floor.into()),
    )
}

/// Connects per second that a maximum lifetime costs, with `jitter` as a part of it (0 to 1) taken off at random.
///
/// # Errors
/// [`Error::OutOfRange`], when the lifetime is under a second or `jitter` is not between 0 and 1.
pub fn connects_by_lifetime(connections: u32, lifetime: Duration, jitter: f64) -> Result<Derived<f64>, Error> {
    within("lifetime in seconds", lifetime.as_secs_f64(), 1.0..=1e9)?;
    within("jitter", jitter, 0.0..=1.0)?;
    let rate = f64::from(connections) / lifetime.as_secs_f64() / (1.0 - jitter / 2.0);
    Ok(Derived::of(
        rate,
        "connects per second by lifetime",
        "connections / lifetime / (1 - jitter / 2)",
        format!("{} / {} / (1 - {} / 2)", count(connections.into()), time(lifetime.as_secs_f64()), real(jitter)),
        real(rate),
    ))
}

/// Connects per second that a maximum number of uses costs.
pub fn connects_by_uses(queries_per_second: f64, max_uses: u32) -> Derived<f64> {
    let rate = queries_per_second / f64::from(max_uses.max(1));
    Derived::of(
        rate,
        "connects per second by uses",
        "queries per second / uses",
        format!("{} / {}", real(queries_per_second), count(max_uses.max(1).into())),
        real(rate),
    )
}

/// The most clients that may wait so that the last of them is still served before its time is up.
///
/// Little's law again: in that time the pool does time × connections / response time statements.
pub fn waiters(connections: u32, response_time: Duration, checkout_timeout: Duration) -> Derived<u32> {
    let rounds = checkout_timeout.as_nanos() as f64 / response_time.as_nanos().max(1) as f64;
    let waiters = ceil(f64::from(connections) * rounds).max(1);
    Derived::of(
        waiters,
        "clients that may wait",
        "connections × checkout timeout / response time",
        format!(
            "{} × {} / {}",
            count(connections.into()),
            time(checkout_timeout.as_secs_f64()),
            time(response_time.as_secs_f64())
        ),
        count(waiters.into()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores() {
        assert_eq!(by_cores(4, 1).value, 9);
        assert_eq!(by_cores(16, 0).value, 32);
    }

    #[test]
    fn deadlocks() {
        for (tasks, each, floor) in [(3, 4, 10), (8, 2, 9), (8, 1, 1), (0, 0, 1)] {
            assert_eq!(deadlock_floor(tasks, each).value, floor);
        }
    }

    #[test]
    fn recycling() {
        let ten_minutes = Duration::from_secs(600);
        let rate = connects_by_lifetime(2_000, ten_minutes, 0.2).unwrap().value;
        assert!((rate - 3.7037).abs() < 1e-4, "{rate}");
        assert!(connects_by_lifetime(1, Duration::ZERO, 0.0).is_err());
        assert_eq!(connects_by_uses(5_000.0, 10_000).value, 0.5);
        assert_eq!(connects_by_uses(400_000.0, 10_000).value, 40.0);
    }

    #[test]
    fn waiters_that_can_be_served() {
        assert_eq!(waiters(34, Duration::from_millis(5), Duration::from_secs(5)).value, 34_000);
        assert_eq!(waiters(2, Duration::from_secs(10), Duration::from_secs(5)).value, 1);
    }
}
