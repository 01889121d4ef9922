//! No file too long to be one idea, no unfinished work, no clock in a pure crate.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::root;

/// Lines of code a file may have, its tests not counted.
const LINES_MAX: usize = 800;
/// Crates whose code gets the time from its caller.
const TIMELESS: [&str; 6] = ["auth", "mysql", "pg", "route", "scheduler", "sql"];

/// Looks at every Rust file; returns a line for each fault.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for folder in ["crates", "xtask", "bench"] {
        for path in files(&root().join(folder), "rs")? {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let relative = path.strip_prefix(root()).unwrap_or(&path);
            faults.extend(faults_of(relative, &text));
        }
    }
    Ok(faults)
}

/// All files below `folder` with this extension, hidden folders and build output left out.
pub(crate) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn faults_of(path: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let length = code.lines().count();
    if !is_test(path) && length > LINES_MAX {
        faults.push(format!("{}: {length} lines of code, more than {LINES_MAX}", path.display()));
    }
    for (number, line) in (1..).zip(text.lines()) {
        // Spelled in two halves, or this file would find itself.
        for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimplemented", "!(")] {
            if line.contains(mark) {
                faults.push(format!("{}:{number}: unfinished: {}", path.display(), line.trim()));
            }
        }
    }
    let timeless = TIMELESS.iter().any(|name| path.starts_with(Path::new("crates").join(name).join("src")));
    if timeless && !is_test(path) {
        for call in ["Instant::now(", "SystemTime::now("] {
            if code.contains(call) {
                faults.push(format!("{}: {call}) in a crate that gets the time from its caller", path.display()));
            }
        }
    }
    faults
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_a_fault_but_long_tests_are_not() {
        let long = "// line\n".repeat(LINES_MAX + 1);
        assert_eq!(faults_of(Path::new("crates/pg/src/a.rs"), &long).len(), 1);
        assert!(faults_of(Path::new("crates/pg/tests/a.rs"), &long).is_empty());
        assert!(faults_of(Path::new("crates/pg/src/a/tests.rs"), &long).is_empty());
        let tested = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(faults_of(Path::new("crates/pg/src/a.rs"), &tested).is_empty());
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        let text = format!("fn a() {{\n    // {}: later\n}}\n", concat!("TO", "DO"));
        assert!(faults_of(Path::new("xtask/src/a.rs"), &text)[0].starts_with("xtask/src/a.rs:2: unfinished"));
    }

    #[test]
    fn a_clock_is_a_fault_in_timeless_crates_only() {
        let text = "fn a() { let _ = std::time::Instant::now(); }\n";
        assert_eq!(faults_of(Path::new("crates/scheduler/src/a.rs"), text).len(), 1);
        assert!(faults_of(Path::new("crates/pool/src/a.rs"), text).is_empty());
        assert!(faults_of(Path::new("crates/scheduler/examples/a.rs"), text).is_empty());
    }
}
