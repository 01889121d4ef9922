//! What was found, and the page that says so.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::stage::{Case, Seen};

/// Compares what was found with the page, or writes it there when `EVENKEEL_BLESS` is set.
///
/// # Errors
/// When the page says something else.
pub(crate) fn publish(found: &[(&Case, Seen)]) -> Result<()> {
    let page = fs::read_to_string(path()).with_context(|| format!("no page {}", path().display()))?;
    let begin = page.find(HEAD).context("no table in the page")?;
    let end = page[begin..].find("\n\n").map_or(page.len(), |end| begin + end + 1);
    let table = table(found)?;
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        fs::write(path(), format!("{}{table}{}", &page[..begin], &page[end..]))?;
        return Ok(());
    }
    for (said, is) in page[begin..end].lines().zip(table.lines()) {
        ensure!(
            said == is,
            "{}: EVENKEEL_BLESS=1 writes what was found:\n{is}\nThe page says:\n{said}",
            path().display()
        );
    }
    ensure!(page[begin..end].lines().count() == table.lines().count(), "the page has other rows: EVENKEEL_BLESS=1");
    Ok(())
}

fn table(found: &[(&Case, Seen)]) -> Result<String> {
    let mut table = format!("{HEAD}\n| :--- | :--- | :--- | :--- |\n");
    for (Case { setting, values, done, .. }, seen) in found {
        write!(table, "| `{setting}` | {done} |")?;
        for (value, seen) in values.iter().zip(seen) {
            let value = if *value == "\"\"" { value } else { value.trim_matches('"') };
            write!(table, " `{value}`: {seen} |")?;
        }
        table.push('\n');
    }
    Ok(table)
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pool-effects.md")
}

const HEAD: &str = "| setting of `[pool]` | what was done | before | after the reload |";
