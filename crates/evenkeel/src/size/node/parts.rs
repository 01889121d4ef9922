//! Into which parts the time falls that a node was watched.
//!
//! A lease is counted where it ends, with all the time it was kept. In a part that is short beside its leases most of that time
//! lies before it, and would make a few slow leases look like a crowd. So such a part is joined with the one before. And what a
//! lease was kept before anybody watched is left out.

use super::{
    demand::Part,
    exposition::Distribution,
    look::{Look, RouteName},
};

/// How many times as long as its leases a part is at least. What its leases have of the time before it, and those after it of
/// its own, is then a quarter of it at most.
const LENGTHS: f64 = 4.0;

/// What some routes did between one look and the next, or between several.
struct Stretch {
    seconds: f64,
    holds: Distribution,
}

impl Stretch {
    /// `watched` is for how many seconds the node was watched when this ended.
    fn between(before: &Look, after: &Look, watched: f64, names: &[&RouteName]) -> Self {
        let mut holds = Distribution::default();
        for name in names {
            let counts = |look: &Look| look.routes.get(name).cloned().unwrap_or_default().holds;
            holds.add(&counts(after).since(&counts(before)).unwrap_or_default());
        }
        let holds = holds.cut_to(watched);
        Self { seconds: after.at.duration_since(before.at).as_secs_f64().max(1e-3), holds }
    }

    fn join(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.holds.add(&other.holds);
    }

    /// Whether it is too short for its leases: for the mean of those that a moment falls into, where long ones count for more.
    fn is_short(&self) -> bool {
        self.seconds < LENGTHS * self.holds.mean() * (1.0 + self.holds.variation())
    }
}

/// What these routes did from each look to the next, or to one further on.
pub(super) fn parts(looks: &[Look], names: &[&RouteName]) -> Vec<Part> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for two in looks.windows(2) {
        let watched = two[1].at.duration_since(looks[0].at).as_secs_f64();
        let mut last = Stretch::between(&two[0], &two[1], watched, names);
        while last.is_short()
            && let Some(before) = stretches.pop()
        {
            last.join(&before);
        }
        stretches.push(last);
    }
    stretches.iter().map(|s| Part { seconds: s.seconds, leases: s.holds.count(), held: s.holds.sum() }).collect()
}
