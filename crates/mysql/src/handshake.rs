//! The structures of a login, both directions: greeting, TLS request, response, switch of method, further data, and the
//! change of user on a live connection. What a nonce proves and which method is wanted is the business of the modules that
//! hold these conversations.

mod attributes;
mod change_user;
mod greeting;
mod nonce;
mod response;
mod switch;

pub use attributes::{ATTRIBUTES_LEN_MAX, Attributes};
pub use change_user::ChangeUser;
pub use greeting::{Greeting, version_number};
pub use nonce::Nonce;
pub use response::{HandshakeResponse, SslRequest};
pub use switch::{AuthMoreData, AuthSwitchRequest};

/// Longest payload we take before a login is over, in bytes: attributes of [`ATTRIBUTES_LEN_MAX`], and 16 KiB for names and
/// proofs. Servers of both kinds refuse more than a network buffer's worth of those.
pub const PAYLOAD_LEN_MAX: usize = ATTRIBUTES_LEN_MAX + (16 << 10);

/// Names of authentication methods.
pub mod plugin {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const NATIVE: &[u8] = b"mysql_native_password";
    pub const CACHING_SHA2: &[u8] = b"caching_sha2_password";
    pub const SHA256: &[u8] = b"sha256_password";
    pub const CLEAR: &[u8] = b"mysql_clear_password";
    pub const ED25519: &[u8] = b"client_ed25519";
    pub const AUTH_SOCKET: &[u8] = b"auth_socket";
}

#[cfg(test)]
mod tests;
