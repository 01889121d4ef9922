//! Values as people write them: durations with their unit, and names that are nearly right.
//!
//! It knows no key and no file. The configuration of the program and the settings of the library are read with it, so `"1h30m"`,
//! `"off"` and a misspelt name mean the same in both; crates `config`, `pool` and `route` call it.
//!
//! ```
//! use std::time::Duration;
//!
//! assert_eq!(words::period("1h30m"), Ok(Duration::from_secs(5_400)));
//! assert_eq!(words::timeout("off"), Ok(None));
//! assert_eq!(words::nearest("max_liftime", ["max_uses", "max_lifetime"]), Some("max_lifetime"));
//! ```

mod duration;
mod nearest;

pub use duration::{
    DurationError, PERIOD_EXPECTED, TEST_AFTER_EXPECTED, TIMEOUT_EXPECTED, period, test_after, timeout, write_duration,
    write_test_after, write_timeout,
};
pub use nearest::nearest;

/// Splits a text before its first character that is not to be kept.
///
/// ```
/// assert_eq!(words::split_while("16MiB", |c| c.is_ascii_digit()), ("16", "MiB"));
/// ```
pub fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}
