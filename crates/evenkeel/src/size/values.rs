//! Numbers and times of the command line. What is wrong is said together with what is probably meant.

use std::time::Duration;

use route::nearest;

/// Units of time in nanoseconds, by all the names that people give them; the first name of each is ours.
const UNITS: [(&[&str], f64); 6] = [
    (&["ns", "nsec", "nanoseconds"], 1.0),
    (&["us", "µs", "usec", "microseconds"], 1e3),
    (&["ms", "msec", "millis", "milliseconds"], 1e6),
    (&["s", "sec", "seconds"], 1e9),
    (&["m", "min", "minutes"], 60e9),
    (&["h", "hour", "hours"], 3_600e9),
];

/// Statements per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    within(number(text)?, 0.001, 1e9)
}

/// A number of servers or instances.
pub(super) fn few(text: &str) -> Result<u32, String> {
    whole(text, 1, 1_000)
}

/// A number of connections.
pub(super) fn many(text: &str) -> Result<u32, String> {
    whole(text, 1, 1_000_000)
}

/// A number of connections that may be none.
pub(super) fn any(text: &str) -> Result<u32, String> {
    whole(text, 0, 1_000_000)
}

/// Seconds that something is watched or measured.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    whole(text.trim().trim_end_matches('s'), 1, 86_400)
}

/// The most connections to measure with: three numbers at least make a curve.
pub(super) fn measured(text: &str) -> Result<u32, String> {
    whole(text, 3, 10_000)
}

/// A percentile: 99, 99.9, p99.
pub(super) fn percentile(text: &str) -> Result<f64, String> {
    let percent = number(text.trim_start_matches(['p', 'P']).trim_end_matches(['%', ' ']))?;
    if percent > 0.0 && percent < 1.0 {
        return Err(format!("percent are meant: did you mean {}?", sizing::real(percent * 100.0)));
    }
    within(percent, 1.0, 99.9999)
}

/// A factor.
pub(super) fn headroom(text: &str) -> Result<f64, String> {
    let factor = number(text)?;
    if (100.0..=1_000.0).contains(&factor) {
        return Err(format!("a factor is meant, not percent: did you mean {}?", sizing::real(factor / 100.0)));
    }
    within(factor, 1.0, 10.0)
}

/// The time that a connection is kept.
pub(super) fn response_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    match time.as_secs_f64() {
        seconds if seconds < 1e-6 => Err("less than 1us is no time for a statement; the nearest is 1us".into()),
        seconds if seconds > 3_600.0 => Err("more than 1h is no time for a statement; the nearest is 1h".into()),
        _ => Ok(time),
    }
}

/// The time that a client waits; it may be none.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    let time = if matches!(text.trim(), "0" | "none") { Duration::ZERO } else { duration(text)? };
    if time > Duration::from_secs(3_600) { Err("more than 1h; the nearest is 1h".into()) } else { Ok(time) }
}

/// A number and its unit: `5ms`, `0.2 s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split(text);
    let Ok(amount) = digits.parse::<f64>() else {
        return Err("a time is a number and its unit, such as 5ms or 0.2s".into());
    };
    if unit.is_empty() {
        return Err(format!("the unit is missing: did you mean {digits}ms?"));
    }
    let known = UNITS.iter().find(|(names, _)| names[0] == unit || unit == "µs" && names.contains(&unit));
    let Some((_, length)) = known else {
        let names = UNITS.iter().flat_map(|(names, _)| *names).copied();
        let meant = nearest(unit, names).and_then(|near| UNITS.iter().find(|(names, _)| names.contains(&near)));
        return Err(match meant {
            Some((names, _)) => format!("unknown unit `{unit}`: did you mean {digits}{}?", names[0]),
            None => format!("unknown unit `{unit}`: us, ms, s, m and h are known"),
        });
    };
    let nanoseconds = amount * length;
    if !(0.0..=1e16).contains(&nanoseconds) {
        return Err("such a time makes no sense here".into());
    }
    Ok(Duration::from_nanos(nanoseconds.round() as u64))
}

/// A number; `40k` and `1.5M` are thousands and millions, `1_000` and `1,000` the same.
pub(super) fn number(text: &str) -> Result<f64, String> {
    let plain = text.trim().replace(['_', ','], "");
    let (digits, suffix) = split(&plain);
    let factor = match suffix {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "m" => return Err(format!("m is not known here: did you mean {digits}M, for millions?")),
        _ if digits.parse::<f64>().is_ok() => return Err(format!("a number is expected: did you mean {digits}?")),
        _ => return Err("a number is expected, such as 5000 or 5k".into()),
    };
    let number = digits.parse::<f64>().map_err(|_| "a number is expected, such as 5000 or 5k".to_owned())?;
    Ok(number * factor)
}

fn whole(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = within(number(text)?, least.into(), most.into())?;
    if number.fract() == 0.0 {
        return Ok(number as u32);
    }
    Err(format!("a whole number is expected; the nearest is {}", number.round()))
}

fn within(number: f64, least: f64, most: f64) -> Result<f64, String> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    let nearest = number.clamp(least, most);
    Err(format!("not between {least} and {most}; the nearest is {nearest}"))
}

/// What is at the beginning and could be a number, and the rest.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let numeric = |(at, c): (usize, char)| !(c.is_ascii_digit() || c == '.' || at == 0 && matches!(c, '-' | '+'));
    let end = text.char_indices().find(|place| numeric(*place)).map_or(text.len(), |(at, _)| at);
    let (digits, rest) = text.split_at(end);
    (digits, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, value) in [("5000", 5e3), ("5k", 5e3), ("1.5M", 1.5e6), ("204,800", 204_800.0), ("1_000", 1e3)] {
            assert_eq!(rate(text), Ok(value), "{text}");
        }
        assert_eq!(few("3"), Ok(3));
        assert_eq!(any("0"), Ok(0));
        assert_eq!(percentile("p99.9"), Ok(99.9));
        assert_eq!(percentile("95%"), Ok(95.0));
    }

    #[test]
    fn times() {
        for (text, nanoseconds) in
            [("5ms", 5_000_000), ("0.2s", 200_000_000), ("250us", 250_000), ("250 µs", 250_000), ("1m", 60_000_000_000)]
        {
            assert_eq!(response_time(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
        assert_eq!(wait("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_wrong_comes_with_what_is_meant() {
        for (said, told) in [
            (rate("5000qps").unwrap_err(), "did you mean 5000?"),
            (rate("-5").unwrap_err(), "the nearest is 0.001"),
            (rate("NaN").unwrap_err(), "a number is expected"),
            (rate("inf").unwrap_err(), "a number is expected"),
            (rate("5m").unwrap_err(), "did you mean 5M"),
            (rate("").unwrap_err(), "a number is expected"),
            (few("0").unwrap_err(), "the nearest is 1"),
            (few("2.4").unwrap_err(), "the nearest is 2"),
            (percentile("0.99").unwrap_err(), "did you mean 99?"),
            (percentile("100").unwrap_err(), "the nearest is 99.9999"),
            (headroom("150").unwrap_err(), "did you mean 1.5?"),
            (headroom("0.5").unwrap_err(), "the nearest is 1"),
            (response_time("5").unwrap_err(), "did you mean 5ms?"),
            (response_time("5msec").unwrap_err(), "did you mean 5ms?"),
            (response_time("2seconds").unwrap_err(), "did you mean 2s?"),
            (response_time("5 parsecs of way").unwrap_err(), "us, ms, s, m and h are known"),
            (response_time("-5ms").unwrap_err(), "makes no sense"),
            (response_time("1e400ms").unwrap_err(), "unknown unit"),
            (response_time("ms").unwrap_err(), "a number and its unit"),
            (response_time("0ms").unwrap_err(), "the nearest is 1us"),
            (wait("2h").unwrap_err(), "the nearest is 1h"),
        ] {
            assert!(said.contains(told), "{said:?} does not say {told:?}");
        }
    }
}
