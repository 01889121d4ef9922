//! Keys that are changed while the program runs, without the file: the console's `SET`.
//!
//! Keys are named as [the list of all keys](Config::keys) names them, with the section or the name of the entry in front, and
//! their values are read by the same types as the file's. What names, places or proves something is not changed like this: names
//! and addresses, listeners, certificates and passwords are matters of the file.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use route::{Classes, nearest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::keys::{DatabaseKeys, File, PoolKeys, RouteKeys, ServerClasses, ServerKeys, UserKeys};
use crate::problem::{Problem, Problems};
use crate::resolve::{self, Places};
use crate::{Config, pgbouncer, phrase, reference};

/// A value as it was given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Given<'a> {
    /// A word or a number.
    Word(&'a str),
    /// A text in quotes, without these. Numbers and words may stand in quotes, too.
    Text(&'a str),
}

/// Never the value: whoever mistakes a key may have typed a secret.
impl fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word(_) => "Word(…)",
            Self::Text(_) => "Text(…)",
        })
    }
}

/// Why a key was not changed. Everything is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmendError {
    /// There is none of this name.
    #[error("unknown key: {key}")]
    Unknown {
        /// The name.
        key: String,
        /// The key that may have been meant.
        nearest: Option<String>,
    },
    /// There is, and only the file changes it.
    #[error("{key} cannot be changed while the program runs")]
    Fixed {
        /// The key.
        key: String,
        /// Whether a changed file needs a restart, too.
        restart: bool,
    },
    /// The value is wrong for it.
    #[error("{key}: {message}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong.
        message: String,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// With it, the configuration contradicts itself.
    #[error("{}", .0.to_string().trim_end())]
    Invalid(Problems),
}

/// What was changed without the file since that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Amendments {
    /// The keys of `[pool]` that each server says itself, by its place.
    own: Vec<BTreeSet<String>>,
    changed: BTreeSet<String>,
}

impl Amendments {
    /// None yet, of a file in which servers say these keys of `[pool]` themselves.
    pub(crate) fn new(own: Vec<BTreeSet<String>>) -> Self {
        Self { own, changed: BTreeSet::new() }
    }
}

/// Sections whose keys can be changed, those apart that need a restart.
const SECTIONS: [&str; 7] = ["pool", "limits", "timeouts", "transaction_limit", "prepared", "metrics", "log"];
/// What databases, users and rules say of their clients.
const TERMS: [&str; 7] = [
    "pool_mode",
    "session_state",
    "checkout_timeout",
    "query_timeout",
    "transaction_timeout",
    "idle_in_transaction_timeout",
    "client_idle_timeout",
];
/// What rules say of connections.
const SHARES: [&str; 6] = ["weight", "guarantee", "cap", "min_idle", "initial", "max_waiters"];

impl Config {
    /// This configuration with another value for one key, such as `pool.max_lifetime`, `servers.pg-a.budget`,
    /// `servers.pg-a.pool.max_uses`, `databases.shop.checkout_timeout`. What servers do not say themselves of `[pool]` follows
    /// that. Nothing is read: neither files nor variables.
    ///
    /// # Errors
    /// [`AmendError`].
    pub fn amended(&self, key: &str, value: Given<'_>) -> Result<Self, AmendError> {
        let (mut file, mut amendments) = (self.keys.clone(), self.amendments.clone());
        let target = Target::find(&file, key).ok_or_else(|| unknown(&file, key))?;
        target.is_changeable(&file, key)?;
        target.change(&mut file, &mut amendments.own, value).map_err(|error| match error {
            AmendError::Value { message, hint, .. } => AmendError::Value { key: key.to_owned(), message, hint },
            other => other,
        })?;
        amendments.changed.insert(key.to_owned());
        let table = resolve::table(&mut file, Path::new(""), &Console)
            .map_err(|problems| AmendError::Invalid(Problems::new(problems)))?;
        Ok(Self { keys: file, table, amendments, ..self.clone() })
    }

    /// Whether a key was changed since the file was read, itself or by way of `[pool]`.
    #[must_use]
    pub fn is_amended(&self, key: &str) -> bool {
        let Amendments { own, changed } = &self.amendments;
        if changed.is_empty() || changed.contains(key) {
            return changed.contains(key);
        }
        // Asked of every key there is: names are only looked up where something follows something else.
        let target = key.starts_with("servers.").then(|| Target::find(&self.keys, key)).flatten();
        match target {
            Some(Target::ServerPool { at, key }) => {
                let says_it = own.get(at).is_some_and(|own| own.contains(key));
                !says_it && changed.contains(&format!("pool.{key}"))
            }
            _ => false,
        }
    }
}

/// Where a key stands.
#[derive(Debug, Clone, Copy)]
enum Target<'k> {
    Section { section: &'k str, key: &'k str },
    Server { at: usize, key: &'k str },
    ServerPool { at: usize, key: &'k str },
    Class { at: usize, key: &'k str },
    Database { at: usize, key: &'k str },
    User { at: usize, key: &'k str },
    Route { at: usize, key: &'k str },
}

impl<'k> Target<'k> {
    /// Takes a name apart. `None`: it names nothing.
    fn find(file: &File, name: &'k str) -> Option<Self> {
        let (section, rest) = name.split_once('.')?;
        let target = match section {
            "servers" => {
                let (at, key) = entry(&mut file.servers.iter().map(|server| &server.name), rest)?;
                match key.strip_prefix("pool.") {
                    Some(key) => Self::ServerPool { at, key },
                    None => Self::Server { at, key },
                }
            }
            "classes" => {
                let (at, key) = entry(&mut file.classes.iter().map(|class| &class.name), rest)?;
                Self::Class { at, key }
            }
            "databases" => {
                let (at, key) = entry(&mut file.databases.iter().map(|database| &database.name), rest)?;
                Self::Database { at, key }
            }
            "users" => {
                let (at, key) = entry(&mut file.users.iter().map(|user| &user.name), rest)?;
                Self::User { at, key }
            }
            "routes" => {
                let (at, key) = rest.split_once('.')?;
                let at = at.parse().ok().filter(|at| *at < file.routes.len())?;
                Self::Route { at, key }
            }
            section => Self::Section { section, key: rest },
        };
        Some(target)
    }

    /// # Errors
    /// The key is none, or a matter of the file.
    fn is_changeable(self, file: &File, name: &str) -> Result<(), AmendError> {
        let schema = reference::schema();
        let (section, key, changeable) = match self {
            Self::Section { section, key } => {
                let restart = reference::needs_restart(&schema, section, key);
                if reference::has_key(&schema, section, key) && restart {
                    return Err(AmendError::Fixed { key: name.into(), restart });
                }
                (section, key, SECTIONS.contains(&section))
            }
            Self::Server { key, .. } => ("servers", key, key == "budget"),
            Self::ServerPool { key, .. } => ("pool", key, true),
            Self::Class { key, .. } => ("classes", key, key == "cap"),
            Self::Database { key, .. } => ("databases", key, key == "max_clients" || TERMS.contains(&key)),
            Self::User { key, .. } => ("users", key, key == "max_clients" || TERMS.contains(&key)),
            Self::Route { key, .. } => ("routes", key, SHARES.contains(&key) || TERMS.contains(&key)),
        };
        if !reference::has_key(&schema, section, key) {
            let known = reference::keys_of(&schema, section);
            if known.is_empty() {
                return Err(unknown(file, name));
            }
            let front = name.strip_suffix(key).unwrap_or_default();
            let here = || nearest(key, known.iter().map(String::as_str)).map(|key| format!("{front}{key}"));
            let elsewhere = if matches!(self, Self::Section { .. }) { in_another_section(&schema, key) } else { None };
            return Err(AmendError::Unknown { key: name.into(), nearest: elsewhere.or_else(here) });
        }
        if changeable { Ok(()) } else { Err(AmendError::Fixed { key: name.into(), restart: false }) }
    }

    fn change(self, file: &mut File, own: &mut Vec<BTreeSet<String>>, value: Given<'_>) -> Result<(), AmendError> {
        match self {
            Self::Section { section: "pool", key } => {
                set(&mut file.pool, "pool", key, value)?;
                for (at, server) in file.servers.iter_mut().enumerate() {
                    let says_it = own.get(at).is_some_and(|own| own.contains(key));
                    if let Some(pool) = server.pool.as_mut().filter(|_| !says_it) {
                        set(pool, "pool", key, value)?;
                    }
                }
                Ok(())
            }
            Self::Section { section: "limits", key } => set(&mut file.limits, "limits", key, value),
            Self::Section { section: "timeouts", key } => set(&mut file.timeouts, "timeouts", key, value),
            Self::Section { section: "transaction_limit", key } => {
                set(&mut file.transaction_limit, "transaction_limit", key, value)
            }
            Self::Section { section: "prepared", key } => set(&mut file.prepared, "prepared", key, value),
            Self::Section { section: "metrics", key } => set(&mut file.metrics, "metrics", key, value),
            Self::Section { section: "log", key } => set(&mut file.log, "log", key, value),
            Self::Section { section, key } => {
                Err(AmendError::Fixed { key: format!("{section}.{key}"), restart: false })
            }
            Self::Server { at, .. } => {
                file.servers[at].budget = read(value, "budget")?;
                Ok(())
            }
            Self::ServerPool { at, key } => {
                let mut pool: PoolKeys = file.servers[at].pool.clone().unwrap_or_else(|| file.pool.clone());
                set(&mut pool, "pool", key, value)?;
                file.servers[at].pool = Some(pool);
                if own.len() <= at {
                    own.resize_with(at + 1, BTreeSet::new);
                }
                own[at].insert(key.to_owned());
                Ok(())
            }
            Self::Class { at, key } => {
                must_have_effect(file, &file.classes[at].name)?;
                set(&mut file.classes[at], "classes", key, value)
            }
            Self::Database { at, key } => set::<DatabaseKeys>(&mut file.databases[at], "databases", key, value),
            Self::User { at, key } => set::<UserKeys>(&mut file.users[at], "users", key, value),
            Self::Route { at, key } => set::<RouteKeys>(&mut file.routes[at], "routes", key, value),
        }
    }
}

/// The place of an entry in its list, and what follows its name. Names may hold dots: the longest that fits is meant.
fn entry<'n>(names: &mut dyn Iterator<Item = &String>, rest: &'n str) -> Option<(usize, &'n str)> {
    let behind = |name: &String| rest.strip_prefix(name.as_str())?.strip_prefix('.');
    let fitting = names.enumerate().filter_map(|(at, name)| Some((name.len(), at, behind(name)?)));
    fitting.max_by_key(|(len, ..)| *len).map(|(_, at, key)| (at, key))
}

/// # Errors
/// The cap of a class that holds nowhere, as each server with that class gives it one of its own.
fn must_have_effect(file: &File, class: &str) -> Result<(), AmendError> {
    let own = |server: &&ServerKeys| matches!(&server.classes, ServerClasses::Capped(caps) if caps.contains_key(class));
    let follows = |server: &ServerKeys| match &server.classes {
        ServerClasses::Named(names) => names.iter().any(|name| name == class),
        ServerClasses::Vttablet => Classes::preset().iter().any(|preset| &*preset.name == class),
        ServerClasses::Single | ServerClasses::Capped(_) => false,
    };
    let Some(server) = file.servers.iter().find(own) else { return Ok(()) };
    if file.servers.iter().any(follows) {
        return Ok(());
    }
    Err(AmendError::Value {
        key: "cap".into(),
        message: format!("no server takes it: servers.{}.classes gives the class a cap of its own", server.name),
        hint: Some("change that in the file, and reload".into()),
    })
}

/// Changes one key of a table.
fn set<T: Serialize + DeserializeOwned>(
    table: &mut T,
    section: &str,
    key: &str,
    given: Given<'_>,
) -> Result<(), AmendError> {
    let Ok(Value::Object(now)) = serde_json::to_value(&*table) else {
        return Err(AmendError::Fixed { key: format!("{section}.{key}"), restart: false });
    };
    let with = |value| {
        let mut changed = now.clone();
        changed.insert(key.to_owned(), value);
        serde_json::from_value(Value::Object(changed))
    };
    *table = first_that_fits(given, key, with)?;
    Ok(())
}

/// Reads one value by itself.
fn read<T: DeserializeOwned>(given: Given<'_>, key: &str) -> Result<T, AmendError> {
    first_that_fits(given, key, serde_json::from_value)
}

/// Tries what the value may be, first what it looks like. If nothing fits, what is wrong is said of that.
fn first_that_fits<T>(
    given: Given<'_>,
    key: &str,
    with: impl Fn(Value) -> serde_json::Result<T>,
) -> Result<T, AmendError> {
    let (text, quoted) = match given {
        Given::Word(text) => (text, false),
        Given::Text(text) => (text, true),
    };
    // Numbers, true and false, and lists of texts are written alike in JSON and in the file.
    let plain = serde_json::from_str(text).ok().filter(|value: &Value| !value.is_object() && !value.is_null());
    let text = Value::String(text.to_owned());
    let candidates = if quoted { [Some(text), plain] } else { [plain, Some(text)] };
    let mut wrong = None;
    for candidate in candidates.into_iter().flatten() {
        match with(candidate) {
            Ok(read) => return Ok(read),
            Err(error) => wrong = wrong.or(Some(error)),
        }
    }
    let (message, hint) = phrase::of_serde(&wrong.map(|error| error.to_string()).unwrap_or_default(), key);
    Err(AmendError::Value { key: key.to_owned(), message, hint })
}

fn unknown(file: &File, name: &str) -> AmendError {
    let names = known_names(file);
    let nearest = nearest(name, names.iter().map(String::as_str)).map(Into::into);
    AmendError::Unknown { key: name.into(), nearest }
}

/// The key that another section calls so, or that PgBouncer does, as far as it can be changed.
fn in_another_section(schema: &Value, key: &str) -> Option<String> {
    let is_changeable = |ours: &&str| ours.split_once('.').is_some_and(|(section, _)| SECTIONS.contains(&section));
    let mut sections = SECTIONS.into_iter().filter(|section| reference::has_key(schema, section, key));
    let only = || sections.next().filter(|_| sections.next().is_none()).map(|section| format!("{section}.{key}"));
    pgbouncer::key_of(key).filter(is_changeable).map(Into::into).or_else(only)
}

/// Names of keys that can be changed, as far as there is a point in comparing them with what was typed.
fn known_names(file: &File) -> Vec<String> {
    let schema = reference::schema();
    let of = |front: String, section: &str| {
        reference::keys_of(&schema, section).into_iter().map(move |key| format!("{front}.{key}"))
    };
    let sections = SECTIONS.into_iter().flat_map(|section| of(section.to_owned(), section));
    let servers = file.servers.iter().flat_map(|server| {
        let name = format!("servers.{}", server.name);
        std::iter::once(format!("{name}.budget")).chain(of(format!("{name}.pool"), "pool"))
    });
    sections.chain(servers).collect()
}

/// Problems have no place in a file.
struct Console;

impl Places for Console {
    fn problem(&self, path: &[&str], message: String, hint: Option<String>) -> Problem {
        let names: Vec<&str> = path.iter().copied().filter(|step| step.parse::<usize>().is_err()).collect();
        Problem::without_place("SET".into(), &names.join("."), message, hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that is new does not pass here before it is clear which of both it is.
    #[test]
    fn every_key_of_an_entry_is_a_matter_of_the_console_or_of_the_file() {
        let secrets = ["server_password", "server_password_env", "server_password_file"];
        for (section, console, file) in [
            ("databases", &["max_clients"][..], &["name", "cluster", "server", "server_database", "server_user"][..]),
            ("users", &["max_clients"], &["name", "password", "password_env", "password_file", "server_user"]),
            ("routes", &SHARES, &["user", "database", "class"]),
        ] {
            let secrets = if section == "routes" { &[][..] } else { &secrets };
            let mut known: Vec<&str> = [&TERMS, console, file, secrets].concat();
            known.sort_unstable();
            let mut keys = reference::keys_of(&reference::schema(), section);
            keys.sort_unstable();
            assert_eq!(keys, known, "{section}");
        }
    }
}
