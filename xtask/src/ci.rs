//! All tests, and everything else that must hold before a change is merged.

use std::time::Instant;

use anyhow::Result;

use crate::shell::{cargo, has, root, step};
use crate::{demo, setup, tidy};

/// Runs every test of the workspace.
pub(crate) fn test() -> Result<()> {
    let start = Instant::now();
    setup::run()?;
    // Integration tests run the program itself, which a test build alone would not bring up to date.
    step("build", &mut cargo(&["build", "--workspace", "--all-features"]))?;
    step("tests", &mut cargo(&["nextest", "run", "--workspace", "--all-features"]))?;
    step("documentation examples", &mut cargo(&["test", "--workspace", "--all-features", "--doc", "--quiet"]))?;
    println!("test: all passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs format, lints, `tidy`, tests and the demo, in the order in which they are quick to fail.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    let relay = root().join("bench/relay/Cargo.toml").display().to_string();
    let relay_target = root().join("target/bench").display().to_string();
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    let pools = root().join("bench/pools/Cargo.toml").display().to_string();
    step("format of the pools", &mut cargo(&["fmt", "--check", "--manifest-path", &pools]))?;
    step("format of the relay", &mut cargo(&["fmt", "--check", "--manifest-path", &relay]))?;
    tidy::run()?;
    step("lints", &mut cargo(&["clippy", "--workspace", "--all-features", "--all-targets", "--", "-D", "warnings"]))?;
    step(
        "lints of the relay",
        &mut cargo(&["clippy", "--manifest-path", &relay, "--target-dir", &relay_target, "--", "-D", "warnings"]),
    )?;
    if has("cargo-deny") {
        step("licences and advisories", &mut cargo(&["deny", "check", "bans", "licenses", "sources"]))?;
    } else {
        println!("==> licences and advisories: SKIPPED, cargo-deny is not installed");
    }
    test()?;
    demo::run(demo::Length::Once)?;
    println!("ci: all passed in {:.1} min", start.elapsed().as_secs_f64() / 60.0);
    Ok(())
}
