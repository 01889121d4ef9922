//! What `SHOW WARNINGS` and its like would say of a client's last statement, kept when the connection that ran it goes
//! back: the next one would tell of somebody else's.

use mysql::{
    Capabilities, Status,
    view::{ErrPacket, TextRow},
    write::{self, Column, Kind},
};
use sql::mysql::{Diagnostics as Asked, Limit};

/// The most conditions that are kept. MySQL keeps 1,024 by default (`max_error_count`), MariaDB 64.
const KEPT_MAX: usize = 64;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    level: String,
    code: u64,
    message: String,
}

/// What a client's last statement left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Diagnostics {
    conditions: Vec<Condition>,
    /// How many there were; more than are kept, perhaps.
    warnings: u64,
    errors: u64,
}

impl Diagnostics {
    /// Those of a statement that failed.
    pub(crate) fn of_error(error: &ErrPacket<'_>) -> Self {
        let condition = Condition {
            level: "Error".into(),
            code: error.code.into(),
            message: String::from_utf8_lossy(error.message).into_owned(),
        };
        Self { conditions: vec![condition], warnings: 1, errors: 1 }
    }

    /// Those that the rows of a server's `SHOW WARNINGS` say.
    pub(crate) fn of_rows(rows: &[Vec<u8>], warnings: u16) -> Self {
        let conditions: Vec<_> = rows.iter().take(KEPT_MAX).filter_map(|row| Condition::read(row)).collect();
        let errors = conditions.iter().filter(|condition| condition.level == "Error").count() as u64;
        Self { conditions, warnings: u64::from(warnings), errors }
    }

    /// Writes the answer to a statement that asks for them.
    pub(crate) fn answer(&self, asked: &Asked<'_>, out: &mut Vec<u8>, capabilities: Capabilities, status: Status) {
        let (columns, rows) = match asked {
            Asked::Warnings(limit) => self.table(*limit, |_| true),
            Asked::Errors(limit) => self.table(*limit, |condition| condition.level == "Error"),
            Asked::CountWarnings { column } => count(column, self.warnings),
            Asked::CountErrors { column } => count(column, self.errors),
        };
        let columns: Vec<_> = columns.iter().map(|(name, kind)| Column { name, kind: *kind }).collect();
        let rows = rows.iter().map(|row| row.iter().map(|value| Some(value.as_str())));
        write::text_result(out, &mut 1, capabilities, status, &columns, rows);
    }

    fn table(&self, limit: Limit, is_shown: impl Fn(&Condition) -> bool) -> Table {
        let columns = [("Level", Kind::Text), ("Code", Kind::Integer), ("Message", Kind::Text)];
        let [offset, rows] = [limit.offset, limit.rows].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let shown = self.conditions.iter().filter(|condition| is_shown(condition)).skip(offset).take(rows);
        let row =
            |Condition { level, code, message }: &Condition| vec![level.clone(), code.to_string(), message.clone()];
        (columns.map(|(name, kind)| (name.to_owned(), kind)).into(), shown.map(row).collect())
    }
}

/// Columns and rows of an answer.
type Table = (Vec<(String, Kind)>, Vec<Vec<String>>);

fn count(column: &[u8], value: u64) -> Table {
    let name = String::from_utf8_lossy(column).into_owned();
    (vec![(name, Kind::Integer)], vec![vec![value.to_string()]])
}

impl Condition {
    fn read(row: &[u8]) -> Option<Self> {
        let mut values = TextRow::new(row);
        let mut text = || Some(String::from_utf8_lossy(values.next()??).into_owned());
        Some(Self { level: text()?, code: text()?.parse().ok()?, message: text()? })
    }
}
