//! What the matrix found, and the page that says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use testkit::mysql::Kind;

/// A table of the page: rows, columns, and on which servers each cell works.
pub(crate) struct Table {
    /// Stands above its first column, and marks it in the page.
    corner: &'static str,
    rows: Vec<String>,
    columns: Vec<String>,
    cells: BTreeMap<(String, String), Vec<Cell>>,
}

/// What was found of a cell on one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    server: Kind,
    found: Found,
}

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Works,
    Missing,
}

impl Table {
    pub(crate) fn new(corner: &'static str, rows: Vec<String>, columns: Vec<String>) -> Self {
        Self { corner, rows, columns, cells: BTreeMap::new() }
    }

    pub(crate) fn note(&mut self, row: &str, column: &str, server: Kind, found: Found) {
        let cells = self.cells.entry((row.to_owned(), column.to_owned())).or_default();
        cells.push(Cell { server, found });
    }

    /// Compares with the page, or writes into it when `EVENKEEL_BLESS` is set. What was not tried here is not compared.
    ///
    /// # Errors
    /// When the page says something else.
    pub(crate) fn publish(&self) -> Result<()> {
        let path = page();
        if std::env::var_os("EVENKEEL_BLESS").is_some() {
            // Tests run at the same time, each with a table of its own.
            let lock = File::open(&path).with_context(|| format!("no page {}", path.display()))?;
            lock.lock()?;
            let page = fs::read_to_string(&path)?;
            let (before, _, after) = self.find(&page)?;
            fs::write(&path, format!("{before}{}{after}", self.write()?))?;
            return Ok(());
        }
        let page = fs::read_to_string(&path)?;
        let (_, said, _) = self.find(&page)?;
        let said = read(said);
        for ((row, column), cells) in &self.cells {
            let place = (row.clone(), column.clone());
            let says = said.get(&place).with_context(|| format!("{}: no cell {place:?}: {HINT}", path.display()))?;
            for Cell { server, found } in cells {
                let expected = if says.works_on(*server) { Found::Works } else { Found::Missing };
                ensure!(
                    *found == expected,
                    "{place:?} on {} is {found:?}, the page says {says:?}: {HINT}",
                    server.name()
                );
            }
        }
        Ok(())
    }

    /// The page before the table, the table, and what follows.
    fn find<'p>(&self, page: &'p str) -> Result<(&'p str, &'p str, &'p str)> {
        let begin = page.find(&format!("| {} |", self.corner)).with_context(|| format!("no table {}", self.corner))?;
        let (before, rest) = page.split_at(begin);
        let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
        let (table, after) = rest.split_at(end);
        Ok((before, table, after))
    }

    fn write(&self) -> Result<String> {
        let mut text = format!("| {} | {} |\n", self.corner, self.columns.join(" | "));
        writeln!(text, "| :--- |{}", " :---: |".repeat(self.columns.len()))?;
        for row in &self.rows {
            write!(text, "| {row} |")?;
            for column in &self.columns {
                let cells = self.cells.get(&(row.clone(), column.clone())).map_or(&[][..], Vec::as_slice);
                write!(text, " {} |", says(cells))?;
            }
            text.push('\n');
        }
        Ok(text)
    }
}

/// What a cell of the page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Both,
    Only(Kind),
    Neither,
}

impl Says {
    fn works_on(self, server: Kind) -> bool {
        self == Self::Both || self == Self::Only(server)
    }
}

fn says(cells: &[Cell]) -> &'static str {
    let works = |server| cells.iter().any(|cell| cell.server == server && cell.found == Found::Works);
    match Kind::ALL.map(works) {
        [true, true] => BOTH,
        [true, false] => Kind::MariaDb.name(),
        [false, true] => Kind::MySql.name(),
        [false, false] => NEITHER,
    }
}

fn read(table: &str) -> BTreeMap<(String, String), Says> {
    let mut lines = table.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let columns = lines.next().unwrap_or_default();
    let mut said = BTreeMap::new();
    for cells in lines.skip(1) {
        let row = cells.first().copied().unwrap_or_default();
        for (column, cell) in columns.iter().zip(&cells).skip(1) {
            let says = match *cell {
                BOTH => Says::Both,
                NEITHER => Says::Neither,
                name => Kind::ALL.into_iter().find(|kind| kind.name() == name).map_or(Says::Neither, Says::Only),
            };
            said.insert((row.to_owned(), (*column).to_owned()), says);
        }
    }
    said
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mysql-clients.md")
}

const BOTH: &str = "✓";
const NEITHER: &str = "–";
const HINT: &str = "EVENKEEL_BLESS=1 writes what was found";
