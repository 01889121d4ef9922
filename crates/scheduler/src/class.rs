//! One class: what has happened in it, and the orders in which its routes stand when a slot is to be given or taken.

use std::cmp::Reverse;

use crate::heap::Heap;
use crate::route::Route;
use crate::types::Time;
use crate::view::CloseCounts;

/// Classes are few, so what concerns all of them is a loop over them; routes are many and stand in heaps.
///
/// What it may have and has is in [`Caps`](crate::caps::Caps).
#[derive(Debug, Default)]
pub(crate) struct Class {
    /// Its connections that are lent out, or out for a test.
    pub(crate) in_use: u32,
    /// Its connections that are closing.
    pub(crate) closing: u32,
    /// Connections that its routes lack of their guarantees.
    pub(crate) guarantee_gap: u64,
    pub(crate) counters: ClassCounters,
    /// The hungry routes below their guarantee, the strongest claim first.
    pub(crate) owed: Heap<Claim>,
    /// All hungry routes, the strongest claim by weight first.
    pub(crate) poorest: Heap<Claim>,
    /// The hungry routes, the least served first: (clock, hungry since).
    pub(crate) lagging: Heap<(u64, Time)>,
    /// Routes with idle connections, the most per weight first. Checked when read: some may have none by now.
    pub(crate) richest: Heap<Reverse<Level>>,
    /// Routes with idle connections, the longest idle first. Checked when read: the key may be too early.
    pub(crate) coldest: Heap<Time>,
    /// Routes below their `min_idle` by when that was noticed.
    pub(crate) lacking: Heap<Time>,
    /// Waiting routes that have siblings, by the arrival of the first waiter. Checked when read: it may be that none of these
    /// has anything to give.
    pub(crate) looking: Heap<u64>,
}

/// What has happened in a class since the start.
#[derive(Debug, Default)]
pub(crate) struct ClassCounters {
    pub(crate) connects: u64,
    /// Nanoseconds, as all times here.
    pub(crate) connect_ns: u64,
    pub(crate) connect_failures: u64,
    pub(crate) closes: CloseCounts,
    pub(crate) leases: u64,
    pub(crate) hold_ns: u64,
    pub(crate) waits: u64,
    pub(crate) wait_ns: u64,
    pub(crate) failed_waits: u64,
    pub(crate) exhausted: u64,
    pub(crate) transfers: u64,
}

impl Class {
    /// A route goes.
    pub(crate) fn forget(&mut self, route: u32) {
        self.owed.remove(route);
        self.poorest.remove(route);
        self.lagging.remove(route);
        self.richest.remove(route);
        self.coldest.remove(route);
        self.lacking.remove(route);
        self.looking.remove(route);
    }
}

/// How strongly a hungry route asks for its next connection: the least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// What it would hold with one more, per weight (or what it holds of its guarantee, where that is the claim).
    level: Level,
    /// Its clock, if it holds nothing: where there are turns to take, the least served takes the next.
    turn: u64,
    /// Since when it has been hungry: among equals the longest wait goes first.
    since: Time,
}

impl Claim {
    /// The claim that every hungry route has.
    pub(crate) fn by_weight(route: &Route, since: Time) -> Self {
        match route.expected() {
            0 => Self { level: Level(0), turn: route.clock, since },
            expected => Self { level: Level::of(expected + 1, route.weight()), turn: 0, since },
        }
    }

    /// The claim that a hungry route below its guarantee has besides.
    pub(crate) fn by_guarantee(route: &Route, since: Time) -> Option<Self> {
        let (expected, guarantee) = (route.expected(), route.guarantee());
        let level = (expected < guarantee).then(|| Level::of(expected, u64::from(guarantee)))?;
        Some(Self { level, turn: 0, since })
    }
}

/// By which claim a route is to get a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Title {
    /// It is below its guarantee.
    Guarantee,
    /// It holds the least per weight.
    Weight,
}

/// Connections per weight, exact to 32 binary digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level(u64);

impl Level {
    pub(crate) const fn of(connections: u32, weight: u64) -> Self {
        Self(((connections as u64) << 32) / weight)
    }
}
