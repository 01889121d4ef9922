//! Where MariaDB and MySQL are installed, and as whom they run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::Kind;
use crate::cache;
use crate::install::{HINT, clean, is_root};
use crate::process::run;

/// One installation of a server and its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    kind: Kind,
    version: String,
    home: Home,
}

/// How the programs are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Home {
    /// The machine's own, under `/usr`.
    Machine,
    /// Unpacked in a folder of their own, with all their libraries, and run by that folder's dynamic loader: nothing has to
    /// be installed, mounted or entered, so any user may, and paths mean the same to them and to us.
    Unpacked { root: PathBuf, loader: PathBuf },
}

impl Install {
    /// The installation of this kind of server.
    ///
    /// # Errors
    /// When there is none; the message says how to get it.
    pub fn find(kind: Kind) -> Result<Self> {
        let home = match kind {
            Kind::MariaDb => Home::Machine,
            Kind::MySql => {
                let root = cache::find(UNPACKED).with_context(|| format!("no MySQL in the cache: {HINT}"))?;
                Home::Unpacked { loader: loader(&root)?, root }
            }
        };
        let mut install = Self { kind, version: String::new(), home };
        let server = install.path(install.server_name());
        ensure!(server.exists(), "no {} server at {}: {HINT}", kind.name(), server.display());
        install.version = version(&run(install.program(install.server_name()).arg("--version"))?)?;
        Ok(install)
    }

    /// Which kind of server.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The server's version as it says itself, such as `10.11.6` or `9.4.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A command for one of its programs, such as `sbin/mariadbd` or `bin/mysql`, run as whoever we are.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        self.append(clean("env"), name)
    }

    /// As [`Install::program`], run as the account that may run servers, which root may not.
    #[must_use]
    pub fn as_account(&self, name: &str) -> Command {
        let mut command = clean("env");
        if is_root() {
            command.args(["setpriv", &format!("--reuid={ACCOUNT}"), &format!("--regid={ACCOUNT}"), "--init-groups"]);
        }
        self.append(command, name)
    }

    /// A temporary folder that the server owns.
    ///
    /// # Errors
    /// When it cannot be made or given away.
    pub fn folder(&self, purpose: &str) -> Result<TempDir> {
        let folder = tempfile::Builder::new().prefix(&format!("evenkeel-{purpose}-")).tempdir()?;
        give(folder.path())?;
        Ok(folder)
    }

    pub(super) fn server_name(&self) -> &'static str {
        match self.kind {
            Kind::MariaDb => "sbin/mariadbd",
            Kind::MySql => "sbin/mysqld",
        }
    }

    pub(super) fn client_name(&self) -> &'static str {
        match self.kind {
            Kind::MariaDb => "bin/mariadb",
            Kind::MySql => "bin/mysql",
        }
    }

    /// The data folder that templates are made of, inside the folder returned.
    pub(super) fn initialise(&self) -> Result<TempDir> {
        let folder = self.folder("initialise")?;
        let data = format!("--datadir={}", folder.path().join(crate::template::DATA).display());
        let mut command = match self.kind {
            Kind::MariaDb => {
                let mut command = self.as_account("bin/mariadb-install-db");
                command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                command.args(["--skip-name-resolve", "--innodb-log-file-size=16M"]);
                command
            }
            Kind::MySql => {
                let mut command = self.as_account(self.server_name());
                command.args(["--no-defaults", "--initialize-insecure", "--innodb-redo-log-capacity=16M"]);
                command.args(self.places().iter().map(|(name, value)| format!("--{name}={value}")));
                command
            }
        };
        run(command.arg(data)).with_context(|| format!("initialise {}", self.kind.name()))?;
        // Holds the server's unique id, which no two copies may share: replication refuses its own id.
        std::fs::remove_file(folder.path().join(crate::template::DATA).join("auto.cnf")).ok();
        Ok(folder)
    }

    /// Settings that tell an unpacked server where it is.
    pub(super) fn places(&self) -> Vec<(&'static str, String)> {
        match self.home {
            Home::Machine => Vec::new(),
            Home::Unpacked { .. } => vec![
                ("basedir", self.path("").display().to_string()),
                ("lc-messages-dir", self.path("share/mysql").display().to_string()),
                ("character-sets-dir", self.path("share/mysql/charsets").display().to_string()),
                ("plugin-dir", self.path("lib/mysql/plugin").display().to_string()),
            ],
        }
    }

    fn path(&self, below_usr: &str) -> PathBuf {
        let usr = match &self.home {
            Home::Machine => PathBuf::from("/usr"),
            Home::Unpacked { root, .. } => root.join("usr"),
        };
        usr.join(below_usr)
    }

    /// Every step executes the next, so the process id stays the same.
    fn append(&self, mut command: Command, name: &str) -> Command {
        if let Home::Unpacked { loader, .. } = &self.home {
            command.arg(loader).arg("--library-path").arg(loader.parent().unwrap_or(loader));
        }
        command.arg(self.path(name));
        command
    }
}

/// The dynamic loader in an unpacked root: it lies beside the C library, in a folder named after the architecture.
fn loader(root: &Path) -> Result<PathBuf> {
    let libraries = root.join("usr/lib");
    let entries = std::fs::read_dir(&libraries).with_context(|| format!("libraries in {}", libraries.display()))?;
    let inside = entries.filter_map(|entry| std::fs::read_dir(entry.ok()?.path()).ok()).flatten();
    inside
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
        .with_context(|| format!("no dynamic loader below {}", libraries.display()))
}

/// The number in `… Ver 10.11.6-MariaDB-… for …`.
fn version(said: &str) -> Result<String> {
    let words = said.split_whitespace().skip_while(|word| *word != "Ver");
    let word = words.skip(1).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let word = word.with_context(|| format!("no version in {said:?}"))?;
    Ok(word.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or(word).to_owned())
}

/// Gives a file or folder to the account the servers run as.
pub(super) fn give(path: &Path) -> Result<()> {
    if is_root() {
        run(Command::new("chown").args(["-R", &format!("{ACCOUNT}:{ACCOUNT}")]).arg(path))
            .context("no account to run a server as: run `cargo xtask setup`")?;
    }
    Ok(())
}

/// Made by Debian's package of MariaDB.
const ACCOUNT: &str = "mysql";

/// The folder of the cache that MySQL is unpacked into.
pub const UNPACKED: &str = "mysql";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_servers_say() {
        let mariadb = "mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)";
        assert_eq!(version(mariadb).unwrap(), "10.11.6");
        let mysql = "/x/usr/sbin/mysqld  Ver 9.4.0-2 for Linux on x86_64 ((Debian))";
        assert_eq!(version(mysql).unwrap(), "9.4.0");
        assert!(version("command not found").is_err());
    }
}
