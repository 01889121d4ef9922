//! TLS on both sides: as a server towards clients, as a client towards servers.
//!
//! An [`Acceptor`] holds our certificate and who may show us theirs; a [`Connector`] holds how a server is verified. Both
//! read PEM files, say which file is wrong and how, and can be told to read them again: [`Acceptor::reload`] changes
//! everything at once, or nothing. Both turn a connected stream into a [`TlsStream`].
//!
//! It deliberately knows no database protocol: when TLS begins, and what may not be sent before, is the caller's. It logs
//! nothing and has no deadline of its own: a handshake waits as long as its caller does. Its callers are `session` and the
//! program. It is the one crate that names rustls, whose provider is aws-lc-rs.
//!
//! ```no_run
//! # async fn example(socket: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
//! use tls::{Acceptor, AcceptorSettings, ClientAuth, Identity};
//!
//! let identity = Identity { certificate: "server.crt".into(), key: "server.key".into() };
//! let acceptor = Acceptor::load(AcceptorSettings { identity, clients: ClientAuth::None, alpn: vec![] })?;
//! let stream = acceptor.accept(socket).await?;
//! assert!(stream.server_end_point().is_some());
//! # Ok(()) }
//! ```

mod acceptor;
mod certificate;
mod connector;
mod error;
mod files;
mod stream;
mod verifier;

use std::{fmt, sync::Arc};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use acceptor::{Acceptor, AcceptorSettings, ClientAuth};
pub use certificate::EndPoint;
pub use connector::{Connector, ConnectorSettings, Mode, Roots};
pub use error::{HandshakeError, LoadError};
pub use files::Identity;
pub use stream::TlsStream;

/// The cryptography, passed by hand: a process-wide default would be a global.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The version a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2, the oldest that is spoken (RFC 8996 forbids those before).
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl fmt::Display for Version {
    /// As PostgreSQL's `pg_stat_ssl` and MySQL's `Ssl_version` write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        })
    }
}
