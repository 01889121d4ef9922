//! A MariaDB or MySQL server for as long as a value lives.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use super::options::{Options, literal};
use super::{Install, Kind, MyWire};
use crate::certificates::{Authority, Files};
use crate::process::{Ending, freeze, run, tail};
use crate::template::{self, DATA};
use crate::{Port, Process};

/// A running (or stopped) server on a free port of 127.0.0.1 and on a unix socket, in a folder of its own.
#[derive(Debug)]
pub struct Server {
    // Fields drop in this order: the process before the folder it lives in.
    process: Option<Process>,
    install: Install,
    options: Options,
    tls: Option<Files>,
    port: Port,
    folder: TempDir,
}

/// One line of [`Server::processlist`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The connection's id.
    pub id: u64,
    /// The user's name.
    pub user: String,
    /// The current database.
    pub database: Option<String>,
    /// What it does, such as `Sleep` or `Query`.
    pub command: String,
    /// The statement under way.
    pub info: Option<String>,
}

impl Server {
    /// Starts a server and creates the users and databases asked for.
    ///
    /// # Errors
    /// When the server is not installed or does not start; the message carries the end of its log.
    pub fn start(kind: Kind, options: Options) -> Result<Self> {
        let install = Install::find(kind)?;
        let script = options.script(kind)?;
        let server = Self::bare(install, options)?;
        if !script.is_empty() {
            server.sql(&script)?;
        }
        Ok(server)
    }

    /// Starts a replica of this server, with the same settings but read-only; it is up to date when this returns.
    ///
    /// It repeats all that ever happened on this server, users included, by global transaction ids.
    ///
    /// # Errors
    /// When the start fails or the replica does not catch up.
    pub fn start_replica(&self) -> Result<Self> {
        let options = self.options.clone().set("read_only", "ON");
        let replica = Self::bare(self.install.clone(), options)?;
        let (port, user) = (self.port(), literal(SUPERUSER));
        replica.sql(&match self.kind() {
            Kind::MariaDb => format!(
                "change master to master_host='127.0.0.1', master_port={port}, master_user={user}, \
                 master_use_gtid=slave_pos; start slave"
            ),
            Kind::MySql => format!(
                "change replication source to source_host='127.0.0.1', source_port={port}, source_user={user}, \
                 source_auto_position=1, get_source_public_key=1; start replica"
            ),
        })?;
        replica.wait_caught_up(self)?;
        Ok(replica)
    }

    /// A server with a superuser and nothing else.
    fn bare(install: Install, options: Options) -> Result<Self> {
        let name = format!("{}-{}", install.kind().name().to_lowercase(), install.version());
        let folder = install.folder(&install.kind().name().to_lowercase())?;
        template::copy(&name, &folder.path().join(DATA), || install.initialise())?;
        let mut server = Self { process: None, install, options, tls: None, port: Port::reserve()?, folder };
        server.certify()?;
        fs::write(server.folder.path().join(CONFIG), server.config()?)?;
        super::install::give(server.folder.path())?;
        server.restart()?;
        // Without name resolution a client over TCP is not from `localhost`. Not replicated: a replica does the same.
        server.sql(&format!(
            "set sql_log_bin = 0; create user if not exists {SUPERUSER}@'127.0.0.1' identified by ''; \
             grant all on *.* to {SUPERUSER}@'127.0.0.1' with grant option"
        ))?;
        Ok(server)
    }

    /// Starts the server again on the same port and data, after [`Server::stop`], [`Server::kill`] or a crash.
    ///
    /// # Errors
    /// When it does not accept logins in time.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        let folder = self.folder.path();
        let mut command = self.install.as_account(self.install.server_name());
        command.arg(format!("--defaults-file={}", folder.join(CONFIG).display()));
        let name = self.kind().name();
        let mut process = Process::start(name, &command, &folder.join(LOG), Ending::Kill, Some(folder))?;
        let socket = self.socket().display().to_string();
        process.wait_ready(START_LIMIT, || MyWire::log_in(&socket, SUPERUSER, "", None).is_ok())?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops the server in order (SIGTERM) and waits until it is gone.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal(Signal::TERM)?;
        process.wait(STOP_LIMIT).map(drop)
    }

    /// Kills the server (SIGKILL), as a crash; the next start recovers.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Freezes the whole server, as a host that hangs: sockets stay open, nothing answers.
    ///
    /// # Errors
    /// When the server is stopped.
    pub fn pause(&self) -> Result<()> {
        freeze(self.process()?.id())
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// When the server is stopped.
    pub fn resume(&self) -> Result<()> {
        self.process()?.signal(Signal::CONT)
    }

    /// Makes a replica a server of its own that takes writes.
    ///
    /// # Errors
    /// When it is not a replica.
    pub fn promote(&self) -> Result<()> {
        let word = match self.kind() {
            Kind::MariaDb => "slave",
            Kind::MySql => "replica",
        };
        self.sql(&format!("stop {word}; reset {word} all; set global read_only = 0")).map(drop)
    }

    /// Waits until this replica has applied everything `primary` has committed so far.
    ///
    /// # Errors
    /// When it lags for too long.
    pub fn wait_caught_up(&self, primary: &Self) -> Result<()> {
        let limit = START_LIMIT.as_secs();
        let done = match self.kind() {
            Kind::MariaDb => {
                let position = primary.sql("select @@gtid_binlog_pos")?;
                self.sql(&format!("select master_gtid_wait({}, {limit})", literal(&position)))?
            }
            Kind::MySql => {
                let position = primary.sql("select @@global.gtid_executed")?.replace("\\n", "");
                self.sql(&format!("select wait_for_executed_gtid_set({}, {limit})", literal(&position)))?
            }
        };
        ensure!(done == "0", "the replica lags; its log ends:\n{}", self.log_end());
        Ok(())
    }

    /// Runs SQL as superuser through the server's own command-line client; rows are lines, columns split by tabs.
    ///
    /// # Errors
    /// When a statement fails, with the server's message.
    pub fn sql(&self, sql: &str) -> Result<String> {
        let mut command = self.install.program(self.install.client_name());
        command.args(["--no-defaults", "--batch", "--skip-column-names", "--user", SUPERUSER, "--socket"]);
        run(command.arg(self.socket()).args(["--execute", sql]))
    }

    /// The sessions of everybody but the server itself and this question.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn processlist(&self) -> Result<Vec<Session>> {
        let mut wire = self.superuser(None)?;
        let rows = wire.query(
            "select id, user, db, command, info from information_schema.processlist \
             where id <> connection_id() and user not in ('system user', 'event_scheduler') order by id",
        )?;
        rows.into_iter()
            .map(|row| {
                let [id, user, database, command, info] = <[_; 5]>::try_from(row).ok().context("five columns")?;
                let id = id.context("an id")?.parse()?;
                let (user, command) = (user.unwrap_or_default(), command.unwrap_or_default());
                Ok(Session { id, user, database, command, info })
            })
            .collect()
    }

    /// A raw connection as superuser, over the unix socket.
    ///
    /// # Errors
    /// When the server does not let us in.
    pub fn superuser(&self, database: Option<&str>) -> Result<MyWire> {
        MyWire::log_in(&self.socket().display().to_string(), SUPERUSER, "", database)
    }

    /// Which kind of server.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.install.kind()
    }

    /// The installation it came from.
    #[must_use]
    pub fn install(&self) -> &Install {
        &self.install
    }

    /// `host:port` of the TCP listener.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// The files of [`Options::tls`]: the server's certificate and key, and the authority to trust.
    ///
    /// # Errors
    /// When it was not asked for.
    pub fn tls(&self) -> Result<&Files> {
        self.tls.as_ref().context("the server was started without Options::tls")
    }

    /// The server's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The last lines of the log, for messages.
    #[must_use]
    pub fn log_end(&self) -> String {
        tail(&self.log_file(), 30)
    }

    /// The running server.
    ///
    /// # Errors
    /// When the server is stopped.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("the server is stopped")
    }

    /// Makes the certificate asked for.
    fn certify(&mut self) -> Result<()> {
        if let Some(names) = &self.options.tls {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let authority = Authority::new(&format!("{} on port {}", self.kind().name(), self.port()))?;
            self.tls = Some(authority.write(&authority.issue(&names)?, self.folder.path())?);
        }
        Ok(())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join(LOG)
    }

    /// `my.cnf`: where things are, what makes it quick, what was asked for.
    fn config(&self) -> Result<String> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let mut text = String::from("[mysqld]\n");
        let port = self.port().to_string();
        let own = [
            ("datadir", at(DATA)),
            ("socket", at(SOCKET)),
            ("pid-file", at("pid")),
            ("tmpdir", self.folder.path().display().to_string()),
            ("port", port.clone()),
            // The port is nobody else's on this machine, so the number is unique among all servers of the testkit.
            ("server-id", port),
        ];
        let common = COMMON_SETTINGS.iter().chain(match self.kind() {
            Kind::MariaDb => MARIADB_SETTINGS,
            Kind::MySql => MYSQL_SETTINGS,
        });
        let common = common.map(|(name, value)| (*name, (*value).to_owned()));
        for (name, value) in own.into_iter().chain(self.install.places()).chain(common) {
            writeln!(text, "{name}={value}")?;
        }
        if let Some(Files { authority, certificate, key }) = &self.tls {
            for (name, file) in [("ssl_ca", authority), ("ssl_cert", certificate), ("ssl_key", key)] {
                writeln!(text, "{name}={}", file.display())?;
            }
        }
        for (name, value) in &self.options.settings {
            writeln!(text, "{name}={value}")?;
        }
        Ok(text)
    }
}

/// Every server's first user; has no password, and gets in only from this machine.
pub const SUPERUSER: &str = "root";

const CONFIG: &str = "my.cnf";
const LOG: &str = "log";
const SOCKET: &str = "socket";
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Data that dies with the test needs no durability.
const COMMON_SETTINGS: &[(&str, &str)] = &[
    ("bind-address", "127.0.0.1"),
    ("skip-name-resolve", "ON"),
    ("innodb_flush_log_at_trx_commit", "0"),
    // Loose: newer versions of MariaDB may not know it any more.
    ("loose_innodb_flush_method", "O_DIRECT_NO_FSYNC"),
    // The kernel has few such queues for all servers together.
    ("innodb_use_native_aio", "OFF"),
    ("innodb_doublewrite", "OFF"),
    ("innodb_buffer_pool_size", "64M"),
    ("innodb_buffer_pool_dump_at_shutdown", "OFF"),
    ("innodb_buffer_pool_load_at_startup", "OFF"),
    ("sync_binlog", "0"),
    ("performance_schema", "OFF"),
    ("log_bin", "binlog"),
];

const MARIADB_SETTINGS: &[(&str, &str)] = &[("innodb_log_file_size", "16M")];

const MYSQL_SETTINGS: &[(&str, &str)] = &[
    ("innodb_redo_log_capacity", "16M"),
    ("mysqlx", "OFF"),
    ("gtid_mode", "ON"),
    ("enforce_gtid_consistency", "ON"),
    // Debian's default is a folder that only its package makes.
    ("secure-file-priv", "NULL"),
];
