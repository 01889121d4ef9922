//! A proxy that only moves bytes, one server connection for each client: what no proxy on this machine can go below by much.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use testkit::process::Ending;
use testkit::{Port, Process};

/// HAProxy as a TCP proxy with one thread, on a free port of 127.0.0.1.
pub(super) struct Forwarder {
    process: Process,
    port: Port,
    _folder: TempDir,
}

impl Forwarder {
    /// Starts it in front of a server.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub(super) fn start(server: &str) -> Result<Self> {
        let found = Command::new(PROGRAM).arg("-v").stdout(Stdio::null()).status();
        ensure!(found.is_ok_and(|status| status.success()), "no {PROGRAM} on this machine");
        let folder = tempfile::Builder::new().prefix("evenkeel-haproxy-").tempdir()?;
        let port = Port::reserve()?;
        let file = folder.path().join("haproxy.cfg");
        let address = format!("127.0.0.1:{}", port.number());
        fs::write(
            &file,
            format!(
                "global\n  nbthread 1\n  maxconn {CLIENTS_MAX}\n\
                 defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n\
                 listen bench\n  bind {address}\n  server one {server}\n"
            ),
        )?;
        let mut command = Command::new(PROGRAM);
        command.arg("-db").arg("-f").arg(&file);
        let log = folder.path().join("log");
        let mut process = Process::start(PROGRAM, &command, &log, Ending::Kill, Some(folder.path()))?;
        process.wait_ready(START_LIMIT, || TcpStream::connect(&address).is_ok())?;
        Ok(Self { process, port, _folder: folder })
    }

    /// Where clients connect.
    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }

    /// The process, for its CPU time and memory.
    pub(super) fn process(&self) -> &Process {
        &self.process
    }
}

/// What it is called in the tables.
pub(super) const NAME: &str = "haproxy, bytes only";
const PROGRAM: &str = "haproxy";
const CLIENTS_MAX: u32 = 4000;
const START_LIMIT: Duration = Duration::from_secs(20);
