//! What the engine shall be: the configuration in its terms.

use std::{collections::HashMap, sync::Arc, time::Duration};

use route::{Identity, Resolved, Table};

use crate::{dialling::Dialling, lane::Prepared, proxy_header::Trusted, registry::ClientLimits, secrets::UserSecret};

/// Everything that can change while clients are connected.
#[derive(Debug)]
pub struct Plan {
    /// Servers, databases, users and rules.
    pub table: Table,
    /// How the connections to each server are pooled, by the server's place in the table.
    pub servers: Vec<ServerPlan>,
    /// What proves the users, by name, towards us.
    pub users: HashMap<Arc<str>, UserEntry>,
    /// What proves a database's own server user, by the database's name.
    pub databases: HashMap<Arc<str>, Arc<UserSecret>>,
    /// How clients prove who they are, where their credential allows it.
    pub demand: AuthMethod,
    /// How many clients may be connected.
    pub limits: ClientLimits,
    /// From where balancers connect, which say first for whom: the PROXY protocol.
    pub balancers: Trusted,
    /// Whether clients' connections are encrypted.
    pub client_tls: ClientTls,
    /// What holds for MySQL clients alone.
    pub mysql: MysqlPlan,
    /// How long a client may take to log in.
    pub login_timeout: Duration,
    /// How prepared statements are treated.
    pub prepared: Prepared,
    /// The most bytes of one message that are held before they are sent on.
    pub message_len_max: usize,
    /// Who may use the console, and how.
    pub console: HashMap<Arc<str>, ConsoleRole>,
}

impl Plan {
    /// What proves the server user of a route.
    pub(crate) fn secret(&self, resolved: &Resolved, user: &str, database: &str) -> Option<Arc<UserSecret>> {
        match resolved.identity {
            Identity::Database => self
                .databases
                .get(database)
                .or_else(|| self.databases.get(&self.table.database(resolved.database).name))
                .cloned(),
            Identity::Client | Identity::User => {
                let entry = self.users.get(user)?;
                entry.server_secret.clone().or_else(|| entry.secret.clone())
            }
        }
    }
}

/// How the connections to one server are pooled.
#[derive(Debug, Clone)]
pub struct ServerPlan {
    /// The pool's settings.
    pub pool: pool::Settings,
    /// SQL that runs on every new connection; empty: none.
    pub init_sql: Arc<str>,
    /// SQL that tests a connection; empty: the protocol's own ping.
    pub validation_query: Arc<str>,
    /// Whether the first connection asks how many the server lets in.
    pub asks_census: bool,
    /// How it is reached.
    pub dialling: Dialling,
    /// How connections to it are compressed, if it can; `None`: not at all. MySQL only.
    pub compression: Option<Compression>,
}

/// A way to compress that MySQL's protocol knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Deflate.
    Zlib,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// Its name, as in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }
}

/// What holds for MySQL clients alone.
#[derive(Debug, Clone)]
pub struct MysqlPlan {
    /// The version that clients are told; `None`: the lowest of the servers that have been reached.
    pub server_version: Option<Arc<str>>,
    /// The way to log in that clients are offered first.
    pub auth_plugin: auth::Plugin,
    /// Whether users that are not in the plan are checked by the servers.
    pub asks_servers: bool,
    /// Whether `LOAD DATA LOCAL INFILE` is allowed.
    pub local_infile: bool,
    /// Whether clients may read the binary log.
    pub binlog_dump: bool,
    /// With what clients without TLS hide their password.
    pub rsa_key: Option<Arc<auth::rsa::KeyPair>>,
    /// The most bytes of one command.
    pub packet_len_max: usize,
    /// The ways to compress that clients are offered. Who asks for both gets zlib: that is the protocol's rule.
    pub compression: Vec<Compression>,
}

impl Default for MysqlPlan {
    fn default() -> Self {
        Self {
            server_version: None,
            auth_plugin: auth::Plugin::CachingSha2,
            asks_servers: false,
            local_infile: false,
            binlog_dump: false,
            rsa_key: None,
            packet_len_max: 64 << 20,
            compression: vec![Compression::Zstd, Compression::Zlib],
        }
    }
}

/// Whether clients' connections are encrypted.
#[derive(Debug, Clone, Default)]
pub enum ClientTls {
    /// They are not: we have no certificate.
    #[default]
    Never,
    /// They are if the client wants it.
    Offered(Arc<tls::Acceptor>),
    /// They are, but for those over unix sockets; who does not want it is refused.
    Required(Arc<tls::Acceptor>),
}

impl ClientTls {
    /// What makes a connection encrypted, if there is one.
    #[must_use]
    pub fn acceptor(&self) -> Option<&Arc<tls::Acceptor>> {
        match self {
            Self::Never => None,
            Self::Offered(acceptor) | Self::Required(acceptor) => Some(acceptor),
        }
    }
}

/// What is known of a user.
#[derive(Debug, Clone)]
pub struct UserEntry {
    /// What clients prove; `None`: only under [`AuthMethod::Trust`].
    pub secret: Option<Arc<UserSecret>>,
    /// What servers are shown; `None`: the same.
    pub server_secret: Option<Arc<UserSecret>>,
}

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// Not at all. For machines on which everyone may be anyone.
    Trust,
    /// By a password that is readable on the wire.
    Cleartext,
    /// By md5, as PostgreSQL did before version 10.
    Md5,
    /// By SCRAM-SHA-256.
    Scram,
}

/// What a console user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleRole {
    /// Everything.
    Admin,
    /// Look.
    Viewer,
}
