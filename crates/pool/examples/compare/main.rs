//! This pool beside deadpool and bb8, in one run, on connections that cost nothing.
//!
//! `cargo run --release -p evenkeel-pool --example compare`
//!
//! What is measured is the pools alone: each lends `()`-like connections, with no test on checkout. Times on a shared
//! machine wander; ratios within one run mean more than figures.

mod contender;
mod scenario;

use contender::{Bb8, Contender, Deadpool, Evenkeel};
use scenario::{contended, fairness, spike, storm, uncontended};

fn main() {
    // Ours alone, for a profiler.
    if let Some(scenario) = std::env::args().nth(1) {
        match scenario.as_str() {
            "uncontended" => println!("{:.0} ns", uncontended::<Evenkeel>()),
            "contended" => println!("{}", contended::<Evenkeel>()),
            _ => eprintln!("uncontended or contended?"),
        }
        return;
    }
    println!("uncontended: one task, checkout and return, best of 7");
    let rows = [
        ("evenkeel", uncontended::<Evenkeel>()),
        ("deadpool", uncontended::<Deadpool>()),
        ("bb8", uncontended::<Bb8>()),
    ];
    for (name, ns) in rows {
        println!("  {name:10} {ns:8.0} ns   x {:.2}", ns / rows[0].1);
    }

    println!("\ncontended: 64 tasks, 8 connections, 2 threads, each lease held over one yield");
    table::<Evenkeel>(contended::<Evenkeel>);
    table::<Deadpool>(contended::<Deadpool>);
    table::<Bb8>(contended::<Bb8>);

    println!("\nfairness: 64 tasks x 500 leases, 8 connections, 1 thread: later requests served first");
    table::<Evenkeel>(fairness::<Evenkeel>);
    table::<Deadpool>(fairness::<Deadpool>);
    table::<Bb8>(fairness::<Bb8>);

    println!("\ncancellation storm: 64 tasks x 3,000 checkouts dropped after 0 to 3 polls, 8 connections, 2 threads");
    table::<Evenkeel>(storm::<Evenkeel>);
    table::<Deadpool>(storm::<Deadpool>);
    table::<Bb8>(storm::<Bb8>);

    println!(
        "\nspike: 50 requests at once, 5 idle connections of at most 50, connect 150 ms, query 2 ms (ideal 20 ms)"
    );
    table::<Evenkeel>(spike::<Evenkeel>);
    table::<Deadpool>(spike::<Deadpool>);
    table::<Bb8>(spike::<Bb8>);
}

fn table<P: Contender>(scenario: fn() -> String) {
    println!("  {:10} {}", P::NAME, scenario());
}
