//! Addresses: where we listen and where servers do.

use route::Address;

use crate::values::{ValueError, Written, written};

/// Default port for PostgreSQL clients: that of every other PostgreSQL pooler.
const LISTEN_PORT: u16 = 6432;
/// Default port for HTTP.
const HTTP_PORT: u16 = 9632;
/// Default port of a PostgreSQL server.
const POSTGRES_PORT: u16 = 5432;

/// Where clients connect to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress(pub Address);

impl Default for ListenAddress {
    fn default() -> Self {
        Self(Address::Tcp { host: "127.0.0.1".into(), port: LISTEN_PORT })
    }
}

impl Written for ListenAddress {
    const EXPECTED: &'static str = "host:port, or a directory for a unix socket";
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Self(Address::parse(text, LISTEN_PORT)?))
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
        match Address::parse(text, HTTP_PORT)? {
            Address::Unix { .. } => Err(ValueError::NoUnixSocket),
            tcp => Ok(Self(Some(tcp))),
        }
    }
    fn write(&self) -> String {
        self.0.as_ref().map_or_else(|| "off".into(), ToString::to_string)
    }
}

/// Where a database server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress(pub Address);

impl Written for ServerAddress {
    const EXPECTED: &'static str = "host:port, or the path of a unix socket";
    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Self(Address::parse(text, POSTGRES_PORT)?))
    }
    fn write(&self) -> String {
        self.0.to_string()
    }
}

written!(ListenAddress: "host:port or directory", HttpAddress: "host:port or off", ServerAddress: "host:port or path");
