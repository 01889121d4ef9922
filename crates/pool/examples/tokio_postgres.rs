//! The pool inside an application, over `tokio-postgres`.
//!
//! `DATABASE_URL=postgres://user@host/db cargo run -p evenkeel-pool --example tokio_postgres`
//!
//! Two routes, one user for the shop and one for reports, share one budget of four connections. Eighty tasks of the shop
//! and two of the reports use them for two seconds; then the program shows who got what.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pool::{Checkout, ClassId, CloseReason, ConnectError, Connector, Pool, RouteLimits, Settings};
use tokio::task::{JoinHandle, JoinSet};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

/// Connects to one PostgreSQL server.
struct Postgres;

/// A client and the task that moves its bytes.
struct Connection {
    client: Client,
    driver: JoinHandle<()>,
}

impl Connector for Postgres {
    type Connection = Connection;
    type Route = Config;
    type Error = tokio_postgres::Error;

    async fn connect(&self, config: &Arc<Config>) -> Result<Connection, ConnectError<Self::Error>> {
        let (client, stream) = config.connect(NoTls).await.map_err(judge)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = stream.await {
                eprintln!("a connection broke: {error}");
            }
        });
        Ok(Connection { client, driver })
    }

    /// A transaction of `tokio-postgres` that is dropped queues its own ROLLBACK, so an open socket is a clean session.
    fn is_reusable(&self, connection: &mut Connection) -> bool {
        !connection.client.is_closed()
    }

    async fn validate(&self, connection: &mut Connection) -> Result<(), Self::Error> {
        connection.client.simple_query("").await.map(drop)
    }

    /// Dropping the client makes its driver say goodbye and end.
    async fn close(&self, connection: Connection, _: CloseReason) {
        drop(connection.client);
        let _ = connection.driver.await;
    }
}

/// Whose fault a failed connect is.
fn judge(error: tokio_postgres::Error) -> ConnectError<tokio_postgres::Error> {
    match error.code() {
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => ConnectError::too_many_connections(error),
        Some(code) if code.code().starts_with("28") || code.code().starts_with("3D") => {
            ConnectError::login_refused(error)
        }
        _ => ConnectError::unavailable(error),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to a PostgreSQL server without TLS")?;
    let config = |name: &str| -> Result<Config, tokio_postgres::Error> {
        let mut config: Config = url.parse()?;
        config.application_name(name);
        Ok(config)
    };
    let pool = Pool::new(Postgres, Settings { budget: 4, ..Settings::default() }, ());
    let equal = RouteLimits { class: ClassId::DEFAULT, weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None };
    let shop = pool.add_route(config("shop")?, equal.clone());
    let reports = pool.add_route(config("reports")?, equal);

    let until = Instant::now() + Duration::from_secs(2);
    let mut tasks = JoinSet::new();
    for (route, clients) in [(shop, 80), (reports, 2)] {
        for _ in 0..clients {
            let pool = pool.clone();
            tasks.spawn(async move {
                while Instant::now() < until {
                    let connection = pool.checkout(route, Checkout::new()).await?;
                    connection.client.query_one("SELECT pg_sleep(0.002)", &[]).await?;
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done?.map_err(|error| error.to_string())?;
    }
    for (name, route) in [("shop", shop), ("reports", reports)] {
        if let Some(view) = pool.route(route) {
            println!("{name:8} {:6} leases, {:7.1?} of connection time", view.served, view.service);
        }
    }
    println!("{:?}", pool.close(Duration::from_secs(5)).await);
    Ok(())
}
