//! Recomputes from scratch everything the scheduler keeps by differences, and compares.

use crate::conn::ConnState;
use crate::route::Life;
use crate::scheduler::{Mode, Scheduler};
use crate::slots::Slots;
use crate::{CloseReason, Decision, Time};

/// What the connections of one route, counted one by one, add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Census {
    connecting: u32,
    idle: u32,
    in_use: u32,
    closing: u32,
}

/// Panics where a sum, a list or a heap disagrees with the facts, or where something could be given out and was not.
pub(crate) fn audit(scheduler: &mut Scheduler, now: Time) {
    let clock_was_heard = scheduler.next_time().is_none_or(|next| next > now);
    let sums = &scheduler.sums;
    let (mut permits, mut active, mut weight, mut gap, mut hungry, mut promised) = (0, 0, 0, 0, 0, 0);
    let mut class_permits = vec![(0, 0, 0); scheduler.classes.len()];
    let mut class_gaps = vec![0; scheduler.classes.len()];
    let mut looking = 0;
    for (index, route) in scheduler.routes.iter() {
        let census = census(&scheduler.conns, index);
        let kept = Census {
            connecting: route.connecting,
            idle: route.idle.len(),
            in_use: route.in_use,
            closing: route.closing,
        };
        assert_eq!(census, kept, "route {index}");
        permits += route.permits();
        active += u32::from(route.is_active());
        weight += if route.is_active() { route.weight() } else { 0 };
        gap += u64::from(route.guarantee_gap());
        class_gaps[route.class()] += u64::from(route.guarantee_gap());
        promised += route.promised;
        class_permits[route.class()].0 += route.permits();
        class_permits[route.class()].1 += route.in_use;
        class_permits[route.class()].2 += route.closing;

        let class = &scheduler.classes[route.class()];
        looking += u32::from(class.looking.contains(index));
        let is_hungry = route.hungry_since.is_some();
        hungry += u32::from(is_hungry);
        assert_eq!(class.poorest.contains(index), is_hungry);
        assert_eq!(class.lagging.contains(index), is_hungry);
        assert_eq!(class.owed.contains(index), is_hungry && route.guarantee_gap() > 0);
        if route.connecting + route.promised == 0 && clock_was_heard {
            // With one on the way the answer depends on measured times, which move without the route.
            assert_eq!(route.wants_connection(now, scheduler.connect_time.get()), is_hungry, "{route:?}");
        }
        let offered = class.richest.contains(index) && class.coldest.contains(index);
        assert!(route.idle.is_empty() || offered || route.is_protected(route.held() - 1), "{route:?}");
        if scheduler.mode == Mode::Running && route.life == Life::Live {
            assert!(route.idle.is_empty() || route.queue.is_empty(), "I2: {route:?}");
        }
        assert!(route.life == Life::Live || route.queue.is_empty());
    }
    assert_eq!((sums.permits, sums.active_routes, sums.active_weight), (permits, active, weight));
    let rekeying = scheduler.conns.iter().filter(|(_, conn)| conn.state == ConnState::Rekeying).count();
    assert_eq!(scheduler.rekeys.under_way as usize, rekeying);
    assert_eq!((sums.guarantee_gap, sums.hungry, sums.promised), (gap, hungry, promised));
    for (number, (class, counted)) in scheduler.classes.iter().zip(class_permits).enumerate() {
        assert_eq!((scheduler.caps.of(number).permits(), class.in_use, class.closing), counted);
    }
    let kept_gaps: Vec<u64> = scheduler.classes.iter().map(|class| class.guarantee_gap).collect();
    assert_eq!(kept_gaps, class_gaps);
    assert_eq!(sums.looking, looking);
    idle_is_watched(scheduler);
    if clock_was_heard {
        siblings_serve_each_other(scheduler);
        nothing_left_to_give(scheduler, now);
    }
}

fn census(conns: &Slots<crate::conn::Conn>, route: u32) -> Census {
    let mut census = Census::default();
    for (_, conn) in conns.iter().filter(|(_, conn)| conn.route == route) {
        *match conn.state {
            ConnState::Connecting | ConnState::Rekeying => &mut census.connecting,
            ConnState::Idle { .. } => &mut census.idle,
            ConnState::Lent { .. } | ConnState::Tested { .. } => &mut census.in_use,
            ConnState::Closing { .. } => &mut census.closing,
        } += 1;
    }
    census
}

fn idle_is_watched(scheduler: &Scheduler) {
    let mortal = scheduler.recycling.idle_timeout.or(scheduler.recycling.max_lifetime).is_some();
    for (index, conn) in scheduler.conns.iter() {
        if mortal && matches!(conn.state, ConnState::Idle { .. }) {
            assert!(scheduler.expiries.contains(index), "no clock runs for {conn:?}");
        }
    }
}

/// I2 among siblings: nobody waits while a sibling has an idle connection to spare, where the class has room.
fn siblings_serve_each_other(scheduler: &Scheduler) {
    let waiting = scheduler.routes.iter().filter(|(_, route)| route.waiting() > 0 && route.has_room());
    for (index, route) in waiting.filter(|_| scheduler.mode == Mode::Running) {
        if scheduler.caps.has_room(route.class()) {
            assert_eq!(scheduler.spare_siblings(index).next(), None, "{route:?} waits");
        }
    }
}

/// I2: what can be given is given within the event that makes it possible. Only a reclaim may come later, when another
/// attempt is due anyway: lending the connection in front shows the next one, which may have been kept long enough.
fn nothing_left_to_give(scheduler: &mut Scheduler, now: Time) {
    let (before, retry) = (scheduler.decisions.len(), scheduler.retry_at);
    scheduler.fill(now);
    for late in scheduler.decisions.iter().skip(before) {
        let reclaim = matches!(late, Decision::Close { reason: CloseReason::Reclaimed, .. } | Decision::Rekey { .. });
        assert!(reclaim && retry.is_some(), "given late: {late:?}");
    }
}
