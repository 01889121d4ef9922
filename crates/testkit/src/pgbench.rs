//! pgbench, and what it measured.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Ending, run};
use crate::{Install, Process};

/// One run of pgbench. The default: one client, select-only, simple protocol, 3 s.
#[derive(Clone, Debug)]
pub struct Pgbench {
    install: Install,
    port: u16,
    user: String,
    password: String,
    database: String,
    clients: u32,
    script: Script,
    mode: Mode,
    duration: Duration,
    rate: Option<f64>,
    connect_each: bool,
    sampling: f64,
}

/// What every transaction does.
#[derive(Clone, Debug)]
pub enum Script {
    /// `-S`: one select by primary key.
    SelectOnly,
    /// The built-in TPC-B-like transaction, seven round trips.
    TpcB,
    /// SQL of one's own.
    Sql(String),
}

/// How queries are sent (`-M`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Simple protocol.
    Simple,
    /// Extended protocol, parsed anew each time.
    Extended,
    /// Extended protocol with named prepared statements.
    Prepared,
}

impl Mode {
    /// The word pgbench knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::Prepared => "prepared",
        }
    }
}

/// What a run measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Transactions completed.
    pub transactions: u64,
    /// Transactions that failed, plus clients that gave up.
    pub errors: u64,
    /// Transactions per second, without the time to connect.
    pub tps: f64,
    /// Times from the first statement to the last answer, sorted; a sample when the run asked for one.
    pub latencies: Latencies,
    /// All that pgbench printed.
    pub report: String,
}

/// Sorted times.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Takes times in any order.
    #[must_use]
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time that a share `q` (0 to 1) of all did not exceed; zero when there are none.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn quantile(&self, q: f64) -> Duration {
        let rank = (q * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1).min(self.0.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// The longest time; zero when there are none.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Pgbench {
    /// A run against 127.0.0.1:`port` as `user` without a password.
    #[must_use]
    pub fn new(install: &Install, port: u16, user: &str, database: &str) -> Self {
        Self {
            install: install.clone(),
            port,
            user: user.to_owned(),
            password: String::new(),
            database: database.to_owned(),
            clients: 1,
            script: Script::SelectOnly,
            mode: Mode::Simple,
            duration: Duration::from_secs(3),
            rate: None,
            connect_each: false,
            sampling: 1.0,
        }
    }

    /// Another user.
    #[must_use]
    pub fn user(mut self, name: &str) -> Self {
        name.clone_into(&mut self.user);
        self
    }

    /// The password to log in with.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    /// Clients at a time (`-c`), all driven by one thread.
    #[must_use]
    pub fn clients(mut self, count: u32) -> Self {
        self.clients = count;
        self
    }

    /// How many clients there will be.
    #[must_use]
    pub fn client_count(&self) -> u32 {
        self.clients
    }

    /// What to run.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// How to send it.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How long, in whole seconds; logging in is part of it.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// Transactions per second to aim at, all clients together (`-R`); latencies then count from the scheduled start.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// A new connection for every transaction (`-C`).
    #[must_use]
    pub fn connect_each(mut self) -> Self {
        self.connect_each = true;
        self
    }

    /// The share of transactions whose latency is kept; less disturbs a fast run less.
    #[must_use]
    pub fn sampling(mut self, share: f64) -> Self {
        self.sampling = share;
        self
    }

    /// Fills the tables that [`Script::SelectOnly`] and [`Script::TpcB`] use, 100,000 accounts per unit of `scale`.
    ///
    /// # Errors
    /// When the user may not create them.
    pub fn initialise(&self, scale: u32) -> Result<()> {
        let mut command = self.install.command("pgbench");
        command.env("PGPASSWORD", &self.password).args(self.target()).args(["-i", "-q", "-s", &scale.to_string()]);
        run(command.arg(&self.database)).map(drop)
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// When pgbench fails altogether; single failures are counted in the [`Outcome`].
    pub fn run(&self) -> Result<Outcome> {
        self.start()?.finish()
    }

    /// Starts, to be finished later.
    ///
    /// # Errors
    /// When pgbench cannot be started.
    pub fn start(&self) -> Result<Running> {
        let folder = self.install.folder("pgbench")?;
        let mut command = self.install.command("pgbench");
        command.env("PGPASSWORD", &self.password).args(self.target());
        command.args(["-n", "-M", self.mode.name(), "-j", "1", "-c", &self.clients.to_string()]);
        command.args(["-T", &self.duration.as_secs().max(1).to_string(), "-l"]);
        command.arg(format!("--log-prefix={}", folder.path().join(LATENCY_LOG).display()));
        if self.sampling < 1.0 {
            command.arg(format!("--sampling-rate={}", self.sampling));
        }
        match &self.script {
            Script::SelectOnly => command.arg("-S"),
            Script::TpcB => &mut command,
            Script::Sql(sql) => {
                let file = folder.path().join("script.sql");
                fs::write(&file, sql)?;
                self.install.give(&file)?;
                command.arg("-f").arg(file)
            }
        };
        if let Some(rate) = self.rate {
            command.arg(format!("--rate={rate}"));
        }
        if self.connect_each {
            command.arg("-C");
        }
        command.arg(&self.database);
        let log = folder.path().join("output");
        let process = Process::start("pgbench", &command, &log, Ending::Kill, Some(folder.path()))?;
        Ok(Running { process, limit: self.duration + GRACE, folder })
    }

    fn target(&self) -> [String; 6] {
        ["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", &self.user].map(str::to_owned)
    }
}

/// A pgbench under way.
#[derive(Debug)]
pub struct Running {
    process: Process,
    limit: Duration,
    folder: TempDir,
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
    /// When pgbench does not end in time, or reports no figures; the message carries its output.
    pub fn finish(mut self) -> Result<Outcome> {
        self.process.wait(self.limit)?;
        let output = fs::read_to_string(self.process.log())?;
        let mut outcome = parse(&output).with_context(|| format!("pgbench said:\n{output}"))?;
        outcome.latencies = latencies(self.folder.path())?;
        Ok(outcome)
    }
}

fn parse(output: &str) -> Result<Outcome> {
    let after = |label: &str| {
        let rest = output.lines().find_map(|line| line.strip_prefix(label)).with_context(|| format!("no {label:?}"))?;
        let number = rest.trim().split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        number.parse::<f64>().with_context(|| format!("{label:?} {rest:?}"))
    };
    let transactions = after("number of transactions actually processed:")?;
    let failed = after("number of failed transactions:").unwrap_or(0.0);
    let aborted =
        output.lines().filter(|line| line.contains("aborted in command") || line.contains("aborted while")).count();
    ensure!(transactions >= 0.0 && failed >= 0.0, "negative counts");
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(Outcome {
        transactions: transactions as u64,
        errors: failed as u64 + aborted as u64,
        // pgbench leaves the rate out when every client gave up.
        tps: after("tps =").unwrap_or(0.0),
        latencies: Latencies::default(),
        report: output.to_owned(),
    })
}

/// Reads the per-transaction logs: client, transaction, microseconds, … (pgbench's manual, "Per-Transaction Logging").
fn latencies(folder: &Path) -> Result<Latencies> {
    let mut times = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LATENCY_LOG)) {
            let text = fs::read_to_string(&path)?;
            let micros = text.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok());
            times.extend(micros.map(Duration::from_micros));
        }
    }
    Ok(Latencies::new(times))
}

const LATENCY_LOG: &str = "latency";
/// What a run may take beyond its duration: logging in many clients, finishing the last transactions.
const GRACE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_report() {
        let report = "number of transactions actually processed: 1234\nnumber of failed transactions: 2 (0.162%)\n\
                      pgbench: error: client 3 aborted in command 0\ntps = 411.25 (without initial connection time)\n";
        let outcome = parse(report).unwrap();
        assert_eq!((outcome.transactions, outcome.errors), (1234, 3));
        assert!((outcome.tps - 411.25).abs() < 1e-9);
    }

    #[test]
    fn a_report_without_figures_is_an_error() {
        assert!(parse("pgbench: error: connection refused").is_err());
    }

    #[test]
    fn quantiles_are_the_smallest_time_that_covers_the_share() {
        let times = Latencies::new((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(times.quantile(0.5), Duration::from_millis(50));
        assert_eq!(times.quantile(0.99), Duration::from_millis(99));
        assert_eq!(times.quantile(1.0), times.max());
        assert_eq!(Latencies::default().quantile(0.5), Duration::ZERO);
    }
}
