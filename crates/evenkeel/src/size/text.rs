//! Parts of an answer: titled sections, lists, derivations, tables.

use std::fmt::Write;

use sizing::Derivation;

/// Indented lines under a title.
pub(super) fn section(title: &str, body: &str) -> String {
    let mut text = format!("\n{title}\n");
    for line in body.lines() {
        let _ = writeln!(text, "{}", format!("  {line}").trim_end());
    }
    text
}

/// A section with a dash before each line; nothing when there is none.
pub(super) fn list(title: &str, lines: &[impl AsRef<str>]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("- {}", line.as_ref())).collect();
    section(title, &lines.join("\n"))
}

/// A section with the lines of a derivation.
pub(super) fn steps(title: &str, derivation: &Derivation) -> String {
    format!("\n{title}\n{}", indented_steps(derivation))
}

/// Each step: what it is, below it the formula, and below that the numbers and what comes out.
pub(super) fn indented_steps(derivation: &Derivation) -> String {
    let mut text = String::new();
    for step in derivation.steps() {
        let _ = writeln!(text, "  {}", step.what);
        let _ = writeln!(text, "    = {}\n    = {} = {}", step.formula, step.filled, step.value);
    }
    text
}

/// Rows under a head, the first `left` columns to the left and the others to the right.
pub(super) fn table<const COLUMNS: usize>(left: usize, rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column < left { write!(line, "{cell:<width$}  ") } else { write!(line, "{cell:>width$}  ") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// A name from elsewhere as a terminal may show it: without what would move its cursor.
pub(super) fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["a", "b", "busy"], ["long", "ü", "1"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(2, &rows), "a     b  busy\nlong  ü     1\n");
    }

    #[test]
    fn names_move_no_cursor() {
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a?[2Jb?");
    }
}
