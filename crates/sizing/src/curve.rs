//! The Universal Scalability Law: throughput over the number of connections.
//!
//! X(N) = λN / (1 + σ(N − 1) + κN(N − 1)). λ is what one connection does alone, σ the part of the work that happens one after
//! the other (contention), κ what each pair costs (coherence). Source: N. Gunther, "How to Quantify Scalability".

use crate::{
    Derivation, Derived,
    number::{ceil, real},
};

/// Throughput over the number of connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// Throughput of one connection alone. Above 0.
    pub lambda: f64,
    /// Contention, 0 or more.
    pub sigma: f64,
    /// Coherence, 0 or more.
    pub kappa: f64,
}

/// Between which numbers of connections a pool is well chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knee {
    /// Where throughput for its delay is best (Kleinrock's power, X² / N).
    pub low: u32,
    /// Where throughput has come to 95 % of its peak. More connections bring next to nothing and wait inside the server.
    pub high: u32,
}

/// The part of the peak that a pool is sized for.
pub(crate) const ENOUGH: f64 = 0.95;

impl Curve {
    /// Throughput with this many connections.
    pub fn throughput(&self, connections: f64) -> f64 {
        self.lambda * connections / self.divisor(connections)
    }

    /// Where throughput is highest: √((1 − σ) / κ). `None`: it never falls.
    pub fn peak(&self) -> Option<f64> {
        (self.kappa > 0.0).then(|| ((1.0 - self.sigma).max(0.0) / self.kappa).sqrt().max(1.0))
    }

    /// The throughput that more and more connections come to, or reach and then lose again. `None`: it has no end.
    pub fn limit(&self) -> Option<f64> {
        match self.peak() {
            Some(peak) => Some(self.throughput(peak)),
            None if self.sigma > 0.0 => Some((self.lambda / self.sigma).max(self.lambda)),
            None => None,
        }
    }

    /// Where X² / N is highest: throughput for its delay. `None`: it has no end.
    pub fn power_knee(&self) -> Option<f64> {
        // d(X²/N)/dN = 0 where the divisor is 2N times its own derivative: 3κN² + (σ − κ)N − (1 − σ) = 0.
        let (square, linear, constant) = (3.0 * self.kappa, self.sigma - self.kappa, -(1.0 - self.sigma).max(0.0));
        let root = if square > 0.0 {
            (-linear + (linear * linear - 4.0 * square * constant).sqrt()) / (2.0 * square)
        } else if linear > 0.0 {
            -constant / linear
        } else {
            return None;
        };
        Some(root.max(1.0))
    }

    /// The fewest connections that do `part` (0 to 1) of [`limit`](Self::limit). `None`: there is no
    /// limit, or it is never quite reached.
    pub fn reaching(&self, part: f64) -> Option<f64> {
        let wanted = part * self.limit()?;
        if self.lambda >= wanted {
            return Some(1.0);
        }
        // X(N) = wanted is a quadratic in N; its smaller root is on the way up.
        let square = wanted * self.kappa;
        let linear = wanted * (self.sigma - self.kappa) - self.lambda;
        let constant = wanted * (1.0 - self.sigma);
        let root = if square > 0.0 {
            let discriminant = (linear * linear - 4.0 * square * constant).max(0.0);
            // The form that does not subtract two near numbers; `linear` is below 0 wherever a curve grows at all.
            2.0 * constant / (-linear + discriminant.sqrt())
        } else {
            -constant / linear
        };
        (root.is_finite() && root >= 0.0).then(|| root.max(1.0))
    }

    /// Between which numbers of connections a pool is well chosen. `None`: throughput grows without end.
    ///
    /// Never the peak itself: there the last connections bring nothing, and a little more work costs throughput.
    pub fn knee(&self) -> Option<Derived<Knee>> {
        let (low, high) = (self.power_knee()?, self.reaching(ENOUGH)?);
        let knee = Knee { low: low.round() as u32, high: ceil(high) };
        let knee = Knee { low: knee.low.min(knee.high), high: knee.high };
        let mut derivation = Derivation::default();
        derivation.push(
            "throughput of N connections",
            "λN / (1 + σ(N - 1) + κN(N - 1))",
            format!("{}N / (1 + {}(N - 1) + {}N(N - 1))", real(self.lambda), real(self.sigma), real(self.kappa)),
            "X(N)",
        );
        if let Some(peak) = self.peak() {
            derivation.push(
                "connections at the peak",
                "√((1 - σ) / κ)",
                format!("√((1 - {}) / {})", real(self.sigma), real(self.kappa)),
                format!("{}, where throughput is {}", real(peak), real(self.throughput(peak))),
            );
        }
        derivation.push(
            "best throughput for its delay",
            "N with the highest X(N)² / N",
            format!("{}² / {}", real(self.throughput(low)), real(low)),
            knee.low.to_string(),
        );
        derivation.push(
            "enough for 95 % of the most",
            "least N with X(N) of 0.95 × the most",
            format!("X(N) = 0.95 × {}", real(self.limit().unwrap_or(f64::INFINITY))),
            knee.high.to_string(),
        );
        Some(Derived { value: knee, derivation })
    }

    pub(crate) fn divisor(&self, connections: f64) -> f64 {
        1.0 + self.sigma * (connections - 1.0) + self.kappa * connections * (connections - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURVE: Curve = Curve { lambda: 1_000.0, sigma: 0.02, kappa: 0.0005 };

    #[test]
    fn a_known_curve() {
        let expected = [
            (1, 1000.0),
            (2, 1958.86),
            (4, 3752.35),
            (8, 6849.32),
            (16, 11267.61),
            (32, 15122.87),
            (44, 15680.68),
            (45, 15679.44),
            (64, 14967.26),
            (128, 10970.17),
        ];
        for (connections, throughput) in expected {
            assert!((CURVE.throughput(connections.into()) - throughput).abs() < 0.005, "{connections}");
        }
        assert!((CURVE.peak().unwrap() - 44.27).abs() < 0.005);
        assert!((CURVE.limit().unwrap() - 15_680.9).abs() < 0.05);
    }

    #[test]
    fn the_knee_is_below_the_peak() {
        assert_eq!(ceil(CURVE.reaching(0.9).unwrap()), 26);
        assert_eq!(CURVE.knee().unwrap().value, Knee { low: 20, high: 31 });
    }

    #[test]
    fn curves_without_a_peak() {
        let contended = Curve { kappa: 0.0, ..CURVE };
        assert_eq!(contended.peak(), None);
        assert_eq!(contended.limit(), Some(50_000.0));
        assert!((contended.power_knee().unwrap() - 49.0).abs() < 1e-9);
        assert!((contended.reaching(0.95).unwrap() - 931.0).abs() < 1e-6);
        let straight = Curve { sigma: 0.0, kappa: 0.0, ..CURVE };
        assert_eq!((straight.peak(), straight.limit(), straight.knee()), (None, None, None));
    }

    #[test]
    fn what_only_gets_worse_has_its_knee_at_one() {
        let worse = Curve { lambda: 10.0, sigma: 1.5, kappa: 0.1 };
        assert_eq!(worse.knee().unwrap().value, Knee { low: 1, high: 1 });
    }

    proptest! {
        #[test]
        fn marks_are_where_they_say(lambda in 1.0..1e5f64, sigma in 0.0..0.9f64, kappa in 1e-7..0.05f64) {
            let curve = Curve { lambda, sigma, kappa };
            let peak = curve.peak().unwrap();
            for n in [1.0, peak * 0.9, peak * 1.1, peak + 1.0] {
                prop_assert!(n < 1.0 || curve.throughput(n) <= curve.limit().unwrap() * (1.0 + 1e-12));
            }
            let enough = curve.reaching(0.95).unwrap();
            prop_assert!(enough <= peak + 1e-6);
            prop_assert!(enough <= 1.0 || (curve.throughput(enough) / curve.limit().unwrap() - 0.95).abs() < 1e-6);
            let (low, power) = (curve.power_knee().unwrap(), |n: f64| curve.throughput(n).powi(2) / n);
            for n in [low * 0.9, low * 1.1] {
                prop_assert!(n < 1.0 || power(n) <= power(low) * (1.0 + 1e-9));
            }
            let knee = curve.knee().unwrap().value;
            prop_assert!(1 <= knee.low && knee.low <= knee.high && f64::from(knee.high) <= peak + 1.0);
        }
    }
}
