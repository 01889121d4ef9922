//! Authenticating a client: our half, the server's role. From the startup message to `AuthenticationOk` or a refusal.

use std::sync::Arc;

use auth::{
    Credential, Secret,
    scram::{Challenging, ClientKeys, MECHANISM, Nonce, Server, Verifier},
};

use crate::{ErrorReply, ProtocolError, frame::client, view::split_cstr, write};

/// Longest authentication message we accept, in bytes (PostgreSQL: `PG_MAX_AUTH_TOKEN_LENGTH`, `src/include/libpq/auth.h`).
pub const AUTH_LEN_MAX: usize = 65_535;

/// How a client must prove who it is.
pub enum Demand {
    /// Not at all.
    Trust,
    /// The password, readable on the wire.
    Cleartext(Known),
    /// The salted md5 of the password's md5.
    Md5 {
        /// What proves it.
        known: Known,
        /// Random.
        salt: [u8; auth::md5::SALT_LEN],
    },
    /// SCRAM-SHA-256.
    Scram {
        /// The user's verifier; a mock one for a user that does not exist.
        verifier: Verifier,
        /// Whether the verifier is a mock.
        exists: Exists,
        /// Random.
        nonce: Nonce,
    },
}

/// What is known of the user who wants in.
pub enum Known {
    /// This secret.
    Credential(Arc<Credential>),
    /// There is no such user; the exchange goes on as if, so that names cannot be probed.
    NoSuchUser,
}

/// Whether there is such a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exists {
    /// There is.
    Yes,
    /// There is not.
    No,
}

/// A client that is asked for proof. One variant for each point at which we wait for it.
pub enum Login {
    /// For the password.
    Cleartext(Known),
    /// For the md5 response.
    Md5(Known, [u8; auth::md5::SALT_LEN]),
    /// For the mechanism and the first SCRAM message.
    ScramFirst(Box<Server>, Exists),
    /// For the proof.
    ScramProof(Box<Challenging>, Exists),
}

/// What comes of a step.
pub enum Step {
    /// Send what was written, then wait for the client.
    Wait(Login),
    /// The client is who it says; `AuthenticationOk` was written.
    Accepted(Option<Box<ClientKeys>>),
    /// It is not. The reason is for our log; the client only hears that authentication failed.
    Refused(auth::Error),
}

impl Login {
    /// Asks the client for proof, or lets it in.
    pub fn begin(demand: Demand, out: &mut Vec<u8>) -> Step {
        match demand {
            Demand::Trust => accept(None, out),
            Demand::Cleartext(known) => {
                write::authentication(out, 3, |_| {});
                Step::Wait(Self::Cleartext(known))
            }
            Demand::Md5 { known, salt } => {
                write::authentication(out, 5, |out| out.extend_from_slice(&salt));
                Step::Wait(Self::Md5(known, salt))
            }
            Demand::Scram { verifier, exists, nonce } => {
                write::authentication(out, 10, |out| {
                    write::cstr(out, MECHANISM.as_bytes());
                    out.push(0);
                });
                Step::Wait(Self::ScramFirst(Box::new(Server::new(verifier, nonce)), exists))
            }
        }
    }

    /// Takes the client's answer.
    ///
    /// # Errors
    /// [`ProtocolError`] when it is not an answer at all.
    pub fn handle(self, tag: u8, body: &[u8], user: &[u8], out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        if tag != client::PASSWORD {
            return Err(ProtocolError::Unexpected { tag, when: "while a password is awaited" });
        }
        Ok(match self {
            Self::Cleartext(known) => {
                let password = Secret::new(password(body)?.to_vec());
                match known {
                    Known::Credential(credential) if credential.accepts_cleartext(user, &password) => accept(None, out),
                    _ => Step::Refused(auth::Error::WrongPassword),
                }
            }
            Self::Md5(known, salt) => match known {
                Known::NoSuchUser => Step::Refused(auth::Error::WrongPassword),
                Known::Credential(credential) => match credential.accepts_md5(user, salt, password(body)?) {
                    Ok(true) => accept(None, out),
                    Ok(false) => Step::Refused(auth::Error::WrongPassword),
                    Err(error) => Step::Refused(error),
                },
            },
            Self::ScramFirst(server, exists) => match server.challenge(scram_first(body)?) {
                Ok((challenging, reply)) => {
                    write::authentication(out, 11, |out| out.extend_from_slice(&reply));
                    Step::Wait(Self::ScramProof(Box::new(challenging), exists))
                }
                Err(error) => Step::Refused(error),
            },
            Self::ScramProof(challenging, exists) => match (challenging.accept(body), exists) {
                (Ok(accepted), Exists::Yes) => {
                    write::authentication(out, 12, |out| out.extend_from_slice(&accepted.reply));
                    accept(Some(Box::new(accepted.keys)), out)
                }
                (Ok(_), Exists::No) => Step::Refused(auth::Error::WrongPassword),
                (Err(error), _) => Step::Refused(error),
            },
        })
    }
}

/// What a refused client hears: always the same, whoever it says it is.
#[must_use]
pub fn refusal(user: &[u8]) -> ErrorReply {
    ErrorReply::fatal("28P01", format!("password authentication failed for user \"{}\"", String::from_utf8_lossy(user)))
}

fn accept(keys: Option<Box<ClientKeys>>, out: &mut Vec<u8>) -> Step {
    write::authentication(out, 0, |_| {});
    Step::Accepted(keys)
}

fn password(body: &[u8]) -> Result<&[u8], ProtocolError> {
    match split_cstr(body) {
        Some((password, [])) => Ok(password),
        _ => Err(ProtocolError::Malformed { tag: client::PASSWORD, what: "the password must end with the message" }),
    }
}

/// `SASLInitialResponse`: mechanism, length of the data, data.
fn scram_first(body: &[u8]) -> Result<&[u8], ProtocolError> {
    let malformed = |what| ProtocolError::Malformed { tag: client::PASSWORD, what };
    let (mechanism, rest) = split_cstr(body).ok_or_else(|| malformed("the mechanism has no end"))?;
    if mechanism != MECHANISM.as_bytes() {
        return Err(malformed("a SASL mechanism that was not offered"));
    }
    let (&length, data) = rest.split_first_chunk::<4>().ok_or_else(|| malformed("no SASL data"))?;
    if u32::from_be_bytes(length) as usize != data.len() {
        return Err(malformed("the SASL data must fill the message"));
    }
    Ok(data)
}
