//! A `SET` statement, taken apart as far as carrying it out elsewhere needs.

use super::inspect::is_of_transaction;
use super::lexer::{Token, TokenKind};
use super::mode::Mode;
use super::phrase::Phrase;
use super::target::{Scope, Target};

/// One assignment of a `SET` statement.
///
/// Names of system variables are as written, without quotes; the server compares them without regard to case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment<'a> {
    /// `[scope] x = value`, `@@[scope.]x = value`.
    System {
        /// For whom. A variable without one has that of the last keyword before it in the statement.
        scope: Scope,
        /// The variable.
        name: &'a [u8],
        /// What it is set to.
        value: Value<'a>,
    },
    /// `@x = value`.
    User {
        /// The variable as written behind the `@`, with quotes if it has any.
        name: &'a [u8],
        /// What it is set to.
        value: Value<'a>,
    },
    /// `NAMES charset [COLLATE collation]`.
    Names {
        /// A word, a string or `DEFAULT`.
        charset: Value<'a>,
        /// A word, a string or, on MariaDB, `DEFAULT`.
        collation: Option<Value<'a>>,
    },
    /// `CHARACTER SET charset`, which sets the connection's character set to the database's.
    CharacterSet {
        /// A word, a string or `DEFAULT`.
        charset: Value<'a>,
    },
    /// `[scope] TRANSACTION modes`; the only assignment of its statement.
    Transaction {
        /// For whom: the next transaction, the session or the server.
        scope: Scope,
        /// The SQL behind `TRANSACTION`: words and commas.
        modes: &'a [u8],
    },
}

/// What something is set to, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `DEFAULT`.
    Default,
    /// A word without quotes: `ON`, `utf8mb4`.
    Word(&'a [u8]),
    /// A string with its quotes; whether a backslash escapes in it is the [`Mode`]'s to say.
    String(&'a [u8]),
    /// A number with its sign.
    Number(&'a [u8]),
    /// Anything else. It may read variables, tables and functions: only where the client's session is does it mean the same.
    Expression(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The text of a word, or of a string in which each character stands for itself; `None` for other values.
    pub fn plain(&self) -> Option<&'a [u8]> {
        match self {
            Self::Word(word) => Some(word),
            Self::String([quote, text @ .., _]) => {
                (!text.iter().any(|byte| byte == quote || *byte == b'\\')).then_some(text)
            }
            _ => None,
        }
    }
}

/// Takes a text apart that is exactly one `SET` of variables, names or transaction modes; `None` for all others.
///
/// `None` also when there is anything in it that is not understood exactly: then the text is for the server alone, and its effects
/// are [`inspect`](super::inspect())'s. That is so for `SET PASSWORD`, `SET ROLE`, `SET STATEMENT` and the variables of a key cache. Names
/// and values that the server will refuse are not found out here.
pub fn assignments(text: &[u8], mode: Mode) -> Option<Assignments<'_>> {
    let assignments = Assignments { phrase: Phrase::behind(b"set", text, mode)?, scope: Scope::Session, ends: false };
    let mut ahead = assignments.clone();
    while let Some(assignment) = ahead.read() {
        assignment.ok()?;
    }
    Some(assignments)
}

/// The assignments of a statement that [`assignments`] has understood, in order.
#[derive(Debug, Clone)]
pub struct Assignments<'a> {
    phrase: Phrase<'a>,
    /// That of the last keyword, for variables without one.
    scope: Scope,
    /// No comma followed the last assignment.
    ends: bool,
}

impl<'a> Iterator for Assignments<'a> {
    type Item = Assignment<'a>;

    fn next(&mut self) -> Option<Assignment<'a>> {
        self.read()?.ok()
    }
}

/// There is something in the statement beyond what this module knows.
struct NotUnderstood;

impl<'a> Assignments<'a> {
    fn read(&mut self) -> Option<Result<Assignment<'a>, NotUnderstood>> {
        if self.ends {
            return None;
        }
        let assignment = self.assignment();
        self.ends = assignment.is_none() || !self.phrase.accept_kind(TokenKind::Comma);
        let is_complete = !self.ends || self.phrase.is_at_end();
        Some(assignment.filter(|_| is_complete).ok_or(NotUnderstood))
    }

    fn assignment(&mut self) -> Option<Assignment<'a>> {
        match Target::read(&mut self.phrase.lexer) {
            Target::User(name) => Some(Assignment::User { name: name.get(1..)?, value: self.assigned()? }),
            Target::System { scope, name } => {
                self.scope = scope.unwrap_or(self.scope);
                Some(Assignment::System { scope: self.scope, name, value: self.assigned()? })
            }
            Target::Marked { scope, name } => {
                let unsaid = if is_of_transaction(name) { Scope::NextTransaction } else { Scope::Session };
                Some(Assignment::System { scope: scope.unwrap_or(unsaid), name, value: self.assigned()? })
            }
            Target::Names => {
                let charset = self.charset()?;
                let collation = if self.phrase.accept(b"collate") { Some(self.charset()?) } else { None };
                Some(Assignment::Names { charset, collation })
            }
            Target::CharacterSet => Some(Assignment::CharacterSet { charset: self.charset()? }),
            Target::Transaction(scope) => {
                let modes = self.modes()?;
                Some(Assignment::Transaction { scope: scope.unwrap_or(Scope::NextTransaction), modes })
            }
            Target::Password | Target::Role | Target::DefaultRole | Target::Statement | Target::Unknown => None,
        }
    }

    /// Reads `=` and the value behind it.
    fn assigned(&mut self) -> Option<Value<'a>> {
        let assigns = self.phrase.next()?;
        if !matches!(assigns.kind, TokenKind::Equals | TokenKind::Assign) {
            return None;
        }
        let first = self.phrase.next().filter(|first| first.kind != TokenKind::Comma)?;
        let start = self.phrase.lexer.clone();
        let (mut last, mut length, mut depth) = (first, 1_usize, 0_usize);
        loop {
            match last.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.checked_sub(1)?,
                TokenKind::Semicolon | TokenKind::Unclosed | TokenKind::Doubtful => return None,
                _ => {}
            }
            // The comma behind the value and the end are for the caller.
            let mut ahead = self.phrase.clone();
            let Some(next) = ahead.next().filter(|next| depth > 0 || next.kind != TokenKind::Comma) else { break };
            self.phrase = ahead;
            last = next;
            length += 1;
        }
        let text = self.phrase.lexer.piece(&start, first).filter(|_| depth == 0)?;
        Some(match (length, last.kind) {
            (1, TokenKind::Word) if last.is_word(b"default") => Value::Default,
            (1, TokenKind::Word) => Value::Word(text),
            (1, TokenKind::String) => Value::String(text),
            (1, TokenKind::Number) => Value::Number(text),
            (2, TokenKind::Number) if matches!(first.text, b"-" | b"+") => Value::Number(text),
            _ => Value::Expression(text),
        })
    }

    /// Reads the name of a character set or collation.
    fn charset(&mut self) -> Option<Value<'a>> {
        let token = self.phrase.next()?;
        match token.kind {
            TokenKind::Word if token.is_word(b"default") => Some(Value::Default),
            TokenKind::Word => Some(Value::Word(token.text)),
            TokenKind::String => Some(Value::String(token.text)),
            _ => None,
        }
    }

    /// Reads words and commas to the end.
    fn modes(&mut self) -> Option<&'a [u8]> {
        let first = self.phrase.next()?;
        let start = self.phrase.lexer.clone();
        let is_mode = |token: &Token<'_>| matches!(token.kind, TokenKind::Word | TokenKind::Comma);
        while self.phrase.lexer.next_if(is_mode).is_some() {}
        (first.kind == TokenKind::Word).then(|| self.phrase.lexer.piece(&start, first)).flatten()
    }
}

#[cfg(test)]
mod tests;
