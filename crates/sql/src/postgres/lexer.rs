//! Cutting a text into tokens, as the server's own lexer does.
//!
//! Source for PostgreSQL: `src/backend/parser/scan.l`. Where versions differ, both readings are kept apart only if the
//! difference can change a verdict; a text that every version refuses may be cut in any way.

use memchr::{memchr, memchr2, memmem};

/// Whose lexical rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// PostgreSQL.
    Postgres {
        /// The session's setting of that name, as of the start of the message: the server cuts the whole text first and runs
        /// it afterwards. When off, a backslash escapes in plain strings too.
        standard_conforming_strings: bool,
    },
}

/// A piece of the text. White space and comments are not tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes as written, with quotes.
    pub text: &'a [u8],
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A key word or an identifier without quotes.
    Word,
    /// `"…"`.
    QuotedIdentifier,
    /// `U&"…"`: its escapes may spell any name.
    UnicodeIdentifier,
    /// A string in which every backslash is itself: `'…'`, `N'…'`'s second half, and `$tag$…$tag$`.
    String,
    /// A string with escapes: `E'…'`, `U&'…'`, and `'…'` when strings are not standard-conforming.
    EscapeString,
    /// `B'…'` or `X'…'`.
    BitString,
    /// A number without its sign.
    Number,
    /// `$1`.
    Parameter,
    /// `;`.
    Semicolon,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `,`.
    Comma,
    /// `.` where no number begins.
    Dot,
    /// `=`, alone or as the beginning of a longer operator.
    Equals,
    /// A string, quoted identifier or comment that never ends: the rest of the text, which every server refuses.
    Unclosed,
    /// One character of any other operator or punctuation, or one that no rule knows.
    Symbol,
}

impl<'a> Token<'a> {
    /// Whether this is the unquoted word `lower`, in any case.
    pub(crate) fn is_word(&self, lower: &[u8]) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(lower)
    }

    /// What a quoted identifier holds; `None` for other tokens, and when a doubled quote in it would need a copy.
    pub(crate) fn unquoted(&self) -> Option<&'a [u8]> {
        let name = self.text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        (!name.is_empty() && !name.contains(&b'"')).then_some(name)
    }
}

/// The tokens of a text, first to last. Cloning one looks ahead.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a [u8],
    /// Where the next token is looked for; at most `text.len()`.
    at: usize,
    /// How `'…'` is read.
    plain: Quoting,
}

/// How a quoted run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// At the first quote.
    Bare,
    /// At the first quote that is not doubled.
    Doubled,
    /// The same, and a backslash takes the character after it along.
    Escaped,
}

impl<'a> Lexer<'a> {
    /// Begins at the start of `text`.
    pub fn new(text: &'a [u8], dialect: Dialect) -> Self {
        let plain = match dialect {
            Dialect::Postgres { standard_conforming_strings: true } => Quoting::Doubled,
            Dialect::Postgres { standard_conforming_strings: false } => Quoting::Escaped,
        };
        Self { text, at: 0, plain }
    }

    /// The token after the next `skip`, which stays where it is.
    pub(crate) fn peek(&self, skip: usize) -> Option<Token<'a>> {
        self.clone().nth(skip)
    }

    /// Takes the next token if it is the right one.
    pub(crate) fn next_if(&mut self, is_right: impl Fn(&Token<'a>) -> bool) -> Option<Token<'a>> {
        let mut ahead = self.clone();
        let token = ahead.next().filter(is_right)?;
        *self = ahead;
        Some(token)
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where the last token ended, in bytes from the text's start.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The byte at `at`, or NUL behind the end: no rule begins with NUL.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn class(&self, at: usize) -> Class {
        CLASSES[usize::from(self.byte(at))]
    }

    /// The first place from `at` on whose class is not among the given.
    fn run_end(&self, mut at: usize, is_inside: impl Fn(Class) -> bool) -> usize {
        while let Some(byte) = self.text.get(at)
            && is_inside(CLASSES[usize::from(*byte)])
        {
            at += 1;
        }
        at
    }

    /// What begins at `start` and is neither a word nor a comment.
    ///
    /// This and the rarer cases below stay out of line: inlined, they double what the loop over words costs.
    #[inline(never)]
    fn other(&self, start: usize, class: Class) -> (TokenKind, usize) {
        let kind = match class {
            Class::Digit => return (TokenKind::Number, self.number_end(start)),
            Class::Dot if self.class(start + 1) == Class::Digit => return (TokenKind::Number, self.number_end(start)),
            Class::Quote => return self.plain_string(start),
            Class::DoubleQuote => {
                return self.closed(TokenKind::QuotedIdentifier, self.quoted_end(start, Quoting::Doubled));
            }
            Class::Dollar => return self.dollar(start),
            Class::Dot => TokenKind::Dot,
            Class::Semicolon => TokenKind::Semicolon,
            Class::Open => TokenKind::Open,
            Class::Close => TokenKind::Close,
            Class::Comma => TokenKind::Comma,
            Class::Equals => TokenKind::Equals,
            Class::Minus | Class::Slash | Class::Other | Class::Letter | Class::Space => TokenKind::Symbol,
        };
        (kind, start + 1)
    }

    /// A token that ends with `end`, if it does.
    fn closed(&self, kind: TokenKind, end: Option<usize>) -> (TokenKind, usize) {
        end.map_or((TokenKind::Unclosed, self.text.len()), |end| (kind, end))
    }

    /// Where the `--` comment that begins at `at` ends: before the line's end.
    #[inline(never)]
    fn line_comment_end(&self, at: usize) -> usize {
        memchr2(b'\n', b'\r', &self.text[at..]).map_or(self.text.len(), |length| at + length)
    }

    /// Where the `/*` comment that begins at `at` ends; they nest.
    #[inline(never)]
    fn block_comment_end(&self, at: usize) -> Option<usize> {
        let mut at = at + 2;
        let mut depth = 1_usize;
        while depth > 0 {
            at += memchr2(b'*', b'/', &self.text[at..])?;
            match (self.byte(at), self.byte(at + 1)) {
                (b'*', b'/') => depth -= 1,
                (b'/', b'*') => depth += 1,
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 2;
        }
        Some(at)
    }

    /// Where the run that opens with the quote at `at` ends, behind its closing quote.
    #[inline(never)]
    fn quoted_end(&self, at: usize, quoting: Quoting) -> Option<usize> {
        let quote = self.byte(at);
        let mut at = at + 1;
        loop {
            at += match quoting {
                Quoting::Escaped => memchr2(quote, b'\\', &self.text[at..]),
                Quoting::Bare | Quoting::Doubled => memchr(quote, &self.text[at..]),
            }?;
            if self.byte(at) == b'\\' {
                at = (at + 2).min(self.text.len());
            } else if quoting != Quoting::Bare && self.byte(at + 1) == quote {
                at += 2;
            } else {
                return Some(at + 1);
            }
        }
    }

    /// Where the string that opens with the quote at `at` ends, with all its continuations.
    ///
    /// A string goes on, under the same rules, after white space that holds a line's end (`quotecontinue` in `scan.l`).
    #[inline(never)]
    fn string_end(&self, at: usize, quoting: Quoting) -> Option<usize> {
        let mut end = self.quoted_end(at, quoting)?;
        while let Some(next) = self.continuation(end) {
            end = self.quoted_end(next, quoting)?;
        }
        Some(end)
    }

    /// The quote that continues a string which paused at `at`, if one does.
    fn continuation(&self, mut at: usize) -> Option<usize> {
        let mut crossed_line = false;
        loop {
            match self.byte(at) {
                b'\n' | b'\r' => crossed_line = true,
                b' ' | b'\t' | 0x0b | 0x0c => {}
                b'-' if self.byte(at + 1) == b'-' => {
                    at = self.line_comment_end(at);
                    continue;
                }
                b'\'' if crossed_line => return Some(at),
                _ => return None,
            }
            at += 1;
        }
    }

    /// What begins at the `$` at `start`: a parameter, a dollar-quoted string, or nothing known.
    #[inline(never)]
    fn dollar(&self, start: usize) -> (TokenKind, usize) {
        if self.class(start + 1) == Class::Digit {
            return (TokenKind::Parameter, self.run_end(start + 1, |class| class == Class::Digit));
        }
        // A tag is an identifier without dollars in it.
        let tag_end = self.run_end(start + 1, |class| matches!(class, Class::Letter | Class::Digit));
        if self.byte(tag_end) != b'$' {
            return (TokenKind::Symbol, start + 1);
        }
        let delimiter = &self.text[start..=tag_end];
        let body = tag_end + 1;
        let end = memmem::find(&self.text[body..], delimiter).map(|length| body + length + delimiter.len());
        self.closed(TokenKind::String, end)
    }

    /// Where the number that begins at `at` ends.
    ///
    /// Letters that follow belong to the next token, as they did before PostgreSQL 15 (`SELECT 1INTO t`); it and later ones
    /// refuse them. Hexadecimal digits and `_` may therefore come as a word, which changes no verdict.
    #[inline(never)]
    fn number_end(&self, at: usize) -> usize {
        let digits_end = |at| self.run_end(at, |class| class == Class::Digit);
        let mut end = digits_end(at);
        if self.byte(end) == b'.' {
            end = digits_end(end + 1);
        }
        if matches!(self.byte(end), b'e' | b'E') {
            let exponent = end + 1 + usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
            if self.class(exponent) == Class::Digit {
                end = digits_end(exponent);
            }
        }
        end
    }

    /// What begins with the letter at `start`: a word, or a string or identifier with a prefix.
    #[inline]
    fn word(&self, start: usize) -> (TokenKind, usize) {
        let end = self.run_end(start + 1, |class| matches!(class, Class::Letter | Class::Digit | Class::Dollar));
        if end - start > 1 {
            return (TokenKind::Word, end);
        }
        self.prefixed(start, end)
    }

    /// What begins with a word of one letter, from `start` to `end`.
    fn prefixed(&self, start: usize, end: usize) -> (TokenKind, usize) {
        let (kind, end) = match (self.byte(start), self.byte(end), self.byte(end + 1)) {
            (b'e' | b'E', b'\'', _) => (TokenKind::EscapeString, self.string_end(end, Quoting::Escaped)),
            (b'b' | b'B' | b'x' | b'X', b'\'', _) => (TokenKind::BitString, self.string_end(end, Quoting::Bare)),
            (b'u' | b'U', b'&', b'\'') => (TokenKind::EscapeString, self.string_end(end + 1, Quoting::Doubled)),
            (b'u' | b'U', b'&', b'"') => (TokenKind::UnicodeIdentifier, self.quoted_end(end + 1, Quoting::Doubled)),
            _ => return (TokenKind::Word, end),
        };
        self.closed(kind, end)
    }

    #[inline(never)]
    fn plain_string(&self, start: usize) -> (TokenKind, usize) {
        let kind = match self.plain {
            Quoting::Escaped => TokenKind::EscapeString,
            Quoting::Bare | Quoting::Doubled => TokenKind::String,
        };
        self.closed(kind, self.string_end(start, self.plain))
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    #[inline]
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let start = self.run_end(self.at, |class| class == Class::Space);
            let class = CLASSES[usize::from(*self.text.get(start)?)];
            // Half of all tokens are words: worth a branch of their own, which is predicted better than a jump table.
            let (kind, end) = match class {
                Class::Letter => self.word(start),
                Class::Minus if self.byte(start + 1) == b'-' => {
                    self.at = self.line_comment_end(start);
                    continue;
                }
                Class::Slash if self.byte(start + 1) == b'*' => match self.block_comment_end(start) {
                    Some(end) => {
                        self.at = end;
                        continue;
                    }
                    None => self.closed(TokenKind::Unclosed, None),
                },
                _ => self.other(start, class),
            };
            self.at = end;
            return Some(Token { kind, text: &self.text[start..end] });
        }
    }
}

/// What a byte begins, or goes on with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    /// A letter, an underscore, or any byte above ASCII.
    Letter,
    Digit,
    Dollar,
    Quote,
    DoubleQuote,
    Minus,
    Slash,
    Semicolon,
    Open,
    Close,
    Comma,
    Dot,
    Equals,
    Other,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            b'$' => Class::Dollar,
            b'-' => Class::Minus,
            b'/' => Class::Slash,
            b';' => Class::Semicolon,
            b'(' => Class::Open,
            b')' => Class::Close,
            b',' => Class::Comma,
            b'.' => Class::Dot,
            b'=' => Class::Equals,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests;
