//! Classes that run out, and classes that go, case by case.

use super::audit::audit;
use super::siblings::{in_class, lending, view};
use super::{ask, at, class, decisions, keep, ms, open_idle, open_one, plain, queued, scheduler};
use crate::{ClassLimits, ClassSet, ClassView, CloseReason, Decision, Detach, Home, Scheduler, StateKey};

/// Two connections of class 1, which may have no more.
fn two() -> (Scheduler, crate::RouteId) {
    let mut scheduler = scheduler(4);
    scheduler.set_class(class(1), ClassLimits::capped(2), at(0));
    let route = scheduler.add_route(in_class(1), None, at(0));
    (scheduler, route)
}

fn exhausted(scheduler: &Scheduler, number: usize) -> u64 {
    view(scheduler, number).exhausted
}

#[test]
fn a_class_has_run_out_when_its_last_connection_is_lent() {
    let (mut scheduler, route) = two();
    let first = open_one(&mut scheduler, route, at(0));
    assert_eq!(exhausted(&scheduler, 1), 0);
    let second = open_one(&mut scheduler, route, at(0));
    assert_eq!(exhausted(&scheduler, 1), 1);
    let ticket = queued(ask(&mut scheduler, route, at(1)));
    assert_eq!(exhausted(&scheduler, 1), 1, "a wait is no lease");
    keep(&mut scheduler, first, at(2));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn: first }]);
    assert_eq!(exhausted(&scheduler, 1), 2, "it was given back, and taken again");
    for conn in [first, second] {
        keep(&mut scheduler, conn, at(3));
    }
    assert_eq!(ask(&mut scheduler, route, at(4)), crate::Attach::Granted(second));
    assert_eq!(exhausted(&scheduler, 1), 2, "there is another one");
}

/// What VTTablet counts does not depend on connects: its pool lends the slot before it opens the connection.
#[test]
fn a_class_whose_connections_are_still_being_opened_has_not_run_out() {
    let (mut scheduler, route) = two();
    let tickets = [(); 3].map(|()| queued(ask(&mut scheduler, route, at(0))));
    let opened: Vec<_> = decisions(&mut scheduler);
    let [Decision::Open { conn: first, .. }, Decision::Open { conn: second, .. }] = opened[..] else {
        panic!("two opens are {opened:?}")
    };
    assert_eq!(exhausted(&scheduler, 1), 0, "nothing is lent yet, and the third waits for nothing else");
    scheduler.handle_connected(first, StateKey(0), Home(0), ms(1), at(1));
    assert_eq!(exhausted(&scheduler, 1), 0);
    scheduler.handle_connected(second, StateKey(0), Home(0), ms(1), at(1));
    assert_eq!(exhausted(&scheduler, 1), 1);
    let granted = [(tickets[0], first), (tickets[1], second)].map(|(ticket, conn)| Decision::Grant { ticket, conn });
    assert_eq!(decisions(&mut scheduler), granted);
    audit(&mut scheduler, at(1));
}

#[test]
fn a_class_without_a_cap_has_run_out_with_the_budget() {
    let mut scheduler = scheduler(2);
    let route = scheduler.add_route(plain(), None, at(0));
    open_one(&mut scheduler, route, at(0));
    assert_eq!(exhausted(&scheduler, 0), 0);
    let last = open_one(&mut scheduler, route, at(0));
    assert_eq!(exhausted(&scheduler, 0), 1);
    scheduler.detach(last, Detach::Discard(CloseReason::Unusable), at(1));
    assert_eq!(exhausted(&scheduler, 0), 1);
}

#[test]
fn what_is_borrowed_and_what_is_lent_are_not_a_classs_own() {
    let (mut scheduler, lender, borrower) = lending(2, 1);
    for count in 1..=2 {
        open_one(&mut scheduler, borrower, at(0));
        assert_eq!(exhausted(&scheduler, 2), count, "its own, and one beyond it");
    }
    assert_eq!(exhausted(&scheduler, 1), 0, "lending is no lease");
    open_one(&mut scheduler, lender, at(0));
    assert_eq!(exhausted(&scheduler, 1), 1, "the other one is lent to the borrower");
}

#[test]
fn a_transfer_takes_the_last_one_like_a_lease() {
    let mut scheduler = scheduler(4);
    scheduler.set_class(class(1), ClassLimits::capped(1), at(0));
    let one = scheduler.add_route(plain(), None, at(0));
    let other = scheduler.add_sibling(one, in_class(1), at(0)).expect("it is known");
    let conn = open_one(&mut scheduler, one, at(0));
    assert_eq!(scheduler.transfer(conn, other, at(1)), Ok(()));
    assert_eq!((exhausted(&scheduler, 0), exhausted(&scheduler, 1)), (0, 1));
    audit(&mut scheduler, at(1));
}

#[test]
fn a_class_that_goes_leaves_its_connections_to_the_default_class_and_no_past() {
    let (mut scheduler, lender, borrower) = lending(2, 1);
    let used = open_one(&mut scheduler, lender, at(0));
    let closing = open_one(&mut scheduler, lender, at(0));
    scheduler.detach(closing, Detach::Discard(CloseReason::Unusable), at(1));
    let waiting = queued(ask(&mut scheduler, borrower, at(1)));
    let Some(Decision::Open { conn, .. }) = decisions(&mut scheduler).pop() else { panic!("no open") };
    scheduler.remove_class(class(1), at(2));
    assert_eq!(view(&scheduler, 1), ClassView { available: 7, ..ClassView::default() });
    assert_eq!(scheduler.route_of(used), Some((lender, class(0))));
    let default = view(&scheduler, 0);
    assert_eq!((default.active, default.in_use, default.closing, default.routes), (2, 1, 1, 1));
    assert_eq!(default.leases, 0, "what was before it came is not its own");
    audit(&mut scheduler, at(2));
    // Nobody borrows from it any more, should its number have a cap again.
    scheduler.set_class(class(1), ClassLimits::capped(5), at(3));
    scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(4));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket: waiting, conn }]);
    queued(ask(&mut scheduler, borrower, at(4)));
    assert_eq!(decisions(&mut scheduler), [], "class 2 has one of its own");
    scheduler.handle_closed(closing, at(5));
    keep(&mut scheduler, used, at(5));
    audit(&mut scheduler, at(5));
}

#[test]
fn a_leaving_route_is_in_nobody_elses_class() {
    let (mut scheduler, route) = two();
    let conn = open_one(&mut scheduler, route, at(0));
    scheduler.remove_route(route, at(1));
    scheduler.remove_class(class(1), at(1));
    assert_eq!((view(&scheduler, 1).active, view(&scheduler, 0).active), (0, 1));
    keep(&mut scheduler, conn, at(2));
    assert_eq!(decisions(&mut scheduler), [Decision::Close { conn, reason: CloseReason::Shrunk }]);
    scheduler.handle_closed(conn, at(3));
    assert_eq!(view(&scheduler, 0).closes.sum(), 1);
    audit(&mut scheduler, at(3));
}

#[test]
fn the_default_class_stays_and_an_unknown_one_is_none() {
    let mut scheduler = scheduler(4);
    let route = scheduler.add_route(plain(), None, at(0));
    open_idle(&mut scheduler, route, 2, at(0));
    scheduler.remove_class(class(0), at(1));
    scheduler.remove_class(class(9), at(1));
    let default = view(&scheduler, 0);
    assert_eq!((default.active, default.leases, default.lends_to), (2, 2, ClassSet::EMPTY));
    assert_eq!(scheduler.classes().count(), 1);
    audit(&mut scheduler, at(1));
}
