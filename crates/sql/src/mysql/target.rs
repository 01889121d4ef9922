//! What an assignment of a `SET` statement sets.
//!
//! Source: `option_value_no_option_type` and its neighbours in `sql/sql_yacc.yy` of MySQL and MariaDB, in the union of both.

use super::lexer::{Lexer, Token, TokenKind};

/// For whom, and for how long, a system variable is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// For the next transaction of the session.
    NextTransaction,
    /// Until the session ends.
    Session,
    /// For the server, and as the first value of sessions that begin later.
    Global,
    /// The same, and for the server when it starts again.
    Persist,
    /// Only for the server when it starts again.
    PersistOnly,
}

impl Scope {
    fn of(word: Token<'_>) -> Option<Self> {
        let scopes: [(&[u8], Self); 5] = [
            (b"session", Self::Session),
            (b"local", Self::Session),
            (b"global", Self::Global),
            (b"persist", Self::Persist),
            (b"persist_only", Self::PersistOnly),
        ];
        scopes.into_iter().find(|(name, _)| word.is_word(name)).map(|(_, scope)| scope)
    }
}

/// What is set, up to where `=` or the value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// `@x`, as written.
    User(&'a [u8]),
    /// A system variable by its name, which is in that of the keyword before it if it has none of its own.
    System { scope: Option<Scope>, name: &'a [u8] },
    /// The same as `@@x` or `@@scope.x`: keywords before it do not matter.
    Marked { scope: Option<Scope>, name: &'a [u8] },
    /// `NAMES`.
    Names,
    /// `CHARACTER SET`.
    CharacterSet,
    /// `TRANSACTION`, of the next one if there is no scope.
    Transaction(Option<Scope>),
    /// `PASSWORD`.
    Password,
    /// `ROLE`.
    Role,
    /// `DEFAULT ROLE`, of an account.
    DefaultRole,
    /// MariaDB's `STATEMENT`: variables for the statement behind `FOR`.
    Statement,
    /// Something else.
    Unknown,
}

impl<'a> Target<'a> {
    /// Reads it from behind `SET`, or the comma between two assignments.
    pub(crate) fn read(lexer: &mut Lexer<'a>) -> Self {
        let Some(first) = lexer.next() else { return Self::Unknown };
        match first.kind {
            TokenKind::UserVariable => Self::User(first.text),
            TokenKind::SystemVariable => Self::marked(lexer).unwrap_or(Self::Unknown),
            TokenKind::QuotedIdentifier => Self::named(None, first, lexer),
            // A password has the form of a variable.
            TokenKind::Word if first.is_word(b"password") => Self::Password,
            TokenKind::Word if is_assigned(lexer) => Self::named(None, first, lexer),
            TokenKind::Word => match Scope::of(first) {
                Some(scope) => Self::scoped(scope, lexer),
                None => Self::special(first, lexer).unwrap_or_else(|| Self::named(None, first, lexer)),
            },
            _ => Self::Unknown,
        }
    }

    /// Reads what is behind `@@`, where a variable is set or read.
    pub(crate) fn marked(lexer: &mut Lexer<'a>) -> Option<Self> {
        let first = lexer.next()?;
        let scope = Scope::of(first);
        let dot = lexer.next_if(|next| next.kind == TokenKind::Dot);
        let name = match (scope, dot) {
            (_, None) => first.name()?,
            (Some(_), Some(_)) => lexer.next()?.name()?,
            (None, Some(_)) => return None,
        };
        is_not_structured(lexer).then_some(Self::Marked { scope: scope.filter(|_| dot.is_some()), name })
    }

    /// Reads what is behind `SESSION` or `GLOBAL`.
    fn scoped(scope: Scope, lexer: &mut Lexer<'a>) -> Self {
        match lexer.next() {
            Some(name) if is_assigned(lexer) => Self::named(Some(scope), name, lexer),
            Some(word) if word.is_word(b"transaction") => Self::Transaction(Some(scope)),
            _ => Self::Unknown,
        }
    }

    fn named(scope: Option<Scope>, token: Token<'a>, lexer: &Lexer<'a>) -> Self {
        match token.name() {
            Some(name) if is_not_structured(lexer) => Self::System { scope, name },
            _ => Self::Unknown,
        }
    }

    /// The forms with a syntax of their own; `None` if the word is not one of theirs.
    fn special(word: Token<'a>, lexer: &mut Lexer<'a>) -> Option<Self> {
        let mut followed_by = |next: &[u8]| lexer.next_if(|token| token.is_word(next)).is_some();
        let is = |name: &[u8]| word.is_word(name);
        Some(if is(b"names") {
            Self::Names
        } else if is(b"charset") || ((is(b"character") || is(b"char")) && followed_by(b"set")) {
            Self::CharacterSet
        } else if is(b"transaction") {
            Self::Transaction(None)
        } else if is(b"role") {
            Self::Role
        } else if is(b"default") && followed_by(b"role") {
            Self::DefaultRole
        } else if is(b"statement") {
            Self::Statement
        } else if is(b"resource") || is(b"default") {
            Self::Unknown
        } else {
            return None;
        })
    }
}

/// Whether the word before is a name: a value follows, or the name goes on.
fn is_assigned(rest: &Lexer<'_>) -> bool {
    rest.peek(0).is_some_and(|next| matches!(next.kind, TokenKind::Equals | TokenKind::Assign | TokenKind::Dot))
}

/// Whether the name ends here; if not, it is one of several variables of that name, as for key caches.
fn is_not_structured(rest: &Lexer<'_>) -> bool {
    rest.peek(0).is_none_or(|next| next.kind != TokenKind::Dot)
}
