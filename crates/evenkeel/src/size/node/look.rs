//! What a running node shows of itself at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anyhow::{Context, Result};
use serde::Deserialize;
use sizing::ServerLimit;

use super::{
    exposition::{Distribution, Labels, Page},
    http::Node,
};

/// A route: what metrics and tables tell it apart by. Those beyond the first thousands go by the name `other`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RouteName {
    pub(super) server: String,
    pub(super) database: String,
    pub(super) user: String,
    /// Empty for the usual one.
    pub(super) flavour: String,
}

/// What metrics say at one moment.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) routes: BTreeMap<RouteName, Counts>,
}

/// What was counted of one route so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    /// How long clients kept server connections.
    pub(super) holds: Distribution,
    /// How long they waited for one.
    pub(super) waits: Distribution,
    /// Server connections that clients have now.
    pub(super) in_use: f64,
    /// Clients that wait for one now.
    pub(super) waiting: f64,
}

/// A server as `/api/servers` has it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ServerEntry {
    pub(super) server: String,
    #[serde(default)]
    pub(super) cluster: String,
    #[serde(default)]
    pub(super) address: String,
    #[serde(default)]
    pub(super) protocol: String,
    pub(super) budget: u32,
    /// What it allows at present.
    pub(super) effective_budget: u32,
}

/// A route as `/api/routes` has it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct RouteEntry {
    pub(super) server: String,
    pub(super) database: String,
    pub(super) user: String,
    #[serde(default)]
    pub(super) flavour: Option<String>,
    #[serde(default)]
    pub(super) pool_mode: String,
    #[serde(default)]
    pub(super) guarantee: u32,
}

/// A class as `/api/classes` has it: what was counted of it so far.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ClassEntry {
    pub(super) server: String,
    pub(super) class: String,
    /// Its cap; [`None`]: only the budget limits it.
    #[serde(default)]
    pub(super) capacity: Option<u32>,
    pub(super) leases: u64,
    /// How long clients had its connections, in microseconds.
    pub(super) hold_us: u64,
    /// Requests that found it full.
    #[serde(default)]
    pub(super) exhausted: u64,
}

/// A line of `/api/sum`.
#[derive(Debug, Deserialize)]
pub(super) struct SumEntry {
    server: String,
    term: String,
    #[serde(default)]
    connections: Option<i64>,
}

impl Look {
    /// # Errors
    /// The node does not answer.
    pub(super) fn at(node: &Node) -> Result<Self> {
        let text = node.get("/metrics")?;
        Ok(Self { at: Instant::now(), routes: routes(&Page::parse(&text)) })
    }
}

impl RouteEntry {
    pub(super) fn name(&self) -> RouteName {
        RouteName {
            server: self.server.clone(),
            database: self.database.clone(),
            user: self.user.clone(),
            flavour: self.flavour.clone().unwrap_or_default(),
        }
    }
}

/// The servers of the node.
pub(super) fn servers(node: &Node) -> Result<Vec<ServerEntry>> {
    entries(node, "/api/servers")
}

/// Its routes.
pub(super) fn route_entries(node: &Node) -> Result<Vec<RouteEntry>> {
    entries(node, "/api/routes")
}

/// The classes of the servers.
pub(super) fn classes(node: &Node) -> Result<Vec<ClassEntry>> {
    entries(node, "/api/classes")
}

/// What each server lets in, where the node knows it.
///
/// # Errors
/// The node does not answer. One of a version without the page knows nothing.
pub(super) fn limits(node: &Node) -> Result<BTreeMap<String, ServerLimit>> {
    Ok(limits_of(&entries::<SumEntry>(node, "/api/sum")?))
}

pub(super) fn limits_of(lines: &[SumEntry]) -> BTreeMap<String, ServerLimit> {
    let number = |server: &str, term: &str| {
        let line = lines.iter().find(|line| line.server == server && line.term == term)?;
        u32::try_from(line.connections?).ok()
    };
    let limit = |server: &str| {
        Some(ServerLimit {
            max_connections: number(server, "max_connections")?,
            reserve: number(server, "reserve")?,
            others: number(server, "others")?,
        })
    };
    lines.iter().filter_map(|line| Some((line.server.clone(), limit(&line.server)?))).collect()
}

fn entries<T: for<'de> Deserialize<'de>>(node: &Node, path: &str) -> Result<Vec<T>> {
    let text = node.get(path)?;
    serde_json::from_str(&text).with_context(|| format!("{node}{path}: this is not what a node of Evenkeel answers"))
}

pub(super) fn routes(page: &Page) -> BTreeMap<RouteName, Counts> {
    let holds = page.distributions("evenkeel_route_transaction_seconds");
    let waits = page.distributions("evenkeel_route_wait_seconds");
    let in_use: BTreeMap<&Labels, f64> = page.values("evenkeel_route_in_use_connections").collect();
    let waiting: BTreeMap<&Labels, f64> = page.values("evenkeel_route_waiting_clients").collect();
    let all: BTreeSet<&Labels> = holds.keys().chain(waits.keys()).chain(in_use.keys()).copied().collect();
    let label = |labels: &Labels, name: &str| labels.get(name).cloned().unwrap_or_default();
    let counts = |labels: &Labels| Counts {
        holds: holds.get(labels).cloned().unwrap_or_default(),
        waits: waits.get(labels).cloned().unwrap_or_default(),
        in_use: in_use.get(labels).copied().unwrap_or_default(),
        waiting: waiting.get(labels).copied().unwrap_or_default(),
    };
    let name = |labels: &Labels| RouteName {
        server: label(labels, "server"),
        database: label(labels, "database"),
        user: label(labels, "user"),
        flavour: label(labels, "flavour"),
    };
    all.into_iter().map(|labels| (name(labels), counts(labels))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_the_sum() {
        let lines = r#"[
            {"server": "a", "term": "budget", "setting": null, "connections": 40, "how": ""},
            {"server": "a", "term": "max_connections", "connections": 100},
            {"server": "a", "term": "reserve", "connections": 3},
            {"server": "a", "term": "others", "connections": 7},
            {"server": "b", "term": "usable", "connections": null}
        ]"#;
        let lines: Vec<SumEntry> = serde_json::from_str(lines).unwrap();
        let limits = limits_of(&lines);
        assert_eq!(limits.len(), 1);
        assert_eq!(limits["a"], ServerLimit { max_connections: 100, reserve: 3, others: 7 });
    }
}
