//! VTTablet's pools ("VTTablet Connection Pools and Sizing", Vitess documentation): names, sizes and what they take.

use crate::class::Takes;
use crate::traffic::Traffic;
use crate::{Class, Pattern};

/// All of them; 326 connections and what is reserved. Who decides comes before what it is: an administrator's transaction is
/// for `dba`.
pub(super) fn vttablet() -> Vec<Class> {
    let of = |traffic| Takes { traffic: vec![traffic], ..Takes::default() };
    let found_rows = Takes { found_rows: Some(true), ..of(Traffic::Transaction) };
    vec![
        // VTTablet's default of `--db_dba_user`.
        class("dba", "dba_conn_pool", 20, Takes { users: patterns(&["vt_dba"]), ..Takes::default() }),
        class("app", "app_conn_pool", 40, applications(&["vtctl*", "vreplication*"])),
        class("tx_read", "tx_read_pool", 3, applications(&["tx_read*"])),
        class(
            "online_ddl_executor",
            "online_ddl_executor_pool",
            3,
            applications(&["online_ddl*", "gh-ost*", "pt-online-schema-change*"]),
        ),
        class("table_gc", "table_gc_pool", 2, applications(&["table_gc*"])),
        // Together with the two before it these are the 7 that Vitess's formula sets aside for online DDL.
        class("throttler", "throttler_pool", 2, applications(&["throttler*"])),
        class("found_rows", "found_rows_pool", 20, found_rows),
        class("transaction", "transaction_pool", 20, of(Traffic::Transaction)),
        class("stream", "stream_conn_pool", 200, of(Traffic::Stream)),
        class("oltp", "conn_pool", 16, of(Traffic::Statement)),
        Class::new(super::RESERVED_CLASS),
    ]
}

fn class(name: &str, metric: &str, cap: u32, takes: Takes) -> Class {
    Class { metric: metric.into(), cap: Some(cap), takes, ..Class::new(name) }
}

fn applications(names: &[&str]) -> Takes {
    Takes { applications: patterns(names), ..Takes::default() }
}

fn patterns(names: &[&str]) -> Vec<Pattern> {
    names.iter().map(|name| Pattern::new(*name)).collect()
}
