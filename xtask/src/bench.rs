//! Benchmarks: what Evenkeel costs and what it guarantees, beside PgBouncer or MySQL Router in the same run.

mod contender;
mod fairness;
mod forwarder;
mod mysql;
mod pg;
mod pools;
mod router;
mod runtime;
mod sizing;
mod usage;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
pub(crate) use contender::build_evenkeel;
use testkit::mysql::Kind;

use crate::setup;
use crate::shell::{cargo, step};

/// Which benchmark, how long, and where the result goes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure.
    #[arg(value_enum)]
    what: What,
    /// Seconds per run.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Runs per figure, interleaved with those of the other contenders.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Also write the page under docs/benchmarks.
    #[arg(long)]
    write: bool,
    /// Clients at a time, such as 8,64 (mysql only).
    #[arg(long, value_delimiter = ',')]
    clients: Vec<u32>,
    /// In front of this server only (mysql, mysql-fairness and sizing).
    #[arg(long, value_enum)]
    server: Option<MySqlServer>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MySqlServer {
    Mysql,
    Mariadb,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Ways of using tokio, with a bare relay (docs/decisions/0001-runtime.md).
    Runtime,
    /// A light user beside a heavy one, and eight equal ones, on a budget of 20 connections.
    Fairness,
    /// The same for clients of MySQL and MariaDB, and how slots move between users.
    MysqlFairness,
    /// pgbench through the pooler: CPU, throughput, latency, memory, logins.
    Pg,
    /// sysbench through the pooler, MySQL Router, a plain TCP proxy (HAProxy) and directly: CPU, throughput, latency, memory.
    Mysql,
    /// What `evenkeel size` advises, beside the throughput and the waits of other sizes.
    Sizing,
    /// Cost of a scheduling decision with 10 to 100,000 routes, and the simulated scenarios.
    Scheduler,
    /// The embeddable pool beside other pools, on connections that cost nothing and on a real PostgreSQL.
    Pool,
    /// All of them.
    All,
}

/// Runs what was asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    testkit::process::raise_file_limit();
    let asked = |what| arguments.what == what || arguments.what == What::All;
    if asked(What::Scheduler) {
        example("evenkeel-scheduler", "cost")?;
        example("evenkeel-scheduler", "fairness")?;
    }
    if asked(What::Pool) {
        example("evenkeel-pool", "compare")?;
    }
    if asked(What::Runtime) || asked(What::Fairness) || asked(What::Pg) || asked(What::Sizing) || asked(What::Pool) {
        setup::servers()?;
    }
    if asked(What::MysqlFairness) || asked(What::Mysql) || asked(What::Sizing) {
        setup::mysql_servers()?;
    }
    if asked(What::Pool) {
        pools::run(arguments)?;
    }
    if asked(What::Runtime) {
        runtime::run(arguments)?;
    }
    if asked(What::Fairness) {
        fairness::run(arguments)?;
    }
    if asked(What::MysqlFairness) {
        fairness::run_mysql(arguments)?;
    }
    if asked(What::Pg) {
        pg::run(arguments)?;
    }
    if asked(What::Mysql) {
        mysql::run(arguments)?;
    }
    if asked(What::Sizing) {
        sizing::run(arguments)?;
    }
    Ok(())
}

impl Arguments {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.max(1))
    }

    /// The client counts asked for, or these.
    fn clients_or(&self, usual: &[u32]) -> Vec<u32> {
        if self.clients.is_empty() { usual.to_vec() } else { self.clients.clone() }
    }

    /// Whether to measure in front of this kind of server.
    fn covers(&self, kind: Kind) -> bool {
        self.server.is_none_or(|only| (only == MySqlServer::Mysql) == (kind == Kind::MySql))
    }
}

fn example(package: &str, name: &str) -> Result<()> {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", package, "--example", name]);
    step(&format!("{package}: {name}"), &mut command)
}
