//! Addresses: where we listen and where servers do.

use std::ops::Deref;

use route::{Address, AddressError, Protocol};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{ValueError, Written, written};

/// Default port for PostgreSQL clients: that of every other PostgreSQL pooler.
const POSTGRES_PORT: u16 = 6432;
/// Default port for MySQL clients: that of ProxySQL.
const MYSQL_PORT: u16 = 6033;
/// Default port for HTTP.
const HTTP_PORT: u16 = 9632;

/// Where clients of one protocol connect to us. Not given: at the default address, if a server speaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Listen<A>(pub(crate) Option<Vec<A>>);

impl<A> Default for Listen<A> {
    fn default() -> Self {
        Self(None)
    }
}

impl<A> Deref for Listen<A> {
    type Target = [A];

    fn deref(&self) -> &[A] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Reads an address to listen on. A port without a host is told: its digits would pass for a host's name.
fn listener(text: &str, protocol: Protocol, default_port: u16) -> Result<Address, ValueError> {
    let behind = text.strip_prefix('*').unwrap_or(text);
    let port = behind.strip_prefix(':').unwrap_or(behind);
    if text.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Address::parse(text, protocol, default_port)?);
    }
    match port.parse() {
        Ok(port) if port > 0 => Err(ValueError::NoHost { given: text.into(), port }),
        _ if port.is_empty() => Err(ValueError::NoHost { given: text.into(), port: default_port }),
        _ => Err(AddressError::Port(port.into()).into()),
    }
}

/// Where PostgreSQL clients connect to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresAddress(pub Address);

impl Default for PostgresAddress {
    fn default() -> Self {
        Self(Address::Tcp { host: "127.0.0.1".into(), port: POSTGRES_PORT })
    }
}

impl Written for PostgresAddress {
    const EXPECTED: &'static str = "host:port, or a directory for a unix socket";
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Self(listener(text, Protocol::Postgres, POSTGRES_PORT)?))
    }
    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// Where MySQL clients connect to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlAddress(pub Address);

impl Default for MysqlAddress {
    fn default() -> Self {
        Self(Address::Tcp { host: "127.0.0.1".into(), port: MYSQL_PORT })
    }
}

impl Written for MysqlAddress {
    const EXPECTED: &'static str = "host:port, or the path of a unix socket";
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Self(listener(text, Protocol::Mysql, MYSQL_PORT)?))
    }
    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// Where HTTP is served; `"off"`: nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAddress(pub Option<Address>);

impl Default for HttpAddress {
    fn default() -> Self {
        Self(Some(Address::Tcp { host: "127.0.0.1".into(), port: HTTP_PORT }))
    }
}

impl Written for HttpAddress {
    const EXPECTED: &'static str = "host:port, or \"off\"";
    fn read(text: &str) -> Result<Self, ValueError> {
        if text == "off" {
            return Ok(Self(None));
        }
        match listener(text, Protocol::Postgres, HTTP_PORT)? {
            Address::Unix { .. } => Err(ValueError::NoUnixSocket),
            tcp => Ok(Self(Some(tcp))),
        }
    }
    fn write(&self) -> String {
        self.0.as_ref().map_or_else(|| "off".into(), ToString::to_string)
    }
}

/// Where a database server listens. What the text leaves out depends on the server's protocol, which is another key, so it
/// is kept as text; a [`Config`](crate::Config) has it written out in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress(String);

impl ServerAddress {
    /// The address of a server that speaks `protocol`.
    pub(crate) fn parse(&self, protocol: Protocol) -> Result<Address, ValueError> {
        Ok(Address::parse(&self.0, protocol, protocol.server_port())?)
    }
}

impl From<&Address> for ServerAddress {
    fn from(address: &Address) -> Self {
        Self(address.to_string())
    }
}

impl Written for ServerAddress {
    const EXPECTED: &'static str = "host:port, or the path of a unix socket";
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Self(text.into()))
    }
    fn write(&self) -> String {
        self.0.clone()
    }
}

written!(
    PostgresAddress: "host:port or directory",
    MysqlAddress: "host:port or path",
    HttpAddress: "host:port or off",
    ServerAddress: "host:port or path"
);
