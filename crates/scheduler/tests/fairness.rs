//! Fairness, asserted: the simulated situations of `sim/`, in virtual time, so the figures are exact.

#[path = "../sim/mod.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "shared with examples/fairness.rs")]
mod sim;

use std::time::Duration;

use sim::{Report, Scenario};

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn scenario(name: &str) -> Scenario {
    sim::all().into_iter().find(|scenario| scenario.name == name).expect("a known situation")
}

/// Runs the situation of this name; nothing the scheduler promises may have been broken in it.
fn run(name: &str) -> Report {
    promises_kept(sim::run(&scenario(name)))
}

/// The same, on a server where connections can be re-keyed.
fn run_by_rekey(name: &str) -> Report {
    promises_kept(sim::run(&scenario(name).by_rekey()))
}

fn promises_kept(report: Report) -> Report {
    assert!(report.faults.is_clean(), "{:?}", report.faults);
    report
}

#[test]
fn equal_users_get_equal_service_for_next_to_nothing() {
    let report = run("8 equal users");
    assert!(report.jain() >= 0.99, "Jain {}", report.jain());
    assert!(report.smallest_share() >= 0.97, "least {}", report.smallest_share());
    assert!(report.of_shared() >= 0.98, "{} of one shared pool", report.of_shared());
    assert!(report.opens_per_second() <= 4.0, "{} reconnects per second", report.opens_per_second());
}

#[test]
fn service_follows_weights() {
    let report = run("weights 1:3:9");
    assert!(report.jain() >= 0.99, "Jain {}", report.jain());
    assert!(report.smallest_share() >= 0.95, "least {}", report.smallest_share());
    assert!(report.of_shared() >= 0.98);
    assert!(report.opens_per_second() <= 4.0);
}

#[test]
fn a_light_user_beside_a_heavy_one_does_not_wait() {
    let report = run("heavy, light 2 clients busy");
    assert!(report.wait("light", 1.0) < ms(1), "it keeps what it needs");
    assert!(report.slots("heavy") >= 17.9, "and the heavy one has the rest");
    assert!(report.opens_per_second() <= 0.5);
}

#[test]
fn a_light_user_who_thinks_neither_waits_nor_thrashes() {
    let report = run("heavy, light 2 clients think 20 ms");
    assert!(report.wait("light", 0.99) < ms(10), "{:?}", report.wait("light", 0.99));
    assert!(report.slots("heavy") >= 18.0, "the heavy one keeps 90 %: {}", report.slots("heavy"));
    // Two reconnects per transaction would be about 160 per second.
    assert!(report.opens_per_second() <= 15.0, "{}", report.opens_per_second());
}

#[test]
fn a_rare_guest_is_served_at_once_and_costs_little() {
    let report = run("heavy, light 1 client thinks 2 s");
    assert!(report.wait("light", 1.0) < ms(10), "{:?}", report.wait("light", 1.0));
    assert!(report.of_shared() >= 0.98);
    assert!(report.opens_per_second() <= 2.0);
}

#[test]
fn a_burst_gets_its_share_and_gives_it_back() {
    let report = run("heavy, bursty 0.3 s of 1 s");
    assert!(report.wait("bursty", 1.0) < ms(40), "{:?}", report.wait("bursty", 1.0));
    assert!(report.wasted_share() <= 0.06, "{}", report.wasted_share());
}

#[test]
fn long_leases_do_not_buy_more_slot_time_than_short_ones() {
    let report = run("long beside short leases");
    assert!(report.jain() >= 0.99);
    assert!(report.smallest_share() >= 0.97);
}

#[test]
fn quiet_tenants_do_not_shrink_the_busy_ones() {
    let report = run("200 quiet tenants, 2 busy");
    assert!(report.wait("tenant", 1.0) < ms(15), "{:?}", report.wait("tenant", 1.0));
    assert!(report.slots("busy") >= 33.0, "of 40: {}", report.slots("busy"));
    assert!(report.jain() >= 0.99);
}

#[test]
fn more_busy_users_than_slots_take_turns() {
    let report = run("60 busy users, 20 slots");
    assert!(report.jain() >= 0.99);
    assert!(report.smallest_share() >= 0.95);
    assert!(report.wait("user", 1.0) < ms(500), "{:?}", report.wait("user", 1.0));
    assert!(report.of_shared() >= 0.9, "{} of one shared pool", report.of_shared());
}

#[test]
fn turns_follow_weights() {
    let report = run("30 users of weight 1, 10 of 4");
    assert!(report.jain() >= 0.98, "Jain {}", report.jain());
    assert!(report.smallest_share() >= 0.8, "least {}", report.smallest_share());
    assert!(report.of_shared() >= 0.9, "{} of one shared pool", report.of_shared());
}

#[test]
fn where_connections_can_be_rekeyed_none_is_closed_and_opened_for_fairness() {
    for name in ["8 equal users", "heavy, bursty 0.3 s of 1 s", "60 busy users, 20 slots"] {
        let report = run_by_rekey(name);
        assert!(report.rekeys > 0, "{name}");
        assert_eq!(report.opens, 0, "{name}");
        assert!(report.jain() >= 0.99, "{name}: Jain {}", report.jain());
        assert!(report.smallest_share() >= 0.97, "{name}: least {}", report.smallest_share());
    }
}

#[test]
fn a_rekey_saves_a_rare_guest_the_wait_for_a_connect() {
    for (name, guest) in [
        ("heavy, light 1 client thinks 2 s", "light"),
        ("heavy, light 2 clients think 20 ms", "light"),
        ("200 quiet tenants, 2 busy", "tenant"),
    ] {
        let (reconnect, rekey) = (run(name).wait(guest, 1.0), run_by_rekey(name).wait(guest, 1.0));
        assert!(rekey <= ms(2) && rekey * 4 < reconnect, "{name}: {rekey:?}, by reconnect {reconnect:?}");
    }
}

#[test]
fn turns_by_rekey_are_shorter_and_cost_less() {
    let (reconnect, rekey) = (run("60 busy users, 20 slots"), run_by_rekey("60 busy users, 20 slots"));
    assert!(rekey.of_shared() >= reconnect.of_shared() + 0.02, "{}", rekey.of_shared());
    let (slow, fast) = (reconnect.wait("user", 0.99), rekey.wait("user", 0.99));
    assert!(fast < slow * 2 / 3, "{fast:?}, by reconnect {slow:?}");
}

#[test]
fn turns_by_rekey_follow_weights() {
    let report = run_by_rekey("30 users of weight 1, 10 of 4");
    assert!(report.jain() >= 0.98, "Jain {}", report.jain());
    assert!(report.smallest_share() >= 0.8, "least {}", report.smallest_share());
}

#[test]
fn a_server_that_refuses_is_used_up_to_what_it_accepts() {
    let report = run("server refuses beyond 15 of 20");
    assert!(report.jain() >= 0.99);
    assert!(report.slots("user") >= 14.9, "of 15: {}", report.slots("user"));
    assert!(report.opens_per_second() <= 3.0, "probes are rare: {}", report.opens_per_second());
}

#[test]
fn requests_given_up_leave_no_trace() {
    let report = run("30 % of requests given up");
    assert!(report.routes.iter().all(|route| route.cancelled > 1_000));
    assert!(report.jain() >= 0.99);
    assert!(report.wasted_share() <= 0.001, "{}", report.wasted_share());
}

#[test]
fn a_budget_may_change_under_load() {
    let report = run("budget 20, 8, 24 under load");
    assert!(report.jain() >= 0.99);
    assert!(report.wasted_share() <= 0.001, "{}", report.wasted_share());
    assert_eq!(report.held, 24);
}

/// HikariCP's spike test: it ends with 5 or 6 connections there, with 40 and more in pools that connect per request.
#[test]
fn a_spike_is_served_by_what_comes_first_a_connect_or_a_release() {
    let report = sim::run(&sim::spike());
    assert_eq!(report.served(), 50);
    assert!(report.wait("spike", 1.0) <= ms(18), "the last of ten rounds on five connections");
    assert_eq!(report.held, 6);
    assert!(report.faults.is_clean());
}
