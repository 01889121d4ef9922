//! Checks that no compiler makes: layers, purity, file lengths, unfinished work, links in documents.

mod layers;
mod links;
mod sources;

use anyhow::{Result, bail};

/// Runs all checks and fails with everything they found.
pub(crate) fn run() -> Result<()> {
    println!("==> tidy");
    let mut faults = layers::check()?;
    faults.extend(sources::check()?);
    faults.extend(links::check()?);
    if !faults.is_empty() {
        bail!("tidy found {}:\n  {}", faults.len(), faults.join("\n  "));
    }
    println!("    tidy: nothing to mend");
    Ok(())
}
