//! A discrete-event world around one scheduler: clients that ask, hold and think, and a server that takes time to connect.
//!
//! Time is virtual and chance is seeded, so a run is exact and repeatable. Used by `examples/fairness.rs`, which prints,
//! and by `tests/fairness.rs`, which asserts.

mod client;
mod report;
mod scenario;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use scheduler::{
    Attach, ConnId, ConnectFailure, Decision, Detach, Home, Limits, Moves, Realm, Recycling, Request, Reuse, RouteId,
    Scheduler, StateKey, Ticket, Time,
};

use client::Dice;
pub use client::{Behaviour, Burst, Length};
pub use report::Report;
pub use scenario::{RouteSpec, Scenario, all, spike};

/// Runs a scenario, and once more with all its clients on one route, which is what a single shared pool would give.
#[must_use]
pub fn run(scenario: &Scenario) -> Report {
    let mut report = World::new(scenario).live();
    report.shared_served = World::new(&scenario.merged()).live().served();
    report
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive { client: usize },
    Leave { client: usize },
    GiveUp { client: usize, attempt: u64 },
    Connected(usize),
    Rekeyed(usize),
    Closed(usize),
    Budget(u32),
    Tick,
}

struct Client<'a> {
    route: usize,
    behaviour: &'a Behaviour,
    doing: Doing,
    /// Requests so far.
    attempts: u64,
}

/// What a client is doing.
#[derive(Debug, Clone, Copy)]
enum Doing {
    Thinking,
    Waiting { ticket: Ticket, since: Time },
    Holding { conn: ConnId, since: Time },
}

struct World<'a> {
    scenario: &'a Scenario,
    scheduler: Scheduler,
    now: Time,
    dice: Dice,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    sequence: u64,
    ticking_at: Option<Time>,
    routes: Vec<RouteId>,
    clients: Vec<Client<'a>>,
    waiting: HashMap<Ticket, usize>,
    /// Connections by place.
    conns: HashMap<usize, ConnId>,
    report: Report,
    /// The scheduler's counts when measuring began.
    opens_before: u64,
    rekeys_before: u64,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let start = Time(0);
        let mut scheduler = Scheduler::new(scenario.limits(), scenario.recycling(), 1, start);
        let routes: Vec<RouteId> = scenario
            .routes
            .iter()
            .map(|spec| scheduler.add_route(spec.limits.clone(), Some(Realm(0)), start))
            .collect();
        let clients: Vec<Client<'_>> = scenario
            .routes
            .iter()
            .enumerate()
            .flat_map(|(route, spec)| spec.clients.iter().map(move |behaviour| (route, behaviour)))
            .map(|(route, behaviour)| Client { route, behaviour, doing: Doing::Thinking, attempts: 0 })
            .collect();
        let mut world = Self {
            scheduler,
            now: start,
            dice: Dice::new(scenario.seed),
            events: BinaryHeap::new(),
            sequence: 0,
            ticking_at: None,
            report: Report::new(scenario),
            routes,
            clients,
            waiting: HashMap::new(),
            conns: HashMap::new(),
            opens_before: 0,
            rekeys_before: 0,
            scenario,
        };
        for client in 0..world.clients.len() {
            let first = world.clients[client].behaviour.starts_at;
            world.at(Time(0).after(first), Event::Arrive { client });
        }
        for (after, budget) in &scenario.budgets {
            world.at(Time(0).after(*after), Event::Budget(*budget));
        }
        world
    }

    fn live(mut self) -> Report {
        let warm = Time(0).after(self.scenario.warm_up);
        let end = warm.after(self.scenario.measured);
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            if time >= end {
                break;
            }
            self.pass_to(time, warm);
            self.happen(event);
            self.carry_out();
            self.schedule_tick();
        }
        self.pass_to(end, warm);
        let totals = self.scheduler.totals();
        self.report.opens = totals.opens - self.opens_before;
        self.report.rekeys = totals.rekeys - self.rekeys_before;
        self.report.held = self.scheduler.held();
        self.report.faults = *self.scheduler.faults();
        self.report
    }

    /// Moves the clock, and accounts for what stood still meanwhile.
    fn pass_to(&mut self, time: Time, warm: Time) {
        let totals = self.scheduler.totals();
        if self.now <= warm && time > warm {
            (self.opens_before, self.rekeys_before) = (totals.opens, totals.rekeys);
        }
        let span = time.since(self.now.max(warm));
        let unused = totals.idle + totals.effective_budget.saturating_sub(self.scheduler.held());
        self.report.slot_time += span * totals.effective_budget;
        self.report.wasted += span * unused.min(totals.waiting);
        self.now = time;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { client } => self.arrive(client),
            Event::Leave { client } => self.leave(client),
            Event::GiveUp { client, attempt } => {
                if let Doing::Waiting { ticket, .. } = self.clients[client].doing
                    && self.clients[client].attempts == attempt
                {
                    self.waiting.remove(&ticket);
                    self.scheduler.cancel(ticket, self.now);
                    self.report.routes[self.clients[client].route].cancelled += 1;
                    self.think(client);
                }
            }
            Event::Connected(place) => self.connected(place),
            Event::Rekeyed(place) => {
                let took = self.rekey_time();
                self.scheduler.handle_rekeyed(self.conns[&place], StateKey(0), took, self.now);
            }
            Event::Closed(place) => {
                let conn = self.conns.remove(&place).expect("a close is of a connection");
                self.scheduler.handle_closed(conn, self.now);
            }
            Event::Budget(budget) => {
                self.scheduler.set_limits(Limits { budget, ..self.scenario.limits() }, self.now);
            }
            Event::Tick => {
                self.ticking_at = None;
                self.scheduler.handle_time(self.now);
            }
        }
    }

    fn arrive(&mut self, client: usize) {
        let behaviour = self.clients[client].behaviour;
        if let Some(later) = behaviour.silent_until(self.now) {
            return self.at(later, Event::Arrive { client });
        }
        let cancel = behaviour.cancel_share > 0.0 && self.dice.unit() < behaviour.cancel_share;
        self.clients[client].attempts += 1;
        let deadline = self.now.after(Duration::from_secs(60));
        let request = Request { state: StateKey(0), home: Home(0), deadline };
        match self.scheduler.attach(self.routes[self.clients[client].route], request, self.now) {
            Attach::Granted(conn) => self.hold(client, conn, self.now),
            Attach::Queued(ticket) => {
                self.clients[client].doing = Doing::Waiting { ticket, since: self.now };
                self.waiting.insert(ticket, client);
                if cancel {
                    let patience = Duration::from_millis(30).mul_f64(self.dice.unit());
                    self.at(self.now.after(patience), Event::GiveUp { client, attempt: self.clients[client].attempts });
                }
            }
            Attach::Refused(refusal) => panic!("a simulated client was refused: {refusal}"),
        }
    }

    fn hold(&mut self, client: usize, conn: ConnId, since: Time) {
        let waited = self.now.since(since);
        self.report.granted(self.clients[client].route, waited, self.now);
        self.clients[client].doing = Doing::Holding { conn, since: self.now };
        let length = self.clients[client].behaviour.lease.roll(&mut self.dice);
        self.at(self.now.after(length), Event::Leave { client });
    }

    fn leave(&mut self, client: usize) {
        let Doing::Holding { conn, since } = self.clients[client].doing else { panic!("only a holder leaves") };
        self.report.used(self.clients[client].route, since, self.now);
        self.scheduler.detach(conn, Detach::Keep(StateKey(0)), self.now);
        self.think(client);
    }

    fn think(&mut self, client: usize) {
        self.clients[client].doing = Doing::Thinking;
        let wait = self.clients[client].behaviour.think.roll(&mut self.dice);
        self.at(self.now.after(wait), Event::Arrive { client });
    }

    fn connected(&mut self, place: usize) {
        let conn = self.conns[&place];
        let totals = self.scheduler.totals();
        if self.scheduler.held() - (totals.connecting - totals.rekeying) >= self.scenario.server.accepts {
            self.conns.remove(&place);
            return self.scheduler.handle_connect_failed(conn, ConnectFailure::TooManyConnections, self.now);
        }
        let took = self.scenario.server.connect_time;
        self.scheduler.handle_connected(conn, StateKey(0), Home(0), took, self.now);
    }

    fn carry_out(&mut self) {
        while let Some(decision) = self.scheduler.poll_decision() {
            match decision {
                Decision::Grant { ticket, conn } => {
                    let client = self.waiting.remove(&ticket).expect("a grant is to a waiter");
                    let Doing::Waiting { since, .. } = self.clients[client].doing else {
                        panic!("granted without waiting")
                    };
                    self.hold(client, conn, since);
                }
                Decision::Open { conn, .. } => {
                    self.conns.insert(conn.index(), conn);
                    let ready = self.now.after(self.scenario.server.connect_time);
                    self.at(ready, Event::Connected(conn.index()));
                }
                Decision::Rekey { conn, .. } => {
                    let ready = self.now.after(self.rekey_time());
                    self.at(ready, Event::Rekeyed(conn.index()));
                }
                Decision::Close { conn, .. } => {
                    let gone = self.now.after(self.scenario.server.close_time);
                    self.at(gone, Event::Closed(conn.index()));
                }
                Decision::Expire { ticket, reason } => panic!("{ticket:?} expired: {reason:?}"),
            }
        }
    }

    fn rekey_time(&self) -> Duration {
        self.scenario.server.rekey_time.expect("only where it is set are connections re-keyed")
    }

    fn at(&mut self, time: Time, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time, self.sequence, event)));
    }

    /// Asks to be called when the scheduler wants to be.
    fn schedule_tick(&mut self) {
        if let Some(next) = self.scheduler.next_time()
            && self.ticking_at.is_none_or(|at| next < at)
        {
            self.ticking_at = Some(next);
            self.at(next.max(self.now), Event::Tick);
        }
    }
}
