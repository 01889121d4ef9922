//! Session settings: what a client has set, what a server connection has set, and the statement that turns one into the
//! other.
//!
//! Values are those that the server reports when they change (`session_track_system_variables`), so nothing here guesses
//! what an expression came to.

use std::{
    cmp::Ordering,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// The most settings a client may carry. A session that sets more than this is doing something else than setting up.
pub const SETTINGS_MAX: usize = 128;

/// Longest value, in bytes.
pub const VALUE_LEN_MAX: usize = 4096;

/// Variables whose value is used up, is no plain value, or would change what we are told: no replay restores them.
const NOT_REPLAYED: [&[u8]; 12] = [
    b"gtid_next",
    b"insert_id",
    b"pseudo_replica_mode",
    b"pseudo_slave_mode",
    b"pseudo_thread_id",
    b"rand_seed1",
    b"rand_seed2",
    b"session_track_schema",
    b"session_track_state_change",
    b"session_track_system_variables",
    b"session_track_transaction_info",
    b"timestamp",
];

/// Whether a variable of this name is set by the server itself with every statement, and so is nothing that a session has
/// changed: MySQL reports `statement_id`, which is read-only, in every OK where all variables are tracked (seen with 9.7).
#[must_use]
pub fn is_bookkeeping(name: &[u8]) -> bool {
    name == b"statement_id"
}

/// Whether a variable of this name can be given to another connection by `SET`. Names are as servers report them, in
/// lower case.
#[must_use]
pub fn is_replayable(name: &[u8]) -> bool {
    NOT_REPLAYED.binary_search(&name).is_err()
}

/// A variable's name and its value.
type Entry = (Box<[u8]>, Box<[u8]>);

/// Session settings that differ from those of a fresh connection, by name, and the current database. Cheap to share and
/// to compare.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    entries: Arc<Vec<Entry>>,
    schema: Option<Arc<[u8]>>,
    key: u64,
}

impl Settings {
    /// Those of a session that begins in this database.
    #[must_use]
    pub fn in_schema(schema: &[u8]) -> Self {
        let mut new = Self::default();
        new.set_schema(schema);
        new
    }

    /// Sets a variable to a value as the server reports it. Returns whether there is room for it ([`SETTINGS_MAX`],
    /// [`VALUE_LEN_MAX`]).
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        if value.len() > VALUE_LEN_MAX {
            return false;
        }
        match self.find(name) {
            Ok(at) if *self.entries[at].1 == *value => return true,
            Ok(at) => Arc::make_mut(&mut self.entries)[at].1 = value.into(),
            Err(_) if self.entries.len() >= SETTINGS_MAX => return false,
            Err(at) => Arc::make_mut(&mut self.entries).insert(at, (name.into(), value.into())),
        }
        self.rekey();
        true
    }

    /// Makes one variable what it is in `other`.
    pub fn take_over(&mut self, name: &[u8], other: &Self) {
        match (other.get(name), self.find(name)) {
            (Some(value), _) => {
                self.set(name, value);
            }
            (None, Ok(at)) => {
                Arc::make_mut(&mut self.entries).remove(at);
                self.rekey();
            }
            (None, Err(_)) => {}
        }
    }

    /// The value of a variable; `None`: that of a fresh connection.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.find(name).ok().map(|at| &*self.entries[at].1)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Sets the current database; empty for none.
    pub fn set_schema(&mut self, schema: &[u8]) {
        if self.schema() != schema {
            self.schema = (!schema.is_empty()).then(|| schema.into());
            self.rekey();
        }
    }

    /// The current database; empty for none.
    #[must_use]
    pub fn schema(&self) -> &[u8] {
        self.schema.as_deref().unwrap_or_default()
    }

    /// A fingerprint: equal settings have equal keys. Only a hint for choosing; equality is decided by `==`.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Whether both are equal. If so they share their memory from then on, and are found equal at once when they meet again.
    ///
    /// The memory that lies first is the one that stays. So all that are equal come to share one, in whatever order they meet.
    pub fn converge(&mut self, other: &mut Self) -> bool {
        if self != other {
            return false;
        }
        share(&mut self.entries, &mut other.entries);
        if let (Some(one), Some(other)) = (&mut self.schema, &mut other.schema) {
            share(one, other);
        }
        true
    }

    /// Appends the one `SET` statement that turns these variables into those of `wanted`; nothing when they are equal. What
    /// `wanted` does not have goes back to its value in `base`, or to the server's default. The current database is not part
    /// of it.
    pub fn write_change(&self, wanted: &Self, base: &Self, out: &mut Vec<u8>) {
        if Arc::ptr_eq(&self.entries, &wanted.entries) {
            return;
        }
        let gone = self.iter().filter(|(name, _)| wanted.get(name).is_none()).map(|(name, _)| (name, base.get(name)));
        let new = wanted.iter().filter(|(name, value)| self.get(name) != Some(value));
        let mut glue: &[u8] = b"SET ";
        for (name, value) in gone.chain(new.map(|(name, value)| (name, Some(value)))) {
            out.extend_from_slice(glue);
            glue = b", ";
            write_name(out, name);
            out.push(b'=');
            match value {
                None => out.extend_from_slice(b"DEFAULT"),
                // Reported empty, but meant as NULL: no other value of it is empty.
                Some(b"") if name == b"character_set_results" => out.extend_from_slice(b"NULL"),
                Some(value) => write_value(out, value),
            }
        }
    }

    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    fn rekey(&mut self) {
        let mut hasher = DefaultHasher::new();
        (&*self.entries, self.schema()).hash(&mut hasher);
        self.key = hasher.finish();
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        let same_schema = match (&self.schema, &other.schema) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
            (None, None) => true,
            _ => false,
        };
        self.key == other.key
            && same_schema
            && (Arc::ptr_eq(&self.entries, &other.entries) || self.entries == other.entries)
    }
}

impl Eq for Settings {}

/// Lets two equal values be one: the first in memory.
fn share<T: ?Sized>(one: &mut Arc<T>, other: &mut Arc<T>) {
    match Arc::as_ptr(one).addr().cmp(&Arc::as_ptr(other).addr()) {
        Ordering::Less => *other = one.clone(),
        Ordering::Equal => {}
        Ordering::Greater => *one = other.clone(),
    }
}

/// A variable of the session. The name comes from a server, but it is written as if it came from anybody.
fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    out.extend_from_slice(b"@@SESSION.`");
    for &byte in name {
        out.extend_from_slice(if byte == b'`' { b"``" } else { std::slice::from_ref(&byte) });
    }
    out.push(b'`');
}

/// A literal that means the same under every `sql_mode` and character set.
fn write_value(out: &mut Vec<u8>, value: &[u8]) {
    if is_number(value) {
        return out.extend_from_slice(value);
    }
    if value.iter().all(|byte| byte.is_ascii() && !matches!(byte, b'\'' | b'\\' | 0)) {
        out.push(b'\'');
        out.extend_from_slice(value);
        return out.push(b'\'');
    }
    out.extend_from_slice(b"_utf8mb4 x'");
    for byte in value {
        for digit in [byte >> 4, byte & 15] {
            out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
    out.push(b'\'');
}

/// Whether a value is one that numeric variables have: they refuse text, and others have none that looks like this.
fn is_number(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let mut parts = digits.splitn(2, |&byte| byte == b'.');
    let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    parts.next().is_some_and(is_digits) && parts.next().is_none_or(is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in pairs {
            assert!(settings.set(name.as_bytes(), value.as_bytes()));
        }
        settings
    }

    fn change(from: &Settings, to: &Settings) -> String {
        let mut out = Vec::new();
        from.write_change(to, &Settings::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_statement_leads_from_one_to_the_other() {
        let one = settings(&[("autocommit", "OFF"), ("sql_mode", "ANSI"), ("wait_timeout", "30")]);
        let other = settings(&[("sql_mode", ""), ("time_zone", "+00:00"), ("wait_timeout", "30")]);
        assert_eq!(change(&one, &one.clone()), "");
        assert_eq!(
            change(&one, &other),
            "SET @@SESSION.`autocommit`=DEFAULT, @@SESSION.`sql_mode`='', @@SESSION.`time_zone`='+00:00'"
        );
        assert_eq!(
            change(&other, &one),
            "SET @@SESSION.`time_zone`=DEFAULT, @@SESSION.`autocommit`='OFF', @@SESSION.`sql_mode`='ANSI'"
        );
    }

    #[test]
    fn what_is_not_wanted_any_more_goes_back_to_what_sessions_begin_with() {
        let (one, base) = (settings(&[("a", "1"), ("b", "2")]), settings(&[("a", "7"), ("c", "3")]));
        let mut out = Vec::new();
        one.write_change(&Settings::default(), &base, &mut out);
        assert_eq!(out, b"SET @@SESSION.`a`=7, @@SESSION.`b`=DEFAULT");
    }

    #[test]
    fn values_are_literals_whatever_is_in_them() {
        for (value, literal) in [
            ("1", "1"),
            ("-1.5", "-1.5"),
            ("1.", "'1.'"),
            ("", "''"),
            ("-", "'-'"),
            ("1e3", "'1e3'"),
            ("a'b", "_utf8mb4 x'612762'"),
            ("\\", "_utf8mb4 x'5c'"),
            ("é", "_utf8mb4 x'c3a9'"),
        ] {
            assert_eq!(
                change(&Settings::default(), &settings(&[("v", value)])),
                format!("SET @@SESSION.`v`={literal}")
            );
        }
        let results = settings(&[("character_set_results", "")]);
        assert_eq!(change(&Settings::default(), &results), "SET @@SESSION.`character_set_results`=NULL");
        assert_eq!(change(&Settings::default(), &settings(&[("a`b", "1")])), "SET @@SESSION.`a``b`=1");
    }

    #[test]
    fn equal_settings_are_equal_however_they_came_about() {
        let one = settings(&[("a", "1"), ("b", "2")]);
        let mut other = settings(&[("b", "2"), ("a", "7")]);
        assert_ne!(one, other);
        other.set(b"a", b"1");
        assert_eq!((&one, one.key()), (&other, other.key()));
        other.set_schema(b"shop");
        assert_ne!(one, other);
        other.set_schema(b"");
        assert_eq!((&one, one.key()), (&other, other.key()));
    }

    #[test]
    fn equal_settings_come_to_share_one_memory_in_whatever_order_they_meet() {
        let mut all = [(); 5].map(|()| {
            let mut settings = settings(&[("a", "1"), ("b", "2")]);
            settings.set_schema(b"shop");
            settings
        });
        let lowest = all.iter().map(|settings| Arc::as_ptr(&settings.entries).addr()).min();
        for _ in 0..all.len() {
            for at in 1..all.len() {
                let (left, right) = all.split_at_mut(at);
                assert!(left[at - 1].converge(&mut right[0]));
            }
        }
        let [first, rest @ ..] = &mut all;
        assert_eq!(Some(Arc::as_ptr(&first.entries).addr()), lowest);
        for other in &*rest {
            assert!(Arc::ptr_eq(&first.entries, &other.entries));
            assert!(Arc::ptr_eq(first.schema.as_ref().unwrap(), other.schema.as_ref().unwrap()));
        }
        assert!(rest[0].set(b"a", b"7"), "and part again");
        assert!(!first.converge(&mut rest[0]));
        assert_eq!((first.get(b"a"), rest[0].get(b"a")), (Some(&b"1"[..]), Some(&b"7"[..])));
        rest[1].set_schema(b"");
        assert!(!first.converge(&mut rest[1]));
    }

    #[test]
    fn one_variable_can_be_taken_over() {
        let (mut one, other) = (settings(&[("a", "1"), ("b", "2")]), settings(&[("b", "7"), ("c", "3")]));
        one.take_over(b"a", &other);
        one.take_over(b"b", &other);
        one.take_over(b"x", &other);
        assert_eq!((&one, one.key()), (&settings(&[("b", "7")]), settings(&[("b", "7")]).key()));
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut settings = Settings::default();
        for at in 0..SETTINGS_MAX {
            assert!(settings.set(format!("v{at}").as_bytes(), b"1"));
        }
        assert!(!settings.set(b"one more", b"1"));
        assert!(settings.set(b"v0", b"2"));
        assert!(!settings.set(b"v0", &[b'x'; VALUE_LEN_MAX + 1]));
    }

    #[test]
    fn variables_that_cannot_be_replayed_are_listed_in_order() {
        assert!(NOT_REPLAYED.is_sorted());
        assert!(is_replayable(b"sql_mode") && !is_replayable(b"timestamp"));
        assert!(is_bookkeeping(b"statement_id") && !is_bookkeeping(b"sql_mode"));
    }
}
