//! Averages over the last full period, as `SHOW STATS` has them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Length of a period: PgBouncer's default `stats_period`.
pub(crate) const PERIOD: Duration = Duration::from_secs(60);

/// What clients of one database did, added up. Times are in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) assignments: u64,
    pub(crate) transactions: u64,
    pub(crate) queries: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) transaction_us: u64,
    pub(crate) query_us: u64,
    pub(crate) wait_us: u64,
    pub(crate) errors: u64,
}

/// The rates of one database in the last full period: events and bytes per second, times in microseconds per event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) assignments: u64,
    pub(crate) transactions: u64,
    pub(crate) queries: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) transaction_us: u64,
    pub(crate) query_us: u64,
    pub(crate) wait_us: u64,
}

/// Tallies by database.
pub(crate) type Tallies = HashMap<Arc<str>, Tally>;

/// The tallies at the last two turns of a period.
#[derive(Debug, Default)]
pub(crate) struct Periods {
    older: Option<(Instant, Tallies)>,
    newer: Option<(Instant, Tallies)>,
}

impl Periods {
    /// Ends a period with these tallies.
    pub(crate) fn turn(&mut self, tallies: Tallies) {
        self.turn_at(Instant::now(), tallies);
    }

    fn turn_at(&mut self, now: Instant, tallies: Tallies) {
        self.older = self.newer.replace((now, tallies));
    }

    /// The rates of a database in the last full period; zero before the first has ended.
    pub(crate) fn rates(&self, database: &str) -> Rates {
        let (Some((since, older)), Some((until, newer))) = (&self.older, &self.newer) else { return Rates::default() };
        let Some(newer) = newer.get(database) else { return Rates::default() };
        let older = older.get(database).copied().unwrap_or_default();
        newer.rates(&older, until.saturating_duration_since(*since))
    }
}

impl Tally {
    fn rates(&self, older: &Self, period: Duration) -> Rates {
        let ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
        // A reload may retire routes, and their numbers with them: then there was no growth.
        let growth = |of: fn(&Self) -> u64| of(self).saturating_sub(of(older));
        let per_second = |of| growth(of).saturating_mul(1_000) / ms;
        let per = |of, events| growth(of).checked_div(growth(events)).unwrap_or(0);
        Rates {
            assignments: per_second(|t| t.assignments),
            transactions: per_second(|t| t.transactions),
            queries: per_second(|t| t.queries),
            bytes_received: per_second(|t| t.bytes_received),
            bytes_sent: per_second(|t| t.bytes_sent),
            transaction_us: per(|t| t.transaction_us, |t| t.transactions),
            query_us: per(|t| t.query_us, |t| t.queries),
            wait_us: per(|t| t.wait_us, |t| t.assignments),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_full_period() {
        let (mut periods, start) = (Periods::default(), Instant::now());
        let tally =
            |n: u64| Tally { queries: 120 * n, query_us: 60_000 * n, bytes_sent: 6_000 * n, ..Tally::default() };
        let tallies = |n| Tallies::from([("shop".into(), tally(n))]);
        periods.turn_at(start, tallies(1));
        assert_eq!(periods.rates("shop"), Rates::default());
        periods.turn_at(start + PERIOD, tallies(2));
        let rates = Rates { queries: 2, query_us: 500, bytes_sent: 100, ..Rates::default() };
        assert_eq!(periods.rates("shop"), rates);
        assert_eq!(periods.rates("other"), Rates::default());
        periods.turn_at(start + PERIOD * 2, tallies(0));
        assert_eq!(periods.rates("shop"), Rates::default(), "numbers that went back are no growth");
    }
}
