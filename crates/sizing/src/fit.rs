//! The curve through measured points, and how far to trust it.
//!
//! First the linear form, N / X = 1/λ · (1 + σ(N − 1) + κN(N − 1)), by least squares with no parameter below 0; then
//! Gauss-Newton on X itself, as it is X that was measured. One bad measurement must not move the knee: the fit starts from
//! the curve that most of the points agree on, and a point far off it hardly counts.

use std::{fmt, time::Duration};

use self::observed::{Observed, Seen};
use crate::{
    Confidence, Curve, Doubt, Error, Knee,
    number::{real, time, within},
    solve::{Matrix, solve},
};

mod observed;

/// The most points that a fit takes.
pub const POINTS_MAX: usize = 1_000;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Connections that were kept busy.
    pub connections: f64,
    /// What they did together, per second.
    pub throughput: f64,
    /// How long one statement took, if it was measured.
    pub latency: Option<Duration>,
}

impl Point {
    /// # Errors
    /// [`Error::OutOfRange`], when there was no connection, more than a million, or no throughput.
    pub fn new(connections: u32, throughput: f64, latency: Option<Duration>) -> Result<Self, Error> {
        let connections = within("connections", connections.into(), 1.0..=1e6)?;
        Ok(Self { connections, throughput: within("throughput", throughput, 1e-6..=1e12)?, latency })
    }
}

/// A curve and how well it fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The curve.
    pub curve: Curve,
    /// The part of the points' variance that the curve explains, at most 1.
    pub r_squared: f64,
    /// What speaks against it.
    pub doubts: Vec<Doubt>,
    /// The largest number of connections measured.
    pub largest: f64,
    /// What was seen instead, where the curve passes far from the points at its knee.
    seen: Option<Seen>,
}

impl Fit {
    /// Fits a curve to points, in any order; several may have the same number of connections.
    ///
    /// # Errors
    /// [`Error::TooFewPoints`] with fewer than 3 different numbers of connections, [`Error::TooManyPoints`] above
    /// [`POINTS_MAX`], [`Error::NoCurve`] when none goes near them.
    pub fn of(points: &[Point]) -> Result<Self, Error> {
        if points.len() > POINTS_MAX {
            return Err(Error::TooManyPoints { given: points.len(), most: POINTS_MAX });
        }
        let numbers = numbers(points);
        if numbers.len() < 3 {
            return Err(Error::TooFewPoints { given: numbers.len() });
        }
        let (curve, weights) = robust(points, &numbers)?;
        let largest = numbers[numbers.len() - 1];
        let mut fit = Self { curve, r_squared: r_squared(points, &curve), doubts: Vec::new(), largest, seen: None };
        fit.seen = Observed::new(points, &numbers).correction(fit.knee().high);
        fit.doubts = fit.find_doubts(points, &weights, &numbers);
        Ok(fit)
    }

    /// How far to trust it.
    pub fn confidence(&self) -> Confidence {
        match self.doubts.len() {
            0 => Confidence::Good,
            1 => Confidence::Fair,
            _ => Confidence::Poor,
        }
    }

    /// Between which numbers of connections a pool is well chosen, never above what was measured.
    pub fn knee(&self) -> Knee {
        let largest = self.largest as u32;
        match (self.seen, self.curve.knee()) {
            (Some(seen), _) => Knee { low: seen.connections, high: seen.connections },
            (None, Some(knee)) => Knee { low: knee.value.low.min(largest), high: knee.value.high.min(largest) },
            (None, None) => Knee { low: largest, high: largest },
        }
    }

    /// Whether the knee is where the points have it, as the curve's own lies far below what they did.
    pub fn is_corrected(&self) -> bool {
        self.seen.is_some()
    }

    /// Throughput with this many connections: the curve's, or at a corrected knee what was measured.
    pub fn throughput(&self, connections: u32) -> f64 {
        match self.seen {
            Some(seen) if seen.connections == connections => seen.throughput,
            _ => self.curve.throughput(connections.into()),
        }
    }

    fn find_doubts(&self, points: &[Point], weights: &[f64], numbers: &[f64]) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        if let Some(seen) = self.seen {
            doubts.push(Doubt::CurveMisses { seen: seen.connections });
        }
        if numbers.len() < 6 {
            doubts.push(Doubt::FewPoints { given: numbers.len() });
        }
        if self.curve.peak().is_none_or(|peak| peak > self.largest) {
            doubts.push(Doubt::PeakNotSeen { largest: self.largest });
        }
        let off = scatter(points, weights, &self.curve);
        if off > SCATTER_MAX {
            doubts.push(Doubt::Scattered { off });
        }
        let far = |(point, weight): (&Point, &f64)| (*weight < OUTLIER_WEIGHT).then_some(point.connections);
        let outliers: Vec<f64> = points.iter().zip(weights).filter_map(far).collect();
        if !outliers.is_empty() {
            doubts.push(Doubt::Outliers(outliers));
        }
        doubts.extend(unsettled(points, numbers));
        doubts.extend(self.unsteady(points, weights, numbers));
        doubts.extend(not_busy(points));
        doubts
    }

    /// Fits again without each number of connections in turn (jackknife).
    fn unsteady(&self, points: &[Point], weights: &[f64], numbers: &[f64]) -> Option<Doubt> {
        if !(4..=JACKKNIFE_MAX).contains(&numbers.len()) {
            return None;
        }
        let without = |number: &f64| {
            let knee = fit_without(points, weights, *number).ok()?.knee()?;
            Some(knee.value.high.min(self.largest as u32))
        };
        let found: Vec<u32> = numbers.iter().filter_map(without).collect();
        let (from, to) = (*found.iter().min()?, *found.iter().max()?);
        let high = f64::from(self.knee().high);
        (f64::from(to - from) > UNSTEADY_MAX * high && to - from > 2).then_some(Doubt::Unsteady { from, to })
    }
}

/// What a point is off the curve by, as a part of the curve, so that it counts in full: this, or 3 robust deviations.
const NEAR: f64 = 0.05;

/// Points below this weight are named as outliers.
const OUTLIER_WEIGHT: f64 = 0.5;

/// Points that are off by more than this in the root mean square make a fit doubtful.
const SCATTER_MAX: f64 = 0.1;

/// Points with the same number of connections that differ by more than this part are named.
const AGAIN_MAX: f64 = 0.25;

/// The most numbers of connections that are named for it.
const AGAIN_NAMED: usize = 3;

/// A knee whose upper end moves by more than this part without one point is doubtful.
const UNSTEADY_MAX: f64 = 0.5;

/// The most different numbers of connections for which a fit without each is tried.
const JACKKNIFE_MAX: usize = 100;

/// Rounds of weighting, and steps of Gauss-Newton in each. Both end earlier, when nothing moves.
const ROUNDS: usize = 20;
const STEPS: usize = 100;

fn numbers(points: &[Point]) -> Vec<f64> {
    let mut numbers: Vec<f64> = points.iter().map(|point| point.connections).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    numbers
}

/// Starts from the curve that most points agree on, weighs the points by how far they are off it, and fits again until the
/// weights hold.
fn robust(points: &[Point], numbers: &[f64]) -> Result<(Curve, Vec<f64>), Error> {
    let mut curve = agreed(points, numbers)?;
    let mut weights = weigh(points, &curve);
    for _ in 0..ROUNDS {
        curve = plain(points, &weights)?;
        let next = weigh(points, &curve);
        let moved = weights.iter().zip(&next).any(|(old, new)| (old - new).abs() > 1e-4);
        weights = next;
        if !moved {
            break;
        }
    }
    Ok((curve, weights))
}

/// Of the fit to all points and those without one of the numbers: the one that three quarters of the points are nearest to.
fn agreed(points: &[Point], numbers: &[f64]) -> Result<Curve, Error> {
    let all = vec![1.0; points.len()];
    // With 4 numbers, any curve without one of them goes through the other three.
    let fewer = if (5..=JACKKNIFE_MAX).contains(&numbers.len()) { numbers } else { &[] };
    let most_off = |curve: &Curve| -> f64 {
        let mut off: Vec<f64> = points.iter().map(|point| off(point, curve).powi(2)).collect();
        off.sort_by(f64::total_cmp);
        off[..off.len() - off.len() / 4].iter().sum()
    };
    let fits =
        std::iter::once(plain(points, &all)).chain(fewer.iter().map(|number| fit_without(points, &all, *number)));
    fits.filter_map(Result::ok).min_by(|a, b| most_off(a).total_cmp(&most_off(b))).ok_or(Error::NoCurve)
}

/// The fit to the points that have another number of connections.
fn fit_without(points: &[Point], weights: &[f64], number: f64) -> Result<Curve, Error> {
    let rest = points.iter().zip(weights).filter(|(point, _)| point.connections != number);
    let (rest, weights): (Vec<Point>, Vec<f64>) = rest.map(|(point, weight)| (*point, *weight)).unzip();
    plain(&rest, &weights)
}

/// The fit to all points, as much as each weighs.
fn plain(points: &[Point], weights: &[f64]) -> Result<Curve, Error> {
    Ok(polish(points, weights, linear(points, weights)?))
}

/// 1 for points near the curve, next to nothing for those far off.
fn weigh(points: &[Point], curve: &Curve) -> Vec<f64> {
    let off: Vec<f64> = points.iter().map(|point| off(point, curve).abs()).collect();
    let mut sorted = off.clone();
    sorted.sort_by(f64::total_cmp);
    // 1.4826 × the median is the standard deviation of a normal distribution.
    let near = NEAR.max(3.0 * 1.4826 * sorted[sorted.len() / 2]);
    off.into_iter().map(|off| if off <= near { 1.0 } else { (near / off).powi(4) }).collect()
}

/// How far a point is off the curve, as a part of the curve.
fn off(point: &Point, curve: &Curve) -> f64 {
    point.throughput / curve.throughput(point.connections) - 1.0
}

/// The linear form, by weighted least squares over N / X. No parameter is below 0: the best of the solutions with some of
/// them 0 that has none below it.
fn linear(points: &[Point], weights: &[f64]) -> Result<Curve, Error> {
    let basis = |n: f64| [1.0, n - 1.0, n * (n - 1.0)];
    let rows = points
        .iter()
        .zip(weights)
        .map(|(point, weight)| (basis(point.connections), point.connections / point.throughput, *weight));
    let (matrix, right) = normal(rows.clone());
    let error = |x: &[f64; 3]| -> f64 {
        rows.clone().map(|(row, value, weight)| weight * (dot(&row, x) - value).powi(2)).sum()
    };
    [[true; 3], [true, true, false], [true, false, true], [true, false, false]]
        .into_iter()
        .filter_map(|free| solve(&matrix, &right, free))
        .filter(|[a, b, c]| *a > 0.0 && *b >= 0.0 && *c >= 0.0)
        .min_by(|a, b| error(a).total_cmp(&error(b)))
        .map(|[a, b, c]| Curve { lambda: 1.0 / a, sigma: b / a, kappa: c / a })
        .ok_or(Error::NoCurve)
}

/// Gauss-Newton on X, damped so that each step taken makes the fit better (Levenberg and Marquardt).
fn polish(points: &[Point], weights: &[f64], mut curve: Curve) -> Curve {
    let error = |curve: &Curve| -> f64 {
        let squares = points.iter().zip(weights);
        squares.map(|(point, weight)| weight * (curve.throughput(point.connections) - point.throughput).powi(2)).sum()
    };
    let (mut best, mut damping) = (error(&curve), 1e-3);
    for _ in 0..STEPS {
        let rows = points.iter().zip(weights).map(|(point, weight)| {
            (gradient(&curve, point.connections), point.throughput - curve.throughput(point.connections), *weight)
        });
        let (mut matrix, right) = normal(rows);
        for (at, row) in matrix.iter_mut().enumerate() {
            row[at] *= 1.0 + damping;
        }
        // A parameter at 0 that would go below it stays there.
        let free = [true, curve.sigma > 0.0 || right[1] > 0.0, curve.kappa > 0.0 || right[2] > 0.0];
        let Some([lambda, sigma, kappa]) = solve(&matrix, &right, free) else { break };
        let next = Curve {
            lambda: curve.lambda + lambda,
            sigma: (curve.sigma + sigma).max(0.0),
            kappa: (curve.kappa + kappa).max(0.0),
        };
        let found = error(&next);
        if next.lambda > 0.0 && found < best {
            let settled = best - found <= 1e-12 * best;
            (curve, best, damping) = (next, found, damping / 10.0);
            if settled {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    curve
}

/// How X(N) moves with λ, σ and κ.
fn gradient(curve: &Curve, n: f64) -> [f64; 3] {
    let divisor = curve.divisor(n);
    let of_divisor = -curve.lambda * n / (divisor * divisor);
    [n / divisor, of_divisor * (n - 1.0), of_divisor * n * (n - 1.0)]
}

/// The normal equations of weighted rows `(coefficients, value, weight)`.
fn normal(rows: impl Iterator<Item = ([f64; 3], f64, f64)>) -> (Matrix, [f64; 3]) {
    let (mut matrix, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
    for (row, value, weight) in rows {
        for (at, coefficient) in row.iter().enumerate() {
            right[at] += weight * coefficient * value;
            for (other, entry) in matrix[at].iter_mut().enumerate() {
                *entry += weight * coefficient * row[other];
            }
        }
    }
    (matrix, right)
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn r_squared(points: &[Point], curve: &Curve) -> f64 {
    let mean = points.iter().map(|point| point.throughput).sum::<f64>() / points.len() as f64;
    let around = |value: &dyn Fn(&Point) -> f64| -> f64 {
        points.iter().map(|point| (point.throughput - value(point)).powi(2)).sum()
    };
    let (left, all) = (around(&|point| curve.throughput(point.connections)), around(&|_| mean));
    if all > 0.0 { 1.0 - left / all } else { 1.0 }
}

/// How far points are off in the root mean square, by weight.
fn scatter(points: &[Point], weights: &[f64], curve: &Curve) -> f64 {
    let sum: f64 = points.iter().zip(weights).map(|(point, weight)| weight * off(point, curve).powi(2)).sum();
    (sum / weights.iter().sum::<f64>()).sqrt()
}

/// The numbers of connections with which throughput differed most when it was measured again, if it did by much.
fn unsettled(points: &[Point], numbers: &[f64]) -> Option<Doubt> {
    let spread = |number: f64| {
        let again = points.iter().filter(|point| point.connections == number).map(|point| point.throughput);
        let (least, most) = again.fold((f64::INFINITY, 0.0_f64), |(a, b), x| (a.min(x), b.max(x)));
        (most / least - 1.0, number)
    };
    let mut far: Vec<(f64, f64)> =
        numbers.iter().map(|number| spread(*number)).filter(|far| far.0 > AGAIN_MAX).collect();
    far.sort_by(|a, b| b.0.total_cmp(&a.0));
    let off = far.first()?.0;
    Some(Doubt::Unsettled { connections: far.iter().take(AGAIN_NAMED).map(|(_, number)| *number).collect(), off })
}

/// The point at which fewest of the connections were busy by Little's law, if that is off by more than a quarter.
fn not_busy(points: &[Point]) -> Option<Doubt> {
    let busy = |point: &Point| Some((point.connections, point.latency?.as_secs_f64() * point.throughput));
    let far = |(connections, busy): &(f64, f64)| (busy / connections - 1.0).abs();
    let furthest = points.iter().filter_map(busy).max_by(|a, b| far(a).total_cmp(&far(b)))?;
    (far(&furthest) > 0.25).then_some(Doubt::NotBusy { connections: furthest.0, busy: furthest.1 })
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections: {} a second", real(self.connections), real(self.throughput))?;
        self.latency.map_or(Ok(()), |latency| write!(f, ", {}", time(latency.as_secs_f64())))
    }
}

#[cfg(test)]
mod tests;
