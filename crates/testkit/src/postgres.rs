//! A real PostgreSQL server, or a primary with streaming replicas, for as long as a value lives.

mod backends;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Ending, run};
use crate::template::{self, DATA};
use crate::{Install, Port, Process, Wire, poll_until};

/// How a user proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    Trust,
    /// With an md5 digest of the password.
    Md5,
    /// With SCRAM-SHA-256.
    Scram,
}

/// How the server is told to stop (`pg_ctl stop -m`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Waits for clients to leave.
    Smart,
    /// Ends sessions with an error, then shuts down in order.
    Fast,
    /// Ends at once, without a checkpoint; the next start recovers.
    Immediate,
}

/// What kind of server to start. The default: the environment's version, user `postgres` trusted, nothing else.
#[derive(Clone, Debug, Default)]
pub struct Options {
    install: Option<Install>,
    users: Vec<User>,
    databases: Vec<String>,
    settings: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct User {
    name: String,
    password: String,
    login: Login,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses this installation instead of the environment's.
    #[must_use]
    pub fn install(mut self, install: Install) -> Self {
        self.install = Some(install);
        self
    }

    /// Adds a user with a password; `login` decides both how it is stored and how it is asked for.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str, login: Login) -> Self {
        self.users.push(User { name: name.to_owned(), password: password.to_owned(), login });
        self
    }

    /// Adds a database, in which every user may create tables.
    #[must_use]
    pub fn database(mut self, name: &str) -> Self {
        self.databases.push(name.to_owned());
        self
    }

    /// Sets `max_connections`.
    #[must_use]
    pub fn max_connections(self, count: u32) -> Self {
        self.set("max_connections", &count.to_string())
    }

    /// Sets any server setting; the last value of a name wins.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running (or stopped) PostgreSQL server on a free port of 127.0.0.1 and on a unix socket, in a folder of its own.
#[derive(Debug)]
pub struct Postgres {
    // Fields drop in this order: the process before the folder it lives in.
    process: Option<Process>,
    install: Install,
    options: Options,
    port: Port,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server and creates the users and databases asked for.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the message carries the end of its log.
    pub fn start(options: Options) -> Result<Self> {
        let install = options.install.clone().map_or_else(Install::from_env, Ok)?;
        let folder = install.folder("postgres")?;
        let name = format!("postgres-{}", install.version());
        template::copy(&name, &folder.path().join(DATA), || initialise(&install))?;
        fs::write(folder.path().join(DATA).join("pg_hba.conf"), access_rules(&options))?;
        let mut server = Self { process: None, install, options, port: Port::reserve()?, folder };
        server.restart()?;
        server.create()?;
        Ok(server)
    }

    /// Starts a streaming replica of this server, with the same users; it is up to date when this returns.
    ///
    /// # Errors
    /// When the copy or the start fails.
    pub fn start_replica(&self) -> Result<Self> {
        let folder = self.install.folder("replica")?;
        let data = folder.path().join(DATA);
        run(self
            .install
            .command("pg_basebackup")
            .args(["-h", "127.0.0.1", "-p", &self.port().to_string(), "-U", SUPERUSER])
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"])
            .arg(&data))?;
        let (install, options) = (self.install.clone(), self.options.clone());
        let mut replica = Self { process: None, install, options, port: Port::reserve()?, folder };
        replica.restart()?;
        replica.wait_caught_up(self)?;
        Ok(replica)
    }

    /// Starts the server again on the same port and data, after [`Postgres::stop`] or a crash.
    ///
    /// # Errors
    /// When it does not accept logins in time.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        let folder = self.folder.path();
        let mut command = self.install.command("postgres");
        command.arg("-D").arg(folder.join(DATA)).arg("-k").arg(folder);
        command.args(["-h", "127.0.0.1", "-p", &self.port().to_string()]);
        let unsafe_but_fast = FAST_SETTINGS.iter().map(|(name, value)| format!("{name}={value}"));
        let asked_for = self.options.settings.iter().map(|(name, value)| format!("{name}={value}"));
        for setting in unsafe_but_fast.chain(asked_for) {
            command.arg("-c").arg(setting);
        }
        let mut process = Process::start("postgres", &command, &folder.join("log"), Ending::Quit, Some(folder))?;
        process.wait_ready(START_LIMIT, || self.superuser("postgres").is_ok())?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops the server and waits until it is gone.
    ///
    /// # Errors
    /// When it does not stop in time ([`Stop::Smart`] waits for clients).
    pub fn stop(&mut self, mode: Stop) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        // The signals of pg_ctl, see "Shutting Down the Server" in PostgreSQL's manual.
        process.signal(match mode {
            Stop::Smart => Signal::TERM,
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        })?;
        process.wait(STOP_LIMIT).map(drop)
    }

    /// Makes a replica a primary, and waits until it is.
    ///
    /// # Errors
    /// When it does not happen in time.
    pub fn promote(&self) -> Result<()> {
        self.psql("select pg_promote(true, 30)")?;
        poll_until(STOP_LIMIT, "the end of recovery", || {
            Ok((self.psql("select pg_is_in_recovery()")? == "f").then_some(()))
        })
    }

    /// Waits until this replica has replayed everything `primary` has written so far.
    ///
    /// # Errors
    /// When it lags for too long.
    pub fn wait_caught_up(&self, primary: &Self) -> Result<()> {
        // Not `pg_current_wal_lsn`: with asynchronous commits the last records may not have been written out yet.
        let target = primary.psql("select pg_current_wal_insert_lsn()")?;
        let question = format!("select coalesce(pg_last_wal_replay_lsn() >= '{target}', false)");
        poll_until(START_LIMIT, "the replica to catch up", || Ok((self.psql(&question)? == "t").then_some(())))
    }

    /// Runs SQL as superuser through the real `psql` in database `postgres`; rows are lines, columns split by `|`.
    ///
    /// # Errors
    /// When a statement fails, with the server's message.
    pub fn psql(&self, sql: &str) -> Result<String> {
        self.psql_in("postgres", sql)
    }

    /// As [`Postgres::psql`], in another database.
    ///
    /// # Errors
    /// When a statement fails, with the server's message.
    pub fn psql_in(&self, database: &str, sql: &str) -> Result<String> {
        run(self
            .install
            .command("psql")
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER, "-p", &self.port().to_string(), "-h"])
            .arg(self.socket_dir())
            .args(["-d", database, "-c", sql]))
    }

    /// A raw connection as superuser, over TCP.
    ///
    /// # Errors
    /// When the server does not let us in.
    pub fn superuser(&self, database: &str) -> Result<Wire> {
        Wire::log_in(&self.address(), SUPERUSER, "", database)
    }

    /// `host:port` of the TCP listener.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The TCP port, also the number in the unix socket's name.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The folder of the unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of the trusted superuser for `database`.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@{}/{database}", self.address())
    }

    /// The URL of a user given by [`Options::user`] for `database`; names and passwords must need no escaping.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn url(&self, user: &str, database: &str) -> Result<String> {
        let user =
            self.options.users.iter().find(|known| known.name == user).with_context(|| format!("no user {user}"))?;
        Ok(format!("postgres://{}:{}@{}/{database}", user.name, user.password, self.address()))
    }

    /// The server's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The installation it came from.
    #[must_use]
    pub fn install(&self) -> &Install {
        &self.install
    }

    /// The running server's first process.
    ///
    /// # Errors
    /// When the server is stopped.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("the server is stopped")
    }

    fn create(&self) -> Result<()> {
        let mut sql = String::new();
        for user in &self.options.users {
            let stored = if user.login == Login::Md5 { "md5" } else { "scram-sha-256" };
            writeln!(sql, "set password_encryption = '{stored}';")?;
            writeln!(sql, "create role {} login password {};", identifier(&user.name), literal(&user.password))?;
        }
        if !sql.is_empty() {
            self.psql(&sql)?;
        }
        for database in &self.options.databases {
            self.psql(&format!("create database {}", identifier(database)))?;
            self.psql_in(database, "grant all on schema public to public")?;
        }
        Ok(())
    }
}

/// The data folder that templates are made of.
fn initialise(install: &Install) -> Result<TempDir> {
    let folder = install.folder("initdb")?;
    run(install
        .command("initdb")
        .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", SUPERUSER, "-D"])
        .arg(folder.path().join(DATA)))?;
    Ok(folder)
}

/// `pg_hba.conf`: the superuser is trusted, everybody else asked as they were declared.
fn access_rules(options: &Options) -> String {
    let mut rules = format!(
        "local all {SUPERUSER} trust\nhost all {SUPERUSER} 127.0.0.1/32 trust\n\
         local replication {SUPERUSER} trust\nhost replication {SUPERUSER} 127.0.0.1/32 trust\n"
    );
    for user in &options.users {
        let method = match user.login {
            Login::Trust => "trust",
            Login::Md5 => "md5",
            Login::Scram => "scram-sha-256",
        };
        let name = identifier(&user.name);
        let _ = writeln!(rules, "local all {name} {method}\nhost all {name} 127.0.0.1/32 {method}");
    }
    rules.push_str("local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n");
    rules
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Every cluster's first user; trusted from this machine.
pub const SUPERUSER: &str = "postgres";

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Data that dies with the test needs no durability, and background work would only add noise.
const FAST_SETTINGS: [(&str, &str); 8] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("shared_buffers", "64MB"),
    ("autovacuum", "off"),
    ("jit", "off"),
    ("max_connections", "100"),
    ("log_line_prefix", "%m [%p] %u@%d "),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_rules_quote_names_and_end_with_a_password_for_strangers() {
        let rules = access_rules(&Options::new().user("odd \"one", "x", Login::Md5));
        assert!(rules.contains("host all \"odd \"\"one\" 127.0.0.1/32 md5\n"), "{rules}");
        assert!(rules.ends_with("host all all 127.0.0.1/32 scram-sha-256\n"));
    }
}
