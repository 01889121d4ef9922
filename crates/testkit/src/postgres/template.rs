//! One `initdb` per machine and version: a cluster's data folder is a copy of it, which takes a tenth of the time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use super::SUPERUSER;
use crate::Install;
use crate::process::run;

/// Puts a fresh data folder at `data`.
pub(super) fn copy(install: &Install, data: &Path) -> Result<()> {
    let template = ensure(install)?;
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&template).arg(data)).context("copy of the template")?;
    Ok(())
}

/// The template's folder, made by whoever comes first; the others wait at the lock file.
fn ensure(install: &Install) -> Result<PathBuf> {
    let cache = target_dir().join("testkit");
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let template = cache.join(format!("postgres-{}-{}", install.version(), rustix::process::geteuid().as_raw()));
    let lock = File::create(template.with_extension("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if template.exists() {
        return Ok(template);
    }
    let folder = install.folder("initdb")?;
    let data = folder.path().join("data");
    run(install
        .command("initdb")
        .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", SUPERUSER, "-D"])
        .arg(&data))?;
    // Renamed last, so that an interrupted copy is never taken for a template.
    let part = template.with_extension("part");
    run(Command::new("rm").arg("-rf").arg(&part))?;
    run(Command::new("cp").arg("-a").arg(&data).arg(&part))?;
    fs::rename(&part, &template)?;
    Ok(template)
}

/// Cargo's target folder, where caches belong and `cargo clean` finds them.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from)
}
