//! A connection to a PostgreSQL server, encrypted as far as it shall be, before the startup packet.

use std::io;

use route::Address;
use tls::{Connector, HandshakeError};

use crate::{dialling::Dialling, stream::Stream};

/// The packet `SSLRequest`: its length, and the code 1234.5679 (PostgreSQL, `NEGOTIATE_SSL_CODE`, `src/include/libpq/pqcomm.h`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Why a connection is not encrypted that should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptionError {
    /// The server does not offer it.
    #[error("the server does not offer TLS, which is required of it")]
    NotOffered,
    /// It answered something else than yes or no. An error's text, which may stand there instead, comes from nobody known:
    /// it is not passed on (CVE-2024-10977).
    #[error("the server answered a request for TLS with the byte {0:#04x}, neither yes nor no")]
    Answer(u8),
    /// It closed the connection.
    #[error("the server closed the connection when TLS was asked for")]
    Closed,
    /// Bytes came in the clear that could be taken for the server's (CVE-2021-23214).
    #[error("the server sent more than its answer before the TLS handshake")]
    Premature,
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Connects to a server, and makes the connection encrypted if it shall be.
///
/// Where encryption is only preferred, a server with which it fails is asked again without, as libpq does
/// (`sslmode=prefer`): what fails may be the only thing it is able to do.
///
/// # Errors
/// [`EncryptionError`].
pub(crate) async fn open(dialling: &Dialling, address: &Address) -> Result<Stream, EncryptionError> {
    let mut stream = dialling.connect(address).await?;
    let Some((connector, name)) = dialling.tls_for(address) else { return Ok(stream) };
    match encrypt(&mut stream, connector, name).await {
        Ok(()) => Ok(stream),
        Err(EncryptionError::NotOffered) if connector.mode().is_optional() => Ok(stream),
        Err(EncryptionError::Handshake(error)) if connector.mode().is_optional() => {
            tracing::debug!(%error, "TLS fails; connecting without");
            Ok(dialling.connect(address).await?)
        }
        Err(error) => Err(error),
    }
}

async fn encrypt(stream: &mut Stream, connector: &Connector, name: &str) -> Result<(), EncryptionError> {
    stream.write_all(&SSL_REQUEST).await?;
    let mut answer = Vec::with_capacity(1);
    stream.read_up_to(&mut answer, 1).await?;
    match *answer.as_slice() {
        [b'S'] if stream.is_quiet() => Ok(stream.start_tls_client(connector, name).await?),
        [b'S'] => Err(EncryptionError::Premature),
        [b'N'] => Err(EncryptionError::NotOffered),
        [other, ..] => Err(EncryptionError::Answer(other)),
        [] => Err(EncryptionError::Closed),
    }
}
