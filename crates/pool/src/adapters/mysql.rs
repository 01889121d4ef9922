//! MySQL and MariaDB, over `mysql_async` (feature `mysql-async`).
//!
//! ```no_run
//! use pool::{Checkout, Options, mysql};
//! use mysql_async::prelude::Queryable;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (pool, app) = mysql::from_url("mysql://app:secret@db.example/shop", &Options::default())?;
//! let mut conn = pool.checkout(app, Checkout::new()).await?;
//! let orders: Option<u64> = conn.query_first("SELECT count(*) FROM orders").await?;
//! println!("{orders:?}");
//! # Ok(())
//! # }
//! ```
//!
//! The driver's own pool is not used, and what its options say of pools is ignored. A connection whose holder dropped a query
//! in the middle is closed. MySQL would work on and notice only when it has an answer to send, so the query is killed first, from
//! a connection of its own: for that moment there is one connection more than the budget, and never more than one at a time.
//! Whether a result was left unread, or a transaction open, the driver does not tell, so a returned connection always has a round
//! trip to make before it is lent again.

mod kill;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use mysql_async::consts::StatusFlags;
use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, Opts};
use scheduler::{CloseReason, RouteId};

use crate::connector::{Account, ConnectError, Connector};
use crate::options::{OnReturn, Options, Session};
use crate::pool::Pool;
use kill::Killer;

/// A pool of connections to the server of this URL, as `mysql_async` reads it, and the route of its user.
///
/// # Errors
/// The URL is none.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn from_url(url: &str, options: &Options) -> Result<(Pool<Mysql>, RouteId), mysql_async::UrlError> {
    let opts = Opts::from_url(url)?;
    Ok(options.open(Mysql::new(options.session.clone()), opts, ()))
}

/// Connects to MySQL and MariaDB servers. A route is an [`Opts`].
#[derive(Debug, Clone)]
pub struct Mysql {
    session: Session,
    killer: Arc<Killer>,
}

impl Mysql {
    /// A connector.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session, killer: Arc::default() }
    }
}

/// A connection of `mysql_async`, logged in.
pub struct Connection {
    conn: Conn,
    opts: Arc<Opts>,
    /// Which server it leads to; `None`: that did not tell.
    server: Option<String>,
    whereabouts: Whereabouts,
}

/// What a validation finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    /// Known to be settled.
    Settled,
    /// Back from a holder.
    Returned,
}

impl Connector for Mysql {
    type Connection = Connection;
    type Route = Opts;
    type Error = mysql_async::Error;

    async fn connect(&self, opts: &Arc<Opts>) -> Result<Connection, ConnectError<Self::Error>> {
        let mut conn = Conn::new(Opts::clone(opts)).await.map_err(judge)?;
        let server = kill::server_of(&mut conn).await.map_err(ConnectError::unavailable)?;
        self.run_init_sql(&mut conn).await.map_err(ConnectError::unavailable)?;
        Ok(Connection { conn, opts: Arc::clone(opts), server, whereabouts: Whereabouts::Settled })
    }

    fn account(&self, opts: &Opts) -> Option<Account> {
        opts.user().map(Account::of)
    }

    /// The driver counts a connection as disconnected from the start of a command to the end of its answer's first part, so
    /// one whose holder went away in between is.
    fn is_reusable(&self, connection: &mut Connection) -> bool {
        connection.whereabouts = Whereabouts::Returned;
        !connection.conn.is_disconnected()
    }

    fn must_settle(&self, _: &Connection) -> bool {
        true
    }

    async fn validate(&self, connection: &mut Connection) -> Result<(), Self::Error> {
        if connection.whereabouts == Whereabouts::Returned {
            connection.settle().await?;
            if self.session.on_return == OnReturn::Reset {
                connection.reset().await?;
                self.run_init_sql(&mut connection.conn).await?;
            }
            connection.whereabouts = Whereabouts::Settled;
        } else if self.session.validation_query.is_empty() {
            connection.conn.ping().await?;
        } else {
            connection.conn.query_drop(&self.session.validation_query).await?;
        }
        Ok(())
    }

    /// A query that nobody waits for is killed first.
    async fn close(&self, connection: Connection, _: CloseReason) {
        let Connection { conn, opts, server, .. } = connection;
        if conn.is_disconnected()
            && let Some(server) = server
            && let Err(error) = self.killer.kill(&opts, &server, conn.id()).await
        {
            tracing::debug!(%error, "a query could not be killed");
        }
        // A server that is gone needs no goodbye.
        let _ = conn.disconnect().await;
    }
}

impl Mysql {
    async fn run_init_sql(&self, conn: &mut Conn) -> Result<(), mysql_async::Error> {
        if self.session.init_sql.is_empty() { Ok(()) } else { conn.query_drop(&self.session.init_sql).await }
    }
}

impl Connection {
    /// Reads what is unread and rolls back what is open.
    async fn settle(&mut self) -> Result<(), mysql_async::Error> {
        // The driver reads what is unread before any command. An error in there was the holder's and not the ping's.
        if let Err(mysql_async::Error::Server(_)) = self.conn.ping().await {
            self.conn.ping().await?;
        }
        let status = self.conn.last_ok_packet().map(|ok| ok.status_flags()).unwrap_or_default();
        if status.contains(StatusFlags::SERVER_STATUS_IN_TRANS) {
            self.conn.query_drop("ROLLBACK").await?;
        }
        Ok(())
    }

    /// Makes the session what it was after its login.
    async fn reset(&mut self) -> Result<(), mysql_async::Error> {
        // Servers older than COM_RESET_CONNECTION log in anew.
        if !self.conn.reset().await? {
            self.conn.change_user(ChangeUserOpts::default()).await?;
        }
        Ok(())
    }
}

impl Deref for Connection {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.conn.id();
        f.debug_struct("Connection").field("id", &id).field("whereabouts", &self.whereabouts).finish_non_exhaustive()
    }
}

/// Whose fault a failed connect is.
fn judge(error: mysql_async::Error) -> ConnectError<mysql_async::Error> {
    let code = match &error {
        mysql_async::Error::Server(told) => Some(told.code),
        _ => None,
    };
    match code {
        // ER_CON_COUNT_ERROR: there is room when others leave.
        Some(1040) => ConnectError::too_many_connections(error),
        // ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED: others have room.
        Some(1203 | 1226) => ConnectError::too_many_for_route(error),
        // ER_DBACCESS_DENIED_ERROR, ER_ACCESS_DENIED_ERROR, ER_BAD_DB_ERROR, ER_HOST_NOT_PRIVILEGED,
        // ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ER_ACCOUNT_HAS_BEEN_LOCKED.
        Some(1044 | 1045 | 1049 | 1130 | 1698 | 3118) => ConnectError::login_refused(error),
        _ => ConnectError::unavailable(error),
    }
}
