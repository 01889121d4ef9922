//! Limits that nobody can live by, and connections that come back although nobody wants them.

use std::time::Duration;

use super::{ask, at, closes, decisions, forever, keep, limits, ms, open_one, plain, queued, scheduler};
use crate::{
    Attach, ConnectFailure, Decision, FOREVER, Home, Limits, Recycling, Request, RouteLimits, Scheduler, StateKey, Time,
};

/// One connection kept for `min_idle` by a scheduler with these limits, and its decisions after a year.
fn after_a_year(limits: Limits, recycling: Recycling) -> (Scheduler, Vec<Decision>) {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let mut scheduler = Scheduler::new(limits, recycling, 1, at(0));
    let route = scheduler.add_route(RouteLimits { min_idle: 1, ..plain() }, None, at(0));
    let [Decision::Open { conn, .. }] = decisions(&mut scheduler)[..] else { panic!("no min_idle") };
    scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(0));
    assert_eq!(ask(&mut scheduler, route, at(0)), Attach::Granted(conn));
    keep(&mut scheduler, conn, at(1));
    scheduler.handle_time(Time(0).after(YEAR));
    let decided = decisions(&mut scheduler);
    (scheduler, decided)
}

#[test]
fn a_limit_of_zero_is_none_and_neither_loops_nor_reconnects() {
    let zero = Recycling {
        idle_timeout: Some(Duration::ZERO),
        max_idle_timeout: Some(Duration::ZERO),
        max_lifetime: Some(Duration::ZERO),
        lifetime_jitter: 0.1,
        max_uses: Some(0),
    };
    let (mut scheduler, decided) = after_a_year(limits(2), zero.clone());
    assert_eq!(decided, []);
    scheduler.set_recycling(zero, at(2));
    assert_eq!((decisions(&mut scheduler), scheduler.next_time()), (vec![], None));
}

#[test]
fn the_longest_durations_do_not_panic() {
    for lifetime_jitter in [0.0, f64::NAN, f64::INFINITY, -1.0] {
        let endless = Recycling {
            idle_timeout: Some(Duration::MAX),
            max_idle_timeout: Some(Duration::MAX),
            max_lifetime: Some(Duration::MAX),
            lifetime_jitter,
            max_uses: Some(u64::MAX),
        };
        let patient = Limits { reclaim_after: Duration::MAX, retention_connects: u32::MAX, ..limits(2) };
        assert_eq!(after_a_year(patient, endless).1, []);
    }
}

#[test]
fn a_full_server_is_probed_with_a_pause_whatever_probe_after_says() {
    for (probe_after, first, second) in [(Duration::ZERO, ms(10), ms(20)), (Duration::MAX, FOREVER, FOREVER * 2)] {
        let mut scheduler = Scheduler::new(Limits { probe_after, ..limits(2) }, forever(), 1, at(0));
        let route = scheduler.add_route(plain(), None, at(0));
        open_one(&mut scheduler, route, at(0));
        let wait_until_never = Request { state: StateKey(0), home: Home(0), deadline: Time(u64::MAX) };
        queued(scheduler.attach(route, wait_until_never, at(1)));
        let mut now = at(1);
        for pause in [first, second] {
            let [Decision::Open { conn, .. }] = decisions(&mut scheduler)[..] else { panic!("no open") };
            scheduler.handle_connect_failed(conn, ConnectFailure::TooManyConnections, now);
            assert_eq!(scheduler.next_time(), Some(now.after(pause)));
            now = now.after(pause);
            scheduler.handle_time(now);
        }
    }
}

/// A budget that never allows as many as are asked for ahead of demand.
#[test]
fn connections_opened_ahead_beyond_reach_do_not_come_back_for_ever() {
    let mut scheduler = scheduler(5);
    scheduler.set_recycling(Recycling { idle_timeout: Some(ms(100)), ..forever() }, at(0));
    let route = scheduler.add_route(plain(), None, at(0));
    scheduler.open_ahead(route, 8, at(0));
    let opened = decisions(&mut scheduler);
    assert_eq!(opened.len(), 5);
    for decision in opened {
        let Decision::Open { conn, .. } = decision else { panic!("{decision:?}") };
        scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(1));
    }
    scheduler.handle_time(at(200));
    let closed = closes(&mut scheduler);
    assert_eq!(closed.len(), 5, "they were wanted once");
    for (conn, _) in closed {
        scheduler.handle_closed(conn, at(201));
    }
    assert_eq!((decisions(&mut scheduler), scheduler.held(), scheduler.next_time()), (vec![], 0, None));
}
