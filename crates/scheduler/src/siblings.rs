//! Routes that differ in nothing but their class, and connections that change between them as they are.
//!
//! What a connection has logged in as is the same for all siblings, so a change costs nothing: a permit moves from class to
//! class, and nobody connects or logs in. An idle connection therefore serves a sibling's waiter before another one is opened,
//! as far as caps allow and its own route can spare it; and a connection in use can be transferred while it is in use.

use crate::class::Level;
use crate::classes::NoTransfer;
use crate::conn::ConnState;
use crate::route::{Life, Route};
use crate::scheduler::{Mode, Scheduler};
use crate::types::{ConnId, Request, RouteId, RouteLimits, Time};

/// What came of looking for a sibling's connection for a waiting route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// There was one; its waiter has it.
    Served,
    /// There is one, and the class has no room for it.
    ClassFull,
    /// There is nothing to be had. What changes that is told by [`Scheduler::look_around`].
    Nothing,
}

impl Scheduler {
    /// Makes a route known that differs from `of` in nothing but its class and its other limits. `None`: that is not known
    /// (any more).
    pub fn add_sibling(&mut self, of: RouteId, limits: RouteLimits, now: Time) -> Option<RouteId> {
        let sibling = self.live(of)?;
        self.make_class(limits.class);
        let index = self.routes.next_index();
        let realm = self.routes[sibling].realm;
        let next = std::mem::replace(&mut self.routes[sibling].sibling, index);
        let route = Route { sibling: next, ..Route::new(limits, realm, index) };
        let (index, generation) = self.routes.insert(route);
        self.settle(index, now);
        self.fill(now);
        Some(RouteId { index, generation })
    }

    /// A route and its siblings; nothing for an id that is unknown or stale.
    pub fn siblings(&self, route: RouteId) -> impl Iterator<Item = RouteId> {
        self.live(route).into_iter().flat_map(|index| self.ring(index)).map(|index| self.route_id(index))
    }

    /// Makes a connection in use one of a sibling route, while it is in use: its lease goes on, its old class has room at
    /// once, and is given to who waits there.
    ///
    /// # Errors
    /// [`NoTransfer`]: it stays with the route it has. A class with a cap takes nobody in while others wait for its room.
    pub fn transfer(&mut self, conn: ConnId, to: RouteId, now: Time) -> Result<(), NoTransfer> {
        let taker = self.live(to).ok_or(NoTransfer::UnknownRoute)?;
        let index = self.conn(conn).ok_or(NoTransfer::NotInUse)?;
        let ConnState::Lent { since } = self.conns[index].state else { return Err(NoTransfer::NotInUse) };
        let giver = self.conns[index].route;
        if giver == taker {
            return Ok(());
        }
        self.may_transfer(giver, taker)?;
        self.charge(giver, since, now);
        self.leave_use(index);
        self.relabel(index, taker, now);
        self.enter_use(index, ConnState::Lent { since: now });
        self.note_exhaustion(taker);
        self.settle(taker, now);
        self.fill(now);
        Ok(())
    }

    fn may_transfer(&self, giver: u32, taker: u32) -> Result<(), NoTransfer> {
        if !self.are_siblings(giver, taker) {
            return Err(NoTransfer::NoSibling);
        }
        let route = &self.routes[taker];
        if let Some(cap) = route.limits.cap.filter(|_| !route.has_room()) {
            return Err(NoTransfer::RouteFull { cap });
        }
        let (from, to) = (self.routes[giver].class(), route.class());
        match self.caps.of(to).limits().cap {
            // Room that somebody waits for is none.
            Some(cap) if !self.classes[to].poorest.is_empty() || !self.caps.may_move(from, to) => {
                Err(NoTransfer::ClassFull { class: route.limits.class, cap })
            }
            _ => Ok(()),
        }
    }

    /// Makes a connection one of a sibling route. It is in no list and no count of the old one, which is settled here; the new
    /// one must be settled when the connection has found its place there.
    pub(crate) fn relabel(&mut self, conn: u32, taker: u32, now: Time) {
        let giver = std::mem::replace(&mut self.conns[conn].route, taker);
        let fits = self.change_permit(giver, taker);
        self.class_mut(taker).counters.transfers += 1;
        self.faults.over_budget += u64::from(!fits || !self.routes[taker].has_room());
        self.settle(giver, now);
    }

    /// Gives a connection that is in no list to the first waiter of a sibling route. If they have all run out of time it goes
    /// wherever it would have gone without them.
    pub(crate) fn pass_on(&mut self, conn: u32, taker: u32, now: Time) {
        match self.next_waiter(taker, now) {
            Some(waiter) => {
                self.relabel(conn, taker, now);
                self.grant(waiter, conn, now);
            }
            None => self.place(conn, now, now),
        }
    }

    /// An idle connection that a sibling can spare for this request.
    pub(crate) fn sibling_idle(&self, taker: u32, request: &Request) -> Option<u32> {
        let giver = self.spare_siblings(taker).filter(|giver| self.may_give(*giver, taker)).max_by_key(|giver| {
            let route = &self.routes[*giver];
            Level::of(route.idle.len(), 1)
        })?;
        self.pick_idle(giver, request)
    }

    /// Has siblings serve who waits, where they can and caps allow it.
    pub(crate) fn serve_from_siblings(&mut self, now: Time) {
        for class in 0..self.classes.len() {
            while let Some((_, route)) = self.classes[class].looking.peek() {
                match self.look(route, now) {
                    Look::Served => {}
                    Look::ClassFull => break,
                    Look::Nothing => self.stop_looking(route),
                }
            }
        }
    }

    fn look(&mut self, taker: u32, now: Time) -> Look {
        if self.mode != Mode::Running {
            return Look::Nothing;
        }
        let Some(waiter) = self.next_waiter(taker, now) else { return Look::Nothing };
        if self.spare_siblings(taker).next().is_none() {
            return Look::Nothing;
        }
        let request = self.waiters[waiter].request;
        let Some(conn) = self.sibling_idle(taker, &request) else { return Look::ClassFull };
        self.leave_idle(conn);
        self.pass_on(conn, taker, now);
        Look::Served
    }

    /// Enters the waiting ones among a route and its siblings with those that look for an idle connection.
    #[inline]
    pub(crate) fn look_around(&mut self, route: u32) {
        if self.routes[route].sibling != route {
            self.look_around_ring(route);
        }
    }

    fn look_around_ring(&mut self, route: u32) {
        let mut member = self.routes[route].sibling;
        loop {
            self.look_out(member);
            if member == route {
                return;
            }
            member = self.routes[member].sibling;
        }
    }

    fn look_out(&mut self, member: u32) {
        let route = &self.routes[member];
        match route.queue.front() {
            Some(waiter) if route.life == Life::Live => {
                let arrival = self.waiters[waiter].arrival;
                let looking = &mut self.classes[route.class()].looking;
                self.sums.looking += u32::from(!looking.contains(member));
                looking.set(member, arrival);
            }
            _ => self.stop_looking(member),
        }
    }

    /// Forgets that a route looks for a sibling's connection.
    pub(crate) fn stop_looking(&mut self, route: u32) {
        let looking = &mut self.class_mut(route).looking;
        if looking.contains(route) {
            looking.remove(route);
            self.sums.looking -= 1;
        }
    }

    /// The siblings of a route with an idle connection to spare, if its own cap allows it one more.
    pub(crate) fn spare_siblings(&self, taker: u32) -> impl Iterator<Item = u32> {
        let wanted = self.routes[taker].has_room();
        self.ring(taker).filter(move |giver| wanted && *giver != taker && self.routes[*giver].can_spare_idle())
    }

    /// Whether the classes of these routes allow a connection to change between them.
    fn may_give(&self, giver: u32, taker: u32) -> bool {
        self.caps.may_move(self.routes[giver].class(), self.routes[taker].class())
    }

    /// Whether two routes, not the same, are siblings.
    #[inline]
    pub(crate) fn are_siblings(&self, one: u32, other: u32) -> bool {
        // Nearly all have none.
        self.routes[one].sibling != one && one != other && self.ring(one).any(|member| member == other)
    }

    /// A route and its siblings.
    pub(crate) fn ring(&self, route: u32) -> impl Iterator<Item = u32> {
        let next = move |member: &u32| Some(self.routes[*member].sibling).filter(|next| *next != route);
        std::iter::successors(Some(route), next)
    }

    /// Takes a route out of its ring.
    pub(crate) fn leave_ring(&mut self, route: u32) {
        let next = self.routes[route].sibling;
        let before = self.ring(route).last().unwrap_or(route);
        self.routes[before].sibling = next;
        self.routes[route].sibling = route;
    }
}

impl Route {
    /// Whether it has an idle connection that it neither keeps for `min_idle` nor needs for its guarantee.
    fn can_spare_idle(&self) -> bool {
        self.idle.len() > self.limits.min_idle && !self.is_protected(self.held() - 1)
    }
}
