//! One initialisation per machine and version: a server's data folder is a copy of it, which takes a tenth of the time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::process::run;

/// Puts a fresh data folder at `data`: a copy of the template `name`, which `make` builds when there is none yet, as the
/// folder [`DATA`] of a temporary one.
pub(crate) fn copy(name: &str, data: &Path, make: impl FnOnce() -> Result<TempDir>) -> Result<()> {
    let template = ensure(name, make)?;
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&template).arg(data)).context("copy of the template")?;
    Ok(())
}

/// The template's folder, made by whoever comes first; the others wait at the lock file.
fn ensure(name: &str, make: impl FnOnce() -> Result<TempDir>) -> Result<PathBuf> {
    let cache = target_dir().join("testkit");
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let template = cache.join(format!("{name}-{}", rustix::process::geteuid().as_raw()));
    // Not `with_extension`, which would take the end of a version for one.
    let beside = |suffix: &str| cache.join(format!("{name}-{}.{suffix}", rustix::process::geteuid().as_raw()));
    let lock = File::create(beside("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if template.exists() {
        return Ok(template);
    }
    let folder = make()?;
    // Renamed last, so that an interrupted copy is never taken for a template.
    let part = beside("part");
    run(Command::new("rm").arg("-rf").arg(&part))?;
    run(Command::new("cp").arg("-a").arg(folder.path().join(DATA)).arg(&part))?;
    fs::rename(&part, &template)?;
    Ok(template)
}

/// Cargo's target folder, where caches belong and `cargo clean` finds them.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from)
}

/// A server's data folder, inside its temporary folder.
pub(crate) const DATA: &str = "data";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_made_once_and_copied_each_time() {
        let name = format!("test-{}.1", std::process::id());
        let place = tempfile::tempdir().unwrap();
        let mut made = 0;
        for copied in ["one", "two"] {
            let make = || {
                made += 1;
                let folder = tempfile::tempdir()?;
                fs::create_dir(folder.path().join(DATA))?;
                fs::write(folder.path().join(DATA).join("file"), "contents")?;
                Ok(folder)
            };
            copy(&name, &place.path().join(copied), make).unwrap();
            assert_eq!(fs::read_to_string(place.path().join(copied).join("file")).unwrap(), "contents");
        }
        assert_eq!(made, 1);
        let cached = ensure(&name, || unreachable!("it is there")).unwrap();
        fs::remove_dir_all(&cached).unwrap();
        fs::remove_file(format!("{}.lock", cached.display())).unwrap();
    }
}
