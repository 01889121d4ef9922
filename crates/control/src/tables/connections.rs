//! `SHOW CLIENTS` and `SHOW SERVERS`: connections on both sides.

use std::time::Duration;

use pool::{Activity, CloseReason};
use route::Address;
use session::{Compression, Peer, Phase};

use crate::{
    clock::utc_ago,
    facts::{ClientFacts, ConnectionFacts},
    table::{Cell, Column, micros},
    tables::routes::protocol_name,
};

/// PgBouncer's columns in its order (1.26.1, `src/admin.c`, `admin_show_clients`), then ours.
pub(crate) const CLIENTS: &[Column<ClientFacts>] = &[
    Column::text("type", "C: a client.", |_| "C".into()),
    Column::text("user", "User.", |c| (&c.entry.user).into()),
    Column::text("database", "Database, as the client names it.", |c| (&c.entry.database).into()),
    Column::text("replication", "Always none.", |_| "none".into()),
    Column::text("state", "waiting: for a server connection; else active.", |c| match c.phase {
        Phase::Waiting => "waiting".into(),
        Phase::Idle | Phase::Active | Phase::Holding => "active".into(),
    }),
    Column::text("addr", "IP address, or unix.", |c| match c.entry.peer {
        Peer::Tcp(address) => address.ip().to_string().into(),
        Peer::Unix => "unix".into(),
    }),
    Column::int4("port", "Its port; 0 on a unix socket.", |c| match c.entry.peer {
        Peer::Tcp(address) => address.port().into(),
        Peer::Unix => Cell::Whole(0),
    }),
    Column::text("local_addr", "Always empty.", |_| Cell::Null),
    Column::int4("local_port", "Always empty.", |_| Cell::Null),
    Column::text("connect_time", "When it connected.", |c| utc_ago(c.now, c.age).into()),
    Column::text("request_time", "When its present work began, or its silence.", |c| {
        utc_ago(c.now, c.phase_age).into()
    }),
    Column::int4("wait", "How long it has waited for a server connection: whole seconds.", |c| {
        waited(c).as_secs().into()
    }),
    Column::int4("wait_us", "The microseconds beyond those.", |c| waited(c).subsec_micros().into()),
    Column::int4("close_needed", "Always 0.", |_| Cell::Whole(0)),
    Column::text("ptr", "Its number again, as PgBouncer's tools want it.", |c| format!("c{}", c.entry.number()).into()),
    Column::text("link", "Process number of the server connection it has; empty: none.", |c| {
        c.server_process.map(|process| process.to_string()).into()
    }),
    Column::int4("remote_pid", "Always 0.", |_| Cell::Whole(0)),
    Column::text("tls", "Version and cipher suite, when it is encrypted.", |c| {
        c.entry.approach.encryption.map_or_else(String::new, |encryption| encryption.to_string()).into()
    }),
    Column::text("application_name", "Always empty: it is not kept.", |_| "".into()),
    Column::int4("prepared_statements", "Always empty: it is not counted.", |_| Cell::Null),
    Column::int8("id", "Its number, for KILL. Never used again, so it may outgrow PgBouncer's int4.", |c| {
        c.entry.number().into()
    }),
    Column::text(
        "phase",
        "idle, waiting (for a server connection), active (the server works), holding (in a transaction, or pinned).",
        |c| c.phase.name().into(),
    ),
    Column::int8("server_pid", "Process number of the server connection it has, as pg_stat_activity shows it.", |c| {
        c.server_process.into()
    }),
    Column::int8("age_s", "Since when it is connected, in seconds.", |c| c.age.as_secs().into()),
    Column::text("class", "The class that its server connection counts in; empty: none held, or one class.", |c| {
        c.entry.class().as_deref().into()
    }),
    Column::text("pin", "Why it keeps its server connection beyond its transaction; empty: it does not.", |c| {
        c.entry.pin().map(|pin| pin.to_string()).into()
    }),
    Column::text("protocol", "What it speaks: postgres or mysql.", |c| protocol_name(c.entry.approach.protocol).into()),
    Column::int8(
        "phase_us",
        "How long it has been so, in microseconds; what is answered without a server connection does not count.",
        |c| micros(c.phase_age).into(),
    ),
    Column::text(
        "asked",
        "What it asked last, without the values; kept only where there is a pool.leak_timeout.",
        |c| c.entry.asked().map(|asked| asked.into_string()).into(),
    ),
    Column::text("compression", "How what it is sent is compressed: zlib or zstd; empty: not at all.", |c| {
        c.entry.approach.compression.map_or("", Compression::name).into()
    }),
];

/// MySQL's columns in its order (8.0, `sql/sql_show.cc`, `mysqld_list_processes`).
pub(crate) const PROCESSLIST: &[Column<ClientFacts>] = &[
    // MySQL clients were told no more than 32 bits of it when they logged in.
    Column::int8("Id", "Its number, for KILL, and what CONNECTION_ID() tells a MySQL client.", |c| {
        (c.entry.number() & u64::from(u32::MAX)).into()
    }),
    Column::text("User", "User.", |c| (&c.entry.user).into()),
    Column::text("Host", "IP address and port, or localhost for a unix socket.", |c| match c.entry.peer {
        Peer::Tcp(address) => address.to_string().into(),
        Peer::Unix => "localhost".into(),
    }),
    Column::text("db", "Database, as the client names it.", |c| (&c.entry.database).into()),
    Column::text("Command", "Sleep: it is the client's turn; Query: it is ours, or the server's.", |c| match c.phase {
        Phase::Idle | Phase::Holding => "Sleep".into(),
        Phase::Waiting | Phase::Active => "Query".into(),
    }),
    Column::int8("Time", "How long it has been so, in whole seconds, see phase_us in SHOW CLIENTS.", |c| {
        c.phase_age.as_secs().into()
    }),
    Column::text("State", "What it does, or why it keeps its server connection.", |c| match (c.phase, c.entry.pin()) {
        (Phase::Idle, _) => "".into(),
        (Phase::Waiting, _) => "waiting for a server connection".into(),
        (Phase::Active, _) => "executing".into(),
        (Phase::Holding, None) => "in a transaction".into(),
        (Phase::Holding, Some(pin)) => format!("keeps its server connection: {pin}").into(),
    }),
    Column::text("Info", "Always empty: texts are not kept.", |_| Cell::Null),
];

/// How long a client has waited for a server connection; nothing for one that does not wait.
fn waited(client: &ClientFacts) -> Duration {
    if client.phase == Phase::Waiting { client.phase_age } else { Duration::ZERO }
}

/// PgBouncer's columns in its order (1.26.1, `src/admin.c`, `admin_show_servers`), then ours.
pub(crate) const SERVERS: &[Column<ConnectionFacts>] = &[
    Column::text("type", "S: a server connection.", |_| "S".into()),
    Column::text("user", "User of its route, as clients name it.", |c| c.lane.as_ref().map(|lane| &lane.user).into()),
    Column::text("database", "Database of its route, as clients name it.", |c| {
        c.lane.as_ref().map(|lane| &lane.database).into()
    }),
    Column::text("replication", "Always none.", |_| "none".into()),
    Column::text("state", "new (or moving to another route), active, idle, tested, or closing.", |c| {
        state(c.view.activity).into()
    }),
    Column::text("addr", "Host of the server, or unix.", |c| match &c.server.address {
        Address::Tcp { host, .. } => host.as_str().into(),
        Address::Unix { .. } => "unix".into(),
    }),
    Column::int4("port", "Its port; 0 on a unix socket.", |c| match &c.server.address {
        Address::Tcp { port, .. } => (*port).into(),
        Address::Unix { .. } => Cell::Whole(0),
    }),
    Column::text("local_addr", "Always empty.", |_| Cell::Null),
    Column::int4("local_port", "Always empty.", |_| Cell::Null),
    Column::text("connect_time", "When its connect began.", |c| utc_ago(c.now, c.view.age).into()),
    Column::text("request_time", "When a client got it; empty: no client has it.", |c| match c.view.activity {
        Activity::Lent { since, .. } => utc_ago(c.now, since).into(),
        Activity::Connecting | Activity::Idle { .. } | Activity::Testing | Activity::Closing { .. } => Cell::Null,
    }),
    Column::int4("wait", "Always 0.", |_| Cell::Whole(0)),
    Column::int4("wait_us", "Always 0.", |_| Cell::Whole(0)),
    Column::int4("close_needed", "1 when it is being closed.", |c| {
        matches!(c.view.activity, Activity::Closing { .. }).into()
    }),
    Column::text("ptr", "Server and slot: unique among the connections of one instant.", |c| {
        format!("{}/{}", c.server.name, c.view.id.index()).into()
    }),
    Column::text("link", "Always empty: SHOW CLIENTS links clients to process numbers.", |_| "".into()),
    Column::int4("remote_pid", "Always empty: only the client that has it knows.", |_| Cell::Null),
    Column::text("tls", "Always empty: only the client that has it knows.", |_| "".into()),
    Column::text("application_name", "Always empty: it is the present client's.", |_| "".into()),
    Column::int4("prepared_statements", "Always empty: only the client that has it knows.", |_| Cell::Null),
    Column::int4("id", "Its slot in the server's budget.", |c| c.view.id.index().into()),
    Column::text("server", "The server.", |c| (&c.server.name).into()),
    Column::text("server_user", "User on the server.", |c| c.lane.as_ref().map(|lane| &lane.server_user).into()),
    Column::text("server_database", "Database on the server.", |c| {
        c.lane.as_ref().map(|lane| &lane.server_database).into()
    }),
    Column::int8("age_s", "How long ago its connect began, in seconds.", |c| c.view.age.as_secs().into()),
    Column::int8("uses", "How often it was lent.", |c| c.view.uses.into()),
    Column::int8("idle_us", "How long it has had nothing to do, in microseconds; empty: it has.", |c| {
        match c.view.activity {
            Activity::Idle { since } => micros_of(since),
            Activity::Connecting | Activity::Lent { .. } | Activity::Testing | Activity::Closing { .. } => Cell::Null,
        }
    }),
    Column::int8("lent_us", "How long a client has had it, in microseconds; empty: no client has.", |c| {
        match c.view.activity {
            Activity::Lent { since, .. } => micros_of(since),
            Activity::Connecting | Activity::Idle { .. } | Activity::Testing | Activity::Closing { .. } => Cell::Null,
        }
    }),
    Column::text("close_reason", "Why it is being closed.", |c| match c.view.activity {
        Activity::Closing { reason } => reason_name(reason).into(),
        Activity::Connecting | Activity::Idle { .. } | Activity::Lent { .. } | Activity::Testing => Cell::Null,
    }),
    Column::text("protocol", "What the server speaks: postgres or mysql.", |c| protocol_name(c.server.protocol).into()),
    Column::text("flavour", "That of its route, see SHOW ROUTES.", |c| {
        c.lane.as_ref().and_then(|lane| lane.flavour.name()).into()
    }),
    Column::int8("client", "Id of the client that has it, see SHOW CLIENTS; empty: no client has.", |c| {
        match c.view.activity {
            Activity::Lent { borrower: client @ 1.., .. } => client.into(),
            Activity::Lent { .. }
            | Activity::Connecting
            | Activity::Idle { .. }
            | Activity::Testing
            | Activity::Closing { .. } => Cell::Null,
        }
    }),
];

fn micros_of(duration: Duration) -> Cell {
    micros(duration).into()
}

const fn state(activity: Activity) -> &'static str {
    match activity {
        Activity::Connecting => "new",
        Activity::Idle { .. } => "idle",
        Activity::Lent { .. } => "active",
        Activity::Testing => "tested",
        Activity::Closing { .. } => "closing",
    }
}

/// Why a connection was closed, as tables and metrics write it.
pub(crate) const fn reason_name(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::IdleTimeout => "idle_timeout",
        CloseReason::MaxIdleTimeout => "max_idle_timeout",
        CloseReason::Lifetime => "max_lifetime",
        CloseReason::Uses => "max_uses",
        CloseReason::Reclaimed => "reclaimed",
        CloseReason::Shrunk => "shrunk",
        CloseReason::Draining => "draining",
        CloseReason::Reconnect => "reconnect",
        CloseReason::Unusable => "unusable",
        CloseReason::Invalid => "invalid",
        CloseReason::RekeyFailed => "rekey_failed",
        _ => "other",
    }
}
