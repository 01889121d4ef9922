//! Values as people write them: durations and sizes with units, limits that may be off, secrets.

use std::fmt;
use std::time::Duration;

use auth::Secret;
use serde::{Deserialize, Deserializer, Serialize, de};

/// Units of time, longest first, and their length in nanoseconds.
const TIME_UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size, largest first, and their length in bytes.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// The longest duration taken: a year. Longer ones are slips, and this keeps every deadline within range of a clock.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Why a text is no value of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("a duration is written with its unit, as in \"5s\", \"250ms\" or \"1h30m\"")]
    Duration,
    #[error("`{0}` has no unit: write \"{0}s\" for seconds or \"{0}ms\" for milliseconds")]
    DurationUnit(String),
    #[error("`{0}` is no unit of time: use d, h, m, s, ms, us or ns")]
    UnknownTimeUnit(String),
    #[error("a duration of at most 366 days is expected")]
    TooLong,
    #[error("this duration cannot be 0 or off")]
    NeverOff,
    #[error("a size is written with its unit, as in \"16KiB\" or \"64MiB\"")]
    Size,
    #[error("`{0}` is no unit of size: use B, KiB, MiB or GiB")]
    UnknownSizeUnit(String),
    #[error("a size below 8 EiB is expected")]
    TooLarge,
    #[error(transparent)]
    Address(#[from] route::AddressError),
    #[error("HTTP is served on host:port only, not on a unix socket")]
    NoUnixSocket,
    #[error("`{0}` is no network: write it as in \"10.0.0.0/8\", or an IP address")]
    Network(String),
    #[error("`{0}` is no length of a prefix: a number from 0 to {1} is expected")]
    PrefixLen(String, u8),
    #[error("`{given}` is an address within a network: the network is `{network}`")]
    HostBits { given: String, network: String },
}

/// Reads `1h30m`: numbers with units, added up.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, ValueError> {
    let mut total: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(ValueError::Duration);
    }
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit());
        let (unit, after) = split_while(after, char::is_alphabetic);
        match (number, unit) {
            ("", _) => return Err(ValueError::Duration),
            (_, "") if after.is_empty() => return Err(ValueError::DurationUnit(number.into())),
            (_, "") => return Err(ValueError::Duration),
            _ => {}
        }
        let length = TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, length)| *length);
        let length = length.ok_or_else(|| ValueError::UnknownTimeUnit(unit.into()))?;
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(length));
        total = part.and_then(|part| total.checked_add(part)).ok_or(ValueError::TooLong)?;
        rest = after.trim_start();
    }
    let total = Duration::from_nanos(total);
    if total > DURATION_MAX { Err(ValueError::TooLong) } else { Ok(total) }
}

/// Writes a duration so that [`parse_duration`] reads it back.
pub(crate) fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in TIME_UNITS {
        if rest >= length {
            text += &format!("{}{unit}", rest / length);
            rest %= length;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

fn parse_size(text: &str) -> Result<u64, ValueError> {
    let (number, unit) = split_while(text.trim(), |c| c.is_ascii_digit());
    let unit = unit.trim_start();
    match (number, unit) {
        ("", _) | (_, "") => return Err(ValueError::Size),
        _ => {}
    }
    let length = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, length)| *length);
    let length = length.ok_or_else(|| ValueError::UnknownSizeUnit(unit.into()))?;
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(length));
    bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or(ValueError::TooLarge)
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// A duration that is always above zero. Written `"5s"`, `"250ms"`, `"1h30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(Duration);

impl Period {
    pub(crate) const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub(crate) const fn millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// How long.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        match parse_duration(text) {
            _ if is_off(text) => Err(ValueError::NeverOff),
            Ok(Duration::ZERO) => Err(ValueError::NeverOff),
            parsed => parsed.map(Self),
        }
    }
}

/// A duration, or `"off"` (also `"0"`): no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(Option<Duration>);

impl Timeout {
    /// No limit.
    pub(crate) const OFF: Self = Self(None);

    pub(crate) const fn secs(seconds: u64) -> Self {
        Self(Some(Duration::from_secs(seconds)))
    }

    /// The limit, if there is one.
    #[must_use]
    pub const fn get(self) -> Option<Duration> {
        self.0
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        if is_off(text) {
            return Ok(Self::OFF);
        }
        let limit = parse_duration(text)?;
        Ok(Self((limit > Duration::ZERO).then_some(limit)))
    }
}

impl From<Timeout> for route::Timeout {
    fn from(timeout: Timeout) -> Self {
        timeout.0.map_or(Self::Off, Self::After)
    }
}

/// How long a connection may be silent before it is tested: a duration, `"always"` (zero) or `"off"` (never).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestAfter(Option<Duration>);

impl TestAfter {
    pub(crate) const fn secs(seconds: u64) -> Self {
        Self(Some(Duration::from_secs(seconds)))
    }

    /// After how long; zero: each time, `None`: never.
    #[must_use]
    pub const fn get(self) -> Option<Duration> {
        self.0
    }
}

fn is_off(text: &str) -> bool {
    matches!(text.trim(), "off" | "0")
}

/// A number of bytes. Written `"16KiB"`, `"64MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(u64);

impl Size {
    pub(crate) const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// How many bytes; on a 32-bit machine at most what can be addressed.
    #[must_use]
    pub fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// The most of something; `0`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cap(u32);

impl Cap {
    /// No limit.
    pub(crate) const NONE: Self = Self(0);

    /// The limit, if there is one.
    #[must_use]
    pub const fn get(self) -> Option<u32> {
        if self.0 == 0 { None } else { Some(self.0) }
    }
}

/// A secret given in the file itself. It is never written back, shown or compared in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretText(pub(crate) Secret);

/// What the kinds of values written as strings have in common.
pub(crate) trait Written: Sized {
    const EXPECTED: &'static str;
    fn read(text: &str) -> Result<Self, ValueError>;
    fn write(&self) -> String;
}

impl Written for Period {
    const EXPECTED: &'static str = "a duration with its unit, as in \"5s\"";
    fn read(text: &str) -> Result<Self, ValueError> {
        Self::parse(text)
    }
    fn write(&self) -> String {
        format_duration(self.0)
    }
}

impl Written for Timeout {
    const EXPECTED: &'static str = "a duration with its unit, as in \"5s\", or \"off\"";
    fn read(text: &str) -> Result<Self, ValueError> {
        Self::parse(text)
    }
    fn write(&self) -> String {
        self.0.map_or_else(|| "off".into(), format_duration)
    }
}

impl Written for TestAfter {
    const EXPECTED: &'static str = "a duration with its unit, as in \"30s\", or \"always\" or \"off\"";
    fn read(text: &str) -> Result<Self, ValueError> {
        match text.trim() {
            "always" => Ok(Self(Some(Duration::ZERO))),
            text => Timeout::parse(text).map(|timeout| Self(timeout.0)),
        }
    }
    fn write(&self) -> String {
        if self.0 == Some(Duration::ZERO) { "always".into() } else { Timeout(self.0).write() }
    }
}

impl Written for Size {
    const EXPECTED: &'static str = "a size with its unit, as in \"16KiB\"";
    fn read(text: &str) -> Result<Self, ValueError> {
        parse_size(text).map(Self)
    }
    fn write(&self) -> String {
        let (unit, length) = SIZE_UNITS
            .into_iter()
            .find(|(_, length)| self.0.is_multiple_of(*length) && self.0 >= *length)
            .unwrap_or(("B", 1));
        format!("{}{unit}", self.0 / length)
    }
}

pub(crate) struct WrittenVisitor<T>(pub(crate) std::marker::PhantomData<T>);

impl<T: Written> de::Visitor<'_> for WrittenVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(E::custom)
    }
}

/// Serde, display and schema of a [`Written`] kind; the text is what the reference shows as its kind.
macro_rules! written {
    ($($kind:ident: $label:literal),*) => {$(
        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::values::WrittenVisitor(std::marker::PhantomData))
            }
        }

        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$crate::values::Written::write(self))
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::values::Written::write(self))
            }
        }

        $crate::values::impl_schema!($kind, { "type": "string", "format": $label });
    )*};
}

/// The schema of a kind that is written as one plain value.
macro_rules! impl_schema {
    ($kind:ident, $schema:tt) => {
        impl schemars::JsonSchema for $kind {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

pub(crate) use {impl_schema, written};

written!(Period: "duration", Timeout: "duration or off", TestAfter: "duration, always or off", Size: "size");
impl_schema!(Cap, { "type": "integer", "minimum": 0, "maximum": u32::MAX, "format": "number, 0 = no limit" });
impl_schema!(SecretText, { "type": "string", "format": "secret" });

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::from(text)))
    }
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
            let parsed = parse_duration(text).unwrap();
            assert_eq!(parsed, Duration::from_nanos(nanos), "{text}");
            assert_eq!(format_duration(parsed), canonical);
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
            assert_eq!(parse_duration(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn off_is_a_timeout_but_no_period() {
        for text in ["off", "0", "0s", "0ms"] {
            assert_eq!(Timeout::parse(text), Ok(Timeout::OFF), "{text}");
            assert_eq!(Period::parse(text), Err(ValueError::NeverOff), "{text}");
        }
        assert_eq!(TestAfter::read("always"), Ok(TestAfter(Some(Duration::ZERO))));
        assert_eq!(TestAfter::read("off"), Ok(TestAfter(None)));
        assert_eq!(TestAfter(Some(Duration::ZERO)).write(), "always");
        assert_eq!(Timeout::parse("2s"), Ok(Timeout::secs(2)));
        assert_eq!(Period::parse("2s"), Ok(Period::secs(2)));
    }

    #[test]
    fn sizes_are_read_and_written_back() {
        for (text, bytes, canonical) in [
            ("16KiB", 16_384, "16KiB"),
            ("1 GiB", 1 << 30, "1GiB"),
            ("1536B", 1_536, "1536B"),
            ("0B", 0, "0B"),
            ("2048KiB", 2 << 20, "2MiB"),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(Size(bytes).write(), canonical);
        }
        for (text, error) in [
            ("16", ValueError::Size),
            ("KiB", ValueError::Size),
            ("16kb", ValueError::UnknownSizeUnit("kb".into())),
            ("99999999999GiB", ValueError::TooLarge),
        ] {
            assert_eq!(parse_size(text), Err(error), "{text}");
        }
    }
}
