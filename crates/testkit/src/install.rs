//! Where PostgreSQL and PgBouncer are installed, and as whom they run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::run;

/// One installation of the PostgreSQL family: the machine's own, or one inside another root folder.
///
/// Servers of this family refuse to run as root; when we are root they run as user `postgres` of the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Root folder it lives in, entered by `chroot`; `None` for the machine's own.
    root: Option<PathBuf>,
    /// Folder with `postgres`, `initdb` and `pgbench`, as seen from inside the root.
    bin: PathBuf,
    /// Major version of PostgreSQL.
    version: u32,
}

impl Install {
    /// The installation the environment names, else the newest one of the machine.
    ///
    /// `TESTKIT_POSTGRES_ROOT` names a root folder (as `peers install` makes them), `TESTKIT_POSTGRES_VERSION` a version.
    ///
    /// # Errors
    /// When there is none; the message says what to install.
    pub fn from_env() -> Result<Self> {
        let root = std::env::var_os("TESTKIT_POSTGRES_ROOT").map(PathBuf::from);
        let version = std::env::var("TESTKIT_POSTGRES_VERSION").ok().map(|text| text.parse()).transpose()?;
        Self::find(root.as_deref(), version)
    }

    /// The newest installation in the root folder of the peers that Evenkeel is measured against, if it is there.
    ///
    /// `EVENKEEL_PEERS` moves it from its default, `/var/lib/evenkeel-peers`.
    #[must_use]
    pub fn peers() -> Option<Self> {
        let root = std::env::var_os("EVENKEEL_PEERS").map_or_else(|| PathBuf::from(PEERS_ROOT), PathBuf::from);
        Self::find(Some(&root), None).ok()
    }

    /// An installation that has PgBouncer: the peers' for its newer version, else the environment's.
    ///
    /// # Errors
    /// When there is none.
    pub fn with_pgbouncer() -> Result<Self> {
        let candidates = Self::peers().into_iter().chain(Self::from_env().ok());
        candidates
            .into_iter()
            .find(|install| install.pgbouncer().is_ok())
            .with_context(|| format!("no PgBouncer: {HINT}"))
    }

    /// The newest installation in `root`, or the one of the `version` asked for.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(root: Option<&Path>, version: Option<u32>) -> Result<Self> {
        let inside = Path::new(VERSIONS_DIR);
        let outside = root.map_or_else(|| inside.to_owned(), |root| root.join("usr/lib/postgresql"));
        let entries =
            fs::read_dir(&outside).with_context(|| format!("no PostgreSQL in {}: {HINT}", outside.display()))?;
        let found = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter(|found| version.is_none_or(|wanted| wanted == *found))
            .filter(|found| outside.join(found.to_string()).join("bin/postgres").exists())
            .max();
        let version =
            found.with_context(|| format!("no fitting PostgreSQL server in {}: {HINT}", outside.display()))?;
        let bin = inside.join(version.to_string()).join("bin");
        Ok(Self { root: root.map(Path::to_owned), bin, version })
    }

    /// Major version of PostgreSQL.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// A command for one of the installation's PostgreSQL programs, run as the account that may run servers.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.enter(&self.bin.join(program))
    }

    /// A command for PgBouncer of this installation.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn pgbouncer(&self) -> Result<Command> {
        let path = Path::new("/usr/sbin/pgbouncer");
        ensure!(self.outside(path).exists(), "no PgBouncer at {}: {HINT}", self.outside(path).display());
        Ok(self.enter(path))
    }

    /// Gives a file or folder to the account the servers run as.
    ///
    /// # Errors
    /// When that is not allowed.
    pub fn give(&self, path: &Path) -> Result<()> {
        if !is_root() {
            return Ok(());
        }
        let ask = |flag| run(self.chrooted().args(["id", flag, ACCOUNT]));
        let owner = format!("{}:{}", ask("-u")?, ask("-g")?);
        run(Command::new("chown").args(["-R", &owner]).arg(path))?;
        Ok(())
    }

    /// A temporary folder that the installation's servers own and see under the same name.
    ///
    /// # Errors
    /// When the root folder does not share our temporary folder.
    pub fn folder(&self, purpose: &str) -> Result<tempfile::TempDir> {
        let folder = tempfile::Builder::new().prefix(&format!("evenkeel-{purpose}-")).tempdir()?;
        let seen = self.outside(folder.path());
        ensure!(
            seen.exists(),
            "{} is not shared: mount --bind /tmp {}",
            seen.display(),
            self.outside(Path::new("/tmp")).display()
        );
        self.give(folder.path())?;
        Ok(folder)
    }

    fn outside(&self, path: &Path) -> PathBuf {
        let relative = path.strip_prefix("/").unwrap_or(path);
        self.root.as_ref().map_or_else(|| path.to_owned(), |root| root.join(relative))
    }

    fn enter(&self, program: &Path) -> Command {
        let mut command = self.chrooted();
        if is_root() {
            command.args(["setpriv", &format!("--reuid={ACCOUNT}"), &format!("--regid={ACCOUNT}"), "--init-groups"]);
        }
        command.arg(program);
        command
    }

    /// `env`, inside the root if there is one. Every step executes the next, so the process id stays the same.
    fn chrooted(&self) -> Command {
        let Some(root) = &self.root else { return clean("env") };
        let mut command = clean("chroot");
        command.arg(root).arg("env");
        command
    }
}

/// A command that inherits neither our locale nor anybody's connection settings.
pub(crate) fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C.UTF-8").current_dir("/");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PG") || name.starts_with("MYSQL")) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether we are the superuser of the machine.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

const ACCOUNT: &str = "postgres";
const VERSIONS_DIR: &str = "/usr/lib/postgresql";
const PEERS_ROOT: &str = "/var/lib/evenkeel-peers";
pub(crate) const HINT: &str = "run `cargo xtask setup`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_version_says_how_to_get_one() {
        let error = Install::find(None, Some(4)).unwrap_err();
        assert!(error.to_string().contains("cargo xtask setup"), "{error}");
    }

    #[test]
    fn the_environment_of_clients_does_not_leak_into_commands() {
        // Nothing sets variables here: changing our own environment is not safe with threads.
        let command = clean("env");
        assert!(command.get_envs().all(|(name, value)| value.is_none() || name == "LC_ALL"));
    }
}
