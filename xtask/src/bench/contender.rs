//! Who takes part in a benchmark, and what one measured run of pgbench against it yields.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::pgbench::Outcome;
use testkit::process::Ending;
use testkit::{Evenkeel, PgBouncer, Pgbench, Port, Process, Wire};

use super::usage;
use crate::load::Protocol;
use crate::report::{median, minimum};
use crate::shell::{cargo, root, step};

/// A running pooler under test.
pub(crate) struct Contender {
    /// The name in tables.
    pub(crate) name: String,
    /// Where clients connect.
    pub(crate) port: u16,
    /// What they speak.
    pub(crate) protocol: Protocol,
    pooler: Pooler,
}

enum Pooler {
    Evenkeel(Evenkeel),
    PgBouncer(PgBouncer),
    Relay(Relay),
}

/// The bare relay; the port and the log's folder live as long as the process.
struct Relay {
    process: Process,
    _port: Port,
    _folder: tempfile::TempDir,
}

impl Contender {
    /// Evenkeel, already running, for clients that speak PostgreSQL.
    pub(crate) fn evenkeel(pooler: Evenkeel) -> Self {
        Self::new("evenkeel", pooler.ports().postgres(), Protocol::Postgres, Pooler::Evenkeel(pooler))
    }

    /// Evenkeel, already running, for clients that speak MySQL.
    pub(crate) fn evenkeel_mysql(pooler: Evenkeel) -> Self {
        Self::new("evenkeel", pooler.mysql_port(), Protocol::MySql, Pooler::Evenkeel(pooler))
    }

    /// PgBouncer, already running.
    pub(crate) fn pgbouncer(pooler: PgBouncer) -> Self {
        Self::new("pgbouncer", pooler.port(), Protocol::Postgres, Pooler::PgBouncer(pooler))
    }

    /// The bare relay in one of its shapes, in front of `server`.
    pub(crate) fn relay(binary: &Path, shape: &str, threads: usize, server: &str) -> Result<Self> {
        let port = Port::reserve()?;
        let address = format!("127.0.0.1:{}", port.number());
        let mut command = Command::new(binary);
        command.args([shape, &threads.to_string(), &address, server]);
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let mut process = Process::start("relay", &command, &log, Ending::Kill, Some(folder.path()))?;
        process.wait_ready(Duration::from_secs(10), || Wire::connect(&address).is_ok())?;
        let number = port.number();
        let relay = Relay { process, _port: port, _folder: folder };
        Ok(Self::new(&format!("{shape} x{threads}"), number, Protocol::Postgres, Pooler::Relay(relay)))
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        match &self.pooler {
            Pooler::Evenkeel(evenkeel) => evenkeel.process(),
            Pooler::PgBouncer(pgbouncer) => pgbouncer.process(),
            Pooler::Relay(relay) => &relay.process,
        }
    }

    /// Evenkeel, if it is the one.
    pub(crate) fn as_evenkeel(&self) -> Option<&Evenkeel> {
        match &self.pooler {
            Pooler::Evenkeel(evenkeel) => Some(evenkeel),
            Pooler::PgBouncer(_) | Pooler::Relay(_) => None,
        }
    }

    fn new(name: &str, port: u16, protocol: Protocol, pooler: Pooler) -> Self {
        let contender = Self { name: name.to_owned(), port, protocol, pooler };
        contender.process().prefer();
        contender
    }
}

/// One run of pgbench against one contender.
pub(crate) struct Run {
    /// What pgbench reports.
    pub(crate) outcome: Outcome,
    /// CPU of the pooler, in microseconds per transaction.
    pub(crate) cpu_us: f64,
    /// Context switches of the pooler per transaction.
    pub(crate) switches: f64,
}

/// Runs pgbench against `contender`, and accounts the pooler's CPU.
pub(crate) fn measure(contender: &Contender, bench: &Pgbench, duration: Duration) -> Result<Run> {
    // pgbench counts the time it takes to log its clients in as part of the run.
    let mut running = bench.clone().duration(duration + LOGIN_ALLOWANCE * bench.client_count()).start()?;
    running.process().prefer();
    let process = contender.process();
    let read = || Ok((process.cpu_time()?, process.context_switches()?));
    let window = usage::watch(duration, || running.is_running(), read)?;
    let outcome = running.finish()?;
    ensure!(outcome.transactions > 0, "no transaction completed:\n{}", outcome.report);
    let transactions = outcome.tps * window.length.as_secs_f64();
    let (first, last) = (window.first, window.last);
    #[allow(clippy::cast_precision_loss)]
    let switches = (last.1 - first.1) as f64 / transactions;
    Ok(Run { cpu_us: (last.0 - first.0).as_secs_f64() * 1e6 / transactions, switches, outcome })
}

/// Repeated runs of one cell.
pub(crate) struct Cell<R = Run>(pub(crate) Vec<R>);

impl<R> Default for Cell<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R> Cell<R> {
    /// Median over the runs of a figure.
    pub(crate) fn median(&self, figure: impl Fn(&R) -> f64) -> f64 {
        median(&self.figures(figure))
    }

    /// Least over the runs of a figure: what remains when the machine's other work is in the way the least.
    pub(crate) fn minimum(&self, figure: impl Fn(&R) -> f64) -> f64 {
        minimum(&self.figures(figure))
    }

    fn figures(&self, figure: impl Fn(&R) -> f64) -> Vec<f64> {
        self.0.iter().map(figure).collect()
    }
}

impl Cell {
    /// Microseconds that a share `q` of the transactions did not exceed; median over the runs.
    pub(crate) fn latency_us(&self, q: f64) -> f64 {
        self.median(|run| run.outcome.latencies.quantile(q).as_secs_f64() * 1e6)
    }

    /// Failed transactions over all runs.
    pub(crate) fn errors(&self) -> u64 {
        self.0.iter().map(|run| run.outcome.errors).sum()
    }
}

/// In which order `count` contenders run in a round: every second round backwards, so that nobody is always the one after
/// the heaviest.
pub(crate) fn order(count: usize, round: usize) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..count).collect() } else { (0..count).rev().collect() }
}

/// Builds Evenkeel as released and returns the program.
///
/// `EVENKEEL_BINARY` names another program to use instead, such as that of an older commit.
pub(crate) fn build_evenkeel() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("EVENKEEL_BINARY") {
        return Ok(path.into());
    }
    step("build evenkeel (release)", &mut cargo(&["build", "--release", "--package", "evenkeel"]))?;
    Ok(testkit::evenkeel::binary("release"))
}

/// Builds the bare relay and returns the program.
pub(crate) fn build_relay() -> Result<PathBuf> {
    let manifest = root().join("bench/relay/Cargo.toml");
    let target = root().join("target/bench");
    let mut command = cargo(&["build", "--release"]);
    command.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&target);
    step("build the bare relay (release)", &mut command)?;
    Ok(target.join("release/relay"))
}

/// A SCRAM login as libpq and a pooler do it, on a busy machine.
const LOGIN_ALLOWANCE: Duration = Duration::from_millis(12);
