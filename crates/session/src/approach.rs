//! How a client came: what it speaks, and whether anybody could listen.

use std::fmt;

use route::Protocol;

use crate::{plan::Compression, stream::Stream};

/// How a client came, other than from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approach {
    /// What it speaks.
    pub protocol: Protocol,
    /// How its connection is encrypted, if it is.
    pub encryption: Option<Encryption>,
    /// How what is sent is compressed, if it is; MySQL clients only.
    pub compression: Option<Compression>,
}

impl Approach {
    /// As the client on this connection came, which is past the TLS handshake.
    pub(crate) fn new(protocol: Protocol, stream: &Stream) -> Self {
        let encryption =
            |tls: &tls::TlsStream<_>| Encryption { version: tls.version(), cipher: tls.cipher().unwrap_or_default() };
        Self { protocol, encryption: stream.tls().map(encryption), compression: None }
    }
}

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encryption {
    version: tls::Version,
    /// As IANA writes it; empty where it has no name.
    cipher: &'static str,
}

impl fmt::Display for Encryption {
    /// Version and cipher suite, as PgBouncer begins its own text: `TLSv1.3/TLS_AES_256_GCM_SHA384`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.version, self.cipher)
    }
}
