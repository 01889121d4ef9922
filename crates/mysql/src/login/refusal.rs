//! Why a client is not let in.

use auth::Plugin;

use crate::ErrorReply;

/// Why a client is not let in. The reason is for our log; what the client hears is [`Refusal::reply`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The password is wrong, or there is no such user.
    #[error("the password does not match")]
    WrongPassword {
        /// Whether there was one at all, as both servers say it in their refusal.
        given: Given,
    },
    /// The client knows no plugins, and the only method it knows cannot check this user.
    #[error("the client knows no authentication plugins, and this user needs {needed}")]
    OldClient {
        /// What the user needs.
        needed: Plugin,
    },
    /// The password itself is needed, which must not cross this connection.
    #[error("the password itself is needed to check this user, and the connection is not encrypted")]
    Unprotected,
}

/// Whether a client gave a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It did.
    Yes,
    /// It left it empty.
    No,
}

impl Refusal {
    /// What the client hears, in answer to its last packet.
    #[must_use]
    pub fn reply(&self, user: &[u8], host: &str) -> ErrorReply {
        match self {
            Self::WrongPassword { given } => {
                ErrorReply::access_denied(&String::from_utf8_lossy(user), host, *given == Given::Yes)
            }
            Self::OldClient { needed } => ErrorReply::old_client(format!(
                "Client does not support the authentication protocol that this user needs ({needed}); upgrade the client"
            )),
            Self::Unprotected => ErrorReply::encryption_required(
                "This user's password can only be checked over an encrypted connection; connect with TLS",
            ),
        }
    }
}
