//! What a unit of work asks of a server connection: told from its messages before any of them is sent.

use std::collections::HashMap;

use pg::{
    frame::{HEADER_LEN, Header, client},
    statement::ClientStatements,
    view,
};
use route::{StatementKind, Traffic};
use sql::{Count, Effects, Keyword, Verdict};

use super::state::reserves;
use crate::demand::{Demand, SetsSettings};

/// What the unit of work at the start of `bytes` asks for, as far as it is here. A message that makes no sense asks for
/// nothing: it is refused where it is sent.
pub(super) fn of_unit(bytes: &[u8], statements: &ClientStatements) -> Demand {
    let mut unit = Unit { statements, parsed: HashMap::new(), demand: None };
    let mut rest = bytes;
    while let Ok(Some(header)) = Header::peek(rest) {
        let body = rest.get(HEADER_LEN..header.total.min(rest.len())).unwrap_or_default();
        let Some(after) = rest.get(header.total..) else {
            // Of a large `Bind` the names are enough.
            if header.tag == client::BIND {
                unit.message(header.tag, body);
            }
            break;
        };
        unit.message(header.tag, body);
        if matches!(header.tag, client::QUERY | client::SYNC | client::FUNCTION_CALL) {
            break;
        }
        rest = after;
    }
    unit.demand.unwrap_or(Demand::ANY)
}

/// What a text with this verdict asks for.
fn of_text(text: &[u8], verdict: Verdict) -> Demand {
    let effects = verdict.effects;
    let traffic = if effects.intersects(Effects::BEGINS) {
        Traffic::Transaction
    } else if effects.intersects(Effects::COPIES.union(Effects::DECLARES)) {
        Traffic::Stream
    } else {
        Traffic::Statement
    };
    let settings = match effects.intersects(Effects::SETS) && reserves(text) {
        true => SetsSettings::Yes,
        false => SetsSettings::No,
    };
    Demand { traffic, kind: kind(verdict), settings }
}

fn kind(verdict: Verdict) -> StatementKind {
    let effects = verdict.effects;
    if verdict.statements != Count::One {
        return StatementKind::Other;
    }
    match verdict.first {
        Keyword::Select | Keyword::Values | Keyword::With | Keyword::Table => {
            if effects.intersects(Effects::DDL) {
                // SELECT … INTO makes a table.
                StatementKind::Ddl
            } else if effects.intersects(Effects::WRITES) {
                // WITH … DELETE, and it may be any other.
                StatementKind::Other
            } else {
                StatementKind::Select
            }
        }
        Keyword::Insert => StatementKind::Insert,
        Keyword::Update => StatementKind::Update,
        Keyword::Delete => StatementKind::Delete,
        Keyword::Copy => StatementKind::Copy,
        Keyword::Call | Keyword::Do | Keyword::Execute => StatementKind::Call,
        Keyword::Set | Keyword::Reset => StatementKind::Set,
        Keyword::Truncate => StatementKind::Ddl,
        Keyword::Explain => StatementKind::Other,
        _ if effects.intersects(Effects::DDL) => StatementKind::Ddl,
        _ => StatementKind::Other,
    }
}

/// A unit of work that is being looked at.
struct Unit<'a> {
    statements: &'a ClientStatements,
    /// What the statements ask for that the unit itself names: each text is looked at once, however often it is bound.
    parsed: HashMap<&'a [u8], Demand>,
    demand: Option<Demand>,
}

impl<'a> Unit<'a> {
    fn message(&mut self, tag: u8, body: &'a [u8]) {
        let demand = match tag {
            client::QUERY => view::query(body).ok().map(|text| of_text(text, sql::inspect(text, true))),
            client::FUNCTION_CALL => Some(Demand::statement(StatementKind::Call)),
            client::PARSE => {
                let parsed = view::parse(body).ok();
                self.parsed
                    .extend(parsed.map(|parse| (parse.name, of_text(parse.text, sql::inspect(parse.text, true)))));
                None
            }
            client::BIND => view::bind_names(body).and_then(|(_, name, _)| self.of_statement(name)),
            client::EXECUTE if reads_by_parts(body) => self.demand.map(|demand| demand.as_traffic(Traffic::Stream)),
            _ => None,
        };
        if let Some(demand) = demand {
            self.demand = Some(self.demand.map_or(demand, |before| before.and(demand)));
        }
    }

    /// What the client's statement of this name asks for.
    fn of_statement(&self, name: &[u8]) -> Option<Demand> {
        let known = || self.statements.get(name).map(|known| of_text(known.text(), known.verdict()));
        self.parsed.get(name).copied().or_else(known)
    }
}

/// Whether an `Execute` asks for so many rows at most, as clients do that read through a cursor.
fn reads_by_parts(body: &[u8]) -> bool {
    matches!(view::split_cstr(body), Some((_, rows)) if rows.len() == 4 && rows != [0; 4])
}

#[cfg(test)]
mod tests {
    use pg::{statement::Interner, write};

    use super::*;

    fn of(text: &str) -> (Traffic, StatementKind, SetsSettings) {
        let mut unit = Vec::new();
        write::query(&mut unit, text.as_bytes());
        let Demand { traffic, kind, settings } = of_unit(&unit, &ClientStatements::default());
        (traffic, kind, settings)
    }

    #[test]
    fn texts() {
        use StatementKind as K;
        use Traffic::{Statement, Stream, Transaction};
        for (text, traffic, kind) in [
            ("select 1", Statement, K::Select),
            ("(values (1))", Statement, K::Select),
            ("table t", Statement, K::Select),
            ("with x as (select 1) select * from x", Statement, K::Select),
            ("with x as (delete from t returning *) select * from x", Statement, K::Other),
            ("select 1 into t", Statement, K::Ddl),
            ("insert into t values (1)", Statement, K::Insert),
            ("update t set a = 1", Statement, K::Update),
            ("delete from t", Statement, K::Delete),
            ("merge into t using s on true when matched then delete", Statement, K::Other),
            ("truncate t", Statement, K::Ddl),
            ("create table t ()", Statement, K::Ddl),
            ("vacuum t", Statement, K::Ddl),
            ("call p()", Statement, K::Call),
            ("do $$ begin end $$", Statement, K::Call),
            ("explain analyze delete from t", Statement, K::Other),
            ("show all", Statement, K::Other),
            ("", Statement, K::Other),
            ("copy t to stdout", Stream, K::Copy),
            ("declare c cursor with hold for select 1", Stream, K::Other),
            ("begin", Transaction, K::Other),
            ("start transaction read only", Transaction, K::Other),
            ("select 1; select 2", Statement, K::Other),
            ("begin; copy t to stdout; commit", Transaction, K::Other),
            ("commit and chain", Transaction, K::Other),
        ] {
            assert_eq!(of(text), (traffic, kind, SetsSettings::No), "{text}");
        }
        assert_eq!(of("set search_path to a"), (Statement, K::Set, SetsSettings::Yes));
        for text in ["reset all", "set application_name to a", "SET Evenkeel.Workload = 'olap'"] {
            assert_eq!(of(text), (Statement, K::Set, SetsSettings::No), "{text}");
        }
        assert_eq!(of("set local search_path to a"), (Statement, K::Set, SetsSettings::No));
    }

    #[test]
    fn statements_ask_when_they_are_bound() {
        let mut interner = Interner::new(9);
        let mut statements = ClientStatements::default();
        statements.insert(b"go", interner.shared(b"begin", b"\0\0"));
        let bind = |name: &[u8], out: &mut Vec<u8>| {
            write::message(out, client::BIND, |out| {
                write::cstr(out, b"");
                write::cstr(out, name);
                out.extend_from_slice(&[0; 6]);
            });
        };
        let execute = |rows: u32, out: &mut Vec<u8>| {
            write::message(out, client::EXECUTE, |out| {
                write::cstr(out, b"");
                out.extend_from_slice(&rows.to_be_bytes());
            });
        };
        let mut known = Vec::new();
        bind(b"go", &mut known);
        execute(0, &mut known);
        write::sync(&mut known);
        assert_eq!(of_unit(&known, &statements).traffic, Traffic::Transaction);
        // Also of the beginning of a message that is still on its way.
        assert_eq!(of_unit(&known[..12], &statements).traffic, Traffic::Transaction);
        let mut named = Vec::new();
        write::parse(&mut named, b"go", b"select 1", b"\0\0");
        write::sync(&mut named);
        assert_eq!(of_unit(&named, &statements), Demand::ANY, "to name a statement is not to run it");
        let mut fetch = Vec::new();
        write::parse(&mut fetch, b"", b"select 1", b"\0\0");
        bind(b"", &mut fetch);
        let plain = fetch.clone();
        execute(100, &mut fetch);
        write::sync(&mut fetch);
        fetch.extend_from_slice(&known);
        let select = Demand::statement(StatementKind::Select);
        assert_eq!(of_unit(&fetch, &statements), select.as_traffic(Traffic::Stream), "what follows is another unit");
        assert_eq!(of_unit(&plain, &statements), select);
        assert_eq!(of_unit(b"Q\0\0\0\x05x", &statements), Demand::ANY, "a text without its end");
        assert_eq!(of_unit(&[], &statements), Demand::ANY);
    }

    #[test]
    fn no_bytes_are_too_strange() {
        let statements = ClientStatements::default();
        let mut seed = 7_u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..24)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let tags = b"QPBDESCFHXd\0\0\0\0\x05\x08\x0c";
                    tags[(seed >> 33) as usize % tags.len()]
                })
                .collect();
            let demand = of_unit(&bytes, &statements);
            assert!(Traffic::ALL.contains(&demand.traffic));
        }
    }
}
