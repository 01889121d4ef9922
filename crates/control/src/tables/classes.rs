//! `SHOW CLASSES` and `SHOW TRANSACTION_LIMITS`: the typed pools of every server, and who has how many of their transactions.

use std::sync::Arc;

use pool::{CloseReason, LimitMode, Party};

use crate::{
    facts::{ClassFacts, ServerFacts},
    table::{Column, micros},
};

/// Columns of `SHOW CLASSES` and `/api/classes`.
pub(crate) const CLASSES: &[Column<ClassFacts>] = &[
    Column::text("server", "Its server.", |c| (&c.server.name).into()),
    Column::text("class", "Its name.", |c| c.name().into()),
    Column::int4("capacity", "The most connections of its routes together; NULL: only the budget limits it.", |c| {
        c.view.cap.into()
    }),
    Column::int4("available", "How many more it could lend out now without borrowing from another class.", |c| {
        c.view.available.into()
    }),
    Column::int4("active", "Its connections, in every state.", |c| c.view.active.into()),
    Column::int4("in_use", "Those that clients have, or that are being tested.", |c| c.view.in_use.into()),
    Column::int4("idle", "Those with nothing to do.", |c| c.view.idle.into()),
    Column::int4("connecting", "Those being opened, or moved to it by a new login.", |c| c.view.connecting.into()),
    Column::int4("closing", "Those being closed.", |c| c.view.closing.into()),
    Column::int4("borrowed", "Its connections that count against other classes' capacity.", |c| c.view.borrowed.into()),
    Column::int4("lent", "Other classes' connections that count against its capacity.", |c| c.view.lent.into()),
    Column::text("lends_to", "The classes that may use what is left of its capacity.", |c| c.lends_to().into()),
    Column::int4("waiting", "Clients that wait for a connection of it.", |c| c.view.waiting.into()),
    Column::int8("leases", "Connections lent so far.", |c| c.view.leases.into()),
    Column::int8("exhausted", "How often the last connection of its capacity was lent so far.", |c| {
        c.view.exhausted.into()
    }),
    Column::int8("waits", "Waits so far that ended with a connection.", |c| c.view.waits.into()),
    Column::int8("wait_us", "How long these were together, in microseconds.", |c| micros(c.view.wait_time).into()),
    Column::int8("failed_waits", "Waits so far that ended without one, and requests that were not let wait.", |c| {
        c.view.failed_waits.into()
    }),
    Column::int8("hold_us", "How long clients had its connections so far, in microseconds.", |c| {
        micros(c.view.hold_time).into()
    }),
    Column::int8("transfers", "Connections that came to it from other classes as they were, so far.", |c| {
        c.view.transfers.into()
    }),
    Column::int8("connects", "Connects that succeeded so far.", |c| c.view.connects.into()),
    Column::int8("connect_us", "How long these took together, in microseconds.", |c| {
        micros(c.view.connect_time).into()
    }),
    Column::int8("connect_failures", "Connects that failed so far.", |c| c.view.connect_failures.into()),
    Column::int8("idle_closed", "Connections closed so far because they were idle for too long.", |c| {
        c.idle_closed().into()
    }),
    Column::int8("lifetime_closed", "Connections closed so far because they were too old.", |c| {
        c.view.closes.get(CloseReason::Lifetime).into()
    }),
    Column::int8("uses_closed", "Connections closed so far because they had been lent often enough.", |c| {
        c.view.closes.get(CloseReason::Uses).into()
    }),
    Column::int8("closes", "Connections closed so far, for whatever reason.", |c| c.view.closes.sum().into()),
];

/// The transactions of one party on one server.
#[derive(Debug)]
pub(crate) struct Share {
    server: Arc<str>,
    mode: LimitMode,
    limit: u32,
    capacity: u32,
    /// None: the line of the server itself, for all together.
    party: Option<Arc<str>>,
    has: Party,
}

/// Columns of `SHOW TRANSACTION_LIMITS` and `/api/transaction_limits`.
pub(crate) const TRANSACTION_LIMITS: &[Column<Share>] = &[
    Column::text("server", "Its server.", |s| (&s.server).into()),
    Column::text("party", "What transaction_limit.by tells apart, such as a user; NULL: all together.", |s| {
        s.party.as_ref().into()
    }),
    Column::text("mode", "on, off, or dry_run.", |s| mode_name(s.mode).into()),
    Column::int4("capacity", "Connections that the classes for transactions can hold.", |s| s.capacity.into()),
    Column::int4("limit", "The most transactions of one party at once; NULL: the limit is off.", |s| {
        (s.mode != LimitMode::Off).then_some(s.limit).into()
    }),
    Column::int4("transactions", "Transactions now; those that began while the limit was off are not counted.", |s| {
        s.has.held.into()
    }),
    Column::int8("refused", "Transactions refused so far.", |s| s.has.refusals.refused.into()),
    Column::int8("dry_run", "Transactions so far that would have been refused, had it not been a dry run.", |s| {
        s.has.refusals.dry_run.into()
    }),
    Column::int8(
        "exceeded",
        "Transactions beyond the limit so far that were open before it could be told that they would be.",
        |s| s.has.refusals.exceeded.into(),
    ),
];

/// A line per server, and one per party that has a transaction or was refused one.
pub(crate) fn shares(servers: &[ServerFacts]) -> Vec<Share> {
    let mut shares = Vec::new();
    for ServerFacts { server, transactions, .. } in servers {
        let share = |party, has| {
            let (mode, limit, capacity) = (transactions.mode, transactions.limit, transactions.capacity);
            Share { server: server.name.clone(), mode, limit, capacity, party, has }
        };
        let held = transactions.parties.iter().map(|(_, party)| party.held).sum();
        let within = transactions.parties.iter().map(|(_, party)| party.within).sum();
        shares.push(share(None, Party { held, within, refusals: transactions.refusals }));
        shares.extend(transactions.parties.iter().map(|(name, has)| share(Some(name.clone()), *has)));
    }
    shares
}

/// A mode as the configuration writes it.
const fn mode_name(mode: LimitMode) -> &'static str {
    match mode {
        LimitMode::Off => "off",
        LimitMode::On => "on",
        LimitMode::DryRun => "dry_run",
    }
}
