//! TLS as a configuration has it: modes decided, certificates and keys read.

use std::sync::Arc;

use tls::{Acceptor, Connector};

/// TLS towards clients.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// Whether they must encrypt, except over a unix socket; else they may.
    pub required: bool,
    /// Holds our certificate, and who signs theirs.
    pub acceptor: Arc<Acceptor>,
}

/// TLS towards a server.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Holds how much is asked of it.
    pub connector: Arc<Connector>,
    /// The name that its certificate must have; `None`: that of its address.
    pub name: Option<Arc<str>>,
}
