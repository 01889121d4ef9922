//! A curve over the number of connections: drawn with letters for terminals, and as SVG for everything else.

mod svg;

use sizing::{Fit, Point, Queue, Workload, real, time};

pub(super) use svg::document;

/// Columns and rows of the drawing, without its axes.
const WIDTH: usize = 64;
const HEIGHT: usize = 16;

/// How many places of a curve with a formula are drawn.
const STEPS: usize = 256;

/// A curve over the number of connections, what was measured of it, and where a pool is well chosen.
pub(super) struct Chart {
    /// What is drawn upwards: `throughput per second`.
    title: String,
    /// Numbers of connections and heights, from left to right.
    curve: Vec<(f64, f64)>,
    /// The same of what was measured.
    points: Vec<(f64, f64)>,
    /// From and to which number of connections a pool is well chosen.
    band: (f64, f64),
    /// The right edge: at least 1.
    largest: f64,
    /// The upper edge; what is higher is not drawn. Above 0.
    highest: f64,
    /// How heights are written.
    unit: fn(f64) -> String,
}

impl Chart {
    /// Throughput as it was measured, its curve and its knee.
    pub(super) fn of_throughput(points: &[Point], fit: &Fit) -> Self {
        let places = (1..=STEPS).map(|at| fit.largest * at as f64 / STEPS as f64);
        let curve: Vec<(f64, f64)> =
            places.map(|connections| (connections, fit.curve.throughput(connections))).collect();
        let points: Vec<(f64, f64)> = points.iter().map(|point| (point.connections, point.throughput)).collect();
        let highest = points.iter().chain(&curve).map(|(_, height)| *height).fold(0.0, f64::max);
        let knee = fit.knee();
        Self {
            title: "Throughput per second; o measured, · curve, [-] knee".into(),
            curve,
            points,
            band: (knee.low.into(), knee.high.into()),
            largest: fit.largest,
            highest,
            unit: real,
        }
    }

    /// How long `percent` of the statements wait with more and more connections; [`None`] when the work is more than
    /// `budget` connections can do. `useful`: more than that brings nothing.
    pub(super) fn of_waits(work: &Workload, percent: f64, budget: u32, useful: u32) -> Option<Self> {
        let expected = Queue::new(work, budget).ok()?.percentile(percent);
        let first = work.busy().floor() as u32 + 1;
        let last = budget.max(useful).saturating_add(budget.div_ceil(4)).max(first + 4);
        let step = (last - first) as usize / WIDTH + 1;
        let wait =
            |connections: u32| Some((connections.into(), Queue::new(work, connections).ok()?.percentile(percent)));
        let curve: Vec<(f64, f64)> = (first..=last).step_by(step).filter_map(wait).collect();
        // The first few would make all others flat.
        let hold = work.response_time().as_secs_f64();
        let highest =
            curve.iter().map(|(_, wait)| *wait).fold(0.0, f64::max).min(2.0 * hold).max(expected).max(hold / 10.0);
        Some(Self {
            title: format!(
                "What {} % wait at most; · expected, [-] from the budget to twice the ideal number",
                real(percent)
            ),
            curve,
            points: Vec::new(),
            band: (budget.into(), budget.max(useful).into()),
            largest: last.into(),
            highest,
            unit: time,
        })
    }

    /// What is drawn.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// Draws the points (`o`) and their curve (`·`); below the axis, between `[` and `]`, where a pool is well chosen.
    pub(super) fn drawn(&self) -> String {
        let mut cells = vec![vec![' '; WIDTH]; HEIGHT];
        for (columns, mark) in [(&self.curve, '·'), (&self.points, 'o')] {
            for (connections, height) in columns.iter().filter(|(_, height)| *height <= self.highest) {
                cells[self.row(*height)][self.column(*connections)] = mark;
            }
        }
        let labels = [(0, (self.unit)(self.highest)), (HEIGHT - 1, "0".to_owned())];
        let margin = labels[0].1.chars().count();
        let mut text = String::new();
        for (at, line) in cells.iter().enumerate() {
            let label = labels.iter().find(|(row, _)| *row == at).map_or("", |(_, label)| label);
            let line: String = line.iter().collect();
            text += &format!("{label:>margin$} │{}\n", line.trim_end());
        }
        text += &format!("{:margin$} └{}\n", "", "─".repeat(WIDTH));
        text += &format!("{:margin$}  {}\n", "", self.marks().trim_end());
        let largest = real(self.largest);
        text + &format!("{:margin$}  0{largest:>width$} connections\n", "", width = WIDTH - 1)
    }

    /// Where the band begins and ends.
    fn marks(&self) -> String {
        let (low, high) = (self.column(self.band.0), self.column(self.band.1));
        let mark = |at| match at {
            _ if at == low && low == high => '^',
            _ if at == low => '[',
            _ if at == high => ']',
            _ if low < at && at < high => '-',
            _ => ' ',
        };
        (0..WIDTH).map(mark).collect()
    }

    /// The column in which this number of connections is.
    fn column(&self, connections: f64) -> usize {
        let column = (connections / self.largest * WIDTH as f64).ceil() as usize;
        column.clamp(1, WIDTH) - 1
    }

    fn row(&self, height: f64) -> usize {
        let up = (height / self.highest * (HEIGHT - 1) as f64).round() as usize;
        HEIGHT - 1 - up.min(HEIGHT - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sizing::Curve;

    use super::*;

    /// A chart with a knee of 20 to 31 connections.
    pub(super) fn chart() -> Chart {
        let curve = Curve { lambda: 1_000.0, sigma: 0.02, kappa: 0.0005 };
        let points = NUMBERS.map(|n| Point::new(n, curve.throughput(n.into()), None).unwrap());
        Chart::of_throughput(&points, &Fit::of(&points).unwrap())
    }

    const NUMBERS: [u32; 9] = [1, 2, 4, 8, 16, 32, 44, 64, 128];

    #[test]
    fn a_curve_and_its_knee() {
        let drawn = chart().drawn();
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), HEIGHT + 3);
        assert!(lines[0].starts_with("15,681 │") && lines[0].contains("·o·"), "{drawn}");
        assert!(lines[HEIGHT - 1].starts_with("     0 │"), "{drawn}");
        let drawn_points: usize = lines[..HEIGHT].iter().map(|line| line.matches('o').count()).sum();
        assert_eq!(drawn_points, NUMBERS.len(), "{drawn}");
        // 20 and 31 of 128 connections, in 64 columns after a margin of 8.
        assert_eq!((lines[HEIGHT + 1].find('['), lines[HEIGHT + 1].find(']')), (Some(17), Some(23)), "{drawn}");
    }

    #[test]
    fn waits_fall_to_nothing() {
        let work = Workload::new(5_000.0, Duration::from_millis(5)).unwrap();
        let chart = Chart::of_waits(&work, 99.0, 34, 50).unwrap();
        assert!(chart.curve.windows(2).all(|two| two[1].1 <= two[0].1), "{:?}", chart.curve);
        assert_eq!(chart.curve[0].0, 26.0, "with 25 they wait without end");
        let drawn = chart.drawn();
        assert!(drawn.starts_with("10 ms │"), "{drawn}");
        assert!(Chart::of_waits(&work, 99.0, 25, 25).is_none());
    }

    #[test]
    fn what_is_drawn_never_leaves_its_place() {
        let wild = [(1, 1e-6), (2, 1e12), (3, 5.0), (1_000_000, 1.0)];
        let points = wild.map(|(n, x)| Point::new(n, x, None).unwrap());
        if let Ok(fit) = Fit::of(&points) {
            let drawn = Chart::of_throughput(&points, &fit).drawn();
            assert!(drawn.lines().all(|line| line.chars().count() < WIDTH + 40));
        }
        for (rate, budget) in [(1e-5, 1), (90_000.0, 90_001), (3.0, 20_000)] {
            let work = Workload::new(rate, Duration::from_secs(1)).unwrap();
            let chart = Chart::of_waits(&work, 99.9, budget, budget).unwrap();
            assert!(chart.curve.len() <= WIDTH + 1);
            assert!(chart.drawn().lines().all(|line| line.chars().count() < WIDTH + 40));
        }
    }
}
