//! Debian's package manager, as root.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::step;

/// Installs packages, without letting any of them start a daemon or create a cluster.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    step("apt-get update", apt().args(["update", "-q"]))?;
    // Exit status 101 is "forbidden by policy" (invoke-rc.d(8)).
    let _quiet = Override::new(Path::new("/usr/sbin/policy-rc.d"), |_| "#!/bin/sh\nexit 101\n".to_owned(), 0o755)?;
    let whole = format!("install {}", packages.join(" "));
    if !packages.contains(&"postgresql") {
        return step(&whole, apt_install().args(packages));
    }
    step("install postgresql-common", apt_install().arg("postgresql-common"))?;
    let no_cluster = |old: &str| format!("{old}\ncreate_main_cluster = false\n");
    let _bare = Override::new(Path::new("/etc/postgresql-common/createcluster.conf"), no_cluster, 0o644)?;
    step(&whole, apt_install().args(packages))
}

/// `apt-get` that asks no questions.
pub(super) fn apt() -> Command {
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
