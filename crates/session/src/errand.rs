//! A server connection on an errand of our own, past every client: for whoever measures a server.

use std::{error::Error, time::Duration};

use mysql::{exchange::Asked, write};
use pool::{Checkout, Lease};

use crate::{
    driver::AnyLink,
    engine::{Engine, LaneError},
    lane::Flavour,
    mysql::{self as my, MyConnector},
    postgres::{self as pg, PgConnector},
};

/// A server connection that runs texts and forgets their answers. Dropping it gives it back to the pool, or closes it if it
/// is not as it was.
pub struct Errand(Held);

enum Held {
    Postgres(Lease<PgConnector>),
    Mysql(Lease<MyConnector>),
}

/// Why a text did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrandError {
    /// The server refused it; the connection can be used further. Its words.
    #[error("{0}")]
    Refused(String),
    /// The connection is of no further use.
    #[error(transparent)]
    Broken(Box<dyn Error + Send + Sync>),
}

impl Engine {
    /// Takes a connection of a route for an errand of our own.
    ///
    /// # Errors
    /// Why there is none: the names lead nowhere, or the server lets nobody in `within` this time.
    pub async fn errand(
        &self,
        user: &str,
        database: &str,
        within: Duration,
    ) -> Result<Errand, Box<dyn Error + Send + Sync>> {
        let link: Result<AnyLink, LaneError> = self.link(user, database, Flavour::Plain);
        let terms = Checkout::new().within(within);
        Ok(Errand(match link? {
            AnyLink::Postgres(link) => Held::Postgres(link.pool.checkout(link.id, terms).await?),
            AnyLink::Mysql(link) => Held::Mysql(link.pool.checkout(link.id, terms).await?),
        }))
    }
}

impl Errand {
    /// Runs a text and waits for the end of its answer, which nobody sees.
    ///
    /// # Errors
    /// As the kinds say.
    pub async fn run(&mut self, text: &str) -> Result<(), ErrandError> {
        match &mut self.0 {
            Held::Postgres(server) => pg::run(server, text.as_bytes()).await.map_err(|error| match error {
                pg::ServerError::Statement(said) => ErrandError::Refused(said),
                other => ErrandError::Broken(Box::new(other)),
            }),
            Held::Mysql(server) => {
                let mut packet = Vec::new();
                write::query(&mut packet, server.capabilities(), text.as_bytes());
                my::run(server, Asked::Results, &packet).await.map_err(|error| match error {
                    my::ServerError::Statement { code, message, .. } => {
                        ErrandError::Refused(format!("{message} (error {code})"))
                    }
                    other => ErrandError::Broken(Box::new(other)),
                })
            }
        }
    }

    /// The version that the server told when the connection was made.
    #[must_use]
    pub fn version(&self) -> String {
        match &self.0 {
            Held::Postgres(server) => server.version(),
            Held::Mysql(server) => server.version(),
        }
    }
}
