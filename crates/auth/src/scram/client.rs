//! The client's half: it logs in to a server.

use super::derive::{ClientKeys, Derivation};
use super::key::Key;
use super::message::{ClientFinal, Nonce, ServerFinal, ServerFirst};
use crate::{Error, Message, Secret};

/// What the client says about channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientBinding {
    /// `n`: this client does not bind. The right one for us, always, until we do.
    Unsupported,
    /// `y`: this client could bind, but the server did not offer it. A server that did offer it then knows that somebody
    /// removed the offer, and refuses.
    NotOffered,
}

impl ClientBinding {
    fn header(self) -> &'static [u8] {
        match self {
            Self::Unsupported => b"n,,",
            Self::NotOffered => b"y,,",
        }
    }
}

/// Has sent its first message and waits for the challenge.
#[derive(Debug)]
pub struct Client {
    binding: ClientBinding,
    nonce: Nonce,
    first_bare: Vec<u8>,
}

/// Knows the server's salt and iteration count, and needs the keys that go with them.
///
/// A wait point of its own because deriving keys takes a millisecond and belongs on another thread, if no cache has them.
#[derive(Debug)]
pub struct Challenged {
    derivation: Derivation,
    /// `client-first-bare "," server-first`, the signed text so far.
    signed: Vec<u8>,
    without_proof: Vec<u8>,
}

/// Has sent its proof and waits for the server's.
#[derive(Debug)]
pub struct Answered {
    server_signature: Key,
}

impl Client {
    /// Begins an exchange; the second value is the body of `SASLInitialResponse`.
    ///
    /// The user name in it is empty, as libpq's is: PostgreSQL goes by the startup message.
    pub fn begin(nonce: Nonce, binding: ClientBinding) -> (Self, Vec<u8>) {
        Self::begin_as("", nonce, binding)
    }

    fn begin_as(user: &str, nonce: Nonce, binding: ClientBinding) -> (Self, Vec<u8>) {
        let first_bare = [b"n=", user.as_bytes(), b",r=", nonce.as_bytes()].concat();
        let message = [binding.header(), &first_bare].concat();
        (Self { binding, nonce, first_bare }, message)
    }

    /// Takes the server's first message, the body of `AuthenticationSASLContinue`.
    ///
    /// # Errors
    /// When it is malformed, does not continue our nonce, or asks for more than
    /// [`Iterations::MAX`](super::Iterations::MAX) rounds.
    pub fn challenge(self, server_first: &[u8]) -> Result<Challenged, Error> {
        let ServerFirst { nonce, derivation } = ServerFirst::parse(server_first)?;
        let added = nonce.strip_prefix(self.nonce.as_bytes());
        if added.is_none_or(<[u8]>::is_empty) {
            return Err(Error::NonceMismatch { message: Message::ServerFirst });
        }
        Ok(Challenged {
            derivation,
            signed: [&self.first_bare, server_first].join(&b','),
            without_proof: ClientFinal::write_without_proof(self.binding.header(), nonce),
        })
    }
}

impl Challenged {
    /// What the server's verifier was made with; the key to look up in a [`KeyCache`](super::KeyCache).
    pub fn derivation(&self) -> &Derivation {
        &self.derivation
    }

    /// Derives the keys of `password` for this server: the expensive call (PBKDF2).
    pub fn derive(&self, password: &Secret) -> ClientKeys {
        ClientKeys::derive(password, self.derivation.clone())
    }

    /// Proves the password; the second value is the body of `SASLResponse`.
    ///
    /// # Errors
    /// [`Error::KeysOfOtherDerivation`] when `keys` hold for another salt or iteration count, as when a client's recovered keys
    /// meet a server whose stored secret differs from ours.
    pub fn answer(self, keys: &ClientKeys) -> Result<(Answered, Vec<u8>), Error> {
        if keys.derivation != self.derivation {
            return Err(Error::KeysOfOtherDerivation);
        }
        let auth_message: [&[u8]; 3] = [&self.signed, b",", &self.without_proof];
        let client_signature = keys.client_key.hash().hmac(&auth_message);
        let answered = Answered { server_signature: keys.server_key.hmac(&auth_message) };
        let proof = keys.client_key.xor(&client_signature);
        Ok((answered, ClientFinal::finish(self.without_proof, &proof)))
    }
}

impl Answered {
    /// Takes the server's final message, the body of `AuthenticationSASLFinal`. Only after this is the server trusted.
    ///
    /// # Errors
    /// [`Error::ServerSignature`] when the server does not know the verifier, [`Error::ServerRefused`] when it says no.
    pub fn verify(self, server_final: &[u8]) -> Result<(), Error> {
        if ServerFinal::parse(server_final)? != self.server_signature {
            return Err(Error::ServerSignature);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
