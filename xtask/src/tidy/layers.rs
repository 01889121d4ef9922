//! A crate imports only what ARCHITECTURE.md allows, and a pure crate nothing that touches the world.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::shell::{cargo, root};

/// What the table says about one crate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rule {
    imports: Imports,
    pure: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Imports {
    Only(BTreeSet<String>),
    Everything,
}

impl Default for Imports {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// One dependency of a crate on another.
#[derive(Debug, PartialEq, Eq)]
struct Edge {
    from: String,
    to: String,
    /// Of this workspace.
    ours: bool,
    /// For tests and examples only.
    dev: bool,
}

/// Compares `cargo metadata` with the table; returns a line for each difference.
pub(crate) fn check() -> Result<Vec<String>> {
    let rules = parse(&fs::read_to_string(root().join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?)?;
    let output = cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let (crates, edges) = read(&metadata)?;
    Ok(compare(&rules, &crates, &edges))
}

/// Reads the rows `| crate | may import | pure |` of the table under the heading that starts with "Allowed edges".
fn parse(document: &str) -> Result<BTreeMap<String, Rule>> {
    let (_, section) = document.split_once("# Allowed edges").context("no heading \"Allowed edges\"")?;
    let mut rules = BTreeMap::new();
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    for row in rows.skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, imports, pure] = cells.as_slice() else { continue };
        let names = imports.split(',').map(plain).filter(|name| name != "nothing").collect();
        let imports = if plain(imports) == "everything" { Imports::Everything } else { Imports::Only(names) };
        rules.insert(plain(name), Rule { imports, pure: *pure == "yes" });
    }
    ensure!(!rules.is_empty(), "the table of allowed edges is empty");
    Ok(rules)
}

fn plain(cell: &str) -> String {
    cell.trim().trim_matches('`').to_owned()
}

fn read(metadata: &Value) -> Result<(BTreeSet<String>, Vec<Edge>)> {
    let mut crates = BTreeSet::new();
    let mut edges = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let from = short(package["name"].as_str().context("name")?);
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            edges.push(Edge {
                from: from.clone(),
                to: short(dependency["name"].as_str().context("dependency name")?),
                ours: dependency["path"].is_string(),
                dev: dependency["kind"] == "dev",
            });
        }
        crates.insert(from);
    }
    Ok((crates, edges))
}

/// The name a crate has in the table: `evenkeel-pool` is `pool`.
fn short(package: &str) -> String {
    package.strip_prefix("evenkeel-").unwrap_or(package).to_owned()
}

fn compare(rules: &BTreeMap<String, Rule>, crates: &BTreeSet<String>, edges: &[Edge]) -> Vec<String> {
    let missing = crates.iter().filter(|name| !rules.contains_key(*name));
    let mut faults: Vec<String> =
        missing.map(|name| format!("{name} is not in ARCHITECTURE.md's table of allowed edges")).collect();
    let stale = rules.keys().filter(|name| !crates.contains(*name));
    faults.extend(stale.map(|name| format!("ARCHITECTURE.md's table names {name}, which is no crate")));
    for edge in edges {
        let Some(rule) = rules.get(&edge.from) else { continue };
        let allowed = match &rule.imports {
            Imports::Everything => true,
            Imports::Only(names) => names.contains(&edge.to) || (edge.dev && edge.to == "testkit"),
        };
        if edge.ours && !allowed {
            faults.push(format!("{} must not import {} (ARCHITECTURE.md, Allowed edges)", edge.from, edge.to));
        }
        if rule.pure && !edge.dev && IMPURE.contains(&edge.to.as_str()) {
            faults.push(format!("{} is pure and must not depend on {}", edge.from, edge.to));
        }
    }
    faults
}

/// Dependencies that mean a socket, a runtime, a clock or randomness.
const IMPURE: [&str; 8] = ["tokio", "mio", "socket2", "rustix", "getrandom", "rand", "axum", "tracing"];

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "## Allowed edges\n\nText.\n\n| crate | may import | pure |\n| :-- | :-- | --: |\n\
                            | `low` | nothing | yes |\n| `high` | `low` | no |\n| `top` | everything | no |\n\nafter | it\n";

    fn edge(from: &str, to: &str, ours: bool, dev: bool) -> Edge {
        Edge { from: from.to_owned(), to: to.to_owned(), ours, dev }
    }

    fn faults(edges: &[Edge]) -> Vec<String> {
        let crates = ["low", "high", "top"].map(str::to_owned).into();
        compare(&parse(DOCUMENT).unwrap(), &crates, edges)
    }

    #[test]
    fn allowed_edges_pass() {
        let edges = [edge("high", "low", true, false), edge("top", "high", true, false)];
        assert_eq!(faults(&edges), [""; 0]);
        assert_eq!(faults(&[edge("low", "testkit", true, true), edge("low", "tokio", false, true)]), [""; 0]);
    }

    #[test]
    fn an_upward_edge_is_a_fault_even_for_tests() {
        assert_eq!(faults(&[edge("low", "high", true, false)]).len(), 1);
        assert_eq!(faults(&[edge("low", "high", true, true)]).len(), 1);
        assert_eq!(faults(&[edge("low", "testkit", true, false)]).len(), 1);
    }

    #[test]
    fn a_pure_crate_has_no_runtime() {
        assert_eq!(faults(&[edge("low", "tokio", false, false)]), ["low is pure and must not depend on tokio"]);
        assert_eq!(faults(&[edge("high", "tokio", false, false)]), [""; 0]);
    }

    #[test]
    fn crates_and_table_name_each_other() {
        let crates = ["low", "high", "newcomer"].map(str::to_owned).into();
        let found = compare(&parse(DOCUMENT).unwrap(), &crates, &[]);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
