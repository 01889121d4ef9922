//! What a lease costs the scheduler: `cargo run --release -p evenkeel-scheduler --example cost`.
//!
//! Routes are connected and hold one idle connection each as far as the budget goes; what is measured concerns one or two
//! of them. The figures must not depend on how many there are.

use std::hint::black_box;
use std::time::{Duration, Instant};

use scheduler::{
    Attach, ClassId, ConnId, Decision, Detach, Home, Limits, Moves, Realm, Recycling, Request, Reuse, RouteId,
    RouteLimits, Scheduler, StateKey, Time,
};

const ROUNDS: u64 = 1_000_000;
const BUDGET: u32 = 200;

/// A scheduler with this budget and `routes` routes, and its routes.
fn scheduler(budget: u32, routes: usize) -> (Scheduler, Vec<RouteId>) {
    let limits = Limits {
        budget,
        connect_concurrency: BUDGET,
        max_waiters: 1_000_000,
        reuse: Reuse::MostRecent,
        reclaim_after: Duration::from_secs(3_600),
        retention_connects: 4,
        moves: Moves::Rekey,
        probe_after: Duration::from_secs(1),
    };
    let recycling = Recycling {
        idle_timeout: Some(Duration::from_secs(600)),
        max_idle_timeout: None,
        max_lifetime: Some(Duration::from_secs(3_600)),
        lifetime_jitter: 0.1,
        max_uses: None,
    };
    let mut scheduler = Scheduler::new(limits, recycling, 1, Time(0));
    let limits =
        RouteLimits { class: ClassId::DEFAULT, weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None };
    let routes: Vec<RouteId> =
        (0..routes).map(|_| scheduler.add_route(limits.clone(), Some(Realm(0)), Time(0))).collect();
    (scheduler, routes)
}

fn request(now: Time) -> Request {
    Request { state: StateKey(0), home: Home(0), deadline: now.after(Duration::from_secs(5)) }
}

/// Asks for `count` connections of a route and completes what connects that takes.
fn open(scheduler: &mut Scheduler, route: RouteId, count: u32, conns: &mut Vec<ConnId>) {
    for _ in 0..count {
        scheduler.attach(route, request(Time(0)), Time(0));
    }
    while let Some(decision) = scheduler.poll_decision() {
        match decision {
            Decision::Open { conn, .. } => {
                scheduler.handle_connected(conn, StateKey(0), Home(0), Duration::from_millis(1), Time(0));
            }
            Decision::Grant { conn, .. } => conns.push(conn),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

/// Attach to an idle connection, detach to idle.
fn uncontended(routes: usize) -> f64 {
    let (mut scheduler, routes) = scheduler(BUDGET, routes);
    let mut conns = Vec::new();
    for route in routes.iter().take(BUDGET as usize - 20) {
        open(&mut scheduler, *route, 1, &mut conns);
    }
    for conn in conns.drain(..) {
        scheduler.detach(conn, Detach::Keep(StateKey(0)), Time(0));
    }
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let now = Time(round * 1_000);
        match scheduler.attach(routes[0], request(now), now) {
            Attach::Granted(conn) => scheduler.detach(black_box(conn), Detach::Keep(StateKey(0)), now),
            other => panic!("unexpected: {other:?}"),
        }
    }
    begun.elapsed().as_nanos() as f64 / ROUNDS as f64
}

/// Two routes hold the budget's rest between them and have a hundred waiters each: every round one waiter comes and one
/// connection goes from hand to hand.
fn contended(routes: usize) -> f64 {
    let (mut scheduler, routes) = scheduler(BUDGET, routes);
    let (mut idle, mut conns) = (Vec::new(), Vec::new());
    for route in routes.iter().skip(2).take(BUDGET as usize - 20) {
        open(&mut scheduler, *route, 1, &mut idle);
    }
    for conn in idle {
        scheduler.detach(conn, Detach::Keep(StateKey(0)), Time(0));
    }
    let missing = BUDGET - scheduler.held();
    for route in &routes[..2] {
        open(&mut scheduler, *route, missing / 2, &mut conns);
    }
    for _ in 0..100 {
        scheduler.attach(routes[0], request(Time(0)), Time(0));
        scheduler.attach(routes[1], request(Time(0)), Time(0));
    }
    let half = conns.len() / 2;
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let now = Time(round * 1_000);
        let turn = round as usize % conns.len();
        scheduler.attach(routes[usize::from(turn >= half)], request(now), now);
        scheduler.detach(conns[turn], Detach::Keep(StateKey(0)), now);
        match scheduler.poll_decision() {
            Some(Decision::Grant { conn, .. }) => conns[turn] = conn,
            other => panic!("unexpected: {other:?}"),
        }
    }
    begun.elapsed().as_nanos() as f64 / ROUNDS as f64
}

/// Every route has a waiter, and there are slots for half of them at most: every round one connection moves to another
/// route by a re-key, and one waiter comes.
fn moving(routes: usize) -> f64 {
    let (mut scheduler, routes) = scheduler(BUDGET.min(routes as u32 / 2), routes);
    let patient = Request { deadline: Time(u64::MAX), ..request(Time(0)) };
    let mut conns = Vec::new();
    for route in routes.iter().take(scheduler.totals().budget as usize) {
        open(&mut scheduler, *route, 1, &mut conns);
    }
    for route in &routes {
        scheduler.attach(*route, patient, Time(0));
    }
    let begun = Instant::now();
    for round in 0..ROUNDS {
        // A second later, so that slots have been kept long enough for the first re-keys; then these set the measure.
        let now = Time(1_000_000_000 + round * 1_000);
        let conn = conns[round as usize % conns.len()];
        scheduler.detach(conn, Detach::Keep(StateKey(0)), now);
        let taker = match scheduler.poll_decision() {
            Some(Decision::Rekey { to, .. }) => to,
            other => panic!("unexpected: {other:?}"),
        };
        scheduler.handle_rekeyed(conn, StateKey(0), Duration::ZERO, now);
        assert!(matches!(scheduler.poll_decision(), Some(Decision::Grant { .. })));
        scheduler.attach(taker, patient, now);
    }
    begun.elapsed().as_nanos() as f64 / ROUNDS as f64
}

fn main() {
    println!(
        "{:>10} {:>24} {:>24} {:>24}",
        "routes", "idle: ns/attach+detach", "waiting: ns/attach+grant", "moving: ns/re-key+grant"
    );
    for routes in [10, 1_000, 100_000] {
        // The first pass warms up.
        let best = |run: fn(usize) -> f64| (0..4).map(|_| run(routes)).fold(f64::INFINITY, f64::min);
        println!("{routes:>10} {:>24.0} {:>24.0} {:>24.0}", best(uncontended), best(contended), best(moving));
    }
}
