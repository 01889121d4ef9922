//! What happens by the clock: deadlines, ages, second attempts.

use std::time::Duration;

use crate::class::Title;
use crate::conn::{Conn, ConnState};
use crate::route::Life;
use crate::scheduler::{Mode, Scheduler};
use crate::types::{CloseReason, Time};

/// Recycling closes at most `connect_concurrency` connections, then rests this long: what dies together need not be
/// closed, and replaced, together.
const RECYCLE_PAUSE: Duration = Duration::from_millis(10);

/// The end of time: no limit.
const NEVER: Time = Time(u64::MAX);

impl Scheduler {
    /// Does what is due: expires waiters, closes idle connections that are too old, tries again what had to wait.
    pub fn handle_time(&mut self, now: Time) {
        while let Some((deadline, waiter)) = self.deadlines.peek()
            && deadline <= now
        {
            self.expire_late(waiter, now);
        }
        while let Some((at, route)) = self.refusals.peek()
            && at <= now
        {
            self.watch_attempts(route, now);
            self.settle(route, now);
        }
        self.recycle(now);
        self.fill(now);
    }

    /// Closes idle connections that have reached an age limit.
    fn recycle(&mut self, now: Time) {
        if now < self.recycle_from {
            return;
        }
        let mut left = self.limits.connect_concurrency.max(1);
        while let Some((at, conn)) = self.expiries.peek()
            && at <= now
        {
            let ConnState::Idle { since } = self.conns[conn].state else {
                // It is watched again when it next falls idle.
                self.expiries.remove(conn);
                continue;
            };
            match self.age_limit(conn, since, now) {
                AgeLimit::Later(at) => self.expiries.set(conn, at),
                AgeLimit::Reached(_) if self.awaits_successor(conn, now) => {
                    let look = self.connect_time.get().max(RECYCLE_PAUSE);
                    self.expiries.set(conn, now.after(look));
                }
                AgeLimit::Reached(_) if left == 0 => {
                    self.recycle_from = now.after(RECYCLE_PAUSE);
                    return;
                }
                AgeLimit::Reached(reason) => {
                    left -= 1;
                    self.expiries.remove(conn);
                    self.leave_idle(conn);
                    self.close(conn, reason, None, now);
                }
            }
        }
    }

    /// Whether an idle connection that is past its time stays until another one has taken its place, which is on its way, or
    /// now is: where `min_idle` keeps it, and there is a slot for both. Else whoever comes meanwhile would have to wait.
    fn awaits_successor(&mut self, conn: u32, now: Time) -> bool {
        let index = self.conns[conn].route;
        let route = &self.routes[index];
        if route.life != Life::Live || route.idle.len() + route.in_use > route.limits.min_idle {
            return false;
        }
        if route.connecting > 0 {
            return true;
        }
        let has_room = self.mode == Mode::Running
            && route.may_have_more(now)
            && self.caps.of(route.class()).has_room()
            && self.slot_is_free_for(Title::Weight, index)
            && self.may_connect(now);
        if has_room {
            self.open(index, now);
        }
        has_room
    }

    /// Sees to it that an idle connection is looked at when its first age limit is reached.
    ///
    /// An entry from an earlier rest is left as it is: limits only move away while a connection works, so the entry is
    /// early, and correcting it then costs less than moving it at every detach.
    pub(crate) fn watch_age(&mut self, conn: u32) {
        if self.expiries.contains(conn) {
            return;
        }
        let since = self.conns[conn].rested_since();
        let limits = &self.recycling;
        let idle = limits.idle_timeout.into_iter().chain(limits.max_idle_timeout).min();
        let at = idle.map_or(NEVER, |wait| since.after(wait)).min(self.expires_at(&self.conns[conn]));
        if at < NEVER {
            self.expiries.set(conn, at);
        }
    }

    fn age_limit(&self, conn: u32, since: Time, now: Time) -> AgeLimit {
        let (limits, conn) = (&self.recycling, &self.conns[conn]);
        if self.expires_at(conn) <= now {
            return AgeLimit::Reached(CloseReason::Lifetime);
        }
        let last = limits.max_idle_timeout.map_or(NEVER, |wait| since.after(wait));
        if last <= now {
            return AgeLimit::Reached(CloseReason::MaxIdleTimeout);
        }
        let next = last.min(self.expires_at(conn));
        let Some(wait) = limits.idle_timeout else { return AgeLimit::Later(next) };
        if since.after(wait) > now {
            return AgeLimit::Later(next.min(since.after(wait)));
        }
        let route = &self.routes[conn.route];
        if route.life == Life::Live && route.idle.len() <= route.limits.min_idle {
            return AgeLimit::Later(next.min(now.after(wait)));
        }
        AgeLimit::Reached(CloseReason::IdleTimeout)
    }

    /// Why this connection, given back or just made, must not serve again.
    pub(crate) fn must_close(&self, conn: u32, now: Time) -> Option<CloseReason> {
        let conn = &self.conns[conn];
        let route = &self.routes[conn.route];
        // It counts in the sums of server and class, but not in its route's.
        let beyond_budget = self.sums.permits - self.sums.closing > self.limits.budget;
        let beyond_route = route.limits.cap.is_some_and(|cap| route.held() >= cap);
        let beyond_class = self.is_beyond_class(conn.route);
        if self.mode == Mode::Draining {
            Some(CloseReason::Draining)
        } else if route.life == Life::Leaving || beyond_budget || beyond_route || beyond_class {
            Some(CloseReason::Shrunk)
        } else if conn.epoch < self.epoch {
            Some(CloseReason::Reconnect)
        } else if self.expires_at(conn) <= now {
            Some(CloseReason::Lifetime)
        } else if self.recycling.max_uses.is_some_and(|limit| conn.uses >= limit) {
            Some(CloseReason::Uses)
        } else {
            None
        }
    }

    /// When this connection's life ends. Its luck was rolled at birth, so asking again gives the same answer, and a
    /// changed limit holds for connections that live already.
    fn expires_at(&self, conn: &Conn) -> Time {
        let Some(lifetime) = self.recycling.max_lifetime else { return NEVER };
        let jitter = self.recycling.lifetime_jitter * conn.luck;
        conn.born.after(lifetime.mul_f64(1.0 - jitter))
    }
}

/// What the age limits say about an idle connection.
enum AgeLimit {
    Reached(CloseReason),
    Later(Time),
}
