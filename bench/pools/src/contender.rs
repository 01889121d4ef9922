//! The pools, behind one face. None prepares statements ahead, so that all send the same.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use pool::postgres::Postgres;
use pool::{Checkout, Options, Pool, RouteId, Settings};
use tokio_postgres::NoTls;

/// A pool under test.
pub(crate) trait Contender: Clone + Send + Sync + 'static {
    const NAME: &'static str;
    fn new(url: &str, connections: u32) -> impl Future<Output = Result<Self>> + Send;
    /// A checkout, `SELECT 1`, and the return.
    fn select_one(&self) -> impl Future<Output = Result<()>> + Send;
    /// The same with a query that takes this long.
    fn sleep(&self, time: Duration) -> impl Future<Output = Result<()>> + Send;
}

fn pg_sleep(time: Duration) -> String {
    format!("SELECT pg_sleep({})", time.as_secs_f64())
}

#[derive(Clone)]
pub(crate) struct Evenkeel(Pool<Postgres>, RouteId);

impl Contender for Evenkeel {
    const NAME: &'static str = "evenkeel";

    async fn new(url: &str, connections: u32) -> Result<Self> {
        let settings = Settings { budget: connections, ..Settings::default() };
        let (pool, route) = pool::postgres::from_url(url, &Options { settings, ..Options::default() })?;
        Ok(Self(pool, route))
    }

    async fn select_one(&self) -> Result<()> {
        let connection = self.0.checkout(self.1, Checkout::new()).await?;
        connection.batch_execute("SELECT 1").await?;
        Ok(())
    }

    async fn sleep(&self, time: Duration) -> Result<()> {
        let connection = self.0.checkout(self.1, Checkout::new()).await?;
        connection.batch_execute(&pg_sleep(time)).await?;
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Deadpool(deadpool_postgres::Pool);

impl Contender for Deadpool {
    const NAME: &'static str = "deadpool-postgres";

    async fn new(url: &str, connections: u32) -> Result<Self> {
        let manager = deadpool_postgres::Manager::new(url.parse()?, NoTls);
        Ok(Self(deadpool_postgres::Pool::builder(manager).max_size(connections as usize).build()?))
    }

    async fn select_one(&self) -> Result<()> {
        Ok(self.0.get().await?.batch_execute("SELECT 1").await?)
    }

    async fn sleep(&self, time: Duration) -> Result<()> {
        Ok(self.0.get().await?.batch_execute(&pg_sleep(time)).await?)
    }
}

#[derive(Clone)]
pub(crate) struct Bb8(bb8::Pool<bb8_postgres::PostgresConnectionManager<NoTls>>);

impl Contender for Bb8 {
    const NAME: &'static str = "bb8-postgres";

    async fn new(url: &str, connections: u32) -> Result<Self> {
        let manager = bb8_postgres::PostgresConnectionManager::new_from_stringlike(url, NoTls)?;
        Ok(Self(bb8::Pool::builder().max_size(connections).build(manager).await?))
    }

    async fn select_one(&self) -> Result<()> {
        Ok(self.0.get().await?.batch_execute("SELECT 1").await?)
    }

    async fn sleep(&self, time: Duration) -> Result<()> {
        Ok(self.0.get().await?.batch_execute(&pg_sleep(time)).await?)
    }
}

#[derive(Clone)]
pub(crate) struct Sqlx(sqlx::PgPool);

impl Contender for Sqlx {
    const NAME: &'static str = "sqlx";

    async fn new(url: &str, connections: u32) -> Result<Self> {
        Ok(Self(sqlx::postgres::PgPoolOptions::new().max_connections(connections).connect(url).await?))
    }

    async fn select_one(&self) -> Result<()> {
        let mut connection = self.0.acquire().await?;
        sqlx::raw_sql("SELECT 1").execute(&mut *connection).await?;
        Ok(())
    }

    async fn sleep(&self, time: Duration) -> Result<()> {
        let mut connection = self.0.acquire().await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(pg_sleep(time))).execute(&mut *connection).await?;
        Ok(())
    }
}
