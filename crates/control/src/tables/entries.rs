//! `SHOW DATABASES` and `SHOW USERS`: what is configured, and how much of it is used.

use std::{collections::HashMap, sync::Arc, time::Duration};

use route::{Address, Database, PoolMode, Server, User};

use crate::{
    facts::{Facts, RouteFacts},
    table::{Cell, Column},
    view::View,
};

use super::routes::{mode_name, protocol_name};

/// What the routes of one entry use together.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    held: u32,
    clients: u64,
}

impl Usage {
    fn add(&mut self, route: &RouteFacts) {
        self.held += route.view.held();
        self.clients += route.clients();
    }
}

/// A configured database.
#[derive(Debug)]
pub(crate) struct DatabaseFacts {
    database: Database,
    server: Server,
    max_lifetime: Option<Duration>,
    paused: bool,
    usage: Usage,
}

/// A configured user.
#[derive(Debug)]
pub(crate) struct UserFacts {
    user: User,
    usage: Usage,
}

/// All databases, in the order of the configuration.
pub(crate) fn databases(view: &View) -> Vec<DatabaseFacts> {
    let (plan, facts) = (view.engine.plan(), Facts::of(&view.engine));
    let mut usage = HashMap::<_, Usage>::new();
    for route in &facts.routes {
        if let Some(index) = plan.table.database_index(&route.lane.database) {
            usage.entry(index).or_default().add(route);
        }
    }
    let pools: HashMap<Arc<str>, _> =
        view.engine.servers().into_iter().map(|server| (server.server.name.clone(), server.pool)).collect();
    let indices = (0..plan.table.databases().len()).map(route::DatabaseIndex);
    indices
        .map(|index| {
            let server = plan.table.server(plan.table.server_of(index)).clone();
            let pool = pools.get(&server.name);
            DatabaseFacts {
                database: plan.table.database(index).clone(),
                max_lifetime: pool.and_then(|pool| pool.settings().max_lifetime),
                paused: pool.is_some_and(|pool| pool.totals().paused),
                usage: usage.get(&index).copied().unwrap_or_default(),
                server,
            }
        })
        .collect()
}

/// All users, in the order of the configuration.
pub(crate) fn users(view: &View) -> Vec<UserFacts> {
    let (plan, facts) = (view.engine.plan(), Facts::of(&view.engine));
    let mut usage = HashMap::<&str, Usage>::new();
    for route in &facts.routes {
        usage.entry(&route.lane.user).or_default().add(route);
    }
    let fact =
        |user: &User| UserFacts { usage: usage.get(&*user.name).copied().unwrap_or_default(), user: user.clone() };
    plan.table.users().iter().map(fact).collect()
}

/// PgBouncer's columns in its order (1.26.1, `src/admin.c`, `admin_show_databases`), then ours.
pub(crate) const DATABASES: &[Column<DatabaseFacts>] = &[
    Column::text("name", "The name that clients ask for; * takes any.", |d| (&d.database.name).into()),
    Column::text("host", "Host or socket of its server.", |d| match &d.server.address {
        Address::Tcp { host, .. } => host.as_str().into(),
        Address::Unix { path } => path.display().to_string().into(),
    }),
    Column::int4("port", "Port of its server; 0 on a unix socket.", |d| match &d.server.address {
        Address::Tcp { port, .. } => (*port).into(),
        Address::Unix { .. } => Cell::Whole(0),
    }),
    Column::text("database", "Its name on the server; empty: the name that the client asked for.", |d| {
        d.database.server_database.as_ref().into()
    }),
    Column::text("force_user", "The user that logs in to the server for all its clients.", |d| {
        d.database.server_user.as_ref().into()
    }),
    Column::int4("pool_size", "The server's budget, which all databases on it share.", |d| d.server.budget.into()),
    Column::int4("min_pool_size", "Idle connections kept for each of its routes.", |d| {
        d.server.terms.limits.min_idle.into()
    }),
    Column::int4("reserve_pool_size", "Always 0: there is one budget.", |_| Cell::Whole(0)),
    Column::int4("server_lifetime", "Age at which a server connection is replaced, in seconds; 0: none.", |d| {
        d.max_lifetime.unwrap_or_default().as_secs().into()
    }),
    Column::text("pool_mode", "When a server connection goes back, unless a user or route says otherwise.", |d| {
        mode_name(d.database.overrides.pool_mode.unwrap_or(d.server.terms.pool_mode)).into()
    }),
    Column::text("load_balance_hosts", "Always empty.", |_| Cell::Null),
    Column::int4("max_connections", "The server's budget, which all databases on it share.", |d| {
        d.server.budget.into()
    }),
    Column::int4("current_connections", "Server connections that its routes hold.", |d| d.usage.held.into()),
    Column::int4("max_client_connections", "The most clients; 0: only the general limits.", |d| {
        d.database.max_clients.unwrap_or(0).into()
    }),
    Column::int4("current_client_connections", "Clients connected.", |d| d.usage.clients.into()),
    Column::int4("paused", "1 when its server is paused.", |d| d.paused.into()),
    Column::int4("disabled", "Always 0.", |_| Cell::Whole(0)),
    Column::text("server", "Its server.", |d| (&d.server.name).into()),
    Column::text("cluster", "The cluster of its server.", |d| (&d.server.cluster).into()),
    Column::text("protocol", "What its clients speak: postgres or mysql.", |d| protocol_name(d.server.protocol).into()),
];

/// PgBouncer's columns in its order (1.26.1, `src/admin.c`, `admin_show_users`), then ours.
pub(crate) const USERS: &[Column<UserFacts>] = &[
    Column::text("name", "The name that clients log in with.", |u| (&u.user.name).into()),
    Column::text("pool_size", "Always empty: the server's budget limits it, see SHOW ROUTES.", |_| Cell::Null),
    Column::text("reserve_pool_size", "Always empty.", |_| Cell::Null),
    Column::text("pool_mode", "When a server connection goes back; empty: as the database says.", |u| {
        u.user.overrides.pool_mode.map(|mode: PoolMode| mode_name(mode)).into()
    }),
    Column::int4("max_user_connections", "Always 0: the server's budget limits it, see SHOW ROUTES.", |_| {
        Cell::Whole(0)
    }),
    Column::int4("current_connections", "Server connections that its routes hold.", |u| u.usage.held.into()),
    Column::int4("max_user_client_connections", "The most clients; 0: only the general limits.", |u| {
        u.user.max_clients.unwrap_or(0).into()
    }),
    Column::int4("current_client_connections", "Clients connected.", |u| u.usage.clients.into()),
    Column::text("server_user", "The user that logs in to the server instead.", |u| u.user.server_user.as_ref().into()),
];
