//! Logging in to a server: our half, the client's role. From the server's greeting to its OK, and later to another user's.
//!
//! The server speaks first. Every payload goes to [`Dial::handle`] with `sequence` set to the number after the payload's own;
//! what is written counts it on. The payload that leads to [`Step::Ready`] is an OK packet, which the caller may read for what
//! changed in the session ([`OkPacket::changes`](crate::view::OkPacket)).

mod error;
mod proof;

pub use error::DialError;
pub use proof::{Account, KeySource, SWITCHES_MAX};

use auth::{Channel, Plugin};
use proof::{Challenge, Prover, Verdict};

use crate::{
    Capabilities, ProtocolError, Status,
    handshake::{self, Attributes, Greeting, HandshakeResponse, plugin},
    view::{self, ErrPacket},
};

/// What we ask of every server, and use where it is offered.
pub const ALWAYS: Capabilities = Capabilities::LONG_PASSWORD
    .with(Capabilities::LONG_FLAG)
    .with(Capabilities::PROTOCOL_41)
    .with(Capabilities::TRANSACTIONS)
    .with(Capabilities::SECURE_CONNECTION)
    .with(Capabilities::MULTI_STATEMENTS)
    .with(Capabilities::MULTI_RESULTS)
    .with(Capabilities::PS_MULTI_RESULTS)
    .with(Capabilities::PLUGIN_AUTH)
    .with(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .with(Capabilities::CONNECT_ATTRS)
    .with(Capabilities::SESSION_TRACK)
    .with(Capabilities::DEPRECATE_EOF);

/// What follows from other settings and must not be asked for by [`Wanted::capabilities`].
const DERIVED: Capabilities = Capabilities::SSL.with(Capabilities::CONNECT_WITH_DB);

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It is not.
    Off,
    /// It is if the server offers it. Whoever can change what the server says can prevent it.
    IfOffered,
    /// It is, or there is no login.
    Required,
}

/// What is asked of a server, apart from [`ALWAYS`].
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Further capabilities to use where they are offered: `FOUND_ROWS`, `LOCAL_FILES`, `COMPRESS`, MariaDB's extended ones….
    pub capabilities: Capabilities,
    /// Whether to encrypt.
    pub tls: Tls,
    /// What the connection is before that: a unix socket is [`Channel::Secure`].
    pub channel: Channel,
    /// What encrypts a password on a connection that is not encrypted.
    pub keys: KeySource,
    /// Longest payload we take, in bytes.
    pub max_packet: u32,
    /// Number of the session's collation, lower byte.
    pub charset: u8,
}

/// A session on a server, as it was when the login ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The connection's number, by which it is killed.
    pub connection_id: u32,
    /// The server's version, as it says it.
    pub version: Vec<u8>,
    /// What both sides can do: every payload is read by it.
    pub capabilities: Capabilities,
    /// What the server could do, whether we asked for it or not.
    pub offered: Capabilities,
    /// The session's state.
    pub status: Status,
    /// Number of the session's collation, lower byte.
    pub charset: u8,
    /// Whether the server is MariaDB.
    pub is_mariadb: bool,
    /// Whether others can read the connection.
    pub channel: Channel,
    /// What a change of user is answered for, if the server does not ask anew.
    challenge: Challenge,
}

/// What comes of a payload.
#[derive(Debug)]
pub enum Step {
    /// Send what was written, then wait for the server.
    Wait,
    /// Send what was written, begin TLS as a client, then call [`Dial::encrypted`]. Nothing that came before may be kept.
    StartTls,
    /// Logged in.
    Ready(Session),
}

/// A login to a server, sans-IO. It begins by waiting for the greeting.
#[derive(Debug)]
pub struct Dial {
    state: State,
}

/// One variant for each point at which we wait.
#[derive(Debug)]
enum State {
    /// For the greeting.
    Fresh(Account, Wanted),
    /// For the caller, who encrypts the connection.
    Encrypting(Account, Wanted, Greeting),
    /// For the server's verdict.
    Proving(Box<Prover>, Session),
    /// Over, one way or the other.
    Over,
}

impl Dial {
    /// A login of `account`.
    #[must_use]
    pub fn new(account: Account, wanted: Wanted) -> Self {
        Self { state: State::Fresh(account, wanted) }
    }

    /// Takes a payload from the server.
    ///
    /// # Errors
    /// [`DialError`]; the connection must be closed.
    pub fn handle(&mut self, payload: &[u8], sequence: &mut u8, out: &mut Vec<u8>) -> Result<Step, DialError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Fresh(account, wanted) => self.greeted(account, wanted, payload, sequence, out),
            State::Proving(mut prover, session) => match prover.handle(payload, sequence, out)? {
                Verdict::Open => {
                    self.state = State::Proving(prover, session);
                    Ok(Step::Wait)
                }
                Verdict::In(ok, challenge) => Ok(Step::Ready(Session { status: ok.status, challenge, ..session })),
            },
            State::Encrypting(..) | State::Over => Err(unexpected(payload, "while nothing was asked")),
        }
    }

    /// Goes on after [`Step::StartTls`], inside the encryption.
    ///
    /// # Errors
    /// [`DialError`] when we cannot answer the server's challenge; the connection must be closed.
    pub fn encrypted(&mut self, sequence: &mut u8, out: &mut Vec<u8>) -> Result<Step, DialError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Encrypting(account, wanted, greeting) => {
                let wanted = Wanted { channel: Channel::Secure, ..wanted };
                let response = response(&account, &wanted, &greeting, Capabilities::SSL);
                self.respond(account, wanted, greeting, response, sequence, out)
            }
            _ => Err(unexpected(&[], "before TLS was asked for")),
        }
    }

    fn greeted(
        &mut self,
        account: Account,
        wanted: Wanted,
        payload: &[u8],
        sequence: &mut u8,
        out: &mut Vec<u8>,
    ) -> Result<Step, DialError> {
        if payload.first() == Some(&view::ERR) {
            return Err(ErrPacket::parse(payload)?.into());
        }
        let greeting = Greeting::parse(payload)?;
        let tls_offered = greeting.capabilities.contains(Capabilities::SSL);
        match (wanted.tls, tls_offered) {
            (Tls::Required, false) => Err(DialError::NoTls),
            (Tls::Required | Tls::IfOffered, true) => {
                response(&account, &wanted, &greeting, Capabilities::SSL).ssl_request().write(out, sequence);
                self.state = State::Encrypting(account, wanted, greeting);
                Ok(Step::StartTls)
            }
            (Tls::Off, _) | (Tls::IfOffered, false) => {
                let response = response(&account, &wanted, &greeting, Capabilities::NONE);
                self.respond(account, wanted, greeting, response, sequence, out)
            }
        }
    }

    fn respond(
        &mut self,
        account: Account,
        wanted: Wanted,
        greeting: Greeting,
        mut response: HandshakeResponse,
        sequence: &mut u8,
        out: &mut Vec<u8>,
    ) -> Result<Step, DialError> {
        let proposed = Plugin::from_name(&greeting.plugin).unwrap_or(Plugin::Native);
        let (plugin, answer) = match response.capabilities.contains(Capabilities::PLUGIN_AUTH) {
            true => account.first_answer(proposed, &greeting.nonce)?,
            false => (Plugin::Native, account.answer(Plugin::Native, &greeting.nonce)?),
        };
        response.plugin = Some(plugin.name().into());
        response.auth_response = answer;
        response.write(out, sequence);

        let challenge = Challenge { plugin, nonce: greeting.nonce };
        let session = Session {
            connection_id: greeting.connection_id,
            is_mariadb: greeting.is_mariadb(),
            version: greeting.version,
            capabilities: response.capabilities,
            offered: greeting.capabilities,
            status: greeting.status,
            charset: wanted.charset,
            channel: wanted.channel,
            challenge,
        };
        let prover = Prover::new(account, wanted.channel, wanted.keys, response.capabilities, challenge);
        self.state = State::Proving(Box::new(prover), session);
        Ok(Step::Wait)
    }
}

/// Another user's login on a live connection (`COM_CHANGE_USER`), which also resets the session.
#[derive(Debug)]
pub struct ChangeUser {
    prover: Prover,
    session: Session,
}

impl ChangeUser {
    /// Begins a login of `account` in place of the user of `session`; the command is written to `out`, and counts `sequence`
    /// on from 0.
    ///
    /// # Errors
    /// [`DialError`] when we cannot answer for `account`; nothing was written, and the session is as it was.
    pub fn begin(
        account: Account,
        session: &Session,
        keys: KeySource,
        sequence: &mut u8,
        out: &mut Vec<u8>,
    ) -> Result<Self, DialError> {
        let before = session.challenge;
        let (plugin, answer) = match session.capabilities.contains(Capabilities::PLUGIN_AUTH) {
            true => account.first_answer(before.plugin, &before.nonce)?,
            false => (Plugin::Native, account.answer(Plugin::Native, &before.nonce)?),
        };
        let command = handshake::ChangeUser {
            user: account.user.clone(),
            auth_response: answer,
            database: account.database.clone(),
            charset: Some(session.charset.into()),
            plugin: Some(plugin.name().into()),
            attributes: attributes(),
        };
        *sequence = 0;
        command.write(out, sequence, session.capabilities);
        let challenge = Challenge { plugin, nonce: before.nonce };
        let prover = Prover::new(account, session.channel, keys, session.capabilities, challenge);
        Ok(Self { prover, session: session.clone() })
    }

    /// Takes a payload from the server. [`Step::StartTls`] does not come.
    ///
    /// # Errors
    /// [`DialError`]; the connection must be closed, as MySQL does after a refusal (MariaDB would go on with the old user).
    pub fn handle(&mut self, payload: &[u8], sequence: &mut u8, out: &mut Vec<u8>) -> Result<Step, DialError> {
        Ok(match self.prover.handle(payload, sequence, out)? {
            Verdict::Open => Step::Wait,
            Verdict::In(ok, challenge) => Step::Ready(Session { status: ok.status, challenge, ..self.session.clone() }),
        })
    }
}

/// The answer to `greeting`, without a proof yet.
fn response(account: &Account, wanted: &Wanted, greeting: &Greeting, tls: Capabilities) -> HandshakeResponse {
    let database = match account.database {
        Some(_) => Capabilities::CONNECT_WITH_DB,
        None => Capabilities::NONE,
    };
    let asked = (ALWAYS | wanted.capabilities).without(DERIVED) | tls | database;
    HandshakeResponse {
        capabilities: asked & greeting.capabilities,
        max_packet: wanted.max_packet,
        charset: wanted.charset,
        user: account.user.clone(),
        auth_response: auth::Secret::new(Vec::new()),
        database: account.database.clone(),
        plugin: Some(plugin::NATIVE.to_vec()),
        attributes: attributes(),
        zstd_level: None,
    }
}

/// What we say of ourselves: seen in the server's `performance_schema.session_connect_attrs`.
fn attributes() -> Attributes {
    let version = env!("CARGO_PKG_VERSION");
    [(&b"program_name"[..], &b"evenkeel"[..]), (b"_client_version", version.as_bytes())].into_iter().collect()
}

fn unexpected(payload: &[u8], when: &'static str) -> DialError {
    ProtocolError::Unexpected { first: payload.first().copied().unwrap_or_default(), when }.into()
}
