//! What a text that succeeded leaves for those that look back at it: `FOUND_ROWS()`, `SHOW WARNINGS`.
//!
//! Source: MySQL 9.7 and MariaDB 10.11 themselves, asked about every rule here.

use super::effects::Effects;
use super::inspect::Verdict;
use super::lexer::{Lexer, TokenKind};
use super::mode::Mode;
use super::word::Keyword;
use crate::Count;

/// What `FOUND_ROWS()` says after a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FoundRows {
    /// What it said before.
    Kept,
    /// How many rows the text has returned.
    Returned,
    /// Only the server knows.
    Unsure,
}

/// What `FOUND_ROWS()` says after a text of this verdict. [`FoundRows::Unsure`] is right for texts that set the number: a connection that
/// is asked after one that keeps it tells what somebody else has left there.
///
/// A `LIMIT` counts the rows that it skips, and `UNION` sometimes all of them. The servers differ in what counts as a query: MySQL's
/// `UPDATE` and `DO` do, MariaDB's queries inside `SET` and `EXPLAIN`.
pub fn found_rows(text: &[u8], mode: Mode, verdict: Verdict) -> FoundRows {
    if verdict.statements == Count::One && verdict.first == Keyword::Call {
        // What it does inside is not seen. Its results count, and where it has none most procedures keep the number.
        return FoundRows::Returned;
    }
    if verdict.statements == Count::Many || verdict.effects.intersects(Effects::CALC_FOUND_ROWS | Effects::CALLS) {
        return FoundRows::Unsure;
    }
    let queries = || has_word(text, mode, &[b"select", b"table", b"with"]);
    let keeps = match verdict.first {
        Keyword::Alter
        | Keyword::Begin
        | Keyword::Check
        | Keyword::Commit
        | Keyword::Deallocate
        | Keyword::Drop
        | Keyword::Grant
        | Keyword::Lock
        | Keyword::Nothing
        | Keyword::Prepare
        | Keyword::Release
        | Keyword::Rename
        | Keyword::Revoke
        | Keyword::Rollback
        | Keyword::Savepoint
        | Keyword::Start
        | Keyword::Truncate
        | Keyword::Unlock
        | Keyword::Use
        | Keyword::Xa => true,
        Keyword::Analyze => !has_word(text, mode, &[b"delete", b"insert", b"replace", b"select", b"update", b"with"]),
        Keyword::Create => !has_word(text, mode, &[b"select", b"values", b"with"]),
        Keyword::Delete => !queries(),
        Keyword::Do | Keyword::Update => mode.mariadb && !queries(),
        Keyword::Explain => !mode.mariadb && has_word(text, mode, &[b"select"]) && !has_word(text, mode, &[b"analyze"]),
        Keyword::Handler => has_word(text, mode, &[b"open", b"close"]),
        Keyword::Insert | Keyword::Replace => !queries(),
        Keyword::Set => !mode.mariadb || !queries(),
        Keyword::Show => second_is(text, mode, b"create"),
        Keyword::Values => mode.mariadb,
        Keyword::Select
            if !has_word(text, mode, &[b"except", b"intersect", b"into", b"limit", b"procedure", b"union"]) =>
        {
            return FoundRows::Returned;
        }
        _ => false,
    };
    if keeps { FoundRows::Kept } else { FoundRows::Unsure }
}

/// Whether a text certainly uses no table. MariaDB then leaves the conditions of the statement before it, if it has none itself.
pub fn uses_no_table(text: &[u8], mode: Mode, verdict: Verdict) -> bool {
    if verdict.effects.intersects(Effects::CALLS) {
        return false;
    }
    if verdict.statements == Count::Many {
        // Of the other statements not even the first word is known.
        return !verdict.effects.intersects(Effects::WRITES | Effects::TEMP | Effects::LOCK_TABLES | Effects::HANDLER)
            && !has_word(text, mode, &[b"desc", b"describe", b"from", b"help", b"show", b"table", b"values"]);
    }
    match verdict.first {
        Keyword::Begin
        | Keyword::Commit
        | Keyword::Nothing
        | Keyword::Release
        | Keyword::Rollback
        | Keyword::Savepoint
        | Keyword::Start
        | Keyword::Unlock
        | Keyword::Use => true,
        Keyword::Create | Keyword::Drop => second_is(text, mode, b"database") || second_is(text, mode, b"schema"),
        Keyword::Do | Keyword::Select | Keyword::Set => !has_word(text, mode, &[b"from", b"table", b"values"]),
        Keyword::Explain => {
            has_word(text, mode, &[b"select"]) && !has_word(text, mode, &[b"from", b"table", b"values"])
        }
        Keyword::Show => second_is(text, mode, b"create") && has_word(text, mode, &[b"database", b"schema"]),
        Keyword::Values => !has_word(text, mode, &[b"from", b"table"]),
        _ => false,
    }
}

/// Whether the second token of a text is this word.
fn second_is(text: &[u8], mode: Mode, word: &[u8]) -> bool {
    Lexer::new(text, mode).nth(1).is_some_and(|token| token.is_word(word))
}

/// Whether one of these words stands in a text, or what cannot be read.
fn has_word(text: &[u8], mode: Mode, words: &[&[u8]]) -> bool {
    Lexer::new(text, mode).any(|token| {
        matches!(token.kind, TokenKind::Doubtful | TokenKind::Unclosed) || words.iter().any(|word| token.is_word(word))
    })
}

#[cfg(test)]
mod tests {
    use super::super::inspect::inspect;
    use super::*;

    fn verdict(text: &str) -> Verdict {
        inspect(text.as_bytes(), Mode::STANDARD)
    }

    #[test]
    fn found_rows_are_kept_returned_or_not_known() {
        const MARIADB: Mode = Mode { mariadb: true, ..Mode::STANDARD };
        use FoundRows::{Kept, Returned, Unsure};
        for (mysql, mariadb, texts) in [
            (
                Kept,
                Kept,
                &[
                    "",
                    "begin",
                    "set sql_mode = ''",
                    "use a",
                    "commit",
                    "insert into t values (1)",
                    "rollback to a",
                    "delete from t where a = 1",
                    "create table t (a int)",
                    "drop table t",
                    "show create table t",
                    "analyze table t",
                ][..],
            ),
            (Kept, Unsure, &["set @a = (select count(*) from t)", "explain select 1"]),
            (Unsure, Kept, &["update t set a = 1", "do 1", "values (1), (2)"]),
            (Returned, Returned, &["select 1", "call p()", "(select * from t)", "select 'limit', `union` from t"]),
            (
                Unsure,
                Unsure,
                &[
                    "select 1; select 2",
                    "select 1 limit 1",
                    "select 1 union select 2",
                    "select sql_calc_found_rows 1 from t",
                    "select 1 into @a",
                    "select 'open",
                    "insert into t select 1",
                    "update t set a = (select 1)",
                    "create table t as select 1",
                    "analyze select 1",
                    "explain t",
                    "explain analyze select 1",
                    "show tables",
                    "execute immediate 'select 1'",
                ],
            ),
        ] {
            for text in texts {
                let found = [Mode::STANDARD, MARIADB].map(|mode| found_rows(text.as_bytes(), mode, verdict(text)));
                assert_eq!(found, [mysql, mariadb], "{text}");
            }
        }
    }

    #[test]
    fn tables_are_used_if_in_doubt() {
        for (expected, texts) in [
            (
                true,
                &[
                    "",
                    "begin",
                    "select 1",
                    "set names utf8mb4",
                    "do sleep(1)",
                    "select 'from'",
                    "values (1)",
                    "explain select 1",
                    "drop database a",
                    "show create database a",
                    "set sql_mode = ''; select @@sql_mode",
                ][..],
            ),
            (
                false,
                &[
                    "drop table a",
                    "show create table a",
                    "explain t",
                    "select 1 from t",
                    "set @a = (select 1 from t)",
                    "show tables",
                    "xyz",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(uses_no_table(text.as_bytes(), Mode::STANDARD, verdict(text)), expected, "{text}");
            }
        }
    }
}
