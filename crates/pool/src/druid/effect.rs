//! What a property, or a parameter of the URL, does.

use super::Outcome;
use super::setting::{Setting, Value};

/// What a property does.
pub(super) struct Effect {
    pub(super) outcome: Outcome,
    pub(super) settings: Vec<Setting>,
    pub(super) why: String,
}

impl Effect {
    pub(super) fn mapped(settings: Vec<Setting>, why: &str) -> Self {
        Self { outcome: Outcome::Mapped, settings, why: why.into() }
    }

    pub(super) fn pool(key: &'static str, value: Value, why: &str) -> Self {
        Self::mapped(vec![Setting::pool(key, value)], why)
    }

    pub(super) fn holds(why: &str) -> Self {
        Self { outcome: Outcome::Default, settings: Vec::new(), why: why.into() }
    }

    pub(super) fn ignored(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ignored, settings: Vec::new(), why: why.into() }
    }

    pub(super) fn unreadable(expected: &str) -> Self {
        let why = format!("{expected} is expected; a placeholder must be replaced first");
        Self { outcome: Outcome::Unreadable, settings: Vec::new(), why }
    }
}
