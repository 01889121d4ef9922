//! Every table that can be shown: its name, its columns, and how its rows come about.

pub(crate) mod classes;
pub(crate) mod connections;
pub(crate) mod entries;
pub(crate) mod routes;
pub(crate) mod servers;
pub(crate) mod stats;
pub(crate) mod sum;
pub(crate) mod values;

use crate::{
    facts::{ClientFacts, Facts},
    table::{Heading, Table, headings},
    view::View,
};

/// A table that `SHOW` shows.
#[derive(Debug)]
pub(crate) struct Topic {
    /// What follows `SHOW`.
    pub(crate) name: &'static str,
    /// What it shows, in a sentence.
    pub(crate) about: &'static str,
    /// Its columns.
    pub(crate) headings: fn() -> Vec<Heading>,
    /// Builds it. Takes a while: not for a thread that serves clients.
    pub(crate) build: fn(&View) -> Table,
}

/// Every table, in the order in which the documentation has them.
pub(crate) const TOPICS: &[Topic] = &[
    Topic {
        name: "ROUTES",
        about: "One row per route in use: what it holds, what it wants, and what is due to it.",
        headings: || headings(routes::ROUTES),
        build: |view| Table::of(routes::ROUTES, &Facts::of(&view.engine).routes),
    },
    Topic {
        name: "POOLS",
        about: "The same routes in PgBouncer's words.",
        headings: || headings(routes::POOLS),
        build: |view| Table::of(routes::POOLS, &Facts::of(&view.engine).routes),
    },
    Topic {
        name: "BUDGETS",
        about: "One row per server: its budget and what it is used for.",
        headings: || headings(servers::BUDGETS),
        build: |view| Table::of(servers::BUDGETS, &Facts::of(&view.engine).servers),
    },
    Topic {
        name: "CLASSES",
        about: "One row per class of every server: what it may have, has, lends and borrows, and what happened in it.",
        headings: || headings(classes::CLASSES),
        build: |view| Table::of(classes::CLASSES, &Facts::of(&view.engine).classes),
    },
    Topic {
        name: "TRANSACTION_LIMITS",
        about: "The limit on transactions of every server, and one row for everybody who has one or was refused one.",
        headings: || headings(classes::TRANSACTION_LIMITS),
        build: |view| Table::of(classes::TRANSACTION_LIMITS, &classes::shares(&Facts::of(&view.engine).servers)),
    },
    Topic {
        name: sum::NAME,
        about: "The most connections that can be opened to each server, term by term, beside what the server lets in, which \
                is asked anew.",
        headings: || headings(sum::SUM),
        build: |view| Table::of(sum::SUM, &sum::lines(view)),
    },
    Topic {
        name: "CLIENTS",
        about: "One row per client connection that has logged in.",
        headings: || headings(connections::CLIENTS),
        build: |view| Table::of(connections::CLIENTS, &ClientFacts::all(&view.engine)),
    },
    Topic {
        name: "PROCESSLIST",
        about: "The same clients in MySQL's words. SHOW FULL PROCESSLIST shows it, too.",
        headings: || headings(connections::PROCESSLIST),
        build: |view| Table::of(connections::PROCESSLIST, &ClientFacts::all(&view.engine)),
    },
    Topic {
        name: "SERVERS",
        about: "One row per server connection.",
        headings: || headings(connections::SERVERS),
        build: |view| Table::of(connections::SERVERS, &Facts::of(&view.engine).connections),
    },
    Topic {
        name: "DATABASES",
        about: "One row per configured database.",
        headings: || headings(entries::DATABASES),
        build: |view| Table::of(entries::DATABASES, &entries::databases(view)),
    },
    Topic {
        name: "USERS",
        about: "One row per configured user.",
        headings: || headings(entries::USERS),
        build: |view| Table::of(entries::USERS, &entries::users(view)),
    },
    Topic {
        name: "STATS",
        about: "One row per database in use: totals since its routes are in use, and averages of the last full minute.",
        headings: || headings(stats::STATS),
        build: |view| Table::of(stats::STATS, &stats::all(view)),
    },
    Topic {
        name: "STATS_TOTALS",
        about: "The totals of SHOW STATS alone.",
        headings: || headings(stats::STATS_TOTALS),
        build: |view| Table::of(stats::STATS_TOTALS, &stats::all(view)),
    },
    Topic {
        name: "LISTS",
        about: "How many there are of each kind of thing.",
        headings: || headings(values::LISTS),
        build: |view| Table::of(values::LISTS, &values::lists(view)),
    },
    Topic {
        name: "CONFIG",
        about: "The configuration in force, without secrets.",
        headings: || headings(values::CONFIG),
        build: |view| Table::of(values::CONFIG, &values::config(view)),
    },
    Topic {
        name: "STATE",
        about: "Whether clients are served.",
        headings: || headings(values::STATE),
        build: |view| Table::of(values::STATE, &values::state(view)),
    },
    Topic {
        name: "VERSION",
        about: "The version.",
        headings: || headings(values::VERSION),
        build: |view| Table::of(values::VERSION, &[view.version]),
    },
    Topic {
        name: "FAULTS",
        about: "One row per server: how often the scheduler broke a promise. Anything but 0 is a bug of ours.",
        headings: || headings(servers::FAULTS),
        build: |view| Table::of(servers::FAULTS, &Facts::of(&view.engine).servers),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// PgBouncer 1.26.1's columns with their types, captured from a running one.
    const PGBOUNCER: &[(&str, &str)] = &[
        (
            "POOLS",
            "database user cl_active:int4 cl_waiting:int4 cl_active_cancel_req:int4 cl_waiting_cancel_req:int4 \
             sv_active:int4 sv_active_cancel:int4 sv_being_canceled:int4 sv_idle:int4 sv_used:int4 sv_tested:int4 \
             sv_login:int4 maxwait:int4 maxwait_us:int4 pool_mode load_balance_hosts",
        ),
        (
            "DATABASES",
            "name host port:int4 database force_user pool_size:int4 min_pool_size:int4 reserve_pool_size:int4 \
             server_lifetime:int4 pool_mode load_balance_hosts max_connections:int4 current_connections:int4 \
             max_client_connections:int4 current_client_connections:int4 paused:int4 disabled:int4",
        ),
        (
            "STATS",
            "database total_server_assignment_count:numeric total_xact_count:numeric total_query_count:numeric \
             total_received:numeric total_sent:numeric total_xact_time:numeric total_query_time:numeric \
             total_wait_time:numeric total_client_parse_count:numeric total_server_parse_count:numeric \
             total_bind_count:numeric total_client_login_count:numeric avg_server_assignment_count:numeric \
             avg_xact_count:numeric avg_query_count:numeric avg_recv:numeric avg_sent:numeric avg_xact_time:numeric \
             avg_query_time:numeric avg_wait_time:numeric avg_client_parse_count:numeric \
             avg_server_parse_count:numeric avg_bind_count:numeric avg_client_login_count:numeric",
        ),
        (
            "STATS_TOTALS",
            "database server_assignment_count:numeric xact_count:numeric query_count:numeric bytes_received:numeric \
             bytes_sent:numeric xact_time:numeric query_time:numeric wait_time:numeric client_parse_count:numeric \
             server_parse_count:numeric bind_count:numeric client_login_count:numeric",
        ),
        (
            "CLIENTS",
            "type user database replication state addr port:int4 local_addr local_port:int4 connect_time \
             request_time wait:int4 wait_us:int4 close_needed:int4 ptr link remote_pid:int4 tls application_name \
             prepared_statements:int4 id:int8",
        ),
        (
            "SERVERS",
            "type user database replication state addr port:int4 local_addr local_port:int4 connect_time \
             request_time wait:int4 wait_us:int4 close_needed:int4 ptr link remote_pid:int4 tls application_name \
             prepared_statements:int4 id:int4",
        ),
        ("LISTS", "list items:int4"),
        (
            "USERS",
            "name pool_size reserve_pool_size pool_mode max_user_connections:int4 current_connections:int4 \
             max_user_client_connections:int4 current_client_connections:int4",
        ),
        ("STATE", "key value"),
        ("CONFIG", "key value default changeable"),
        ("VERSION", "version"),
    ];

    #[test]
    fn pgbouncers_columns_come_first_in_its_order() {
        for (name, columns) in PGBOUNCER {
            let topic = TOPICS.iter().find(|topic| topic.name == *name).unwrap();
            let ours: Vec<_> = (topic.headings)().iter().map(|heading| (heading.name, heading.kind.name())).collect();
            let theirs = columns.split_whitespace().map(|column| column.split_once(':').unwrap_or((column, "text")));
            for (place, column) in theirs.enumerate() {
                assert_eq!(ours[place], column, "SHOW {name}, column {place}");
            }
        }
    }

    #[test]
    fn names_of_columns_are_unique_and_described() {
        for topic in TOPICS {
            let mut names = std::collections::HashSet::new();
            for heading in (topic.headings)() {
                assert!(names.insert(heading.name), "{} has {} twice", topic.name, heading.name);
                assert!(heading.about.ends_with('.'), "{}.{}", topic.name, heading.name);
            }
        }
    }
}
