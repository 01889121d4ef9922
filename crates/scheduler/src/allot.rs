//! Who gets the next slot, and who gives one up: the fairness rules.
//!
//! A slot is given to the strongest [`Claim`]: a route below its guarantee first, then the route that would hold the
//! least per weight. When no slot is free, one moves, and a move costs a reconnect or at least a re-key (see
//! `rekey.rs`), so it must be worth one. It is, when the giver keeps its guarantee and one of these holds ([`Scheduler::gives_from`] and [`Scheduler::rotates`]):
//!
//! - the taker is below its guarantee and the giver above its share;
//! - **the smaller grows**: after the move the giver still holds at least as much per weight as the taker. Repeated, this
//!   ends in weighted max-min fairness, the same point that "below its share" aims at, but without summing up what
//!   everybody else could use;
//! - **turns**: the taker holds nothing and the giver more than its share, which is then a fraction: there are more
//!   active routes than slots. The least served goes first; among equals that is who has waited longest;
//! - **remainders**: shares are not whole numbers, so somebody holds one more than others. That one goes round, slowly:
//!   when the taker has fallen behind by much more than the move costs;
//! - the giver's connection has been idle for `reclaim_after`.
//!
//! All but the first and the last also ask that the giver has kept the slot for a minimum time, a multiple of what this
//! very move would cost: connections that can be re-keyed may move sooner.

use std::cmp::Reverse;
use std::time::Duration;

use crate::class::{Claim, Class, Level, Title};
use crate::classes::{ClassId, ClassSet};
use crate::pace::{Ceiling, nanos};
use crate::route::Counted;
use crate::scheduler::{Mode, Scheduler};
use crate::types::Time;

/// A turn lasts this many times as long as a slot is kept anyway: where routes outnumber slots every turn ends in a
/// move, and shorter ones would lose too much time to that.
const TURN_KEEPS: u32 = 4;
/// A remainder goes round when the lag is this many times the time for which a slot is kept anyway: the move then
/// costs well below 1 % of what it sets right.
const LAG_KEEPS: u32 = 32;
/// ... and never for less than this.
const LAG_MIN: Duration = Duration::from_millis(100);

/// How a slot gets to another route. In this order: what arrives alive goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Arrives {
    /// As it is: to a sibling.
    Unchanged,
    /// By a re-key.
    Alive,
    /// By a close and a connect.
    Anew,
}

/// How far a backlogged route may fall behind, in slot time per weight, before a remainder moves to it.
pub(crate) fn lag_max(keep_time: Duration) -> u64 {
    nanos(keep_time.saturating_mul(LAG_KEEPS).max(LAG_MIN))
}

impl Scheduler {
    /// Brings everything derived from a route up to date: the sums, its place among the hungry and the lacking.
    /// To be called after every change of what it holds, is promised, waits for or may have.
    pub(crate) fn settle(&mut self, index: u32, now: Time) {
        let route = &mut self.routes[index];
        if route.held() >= route.wanted_once {
            route.wanted_once = 0;
        }
        let before = route.counted;
        route.counted = Counted {
            active_weight: if route.is_active() { route.weight() } else { 0 },
            guarantee_gap: route.guarantee_gap(),
        };
        let sums = &mut self.sums;
        sums.active_routes += u32::from(route.counted.active_weight > 0);
        sums.active_routes -= u32::from(before.active_weight > 0);
        sums.active_weight = sums.active_weight + route.counted.active_weight - before.active_weight;
        let (gap, gap_before) = (u64::from(route.counted.guarantee_gap), u64::from(before.guarantee_gap));
        sums.guarantee_gap = sums.guarantee_gap + gap - gap_before;

        let class = &mut self.classes[route.class()];
        class.guarantee_gap = class.guarantee_gap + gap - gap_before;
        if route.wants_connection(now, self.connect_time.get()) {
            if route.hungry_since.is_none() {
                sums.hungry += 1;
            }
            let since = *route.hungry_since.get_or_insert(now);
            class.poorest.set(index, Claim::by_weight(route, since));
            match Claim::by_guarantee(route, since) {
                Some(claim) => class.owed.set(index, claim),
                None => class.owed.remove(index),
            }
            class.lagging.set(index, (route.clock, since));
        } else if route.hungry_since.take().is_some() {
            sums.hungry -= 1;
            class.poorest.remove(index);
            class.owed.remove(index);
            class.lagging.remove(index);
        }
        if class.richest.contains(index) {
            class.richest.set(index, Reverse(Level::of(route.held(), route.weight())));
        }
        match (route.lacks_idle(now), class.lacking.contains(index)) {
            (true, false) => class.lacking.set(index, now),
            (false, true) => class.lacking.remove(index),
            _ => {}
        }
        if !route.idle.is_empty() && !route.is_protected(route.held().saturating_sub(1)) {
            self.offer_idle(index);
        }
        self.look_around(index);
    }

    /// Gives out slots as long as there is somebody to give to, something to give, and leave to connect.
    pub(crate) fn fill(&mut self, now: Time) {
        self.retry_at = None;
        if self.mode != Mode::Running {
            return;
        }
        if self.sums.looking > 0 {
            self.serve_from_siblings(now);
        }
        while self.may_connect(now) {
            if !self.give_slot(now) {
                return;
            }
        }
        if self.backoff.until() > now && (self.sums.hungry > 0 || self.lacking_route().is_some()) {
            self.retry_by(self.backoff.until());
        }
    }

    /// Gives out one slot, or sets one moving. False if there is nothing to do.
    fn give_slot(&mut self, now: Time) -> bool {
        if self.sums.hungry > 0 {
            let claimants = self.claimants(|class| self.caps.has_room(class));
            for (title, taker) in claimants.into_iter().flatten() {
                if self.slot_is_free_for(title, taker) || self.may_probe(now) {
                    self.open(taker, now);
                    return true;
                }
                if self.reclaim_for(title, taker, None, now) {
                    return true;
                }
            }
            if self.give_inside(now) {
                return true;
            }
        }
        if let Some(route) = self.lacking_route()
            && self.slot_is_free_for(Title::Weight, route)
        {
            self.open(route, now);
            return true;
        }
        false
    }

    /// Sets a slot moving to a route of a full class, from where one can come: from inside it, or from a class that lends to
    /// it or owes it something. What is owed is asked for first.
    fn give_inside(&mut self, now: Time) -> bool {
        for class in 0..self.classes.len() {
            if self.classes[class].poorest.is_empty() || self.caps.has_room(class) {
                continue;
            }
            let debtors = self.class_set(|from| self.caps.owes(from, class));
            let givers = self.class_set(|from| self.caps.may_move(from, class));
            let claimants = self.claimants(|other| other == class);
            for (title, taker) in claimants.into_iter().flatten() {
                for within in [debtors, givers] {
                    if !within.is_empty() && self.reclaim_for(title, taker, Some(within), now) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn class_set(&self, holds: impl Fn(usize) -> bool) -> ClassSet {
        (0..self.classes.len()).filter(|class| holds(*class)).filter_map(ClassId::new).collect()
    }

    /// Whether one more connect may start now, a slot supposed.
    pub(crate) fn may_connect(&self, now: Time) -> bool {
        // While the server does not answer, one at a time tries.
        let at_once = if self.backoff.failing() { 1 } else { self.limits.connect_concurrency.max(1) };
        self.sums.connecting + self.sums.promised < at_once && self.backoff.until() <= now
    }

    /// Whether the budget has a slot that is not kept for other routes' guarantees.
    pub(crate) fn slot_is_free_for(&self, title: Title, route: u32) -> bool {
        let budget = self.effective_budget();
        let free = u64::from(budget.saturating_sub(self.sums.permits));
        let withheld = match title {
            Title::Guarantee => 0,
            // Guarantees that exceed the budget must not lock everybody else out: one slot stays common.
            Title::Weight => self.withheld_from(route).min(u64::from(budget.saturating_sub(1))),
        };
        free > withheld
    }

    /// Slots that are kept for what other routes lack of their guarantees; in each class no more than it has room for, as the
    /// rest could not be used there.
    fn withheld_from(&self, route: u32) -> u64 {
        let (own_class, own_gap) = (self.routes[route].class(), u64::from(self.routes[route].counted.guarantee_gap));
        if self.sums.guarantee_gap == own_gap {
            return 0;
        }
        let classes = self.classes.iter().enumerate().filter(|(_, class)| class.guarantee_gap > 0);
        let gaps = classes.map(|(number, class)| {
            let gap = class.guarantee_gap - if number == own_class { own_gap } else { 0 };
            self.caps.reachable(number).map_or(gap, |room| gap.min(u64::from(room)))
        });
        gaps.sum()
    }

    /// Whether it is time to try one more connection than the server allowed.
    fn may_probe(&mut self, now: Time) -> bool {
        let Ceiling::Lowered { level, probe_at, .. } = self.ceiling else { return false };
        if self.sums.permits != level || level >= self.limits.budget {
            return false;
        }
        if probe_at > now {
            self.retry_by(probe_at);
        }
        probe_at <= now
    }

    /// Chooses an idle connection to give up for `taker` and sets its slot moving; `within`: only from these classes.
    fn reclaim_for(&mut self, title: Title, taker: u32, within: Option<ClassSet>, now: Time) -> bool {
        let among = |class: &usize| within.is_none_or(|set| ClassId::new(*class).is_some_and(|id| set.contains(id)));
        let classes = 0..self.classes.len();
        let richest = classes.clone().filter(among).filter_map(|class| self.richest_idle(class, taker, now)).min();
        if let Some((.., giver)) = richest
            && let Some(conn) = self.routes[giver].idle.front()
            && let Some(ready) = self.gives_from(conn, self.routes[giver].held() - 1, title, taker, now)
        {
            if ready <= now {
                self.move_idle(conn, taker, now);
                return true;
            }
            self.retry_by(ready);
        }
        let coldest = classes.filter(among).filter_map(|class| self.coldest_idle(class)).min();
        if let Some((since, giver)) = coldest
            && let Some(conn) = self.routes[giver].idle.front()
        {
            let ready = since.after(self.limits.reclaim_after);
            if ready <= now {
                self.move_idle(conn, taker, now);
                return true;
            }
            self.retry_by(ready);
        }
        false
    }

    fn move_idle(&mut self, conn: u32, taker: u32, now: Time) {
        self.leave_idle(conn);
        self.move_slot(conn, taker, now);
    }

    /// Which route gets the slot of this connection, which its holder has just given back; `None`: its own keeps it.
    pub(crate) fn successor(&self, conn: u32, now: Time) -> Option<u32> {
        if self.sums.hungry == 0 || self.mode != Mode::Running || !self.may_connect(now) {
            return None;
        }
        let own = self.conns[conn].route;
        let after = self.routes[own].held();
        if self.routes[own].is_protected(after) {
            return None;
        }
        let own_class = self.routes[own].class();
        // What its class owes goes first; and in its own class, the connection makes the room.
        if self.caps.are_loans_out()
            && let Some(taker) = self.best_taker(conn, after, |class| self.caps.owes(own_class, class), now)
        {
            return Some(taker);
        }
        let eligible = |class: usize| self.caps.may_move(own_class, class);
        if let Some(taker) = self.best_taker(conn, after, eligible, now) {
            return Some(taker);
        }
        let (_, taker) = self.first(eligible, |class| class.lagging.peek())?;
        (taker != own && self.rotates(conn, after, taker, now)).then_some(taker)
    }

    /// Which other route in the classes that pass has the strongest claim that moves this connection's slot now.
    fn best_taker(&self, conn: u32, after: u32, passes: impl Fn(usize) -> bool, now: Time) -> Option<u32> {
        let own = self.conns[conn].route;
        let takers = self.claimants(passes).into_iter().flatten();
        let mut ready = takers.filter(|(title, taker)| {
            *taker != own && self.gives_from(conn, after, *title, *taker, now).is_some_and(|ready| ready <= now)
        });
        ready.next().map(|(_, taker)| taker)
    }

    /// From when on the route of this connection, which would keep `after` others, gives it to `taker`.
    fn gives_from(&self, conn: u32, after: u32, title: Title, taker: u32, now: Time) -> Option<Time> {
        let (giver, since) = (self.conns[conn].route, self.conns[conn].since);
        let (giving, taking) = (&self.routes[giver], &self.routes[taker]);
        if self.caps.owes(giving.class(), taking.class()) {
            return Some(since.after(self.keep_time(self.move_time(conn, taker, now))));
        }
        let above_share = self.is_above_share(giver, after + 1);
        if title == Title::Guarantee && above_share {
            return Some(since);
        }
        if u64::from(after) * taking.weight() >= u64::from(taking.expected() + 1) * giving.weight() {
            return Some(since.after(self.keep_time(self.move_time(conn, taker, now))));
        }
        if taking.expected() > 0 || !above_share {
            return None;
        }
        // A giver with waiters of its own has its turn first.
        let keeps = if giving.queue.is_empty() { 1 } else { TURN_KEEPS };
        Some(since.after(self.keep_time(self.move_time(conn, taker, now)).saturating_mul(keeps)))
    }

    /// Whether a slot that does not divide evenly goes round to `taker` with this connection, whose route would keep
    /// `after` others.
    fn rotates(&self, conn: u32, after: u32, taker: u32, now: Time) -> bool {
        let (giver, since) = (self.conns[conn].route, self.conns[conn].since);
        let (giving, taking) = (&self.routes[giver], &self.routes[taker]);
        if Level::of(after + 1, giving.weight()) <= Level::of(taking.expected(), taking.weight()) {
            return false;
        }
        let lag = giving.clock.saturating_sub(taking.clock);
        let keep_time = self.keep_time(self.move_time(conn, taker, now));
        lag > lag_max(keep_time) && since.after(keep_time) <= now
    }

    /// Whether `held` connections are more than the route's share: of the budget by weight, or its guarantee.
    fn is_above_share(&self, route: u32, held: u32) -> bool {
        let route = &self.routes[route];
        let by_weight = u64::from(held) * self.sums.active_weight > u64::from(self.effective_budget()) * route.weight();
        by_weight && held > route.guarantee()
    }

    /// How long a route keeps a slot before fairness may move it, where the move takes `move_time`.
    pub(crate) fn keep_time(&self, move_time: Duration) -> Duration {
        move_time.saturating_mul(self.limits.retention_connects)
    }

    /// Who asks most strongly among the classes that pass: by guarantee, then by weight.
    ///
    /// Both, because whoever could serve the one is not always somebody who could serve the other.
    pub(crate) fn claimants(&self, passes: impl Fn(usize) -> bool) -> [Option<(Title, u32)>; 2] {
        let owed = self.first(&passes, |class| class.owed.peek());
        let poorest = self.first(&passes, |class| class.poorest.peek());
        [owed.map(|(_, route)| (Title::Guarantee, route)), poorest.map(|(_, route)| (Title::Weight, route))]
    }

    /// The least of what the classes that pass put first.
    fn first<K: Ord>(
        &self,
        passes: impl Fn(usize) -> bool,
        peek: impl Fn(&Class) -> Option<(K, u32)>,
    ) -> Option<(K, u32)> {
        let classes = self.classes.iter().enumerate();
        classes.filter_map(|(number, class)| peek(class).filter(|_| passes(number))).min()
    }

    /// The first route that lacks idle connections in a class with room of its own: nothing is borrowed for these.
    fn lacking_route(&self) -> Option<u32> {
        self.first(|class| self.caps.of(class).has_room(), |class| class.lacking.peek()).map(|(_, route)| route)
    }

    /// Enters a route among those that have an idle connection to give.
    pub(crate) fn offer_idle(&mut self, index: u32) {
        let route = &self.routes[index];
        let class = &mut self.classes[route.class()];
        if !class.richest.contains(index) {
            class.richest.set(index, Reverse(Level::of(route.held(), route.weight())));
        }
        if !class.coldest.contains(index)
            && let Some(front) = route.idle.front()
        {
            class.coldest.set(index, self.conns[front].rested_since());
        }
    }

    /// The route that holds the most per weight among those with an idle connection they may lose; among equals, as far
    /// as they are in sight, one whose connection would get to `taker` alive.
    fn richest_idle(&mut self, class: usize, taker: u32, now: Time) -> Option<(Reverse<Level>, Arrives, u32)> {
        let (level, first) = loop {
            let class = &mut self.classes[class];
            let (level, index) = class.richest.peek()?;
            let route = &self.routes[index];
            if !route.idle.is_empty() && !route.is_protected(route.held() - 1) {
                break (level, index);
            }
            // It comes back when a connection of it falls idle.
            class.richest.remove(index);
        };
        let arrives = |route: u32| match self.routes[route].idle.front() {
            Some(_) if self.are_siblings(route, taker) => Arrives::Unchanged,
            Some(conn) if self.may_rekey(conn, taker, now) => Arrives::Alive,
            _ => Arrives::Anew,
        };
        let best = (arrives(first), first);
        if best.0 != Arrives::Anew {
            return Some((level, best.0, first));
        }
        let equals = self.classes[class].richest.next_few().iter().filter(|(other, _)| *other == level);
        let others = equals.map(|(_, index)| (arrives(*index), *index));
        let alive = others.filter(|(how, index)| {
            let route = &self.routes[*index];
            *how < best.0 && !route.is_protected(route.held() - 1)
        });
        let (how, giver) = alive.min_by_key(|(how, _)| *how).unwrap_or(best);
        Some((level, how, giver))
    }

    /// The route whose connection has been idle longest among those that may lose one.
    fn coldest_idle(&mut self, class: usize) -> Option<(Time, u32)> {
        let class = &mut self.classes[class];
        loop {
            let (key, index) = class.coldest.peek()?;
            let route = &self.routes[index];
            match route.idle.front() {
                Some(front) if !route.is_protected(route.held() - 1) => {
                    let since = self.conns[front].rested_since();
                    if since == key {
                        return Some((since, index));
                    }
                    class.coldest.set(index, since);
                }
                _ => class.coldest.remove(index),
            }
        }
    }

    /// Notes that another attempt is worth it at `at`.
    fn retry_by(&mut self, at: Time) {
        self.retry_at = Some(self.retry_at.map_or(at, |before| before.min(at)));
    }
}
