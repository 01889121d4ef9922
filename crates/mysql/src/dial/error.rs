//! Why a login to a server failed.

use crate::{ProtocolError, view::ErrPacket};

/// Why a login to a server failed. The connection must be closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The server sent what no server sends here.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The server said no.
    #[error("the server says: {message} (error {code}, SQLSTATE {})", sqlstate.escape_ascii())]
    Refused {
        /// The error's number; 1040 and 1203 say that it has too many connections, 1045 that the password is wrong.
        code: u16,
        /// SQLSTATE; `HY000` where the server sent none, as before a login.
        sqlstate: [u8; 5],
        /// What it said.
        message: String,
    },
    /// We cannot prove who we are with what is configured.
    #[error("cannot log in as configured: {0}")]
    Auth(#[from] auth::Error),
    /// The server wants a password, and none is configured.
    #[error("the server asks for a password by {plugin}, and none is configured for this user")]
    NoPassword {
        /// How the server asked.
        plugin: auth::Plugin,
    },
    /// The server wants a proof that we cannot give.
    #[error(
        "the server asks for authentication plugin {name}, which is not supported: \
         let the account use caching_sha2_password, mysql_native_password or ed25519"
    )]
    Plugin {
        /// The plugin's name, with everything but printable ASCII escaped.
        name: String,
    },
    /// Encryption is demanded of a server that does not offer it.
    #[error("the server does not offer TLS, which is required: enable it there, or set `tls` to less")]
    NoTls,
    /// The server wants the password itself over a connection that others can read.
    #[error(
        "the server asks for the password itself by {plugin}, and the connection is not encrypted: \
         use TLS or a unix socket, or unless it is mysql_clear_password allow the server's RSA key"
    )]
    Unprotected {
        /// How the server asked.
        plugin: auth::Plugin,
    },
    /// The server wants the password itself, and only a hash of it is known.
    #[error(
        "the server asks for the password itself, as caching_sha2_password does after a restart, \
         and only a hash of it is known here: configure the password"
    )]
    OnlyHash,
}

impl From<ErrPacket<'_>> for DialError {
    fn from(error: ErrPacket<'_>) -> Self {
        Self::Refused {
            code: error.code,
            sqlstate: error.sqlstate.unwrap_or(*b"HY000"),
            message: String::from_utf8_lossy(error.message).into_owned(),
        }
    }
}
