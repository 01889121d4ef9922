//! Attach, detach and the clock, case by case.

mod audit;
mod classes;
mod containers;
mod guarantees;
mod properties;
mod recycling;
mod rekeys;
mod route_ceiling;
mod siblings;

use std::time::Duration;

use crate::{
    Attach, BlockedBy, ClassId, ClassLimits, CloseReason, ConnId, ConnectFailure, Decision, Detach, ExpireReason, Home,
    Limits, Moves, Recycling, Refusal, Request, Reuse, RouteId, RouteLimits, Scheduler, StateKey, Ticket, Time,
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
        moves: Moves::Rekey,
    }
}

fn forever() -> Recycling {
    Recycling { idle_timeout: None, max_idle_timeout: None, max_lifetime: None, lifetime_jitter: 0.0, max_uses: None }
}

fn plain() -> RouteLimits {
    RouteLimits { class: ClassId::DEFAULT, weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None }
}

fn class(number: usize) -> ClassId {
    ClassId::new(number).expect("a small number")
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
    let route = scheduler.add_route(plain(), None, at(0));
    let conn = open_one(&mut scheduler, route, at(0));
    keep(&mut scheduler, conn, at(1));
    assert_eq!(ask(&mut scheduler, route, at(2)), Attach::Granted(conn));
    assert_eq!(decisions(&mut scheduler), []);
}

#[test]
fn seed_001_attach_step_2_bursts_above_quota_while_others_ask_for_less() {
    let mut scheduler = scheduler(4);
    let (busy, quiet) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
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
    let (rich, poor) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
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

/// Opens `count` connections for a route and leaves them idle, all since `now`.
fn open_idle(scheduler: &mut Scheduler, route: RouteId, count: usize, now: Time) -> Vec<ConnId> {
    let conns: Vec<_> = (0..count).map(|_| open_one(scheduler, route, now)).collect();
    for conn in &conns {
        keep(scheduler, *conn, now);
    }
    assert_eq!(decisions(scheduler), []);
    conns
}

fn closes(scheduler: &mut Scheduler) -> Vec<(ConnId, CloseReason)> {
    let close = |decision| match decision {
        Decision::Close { conn, reason } => (conn, reason),
        other => panic!("not a close: {other:?}"),
    };
    decisions(scheduler).into_iter().map(close).collect()
}

#[test]
fn the_first_to_wait_is_the_first_served_and_newcomers_do_not_overtake() {
    let mut scheduler = scheduler(1);
    let route = scheduler.add_route(plain(), None, at(0));
    let conn = open_one(&mut scheduler, route, at(0));
    let first = queued(ask(&mut scheduler, route, at(1)));
    let second = queued(ask(&mut scheduler, route, at(1)));
    keep(&mut scheduler, conn, at(2));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket: first, conn }]);
    queued(ask(&mut scheduler, route, at(2)));
    keep(&mut scheduler, conn, at(3));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket: second, conn }]);
}

#[test]
fn reuse_picks_the_most_or_the_least_recent_and_a_matching_state_goes_first() {
    for (reuse, expected) in [(Reuse::MostRecent, 2), (Reuse::LeastRecent, 0)] {
        let mut scheduler = Scheduler::new(Limits { reuse, ..limits(4) }, forever(), 1, at(0));
        let route = scheduler.add_route(plain(), None, at(0));
        let conns = open_idle(&mut scheduler, route, 3, at(0));
        assert_eq!(ask(&mut scheduler, route, at(1)), Attach::Granted(conns[expected]));
        scheduler.detach(conns[expected], Detach::Keep(StateKey(0)), at(1));

        let other = (expected + 1) % 3;
        assert!(scheduler.take_idle(conns[other], at(2)));
        scheduler.detach(conns[other], Detach::Keep(StateKey(9)), at(2));
        let request = Request { state: StateKey(9), home: Home(0), deadline: at(100) };
        assert_eq!(scheduler.attach(route, request, at(3)), Attach::Granted(conns[other]));
    }
}

#[test]
fn a_test_is_no_use() {
    let mut scheduler = scheduler(2);
    let route = scheduler.add_route(plain(), None, at(0));
    let conns = open_idle(&mut scheduler, route, 2, at(0));
    assert!(scheduler.take_idle(conns[0], at(50)));
    assert_eq!(scheduler.idle_since(conns[0]), None);
    keep(&mut scheduler, conns[0], at(60));
    assert_eq!(scheduler.idle_since(conns[0]), Some(at(0)), "it has been idle all the time");
    assert_eq!(scheduler.route(route).expect("live").served, 2, "and nobody was served");
    assert!(scheduler.take_idle(conns[1], at(70)));
    scheduler.detach(conns[1], Detach::Discard(CloseReason::Invalid), at(80));
    assert_eq!(decisions(&mut scheduler), [], "the tester closes it");
    assert_eq!(scheduler.totals().closes.get(CloseReason::Invalid), 1);
}

#[test]
fn a_guarantee_is_kept_free_and_served_first() {
    let mut scheduler = scheduler(3);
    let sure = scheduler.add_route(RouteLimits { guarantee: 2, ..plain() }, None, at(0));
    let other = scheduler.add_route(plain(), None, at(0));
    open_one(&mut scheduler, other, at(0));
    queued(ask(&mut scheduler, other, at(1)));
    assert_eq!(decisions(&mut scheduler), [], "two slots are kept for the guarantee");
    open_one(&mut scheduler, sure, at(2));
    open_one(&mut scheduler, sure, at(2));
}

#[test]
fn a_guarantee_is_a_reason_to_move_where_weight_is_not() {
    let mut scheduler = scheduler(3);
    let other = scheduler.add_route(plain(), None, at(0));
    let conns: Vec<_> = (0..2).map(|_| open_one(&mut scheduler, other, at(0))).collect();
    let sure = scheduler.add_route(RouteLimits { guarantee: 2, ..plain() }, None, at(0));
    open_one(&mut scheduler, sure, at(0));
    queued(ask(&mut scheduler, sure, at(1)));
    queued(ask(&mut scheduler, other, at(1)));
    keep(&mut scheduler, conns[0], at(2));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Reclaimed)]);
}

#[test]
fn nobody_loses_a_guaranteed_connection_while_somebody_there_needs_it() {
    let mut scheduler = scheduler(2);
    let sure = scheduler.add_route(RouteLimits { guarantee: 2, ..plain() }, None, at(0));
    let other = scheduler.add_route(plain(), None, at(0));
    let conns: Vec<_> = (0..2).map(|_| open_one(&mut scheduler, sure, at(0))).collect();
    let ticket = queued(ask(&mut scheduler, sure, at(1)));
    queued(ask(&mut scheduler, other, at(1)));
    keep(&mut scheduler, conns[0], at(100));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn: conns[0] }]);
    keep(&mut scheduler, conns[0], at(200));
    assert_eq!(decisions(&mut scheduler), [], "idle, but its other connection is in use");
    keep(&mut scheduler, conns[1], at(300));
    assert_eq!(closes(&mut scheduler), [(conns[1], CloseReason::Reclaimed)], "nobody needs it any more");
}

#[test]
fn idle_connections_at_or_below_the_share_are_safe_for_reclaim_after() {
    let mut scheduler = scheduler(2);
    let (calm, busy) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
    let calm_conn = open_idle(&mut scheduler, calm, 1, at(0))[0];
    open_one(&mut scheduler, busy, at(0));
    queued(ask(&mut scheduler, busy, at(10)));
    assert_eq!(scheduler.next_time(), Some(at(1_000)));
    scheduler.handle_time(at(999));
    assert_eq!(decisions(&mut scheduler), []);
    scheduler.handle_time(at(1_000));
    assert_eq!(closes(&mut scheduler), [(calm_conn, CloseReason::Reclaimed)]);
}

#[test]
fn a_slot_moves_only_after_it_was_kept_for_a_few_connect_times() {
    let mut scheduler = scheduler(2);
    let (rich, poor) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
    let mut conns = Vec::new();
    for _ in 0..2 {
        queued(ask(&mut scheduler, rich, at(0)));
        let [Decision::Open { conn, .. }] = decisions(&mut scheduler)[..] else { panic!("no open") };
        scheduler.handle_connected(conn, StateKey(0), Home(0), ms(5), at(5));
        decisions(&mut scheduler);
        conns.push(conn);
    }
    let own = queued(ask(&mut scheduler, rich, at(6)));
    queued(ask(&mut scheduler, poor, at(7)));
    keep(&mut scheduler, conns[0], at(19));
    assert_eq!(
        decisions(&mut scheduler),
        [Decision::Grant { ticket: own, conn: conns[0] }],
        "four times 5 ms not over"
    );
    queued(ask(&mut scheduler, rich, at(20)));
    keep(&mut scheduler, conns[0], at(20));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Reclaimed)]);
    scheduler.handle_closed(conns[0], at(21));
    let [Decision::Open { route, .. }] = decisions(&mut scheduler)[..] else { panic!("no open") };
    assert_eq!(route, poor, "not the giver, though it waits too");
}

#[test]
fn slots_move_no_faster_than_connects_are_allowed() {
    let mut scheduler = scheduler(4);
    let (rich, poor) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
    open_idle(&mut scheduler, rich, 4, at(0));
    scheduler.set_limits(Limits { connect_concurrency: 1, ..limits(4) }, at(1));
    queued(ask(&mut scheduler, poor, at(2)));
    queued(ask(&mut scheduler, poor, at(2)));
    assert_eq!(closes(&mut scheduler).len(), 1, "a second slot would only stand empty");
}

#[test]
fn the_slot_of_a_closing_connection_is_promised_so_that_no_other_is_taken() {
    let mut scheduler = scheduler(3);
    let (rich, poor) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
    open_idle(&mut scheduler, rich, 2, at(0));
    let conn = open_one(&mut scheduler, poor, at(0));
    queued(ask(&mut scheduler, poor, at(1)));
    scheduler.detach(conn, Detach::Discard(CloseReason::Unusable), at(2));
    assert_eq!(decisions(&mut scheduler), []);
    scheduler.handle_closed(conn, at(3));
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { route, .. }] if route == poor));
}

#[test]
fn a_newcomer_has_no_credit_for_the_time_before_it_came() {
    let mut scheduler = scheduler(3);
    let (old, new) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
    let conns = open_idle(&mut scheduler, old, 2, at(0));
    for start in [0, 100_000] {
        assert_eq!(ask(&mut scheduler, old, at(start)), Attach::Granted(conns[1]));
        keep(&mut scheduler, conns[1], at(start + 90_000));
    }
    let start = 200_000;
    assert_eq!(ask(&mut scheduler, old, at(start)), Attach::Granted(conns[1]));
    assert_eq!(ask(&mut scheduler, old, at(start)), Attach::Granted(conns[0]));
    open_one(&mut scheduler, new, at(start));
    let ticket = queued(ask(&mut scheduler, old, at(start)));
    queued(ask(&mut scheduler, new, at(start)));
    keep(&mut scheduler, conns[0], at(start + 1));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn: conns[0] }]);
}

#[test]
fn deadlines_are_kept_and_an_expired_waiter_is_granted_nothing() {
    let mut scheduler = scheduler(1);
    let route = scheduler.add_route(plain(), None, at(0));
    let conn = open_one(&mut scheduler, route, at(0));
    let late = queued(ask(&mut scheduler, route, at(0)));
    let next = queued(ask(&mut scheduler, route, at(1)));
    assert_eq!(scheduler.next_time(), Some(at(5_000)));
    // The release comes before the clock was heard.
    keep(&mut scheduler, conn, at(5_000));
    let expire = Decision::Expire { ticket: late, reason: ExpireReason::Deadline { blocked_by: BlockedBy::Budget } };
    assert_eq!(decisions(&mut scheduler), [expire, Decision::Grant { ticket: next, conn }]);
}

#[test]
fn waiters_expired_by_a_release_do_not_hide_that_others_want_a_connection() {
    let mut scheduler = scheduler(3);
    let route = scheduler.add_route(plain(), None, at(0));
    let conn = open_one(&mut scheduler, route, at(0));
    let hasty = Request { state: StateKey(0), home: Home(0), deadline: at(1) };
    queued(scheduler.attach(route, hasty, at(0)));
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { .. }]));
    let tickets: Vec<_> = (0..3).map(|_| queued(ask(&mut scheduler, route, at(0)))).collect();
    assert_eq!(decisions(&mut scheduler), [], "leases are short as far as is known");
    // Now it is known that they are not. The clock has not been heard yet.
    keep(&mut scheduler, conn, at(1));
    let decided = decisions(&mut scheduler);
    let granted = Decision::Grant { ticket: tickets[0], conn };
    assert!(
        matches!(decided[..], [Decision::Expire { .. }, grant, Decision::Open { .. }] if grant == granted),
        "{decided:?}"
    );
}

#[test]
fn full_queues_refuse() {
    let mut scheduler = Scheduler::new(Limits { max_waiters: 2, ..limits(1) }, forever(), 1, at(0));
    let narrow = scheduler.add_route(RouteLimits { max_waiters: Some(1), ..plain() }, None, at(0));
    let wide = scheduler.add_route(plain(), None, at(0));
    open_one(&mut scheduler, wide, at(0));
    queued(ask(&mut scheduler, narrow, at(1)));
    assert_eq!(ask(&mut scheduler, narrow, at(1)), Attach::Refused(Refusal::RouteQueueFull { limit: 1 }));
    queued(ask(&mut scheduler, wide, at(1)));
    assert_eq!(ask(&mut scheduler, wide, at(1)), Attach::Refused(Refusal::QueueFull { limit: 2 }));
}

#[test]
fn a_refused_login_is_told_to_its_route_only_and_tried_again_later() {
    let mut scheduler = scheduler(4);
    let (wrong, right) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
    let ticket = queued(ask(&mut scheduler, wrong, at(0)));
    queued(ask(&mut scheduler, right, at(0)));
    let [Decision::Open { conn, .. }, Decision::Open { .. }] = decisions(&mut scheduler)[..] else {
        panic!("no opens")
    };
    scheduler.handle_connect_failed(conn, ConnectFailure::LoginRefused, at(1));
    let told = Decision::Expire { ticket, reason: ExpireReason::LoginRefused };
    assert_eq!(decisions(&mut scheduler), [told]);
    queued(ask(&mut scheduler, wrong, at(2)));
    assert_eq!(decisions(&mut scheduler), [], "not at once");
    let retry = scheduler.next_time().expect("a time for the next attempt");
    assert!(retry > at(2) && retry <= at(51), "{retry:?}");
    scheduler.handle_time(retry);
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { route, .. }] if route == wrong));
}

#[test]
fn an_unreachable_server_is_tried_again_with_growing_waits_one_connect_at_a_time() {
    let mut scheduler = scheduler(4);
    let route = scheduler.add_route(plain(), None, at(0));
    for _ in 0..3 {
        queued(ask(&mut scheduler, route, at(0)));
    }
    let mut now = at(0);
    let mut waits = Vec::new();
    let mut opens: Vec<Decision> = decisions(&mut scheduler);
    assert_eq!(opens.len(), 3);
    for _ in 0..5 {
        for open in opens {
            let Decision::Open { conn, .. } = open else { panic!("not an open: {open:?}") };
            scheduler.handle_connect_failed(conn, ConnectFailure::Unavailable, now);
        }
        let next = scheduler.next_time().expect("a time for the next attempt");
        waits.push(next.since(now));
        now = next;
        scheduler.handle_time(now);
        opens = decisions(&mut scheduler);
        assert_eq!(opens.len(), 1, "one tries for all");
    }
    for (attempt, wait) in waits.into_iter().enumerate() {
        let full = ms(50) * (1 << attempt);
        assert!(wait >= full / 2 && wait <= full, "attempt {attempt}: {wait:?}");
    }
}

#[test]
fn too_many_connections_lowers_the_budget_until_a_probe_succeeds() {
    let mut scheduler = scheduler(3);
    let route = scheduler.add_route(plain(), None, at(0));
    open_one(&mut scheduler, route, at(0));
    queued(ask(&mut scheduler, route, at(1)));
    queued(ask(&mut scheduler, route, at(1)));
    let refuse = |scheduler: &mut Scheduler, now| {
        let [Decision::Open { conn, .. }] = decisions(scheduler)[..] else { panic!("no open") };
        scheduler.handle_connect_failed(conn, ConnectFailure::TooManyConnections, now);
        assert_eq!(scheduler.totals().effective_budget, 1);
        assert_eq!(decisions(scheduler), []);
    };
    refuse(&mut scheduler, at(2));
    scheduler.handle_time(at(502));
    refuse(&mut scheduler, at(503));
    assert_eq!(scheduler.next_time(), Some(at(1_503)), "twice as long");
    scheduler.handle_time(at(1_503));
    let [Decision::Open { conn, .. }] = decisions(&mut scheduler)[..] else { panic!("no probe") };
    scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(1_504));
    assert_eq!(scheduler.totals().effective_budget, 2);
    let now = decisions(&mut scheduler);
    assert!(matches!(now[..], [Decision::Grant { .. }, Decision::Open { .. }]), "and the next probe at once: {now:?}");
}

#[test]
fn a_shorter_probe_after_holds_for_a_budget_that_is_lowered_already() {
    let patient = Limits { probe_after: ms(3_600_000), ..limits(2) };
    let mut scheduler = Scheduler::new(patient, forever(), 1, at(0));
    let route = scheduler.add_route(plain(), None, at(0));
    open_one(&mut scheduler, route, at(0));
    queued(ask(&mut scheduler, route, at(1)));
    let [Decision::Open { conn, .. }] = decisions(&mut scheduler)[..] else { panic!("no open") };
    scheduler.handle_connect_failed(conn, ConnectFailure::TooManyConnections, at(2));
    scheduler.set_limits(Limits { probe_after: ms(50), ..limits(2) }, at(10));
    scheduler.handle_time(at(60));
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { .. }]), "the probe");
}

#[test]
fn ages_and_uses_end_connections_and_min_idle_is_kept() {
    let recycling = Recycling {
        idle_timeout: Some(ms(100)),
        max_idle_timeout: Some(ms(1_000)),
        max_lifetime: Some(ms(10_000)),
        lifetime_jitter: 0.0,
        max_uses: Some(2),
    };
    let mut scheduler = Scheduler::new(limits(4), recycling, 1, at(0));
    let route = scheduler.add_route(RouteLimits { min_idle: 1, ..plain() }, None, at(0));
    let [Decision::Open { conn: first, .. }] = decisions(&mut scheduler)[..] else { panic!("no min_idle") };
    scheduler.handle_connected(first, StateKey(0), Home(0), ms(1), at(0));

    assert_eq!(ask(&mut scheduler, route, at(0)), Attach::Granted(first));
    let second = open_one(&mut scheduler, route, at(0));
    keep(&mut scheduler, first, at(10));
    keep(&mut scheduler, second, at(20));
    scheduler.handle_time(at(110));
    assert_eq!(closes(&mut scheduler), [(first, CloseReason::IdleTimeout)]);
    scheduler.handle_closed(first, at(110));
    scheduler.handle_time(at(900));
    assert_eq!(decisions(&mut scheduler), [], "the last one is min_idle");
    scheduler.handle_time(at(1_020));
    let [Decision::Open { conn: third, .. }] = decisions(&mut scheduler)[..] else { panic!("not replaced") };
    scheduler.handle_time(at(1_025));
    assert_eq!(decisions(&mut scheduler), [], "it stays until its successor is here");
    scheduler.handle_connected(third, StateKey(0), Home(0), ms(1), at(1_030));
    scheduler.handle_time(at(1_030));
    assert_eq!(closes(&mut scheduler), [(second, CloseReason::MaxIdleTimeout)]);
    scheduler.handle_closed(second, at(1_030));
    for used in [false, true] {
        assert_eq!(ask(&mut scheduler, route, at(1_030)), Attach::Granted(third));
        keep(&mut scheduler, third, at(1_040));
        assert_eq!(scheduler.totals().closes.get(CloseReason::Uses), u64::from(used));
    }
}

#[test]
fn without_a_slot_for_both_the_old_connection_goes_first() {
    let recycling = Recycling { max_lifetime: Some(ms(1_000)), ..forever() };
    let mut scheduler = Scheduler::new(limits(1), recycling, 1, at(0));
    let route = scheduler.add_route(RouteLimits { min_idle: 1, ..plain() }, None, at(0));
    let [Decision::Open { conn: old, .. }] = decisions(&mut scheduler)[..] else { panic!("no min_idle") };
    scheduler.handle_connected(old, StateKey(0), Home(0), ms(1), at(0));
    scheduler.handle_time(at(1_000));
    assert_eq!(closes(&mut scheduler), [(old, CloseReason::Lifetime)]);
    scheduler.handle_closed(old, at(1_001));
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { route: other, .. }] if other == route));
}

#[test]
fn connections_opened_ahead_are_opened_once_as_slots_come_free() {
    let recycling = Recycling { idle_timeout: Some(ms(100)), ..forever() };
    let mut scheduler = Scheduler::new(limits(3), recycling, 1, at(0));
    let (other, route) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
    let held = open_one(&mut scheduler, other, at(0));
    scheduler.open_ahead(route, 3, at(0));
    let opened = decisions(&mut scheduler);
    assert_eq!(opened.len(), 2, "one of three slots is in use: {opened:?}");
    for decision in opened {
        let Decision::Open { conn, .. } = decision else { panic!("{decision:?}") };
        scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(1));
    }
    assert_eq!(decisions(&mut scheduler), [], "nobody waits for the third");
    scheduler.detach(held, Detach::Discard(CloseReason::Unusable), at(2));
    scheduler.handle_closed(held, at(2));
    let [Decision::Open { conn, .. }] = decisions(&mut scheduler)[..] else { panic!("no third") };
    scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(3));
    scheduler.handle_time(at(200));
    assert_eq!(closes(&mut scheduler).len(), 3, "they were wanted once");
    assert_eq!(scheduler.next_time(), None);
}

#[test]
fn connections_opened_ahead_are_given_up_when_the_login_is_refused() {
    let mut scheduler = scheduler(3);
    let route = scheduler.add_route(plain(), None, at(0));
    scheduler.open_ahead(route, 3, at(0));
    for decision in decisions(&mut scheduler) {
        let Decision::Open { conn, .. } = decision else { panic!("{decision:?}") };
        scheduler.handle_connect_failed(conn, ConnectFailure::LoginRefused, at(1));
    }
    scheduler.handle_time(at(60_000));
    assert_eq!(decisions(&mut scheduler), []);
}

#[test]
fn lifetimes_are_rolled_once_and_spread() {
    let recycling = Recycling { max_lifetime: Some(ms(10_000)), lifetime_jitter: 0.2, ..forever() };
    let mut scheduler = Scheduler::new(limits(50), recycling, 3, at(0));
    let route = scheduler.add_route(plain(), None, at(0));
    open_idle(&mut scheduler, route, 50, at(0));
    let mut ends = Vec::new();
    while let Some(next) = scheduler.next_time() {
        scheduler.handle_time(next);
        ends.extend(closes(&mut scheduler).iter().map(|_| next));
    }
    assert_eq!(ends.len(), 50);
    assert!(ends.iter().all(|end| (at(8_000)..=at(10_000)).contains(end)));
    let in_one_second = |from: u64| ends.iter().filter(|end| (at(from)..at(from + 1_000)).contains(end)).count();
    assert!(in_one_second(8_000) > 10 && in_one_second(9_000) > 10, "not together");
}

#[test]
fn limits_shrink_live() {
    let mut scheduler = scheduler(4);
    let route = scheduler.add_route(plain(), None, at(0));
    let conns = open_idle(&mut scheduler, route, 4, at(0));
    assert_eq!(ask(&mut scheduler, route, at(1)), Attach::Granted(conns[3]));
    assert_eq!(ask(&mut scheduler, route, at(1)), Attach::Granted(conns[2]));
    scheduler.set_limits(limits(1), at(2));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Shrunk), (conns[1], CloseReason::Shrunk)]);
    keep(&mut scheduler, conns[3], at(3));
    assert_eq!(closes(&mut scheduler), [(conns[3], CloseReason::Shrunk)], "as it comes back");
    keep(&mut scheduler, conns[2], at(4));
    assert_eq!(decisions(&mut scheduler), [], "one may stay");
}

#[test]
fn a_class_cap_holds_and_its_routes_share_inside_it() {
    let mut scheduler = scheduler(4);
    scheduler.set_class(class(7), ClassLimits::capped(2), at(0));
    let in_class = RouteLimits { class: class(7), ..plain() };
    let (rich, poor) = (scheduler.add_route(in_class.clone(), None, at(0)), scheduler.add_route(in_class, None, at(0)));
    let conns = open_idle(&mut scheduler, rich, 2, at(0));
    queued(ask(&mut scheduler, poor, at(1)));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Reclaimed)], "from inside, though the budget has room");
    let outside = scheduler.add_route(plain(), None, at(1));
    open_one(&mut scheduler, outside, at(1));
    scheduler.handle_closed(conns[0], at(2));
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { route, .. }] if route == poor));
}

#[test]
fn a_removed_route_tells_its_waiters_and_lets_its_connections_finish() {
    let mut scheduler = scheduler(1);
    let route = scheduler.add_route(plain(), None, at(0));
    let conn = open_one(&mut scheduler, route, at(0));
    let ticket = queued(ask(&mut scheduler, route, at(1)));
    scheduler.remove_route(route, at(2));
    assert_eq!(decisions(&mut scheduler), [Decision::Expire { ticket, reason: ExpireReason::RouteGone }]);
    assert_eq!(ask(&mut scheduler, route, at(2)), Attach::Refused(Refusal::UnknownRoute));
    keep(&mut scheduler, conn, at(3));
    assert_eq!(closes(&mut scheduler), [(conn, CloseReason::Shrunk)]);
    scheduler.handle_closed(conn, at(4));
    assert_eq!(scheduler.held(), 0);
    let next = scheduler.add_route(plain(), None, at(5));
    assert_ne!(next, route, "a stale id does not find the next tenant");
}

#[test]
fn reconnect_closes_idle_now_and_the_rest_as_it_comes_back() {
    let mut scheduler = scheduler(2);
    let route = scheduler.add_route(plain(), None, at(0));
    let conns = open_idle(&mut scheduler, route, 2, at(0));
    assert_eq!(ask(&mut scheduler, route, at(1)), Attach::Granted(conns[1]));
    scheduler.reconnect(at(2));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Reconnect)]);
    keep(&mut scheduler, conns[1], at(3));
    assert_eq!(closes(&mut scheduler), [(conns[1], CloseReason::Reconnect)]);
}

#[test]
fn a_pause_queues_everybody_and_resume_serves_them_in_order() {
    let mut scheduler = scheduler(1);
    let route = scheduler.add_route(plain(), None, at(0));
    let conn = open_idle(&mut scheduler, route, 1, at(0))[0];
    scheduler.pause(at(1));
    let first = queued(ask(&mut scheduler, route, at(2)));
    queued(ask(&mut scheduler, route, at(3)));
    assert_eq!(decisions(&mut scheduler), []);
    scheduler.resume(at(4));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket: first, conn }]);
}

#[test]
fn a_drain_ends_with_nothing_held() {
    let mut scheduler = scheduler(2);
    let route = scheduler.add_route(plain(), None, at(0));
    let conns = open_idle(&mut scheduler, route, 2, at(0));
    assert_eq!(ask(&mut scheduler, route, at(1)), Attach::Granted(conns[1]));
    scheduler.drain(at(2));
    assert_eq!(ask(&mut scheduler, route, at(2)), Attach::Refused(Refusal::Closing));
    keep(&mut scheduler, conns[1], at(3));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Draining), (conns[1], CloseReason::Draining)]);
    for conn in conns {
        scheduler.handle_closed(conn, at(4));
    }
    assert_eq!((scheduler.held(), scheduler.next_time()), (0, None));
}

#[test]
fn stale_reports_change_nothing_and_are_counted() {
    let mut scheduler = scheduler(1);
    let route = scheduler.add_route(plain(), None, at(0));
    let conn = open_one(&mut scheduler, route, at(0));
    scheduler.detach(conn, Detach::Discard(CloseReason::Unusable), at(1));
    scheduler.detach(conn, Detach::Discard(CloseReason::Unusable), at(1));
    scheduler.handle_closed(conn, at(2));
    scheduler.handle_closed(conn, at(2));
    scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(2));
    assert!(!scheduler.take_idle(conn, at(3)));
    assert_eq!(scheduler.faults().stale_reports, 3);
    assert_eq!(scheduler.held(), 0);
}
