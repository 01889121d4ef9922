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
use crate::{Port, Process, Wire};

/// A running Evenkeel, with its configuration in a temporary folder and free ports of 127.0.0.1.
#[derive(Debug)]
pub struct Evenkeel {
    process: Process,
    ports: Ports,
    folder: TempDir,
}

/// The ports reserved for one Evenkeel, to be written into its configuration.
#[derive(Debug)]
pub struct Ports {
    postgres: Port,
    http: Port,
}

impl Ports {
    /// For clients that speak PostgreSQL (`[listen] postgres`).
    #[must_use]
    pub fn postgres(&self) -> u16 {
        self.postgres.number()
    }

    /// For metrics and health (`[listen] http`).
    #[must_use]
    pub fn http(&self) -> u16 {
        self.http.number()
    }

    /// The `[listen]` section that uses them.
    #[must_use]
    pub fn listen_section(&self) -> String {
        format!("[listen]\npostgres = [\"127.0.0.1:{}\"]\nhttp = \"127.0.0.1:{}\"\n", self.postgres(), self.http())
    }
}

impl Evenkeel {
    /// Starts `binary` with a configuration: the `[listen]` section is added, `config` is everything else.
    ///
    /// # Errors
    /// When it does not become ready; the message carries the end of its log.
    pub fn start(binary: &Path, config: &str) -> Result<Self> {
        let ports = Ports { postgres: Port::reserve()?, http: Port::reserve()? };
        let folder = tempfile::Builder::new().prefix("evenkeel-run-").tempdir()?;
        let file = folder.path().join("evenkeel.toml");
        fs::write(&file, format!("{}\n{config}", ports.listen_section()))?;
        let mut command = Command::new(binary);
        command.args(["serve", "--config"]).arg(&file);
        let mut process =
            Process::start("evenkeel", &command, &folder.path().join("log"), Ending::Kill, Some(folder.path()))?;
        let http = ports.http();
        process.wait_ready(START_LIMIT, || http_get(http, "/readyz").is_ok_and(|(status, _)| status == 200))?;
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
    fn a_program_that_dies_at_once_is_reported_with_its_log() {
        let error = Evenkeel::start(Path::new("/bin/false"), "").unwrap_err();
        assert!(format!("{error:#}").contains("it ended with"), "{error:#}");
    }
}
