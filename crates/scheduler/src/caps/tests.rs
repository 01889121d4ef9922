//! Loans, case by case and at random.

use proptest::prelude::*;

use super::Caps;
use crate::classes::{ClassId, ClassLimits, ClassSet};

fn limits(cap: Option<u32>, lends_to: &[usize]) -> ClassLimits {
    ClassLimits { cap, lends_to: lends_to.iter().filter_map(|number| ClassId::new(*number)).collect() }
}

fn caps(classes: &[(Option<u32>, &[usize])]) -> Caps {
    let mut caps = Caps::default();
    caps.make(classes.len() - 1);
    for (number, (cap, lends_to)) in classes.iter().enumerate() {
        caps.set(number, limits(*cap, lends_to));
    }
    caps
}

fn enter(caps: &mut Caps, class: usize, count: u32) {
    for _ in 0..count {
        assert!(caps.has_room(class) && caps.enter(class), "class {class} is full");
    }
}

#[test]
fn what_is_lent_is_not_there_for_oneself() {
    let mut caps = caps(&[(Some(3), &[1]), (Some(1), &[])]);
    enter(&mut caps, 1, 3);
    assert_eq!((caps.of(1).borrowed(), caps.of(0).lent()), (2, 2));
    enter(&mut caps, 0, 1);
    assert!(!caps.has_room(0) && !caps.has_room(1));
    assert!(caps.owes(1, 0) && !caps.owes(0, 1));
    assert!(caps.may_move(1, 0), "a loan comes back");
    caps.leave(1, 0);
    assert!(caps.enter(0));
    assert_eq!((caps.of(1).borrowed(), caps.of(0).lent()), (1, 1));
}

#[test]
fn the_smaller_part_of_a_cap_is_lent_last() {
    let mut caps = caps(&[(Some(2), &[2]), (Some(5), &[2]), (Some(0), &[])]);
    enter(&mut caps, 2, 3);
    assert_eq!((caps.of(0).lent(), caps.of(1).lent()), (0, 3));
    enter(&mut caps, 2, 4);
    assert!(!caps.has_room(2));
}

#[test]
fn a_loan_that_comes_back_pays_a_loan() {
    // 0 lends to 1, which lends to 2.
    let mut caps = caps(&[(Some(4), &[1]), (Some(2), &[2]), (Some(0), &[])]);
    enter(&mut caps, 2, 1);
    enter(&mut caps, 1, 2);
    assert_eq!((caps.of(1).borrowed(), caps.of(0).lent(), caps.of(1).lent()), (1, 1, 1));
    caps.leave(2, 2);
    caps.settle();
    assert_eq!((caps.of(1).borrowed(), caps.of(0).lent(), caps.of(1).lent()), (0, 0, 0));
}

#[test]
fn a_lowered_cap_is_an_excess_of_whoever_fits_nowhere() {
    let mut caps = caps(&[(Some(4), &[1]), (Some(1), &[])]);
    enter(&mut caps, 1, 3);
    enter(&mut caps, 0, 2);
    caps.set(0, limits(Some(2), &[1]));
    assert_eq!((caps.of(0).excess(), caps.of(1).excess()), (0, 2));
    assert!(!caps.may_move(1, 0), "what is too much leaves no room");
    caps.leave(1, 1);
    caps.set(0, limits(Some(3), &[1]));
    assert_eq!((caps.of(1).excess(), caps.of(1).borrowed()), (0, 1));
    caps.set(0, limits(Some(3), &[]));
    assert_eq!((caps.of(1).excess(), caps.of(1).borrowed()), (1, 0), "what is not lent any more");
}

#[test]
fn what_comes_back_to_a_class_that_has_too_much_is_of_no_use_to_it() {
    let mut caps = caps(&[(Some(0), &[]), (Some(1), &[0]), (None, &[])]);
    enter(&mut caps, 0, 1);
    enter(&mut caps, 2, 1);
    assert!(!caps.change(2, 1), "what it has lent it has not");
    assert_eq!(caps.of(1).excess(), 1);
    assert!(!caps.owes(0, 1) && !caps.may_move(0, 1));
}

/// One thing that happens to classes 0 to 3.
#[derive(Debug, Clone)]
enum Event {
    Enter(usize),
    Leave(usize, usize),
    Move(usize, usize),
    Set(usize, Option<u32>, u8),
}

fn event() -> impl Strategy<Value = Event> {
    let class = || 0_usize..4;
    prop_oneof![
        6 => class().prop_map(Event::Enter),
        3 => (class(), class()).prop_map(|(from, to)| Event::Leave(from, to)),
        3 => (class(), class()).prop_map(|(from, to)| Event::Move(from, to)),
        1 => (class(), prop::option::weighted(0.8, 0_u32..6), 0_u8..16).prop_map(|(class, cap, to)| Event::Set(class, cap, to)),
    ]
}

/// The books agree with the facts and with each other.
fn audit(caps: &Caps, permits: &[u32; 4]) {
    for (class, permits) in permits.iter().enumerate() {
        assert!((0..4).all(|to| !caps.owes(class, to) || caps.may_move(class, to)), "{caps:?}");
        let account = caps.of(class);
        assert_eq!(account.permits(), *permits, "class {class} of {caps:?}");
        let lent: u32 = (0..4).map(|other| caps.of(other).loans.get(class).copied().unwrap_or(0)).sum();
        assert_eq!(account.lent(), lent, "{caps:?}");
        assert!(account.borrowed() == 0 || !account.has_room(), "class {class} owes beside its own room: {caps:?}");
        for (lender, _) in account.loans() {
            assert!(caps.lends(lender, class) && lender != class, "{caps:?}");
        }
        if let Some(cap) = account.limits.cap {
            assert!(account.lent <= cap && account.own + account.lent <= cap + account.excess(), "{caps:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Own and lent are never more than the cap, and what is said to be possible is.
    #[test]
    fn the_books_are_right_after_every_event(events in prop::collection::vec(event(), 1..200)) {
        let mut caps = caps(&[(None, &[]), (Some(3), &[2]), (Some(2), &[1, 3]), (Some(1), &[])]);
        let mut permits = [0_u32; 4];
        for event in events {
            match event {
                Event::Enter(class) => {
                    if caps.has_room(class) {
                        let excesses: Vec<u32> = (0..4).map(|class| caps.of(class).excess()).collect();
                        prop_assert!(caps.enter(class));
                        permits[class] += 1;
                        prop_assert_eq!(excesses, (0..4).map(|class| caps.of(class).excess()).collect::<Vec<_>>());
                    }
                }
                Event::Leave(from, to) if permits[from] > 0 => {
                    caps.leave(from, to);
                    caps.settle();
                    permits[from] -= 1;
                }
                Event::Move(from, to) if from != to && permits[from] > 0 && caps.may_move(from, to) => {
                    // At once, or in two steps, where the connection is closed and another one opened.
                    if permits[from] % 2 == 0 {
                        prop_assert!(caps.change(from, to), "{:?}", caps);
                    } else {
                        caps.leave(from, to);
                        prop_assert!(caps.enter(to), "{:?}", caps);
                        caps.settle();
                    }
                    permits[from] -= 1;
                    permits[to] += 1;
                }
                Event::Leave(..) | Event::Move(..) => {}
                Event::Set(class, cap, to) => {
                    let lends_to: ClassSet = (0..4).filter(|other| to & 1 << other != 0).filter_map(ClassId::new).collect();
                    caps.set(class, ClassLimits { cap, lends_to });
                }
            }
            audit(&caps, &permits);
        }
    }
}
