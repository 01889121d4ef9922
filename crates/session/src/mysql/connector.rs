//! Connects and logs in to MySQL and MariaDB servers, for the pool, and runs what we ask of them ourselves.

mod login;
mod talk;

use std::{io, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use mysql::{ProtocolError, command::Command, dial::DialError, exchange, write};
use pool::{Account, CloseReason, ConnectError, Connector, Realm, StateKey};
use route::Address;

pub(super) use self::login::{fresh, greet};
pub(super) use self::talk::read_error;
pub(crate) use self::talk::{prepare, query, rows, run, settle};
use super::{facts::Facts, server::ServerConnection};
use crate::{
    census, dialling::Dialling, lane::Flavour, observe::ServerMeters, plan::Compression, secrets::UserSecret,
    stream::Codecs,
};

/// Makes connections to one server.
#[derive(Debug)]
pub struct MyConnector {
    pub(super) address: Address,
    pub(super) habits: Arc<ArcSwap<Habits>>,
    /// What is known of the server, once a connection has asked.
    pub(super) facts: Arc<ArcSwapOption<Facts>>,
    pub(super) meters: Arc<ServerMeters>,
}

/// What is done with every connection to a server.
#[derive(Debug)]
pub(crate) struct Habits {
    /// The most statements to keep prepared on one connection.
    pub(crate) statements_max: usize,
    /// Runs once on a new connection; empty: nothing does.
    pub(crate) init_sql: Arc<str>,
    /// Asks whether a connection still works; empty: `COM_PING`.
    pub(crate) validation_query: Arc<str>,
    /// Whether clients may load files of theirs.
    pub(crate) local_infile: bool,
    /// How connections are compressed, if the server can.
    pub(crate) compression: Option<Compression>,
    /// What compresses.
    pub(crate) codecs: Arc<Codecs>,
    /// Whether the first connection asks how many the server lets in.
    pub(crate) asks_census: bool,
    /// How the server is reached.
    pub(crate) dialling: Dialling,
}

/// Who to log in as, and where to.
#[derive(Debug)]
pub struct Login {
    /// User name.
    pub user: Arc<str>,
    /// Database name; empty for none.
    pub database: Arc<str>,
    /// What proves it; `None` when the server asks for nothing.
    pub secret: Option<Arc<UserSecret>>,
    /// What the connection must be from its first byte on.
    pub flavour: Flavour,
}

/// Why a server could not be reached or logged in to, or did not do what we asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Encryption.
    #[error(transparent)]
    Tls(#[from] tls::HandshakeError),
    /// The login.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server sent more at once than we take where no client waits for it.
    #[error("the server sends more than is reasonable at this point")]
    Flood,
    /// It failed a statement of ours, for which the client is to blame or to be told.
    #[error("the server refused a statement of the pool: {message} (error {code})")]
    Statement {
        /// The error's number.
        code: u16,
        /// SQLSTATE.
        sqlstate: [u8; 5],
        /// Its text.
        message: String,
    },
    /// It failed a statement of ours that must not fail.
    #[error("the server refused to set up the session: {0}")]
    Setup(String),
}

impl From<ProtocolError> for ServerError {
    fn from(error: ProtocolError) -> Self {
        Self::Dial(error.into())
    }
}

impl ServerError {
    /// Number, SQLSTATE and message, if the server gave any at a login.
    #[must_use]
    pub fn said(&self) -> Option<(u16, [u8; 5], &str)> {
        match self {
            Self::Dial(DialError::Refused { code, sqlstate, message }) => Some((*code, *sqlstate, message)),
            _ => None,
        }
    }

    /// The same error where no client is to be told of it as its own.
    pub(crate) fn into_fatal(self) -> Self {
        match self {
            Self::Statement { message, .. } => Self::Setup(message),
            other => other,
        }
    }

    pub(super) fn classify(self) -> ConnectError<Self> {
        let code = self.said().map(|(code, ..)| code);
        match (code, &self) {
            // Too many connections in all, or of this user.
            (Some(1040), _) => ConnectError::too_many_connections(self),
            (Some(1203 | 1226), _) => ConnectError::too_many_for_route(self),
            // Shutting down (1053), starting (3168), this host blocked (1129): nothing about the login.
            (Some(1053 | 1129 | 3168), _) | (None, Self::Tls(tls::HandshakeError::Io(_))) => {
                ConnectError::unavailable(self)
            }
            (Some(_), _)
            | (
                None,
                Self::Dial(
                    DialError::Auth(_)
                    | DialError::NoPassword { .. }
                    | DialError::Plugin { .. }
                    | DialError::NoTls
                    | DialError::Unprotected { .. }
                    | DialError::OnlyHash,
                )
                | Self::Tls(_)
                | Self::Setup(_)
                | Self::Statement { .. },
            ) => ConnectError::login_refused(self),
            _ => ConnectError::unavailable(self),
        }
    }
}

impl Connector for MyConnector {
    type Connection = ServerConnection;
    type Route = Login;
    type Error = ServerError;

    async fn connect(&self, login: &Arc<Login>) -> Result<ServerConnection, ConnectError<ServerError>> {
        self.log_in(login).await.map_err(ServerError::classify)
    }

    /// Connections of one flavour can become each other's by `COM_CHANGE_USER`.
    fn realm(&self, login: &Login) -> Option<Realm> {
        Some(Realm(match login.flavour {
            Flavour::Plain => 0,
            Flavour::FoundRows => 1,
            Flavour::Attributes => 2,
            Flavour::FoundRowsAttributes => 3,
        }))
    }

    fn account(&self, login: &Login) -> Option<Account> {
        Some(Account::of(&login.user))
    }

    async fn rekey(&self, server: &mut ServerConnection, to: &Arc<Login>) -> Result<(), ConnectError<ServerError>> {
        if server.session.is_mariadb && server.role.is_some() {
            // There the next user would have the role of the last one.
            return Err(ConnectError::unavailable(ServerError::Setup("the session would keep its role".into())));
        }
        // Whatever failed here: whether the user may log in is for an ordinary login to tell.
        let moved = login::change_user(server, to, to.database.as_bytes()).await;
        moved.map_err(ConnectError::unavailable)?;
        server.role = login::role(server).await.map_err(ConnectError::unavailable)?;
        if server.habits.asks_census {
            census::ask_mysql(&self.meters, &to.user, server).await.map_err(ConnectError::unavailable)?;
        }
        Ok(())
    }

    fn is_reusable(&self, server: &mut ServerConnection) -> bool {
        server.is_clean() && server.cancel.is_safe()
    }

    fn state(&self, server: &ServerConnection) -> StateKey {
        StateKey(server.settings.key())
    }

    async fn validate(&self, server: &mut ServerConnection) -> Result<(), ServerError> {
        let text = self.habits.load().validation_query.clone();
        if !text.is_empty() {
            return rows(server, text.as_bytes()).await.map(drop);
        }
        let mut packet = Vec::new();
        write::command(&mut packet, Command::Ping, b"");
        run(server, exchange::Asked::Simple, &packet).await
    }

    async fn close(&self, mut server: ServerConnection, reason: CloseReason) {
        tracing::debug!(process = server.process(), why = server.unfit(), ?reason, "server connection closed");
        let mut goodbye = Vec::new();
        write::command(&mut goodbye, Command::Quit, b"");
        if server.stream.write_all(&goodbye).await.is_ok() {
            server.stream.shut_down().await;
            // The permit is free once the server let go, not when we did: else the next connect may meet a full server.
            while matches!(server.stream.read_some(&mut Vec::new()).await, Ok(1..)) {}
        }
    }
}

/// Wipes what clients have left in the session.
///
/// A role stays through a reset on both servers (seen with MySQL 9.7, MariaDB 10.11), and on MariaDB also through a new
/// login. A connection that does not lose it serves nobody again.
pub(crate) async fn reset(server: &mut ServerConnection) -> Result<(), ServerError> {
    reset_session(server).await?;
    if login::role(server).await? != server.role {
        log_in_anew(server, None).await?;
    }
    match login::role(server).await? == server.role {
        true => Ok(()),
        false => Err(ServerError::Setup("the session keeps a role that a client has set".into())),
    }
}

/// By `COM_RESET_CONNECTION` where there is one, else by a new login.
async fn reset_session(server: &mut ServerConnection) -> Result<(), ServerError> {
    let mut packet = Vec::new();
    write::command(&mut packet, Command::ResetConnection, b"");
    match run(server, exchange::Asked::Simple, &packet).await {
        Ok(()) => {}
        // Servers before MySQL 5.7 and MariaDB 10.2 do not know the command.
        Err(ServerError::Statement { .. }) => return log_in_anew(server, None).await,
        Err(error) => return Err(error),
    }
    if server.settings.schema() != server.fresh.schema() {
        // The current database stays through a reset.
        if server.fresh.schema().is_empty() {
            return log_in_anew(server, None).await;
        }
        packet.clear();
        write::command(&mut packet, Command::InitDb, server.fresh.schema());
        run(server, exchange::Asked::Simple, &packet).await?;
    }
    server.renew();
    login::set_up(server).await
}

/// Logs in again as the same user, in this database, which may be empty; `None`: where connections of the route begin.
pub(crate) async fn log_in_anew(server: &mut ServerConnection, schema: Option<&[u8]>) -> Result<(), ServerError> {
    let same = server.login.clone();
    login::change_user(server, &same, schema.unwrap_or(same.database.as_bytes())).await
}
