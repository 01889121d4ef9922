//! What can go wrong in an exchange, named by whose fault it is.

use std::fmt;

/// Why a credential was not understood or an exchange failed.
///
/// No variant carries a secret; the texts may be logged. What a peer learns is the caller's choice: PostgreSQL answers every
/// failure of a client with the same `28P01`, malformed messages with `08P01`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A SCRAM message longer than [`scram::MESSAGE_LEN_MAX`](crate::scram::MESSAGE_LEN_MAX).
    #[error("the {message} is {len} bytes long, more than the {max} allowed")]
    TooLong {
        /// Which message it was.
        message: Message,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A SCRAM message that RFC 5802's grammar does not allow.
    #[error("malformed {message}: expected {expected}")]
    Malformed {
        /// Which message it was.
        message: Message,
        /// What should have stood there.
        expected: &'static str,
    },
    /// The peer demands an extension (`m=`) we do not know; RFC 5802 wants the exchange to fail.
    #[error("the {message} demands a SCRAM extension that is not supported")]
    UnknownExtension {
        /// Which message it was.
        message: Message,
    },
    /// The client wants channel binding although SCRAM-SHA-256-PLUS was not offered.
    #[error("the client uses channel binding, which was not offered")]
    ChannelBindingNotOffered,
    /// The client's `c=` does not repeat the header it began with: someone between us changed it.
    #[error("the client's channel binding data does not repeat its first message")]
    ChannelBindingMismatch,
    /// The client asks to act as somebody else (`a=`), which PostgreSQL does not support either.
    #[error("the client asks for an authorization identity, which is not supported")]
    AuthorizationIdentity,
    /// The nonce is not the one this exchange agreed on.
    #[error("the nonce of the {message} does not belong to this exchange")]
    NonceMismatch {
        /// Which message it was.
        message: Message,
    },
    /// An iteration count of zero, or above [`Iterations::MAX`](crate::scram::Iterations::MAX).
    #[error("{got} SCRAM iterations are outside 1..={max}")]
    IterationsOutOfRange {
        /// What was asked for; counts that do not fit are reported as `u32::MAX`.
        got: u32,
        /// The most we compute for anyone.
        max: u32,
    },
    /// A salt of no bytes, or of more than [`Derivation::SALT_LEN_MAX`](crate::scram::Derivation::SALT_LEN_MAX).
    #[error("a SCRAM salt of {len} bytes is outside 1..={max}")]
    SaltLength {
        /// The salt's length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The client's proof is wrong: it does not know the password, or the user does not exist.
    #[error("the password does not match")]
    WrongPassword,
    /// The cached or recovered keys were made with another salt or iteration count than the server uses.
    #[error("the SCRAM keys belong to another salt or iteration count than the server's")]
    KeysOfOtherDerivation,
    /// The server ended the exchange with a SCRAM error.
    #[error("the server refused the SCRAM exchange: {reason}")]
    ServerRefused {
        /// The server's word for it, with everything but printable ASCII escaped.
        reason: String,
    },
    /// The server does not know the password's verifier: it is not the server it claims to be.
    #[error("the server's signature is wrong, so it does not know this user's password verifier")]
    ServerSignature,
    /// A configured password of no characters; PostgreSQL lets nobody in with one.
    #[error("the password is empty")]
    EmptyPassword,
    /// A text that begins like a SCRAM verifier and is none.
    #[error("not a SCRAM verifier: expected {expected}")]
    NotAVerifier {
        /// What should have stood there.
        expected: &'static str,
    },
    /// A text that begins like a `caching_sha2_password` verifier and is none.
    #[error("not a caching_sha2_password verifier: expected {expected}")]
    NotASha2Verifier {
        /// What should have stood there.
        expected: &'static str,
    },
    /// A text that is marked as MariaDB's public key and is none.
    #[error("not an ed25519 public key: expected 43 characters of base64 that MariaDB made from a password")]
    NotAnEd25519Key,
    /// A text that should be an RSA key and is none.
    #[error("not an RSA key: expected {expected}")]
    NotAnRsaKey {
        /// What should have stood there.
        expected: &'static str,
    },
    /// The cryptographic library failed; it does not say why.
    #[error("the cryptographic library could not {what}")]
    Rsa {
        /// What it was asked for.
        what: &'static str,
    },
    /// A password beyond what the method takes.
    #[error("the password is longer than the {max} bytes that this method takes")]
    PasswordTooLong {
        /// The limit in bytes.
        max: usize,
    },
    /// A hash is configured where we log in, and no client has logged in here with its password yet.
    #[error("a {secret} needs a client's login first, which tells what answers the server")]
    NeedsLearned {
        /// What is configured.
        secret: crate::credential::Kind,
    },
    /// A SCRAM verifier is configured where we log in, and no client has logged in here with its password yet.
    #[error("a SCRAM verifier needs the keys of a client's login first")]
    NeedsClientKeys,
    /// The configured secret cannot be used with the method the peer asks for.
    #[error("the configured {secret} cannot be used for {method} authentication")]
    CannotUse {
        /// What is configured.
        secret: crate::credential::Kind,
        /// What is asked for.
        method: crate::credential::Method,
    },
}

/// A message of the SCRAM exchange, in the order they travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The client names itself and its nonce.
    ClientFirst,
    /// The server answers with nonce, salt and iteration count.
    ServerFirst,
    /// The client proves that it knows the password.
    ClientFinal,
    /// The server proves that it knows the verifier.
    ServerFinal,
}

impl Message {
    /// The error for a message that departs from the grammar.
    pub(crate) fn malformed(self, expected: &'static str) -> Error {
        Error::Malformed { message: self, expected }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientFirst => "client's first SCRAM message",
            Self::ServerFirst => "server's first SCRAM message",
            Self::ClientFinal => "client's final SCRAM message",
            Self::ServerFinal => "server's final SCRAM message",
        })
    }
}
