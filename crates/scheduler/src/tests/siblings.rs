//! Routes that differ in their class only, and classes that lend, case by case.

use super::audit::audit;
use super::{
    ask, at, class, closes, decisions, forever, keep, limits, ms, open_idle, open_one, plain, queued, scheduler,
};
use crate::{
    Attach, BlockedBy, ClassLimits, ClassSet, ClassView, CloseReason, Decision, ExpireReason, Home, Limits, NoTransfer,
    RouteId, RouteLimits, Scheduler, StateKey,
};

pub(super) fn in_class(number: usize) -> RouteLimits {
    RouteLimits { class: class(number), ..plain() }
}

/// A route in class 0 and its sibling in class 1, which has this cap.
fn pair(budget: u32, cap: u32) -> (Scheduler, RouteId, RouteId) {
    let mut scheduler = scheduler(budget);
    scheduler.set_class(class(1), ClassLimits::capped(cap), at(0));
    let one = scheduler.add_route(plain(), None, at(0));
    let other = scheduler.add_sibling(one, in_class(1), at(0)).expect("it is known");
    (scheduler, one, other)
}

pub(super) fn view(scheduler: &Scheduler, number: usize) -> ClassView {
    scheduler.classes().find(|(id, _)| *id == class(number)).expect("it is known").1
}

#[test]
fn an_idle_connection_of_a_sibling_is_granted_as_it_is() {
    let (mut scheduler, one, other) = pair(4, 4);
    let conn = open_idle(&mut scheduler, one, 1, at(0))[0];
    assert_eq!(ask(&mut scheduler, other, at(1)), Attach::Granted(conn));
    assert_eq!(decisions(&mut scheduler), [], "nothing is opened");
    assert_eq!(scheduler.route_of(conn), Some((other, class(1))));
    let (from, to) = (view(&scheduler, 0), view(&scheduler, 1));
    assert_eq!((from.active, to.active, to.in_use, to.transfers), (0, 1, 1, 1));
    keep(&mut scheduler, conn, at(2));
    assert_eq!(ask(&mut scheduler, one, at(3)), Attach::Granted(conn), "and back, without any time to wait for");
    assert_eq!(scheduler.totals().moves, 0);
    audit(&mut scheduler, at(3));
}

#[test]
fn what_a_sibling_keeps_is_not_taken() {
    for kept in [RouteLimits { min_idle: 1, ..plain() }, RouteLimits { guarantee: 2, ..plain() }] {
        let mut scheduler = scheduler(4);
        let one = scheduler.add_route(plain(), None, at(0));
        let other = scheduler.add_sibling(one, in_class(1), at(0)).expect("it is known");
        let conns = open_idle(&mut scheduler, one, 2, at(0));
        assert_eq!(ask(&mut scheduler, one, at(1)), Attach::Granted(conns[1]));
        scheduler.set_route(one, kept, at(1));
        queued(ask(&mut scheduler, other, at(1)));
        assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { route, .. }] if route == other));
        audit(&mut scheduler, at(1));
    }
}

#[test]
fn a_connection_that_falls_idle_serves_a_siblings_waiter_before_its_connect_does() {
    let (mut scheduler, one, other) = pair(4, 4);
    let conn = open_one(&mut scheduler, one, at(0));
    let ticket = queued(ask(&mut scheduler, other, at(1)));
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { .. }]));
    keep(&mut scheduler, conn, at(2));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn }]);
    assert_eq!(scheduler.route_of(conn), Some((other, class(1))));
    audit(&mut scheduler, at(2));
}

#[test]
fn a_class_without_room_takes_nothing_from_a_sibling_until_it_has_room() {
    let (mut scheduler, one, other) = pair(4, 1);
    let first = open_one(&mut scheduler, other, at(0));
    let idle = open_idle(&mut scheduler, one, 1, at(0))[0];
    let ticket = queued(ask(&mut scheduler, other, at(1)));
    assert_eq!(decisions(&mut scheduler), []);
    audit(&mut scheduler, at(1));
    scheduler.set_class(class(1), ClassLimits::capped(2), at(2));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn: idle }]);
    keep(&mut scheduler, first, at(3));
    audit(&mut scheduler, at(3));
}

#[test]
fn a_transfer_frees_the_class_at_once_and_its_waiters_get_the_room() {
    let mut scheduler = scheduler(4);
    scheduler.set_class(class(1), ClassLimits::capped(1), at(0));
    let one = scheduler.add_route(in_class(1), None, at(0));
    let reserved = scheduler.add_sibling(one, in_class(2), at(0)).expect("it is known");
    let conn = open_one(&mut scheduler, one, at(0));
    queued(ask(&mut scheduler, one, at(1)));
    assert_eq!(decisions(&mut scheduler), [], "the class is full");
    assert_eq!(scheduler.transfer(conn, reserved, at(10)), Ok(()));
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { route, .. }] if route == one), "it refills");
    let (from, to) = (view(&scheduler, 1), view(&scheduler, 2));
    assert_eq!((from.active, from.connecting, to.active, to.in_use), (1, 1, 1, 1));
    assert_eq!((from.hold_time, to.hold_time), (ms(10), ms(0)));
    keep(&mut scheduler, conn, at(15));
    assert_eq!(view(&scheduler, 2).hold_time, ms(5));
    audit(&mut scheduler, at(15));
}

#[test]
fn a_transfer_that_a_limit_forbids_changes_nothing() {
    let (mut scheduler, one, other) = pair(4, 1);
    let stranger = scheduler.add_route(plain(), None, at(0));
    let (first, second) = (open_one(&mut scheduler, one, at(0)), open_one(&mut scheduler, one, at(0)));
    assert_eq!(scheduler.transfer(first, stranger, at(1)), Err(NoTransfer::NoSibling));
    assert_eq!(scheduler.transfer(first, other, at(1)), Ok(()));
    let full = Err(NoTransfer::ClassFull { class: class(1), cap: 1 });
    assert_eq!(scheduler.transfer(second, other, at(1)), full);
    scheduler.set_class(class(1), ClassLimits::capped(4), at(1));
    scheduler.set_route(other, RouteLimits { cap: Some(1), ..in_class(1) }, at(1));
    assert_eq!(scheduler.transfer(second, other, at(1)), Err(NoTransfer::RouteFull { cap: 1 }));
    assert_eq!(scheduler.route_of(second), Some((one, class(0))));
    keep(&mut scheduler, second, at(2));
    assert_eq!(scheduler.transfer(second, other, at(2)), Err(NoTransfer::NotInUse));
    scheduler.remove_route(other, at(3));
    assert_eq!(scheduler.transfer(first, other, at(3)), Err(NoTransfer::UnknownRoute));
    audit(&mut scheduler, at(3));
}

#[test]
fn a_transfer_does_not_overtake_those_who_wait_for_the_class() {
    let mut scheduler = scheduler(2);
    scheduler.set_class(class(1), ClassLimits::capped(2), at(0));
    let one = scheduler.add_route(plain(), None, at(0));
    let other = scheduler.add_sibling(one, in_class(1), at(0)).expect("it is known");
    let stranger = scheduler.add_route(in_class(1), None, at(0));
    let conns = [open_one(&mut scheduler, one, at(0)), open_one(&mut scheduler, one, at(0))];
    queued(ask(&mut scheduler, stranger, at(1)));
    let full = Err(NoTransfer::ClassFull { class: class(1), cap: 2 });
    assert_eq!(scheduler.transfer(conns[0], other, at(1)), full);
}

#[test]
fn siblings_that_leave_are_siblings_no_more() {
    let (mut scheduler, one, other) = pair(4, 4);
    let third = scheduler.add_sibling(other, in_class(2), at(0)).expect("it is known");
    let mut all: Vec<_> = scheduler.siblings(one).collect();
    all.sort_unstable();
    assert_eq!(all, [one, other, third]);
    scheduler.remove_route(other, at(1));
    assert_eq!(scheduler.siblings(one).collect::<Vec<_>>(), [one, third]);
    assert_eq!(scheduler.siblings(other).count(), 0);
    assert_eq!(scheduler.add_sibling(other, plain(), at(1)), None);
    scheduler.remove_route(third, at(1));
    assert_eq!(scheduler.siblings(one).collect::<Vec<_>>(), [one]);
}

#[test]
fn a_full_class_is_told_to_whom_it_has_kept_waiting() {
    let (mut scheduler, one, other) = pair(4, 1);
    open_one(&mut scheduler, other, at(0));
    let ticket = queued(ask(&mut scheduler, other, at(0)));
    scheduler.set_route(one, RouteLimits { cap: Some(0), ..plain() }, at(0));
    let second = queued(ask(&mut scheduler, one, at(0)));
    scheduler.handle_time(at(5_000));
    let class_full = ExpireReason::Deadline { blocked_by: BlockedBy::Class { class: class(1), cap: 1 } };
    let route_full = ExpireReason::Deadline { blocked_by: BlockedBy::Route { cap: 0 } };
    let mut told = decisions(&mut scheduler);
    told.sort_by_key(|decision| matches!(decision, Decision::Expire { ticket, .. } if *ticket == second));
    let expected =
        [(ticket, class_full), (second, route_full)].map(|(ticket, reason)| Decision::Expire { ticket, reason });
    assert_eq!(told, expected);
    assert_eq!(view(&scheduler, 1).failed_waits, 1);
}

/// Class 1 lends to class 2; both have a route of another user.
pub(super) fn lending(cap: u32, borrower: u32) -> (Scheduler, RouteId, RouteId) {
    let mut scheduler = Scheduler::new(Limits { retention_connects: 0, ..limits(10) }, forever(), 1, at(0));
    let lends_to = ClassSet::EMPTY.with(class(2));
    scheduler.set_class(class(1), ClassLimits { cap: Some(cap), lends_to }, at(0));
    scheduler.set_class(class(2), ClassLimits::capped(borrower), at(0));
    let routes = [1, 2].map(|number| scheduler.add_route(in_class(number), None, at(0)));
    (scheduler, routes[0], routes[1])
}

#[test]
fn what_a_class_does_not_use_it_lends_and_no_more() {
    let (mut scheduler, lender, borrower) = lending(3, 1);
    open_one(&mut scheduler, lender, at(0));
    for _ in 0..3 {
        open_one(&mut scheduler, borrower, at(0));
    }
    let (lends, borrows) = (view(&scheduler, 1), view(&scheduler, 2));
    assert_eq!((lends.lent, lends.available, borrows.borrowed, borrows.active), (2, 0, 2, 3));
    queued(ask(&mut scheduler, borrower, at(1)));
    queued(ask(&mut scheduler, lender, at(1)));
    assert_eq!(decisions(&mut scheduler), []);
    audit(&mut scheduler, at(1));
}

#[test]
fn what_is_lent_comes_back_with_the_next_connection_that_is_given_back() {
    let (mut scheduler, lender, borrower) = lending(2, 1);
    let conns: Vec<_> = (0..3).map(|_| open_one(&mut scheduler, borrower, at(0))).collect();
    queued(ask(&mut scheduler, borrower, at(1)));
    queued(ask(&mut scheduler, lender, at(2)));
    assert_eq!(decisions(&mut scheduler), [], "no lease is ended for it");
    keep(&mut scheduler, conns[1], at(3));
    assert_eq!(closes(&mut scheduler), [(conns[1], CloseReason::Reclaimed)], "though its own class has a waiter");
    scheduler.handle_closed(conns[1], at(4));
    let [Decision::Open { conn, route }] = decisions(&mut scheduler)[..] else { panic!("no open") };
    assert_eq!(route, lender);
    scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(5));
    assert_eq!((view(&scheduler, 1).lent, view(&scheduler, 2).borrowed), (1, 1));
    audit(&mut scheduler, at(5));
}

#[test]
fn an_idle_connection_in_a_borrowed_place_goes_back_at_once() {
    let (mut scheduler, lender, borrower) = lending(2, 1);
    let conns = open_idle(&mut scheduler, borrower, 3, at(0));
    queued(ask(&mut scheduler, lender, at(1)));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Reclaimed)]);
    audit(&mut scheduler, at(1));
}

#[test]
fn what_is_not_lent_any_more_is_closed_as_it_falls_idle() {
    let (mut scheduler, _, borrower) = lending(2, 1);
    let conns: Vec<_> = (0..3).map(|_| open_one(&mut scheduler, borrower, at(0))).collect();
    keep(&mut scheduler, conns[0], at(1));
    scheduler.set_class(class(1), ClassLimits::capped(2), at(2));
    assert_eq!(closes(&mut scheduler), [(conns[0], CloseReason::Shrunk)]);
    keep(&mut scheduler, conns[1], at(3));
    assert_eq!(closes(&mut scheduler), [(conns[1], CloseReason::Shrunk)]);
    keep(&mut scheduler, conns[2], at(4));
    assert_eq!(decisions(&mut scheduler), [], "one is its own");
    audit(&mut scheduler, at(4));
}

#[test]
fn the_capacity_of_classes_is_that_of_their_caps_within_the_budget() {
    let (mut scheduler, ..) = lending(3, 4);
    let both: ClassSet = [class(1), class(2)].into_iter().collect();
    assert_eq!(scheduler.capacity(both), 7);
    assert_eq!(scheduler.capacity(both.with(class(0))), 10, "the budget");
    scheduler.set_limits(limits(5), at(1));
    assert_eq!(scheduler.capacity(both), 5);
    assert_eq!(scheduler.capacity(ClassSet::EMPTY), 0);
}
