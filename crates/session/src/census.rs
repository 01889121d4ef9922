//! How many connections a server lets in, and how many are there: asked of the server itself.
//!
//! The first connection to a server asks on its way into the pool, so that nothing is opened for it; later it is asked for on
//! demand, on a connection of the pool.

use std::{
    error::Error,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use mysql::view::TextRow;
use pool::Checkout;
use route::{DatabaseIndex, Protocol, Scope, Table};

use self::scopes::Accounts;
pub use self::scopes::ScopeLimit;
use crate::{engine::Engine, lane::Lane, mysql as my, observe::ServerMeters, pools::AnyPool, postgres as pg_side};

mod scopes;

/// What a server lets in, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Connections that it lets in, by its own setting.
    pub max_connections: u32,
    /// Those of them that only administrators get.
    pub reserved: u32,
    /// Those beyond them that only administrators get.
    pub beyond: u32,
    /// Connections that are there and not ours. Ours that are being opened at this moment may count here.
    pub others: u32,
    /// Its limits on a part of its connections, as far as they are known: of PostgreSQL all, of MySQL those of users that have
    /// logged in.
    pub scopes: Vec<ScopeLimit>,
    /// When it was asked.
    pub at: SystemTime,
}

/// The last census of a server.
#[derive(Debug, Default)]
pub(crate) struct LastCensus {
    last: ArcSwapOption<Census>,
    accounts: Accounts,
    /// Whether a connection has asked on its way into the pool. The first one does, whatever comes of it.
    asked: AtomicBool,
}

/// What a server answers.
struct Count {
    max_connections: u32,
    reserved: u32,
    beyond: u32,
    present: u32,
    /// With ours among the others.
    scopes: Vec<ScopeLimit>,
}

/// Settings of the server, and its connections for clients. Whoever may not see others' rows sees their database and user, but
/// not their kind; those of autovacuum have no user. `reserved_connections` is there from PostgreSQL 16 on.
const ASK_POSTGRES: &[u8] = b"SELECT pg_catalog.current_setting('max_connections'), \
    pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4 \
    + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::pg_catalog.int4, \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
    WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend')";

const ASK_MYSQL: &[u8] = b"SELECT @@GLOBAL.max_connections";
const ASK_MYSQL_PRESENT: &[u8] = b"SHOW GLOBAL STATUS LIKE 'Threads_connected'";

/// One connection beyond `max_connections` is for administrators: MySQL's `CONNECTION_ADMIN`, MariaDB's `CONNECTION ADMIN`.
const MYSQL_BEYOND: u32 = 1;

impl LastCensus {
    /// The last one, if the server was ever asked.
    pub(crate) fn get(&self) -> Option<Census> {
        let mut census = self.last.load().as_deref()?.clone();
        census.scopes.extend(self.accounts.limits());
        Some(census)
    }

    /// Whether it is for this connection to ask: it is the first one.
    fn is_to_be_asked(&self) -> bool {
        !self.asked.swap(true, Relaxed)
    }

    /// `ours`: how many there are of ours, in all and in a scope.
    fn note(&self, count: Count, ours: u32, ours_in: impl Fn(&Scope) -> u32) {
        let mut scopes = count.scopes;
        scopes.iter_mut().for_each(|limit| limit.others = limit.others.saturating_sub(ours_in(&limit.scope)));
        let census = Census {
            max_connections: count.max_connections,
            reserved: count.reserved,
            beyond: count.beyond,
            others: count.present.saturating_sub(ours),
            scopes,
            at: SystemTime::now(),
        };
        self.last.store(Some(Arc::new(census)));
    }
}

/// Whether a connection of this user of the server to this database of it is in a scope.
fn is_in(scope: &Scope, user: &str, database: &str) -> bool {
    match scope {
        Scope::User(name) => **name == *user,
        Scope::Database(name) => **name == *database,
    }
}

/// Asks on a new connection of a PostgreSQL server, if none has asked before.
pub(crate) async fn ask_postgres(
    meters: &ServerMeters,
    (user, database): (&str, &str),
    server: &mut pg_side::ServerConnection,
) -> Result<(), pg_side::ServerError> {
    if !meters.census.is_to_be_asked() {
        return Ok(());
    }
    match count_postgres(server).await {
        Ok(count) => {
            let own = |scope: &Scope| u32::from(is_in(scope, user, database));
            if let Some(count) = count {
                meters.census.note(count, meters.open() + 1, own);
            }
            Ok(())
        }
        // The server keeps it to itself: no reason to do without the connection.
        Err(pg_side::ServerError::Statement(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The same for a MySQL server; what it tells one user only is asked for each.
pub(crate) async fn ask_mysql(
    meters: &ServerMeters,
    user: &Arc<str>,
    server: &mut my::ServerConnection,
) -> Result<(), my::ServerError> {
    meters.census.accounts.ask(user, server).await?;
    if !meters.census.is_to_be_asked() {
        return Ok(());
    }
    match count_mysql(server).await {
        Ok(count) => {
            if let Some(count) = count {
                meters.census.note(count, meters.open() + 1, |_| 0);
            }
            Ok(())
        }
        Err(my::ServerError::Statement { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn count_postgres(server: &mut pg_side::ServerConnection) -> Result<Option<Count>, pg_side::ServerError> {
    let rows = pg_side::rows(server, ASK_POSTGRES).await?;
    let values = rows.first().map(|row| pg::view::data_row(row)).transpose()?.unwrap_or_default();
    let mut values = values.into_iter();
    let mut next = || number(values.next().flatten());
    let (Some(max_connections), Some(reserved), Some(present)) = (next(), next(), next()) else { return Ok(None) };
    let scopes = match scopes::ask_postgres(server).await {
        Ok(scopes) => scopes,
        // It knows no such limits, or keeps them to itself.
        Err(pg_side::ServerError::Statement(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(Some(Count { max_connections, reserved, beyond: 0, present, scopes }))
}

async fn count_mysql(server: &mut my::ServerConnection) -> Result<Option<Count>, my::ServerError> {
    let limit = my::rows(server, ASK_MYSQL).await?;
    let present = my::rows(server, ASK_MYSQL_PRESENT).await?;
    let value = |rows: &[Vec<u8>], column| number(TextRow::new(rows.first()?).nth(column).flatten());
    let (limit, present) = (value(&limit, 0), value(&present, 1));
    let count = |(max_connections, present)| {
        let scopes = Vec::new();
        Count { max_connections, reserved: 0, beyond: MYSQL_BEYOND, present, scopes }
    };
    Ok(limit.zip(present).map(count))
}

fn number(text: Option<&[u8]>) -> Option<u32> {
    std::str::from_utf8(text?).ok().and_then(|text| u32::from_str(text.trim()).ok())
}

impl ServerMeters {
    /// The last census of the server, if one was taken.
    #[must_use]
    pub fn census(&self) -> Option<Census> {
        self.census.get()
    }
}

impl Engine {
    /// Asks a server for a census, on a connection of its pool.
    ///
    /// # Errors
    /// Why there is none: no such server, nobody whom we could log in as, no connection `within` this time, or no answer.
    pub async fn take_census(&self, server: &str, within: Duration) -> Result<Census, Box<dyn Error + Send + Sync>> {
        let known = self.servers().into_iter().find(|known| *known.server.name == *server);
        let known = known.ok_or_else(|| format!("there is no server {server}"))?;
        let lane = self.lane_to(server).ok_or("no user is known who could log in to it")?;
        let terms = Checkout::new().within(within);
        let count = match lane.pool() {
            AnyPool::Postgres(pool) => {
                let mut lease = pool.checkout(lane.id(), terms).await?;
                tokio::time::timeout(within, count_postgres(&mut lease)).await??
            }
            AnyPool::Mysql(pool) => {
                let mut lease = pool.checkout(lane.id(), terms).await?;
                let asked = async {
                    known.meters.census.accounts.ask(&lane.server_user, &mut lease).await?;
                    count_mysql(&mut lease).await
                };
                tokio::time::timeout(within, asked).await??
            }
        };
        let count = count.ok_or("it answered with something else than numbers")?;
        let totals = known.pool.totals();
        let census = &known.meters.census;
        census.note(count, totals.in_use + totals.idle + totals.closing, |scope| self.ours_in(server, scope));
        census.get().ok_or_else(|| "there is none".into())
    }

    /// Connections of ours to a server in a scope, whatever they do.
    fn ours_in(&self, server: &str, scope: &Scope) -> u32 {
        let lanes = self.lanes();
        let lanes = lanes.iter().filter(|lane| *lane.server == *server);
        let of_scope = lanes.filter(|lane| is_in(scope, &lane.server_user, &lane.server_database));
        let routes = of_scope.flat_map(|lane| lane.ids().into_iter().filter_map(|id| lane.pool().route(id)));
        routes.map(|route| route.in_use + route.idle + route.closing).sum()
    }

    /// A route to a server: one that is in use, best with an idle connection, or else one of the configuration.
    fn lane_to(&self, server: &str) -> Option<Arc<Lane>> {
        let idle = |lane: &Arc<Lane>| lane.pool().route(lane.id()).map_or(0, |route| route.idle);
        let in_use = self.lanes().into_iter().filter(|lane| *lane.server == *server);
        in_use.max_by_key(idle).or_else(|| {
            let plan = self.plan();
            let mut named = names_for(&plan.table, server);
            named.find_map(|(user, database)| self.lane(&user, &database).ok())
        })
    }
}

/// Users and databases, as clients would name them, that lead to a server.
fn names_for<'t>(table: &'t Table, server: &'t str) -> impl Iterator<Item = (Arc<str>, Arc<str>)> + 't {
    let databases = table.databases().iter().zip(0..).filter_map(move |(database, index)| {
        let at = table.server(table.server_of(DatabaseIndex(index)));
        let any: &str = match at.protocol {
            // Every PostgreSQL server has it; a MySQL session needs none.
            Protocol::Postgres => "postgres",
            Protocol::Mysql => "",
        };
        let name = if &*database.name == "*" { any.into() } else { database.name.clone() };
        (*at.name == *server).then_some(name)
    });
    databases.flat_map(|database| table.users().iter().map(move |user| (user.name.clone(), database.clone())))
}
