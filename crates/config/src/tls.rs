//! TLS as a configuration has it: modes decided, files found.

use std::path::PathBuf;

use crate::keys::ServerTlsMode;

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// Whether they must encrypt, except over a unix socket; else they may.
    pub required: bool,
    /// What we show them.
    pub identity: Identity,
    /// What they show us.
    pub client_certificates: ClientAuth,
}

/// Which certificates clients show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked for one.
    Ignore,
    /// They may show one, signed by a certificate in this PEM file.
    Optional(PathBuf),
    /// They must show one, signed by a certificate in this PEM file.
    Required(PathBuf),
}

/// TLS towards a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// How much is asked of it; never [`ServerTlsMode::Disable`].
    pub mode: ServerTlsMode,
    /// Who may sign for it, in a PEM file; `None`: those that the operating system trusts.
    pub ca: Option<PathBuf>,
    /// What we show it, if it asks.
    pub identity: Option<Identity>,
    /// The name that its certificate must have.
    pub name: String,
}

/// A certificate and its private key, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, followed by those that lead to its root.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}
