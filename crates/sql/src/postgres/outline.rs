//! A text without its values.

use super::lexer::{Dialect, Lexer, TokenKind};
use crate::outline::{Outline, Piece};

/// A text as it may be shown to operators: without comments, with `?` in place of every value, and short.
///
/// Where it is not certain what is a value, it ends. Names of tables and columns stay as they are.
///
/// ```
/// let outline = sql::outline(b"update users set pin = '1234' /* Ada */ where id = 7");
/// assert_eq!(outline, "update users set pin = ? where id = ?");
/// ```
#[must_use]
pub fn outline(text: &[u8]) -> String {
    let mut lexer = Lexer::new(text, Dialect::Postgres { standard_conforming_strings: true });
    let mut outline = Outline::default();
    while let Some(token) = lexer.next() {
        let piece = match token.kind {
            // With the setting off, the backslash may hide the string's end.
            TokenKind::String if token.text.contains(&b'\\') && token.text.starts_with(b"'") => Piece::Doubt,
            TokenKind::String | TokenKind::EscapeString | TokenKind::BitString | TokenKind::Number => Piece::Value,
            TokenKind::Unclosed => Piece::Doubt,
            TokenKind::Semicolon => Piece::End,
            TokenKind::Word
            | TokenKind::QuotedIdentifier
            | TokenKind::UnicodeIdentifier
            | TokenKind::Parameter
            | TokenKind::Open
            | TokenKind::Close
            | TokenKind::Comma
            | TokenKind::Dot
            | TokenKind::Equals
            | TokenKind::Symbol => Piece::Written(token.text),
        };
        let end = lexer.position();
        if !outline.add(piece, end - token.text.len(), end) {
            break;
        }
    }
    outline.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out() {
        for (text, expected) in [
            ("", ""),
            ("select 1", "select ?"),
            (
                "SELECT a.b,  \"C d\" from t where x='o''brien' and y in (1,2.5e3)",
                "SELECT a.b, \"C d\" from t where x=? and y in (?,?)",
            ),
            ("select $1, $$a$$, $t$b$t$, e'\\'c', B'1', x'ff' -- d", "select $1, ?, ?, ?, ?, ?"),
            ("begin; /* why */ select 2", "begin; select ?"),
            ("alter role app password 'secret'", "alter role app password ?"),
            ("update t set a = b", "update t set a = b"),
            ("line\u{1}\nbreak", "line  break"),
        ] {
            assert_eq!(outline(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn it_ends_where_values_are_not_certain() {
        for (text, expected) in [
            ("select 'a\\' || secret || 'b'", "select ?…"),
            ("select 'never closed, secret", "select ?…"),
            ("set app.token to secret", "set app.token to ?…"),
            ("set app.token = secret, more", "set app.token = ?…"),
            ("alter role a set app.token to secret", "alter role a set app.token to ?…"),
            ("select 1; set x to secret", "select ?; set x to ?…"),
        ] {
            let outline = outline(text.as_bytes());
            assert_eq!(outline, expected, "{text}");
            assert!(!outline.contains("secret"));
        }
    }

    #[test]
    fn it_is_short() {
        for text in ["select a, ".repeat(1_000), "x".repeat(100_000), "é".repeat(100_000), "'a',".repeat(100_000)] {
            let outline = outline(text.as_bytes());
            assert!(outline.chars().count() <= 220 && outline.ends_with('…'), "{outline}");
        }
    }
}
