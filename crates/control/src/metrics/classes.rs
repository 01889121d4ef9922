//! Families about classes, under our names and under VTTablet's.

use meter::{Exposition, ForeignKind};
use pool::CloseReason;

use super::{Family, Group, Values, write};
use crate::{
    facts::{ClassFacts, ServerFacts},
    tables::connections::reason_name,
};

/// Classes. Labels: `server`, `class`.
pub(crate) const CLASSES: &[Family<ClassFacts>] = &[
    Family {
        name: "evenkeel_class_capacity_connections",
        about: "The most connections of the class; no sample: only the budget limits it.",
        values: Values::Gauge(|c| c.view.cap.map(f64::from)),
    },
    Family {
        name: "evenkeel_class_available_connections",
        about: "Connections that it could lend out now without borrowing from another class.",
        values: Values::Gauge(|c| Some(c.view.available.into())),
    },
    Family {
        name: "evenkeel_class_active_connections",
        about: "Its connections, in every state.",
        values: Values::Gauge(|c| Some(c.view.active.into())),
    },
    Family {
        name: "evenkeel_class_in_use_connections",
        about: "Its connections that clients have, or that are being tested.",
        values: Values::Gauge(|c| Some(c.view.in_use.into())),
    },
    Family {
        name: "evenkeel_class_idle_connections",
        about: "Its connections with nothing to do.",
        values: Values::Gauge(|c| Some(c.view.idle.into())),
    },
    Family {
        name: "evenkeel_class_borrowed_connections",
        about: "Its connections that count against other classes' capacity.",
        values: Values::Gauge(|c| Some(c.view.borrowed.into())),
    },
    Family {
        name: "evenkeel_class_lent_connections",
        about: "Other classes' connections that count against its capacity.",
        values: Values::Gauge(|c| Some(c.view.lent.into())),
    },
    Family {
        name: "evenkeel_class_waiting_clients",
        about: "Clients that wait for a connection of it.",
        values: Values::Gauge(|c| Some(c.view.waiting.into())),
    },
    Family {
        name: "evenkeel_class_leases_total",
        about: "Connections lent.",
        values: Values::Counter(|c| c.view.leases),
    },
    Family {
        name: "evenkeel_class_exhausted_total",
        about: "Times that the last connection of its capacity was lent.",
        values: Values::Counter(|c| c.view.exhausted),
    },
    Family {
        name: "evenkeel_class_waits_total",
        about: "Waits that ended with a connection.",
        values: Values::Counter(|c| c.view.waits),
    },
    Family {
        name: "evenkeel_class_waited_seconds_total",
        about: "How long these were together.",
        values: Values::Seconds(|c| c.view.wait_time),
    },
    Family {
        name: "evenkeel_class_failed_waits_total",
        about: "Waits that ended without a connection, and requests that were not let wait.",
        values: Values::Counter(|c| c.view.failed_waits),
    },
    Family {
        name: "evenkeel_class_wait_seconds",
        about: "Time that requests waited for a connection, 0 waits included. Of servers with several classes.",
        values: Values::Histograms(|c| Some(&c.measured()?.wait)),
    },
    Family {
        name: "evenkeel_class_held_seconds_total",
        about: "How long clients had its connections, present leases apart.",
        values: Values::Seconds(|c| c.view.hold_time),
    },
    Family {
        name: "evenkeel_class_hold_seconds",
        about: "Time from getting a connection to giving it back. Of servers with several classes.",
        values: Values::Histograms(|c| Some(&c.measured()?.hold)),
    },
    Family {
        name: "evenkeel_class_transfers_total",
        about: "Connections that came to it from other classes as they were, in use or idle.",
        values: Values::Counter(|c| c.view.transfers),
    },
    Family {
        name: "evenkeel_class_connects_total",
        about: "Connects that succeeded.",
        values: Values::Counter(|c| c.view.connects),
    },
    Family {
        name: "evenkeel_class_connected_seconds_total",
        about: "How long these took together.",
        values: Values::Seconds(|c| c.view.connect_time),
    },
    Family {
        name: "evenkeel_class_connect_seconds",
        about: "Time to connect and log in. Of servers with several classes.",
        values: Values::Histograms(|c| Some(&c.measured()?.connect)),
    },
    Family {
        name: "evenkeel_class_connect_failures_total",
        about: "Connects that failed.",
        values: Values::Counter(|c| c.view.connect_failures),
    },
    Family {
        name: "evenkeel_class_closes_total",
        about: "Connections closed, by reason.",
        values: Values::Counters("reason", |c| {
            CloseReason::ALL.map(|reason| (reason_name(reason), c.view.closes.get(reason))).into()
        }),
    },
];

/// The limit on transactions. Label: `server`.
pub(crate) const TRANSACTIONS: &[Family<ServerFacts>] = &[
    Family {
        name: "evenkeel_transaction_limit",
        about: "The most transactions of one party at once; no sample: the limit is off.",
        values: Values::Gauge(|s| s.transactions.is_counted().then(|| s.transactions.limit.into())),
    },
    Family {
        name: "evenkeel_transaction_limit_refusals_total",
        about: "Transactions refused because their party had as many as it may have.",
        values: Values::Counter(|s| s.transactions.refusals.refused),
    },
    Family {
        name: "evenkeel_transaction_limit_dry_run_refusals_total",
        about: "Transactions that a limit in a dry run would have refused.",
        values: Values::Counter(|s| s.transactions.refusals.dry_run),
    },
    Family {
        name: "evenkeel_transaction_limit_exceeded_total",
        about: "Transactions beyond the limit that were open before it could be told that they would be.",
        values: Values::Counter(|s| s.transactions.refusals.exceeded),
    },
];

/// What VTTablet tells of a pool: `vttablet_`, the pool's name, and this.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: ForeignKind,
    get: fn(&ClassFacts) -> f64,
}

/// VTTablet's metrics of pools (`go/pools/smartconnpool/pool.go`, `RegisterStats`), as far as they mean something here, and
/// `exhausted`, which it documents and had until its version 18 (`go/pools/resource_pool.go`).
pub(crate) const TAILS: &[Tail] = &[
    Tail::gauge("capacity", "The most connections.", |c| c.capacity().into()),
    Tail::gauge("max_cap", "The same.", |c| c.capacity().into()),
    Tail::gauge("available", "Connections that could be lent out now.", |c| c.view.available.into()),
    Tail::gauge("active", "Open connections.", |c| c.view.active.into()),
    Tail::gauge("in_use", "Connections lent out.", |c| c.view.in_use.into()),
    Tail::counter("get", "Connections lent.", |c| c.view.leases as f64),
    Tail::counter("wait_count", "Requests that had to wait and got a connection.", |c| c.view.waits as f64),
    Tail::counter("wait_time", "How long these waited together, in seconds.", |c| c.view.wait_time.as_secs_f64()),
    Tail::counter("exhausted", "Times that the last available connection was lent.", |c| c.view.exhausted as f64),
    Tail::counter("idle_closed", "Connections closed because they were idle for too long.", |c| c.idle_closed() as f64),
    Tail::counter("max_lifetime_closed", "Connections closed because they were too old.", |c| {
        c.view.closes.get(CloseReason::Lifetime) as f64
    }),
];

impl Tail {
    const fn gauge(name: &'static str, about: &'static str, get: fn(&ClassFacts) -> f64) -> Self {
        Self { name, about, kind: ForeignKind::Gauge, get }
    }

    const fn counter(name: &'static str, about: &'static str, get: fn(&ClassFacts) -> f64) -> Self {
        Self { name, about, kind: ForeignKind::Counter, get }
    }
}

/// VTTablet's names of what its transaction limiter refuses, with the label `user`.
pub(crate) const REJECTIONS: &str = "vttablet_tx_limiter_rejections";
/// The same in a dry run.
pub(crate) const REJECTIONS_DRY_RUN: &str = "vttablet_tx_limiter_rejections_dry_run";

/// Writes every class.
pub(crate) fn write_classes(page: &mut Exposition, classes: &[ClassFacts]) {
    let group = |class| Group { labels: labels(class), members: vec![class] };
    write(page, CLASSES, &classes.iter().map(group).collect::<Vec<_>>());
}

fn labels(class: &ClassFacts) -> Vec<(&'static str, &str)> {
    vec![("server", &*class.server.name), ("class", class.name())]
}

/// Writes every class, and who was refused a transaction, as VTTablet would.
pub(crate) fn write_vttablet(page: &mut Exposition, classes: &[ClassFacts], servers: &[ServerFacts]) {
    let mut pools: Vec<&str> = classes.iter().map(ClassFacts::metric).collect();
    pools.sort_unstable();
    pools.dedup();
    for pool in pools {
        for Tail { name, about, kind, get } in TAILS {
            let name = format!("vttablet_{}_{name}", metric_name(pool));
            let mut family = page.foreign(&name, about, *kind);
            for class in classes.iter().filter(|class| class.metric() == pool) {
                family.sample(&labels(class), get(class));
            }
        }
    }
    type Count = fn(&pool::Refusals) -> u64;
    let kinds: [(&str, &str, Count); 2] = [
        (REJECTIONS, "Transactions refused because their user had too many.", |refusals| refusals.refused),
        (REJECTIONS_DRY_RUN, "Those that would have been refused.", |refusals| refusals.dry_run),
    ];
    for (name, about, count) in kinds {
        let mut family = page.foreign(name, about, ForeignKind::Counter);
        for server in servers {
            for (party, has) in &server.transactions.parties {
                family.sample(&[("server", &*server.server.name), ("user", &**party)], count(&has.refusals));
            }
        }
    }
}

/// A name as it may stand in a metric's name: every other sign is an underscore.
fn metric_name(name: &str) -> String {
    let allowed = |sign: char| if sign.is_ascii_alphanumeric() || sign == '_' { sign } else { '_' };
    name.chars().map(allowed).collect()
}
