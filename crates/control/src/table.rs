//! Tables: rows of facts, columns that say how a fact is read, and two ways to write them down.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Number, Value};
use session::console::{Kind, Rows};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Whole(i64),
    Real(f64),
}

/// How one value is read from a fact.
#[derive(Debug)]
pub(crate) struct Column<T: 'static> {
    name: &'static str,
    kind: Kind,
    about: &'static str,
    get: fn(&T) -> Cell,
}

impl<T> Column<T> {
    pub(crate) const fn new(name: &'static str, kind: Kind, about: &'static str, get: fn(&T) -> Cell) -> Self {
        Self { name, kind, about, get }
    }

    pub(crate) const fn text(name: &'static str, about: &'static str, get: fn(&T) -> Cell) -> Self {
        Self::new(name, Kind::Text, about, get)
    }

    pub(crate) const fn int4(name: &'static str, about: &'static str, get: fn(&T) -> Cell) -> Self {
        Self::new(name, Kind::Int4, about, get)
    }

    pub(crate) const fn int8(name: &'static str, about: &'static str, get: fn(&T) -> Cell) -> Self {
        Self::new(name, Kind::Int8, about, get)
    }
}

/// A column without its facts: what documentation and headings need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heading {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What its values mean, in a sentence.
    pub(crate) about: &'static str,
}

pub(crate) fn headings<T>(columns: &[Column<T>]) -> Vec<Heading> {
    columns.iter().map(|&Column { name, kind, about, .. }| Heading { name, kind, about }).collect()
}

/// Rows under headings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    headings: Vec<Heading>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn of<T>(columns: &[Column<T>], facts: &[T]) -> Self {
        let row = |fact| columns.iter().map(|column| (column.get)(fact)).collect();
        Self { headings: headings(columns), rows: facts.iter().map(row).collect() }
    }

    /// As the console sends it.
    pub(crate) fn into_rows(self) -> Rows {
        let text = |cell| match cell {
            Cell::Null => None,
            Cell::Text(text) => Some(text),
            Cell::Whole(n) => Some(n.to_string()),
            Cell::Real(n) => Some(n.to_string()),
        };
        Rows {
            columns: self.headings.iter().map(|heading| (heading.name, heading.kind)).collect(),
            rows: self.rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect(),
        }
    }

    /// As HTTP sends it: one object per row.
    pub(crate) fn into_objects(self) -> Vec<Map<String, Value>> {
        let value = |cell| match cell {
            Cell::Null => Value::Null,
            Cell::Text(text) => Value::String(text),
            Cell::Whole(n) => n.into(),
            Cell::Real(n) => Number::from_f64(n).map_or(Value::Null, Value::Number),
        };
        let names: Vec<&str> = self.headings.iter().map(|heading| heading.name).collect();
        let object = |row: Vec<Cell>| names.iter().zip(row).map(|(name, cell)| ((*name).into(), value(cell))).collect();
        self.rows.into_iter().map(object).collect()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&Arc<str>> for Cell {
    fn from(text: &Arc<str>) -> Self {
        Self::Text(text.as_ref().into())
    }
}

impl From<bool> for Cell {
    /// PgBouncer's tables write 0 and 1.
    fn from(yes: bool) -> Self {
        Self::Whole(yes.into())
    }
}

impl From<u16> for Cell {
    fn from(n: u16) -> Self {
        Self::Whole(n.into())
    }
}

impl From<u32> for Cell {
    fn from(n: u32) -> Self {
        Self::Whole(n.into())
    }
}

impl From<u64> for Cell {
    fn from(n: u64) -> Self {
        Self::Whole(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Cell {
    fn from(n: i64) -> Self {
        Self::Whole(n)
    }
}

impl From<usize> for Cell {
    fn from(n: usize) -> Self {
        (n as u64).into()
    }
}

impl From<f64> for Cell {
    fn from(n: f64) -> Self {
        Self::Real(n)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A duration in whole microseconds, which every table of PgBouncer's uses.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Two decimals: a share needs no more.
pub(crate) fn rounded(n: f64) -> f64 {
    (n * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column<(&str, Option<u32>, f64)>] = &[
        Column::text("name", "Its name.", |fact| fact.0.into()),
        Column::int4("cap", "Its cap.", |fact| fact.1.into()),
        Column::new("share", Kind::Float8, "Its share.", |fact| fact.2.into()),
    ];

    #[test]
    fn a_table_is_written_as_rows_and_as_objects() {
        let table = Table::of(COLUMNS, &[("a", None, 0.5), ("b", Some(7), f64::NAN)]);
        let rows = table.clone().into_rows();
        assert_eq!(rows.columns, [("name", Kind::Text), ("cap", Kind::Int4), ("share", Kind::Float8)]);
        assert_eq!(rows.rows[0], [Some("a".into()), None, Some("0.5".into())]);
        let objects = table.into_objects().into_iter().map(Value::Object).collect::<Vec<_>>();
        let expected = [r#"{"name":"a","cap":null,"share":0.5}"#, r#"{"name":"b","cap":7,"share":null}"#];
        assert_eq!(objects, expected.map(|text| serde_json::from_str::<Value>(text).unwrap()));
    }
}
