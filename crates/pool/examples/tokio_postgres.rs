//! The pool inside an application, over `tokio-postgres`.
//!
//! `DATABASE_URL=postgres://user@host/db cargo run -p evenkeel-pool --features tokio-postgres --example tokio_postgres`
//!
//! Two routes, one user for the shop and one for reports, share one budget of four connections. Eighty tasks of the shop
//! and two of the reports use them for two seconds; then the program shows who got what.

use std::time::{Duration, Instant};

use pool::postgres::Postgres;
use pool::{Checkout, ClassId, Pool, RouteLimits, Session, Settings};
use tokio::task::JoinSet;
use tokio_postgres::Config;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to a PostgreSQL server without TLS")?;
    let config = |name: &str| -> Result<Config, tokio_postgres::Error> {
        let mut config: Config = url.parse()?;
        config.application_name(name);
        Ok(config)
    };
    let pool = Pool::new(Postgres::new(Session::default()), Settings { budget: 4, ..Settings::default() }, ());
    let equal =
        RouteLimits { class: ClassId::default(), weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None };
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
                    connection.query_one("SELECT pg_sleep(0.002)", &[]).await?;
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
