//! The work to size for: not the mean of a short watch, but what the server is to be ready for.
//!
//! What counts is how many connections are busy, and that grows with the rate and with the time each is kept: a part of the time
//! in which the server was slow needs as many more as one with more to do.

/// The work to size for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Demand {
    /// Leases per second.
    pub(super) rate: f64,
    /// How long each is kept, in seconds.
    pub(super) hold: f64,
    pub(super) basis: Basis,
}

/// What a demand is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Basis {
    /// All of the time, and as much more as so short a watch leaves open.
    #[default]
    Whole,
    /// The busiest part of the time, where that had more than chance makes it.
    Busiest,
}

/// What happened in a part of the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) seconds: f64,
    /// Leases that ended.
    pub(super) leases: f64,
    /// How long these were kept together, in seconds.
    pub(super) held: f64,
}

impl Part {
    /// Connections busy on average.
    fn busy(&self) -> f64 {
        self.held / self.seconds
    }
}

impl Demand {
    /// Of parts that follow each other. `variation` is C_s² of the times that leases were kept.
    pub(super) fn of(parts: &[Part], variation: f64) -> Self {
        let sum = |of: fn(&Part) -> f64| parts.iter().map(of).sum::<f64>();
        let whole =
            Part { seconds: sum(|part| part.seconds), leases: sum(|part| part.leases), held: sum(|part| part.held) };
        if whole.leases <= 0.0 || whole.seconds <= 0.0 {
            return Self::default();
        }
        let (rate, hold) = (whole.leases / whole.seconds, whole.held / whole.leases);
        // Leases that come at random, so many in a part and each kept for times that vary so: a compound Poisson sum.
        let by_chance = |part: &&Part| hold * (rate * part.seconds * (1.0 + variation)).sqrt() / part.seconds;
        let beyond = |part: &&Part| part.leases > 0.0 && part.busy() > whole.busy() + CHANCE * by_chance(part);
        let busiest = parts.iter().filter(beyond).max_by(|a, b| a.busy().total_cmp(&b.busy()));
        match busiest {
            Some(part) => {
                Self { rate: part.leases / part.seconds, hold: part.held / part.leases, basis: Basis::Busiest }
            }
            None => Self { rate: rate * unknown(parts, whole.busy()), hold, basis: Basis::Whole },
        }
    }

    /// Connections busy on average.
    pub(super) fn busy(&self) -> f64 {
        self.rate * self.hold
    }
}

/// By which factor the true mean may be above the one that was seen, with 97.5 % certainty: from the means of the parts, which
/// needs no assumption on how leases come (batch means).
fn unknown(parts: &[Part], mean: f64) -> f64 {
    let count = parts.len() as f64;
    if parts.len() < 2 || mean <= 0.0 {
        return 1.0;
    }
    let variance = parts.iter().map(|part| (part.busy() - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let quantile = STUDENT[(parts.len() - 2).min(STUDENT.len() - 1)];
    1.0 + quantile * (variance / count).sqrt() / mean
}

/// Standard deviations beyond which something is no chance: one in 700.
pub(super) const CHANCE: f64 = 3.0;

/// Student's t for 97.5 % with 1 to 14 degrees of freedom: a watch has 15 parts at most.
const STUDENT: [f64; 14] =
    [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145];

#[cfg(test)]
mod tests {
    use super::*;

    fn part(leases: f64, hold: f64) -> Part {
        Part { seconds: 2.0, leases, held: leases * hold }
    }

    #[test]
    fn a_steady_load_is_known_well() {
        let demand = Demand::of(&[part(200.0, 0.01); 15], 1.0);
        assert_eq!(demand, Demand { rate: 100.0, hold: 0.01, basis: Basis::Whole });
    }

    #[test]
    fn what_a_short_watch_leaves_open_is_added() {
        let parts: Vec<Part> = (0..15).map(|at| part(if at % 2 == 0 { 180.0 } else { 220.0 }, 0.01)).collect();
        let demand = Demand::of(&parts, 1.0);
        // A standard deviation of a tenth, 15 times.
        let margin = demand.busy() / (parts.iter().map(|part| part.held).sum::<f64>() / 30.0);
        assert!((1.05..1.065).contains(&margin), "{margin}");
        assert_eq!(demand.basis, Basis::Whole);
    }

    #[test]
    fn a_part_with_more_to_do_or_a_slow_server_counts() {
        for odd in [part(400.0, 0.01), part(200.0, 0.02)] {
            let parts = [vec![part(200.0, 0.01); 14], vec![odd]].concat();
            let demand = Demand::of(&parts, 1.0);
            assert_eq!((demand.basis, demand.busy()), (Basis::Busiest, 2.0));
        }
    }

    #[test]
    fn nothing_is_no_demand() {
        assert_eq!(Demand::of(&[], 1.0), Demand::default());
        assert_eq!(Demand::of(&[part(0.0, 0.0); 15], 1.0), Demand::default());
    }
}
