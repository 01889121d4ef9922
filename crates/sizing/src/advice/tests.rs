//! Whole answers: the cases of the research, and what must hold for any needs.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn needs(rate: f64, hold_ms: u64, percent: f64, wait_ms: u64) -> Needs {
    let work = Workload::new(rate, Duration::from_millis(hold_ms)).unwrap();
    Needs::new(work, Target::Percentile { percent, wait: Duration::from_millis(wait_ms) })
}

#[test]
fn each_instance_has_a_queue_of_its_own() {
    let limit = Some(ServerLimit { max_connections: 200, reserve: 3, others: 0 });
    let one = Needs { slots: Some(1_024), limit, ..needs(5_000.0, 5, 99.0, 1) };
    assert_eq!(one.advise().unwrap().budget, 34);
    let three = Needs { instances: 3, ..one };
    let advice = three.advise().unwrap();
    // A third of 34 is 12, with which 1 % wait 3.9 ms and longer.
    assert_eq!((advice.budget, advice.total, advice.binding), (15, 45, Binding::WaitTarget));
    assert!((advice.expected.unwrap().percentile(99.0) * 1e3 - 0.738).abs() < 5e-4);
}

#[test]
fn the_knee_limits_what_the_wait_asks_for() {
    let knee = Some(Knee { low: 20, high: 31 });
    let two = Needs { instances: 2, knee, ..needs(5_000.0, 5, 99.0, 0) };
    let advice = two.advise().unwrap();
    assert_eq!((advice.budget, advice.binding), (15, Binding::Limited(Cap::Knee)));
    assert!(matches!(advice.warnings[0], Warning::TargetMissed { cap: Cap::Knee, .. }), "{:?}", advice.warnings);
}

#[test]
fn the_second_example_needs_a_third_node_to_keep_its_wait() {
    let two = Needs { servers: 2, slots: Some(1_024), ..needs(400_000.0, 5, 99.0, 0) };
    let advice = two.advise().unwrap();
    assert_eq!((advice.ideal, advice.budget, advice.binding), (2_000, 1_024, Binding::Limited(Cap::Slots)));
    assert!(matches!(advice.warnings[0], Warning::TargetMissed { servers: Some(3), .. }), "{:?}", advice.warnings);
    assert!(advice.warnings.contains(&Warning::QueuedInside { queued: 476, slots: 1_024 }));
    assert!(matches!(advice.warnings[1], Warning::RuleTooLarge { rule: 3_000, .. }), "{:?}", advice.warnings);
}

#[test]
fn tasks_that_take_several_connections_need_a_floor() {
    let tasks = Some(Tasks { tasks: 8, connections_each: 2 });
    let blocked = Needs { tasks, ..needs(50.0, 10, 99.0, 10) };
    let advice = blocked.advise().unwrap();
    assert_eq!((advice.need, advice.budget, advice.binding), (3, 9, Binding::DeadlockFloor));
    assert!(advice.reason(&blocked).contains("block one another"));
    let small = Needs { slots: Some(6), ..blocked };
    assert_eq!(small.advise().unwrap().warnings[0], Warning::Deadlock { budget: 6, floor: 9 });
    let busy = Needs { tasks, ..needs(5_000.0, 5, 99.0, 1) };
    assert_eq!(busy.advise().unwrap().binding, Binding::WaitTarget);
}

#[test]
fn more_than_twice_the_ideal_number_or_the_limit_is_of_no_use() {
    for (slots, useful) in [(None, 50), (Some(40), 40), (Some(30), 30)] {
        assert_eq!(Needs { slots, ..needs(5_000.0, 5, 99.0, 1) }.advise().unwrap().useful, useful);
    }
    assert_eq!(needs(200.0, 5, 99.0, 0).advise().unwrap().useful, 5, "never below the budget");
}

#[test]
fn times_that_vary_much_are_told() {
    let plain = needs(5_000.0, 5, 99.0, 1);
    let varied = Needs { work: plain.work.varying(16.0).unwrap(), ..plain }.advise().unwrap();
    assert!(varied.budget > plain.advise().unwrap().budget);
    assert!(varied.warnings.contains(&Warning::Varied { variation: 16.0 }), "{:?}", varied.warnings);
}

#[test]
fn headroom_counts_where_it_is_more() {
    for (headroom, budget, binding) in [
        (None, 34, Binding::WaitTarget),
        (Some(1.0), 34, Binding::WaitTarget),
        (Some(1.5), 38, Binding::Headroom),
        (Some(2.0), 50, Binding::Headroom),
    ] {
        let advice = Needs { headroom, ..needs(5_000.0, 5, 99.0, 1) }.advise().unwrap();
        assert_eq!((advice.budget, advice.binding), (budget, binding));
    }
}

#[test]
fn the_usual_rule_is_too_little_for_a_small_load() {
    let advice = needs(200.0, 5, 99.0, 0).advise().unwrap();
    assert_eq!(advice.budget, 5);
    assert_eq!(advice.warnings, [Warning::RuleTooSmall { rule: 2, need: 5 }]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let limit = Some(ServerLimit { max_connections: 23, reserve: 3, others: 0 });
    let small = Needs { limit, ..needs(5_000.0, 5, 99.0, 1) };
    let advice = small.advise().unwrap();
    assert_eq!((advice.budget, advice.expected), (20, None));
    assert_eq!(advice.warnings[0], Warning::Overloaded { budget: 20, load: 25.0, servers: Some(2) });
    assert_eq!(Needs { instances: 21, ..small }.advise(), Err(Error::NoRoom { allowed: 20, instances: 21 }));
}

#[test]
fn the_derivation_can_be_followed() {
    let text = needs(5_000.0, 5, 99.0, 1).advise().unwrap().derivation.to_string();
    for line in [
        "= queries per second × response time = 5,000 × 5 ms = 25\n",
        "= least c with a = 25, so that 99 % wait at most 1 ms = 34\n",
        "= a / c = 25 / 34 = 0.7353\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

proptest! {
    #[test]
    fn a_budget_never_exceeds_what_is_allowed(
        rate in 1.0..20_000.0f64, hold_ms in 1u64..50, wait_ms in 0u64..20, servers in 1u32..5, instances in 1u32..5,
        slots in prop::option::of(5u32..200), max_connections in prop::option::of(8u32..500), high in prop::option::of(5u32..100),
        headroom in prop::option::of(1.0..3.0f64),
    ) {
        let needs = Needs {
            servers, instances, slots, headroom,
            limit: max_connections.map(|max_connections| ServerLimit { max_connections, reserve: 3, others: 0 }),
            knee: high.map(|high| Knee { low: 1, high }),
            ..needs(rate, hold_ms, 99.0, wait_ms)
        };
        let advice = needs.advise().unwrap();
        let of_server = advice.budget * instances;
        prop_assert!(advice.budget >= 1);
        prop_assert!(slots.is_none_or(|slots| of_server <= slots));
        prop_assert!(max_connections.is_none_or(|most| of_server + 3 <= most));
        prop_assert!(high.is_none_or(|high| of_server <= high));
        let load = rate * hold_ms as f64 / 1e3 / f64::from(servers * instances);
        prop_assert_eq!(advice.expected.is_none(), f64::from(advice.budget) <= load);
        if !matches!(advice.binding, Binding::Limited(_)) {
            let queue = advice.expected.unwrap();
            prop_assert!(queue.percentile(99.0) <= wait_ms as f64 / 1e3);
        }
    }
}
