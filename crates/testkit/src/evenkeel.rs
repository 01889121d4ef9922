//! The pooler itself, as built by cargo, run from outside like any user would.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Ending;
use crate::{MyWire, Port, Process, Wire};

/// A running Evenkeel, with its configuration in a temporary folder and free ports of 127.0.0.1.
#[derive(Debug)]
pub struct Evenkeel {
    process: Process,
    ports: Ports,
    folder: TempDir,
}

/// Which protocols clients may speak to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// PostgreSQL's.
    Postgres,
    /// MySQL's.
    MySql,
    /// Both, on two ports.
    Both,
}

/// The ports reserved for one Evenkeel, to be written into its configuration.
#[derive(Debug)]
pub struct Ports {
    speaks: Speaks,
    postgres: Port,
    mysql: Port,
    http: Port,
}

impl Ports {
    /// For clients that speak PostgreSQL (`[listen] postgres`).
    #[must_use]
    pub fn postgres(&self) -> u16 {
        self.postgres.number()
    }

    /// For clients that speak MySQL (`[listen] mysql`).
    #[must_use]
    pub fn mysql(&self) -> u16 {
        self.mysql.number()
    }

    /// For metrics and health (`[listen] http`).
    #[must_use]
    pub fn http(&self) -> u16 {
        self.http.number()
    }

    /// The `[listen]` section that uses them.
    #[must_use]
    pub fn listen_section(&self) -> String {
        let mut section = format!("[listen]\nhttp = \"127.0.0.1:{}\"\n", self.http());
        if self.speaks != Speaks::MySql {
            section.push_str(&format!("postgres = [\"127.0.0.1:{}\"]\n", self.postgres()));
        }
        if self.speaks != Speaks::Postgres {
            section.push_str(&format!("mysql = [\"127.0.0.1:{}\"]\n", self.mysql()));
        }
        section
    }

    /// Whether it says it is ready, and listens where it was told to.
    fn are_ready(&self) -> bool {
        http_get(self.http(), "/readyz").is_ok_and(|(status, _)| status == 200)
            && (self.speaks == Speaks::MySql || is_listening(self.postgres()))
            && (self.speaks == Speaks::Postgres || is_listening(self.mysql()))
    }
}

impl Evenkeel {
    /// Starts `binary` for clients that speak PostgreSQL, with a configuration: the `[listen]` section is added, `config` is
    /// everything else.
    ///
    /// # Errors
    /// When it does not become ready; the message carries the end of its log.
    pub fn start(binary: &Path, config: &str) -> Result<Self> {
        Self::start_for(Speaks::Postgres, binary, config)
    }

    /// As [`Evenkeel::start`], for clients that speak these protocols. Keys before the first section of `config` belong to
    /// `[listen]`.
    ///
    /// # Errors
    /// As [`Evenkeel::start`].
    pub fn start_for(speaks: Speaks, binary: &Path, config: &str) -> Result<Self> {
        let ports = Ports { speaks, postgres: Port::reserve()?, mysql: Port::reserve()?, http: Port::reserve()? };
        let folder = tempfile::Builder::new().prefix("evenkeel-run-").tempdir()?;
        let file = folder.path().join("evenkeel.toml");
        fs::write(&file, format!("{}\n{config}", ports.listen_section()))?;
        let mut command = Command::new(binary);
        command.args(["serve", "--config"]).arg(&file);
        let mut process =
            Process::start("evenkeel", &command, &folder.path().join("log"), Ending::Kill, Some(folder.path()))?;
        process.wait_ready(START_LIMIT, || ports.are_ready())?;
        Ok(Self { process, ports, folder })
    }

    /// Replaces everything but the `[listen]` section and asks for a reload (SIGHUP); does not wait for its effect.
    ///
    /// # Errors
    /// When the file cannot be written or the process has ended.
    pub fn reload(&self, config: &str) -> Result<()> {
        fs::write(self.config_file(), format!("{}\n{config}", self.ports.listen_section()))?;
        self.process.signal(Signal::HUP)
    }

    /// Asks it to drain and end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(limit)
    }

    /// Logs a raw client in.
    ///
    /// # Errors
    /// When refused, as a [`crate::wire::ServerError`].
    pub fn client(&self, user: &str, password: &str, database: &str) -> Result<Wire> {
        Wire::log_in(&self.address(), user, password, database)
    }

    /// Fetches a page of its HTTP listener: status and body.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn http(&self, path: &str) -> Result<(u16, String)> {
        http_get(self.ports.http(), path)
    }

    /// The value of a metric sample, such as `evenkeel_waiting{route="a"}`, written exactly as on the metrics page.
    ///
    /// # Errors
    /// When there is no such sample.
    pub fn metric(&self, sample: &str) -> Result<f64> {
        let (status, page) = self.http("/metrics")?;
        ensure!(status == 200, "/metrics answered {status}");
        let value = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no sample {sample} in\n{page}"))?.trim().parse()?)
    }

    /// `host:port` for clients that speak PostgreSQL.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.postgres())
    }

    /// Logs a raw client in that speaks MySQL.
    ///
    /// # Errors
    /// When refused, as a [`crate::mysql::ServerError`].
    pub fn mysql_client(&self, user: &str, password: &str, database: Option<&str>) -> Result<MyWire> {
        MyWire::log_in(&self.mysql_address(), user, password, database)
    }

    /// `host:port` for clients that speak MySQL.
    #[must_use]
    pub fn mysql_address(&self) -> String {
        format!("127.0.0.1:{}", self.mysql_port())
    }

    /// The port for clients that speak MySQL.
    #[must_use]
    pub fn mysql_port(&self) -> u16 {
        self.ports.mysql()
    }

    /// Its ports.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The configuration file it was started with.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("evenkeel.toml")
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.process.log()).unwrap_or_default()
    }

    /// The process, for signals, CPU time and memory.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// One HTTP/1.1 request to a port of 127.0.0.1: status and body.
///
/// # Errors
/// When nobody answers within 10 s, or not in HTTP.
pub fn http_get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(HTTP_LIMIT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the HTTP head")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no HTTP status")?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Ok((status, if chunked { unchunk(body) } else { body.to_owned() }))
}

/// Whether anybody listens on a port of 127.0.0.1. Looked up in the kernel's table (proc(5)), because a connection just to
/// try would be counted as a client.
fn is_listening(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let local = format!(":{port:04X}");
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|fields| {
        fields.get(1).is_some_and(|address| address.ends_with(&local)) && fields.get(3) == Some(&TCP_LISTEN)
    })
}

/// The binary of a cargo profile's folder (`debug`, `release`), in the target folder we were built in ourselves.
#[must_use]
pub fn binary(profile: &str) -> PathBuf {
    crate::template::target_dir().join(profile).join("evenkeel")
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Some(chunk) =
            usize::from_str_radix(size, 16).ok().filter(|size| *size > 0).and_then(|size| rest.get(..size))
        else {
            break;
        };
        whole.push_str(chunk);
        body = rest[chunk.len()..].trim_start_matches("\r\n");
    }
    whole
}

/// `TCP_LISTEN` of the kernel's `tcp_states.h`, as proc(5) writes it.
const TCP_LISTEN: &str = "0A";
const START_LIMIT: Duration = Duration::from_secs(20);
const HTTP_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        assert_eq!(unchunk("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde");
    }

    #[test]
    fn a_listening_port_is_seen_without_a_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_listening(port));
        drop(listener);
        assert!(!is_listening(port));
    }

    #[test]
    fn the_listen_section_names_the_protocols_asked_for() {
        for (speaks, postgres, mysql) in
            [(Speaks::Postgres, true, false), (Speaks::MySql, false, true), (Speaks::Both, true, true)]
        {
            let [one, two, three] = [(); 3].map(|()| Port::reserve().unwrap());
            let section = Ports { speaks, postgres: one, mysql: two, http: three }.listen_section();
            assert_eq!(
                (section.contains("\npostgres = "), section.contains("\nmysql = ")),
                (postgres, mysql),
                "{section}"
            );
        }
    }

    #[test]
    fn a_program_that_dies_at_once_is_reported_with_its_log() {
        let error = Evenkeel::start(Path::new("/bin/false"), "").unwrap_err();
        assert!(format!("{error:#}").contains("it ended with"), "{error:#}");
    }
}
