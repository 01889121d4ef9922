//! sysbench, and what it measured.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::Process;
use crate::install::{HINT, clean};
use crate::process::{Ending, run};

/// One run of sysbench against a MySQL server or a pooler. The default: one client, point selects, prepared statements,
/// 3 s, one table of 10,000 rows.
#[derive(Clone, Debug)]
pub struct Sysbench {
    port: u16,
    user: String,
    password: String,
    database: String,
    script: Script,
    clients: u32,
    rows: u32,
    duration: Duration,
    rate: Option<u32>,
    prepared: bool,
    transactions: bool,
}

/// What every event does; the scripts that sysbench brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// One select by primary key.
    PointSelect,
    /// Ten selects by key and four over ranges, in a transaction.
    ReadOnly,
    /// As [`Script::ReadOnly`], with updates, a delete and an insert.
    ReadWrite,
}

impl Script {
    /// The name sysbench knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PointSelect => "oltp_point_select",
            Self::ReadOnly => "oltp_read_only",
            Self::ReadWrite => "oltp_read_write",
        }
    }
}

/// What a run measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Events completed: transactions, or single statements where there are none.
    pub transactions: u64,
    /// Events per second.
    pub tps: f64,
    /// Statements per second.
    pub qps: f64,
    /// The time that 95 of 100 events did not exceed.
    pub p95: Duration,
    /// The longest event.
    pub max: Duration,
    /// Errors that sysbench takes as part of the work, such as deadlocks; any other ends the run.
    pub ignored_errors: u64,
    /// All that sysbench printed.
    pub report: String,
}

impl Sysbench {
    /// A run against 127.0.0.1:`port`.
    #[must_use]
    pub fn new(port: u16, user: &str, password: &str, database: &str) -> Self {
        Self {
            port,
            user: user.to_owned(),
            password: password.to_owned(),
            database: database.to_owned(),
            script: Script::PointSelect,
            clients: 1,
            rows: 10_000,
            duration: Duration::from_secs(3),
            rate: None,
            prepared: true,
            transactions: true,
        }
    }

    /// Another port, with everything else the same: a pooler in front of the server that was prepared.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What to run.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Clients at a time, each a thread (`--threads`).
    #[must_use]
    pub fn clients(mut self, count: u32) -> Self {
        self.clients = count;
        self
    }

    /// Rows of the table (`--table-size`); the same for preparing and running.
    #[must_use]
    pub fn rows(mut self, count: u32) -> Self {
        self.rows = count;
        self
    }

    /// How long, in whole seconds; logging in is not part of it.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// Events per second to aim at, all clients together (`--rate`).
    #[must_use]
    pub fn rate(mut self, per_second: u32) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Sends statements as text (`--db-ps-mode=disable`).
    #[must_use]
    pub fn unprepared(mut self) -> Self {
        self.prepared = false;
        self
    }

    /// Lets every statement be a transaction of its own (`--skip_trx`).
    #[must_use]
    pub fn without_transactions(mut self) -> Self {
        self.transactions = false;
        self
    }

    /// Creates and fills the table.
    ///
    /// # Errors
    /// When sysbench is not installed, or the user may not create it, or it is there.
    pub fn prepare(&self) -> Result<()> {
        self.phase("prepare")
    }

    /// Drops the table.
    ///
    /// # Errors
    /// When the user may not.
    pub fn cleanup(&self) -> Result<()> {
        self.phase("cleanup")
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// As [`Sysbench::start`] and [`Running::finish`].
    pub fn run(&self) -> Result<Outcome> {
        self.start()?.finish()
    }

    /// Starts, to be finished later.
    ///
    /// # Errors
    /// When sysbench is not installed.
    pub fn start(&self) -> Result<Running> {
        let folder = tempfile::Builder::new().prefix("evenkeel-sysbench-").tempdir()?;
        let mut command = clean("sysbench");
        command.args(self.arguments()).arg("run");
        let log = folder.path().join("output");
        let process = Process::start("sysbench", &command, &log, Ending::Kill, Some(folder.path())).context(HINT)?;
        Ok(Running { process, limit: self.duration + GRACE, _folder: folder })
    }

    fn phase(&self, phase: &str) -> Result<()> {
        let output = run(clean("sysbench").args(self.arguments()).arg(phase)).context(HINT)?;
        // Its exit status is 0 even when a statement failed.
        ensure!(!output.contains("FATAL"), "sysbench said:\n{output}");
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.script.name().to_owned()];
        let options = [
            ("db-driver", "mysql".to_owned()),
            ("mysql-host", "127.0.0.1".to_owned()),
            ("mysql-port", self.port.to_string()),
            ("mysql-user", self.user.clone()),
            ("mysql-password", self.password.clone()),
            ("mysql-db", self.database.clone()),
            ("table-size", self.rows.to_string()),
            ("threads", self.clients.to_string()),
            ("time", self.duration.as_secs().max(1).to_string()),
            ("db-ps-mode", if self.prepared { "auto" } else { "disable" }.to_owned()),
            ("skip_trx", if self.transactions { "off" } else { "on" }.to_owned()),
        ];
        arguments.extend(options.iter().map(|(name, value)| format!("--{name}={value}")));
        arguments.extend(self.rate.map(|rate| format!("--rate={rate}")));
        arguments
    }
}

/// A sysbench under way.
#[derive(Debug)]
pub struct Running {
    process: Process,
    limit: Duration,
    _folder: TempDir,
}

impl Running {
    /// The process, to prefer it or to read its CPU time.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it is still under way.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn is_running(&mut self) -> Result<bool> {
        self.process.is_running()
    }

    /// Waits for the end and reads the figures.
    ///
    /// # Errors
    /// When sysbench does not end in time, gave up because of an error, or reports no figures; the message carries its
    /// output.
    pub fn finish(mut self) -> Result<Outcome> {
        let status = self.process.wait(self.limit)?;
        let output = fs::read_to_string(self.process.log())?;
        ensure!(status.success(), "sysbench ended with {status}:\n{output}");
        parse(&output).with_context(|| format!("sysbench said:\n{output}"))
    }
}

fn parse(output: &str) -> Result<Outcome> {
    // Lines such as `transactions:   1234   (411.25 per sec.)` and `max:   9.50`, in milliseconds.
    let numbers = |label: &str| {
        let rest = output.lines().find_map(|line| line.trim().strip_prefix(label)?.strip_prefix(':'));
        let rest = rest.with_context(|| format!("no {label:?}"))?;
        let numbers: Vec<f64> = rest.split(['(', ' ']).filter_map(|word| word.parse().ok()).collect();
        numbers.first().copied().zip(numbers.last().copied()).with_context(|| format!("{label:?} {rest:?}"))
    };
    let (transactions, tps) = numbers("transactions")?;
    let milliseconds = |label: &str| anyhow::Ok(Duration::try_from_secs_f64(numbers(label)?.0 / 1000.0)?);
    let ignored_errors = numbers("ignored errors")?.0;
    ensure!(transactions >= 0.0 && ignored_errors >= 0.0, "negative counts");
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(Outcome {
        transactions: transactions as u64,
        tps,
        qps: numbers("queries")?.1,
        p95: milliseconds("95th percentile")?,
        max: milliseconds("max")?,
        ignored_errors: ignored_errors as u64,
        report: output.to_owned(),
    })
}

/// What a run may take beyond its duration: logging in many clients, finishing the last events.
const GRACE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_report() {
        let report = "SQL statistics:\n    queries performed:\n        read:  24\n    transactions:      1234   (411.25 per sec.)\n\
                      \x20   queries:     24680  (8225.00 per sec.)\n    ignored errors:   2      (0.10 per sec.)\n\
                      Latency (ms):\n         max:       9.50\n         95th percentile:   2.25\n";
        let outcome = parse(report).unwrap();
        assert_eq!((outcome.transactions, outcome.ignored_errors), (1234, 2));
        assert!((outcome.tps - 411.25).abs() < 1e-9 && (outcome.qps - 8225.0).abs() < 1e-9);
        assert_eq!((outcome.p95, outcome.max), (Duration::from_micros(2250), Duration::from_micros(9500)));
    }

    #[test]
    fn a_report_without_figures_is_an_error() {
        assert!(parse("FATAL: unable to connect to MySQL server").is_err());
    }
}
