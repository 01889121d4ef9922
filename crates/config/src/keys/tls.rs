//! `[tls]`, and how much is asked of servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[tls]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsKeys {
    /// Whether clients may or must encrypt. By default `"prefer"` if a `certificate` is given, else `"disable"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ClientTlsMode>,
    /// The PEM file of our certificate, followed by those that lead to its root. A relative path starts at the
    /// configuration file, here and for all files. A reload reads all of them again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The PEM file of its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The PEM file of the certificates that sign those of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
    /// Whether clients show certificates of their own. They still log in as well. By default `"optional"` if `client_ca` is
    /// given, else `"ignore"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,
}

/// Whether clients may or must encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ClientTlsMode {
    /// They cannot.
    Disable,
    /// They may.
    Prefer,
    /// They must, except over a unix socket.
    Require,
}

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ClientCertificates {
    /// They are not asked for one.
    Ignore,
    /// They may; it must then be signed by `client_ca`.
    Optional,
    /// They must, signed by `client_ca`.
    Required,
}

/// How much is asked of a server, in the words of libpq and the MySQL clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ServerTlsMode {
    /// Never encrypt.
    Disable,
    /// Encrypt if the server can; its certificate is not checked.
    Prefer,
    /// Encrypt, or do not connect; its certificate is not checked.
    Require,
    /// And its certificate must be signed by one that is trusted.
    VerifyCa,
    /// And it must name the server. (MySQL: VERIFY_IDENTITY)
    VerifyFull,
}
