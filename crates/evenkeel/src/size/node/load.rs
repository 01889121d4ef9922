//! From looks at a node to the load of its servers: numbers in, numbers out.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use sizing::Workload;

use super::{
    class::ClassLoad,
    demand::{CHANCE, Demand},
    exposition::Distribution,
    look::{Look, RouteEntry, RouteName, ServerEntry},
    parts::parts,
};

/// What one server had to do.
#[derive(Debug)]
pub(super) struct ServerLoad {
    pub(super) entry: ServerEntry,
    /// All routes together.
    pub(super) all: Load,
    /// One by one, the busiest first; those that did nothing are left out.
    pub(super) routes: Vec<RouteLoad>,
    /// Its classes, in the order in which they are asked; empty when it has one only.
    pub(super) classes: Vec<ClassLoad>,
}

/// What one route had to do.
#[derive(Debug)]
pub(super) struct RouteLoad {
    pub(super) name: RouteName,
    pub(super) load: Load,
    /// The guarantee that it has.
    pub(super) guarantee: u32,
}

/// Work of one route, or of several.
#[derive(Debug, Clone, Default)]
pub(super) struct Load {
    /// Leases that ended, per second.
    pub(super) rate: f64,
    /// What to size for.
    pub(super) demand: Demand,
    /// How long each was kept, as far as that was watched.
    pub(super) holds: Distribution,
    /// How long clients waited for it.
    pub(super) waits: Distribution,
    /// Connections that clients kept for the whole time, beside those of the leases that ended: sessions in session mode and
    /// transactions that take longer than was watched.
    pub(super) kept: u32,
    /// The most connections seen in use at once.
    pub(super) in_use_max: f64,
    /// The most clients seen waiting at once.
    pub(super) waiting_max: f64,
}

impl Load {
    /// Connections busy on average with leases that ended.
    pub(super) fn busy(&self) -> f64 {
        self.rate * self.holds.mean()
    }

    /// The work to size for; [`None`] when no lease ended.
    pub(super) fn work(&self, instances: u32) -> Result<Option<Workload>> {
        if self.demand.rate <= 0.0 {
            return Ok(None);
        }
        let work = Workload::new(self.demand.rate * f64::from(instances), hold_time(self.demand.hold))?;
        Ok(Some(work.varying(self.holds.variation().min(VARIATION_MOST))?))
    }

    /// Whether clients waited so that more work may come once they wait less.
    pub(super) fn is_held_back(&self) -> bool {
        self.waiting_max >= 1.0 && self.waits.at_most(90.0).is_none_or(|wait| wait > self.holds.mean())
    }
}

/// How long a lease is kept, of what a page says. Below the histogram's resolution its sum may be 0. What is no time at all, since
/// a page may say anything, is one that no [`Workload`] takes.
pub(super) fn hold_time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(Duration::from_micros(1))
}

/// What `looks` at a node, the first one first, say of each of its servers.
///
/// # Errors
/// Fewer than two looks, or counters that went back: the node was restarted meanwhile.
pub(super) fn loads(looks: &[Look], servers: Vec<ServerEntry>, entries: &[RouteEntry]) -> Result<Vec<ServerLoad>> {
    let entries: BTreeMap<RouteName, &RouteEntry> = entries.iter().map(|entry| (entry.name(), entry)).collect();
    let names = looks.last().context("the node was not looked at")?.routes.keys();
    let mut routes = Vec::new();
    for name in names {
        let entry = entries.get(name).copied();
        let in_sessions = entry.is_some_and(|entry| entry.pool_mode == "session");
        let load = load(looks, &[name], in_sessions)?;
        if load.rate > 0.0 || load.kept > 0 {
            routes.push(RouteLoad { name: name.clone(), load, guarantee: entry.map_or(0, |entry| entry.guarantee) });
        }
    }
    routes.sort_by(|a, b| weight(&b.load).total_cmp(&weight(&a.load)));
    let server = |entry: ServerEntry| {
        let (own, others) =
            std::mem::take(&mut routes).into_iter().partition(|route| route.name.server == entry.server);
        routes = others;
        let own: Vec<RouteLoad> = own;
        let names: Vec<&RouteName> =
            own.iter().filter(|route| route.load.rate > 0.0).map(|route| &route.name).collect();
        let mut all = load(looks, &names, false)?;
        all.kept = own.iter().map(|route| route.load.kept).fold(0, u32::saturating_add);
        all.in_use_max = most(looks, |look| in_use(look, &own));
        all.waiting_max = most(looks, |look| waiting(look, &own));
        Ok(ServerLoad { entry, all, routes: own, classes: Vec::new() })
    };
    servers.into_iter().map(server).collect()
}

/// The load of some routes together.
fn load(looks: &[Look], names: &[&RouteName], in_sessions: bool) -> Result<Load> {
    let (first, last) = looks.first().zip(looks.last()).context("the node was not looked at")?;
    let seconds = last.at.duration_since(first.at).as_secs_f64().max(1e-3);
    let mut load = Load::default();
    for name in names {
        let counts = |look: &Look| look.routes.get(name).cloned().unwrap_or_default();
        let (before, after) = (counts(first), counts(last));
        let restarted = "the node was restarted while it was watched: its counters went back";
        load.holds.add(&after.holds.since(&before.holds).context(restarted)?);
        load.waits.add(&after.waits.since(&before.waits).context(restarted)?);
    }
    load.holds = load.holds.cut_to(seconds);
    load.rate = load.holds.count() / seconds;
    load.demand = Demand::of(&parts(looks, names), load.holds.variation());
    let in_use = |look: &Look| names.iter().filter_map(|name| look.routes.get(name)).map(|counts| counts.in_use).sum();
    load.in_use_max = most(looks, in_use);
    load.waiting_max =
        most(looks, |look| names.iter().filter_map(|name| look.routes.get(name)).map(|counts| counts.waiting).sum());
    if in_sessions {
        // A session has its connection from its first statement to its end, and does not wait in between.
        load.kept = (load.in_use_max + load.waiting_max).ceil() as u32;
        (load.rate, load.demand) = (0.0, Demand::default());
    } else {
        let mean = looks.iter().map(in_use).sum::<f64>() / looks.len() as f64;
        load.kept = beyond(mean, load.busy(), looks.len());
    }
    Ok(load)
}

/// Connections in use on average beyond those that ended leases explain, if they are more than few looks make by chance.
fn beyond(seen: f64, busy: f64, looks: usize) -> u32 {
    let chance = CHANCE * (busy.max(1.0) / looks as f64).sqrt();
    if seen > busy + chance { (seen - busy).round() as u32 } else { 0 }
}

fn in_use(look: &Look, routes: &[RouteLoad]) -> f64 {
    routes.iter().filter_map(|route| look.routes.get(&route.name)).map(|counts| counts.in_use).sum()
}

fn waiting(look: &Look, routes: &[RouteLoad]) -> f64 {
    routes.iter().filter_map(|route| look.routes.get(&route.name)).map(|counts| counts.waiting).sum()
}

fn most(looks: &[Look], of: impl Fn(&Look) -> f64) -> f64 {
    looks.iter().map(of).fold(0.0, f64::max)
}

fn weight(load: &Load) -> f64 {
    load.busy() + f64::from(load.kept)
}

/// The most variation that crate `sizing` works with.
const VARIATION_MOST: f64 = 1e4;

#[cfg(test)]
mod tests;
