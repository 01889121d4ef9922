//! Values as people write them: durations and sizes with units, limits that may be off, secrets.

use std::fmt;
use std::time::Duration;

use auth::Secret;
use serde::{Deserialize, Deserializer, Serialize, de};

/// Units of size, largest first, and their length in bytes.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Why a text is no value of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    #[error(transparent)]
    Duration(#[from] words::DurationError),
    #[error("a size is written with its unit, as in \"16KiB\" or \"64MiB\"")]
    Size,
    #[error("`{0}` is no unit of size: use B, KiB, MiB or GiB")]
    UnknownSizeUnit(String),
    #[error("a size below 8 EiB is expected")]
    TooLarge,
    #[error(transparent)]
    Address(#[from] route::AddressError),
    #[error(
        "`{given}` names no host: write \"127.0.0.1:{port}\" for this machine alone, or \"0.0.0.0:{port}\" for all addresses"
    )]
    NoHost { given: String, port: u16 },
    #[error("HTTP is served on host:port only, not on a unix socket")]
    NoUnixSocket,
    #[error("`{0}` is no network: write it as in \"10.0.0.0/8\", or an IP address")]
    Network(String),
    #[error("`{0}` is no length of a prefix: a number from 0 to {1} is expected")]
    PrefixLen(String, u8),
    #[error("`{given}` is an address within a network: the network is `{network}`")]
    HostBits { given: String, network: String },
}

fn parse_size(text: &str) -> Result<u64, ValueError> {
    let (number, unit) = words::split_while(text.trim(), |c| c.is_ascii_digit());
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
    const EXPECTED: &'static str = words::PERIOD_EXPECTED;
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Self(words::period(text)?))
    }
    fn write(&self) -> String {
        words::write_duration(self.0)
    }
}

impl Written for Timeout {
    const EXPECTED: &'static str = words::TIMEOUT_EXPECTED;
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Self(words::timeout(text)?))
    }
    fn write(&self) -> String {
        words::write_timeout(self.0)
    }
}

impl Written for TestAfter {
    const EXPECTED: &'static str = words::TEST_AFTER_EXPECTED;
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Self(words::test_after(text)?))
    }
    fn write(&self) -> String {
        words::write_test_after(self.0)
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
