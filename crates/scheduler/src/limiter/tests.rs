//! The transaction limiter, case by case and beside a model that refuses.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Admission, LimitMode, OverLimit, REMEMBERED_MAX, Refusals, TransactionLimit, TransactionLimiter, most};
use crate::classes::ClassSet;

fn limiter(mode: LimitMode, fraction: f64) -> TransactionLimiter {
    let mut limiter = TransactionLimiter::default();
    limiter.set_limit(TransactionLimit { mode, fraction, classes: ClassSet::EMPTY });
    limiter
}

fn name(name: &str) -> Arc<str> {
    name.into()
}

#[test]
fn the_limit_is_the_whole_part_of_the_fraction_and_never_none() {
    let cases = [(0.4, 20, 8), (0.4, 40, 16), (0.29, 100, 29), (0.1, 30, 3), (0.7, 10, 7), (0.05, 10, 1), (1.0, 7, 7)];
    for (fraction, capacity, expected) in cases {
        assert_eq!(most(fraction, capacity), expected, "{fraction} of {capacity}");
    }
    assert_eq!(most(f64::NAN, 10), 1);
}

#[test]
fn who_is_over_the_limit_is_refused_and_others_are_not() {
    let mut limiter = limiter(LimitMode::On, 0.4);
    let (greedy, modest) = (name("greedy"), name("modest"));
    let mut admissions: Vec<Admission> =
        (0..2).filter_map(|_| limiter.begin(&greedy, 5).expect("within its part")).collect();
    assert_eq!(limiter.begin(&greedy, 5), Err(OverLimit { held: 2, limit: 2, fraction: 0.4, capacity: 5 }));
    assert_eq!(limiter.begin(&modest, 5), Ok(Some(Admission::Within)));
    limiter.end(&greedy, admissions.pop().expect("two"));
    assert_eq!(limiter.begin(&greedy, 5), Ok(Some(Admission::Within)));

    assert_eq!(limiter.begin(&greedy, 10), Ok(Some(Admission::Within)), "more at once after a resize");
    assert!(limiter.begin(&greedy, 5).is_err(), "and less");
    let view = limiter.view(5);
    assert_eq!((view.limit, view.refusals), (2, Refusals { refused: 2, ..Refusals::default() }));
    let seen: Vec<_> = view.parties.iter().map(|(party, has)| (&**party, has.held)).collect();
    assert_eq!(seen, [("greedy", 3), ("modest", 1)]);
}

#[test]
fn nothing_is_counted_while_it_is_off() {
    let mut limiter = limiter(LimitMode::Off, 0.4);
    assert_eq!(limiter.begin(&name("any"), 5), Ok(None));
    assert_eq!(limiter.view(5).parties, []);
}

#[test]
fn what_a_dry_run_let_in_counts_when_it_becomes_serious() {
    let mut limiter = limiter(LimitMode::DryRun, 0.4);
    let party = name("party");
    for _ in 0..3 {
        assert!(limiter.begin(&party, 5).is_ok());
    }
    limiter.set_limit(TransactionLimit { mode: LimitMode::On, ..limiter.limit().clone() });
    assert_eq!(limiter.begin(&party, 10).map_err(|over| over.held), Ok(Some(Admission::Within)));
    assert_eq!(limiter.begin(&party, 10).map_err(|over| over.held), Err(4));
}

#[test]
fn what_is_open_already_is_let_in_and_counted() {
    for mode in [LimitMode::On, LimitMode::DryRun] {
        let mut limiter = limiter(mode, 0.4);
        let party = name("party");
        let admissions = [(); 3].map(|()| limiter.join(&party, 5).expect("it is counted"));
        let refusals = Refusals { exceeded: 1, ..Refusals::default() };
        let view = limiter.view(5);
        assert_eq!((view.limit, view.parties[0].1.held, view.refusals), (2, 3, refusals), "{mode:?}");
        assert_eq!(limiter.begin(&party, 5).is_err(), mode == LimitMode::On, "the next one is too many");
        admissions.into_iter().for_each(|admission| limiter.end(&party, admission));
        assert_eq!(limiter.view(5).parties[0].1.within, 0, "{mode:?}");
    }
    assert_eq!(limiter(LimitMode::Off, 0.4).join(&name("any"), 5), None);
}

#[test]
fn parties_are_remembered_up_to_a_limit_and_refusals_for_ever() {
    let mut limiter = limiter(LimitMode::DryRun, 0.1);
    for number in 0..REMEMBERED_MAX + 5 {
        let party = name(&number.to_string());
        let admissions: Vec<Admission> = (0..2).filter_map(|_| limiter.begin(&party, 1).expect("a dry run")).collect();
        admissions.into_iter().for_each(|admission| limiter.end(&party, admission));
    }
    let view = limiter.view(1);
    assert_eq!(view.parties.len(), REMEMBERED_MAX);
    assert_eq!(view.refusals.dry_run, REMEMBERED_MAX as u64 + 5);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A dry run counts exactly what the real limit refuses of the same transactions, also while capacities change.
    #[test]
    fn a_dry_run_tells_what_would_be_refused(events in prop::collection::vec((0_usize..3, 0_usize..6, 1_u32..12), 1..300)) {
        let (mut real, mut dry) = (limiter(LimitMode::On, 0.4), limiter(LimitMode::DryRun, 0.4));
        let parties = ["a", "b", "c"].map(name);
        // Every transaction that both saw, by party: whether the real limiter let it in.
        let mut under_way: HashMap<usize, Vec<(Option<Admission>, Admission)>> = HashMap::new();
        for (who, what, capacity) in events {
            let party = &parties[who];
            let own = under_way.entry(who).or_default();
            if what == 3 {
                let admitted = real.join(party, capacity);
                prop_assert_eq!(&admitted, &Some(Admission::Within));
                own.push((admitted, dry.join(party, capacity).expect("it counts")));
            } else if what < 4 {
                let admitted = real.begin(party, capacity).ok().flatten();
                let dry_run = dry.begin(party, capacity).expect("it refuses nothing").expect("it counts");
                prop_assert_eq!(admitted.is_some(), dry_run == Admission::Within);
                own.push((admitted, dry_run));
            } else if !own.is_empty() {
                let (admitted, dry_run) = own.swap_remove(capacity as usize % own.len());
                if let Some(admission) = admitted {
                    real.end(party, admission);
                }
                dry.end(party, dry_run);
            }
            let (told, refused) = (dry.view(capacity).refusals, real.view(capacity).refusals);
            prop_assert_eq!((told.dry_run, told.exceeded), (refused.refused, refused.exceeded));
        }
        for (who, own) in under_way {
            for (admitted, dry_run) in own {
                if let Some(admission) = admitted {
                    real.end(&parties[who], admission);
                }
                dry.end(&parties[who], dry_run);
            }
        }
        for limiter in [&real, &dry] {
            prop_assert!(limiter.view(1).parties.iter().all(|(_, party)| (party.held, party.within) == (0, 0)));
        }
    }
}
