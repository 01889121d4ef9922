//! From keys to a configuration: do they fit together, and where are the secrets?

use std::path::Path;

use auth::Credential;
use route::{Database, Fault, Limits, Pattern, Rule, Server, Subject, Table, Target, Terms, Timeouts, User};

use crate::document::Document;
use crate::keys::{DatabaseKeys, File, PoolKeys, RouteKeys, ServerKeys, UserKeys};
use crate::problem::Problem;
use crate::secrets::Given;
use crate::values::{Cap, Period};
use crate::{Config, UserLogin};

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
    check.sections(&file);
    let admin = check.admin(&mut file);
    let clients = check.clients(&mut file.users);
    let users = check.user_logins(&mut file.users, &clients);
    let databases = check.database_logins(&mut file.databases, &file.users, &clients);
    let table = check.table(&file);
    match (table, check.problems.is_empty()) {
        (Some(table), true) => {
            Ok(Config { keys: file, table, users: users.into_iter().flatten().collect(), databases, admin })
        }
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
        if file.listen.postgres.is_empty() {
            self.wrong(&["listen", "postgres"], "there is no address, so no client could connect");
        }
        if file.limits.max_clients == 0 {
            self.wrong(&["limits", "max_clients"], "with 0, no client could connect");
        }
        if file.prepared.max_per_server == 0 {
            self.wrong(&["prepared", "max_per_server"], "at least 1 is needed to run a prepared statement");
        }
        if file.runtime.relay_buffer.get() < RELAY_BUFFER_MIN || file.runtime.relay_buffer.get() > RELAY_BUFFER_MAX {
            self.wrong(&["runtime", "relay_buffer"], "a size from 1KiB to 16MiB is expected");
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
            ("users", file.users.is_empty(), "nobody could log in"),
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

    fn secret(&mut self, given: Given<'_>, path: &[&str]) -> Option<Credential> {
        given.read(self.directory).unwrap_or_else(|refused| {
            self.wrong(&[path, &[&refused.key]].concat(), refused.message);
            None
        })
    }

    fn admin(&mut self, file: &mut File) -> Option<Credential> {
        let admin = &mut file.admin;
        let given = Given {
            key: "password",
            text: admin.password.take(),
            env: admin.password_env.as_deref(),
            file: admin.password_file.as_deref(),
        };
        let is_given = given.is_given();
        let credential = self.secret(given, &["admin"]);
        for (key, names) in [("users", &admin.users), ("stats_users", &admin.stats_users)] {
            for name in names.iter().filter(|name| !is_given && !file.users.iter().any(|user| user.name == **name)) {
                let message =
                    format!("`{name}` could not log in: there is no user of this name and no `password` here");
                let hint = route::nearest(name, file.users.iter().map(|user| &*user.name));
                let hint = hint.map(|name| format!("did you mean `{name}`?"));
                self.problems.push(self.places.problem(&["admin", key], message, hint));
            }
        }
        credential
    }

    /// What each user proves to us; `None` where that is unknown, which is a problem already.
    fn clients(&mut self, users: &mut [UserKeys]) -> Vec<Option<Credential>> {
        let mut clients = Vec::with_capacity(users.len());
        for (user, index) in users.iter_mut().zip(0_usize..) {
            let (name, index) = (&user.name, index.to_string());
            let given = Given {
                key: "password",
                text: user.password.take(),
                env: user.password_env.as_deref(),
                file: user.password_file.as_deref(),
            };
            if !given.is_given() {
                let message = format!("user `{name}` has no password");
                let hint = "give one of `password`, `password_env` and `password_file`".into();
                self.problems.push(self.places.problem(&["users", &index], message, Some(hint)));
            }
            clients.push(self.secret(given, &["users", &index]));
        }
        clients
    }

    /// What we prove to servers for each user: its own server password, else that of the user it becomes, else its own.
    fn user_logins(&mut self, users: &mut [UserKeys], clients: &[Option<Credential>]) -> Vec<Option<UserLogin>> {
        let mut logins = Vec::with_capacity(users.len());
        for index in 0..users.len() {
            let path = index.to_string();
            let user = &mut users[index];
            let given = Given {
                key: "server_password",
                text: user.server_password.take(),
                env: user.server_password_env.as_deref(),
                file: user.server_password_file.as_deref(),
            };
            let is_given = given.is_given();
            let own = self.secret(given, &["users", &path]);
            let Some(client) = clients.get(index).cloned().flatten() else {
                logins.push(None);
                continue;
            };
            let server = match &users[index].server_user {
                None => own.unwrap_or_else(|| client.clone()),
                Some(_) if is_given => own.unwrap_or_else(|| client.clone()),
                Some(name) => match (credential_of(name, users, clients), &client) {
                    (Some(credential), _) => credential,
                    (None, Credential::Plain(_)) => client.clone(),
                    (None, _) => {
                        // A hash or verifier belongs to one name and salt: useless for another user.
                        let message = format!("there is no password to log in to the server as `{name}`");
                        let hint = "give `server_password`, or a `[[users]]` entry of that name".into();
                        let path = ["users", &path, "server_user"];
                        self.problems.push(self.places.problem(&path, message, Some(hint)));
                        client.clone()
                    }
                },
            };
            logins.push(Some(UserLogin { client, server }));
        }
        logins
    }

    fn database_logins(
        &mut self,
        databases: &mut [DatabaseKeys],
        users: &[UserKeys],
        clients: &[Option<Credential>],
    ) -> Vec<Option<Credential>> {
        let mut logins = Vec::with_capacity(databases.len());
        for (database, index) in databases.iter_mut().zip(0_usize..) {
            let path = index.to_string();
            let given = Given {
                key: "server_password",
                text: database.server_password.take(),
                env: database.server_password_env.as_deref(),
                file: database.server_password_file.as_deref(),
            };
            let is_given = given.is_given();
            let own = self.secret(given, &["databases", &path]);
            let login = match &database.server_user {
                None if is_given => {
                    self.wrong(&["databases", &path, "server_password"], "a password needs a `server_user`");
                    None
                }
                None => None,
                Some(name) => {
                    let login = own.or_else(|| credential_of(name, users, clients));
                    if login.is_none() && !is_given {
                        let message = format!("there is no password to log in to the server as `{name}`");
                        let hint = "give `server_password`, or a `[[users]]` entry of that name".into();
                        let path = ["databases", &path, "server_user"];
                        self.problems.push(self.places.problem(&path, message, Some(hint)));
                    }
                    login
                }
            };
            logins.push(login);
        }
        logins
    }

    fn table(&mut self, file: &File) -> Option<Table> {
        let servers = file.servers.iter().map(|server| route_server(server, file)).collect();
        let mut databases = Vec::with_capacity(file.databases.len());
        for (database, index) in file.databases.iter().zip(0_usize..) {
            let target = match (&database.cluster, &database.server) {
                (Some(cluster), None) => Target::Cluster(cluster.as_str().into()),
                (None, Some(server)) => Target::Server(server.as_str().into()),
                _ => {
                    let message = format!("database `{}` needs either a `cluster` or a `server`", database.name);
                    self.wrong(&["databases", &index.to_string()], message);
                    continue;
                }
            };
            databases.push(route_database(database, target, file.limits.max_clients_per_database));
        }
        if databases.len() < file.databases.len() {
            // Without all databases the table would complain of rules whose database is only half written.
            return None;
        }
        let users = file.users.iter().map(|user| route_user(user, file.limits.max_clients_per_user)).collect();
        let rules = file.routes.iter().map(route_rule).collect();
        match Table::new(servers, databases, users, rules) {
            Ok(table) => Some(table),
            Err(faults) => {
                faults.iter().for_each(|fault| self.fault(fault, file));
                None
            }
        }
    }

    fn fault(&mut self, fault: &Fault, file: &File) {
        let (section, index) = match fault.subject {
            Subject::Server(index) => ("servers", index),
            Subject::Database(index) => ("databases", index),
            Subject::User(index) => ("users", index),
            Subject::Rule(index) => ("routes", index),
        };
        let place = index.to_string();
        let has_pool = file.servers.get(index).is_some_and(|server| server.pool.is_some());
        let path = match (section, fault.key, has_pool) {
            ("servers", "min_idle", true) => vec![section, &place, "pool", "min_idle"],
            ("servers", "min_idle", false) => vec!["pool", "min_idle"],
            (_, key, _) => vec![section, &place, key],
        };
        let hint = fault.nearest.as_ref().map(|name| format!("did you mean `{name}`?"));
        self.problems.push(self.places.problem(&path, fault.what.to_string(), hint));
    }
}

/// Smallest and largest relay buffer, in bytes.
const RELAY_BUFFER_MIN: usize = 1 << 10;
const RELAY_BUFFER_MAX: usize = 16 << 20;

fn credential_of(name: &str, users: &[UserKeys], clients: &[Option<Credential>]) -> Option<Credential> {
    let index = users.iter().position(|user| user.name == name)?;
    clients.get(index).cloned().flatten()
}

fn route_server(server: &ServerKeys, file: &File) -> Server {
    let pool = server.pool.as_ref().unwrap_or(&file.pool);
    Server {
        name: server.name.as_str().into(),
        cluster: server.cluster.as_ref().unwrap_or(&server.name).as_str().into(),
        address: server.address.0.clone(),
        role: server.role.into(),
        zone: server.zone.as_deref().map(Into::into),
        budget: server.budget,
        terms: Terms {
            pool_mode: pool.mode.into(),
            timeouts: Timeouts {
                checkout: Period::get(pool.checkout_timeout),
                query: file.timeouts.query.into(),
                transaction: file.timeouts.transaction.into(),
                idle_in_transaction: file.timeouts.idle_in_transaction.into(),
                client_idle: file.timeouts.client_idle.into(),
            },
            limits: Limits {
                cap: pool.max.get(),
                min_idle: pool.min_idle,
                initial: pool.initial,
                max_waiters: pool.max_waiters_per_route.get(),
                ..Limits::default()
            },
        },
    }
}

fn route_database(database: &DatabaseKeys, target: Target, max_clients: Cap) -> Database {
    Database {
        server_database: database.server_database.as_deref().map(Into::into),
        server_user: database.server_user.as_deref().map(Into::into),
        max_clients: database.max_clients.unwrap_or(max_clients).get(),
        overrides: database.overrides(),
        ..Database::new(&database.name, target)
    }
}

fn route_user(user: &UserKeys, max_clients: Cap) -> User {
    User {
        server_user: user.server_user.as_deref().map(Into::into),
        max_clients: user.max_clients.unwrap_or(max_clients).get(),
        overrides: user.overrides(),
        ..User::new(&user.name)
    }
}

fn route_rule(keys: &RouteKeys) -> Rule {
    Rule {
        user: Pattern::new(&*keys.user),
        database: Pattern::new(&*keys.database),
        weight: keys.weight,
        guarantee: keys.guarantee,
        cap: keys.cap,
        min_idle: keys.min_idle,
        initial: keys.initial,
        max_waiters: keys.max_waiters.and_then(Cap::get),
        overrides: keys.overrides(),
    }
}
