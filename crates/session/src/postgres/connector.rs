//! Connects and logs in to PostgreSQL servers, for the pool.

use std::{io, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use auth::scram::{ClientKeys, Nonce};
use pg::{
    ProtocolError,
    dial::{Dial, DialError, Greeting, Parameters, Step},
    exchange::{Audience, Expect},
    frame::{Message, server as tag},
    write,
};
use pool::{Account, CloseReason, ConnectError, Connector, StateKey};
use route::Address;

use crate::{
    cancel::{CancelTarget, Means},
    census,
    dialling::Dialling,
    observe::ServerMeters,
    postgres::encryption::{EncryptionError, open},
    postgres::server::{ServerConnection, Unnamed},
    secrets::{UserSecret, random},
    stream::Stream,
};

/// The most bytes a server may send before it says that it is ready.
const GREETING_LEN_MAX: usize = 256 * 1024;

/// The most bytes of replies that are held while nobody but us waits for them.
const READ_LEN_MAX: usize = 16 * 1024 * 1024;

/// Where PostgreSQL finds that a role is at its `CONNECTION LIMIT` (`src/backend/utils/init/miscinit.c`); the code is that of a
/// full server, and the text may be translated. The limit of a database is not told apart: several users share it, and what some
/// of them leave idle has to move to others, as if the server were full.
const OF_ROLE: &str = "InitializeSessionUserId";

/// Makes connections to one server.
#[derive(Debug)]
pub struct PgConnector {
    address: Address,
    habits: Arc<ArcSwap<Habits>>,
    meters: Arc<ServerMeters>,
}

/// What is done with every connection to a server.
#[derive(Debug)]
pub(crate) struct Habits {
    /// The most statements to keep prepared on one connection.
    pub(crate) statements_max: usize,
    /// Runs once on a new connection; empty: nothing does.
    pub(crate) init_sql: Arc<str>,
    /// Asks whether a connection still works; empty: an empty query, the cheapest thing that a server answers.
    pub(crate) validation_query: Arc<str>,
    /// Whether the first connection asks how many the server lets in.
    pub(crate) asks_census: bool,
    /// How the server is reached.
    pub(crate) dialling: Dialling,
}

impl PgConnector {
    pub(crate) fn new(address: Address, habits: Arc<ArcSwap<Habits>>, meters: Arc<ServerMeters>) -> Self {
        Self { address, habits, meters }
    }
}

/// Who to log in as, and where to.
#[derive(Debug)]
pub struct Login {
    /// User name.
    pub user: Arc<str>,
    /// Database name.
    pub database: Arc<str>,
    /// What proves it; `None` when the server asks for nothing.
    pub secret: Option<Arc<UserSecret>>,
    /// What the server last reported of itself at a login: names and values.
    pub(crate) parameters: Arc<ArcSwapOption<Parameters>>,
}

/// Why a server could not be reached or logged in to, or did not pass a check.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The login.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server sent more at once than we take where no client waits for it.
    #[error("the server sends more than is reasonable at this point")]
    Flood,
    /// It does not become encrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// It failed a statement of ours.
    #[error("the server refused a statement of the pool: {0}")]
    Statement(String),
}

impl From<ProtocolError> for ServerError {
    fn from(error: ProtocolError) -> Self {
        Self::Dial(error.into())
    }
}

impl ServerError {
    /// SQLSTATE and message, if the server gave any.
    #[must_use]
    pub fn said(&self) -> Option<(&str, &str)> {
        match self {
            Self::Dial(DialError::Refused { code, message, .. }) => Some((code, message)),
            _ => None,
        }
    }

    fn classify(self) -> ConnectError<Self> {
        let code = self.said().map(|(code, _)| code.to_owned());
        match (code.as_deref(), &self) {
            (Some("53300"), Self::Dial(DialError::Refused { routine, .. })) if routine == OF_ROLE => {
                ConnectError::too_many_for_route(self)
            }
            (Some("53300"), _) => ConnectError::too_many_connections(self),
            // The server is starting, stopping or recovering: 57P01 to 57P03. It knows nothing of the login yet.
            (Some(code), _) if code.starts_with("57P") || code.starts_with("53") => ConnectError::unavailable(self),
            (Some(_), _)
            | (None, Self::Dial(DialError::Auth(_) | DialError::NoPassword | DialError::Method { .. })) => {
                ConnectError::login_refused(self)
            }
            _ => ConnectError::unavailable(self),
        }
    }
}

impl Connector for PgConnector {
    type Connection = ServerConnection;
    type Route = Login;
    type Error = ServerError;

    async fn connect(&self, login: &Arc<Login>) -> Result<ServerConnection, ConnectError<ServerError>> {
        let habits = self.habits.load_full();
        let mut stream =
            open(&habits.dialling, &self.address).await.map_err(|error| ServerError::from(error).classify())?;
        let greeting = log_in(&mut stream, login).await.map_err(ServerError::classify)?;
        login.parameters.store(Some(Arc::new(greeting.parameters.clone())));
        let cancel = CancelTarget::new(
            self.address.clone(),
            greeting.process,
            Means::Postgres { key: greeting.key, dialling: habits.dialling.like(&stream) },
        );
        let mut server = ServerConnection::new(stream, cancel, greeting.parameters, habits.statements_max);
        if !habits.init_sql.is_empty() {
            run(&mut server, habits.init_sql.as_bytes()).await.map_err(ServerError::classify)?;
        }
        if habits.asks_census {
            let names = (&*login.user, &*login.database);
            census::ask_postgres(&self.meters, names, &mut server).await.map_err(ServerError::classify)?;
        }
        Ok(server)
    }

    fn account(&self, login: &Login) -> Option<Account> {
        Some(Account::of(&login.user))
    }

    fn is_reusable(&self, server: &mut ServerConnection) -> bool {
        server.is_clean() && server.cancel.is_safe()
    }

    fn state(&self, server: &ServerConnection) -> StateKey {
        StateKey(server.settings.key())
    }

    async fn validate(&self, server: &mut ServerConnection) -> Result<(), ServerError> {
        let query = self.habits.load().validation_query.clone();
        run(server, query.as_bytes()).await
    }

    async fn close(&self, mut server: ServerConnection, reason: CloseReason) {
        tracing::debug!(process = server.process(), why = server.unfit(), ?reason, "server connection closed");
        let mut goodbye = Vec::new();
        write::terminate(&mut goodbye);
        if server.stream.write_all(&goodbye).await.is_ok() {
            server.stream.shut_down().await;
            // The permit is free once the server let go, not when we did: else the next connect may meet a full server.
            while matches!(server.stream.read_some(&mut Vec::new()).await, Ok(1..)) {}
        }
    }
}

/// Runs a statement of ours and waits for the end of its answer, with everything owed before it.
pub(crate) async fn run(server: &mut ServerConnection, text: &[u8]) -> Result<(), ServerError> {
    ask(server, text).await?;
    settle(server, Vec::new()).await
}

/// Runs a statement of ours and returns the bodies of its rows.
pub(crate) async fn rows(server: &mut ServerConnection, text: &[u8]) -> Result<Vec<Vec<u8>>, ServerError> {
    let mut rows = Vec::new();
    ask(server, text).await?;
    let see = |message: &Message<'_>| {
        if message.tag == tag::DATA_ROW {
            rows.push(message.body.to_vec());
        }
    };
    settle_seeing(server, Vec::new(), see).await?;
    Ok(rows)
}

async fn ask(server: &mut ServerConnection, text: &[u8]) -> Result<(), ServerError> {
    let mut packet = Vec::new();
    write::query(&mut packet, text);
    server.exchange.expect(Expect::Query(Audience::Us));
    server.unnamed = Unnamed::Absent;
    server.stream.write_all(&packet).await?;
    Ok(())
}

/// Reads and drops replies until nothing is owed; `bytes` were read before.
pub(crate) async fn settle(server: &mut ServerConnection, bytes: Vec<u8>) -> Result<(), ServerError> {
    settle_seeing(server, bytes, |_| {}).await
}

async fn settle_seeing(
    server: &mut ServerConnection,
    mut bytes: Vec<u8>,
    mut see: impl FnMut(&Message<'_>),
) -> Result<(), ServerError> {
    let mut refused = None;
    loop {
        let mut rest = bytes.as_slice();
        while let Some((message, after)) = Message::split(rest)? {
            rest = after;
            let reply = server.exchange.handle(message.tag, message.body)?;
            see(&message);
            if message.tag == tag::PARAMETER_STATUS {
                let (name, value) = pg::view::parameter_status(message.body)?;
                server.report(name, value);
            }
            if message.tag == tag::ERROR_RESPONSE {
                let skipped: Vec<_> = server.exchange.take_skipped().collect();
                skipped.iter().rev().for_each(|expect| server.undo(expect));
                if reply.audience == Audience::Us {
                    let text = pg::view::error_field(message.body, b'M').unwrap_or_default();
                    refused = Some(String::from_utf8_lossy(text).into_owned());
                }
            }
            while server.exchange.poll_fake().is_some() {}
        }
        let consumed = bytes.len() - rest.len();
        bytes.drain(..consumed);
        if server.exchange.is_settled() && bytes.is_empty() {
            return refused.map_or(Ok(()), |text| Err(ServerError::Statement(text)));
        }
        if bytes.len() > READ_LEN_MAX {
            return Err(ServerError::Flood);
        }
        if server.stream.read_some(&mut bytes).await? == 0 {
            return Err(ServerError::Closed);
        }
    }
}

async fn log_in(stream: &mut Stream, login: &Login) -> Result<Greeting, ServerError> {
    let mut out = Vec::new();
    let credential = login.secret.as_ref().map(|secret| secret.credential().clone());
    let nonce = Nonce::new(random());
    let settings = std::iter::once((&b"application_name"[..], &b"evenkeel"[..]));
    let mut dial = Dial::begin(login.user.as_bytes(), login.database.as_bytes(), settings, credential, nonce, &mut out);
    let (mut bytes, mut total) = (Vec::new(), 0);
    loop {
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        let read = stream.read_some(&mut bytes).await?;
        total += read;
        if read == 0 {
            return Err(ServerError::Closed);
        }
        if total > GREETING_LEN_MAX {
            return Err(ServerError::Flood);
        }
        let mut rest = bytes.as_slice();
        while let Some((message, after)) = Message::split(rest)? {
            rest = after;
            if let Some(greeting) = step(&mut dial, message, login, &mut out).await? {
                return Ok(greeting);
            }
        }
        let consumed = bytes.len() - rest.len();
        bytes.drain(..consumed);
    }
}

async fn step(
    dial: &mut Dial,
    message: Message<'_>,
    login: &Login,
    out: &mut Vec<u8>,
) -> Result<Option<Greeting>, ServerError> {
    let step = match &login.secret {
        Some(secret) => secret.with_keys(|keys| dial.handle(message.tag, message.body, keys, out)),
        None => dial.handle(message.tag, message.body, &mut auth::scram::KeyCache::new(1), out),
    }?;
    match step {
        Step::Wait => Ok(None),
        Step::Ready(greeting) => Ok(Some(greeting)),
        Step::Derive(password, derivation) => {
            // A millisecond or more of hashing, and up to 250 of them for a server that asks for many rounds.
            let keys = tokio::task::spawn_blocking(move || Arc::new(ClientKeys::derive(&password, derivation)))
                .await
                .map_err(io::Error::other)?;
            if let Some(secret) = &login.secret {
                secret.with_keys(|cache| cache.insert(keys.clone()));
            }
            dial.answer(&keys, out)?;
            Ok(None)
        }
    }
}
