//! Durations with their unit, and what may stand in the place of one.

use std::time::Duration;

/// Units of time, longest first, and their length in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The longest duration taken: a year. Longer ones are slips, and this keeps every deadline within range of a clock.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// What [`period`] reads, for messages.
pub const PERIOD_EXPECTED: &str = "a duration with its unit, as in \"5s\"";

/// What [`timeout`] reads, for messages.
pub const TIMEOUT_EXPECTED: &str = "a duration with its unit, as in \"5s\", or \"off\"";

/// What [`test_after`] reads, for messages.
pub const TEST_AFTER_EXPECTED: &str = "a duration with its unit, as in \"30s\", or \"always\" or \"off\"";

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// It is not written like one.
    #[error("a duration is written with its unit, as in \"5s\", \"250ms\" or \"1h30m\"")]
    Form,
    /// This number stands alone.
    #[error("`{0}` has no unit: write \"{0}s\" for seconds or \"{0}ms\" for milliseconds")]
    NoUnit(String),
    /// This unit is none.
    #[error("`{0}` is no unit of time: use d, h, m, s, ms, us or ns")]
    UnknownUnit(String),
    /// It is longer than a year.
    #[error("a duration of at most 366 days is expected")]
    TooLong,
    /// It is zero or off where there must be one.
    #[error("this duration cannot be 0 or off")]
    Never,
}

/// Reads a duration that is always above zero: `5s`, `250ms`, `1h30m`.
///
/// # Errors
/// Says how it is to be written.
pub fn period(text: &str) -> Result<Duration, DurationError> {
    match duration(text) {
        _ if is_off(text) => Err(DurationError::Never),
        Ok(Duration::ZERO) => Err(DurationError::Never),
        read => read,
    }
}

/// Reads a duration, or `off` (also `0`): no limit.
///
/// # Errors
/// Says how it is to be written.
pub fn timeout(text: &str) -> Result<Option<Duration>, DurationError> {
    if is_off(text) {
        return Ok(None);
    }
    duration(text).map(|limit| Some(limit).filter(|limit| !limit.is_zero()))
}

/// Reads after how long something is tested: a duration, `always` (zero) or `off` (never).
///
/// # Errors
/// Says how it is to be written.
pub fn test_after(text: &str) -> Result<Option<Duration>, DurationError> {
    if text.trim() == "always" { Ok(Some(Duration::ZERO)) } else { timeout(text) }
}

/// Writes a duration so that it is read back.
#[must_use]
pub fn write_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in UNITS {
        if rest >= length {
            text += &format!("{}{unit}", rest / length);
            rest %= length;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Writes what [`timeout`] reads back.
#[must_use]
pub fn write_timeout(timeout: Option<Duration>) -> String {
    timeout.map_or_else(|| "off".into(), write_duration)
}

/// Writes what [`test_after`] reads back.
#[must_use]
pub fn write_test_after(after: Option<Duration>) -> String {
    if after == Some(Duration::ZERO) { "always".into() } else { write_timeout(after) }
}

/// Reads `1h30m`: numbers with units, added up.
fn duration(text: &str) -> Result<Duration, DurationError> {
    let mut total: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Form);
    }
    while !rest.is_empty() {
        let (number, after) = crate::split_while(rest, |c| c.is_ascii_digit());
        let (unit, after) = crate::split_while(after, char::is_alphabetic);
        match (number, unit) {
            ("", _) => return Err(DurationError::Form),
            (_, "") if after.is_empty() => return Err(DurationError::NoUnit(number.into())),
            (_, "") => return Err(DurationError::Form),
            _ => {}
        }
        let length = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, length)| *length);
        let length = length.ok_or_else(|| DurationError::UnknownUnit(unit.into()))?;
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(length));
        total = part.and_then(|part| total.checked_add(part)).ok_or(DurationError::TooLong)?;
        rest = after.trim_start();
    }
    let total = Duration::from_nanos(total);
    if total > DURATION_MAX { Err(DurationError::TooLong) } else { Ok(total) }
}

fn is_off(text: &str) -> bool {
    matches!(text.trim(), "off" | "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_back() {
        for (text, nanos, canonical) in [
            ("5s", 5_000_000_000, "5s"),
            ("250ms", 250_000_000, "250ms"),
            ("1h30m", 5_400_000_000_000, "1h30m"),
            (" 90m ", 5_400_000_000_000, "1h30m"),
            ("1d 1ns", 86_400_000_000_001, "1d1ns"),
            ("0s", 0, "0s"),
        ] {
            let parsed = duration(text).unwrap();
            assert_eq!(parsed, Duration::from_nanos(nanos), "{text}");
            assert_eq!(write_duration(parsed), canonical);
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, message) in [
            ("", "a duration is written with its unit, as in \"5s\", \"250ms\" or \"1h30m\""),
            ("s", "a duration is written with its unit, as in \"5s\", \"250ms\" or \"1h30m\""),
            ("5", "`5` has no unit: write \"5s\" for seconds or \"5ms\" for milliseconds"),
            ("1h30", "`30` has no unit: write \"30s\" for seconds or \"30ms\" for milliseconds"),
            ("-5s", "a duration is written with its unit, as in \"5s\", \"250ms\" or \"1h30m\""),
            ("1.5s", "a duration is written with its unit, as in \"5s\", \"250ms\" or \"1h30m\""),
            ("5sec", "`sec` is no unit of time: use d, h, m, s, ms, us or ns"),
            ("99999999999999999999s", "a duration of at most 366 days is expected"),
            ("400d", "a duration of at most 366 days is expected"),
            ("18446744073709551615ns1s", "a duration of at most 366 days is expected"),
        ] {
            assert_eq!(duration(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn off_is_a_timeout_but_no_period() {
        for text in ["off", "0", "0s", "0ms"] {
            assert_eq!(timeout(text), Ok(None), "{text}");
            assert_eq!(period(text), Err(DurationError::Never), "{text}");
        }
        assert_eq!(test_after("always"), Ok(Some(Duration::ZERO)));
        assert_eq!(test_after("off"), Ok(None));
        assert_eq!(write_test_after(Some(Duration::ZERO)), "always");
        assert_eq!(write_timeout(None), "off");
        assert_eq!(timeout("2s"), Ok(Some(Duration::from_secs(2))));
        assert_eq!(period("2s"), Ok(Duration::from_secs(2)));
    }
}
