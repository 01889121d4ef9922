//! The situations that a fair scheduler must master.

use std::time::Duration;

use scheduler::{ClassId, RouteLimits};

use super::{Behaviour, Burst, Length, Limits, Moves, Recycling, Reuse};

/// One situation.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub budget: u32,
    pub connect_concurrency: u32,
    pub server: Server,
    pub routes: Vec<RouteSpec>,
    /// Budgets set later, by time.
    pub budgets: Vec<(Duration, u32)>,
    pub warm_up: Duration,
    pub measured: Duration,
    pub seed: u64,
}

/// The database server.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    pub connect_time: Duration,
    /// How long a new login on a live connection takes; `None`: there is no such thing.
    pub rekey_time: Option<Duration>,
    pub close_time: Duration,
    /// The most connections it accepts.
    pub accepts: u32,
}

/// A route and its clients.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    pub name: &'static str,
    pub limits: RouteLimits,
    pub backlogged: bool,
    pub clients: Vec<Behaviour>,
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Scenario {
    fn new(name: &'static str, budget: u32, routes: Vec<RouteSpec>) -> Self {
        Self {
            name,
            budget,
            connect_concurrency: 8,
            server: Server { connect_time: ms(5), rekey_time: None, close_time: ms(1), accepts: u32::MAX },
            routes,
            budgets: Vec::new(),
            warm_up: ms(2_000),
            measured: ms(10_000),
            seed: 42,
        }
    }

    /// The same on a server where connections can be re-keyed, in a tenth of the time that a connect takes.
    #[must_use]
    pub fn by_rekey(mut self) -> Self {
        self.server.rekey_time = Some(self.server.connect_time / 10);
        self
    }

    /// The same clients on one route.
    pub(super) fn merged(&self) -> Self {
        let clients = self.routes.iter().flat_map(|route| route.clients.clone()).collect();
        let everybody = RouteSpec { name: "everybody", limits: plain(1), backlogged: true, clients };
        Self { routes: vec![everybody], ..self.clone() }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            budget: self.budget,
            connect_concurrency: self.connect_concurrency,
            max_waiters: 100_000,
            reuse: Reuse::MostRecent,
            reclaim_after: ms(100),
            retention_connects: 4,
            probe_after: ms(200),
            moves: if self.server.rekey_time.is_some() { Moves::Rekey } else { Moves::Reconnect },
        }
    }

    pub(super) const fn recycling(&self) -> Recycling {
        Recycling {
            idle_timeout: Some(ms(60_000)),
            max_idle_timeout: None,
            max_lifetime: None,
            lifetime_jitter: 0.0,
            max_uses: None,
        }
    }
}

fn plain(weight: u32) -> RouteLimits {
    RouteLimits { class: ClassId::DEFAULT, weight, guarantee: 0, cap: None, min_idle: 0, max_waiters: None }
}

fn busy(name: &'static str, weight: u32, clients: usize, lease: Duration) -> RouteSpec {
    RouteSpec { name, limits: plain(weight), backlogged: true, clients: vec![Behaviour::busy(lease); clients] }
}

fn light(name: &'static str, clients: usize, lease: Duration, think: Duration) -> RouteSpec {
    let behaviour = Behaviour::busy(lease).thinking(think).from(ms(500));
    RouteSpec { name, limits: plain(1), backlogged: false, clients: vec![behaviour; clients] }
}

/// HikariCP's spike: 50 requests of 2 ms at once, on five idle connections, with a connect time of 150 ms.
#[must_use]
pub fn spike() -> Scenario {
    // Five have used the pool before the fifty come; nobody comes twice.
    let once = Behaviour { lease: Length::Fixed(ms(2)), ..Behaviour::busy(ms(2)) }.thinking(ms(1_000_000));
    let mut clients = vec![once.clone(); 5];
    clients.extend(vec![once.from(ms(1_000)); 50]);
    Scenario {
        server: Server { connect_time: ms(150), rekey_time: None, close_time: ms(1), accepts: u32::MAX },
        warm_up: ms(900),
        measured: ms(1_000),
        connect_concurrency: 50,
        ..Scenario::new("spike", 50, vec![RouteSpec { clients, ..busy("spike", 1, 0, ms(2)) }])
    }
}

/// All situations, in the order in which they are reported.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let eight = (0..8).map(|_| busy("user", 1, 12, ms(5))).collect();
    let weighted = vec![busy("w1", 1, 50, ms(5)), busy("w3", 3, 50, ms(5)), busy("w9", 9, 50, ms(5))];
    let heavy = || busy("heavy", 1, 100, ms(5));
    let mut cancelling: Vec<RouteSpec> = (0..4).map(|_| busy("user", 1, 30, ms(5))).collect();
    for client in cancelling.iter_mut().flat_map(|route| &mut route.clients) {
        client.cancel_share = 0.3;
    }
    let mut bursty = busy("bursty", 1, 40, ms(5));
    bursty.backlogged = false;
    for client in &mut bursty.clients {
        client.burst = Some(Burst { on: ms(300), off: ms(700) });
    }
    let mut tenants: Vec<RouteSpec> = (0..200).map(|_| light("tenant", 1, ms(2), ms(4_000))).collect();
    tenants.extend([busy("busy", 1, 50, ms(5)), busy("busy", 1, 50, ms(5))]);
    let crowd = (0..60).map(|_| busy("user", 1, 3, ms(5))).collect();
    let ranks =
        (0..40).map(|user| if user % 4 == 0 { busy("w4", 4, 3, ms(5)) } else { busy("w1", 1, 3, ms(5)) }).collect();
    let lengths = vec![busy("short", 1, 50, ms(2)), busy("long", 1, 50, ms(50))];
    let refused = (0..4).map(|_| busy("user", 1, 20, ms(5))).collect();
    let resized = (0..4).map(|_| busy("user", 1, 30, ms(5))).collect();
    vec![
        Scenario::new("8 equal users", 20, eight),
        Scenario::new("weights 1:3:9", 20, weighted),
        Scenario::new("heavy, light 2 clients busy", 20, vec![heavy(), light("light", 2, ms(5), ms(0))]),
        Scenario::new("heavy, light 2 clients think 20 ms", 20, vec![heavy(), light("light", 2, ms(5), ms(20))]),
        Scenario::new("heavy, light 1 client thinks 2 s", 20, vec![heavy(), light("light", 1, ms(5), ms(2_000))]),
        Scenario::new("heavy, bursty 0.3 s of 1 s", 20, vec![heavy(), bursty]),
        Scenario::new("long beside short leases", 20, lengths),
        Scenario::new("200 quiet tenants, 2 busy", 40, tenants),
        Scenario::new("60 busy users, 20 slots", 20, crowd),
        Scenario::new("30 users of weight 1, 10 of 4", 20, ranks),
        Scenario {
            server: Server { connect_time: ms(5), rekey_time: None, close_time: ms(1), accepts: 15 },
            ..Scenario::new("server refuses beyond 15 of 20", 20, refused)
        },
        Scenario::new("30 % of requests given up", 20, cancelling),
        Scenario {
            budgets: vec![(ms(4_000), 8), (ms(8_000), 24)],
            ..Scenario::new("budget 20, 8, 24 under load", 20, resized)
        },
    ]
}
