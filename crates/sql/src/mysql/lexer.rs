//! Cutting a text into tokens, as the server's own lexer does.
//!
//! Source: `sql/sql_lex.cc` of MySQL and MariaDB, and MySQL 9.7 and MariaDB 10.11 themselves, asked about every rule here.

use memchr::{memchr2, memmem};

use super::mode::{Charset, Mode};

/// A piece of the text. White space and comments are not tokens; the code inside executable comments is.
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
    /// A key word or an identifier without quotes; the `N`, `X`, `B` and `_utf8mb4` in front of a string too.
    Word,
    /// `` `…` ``, and `"…"` with `ANSI_QUOTES`.
    QuotedIdentifier,
    /// `'…'`, and `"…"` without `ANSI_QUOTES`.
    String,
    /// A number without its sign.
    Number,
    /// `@name`, with quotes if it has any. Behind a string or name it is the host of an account.
    UserVariable,
    /// `@@`; what is behind it names a system variable.
    SystemVariable,
    /// `?`.
    Parameter,
    /// `:=`.
    Assign,
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
    /// `=`, alone or as a part of a longer operator.
    Equals,
    /// A string, quoted identifier or comment that never ends: the rest of the text, which every server refuses.
    Unclosed,
    /// The rest of the text, which servers of different versions read differently, or in a way we do not know.
    Doubtful,
    /// One character of any other operator or punctuation, or one that no rule knows.
    Symbol,
}

impl<'a> Token<'a> {
    /// Whether this is the unquoted word `lower`, in any case.
    pub(crate) fn is_word(&self, lower: &[u8]) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(lower)
    }

    /// The name that a word or quoted identifier stands for; `None` for other tokens, and when a doubled quote in it would need a
    /// copy.
    pub(crate) fn name(&self) -> Option<&'a [u8]> {
        match (self.kind, self.text) {
            (TokenKind::Word, word) => Some(word),
            (TokenKind::QuotedIdentifier, [quote, name @ .., _]) => {
                (!name.is_empty() && !name.contains(quote)).then_some(name)
            }
            _ => None,
        }
    }
}

/// What is read of executable comments that only some versions of the server carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// What is in them: the server is as new as they ask for.
    Code,
    /// Nothing.
    Comment,
    /// Neither: they are [`TokenKind::Doubtful`].
    Certain,
}

/// The tokens of a text, first to last. Cloning one looks ahead.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a [u8],
    /// Where the next token is looked for; at most `text.len()`.
    at: usize,
    mode: Mode,
    reading: Reading,
    place: Place,
    /// The version that a comment asked for of which [`Reading`] decided.
    version: Option<u32>,
}

/// Where in the text a lexer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    /// In an executable comment: the next `*/` ends it.
    Executable,
}

impl<'a> Lexer<'a> {
    /// Begins at the start of `text`.
    pub fn new(text: &'a [u8], mode: Mode) -> Self {
        Self::with_reading(text, mode, Reading::Certain)
    }

    pub(crate) fn with_reading(text: &'a [u8], mode: Mode, reading: Reading) -> Self {
        Self { text, at: 0, mode, reading, place: Place::Outside, version: None }
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

    /// The text that is not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// The text from the token `first`, which a clone has just returned, to the end of this one's last token; `None` if it cannot
    /// be taken out of its place, because an executable comment begins or ends in it.
    pub(crate) fn piece(&self, first: &Self, token: Token<'a>) -> Option<&'a [u8]> {
        let piece = self.text.get(first.at - token.text.len()..self.at)?;
        let is_whole = match (first.place, self.place) {
            (Place::Outside, Place::Outside) => true,
            (Place::Executable, Place::Executable) => memmem::find(piece, b"*/").is_none(),
            _ => false,
        };
        is_whole.then_some(piece)
    }

    /// Where the last token ended, in bytes from the text's start.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Whether another [`Reading`] might give other tokens.
    pub(crate) fn depends_on_reading(&self) -> bool {
        self.version.is_some()
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

    fn word_end(&self, at: usize) -> usize {
        self.run_end(at, Class::is_in_word)
    }

    /// What begins at `start` and is neither a word nor a comment.
    ///
    /// This and the rarer cases below stay out of line: inlined, they double what the loop over words costs.
    #[inline(never)]
    fn other(&self, start: usize, class: Class) -> (TokenKind, usize) {
        let kind = match class {
            Class::Digit => return self.number(start),
            Class::Dot if self.class(start + 1) == Class::Digit => return (TokenKind::Number, self.real_end(start)),
            Class::Quote | Class::DoubleQuote | Class::Backquote => return self.quoted(start),
            Class::At => return self.variable(start),
            Class::Dollar => return self.dollar(start),
            Class::Colon if self.byte(start + 1) == b'=' => return (TokenKind::Assign, start + 2),
            // The server's lexer takes it for the end of what it reads. It refuses such texts, so far.
            Class::Nul => TokenKind::Doubtful,
            Class::Parameter => TokenKind::Parameter,
            Class::Dot => TokenKind::Dot,
            Class::Semicolon => TokenKind::Semicolon,
            Class::Open => TokenKind::Open,
            Class::Close => TokenKind::Close,
            Class::Comma => TokenKind::Comma,
            Class::Equals => TokenKind::Equals,
            Class::Minus
            | Class::Slash
            | Class::Star
            | Class::Hash
            | Class::Colon
            | Class::Other
            | Class::Letter
            | Class::Space => TokenKind::Symbol,
        };
        (kind, start + 1)
    }

    /// The string or identifier that opens with the quote at `start`.
    #[inline(never)]
    fn quoted(&self, start: usize) -> (TokenKind, usize) {
        let kind = match self.class(start) {
            Class::Backquote => TokenKind::QuotedIdentifier,
            Class::DoubleQuote if self.mode.ansi_quotes => TokenKind::QuotedIdentifier,
            _ => TokenKind::String,
        };
        let escapes = kind == TokenKind::String && !self.mode.no_backslash_escapes;
        match self.quoted_end(start, escapes) {
            None => (TokenKind::Unclosed, self.text.len()),
            Some(end) if kind == TokenKind::QuotedIdentifier && !self.is_plain_name(start, end) => {
                (TokenKind::Doubtful, end)
            }
            Some(end) => (kind, end),
        }
    }

    /// Whether every server finds the same end of a quoted identifier. In UTF-8 it steps from character to character by their first
    /// bytes, and a name holds no characters of four bytes.
    fn is_plain_name(&self, start: usize, end: usize) -> bool {
        let name = &self.text[start..end];
        self.mode.charset != Charset::Utf8
            || name.is_ascii()
            || (name.iter().all(|byte| *byte < 0xf0) && std::str::from_utf8(name).is_ok())
    }

    /// Where the run that opens with the quote at `at` ends, behind its closing quote; a doubled quote does not close it.
    fn quoted_end(&self, at: usize, escapes: bool) -> Option<usize> {
        let quote = self.byte(at);
        let escape = if escapes { b'\\' } else { quote };
        let mut at = at + 1;
        loop {
            at += memchr2(quote, escape, self.text.get(at..)?)?;
            if self.byte(at) != quote || self.byte(at + 1) == quote {
                at += 2;
            } else {
                return Some(at + 1);
            }
        }
    }

    /// What begins with the `@` at `start`.
    #[inline(never)]
    fn variable(&self, start: usize) -> (TokenKind, usize) {
        let name = start + 1;
        match self.class(name) {
            Class::At => (TokenKind::SystemVariable, name + 1),
            Class::Quote | Class::DoubleQuote | Class::Backquote => match self.quoted(name) {
                (TokenKind::String | TokenKind::QuotedIdentifier, end) => (TokenKind::UserVariable, end),
                other => other,
            },
            _ => {
                let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$');
                let length = self.text[name..].iter().take_while(|byte| is_inside(byte)).count();
                (TokenKind::UserVariable, name + length)
            }
        }
    }

    /// What begins with the `$` at `start`: since MySQL 9 a string if another `$` follows, a word to all others.
    #[inline(never)]
    fn dollar(&self, start: usize) -> (TokenKind, usize) {
        let end = self.word_end(start);
        let is_quote = self.text[start + 1..end].contains(&b'$');
        (if is_quote { TokenKind::Doubtful } else { TokenKind::Word }, end)
    }

    /// What begins with the digit at `start`: a number, or an identifier that begins with digits.
    #[inline(never)]
    fn number(&self, start: usize) -> (TokenKind, usize) {
        let digits = self.run_end(start, |class| class == Class::Digit);
        if let Some(end) = self.exponent_end(digits) {
            return (TokenKind::Number, end);
        }
        let word = self.word_end(digits);
        if word > digits {
            let is_hexadecimal = match &self.text[start..word] {
                [b'0', b'x', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
                [b'0', b'b', digits @ ..] => digits.iter().all(|digit| matches!(digit, b'0' | b'1')),
                _ => false,
            };
            return (if is_hexadecimal { TokenKind::Number } else { TokenKind::Word }, word);
        }
        if self.byte(digits) == b'.' { (TokenKind::Number, self.real_end(digits)) } else { (TokenKind::Number, digits) }
    }

    /// Where the number goes on to whose decimal point is at `dot`. Letters that follow belong to the next token.
    fn real_end(&self, dot: usize) -> usize {
        let end = self.run_end(dot + 1, |class| class == Class::Digit);
        self.exponent_end(end).unwrap_or(end)
    }

    /// Where the exponent at `at` ends, if one is there.
    fn exponent_end(&self, at: usize) -> Option<usize> {
        if !matches!(self.byte(at), b'e' | b'E') {
            return None;
        }
        let digits = at + 1 + usize::from(matches!(self.byte(at + 1), b'+' | b'-'));
        (self.class(digits) == Class::Digit).then(|| self.run_end(digits, |class| class == Class::Digit))
    }

    /// Where the comment to the line's end that begins at `start` ends; `None` if that is doubtful.
    #[inline(never)]
    fn line_comment_end(&self, start: usize) -> Option<usize> {
        // A carriage return is no line's end here.
        match memchr2(b'\n', 0, &self.text[start..]) {
            Some(length) if self.byte(start + length) == 0 => None,
            Some(length) => Some(start + length),
            None => Some(self.text.len()),
        }
    }

    /// Whether `--` at `start` begins a comment: white space, a control character or the text's end must follow.
    fn is_line_comment(&self, start: usize) -> bool {
        self.byte(start + 1) == b'-' && matches!(self.byte(start + 2), 0..=b' ' | 0x7f)
    }

    /// Passes over the comment, or what introduces an executable one, at `start`; returns the token that is there instead if
    /// that cannot be done.
    #[inline(never)]
    fn pass_comment(&mut self, start: usize) -> Result<(), TokenKind> {
        let introduced = match (self.byte(start + 2), self.byte(start + 3)) {
            (b'!', _) => Some(start + 3),
            (b'M', b'!') if self.mode.mariadb => Some(start + 4),
            _ => None,
        };
        let Some(introduced) = introduced else {
            // Comments do not nest.
            self.at = comment_end(self.text, start + 2, 0).ok_or(TokenKind::Unclosed)?;
            return Ok(());
        };
        // The servers refuse one in another, except where its end is the end of a comment by chance.
        if self.place == Place::Executable {
            return Err(TokenKind::Doubtful);
        }
        let (version, code) = self.version(introduced).ok_or(TokenKind::Doubtful)?;
        if version > COMMON_VERSION {
            // With one version in the text, either all comments are carried out or none.
            if self.reading == Reading::Certain || self.version.is_some_and(|other| other != version) {
                return Err(TokenKind::Doubtful);
            }
            self.version = Some(version);
        }
        if version > COMMON_VERSION && self.reading == Reading::Comment {
            self.at = comment_end(self.text, introduced, 1).ok_or(TokenKind::Unclosed)?;
        } else {
            self.place = Place::Executable;
            self.at = code;
        }
        Ok(())
    }

    /// The version that stands at `at`, zero if none does, and where it ends; `None` if servers differ about that.
    fn version(&self, at: usize) -> Option<(u32, usize)> {
        let digits = self.text[at..].iter().take(7).take_while(|byte| byte.is_ascii_digit()).count();
        let length = match digits {
            0..=4 => return Some((0, at)),
            5 => 5,
            // Old servers read five digits in any case, new ones the sixth unless the first is zero.
            6 if self.byte(at) != b'0' && !self.class(at + 6).is_in_word() => 6,
            _ => return None,
        };
        let end = at + length;
        let value = self.text[at..end].iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        Some((value, end))
    }

    /// What a token becomes if it holds bytes above ASCII, in any character set but UTF-8.
    #[cold]
    #[inline(never)]
    fn beyond_ascii(&self, kind: TokenKind, text: &[u8]) -> TokenKind {
        use TokenKind::{QuotedIdentifier, String, Unclosed, UserVariable};
        let is_quoted = matches!(kind, String | QuotedIdentifier | UserVariable | Unclosed);
        let is_certain = text.is_ascii() || (is_quoted && self.mode.charset == Charset::SingleByte);
        if is_certain { kind } else { TokenKind::Doubtful }
    }

    /// The token from `start` to `end`, or to the text's end if it is the last one that can be told.
    #[inline]
    fn token(&mut self, kind: TokenKind, start: usize, end: usize) -> Token<'a> {
        let kind =
            if self.mode.charset == Charset::Utf8 { kind } else { self.beyond_ascii(kind, &self.text[start..end]) };
        self.at = end;
        if matches!(kind, TokenKind::Doubtful | TokenKind::Unclosed) {
            self.at = self.text.len();
            self.place = Place::Outside;
        }
        Token { kind, text: &self.text[start..self.at] }
    }

    /// The end of the text. In an executable comment it is one that every server refuses.
    #[cold]
    #[inline(never)]
    fn end(&mut self) -> Option<Token<'a>> {
        let place = std::mem::replace(&mut self.place, Place::Outside);
        self.at = self.text.len();
        (place == Place::Executable).then_some(Token { kind: TokenKind::Unclosed, text: b"" })
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    #[inline]
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let start = self.run_end(self.at, |class| class == Class::Space);
            let Some(first) = self.text.get(start) else { return self.end() };
            let class = CLASSES[usize::from(*first)];
            // Half of all tokens are words: worth a branch of their own, which is predicted better than a jump table.
            let (kind, end) = match class {
                Class::Letter => (TokenKind::Word, self.word_end(start + 1)),
                Class::Minus if self.is_line_comment(start) => match self.line_comment_end(start) {
                    Some(end) => {
                        self.at = end;
                        continue;
                    }
                    None => (TokenKind::Doubtful, start),
                },
                Class::Hash => match self.line_comment_end(start) {
                    Some(end) => {
                        self.at = end;
                        continue;
                    }
                    None => (TokenKind::Doubtful, start),
                },
                Class::Slash if self.byte(start + 1) == b'*' => match self.pass_comment(start) {
                    Ok(()) => continue,
                    Err(kind) => (kind, start),
                },
                Class::Star if self.place == Place::Executable && self.byte(start + 1) == b'/' => {
                    self.place = Place::Outside;
                    self.at = start + 2;
                    continue;
                }
                _ => self.other(start, class),
            };
            return Some(self.token(kind, start, end));
        }
    }
}

/// Executable comments for this version or an older one are carried out by every server in use.
///
/// MariaDB passes over those for MySQL's versions from 5.7 on; MySQL 5.6 is the oldest server there is reason to speak to.
const COMMON_VERSION: u32 = 50_600;

/// Where the comment ends whose inside is at `at`, when comments may stand in it `levels` deep.
///
/// The server passes over executable comments it is too old for with one level, over all others with none.
fn comment_end(text: &[u8], mut at: usize, levels: u32) -> Option<usize> {
    loop {
        let end = at + memmem::find(text.get(at..)?, b"*/")? + 2;
        let inner = (levels > 0).then(|| memmem::find(&text[at..end], b"/*")).flatten();
        match inner {
            // "/*/" opens one and does not close it.
            Some(inner) => at = comment_end(text, at + inner + 2, levels - 1)?,
            None => return Some(end),
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
    Backquote,
    At,
    Minus,
    Slash,
    Star,
    Hash,
    Colon,
    Parameter,
    Semicolon,
    Open,
    Close,
    Comma,
    Dot,
    Equals,
    Nul,
    Other,
}

impl Class {
    fn is_in_word(self) -> bool {
        matches!(self, Self::Letter | Self::Digit | Self::Dollar)
    }
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'$' => Class::Dollar,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            b'`' => Class::Backquote,
            b'@' => Class::At,
            b'-' => Class::Minus,
            b'/' => Class::Slash,
            b'*' => Class::Star,
            b'#' => Class::Hash,
            b':' => Class::Colon,
            b'?' => Class::Parameter,
            b';' => Class::Semicolon,
            b'(' => Class::Open,
            b')' => Class::Close,
            b',' => Class::Comma,
            b'.' => Class::Dot,
            b'=' => Class::Equals,
            0 => Class::Nul,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests;
