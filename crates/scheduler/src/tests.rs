//! Attach, detach and the clock, case by case.

mod audit;
mod properties;

use std::time::Duration;

use crate::{
    Attach, ClassId, CloseReason, ConnId, Decision, Detach, Home, Limits, Recycling, Request, Reuse, RouteId,
    RouteLimits, Scheduler, StateKey, Ticket, Time,
};

const MS: u64 = 1_000_000;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn at(count: u64) -> Time {
    Time(count * MS)
}

fn limits(budget: u32) -> Limits {
    Limits {
        budget,
        connect_concurrency: budget,
        max_waiters: 10_000,
        reuse: Reuse::MostRecent,
        reclaim_after: ms(1_000),
        retention_connects: 4,
        probe_after: ms(500),
    }
}

fn forever() -> Recycling {
    Recycling { idle_timeout: None, max_idle_timeout: None, max_lifetime: None, lifetime_jitter: 0.0, max_uses: None }
}

fn plain() -> RouteLimits {
    RouteLimits { class: ClassId(0), weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None }
}

fn scheduler(budget: u32) -> Scheduler {
    Scheduler::new(limits(budget), forever(), 1, at(0))
}

fn ask(scheduler: &mut Scheduler, route: RouteId, now: Time) -> Attach {
    let request = Request { state: StateKey(0), home: Home(0), deadline: now.after(ms(5_000)) };
    scheduler.attach(route, request, now)
}

fn queued(attach: Attach) -> Ticket {
    match attach {
        Attach::Queued(ticket) => ticket,
        other => panic!("not queued but {other:?}"),
    }
}

fn decisions(scheduler: &mut Scheduler) -> Vec<Decision> {
    std::iter::from_fn(|| scheduler.poll_decision()).collect()
}

/// Attaches where a new connection is needed and completes the connect.
fn open_one(scheduler: &mut Scheduler, route: RouteId, now: Time) -> ConnId {
    let ticket = queued(ask(scheduler, route, now));
    let [Decision::Open { conn, .. }] = decisions(scheduler)[..] else { panic!("no open") };
    scheduler.handle_connected(conn, StateKey(0), Home(0), Duration::ZERO, now);
    assert_eq!(decisions(scheduler), [Decision::Grant { ticket, conn }]);
    conn
}

fn keep(scheduler: &mut Scheduler, conn: ConnId, now: Time) {
    scheduler.detach(conn, Detach::Keep(StateKey(0)), now);
}

#[test]
fn seed_001_attach_step_1_takes_an_idle_connection_of_the_route() {
    let mut scheduler = scheduler(2);
    let route = scheduler.add_route(plain(), at(0));
    let conn = open_one(&mut scheduler, route, at(0));
    keep(&mut scheduler, conn, at(1));
    assert_eq!(ask(&mut scheduler, route, at(2)), Attach::Granted(conn));
    assert_eq!(decisions(&mut scheduler), []);
}

#[test]
fn seed_001_attach_step_2_bursts_above_quota_while_others_ask_for_less() {
    let mut scheduler = scheduler(4);
    let (busy, quiet) = (scheduler.add_route(plain(), at(0)), scheduler.add_route(plain(), at(0)));
    open_one(&mut scheduler, quiet, at(0));
    for _ in 0..3 {
        open_one(&mut scheduler, busy, at(0));
    }
    let view = scheduler.route(busy).expect("live");
    assert_eq!((view.in_use, view.quota), (3, 2.0));
    queued(ask(&mut scheduler, busy, at(1)));
    assert_eq!(decisions(&mut scheduler), [], "the budget is full");
}

#[test]
fn seed_001_attach_step_3_takes_an_idle_connection_of_a_route_above_quota() {
    let mut scheduler = scheduler(4);
    let (rich, poor) = (scheduler.add_route(plain(), at(0)), scheduler.add_route(plain(), at(0)));
    let conns: Vec<_> = (0..4).map(|_| open_one(&mut scheduler, rich, at(0))).collect();
    keep(&mut scheduler, conns[2], at(1));
    keep(&mut scheduler, conns[0], at(2));
    let ticket = queued(ask(&mut scheduler, poor, at(3)));
    // The least recently used one.
    let close = Decision::Close { conn: conns[2], reason: CloseReason::Reclaimed };
    assert_eq!(decisions(&mut scheduler), [close]);
    scheduler.handle_closed(conns[2], at(4));
    let [Decision::Open { conn, route }] = decisions(&mut scheduler)[..] else { panic!("no open") };
    assert_eq!(route, poor);
    scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(5));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn }]);
    assert!(scheduler.faults().is_clean());
}
