//! Numbers as people read them, and the checks that numbers from people need.

use std::ops::RangeInclusive;

use crate::Error;

/// A whole number with its thousands apart: `204,800`.
pub fn count(number: u64) -> String {
    group(&number.to_string())
}

/// A number to four significant digits, whole ones in full: `0.8621`, `204,800`.
pub fn real(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return format!("{number}");
    }
    let magnitude = number.abs().log10().floor();
    let decimals = (3.0 - magnitude).clamp(0.0, 12.0) as usize;
    let text = format!("{number:.decimals$}");
    match text.split_once('.') {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => group(whole),
            fraction => format!("{}.{fraction}", group(whole)),
        },
        None => group(&text),
    }
}

/// A time in the unit that suits it: `4.412 ms`.
pub fn time(seconds: f64) -> String {
    let (factor, unit) = match seconds {
        s if s == 0.0 || s >= 1.0 => (1.0, "s"),
        s if s >= 1e-3 => (1e3, "ms"),
        s if s >= 1e-6 => (1e6, "µs"),
        _ => (1e9, "ns"),
    };
    format!("{} {unit}", real(seconds * factor))
}

fn group(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The least whole number that is not below `number`.
///
/// What is above a whole number by rounding only is that number: 1.1 × 50 is 55.00000000000001, and 55 are enough.
pub(crate) fn ceil(number: f64) -> u32 {
    (number * (1.0 - 1e-9)).ceil() as u32
}

/// `given`, if it is a number in `range`.
pub(crate) fn within(what: &'static str, given: f64, range: RangeInclusive<f64>) -> Result<f64, Error> {
    if range.contains(&given) {
        return Ok(given);
    }
    Err(Error::OutOfRange { what, least: real(*range.start()), most: real(*range.end()), given: real(given) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_them() {
        for (number, text) in [
            (0.0, "0"),
            (204_800.0, "204,800"),
            (1_234_567.8, "1,234,568"),
            (37.5, "37.5"),
            (1000.0, "1,000"),
            (999.99, "1,000"),
            (0.006_270_4, "0.00627"),
            (7.175e-6, "0.000007175"),
            (-1234.5, "-1,234"),
        ] {
            assert_eq!(real(number), text);
        }
        assert_eq!(count(326), "326");
        assert_eq!(count(4_000), "4,000");
    }

    #[test]
    fn times_have_their_unit() {
        for (seconds, text) in
            [(0.0, "0 s"), (0.005, "5 ms"), (0.004_411_8, "4.412 ms"), (90.0, "90 s"), (12e-6, "12 µs"), (5e-9, "5 ns")]
        {
            assert_eq!(time(seconds), text);
        }
    }

    #[test]
    fn rounding_up_forgives_what_binary_fractions_add() {
        assert_eq!(ceil(1.1 * 50.0), 55);
        assert_eq!(ceil(37.5), 38);
        assert_eq!(ceil(25.0), 25);
        assert_eq!(ceil(25.001), 26);
        assert_eq!(ceil(0.0), 0);
    }
}
