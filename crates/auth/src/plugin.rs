//! MySQL's authentication plugins by name, and what they have in common.

use std::fmt;

use crate::credential::Method;

/// Length in bytes of the random bytes a MySQL server greets with, which answers are made for.
pub const NONCE_LEN: usize = 20;

/// The random bytes of a MySQL greeting, or of the request to change plugins. No byte is zero: old clients read them as text.
pub type Nonce = [u8; NONCE_LEN];

/// Whether others can read what crosses a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// They can: no password may cross as it is.
    Plain,
    /// They cannot: TLS, or a unix socket, which both servers count as such.
    Secure,
}

/// A plugin that both sides of a MySQL or MariaDB login know by name.
///
/// Sources: MySQL reference manual, "Authentication Plugins"; MariaDB documentation, "Authentication Plugins".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plugin {
    /// `mysql_native_password`: SHA-1, the default before MySQL 8 and of MariaDB.
    Native,
    /// `caching_sha2_password`: SHA-256, the default since MySQL 8.
    CachingSha2,
    /// `sha256_password`: the password itself, over an encrypted connection or encrypted with the server's RSA key.
    ///
    /// Only to log in to servers: it was replaced by the above. MySQL asks for it at random when there is no such user.
    Sha256,
    /// `client_ed25519`: MariaDB's signatures.
    Ed25519,
    /// `mysql_clear_password`: the password itself.
    Clear,
    /// `auth_socket` or `unix_socket`: the server asks its operating system who is at the other end; nothing is proved here.
    Socket,
}

impl Plugin {
    /// The plugin that a peer calls by `name`.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"mysql_native_password" => Self::Native,
            b"caching_sha2_password" => Self::CachingSha2,
            b"sha256_password" => Self::Sha256,
            b"client_ed25519" => Self::Ed25519,
            b"mysql_clear_password" => Self::Clear,
            b"auth_socket" | b"unix_socket" => Self::Socket,
            _ => return None,
        })
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
            Self::Sha256 => "sha256_password",
            Self::Ed25519 => "client_ed25519",
            Self::Clear => "mysql_clear_password",
            Self::Socket => "auth_socket",
        }
    }

    /// How the password is proved; `None` where it is not.
    pub fn method(self) -> Option<Method> {
        match self {
            Self::Native => Some(Method::Native),
            Self::CachingSha2 => Some(Method::CachingSha2),
            Self::Ed25519 => Some(Method::Ed25519),
            Self::Sha256 | Self::Clear => Some(Method::Cleartext),
            Self::Socket => None,
        }
    }
}

impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        use Plugin::{CachingSha2, Clear, Ed25519, Native, Sha256, Socket};
        for plugin in [Native, CachingSha2, Sha256, Ed25519, Clear, Socket] {
            assert_eq!(Plugin::from_name(plugin.name().as_bytes()), Some(plugin));
            assert_eq!(plugin.method().is_none(), plugin == Socket);
        }
        assert_eq!(Plugin::from_name(b"unix_socket"), Some(Socket));
        for name in [&b""[..], b"mysql_old_password", b"parsec", b"mysql_native_password\0"] {
            assert_eq!(Plugin::from_name(name), None);
        }
    }
}
