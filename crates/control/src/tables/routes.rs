//! `SHOW POOLS` and `SHOW ROUTES`: the same routes in PgBouncer's words and in ours.

use route::{PoolMode, Protocol};
use session::console::Kind;

use crate::{
    facts::RouteFacts,
    table::{Cell, Column, micros, rounded},
};

/// PgBouncer's columns in its order (1.26.1, `src/admin.c`, `admin_show_pools`), then ours.
pub(crate) const POOLS: &[Column<RouteFacts>] = &[
    Column::text("database", "Database, as clients name it.", |r| (&r.lane.database).into()),
    Column::text("user", "User, as clients name it.", |r| (&r.lane.user).into()),
    Column::int4("cl_active", "Clients that do not wait.", |r| {
        r.clients().saturating_sub(r.view.waiting.into()).into()
    }),
    Column::int4("cl_waiting", "Clients that wait for a server connection.", |r| r.view.waiting.into()),
    Column::int4("cl_active_cancel_req", "Always 0: cancel requests are not pooled.", |_| Cell::Whole(0)),
    Column::int4("cl_waiting_cancel_req", "Always 0: cancel requests do not wait.", |_| Cell::Whole(0)),
    Column::int4("sv_active", "Server connections that clients have.", |r| {
        r.view.in_use.saturating_sub(r.testing).into()
    }),
    Column::int4("sv_active_cancel", "Always 0.", |_| Cell::Whole(0)),
    Column::int4("sv_being_canceled", "Always 0.", |_| Cell::Whole(0)),
    Column::int4("sv_idle", "Server connections with nothing to do.", |r| r.view.idle.into()),
    Column::int4("sv_used", "Always 0: idle connections are tested when they are lent.", |_| Cell::Whole(0)),
    Column::int4("sv_tested", "Server connections being tested.", |r| r.testing.into()),
    Column::int4("sv_login", "Server connections being opened.", |r| r.view.connecting.into()),
    Column::int4("maxwait", "How long the first client in the queue has waited: whole seconds.", |r| {
        r.oldest_wait.as_secs().into()
    }),
    Column::int4("maxwait_us", "The microseconds beyond those.", |r| r.oldest_wait.subsec_micros().into()),
    Column::text("pool_mode", "When a server connection goes back: session, transaction or statement.", |r| {
        mode_name(r.lane.terms().pool_mode).into()
    }),
    Column::text("load_balance_hosts", "Always empty.", |_| Cell::Null),
    Column::text("server", "Server that the route leads to.", |r| (&r.lane.server).into()),
    Column::int4("sv_closing", "Server connections being closed; they still count against the budget.", |r| {
        r.view.closing.into()
    }),
    PROTOCOL,
    FLAVOUR,
];

/// Columns of `SHOW ROUTES` and `/api/routes`.
pub(crate) const ROUTES: &[Column<RouteFacts>] = &[
    Column::text("server", "Server that the route leads to.", |r| (&r.lane.server).into()),
    Column::text("database", "Database, as clients name it.", |r| (&r.lane.database).into()),
    Column::text("user", "User, as clients name it.", |r| (&r.lane.user).into()),
    Column::int4("clients", "Clients connected.", |r| r.clients().into()),
    Column::int4("held", "Server connections that serve it or soon will: connecting, idle and in use.", |r| {
        r.view.held().into()
    }),
    Column::int4("connecting", "Server connections being opened.", |r| r.view.connecting.into()),
    Column::int4("idle", "Server connections with nothing to do.", |r| r.view.idle.into()),
    Column::int4("in_use", "Server connections that clients have, or that are being tested.", |r| r.view.in_use.into()),
    Column::int4("waiting", "Clients that wait for a server connection.", |r| r.view.waiting.into()),
    Column::new(
        "share_percent",
        Kind::Float8,
        "Its fair part of the server's budget, by weight among the routes that want any, in percent.",
        |r| rounded(100.0 * r.view.share / f64::from(r.effective_budget.max(1))).into(),
    ),
    Column::new(
        "quota",
        Kind::Float8,
        "The budget divided by the number of routes that hold connections or wait for one.",
        |r| rounded(r.view.quota).into(),
    ),
    Column::int4("weight", "Its weight beside other routes.", |r| r.view.weight.into()),
    Column::int4("guarantee", "Server connections it gets before anyone gets more than theirs.", |r| {
        r.view.guarantee.into()
    }),
    Column::int4("cap", "The most server connections it may hold; empty: the budget limits it.", |r| r.view.cap.into()),
    Column::int8("transactions", "Transactions so far.", |r| r.lane.meters().transactions.get().into()),
    Column::int8("queries", "Queries answered so far.", |r| r.lane.meters().queries.get().into()),
    Column::int8("errors", "Errors that clients saw so far.", |r| r.lane.meters().errors.get().into()),
    Column::int8("wait_p50_us", "Half of all waits for a server connection were shorter, in microseconds.", |r| {
        micros(r.lane.waits().0).into()
    }),
    Column::int8("wait_p99_us", "99 % of all waits were shorter, in microseconds.", |r| {
        micros(r.lane.waits().1).into()
    }),
    Column::int8("oldest_wait_us", "How long the first client in the queue has waited, in microseconds.", |r| {
        micros(r.oldest_wait).into()
    }),
    Column::int8("retries", "Queries sent again because a shared prepared statement was outdated.", |r| {
        r.lane.meters().retries.get().into()
    }),
    Column::int8("pins", "Server connections kept beyond their transaction because of session state.", |r| {
        r.lane.meters().pins.get().into()
    }),
    Column::int8("refusals", "Waits that ended without a server connection.", |r| {
        r.lane.meters().refusals.get().into()
    }),
    Column::int8("leases", "Server connections granted so far.", |r| r.view.served.into()),
    Column::int8("lease_ms", "Time for which clients had server connections so far, in milliseconds.", |r| {
        (micros(r.view.service) / 1_000).into()
    }),
    Column::int8("bytes_received", "Bytes from clients.", |r| r.lane.meters().bytes_received.get().into()),
    Column::int8("bytes_sent", "Bytes to clients.", |r| r.lane.meters().bytes_sent.get().into()),
    Column::int4("closing", "Server connections being closed; they still count against the budget.", |r| {
        r.view.closing.into()
    }),
    Column::text("pool_mode", "When a server connection goes back: session, transaction or statement.", |r| {
        mode_name(r.lane.terms().pool_mode).into()
    }),
    Column::text("server_database", "Database on the server.", |r| (&r.lane.server_database).into()),
    Column::text("server_user", "User on the server.", |r| (&r.lane.server_user).into()),
    PROTOCOL,
    FLAVOUR,
    Column::int8("rekeys", "Server connections that came to it from other routes by a new login so far.", |r| {
        r.view.rekeys.into()
    }),
];

const PROTOCOL: Column<RouteFacts> =
    Column::text("protocol", "What its server and its clients speak: postgres or mysql.", |r| {
        protocol_name(r.protocol).into()
    });

const FLAVOUR: Column<RouteFacts> = Column::text(
    "flavour",
    "MySQL clients with CLIENT_FOUND_ROWS, or CLIENT_QUERY_ATTRIBUTES, have routes of their own: found_rows, attributes, or both; empty: the usual one.",
    |r| r.lane.flavour.name().into(),
);

/// A protocol as the configuration writes it.
pub(crate) const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Postgres => "postgres",
        Protocol::Mysql => "mysql",
    }
}

/// A pool mode as the configuration writes it.
pub(crate) const fn mode_name(mode: PoolMode) -> &'static str {
    match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
        PoolMode::Statement => "statement",
    }
}
