//! A text that is exactly one statement, read token by token.

use super::lexer::{Lexer, Token, TokenKind};
use super::mode::Mode;

/// The tokens of a text's only statement, behind its first word. Should another statement follow, the semicolon and its tokens
/// come too: no statement read here has a semicolon in it, so none is understood then.
///
/// What is doubtful or never ends comes as a token of that kind, which no statement has either.
#[derive(Debug, Clone)]
pub(crate) struct Phrase<'a> {
    pub(crate) lexer: Lexer<'a>,
}

impl<'a> Phrase<'a> {
    /// Of a text that begins with `keyword`.
    pub(crate) fn behind(keyword: &[u8], text: &'a [u8], mode: Mode) -> Option<Self> {
        let mut lexer = Lexer::new(text, mode);
        // The server refuses an empty statement in front of another.
        lexer.next().filter(|first| first.is_word(keyword))?;
        Some(Self { lexer })
    }

    /// Takes the next token if it is the word `lower`.
    pub(crate) fn accept(&mut self, lower: &[u8]) -> bool {
        self.lexer.next_if(|token| token.is_word(lower)).is_some()
    }

    /// Takes the next token, which must be a name.
    pub(crate) fn take_name(&mut self) -> Option<&'a [u8]> {
        self.next()?.name()
    }

    /// Takes the next token, which must be a whole number in decimal digits.
    pub(crate) fn take_number(&mut self) -> Option<u64> {
        let number = self.next().filter(|token| token.kind == TokenKind::Number)?;
        std::str::from_utf8(number.text).ok()?.parse().ok()
    }

    /// Takes the next token if it is of a kind.
    pub(crate) fn accept_kind(&mut self, kind: TokenKind) -> bool {
        self.lexer.next_if(|token| token.kind == kind).is_some()
    }

    /// Whether nothing follows.
    pub(crate) fn is_at_end(&self) -> bool {
        self.clone().next().is_none()
    }

    /// `value`, if nothing follows.
    pub(crate) fn ending<T>(&self, value: T) -> Option<T> {
        self.is_at_end().then_some(value)
    }
}

impl<'a> Iterator for Phrase<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.lexer.next()?;
        let is_end =
            token.kind == TokenKind::Semicolon && self.lexer.clone().all(|token| token.kind == TokenKind::Semicolon);
        (!is_end).then_some(token)
    }
}
