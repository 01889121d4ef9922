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

/// What `FOUND_ROWS()` says after a text of this verdict. [`FoundRows::Unsure`] is never wrong.
///
/// A `LIMIT` counts the rows that it skips, and `UNION` sometimes all of them; most of `SHOW` leaves the number alone, but not all.
pub fn found_rows(text: &[u8], mode: Mode, verdict: Verdict) -> FoundRows {
    if verdict.statements != Count::One || verdict.effects.intersects(Effects::CALC_FOUND_ROWS | Effects::CALLS) {
        return FoundRows::Unsure;
    }
    match verdict.first {
        Keyword::Begin
        | Keyword::Commit
        | Keyword::Release
        | Keyword::Rollback
        | Keyword::Savepoint
        | Keyword::Start
        | Keyword::Use => FoundRows::Kept,
        Keyword::Insert | Keyword::Replace | Keyword::Set if !has_word(text, mode, &[b"select", b"table", b"with"]) => {
            FoundRows::Kept
        }
        Keyword::Select
            if !has_word(text, mode, &[b"except", b"intersect", b"into", b"limit", b"procedure", b"union"]) =>
        {
            FoundRows::Returned
        }
        _ => FoundRows::Unsure,
    }
}

/// Whether a text certainly uses no table. MariaDB then leaves the conditions of the statement before it, if it has none itself.
pub fn uses_no_table(text: &[u8], mode: Mode, verdict: Verdict) -> bool {
    if verdict.statements != Count::One || verdict.effects.intersects(Effects::CALLS) {
        return false;
    }
    match verdict.first {
        Keyword::Begin
        | Keyword::Commit
        | Keyword::Release
        | Keyword::Rollback
        | Keyword::Savepoint
        | Keyword::Start
        | Keyword::Use => true,
        Keyword::Do | Keyword::Select | Keyword::Set => !has_word(text, mode, &[b"from", b"table", b"values"]),
        _ => false,
    }
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
        for (expected, texts) in [
            (
                FoundRows::Kept,
                &["begin", "set sql_mode = ''", "use a", "commit", "insert into t values (1)", "rollback to a"][..],
            ),
            (FoundRows::Returned, &["select 1", "(select * from t)", "select 'limit', `union` from t"]),
            (
                FoundRows::Unsure,
                &[
                    "",
                    "select 1; select 2",
                    "select 1 limit 1",
                    "select 1 union select 2",
                    "select sql_calc_found_rows 1 from t",
                    "select 1 into @a",
                    "select 'open",
                    "set @a = (select count(*) from t)",
                    "insert into t select 1",
                    "update t set a = 1",
                    "explain select 1",
                    "show tables",
                    "call p()",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(found_rows(text.as_bytes(), Mode::STANDARD, verdict(text)), expected, "{text}");
            }
        }
    }

    #[test]
    fn tables_are_used_if_in_doubt() {
        for (expected, texts) in [
            (true, &["begin", "select 1", "set names utf8mb4", "do sleep(1)", "select 'from'"][..]),
            (false, &["", "select 1 from t", "set @a = (select 1 from t)", "show tables", "select 1; select 2", "xyz"]),
        ] {
            for text in texts {
                assert_eq!(uses_no_table(text.as_bytes(), Mode::STANDARD, verdict(text)), expected, "{text}");
            }
        }
    }
}
