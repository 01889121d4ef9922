//! Tables and the few statistics that the demo and the benchmarks print.

use std::fmt::Write as _;
use std::time::Duration;

/// A table of text, printed aligned for people and as Markdown for documents.
pub(crate) struct Table<const COLUMNS: usize> {
    head: [String; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with these column names; each names the unit of its numbers.
    pub(crate) fn new(head: [&str; COLUMNS]) -> Self {
        Self { head: head.map(str::to_owned), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells);
    }

    /// Markdown, aligned so that it reads well unrendered too: the first column to the left, numbers to the right.
    pub(crate) fn markdown(&self) -> String {
        let lines = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| lines().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3);
        let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
        let mut text = String::new();
        for (index, line) in lines().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
            }
            text.push_str("|\n");
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width - 1);
                    let _ = if column == 0 { write!(text, "| :{dashes} ") } else { write!(text, "| {dashes}: ") };
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

/// The middle one of some figures; of an even number the lower one. Zero for none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// The smallest of some figures; zero for none.
pub(crate) fn minimum(figures: &[f64]) -> f64 {
    figures.iter().copied().min_by(f64::total_cmp).unwrap_or_default()
}

/// Jain's fairness index: 1 when all shares are equal, 1/n when one has everything.
///
/// R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares == 0.0 { 0.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

/// Milliseconds with two decimals.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

/// A whole number with its thousands set apart.
pub(crate) fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jain_is_one_for_equals_and_a_share_for_a_monopoly() {
        assert!((jain(&[5.0, 5.0, 5.0, 5.0]) - 1.0).abs() < 1e-12);
        assert!((jain(&[9.0, 0.0, 0.0]) - 1.0 / 3.0).abs() < 1e-12);
        assert!(jain(&[]).abs() < 1e-12);
    }

    #[test]
    fn the_median_ignores_order_and_outliers() {
        assert!((median(&[900.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((minimum(&[3.0, 1.0, 2.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(whole(1_234_567.4), "1,234,567");
        assert_eq!(whole(999.0), "999");
        assert_eq!(whole(-1000.0), "-1,000");
    }

    #[test]
    fn a_table_is_aligned_markdown() {
        let mut table = Table::new(["who", "TPS"]);
        table.row(["evenkeel".to_owned(), "7".to_owned()]);
        assert_eq!(table.markdown(), "| who      | TPS |\n| :------- | --: |\n| evenkeel |   7 |\n");
    }
}
