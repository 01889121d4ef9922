//! What a table is made of: servers, databases, users and rules.

use std::fmt;
use std::sync::Arc;

use crate::{Address, Classes, Limits, Overrides, Pattern, Protocol, Terms, TransactionLimit};

/// What a server is in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Takes writes. One per cluster.
    Primary,
    /// Follows the primary, read only.
    Replica,
    /// Not said: the primary, when it is the only candidate of its cluster.
    #[default]
    Auto,
}

/// One database server process.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its name here, unique.
    pub name: Arc<str>,
    /// The servers of one cluster hold the same data.
    pub cluster: Arc<str>,
    /// What it speaks; the same for all servers of a cluster.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: Address,
    /// What it is in its cluster.
    pub role: Role,
    /// Where it stands; servers of one's own zone are nearer.
    pub zone: Option<Arc<str>>,
    /// The most connections to it, in every state, all routes together; at least 1.
    pub budget: u32,
    /// Its typed pools, each with a cap inside the budget.
    pub classes: Classes,
    /// How many of its connections one user may have in transactions.
    pub transaction_limit: TransactionLimit,
    /// What holds for its routes unless a database, a user or a rule says otherwise.
    pub terms: Terms,
}

impl Server {
    /// A PostgreSQL server with default terms and the role `auto`.
    #[must_use]
    pub fn new(name: &str, cluster: &str, address: Address, budget: u32) -> Self {
        Self {
            name: name.into(),
            cluster: cluster.into(),
            protocol: Protocol::default(),
            address,
            role: Role::Auto,
            zone: None,
            budget,
            classes: Classes::single(),
            transaction_limit: TransactionLimit::default(),
            terms: Terms::default(),
        }
    }
}

/// Where a database's clients go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To the primary of this cluster.
    Cluster(Arc<str>),
    /// To this very server, whatever its role: a name for a replica, say.
    Server(Arc<str>),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(f, "cluster `{name}`"),
            Self::Server(name) => write!(f, "server `{name}`"),
        }
    }
}

/// A database as clients name it.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// The name that clients ask for, unique; `*` takes every name that no other database has.
    pub name: Arc<str>,
    /// Where its clients go.
    pub target: Target,
    /// Its name on the server; `None`: the name the client asked for.
    pub server_database: Option<Arc<str>>,
    /// The user that logs in to the server for all its clients; `None`: decided by the user.
    pub server_user: Option<Arc<str>>,
    /// The most client connections at once; `None`: unlimited.
    pub max_clients: Option<u32>,
    /// What holds differently for its clients.
    pub overrides: Overrides,
}

impl Database {
    /// A database that keeps its name and the client's user on the server.
    #[must_use]
    pub fn new(name: &str, target: Target) -> Self {
        Self {
            name: name.into(),
            target,
            server_database: None,
            server_user: None,
            max_clients: None,
            overrides: Overrides::default(),
        }
    }

    pub(crate) fn takes_any_name(&self) -> bool {
        &*self.name == "*"
    }
}

/// A user who may log in. Credentials are kept elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// The name that clients log in with, unique.
    pub name: Arc<str>,
    /// The user that logs in to the server instead; `None`: the same name.
    pub server_user: Option<Arc<str>>,
    /// The most client connections at once; `None`: unlimited.
    pub max_clients: Option<u32>,
    /// What holds differently for this user; beats what the database says.
    pub overrides: Overrides,
}

impl User {
    /// A user who has the same name on the server.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), server_user: None, max_clients: None, overrides: Overrides::default() }
    }
}

/// What holds for the routes whose user and database fit; the first rule that fits decides, and beats user and database.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The users it is for.
    pub user: Pattern,
    /// The databases it is for, as clients name them.
    pub database: Pattern,
    /// The classes it is for; `None`: all. For some classes it holds limits only: mode and time limits are the session's.
    pub class: Option<Pattern>,
    /// [`Limits::weight`].
    pub weight: Option<u32>,
    /// [`Limits::guarantee`].
    pub guarantee: Option<u32>,
    /// [`Limits::cap`].
    pub cap: Option<u32>,
    /// [`Limits::min_idle`].
    pub min_idle: Option<u32>,
    /// [`Limits::initial`].
    pub initial: Option<u32>,
    /// [`Limits::max_waiters`]; `Some(None)` lifts what would hold otherwise.
    pub max_waiters: Option<Option<u32>>,
    /// Mode and time limits.
    pub overrides: Overrides,
}

impl Rule {
    /// A rule that changes nothing yet.
    #[must_use]
    pub fn new(user: &str, database: &str) -> Self {
        Self {
            user: Pattern::new(user),
            database: Pattern::new(database),
            class: None,
            weight: None,
            guarantee: None,
            cap: None,
            min_idle: None,
            initial: None,
            max_waiters: None,
            overrides: Overrides::default(),
        }
    }

    /// Whether it is for this user on this database.
    #[must_use]
    pub fn matches(&self, user: &str, database: &str) -> bool {
        self.user.matches(user) && self.database.matches(database)
    }

    /// Whether it is for this class as well, where it is for user and database.
    pub(crate) fn takes_class(&self, class: &str) -> bool {
        self.class.as_ref().is_none_or(|pattern| pattern.matches(class))
    }

    pub(crate) fn limit(&self, limits: &mut Limits) {
        *limits = Limits {
            weight: self.weight.unwrap_or(limits.weight),
            guarantee: self.guarantee.unwrap_or(limits.guarantee),
            cap: self.cap.or(limits.cap),
            min_idle: self.min_idle.unwrap_or(limits.min_idle),
            initial: self.initial.unwrap_or(limits.initial),
            max_waiters: self.max_waiters.unwrap_or(limits.max_waiters),
        };
    }
}
