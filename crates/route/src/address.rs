//! Where a server listens, and where we do.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::Protocol;

/// A TCP address or a unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A host name or IP address (IPv6 without brackets) and a port. Names are looked up at every connect.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// Port, never 0 for a server.
        port: u16,
    },
    /// The socket file itself, `…/.s.PGSQL.5432` or `…/mysql.sock`, not its directory.
    Unix {
        /// Full path of the socket file.
        path: PathBuf,
    },
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing there.
    #[error("an address is host:port or a path that starts with /")]
    Empty,
    /// What follows the last colon is no port.
    #[error("`{0}` is no port: a port is a number from 1 to 65535")]
    Port(String),
    /// A character that no host name has.
    #[error("`{0}` is no host name or IP address")]
    Host(String),
    /// An IPv6 address whose last group could as well be the port.
    #[error("write an IPv6 address in brackets: `[{0}]` or `[{0}]:port`")]
    Brackets(String),
    /// Socket addresses have room for 107 bytes.
    #[error("a unix socket path has at most {UNIX_PATH_LEN_MAX} bytes, this one {0}")]
    PathTooLong(usize),
    /// A port behind the path of a socket that has none.
    #[error("a MySQL socket has no port: give its path, or its directory for `{MYSQL_SOCKET}` in it")]
    SocketPort,
}

/// The socket file meant by a directory, for MySQL: what servers and clients call it unless they are told otherwise.
const MYSQL_SOCKET: &str = "mysql.sock";

/// Longest path of a unix socket in bytes: `sun_path` has 108 with the closing zero (unix(7)).
const UNIX_PATH_LEN_MAX: usize = 107;

impl Address {
    /// Reads `host`, `host:port`, `[v6]:port`, a directory or the full path of a socket file.
    ///
    /// For PostgreSQL a directory, also `/directory:port`, stands for `.s.PGSQL.PORT` in it; for MySQL it stands for
    /// `mysql.sock` in it, and a path that ends with `.sock` is the socket file. `default_port` fills in where the text
    /// names none.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong with the text.
    pub fn parse(text: &str, protocol: Protocol, default_port: u16) -> Result<Self, AddressError> {
        if !text.starts_with('/') {
            return Self::parse_tcp(text, default_port);
        }
        let path = match protocol {
            Protocol::Postgres => postgres_socket(text, default_port)?,
            Protocol::Mysql => mysql_socket(text)?,
        };
        match path.as_os_str().len() {
            0..=UNIX_PATH_LEN_MAX => Ok(Self::Unix { path }),
            len => Err(AddressError::PathTooLong(len)),
        }
    }

    fn parse_tcp(text: &str, default_port: u16) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(|| AddressError::Host(text.into()))?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| AddressError::Host(host.into()))?;
            match rest.strip_prefix(':') {
                Some(port) => (host, parse_port(port)?),
                None if rest.is_empty() => (host, default_port),
                None => return Err(AddressError::Host(text.into())),
            }
        } else {
            match text.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => return Err(AddressError::Brackets(text.into())),
                Some((host, port)) => (host, parse_port(port)?),
                None => (text, default_port),
            }
        };
        let host_has = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(host_has) {
            return Err(AddressError::Host(host.into()));
        }
        Ok(Self::Tcp { host: host.into(), port })
    }
}

fn postgres_socket(text: &str, default_port: u16) -> Result<PathBuf, AddressError> {
    if text.rsplit('/').next().is_some_and(|name| name.starts_with(".s.")) {
        return Ok(text.into());
    }
    let (directory, port) = match text.rsplit_once(':') {
        Some((directory, port)) => (directory, parse_port(port)?),
        None => (text, default_port),
    };
    Ok(PathBuf::from(directory).join(format!(".s.PGSQL.{port}")))
}

fn mysql_socket(text: &str) -> Result<PathBuf, AddressError> {
    match text.rsplit_once(':') {
        Some((_, port)) if parse_port(port).is_ok() => Err(AddressError::SocketPort),
        _ if text.ends_with(".sock") => Ok(text.into()),
        _ => Ok(PathBuf::from(text).join(MYSQL_SOCKET)),
    }
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| AddressError::Port(text.into()))
}

impl FromStr for Address {
    type Err = AddressError;

    /// The address of a PostgreSQL server.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text, Protocol::Postgres, Protocol::Postgres.server_port())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_written() {
        for (text, canonical) in [
            ("10.0.0.5:5433", "10.0.0.5:5433"),
            ("db.internal", "db.internal:5432"),
            ("[::1]:6000", "[::1]:6000"),
            ("[fe80::2]", "[fe80::2]:5432"),
            ("/var/run/postgresql", "/var/run/postgresql/.s.PGSQL.5432"),
            ("/tmp:6432", "/tmp/.s.PGSQL.6432"),
            ("/tmp/.s.PGSQL.7", "/tmp/.s.PGSQL.7"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), canonical);
            assert_eq!(canonical.parse::<Address>().unwrap(), address);
        }
    }

    #[test]
    fn a_mysql_address_has_its_own_port_and_socket() {
        let parse = |text| Address::parse(text, Protocol::Mysql, Protocol::Mysql.server_port());
        for (text, canonical) in [
            ("db.internal", "db.internal:3306"),
            ("[::1]", "[::1]:3306"),
            ("10.0.0.5:3307", "10.0.0.5:3307"),
            ("/run/mysqld/mysqld.sock", "/run/mysqld/mysqld.sock"),
            ("/tmp", "/tmp/mysql.sock"),
            ("/tmp/a:b", "/tmp/a:b/mysql.sock"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address.to_string(), canonical);
            assert_eq!(parse(canonical), Ok(address));
        }
        assert_eq!(parse("/tmp:3306"), Err(AddressError::SocketPort));
        assert_eq!(parse("/tmp/mysql.sock:1"), Err(AddressError::SocketPort));
        assert_eq!(parse(""), Err(AddressError::Empty));
        assert_eq!(parse("db:0"), Err(AddressError::Port("0".into())));
        assert_eq!(parse(&format!("/{}.sock", "x".repeat(200))), Err(AddressError::PathTooLong(206)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("", AddressError::Empty),
            ("db:", AddressError::Port("".into())),
            ("db:0", AddressError::Port("0".into())),
            ("db:65536", AddressError::Port("65536".into())),
            (":5432", AddressError::Host("".into())),
            ("d b:1", AddressError::Host("d b".into())),
            ("[::1", AddressError::Host("[::1".into())),
            ("[db]:5432", AddressError::Host("db".into())),
            ("::1", AddressError::Brackets("::1".into())),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
        assert_eq!(format!("/{}", "x".repeat(200)).parse::<Address>(), Err(AddressError::PathTooLong(215)));
    }
}
