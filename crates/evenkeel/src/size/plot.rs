//! Throughput over connections, drawn with letters.

use sizing::{Fit, Point, real};

/// Columns and rows of the drawing, without its axes.
const WIDTH: usize = 64;
const HEIGHT: usize = 16;

/// Draws the points (`o`) and their curve (`·`); below the axis, between `[` and `]`, where a pool is well chosen.
pub(super) fn plot(points: &[Point], fit: &Fit) -> String {
    let highest = points.iter().map(|point| point.throughput);
    let highest = highest.chain((1..=WIDTH).map(|at| fit.curve.throughput(connections(at, fit)))).fold(0.0, f64::max);
    let row = |throughput: f64| {
        let up = (throughput / highest * (HEIGHT - 1) as f64).round() as usize;
        HEIGHT - 1 - up.min(HEIGHT - 1)
    };
    let mut cells = vec![vec![' '; WIDTH]; HEIGHT];
    for at in 0..WIDTH {
        cells[row(fit.curve.throughput(connections(at + 1, fit)))][at] = '·';
    }
    for point in points {
        cells[row(point.throughput)][column(point.connections, fit)] = 'o';
    }
    let labels = [(0, real(highest)), (HEIGHT - 1, "0".to_owned())];
    let margin = labels[0].1.chars().count();
    let mut text = String::new();
    for (at, line) in cells.iter().enumerate() {
        let label = labels.iter().find(|(row, _)| *row == at).map_or("", |(_, label)| label);
        let line: String = line.iter().collect();
        text += &format!("{label:>margin$} │{}\n", line.trim_end());
    }
    text += &format!("{:margin$} └{}\n", "", "─".repeat(WIDTH));
    text += &format!("{:margin$}  {}\n", "", marks(fit).trim_end());
    let largest = real(fit.largest);
    text + &format!("{:margin$}  0{largest:>width$} connections\n", "", width = WIDTH - 1)
}

/// Where the knee begins and ends.
fn marks(fit: &Fit) -> String {
    let knee = fit.knee();
    let (low, high) = (column(knee.low.into(), fit), column(knee.high.into(), fit));
    let mark = |at| match at {
        _ if at == low && low == high => '^',
        _ if at == low => '[',
        _ if at == high => ']',
        _ if low < at && at < high => '-',
        _ => ' ',
    };
    (0..WIDTH).map(mark).collect()
}

/// The number of connections at the right edge of the first so many columns.
fn connections(columns: usize, fit: &Fit) -> f64 {
    fit.largest * columns as f64 / WIDTH as f64
}

/// The column in which this number of connections is.
fn column(connections: f64, fit: &Fit) -> usize {
    let column = (connections / fit.largest * WIDTH as f64).ceil() as usize;
    column.clamp(1, WIDTH) - 1
}

#[cfg(test)]
mod tests {
    use sizing::Curve;

    use super::*;

    #[test]
    fn a_curve_and_its_knee() {
        let curve = Curve { lambda: 1_000.0, sigma: 0.02, kappa: 0.0005 };
        let numbers = [1, 2, 4, 8, 16, 32, 44, 64, 128];
        let points = numbers.map(|n| Point::new(n, curve.throughput(n.into()), None).unwrap());
        let drawn = plot(&points, &Fit::of(&points).unwrap());
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), HEIGHT + 3);
        assert!(lines[0].starts_with("15,681 │") && lines[0].contains("·o·"), "{drawn}");
        assert!(lines[HEIGHT - 1].starts_with("     0 │"), "{drawn}");
        let drawn_points: usize = lines[..HEIGHT].iter().map(|line| line.matches('o').count()).sum();
        assert_eq!(drawn_points, numbers.len(), "{drawn}");
        // 20 and 31 of 128 connections, in 64 columns after a margin of 8.
        assert_eq!((lines[HEIGHT + 1].find('['), lines[HEIGHT + 1].find(']')), (Some(17), Some(23)), "{drawn}");
    }

    #[test]
    fn what_is_drawn_never_leaves_its_place() {
        let wild = [(1, 1e-6), (2, 1e12), (3, 5.0), (1_000_000, 1.0)];
        let points = wild.map(|(n, x)| Point::new(n, x, None).unwrap());
        if let Ok(fit) = Fit::of(&points) {
            assert!(plot(&points, &fit).lines().all(|line| line.chars().count() < WIDTH + 40));
        }
    }
}
