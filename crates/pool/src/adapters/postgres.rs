//! PostgreSQL, over `tokio-postgres` (feature `tokio-postgres`).
//!
//! ```no_run
//! use pool::{Checkout, Options, postgres};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (pool, app) = postgres::from_url("postgres://app:secret@db.example/shop", &Options::default())?;
//! let client = pool.checkout(app, Checkout::new()).await?;
//! let row = client.query_one("SELECT count(*) FROM orders", &[]).await?;
//! println!("{}", row.get::<_, i64>(0));
//! # Ok(())
//! # }
//! ```
//!
//! A lease can be dropped at any moment, in the middle of a query too. `tokio-postgres` would go on with what was asked for,
//! and the next holder would wait for it, or find itself in a transaction that somebody else began. So what passes on the
//! wire is watched: a connection on which everything is answered and no transaction is open goes back at once, without a
//! word to the server; any other one is settled first, or cancelled and closed.

mod dial;
mod traffic;
mod watch;

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use scheduler::{CloseReason, RouteId};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, NoTls, Socket};

use crate::connector::{Account, ConnectError, Connector};
use crate::options::{OnReturn, Options, Session};
use crate::pool::Pool;
use dial::Dial;
use traffic::Session as Standing;
use watch::Watch;

/// How long a query may go on after a request to cancel it until it is asked again; twice as long each further time.
const CANCEL_PATIENCE: Duration = Duration::from_millis(100);

/// A pool of connections to the server of this URL, as `tokio-postgres` reads it, and the route of its user.
///
/// It does not encrypt: for `sslmode=require` see [`Postgres::with_tls`].
///
/// # Errors
/// The URL is none.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn from_url(url: &str, options: &Options) -> Result<(Pool<Postgres>, RouteId), tokio_postgres::Error> {
    let config: Config = url.parse()?;
    Ok(options.open(Postgres::new(options.session.clone()), config, ()))
}

/// Connects to PostgreSQL servers. A route is a [`Config`].
///
/// `T` encrypts, if asked to. A configuration names several hosts only if they are TCP addresses; a unix socket stands alone.
#[derive(Clone)]
pub struct Postgres<T = NoTls> {
    tls: Option<T>,
    session: Session,
}

impl Postgres {
    /// A connector that does not encrypt.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { tls: None, session }
    }
}

impl<T: Tls> Postgres<T> {
    /// A connector that encrypts as each configuration's `sslmode` says.
    #[must_use]
    pub fn with_tls(tls: T, session: Session) -> Self {
        Self { tls: Some(tls), session }
    }
}

/// What can encrypt: any `MakeTlsConnect` that can be shared between tasks.
pub trait Tls:
    MakeTlsConnect<Socket, Stream: Send, TlsConnect: TlsConnect<Socket, Future: Send> + Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Tls for T where
    T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: TlsConnect<Socket, Future: Send> + Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// A client of `tokio-postgres`, logged in. Notices are logged by the driver; notifications of `LISTEN` are not kept.
pub struct Connection {
    client: Client,
    config: Arc<Config>,
    watch: Arc<Watch>,
    driver: DriverTask,
    whereabouts: Whereabouts,
}

/// The task that moves bytes. It ends with this, so that a socket never outlives its permit.
struct DriverTask(JoinHandle<()>);

impl Drop for DriverTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a validation finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    /// Known to be settled.
    Settled,
    /// Back from a holder.
    Returned,
}

/// Why a connect or a validation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The driver or the server reported it.
    #[error("{}", explain(.0))]
    Driver(#[from] tokio_postgres::Error),
    /// The unix socket could not be opened.
    #[error("cannot connect to the unix socket: {0}")]
    Socket(#[source] io::Error),
    /// The session did not come to rest.
    #[error("the session is still at work or in a transaction")]
    Restless,
}

/// The driver's words alone are "db error".
fn explain(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => error.to_string(),
    }
}

impl<T: Tls> Connector for Postgres<T> {
    type Connection = Connection;
    type Route = Config;
    type Error = Error;

    async fn connect(&self, config: &Arc<Config>) -> Result<Connection, ConnectError<Error>> {
        let watch = Watch::new();
        let (client, driver) = Dial::new(config, self.tls.as_ref()).connect(&watch).await.map_err(judge)?;
        let driver = DriverTask(tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection broke");
            }
        }));
        if !self.session.init_sql.is_empty() {
            let ran = client.batch_execute(&self.session.init_sql).await;
            ran.map_err(|error| ConnectError::unavailable(error.into()))?;
        }
        Ok(Connection { client, config: Arc::clone(config), watch, driver, whereabouts: Whereabouts::Settled })
    }

    fn account(&self, config: &Config) -> Option<Account> {
        config.get_user().map(Account::of)
    }

    fn is_reusable(&self, connection: &mut Connection) -> bool {
        connection.whereabouts = Whereabouts::Returned;
        !connection.client.is_closed()
    }

    fn must_settle(&self, connection: &Connection) -> bool {
        self.session.on_return == OnReturn::Reset || !connection.watch.is_at_rest()
    }

    async fn validate(&self, connection: &mut Connection) -> Result<(), Error> {
        // One that was at rest when its holder gave it back has no more to settle than any other.
        if connection.whereabouts == Whereabouts::Returned && self.must_settle(connection) {
            connection.settle(&self.session).await?;
        } else {
            connection.client.batch_execute(&self.session.validation_query).await?;
        }
        connection.whereabouts = Whereabouts::Settled;
        Ok(())
    }

    /// Dropping the client makes its driver say goodbye and end. A query that nobody waits for is cancelled first: the server
    /// would work on, in a connection that nobody counts any more.
    async fn close(&self, connection: Connection, _: CloseReason) {
        let Connection { client, config, watch, mut driver, .. } = connection;
        let (token, mut patience) = (client.cancel_token(), CANCEL_PATIENCE);
        drop(client);
        loop {
            if watch.is_answering()
                && !driver.0.is_finished()
                && let Err(error) = Dial::new(&config, self.tls.as_ref()).cancel(&token).await
            {
                tracing::debug!(%error, "a query could not be cancelled");
            }
            // A request may overtake the query that it is meant for, and the server forgets it.
            if timeout(patience, &mut driver.0).await.is_ok() {
                return;
            }
            patience *= 2;
        }
    }
}

impl Connection {
    /// Ends what a holder left unfinished; its session's state as well, if so asked.
    async fn settle(&self, session: &Session) -> Result<(), Error> {
        if !self.watch.comes_to_rest().await {
            // It is answered after everything before it.
            self.client.batch_execute("").await?;
        }
        if self.watch.session() == Standing::InTransaction {
            self.client.batch_execute("ROLLBACK").await?;
        }
        if session.on_return == OnReturn::Reset {
            self.client.batch_execute(RESET).await?;
            if !session.init_sql.is_empty() {
                self.client.batch_execute(&session.init_sql).await?;
            }
        }
        // The driver itself may still be looking for more to read.
        match (self.watch.is_answering(), self.watch.session()) {
            (false, Standing::Idle) => Ok(()),
            _ => Err(Error::Restless),
        }
    }
}

/// What `DISCARD ALL` does (PostgreSQL's manual, "DISCARD"), but for prepared statements: the driver has some of its own, and
/// a statement is no state that another holder could stumble upon.
const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); \
                     DISCARD TEMP; DISCARD SEQUENCES";

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("whereabouts", &self.whereabouts).finish_non_exhaustive()
    }
}

impl Error {
    /// Whether the `CONNECTION LIMIT` of the role is what was met: the text may be translated, the place in the server's source
    /// is not (`src/backend/utils/init/miscinit.c`).
    fn is_of_role(&self) -> bool {
        let Self::Driver(told) = self else { return false };
        told.as_db_error().and_then(|told| told.routine()) == Some("InitializeSessionUserId")
    }
}

/// Whose fault a failed connect is.
fn judge(error: Error) -> ConnectError<Error> {
    let code = match &error {
        Error::Driver(told) => told.code(),
        Error::Socket(_) | Error::Restless => None,
    };
    match code {
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS && error.is_of_role() => {
            ConnectError::too_many_for_route(error)
        }
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => ConnectError::too_many_connections(error),
        // Class 28: the login itself; 3D000: no such database; 42501: it may not be used.
        Some(code) if code.code().starts_with("28") || matches!(code.code(), "3D000" | "42501") => {
            ConnectError::login_refused(error)
        }
        _ => ConnectError::unavailable(error),
    }
}
