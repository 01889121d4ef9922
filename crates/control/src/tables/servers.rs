//! `SHOW BUDGETS` and `SHOW FAULTS`: one row per server.

use super::routes::protocol_name;
use crate::{
    facts::ServerFacts,
    table::{Column, micros},
};

/// Columns of `SHOW BUDGETS` and `/api/servers`.
pub(crate) const BUDGETS: &[Column<ServerFacts>] = &[
    Column::text("server", "Its name.", |s| (&s.server.name).into()),
    Column::text("cluster", "The cluster it belongs to.", |s| (&s.server.cluster).into()),
    Column::text("address", "Where it listens.", |s| s.server.address.to_string().into()),
    Column::int4("budget", "The most connections to it.", |s| s.totals.budget.into()),
    Column::int4("effective_budget", "The most it allows: lower than the budget after it said that it is full.", |s| {
        s.totals.effective_budget.into()
    }),
    Column::int4("connecting", "Connections being opened, or moved to another route by a new login.", |s| {
        s.totals.connecting.into()
    }),
    Column::int4("idle", "Connections with nothing to do.", |s| s.totals.idle.into()),
    Column::int4("in_use", "Connections that clients have, or that are being tested.", |s| s.totals.in_use.into()),
    Column::int4("closing", "Connections being closed.", |s| s.totals.closing.into()),
    Column::int4("waiting", "Clients that wait for a connection.", |s| s.totals.waiting.into()),
    Column::int4("active_routes", "Routes that hold a connection or have a client waiting.", |s| {
        s.totals.active_routes.into()
    }),
    Column::int4("paused", "1 after PAUSE, until RESUME.", |s| s.totals.paused.into()),
    Column::int4("unanswered", "Connects in a row that it did not answer; 0: it answers, or was not asked yet.", |s| {
        s.totals.unanswered.into()
    }),
    Column::int8("opens", "Connects begun so far.", |s| s.totals.opens.into()),
    Column::int8("connect_failures", "Connects that failed so far.", |s| s.meters.connect_failures.get().into()),
    Column::int8("closes", "Connections closed so far.", |s| s.totals.closes.sum().into()),
    Column::int8("moves", "Slots that moved from one route to another so far, in whatever way.", |s| {
        s.totals.moves.into()
    }),
    Column::int8("connect_us", "How long a connect takes of late, in microseconds; 0 before the first.", |s| {
        micros(s.totals.connect_time).into()
    }),
    Column::int8("faults", "Broken promises, see SHOW FAULTS. Anything but 0 is a bug of ours.", |s| {
        s.faults_sum().into()
    }),
    Column::text("protocol", "What it speaks: postgres or mysql.", |s| protocol_name(s.server.protocol).into()),
    Column::int4(
        "rekeying",
        "Those of the connecting that are being moved by a new login on a live connection.",
        |s| s.totals.rekeying.into(),
    ),
    Column::int8("rekeys", "Those of the moves that were made by a new login so far: each saved a reconnect.", |s| {
        s.totals.rekeys.into()
    }),
    Column::int8("rekey_failures", "New logins that failed so far: each cost a connection.", |s| {
        s.totals.rekey_failures.into()
    }),
    Column::int8("rekey_us", "How long a new login takes of late, in microseconds; 0 before the first.", |s| {
        micros(s.totals.rekey_time).into()
    }),
];

/// Columns of `SHOW FAULTS`.
pub(crate) const FAULTS: &[Column<ServerFacts>] = &[
    Column::text("server", "Its name.", |s| (&s.server.name).into()),
    Column::int8("over_budget", "I1: a connection was opened beyond the budget or a cap.", |s| {
        s.faults.over_budget.into()
    }),
    Column::int8("idle_beside_waiter", "I2: a connection fell idle beside a client of its own route.", |s| {
        s.faults.idle_beside_waiter.into()
    }),
    Column::int8("overtaken", "I3: a client was served before one of its route that came earlier.", |s| {
        s.faults.overtaken.into()
    }),
    Column::int8("ended_twice", "I4: a wait was to end that had ended.", |s| s.faults.ended_twice.into()),
    Column::int8("permits_lost", "I5: everybody had left and a permit was still out.", |s| {
        s.faults.permits_lost.into()
    }),
    Column::int8("starved", "I6: a route with a claim was passed over more often than allowed.", |s| {
        s.faults.starved.into()
    }),
    Column::int8("unfair", "I7: a busy route fell behind a richer one further than allowed.", |s| {
        s.faults.unfair.into()
    }),
    Column::int8("stale_reports", "A report about a connection that does not exist, or not in that state.", |s| {
        s.faults.stale_reports.into()
    }),
];
