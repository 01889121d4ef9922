//! What a run shows.

use std::time::Duration;

use scheduler::{Faults, Time};

use super::Scenario;

/// One run's figures, over the measured time.
#[derive(Debug)]
pub struct Report {
    pub name: &'static str,
    pub routes: Vec<RouteReport>,
    pub measured: Duration,
    pub opens: u64,
    pub rekeys: u64,
    /// Connections at the end.
    pub held: u32,
    /// Slot time there was.
    pub slot_time: Duration,
    /// Slot time that stood unused beside a waiter.
    pub wasted: Duration,
    /// Leases that the same clients got from one shared pool.
    pub shared_served: u64,
    pub faults: Faults,
    from: Time,
}

/// One route's figures.
#[derive(Debug)]
pub struct RouteReport {
    pub name: &'static str,
    pub weight: u32,
    /// Whether it always wants more: only such routes are compared with one another.
    pub backlogged: bool,
    pub service: Duration,
    pub served: u64,
    pub cancelled: u64,
    waits: Vec<Duration>,
}

impl Report {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let route = |spec: &super::RouteSpec| RouteReport {
            name: spec.name,
            weight: spec.limits.weight,
            backlogged: spec.backlogged,
            service: Duration::ZERO,
            served: 0,
            cancelled: 0,
            waits: Vec::new(),
        };
        Self {
            name: scenario.name,
            routes: scenario.routes.iter().map(route).collect(),
            measured: scenario.measured,
            opens: 0,
            rekeys: 0,
            held: 0,
            slot_time: Duration::ZERO,
            wasted: Duration::ZERO,
            shared_served: 0,
            faults: Faults::default(),
            from: Time(0).after(scenario.warm_up),
        }
    }

    pub(super) fn granted(&mut self, route: usize, waited: Duration, now: Time) {
        if now >= self.from {
            self.routes[route].served += 1;
            self.routes[route].waits.push(waited);
        }
    }

    pub(super) fn used(&mut self, route: usize, since: Time, now: Time) {
        self.routes[route].service += now.since(since.max(self.from));
    }

    pub fn served(&self) -> u64 {
        self.routes.iter().map(|route| route.served).sum()
    }

    /// The names of the routes, each once.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.routes.iter().map(|route| route.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Leases per second of the routes of this name.
    pub fn rate(&self, name: &str) -> f64 {
        self.named(name).map(|route| route.served).sum::<u64>() as f64 / self.measured.as_secs_f64()
    }

    /// Slots that the routes of this name used on average, together.
    pub fn slots(&self, name: &str) -> f64 {
        self.named(name).map(|route| route.service).sum::<Duration>().as_secs_f64() / self.measured.as_secs_f64()
    }

    /// The wait that this part of the requests of the routes of this name did not exceed.
    pub fn wait(&self, name: &str, quantile: f64) -> Duration {
        let mut waits: Vec<Duration> = self.named(name).flat_map(|route| &route.waits).copied().collect();
        waits.sort_unstable();
        let rank = (quantile * waits.len() as f64) as usize;
        waits.get(rank.min(waits.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &RouteReport> {
        self.routes.iter().filter(move |route| route.name == name)
    }

    /// Jain's index of service per weight over the backlogged routes: 1 is equal, 1/n is one taking all.
    pub fn jain(&self) -> f64 {
        let rates = self.rates();
        let (sum, squares) = rates.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
        sum * sum / (rates.len() as f64 * squares)
    }

    /// The smallest service per weight among the backlogged routes, relative to their mean. Jain's index hides one
    /// starved route among many; this does not.
    pub fn smallest_share(&self) -> f64 {
        let rates = self.rates();
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        rates.iter().fold(f64::INFINITY, |least, rate| least.min(*rate)) / mean
    }

    fn rates(&self) -> Vec<f64> {
        let backlogged = self.routes.iter().filter(|route| route.backlogged);
        backlogged.map(|route| route.service.as_secs_f64() / f64::from(route.weight)).collect()
    }

    pub fn opens_per_second(&self) -> f64 {
        self.opens as f64 / self.measured.as_secs_f64()
    }

    pub fn rekeys_per_second(&self) -> f64 {
        self.rekeys as f64 / self.measured.as_secs_f64()
    }

    /// The part of all slot time that stood unused beside a waiter.
    pub fn wasted_share(&self) -> f64 {
        self.wasted.as_secs_f64() / self.slot_time.as_secs_f64()
    }

    /// Throughput relative to one shared pool.
    pub fn of_shared(&self) -> f64 {
        self.served() as f64 / self.shared_served as f64
    }
}
