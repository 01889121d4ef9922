//! Commands: limits and routes that come, change and go while everything runs.

use std::collections::BinaryHeap;

use crate::class::{Class, Level};
use crate::conn::ConnState;
use crate::heap::Heap;
use crate::route::{Life, Route};
use crate::scheduler::{Mode, Scheduler};
use crate::types::{
    ClassId, ClassLimits, CloseReason, ExpireReason, Limits, Realm, Recycling, RouteId, RouteLimits, Time,
};

impl Scheduler {
    /// Changes what holds for the server. A smaller budget closes idle connections now, the rest as they come back.
    pub fn set_limits(&mut self, limits: Limits, now: Time) {
        self.limits = limits;
        self.disturbed_at = now;
        self.shrink(|scheduler, _| scheduler.sums.permits - scheduler.sums.closing > scheduler.limits.budget, now);
        self.fill(now);
    }

    /// Changes how long connections live, those that live already included.
    pub fn set_recycling(&mut self, recycling: Recycling, now: Time) {
        self.recycling = recycling;
        self.expiries = Heap::new();
        let idle: Vec<u32> = self.idle_indices().collect();
        for conn in idle {
            self.watch_age(conn);
        }
        self.handle_time(now);
    }

    /// Sets what holds for a class; one that is not known is made.
    pub fn set_class(&mut self, class: ClassId, limits: ClassLimits, now: Time) {
        let index = self.class_index(class);
        self.classes[index as usize].1.limits = limits;
        self.disturbed_at = now;
        self.shrink(
            |scheduler, route| {
                let class = &scheduler.classes[index as usize].1;
                scheduler.routes[route].class == index
                    && class.limits.cap.is_some_and(|cap| class.permits - class.closing > cap)
            },
            now,
        );
        self.fill(now);
    }

    /// Makes a route known. Connections are re-keyed only between routes of the same realm; with `None` they are not.
    pub fn add_route(&mut self, limits: RouteLimits, realm: Option<Realm>, now: Time) -> RouteId {
        let class = self.class_index(limits.class);
        let (index, generation) = self.routes.insert(Route::new(limits, class, realm));
        self.settle(index, now);
        self.fill(now);
        RouteId { index, generation }
    }

    /// Changes what holds for a route. A smaller cap closes idle connections now, the rest as they come back.
    pub fn set_route(&mut self, route: RouteId, limits: RouteLimits, now: Time) {
        let Some(index) = self.live(route) else { return self.faults.stale_reports += 1 };
        self.change_class(index, limits.class, now);
        self.routes[index].limits = limits;
        self.disturbed_at = now;
        self.settle(index, now);
        self.shrink(
            |scheduler, route| {
                let limits = &scheduler.routes[route];
                route == index && limits.limits.cap.is_some_and(|cap| limits.held() > cap)
            },
            now,
        );
        self.fill(now);
    }

    /// Changes the realm of a route, for connections opened or re-keyed for it from now on; those it has keep theirs.
    pub fn set_realm(&mut self, route: RouteId, realm: Option<Realm>, now: Time) {
        let Some(index) = self.live(route) else { return self.faults.stale_reports += 1 };
        self.routes[index].realm = realm;
        // A slot that was not worth a reconnect may be worth a re-key.
        self.fill(now);
    }

    /// Removes a route: its waiters are told, its idle connections closed, those in use when they come back.
    pub fn remove_route(&mut self, route: RouteId, now: Time) {
        let Some(index) = self.live(route) else { return self.faults.stale_reports += 1 };
        self.routes[index].life = Life::Leaving;
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

    /// The index of a class, which is made if it is not known.
    fn class_index(&mut self, id: ClassId) -> u32 {
        let known = self.classes.iter().position(|(other, _)| *other == id);
        known.unwrap_or_else(|| {
            self.classes.push((id, Class::new(ClassLimits::default())));
            self.classes.len() - 1
        }) as u32
    }

    /// Moves a route with all it holds to another class.
    fn change_class(&mut self, index: u32, id: ClassId, now: Time) {
        let class = self.class_index(id);
        let route = &mut self.routes[index];
        let (old, permits, closing) = (route.class, route.permits(), route.closing);
        if old == class {
            return;
        }
        if route.hungry_since.take().is_some() {
            self.sums.hungry -= 1;
        }
        route.class = class;
        self.classes[old as usize].1.forget(index, permits, closing);
        self.classes[class as usize].1.admit(permits, closing);
        self.settle(index, now);
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
