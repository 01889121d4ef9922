//! What is kept for guarantees, and what is not because nobody could use it.

use super::audit::audit;
use super::{ask, at, class, decisions, open_one, plain, queued, scheduler};
use crate::{ClassLimits, ClassSet, Decision, RouteId, RouteLimits, Scheduler};

/// How many connections this route gets, one after the other, until it has to wait.
fn get_all(scheduler: &mut Scheduler, route: RouteId) -> usize {
    let mut count = 0;
    loop {
        let ticket = queued(ask(scheduler, route, at(1)));
        let decided = decisions(scheduler);
        audit(scheduler, at(1));
        let [Decision::Open { conn, .. }] = decided[..] else {
            assert_eq!(decided, []);
            return count;
        };
        scheduler.handle_connected(conn, crate::StateKey(0), crate::Home(0), super::ms(1), at(1));
        assert_eq!(decisions(scheduler), [Decision::Grant { ticket, conn }]);
        count += 1;
    }
}

#[test]
fn a_guarantee_above_the_cap_of_its_route_withholds_no_slot_for_ever() {
    let mut scheduler = scheduler(12);
    let app = scheduler.add_route(RouteLimits { guarantee: 10, cap: Some(3), ..plain() }, None, at(0));
    let other = scheduler.add_route(plain(), None, at(0));
    for _ in 0..3 {
        open_one(&mut scheduler, app, at(0));
    }
    assert_eq!(get_all(&mut scheduler, other), 9);
}

#[test]
fn what_its_cap_lets_a_guarantee_have_is_kept() {
    let mut scheduler = scheduler(12);
    let app = scheduler.add_route(RouteLimits { guarantee: 10, cap: Some(3), ..plain() }, None, at(0));
    let other = scheduler.add_route(plain(), None, at(0));
    assert_eq!(get_all(&mut scheduler, other), 9);
    assert_eq!(get_all(&mut scheduler, app), 3);
}

#[test]
fn guarantees_above_the_cap_of_their_class_withhold_no_slot_for_ever() {
    let mut scheduler = scheduler(12);
    scheduler.set_class(class(1), ClassLimits::capped(3), at(0));
    let app = scheduler.add_route(RouteLimits { class: class(1), guarantee: 10, ..plain() }, None, at(0));
    let other = scheduler.add_route(plain(), None, at(0));
    open_one(&mut scheduler, app, at(0));
    assert_eq!(get_all(&mut scheduler, other), 9, "two are kept for what the class has left");
    assert_eq!(get_all(&mut scheduler, app), 2);
}

#[test]
fn slots_are_kept_for_guarantees_that_are_met_by_loans() {
    let mut scheduler = scheduler(12);
    scheduler.set_class(class(1), ClassLimits::capped(3), at(0));
    let lends_to = ClassSet::EMPTY.with(class(1));
    scheduler.set_class(class(2), ClassLimits { cap: Some(4), lends_to }, at(0));
    let app = scheduler.add_route(RouteLimits { class: class(1), guarantee: 10, ..plain() }, None, at(0));
    let other = scheduler.add_route(plain(), None, at(0));
    assert_eq!(get_all(&mut scheduler, other), 5);
    assert_eq!(get_all(&mut scheduler, app), 7);
}

#[test]
fn a_gap_moves_with_its_route_to_another_class() {
    let mut scheduler = scheduler(12);
    scheduler.set_class(class(1), ClassLimits::capped(3), at(0));
    let limits = RouteLimits { class: class(1), guarantee: 10, ..plain() };
    let app = scheduler.add_route(limits.clone(), None, at(0));
    let other = scheduler.add_route(plain(), None, at(0));
    scheduler.set_route(app, RouteLimits { class: class(0), ..limits }, at(0));
    assert_eq!(get_all(&mut scheduler, other), 2);
    scheduler.remove_route(app, at(1));
    assert!(matches!(decisions(&mut scheduler)[..], [Decision::Open { route, .. }] if route == other));
    audit(&mut scheduler, at(1));
}
