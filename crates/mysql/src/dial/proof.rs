//! Proving to a server who we are: the part that a first login and a change of user have in common.

use std::sync::Arc;

use auth::{
    Channel, Credential, Learned, Plugin, Secret,
    caching_sha2::{self, FAST_OK, FULL, PUBLIC_KEY_REQUEST},
    credential::Method,
    ed25519, native, rsa,
};

use super::DialError;
use crate::{
    Capabilities, ProtocolError,
    error::malformed,
    handshake::{AuthMoreData, AuthSwitchRequest, Nonce},
    packet,
    view::{self, ErrPacket, OkPacket},
};

/// How often a server may ask for another method: MariaDB goes through all that an account names (`VIA … OR …`).
pub const SWITCHES_MAX: u8 = 8;

/// How `sha256_password` asks for the server's RSA key (MySQL: `request_public_key`, `sql-common/client_authentication.cc`).
const SHA256_KEY_REQUEST: u8 = 1;

/// Who logs in, and what proves it.
#[derive(Debug, Clone)]
pub struct Account {
    /// User name.
    pub user: Vec<u8>,
    /// Database name; `None` for none.
    pub database: Option<Vec<u8>>,
    /// What is configured; `None` for an account without a password.
    pub credential: Option<Arc<Credential>>,
    /// What clients' logins have taught of that credential's password.
    pub learned: Learned,
}

/// Where the key comes from with which a password is encrypted on a connection that others can read.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// There is none: the login fails instead.
    Never,
    /// The server is asked. Safe from those who listen, not from those who can change what the server says.
    Ask,
    /// It was configured.
    Pinned(Arc<rsa::PublicKey>),
}

/// What an answer was, or would be, made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) plugin: Plugin,
    pub(super) nonce: Nonce,
}

/// A proof under way.
#[derive(Debug)]
pub(super) struct Prover {
    account: Account,
    channel: Channel,
    keys: KeySource,
    capabilities: Capabilities,
    state: State,
    switches: u8,
}

/// What of the server is awaited besides its verdict, or a switch of method.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing: the method has no more to say.
    Verdict(Challenge),
    /// Whether the fast answer did.
    Fast(Challenge),
    /// Its RSA key.
    Key(Challenge),
}

/// What the server says to a proof.
#[derive(Debug)]
pub(super) enum Verdict<'a> {
    /// Nothing yet. What was written must be sent.
    Open,
    /// It is right. The challenge serves a later change of user.
    In(OkPacket<'a>, Challenge),
}

impl Prover {
    /// Begins with a challenge that has been answered, or is about to be, with [`Account::answer`].
    pub(super) fn new(
        account: Account,
        channel: Channel,
        keys: KeySource,
        capabilities: Capabilities,
        first: Challenge,
    ) -> Self {
        Self { account, channel, keys, capabilities, state: State::after_answer(first), switches: 0 }
    }

    /// Takes a payload from the server.
    pub(super) fn handle<'a>(
        &mut self,
        payload: &'a [u8],
        sequence: &mut u8,
        out: &mut Vec<u8>,
    ) -> Result<Verdict<'a>, DialError> {
        match (payload.first(), self.state) {
            (Some(&view::OK), state) => {
                Ok(Verdict::In(OkPacket::parse(payload, self.capabilities)?, state.challenge()))
            }
            (Some(&view::ERR), _) => Err(ErrPacket::parse(payload)?.into()),
            (Some(&view::EOF), state) => self.switch(payload, state.challenge(), sequence, out),
            (Some(_), State::Fast(challenge)) => match AuthMoreData::parse(payload)?.0 {
                [FAST_OK] => {
                    self.state = State::Verdict(challenge);
                    Ok(Verdict::Open)
                }
                [FULL] => self.give_password(challenge, sequence, out),
                _ => {
                    Err(malformed("further data of a login", "it is neither success nor a demand for the password")
                        .into())
                }
            },
            (Some(_), State::Key(challenge)) => {
                let key = rsa::PublicKey::from_pem(AuthMoreData::parse(payload)?.0)?;
                self.seal_password(&key, challenge, sequence, out)
            }
            (Some(&first), State::Verdict(_)) => {
                Err(ProtocolError::Unexpected { first, when: "at this point of a login" }.into())
            }
            (None, _) => Err(malformed("an answer to a login", "it is empty").into()),
        }
    }

    fn switch<'a>(
        &mut self,
        payload: &'a [u8],
        before: Challenge,
        sequence: &mut u8,
        out: &mut Vec<u8>,
    ) -> Result<Verdict<'a>, DialError> {
        self.switches += 1;
        if self.switches > SWITCHES_MAX {
            let limit = usize::from(SWITCHES_MAX);
            return Err(ProtocolError::Limit { what: "the number of methods a server asks for", limit }.into());
        }
        let request = AuthSwitchRequest::parse(payload)?;
        let plugin = Plugin::from_name(&request.plugin)
            .ok_or_else(|| DialError::Plugin { name: request.plugin.escape_ascii().to_string() })?;
        let usual_nonce =
            || request.nonce().ok_or_else(|| malformed("a switch of method", "the nonce has not 20 bytes"));
        let (nonce, answer) = match plugin {
            Plugin::Native | Plugin::CachingSha2 => {
                let nonce = usual_nonce()?;
                (nonce, self.account.answer(plugin, &nonce)?)
            }
            Plugin::Sha256 if self.account.credential.is_some() => {
                return self.give_password(Challenge { plugin, nonce: usual_nonce()? }, sequence, out);
            }
            Plugin::Sha256 => (before.nonce, Secret::new(vec![0])),
            Plugin::Ed25519 => (before.nonce, self.account.sign(&request.data)?),
            Plugin::Clear if self.channel == Channel::Plain => return Err(DialError::Unprotected { plugin }),
            Plugin::Clear => (before.nonce, self.account.clear(plugin)?),
            Plugin::Socket => (before.nonce, Secret::new(Vec::new())),
        };
        packet::write(out, sequence, answer.expose());
        self.state = State::after_answer(Challenge { plugin, nonce });
        Ok(Verdict::Open)
    }

    /// The server wants the password itself: by its plugin's nature, or because it does not remember it.
    fn give_password<'a>(
        &mut self,
        challenge: Challenge,
        sequence: &mut u8,
        out: &mut Vec<u8>,
    ) -> Result<Verdict<'a>, DialError> {
        self.account.password(challenge.plugin)?;
        // MySQL does not count a unix socket as secure here (`my_vio_is_encrypted`, `sql/auth/sql_authentication.cc`).
        let takes_clear = match challenge.plugin {
            Plugin::Sha256 => self.capabilities.contains(Capabilities::SSL),
            _ => self.channel == Channel::Secure,
        };
        match (self.keys.clone(), self.channel) {
            _ if takes_clear => {
                packet::write(out, sequence, self.account.clear(challenge.plugin)?.expose());
                self.state = State::Verdict(challenge);
                Ok(Verdict::Open)
            }
            (KeySource::Pinned(key), _) => self.seal_password(&key, challenge, sequence, out),
            // On a unix socket nobody stands between us and the server to change its answer.
            (KeySource::Ask, _) | (KeySource::Never, Channel::Secure) => {
                let request = if challenge.plugin == Plugin::Sha256 { SHA256_KEY_REQUEST } else { PUBLIC_KEY_REQUEST };
                packet::write(out, sequence, &[request]);
                self.state = State::Key(challenge);
                Ok(Verdict::Open)
            }
            (KeySource::Never, Channel::Plain) => Err(DialError::Unprotected { plugin: challenge.plugin }),
        }
    }

    fn seal_password<'a>(
        &mut self,
        key: &rsa::PublicKey,
        challenge: Challenge,
        sequence: &mut u8,
        out: &mut Vec<u8>,
    ) -> Result<Verdict<'a>, DialError> {
        let sealed = key.seal(self.account.password(challenge.plugin)?, challenge.nonce.as_bytes())?;
        packet::write(out, sequence, &sealed);
        self.state = State::Verdict(challenge);
        Ok(Verdict::Open)
    }
}

impl State {
    fn after_answer(challenge: Challenge) -> Self {
        match challenge.plugin {
            Plugin::CachingSha2 => Self::Fast(challenge),
            Plugin::Native | Plugin::Sha256 | Plugin::Ed25519 | Plugin::Clear | Plugin::Socket => {
                Self::Verdict(challenge)
            }
        }
    }

    fn challenge(self) -> Challenge {
        match self {
            Self::Verdict(challenge) | Self::Fast(challenge) | Self::Key(challenge) => challenge,
        }
    }
}

impl Account {
    /// The plugin to begin with and the answer for it: the one the server proposes if we can answer it, else one we can.
    ///
    /// The server asks for the account's own plugin afterwards if that is another one, so nothing is lost by a wrong guess.
    pub(super) fn first_answer(&self, proposed: Plugin, nonce: &Nonce) -> Result<(Plugin, Secret), DialError> {
        let proposed = if proposed == Plugin::CachingSha2 { proposed } else { Plugin::Native };
        let other = if proposed == Plugin::Native { Plugin::CachingSha2 } else { Plugin::Native };
        match self.answer(proposed, nonce) {
            Ok(answer) => Ok((proposed, answer)),
            Err(error) => self.answer(other, nonce).map(|answer| (other, answer)).map_err(|_| error),
        }
    }

    /// The answer of one of the two plugins that use a greeting's nonce. For an account without a password it says so.
    pub(super) fn answer(&self, plugin: Plugin, nonce: &Nonce) -> Result<Secret, DialError> {
        let nonce = nonce.as_bytes();
        let answer = match (plugin, self.credential.as_deref()) {
            (Plugin::CachingSha2, None) => vec![0],
            (_, None) => Vec::new(),
            (Plugin::CachingSha2, Some(credential)) => match &self.learned.sha2 {
                Some(stage1) => stage1.answer(nonce).to_vec(),
                None => {
                    let password = credential.password_for(Method::CachingSha2)?;
                    caching_sha2::Stage1::from_password(password).answer(nonce).to_vec()
                }
            },
            (_, Some(credential)) => match &self.learned.native {
                Some(stage1) => stage1.answer(nonce).to_vec(),
                None => native::Stage1::from_password(credential.password_for(Method::Native)?).answer(nonce).to_vec(),
            },
        };
        Ok(Secret::new(answer))
    }

    fn sign(&self, nonce: &[u8]) -> Result<Secret, DialError> {
        let nonce = nonce.try_into().map_err(|_| malformed("a switch of method", "the nonce has not 32 bytes"))?;
        let credential = self.credential.as_deref().ok_or(DialError::NoPassword { plugin: Plugin::Ed25519 })?;
        Ok(Secret::new(ed25519::sign(credential.password_for(Method::Ed25519)?, nonce).to_vec()))
    }

    /// The password and a NUL, for a connection that nobody reads.
    fn clear(&self, plugin: Plugin) -> Result<Secret, DialError> {
        Ok(Secret::new([self.password(plugin)?.expose(), &[0]].concat()))
    }

    fn password(&self, plugin: Plugin) -> Result<&Secret, DialError> {
        match self.credential.as_deref() {
            Some(Credential::Plain(password)) => Ok(password),
            Some(_) => Err(DialError::OnlyHash),
            None => Err(DialError::NoPassword { plugin }),
        }
    }
}
