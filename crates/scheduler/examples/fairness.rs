//! Fairness in figures: `cargo run -p evenkeel-scheduler --example fairness`.

#[path = "../sim/mod.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "shared with tests/fairness.rs")]
mod sim;

fn main() {
    println!(
        "{:36} {:>6} {:>6} {:>8} {:>8} {:>7} {:>7}",
        "situation", "Jain", "least", "opens/s", "rekeys/s", "wasted", "shared"
    );
    println!(
        "{:38} {:>10} {:>6} {:>9} {:>9} {:>9}",
        "  routes of one name together", "leases/s", "slots", "wait p50", "p99", "max"
    );
    for scenario in sim::all() {
        show(scenario.name, &sim::run(&scenario));
        show("  the same by re-key", &sim::run(&scenario.by_rekey()));
    }
    let spike = sim::run(&sim::spike());
    let last = spike.wait("spike", 1.0);
    println!(
        "HikariCP's spike: all 50 have had their turn begun within {last:.1?}; {} connections at the end",
        spike.held
    );
}

fn show(title: &str, report: &sim::Report) {
    println!(
        "{title:36} {:6.3} {:6.2} {:8.1} {:8.1} {:6.2}% {:6.1}%",
        report.jain(),
        report.smallest_share(),
        report.opens_per_second(),
        report.rekeys_per_second(),
        report.wasted_share() * 100.0,
        report.of_shared() * 100.0,
    );
    for name in report.names() {
        println!(
            "  {name:36} {:>10.1} {:>6.2} {:>9.2?} {:>9.2?} {:>9.2?}",
            report.rate(name),
            report.slots(name),
            report.wait(name, 0.5),
            report.wait(name, 0.99),
            report.wait(name, 1.0),
        );
    }
    if !report.faults.is_clean() {
        println!("  FAULTS {:?}", report.faults);
    }
}
