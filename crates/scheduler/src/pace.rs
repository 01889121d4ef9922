//! When the next connect may start: back-off after failures, and the budget the server really has.

use std::time::Duration;

use crate::rng::Rng;
use crate::types::Time;

/// A running mean that forgets: each sample counts one eighth.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean(Option<u64>);

impl Mean {
    pub(crate) fn add(&mut self, sample: Duration) {
        let sample = nanos(sample);
        self.0 = Some(self.0.map_or(sample, |mean| mean - mean / 8 + sample / 8));
    }

    /// The mean; zero before the first sample.
    pub(crate) fn get(self) -> Duration {
        self.sampled().unwrap_or_default()
    }

    /// The mean, if there is a sample.
    pub(crate) fn sampled(self) -> Option<Duration> {
        self.0.map(Duration::from_nanos)
    }
}

/// A duration in nanoseconds, at most 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits longer after each failure in a row, with jitter, so that many poolers do not return in step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backoff {
    failures: u32,
    since: Time,
    until: Time,
}

/// The first wait after a failure.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The wait doubles this often at most: 50 ms × 2⁷ = 6.4 s.
const BACKOFF_DOUBLINGS: u32 = 7;

impl Backoff {
    /// A connect that began at `began` failed. Connects that were under way together count as one failure.
    pub(crate) fn failed(&mut self, began: Time, now: Time, rng: &mut Rng) {
        if self.failures > 0 && began <= self.since {
            return;
        }
        let full = BACKOFF_MIN * (1 << self.failures.min(BACKOFF_DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        self.since = now;
        // Between half and all of it.
        self.until = now.after(full.mul_f64(0.5 + rng.unit() / 2.0));
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.until = Time(0);
    }

    /// The last attempt failed.
    pub(crate) const fn failing(&self) -> bool {
        self.failures > 0
    }

    /// Failures in a row.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// No attempt before this.
    pub(crate) const fn until(&self) -> Time {
        self.until
    }
}

/// How many connections the server lets us have, all routes together or one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ceiling {
    /// As many as the budget says, for all we know.
    Budget,
    /// It refused one more when we held `level`. One more is tried after `probe_at`.
    Lowered { level: u32, since: Time, delay: Duration, probe_at: Time },
}

/// The delay between probes grows to this multiple of `Limits::probe_after`.
const PROBE_DELAY_MAX: u32 = 16;

impl Ceiling {
    /// The server refused a connect that began at `began`, for want of connections; we hold `held` without it.
    pub(crate) fn refused(&mut self, held: u32, began: Time, now: Time, probe_after: Duration) {
        let delay = match *self {
            Self::Budget => probe_after,
            // Begun before we knew: no news about how long the shortage lasts.
            Self::Lowered { since, delay, probe_at, .. } if began < since => {
                *self = Self::Lowered { level: held, since, delay, probe_at };
                return;
            }
            Self::Lowered { delay, .. } => delay.saturating_mul(2).min(probe_after.saturating_mul(PROBE_DELAY_MAX)),
        };
        *self = Self::Lowered { level: held, since: now, delay, probe_at: now.after(delay) };
    }

    /// A connect came through when we held `held` with it: the server has room for that many, and perhaps one more.
    pub(crate) fn accepted(&mut self, held: u32, budget: u32, probe_after: Duration, now: Time) {
        if let Self::Lowered { level, since, .. } = *self
            && held > level
        {
            let next = Self::Lowered { level: held, since, delay: probe_after, probe_at: now };
            *self = if held >= budget { Self::Budget } else { next };
        }
    }

    /// Whether one more connect may be tried beside `coming` that are on the way, where there are `held` in all.
    pub(crate) fn admits(self, held: u32, coming: u32, now: Time) -> bool {
        match self {
            Self::Budget => true,
            Self::Lowered { level, probe_at, .. } => held < level || (coming == 0 && probe_at <= now),
        }
    }

    /// When one more than it allows is tried next.
    pub(crate) const fn probe_at(self) -> Option<Time> {
        match self {
            Self::Budget => None,
            Self::Lowered { probe_at, .. } => Some(probe_at),
        }
    }

    /// `Limits::probe_after` is another one from now on.
    pub(crate) fn set_probe_after(&mut self, probe_after: Duration, now: Time) {
        if let Self::Lowered { delay, probe_at, .. } = self {
            *delay = probe_after;
            *probe_at = now.after(probe_after);
        }
    }

    pub(crate) fn effective(self, budget: u32) -> u32 {
        match self {
            Self::Budget => budget,
            Self::Lowered { level, .. } => level.min(budget),
        }
    }
}
