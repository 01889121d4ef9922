//! What a reload changes.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::{Config, reference};

/// One difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is different.
    pub subject: Subject,
    /// In which way.
    pub what: What,
    /// When it takes effect.
    pub applies: Applies,
}

/// What a [`Change`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// A section such as `limits`.
    Section(&'static str),
    /// The class of this name.
    Class(String),
    /// The server of this name.
    Server(String),
    /// The database of this name.
    Database(String),
    /// The user of this name.
    User(String),
    /// The rule at this place in the list, from 0.
    Route(usize),
}

/// How a subject changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// One of its keys has another value. Values are as in the file; `null`: not given.
    Key {
        /// The key, `pool.max_lifetime` inside a server.
        key: String,
        /// The value before.
        from: String,
        /// The value now.
        to: String,
    },
    /// Its password or server password is another one. Neither is shown.
    Secret,
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// On reload.
    Live,
    /// At the next start.
    Restart,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject, self.what)?;
        match self.applies {
            Applies::Live => Ok(()),
            Applies::Restart => f.write_str(" (at the next start)"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Section(name) => write!(f, "[{name}]"),
            Self::Class(name) => write!(f, "class {name}"),
            Self::Server(name) => write!(f, "server {name}"),
            Self::Database(name) => write!(f, "database {name}"),
            Self::User(name) => write!(f, "user {name}"),
            Self::Route(at) => write!(f, "route {}", at + 1),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added => f.write_str("added"),
            Self::Removed => f.write_str("removed"),
            Self::Key { key, from, to } => write!(f, "{key}: {from} -> {to}"),
            Self::Secret => f.write_str("password changed"),
        }
    }
}

/// Everything that is different in `new`, in the order of the file's sections.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let (from, to) = (old.keys(), new.keys());
    let mut changes = Vec::new();
    let schema = reference::schema();
    for (section, from, to) in [
        ("listen", value(&from.listen), value(&to.listen)),
        ("tls", value(&from.tls), value(&to.tls)),
        ("mysql", value(&from.mysql), value(&to.mysql)),
        ("pool", value(&from.pool), value(&to.pool)),
        ("limits", value(&from.limits), value(&to.limits)),
        ("timeouts", value(&from.timeouts), value(&to.timeouts)),
        ("transaction_limit", value(&from.transaction_limit), value(&to.transaction_limit)),
        ("prepared", value(&from.prepared), value(&to.prepared)),
        ("admin", value(&from.admin), value(&to.admin)),
        ("metrics", value(&from.metrics), value(&to.metrics)),
        ("log", value(&from.log), value(&to.log)),
        ("runtime", value(&from.runtime), value(&to.runtime)),
    ] {
        for what in keys("", &from, &to) {
            let restart = matches!(&what, What::Key { key, .. } if reference::needs_restart(&schema, section, key));
            let applies = if restart { Applies::Restart } else { Applies::Live };
            changes.push(Change { subject: Subject::Section(section), what, applies });
        }
    }
    let mut live = |subject, what| changes.push(Change { subject, what, applies: Applies::Live });
    if old.admin != new.admin {
        live(Subject::Section("admin"), What::Secret);
    }
    entries(by_name(&from.classes, |c| &c.name), by_name(&to.classes, |c| &c.name), Subject::Class, &mut live);
    entries(by_name(&from.servers, |s| &s.name), by_name(&to.servers, |s| &s.name), Subject::Server, &mut live);
    let secret = |config: &Config, name: &str| {
        let index = config.table().databases().iter().position(|database| &*database.name == name)?;
        config.databases.get(index).cloned().flatten()
    };
    entries(by_name(&from.databases, |d| &d.name), by_name(&to.databases, |d| &d.name), Subject::Database, &mut live);
    for database in &from.databases {
        if to.databases.iter().any(|other| other.name == database.name)
            && secret(old, &database.name) != secret(new, &database.name)
        {
            live(Subject::Database(database.name.clone()), What::Secret);
        }
    }
    entries(by_name(&from.users, |u| &u.name), by_name(&to.users, |u| &u.name), Subject::User, &mut live);
    for (user, login) in from.users.iter().zip(&old.users) {
        let other = new.table().user_index(&user.name).and_then(|index| new.users.get(index.0));
        if other.is_some_and(|other| other != login) {
            live(Subject::User(user.name.clone()), What::Secret);
        }
    }
    let place = |index: usize| format!("{index:010}");
    let by_place = |routes: &[_]| routes.iter().map(value).zip(0..).map(|(v, i)| (place(i), v)).collect();
    let subject = |place: String| Subject::Route(place.parse().unwrap_or_default());
    entries(by_place(&from.routes), by_place(&to.routes), subject, &mut live);
    changes
}

fn value(keys: &impl Serialize) -> Value {
    serde_json::to_value(keys).expect("keys are plain data with string names")
}

fn by_name<T: Serialize>(entries: &[T], name: impl Fn(&T) -> &String) -> BTreeMap<String, Value> {
    entries.iter().map(|entry| (name(entry).clone(), value(entry))).collect()
}

/// Differences between two lists of named entries.
fn entries(
    from: BTreeMap<String, Value>,
    mut to: BTreeMap<String, Value>,
    subject: impl Fn(String) -> Subject,
    report: &mut impl FnMut(Subject, What),
) {
    for (name, from) in from {
        match to.remove(&name) {
            None => report(subject(name), What::Removed),
            Some(to) => keys("", &from, &to).into_iter().for_each(|what| report(subject(name.clone()), what)),
        }
    }
    to.into_keys().for_each(|name| report(subject(name), What::Added));
}

/// Keys with different values, inner tables included.
fn keys(prefix: &str, from: &Value, to: &Value) -> Vec<What> {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return Vec::new() };
    let mut names: Vec<&String> = from.keys().chain(to.keys().filter(|key| !from.contains_key(*key))).collect();
    names.retain(|key| from.get(*key) != to.get(*key));
    let mut changed = Vec::new();
    for name in names {
        let (before, after) = (from.get(name).unwrap_or(&Value::Null), to.get(name).unwrap_or(&Value::Null));
        if before.is_object() && after.is_object() {
            changed.extend(keys(&format!("{prefix}{name}."), before, after));
        } else {
            changed.push(What::Key { key: format!("{prefix}{name}"), from: before.to_string(), to: after.to_string() });
        }
    }
    changed
}
