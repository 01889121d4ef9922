//! Where what is downloaded once per machine is kept: outside the checkout, so that neither `cargo clean` nor a second
//! checkout downloads it again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::install::is_root;

/// The folder that installing writes to: `EVENKEEL_CACHE`, or the machine's for root, or the user's own.
///
/// # Errors
/// When there is neither, because `HOME` is not set.
pub fn writable() -> Result<PathBuf> {
    if let Some(asked_for) = std::env::var_os("EVENKEEL_CACHE") {
        return Ok(asked_for.into());
    }
    if is_root() {
        return Ok(MACHINES.into());
    }
    users().context("neither HOME nor XDG_CACHE_HOME is set")
}

/// Where `name` was installed: the first of the folders of [`writable`] that has it.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let asked_for = std::env::var_os("EVENKEEL_CACHE").map(PathBuf::from);
    let folders = match asked_for {
        Some(folder) => vec![folder],
        None => [Some(MACHINES.into()), users()].into_iter().flatten().collect(),
    };
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.exists())
}

fn users() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    base.filter(|path| path.is_absolute()).map(|path| path.join("evenkeel"))
}

const MACHINES: &str = "/var/cache/evenkeel";
