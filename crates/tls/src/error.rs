//! What can go wrong, with the file or the side at fault. No text ever quotes a file: it may hold a key.

use std::{io, path::PathBuf};

use rustls::Error;

/// Why certificates or keys were not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system's trusted certificates cannot be had.
    #[error("the system's trusted certificates: {0}; name a CA file instead")]
    SystemRoots(String),
    /// The cryptographic library refuses to work.
    #[error("the cryptographic library: {0}")]
    Library(String),
}

/// Why a connection did not become encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The connection broke, or the other side closed it.
    #[error("TLS handshake: {0}")]
    Io(io::Error),
    /// What the server should be called cannot be a name in a certificate.
    #[error("{0:?} cannot be the name in a server's certificate")]
    Name(String),
    /// We do not trust the other side's certificate, or it has none.
    #[error("TLS handshake: the other side's certificate is not trusted: {0}")]
    Certificate(String),
    /// The other side ended the handshake; perhaps it does not trust our certificate.
    #[error("TLS handshake: the other side refused it: {0}")]
    Refused(String),
    /// The two sides have nothing in common, or the other side does not speak TLS.
    #[error("TLS handshake: {0}")]
    Protocol(String),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return Self::Io(error);
        };
        match reason {
            Error::InvalidCertificate(reason) => Self::Certificate(reason.to_string()),
            Error::NoCertificatesPresented => Self::Certificate("it showed none".into()),
            Error::AlertReceived(alert) => Self::Refused(format!("{alert:?}")),
            other => Self::Protocol(other.to_string()),
        }
    }
}
