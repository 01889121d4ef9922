//! What the points say without any curve.
//!
//! The Universal Scalability Law bends slowly. A server with two processors does not: one connection does half of what two do,
//! and ten do no more than two. A curve through such points may pass far from the few that matter, so these have the last word.

use super::Point;
use crate::curve::ENOUGH;

/// Mean throughput over the number of connections.
#[derive(Debug)]
pub(super) struct Observed {
    /// Numbers of connections, rising, each with the mean of what it did.
    means: Vec<(f64, f64)>,
}

/// The fewest connections with which nearly the most was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub(super) connections: u32,
    pub(super) throughput: f64,
}

/// A knee at which less than this part of the most was seen is wrong, whatever the curve says.
const CONTRADICTED: f64 = 0.9;

impl Observed {
    /// Of points with these different numbers of connections, which rise.
    pub(super) fn new(points: &[Point], numbers: &[f64]) -> Self {
        let mean = |number: &f64| {
            let again = points.iter().filter(|point| point.connections == *number);
            let (sum, count) = again.fold((0.0, 0.0), |(sum, count), point| (sum + point.throughput, count + 1.0));
            (*number, sum / count)
        };
        Self { means: numbers.iter().map(mean).collect() }
    }

    /// The fewest connections with which 95 % of the most was seen, if with `high` it was much less.
    pub(super) fn correction(&self, high: u32) -> Option<Seen> {
        let most = self.most();
        if self.up_to(high.into()) >= CONTRADICTED * most {
            return None;
        }
        let (connections, throughput) = self.means.iter().find(|(_, throughput)| *throughput >= ENOUGH * most)?;
        Some(Seen { connections: *connections as u32, throughput: *throughput })
    }

    /// The mean of the best three neighbours: the best one alone is also the luckiest.
    fn most(&self) -> f64 {
        let mean =
            |three: &[(f64, f64)]| three.iter().map(|(_, throughput)| throughput).sum::<f64>() / three.len() as f64;
        self.means.windows(self.means.len().min(3)).map(mean).fold(0.0, f64::max)
    }

    /// The most that was seen with no more connections than this; between two measured numbers, what lies between them.
    fn up_to(&self, connections: f64) -> f64 {
        let below = self.means.iter().filter(|(number, _)| *number <= connections);
        let between =
            self.means.windows(2).filter(|two| two[0].0 <= connections && connections < two[1].0).map(|two| {
                let part = (connections - two[0].0) / (two[1].0 - two[0].0);
                two[0].1 + part * (two[1].1 - two[0].1)
            });
        below.map(|(_, throughput)| *throughput).chain(between).fold(0.0, f64::max)
    }
}
