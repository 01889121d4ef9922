//! The expensive end of a login: a password that has arrived, compared with what is known.

use std::sync::Arc;

use auth::{Credential, Learned, Secret, rsa};

use super::{Accepted, Exists, Given, Refusal};
use crate::handshake::Nonce;

/// A password to be checked: a millisecond or more of RSA and hashing, which belongs on a thread that serves no connections.
pub struct Check {
    pub(super) user: Vec<u8>,
    pub(super) arrived: Arrived,
    pub(super) against: Against,
}

/// How the password came.
pub(super) enum Arrived {
    /// As it is.
    Clear(Secret),
    /// Encrypted with our key.
    Sealed { ciphertext: Vec<u8>, nonce: Nonce, keys: Arc<rsa::KeyPair> },
}

/// What it is compared with.
pub(super) enum Against {
    /// With what is configured.
    Credential(Arc<Credential>, Exists),
    /// With nothing: a server will.
    Nothing,
}

impl Check {
    /// Compares.
    ///
    /// # Errors
    /// [`Refusal::WrongPassword`].
    pub fn run(self) -> Result<Accepted, Refusal> {
        let password = match self.arrived {
            Arrived::Clear(password) => Some(password),
            Arrived::Sealed { ciphertext, nonce, keys } => keys.open(&ciphertext, nonce.as_bytes()),
        };
        let wrong = Refusal::WrongPassword { given: Given::Yes };
        let Some(password) = password else { return Err(wrong) };
        match self.against {
            Against::Nothing => Ok(Accepted { learned: Learned::default(), clear: Some(password) }),
            Against::Credential(credential, exists) => {
                // First the costly comparison, then whether it counts: the time must not tell which users exist.
                match (credential.accepts_cleartext(&self.user, &password), exists) {
                    (true, Exists::Yes) => Ok(Accepted { learned: Learned::from_password(&password), clear: None }),
                    _ => Err(wrong),
                }
            }
        }
    }
}
