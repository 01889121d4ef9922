//! pgbench and sysbench as loads: started for each number of connections, their reports read.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use auth::Credential;
use config::Config;
use route::{Address, Protocol};

use super::Sample;
use crate::size::text::shown;

/// A tool that is started anew for each number of connections.
pub(super) struct External {
    protocol: Protocol,
    address: Address,
    user: String,
    password: Vec<u8>,
    database: String,
    /// Its own script: a file, or the name of one that it brings.
    script: PathBuf,
}

impl External {
    /// # Errors
    /// The URL asks for encryption, about which nothing is told to the tools.
    pub(super) fn new(config: &Config, script: &Path) -> Result<Self> {
        let table = config.table();
        let server = table.servers().first().context("the URL names no server")?;
        let mode = config.server_tls(route::ServerIndex(0)).map(|tls| tls.connector.mode());
        if mode.is_some_and(|mode| !mode.is_optional()) {
            bail!("--with: the tools are not told about encryption; the load that is built in knows it");
        }
        let user = table.users().first().context("the URL names no user")?.name.to_string();
        let Some(Credential::Plain(password)) = config.user_server_credential(&user) else {
            bail!("--with: the URL has no password");
        };
        let database = table.databases().first().context("the URL names no database")?.name.to_string();
        ensure!(database != "*", "--with: the URL names no database");
        Ok(Self {
            protocol: server.protocol,
            address: server.address.clone(),
            password: password.expose().to_vec(),
            user,
            database,
            script: script.to_owned(),
        })
    }

    /// Keeps so many connections busy for this long.
    ///
    /// # Errors
    /// The tool is not installed, or does not report what it should.
    pub(super) fn measure(&self, connections: u32, length: Duration) -> Result<Sample> {
        // Both take whole seconds.
        let seconds = length.as_secs_f64().round().max(1.0).to_string();
        match self.protocol {
            Protocol::Postgres => pgbench(&self.run(self.pgbench(connections, &seconds), "pgbench", b"")?),
            Protocol::Mysql => {
                let options = self.sysbench_password()?;
                sysbench(&self.run(self.sysbench(connections, &seconds), "sysbench", &options)?)
            }
        }
    }

    fn pgbench(&self, connections: u32, seconds: &str) -> Command {
        let mut command = Command::new("pgbench");
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u32).min(connections);
        command.args(["-n", "-c", &connections.to_string(), "-j", &threads.to_string(), "-T", seconds]);
        command.arg(if self.script.exists() { "-f" } else { "-b" }).arg(&self.script);
        match &self.address {
            Address::Tcp { host, port } => _ = command.args(["-h", host, "-p", &port.to_string()]),
            Address::Unix { path } => {
                // The directory, and the port that is the end of the socket's name: `.s.PGSQL.5432`.
                let port = path.extension().unwrap_or_default();
                command.arg("-h").arg(path.parent().unwrap_or_else(|| Path::new("/"))).arg("-p").arg(port);
            }
        }
        command.args(["-U", &self.user, &self.database]);
        command.env("PGPASSWORD", String::from_utf8_lossy(&self.password).as_ref());
        command
    }

    fn sysbench(&self, connections: u32, seconds: &str) -> Command {
        let mut command = Command::new("sysbench");
        command.args(["--config-file=/dev/stdin", &format!("--threads={connections}"), &format!("--time={seconds}")]);
        command.args([&format!("--mysql-user={}", self.user), &format!("--mysql-db={}", self.database)]);
        match &self.address {
            Address::Tcp { host, port } => {
                command.args([format!("--mysql-host={host}"), format!("--mysql-port={port}")]);
            }
            Address::Unix { path } => _ = command.arg(format!("--mysql-socket={}", path.display())),
        }
        command.arg(&self.script).arg("run");
        command
    }

    /// A line of its configuration, which is its only way to take a password that others on the machine do not see. It knows
    /// quotes there and no escapes.
    fn sysbench_password(&self) -> Result<Vec<u8>> {
        let without = |quote: &u8| !self.password.contains(quote);
        let quote = b"\"'".iter().find(|quote| without(quote)).filter(|_| without(&b'\n'));
        let quote =
            [*quote.context("--with sysbench: it takes no password with both kinds of quotes, or with line breaks")?];
        Ok([b"mysql-password=", &quote[..], &self.password, &quote, b"\n"].concat())
    }

    /// Runs it to the end; its report.
    fn run(&self, mut command: Command, name: &str, input: &[u8]) -> Result<String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().with_context(|| format!("--with: {name} cannot be started; is it installed?"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that reads nothing is not wrong for it.
            let _ = stdin.write_all(input);
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let said = said.lines().filter(|line| line.contains("error") || line.contains("FATAL"));
            let said = said.take(3).collect::<Vec<_>>().join("; ");
            bail!("{name} ended with {}: {}", output.status, shown(&said));
        }
        Ok(said)
    }
}

fn pgbench(report: &str) -> Result<Sample> {
    sample(report, "tps =", "latency average =", "number of failed transactions:")
        .context("pgbench's report is not understood")
}

fn sysbench(report: &str) -> Result<Sample> {
    // `transactions:   1234   (411.25 per sec.)`
    let rates = report.lines().find_map(|line| line.trim().strip_prefix("transactions:")).unwrap_or_default();
    let rate = rates.split_once('(').and_then(|(_, rate)| rate.split_whitespace().next()).unwrap_or_default();
    sample(&format!("rate: {rate}\n{report}"), "rate:", "avg:", "ignored errors:")
        .context("sysbench's report is not understood")
}

/// Throughput, mean latency in milliseconds, and refused transactions, each behind its label.
fn sample(report: &str, throughput: &str, latency: &str, failed: &str) -> Result<Sample> {
    let after = |label: &str| -> Option<f64> {
        let rest = report.lines().find_map(|line| line.trim().strip_prefix(label))?;
        rest.split_whitespace().next()?.parse().ok().filter(|number: &f64| (0.0..1e12).contains(number))
    };
    let latency = after(latency).context("there is no latency in it")?;
    Ok(Sample {
        throughput: after(throughput).context("there is no throughput in it")?,
        latency: Duration::from_secs_f64(latency / 1e3),
        p99: None,
        failed: after(failed).unwrap_or(0.0) as u64,
        processor: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let report = "number of transactions actually processed: 1234\nnumber of failed transactions: 2 (0.162%)\n\
                      latency average = 2.432 ms\ninitial connection time = 3.1 ms\n\
                      tps = 411.250000 (without initial connection time)\n";
        let sample = pgbench(report).unwrap();
        assert_eq!((sample.throughput, sample.latency, sample.failed), (411.25, Duration::from_micros(2_432), 2));
        let report = "SQL statistics:\n    transactions:                        1234   (411.25 per sec.)\n\
                      queries: 1234 (411.25 per sec.)\n    ignored errors:                      3      (0.00 per sec.)\n\
                      Latency (ms):\n         min: 0.1\n         avg:                                    2.43\n";
        let sample = sysbench(report).unwrap();
        assert_eq!((sample.throughput, sample.latency, sample.failed), (411.25, Duration::from_micros(2_430), 3));
    }

    #[test]
    fn passwords_for_sysbench_are_quoted() {
        let line = |password: &[u8]| {
            let tool = External {
                protocol: Protocol::Mysql,
                address: Address::Unix { path: "/run/mysqld/mysqld.sock".into() },
                user: "app".into(),
                password: password.to_vec(),
                database: "shop".into(),
                script: "oltp_read_only".into(),
            };
            tool.sysbench_password().map(|line| String::from_utf8(line).unwrap())
        };
        assert_eq!(line(b"open sesame").unwrap(), "mysql-password=\"open sesame\"\n");
        assert_eq!(line(b"a\"b").unwrap(), "mysql-password='a\"b'\n");
        for password in [&b"a\"b'c"[..], b"a\nmysql-host=b"] {
            let told = line(password).unwrap_err().to_string();
            assert!(!told.contains("a\""), "{told}");
        }
    }

    #[test]
    fn reports_without_figures_are_told() {
        for report in ["", "tps = x\nlatency average = 1 ms\n", "tps = 5\n", "tps = 5\nlatency average = -1\n"] {
            assert!(pgbench(report).is_err(), "{report:?}");
        }
        assert!(sysbench("transactions: 5\navg: 1\n").is_err());
    }
}
