//! [`Settings`] and [`Options`] as an application's configuration writes them (feature `serde`).
//!
//! The names are those of the program's `[pool]` section, and the values are read with the same code (crate `words`): durations
//! carry their unit, `"off"` is no limit, and a cap of 0 is none. What is not given keeps its default; a key that is not known
//! is refused, with the nearest that is.
//!
//! The keys are listed here and not shared with the program, which has others as well: defaults of its own for a server that
//! serves thousands, places in files for its messages, a schema for editors. A test of the program compares the two.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use scheduler::{Moves, Reuse};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::options::{OnReturn, Options};
use crate::settings::Settings;

/// What is written as a table of keys.
trait Keyed: Default {
    const KEYS: &'static [&'static str];

    /// Reads the value of a key, if it has that key.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Known, A::Error>;
}

/// Whether there is such a key.
#[derive(PartialEq, Eq)]
enum Known {
    Yes,
    No,
}

impl Keyed for Settings {
    const KEYS: &'static [&'static str] = &[
        "budget",
        "max_waiters",
        "checkout_timeout",
        "connect_timeout",
        "connect_concurrency",
        "validate_timeout",
        "close_timeout",
        "idle_timeout",
        "max_idle_timeout",
        "max_lifetime",
        "lifetime_jitter",
        "max_uses",
        "maintenance_interval",
        "test_on_checkout",
        "test_while_idle",
        "test_on_return",
        "reuse",
        "leak_timeout",
        "reclaim_after",
        "retention_connects",
        "moves",
        "probe_after",
    ];

    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Known, A::Error> {
        // A field without a key does not compile.
        let Self {
            budget,
            max_waiters,
            checkout_timeout,
            connect_timeout,
            connect_concurrency,
            validate_timeout,
            close_timeout,
            idle_timeout,
            max_idle_timeout,
            max_lifetime,
            lifetime_jitter,
            max_uses,
            maintenance_interval,
            test_on_checkout,
            test_while_idle,
            test_on_return,
            reuse,
            leak_timeout,
            reclaim_after,
            retention_connects,
            moves,
            probe_after,
        } = self;
        match key {
            "budget" => *budget = map.next_value()?,
            "max_waiters" => *max_waiters = map.next_value()?,
            "checkout_timeout" => *checkout_timeout = period(map)?,
            "connect_timeout" => *connect_timeout = period(map)?,
            "connect_concurrency" => *connect_concurrency = map.next_value()?,
            "validate_timeout" => *validate_timeout = period(map)?,
            "close_timeout" => *close_timeout = period(map)?,
            "idle_timeout" => *idle_timeout = timeout(map)?,
            "max_idle_timeout" => *max_idle_timeout = timeout(map)?,
            "max_lifetime" => *max_lifetime = timeout(map)?,
            "lifetime_jitter" => *lifetime_jitter = jitter(map)?,
            "max_uses" => *max_uses = Some(map.next_value()?).filter(|uses| *uses > 0),
            "maintenance_interval" => *maintenance_interval = period(map)?,
            "test_on_checkout" => *test_on_checkout = test_after(map)?,
            "test_while_idle" => *test_while_idle = timeout(map)?,
            "test_on_return" => *test_on_return = map.next_value()?,
            "reuse" => {
                let known = &[("most_recent", Reuse::MostRecent), ("least_recent", Reuse::LeastRecent)];
                *reuse = one_of(map, known)?;
            }
            "leak_timeout" => *leak_timeout = timeout(map)?,
            "reclaim_after" => *reclaim_after = period(map)?,
            "retention_connects" => *retention_connects = map.next_value()?,
            "moves" => *moves = one_of(map, &[("rekey", Moves::Rekey), ("reconnect", Moves::Reconnect)])?,
            "probe_after" => *probe_after = period(map)?,
            _ => return Ok(Known::No),
        }
        Ok(Known::Yes)
    }
}

impl Keyed for Options {
    const KEYS: &'static [&'static str] = &[
        "weight",
        "guarantee",
        "max",
        "min_idle",
        "max_waiters_per_route",
        "initial",
        "init_sql",
        "validation_query",
        "on_return",
    ];

    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Known, A::Error> {
        let (route, session) = (&mut self.route, &mut self.session);
        match key {
            "weight" => route.weight = map.next_value()?,
            "guarantee" => route.guarantee = map.next_value()?,
            "max" => route.cap = cap(map)?,
            "min_idle" => route.min_idle = map.next_value()?,
            "max_waiters_per_route" => route.max_waiters = cap(map)?,
            "initial" => self.initial = map.next_value()?,
            "init_sql" => session.init_sql = map.next_value()?,
            "validation_query" => session.validation_query = map.next_value()?,
            "on_return" => {
                session.on_return = one_of(map, &[("settle", OnReturn::Settle), ("reset", OnReturn::Reset)])?;
            }
            _ => return self.settings.read(key, map),
        }
        Ok(Known::Yes)
    }
}

/// Reads a table of the keys of `T`; `more` are those it has from elsewhere.
struct Table<T> {
    more: &'static [&'static str],
    kind: PhantomData<T>,
}

impl<'de, T: Keyed> Visitor<'de> for Table<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a pool")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut table = T::default();
        let mut seen: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(de::Error::custom(format_args!("the key `{key}` is given twice")));
            }
            if table.read(&key, &mut map)? == Known::No {
                let known = || T::KEYS.iter().chain(self.more).copied();
                return Err(de::Error::custom(format_args!("unknown key `{key}`: {}", meant(&key, known))));
            }
            seen.push(key);
        }
        Ok(table)
    }
}

/// The nearest of the known names, else all of them.
fn meant<'a, I: Iterator<Item = &'a str>>(found: &str, known: impl Fn() -> I) -> String {
    match words::nearest(found, known()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known are {}", known().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Table { more: &[], kind: PhantomData })
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Table { more: Settings::KEYS, kind: PhantomData })
    }
}

fn period<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Duration, A::Error> {
    map.next_value_seed(Written { expected: words::PERIOD_EXPECTED, read: words::period })
}

fn timeout<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Duration>, A::Error> {
    map.next_value_seed(Written { expected: words::TIMEOUT_EXPECTED, read: words::timeout })
}

fn test_after<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Duration>, A::Error> {
    map.next_value_seed(Written { expected: words::TEST_AFTER_EXPECTED, read: words::test_after })
}

fn cap<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<u32>, A::Error> {
    Ok(Some(map.next_value()?).filter(|cap| *cap > 0))
}

fn jitter<'de, A: MapAccess<'de>>(map: &mut A) -> Result<f64, A::Error> {
    let jitter: f64 = map.next_value()?;
    if (0.0..=0.5).contains(&jitter) {
        Ok(jitter)
    } else {
        Err(de::Error::custom(format_args!("lifetime_jitter is a fraction from 0 to 0.5, not {jitter}")))
    }
}

fn one_of<'de, A: MapAccess<'de>, T: Copy>(map: &mut A, known: &[(&'static str, T)]) -> Result<T, A::Error> {
    let text: String = map.next_value()?;
    let found = known.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names = || known.iter().map(|(name, _)| *name);
        de::Error::custom(format_args!("unknown value `{text}`: {}", meant(&text, names)))
    })
}

/// A value that is written as a text.
struct Written<T> {
    expected: &'static str,
    read: fn(&str) -> Result<T, words::DurationError>,
}

impl<'de, T> de::DeserializeSeed<'de> for Written<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<Options, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    /// Every key, each with a value that is not its default.
    const ALL: &str = r#"
        budget = 21
        max_waiters = 22
        checkout_timeout = "23s"
        connect_timeout = "24s"
        connect_concurrency = 25
        validate_timeout = "26ms"
        close_timeout = "27ms"
        idle_timeout = "28m"
        max_idle_timeout = "7h"
        max_lifetime = "1h30m"
        lifetime_jitter = 0.31
        max_uses = 32
        maintenance_interval = "33s"
        test_on_checkout = "always"
        test_while_idle = "off"
        test_on_return = true
        reuse = "least_recent"
        leak_timeout = "38s"
        reclaim_after = "39ms"
        retention_connects = 40
        moves = "reconnect"
        probe_after = "42s"
        weight = 43
        guarantee = 44
        max = 45
        min_idle = 46
        max_waiters_per_route = 47
        initial = 48
        init_sql = "set a = 49"
        validation_query = "select 50"
        on_return = "reset"
    "#;

    #[test]
    fn every_key_is_read() {
        let read = options(ALL).unwrap();
        let (secs, millis) = (Duration::from_secs, Duration::from_millis);
        let expected = Settings {
            budget: 21,
            max_waiters: 22,
            checkout_timeout: secs(23),
            connect_timeout: secs(24),
            connect_concurrency: 25,
            validate_timeout: millis(26),
            close_timeout: millis(27),
            idle_timeout: Some(secs(28 * 60)),
            max_idle_timeout: Some(secs(7 * 3_600)),
            max_lifetime: Some(secs(5_400)),
            lifetime_jitter: 0.31,
            max_uses: Some(32),
            maintenance_interval: secs(33),
            test_on_checkout: Some(Duration::ZERO),
            test_while_idle: None,
            test_on_return: true,
            reuse: Reuse::LeastRecent,
            leak_timeout: Some(secs(38)),
            reclaim_after: millis(39),
            retention_connects: 40,
            moves: Moves::Reconnect,
            probe_after: secs(42),
        };
        assert_eq!(read.settings, expected);
        let route = &read.route;
        assert_eq!((route.weight, route.guarantee, route.cap), (43, 44, Some(45)));
        assert_eq!((route.min_idle, route.max_waiters, read.initial), (46, Some(47), 48));
        let session = crate::Session {
            init_sql: "set a = 49".into(),
            validation_query: "select 50".into(),
            on_return: OnReturn::Reset,
        };
        assert_eq!(read.session, session);
        for key in Options::KEYS.iter().chain(Settings::KEYS) {
            assert!(ALL.contains(&format!(" {key} = ")), "{key}");
        }
    }

    #[test]
    fn what_is_not_given_keeps_its_default_and_zero_is_no_cap() {
        assert_eq!(options("").unwrap(), Options::default());
        let none = options("max_uses = 0\nmax = 0\nmax_waiters_per_route = 0").unwrap();
        assert_eq!((none.settings.max_uses, none.route.cap, none.route.max_waiters), (None, None, None));
        assert_eq!(serde_json::from_str::<Settings>(r#"{"budget": 3}"#).unwrap().budget, 3);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, message) in [
            ("max_liftime = \"5m\"", "unknown key `max_liftime`: did you mean `max_lifetime`?"),
            ("min_idel = 5", "unknown key `min_idel`: did you mean `min_idle`?"),
            ("checkout_timeout = \"5\"", "`5` has no unit: write \"5s\" for seconds or \"5ms\" for milliseconds"),
            ("checkout_timeout = \"off\"", "this duration cannot be 0 or off"),
            ("checkout_timeout = 5", "invalid type: integer `5`, expected a duration with its unit, as in \"5s\""),
            ("reuse = \"most_recently\"", "unknown value `most_recently`: did you mean `most_recent`?"),
            ("on_return = \"x\"", "unknown value `x`: known are `settle`, `reset`"),
            ("lifetime_jitter = 0.7", "lifetime_jitter is a fraction from 0 to 0.5, not 0.7"),
        ] {
            assert_eq!(options(text).unwrap_err(), message, "{text}");
        }
        let settings = serde_json::from_str::<Settings>(r#"{"min_idle": 3}"#).unwrap_err();
        assert!(settings.to_string().starts_with("unknown key `min_idle`: "), "of a route, not of a pool: {settings}");
        let twice = serde_json::from_str::<Settings>(r#"{"budget": 3, "budget": 4}"#).unwrap_err();
        assert!(twice.to_string().starts_with("the key `budget` is given twice"), "{twice}");
    }
}
