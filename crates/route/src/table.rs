//! The table of servers, databases, users and rules, and the one question it answers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{ClassIndex, Database, Fault, Limits, Protocol, Rule, Server, Terms, User, check, nearest};

/// A server's place in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerIndex(pub usize);

/// A database's place in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseIndex(pub usize);

/// A user's place in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserIndex(pub usize);

/// Who decided under which name the server is logged in to, and so whose credential to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The client's own name.
    Client,
    /// The user's `server_user`.
    User,
    /// The database's `server_user`.
    Database,
}

/// Where a client's work goes and what holds for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The user who came. Where guests are let in, their entry is that of [`Table::guest`].
    pub user: UserIndex,
    /// The database's entry; it may be `*`.
    pub database: DatabaseIndex,
    /// The server: the primary of the database's cluster, or the one it names.
    pub server: ServerIndex,
    /// The user name there.
    pub server_user: Arc<str>,
    /// Where that name comes from.
    pub identity: Identity,
    /// The database name there; empty: none is selected.
    pub server_database: Arc<str>,
    /// Mode, time limits and shares: the server's, changed by database, user and rule, in this order. The shares are those
    /// in the default class; [`Table::limits`] has those in the others.
    pub terms: Terms,
}

/// Why a client's work goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// No database of that name, and none takes any name.
    #[error("no such database: {name}")]
    UnknownDatabase {
        /// What the client asked for.
        name: String,
        /// The configured name most like it. For the log: clients are not told what exists.
        nearest: Option<String>,
    },
    /// No such user. A login driver goes on as if there were one, so that names cannot be probed.
    #[error("no such user: {name}")]
    UnknownUser {
        /// The name the client came with.
        name: String,
    },
}

/// Servers, databases, users and rules that fit together. Immutable: a changed configuration is a new table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub(crate) servers: Vec<Server>,
    pub(crate) databases: Vec<Database>,
    pub(crate) users: Vec<User>,
    guest: Option<User>,
    pub(crate) rules: Vec<Rule>,
    database_of: HashMap<Arc<str>, DatabaseIndex>,
    user_of: HashMap<Arc<str>, UserIndex>,
    /// Where each database leads, by its index: looked up once.
    server_of: Vec<ServerIndex>,
    /// Where clients go that name no database.
    home: Option<DatabaseIndex>,
}

impl Table {
    /// Checks that everything fits together.
    ///
    /// # Errors
    /// All contradictions found, in the order of the lists.
    pub fn new(
        servers: Vec<Server>,
        databases: Vec<Database>,
        users: Vec<User>,
        rules: Vec<Rule>,
    ) -> Result<Self, Vec<Fault>> {
        Self::build(servers, databases, users, None, rules)
    }

    /// The same, with a way in for guests: users who are not in the list, and whom a MySQL server itself knows. `guest`
    /// says what holds for each of them; its name is that of nobody.
    ///
    /// # Errors
    /// Those of [`Table::new`], except that rules may be for users who are not in the list.
    pub fn with_guests(
        servers: Vec<Server>,
        databases: Vec<Database>,
        users: Vec<User>,
        guest: User,
        rules: Vec<Rule>,
    ) -> Result<Self, Vec<Fault>> {
        Self::build(servers, databases, users, Some(guest), rules)
    }

    fn build(
        servers: Vec<Server>,
        databases: Vec<Database>,
        users: Vec<User>,
        guest: Option<User>,
        rules: Vec<Rule>,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = check::entries(&servers, &databases, &users, guest.is_some(), &rules);
        // A database that leads nowhere is a fault already, so the indices only shift in a table that nobody gets.
        let server_of: Vec<_> =
            databases.iter().filter_map(|database| check::leads_to(&servers, &database.target)).collect();
        let table = Self {
            home: home(&servers, &databases, &server_of),
            database_of: databases.iter().zip(0..).map(|(d, i)| (Arc::clone(&d.name), DatabaseIndex(i))).collect(),
            user_of: users.iter().zip(0..).map(|(u, i)| (Arc::clone(&u.name), UserIndex(i))).collect(),
            servers,
            databases,
            users,
            guest,
            rules,
            server_of,
        };
        if faults.is_empty() {
            faults = check::inherited_caps(&table);
            faults.extend(check::guarantees(&table));
        }
        if faults.is_empty() { Ok(table) } else { Err(faults) }
    }

    /// Where the work of `user` on `database` goes. Two look-ups and one pass over the rules.
    ///
    /// An empty name is that of a MySQL client that selects no database: it goes where `*` leads, or else the first database
    /// on a MySQL server.
    ///
    /// # Errors
    /// [`NoRoute`]: the user first, so that an unknown user learns nothing about databases.
    pub fn resolve(&self, user: &str, database: &str) -> Result<Resolved, NoRoute> {
        let database_index = self.database_index(database);
        let Some(user_index) = self.user_index(user).or_else(|| self.guest_index(database_index)) else {
            return Err(NoRoute::UnknownUser { name: user.into() });
        };
        let Some(database_index) = database_index else {
            let names = self.databases.iter().map(|database| &*database.name);
            let nearest = nearest(database, names).map(Into::into);
            return Err(NoRoute::UnknownDatabase { name: database.into(), nearest });
        };
        let (user_entry, entry) = (self.user(user_index), self.database(database_index));
        let is_guest = user_index.0 == self.users.len();
        let (server_user, identity) = match (&entry.server_user, &user_entry.server_user) {
            (Some(name), _) => (name, Identity::Database),
            (None, Some(name)) => (name, Identity::User),
            (None, None) if is_guest => (&Arc::from(user), Identity::Client),
            (None, None) => (&user_entry.name, Identity::Client),
        };
        let server_database = match &entry.server_database {
            Some(name) if !database.is_empty() => Arc::clone(name),
            _ => database.into(),
        };
        Ok(Resolved {
            user: user_index,
            database: database_index,
            server: self.server_of[database_index.0],
            server_user: Arc::clone(server_user),
            identity,
            server_database,
            terms: self.terms(user_index, database_index, (user, database)),
        })
    }

    /// The user of this name; guests have none.
    #[must_use]
    pub fn user_index(&self, name: &str) -> Option<UserIndex> {
        self.user_of.get(name).copied()
    }

    /// The database that a client means by this name: its own entry, else `*`. For the empty name see [`Table::resolve`].
    #[must_use]
    pub fn database_index(&self, name: &str) -> Option<DatabaseIndex> {
        if name.is_empty() && self.home.is_some() {
            return self.home;
        }
        self.database_of.get(name).or_else(|| self.database_of.get("*")).copied()
    }

    /// The shares of this user on this database in one of the server's classes: the server's, changed by the first rule
    /// for all three.
    #[must_use]
    pub fn limits(&self, server: ServerIndex, class: ClassIndex, user: &str, database: &str) -> Limits {
        let server = self.server(server);
        let mut limits = server.terms.limits.clone();
        if let Some(rule) = self.rule(user, database, &server.classes.get(class).name) {
            rule.limit(&mut limits);
        }
        limits
    }

    /// The first rule for this user on this database in this class.
    pub(crate) fn rule(&self, user: &str, database: &str, class: &str) -> Option<&Rule> {
        self.rule_index(user, database, class).map(|index| &self.rules[index])
    }

    /// The place of that rule.
    pub(crate) fn rule_index(&self, user: &str, database: &str, class: &str) -> Option<usize> {
        self.rules.iter().position(|rule| rule.matches(user, database) && rule.takes_class(class))
    }

    /// A server. Panics on an index of another table.
    #[must_use]
    pub fn server(&self, index: ServerIndex) -> &Server {
        &self.servers[index.0]
    }

    /// A database. Panics on an index of another table.
    #[must_use]
    pub fn database(&self, index: DatabaseIndex) -> &Database {
        &self.databases[index.0]
    }

    /// A user. Panics on an index of another table.
    #[must_use]
    pub fn user(&self, index: UserIndex) -> &User {
        match &self.guest {
            Some(guest) if index.0 == self.users.len() => guest,
            _ => &self.users[index.0],
        }
    }

    /// What holds for users who are not in the list, if they are let in: their passwords are the server's business.
    #[must_use]
    pub fn guest(&self) -> Option<&User> {
        self.guest.as_ref()
    }

    /// All servers, by index.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// All databases, by index.
    #[must_use]
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }

    /// All users, by index, without the guest.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// All rules, in the order in which they are tried.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Where a database leads.
    #[must_use]
    pub fn server_of(&self, database: DatabaseIndex) -> ServerIndex {
        self.server_of[database.0]
    }

    /// Every database name that is known before a client asks: the declared ones, `*`, and what rules name for `*`.
    pub(crate) fn known_databases(&self) -> impl Iterator<Item = (&str, DatabaseIndex)> {
        let declared = self.databases.iter().zip(0..).map(|(database, i)| (&*database.name, DatabaseIndex(i)));
        let any = self.databases.iter().position(Database::takes_any_name).map(DatabaseIndex);
        let mut named: Vec<&str> = self.rules.iter().filter_map(|rule| rule.database.exact()).collect();
        named.sort_unstable();
        named.dedup();
        named.retain(|name| any.is_some() && !self.database_of.contains_key(*name));
        declared.chain(named.into_iter().filter_map(move |name| any.map(|any| (name, any))))
    }

    /// One past the users, if that database's server knows guests.
    fn guest_index(&self, database: Option<DatabaseIndex>) -> Option<UserIndex> {
        let is_mysql = self.server(self.server_of(database?)).protocol == Protocol::Mysql;
        (is_mysql && self.guest.is_some()).then_some(UserIndex(self.users.len()))
    }

    fn terms(&self, user: UserIndex, database: DatabaseIndex, names: (&str, &str)) -> Terms {
        let server = self.server_of(database);
        let mut terms = self.server(server).terms.clone();
        self.database(database).overrides.apply(&mut terms);
        self.user(user).overrides.apply(&mut terms);
        // A rule for some classes only says nothing of sessions, which use several.
        let mut rules = self.rules.iter().filter(|rule| rule.class.is_none());
        if let Some(rule) = rules.find(|rule| rule.matches(names.0, names.1)) {
            rule.overrides.apply(&mut terms);
        }
        terms.limits = self.limits(server, ClassIndex::DEFAULT, names.0, names.1);
        terms
    }
}

/// Where MySQL clients go that name no database: where `*` leads, else the first database that speaks with them.
fn home(servers: &[Server], databases: &[Database], server_of: &[ServerIndex]) -> Option<DatabaseIndex> {
    let mut candidates = databases.iter().zip(server_of).zip(0..);
    let is_mysql = |server: &ServerIndex| servers[server.0].protocol == Protocol::Mysql;
    let any = candidates.clone().find(|((database, server), _)| database.takes_any_name() && is_mysql(server));
    any.or_else(|| candidates.find(|((_, server), _)| is_mysql(server))).map(|(_, index)| DatabaseIndex(index))
}

#[cfg(test)]
mod tests;
