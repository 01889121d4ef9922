//! Connections that change hands alive, case by case.

use super::audit::audit;
use super::{at, class, closes, decisions, forever, keep, limits, ms, open_idle, open_one, plain, queued};
use crate::{
    Attach, ClassLimits, CloseReason, ConnId, ConnectFailure, Decision, Detach, ExpireReason, Home, Limits, Moves,
    Realm, Recycling, Request, RouteId, RouteLimits, Scheduler, StateKey, Ticket, Time,
};

const REALM: Option<Realm> = Some(Realm(0));

fn ask(scheduler: &mut Scheduler, route: RouteId, now: Time) -> Ticket {
    queued(super::ask(scheduler, route, now))
}

/// A full scheduler: the first route has all of the budget, idle, and the second nothing.
fn rich_and_poor(budget: u32) -> (Scheduler, RouteId, RouteId, Vec<ConnId>) {
    let mut scheduler = super::scheduler(budget);
    let rich = scheduler.add_route(plain(), REALM, at(0));
    let poor = scheduler.add_route(plain(), REALM, at(0));
    let conns = open_idle(&mut scheduler, rich, budget as usize, at(0));
    (scheduler, rich, poor, conns)
}

fn rekeyed(scheduler: &mut Scheduler, conn: ConnId, took_ms: u64, now: Time) {
    scheduler.handle_rekeyed(conn, StateKey(0), ms(took_ms), now);
}

/// The one decision there is, which must be a re-key: the connection, from where, to where.
fn the_rekey(scheduler: &mut Scheduler) -> (ConnId, RouteId, RouteId) {
    match decisions(scheduler)[..] {
        [Decision::Rekey { conn, from, to }] => (conn, from, to),
        ref other => panic!("not a re-key alone: {other:?}"),
    }
}

#[test]
fn an_idle_connection_that_is_reclaimed_moves_alive() {
    let (mut scheduler, rich, poor, conns) = rich_and_poor(4);
    let ticket = ask(&mut scheduler, poor, at(1));
    assert_eq!(the_rekey(&mut scheduler), (conns[0], rich, poor), "the least recently used one");
    let (giver, taker) = (scheduler.route(rich).expect("live"), scheduler.route(poor).expect("live"));
    assert_eq!((giver.held(), taker.connecting, scheduler.held()), (3, 1, 4), "its slot is the taker's at once");
    assert!(!scheduler.take_idle(conns[0], at(2)), "nobody can see it meanwhile");
    assert!(scheduler.idle_conns(rich).all(|conn| conn != conns[0]));
    audit(&mut scheduler, at(2));

    rekeyed(&mut scheduler, conns[0], 1, at(2));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn: conns[0] }]);
    let totals = scheduler.totals();
    assert_eq!((totals.opens, totals.moves, totals.rekeys, totals.rekey_failures), (4, 1, 1, 0));
    assert_eq!((totals.closes.sum(), totals.rekey_time), (0, ms(1)));
    assert_eq!(scheduler.route(poor).expect("live").rekeys, 1);
    audit(&mut scheduler, at(2));
    assert!(scheduler.faults().is_clean());
}

#[test]
fn a_returned_connection_moves_to_its_successor_alive() {
    let (mut scheduler, rich, poor, _) = rich_and_poor(2);
    let Attach::Granted(first) = super::ask(&mut scheduler, rich, at(1)) else { panic!("it is idle") };
    let Attach::Granted(_) = super::ask(&mut scheduler, rich, at(1)) else { panic!("it is idle") };
    let own = ask(&mut scheduler, rich, at(2));
    let other = ask(&mut scheduler, poor, at(3));
    keep(&mut scheduler, first, at(4));
    assert_eq!(the_rekey(&mut scheduler), (first, rich, poor));
    rekeyed(&mut scheduler, first, 1, at(5));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket: other, conn: first }]);
    scheduler.cancel(own, at(6));
    assert!(scheduler.faults().is_clean());
}

#[test]
fn connections_stay_in_their_realm() {
    let cases = [
        (Moves::Rekey, REALM, Some(Realm(1))),
        (Moves::Rekey, REALM, None),
        (Moves::Rekey, None, None),
        (Moves::Reconnect, REALM, REALM),
    ];
    for (moves, from, to) in cases {
        let mut scheduler = Scheduler::new(Limits { moves, ..limits(2) }, forever(), 1, at(0));
        let rich = scheduler.add_route(plain(), from, at(0));
        let poor = scheduler.add_route(plain(), to, at(0));
        let conns = open_idle(&mut scheduler, rich, 2, at(0));
        ask(&mut scheduler, poor, at(1));
        assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Reclaimed)], "{moves:?} {from:?} {to:?}");
    }
}

#[test]
fn a_route_that_changes_its_realm_leaves_its_connections_in_the_old_one() {
    let (mut scheduler, rich, poor, conns) = rich_and_poor(2);
    scheduler.set_realm(rich, Some(Realm(7)), at(1));
    scheduler.set_realm(poor, Some(Realm(7)), at(1));
    ask(&mut scheduler, poor, at(2));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Reclaimed)]);
}

#[test]
fn among_equally_rich_routes_the_one_whose_connection_survives_gives() {
    for survivor in 0..3 {
        let mut scheduler = super::scheduler(6);
        let realm = |index: usize| Some(Realm(u32::from(index != survivor)));
        let rich: Vec<_> = (0..3).map(|index| scheduler.add_route(plain(), realm(index), at(0))).collect();
        for route in &rich {
            open_idle(&mut scheduler, *route, 2, at(0));
        }
        let poor = scheduler.add_route(plain(), Some(Realm(0)), at(0));
        ask(&mut scheduler, poor, at(1));
        assert_eq!(the_rekey(&mut scheduler).1, rich[survivor]);
    }
}

#[test]
fn a_richer_route_gives_although_its_connection_does_not_survive() {
    let mut scheduler = super::scheduler(5);
    let rich = scheduler.add_route(plain(), Some(Realm(1)), at(0));
    let rather = scheduler.add_route(plain(), REALM, at(0));
    let conns = open_idle(&mut scheduler, rich, 3, at(0));
    open_idle(&mut scheduler, rather, 2, at(0));
    let poor = scheduler.add_route(plain(), REALM, at(0));
    ask(&mut scheduler, poor, at(1));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Reclaimed)], "fairness goes before cost");
}

#[test]
fn a_slot_is_kept_for_a_few_rekey_times_where_it_would_move_by_one() {
    let mut scheduler = super::scheduler(3);
    let rich = scheduler.add_route(plain(), REALM, at(0));
    let other = scheduler.add_route(plain(), REALM, at(0));
    let foreign = scheduler.add_route(plain(), Some(Realm(1)), at(0));
    let mut conns = Vec::new();
    for _ in 0..3 {
        ask(&mut scheduler, rich, at(0));
        let [Decision::Open { conn, .. }] = decisions(&mut scheduler)[..] else { panic!("no open") };
        scheduler.handle_connected(conn, StateKey(0), Home(0), ms(50), at(50));
        decisions(&mut scheduler);
        conns.push(conn);
    }
    // The cost of a re-key is not known yet, so it is taken for a connect's: four times 50 ms.
    let own = ask(&mut scheduler, rich, at(60));
    ask(&mut scheduler, other, at(60));
    keep(&mut scheduler, conns[0], at(199));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket: own, conn: conns[0] }]);
    keep(&mut scheduler, conns[0], at(200));
    assert_eq!(the_rekey(&mut scheduler).0, conns[0]);
    rekeyed(&mut scheduler, conns[0], 5, at(205));
    decisions(&mut scheduler);

    // Now it is: four times 5 ms since the slot came here. For a route of another realm it is 200 ms still.
    keep(&mut scheduler, conns[0], at(206));
    assert_eq!(scheduler.idle_since(conns[0]), Some(at(206)));
    let Attach::Granted(_) = super::ask(&mut scheduler, other, at(207)) else { panic!("it is idle") };
    for conn in &conns[1..] {
        keep(&mut scheduler, *conn, at(208));
    }
    scheduler.set_route(rich, RouteLimits { weight: 1, guarantee: 2, ..plain() }, at(208));
    let waits = ask(&mut scheduler, foreign, at(209));
    assert_eq!(closes(&mut scheduler).len(), 1, "two were kept for 200 ms");
    scheduler.cancel(waits, at(210));
}

#[test]
fn no_more_rekeys_than_connects_may_be_under_way() {
    let (mut scheduler, _, poor, conns) = rich_and_poor(4);
    scheduler.set_limits(Limits { connect_concurrency: 1, ..limits(4) }, at(1));
    ask(&mut scheduler, poor, at(2));
    ask(&mut scheduler, poor, at(2));
    assert_eq!(the_rekey(&mut scheduler).0, conns[0]);
    rekeyed(&mut scheduler, conns[0], 0, at(3));
    let after = decisions(&mut scheduler);
    assert!(matches!(after[..], [Decision::Grant { .. }, Decision::Rekey { .. }]), "{after:?}");
}

#[test]
fn a_connection_serves_somebody_wherever_it_comes() {
    let (mut scheduler, rich, poor, conns) = rich_and_poor(1);
    let third = scheduler.add_route(plain(), REALM, at(0));
    let ticket = ask(&mut scheduler, poor, at(1));
    assert_eq!(the_rekey(&mut scheduler), (conns[0], rich, poor));
    ask(&mut scheduler, third, at(2));
    // Nobody need keep a slot longer than for four times 0 ms, as far as was known.
    rekeyed(&mut scheduler, conns[0], 0, at(1_000));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn: conns[0] }]);
    keep(&mut scheduler, conns[0], at(1_001));
    assert_eq!(the_rekey(&mut scheduler), (conns[0], poor, third));
}

#[test]
fn a_failed_rekey_becomes_a_connect_and_moves_are_reconnects_for_a_while() {
    for failure in [ConnectFailure::Unavailable, ConnectFailure::TooManyConnections] {
        let (mut scheduler, _, poor, conns) = rich_and_poor(6);
        let ticket = ask(&mut scheduler, poor, at(1));
        the_rekey(&mut scheduler);
        scheduler.handle_rekey_failed(conns[0], failure, at(2));
        assert_eq!(decisions(&mut scheduler), [], "who reports it closes it");
        assert_eq!((scheduler.held(), scheduler.totals().closing), (6, 1), "its permit is out until then");
        audit(&mut scheduler, at(2));
        scheduler.handle_closed(conns[0], at(3));
        let [Decision::Open { conn, route }] = decisions(&mut scheduler)[..] else { panic!("no open") };
        assert_eq!(route, poor);
        let totals = scheduler.totals();
        assert_eq!((totals.unanswered, totals.effective_budget), (0, 6), "it says nothing of the server");
        assert_eq!((totals.rekeys, totals.rekey_failures), (0, 1));
        assert_eq!(totals.closes.get(CloseReason::RekeyFailed), 1);
        scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(4));
        assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn }]);

        // The first back-off is at most 50 ms.
        ask(&mut scheduler, poor, at(5));
        assert_eq!(closes(&mut scheduler), [(conns[1], CloseReason::Reclaimed)]);
        scheduler.handle_closed(conns[1], at(6));
        decisions(&mut scheduler);
        let late = scheduler.add_route(plain(), REALM, at(60));
        ask(&mut scheduler, late, at(60));
        assert_eq!(the_rekey(&mut scheduler).0, conns[2], "tried again");
        assert!(scheduler.faults().is_clean());
    }
}

#[test]
fn while_rekeys_fail_one_at_a_time_is_tried() {
    let (mut scheduler, _, poor, conns) = rich_and_poor(6);
    ask(&mut scheduler, poor, at(1));
    the_rekey(&mut scheduler);
    scheduler.handle_rekey_failed(conns[0], ConnectFailure::Unavailable, at(2));
    scheduler.handle_closed(conns[0], at(3));
    decisions(&mut scheduler);
    for expected in [Moves::Rekey, Moves::Reconnect] {
        let late = scheduler.add_route(plain(), REALM, at(60));
        ask(&mut scheduler, late, at(60));
        let decided = decisions(&mut scheduler);
        let how = if matches!(decided[..], [Decision::Rekey { .. }]) { Moves::Rekey } else { Moves::Reconnect };
        assert_eq!(how, expected, "{decided:?}");
    }
}

#[test]
fn a_login_refused_on_a_live_connection_is_the_routes_own_affair() {
    let (mut scheduler, rich, poor, conns) = rich_and_poor(6);
    let third = scheduler.add_route(plain(), REALM, at(0));
    let ticket = ask(&mut scheduler, poor, at(1));
    the_rekey(&mut scheduler);
    scheduler.handle_rekey_failed(conns[0], ConnectFailure::LoginRefused, at(2));
    let expire = Decision::Expire { ticket, reason: ExpireReason::LoginRefused };
    assert_eq!(decisions(&mut scheduler), [expire]);
    assert_eq!(scheduler.totals().unanswered, 0);
    let next = scheduler.next_time().expect("it may try again some time");
    assert!(next > at(2) && next <= at(52), "{next:?}");
    ask(&mut scheduler, poor, at(3));
    assert_eq!(decisions(&mut scheduler), [], "not at once, though");
    ask(&mut scheduler, third, at(3));
    assert_eq!(the_rekey(&mut scheduler), (conns[1], rich, third), "others move as ever");
    scheduler.handle_closed(conns[0], at(4));
    scheduler.handle_time(next);
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { route, .. }] if route == poor));
    audit(&mut scheduler, next);
    assert!(scheduler.faults().is_clean());
}

#[test]
fn a_connection_that_comes_too_late_falls_idle_with_its_new_route() {
    let (mut scheduler, _, poor, conns) = rich_and_poor(4);
    let ticket = ask(&mut scheduler, poor, at(1));
    the_rekey(&mut scheduler);
    scheduler.cancel(ticket, at(2));
    rekeyed(&mut scheduler, conns[0], 1, at(3));
    assert_eq!(decisions(&mut scheduler), []);
    assert_eq!(scheduler.idle_conns(poor).collect::<Vec<_>>(), [conns[0]]);
    audit(&mut scheduler, at(3));
}

#[test]
fn a_failed_rekey_that_nobody_waits_for_any_more_opens_nothing() {
    let (mut scheduler, _, poor, conns) = rich_and_poor(4);
    let ticket = ask(&mut scheduler, poor, at(1));
    the_rekey(&mut scheduler);
    scheduler.cancel(ticket, at(2));
    scheduler.handle_rekey_failed(conns[0], ConnectFailure::Unavailable, at(3));
    scheduler.handle_closed(conns[0], at(4));
    assert_eq!(decisions(&mut scheduler), []);
    assert_eq!(scheduler.held(), 3);
    audit(&mut scheduler, at(4));
}

#[test]
fn a_route_removed_meanwhile_gets_no_connection() {
    let (mut scheduler, rich, poor, conns) = rich_and_poor(4);
    let ticket = ask(&mut scheduler, poor, at(1));
    the_rekey(&mut scheduler);
    scheduler.remove_route(poor, at(2));
    assert_eq!(decisions(&mut scheduler), [Decision::Expire { ticket, reason: ExpireReason::RouteGone }]);
    rekeyed(&mut scheduler, conns[0], 1, at(3));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Shrunk)]);
    scheduler.handle_closed(conns[0], at(4));
    scheduler.remove_route(rich, at(5));
    audit(&mut scheduler, at(5));
}

#[test]
fn a_connection_keeps_its_age_and_its_uses() {
    let recycling = Recycling { max_uses: Some(2), max_lifetime: Some(ms(1_000)), ..forever() };
    let mut scheduler = Scheduler::new(limits(4), recycling, 1, at(0));
    let rich = scheduler.add_route(plain(), REALM, at(0));
    let poor = scheduler.add_route(plain(), REALM, at(0));
    let conns = open_idle(&mut scheduler, rich, 4, at(0));
    for conn in &conns[..2] {
        ask(&mut scheduler, poor, at(10));
        the_rekey(&mut scheduler);
        rekeyed(&mut scheduler, *conn, 1, at(11));
        assert!(matches!(decisions(&mut scheduler)[..], [Decision::Grant { .. }]));
    }
    keep(&mut scheduler, conns[0], at(12));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Uses)], "lent once by each route");
    scheduler.set_recycling(Recycling { max_uses: None, max_lifetime: Some(ms(1_000)), ..forever() }, at(13));
    keep(&mut scheduler, conns[1], at(1_000));
    let closed = closes(&mut scheduler);
    assert!(closed.contains(&(conns[1], CloseReason::Lifetime)), "born at 0, not at 11: {closed:?}");
}

#[test]
fn a_class_counts_what_enters_it_alive() {
    let mut scheduler = super::scheduler(4);
    let narrow = class(1);
    scheduler.set_class(narrow, ClassLimits::capped(1), at(0));
    let rich = scheduler.add_route(plain(), REALM, at(0));
    let poor = scheduler.add_route(RouteLimits { class: narrow, ..plain() }, REALM, at(0));
    let conns = open_idle(&mut scheduler, rich, 4, at(0));
    ask(&mut scheduler, poor, at(1));
    assert_eq!(the_rekey(&mut scheduler), (conns[0], rich, poor));
    audit(&mut scheduler, at(1));
    ask(&mut scheduler, poor, at(1));
    rekeyed(&mut scheduler, conns[0], 1, at(2));
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Grant { .. }]), "its class is full");
    audit(&mut scheduler, at(2));
    assert!(scheduler.faults().is_clean());
}

#[test]
fn a_reconnect_ordered_meanwhile_concerns_a_connection_under_way() {
    let (mut scheduler, _, poor, conns) = rich_and_poor(4);
    ask(&mut scheduler, poor, at(1));
    the_rekey(&mut scheduler);
    scheduler.reconnect(at(2));
    decisions(&mut scheduler);
    rekeyed(&mut scheduler, conns[0], 1, at(3));
    assert!(closes(&mut scheduler).contains(&(conns[0], CloseReason::Reconnect)));
}

#[test]
fn reports_that_do_not_fit_are_counted_and_change_nothing() {
    let (mut scheduler, _, poor, conns) = rich_and_poor(4);
    let in_use = conns[3];
    ask(&mut scheduler, poor, at(1));
    the_rekey(&mut scheduler);
    scheduler.handle_connected(conns[0], StateKey(0), Home(0), ms(1), at(2));
    scheduler.handle_connect_failed(conns[0], ConnectFailure::Unavailable, at(2));
    scheduler.detach(conns[0], Detach::Keep(StateKey(0)), at(2));
    rekeyed(&mut scheduler, in_use, 1, at(2));
    scheduler.handle_rekey_failed(in_use, ConnectFailure::Unavailable, at(2));
    assert_eq!(decisions(&mut scheduler), []);
    assert_eq!(scheduler.faults().stale_reports, 5);
    audit(&mut scheduler, at(2));
    scheduler.handle_closed(conns[0], at(3));
    assert_eq!(scheduler.held(), 4, "lost on the way: another is opened for the waiter");
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { route, .. }] if route == poor));
    audit(&mut scheduler, at(3));
}

#[test]
fn the_session_state_is_the_new_ones() {
    let (mut scheduler, _, poor, conns) = rich_and_poor(4);
    ask(&mut scheduler, poor, at(1));
    the_rekey(&mut scheduler);
    scheduler.handle_rekeyed(conns[0], StateKey(9), ms(1), at(2));
    decisions(&mut scheduler);
    let other = open_second(&mut scheduler, poor);
    scheduler.detach(conns[0], Detach::Keep(StateKey(9)), at(4));
    keep(&mut scheduler, other, at(5));
    let request = Request { state: StateKey(9), home: Home(0), deadline: at(100) };
    assert_eq!(scheduler.attach(poor, request, at(6)), Attach::Granted(conns[0]));
}

fn open_second(scheduler: &mut Scheduler, route: RouteId) -> ConnId {
    scheduler.set_limits(limits(5), at(3));
    open_one(scheduler, route, at(3))
}
