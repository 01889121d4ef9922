//! Durations in fixed log-linear buckets.
//!
//! Four buckets per doubling, from 250 ns to 2³⁴ × 250 ns (71 minutes): every value from 1 µs on is known to 25 % or better,
//! in 133 numbers that never move. A sketch that adapts (HDR with resizing, t-digest) would need a lock or an allocation
//! when recording; the bounds here are also exactly what Prometheus' `le` needs, because each bucket includes its upper end.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets per doubling, as a power of two.
const SUB_BITS: u32 = 2;
/// Buckets per doubling.
const SUBS: u64 = 1 << SUB_BITS;
/// Width of the smallest bucket, in nanoseconds. Four of them make 1 µs, so every bound is 1 µs × 2ⁿ × {4, 5, 6, 7}/4.
const UNIT_NS: u64 = 250;
/// Doublings of `UNIT_NS` that are covered: the last bound is 2³⁴ × 250 ns, a little over an hour.
const DOUBLINGS: u32 = 34;
/// The bucket of everything longer than the last bound.
const OVERFLOW: usize = bucket_of_units((1 << DOUBLINGS) - 1) + 1;
/// All buckets.
const BUCKETS: usize = OVERFLOW + 1;

/// A distribution of durations that many threads record into at once.
#[derive(Debug)]
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    /// Wraps after 584 years of recorded time, which readers of counters take for a restart.
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self { counts: array::from_fn(|_| AtomicU64::new(0)), sum_ns: AtomicU64::new(0) }
    }

    /// Records one duration: an index computation and two relaxed additions. The number of values is not kept beside the
    /// buckets, it is their sum.
    pub fn record(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// Forgets all values, for who measures something else from now on. Values recorded meanwhile may survive it.
    pub fn clear(&self) {
        self.counts.iter().for_each(|count| count.store(0, Relaxed));
        self.sum_ns.store(0, Relaxed);
    }

    /// A copy to compute with. Values recorded meanwhile may be in the buckets and not yet in the sum, or the other way.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { counts: array::from_fn(|i| self.counts[i].load(Relaxed)), sum_ns: self.sum_ns.load(Relaxed) }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// What a [`Histogram`] held at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    counts: [u64; BUCKETS],
    sum_ns: u64,
}

impl Snapshot {
    /// No values: the start of a merge.
    #[must_use]
    pub const fn empty() -> Self {
        Self { counts: [0; BUCKETS], sum_ns: 0 }
    }

    /// Adds another histogram's values: of another worker, route or node.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.wrapping_add(*theirs);
        }
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
    }

    /// What was recorded after `earlier`, a snapshot of the same histogram: the last minute, say.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            counts: array::from_fn(|i| self.counts[i].wrapping_sub(earlier.counts[i])),
            sum_ns: self.sum_ns.wrapping_sub(earlier.sum_ns),
        }
    }

    /// How many values were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }

    /// All values added up.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The exact mean; zero when empty.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.checked_div(self.count()).unwrap_or(0))
    }

    /// The value below which the fraction `q` (0 to 1) of all values lies; zero when empty.
    ///
    /// Interpolated inside its bucket, so off by at most the bucket's width: 25 %, or 250 ns below a microsecond. Values
    /// beyond the last bound are reported as that bound (71 minutes).
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        let wanted = q.clamp(0.0, 1.0) * self.count() as f64;
        let mut below = 0.0;
        let mut last = 0.0;
        for (index, &n) in self.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let (low, high) = bounds_ns(index);
            let n = n as f64;
            if below + n >= wanted {
                let inside = ((wanted - below) / n).clamp(0.0, 1.0);
                return Duration::from_nanos((low as f64 + inside * (high - low) as f64) as u64);
            }
            below += n;
            last = high as f64;
        }
        // Only rounding brings us here: `wanted` came out a hair above the total.
        Duration::from_nanos(last as u64)
    }

    /// How many values are at most `2^exponent` µs: exact, because bounds of that form end a bucket.
    pub(crate) fn count_up_to_pow2_us(&self, exponent: u32) -> u64 {
        let end = bucket_of_units(SUBS << exponent);
        self.counts.iter().take(end).fold(0, |sum, n| sum.wrapping_add(*n))
    }
}

/// The bucket of a duration.
const fn bucket(ns: u64) -> usize {
    // Minus one: a value equal to a bound belongs to the bucket that ends there.
    let index = bucket_of_units(ns.saturating_sub(1) / UNIT_NS);
    if index < OVERFLOW { index } else { OVERFLOW }
}

/// The bucket that starts at or below `units` of 250 ns: the number itself while small, then its highest bits.
const fn bucket_of_units(units: u64) -> usize {
    if units < SUBS {
        return units as usize;
    }
    let doubling = units.ilog2();
    let sub = (units >> (doubling - SUB_BITS)) & (SUBS - 1);
    ((doubling - SUB_BITS + 1) as u64 * SUBS + sub) as usize
}

/// Lower (excluded) and upper (included) bound of a bucket. The last bucket has no upper bound and answers its lower one.
fn bounds_ns(index: usize) -> (u64, u64) {
    let low = |index: u64| {
        if index < SUBS { index * UNIT_NS } else { ((SUBS + index % SUBS) << (index / SUBS - 1)) * UNIT_NS }
    };
    let index = index as u64;
    if index as usize >= OVERFLOW { (low(index), low(index)) } else { (low(index), low(index + 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = Duration>) -> Snapshot {
        let histogram = Histogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram.snapshot()
    }

    #[test]
    fn buckets_follow_each_other_without_gap_up_to_the_last() {
        for index in 0..OVERFLOW {
            let (low, high) = bounds_ns(index);
            assert_eq!(bucket(low + 1), index, "first value of bucket {index}");
            assert_eq!(bucket(high), index, "last value of bucket {index}");
            assert_eq!(bounds_ns(index + 1).0, high);
            assert!(low < 1_000 || (high - low) * 4 <= low, "bucket {index} is wider than 25 %");
        }
        assert_eq!(BUCKETS, 133);
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(u64::MAX), OVERFLOW);
        assert!(bounds_ns(OVERFLOW).0 >= 3_600_000_000_000, "an hour is inside");
    }

    #[test]
    fn quantiles_of_an_even_spread_are_within_a_bucket() {
        let snapshot = of((1..=10_000).map(Duration::from_micros));
        for (q, exact_us) in [(0.01, 100.0), (0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found_us = snapshot.quantile(q).as_secs_f64() * 1e6;
            assert!((found_us / exact_us - 1.0).abs() < 0.05, "q {q}: {found_us} µs for {exact_us} µs");
        }
        assert_eq!(snapshot.count(), 10_000);
        assert_eq!(snapshot.mean(), Duration::from_nanos(5_000_500));
    }

    #[test]
    fn quantiles_at_the_edges_are_defined() {
        assert_eq!(Snapshot::empty().quantile(0.5), Duration::ZERO);
        assert_eq!(Snapshot::empty().mean(), Duration::ZERO);
        let one = of([Duration::from_micros(100)]);
        for q in [-1.0, 0.0, 0.5, 1.0, 2.0] {
            let us = one.quantile(q).as_micros();
            assert!((96..=112).contains(&us), "q {q}: {us} µs");
        }
        let day = of([Duration::from_secs(86_400)]);
        assert_eq!(day.quantile(0.5), Duration::from_nanos(bounds_ns(OVERFLOW).0));
        assert_eq!(day.mean(), Duration::from_secs(86_400));
        assert_eq!(of([Duration::MAX]).count(), 1);
    }

    #[test]
    fn what_is_cleared_is_empty_and_may_be_used_again() {
        let histogram = Histogram::new();
        histogram.record(Duration::from_millis(3));
        histogram.clear();
        assert_eq!(histogram.snapshot(), Snapshot::empty());
        histogram.record(Duration::MAX);
        assert_eq!(histogram.snapshot().count(), 1);
    }

    #[test]
    fn a_duration_equal_to_a_bound_counts_at_that_bound() {
        let snapshot = of([Duration::from_micros(1_024), Duration::from_nanos(1_024_001)]);
        assert_eq!(snapshot.count_up_to_pow2_us(10), 1);
        assert_eq!(snapshot.count_up_to_pow2_us(11), 2);
    }

    #[test]
    fn merge_and_since_are_inverse() {
        let (first, second) = (of([Duration::from_millis(1)]), of([Duration::from_millis(2), Duration::from_secs(3)]));
        let mut both = first.clone();
        both.merge(&second);
        assert_eq!(both.count(), 3);
        assert_eq!(both.sum(), Duration::from_millis(3_003));
        assert_eq!(both.since(&first), second);
    }
}
