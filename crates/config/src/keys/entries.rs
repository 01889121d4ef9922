//! `[[servers]]`, `[[databases]]`, `[[users]]` and `[[routes]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PoolKeys, ServerAddress, ServerClasses, ServerCompression, ServerTlsMode};
use crate::values::{Cap, Period, SecretText, Timeout};

/// The protocol that a server speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Protocol {
    /// PostgreSQL, or what speaks its protocol 3.0.
    #[default]
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
}

impl From<Protocol> for route::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Postgres => Self::Postgres,
            Protocol::Mysql => Self::Mysql,
        }
    }
}

/// What a server is in its cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Role {
    /// Takes writes; one per cluster.
    Primary,
    /// Read only; reached through a database that names it as its `server`.
    Replica,
    /// The primary, if no other server of the cluster can be.
    #[default]
    Auto,
}

/// When a server connection goes back to the pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum PoolMode {
    /// When the client disconnects.
    Session,
    /// When the transaction ends.
    #[default]
    Transaction,
    /// When the statement ends; transactions of several statements are refused.
    Statement,
}

impl From<PoolMode> for route::PoolMode {
    fn from(mode: PoolMode) -> Self {
        match mode {
            PoolMode::Session => Self::Session,
            PoolMode::Transaction => Self::Transaction,
            PoolMode::Statement => Self::Statement,
        }
    }
}

/// What becomes of what a client changes by `SET`, which holds for its whole session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum SessionState {
    /// It follows the client: each of its server connections is given it.
    #[default]
    Replay,
    /// The first change takes the server connection out of the pool, into the class `reserved`, and the client keeps it until
    /// it disconnects; the pool opens another. (Vitess: enable_system_settings)
    Reserve,
    /// It is lost with the server connection.
    Ignore,
}

impl From<SessionState> for route::SessionState {
    fn from(state: SessionState) -> Self {
        match state {
            SessionState::Replay => Self::Replay,
            SessionState::Reserve => Self::Reserve,
            SessionState::Ignore => Self::Ignore,
        }
    }
}

impl From<Role> for route::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Primary => Self::Primary,
            Role::Replica => Self::Replica,
            Role::Auto => Self::Auto,
        }
    }
}

/// An entry of `[[servers]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ServerKeys {
    /// Its name here, unique.
    pub name: String,
    /// The cluster it belongs to: servers that hold the same data, one primary and its replicas. By default its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The protocol that it speaks, as all servers of its cluster must.
    #[serde(default)]
    pub protocol: Protocol,
    /// `host:port`, or a unix socket: the socket file itself (`/run/mysqld/mysqld.sock`) or its directory; there it is
    /// `.s.PGSQL.5432` for PostgreSQL, with `:port` another one, and `mysql.sock` for MySQL. The port is by default 5432 for
    /// PostgreSQL and 3306 for MySQL.
    pub address: ServerAddress,
    /// Whether connections to it are encrypted. By default `"prefer"`, as for libpq, PgBouncer and the MySQL clients; unix
    /// sockets never are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServerTlsMode>,
    /// The PEM file of the certificates that may sign the server's; read by `verify_ca` and `verify_full` only. By default
    /// those that the operating system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<String>,
    /// The PEM file of the certificate that we show to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<String>,
    /// The PEM file of the private key of `tls_certificate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<String>,
    /// The name that its certificate must have. By default the host of `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Whether connections begin with a header of the PROXY protocol, for servers behind a balancer that insists on it.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// How connections to it are compressed; MySQL only.
    #[serde(default)]
    pub compression: ServerCompression,
    /// What it is in its cluster.
    #[serde(default)]
    pub role: Role,
    /// The zone it stands in. Has no effect yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The most connections that Evenkeel holds to it, all users and databases together. Leave room below the server's own
    /// `max_connections` for superusers, replication and other clients.
    #[serde(default = "default_budget")]
    pub budget: u32,
    /// Its classes: typed pools within the `budget`. Beside the names below, a list of names, as in `["oltp", "transaction"]`,
    /// or a table of names and caps: `{ oltp = 30, transaction = 20 }`; those are declared in `[[classes]]` or the preset's.
    #[serde(default)]
    pub classes: ServerClasses,
    /// Keys of `[pool]` that differ for this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolKeys>,
}

/// PgBouncer's default_pool_size; a fifth of PostgreSQL's default `max_connections`.
const fn default_budget() -> u32 {
    20
}

/// Adds to an entry the keys by which it changes what holds for its clients, and their conversion.
macro_rules! overridable {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $kind,)*
            /// `pool.mode`, but for these clients.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub pool_mode: Option<PoolMode>,
            /// `pool.session_state`, but for these clients.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub session_state: Option<SessionState>,
            /// `pool.checkout_timeout`, but for these clients.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub checkout_timeout: Option<Period>,
            /// `timeouts.query`, but for these clients.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub query_timeout: Option<Timeout>,
            /// `timeouts.transaction`, but for these clients.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub transaction_timeout: Option<Timeout>,
            /// `timeouts.idle_in_transaction`, but for these clients.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub idle_in_transaction_timeout: Option<Timeout>,
            /// `timeouts.client_idle`, but for these clients.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub client_idle_timeout: Option<Timeout>,
        }

        impl $name {
            pub(crate) fn overrides(&self) -> route::Overrides {
                route::Overrides {
                    pool_mode: self.pool_mode.map(Into::into),
                    session_state: self.session_state.map(Into::into),
                    checkout_timeout: self.checkout_timeout.map(Period::get),
                    query_timeout: self.query_timeout.map(Into::into),
                    transaction_timeout: self.transaction_timeout.map(Into::into),
                    idle_in_transaction_timeout: self.idle_in_transaction_timeout.map(Into::into),
                    client_idle_timeout: self.client_idle_timeout.map(Into::into),
                }
            }
        }
    };
}

overridable! {
    /// An entry of `[[databases]]`. It needs either `cluster` or `server`.
    pub struct DatabaseKeys {
        /// The name that clients ask for; `"*"` takes every name that no other entry has. MySQL clients that ask for none go
        /// where `"*"` leads, or to the first entry on a MySQL server.
        pub name: String,
        /// The cluster it lives on; its clients go to the primary.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cluster: Option<String>,
        /// The server it lives on, instead of a cluster: a name for a replica, for example.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub server: Option<String>,
        /// Its name on the server. By default the name that the client asked for. (PgBouncer: dbname)
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub server_database: Option<String>,
        /// The user that logs in to the server for all clients of this database. (PgBouncer: user)
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub server_user: Option<String>,
        /// The password of `server_user`. By default that of the `[[users]]` entry of this name.
        #[serde(default, skip_serializing)]
        pub server_password: Option<SecretText>,
        /// The environment variable that holds it instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub server_password_env: Option<String>,
        /// The file that holds it instead; a relative path starts at the configuration file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub server_password_file: Option<String>,
        /// Client connections to it at once; by default `limits.max_clients_per_database`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub max_clients: Option<Cap>,
    }
}

overridable! {
    /// An entry of `[[users]]`.
    pub struct UserKeys {
        /// The name that clients log in with, unique.
        pub name: String,
        /// The password, which serves every way to log in, or what a server stores for it. PostgreSQL: `SCRAM-SHA-256$…` or
        /// `md5…`; with an md5 hash Evenkeel also logs in to servers that ask for md5 (since PostgreSQL 14 they ask for SCRAM
        /// by default), a SCRAM verifier only serves servers that hold the very same one. MySQL: `*…`
        /// (mysql_native_password), `$A$005$…` (caching_sha2_password) or `ed25519:…` and the public key that MariaDB stores.
        #[serde(default, skip_serializing)]
        pub password: Option<SecretText>,
        /// The environment variable that holds it instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub password_env: Option<String>,
        /// The file that holds it instead; a relative path starts at the configuration file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub password_file: Option<String>,
        /// The user that logs in to the server for this one. By default the same name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub server_user: Option<String>,
        /// The password for the server, if it is another one.
        #[serde(default, skip_serializing)]
        pub server_password: Option<SecretText>,
        /// The environment variable that holds it instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub server_password_env: Option<String>,
        /// The file that holds it instead; a relative path starts at the configuration file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub server_password_file: Option<String>,
        /// Client connections of this user at once; by default `limits.max_clients_per_user`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub max_clients: Option<Cap>,
    }
}

overridable! {
    /// An entry of `[[routes]]`.
    pub struct RouteKeys {
        /// The users it is for; `*` stands for any run of characters.
        #[serde(default = "any")]
        pub user: String,
        /// The databases it is for, as clients name them; `*` stands for any run of characters.
        #[serde(default = "any")]
        pub database: String,
        /// The classes it is for; `*` stands for any run of characters. Without, it is for all. For some classes it has limits
        /// on server connections only: modes and time limits are those of whole sessions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub class: Option<String>,
        /// Its share of a busy server relative to other routes, which have 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub weight: Option<u32>,
        /// Server connections that it gets before anyone gets more than theirs, while it has work for them; in each class that
        /// it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub guarantee: Option<u32>,
        /// Server connections that it may hold at most, in each class that it is for; by default `pool.max`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cap: Option<u32>,
        /// `pool.min_idle`, but for this route.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub min_idle: Option<u32>,
        /// `pool.initial`, but for this route.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub initial: Option<u32>,
        /// `pool.max_waiters_per_route`, but for this route.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub max_waiters: Option<Cap>,
    }
}

impl ServerKeys {
    /// A server that a URL names.
    pub(crate) fn new(name: String, protocol: Protocol, address: ServerAddress, budget: Option<u32>) -> Self {
        Self {
            name,
            cluster: None,
            protocol,
            address,
            tls: None,
            tls_ca: None,
            tls_certificate: None,
            tls_key: None,
            tls_server_name: None,
            proxy_protocol: false,
            compression: ServerCompression::Off,
            role: Role::Auto,
            zone: None,
            budget: budget.unwrap_or_else(default_budget),
            classes: ServerClasses::Single,
            pool: None,
        }
    }
}

impl DatabaseKeys {
    /// A database that keeps its name on that server.
    pub(crate) fn on_server(name: String, server: String) -> Self {
        Self { name, server: Some(server), ..Self::default() }
    }
}

impl UserKeys {
    /// A user with a password and nothing else.
    pub(crate) fn new(name: String, password: SecretText) -> Self {
        Self { name, password: Some(password), ..Self::default() }
    }
}

fn any() -> String {
    "*".into()
}
