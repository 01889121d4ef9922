//! Authenticating a client: our half, the server's role. From its handshake response, or its `COM_CHANGE_USER`, to the point
//! where OK or an error is due; the caller writes those.
//!
//! Every payload goes to [`Login::handle`] with `sequence` set to the number after the payload's own; what is written counts it
//! on, so that the caller's OK or error goes on from there.
//!
//! A client begins with a method of its own choice. If the user can be checked by it, that is what happens; if not, the client
//! is asked to switch to one by which it can. Full authentication by `caching_sha2_password` hands over the password and so
//! checks any credential, at the price of TLS, a unix socket or [RSA](auth::rsa).

mod check;
mod refusal;

pub use check::Check;
pub use refusal::{Given, Refusal};

use std::sync::Arc;

use auth::{
    Channel, Credential, Learned, Plugin, Secret,
    caching_sha2::{FAST_OK, FULL, PUBLIC_KEY_REQUEST, Stage1, Stage2},
    ed25519, native, rsa,
};
use check::{Against, Arrived};

use crate::{
    Capabilities, ProtocolError,
    error::malformed,
    handshake::{AuthMoreData, AuthSwitchRequest, ChangeUser, HandshakeResponse, Nonce},
};

/// How a client must prove who it is.
pub enum Demand {
    /// Not at all.
    Trust,
    /// By the password of this credential.
    Password {
        /// What is known of the user. For a user who does not exist, a decoy of the form that users here have: the exchange
        /// runs to its end with it, so that names cannot be probed.
        credential: Arc<Credential>,
        /// What earlier logins by this credential have taught.
        learned: Learned,
        /// Whether the credential is a decoy.
        exists: Exists,
    },
    /// By giving its password to us, which a server will check.
    PassThrough,
}

/// Whether there is such a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exists {
    /// There is.
    Yes,
    /// There is not.
    No,
}

/// Under which circumstances a client logs in.
pub struct Terms {
    /// What it must prove.
    pub demand: Demand,
    /// What both sides can do.
    pub capabilities: Capabilities,
    /// Whether others can read the connection.
    pub channel: Channel,
    /// The nonce of our greeting.
    pub greeted: Nonce,
    /// Random bytes for a nonce of a switch of method.
    pub random: [u8; ed25519::NONCE_LEN],
    /// Our key, with which a password may cross a connection that others can read; `None`: it must not.
    pub keys: Option<Arc<rsa::KeyPair>>,
}

/// With what a client begins.
#[derive(Clone, Copy)]
pub enum Opening<'a> {
    /// Its answer to our greeting.
    Response(&'a HandshakeResponse),
    /// Its command to become another user. The proof in it is not looked at where the client can be asked for a new one:
    /// clients disagree on the nonce that it is made for, and both servers ask again as well.
    ChangeUser(&'a ChangeUser),
}

/// What comes of a step.
pub enum Step {
    /// Send what was written, then wait for the client.
    Wait(Login),
    /// Run this where a few milliseconds hurt nobody; its result is that of the login.
    Check(Check),
    /// The client is who it says. What was written goes before the caller's OK.
    Accepted(Accepted),
    /// It is not.
    Refused(Refusal),
}

/// What a login has told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// What it taught of the user's password, beyond what was known.
    pub learned: Learned,
    /// The password itself: only under [`Demand::PassThrough`], and then nobody has checked it yet.
    pub clear: Option<Secret>,
}

/// A client that is asked for proof.
pub struct Login {
    user: Vec<u8>,
    terms: Terms,
    state: State,
}

/// One variant for each point at which we wait.
enum State {
    /// For the first answer by a plugin we asked for.
    Switched(Plugin),
    /// For the password, or for a request for our key.
    Full(Nonce),
    /// For the password, encrypted with the key we sent.
    Sealed(Nonce),
}

impl Login {
    /// Judges the client's opening, and asks for what is missing.
    pub fn begin(opening: Opening<'_>, mut terms: Terms, sequence: &mut u8, out: &mut Vec<u8>) -> Step {
        if matches!(opening, Opening::ChangeUser(_))
            && let Some(first) = terms.random.first_chunk_mut()
        {
            // MariaDB's client library answers to the nonce of the greeting, whatever the request to switch says; so the
            // request repeats it, as MariaDB's server does.
            *first = *terms.greeted.as_bytes();
        }
        let switches = terms.capabilities.contains(Capabilities::PLUGIN_AUTH);
        let (user, named, answer) = match opening {
            Opening::Response(response) => (&response.user, &response.plugin, &response.auth_response),
            Opening::ChangeUser(command) => (&command.user, &command.plugin, &command.auth_response),
        };
        let claimed = match named.as_deref().filter(|_| switches) {
            Some(name) => Plugin::from_name(name),
            None => Some(Plugin::Native),
        };
        if matches!(terms.demand, Demand::Trust) {
            // A client that has sent a fast answer waits for a word on it; MariaDB's takes nothing else.
            if claimed == Some(Plugin::CachingSha2) && !is_empty(answer.expose()) {
                AuthMoreData(&[FAST_OK]).write(out, sequence);
            }
            return Step::Accepted(Accepted::default());
        }
        let Some(plugin) = terms.choose(claimed) else { return Step::Refused(Refusal::Unprotected) };

        let current = matches!(opening, Opening::Response(_)) || !switches;
        // The greeting's nonce is not one that ed25519 could sign.
        let answers = claimed == Some(plugin) && plugin != Plugin::Ed25519 && current;
        let nonce = terms.greeted;
        let login = Self { user: user.clone(), terms, state: State::Switched(plugin) };
        if answers {
            login.judge(plugin, &nonce, answer.expose(), sequence, out)
        } else if switches {
            login.switch(plugin, sequence, out)
        } else {
            Step::Refused(Refusal::OldClient { needed: plugin })
        }
    }

    /// Takes the client's answer.
    ///
    /// # Errors
    /// [`ProtocolError`] when it is not an answer at all.
    pub fn handle(self, payload: &[u8], sequence: &mut u8, out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        match self.state {
            State::Switched(plugin) => {
                let nonce = self.terms.nonce();
                Ok(self.judge(plugin, &nonce, payload, sequence, out))
            }
            State::Full(nonce) => self.full(nonce, payload, sequence, out),
            State::Sealed(nonce) => self.open(payload, nonce),
        }
    }

    fn switch(self, plugin: Plugin, sequence: &mut u8, out: &mut Vec<u8>) -> Step {
        let name = plugin.name().as_bytes();
        let request = match plugin {
            // MariaDB sends the nonce without a NUL behind it, and its client looks at the length.
            Plugin::Ed25519 => AuthSwitchRequest { plugin: name.to_vec(), data: self.terms.random.to_vec() },
            _ => AuthSwitchRequest::new(name, &self.terms.nonce()),
        };
        request.write(out, sequence);
        Step::Wait(self)
    }

    /// Judges the first answer by `plugin`.
    fn judge(self, plugin: Plugin, nonce: &Nonce, answer: &[u8], sequence: &mut u8, out: &mut Vec<u8>) -> Step {
        if is_empty(answer) {
            // Nobody has an empty password here.
            return match self.terms.demand {
                Demand::PassThrough => {
                    Step::Accepted(Accepted { clear: Some(Secret::new(Vec::new())), ..Accepted::default() })
                }
                _ => Step::Refused(Refusal::WrongPassword { given: Given::No }),
            };
        }
        let learned = match plugin {
            Plugin::CachingSha2 => match self.terms.stage2() {
                None => return self.ask_password(*nonce, sequence, out),
                Some(stage2) => {
                    let sha2 = stage2.accept(nonce.as_bytes(), answer);
                    if sha2.is_none() && stage2.accepts_swapped(nonce.as_bytes(), answer) {
                        return self.ask_password(*nonce, sequence, out);
                    }
                    if sha2.is_some() && self.terms.exists() {
                        AuthMoreData(&[FAST_OK]).write(out, sequence);
                    }
                    sha2.map(|sha2| Learned { native: None, sha2: Some(sha2) })
                }
            },
            Plugin::Clear => {
                let password = answer.strip_suffix(&[0]).unwrap_or(answer);
                return self.check(Arrived::Clear(Secret::new(password.to_vec())));
            }
            Plugin::Native => {
                let native = self.terms.native_hash().and_then(|hash| hash.accept(nonce.as_bytes(), answer));
                native.map(|native| Learned { native: Some(native), sha2: None })
            }
            Plugin::Ed25519 => {
                let key = self.terms.public_key().filter(|key| key.accepts(&self.terms.random, answer));
                key.map(|_| Learned::default())
            }
            Plugin::Sha256 | Plugin::Socket => None,
        };
        match learned.filter(|_| self.terms.exists()) {
            Some(learned) => Step::Accepted(Accepted { learned, clear: None }),
            None => Step::Refused(Refusal::WrongPassword { given: Given::Yes }),
        }
    }

    /// Asks for full authentication.
    fn ask_password(self, nonce: Nonce, sequence: &mut u8, out: &mut Vec<u8>) -> Step {
        AuthMoreData(&[FULL]).write(out, sequence);
        Step::Wait(Self { state: State::Full(nonce), ..self })
    }

    fn full(self, nonce: Nonce, payload: &[u8], sequence: &mut u8, out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        match (payload, &self.terms.keys, self.terms.channel) {
            ([PUBLIC_KEY_REQUEST], Some(keys), _) => {
                AuthMoreData(keys.public_pem()).write(out, sequence);
                Ok(Step::Wait(Self { state: State::Sealed(nonce), ..self }))
            }
            // A client that ignores that the connection is safe, and there is no key to give it.
            ([PUBLIC_KEY_REQUEST], None, _) => Ok(Step::Refused(Refusal::Unprotected)),
            ([password @ .., 0], _, Channel::Secure) => {
                let password = Secret::new(password.to_vec());
                Ok(self.check(Arrived::Clear(password)))
            }
            (_, _, Channel::Secure) => Err(malformed("a password", "it does not end with a NUL")),
            // A client that has our key already, and has not asked.
            (_, _, Channel::Plain) => self.open(payload, nonce),
        }
    }

    fn open(self, payload: &[u8], nonce: Nonce) -> Result<Step, ProtocolError> {
        match self.terms.keys.clone() {
            Some(keys) if payload.len() == keys.ciphertext_len() => {
                Ok(self.check(Arrived::Sealed { ciphertext: payload.to_vec(), nonce, keys }))
            }
            _ => Err(malformed("an encrypted password", "it has not the length of our key")),
        }
    }

    fn check(self, arrived: Arrived) -> Step {
        let against = match self.terms.demand {
            Demand::Password { credential, exists, .. } => Against::Credential(credential, exists),
            Demand::PassThrough | Demand::Trust => Against::Nothing,
        };
        Step::Check(Check { user: self.user, arrived, against })
    }
}

impl Terms {
    /// The plugin to go on with: the one the client claims if it can do, else the user's own. `None` when neither can.
    fn choose(&self, claimed: Option<Plugin>) -> Option<Plugin> {
        let secure = self.channel == Channel::Secure;
        let own = match &self.demand {
            Demand::Password { credential, .. } => match **credential {
                Credential::Native(_) => Plugin::Native,
                Credential::Ed25519(_) => Plugin::Ed25519,
                Credential::Plain(_) | Credential::CachingSha2(_) | Credential::Md5(_) | Credential::Scram(_) => {
                    Plugin::CachingSha2
                }
            },
            Demand::PassThrough | Demand::Trust => Plugin::CachingSha2,
        };
        let suits = |plugin: &Plugin| match plugin {
            // RSA only where there is nothing better: many clients must be told to trust a key that they are given.
            Plugin::CachingSha2 => {
                self.stage2().is_some() || secure || (own == Plugin::CachingSha2 && self.keys.is_some())
            }
            Plugin::Native => self.native_hash().is_some(),
            Plugin::Ed25519 => self.public_key().is_some(),
            Plugin::Clear => secure,
            Plugin::Sha256 | Plugin::Socket => false,
        };
        claimed.filter(suits).or_else(|| Some(own).filter(suits))
    }

    /// What checks a fast answer, if the password or its hash is known.
    fn stage2(&self) -> Option<Stage2> {
        match &self.demand {
            Demand::Password { credential, learned, .. } => match (&learned.sha2, &**credential) {
                (Some(stage1), _) => Some(stage1.stage2()),
                (None, Credential::Plain(password)) => Some(Stage1::from_password(password).stage2()),
                (None, _) => None,
            },
            Demand::PassThrough | Demand::Trust => None,
        }
    }

    /// What checks an answer of `mysql_native_password`.
    fn native_hash(&self) -> Option<native::Hash> {
        match &self.demand {
            Demand::Password { credential, learned, .. } => match (&**credential, &learned.native) {
                (Credential::Native(hash), _) => Some(hash.clone()),
                (Credential::Plain(password), _) => Some(native::Hash::from_password(password)),
                (_, learned) => learned.as_ref().map(native::Stage1::hash),
            },
            Demand::PassThrough | Demand::Trust => None,
        }
    }

    /// What checks a signature.
    fn public_key(&self) -> Option<ed25519::PublicKey> {
        match &self.demand {
            Demand::Password { credential, .. } => match &**credential {
                Credential::Ed25519(key) => Some(*key),
                Credential::Plain(password) => Some(ed25519::PublicKey::from_password(password)),
                _ => None,
            },
            Demand::PassThrough | Demand::Trust => None,
        }
    }

    fn exists(&self) -> bool {
        !matches!(self.demand, Demand::Password { exists: Exists::No, .. })
    }

    /// The nonce of a switch of method.
    fn nonce(&self) -> Nonce {
        Nonce::from_random(std::array::from_fn(|at| self.random[at]))
    }
}

/// Whether an answer says that there is no password: no byte, or the NUL that a password would end with.
fn is_empty(answer: &[u8]) -> bool {
    matches!(answer, [] | [0])
}
