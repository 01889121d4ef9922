//! What a command asks of a server connection: told from its text before it is sent.

use route::{StatementKind, Traffic};
use sql::{
    Count,
    mysql::{Effects, Keyword, Verdict},
};

use crate::demand::{Demand, SetsSettings};

/// What a text asks for that runs while every statement is a transaction of its own.
pub(super) fn of_text(verdict: Verdict) -> Demand {
    let effects = verdict.effects;
    let opens = match (verdict.statements, verdict.first) {
        (Count::One, Keyword::Begin | Keyword::Start) => effects.intersects(Effects::TRANSACTION),
        // `XA START` among them.
        (Count::One, Keyword::Xa) => true,
        (Count::Many, _) => effects.intersects(Effects::TRANSACTION.union(Effects::XA)),
        _ => false,
    };
    let settings = match effects.intersects(Effects::SETS) {
        true => SetsSettings::Yes,
        false => SetsSettings::No,
    };
    let traffic = if opens { Traffic::Transaction } else { Traffic::Statement };
    Demand { traffic, kind: kind(verdict), settings }
}

fn kind(verdict: Verdict) -> StatementKind {
    let effects = verdict.effects;
    if verdict.statements != Count::One {
        return StatementKind::Other;
    }
    match verdict.first {
        Keyword::Select | Keyword::Table | Keyword::Values | Keyword::With => {
            // WITH … DELETE and SELECT … INTO OUTFILE.
            if effects.intersects(Effects::WRITES) { StatementKind::Other } else { StatementKind::Select }
        }
        Keyword::Insert | Keyword::Replace => StatementKind::Insert,
        Keyword::Update => StatementKind::Update,
        Keyword::Delete => StatementKind::Delete,
        Keyword::Load => StatementKind::Copy,
        Keyword::Call | Keyword::Do | Keyword::Execute => StatementKind::Call,
        Keyword::Set => StatementKind::Set,
        Keyword::Alter
        | Keyword::Analyze
        | Keyword::Create
        | Keyword::Drop
        | Keyword::Grant
        | Keyword::Import
        | Keyword::Optimize
        | Keyword::Rename
        | Keyword::Repair
        | Keyword::Revoke
        | Keyword::Truncate => StatementKind::Ddl,
        _ => StatementKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use sql::mysql::{Mode, inspect};

    use super::*;

    #[test]
    fn texts() {
        use StatementKind as K;
        use Traffic::{Statement, Transaction};
        for (text, traffic, kind) in [
            ("select 1", Statement, K::Select),
            ("with x as (select 1) select * from x", Statement, K::Select),
            ("with x as (select 1) delete from t", Statement, K::Other),
            ("select 1 for update", Statement, K::Select),
            ("insert into t values (1)", Statement, K::Insert),
            ("replace into t values (1)", Statement, K::Insert),
            ("update t set a = 1", Statement, K::Update),
            ("delete from t", Statement, K::Delete),
            ("load data local infile 'x' into table t", Statement, K::Copy),
            ("call p()", Statement, K::Call),
            ("do sleep(0)", Statement, K::Call),
            ("create table t (a int)", Statement, K::Ddl),
            ("truncate t", Statement, K::Ddl),
            ("show tables", Statement, K::Other),
            ("commit", Statement, K::Other),
            ("begin", Transaction, K::Other),
            ("start transaction with consistent snapshot", Transaction, K::Other),
            ("start slave", Statement, K::Other),
            ("xa start 'x'", Transaction, K::Other),
            ("begin; select 1; commit", Transaction, K::Other),
            ("select 1; select 2", Statement, K::Other),
        ] {
            let expected = Demand { traffic, kind, settings: SetsSettings::No };
            assert_eq!(of_text(inspect(text.as_bytes(), Mode::STANDARD)), expected, "{text}");
        }
        let set = of_text(inspect(b"set sql_mode = ''", Mode::STANDARD));
        assert_eq!(set, Demand { settings: SetsSettings::Yes, ..Demand::statement(K::Set) });
        assert_eq!(of_text(inspect(b"set global x = 1", Mode::STANDARD)), Demand::statement(K::Set));
    }
}
