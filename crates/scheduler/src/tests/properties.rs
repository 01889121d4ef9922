//! Random lives of a scheduler, with a model of the caller beside it that checks every promise after every step.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::audit::audit;
use super::{at, class, forever, limits, ms, plain};
use crate::{
    Attach, ClassId, ClassLimits, ClassSet, ClassView, CloseReason, ConnId, ConnectFailure, Decision, Detach, Home,
    Moves, Realm, Recycling, Request, Reuse, RouteId, RouteLimits, Scheduler, StateKey, Ticket, Time,
};

/// One thing that happens. Numbers choose among what there is, modulo.
#[derive(Debug, Clone)]
enum Event {
    Attach {
        route: usize,
        patience_ms: u64,
        state: u64,
    },
    Cancel(usize),
    Detach {
        conn: usize,
        keep: bool,
    },
    Connected {
        conn: usize,
        took_ms: u64,
    },
    Failed {
        conn: usize,
        failure: ConnectFailure,
    },
    Rekeyed {
        conn: usize,
        took_ms: u64,
    },
    RekeyFailed {
        conn: usize,
        failure: ConnectFailure,
    },
    /// A connection under way is lost, and the caller says only that.
    Lost(usize),
    Closed(usize),
    Died(usize),
    Test(usize),
    Pass {
        ms: u64,
    },
    /// Time passes and nobody tells the scheduler.
    Oversleep {
        ms: u64,
    },
    Budget {
        budget: u32,
        connects: u32,
        reuse: Reuse,
        moves: Moves,
    },
    AddRoute(RouteLimits, Option<Realm>),
    AddSibling {
        of: usize,
        limits: RouteLimits,
    },
    /// A connection in use goes to a sibling.
    Transfer {
        conn: usize,
        to: usize,
    },
    SetRealm {
        route: usize,
        realm: Option<Realm>,
    },
    SetRoute {
        route: usize,
        limits: RouteLimits,
    },
    RemoveRoute(usize),
    OpenAhead {
        route: usize,
        connections: u32,
    },
    SetClass {
        class: usize,
        cap: Option<u32>,
        lends_to: u8,
    },
    RemoveClass(usize),
    Recycle(Recycling),
    Reconnect,
    Pause,
    Resume,
}

fn route_limits() -> impl Strategy<Value = RouteLimits> {
    let cap = prop::option::weighted(0.3, 0_u32..6);
    (0_usize..4, 0_u32..5, 0_u32..3, cap, 0_u32..3, prop::option::weighted(0.1, 0_u32..4)).prop_map(
        |(number, weight, guarantee, cap, min_idle, max_waiters)| RouteLimits {
            class: class(number),
            weight,
            guarantee,
            cap,
            min_idle,
            max_waiters,
        },
    )
}

fn recycling() -> impl Strategy<Value = Recycling> {
    let wait = || prop::option::of((1_u64..200).prop_map(ms));
    (wait(), wait(), wait(), 0.0..0.6, prop::option::of(1_u64..5)).prop_map(
        |(idle_timeout, max_idle_timeout, max_lifetime, lifetime_jitter, max_uses)| Recycling {
            idle_timeout,
            max_idle_timeout,
            max_lifetime,
            lifetime_jitter,
            max_uses,
        },
    )
}

fn failure() -> impl Strategy<Value = ConnectFailure> {
    prop_oneof![
        Just(ConnectFailure::TooManyConnections),
        Just(ConnectFailure::TooManyForRoute),
        Just(ConnectFailure::LoginRefused),
        Just(ConnectFailure::Unavailable),
    ]
}

fn moves() -> impl Strategy<Value = Moves> {
    prop_oneof![1 => Just(Moves::Reconnect), 3 => Just(Moves::Rekey)]
}

/// Two realms, and none.
fn realm() -> impl Strategy<Value = Option<Realm>> {
    prop::option::weighted(0.8, prop_oneof![3 => Just(Realm(0)), 1 => Just(Realm(1))])
}

fn event() -> impl Strategy<Value = Event> {
    let any = any::<usize>;
    prop_oneof![
        30 => (any(), 0_u64..400, 0_u64..3)
            .prop_map(|(route, patience_ms, state)| Event::Attach { route, patience_ms, state }),
        4 => any().prop_map(Event::Cancel),
        25 => (any(), prop::bool::weighted(0.9)).prop_map(|(conn, keep)| Event::Detach { conn, keep }),
        20 => (any(), 0_u64..20).prop_map(|(conn, took_ms)| Event::Connected { conn, took_ms }),
        2 => (any(), failure()).prop_map(|(conn, failure)| Event::Failed { conn, failure }),
        15 => (any(), 0_u64..3).prop_map(|(conn, took_ms)| Event::Rekeyed { conn, took_ms }),
        3 => (any(), failure()).prop_map(|(conn, failure)| Event::RekeyFailed { conn, failure }),
        1 => any().prop_map(Event::Lost),
        15 => any().prop_map(Event::Closed),
        1 => any().prop_map(Event::Died),
        3 => any().prop_map(Event::Test),
        20 => prop_oneof![0_u64..30, 0_u64..3_000].prop_map(|ms| Event::Pass { ms }),
        2 => (0_u64..300).prop_map(|ms| Event::Oversleep { ms }),
        1 => (0_u32..12, 0_u32..8, prop_oneof![Just(Reuse::MostRecent), Just(Reuse::LeastRecent)], moves())
            .prop_map(|(budget, connects, reuse, moves)| Event::Budget { budget, connects, reuse, moves }),
        1 => (route_limits(), realm()).prop_map(|(limits, realm)| Event::AddRoute(limits, realm)),
        3 => (any(), route_limits()).prop_map(|(of, limits)| Event::AddSibling { of, limits }),
        8 => (any(), any()).prop_map(|(conn, to)| Event::Transfer { conn, to }),
        1 => (any(), realm()).prop_map(|(route, realm)| Event::SetRealm { route, realm }),
        2 => (any(), route_limits()).prop_map(|(route, limits)| Event::SetRoute { route, limits }),
        1 => any().prop_map(Event::RemoveRoute),
        1 => (any(), 0_u32..8).prop_map(|(route, connections)| Event::OpenAhead { route, connections }),
        3 => (0_usize..4, prop::option::weighted(0.8, 0_u32..6), 0_u8..16)
            .prop_map(|(class, cap, lends_to)| Event::SetClass { class, cap, lends_to }),
        1 => (0_usize..5).prop_map(Event::RemoveClass),
        1 => recycling().prop_map(Event::Recycle),
        1 => Just(Event::Reconnect),
        1 => Just(Event::Pause),
        2 => Just(Event::Resume),
    ]
}

/// The caller's side, as a pool would keep it.
struct World {
    scheduler: Scheduler,
    now: Time,
    budget: u32,
    moves: Moves,
    routes: Vec<RouteId>,
    /// The realms of all routes there ever were.
    realms: HashMap<RouteId, Option<Realm>>,
    /// Waiters in order of arrival, with their route and deadline.
    waiting: VecDeque<(Ticket, RouteId, Time)>,
    connecting: Vec<ConnId>,
    rekeying: Vec<ConnId>,
    /// The realm that each connection was opened in.
    flavours: HashMap<ConnId, Option<Realm>>,
    in_use: Vec<ConnId>,
    closing: Vec<ConnId>,
}

impl World {
    fn new() -> Self {
        let mut scheduler = Scheduler::new(limits(6), forever(), 7, at(0));
        let realm = Some(Realm(0));
        let routes: Vec<_> = (0..3).map(|_| scheduler.add_route(plain(), realm, at(0))).collect();
        let realms = routes.iter().map(|route| (*route, realm)).collect();
        Self {
            scheduler,
            now: at(0),
            budget: 6,
            moves: Moves::Rekey,
            routes,
            realms,
            waiting: VecDeque::new(),
            connecting: Vec::new(),
            rekeying: Vec::new(),
            flavours: HashMap::new(),
            in_use: Vec::new(),
            closing: Vec::new(),
        }
    }

    fn step(&mut self, event: Event) {
        let held = self.scheduler.held();
        self.happen(event);
        self.carry_out();
        audit(&mut self.scheduler, self.now);
        self.carry_out();
        assert!(self.scheduler.faults().is_clean(), "{:?}", self.scheduler.faults());
        assert!(self.scheduler.held() <= self.budget.max(held), "I1");
        let totals = self.scheduler.totals();
        assert_eq!(totals.in_use as usize, self.in_use.len());
        assert_eq!(totals.connecting as usize, self.connecting.len() + self.rekeying.len());
        assert_eq!(totals.rekeying as usize, self.rekeying.len());
        assert_eq!(totals.closing as usize, self.closing.len());
        assert_eq!(totals.waiting as usize, self.waiting.len());
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Attach { route, patience_ms, state } => {
                let Some(route) = pick(&self.routes, route) else { return };
                let deadline = now.after(ms(patience_ms + 1));
                let request = Request { state: StateKey(state), home: Home(state as u16 % 2), deadline };
                match self.scheduler.attach(route, request, now) {
                    Attach::Granted(conn) => {
                        assert!(self.waiting.iter().all(|(_, other, _)| *other != route), "I3: overtaken");
                        self.in_use.push(conn);
                    }
                    Attach::Queued(ticket) => self.waiting.push_back((ticket, route, deadline)),
                    Attach::Refused(_) => {}
                }
            }
            Event::Cancel(waiter) => {
                if !self.waiting.is_empty() {
                    let (ticket, ..) = self.waiting.remove(waiter % self.waiting.len()).expect("in range");
                    self.scheduler.cancel(ticket, now);
                    self.scheduler.cancel(ticket, now);
                }
            }
            Event::Detach { conn, keep } => {
                let Some(conn) = take(&mut self.in_use, conn) else { return };
                if keep {
                    self.scheduler.detach(conn, Detach::Keep(StateKey(1)), now);
                } else {
                    self.closing.push(conn);
                    self.scheduler.detach(conn, Detach::Discard(CloseReason::Unusable), now);
                }
            }
            Event::Connected { conn, took_ms } => {
                let Some(conn) = take(&mut self.connecting, conn) else { return };
                self.scheduler.handle_connected(conn, StateKey(0), Home(0), ms(took_ms), now);
            }
            Event::Failed { conn, failure } => {
                let Some(conn) = take(&mut self.connecting, conn) else { return };
                self.scheduler.handle_connect_failed(conn, failure, now);
            }
            Event::Rekeyed { conn, took_ms } => {
                let Some(conn) = take(&mut self.rekeying, conn) else { return };
                self.scheduler.handle_rekeyed(conn, StateKey(0), ms(took_ms), now);
            }
            Event::RekeyFailed { conn, failure } => {
                let Some(conn) = take(&mut self.rekeying, conn) else { return };
                self.closing.push(conn);
                self.scheduler.handle_rekey_failed(conn, failure, now);
            }
            Event::Lost(conn) => {
                let under_way = if conn % 2 == 0 { &mut self.rekeying } else { &mut self.connecting };
                let Some(conn) = take(under_way, conn) else { return };
                self.scheduler.handle_closed(conn, now);
            }
            Event::Closed(conn) => {
                let Some(conn) = take(&mut self.closing, conn) else { return };
                self.scheduler.handle_closed(conn, now);
            }
            Event::Transfer { conn, to } => self.transfer(conn, to),
            Event::Died(conn) => {
                let Some(conn) = take(&mut self.in_use, conn) else { return };
                self.scheduler.handle_closed(conn, now);
            }
            Event::Test(route) => {
                let Some(route) = pick(&self.routes, route) else { return };
                let Some(conn) = self.scheduler.idle_conns(route).next() else { return };
                assert!(self.scheduler.take_idle(conn, now));
                assert!(!self.scheduler.take_idle(conn, now));
                self.in_use.push(conn);
            }
            Event::Pass { ms: wait } => self.pass(ms(wait)),
            Event::Oversleep { ms: wait } => self.now = now.after(ms(wait)),
            other => self.command(other),
        }
    }

    fn transfer(&mut self, conn: usize, to: usize) {
        let Some(conn) = pick(&self.in_use, conn) else { return };
        let Some((from, _)) = self.scheduler.route_of(conn) else { panic!("in use, and nobody's") };
        let siblings: Vec<RouteId> = self.scheduler.siblings(from).collect();
        let to = pick(&siblings, to).or_else(|| pick(&self.routes, to));
        let Some(to) = to else { return };
        let outcome = self.scheduler.transfer(conn, to, self.now);
        let (is, class) = self.scheduler.route_of(conn).expect("still in use");
        match outcome {
            Ok(()) => assert_eq!((is, class), (to, self.scheduler.route(to).expect("live").class)),
            Err(_) => assert_eq!(is, from, "it stays where it was"),
        }
    }

    fn command(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Budget { budget, connects, reuse, moves } => {
                (self.budget, self.moves) = (budget, moves);
                let limits = crate::Limits { connect_concurrency: connects, reuse, moves, ..limits(budget) };
                self.scheduler.set_limits(limits, now);
            }
            Event::AddRoute(limits, realm) => {
                let route = self.scheduler.add_route(limits, realm, now);
                self.routes.push(route);
                self.realms.insert(route, realm);
            }
            Event::AddSibling { of, limits } => {
                let Some(of) = pick(&self.routes, of) else { return };
                let route = self.scheduler.add_sibling(of, limits, now).expect("it is live");
                self.routes.push(route);
                self.realms.insert(route, self.realms[&of]);
            }
            Event::SetRealm { route, realm } => {
                if let Some(route) = pick(&self.routes, route) {
                    for sibling in self.scheduler.siblings(route) {
                        self.realms.insert(sibling, realm);
                    }
                    self.scheduler.set_realm(route, realm, now);
                }
            }
            Event::SetRoute { route, limits } => {
                if let Some(route) = pick(&self.routes, route) {
                    self.scheduler.set_route(route, limits, now);
                }
            }
            Event::RemoveRoute(route) => {
                if let Some(route) = take(&mut self.routes, route) {
                    self.scheduler.remove_route(route, now);
                    assert_eq!(self.scheduler.route(route), None);
                }
            }
            Event::OpenAhead { route, connections } => {
                if let Some(route) = pick(&self.routes, route) {
                    self.scheduler.open_ahead(route, connections, now);
                }
            }
            Event::SetClass { class: number, cap, lends_to } => {
                let lends_to: ClassSet = (0..4).filter(|other| lends_to & 1 << other != 0).map(class).collect();
                self.scheduler.set_class(class(number), ClassLimits { cap, lends_to }, now);
            }
            Event::RemoveClass(number) => self.remove_class(class(number)),
            Event::Recycle(recycling) => self.scheduler.set_recycling(recycling, now),
            Event::Reconnect => self.scheduler.reconnect(now),
            Event::Pause => self.scheduler.pause(now),
            Event::Resume => self.scheduler.resume(now),
            other => unreachable!("{other:?} is not a command"),
        }
    }

    /// All that is in the class goes on in the default class, and nothing is left of it.
    fn remove_class(&mut self, class: ClassId) {
        let held: u32 = self.scheduler.classes().map(|(_, view)| view.active).sum();
        self.scheduler.remove_class(class, self.now);
        let view = self.scheduler.classes().find(|(id, _)| *id == class).map(|(_, view)| view);
        if class != ClassId::DEFAULT {
            let left = view.map(|view| ClassView { available: 0, ..view });
            assert!(left.is_none_or(|left| left == ClassView::default()));
        }
        // What follows may open and close, and closing ones are counted until they are closed.
        assert!(self.scheduler.classes().map(|(_, view)| view.active).sum::<u32>() >= held);
    }

    /// Lets time pass, stopping wherever the scheduler asked to be called.
    fn pass(&mut self, wait: Duration) {
        let end = self.now.after(wait);
        let mut calls = 0;
        while let Some(next) = self.scheduler.next_time().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.scheduler.handle_time(self.now);
            self.carry_out();
            calls += 1;
            assert!(calls < 10_000, "the scheduler asks for a time that has come, and does nothing then");
        }
        self.now = end;
        let late = self.waiting.iter().find(|(.., deadline)| *deadline < self.now);
        assert_eq!(late, None, "I4: a deadline passed in silence");
    }

    /// Takes the decisions in, checking each against the model.
    fn carry_out(&mut self) {
        while let Some(decision) = self.scheduler.poll_decision() {
            match decision {
                Decision::Grant { ticket, conn } => {
                    let place = self.place(ticket);
                    let (_, route, deadline) = self.waiting[place];
                    assert!(deadline > self.now, "granted after its deadline");
                    let first = self.waiting.iter().position(|(_, other, _)| *other == route);
                    assert_eq!(first, Some(place), "I3: overtaken");
                    self.waiting.remove(place);
                    self.in_use.push(conn);
                }
                Decision::Expire { ticket, .. } => {
                    let place = self.place(ticket);
                    self.waiting.remove(place);
                }
                Decision::Open { conn, route } => {
                    assert!(self.routes.contains(&route), "opened for a route that is gone");
                    self.connecting.push(conn);
                    self.flavours.insert(conn, self.realms[&route]);
                }
                Decision::Rekey { conn, from, to } => {
                    self.assert_at_hand(conn);
                    assert!(self.routes.contains(&to) && from != to);
                    assert_eq!(self.moves, Moves::Rekey);
                    assert!(self.realms[&to].is_some() && self.realms[&to] == self.flavours[&conn], "another realm");
                    self.rekeying.push(conn);
                }
                Decision::Close { conn, .. } => {
                    self.assert_at_hand(conn);
                    self.closing.push(conn);
                }
            }
        }
    }

    /// Nobody has this connection and nothing is being done with it.
    fn assert_at_hand(&self, conn: ConnId) {
        let elsewhere = [&self.in_use, &self.closing, &self.connecting, &self.rekeying];
        assert!(!elsewhere.into_iter().flatten().any(|other| *other == conn), "{conn:?}");
    }

    /// Where a ticket stands; a decision about one that has ended breaks I4.
    fn place(&self, ticket: Ticket) -> usize {
        self.waiting.iter().position(|(other, ..)| *other == ticket).expect("I4: this waiter has ended")
    }

    /// I5: everybody leaves; nothing may stay behind.
    fn leave(mut self) {
        self.scheduler.drain(self.now);
        self.carry_out();
        assert!(self.waiting.is_empty(), "I4: drained and still waiting");
        while self.scheduler.held() > 0 {
            let before = self.scheduler.held();
            for conn in std::mem::take(&mut self.in_use) {
                self.scheduler.detach(conn, Detach::Keep(StateKey(0)), self.now);
            }
            for conn in std::mem::take(&mut self.connecting) {
                self.scheduler.handle_connected(conn, StateKey(0), Home(0), ms(1), self.now);
            }
            for conn in std::mem::take(&mut self.rekeying) {
                self.scheduler.handle_rekeyed(conn, StateKey(0), ms(1), self.now);
            }
            self.carry_out();
            for conn in std::mem::take(&mut self.closing) {
                self.scheduler.handle_closed(conn, self.now);
            }
            self.carry_out();
            assert!(self.scheduler.held() < before, "I5: {:?}", self.scheduler.totals());
        }
        audit(&mut self.scheduler, self.now);
        let totals = self.scheduler.totals();
        assert_eq!((totals.in_use, totals.idle, totals.connecting, totals.closing, totals.waiting), (0, 0, 0, 0, 0));
        assert!(self.scheduler.faults().is_clean(), "{:?}", self.scheduler.faults());
    }
}

fn pick<T: Copy>(from: &[T], choice: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[choice % from.len()])
}

fn take<T>(from: &mut Vec<T>, choice: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(choice % from.len()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// I1 to I5 after every event, and every ticket ends exactly once.
    #[test]
    fn promises_hold_after_every_event(events in prop::collection::vec(event(), 1..250)) {
        let mut world = World::new();
        for event in events {
            world.step(event);
        }
        world.leave();
    }
}
