//! PgBouncer, the pooler Evenkeel is measured against, as a process that ends with its value.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::Ending;
use crate::{Install, Port, Process, Wire};

/// A running PgBouncer on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct PgBouncer {
    process: Process,
    port: Port,
    _folder: TempDir,
}

/// What goes into its configuration. The default: transaction mode, everybody let in, quiet logs.
#[derive(Clone, Debug, Default)]
pub struct Ini {
    databases: String,
    settings: String,
    users: String,
    hba: String,
}

impl Ini {
    /// The defaults, with no database.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line to `[databases]`: the name clients ask for (`*` for any) and where it is.
    #[must_use]
    pub fn database(mut self, name: &str, connection: &str) -> Self {
        let _ = writeln!(self.databases, "{name} = {connection}");
        self
    }

    /// Adds a line to `[pgbouncer]`; a later line of the same name wins.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let _ = writeln!(self.settings, "{name} = {value}");
        self
    }

    /// Sets the access rules that `auth_type = hba` goes by.
    #[must_use]
    pub fn hba(mut self, rules: &str) -> Self {
        rules.clone_into(&mut self.hba);
        self
    }

    /// Adds a user with its clear-text password (or verifier) to the user list.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        let quoted = |text: &str| text.replace('"', "\"\"");
        let _ = writeln!(self.users, "\"{}\" \"{}\"", quoted(name), quoted(password));
        self
    }
}

impl PgBouncer {
    /// Starts PgBouncer of `install`.
    ///
    /// # Errors
    /// When it is not installed or does not answer; the message carries the end of its log.
    pub fn start(install: &Install, ini: &Ini) -> Result<Self> {
        let folder = install.folder("pgbouncer")?;
        let port = Port::reserve()?;
        let [file, users, hba] = ["pgbouncer.ini", "users.txt", "hba.conf"].map(|name| folder.path().join(name));
        let text = format!(
            "[databases]\n{}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_file = {}\n\
             auth_hba_file = {}\n{DEFAULTS}{}",
            ini.databases,
            port.number(),
            users.display(),
            hba.display(),
            ini.settings
        );
        fs::write(&file, text)?;
        fs::write(&users, &ini.users)?;
        fs::write(&hba, &ini.hba)?;
        install.give(folder.path())?;
        let mut command = install.pgbouncer()?;
        command.arg(&file);
        let mut process =
            Process::start("pgbouncer", &command, &folder.path().join("log"), Ending::Kill, Some(folder.path()))?;
        let address = format!("127.0.0.1:{}", port.number());
        process.wait_ready(START_LIMIT, || Wire::connect(&address).is_ok())?;
        Ok(Self { process, port, _folder: folder })
    }

    /// `host:port` to connect to.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The process, for its CPU time and memory.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

const START_LIMIT: Duration = Duration::from_secs(20);
const DEFAULTS: &str = "auth_type = any\npool_mode = transaction\nmax_client_conn = 10000\nmax_prepared_statements = 200\n\
                        log_connections = 0\nlog_disconnections = 0\nstats_period = 3600\n";
