//! What can be wrong with a table, in the names its author used.

use crate::{Pattern, Protocol, Target};

/// The entry that a [`Fault`] is about: its place in the list given to [`Table::new`](crate::Table::new).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A server.
    Server(usize),
    /// A database.
    Database(usize),
    /// A user.
    User(usize),
    /// A rule.
    Rule(usize),
}

/// A contradiction between entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// Which entry to change.
    pub subject: Subject,
    /// Which of its keys, as the configuration spells it.
    pub key: &'static str,
    /// What is wrong.
    pub what: What,
    /// The name that may have been meant.
    pub nearest: Option<String>,
}

/// What is wrong in a [`Fault`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum What {
    /// Two entries of a kind have one name.
    #[error("there is already a {kind} named `{name}`")]
    Duplicate {
        /// `server`, `database` or `user`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A budget of zero serves nobody.
    #[error("server `{server}` has a budget of 0, so no client could ever be served")]
    NoBudget {
        /// The server.
        server: String,
    },
    /// A cluster without a primary.
    #[error("cluster `{cluster}` has no primary: give one of its servers the role \"primary\"")]
    NoPrimary {
        /// The cluster.
        cluster: String,
    },
    /// A cluster with two primaries.
    #[error("cluster `{cluster}` has two primaries, `{first}` and `{second}`")]
    TwoPrimaries {
        /// The cluster.
        cluster: String,
        /// The server declared first.
        first: String,
        /// This one.
        second: String,
    },
    /// A cluster whose servers speak different protocols: they cannot hold the same data.
    #[error(
        "server `{second}` speaks {second_speaks} and server `{first}` {first_speaks}: all servers of cluster `{cluster}` \
         must speak one protocol"
    )]
    MixedProtocols {
        /// The cluster.
        cluster: String,
        /// The server declared first.
        first: String,
        /// Its protocol.
        first_speaks: Protocol,
        /// This one.
        second: String,
        /// Its protocol.
        second_speaks: Protocol,
    },
    /// Several servers may be the primary, none says that it is.
    #[error("servers `{first}` and `{second}` of cluster `{cluster}` both have the role \"auto\": name the primary")]
    WhichPrimary {
        /// The cluster.
        cluster: String,
        /// The server declared first.
        first: String,
        /// This one.
        second: String,
    },
    /// A database that leads nowhere.
    #[error("database `{database}` names an unknown {target}")]
    UnknownTarget {
        /// The database.
        database: String,
        /// Where it should go.
        target: Target,
    },
    /// A rule for a user that does not exist.
    #[error("no user is named `{0}`")]
    UnknownUser(Pattern),
    /// A rule for a database that does not exist.
    #[error("no database is named `{0}`")]
    UnknownDatabase(Pattern),
    /// A rule for a class that no server has.
    #[error("no server has a class named `{0}`")]
    UnknownClass(Pattern),
    /// A rule for a class that says what holds for whole sessions.
    #[error(
        "a rule for a class holds for connections of that class, but `{0}` is for whole sessions: leave out the `class`"
    )]
    NotOfClass(&'static str),
    /// A weight of zero is a share of nothing.
    #[error("a weight is at least 1: a route of weight 0 would never be served when others are")]
    ZeroWeight,
    /// A cap of zero.
    #[error("a cap is at least 1: a route with cap 0 could never be served")]
    ZeroCap,
    /// More promised than allowed.
    #[error("{key} {value} is above the cap {cap} of the same route")]
    AboveCap {
        /// `guarantee` or `min_idle`.
        key: &'static str,
        /// Its value.
        value: u32,
        /// The cap.
        cap: u32,
    },
    /// More promised than the server allows a route that has no cap of its own.
    #[error(
        "{key} {value} is above {cap}, the `max` of server `{server}` for each route without a `cap`: give this one a `cap`"
    )]
    AboveServerCap {
        /// `guarantee` or `min_idle`.
        key: &'static str,
        /// Its value.
        value: u32,
        /// The server.
        server: String,
        /// The cap of its routes.
        cap: u32,
    },
    /// More promised to routes than the server has.
    #[error(
        "the guarantees of the routes to server `{server}` add up to {guarantees} connections, its budget is {budget}"
    )]
    GuaranteesAboveBudget {
        /// The server.
        server: String,
        /// All guarantees together; every configured user on every named database that a rule matches counts.
        guarantees: u64,
        /// The server's budget.
        budget: u32,
    },
}
