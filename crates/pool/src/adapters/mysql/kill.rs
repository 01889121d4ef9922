//! Ends queries that nobody waits for, from a connection of their own: MySQL knows no other way.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::sync::Semaphore;

/// Kills one query at a time, so that no more than one connection is open beyond those that the pool counts.
#[derive(Debug)]
pub(super) struct Killer(Semaphore);

impl Default for Killer {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

/// Which server this is. Numbers of connections mean something on their own server only, and one address may lead to several.
const WHICH: &str = "SELECT CONCAT_WS('/', @@hostname, @@port, @@server_id, @@datadir)";

/// Which server a connection leads to.
///
/// # Errors
/// It broke. A server that does not tell, for it is none of MySQL's own, is no error.
pub(super) async fn server_of(conn: &mut Conn) -> Result<Option<String>, mysql_async::Error> {
    match conn.query_first(WHICH).await {
        Err(mysql_async::Error::Server(_)) => Ok(None),
        told => told,
    }
}

impl Killer {
    /// Kills the connection with this number on that server, with what it runs. `KILL QUERY` would do nothing where it comes
    /// before the query does, and the query would run on.
    ///
    /// # Errors
    /// There is no second connection, or it leads elsewhere.
    pub(super) async fn kill(&self, opts: &Opts, server: &str, id: u32) -> Result<(), KillError> {
        let Ok(_turn) = self.0.acquire().await else { return Ok(()) };
        let bare = OptsBuilder::from_opts(opts.clone()).init(Vec::<String>::new()).setup(Vec::<String>::new());
        let mut conn = Conn::new(bare).await?;
        let told = server_of(&mut conn).await?;
        let outcome = match told.as_deref() {
            Some(told) if told == server => match conn.query_drop(format!("KILL {id}")).await {
                // That there is no such connection any more is as good (ER_NO_SUCH_THREAD).
                Err(mysql_async::Error::Server(error)) if error.code == 1094 => Ok(()),
                told => told.map_err(KillError::from),
            },
            _ => Err(KillError::Elsewhere),
        };
        let _ = conn.disconnect().await;
        outcome
    }
}

/// Why a query was not killed.
#[derive(Debug, thiserror::Error)]
pub(super) enum KillError {
    #[error(transparent)]
    Driver(#[from] mysql_async::Error),
    #[error("the address leads to another server this time")]
    Elsewhere,
}
