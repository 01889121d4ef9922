//! Looks made by hand.

use std::time::Instant;

use meter::{Exposition, Histogram};

use super::{
    super::{demand::Basis, exposition::Page, look::routes},
    *,
};

const LABELS: [(&str, &str); 3] = [("server", "main"), ("database", "shop"), ("user", "app")];

/// A look `seconds` after `start`, when so many leases of 10 ms have ended and so many are out.
fn look(start: Instant, seconds: u64, leases: u64, in_use: u64, waiting: u64) -> Look {
    let holds = Histogram::new();
    (0..leases).for_each(|_| holds.record(Duration::from_millis(10)));
    let mut page = Exposition::new();
    page.gauge("evenkeel_route_in_use_connections", "X.").sample(&LABELS, in_use);
    page.gauge("evenkeel_route_waiting_clients", "X.").sample(&LABELS, waiting);
    if leases > 0 {
        page.histogram("evenkeel_route_transaction_seconds", "X.").sample(&LABELS, &holds.snapshot());
        page.histogram("evenkeel_route_wait_seconds", "X.").sample(&LABELS, &holds.snapshot());
    }
    Look { at: start + Duration::from_secs(seconds), routes: routes(&Page::parse(&page.finish())) }
}

fn watched(looks: &[Look], pool_mode: &str) -> Result<ServerLoad> {
    let server = ServerEntry { server: "main".into(), budget: 20, effective_budget: 20, ..ServerEntry::default() };
    let route = RouteEntry {
        server: "main".into(),
        database: "shop".into(),
        user: "app".into(),
        pool_mode: pool_mode.into(),
        guarantee: 2,
        ..RouteEntry::default()
    };
    Ok(loads(looks, vec![server], &[route])?.remove(0))
}

#[test]
fn a_steady_load() {
    let start = Instant::now();
    let looks: Vec<Look> = (0..=10).map(|at| look(start, at, at * 100, 1, 0)).collect();
    let server = watched(&looks, "transaction").unwrap();
    assert!((server.all.rate - 100.0).abs() < 1e-9 && (server.all.demand.rate - 100.0).abs() < 1e-9, "{server:?}");
    assert!((server.all.busy() - 1.0).abs() < 1e-9, "{server:?}");
    assert_eq!((server.all.kept, server.routes.len(), server.routes[0].guarantee), (0, 1, 2));
    let work = server.all.work(2).unwrap().unwrap();
    assert!((work.busy() - 2.0).abs() < 1e-9 && work.variation() < 0.1, "{work:?}");
    assert!(!server.all.is_held_back());
}

#[test]
fn a_burst_counts_and_chance_does_not() {
    let start = Instant::now();
    let counts = |counts: [u64; 5]| -> Vec<Look> {
        (0..).zip(counts).map(|(at, leases)| look(start, at, leases, 0, 0)).collect()
    };
    let chance = watched(&counts([0, 110, 190, 310, 400]), "transaction").unwrap();
    assert_eq!(chance.all.demand.basis, Basis::Whole);
    assert!((100.0..130.0).contains(&chance.all.demand.rate), "{chance:?}");
    let burst = watched(&counts([0, 50, 100, 350, 400]), "transaction").unwrap();
    assert_eq!((burst.all.rate, burst.all.demand.rate), (100.0, 250.0));
    assert_eq!(burst.all.demand.basis, Basis::Busiest);
}

/// One connection that serves leases of 10 ms, four leases of 2 s that end all at once, and a look right behind their end.
#[test]
fn slow_leases_that_end_in_a_short_moment_are_no_crowd() {
    let start = Instant::now();
    let at = |millis: u64, short: u64, long: u64| {
        let holds = Histogram::new();
        (0..short).for_each(|_| holds.record(Duration::from_millis(10)));
        (0..long).for_each(|_| holds.record(Duration::from_secs(2)));
        let mut page = Exposition::new();
        if short > 0 {
            page.histogram("evenkeel_route_transaction_seconds", "X.").sample(&LABELS, &holds.snapshot());
        }
        Look { at: start + Duration::from_millis(millis), routes: routes(&Page::parse(&page.finish())) }
    };
    let looks: Vec<Look> = [(0, 0, 0), (2_000, 200, 0), (4_000, 400, 0), (6_000, 600, 0)]
        .into_iter()
        .chain([(8_000, 800, 0), (8_100, 810, 4), (10_000, 1_000, 4), (12_000, 1_200, 4)])
        .map(|(millis, short, long)| at(millis, short, long))
        .collect();
    let server = watched(&looks, "transaction").unwrap();
    // Five connections at most were ever busy; in the tenth of a second 81 seem to be.
    assert!((1.0..=5.0).contains(&server.all.demand.busy()), "{server:?}");
}

#[test]
fn a_lease_from_long_before_the_watch_is_one_connection() {
    let start = Instant::now();
    let looks: Vec<Look> = (0..=10)
        .map(|at| {
            let holds = Histogram::new();
            (0..at * 100).for_each(|_| holds.record(Duration::from_millis(10)));
            if at >= 5 {
                holds.record(Duration::from_hours(1));
            }
            let mut page = Exposition::new();
            page.gauge("evenkeel_route_in_use_connections", "X.").sample(&LABELS, 2_u64);
            if at > 0 {
                page.histogram("evenkeel_route_transaction_seconds", "X.").sample(&LABELS, &holds.snapshot());
            }
            Look { at: start + Duration::from_secs(at), routes: routes(&Page::parse(&page.finish())) }
        })
        .collect();
    let server = watched(&looks, "transaction").unwrap();
    assert!((1.5..=3.0).contains(&server.all.demand.busy()), "{server:?}");
    assert!(server.all.work(1).unwrap().unwrap().variation() < 5_000.0, "{server:?}");
}

#[test]
fn connections_that_nobody_gives_back_are_kept() {
    let start = Instant::now();
    let looks: Vec<Look> = (0..=10).map(|at| look(start, at, at * 100, 9, 0)).collect();
    assert_eq!(watched(&looks, "transaction").unwrap().all.kept, 8, "1 of 9 is explained by leases that end");
    let idle: Vec<Look> = (0..=10).map(|at| look(start, at, 0, 3, 0)).collect();
    let server = watched(&idle, "transaction").unwrap();
    assert_eq!((server.all.kept, server.all.work(1).unwrap()), (3, None));
}

#[test]
fn a_session_keeps_its_connection() {
    let start = Instant::now();
    let looks: Vec<Look> = (0..=10).map(|at| look(start, at, at * 2, 7, at % 2)).collect();
    let server = watched(&looks, "session").unwrap();
    assert_eq!((server.all.kept, server.all.work(1).unwrap()), (8, None));
}

#[test]
fn clients_that_wait_may_hold_work_back() {
    let start = Instant::now();
    let looks: Vec<Look> = (0..=10).map(|at| look(start, at, at * 100, 1, 5)).collect();
    assert!(watched(&looks, "transaction").unwrap().all.is_held_back());
}

#[test]
fn a_restart_is_told() {
    let start = Instant::now();
    let looks = [look(start, 0, 100, 0, 0), look(start, 1, 50, 0, 0)];
    assert!(watched(&looks, "transaction").unwrap_err().to_string().contains("restarted"));
    assert!(watched(&[], "transaction").is_err());
}

#[test]
fn a_page_that_tells_of_endless_leases_is_refused() {
    for hold in [f64::INFINITY, 1e300, f64::NAN] {
        let load = Load { demand: Demand { rate: 100.0, hold, ..Demand::default() }, ..Load::default() };
        assert!(load.work(1).is_err(), "{hold}");
    }
}
