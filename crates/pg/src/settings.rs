//! Session settings: what a client has set, what a server connection has set, and the statements that turn one into
//! the other.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// The most settings a client may carry. PostgreSQL 18 knows about 400 names; a session that sets more of them than
/// this is doing something else than setting up.
pub const SETTINGS_MAX: usize = 128;

/// A setting's value, in the form in which it was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// The plain value, as in a startup message or `ParameterStatus`.
    Plain(Box<[u8]>),
    /// The text behind `SET name TO`, as the client wrote it (a list stays a list).
    Sql(Box<[u8]>),
}

/// Session settings that differ from those of a fresh connection, by name in lower case. Cheap to share and compare.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    entries: Arc<Vec<(Box<[u8]>, Value)>>,
    key: u64,
}

impl Settings {
    /// Settings from a startup message.
    #[must_use]
    pub fn from_startup(settings: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let mut new = Self::default();
        for (name, value) in settings {
            new.set(name, Value::Plain(value.as_slice().into()));
        }
        new
    }

    /// Sets one. Returns whether there is room for it ([`SETTINGS_MAX`]).
    pub fn set(&mut self, name: &[u8], value: Value) -> bool {
        let name = name.to_ascii_lowercase();
        match self.find(&name) {
            Ok(at) if self.entries[at].1 == value => return true,
            Ok(at) => Arc::make_mut(&mut self.entries)[at].1 = value,
            Err(_) if self.entries.len() >= SETTINGS_MAX => return false,
            Err(at) => Arc::make_mut(&mut self.entries).insert(at, (name.into(), value)),
        }
        self.rekey();
        true
    }

    /// Puts one back to the default of a fresh connection.
    pub fn reset(&mut self, name: &[u8]) {
        if let Ok(at) = self.find(&name.to_ascii_lowercase()) {
            Arc::make_mut(&mut self.entries).remove(at);
            self.rekey();
        }
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Value> {
        self.find(name).ok().map(|at| &self.entries[at].1)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// Whether nothing differs from a fresh connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A fingerprint: equal settings have equal keys. Only a hint for choosing; equality is decided by `==`.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Appends the statements that turn these settings into `wanted`; nothing when they are equal.
    pub fn write_change(&self, wanted: &Self, out: &mut Vec<u8>) {
        for (name, _) in self.iter().filter(|(name, _)| wanted.get(name).is_none()) {
            out.extend_from_slice(b"RESET ");
            write_identifier(out, name);
            out.push(b';');
        }
        for (name, value) in wanted.iter().filter(|(name, value)| self.get(name) != Some(value)) {
            match value {
                Value::Sql(text) => {
                    out.extend_from_slice(b"SET ");
                    write_identifier(out, name);
                    out.extend_from_slice(b" TO ");
                    out.extend_from_slice(text);
                }
                // SET would take a list for one word; set_config reads the text as a startup message does.
                Value::Plain(text) => {
                    out.extend_from_slice(b"SELECT pg_catalog.set_config(");
                    write_literal(out, name);
                    out.push(b',');
                    write_literal(out, text);
                    out.extend_from_slice(b",false)");
                }
            }
            out.push(b';');
        }
    }

    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    fn rekey(&mut self) {
        let mut hasher = DefaultHasher::new();
        self.entries.hash(&mut hasher);
        self.key = if self.entries.is_empty() { 0 } else { hasher.finish() };
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entries, &other.entries) || (self.key == other.key && self.entries == other.entries)
    }
}

impl Eq for Settings {}

/// Parameters that a server reports but no client can set; they are no session state.
#[must_use]
pub fn is_report_only(name: &[u8]) -> bool {
    const NAMES: [&str; 8] = [
        "server_version",
        "server_encoding",
        "is_superuser",
        "session_authorization",
        "integer_datetimes",
        "in_hot_standby",
        "default_transaction_read_only",
        "scram_iterations",
    ];
    // The last two can be set, but a report of them also follows the server's own state; statements are tracked.
    NAMES.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

fn write_identifier(out: &mut Vec<u8>, name: &[u8]) {
    // A dot separates the two parts of an extension's setting; each is quoted for itself.
    for (at, part) in name.split(|&byte| byte == b'.').enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        out.push(b'"');
        for &byte in part {
            out.push(byte);
            if byte == b'"' {
                out.push(byte);
            }
        }
        out.push(b'"');
    }
}

fn write_literal(out: &mut Vec<u8>, text: &[u8]) {
    if text.contains(&b'\\') {
        out.push(b'E');
    }
    out.push(b'\'');
    for &byte in text {
        if matches!(byte, b'\'' | b'\\') {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(entries: &[(&str, Value)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in entries {
            assert!(settings.set(name.as_bytes(), value.clone()));
        }
        settings
    }

    fn plain(text: &str) -> Value {
        Value::Plain(text.as_bytes().into())
    }

    fn sql(text: &str) -> Value {
        Value::Sql(text.as_bytes().into())
    }

    #[test]
    fn order_of_setting_does_not_matter() {
        let one = settings(&[("A", plain("1")), ("b", sql("x, y"))]);
        let two = settings(&[("b", sql("x, y")), ("a", plain("1"))]);
        assert_eq!((one.key(), &one), (two.key(), &two));
        assert_ne!(one, settings(&[("a", plain("1"))]));
    }

    #[test]
    fn nothing_set_has_the_key_of_a_fresh_connection() {
        let mut one = settings(&[("a", plain("1"))]);
        one.reset(b"A");
        assert_eq!((one.key(), one.is_empty()), (0, true));
    }

    #[test]
    fn a_change_resets_what_is_not_wanted_and_sets_what_differs() {
        let have = settings(&[("a", plain("1")), ("c", sql("'3'")), ("same", plain("s"))]);
        let want = settings(&[("b.x", plain("it's \\")), ("c", sql("a, b")), ("same", plain("s"))]);
        let mut out = Vec::new();
        have.write_change(&want, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"RESET "a";SELECT pg_catalog.set_config('b.x',E'it''s \\',false);SET "c" TO a, b;"#
        );
        let mut out = Vec::new();
        want.write_change(&want.clone(), &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn the_number_of_settings_is_bounded() {
        let mut many = Settings::default();
        for n in 0..SETTINGS_MAX {
            assert!(many.set(format!("s{n}").as_bytes(), plain("x")));
        }
        assert!(!many.set(b"one_more", plain("x")));
        assert!(many.set(b"s0", plain("y")));
    }
}
