//! `SHOW STATS` and `SHOW STATS_TOTALS`: what the clients of each database did.

use std::sync::Arc;

use session::{Engine, console::Kind};

use crate::{
    periods::{Rates, Tallies, Tally},
    table::{Cell, Column, micros},
    view::View,
};

/// One database as clients name it.
#[derive(Debug)]
pub(crate) struct DatabaseStats {
    database: Arc<str>,
    total: Tally,
    average: Rates,
}

/// The databases in use, by name.
pub(crate) fn all(view: &View) -> Vec<DatabaseStats> {
    let periods = view.lock_periods();
    let mut stats: Vec<_> = tallies(&view.engine)
        .into_iter()
        .map(|(database, total)| DatabaseStats { average: periods.rates(&database), database, total })
        .collect();
    drop(periods);
    stats.sort_by(|a, b| a.database.cmp(&b.database));
    stats
}

/// Adds the routes of each database up.
pub(crate) fn tallies(engine: &Engine) -> Tallies {
    let mut tallies = Tallies::new();
    for lane in engine.lanes() {
        let (tally, meters) = (tallies.entry(lane.database.clone()).or_default(), lane.meters());
        let wait = meters.wait.snapshot();
        tally.assignments += wait.count();
        tally.wait_us += micros(wait.sum());
        tally.transactions += meters.transactions.get();
        tally.transaction_us += micros(meters.transaction.snapshot().sum());
        tally.queries += meters.queries.get();
        tally.query_us += micros(meters.query.snapshot().sum());
        tally.bytes_received += meters.bytes_received.get();
        tally.bytes_sent += meters.bytes_sent.get();
        tally.errors += meters.errors.get();
    }
    tallies
}

const fn numeric(name: &'static str, about: &'static str, get: fn(&DatabaseStats) -> Cell) -> Column<DatabaseStats> {
    Column::new(name, Kind::Numeric, about, get)
}

const fn zero(name: &'static str) -> Column<DatabaseStats> {
    numeric(name, "Always 0: not counted.", |_| Cell::Whole(0))
}

/// PgBouncer's columns in its order (1.26.1, `src/stats.c`, `admin_database_stats`), then ours.
pub(crate) const STATS: &[Column<DatabaseStats>] = &[
    Column::text("database", "Database, as clients name it.", |s| (&s.database).into()),
    numeric("total_server_assignment_count", "Times that a client got a server connection.", |s| {
        s.total.assignments.into()
    }),
    numeric("total_xact_count", "Transactions.", |s| s.total.transactions.into()),
    numeric("total_query_count", "Queries.", |s| s.total.queries.into()),
    numeric("total_received", "Bytes from clients.", |s| s.total.bytes_received.into()),
    numeric("total_sent", "Bytes to clients.", |s| s.total.bytes_sent.into()),
    numeric("total_xact_time", "Time in transactions, in microseconds.", |s| s.total.transaction_us.into()),
    numeric("total_query_time", "Time in queries, in microseconds.", |s| s.total.query_us.into()),
    numeric("total_wait_time", "Time that clients waited for a server connection, in microseconds.", |s| {
        s.total.wait_us.into()
    }),
    zero("total_client_parse_count"),
    zero("total_server_parse_count"),
    zero("total_bind_count"),
    zero("total_client_login_count"),
    numeric("avg_server_assignment_count", "Of those, per second in the last full minute.", |s| {
        s.average.assignments.into()
    }),
    numeric("avg_xact_count", "Transactions per second in the last full minute.", |s| s.average.transactions.into()),
    numeric("avg_query_count", "Queries per second in the last full minute.", |s| s.average.queries.into()),
    numeric("avg_recv", "Bytes from clients per second in the last full minute.", |s| s.average.bytes_received.into()),
    numeric("avg_sent", "Bytes to clients per second in the last full minute.", |s| s.average.bytes_sent.into()),
    numeric("avg_xact_time", "Mean transaction time in the last full minute, in microseconds.", |s| {
        s.average.transaction_us.into()
    }),
    numeric("avg_query_time", "Mean query time in the last full minute, in microseconds.", |s| {
        s.average.query_us.into()
    }),
    numeric("avg_wait_time", "Mean wait in the last full minute, in microseconds.", |s| s.average.wait_us.into()),
    zero("avg_client_parse_count"),
    zero("avg_server_parse_count"),
    zero("avg_bind_count"),
    zero("avg_client_login_count"),
    numeric("total_errors", "Errors that clients saw.", |s| s.total.errors.into()),
];

/// PgBouncer's columns in its order (1.26.1, `src/stats.c`, `admin_database_stats_totals`), then ours.
pub(crate) const STATS_TOTALS: &[Column<DatabaseStats>] = &[
    Column::text("database", "Database, as clients name it.", |s| (&s.database).into()),
    numeric("server_assignment_count", "Times that a client got a server connection.", |s| s.total.assignments.into()),
    numeric("xact_count", "Transactions.", |s| s.total.transactions.into()),
    numeric("query_count", "Queries.", |s| s.total.queries.into()),
    numeric("bytes_received", "Bytes from clients.", |s| s.total.bytes_received.into()),
    numeric("bytes_sent", "Bytes to clients.", |s| s.total.bytes_sent.into()),
    numeric("xact_time", "Time in transactions, in microseconds.", |s| s.total.transaction_us.into()),
    numeric("query_time", "Time in queries, in microseconds.", |s| s.total.query_us.into()),
    numeric("wait_time", "Time that clients waited for a server connection, in microseconds.", |s| {
        s.total.wait_us.into()
    }),
    zero("client_parse_count"),
    zero("server_parse_count"),
    zero("bind_count"),
    zero("client_login_count"),
    numeric("errors", "Errors that clients saw.", |s| s.total.errors.into()),
];
