//! What `SHOW WARNINGS` and its like would say of a client's last statement, kept when the connection that ran it goes
//! back: the next one would tell of somebody else's.

use mysql::{
    Capabilities, Status,
    view::{ColumnDefinition, DefaultValue, EofPacket, OkPacket, TextRow},
    write,
};
use sql::mysql::{Diagnostics as Asked, Limit};

use crate::mysql::facts::TextForm;

/// The most conditions that are kept. MySQL keeps 1,024 by default (`max_error_count`), MariaDB 64.
const KEPT_MAX: usize = 64;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    level: Vec<u8>,
    code: u64,
    /// In the character set that the client wanted results in when it was told.
    message: Vec<u8>,
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
    pub(crate) fn of_error(code: u16, message: &[u8]) -> Self {
        let mut failed = Self::default();
        failed.add_error(code, message);
        failed
    }

    /// One more error.
    pub(crate) fn add_error(&mut self, code: u16, message: &[u8]) {
        if self.conditions.len() < KEPT_MAX {
            let condition = Condition { level: b"Error".into(), code: code.into(), message: message.into() };
            self.conditions.push(condition);
        }
        (self.warnings, self.errors) = (self.warnings + 1, self.errors + 1);
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.warnings == 0 && self.errors == 0
    }

    /// Those that the rows of a server's `SHOW WARNINGS` say.
    pub(crate) fn of_rows(rows: &[Vec<u8>], warnings: u16) -> Self {
        let conditions: Vec<_> = rows.iter().take(KEPT_MAX).filter_map(|row| Condition::read(row)).collect();
        let errors = conditions.iter().filter(|condition| condition.level == b"Error").count() as u64;
        let warnings = u64::from(warnings).max(conditions.len() as u64);
        Self { conditions, warnings, errors }
    }

    /// Writes the answer to a statement that asks for them, as the server itself would; texts are in `form`.
    pub(crate) fn answer(
        &self,
        asked: &Asked<'_>,
        form: TextForm,
        out: &mut Vec<u8>,
        capabilities: Capabilities,
        status: Status,
    ) {
        match asked {
            Asked::Warnings(limit) => self.table(*limit, |_| true).write(form, out, capabilities, status),
            Asked::Errors(limit) => {
                self.table(*limit, |condition| condition.level == b"Error").write(form, out, capabilities, status);
            }
            Asked::CountWarnings { column } => {
                Table::count(column, self.warnings).write(form, out, capabilities, status)
            }
            Asked::CountErrors { column } => Table::count(column, self.errors).write(form, out, capabilities, status),
        }
    }

    fn table(&self, limit: Limit, is_shown: impl Fn(&Condition) -> bool) -> Table<'_> {
        let [offset, rows] = [limit.offset, limit.rows].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let shown = self.conditions.iter().filter(|condition| is_shown(condition)).skip(offset).take(rows);
        let row = |Condition { level, code, message }: &Condition| {
            vec![level.clone(), code.to_string().into_bytes(), message.clone()]
        };
        Table {
            columns: vec![(b"Level", Kind::Text(7)), (b"Code", Kind::Code), (b"Message", Kind::Text(512))],
            rows: shown.map(row).collect(),
        }
    }
}

/// Columns and rows of an answer.
struct Table<'a> {
    columns: Vec<(&'a [u8], Kind)>,
    rows: Vec<Vec<Vec<u8>>>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Text of so many characters.
    Text(u32),
    /// The number of an error.
    Code,
    Count,
}

impl<'a> Table<'a> {
    fn count(column: &'a [u8], value: u64) -> Self {
        Self { columns: vec![(column, Kind::Count)], rows: vec![vec![value.to_string().into_bytes()]] }
    }

    fn write(&self, form: TextForm, out: &mut Vec<u8>, capabilities: Capabilities, status: Status) {
        let sequence = &mut 1;
        write::column_count(out, sequence, capabilities, self.columns.len() as u64);
        for &(name, kind) in &self.columns {
            write::column_definition(out, sequence, capabilities, &kind.definition(name, form));
        }
        write::definitions_end(out, sequence, capabilities, EofPacket { warnings: 0, status });
        for row in &self.rows {
            write::text_row(out, sequence, row.iter().map(|value| Some(value.as_slice())));
        }
        write::result_end(out, sequence, capabilities, &OkPacket { status, ..OkPacket::default() });
    }
}

impl Kind {
    /// Its column, as MySQL 9 and MariaDB 10.11 define it: they differ in two numbers.
    fn definition(self, name: &[u8], form: TextForm) -> ColumnDefinition<'_> {
        const LONG: u8 = 0x03;
        const LONGLONG: u8 = 0x08;
        const VAR_STRING: u8 = 0xfd;
        const BINARY: u16 = 63;
        const NOT_NULL: u16 = 0x01;
        const UNSIGNED: u16 = 0x20;
        const BINARY_FLAG: u16 = 0x80;
        let (not_fixed, code_len) = if form.mariadb { (39, 4) } else { (31, 5) };
        let (column_type, charset, length, flags, decimals) = match self {
            Self::Text(len) => (VAR_STRING, form.collation, len * form.char_len_max, NOT_NULL, not_fixed),
            Self::Code => (LONG, BINARY, code_len, NOT_NULL | UNSIGNED | BINARY_FLAG, 0),
            Self::Count => (LONGLONG, BINARY, 21, UNSIGNED | BINARY_FLAG, 0),
        };
        ColumnDefinition {
            catalog: b"def",
            schema: b"",
            table: b"",
            org_table: b"",
            name,
            org_name: b"",
            extended: b"",
            charset,
            length,
            column_type,
            flags,
            decimals,
            default: DefaultValue::Unsaid,
        }
    }
}

impl Condition {
    fn read(row: &[u8]) -> Option<Self> {
        let mut values = TextRow::new(row);
        let mut bytes = || Some(values.next()??.to_vec());
        let (level, code, message) = (bytes()?, bytes()?, bytes()?);
        Some(Self { level, code: std::str::from_utf8(&code).ok()?.parse().ok()?, message })
    }
}
