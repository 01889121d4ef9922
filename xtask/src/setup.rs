//! What tests, the demo and benchmarks need beyond cargo: PostgreSQL, PgBouncer, cargo-nextest.
//!
//! As root on Debian (and its relatives) missing packages are installed; anybody else is told the command. Nothing that is
//! installed starts by itself or creates a cluster of its own: a test machine should run only what a test started.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use testkit::Install;
use testkit::install::is_root;

use crate::shell::{cargo, has, step};

/// Installs or names what is missing.
pub(crate) fn run() -> Result<()> {
    servers()?;
    nextest()?;
    println!("setup: everything is there");
    Ok(())
}

/// PostgreSQL's server programs and PgBouncer.
pub(crate) fn servers() -> Result<()> {
    let mut missing = Vec::new();
    if Install::from_env().is_err() {
        missing.extend(["postgresql", "postgresql-client"]);
    }
    if Install::with_pgbouncer().is_err() {
        missing.push("pgbouncer");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !has("apt-get") {
        bail!("install these with your system's package manager: {packages}");
    }
    if !is_root() {
        bail!("missing: {packages}. Run: sudo apt-get install --no-install-recommends {packages}");
    }
    install(&missing)
}

/// The test runner.
pub(crate) fn nextest() -> Result<()> {
    if has("cargo-nextest") {
        return Ok(());
    }
    step("install cargo-nextest (a few minutes, once)", &mut cargo(&["install", "--locked", "cargo-nextest"]))
}

fn install(packages: &[&str]) -> Result<()> {
    step("apt-get update", apt().args(["update", "-q"]))?;
    // Neither package may start a daemon: exit status 101 is "forbidden by policy" (invoke-rc.d(8)).
    let _quiet = Override::new(Path::new("/usr/sbin/policy-rc.d"), |_| "#!/bin/sh\nexit 101\n".to_owned(), 0o755)?;
    if packages.contains(&"postgresql") {
        step("install postgresql-common", apt_install().arg("postgresql-common"))?;
        let no_cluster = |old: &str| format!("{old}\ncreate_main_cluster = false\n");
        let _bare = Override::new(Path::new("/etc/postgresql-common/createcluster.conf"), no_cluster, 0o644)?;
        return step(&format!("install {}", packages.join(" ")), apt_install().args(packages));
    }
    step(&format!("install {}", packages.join(" ")), apt_install().args(packages))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn apt_install() -> Command {
    let mut command = apt();
    command.args(["install", "-y", "-q", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]);
    command
}

/// A file with other contents for a while; dropping it restores what was there, or its absence.
struct Override<'a> {
    path: &'a Path,
    before: Option<String>,
}

impl<'a> Override<'a> {
    fn new(path: &'a Path, contents: impl Fn(&str) -> String, mode: u32) -> Result<Self> {
        let before = match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let text = contents(before.as_deref().unwrap_or_default());
        let guard = Self { path, before };
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        Ok(guard)
    }
}

impl Drop for Override<'_> {
    fn drop(&mut self) {
        let restored = match &self.before {
            Some(text) => fs::write(self.path, text),
            None => fs::remove_file(self.path),
        };
        if let Err(error) = restored {
            eprintln!("cannot restore {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_restores_contents_or_absence() {
        let folder = std::env::temp_dir().join(format!("evenkeel-override-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (present, absent) = (folder.join("present"), folder.join("absent"));
        fs::write(&present, "old").unwrap();
        {
            let _one = Override::new(&present, |old| format!("{old} and new"), 0o644).unwrap();
            let _two = Override::new(&absent, |_| "new".to_owned(), 0o755).unwrap();
            assert_eq!(fs::read_to_string(&present).unwrap(), "old and new");
            assert!(absent.exists());
        }
        assert_eq!(fs::read_to_string(&present).unwrap(), "old");
        assert!(!absent.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
