//! Every family of metrics there is.

use pool::CloseReason;

use super::{Family, ProcessFacts, Values};
use crate::{
    State,
    facts::{FAULTS, RouteFacts, ServerFacts},
    sum::Most,
    tables::{connections::reason_name, routes::protocol_name},
};

/// The program. No labels.
pub(crate) const PROCESS: &[Family<ProcessFacts>] = &[
    Family {
        name: "evenkeel_build_info",
        about: "1, with the version as label.",
        values: Values::Gauges("version", |p| vec![(p.version, 1.0)]),
    },
    Family {
        name: "evenkeel_state",
        about: "1 for the present state, 0 for the others.",
        values: Values::Gauges("state", |p| {
            let states = [State::Starting, State::Ready, State::Draining];
            states.map(|state| (state.name(), f64::from(u8::from(state == p.state)))).into()
        }),
    },
    Family {
        name: "evenkeel_uptime_seconds",
        about: "Time since the start, in seconds.",
        values: Values::Gauge(|p| Some(p.uptime.as_secs_f64())),
    },
    Family {
        name: "evenkeel_process_clients",
        about: "Client connections, those that are still logging in included.",
        values: Values::Gauge(|p| Some(p.clients as f64)),
    },
    Family {
        name: "evenkeel_process_clients_max",
        about: "The most client connections.",
        values: Values::Gauge(|p| Some(p.limits.total as f64)),
    },
    Family {
        name: "evenkeel_process_routes",
        about: "Routes in use.",
        values: Values::Gauge(|p| Some(p.routes as f64)),
    },
    Family {
        name: "evenkeel_process_resident_memory_bytes",
        about: "Memory in RAM, in bytes. Linux only.",
        values: Values::Gauge(|p| p.resident_bytes.map(|bytes| bytes as f64)),
    },
    Family {
        name: "evenkeel_process_open_fds",
        about: "Open file descriptors. Linux only.",
        values: Values::Gauge(|p| p.open_files.map(|files| files as f64)),
    },
];

/// Servers. Label: `server`.
pub(crate) const SERVERS: &[Family<ServerFacts>] = &[
    Family {
        name: "evenkeel_server_info",
        about: "1, with what the server speaks as label: postgres or mysql. Join it by server to what else is known of it.",
        values: Values::Gauges("protocol", |s| vec![(protocol_name(s.server.protocol), 1.0)]),
    },
    Family {
        name: "evenkeel_server_budget",
        about: "The most connections to the server, by configuration.",
        values: Values::Gauge(|s| Some(s.totals.budget.into())),
    },
    Family {
        name: "evenkeel_server_effective_budget",
        about: "The most connections that the server allows: below the budget after it said that it is full.",
        values: Values::Gauge(|s| Some(s.totals.effective_budget.into())),
    },
    Family {
        name: "evenkeel_server_max_connections",
        about: "Connections that the server itself lets in, since it was first asked.",
        values: Values::Gauge(|s| Some(s.meters.census()?.max_connections.into())),
    },
    Family {
        name: "evenkeel_server_room_connections",
        about: "What the server lets in, less its reserve for administrators, the connections of others when it was last \
                asked (by the first connection, or SHOW SUM) and the most that is opened here. Below 0 it does not fit.",
        values: Values::Gauge(|s| {
            let census = s.meters.census()?;
            Some(Most::of(&s.server).room(&census) as f64)
        }),
    },
    Family {
        name: "evenkeel_server_connections",
        about: "Connections to the server by what they do. Their sum never exceeds the budget.",
        values: Values::Gauges("state", |s| {
            vec![
                ("connecting", s.totals.connecting.into()),
                ("idle", s.totals.idle.into()),
                ("in_use", s.totals.in_use.into()),
                ("closing", s.totals.closing.into()),
            ]
        }),
    },
    Family {
        name: "evenkeel_server_waiting_clients",
        about: "Clients that wait for a connection to the server.",
        values: Values::Gauge(|s| Some(s.totals.waiting.into())),
    },
    Family {
        name: "evenkeel_server_active_routes",
        about: "Routes that hold a connection or have a client waiting.",
        values: Values::Gauge(|s| Some(s.totals.active_routes.into())),
    },
    Family {
        name: "evenkeel_server_paused",
        about: "1 after PAUSE, until RESUME.",
        values: Values::Gauge(|s| Some(u8::from(s.totals.paused).into())),
    },
    Family {
        name: "evenkeel_server_unanswered_connects",
        about: "Connects in a row that the server did not answer; 0: it answers, or was not asked yet.",
        values: Values::Gauge(|s| Some(s.totals.unanswered.into())),
    },
    Family {
        name: "evenkeel_server_connects_total",
        about: "Connects begun.",
        values: Values::Counter(|s| s.totals.opens),
    },
    Family {
        name: "evenkeel_server_connect_failures_total",
        about: "Connects that failed: no answer, or a refused login.",
        values: Values::Counter(|s| s.meters.connect_failures.get()),
    },
    Family {
        name: "evenkeel_server_connect_seconds",
        about: "Time that connect and login took, where they succeeded.",
        values: Values::Histogram(|s| &s.meters.connect),
    },
    Family {
        name: "evenkeel_server_closes_total",
        about: "Connections closed, by reason.",
        values: Values::Counters("reason", |s| {
            CloseReason::ALL.map(|reason| (reason_name(reason), s.totals.closes.get(reason))).into()
        }),
    },
    Family {
        name: "evenkeel_server_leaks_total",
        about: "Server connections that a client has had for longer than pool.leak_timeout; the log names the client.",
        values: Values::Counter(|s| s.meters.leaks.get()),
    },
    Family {
        name: "evenkeel_server_moves_total",
        about: "Slots that moved from one route to another. Each costs a reconnect, unless it is a rekey.",
        values: Values::Counter(|s| s.totals.moves),
    },
    Family {
        name: "evenkeel_server_rekeys_total",
        about: "Slots that moved by a new login on the live connection (MySQL's COM_CHANGE_USER): each saved a reconnect.",
        values: Values::Counter(|s| s.totals.rekeys),
    },
    Family {
        name: "evenkeel_server_rekey_failures_total",
        about: "New logins on live connections that failed: each cost a connection.",
        values: Values::Counter(|s| s.totals.rekey_failures),
    },
    Family {
        name: "evenkeel_server_rekey_seconds",
        about: "Time that new logins on live connections took, where they succeeded.",
        values: Values::Histogram(|s| &s.meters.rekey),
    },
    Family {
        name: "evenkeel_server_faults_total",
        about: "Promises that the scheduler broke. Anything but 0 is a bug: alert on it.",
        values: Values::Counters("promise", |s| {
            FAULTS.iter().map(|fault| (fault.name, (fault.count)(&s.faults))).collect()
        }),
    },
];

/// Routes. Labels: `server`, `database`, `user`, and `flavour` where there is one.
pub(crate) const ROUTES: &[Family<RouteFacts>] = &[
    Family {
        name: "evenkeel_route_clients",
        about: "Clients connected.",
        values: Values::Gauge(|r| Some(r.clients() as f64)),
    },
    Family {
        name: "evenkeel_route_held_connections",
        about: "Server connections held: connecting, idle and in use.",
        values: Values::Gauge(|r| Some(r.view.held().into())),
    },
    Family {
        name: "evenkeel_route_in_use_connections",
        about: "Server connections that clients have, or that are being tested.",
        values: Values::Gauge(|r| Some(r.view.in_use.into())),
    },
    Family {
        name: "evenkeel_route_idle_connections",
        about: "Server connections with nothing to do.",
        values: Values::Gauge(|r| Some(r.view.idle.into())),
    },
    Family {
        name: "evenkeel_route_waiting_clients",
        about: "Clients that wait for a server connection.",
        values: Values::Gauge(|r| Some(r.view.waiting.into())),
    },
    Family {
        name: "evenkeel_route_share_connections",
        about: "Server connections that are due to the route while all active routes want more.",
        values: Values::Gauge(|r| Some(r.view.share)),
    },
    Family {
        name: "evenkeel_route_transactions_total",
        about: "Transactions.",
        values: Values::Counter(|r| r.lane.meters().transactions.get()),
    },
    Family {
        name: "evenkeel_route_queries_total",
        about: "Queries answered.",
        values: Values::Counter(|r| r.lane.meters().queries.get()),
    },
    Family {
        name: "evenkeel_route_errors_total",
        about: "Errors that clients saw.",
        values: Values::Counter(|r| r.lane.meters().errors.get()),
    },
    Family {
        name: "evenkeel_route_refusals_total",
        about: "Waits that ended without a server connection.",
        values: Values::Counter(|r| r.lane.meters().refusals.get()),
    },
    Family {
        name: "evenkeel_route_retries_total",
        about: "Queries sent again because a shared prepared statement was outdated.",
        values: Values::Counter(|r| r.lane.meters().retries.get()),
    },
    Family {
        name: "evenkeel_route_pins_total",
        about: "Server connections kept beyond their transaction because of session state.",
        values: Values::Counter(|r| r.lane.meters().pins.get()),
    },
    Family {
        name: "evenkeel_route_received_bytes_total",
        about: "Bytes from clients.",
        values: Values::Counter(|r| r.lane.meters().bytes_received.get()),
    },
    Family {
        name: "evenkeel_route_sent_bytes_total",
        about: "Bytes to clients.",
        values: Values::Counter(|r| r.lane.meters().bytes_sent.get()),
    },
    Family {
        name: "evenkeel_route_wait_seconds",
        about: "Time that clients waited for a server connection, 0 waits included.",
        values: Values::Histogram(|r| &r.lane.meters().wait),
    },
    Family {
        name: "evenkeel_route_query_seconds",
        about: "Time from a query to the end of its answer.",
        values: Values::Histogram(|r| &r.lane.meters().query),
    },
    Family {
        name: "evenkeel_route_transaction_seconds",
        about: "Time from getting a server connection to giving it back.",
        values: Values::Histogram(|r| &r.lane.meters().transaction),
    },
];
