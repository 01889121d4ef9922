//! A text without its values.

use super::lexer::{Lexer, TokenKind};
use super::mode::Mode;
use crate::outline::{Outline, Piece};

/// A text as it may be shown to operators: without comments, with `?` in place of every value, and short. See
/// [`crate::outline`].
///
/// ```
/// use sql::mysql::{Mode, outline};
///
/// assert_eq!(outline(b"insert into t values (1, \"secret\") # why", Mode::STANDARD), "insert into t values (?, ?)");
/// ```
#[must_use]
pub fn outline(text: &[u8], mode: Mode) -> String {
    let mut lexer = Lexer::new(text, mode);
    let mut outline = Outline::default();
    while let Some(token) = lexer.next() {
        let piece = match token.kind {
            TokenKind::String | TokenKind::Number => Piece::Value,
            // What is in its quotes need not be a name: `'app'@'10.0.0.1'`.
            TokenKind::UserVariable if token.text.iter().any(|byte| b"'\"`".contains(byte)) => Piece::Value,
            TokenKind::Unclosed | TokenKind::Doubtful => Piece::Doubt,
            TokenKind::Semicolon => Piece::End,
            TokenKind::Word
            | TokenKind::QuotedIdentifier
            | TokenKind::UserVariable
            | TokenKind::SystemVariable
            | TokenKind::Parameter
            | TokenKind::Assign
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
            (
                "SELECT `a b`, _utf8mb4'x', N'y', 0x1f, 1.5 FROM t WHERE c = \"d\"",
                "SELECT `a b`, _utf8mb4?, N?, ?, ? FROM t WHERE c = ?",
            ),
            ("insert into t values (?, 'it''s', 'a\\'b') -- x", "insert into t values (?, ?, ?)"),
            ("create user 'u'@'h' identified by 'secret'", "create user ?? identified by ?"),
            ("select @a, @@sql_mode /* z */", "select @a, @@sql_mode"),
            ("select 1; select 2", "select ?; select ?"),
        ] {
            assert_eq!(outline(text.as_bytes(), Mode::STANDARD), expected, "{text}");
        }
    }

    #[test]
    fn it_ends_where_values_are_not_certain() {
        for (text, expected) in [
            ("set @a := secret, b = 1", "set @a := ?…"),
            ("set password = 'secret'", "set password = ?…"),
            ("select 'never closed, secret", "select ?…"),
            ("select /*!99999 'secret' */ 1", "select ?…"),
        ] {
            let outline = outline(text.as_bytes(), Mode::STANDARD);
            assert_eq!(outline, expected, "{text}");
            assert!(!outline.contains("secret"));
        }
    }
}
