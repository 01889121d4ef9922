//! Every key of the configuration file: its name, its kind, its default and what it does.
//!
//! These types are the one source. Serde reads files by them, schemars turns them and their comments into the schema, and
//! the reference page is written from the schema. So a comment here is a sentence that operators read.

mod address;
mod classes;
mod entries;
mod limiter;
mod mysql;
mod network;
mod pool;
mod tls;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use address::{HttpAddress, Listen, MysqlAddress, PostgresAddress, ServerAddress};
pub use classes::{Capability, ClassKeys, ServerClasses, StatementKind, TrafficKind, Workload};
pub use entries::{DatabaseKeys, PoolMode, Protocol, Role, RouteKeys, ServerKeys, SessionState, UserKeys};
pub use limiter::{LimitKey, LimitMode, TransactionLimitKeys};
pub use mysql::{AuthPlugin, BinlogDump, ClientCompression, MysqlKeys, ServerCompression, UnknownUsers};
pub use network::Network;
pub use pool::{Fit, Moves, PoolKeys, Reuse};
pub use tls::{ClientCertificates, ClientTlsMode, ServerTlsMode, TlsKeys};

use crate::values::{Cap, Period, SecretText, Size, Timeout};

/// The configuration of Evenkeel.
///
/// Keys marked *restart* are read once at the start; all others apply on reload without losing a client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "evenkeel.toml")]
#[non_exhaustive]
pub struct File {
    /// Where Evenkeel listens.
    pub listen: ListenKeys,
    /// Encryption between clients and Evenkeel, for both protocols. Towards servers it is a matter of each server.
    pub tls: TlsKeys,
    /// What only MySQL clients and servers have.
    pub mysql: MysqlKeys,
    /// How server connections are pooled: the defaults for every server. A server changes them for itself in a table
    /// `[servers.pool]`, or inline: `pool = { max_lifetime = "30m" }`.
    pub pool: PoolKeys,
    /// The most that clients may use.
    pub limits: LimitKeys,
    /// How long clients may take. How long they may wait for a server connection is `pool.checkout_timeout`.
    pub timeouts: TimeoutKeys,
    /// How many of a server's connections one user may have in transactions, so that others find some.
    pub transaction_limit: TransactionLimitKeys,
    /// Prepared statements of the extended protocol, which work across server connections.
    pub prepared: PreparedKeys,
    /// Who may use the admin console, the database named `evenkeel` (also `pgbouncer`).
    pub admin: AdminKeys,
    /// What `/metrics` shows.
    pub metrics: MetricsKeys,
    /// What is logged, to standard error.
    pub log: LogKeys,
    /// Threads and memory.
    pub runtime: RuntimeKeys,
    /// Typed pools: each takes some of the traffic, and has a cap inside a server's budget. They hold where a server's
    /// `classes` names them. Of several that take something, the first in the file gets it, and any of them before the
    /// preset's; what none takes goes to the class `default`, which has no cap.
    pub classes: Vec<ClassKeys>,
    /// One database server each.
    pub servers: Vec<ServerKeys>,
    /// The names that clients may ask for, and where they lead.
    pub databases: Vec<DatabaseKeys>,
    /// Who may log in. A user needs exactly one of `password`, `password_env` and `password_file`.
    pub users: Vec<UserKeys>,
    /// What holds for certain users on certain databases. The first entry whose `user`, `database` and `class` all fit
    /// decides, and beats what user and database say themselves.
    pub routes: Vec<RouteKeys>,
}

/// `[listen]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ListenKeys {
    /// For PostgreSQL clients: `host:port`, or a directory for a unix socket (`/tmp` means `/tmp/.s.PGSQL.6432`,
    /// `/tmp:5432` another port). By default `["127.0.0.1:6432"]` if a server speaks PostgreSQL.
    #[schemars(extend("x-restart" = true))]
    pub postgres: Listen<PostgresAddress>,
    /// For MySQL and MariaDB clients: `host:port`, or a unix socket: its path, which ends with `.sock`, or a directory
    /// (`/tmp` means `/tmp/mysql.sock`). By default `["127.0.0.1:6033"]` if a server speaks MySQL.
    #[schemars(extend("x-restart" = true))]
    pub mysql: Listen<MysqlAddress>,
    /// Networks whose connections must begin with a header of the PROXY protocol (version 1 or 2), as balancers send it.
    /// The client it names counts as the peer, in limits and logs. From elsewhere no header is taken.
    pub proxy_protocol: Vec<Network>,
    /// How PostgreSQL clients prove who they are. A user whose configured secret allows only one way is asked that way. For
    /// MySQL clients see `mysql.auth_plugin`; `"trust"` holds for them as well.
    pub auth: AuthMethod,
    /// For `/metrics`, `/healthz`, `/readyz` and `/api/…`: `host:port`, or `"off"`. It asks for no password, so keep it on
    /// a private address.
    #[schemars(extend("x-restart" = true))]
    pub http: HttpAddress,
}

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum AuthMethod {
    /// Not at all: everyone may be anyone. Only where nobody else can connect.
    #[serde(rename = "trust")]
    Trust,
    /// By a password that is readable on the wire.
    #[serde(rename = "password")]
    Password,
    /// By md5, for drivers that know nothing newer.
    #[serde(rename = "md5")]
    Md5,
    /// By SCRAM-SHA-256: the password is never sent.
    #[default]
    #[serde(rename = "scram-sha-256")]
    Scram,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitKeys {
    /// Client connections in all. One more is told so before it is asked for a password. File descriptors limit it too:
    /// each client and each server connection takes one.
    pub max_clients: u32,
    /// Client connections of one user, unless the user says otherwise.
    pub max_clients_per_user: Cap,
    /// Client connections to one database, unless the database says otherwise.
    pub max_clients_per_database: Cap,
    /// Client connections from one IP address.
    pub max_clients_per_address: Cap,
    /// The most bytes of one message, such as a query text, that are held in memory before they are sent on. COPY data and
    /// results are streamed and have no limit.
    pub max_message_size: Size,
}

impl Default for LimitKeys {
    fn default() -> Self {
        Self {
            max_clients: 10_000,
            max_clients_per_user: Cap::NONE,
            max_clients_per_database: Cap::NONE,
            max_clients_per_address: Cap::NONE,
            max_message_size: Size::kib(64 << 10),
        }
    }
}

/// `[timeouts]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeoutKeys {
    /// From accepting a client to its complete login.
    pub login: Period,
    /// Silence of a client outside a transaction; then it is disconnected.
    pub client_idle: Timeout,
    /// Silence of a client inside a transaction, when it keeps a server connection from others; then it is disconnected and
    /// the transaction rolled back.
    pub idle_in_transaction: Timeout,
    /// One query, from sending it to the server to the end of its answer; then it is cancelled.
    pub query: Timeout,
    /// One transaction, from its first statement to its end; then it is rolled back and the client disconnected.
    pub transaction: Timeout,
    /// On shutdown, how long clients may finish their transactions.
    pub shutdown: Period,
}

impl Default for TimeoutKeys {
    fn default() -> Self {
        Self {
            login: Period::secs(15),
            client_idle: Timeout::OFF,
            idle_in_transaction: Timeout::OFF,
            query: Timeout::OFF,
            transaction: Timeout::OFF,
            shutdown: Period::secs(30),
        }
    }
}

/// `[prepared]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PreparedKeys {
    /// The most statements prepared on one server connection; the least recently used one is closed for a new one.
    pub max_per_server: u32,
    /// The most statements that one client may keep prepared; one more is an error.
    pub max_per_client: u32,
    /// Whether an unnamed statement whose text is already prepared on the connection reuses it and saves the parsing.
    pub reuse_unnamed: bool,
}

impl Default for PreparedKeys {
    fn default() -> Self {
        Self { max_per_server: 500, max_per_client: 10_000, reuse_unnamed: true }
    }
}

/// `[admin]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AdminKeys {
    /// Users who may see and change everything: `PAUSE`, `KILL`, `SHUTDOWN` and so on.
    pub users: Vec<String>,
    /// Users who may only look: `SHOW`.
    pub stats_users: Vec<String>,
    /// The console password of those of them that are no `[[users]]`.
    #[serde(skip_serializing)]
    pub password: Option<SecretText>,
    /// The environment variable that holds it instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// The file that holds it instead; a relative path starts at the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
}

/// `[metrics]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MetricsKeys {
    /// Whether classes are also shown under VTTablet's names, for existing dashboards: `vttablet_transaction_pool_capacity`,
    /// `vttablet_conn_pool_active` and so on.
    pub vttablet_names: bool,
}

/// `[log]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LogKeys {
    /// The least urgent kind of message that is written.
    pub level: LogLevel,
    /// Lines for people, or one JSON object per line.
    pub format: LogFormat,
}

/// How urgent a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum LogLevel {
    /// Something failed that should not.
    Error,
    /// Something should be looked at.
    Warn,
    /// The normal course: starts, reloads, refusals, server connections.
    #[default]
    Info,
    /// Also each client connection.
    Debug,
    /// Every step.
    Trace,
}

/// How a message is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// `[runtime]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RuntimeKeys {
    /// Threads that serve clients; 0: one on machines of up to 4 cores, else one for every 4 cores, at most 8. One thread
    /// needs the least CPU per transaction.
    #[schemars(extend("x-restart" = true))]
    pub workers: u16,
    /// The buffer of each busy direction between a client and a server. Idle clients have none.
    #[schemars(extend("x-restart" = true))]
    pub relay_buffer: Size,
}

impl Default for RuntimeKeys {
    fn default() -> Self {
        Self { workers: 0, relay_buffer: Size::kib(16) }
    }
}
