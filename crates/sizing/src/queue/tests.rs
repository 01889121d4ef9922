//! Erlang C against tables, against its definition, and against what must always hold.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::LOAD_MAX;

/// Work that keeps `load` connections busy, 5 ms each.
fn work(load: f64) -> Workload {
    Workload::new(load * 200.0, Duration::from_millis(5)).unwrap()
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

/// Erlang C by its definition, with logarithms of factorials.
fn by_definition(load: f64, connections: u32) -> f64 {
    let mut log_term = 0.0;
    let mut terms = vec![0.0];
    for k in 1..=connections {
        log_term += load.ln() - f64::from(k).ln();
        terms.push(log_term);
    }
    let last = terms.pop().unwrap() - (1.0 - load / f64::from(connections)).ln();
    let top = terms.iter().fold(last, |a, b| a.max(*b));
    let sum: f64 = terms.iter().map(|term| (term - top).exp()).sum();
    (last - top).exp() / (sum + (last - top).exp())
}

#[test]
fn tables() {
    for (load, connections, probability) in [
        (2.0, 3, 0.444444),
        (8.0, 10, 0.409180),
        (5.0, 8, 0.167267),
        (25.0, 26, 0.782400),
        (25.0, 30, 0.249893),
        (25.0, 38, 0.010262),
        (100.0, 110, 0.237008),
    ] {
        near(Queue::new(&work(load), connections).unwrap().wait_probability(), probability, 6e-7);
    }
    near(Queue::new(&work(25.0), 50).unwrap().wait_probability(), 7.2e-6, 5e-8);
}

#[test]
fn what_a_target_asks_for() {
    let percentile = |percent, wait_us| Target::Percentile { percent, wait: Duration::from_micros(wait_us) };
    for (rate, hold_ms, target, connections, attained_ms) in [
        (5_000.0, 5, percentile(99.0, 5_000), 29, 4.4118),
        (5_000.0, 5, percentile(99.0, 1_000), 34, 0.9916),
        (200.0, 20, percentile(99.0, 5_000), 9, 3.4613),
        (1_000.0, 10, percentile(99.0, 2_000), 17, 1.6106),
        (20_000.0, 2, percentile(99.9, 1_000), 50, 0.8931),
        (2_000.0, 50, percentile(95.0, 10_000), 109, 9.5645),
        (5_000.0, 5, percentile(99.0, 0), 39, 0.0),
        (5_000.0, 5, Target::Mean(Duration::from_micros(500)), 29, 0.4263),
    ] {
        let work = Workload::new(rate, Duration::from_millis(hold_ms)).unwrap();
        let found = Queue::least(&work, target).unwrap().value;
        assert_eq!(found.connections(), connections, "{target:?}");
        let attained = match target {
            Target::Percentile { percent, .. } => found.percentile(percent),
            Target::Mean(_) => found.mean(),
        };
        near(attained * 1e3, attained_ms, 1e-4);
    }
}

#[test]
fn where_one_and_a_half_to_two_times_is_wrong() {
    let none_waits = Target::Percentile { percent: 99.0, wait: Duration::ZERO };
    for (load, connections) in
        [(1.0, 5), (2.0, 7), (4.0, 10), (8.0, 16), (25.0, 39), (100.0, 125), (500.0, 555), (2_000.0, 2_108)]
    {
        assert_eq!(Queue::least(&work(load), none_waits).unwrap().value.connections(), connections);
    }
}

#[test]
fn the_ideal_number_has_a_queue_without_end() {
    assert_eq!(Queue::new(&work(25.0), 25), Err(Error::Overloaded { load: 25.0, connections: 25 }));
    let one_more = Queue::new(&work(25.0), 26).unwrap();
    near(one_more.mean() * 1e3, 3.91, 0.005);
    near(one_more.percentile(99.0) * 1e3, 21.8, 0.05);
    let five_more = Queue::new(&work(25.0), 30).unwrap();
    near(five_more.mean() * 1e3, 0.25, 0.001);
    near(five_more.percentile(99.0) * 1e3, 3.22, 0.005);
}

#[test]
fn one_pool_waits_less_than_many_small_ones() {
    for (pools, each, p99_ms) in [(1, 30, 3.22), (2, 15, 7.38), (5, 6, 20.37)] {
        let queue = Queue::new(&work(25.0).split(pools).unwrap(), each).unwrap();
        near(queue.percentile(99.0) * 1e3, p99_ms, 0.005);
    }
}

#[test]
fn varying_times_wait_longer() {
    let queue = Queue::new(&work(25.0), 32).unwrap();
    for (variation, mean_ms) in [(0.0, 0.0453), (1.0, 0.0906), (4.0, 0.2266), (16.0, 0.7705)] {
        let varied = Queue::new(&work(25.0).varying(variation).unwrap(), 32).unwrap();
        near(varied.mean() * 1e3, mean_ms, 1e-4);
        assert_eq!(varied.wait_probability(), queue.wait_probability());
        near(varied.percentile(99.5), queue.percentile(99.5) * variability(1.0, variation), 1e-12);
    }
    assert!(work(25.0).varying(-0.1).is_err());
}

#[test]
fn varying_times_need_more_connections_and_say_why() {
    let target = Target::Percentile { percent: 99.0, wait: Duration::from_millis(1) };
    let varied = Queue::least(&work(25.0).varying(4.0).unwrap(), target).unwrap().value;
    assert_eq!(varied.connections(), 37);
    let text = varied.expected(99.0).derivation.to_string();
    assert!(text.contains("= (1 + C_s²) / 2, Allen and Cunneen = (1 + 4) / 2 = 2.5\n"), "{text}");
    assert!(text.contains("= C × v × response time / (c - a) = 0.01644 × 2.5 × 5 ms / (37 - 25)"), "{text}");
}

#[test]
fn thousands_of_connections_keep_their_precision() {
    near(Queue::new(&work(4_000.0), 4_100).unwrap().wait_probability(), by_definition(4_000.0, 4_100), 1e-9);
    let most = Queue::least(&work(LOAD_MAX), Target::Mean(Duration::from_millis(1))).unwrap().value;
    assert!(most.connections() > 100_000);
}

#[test]
fn targets_that_make_no_sense() {
    for percent in [0.0, 100.0, -1.0, f64::NAN] {
        assert!(Target::Percentile { percent, wait: Duration::ZERO }.check().is_err());
    }
    assert!(Target::Mean(Duration::ZERO).check().is_err());
}

proptest! {
    #[test]
    fn equals_its_definition(load in 0.01..300.0f64, spare in 1u32..100) {
        let connections = load.ceil() as u32 + spare;
        let queue = Queue::new(&work(load), connections).unwrap();
        let expected = by_definition(load, connections);
        prop_assert!((queue.wait_probability() - expected).abs() <= 1e-9, "{} {expected}", queue.wait_probability());
    }

    #[test]
    fn one_connection_more_never_waits_longer(load in 0.01..500.0f64, spare in 1u32..50) {
        let connections = load.floor() as u32 + spare;
        let (fewer, more) = (Queue::new(&work(load), connections).unwrap(), Queue::new(&work(load), connections + 1).unwrap());
        prop_assert!(more.wait_probability() <= fewer.wait_probability());
        prop_assert!(more.mean() <= fewer.mean());
        prop_assert!(more.percentile(99.0) <= fewer.percentile(99.0));
        prop_assert!((0.0..=1.0).contains(&fewer.wait_probability()));
    }

    #[test]
    fn the_fewest_is_the_fewest(load in 0.01..500.0f64, percent in 50.0..99.99f64, wait_us in 0u64..50_000) {
        let target = Target::Percentile { percent, wait: Duration::from_micros(wait_us) };
        let found = Queue::least(&work(load), target).unwrap().value;
        prop_assert!(found.percentile(percent) <= wait_us as f64 / 1e6);
        if let Ok(fewer) = Queue::new(&work(load), found.connections() - 1) {
            prop_assert!(fewer.percentile(percent) > wait_us as f64 / 1e6);
        }
    }

    #[test]
    fn the_percentile_is_the_inverse_of_the_tail(load in 0.5..200.0f64, spare in 1u32..4, percent in 50.0..99.9f64) {
        let queue = Queue::new(&work(load), load.floor() as u32 + spare).unwrap();
        let wait = queue.percentile(percent);
        prop_assume!(wait > 1e-6);
        let tail = queue.longer_than(Duration::from_secs_f64(wait));
        prop_assert!((tail - (1.0 - percent / 100.0)).abs() < 1e-4, "{tail}");
    }
}
