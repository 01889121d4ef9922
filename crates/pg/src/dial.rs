//! Logging in to a server: our half, the client's role. From the startup message to `ReadyForQuery`.

use std::sync::Arc;

use auth::{
    Credential, Secret,
    scram::{Answered, Challenged, Client, ClientBinding, ClientKeys, Derivation, KeyCache, MECHANISM, Nonce},
};

use crate::{
    ProtocolError,
    frame::server,
    startup::PROTOCOL_3_0,
    view::{self, split_cstr},
    write,
};

/// The most parameters a server may report while we log in.
pub const PARAMETERS_MAX: usize = 256;

/// Names and values.
pub type Parameters = Vec<(Box<[u8]>, Box<[u8]>)>;

/// What a server said of itself while we logged in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Greeting {
    /// The process number, for cancel requests.
    pub process: u32,
    /// The key that goes with it.
    pub key: Box<[u8]>,
    /// The parameters it reported: names and values.
    pub parameters: Parameters,
}

/// A login under way. One variant for each point at which we wait for the server.
#[derive(Debug)]
enum State {
    /// For its demand.
    Started { nonce: Nonce },
    /// For the SCRAM challenge.
    Challenge(Client),
    /// For the caller, who derives the keys: a millisecond that belongs elsewhere.
    Keys(Challenged),
    /// For the server's own proof.
    Proof(Answered),
    /// For `AuthenticationOk`.
    Confirm,
    /// For parameters, key and `ReadyForQuery`.
    Accepted(Greeting),
    /// Over, one way or the other.
    Over,
}

/// A login to a server, sans-IO.
#[derive(Debug)]
pub struct Dial {
    user: Vec<u8>,
    credential: Option<Arc<Credential>>,
    state: State,
}

/// What comes of a message.
#[derive(Debug)]
pub enum Step {
    /// Send what was written, then wait for the server.
    Wait,
    /// Derive the keys of this password for this derivation, then call [`Dial::answer`].
    Derive(Secret, Derivation),
    /// Logged in.
    Ready(Greeting),
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The server sent what no server sends here.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The server said no: SQLSTATE and message.
    #[error("the server says: {message} (SQLSTATE {code})")]
    Refused {
        /// SQLSTATE.
        code: String,
        /// What it said.
        message: String,
        /// The function in its source that said so (field `R`), which no translation changes; empty: it did not tell.
        routine: String,
    },
    /// We cannot prove who we are with what is configured.
    #[error("cannot log in as configured: {0}")]
    Auth(#[from] auth::Error),
    /// The server wants a password, and none is configured.
    #[error("the server asks for a password, and none is configured for this user")]
    NoPassword,
    /// The server wants a proof that we cannot give.
    #[error("the server asks for authentication method {code}, which is not supported")]
    Method {
        /// The code in its `Authentication…` message.
        code: u32,
    },
}

impl Dial {
    /// Begins a login; the startup message is written to `out`.
    pub fn begin<'a>(
        user: &'a [u8],
        database: &'a [u8],
        settings: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        credential: Option<Arc<Credential>>,
        nonce: Nonce,
        out: &mut Vec<u8>,
    ) -> Self {
        let names = [(&b"user"[..], user), (b"database", database)];
        write::startup(out, PROTOCOL_3_0, names.into_iter().chain(settings));
        Self { user: user.to_vec(), credential, state: State::Started { nonce } }
    }

    /// Takes a message from the server.
    ///
    /// # Errors
    /// [`DialError`]; the connection must be closed.
    pub fn handle(&mut self, tag: u8, body: &[u8], keys: &mut KeyCache, out: &mut Vec<u8>) -> Result<Step, DialError> {
        match tag {
            server::ERROR_RESPONSE => Err(refused(body)),
            server::NOTICE_RESPONSE | server::NEGOTIATE_PROTOCOL_VERSION => Ok(Step::Wait),
            server::AUTHENTICATION => self.authenticate(body, keys, out),
            _ => self.greet(tag, body),
        }
    }

    /// Goes on with keys that the caller derived after [`Step::Derive`].
    ///
    /// # Errors
    /// [`DialError::Auth`] when the keys hold for another derivation.
    pub fn answer(&mut self, keys: &ClientKeys, out: &mut Vec<u8>) -> Result<Step, DialError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Keys(challenged) => self.prove(challenged, keys, out),
            _ => Err(ProtocolError::Unexpected { tag: server::AUTHENTICATION, when: "before a challenge" }.into()),
        }
    }

    fn authenticate(&mut self, body: &[u8], keys: &mut KeyCache, out: &mut Vec<u8>) -> Result<Step, DialError> {
        let malformed = |what| ProtocolError::Malformed { tag: server::AUTHENTICATION, what };
        let (&code, data) = body.split_first_chunk::<4>().ok_or_else(|| malformed("no code"))?;
        match (u32::from_be_bytes(code), std::mem::replace(&mut self.state, State::Over)) {
            (0, State::Started { .. } | State::Confirm) => {
                self.state = State::Accepted(Greeting::default());
                Ok(Step::Wait)
            }
            (3, State::Started { .. }) => {
                let password = self.credential()?.password_for(auth::credential::Method::Cleartext)?;
                write::password(out, |out| write::cstr(out, password.expose()));
                self.state = State::Confirm;
                Ok(Step::Wait)
            }
            (5, State::Started { .. }) => {
                let salt = data.try_into().map_err(|_| malformed("an md5 salt has 4 bytes"))?;
                let response = self.credential()?.md5_response(&self.user, salt)?;
                write::password(out, |out| write::cstr(out, &response));
                self.state = State::Confirm;
                Ok(Step::Wait)
            }
            (10, State::Started { nonce }) => {
                if !mechanisms(data).any(|name| name == MECHANISM.as_bytes()) {
                    return Err(DialError::Method { code: 10 });
                }
                self.credential()?;
                let (client, first) = Client::begin(nonce, ClientBinding::Unsupported);
                write::password(out, |out| {
                    write::cstr(out, MECHANISM.as_bytes());
                    out.extend_from_slice(&u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes());
                    out.extend_from_slice(&first);
                });
                self.state = State::Challenge(client);
                Ok(Step::Wait)
            }
            (11, State::Challenge(client)) => {
                let challenged = client.challenge(data)?;
                match keys.get(challenged.derivation()) {
                    Some(keys) => self.prove(challenged, &keys, out),
                    None => {
                        let password = self.credential()?.password_for(auth::credential::Method::Scram)?.clone();
                        let derivation = challenged.derivation().clone();
                        self.state = State::Keys(challenged);
                        Ok(Step::Derive(password, derivation))
                    }
                }
            }
            (12, State::Proof(answered)) => {
                answered.verify(data)?;
                self.state = State::Confirm;
                Ok(Step::Wait)
            }
            (code @ (2 | 6..=9), State::Started { .. }) => Err(DialError::Method { code }),
            _ => {
                Err(ProtocolError::Unexpected { tag: server::AUTHENTICATION, when: "at this point of a login" }.into())
            }
        }
    }

    fn prove(&mut self, challenged: Challenged, keys: &ClientKeys, out: &mut Vec<u8>) -> Result<Step, DialError> {
        let (answered, proof) = challenged.answer(keys)?;
        write::password(out, |out| out.extend_from_slice(&proof));
        self.state = State::Proof(answered);
        Ok(Step::Wait)
    }

    fn greet(&mut self, tag: u8, body: &[u8]) -> Result<Step, DialError> {
        let State::Accepted(greeting) = &mut self.state else {
            return Err(ProtocolError::Unexpected { tag, when: "before the login is complete" }.into());
        };
        match tag {
            server::PARAMETER_STATUS => {
                if greeting.parameters.len() >= PARAMETERS_MAX {
                    let what = "the number of parameters a server reports";
                    return Err(ProtocolError::Limit { what, limit: PARAMETERS_MAX }.into());
                }
                let (name, value) = view::parameter_status(body)?;
                greeting.parameters.push((name.into(), value.into()));
                Ok(Step::Wait)
            }
            server::BACKEND_KEY_DATA => {
                let (process, key) = view::backend_key_data(body)?;
                greeting.process = process;
                greeting.key = key.into();
                Ok(Step::Wait)
            }
            server::READY_FOR_QUERY => {
                let greeting = std::mem::take(greeting);
                self.state = State::Over;
                Ok(Step::Ready(greeting))
            }
            _ => Err(ProtocolError::Unexpected { tag, when: "while logging in" }.into()),
        }
    }

    fn credential(&self) -> Result<&Credential, DialError> {
        self.credential.as_deref().ok_or(DialError::NoPassword)
    }
}

fn refused(body: &[u8]) -> DialError {
    let field = |kind| view::error_field(body, kind).map(|text| String::from_utf8_lossy(text).into_owned());
    let [code, message, routine] = [b'C', b'M', b'R'].map(|kind| field(kind).unwrap_or_default());
    DialError::Refused { code, message, routine }
}

fn mechanisms(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (name, after) = split_cstr(rest)?;
        rest = after;
        (!name.is_empty()).then_some(name)
    })
}
