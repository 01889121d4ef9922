//! The server's half: it checks a client that logs in here.

use super::derive::ClientKeys;
use super::message::{ClientFinal, ClientFirst, Nonce, ServerFinal, ServerFirst, binding_text};
use super::verifier::Verifier;
use crate::{Error, Message};

/// Waits for the client's first message.
#[derive(Debug)]
pub struct Server {
    verifier: Verifier,
    nonce: Nonce,
}

/// Has sent the challenge and waits for the proof.
#[derive(Debug)]
pub struct Challenging {
    verifier: Verifier,
    /// The header the client began with, which its proof must repeat.
    header: &'static [u8],
    client_first_bare: Vec<u8>,
    server_first: Vec<u8>,
    /// Client's and server's nonce together.
    nonce: Vec<u8>,
}

/// The client has proved that it knows the password.
#[derive(Debug)]
pub struct Accepted {
    /// The message that proves to the client that we know its verifier: the body of `AuthenticationSASLFinal`.
    pub reply: Vec<u8>,
    /// The client's own keys. They log in to any server that holds the same verifier, with no password known here.
    pub keys: ClientKeys,
}

impl Server {
    /// Begins an exchange with a user's verifier, or with [`Verifier::mock`] for a user who does not exist.
    pub fn new(verifier: Verifier, nonce: Nonce) -> Self {
        Self { verifier, nonce }
    }

    /// Takes the client's first message; the second value is the body of `AuthenticationSASLContinue`.
    ///
    /// # Errors
    /// When the message is malformed or asks for something we do not offer; the exchange is over.
    pub fn challenge(self, client_first: &[u8]) -> Result<(Challenging, Vec<u8>), Error> {
        let first = ClientFirst::parse(client_first)?;
        let reply = ServerFirst::write(first.nonce, &self.nonce, &self.verifier.derivation);
        let challenging = Challenging {
            header: first.header,
            client_first_bare: first.bare.to_vec(),
            server_first: reply.clone(),
            nonce: [first.nonce, self.nonce.as_bytes()].concat(),
            verifier: self.verifier,
        };
        Ok((challenging, reply))
    }
}

impl Challenging {
    /// Takes the client's final message.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] when the proof is wrong; others when the message is malformed or belongs to another exchange.
    pub fn accept(self, client_final: &[u8]) -> Result<Accepted, Error> {
        let message = ClientFinal::parse(client_final)?;
        if message.binding != binding_text(self.header).as_bytes() {
            return Err(Error::ChannelBindingMismatch);
        }
        if message.nonce != self.nonce {
            return Err(Error::NonceMismatch { message: Message::ClientFinal });
        }

        let auth_message: [&[u8]; 5] = [&self.client_first_bare, b",", &self.server_first, b",", message.without_proof];
        let verifier = self.verifier;
        let client_signature = verifier.stored_key.hmac(&auth_message);
        let client_key = message.proof.xor(&client_signature);
        if client_key.hash() != verifier.stored_key {
            return Err(Error::WrongPassword);
        }

        let reply = ServerFinal::write(&verifier.server_key.hmac(&auth_message));
        Ok(Accepted { reply, keys: ClientKeys::new(client_key, verifier.server_key, verifier.derivation) })
    }
}
