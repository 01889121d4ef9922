//! The configuration: one source for parsing, checking, documenting and the schema.
//!
//! A [`Config`] is a configuration without contradictions: every name leads somewhere, every limit fits, every secret was
//! found. It knows nothing of sockets, pools or protocols, and reads nothing but the files and variables that the
//! configuration names. The types in [`keys`] are what a file may say; the reference page and the JSON schema are written
//! from them ([`mod@reference`]). The program builds a `Config` at the start and on reload, where [`diff()`] tells what
//! changed.
//!
//! ```
//! let config = config::Config::from_toml(
//!     r#"
//!     [[servers]]
//!     name = "pg-a"
//!     address = "10.0.0.5:5432"
//!     budget = 40
//!
//!     [[databases]]
//!     name = "*"
//!     cluster = "pg-a"
//!
//!     [[users]]
//!     name = "app"
//!     password = "secret"
//!     "#,
//!     "evenkeel.toml",
//! )?;
//! let route = config.table().resolve("app", "shop").expect("the user may go anywhere");
//! assert_eq!(config.pool(route.server).checkout_timeout.get().as_secs(), 5);
//! # Ok::<(), config::Problems>(())
//! ```

mod amend;
mod diff;
mod document;
mod doubts;
mod encryption;
mod foreign;
pub mod keys;
mod misplaced;
pub mod pgbouncer;
mod phrase;
mod problem;
pub mod reference;
mod resolve;
mod secrets;
mod urls;
mod values;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use auth::Credential;
use auth::rsa::KeyPair;
use route::{Address, Identity, Protocol, Resolved, ServerIndex, Table};

pub use amend::{AmendError, Given};
pub use diff::{Applies, Change, Subject, What, diff};
pub use encryption::{ClientTls, ServerTls};
pub use problem::{Problem, Problems};
pub use values::{Cap, Period, SecretText, Size, TestAfter, Timeout};

use amend::Amendments;
use document::Document;
use keys::{File, PoolKeys, ServerKeys};
use problem::Source;

/// Longest configuration file, in bytes: a hundred thousand users fit.
const FILE_LEN_MAX: u64 = 64 << 20;

/// A configuration without contradictions.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the file says, defaults filled in, secrets taken out.
    keys: File,
    table: Table,
    /// By [`route::UserIndex`].
    users: Vec<UserLogin>,
    /// By [`route::DatabaseIndex`]: the credential of its `server_user`.
    databases: Vec<Option<Credential>>,
    admin: Option<Credential>,
    client_tls: Option<ClientTls>,
    /// By [`ServerIndex`].
    servers_tls: Vec<Option<ServerTls>>,
    rsa_key: Option<Arc<KeyPair>>,
    /// What has been changed since.
    amendments: Amendments,
}

/// How a user proves who they are to us, and we to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UserLogin {
    client: Credential,
    server: Credential,
}

/// What a user may do on the admin console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleAccess {
    /// Nothing: the console does not exist for them.
    None,
    /// Look.
    Stats,
    /// Everything.
    Admin,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was read, and something in it is wrong.
    #[error(transparent)]
    Invalid(#[from] Problems),
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// The file is unreadable, or wrong as for [`Config::from_toml`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let unreadable = |source| Error::Read { path: path.into(), source };
        let mut text = zeroize::Zeroizing::new(String::new());
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(FILE_LEN_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > FILE_LEN_MAX {
            return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
        }
        Ok(Self::from_toml(&text, &path.display().to_string())?)
    }

    /// Reads a configuration in TOML. `name` stands in messages; relative paths in the text start at its directory.
    ///
    /// # Errors
    /// All mistakes of syntax; or if there are none, all unknown keys and values of a wrong kind; or if there are none, all
    /// contradictions. Each with its place.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, Problems> {
        let (document, file) = Document::read(Source { name, text }).map_err(Problems::new)?;
        let directory = Path::new(name).parent().unwrap_or_else(|| Path::new(""));
        let mut config = resolve::resolve(file, directory, &document).map_err(Problems::new)?;
        config.amendments = Amendments::new(document.into_own_pool_keys());
        Ok(config)
    }

    /// Makes a configuration without a file: one server per URL, `postgres://user:password@host:port/database?budget=20`,
    /// or `mysql://…`.
    ///
    /// The user may log in with that password and use the admin console; the database leads to the server, and the first
    /// URL's server takes every other database name. A unix socket is `?host=/directory`, for MySQL `?socket=/path`; TLS is
    /// asked for as libpq (`sslmode`, `sslrootcert`) and the MySQL clients (`ssl-mode`, `ssl-ca`) do.
    ///
    /// # Errors
    /// What is wrong with a URL, never showing its password.
    pub fn from_urls<S: AsRef<str>>(urls: &[S]) -> Result<Self, Problems> {
        let urls: Vec<&str> = urls.iter().map(AsRef::as_ref).collect();
        let file = urls::read(&urls).map_err(Problems::new)?;
        resolve::resolve(file, Path::new(""), &urls::Places).map_err(Problems::new)
    }

    /// What the file says, defaults filled in. Secrets are not in it.
    #[must_use]
    pub const fn keys(&self) -> &File {
        &self.keys
    }

    /// Where clients go.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Where clients connect, and what they speak there.
    pub fn listeners(&self) -> impl Iterator<Item = (Protocol, &Address)> {
        let listen = &self.keys.listen;
        let postgres = listen.postgres.iter().map(|address| (Protocol::Postgres, &address.0));
        postgres.chain(listen.mysql.iter().map(|address| (Protocol::Mysql, &address.0)))
    }

    /// TLS towards clients; `None`: they cannot encrypt.
    #[must_use]
    pub const fn client_tls(&self) -> Option<&ClientTls> {
        self.client_tls.as_ref()
    }

    /// TLS towards a server; `None`: connections to it are never encrypted.
    #[must_use]
    pub fn server_tls(&self, server: ServerIndex) -> Option<&ServerTls> {
        self.servers_tls.get(server.0).and_then(Option::as_ref)
    }

    /// The RSA key for MySQL clients; `None`: one is to be made.
    #[must_use]
    pub const fn rsa_key(&self) -> Option<&Arc<KeyPair>> {
        self.rsa_key.as_ref()
    }

    /// What the file says of a server. Panics on an index of another table.
    #[must_use]
    pub fn server(&self, server: ServerIndex) -> &ServerKeys {
        &self.keys.servers[server.0]
    }

    /// How the connections to a server are pooled: `[pool]` and what the server changes of it.
    #[must_use]
    pub fn pool(&self, server: ServerIndex) -> &PoolKeys {
        let own = self.keys.servers.get(server.0).and_then(|server| server.pool.as_ref());
        own.unwrap_or(&self.keys.pool)
    }

    /// What a client of this name must prove to know; `None`: no such user.
    #[must_use]
    pub fn client_credential(&self, user: &str) -> Option<&Credential> {
        match self.table.user_index(user) {
            Some(index) => self.users.get(index.0).map(|login| &login.client),
            None if self.console_access(user) != ConsoleAccess::None => self.admin.as_ref(),
            None => None,
        }
    }

    /// What we prove to the server for a resolved client; `None` for guests, who bring it themselves.
    #[must_use]
    pub fn server_credential(&self, route: &Resolved) -> Option<&Credential> {
        let of_user = self.users.get(route.user.0).map(|login| &login.server);
        match route.identity {
            Identity::Client | Identity::User => of_user,
            Identity::Database => self.databases[route.database.0].as_ref().or(of_user),
        }
    }

    /// What we prove to servers for a user of this name, under their own name or their `server_user`.
    #[must_use]
    pub fn user_server_credential(&self, user: &str) -> Option<&Credential> {
        self.table.user_index(user).and_then(|index| self.users.get(index.0)).map(|login| &login.server)
    }

    /// What we prove to the server for the `server_user` of a database of this name, if it has one.
    #[must_use]
    pub fn database_credential(&self, database: &str) -> Option<&Credential> {
        self.table.database_index(database).and_then(|index| self.databases.get(index.0)).and_then(Option::as_ref)
    }

    /// What a user may do on the admin console.
    #[must_use]
    pub fn console_access(&self, user: &str) -> ConsoleAccess {
        let names = |list: &[String]| list.iter().any(|name| name == user);
        if names(&self.keys.admin.users) {
            ConsoleAccess::Admin
        } else if names(&self.keys.admin.stats_users) {
            ConsoleAccess::Stats
        } else {
            ConsoleAccess::None
        }
    }
}
