//! What is the case: servers, routes and connections as of one look at them, and clients as of another.
//!
//! One look is one snapshot of each pool; everything after that works on copies and on counters that anybody may read.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use pool::{
    Activity, ClassId, ClassView, CloseReason, ConnectionView, Faults, RouteId, RouteView, Totals, TransactionView,
};
use session::{ClassMeters, ClientEntry, Engine, Lane, Phase, ServerMeters};

/// All servers with their routes and connections, each list in a fixed order.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) servers: Vec<ServerFacts>,
    pub(crate) classes: Vec<ClassFacts>,
    pub(crate) routes: Vec<RouteFacts>,
    pub(crate) connections: Vec<ConnectionFacts>,
}

/// One server and its pool.
#[derive(Debug)]
pub(crate) struct ServerFacts {
    pub(crate) server: Arc<route::Server>,
    pub(crate) totals: Totals,
    pub(crate) faults: Faults,
    pub(crate) meters: Arc<ServerMeters>,
    pub(crate) transactions: TransactionView,
}

/// One class of a server.
#[derive(Debug)]
pub(crate) struct ClassFacts {
    pub(crate) server: Arc<route::Server>,
    pub(crate) index: route::ClassIndex,
    pub(crate) id: ClassId,
    pub(crate) view: ClassView,
    pub(crate) budget: u32,
    pub(crate) meters: Arc<ServerMeters>,
}

/// One route in use.
#[derive(Debug)]
pub(crate) struct RouteFacts {
    pub(crate) lane: Arc<Lane>,
    pub(crate) protocol: route::Protocol,
    pub(crate) view: RouteView,
    /// Connections out for a test; they count as in use in `view`.
    pub(crate) testing: u32,
    /// The most connections its server allows at present.
    pub(crate) effective_budget: u32,
    /// How long its first waiter has waited.
    pub(crate) oldest_wait: Duration,
}

/// One server connection.
#[derive(Debug)]
pub(crate) struct ConnectionFacts {
    pub(crate) server: Arc<route::Server>,
    /// The route it belongs to; none when the route is gone and the connection about to follow.
    pub(crate) lane: Option<Arc<Lane>>,
    pub(crate) view: ConnectionView,
    pub(crate) now: SystemTime,
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct ClientFacts {
    pub(crate) entry: Arc<ClientEntry>,
    pub(crate) phase: Phase,
    pub(crate) server_process: Option<u32>,
    /// How long it has been connected.
    pub(crate) age: Duration,
    /// How long it has been in its phase, as far as server connections go.
    pub(crate) phase_age: Duration,
    pub(crate) now: SystemTime,
}

/// A promise of the scheduler and how often it was broken.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The value of the metric's label.
    pub(crate) name: &'static str,
    pub(crate) count: fn(&Faults) -> u64,
}

/// Every promise that is watched, as metrics name it.
pub(crate) const FAULTS: &[Fault] = &[
    Fault { name: "over_budget", count: |f| f.over_budget },
    Fault { name: "idle_beside_waiter", count: |f| f.idle_beside_waiter },
    Fault { name: "overtaken", count: |f| f.overtaken },
    Fault { name: "ended_twice", count: |f| f.ended_twice },
    Fault { name: "permits_lost", count: |f| f.permits_lost },
    Fault { name: "starved", count: |f| f.starved },
    Fault { name: "unfair", count: |f| f.unfair },
    Fault { name: "stale_reports", count: |f| f.stale_reports },
];

impl Facts {
    /// Looks at everything.
    pub(crate) fn of(engine: &Engine) -> Self {
        let mut facts = Self { servers: Vec::new(), classes: Vec::new(), routes: Vec::new(), connections: Vec::new() };
        let mut lanes: HashMap<Arc<str>, HashMap<RouteId, Arc<Lane>>> = HashMap::new();
        for lane in engine.lanes() {
            let of_server = lanes.entry(lane.server.clone()).or_default();
            of_server.extend(lane.ids().into_iter().map(|id| (id, lane.clone())));
        }
        let mut servers = engine.servers();
        servers.sort_by(|a, b| a.server.name.cmp(&b.server.name));
        for server in servers {
            let lanes = lanes.remove(&server.server.name).unwrap_or_default();
            facts.add(server, lanes);
        }
        facts.routes.sort_by(|a, b| a.names().cmp(&b.names()));
        facts
    }

    fn add(&mut self, server: session::ServerPool, lanes: HashMap<RouteId, Arc<Lane>>) {
        let snapshot = server.pool.snapshot();
        let now = SystemTime::now();
        let (totals, at) = (snapshot.totals, snapshot.at);
        let class = |(id, view)| Some((server.class(id)?, id, view));
        // By their order in the configuration; a number without a class was somebody's once.
        let mut classes: Vec<_> = snapshot.classes.into_iter().filter_map(class).collect();
        classes.sort_by_key(|(index, ..)| *index);
        let (server, meters) = (Arc::new(server.server), server.meters);
        let mut testing: HashMap<RouteId, u32> = HashMap::new();
        for view in snapshot.connections {
            if view.activity == Activity::Testing {
                *testing.entry(view.route).or_default() += 1;
            }
            let lane = lanes.get(&view.route).cloned();
            self.connections.push(ConnectionFacts { server: server.clone(), lane, view, now });
        }
        let mut places: HashMap<RouteId, usize> = HashMap::new();
        for (id, view) in snapshot.routes {
            // A route without a lane was made or retired just now.
            let Some(lane) = lanes.get(&id) else { continue };
            let testing = testing.get(&id).copied().unwrap_or_default();
            let oldest_wait = view.oldest_waiter.map_or(Duration::ZERO, |since| at.since(since));
            // What a user has on a database in all classes is shown as one.
            if let Some(route) = places.get(&lane.id()).and_then(|place| self.routes.get_mut(*place)) {
                route.add(&view, testing, oldest_wait);
                continue;
            }
            places.insert(lane.id(), self.routes.len());
            let (lane, protocol) = (lane.clone(), server.protocol);
            let effective_budget = totals.effective_budget;
            self.routes.push(RouteFacts { lane, protocol, testing, effective_budget, oldest_wait, view });
        }
        for (index, id, view) in classes {
            let (server, meters, budget) = (server.clone(), meters.clone(), totals.budget);
            self.classes.push(ClassFacts { server, index, id, view, budget, meters });
        }
        let (faults, transactions) = (snapshot.faults, snapshot.transactions);
        self.servers.push(ServerFacts { server, totals, faults, meters, transactions });
    }
}

impl RouteFacts {
    /// Adds what the same lane has in another class.
    fn add(&mut self, other: &RouteView, testing: u32, oldest_wait: Duration) {
        let view = &mut self.view;
        view.guarantee += other.guarantee;
        view.cap = view.cap.zip(other.cap).map(|(one, other)| one.saturating_add(other));
        view.connecting += other.connecting;
        view.idle += other.idle;
        view.in_use += other.in_use;
        view.closing += other.closing;
        view.waiting += other.waiting;
        view.quota += other.quota;
        view.share += other.share;
        view.served += other.served;
        view.service += other.service;
        view.rekeys += other.rekeys;
        view.oldest_waiter = view.oldest_waiter.into_iter().chain(other.oldest_waiter).min();
        self.testing += testing;
        self.oldest_wait = self.oldest_wait.max(oldest_wait);
    }

    /// Server, database, user and flavour: what routes are told apart and ordered by.
    pub(crate) fn names(&self) -> [&str; 4] {
        [&self.lane.server, &self.lane.database, &self.lane.user, self.lane.flavour.name().unwrap_or_default()]
    }

    /// Connected clients. The gauge may dip below zero for an instant when a client changes threads.
    pub(crate) fn clients(&self) -> u64 {
        u64::try_from(self.lane.meters().clients.get()).unwrap_or(0)
    }
}

impl ClassFacts {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.server.classes.get(self.index).name
    }

    /// Its name in VTTablet's metrics.
    pub(crate) fn metric(&self) -> &str {
        &self.server.classes.get(self.index).metric
    }

    /// The names of the classes that it lends to.
    pub(crate) fn lends_to(&self) -> String {
        let names = self.server.classes.lends_to(self.index).iter().map(|class| &*self.server.classes.get(*class).name);
        names.collect::<Vec<_>>().join(", ")
    }

    /// The most connections it can have: its cap, and at most the budget.
    pub(crate) fn capacity(&self) -> u32 {
        self.view.cap.map_or(self.budget, |cap| cap.min(self.budget))
    }

    /// Connections closed because they were idle for too long.
    pub(crate) fn idle_closed(&self) -> u64 {
        self.view.closes.get(CloseReason::IdleTimeout) + self.view.closes.get(CloseReason::MaxIdleTimeout)
    }

    /// What is measured of it, where there are several.
    pub(crate) fn measured(&self) -> Option<&ClassMeters> {
        self.meters.class(self.id)
    }
}

impl ServerFacts {
    /// Broken promises in all; must be zero.
    pub(crate) fn faults_sum(&self) -> u64 {
        FAULTS.iter().map(|fault| (fault.count)(&self.faults)).sum()
    }
}

impl ClientFacts {
    /// Looks at all clients who have logged in, in the order in which they came.
    pub(crate) fn all(engine: &Engine) -> Vec<Self> {
        let (now, instant) = (SystemTime::now(), Instant::now());
        let mut entries = engine.registry().entries();
        entries.sort_unstable_by_key(|entry| entry.number());
        let fact = |entry: Arc<ClientEntry>| Self {
            phase: entry.phase(),
            server_process: entry.server_process(),
            age: instant.saturating_duration_since(entry.since),
            phase_age: entry.phase_age(),
            entry,
            now,
        };
        entries.into_iter().map(fact).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_listed() {
        // A new field does not compile here before it has a place in the list.
        let faults = Faults {
            over_budget: 1,
            idle_beside_waiter: 2,
            overtaken: 4,
            ended_twice: 8,
            permits_lost: 16,
            starved: 32,
            unfair: 64,
            stale_reports: 128,
        };
        assert_eq!(FAULTS.iter().map(|fault| (fault.count)(&faults)).sum::<u64>(), 255);
    }
}
