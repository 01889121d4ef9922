//! What a property becomes: a key of the configuration with its value.

use std::fmt;
use std::time::Duration;

use crate::options::Options;

/// A key and its value. Its display is a line of TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The section of the program's configuration.
    pub place: Place,
    /// The key there.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
}

/// A section of the program's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// `[[servers]]`.
    Server,
    /// `[pool]` or `[servers.pool]`.
    Pool,
    /// `[[databases]]`.
    Database,
    /// `[[users]]`.
    User,
}

/// A value, by the way it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Count(u32),
    /// A duration that is always above zero.
    Period(Duration),
    /// A duration; `None`: `"off"`.
    Timeout(Option<Duration>),
    /// A duration; zero: `"always"`, `None`: `"off"`.
    TestAfter(Option<Duration>),
    /// Yes or no.
    Switch(bool),
    /// A text.
    Text(String),
}

impl Setting {
    pub(super) const fn pool(key: &'static str, value: Value) -> Self {
        Self { place: Place::Pool, key, value }
    }

    /// The same for the library; what it takes from elsewhere (address, names) is left alone.
    pub(super) fn apply(&self, options: &mut Options) {
        let (pool, route, session) = (&mut options.settings, &mut options.route, &mut options.session);
        match (self.key, &self.value) {
            ("budget", Value::Count(count)) => pool.budget = *count,
            ("max", Value::Count(count)) => route.cap = Some(*count).filter(|cap| *cap > 0),
            ("min_idle", Value::Count(count)) => route.min_idle = *count,
            ("initial", Value::Count(count)) => options.initial = *count,
            ("max_waiters", Value::Count(count)) => pool.max_waiters = *count,
            ("max_uses", Value::Count(count)) => pool.max_uses = Some(u64::from(*count)).filter(|uses| *uses > 0),
            ("connect_concurrency", Value::Count(count)) => pool.connect_concurrency = *count,
            ("checkout_timeout", Value::Period(time)) => pool.checkout_timeout = *time,
            ("connect_timeout", Value::Period(time)) => pool.connect_timeout = *time,
            ("validate_timeout", Value::Period(time)) => pool.validate_timeout = *time,
            ("maintenance_interval", Value::Period(time)) => pool.maintenance_interval = *time,
            ("idle_timeout", Value::Timeout(time)) => pool.idle_timeout = *time,
            ("max_idle_timeout", Value::Timeout(time)) => pool.max_idle_timeout = *time,
            ("max_lifetime", Value::Timeout(time)) => pool.max_lifetime = *time,
            ("leak_timeout", Value::Timeout(time)) => pool.leak_timeout = *time,
            ("test_while_idle", Value::Timeout(time)) => pool.test_while_idle = *time,
            ("test_on_checkout", Value::TestAfter(time)) => pool.test_on_checkout = *time,
            ("test_on_return", Value::Switch(on)) => pool.test_on_return = *on,
            ("validation_query", Value::Text(sql)) => session.validation_query.clone_from(sql),
            ("init_sql", Value::Text(sql)) => session.init_sql.clone_from(sql),
            _ => {}
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.key, self.value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Period(time) => write!(f, "\"{}\"", words::write_duration(*time)),
            Self::Timeout(time) => write!(f, "\"{}\"", words::write_timeout(*time)),
            Self::TestAfter(time) => write!(f, "\"{}\"", words::write_test_after(*time)),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Text(text) => quote(f, text),
        }
    }
}

/// A basic string of TOML.
fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
