//! Drivers of other languages, at fixed versions, in folders of the cache.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use testkit::{cache, drivers};

use super::lock;
use crate::shell::{has, step};

/// Debian's Python, for which its package has the headers that building a driver takes.
pub(super) const PYTHON: &str = "/usr/bin/python3";

/// Python's drivers, in a virtual environment.
pub(super) fn python() -> Result<()> {
    install("python", PYTHON_PINS, |folder| {
        step("make a Python environment", Command::new(PYTHON).args(["-m", "venv"]).arg(folder))?;
        let mut pip = bounded(&folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]);
        step("install Python drivers", pip.args(PYTHON_PINS))
    })
}

/// Node's drivers.
pub(super) fn node() -> Result<()> {
    ensure!(has("npm"), "no npm");
    install("node", NODE_PINS, |folder| {
        let mut npm = bounded(Path::new("npm"));
        npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(folder);
        step("install Node drivers", npm.args(NODE_PINS))
    })
}

/// Makes a folder of the cache that holds exactly `pins`, unless it is there.
fn install(language: &str, pins: &[&str], make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let cache = cache::writable()?;
    let _lock = lock(&cache, &format!("drivers-{language}"))?;
    let folder = drivers::folder(&cache, language);
    let stamp = folder.join("pins");
    let wanted = pins.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    make(&folder)?;
    // Written last: a folder without it was not finished.
    fs::write(stamp, wanted)?;
    Ok(())
}

/// A program that may not take for ever.
fn bounded(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LIMIT_SECONDS).arg(program);
    command
}

const LIMIT_SECONDS: &str = "300";
const PYTHON_PINS: &[&str] =
    &["mysql-connector-python==26.10.0", "PyMySQL[rsa]==1.2.4", "mysqlclient==2.3.1", "cryptography==50.0.2"];
const NODE_PINS: &[&str] = &["mysql2@3.24.5"];
