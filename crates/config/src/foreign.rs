//! Files of other programs that are given by mistake: one sentence instead of the syntax errors of a TOML reader.

use crate::problem::{Problem, Source};

/// A program whose file may be taken for ours.
struct Program {
    name: &'static str,
    /// What a line of its file begins with, and none of ours.
    marks: &'static [&'static str],
    /// How the names of its files end, where files of ours do not.
    ending: Option<&'static str>,
    /// The page for those who come from it.
    page: &'static str,
}

const PROGRAMS: [Program; 3] = [
    Program { name: "PgBouncer", marks: &["[pgbouncer]"], ending: Some(".ini"), page: "docs/from-pgbouncer.md" },
    Program {
        name: "ProxySQL",
        marks: &["mysql_variables", "pgsql_variables", "admin_variables"],
        ending: None,
        page: "docs/from-mysql-proxies.md",
    },
    Program {
        name: "MySQL Router",
        marks: &["[routing:", "[metadata_cache:"],
        ending: None,
        page: "docs/from-mysql-proxies.md",
    },
];

/// What to say of a file that another program reads; `None`: it does not look like one. Only for a file that is none of ours.
pub(crate) fn recognise(source: Source<'_>) -> Option<Problem> {
    let by_mark = PROGRAMS.iter().find_map(|program| Some((program, program.mark_in(source.text)?)));
    let named = |program: &&Program| program.ending.is_some_and(|ending| source.name.ends_with(ending));
    let (program, place) = match by_mark {
        Some((program, place)) => (program, Some(place)),
        None => (PROGRAMS.iter().find(named)?, None),
    };
    let message = format!("this looks like a file of {}", program.name);
    let hint = format!("{} says what each setting becomes", program.page);
    Some(source.problem(place, "", message, Some(hint)))
}

impl Program {
    /// The place of the first mark that begins a line.
    fn mark_in(&self, text: &str) -> Option<std::ops::Range<usize>> {
        let mut start = 0;
        text.split_inclusive('\n').find_map(|line| {
            let indent = line.len() - line.trim_start().len();
            let mark = self.marks.iter().find(|mark| line[indent..].starts_with(**mark));
            let place = mark.map(|mark| start + indent..start + indent + mark.len());
            start += line.len();
            place
        })
    }
}
