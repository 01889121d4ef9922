//! Users and databases that the server gives few connections.

use super::audit::audit;
use super::{ask, at, decisions, keep, limits, ms, open_one, plain, queued, scheduler};
use crate::{ConnId, ConnectFailure, Decision, Home, Limits, Moves, Realm, RouteId, Scheduler, StateKey, Time};

/// The connects that are due for a route, which are all that is due.
fn connects(scheduler: &mut Scheduler, wanted: RouteId) -> Vec<ConnId> {
    let open = |decision| match decision {
        Decision::Open { conn, route } if route == wanted => conn,
        other => panic!("not an open of it: {other:?}"),
    };
    decisions(scheduler).into_iter().map(open).collect()
}

fn refuse(scheduler: &mut Scheduler, conn: ConnId, now: Time) {
    scheduler.handle_connect_failed(conn, ConnectFailure::TooManyForRoute, now);
    audit(scheduler, now);
}

/// A route that has two connections, in use, and one waiter whose connect was refused at 2 ms; and another route.
fn held_to_two(budget: u32) -> (Scheduler, RouteId, RouteId) {
    let mut scheduler = scheduler(budget);
    let (small, other) = (scheduler.add_route(plain(), None, at(0)), scheduler.add_route(plain(), None, at(0)));
    for _ in 0..2 {
        open_one(&mut scheduler, small, at(0));
    }
    queued(ask(&mut scheduler, small, at(1)));
    let [third] = connects(&mut scheduler, small)[..] else { panic!("no third") };
    refuse(&mut scheduler, third, at(2));
    (scheduler, small, other)
}

#[test]
fn a_users_own_limit_leaves_the_whole_budget_to_others() {
    let (mut scheduler, small, other) = held_to_two(40);
    assert_eq!(scheduler.totals().effective_budget, 40);
    for _ in 0..38 {
        open_one(&mut scheduler, other, at(3));
    }
    let view = scheduler.route(small).expect("live");
    assert_eq!((view.in_use, view.waiting), (2, 1), "its waiter waits on");
}

#[test]
fn a_user_at_its_limit_is_probed_with_growing_pauses_until_there_is_room() {
    let (mut scheduler, small, _) = held_to_two(40);
    queued(ask(&mut scheduler, small, at(3)));
    assert_eq!(connects(&mut scheduler, small), []);
    assert_eq!(scheduler.next_time(), Some(at(502)));
    scheduler.handle_time(at(502));
    let [probe] = connects(&mut scheduler, small)[..] else { panic!("not one probe for two waiters") };
    refuse(&mut scheduler, probe, at(503));
    assert_eq!(scheduler.next_time(), Some(at(1_503)), "twice as long");
    scheduler.handle_time(at(1_503));
    let [probe] = connects(&mut scheduler, small)[..] else { panic!("no second probe") };
    scheduler.handle_connected(probe, StateKey(0), Home(0), ms(1), at(1_504));
    let decided = decisions(&mut scheduler);
    assert!(
        matches!(decided[..], [Decision::Grant { .. }, Decision::Open { route, .. }] if route == small),
        "the next one is tried at once: {decided:?}"
    );
    audit(&mut scheduler, at(1_504));
}

#[test]
fn a_user_at_its_limit_is_served_by_what_it_has() {
    let mut scheduler = scheduler(40);
    let small = scheduler.add_route(plain(), None, at(0));
    let conn = open_one(&mut scheduler, small, at(0));
    let ticket = queued(ask(&mut scheduler, small, at(1)));
    let [second] = connects(&mut scheduler, small)[..] else { panic!("no second") };
    refuse(&mut scheduler, second, at(2));
    keep(&mut scheduler, conn, at(3));
    assert_eq!(decisions(&mut scheduler), [Decision::Grant { ticket, conn }]);
    // A connection that goes makes room for another one, without a probe.
    queued(ask(&mut scheduler, small, at(4)));
    scheduler.detach(conn, crate::Detach::Discard(crate::CloseReason::Unusable), at(5));
    scheduler.handle_closed(conn, at(5));
    assert_eq!(connects(&mut scheduler, small).len(), 1);
}

#[test]
fn connections_ahead_of_demand_are_given_up_at_a_users_limit() {
    let mut scheduler = scheduler(10);
    let small = scheduler.add_route(plain(), None, at(0));
    scheduler.open_ahead(small, 8, at(0));
    for conn in connects(&mut scheduler, small) {
        refuse(&mut scheduler, conn, at(1));
    }
    scheduler.handle_time(at(60_000));
    assert_eq!(decisions(&mut scheduler), []);
}

#[test]
fn a_shorter_probe_after_holds_for_a_user_at_its_limit_already() {
    let (mut scheduler, small, _) = held_to_two(40);
    scheduler.set_limits(Limits { probe_after: ms(50), ..limits(40) }, at(10));
    assert_eq!(scheduler.next_time(), Some(at(60)));
    scheduler.handle_time(at(60));
    assert_eq!(connects(&mut scheduler, small).len(), 1);
}

#[test]
fn a_rekey_to_a_user_at_its_limit_does_not_stop_other_rekeys() {
    let mut scheduler = Scheduler::new(Limits { moves: Moves::Rekey, ..limits(2) }, super::forever(), 1, at(0));
    let realm = Some(Realm(0));
    let [rich, small, third] = [(); 3].map(|()| scheduler.add_route(plain(), realm, at(0)));
    let conns = [(); 2].map(|()| open_one(&mut scheduler, rich, at(0)));
    for conn in conns {
        keep(&mut scheduler, conn, at(0));
    }
    queued(ask(&mut scheduler, small, at(1)));
    let [Decision::Rekey { conn, to, .. }] = decisions(&mut scheduler)[..] else { panic!("no re-key") };
    assert_eq!(to, small);
    scheduler.handle_rekey_failed(conn, ConnectFailure::TooManyForRoute, at(2));
    scheduler.handle_closed(conn, at(2));
    assert_eq!(decisions(&mut scheduler), [], "an ordinary login would be refused as well");
    queued(ask(&mut scheduler, third, at(3)));
    let [Decision::Open { conn, .. }] = decisions(&mut scheduler)[..] else { panic!("there is a free slot") };
    scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), at(4));
    assert_eq!(scheduler.totals().effective_budget, 2);
    assert!(scheduler.may_rekey(conns[0].index, scheduler.live(third).expect("live"), at(4)));
    audit(&mut scheduler, at(4));
}
