//! `USE`, `KILL` and the reading of diagnostics, which a pooler carries out itself.

use super::lexer::TokenKind;
use super::mode::Mode;
use super::phrase::Phrase;

/// What a `USE` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use<'a> {
    /// The database.
    pub database: &'a [u8],
    /// What stands behind an `@`, as in `USE shop@replica`. To a server that is an error.
    pub target: Option<&'a [u8]>,
}

/// What a `KILL` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// The statement a connection is running: `KILL QUERY n`.
    Query {
        /// The connection.
        id: u64,
    },
    /// A connection: `KILL n`, `KILL CONNECTION n`.
    Connection {
        /// The connection.
        id: u64,
    },
    /// Something else, for the server alone: an expression, MariaDB's `KILL QUERY ID n` and `KILL USER u`.
    Other,
}

/// What a statement asks of the diagnostics that the one before it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagnostics<'a> {
    /// `SHOW WARNINGS`: everything there is.
    Warnings(Limit),
    /// `SHOW ERRORS`: only the errors.
    Errors(Limit),
    /// `SHOW COUNT(*) WARNINGS` and `SELECT @@warning_count`: how many there are in all.
    CountWarnings {
        /// What the column of the answer is called.
        column: &'a [u8],
    },
    /// `SHOW COUNT(*) ERRORS` and `SELECT @@error_count`: how many errors.
    CountErrors {
        /// What the column of the answer is called.
        column: &'a [u8],
    },
}

/// A `LIMIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Rows left out at the beginning.
    pub offset: u64,
    /// The most rows to return; [`u64::MAX`] if nothing was said.
    pub rows: u64,
}

impl Limit {
    /// All rows.
    pub const NONE: Self = Self { offset: 0, rows: u64::MAX };
}

/// The target of a text that is exactly one `USE`; `None` for all others, and for names with a doubled quote in them.
pub fn use_target(text: &[u8], mode: Mode) -> Option<Use<'_>> {
    let mut phrase = Phrase::behind(b"use", text, mode)?;
    let database = phrase.take_name()?;
    let target = phrase.lexer.next_if(|token| token.kind == TokenKind::UserVariable);
    phrase.ending(Use { database, target: target.and_then(|token| token.text.get(1..)) })
}

/// What a text ends that is exactly one `KILL`; `None` for all others. MariaDB's `HARD` and `SOFT` are passed over.
pub fn kill_target(text: &[u8], mode: Mode) -> Option<Kill> {
    let mut phrase = Phrase::behind(b"kill", text, mode)?;
    let _ = phrase.accept(b"hard") || phrase.accept(b"soft");
    let is_query = !phrase.accept(b"connection") && phrase.accept(b"query");
    let mut argument = phrase.clone();
    match phrase.take_number().filter(|_| phrase.is_at_end()) {
        Some(id) if is_query => Some(Kill::Query { id }),
        Some(id) => Some(Kill::Connection { id }),
        None => {
            let is_foreign = |kind| matches!(kind, TokenKind::Semicolon | TokenKind::Unclosed | TokenKind::Doubtful);
            (!argument.any(|token| is_foreign(token.kind))).then_some(Kill::Other)
        }
    }
}

/// What a text asks of the diagnostics, if it is exactly one statement of the simple forms; `None` for all others.
pub fn show_diagnostics(text: &[u8], mode: Mode) -> Option<Diagnostics<'_>> {
    if let Some(phrase) = Phrase::behind(b"show", text, mode) {
        return shown(phrase);
    }
    selected(Phrase::behind(b"select", text, mode)?)
}

/// Reads what is behind `SHOW`.
fn shown(mut phrase: Phrase<'_>) -> Option<Diagnostics<'static>> {
    if phrase.accept(b"count") {
        let counts = phrase.accept_kind(TokenKind::Open)
            && phrase.next().is_some_and(|token| token.text == b"*")
            && phrase.accept_kind(TokenKind::Close);
        return match phrase.next().filter(|_| counts)? {
            what if what.is_word(b"warnings") => {
                phrase.ending(Diagnostics::CountWarnings { column: b"@@session.warning_count" })
            }
            what if what.is_word(b"errors") => {
                phrase.ending(Diagnostics::CountErrors { column: b"@@session.error_count" })
            }
            _ => None,
        };
    }
    let what = phrase.next()?;
    let limit = limit(&mut phrase)?;
    if what.is_word(b"warnings") {
        phrase.ending(Diagnostics::Warnings(limit))
    } else if what.is_word(b"errors") {
        phrase.ending(Diagnostics::Errors(limit))
    } else {
        None
    }
}

/// Reads `LIMIT rows`, `LIMIT offset, rows`, `LIMIT rows OFFSET offset` or nothing; `None` if something else is there.
fn limit(phrase: &mut Phrase<'_>) -> Option<Limit> {
    if !phrase.accept(b"limit") {
        return Some(Limit::NONE);
    }
    let first = phrase.take_number()?;
    if phrase.accept_kind(TokenKind::Comma) {
        return Some(Limit { offset: first, rows: phrase.take_number()? });
    }
    let offset = if phrase.accept(b"offset") { phrase.take_number()? } else { 0 };
    Some(Limit { offset, rows: first })
}

/// Reads a system variable behind `SELECT`, written as one piece: its column is called as it is written.
fn selected(mut phrase: Phrase<'_>) -> Option<Diagnostics<'_>> {
    let marker = phrase.next().filter(|token| token.kind == TokenKind::SystemVariable)?;
    let start = phrase.lexer.clone();
    let mut name = phrase.next()?;
    let mut length = marker.text.len() + name.text.len();
    if name.is_word(b"session") || name.is_word(b"local") {
        let dot = phrase.next().filter(|token| token.kind == TokenKind::Dot)?;
        name = phrase.next()?;
        length += dot.text.len() + name.text.len();
    }
    let column = phrase.lexer.piece(&start, marker).filter(|column| column.len() == length)?;
    if name.is_word(b"warning_count") {
        phrase.ending(Diagnostics::CountWarnings { column })
    } else if name.is_word(b"error_count") {
        phrase.ending(Diagnostics::CountErrors { column })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: Mode = Mode::STANDARD;

    #[test]
    fn use_() {
        for (text, target) in [
            ("use shop", Some(("shop", None))),
            ("USE `shop;`;; ", Some(("shop;", None))),
            ("/* c */ use # c\n shop -- c", Some(("shop", None))),
            ("/*!40000 use */ shop", Some(("shop", None))),
            ("use shop@replica", Some(("shop", Some("replica")))),
            ("use `shop`@replica", Some(("shop", Some("replica")))),
            ("use `shop@replica`", Some(("shop@replica", None))),
            ("use 1shop", Some(("1shop", None))),
            ("use \"shop\"", None),
            ("use `a``b`", None),
            ("use a.b", None),
            ("use shop; select 1", None),
            (";use shop", None),
            ("select 1; use shop", None),
            ("use", None),
            ("use 5", None),
            ("use shop /*!80000 x */", None),
            ("use shop /*!40000", None),
            ("", None),
        ] {
            let target = target.map(|(database, target): (&str, Option<&str>)| Use {
                database: database.as_bytes(),
                target: target.map(str::as_bytes),
            });
            assert_eq!(use_target(text.as_bytes(), MODE), target, "{text}");
        }
        let ansi = Mode { ansi_quotes: true, ..MODE };
        assert_eq!(use_target(b"use \"shop\"", ansi), Some(Use { database: b"shop", target: None }));
    }

    #[test]
    fn kill() {
        for (text, kill) in [
            ("kill 7", Some(Kill::Connection { id: 7 })),
            ("KILL CONNECTION 7;", Some(Kill::Connection { id: 7 })),
            ("/* c */ kill query 18446744073709551615", Some(Kill::Query { id: u64::MAX })),
            ("kill hard query 7", Some(Kill::Query { id: 7 })),
            ("kill soft 7", Some(Kill::Connection { id: 7 })),
            ("kill 18446744073709551616", Some(Kill::Other)),
            ("kill query id 7", Some(Kill::Other)),
            ("kill user root", Some(Kill::Other)),
            ("kill connection_id()", Some(Kill::Other)),
            ("kill 7 + 1", Some(Kill::Other)),
            ("kill '7'", Some(Kill::Other)),
            ("kill 0x1F", Some(Kill::Other)),
            ("kill 7e1", Some(Kill::Other)),
            ("kill @x", Some(Kill::Other)),
            ("kill", Some(Kill::Other)),
            ("kill 7; kill 8", None),
            ("kill @x; select 1", None),
            ("kill 7 '", None),
            ("select 1", None),
        ] {
            assert_eq!(kill_target(text.as_bytes(), MODE), kill, "{text}");
        }
    }

    #[test]
    fn diagnostics() {
        let limit = |offset, rows| Limit { offset, rows };
        for (text, diagnostics) in [
            ("show warnings", Some(Diagnostics::Warnings(Limit::NONE))),
            ("SHOW ERRORS;", Some(Diagnostics::Errors(Limit::NONE))),
            ("show warnings limit 5", Some(Diagnostics::Warnings(limit(0, 5)))),
            ("show errors limit 2, 5", Some(Diagnostics::Errors(limit(2, 5)))),
            ("show warnings limit 5 offset 2 -- c", Some(Diagnostics::Warnings(limit(2, 5)))),
            ("show count( * ) warnings", Some(Diagnostics::CountWarnings { column: b"@@session.warning_count" })),
            ("show count(*) errors", Some(Diagnostics::CountErrors { column: b"@@session.error_count" })),
            ("select @@Warning_count", Some(Diagnostics::CountWarnings { column: b"@@Warning_count" })),
            ("SELECT @@session.error_count;", Some(Diagnostics::CountErrors { column: b"@@session.error_count" })),
            (
                "select /* c */ @@local.warning_count",
                Some(Diagnostics::CountWarnings { column: b"@@local.warning_count" }),
            ),
            ("select @@global.warning_count", None),
            ("select @@session /**/.warning_count", None),
            ("select @@warning_count limit 1", None),
            ("select @@warning_count, 1", None),
            ("select @@warning_count w", None),
            ("select @warning_count", None),
            ("select @@sql_mode", None),
            ("show warnings limit 1; select 1", None),
            ("show warnings where 1", None),
            ("show warnings limit ?", None),
            ("show count(x) warnings", None),
            ("show tables", None),
            ("show", None),
        ] {
            assert_eq!(show_diagnostics(text.as_bytes(), MODE), diagnostics, "{text}");
        }
    }
}
