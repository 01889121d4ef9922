//! The service clock, and the watch over what it promises (I6, I7).

use std::time::Duration;

use crate::allot::lag_max;
use crate::pace::nanos;
use crate::scheduler::Scheduler;
use crate::types::Time;

/// A backlogged route this many permissible lags behind shows a broken rule.
const LAG_FAULT: u32 = 16;

impl Scheduler {
    /// Charges a lease that began at `since`.
    pub(crate) fn charge(&mut self, index: u32, since: Time, now: Time) {
        let lease = now.since(since);
        self.counters.longest_lease = self.counters.longest_lease.max(lease);
        let route = &mut self.routes[index];
        route.charge(lease);
        let (clock, backlogged) = (route.clock, route.hungry_since.is_some());
        let counters = &mut self.class_mut(index).counters;
        counters.hold_ns = counters.hold_ns.saturating_add(now.0.saturating_sub(since.0));
        if clock >= self.virtual_time {
            return;
        }
        // Debts are forgiven in time: a route held back by its cap for an hour is not owed an hour.
        let patience = self.patience(index);
        let oldest_debt = self.virtual_time.saturating_sub(nanos(patience));
        if clock < oldest_debt {
            self.routes[index].clock = oldest_debt;
            let disturbed = now.since(self.disturbed_at) <= patience;
            let has_room = self.caps.has_room(self.routes[index].class());
            self.faults.unfair += u64::from(backlogged && !disturbed && has_room);
        }
    }

    /// The connection of `giver` is about to stay with it: has somebody with nothing at all waited too long for that?
    pub(crate) fn watch_hunger(&mut self, giver: u32, now: Time) {
        if self.sums.hungry > 0
            && let [_, Some((_, taker))] = self.claimants(|class| self.caps.has_room(class))
            && taker != giver
            && self.routes[taker].expected() == 0
            && self.routes[taker].hungry_since.is_some_and(|since| now.since(since) > self.patience(taker))
            && now.since(self.disturbed_at) > self.patience(taker)
            && self.may_connect(now)
        {
            self.faults.starved += 1;
        }
    }

    /// How far a route may fall behind in service per weight, and how long it may wait with nothing, at the very most: a
    /// bound on what the rules and the longest lease explain, not an aim.
    fn patience(&self, route: u32) -> Duration {
        // How many turns are taken before its own: one, unless its share is below one connection.
        let whole_share = u64::from(self.limits.budget.max(1)) * self.routes[route].weight();
        let turns = u32::try_from(1 + self.sums.active_weight / whole_share).unwrap_or(u32::MAX);
        let lease = self.counters.longest_lease.saturating_mul(2);
        let keep_time = self.keep_time(self.connect_time.get().max(self.rekeys.time.get()));
        Duration::from_nanos(lag_max(keep_time)).saturating_mul(LAG_FAULT).saturating_add(lease).saturating_mul(turns)
    }
}
