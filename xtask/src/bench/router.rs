//! MySQL Router, which Evenkeel is measured against where clients speak MySQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::mysql::{Kind, Server};
use testkit::process::Ending;
use testkit::{MyWire, Port, Process};

/// A running Router on a free port of 127.0.0.1.
pub(super) struct Router {
    process: Process,
    port: Port,
    _folder: TempDir,
}

impl Router {
    /// Starts it in front of `server`: with connection sharing where that works, which is with MySQL. (Its sharing sets
    /// `session_track_gtids`, which MariaDB does not know, and fails.)
    pub(super) fn start(installed: &Installed, server: &Server) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("evenkeel-router-").tempdir()?;
        let port = Port::reserve()?;
        let file = folder.path().join("router.conf");
        fs::write(&file, config(installed, folder.path(), port.number(), server))?;
        let mut command = installed.command();
        command.arg("-c").arg(&file);
        let mut process =
            Process::start("mysqlrouter", &command, &folder.path().join("log"), Ending::Kill, Some(folder.path()))?;
        let address = format!("127.0.0.1:{}", port.number());
        process.wait_ready(START_LIMIT, || MyWire::log_in(&address, USER, "", None).is_ok())?;
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

/// What Router does with server connections in front of a server of this kind, as the tables call it.
pub(super) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::MySql => "router, sharing",
        Kind::MariaDb => "router, 1 to 1",
    }
}

fn config(installed: &Installed, folder: &Path, port: u16, server: &Server) -> String {
    let folder = folder.display();
    let sharing = match server.kind() {
        Kind::MySql => "connection_sharing=1\nconnection_sharing_delay=0\n",
        Kind::MariaDb => "",
    };
    format!(
        "[DEFAULT]\nplugin_folder={}\nlogging_folder=\nruntime_folder={folder}\ndata_folder={folder}\n\
         max_total_connections={CLIENTS_MAX}\n\n[logger]\nlevel=WARNING\nsinks=consolelog\n\n\
         [connection_pool]\nmax_idle_server_connections=64\n\n\
         [routing:bench]\nbind_address=127.0.0.1\nbind_port={port}\ndestinations={}\nprotocol=classic\n\
         routing_strategy=first-available\nclient_ssl_mode=DISABLED\nserver_ssl_mode=DISABLED\n\
         max_connections={CLIENTS_MAX}\n{sharing}",
        installed.usr.join("lib/mysqlrouter/plugin").display(),
        server.address(),
    )
}

/// Router's program, in the root folder of the peers or on the machine itself.
pub(super) struct Installed {
    usr: PathBuf,
    /// The dynamic loader of a root folder, which runs the program with that folder's libraries.
    loader: Option<PathBuf>,
}

impl Installed {
    /// The peers' (`EVENKEEL_PEERS`) for its newer version, else the machine's own.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn find() -> Result<Self> {
        let peers = std::env::var_os("EVENKEEL_PEERS").map_or_else(|| PathBuf::from(PEERS_ROOT), PathBuf::from);
        let usr = peers.join("usr");
        if usr.join(PROGRAM).exists() {
            return Ok(Self { loader: Some(loader(&usr)?), usr });
        }
        let usr = PathBuf::from("/usr");
        ensure!(usr.join(PROGRAM).exists(), "no mysqlrouter in {} or /usr", peers.display());
        Ok(Self { usr, loader: None })
    }

    /// Its version, as it says it itself.
    pub(super) fn version(&self) -> Result<String> {
        let said = testkit::process::run(self.command().arg("--version"))?;
        let version = said.split_whitespace().skip_while(|word| *word != "Ver").nth(1);
        Ok(version.with_context(|| format!("no version in {said:?}"))?.to_owned())
    }

    fn command(&self) -> Command {
        let program = self.usr.join(PROGRAM);
        let Some(loader) = &self.loader else { return Command::new(program) };
        let libraries = [loader.parent().unwrap_or(loader), &self.usr.join("lib/mysql-router")];
        let mut command = Command::new(loader);
        command.arg("--library-path").arg(libraries.map(|path| path.display().to_string()).join(":")).arg(program);
        command
    }
}

/// The dynamic loader lies beside the C library, in a folder named after the architecture.
fn loader(usr: &Path) -> Result<PathBuf> {
    let folders = fs::read_dir(usr.join("lib"))?.filter_map(|entry| fs::read_dir(entry.ok()?.path()).ok());
    let loader = folders
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")));
    loader.with_context(|| format!("no dynamic loader below {}", usr.display()))
}

/// Who logs in through Router, without a password: to share connections it has to know the password, and learns one that
/// `caching_sha2_password` protects only over TLS.
pub(super) const USER: &str = "router";
const PROGRAM: &str = "bin/mysqlrouter";
const PEERS_ROOT: &str = "/var/lib/evenkeel-peers";
const CLIENTS_MAX: u32 = 4000;
const START_LIMIT: Duration = Duration::from_secs(20);
