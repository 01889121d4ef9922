//! Commands: limits and routes that come, change and go while everything runs.

use std::collections::BinaryHeap;

use crate::class::{Class, Level};
use crate::classes::{ClassId, ClassLimits};
use crate::conn::ConnState;
use crate::heap::Heap;
use crate::route::{Life, Route};
use crate::scheduler::{Mode, Scheduler};
use crate::types::{CloseReason, ExpireReason, Limits, Realm, Recycling, RouteId, RouteLimits, Time};

impl Scheduler {
    /// Changes what holds for the server. A smaller budget closes idle connections now, the rest as they come back.
    pub fn set_limits(&mut self, limits: Limits, now: Time) {
        let limits = limits.sound();
        if limits.probe_after != self.limits.probe_after {
            self.ceiling.set_probe_after(limits.probe_after, now);
            let routes: Vec<u32> = self.routes.iter().map(|(index, _)| index).collect();
            for route in routes {
                self.routes[route].ceiling.set_probe_after(limits.probe_after, now);
                self.watch_attempts(route, now);
            }
        }
        self.limits = limits;
        self.disturbed_at = now;
        self.shrink(|scheduler, _| scheduler.sums.permits - scheduler.sums.closing > scheduler.limits.budget, now);
        self.fill(now);
    }

    /// Changes how long connections live, those that live already included.
    pub fn set_recycling(&mut self, recycling: Recycling, now: Time) {
        self.recycling = recycling.sound();
        self.expiries = Heap::default();
        let idle: Vec<u32> = self.idle_indices().collect();
        for conn in idle {
            self.watch_age(conn);
        }
        self.handle_time(now);
    }

    /// Sets what holds for a class; one that is not known is made.
    pub fn set_class(&mut self, class: ClassId, limits: ClassLimits, now: Time) {
        self.make_class(class);
        self.caps.set(class.number(), limits);
        self.disturbed_at = now;
        // What is not lent any more may concern any class.
        self.shrink(|scheduler, route| scheduler.is_beyond_class(route), now);
        self.fill(now);
    }

    /// Forgets a class and all that happened in it, so that another one may have its number. Its routes go on in the default
    /// class with whatever they hold. The default class itself is never forgotten.
    pub fn remove_class(&mut self, class: ClassId, now: Time) {
        let number = class.number();
        if class == ClassId::DEFAULT || number >= self.classes.len() {
            return;
        }
        let of_it = |(index, route): (u32, &Route)| (route.class() == number).then_some(index);
        let routes: Vec<u32> = self.routes.iter().filter_map(of_it).collect();
        for index in routes {
            self.change_class(index, ClassId::DEFAULT);
            self.routes[index].limits.class = ClassId::DEFAULT;
            self.settle(index, now);
        }
        self.caps.forget(class);
        self.classes[number] = Class::default();
        self.disturbed_at = now;
        self.shrink(|scheduler, route| scheduler.is_beyond_class(route), now);
        self.fill(now);
    }

    /// Makes a route known. Connections are re-keyed only between routes of the same realm; with `None` they are not.
    pub fn add_route(&mut self, limits: RouteLimits, realm: Option<Realm>, now: Time) -> RouteId {
        self.make_class(limits.class);
        let (index, generation) = self.routes.insert(Route::new(limits, realm, self.routes.next_index()));
        self.settle(index, now);
        self.fill(now);
        RouteId { index, generation }
    }

    /// Changes what holds for a route. A smaller cap closes idle connections now, the rest as they come back.
    pub fn set_route(&mut self, route: RouteId, limits: RouteLimits, now: Time) {
        let Some(index) = self.live(route) else { return self.faults.stale_reports += 1 };
        self.change_class(index, limits.class);
        self.routes[index].limits = limits;
        self.disturbed_at = now;
        self.settle(index, now);
        self.shrink(
            |scheduler, route| {
                let limits = &scheduler.routes[route];
                let beyond_cap = route == index && limits.limits.cap.is_some_and(|cap| limits.held() > cap);
                beyond_cap || scheduler.is_beyond_class(route)
            },
            now,
        );
        self.fill(now);
    }

    /// Opens connections of a route ahead of demand, once, until it has so many, one of them is closed or its login is refused.
    /// They take only slots that nobody else wants, so it may take a while.
    pub fn open_ahead(&mut self, route: RouteId, connections: u32, now: Time) {
        let Some(index) = self.live(route) else { return self.faults.stale_reports += 1 };
        self.routes[index].wanted_once = connections;
        self.settle(index, now);
        self.fill(now);
    }

    /// Changes the realm of a route and its siblings, for connections opened or re-keyed for them from now on; those they have
    /// keep theirs.
    pub fn set_realm(&mut self, route: RouteId, realm: Option<Realm>, now: Time) {
        let Some(index) = self.live(route) else { return self.faults.stale_reports += 1 };
        let siblings: Vec<u32> = self.ring(index).collect();
        for route in siblings {
            self.routes[route].realm = realm;
        }
        // A slot that was not worth a reconnect may be worth a re-key.
        self.fill(now);
    }

    /// Removes a route: its waiters are told, its idle connections closed, those in use when they come back.
    pub fn remove_route(&mut self, route: RouteId, now: Time) {
        let Some(index) = self.live(route) else { return self.faults.stale_reports += 1 };
        self.routes[index].life = Life::Leaving;
        self.leave_ring(index);
        self.expire_all(index, ExpireReason::RouteGone, now);
        self.close_idle(CloseReason::Shrunk, |scheduler, conn| scheduler.conns[conn].route == index, now);
        self.settle(index, now);
        self.drop_if_gone(index);
        self.fill(now);
    }

    /// Replaces every connection: idle ones are closed now, the others when they come back.
    pub fn reconnect(&mut self, now: Time) {
        self.epoch += 1;
        self.close_idle(CloseReason::Reconnect, |_, _| true, now);
        self.fill(now);
    }

    /// Grants nothing and opens nothing until [`Scheduler::resume`]; requests queue, and still have their deadlines.
    pub fn pause(&mut self, _now: Time) {
        if self.mode == Mode::Running {
            self.mode = Mode::Paused;
        }
    }

    /// Ends a pause: idle connections go to the waiters.
    pub fn resume(&mut self, now: Time) {
        if self.mode != Mode::Paused {
            return;
        }
        self.mode = Mode::Running;
        self.disturbed_at = now;
        let idle: Vec<u32> = self.idle_indices().collect();
        for conn in idle {
            if let Some(waiter) = self.next_waiter(self.conns[conn].route, now) {
                self.leave_idle(conn);
                self.grant(waiter, conn, now);
            }
        }
        self.fill(now);
    }

    /// Ends service for good: newcomers are refused, waiters told, idle connections closed, the rest as they come back.
    /// It is done when [`Scheduler::held`] is 0.
    pub fn drain(&mut self, now: Time) {
        self.mode = Mode::Draining;
        while let Some((_, waiter)) = self.deadlines.peek() {
            self.expire(waiter, ExpireReason::Draining, now);
        }
        self.close_idle(CloseReason::Draining, |_, _| true, now);
        self.retry_at = None;
    }

    /// Tells every waiter of a route.
    pub(crate) fn expire_all(&mut self, route: u32, reason: ExpireReason, now: Time) {
        while let Some(waiter) = self.routes[route].queue.front() {
            self.expire(waiter, reason, now);
        }
    }

    /// Makes a class known.
    pub(crate) fn make_class(&mut self, class: ClassId) {
        if self.classes.len() <= class.number() {
            self.classes.resize_with(class.number() + 1, Class::default);
        }
        self.caps.make(class.number());
    }

    /// Moves a route with all it holds to another class. Its limits say the new one from then on, and it is to be settled.
    fn change_class(&mut self, index: u32, class: ClassId) {
        self.make_class(class);
        let route = &mut self.routes[index];
        let (old, new) = (route.class(), class.number());
        if old == new {
            return;
        }
        let (permits, in_use, closing) = (route.permits(), route.in_use, route.closing);
        if route.hungry_since.take().is_some() {
            self.sums.hungry -= 1;
        }
        self.stop_looking(index);
        let gap = u64::from(self.routes[index].counted.guarantee_gap);
        self.classes[old].guarantee_gap -= gap;
        self.classes[new].guarantee_gap += gap;
        self.classes[old].forget(index);
        self.classes[old].in_use -= in_use;
        self.classes[new].in_use += in_use;
        self.classes[old].closing -= closing;
        self.classes[new].closing += closing;
        for _ in 0..permits {
            self.caps.change(old, new);
        }
    }

    /// Closes idle connections of the routes that are over a limit, the richest first, as long as that says so.
    fn shrink(&mut self, over: impl Fn(&Self, u32) -> bool, now: Time) {
        let mut givers: BinaryHeap<(Level, u32)> = self
            .routes
            .iter()
            .filter(|(_, route)| !route.idle.is_empty())
            .map(|(index, route)| (Level::of(route.held(), route.weight()), index))
            .collect();
        while let Some((_, giver)) = givers.pop() {
            let Some(conn) = self.routes[giver].idle.front().filter(|_| over(self, giver)) else { continue };
            self.leave_idle(conn);
            self.close(conn, CloseReason::Shrunk, None, now);
            let route = &self.routes[giver];
            givers.push((Level::of(route.held(), route.weight()), giver));
        }
    }

    /// Closes every idle connection that is chosen.
    fn close_idle(&mut self, reason: CloseReason, chosen: impl Fn(&Self, u32) -> bool, now: Time) {
        let idle: Vec<u32> = self.idle_indices().filter(|conn| chosen(self, *conn)).collect();
        for conn in idle {
            self.leave_idle(conn);
            self.close(conn, reason, None, now);
        }
    }

    /// The idle connections of all routes.
    fn idle_indices(&self) -> impl Iterator<Item = u32> {
        self.conns.iter().filter(|(_, conn)| matches!(conn.state, ConnState::Idle { .. })).map(|(index, _)| index)
    }
}
