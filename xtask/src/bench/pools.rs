//! The embeddable pool beside those that applications use today, on a real PostgreSQL.

use anyhow::Result;
use testkit::{Options, Postgres};

use super::Arguments;
use crate::shell::{cargo, root, step};

/// Builds and runs `bench/pools`, which is no part of the workspace: sqlx would be a dependency of ours otherwise.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let manifest = root().join("bench/pools/Cargo.toml");
    let target = root().join("target/bench");
    let mut build = cargo(&["build", "--release"]);
    build.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&target);
    step("build the pools (release)", &mut build)?;
    let pg = Postgres::start(Options::new())?;
    let mut bench = std::process::Command::new(target.join("release/pools"));
    bench.arg(pg.superuser_url("postgres")).arg(arguments.seconds.max(1).to_string()).arg(arguments.repeat.to_string());
    step("pools on PostgreSQL", &mut bench)
}
