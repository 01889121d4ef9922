//! What programs use while a load generator runs against them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What was read at both ends of a window of time.
pub(super) struct Window<T> {
    /// At its start.
    pub(super) first: T,
    /// At its end.
    pub(super) last: T,
    /// How long it was.
    pub(super) length: Duration,
}

/// Reads totals until `is_running` says no, and returns those of the last three quarters of `duration`: when all clients of
/// a load generator are logged in and none has left.
pub(super) fn watch<T: Copy>(
    duration: Duration,
    mut is_running: impl FnMut() -> Result<bool>,
    mut read: impl FnMut() -> Result<T>,
) -> Result<Window<T>> {
    let mut samples = Vec::new();
    while is_running()? {
        samples.push((Instant::now(), read()?));
        std::thread::sleep(SAMPLE_PERIOD);
    }
    let end = samples.len().saturating_sub(2);
    let (until, last) = *samples.get(end).context("the load generator ended at once")?;
    let wanted = duration.mul_f64(0.75);
    let (since, first) =
        *samples.iter().find(|(at, _)| until.duration_since(*at) <= wanted).context("no sample in the window")?;
    Ok(Window { first, last, length: until - since })
}

const SAMPLE_PERIOD: Duration = Duration::from_millis(50);
