//! From keys to a configuration: do they fit together, and where are the secrets?

mod classes;
mod listen;
mod logins;
mod mysql;
mod table;
mod tls;

use std::path::Path;

use route::Table;

use crate::Config;
use crate::amend::Amendments;
use crate::document::Document;
use crate::keys::{File, PoolKeys, UnknownUsers};
use crate::problem::Problem;

/// Names that lead to the admin console, so no database can have them.
pub(crate) const CONSOLE_DATABASES: [&str; 2] = ["evenkeel", "pgbouncer"];

/// Longest name of a user or a database, in bytes. PostgreSQL cuts at 63; poolers in front of poolers may have longer ones.
const NAME_LEN_MAX: usize = 255;

/// Turns the path of a key into a problem with a place.
pub(crate) trait Places {
    fn problem(&self, path: &[&str], message: String, hint: Option<String>) -> Problem;
}

impl Places for Document<'_> {
    fn problem(&self, path: &[&str], message: String, hint: Option<String>) -> Problem {
        let names: Vec<&str> = path.iter().copied().filter(|step| step.parse::<usize>().is_err()).collect();
        self.source().problem(self.span(path), &names.join("."), message, hint)
    }
}

/// Checks what was read and looks everything up.
pub(crate) fn resolve(mut file: File, directory: &Path, places: &dyn Places) -> Result<Config, Vec<Problem>> {
    let mut check = Check { directory, places, problems: Vec::new() };
    check.listen(&mut file);
    check.sections(&file);
    check.mysql(&file);
    check.declared_classes(&file.classes);
    let client_tls = check.client_tls(&file.tls);
    let rsa_key = check.rsa_key(&file.mysql);
    let admin = check.admin(&mut file);
    let clients = check.clients(&mut file.users);
    let users = check.user_logins(&mut file.users, &clients);
    let databases = check.database_logins(&mut file.databases, &file.users, &clients);
    let Some(addresses) = check.addresses(&mut file.servers) else { return Err(check.problems) };
    let servers_tls = check.servers_tls(&file, &addresses);
    let table = check.table(&file, addresses);
    match (table, check.problems.is_empty()) {
        (Some(table), true) => Ok(Config {
            keys: file,
            table,
            users: users.into_iter().flatten().collect(),
            databases,
            admin,
            client_tls,
            servers_tls,
            rsa_key,
            amendments: Amendments::default(),
        }),
        _ => Err(check.problems),
    }
}

/// Checks keys of which the secrets, certificates and listeners have been looked up before.
pub(crate) fn table(file: &mut File, directory: &Path, places: &dyn Places) -> Result<Table, Vec<Problem>> {
    let mut check = Check { directory, places, problems: Vec::new() };
    check.sections(file);
    check.declared_classes(&file.classes);
    let table = check.addresses(&mut file.servers).and_then(|addresses| check.table(file, addresses));
    match table {
        Some(table) if check.problems.is_empty() => Ok(table),
        _ => Err(check.problems),
    }
}

struct Check<'a> {
    directory: &'a Path,
    places: &'a dyn Places,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, path: &[&str], message: impl Into<String>) {
        self.problems.push(self.places.problem(path, message.into(), None));
    }

    /// What is wrong with single values, where their kind alone does not tell.
    fn sections(&mut self, file: &File) {
        if file.limits.max_clients == 0 {
            self.wrong(&["limits", "max_clients"], "with 0, no client could connect");
        }
        if file.prepared.max_per_server == 0 {
            self.wrong(&["prepared", "max_per_server"], "at least 1 is needed to run a prepared statement");
        }
        if file.runtime.relay_buffer.get() < RELAY_BUFFER_MIN || file.runtime.relay_buffer.get() > RELAY_BUFFER_MAX {
            self.wrong(&["runtime", "relay_buffer"], "a size from 1KiB to 16MiB is expected");
        }
        let limit = &file.transaction_limit;
        if !(limit.per_user > 0.0 && limit.per_user <= 1.0) {
            self.wrong(&["transaction_limit", "per_user"], "a fraction above 0, and at most 1, is expected");
        }
        if limit.by.is_empty() {
            self.wrong(
                &["transaction_limit", "by"],
                "at least one of \"user\", \"application\" and \"address\" is needed",
            );
        }
        self.pool(&file.pool, &["pool"]);
        for (server, index) in file.servers.iter().zip(0_usize..) {
            let index = index.to_string();
            self.name(&server.name, &["servers", &index, "name"]);
            if let Some(pool) = server.pool.as_ref() {
                self.pool(pool, &["servers", &index, "pool"]);
            }
        }
        for (user, index) in file.users.iter().zip(0_usize..) {
            let index = index.to_string();
            self.name(&user.name, &["users", &index, "name"]);
            self.optional_name(user.server_user.as_deref(), &["users", &index, "server_user"]);
        }
        for (database, index) in file.databases.iter().zip(0_usize..) {
            let index = index.to_string();
            self.name(&database.name, &["databases", &index, "name"]);
            self.optional_name(database.server_user.as_deref(), &["databases", &index, "server_user"]);
            self.optional_name(database.server_database.as_deref(), &["databases", &index, "server_database"]);
            if CONSOLE_DATABASES.contains(&&*database.name) {
                let message = format!("the name `{}` leads to the admin console", database.name);
                self.wrong(&["databases", &index, "name"], message);
            }
        }
        for (section, is_empty, without) in [
            ("servers", file.servers.is_empty(), "there is nowhere to go"),
            ("databases", file.databases.is_empty(), "no client could ask for one"),
            ("users", file.users.is_empty() && !has_guests(file), "nobody could log in"),
        ] {
            if is_empty {
                self.wrong(&[section], format!("there is no `[[{section}]]`, so {without}"));
            }
        }
    }

    fn pool(&mut self, pool: &PoolKeys, path: &[&str]) {
        let mut wrong = |key, message: &str| self.wrong(&[path, &[key]].concat(), message);
        if !(0.0..=0.5).contains(&pool.lifetime_jitter) {
            wrong("lifetime_jitter", "a fraction from 0 to 0.5 is expected");
        }
        if pool.connect_concurrency == 0 {
            wrong("connect_concurrency", "with 0, no connection could ever be opened");
        }
        if pool.max.get().is_some_and(|max| pool.initial > max) {
            wrong("initial", "more connections at the start than `max` allows");
        }
        for (key, sql) in [("init_sql", &pool.init_sql), ("validation_query", &pool.validation_query)] {
            if sql.contains('\0') {
                wrong(key, "SQL cannot contain a zero byte");
            }
        }
    }

    fn optional_name(&mut self, name: Option<&str>, path: &[&str]) {
        if let Some(name) = name {
            self.name(name, path);
        }
    }

    /// Names go over the wire as zero-terminated strings, and into labels and logs.
    fn name(&mut self, name: &str, path: &[&str]) {
        if name.is_empty() || name.len() > NAME_LEN_MAX {
            self.wrong(path, format!("a name has 1 to {NAME_LEN_MAX} bytes"));
        } else if name.contains(char::is_control) {
            self.wrong(path, "a name cannot contain control characters");
        }
    }
}

/// Whether users who are not in the file may log in.
fn has_guests(file: &File) -> bool {
    file.mysql.unknown_users == UnknownUsers::AskServer
}

/// Smallest and largest relay buffer, in bytes.
const RELAY_BUFFER_MIN: usize = 1 << 10;
const RELAY_BUFFER_MAX: usize = 16 << 20;
