//! `DEALLOCATE` and `DISCARD`, which a pooler carries out in part itself.

use super::lexer::{Dialect, Lexer, Token, TokenKind};

/// What a `DEALLOCATE` forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deallocate<'a> {
    /// Every prepared statement of the session.
    All,
    /// One, by its name.
    Name(Identifier<'a>),
}

/// What a `DISCARD` forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// Everything: role and settings, prepared statements, cursors, listening, advisory locks, and the three below.
    All,
    /// Cached plans.
    Plans,
    /// What `currval` and `lastval` remember.
    Sequences,
    /// Temporary objects.
    Temp,
}

/// A name as SQL writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifier<'a> {
    /// Written without quotes: its ASCII letters stand for lower-case ones.
    Folded(&'a [u8]),
    /// Written in quotes, which are left out here: it stands for itself.
    Exact(&'a [u8]),
}

impl Identifier<'_> {
    /// PostgreSQL keeps this many bytes of a name (`NAMEDATALEN` less one), and cuts what is longer.
    pub const LEN_MAX: usize = 63;

    /// Whether it means `name`.
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Folded(text) => {
                text.len() == name.len() && text.iter().zip(name).all(|(byte, own)| byte.to_ascii_lowercase() == *own)
            }
            Self::Exact(text) => *text == name,
        }
    }
}

impl<'a> Identifier<'a> {
    /// `None` for tokens that are no name, or name something other than what they say.
    fn from_token(token: Token<'a>) -> Option<Self> {
        let name = match token.kind {
            TokenKind::Word => Self::Folded(token.text),
            TokenKind::QuotedIdentifier => Self::Exact(token.unquoted()?),
            _ => return None,
        };
        (token.text.len() <= Self::LEN_MAX).then_some(name)
    }
}

/// The target of a PostgreSQL text that is exactly one `DEALLOCATE`; `None` for all others.
///
/// Also `None` for names whose meaning is not plain: `U&"…"`, doubled quotes, more than [`Identifier::LEN_MAX`] bytes.
pub fn deallocate_target(text: &[u8]) -> Option<Deallocate<'_>> {
    let mut words = arguments(text, b"deallocate")?;
    // DEALLOCATE PREPARE names the statement "prepare", unless something follows.
    let target = match (words.next()?, words.next()) {
        (target, None) => target,
        (prepare, Some(target)) if prepare.is_word(b"prepare") => target,
        _ => return None,
    };
    if words.next().is_some() {
        return None;
    }
    if target.is_word(b"all") {
        return Some(Deallocate::All);
    }
    Identifier::from_token(target).map(Deallocate::Name)
}

/// The target of a PostgreSQL text that is exactly one `DISCARD`; `None` for all others.
pub fn discard_target(text: &[u8]) -> Option<Discard> {
    let mut words = arguments(text, b"discard")?;
    let target = words.next()?;
    if words.next().is_some() {
        return None;
    }
    let targets: [(&[u8], Discard); 5] = [
        (b"all", Discard::All),
        (b"plans", Discard::Plans),
        (b"sequences", Discard::Sequences),
        (b"temp", Discard::Temp),
        (b"temporary", Discard::Temp),
    ];
    targets.into_iter().find(|(word, _)| target.is_word(word)).map(|(_, target)| target)
}

/// The tokens behind the first word of a text's only statement, if that word is `keyword`. Should another statement follow, its
/// tokens come too.
fn arguments<'a>(text: &'a [u8], keyword: &[u8]) -> Option<impl Iterator<Item = Token<'a>>> {
    // No string has a place in these statements, so how strings are read does not matter.
    let mut tokens = Lexer::new(text, Dialect::Postgres { standard_conforming_strings: true })
        .filter(|token| token.kind != TokenKind::Semicolon);
    tokens.next().filter(|first| first.is_word(keyword))?;
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deallocate() {
        use Identifier::{Exact, Folded};
        for (text, target) in [
            ("deallocate all", Some(Deallocate::All)),
            ("DEALLOCATE PREPARE ALL;", Some(Deallocate::All)),
            ("/* c */ deallocate S_1 -- c", Some(Deallocate::Name(Folded(b"S_1")))),
            (";deallocate prepare p1;;", Some(Deallocate::Name(Folded(b"p1")))),
            ("deallocate prepare", Some(Deallocate::Name(Folded(b"prepare")))),
            ("deallocate \"S_1\"", Some(Deallocate::Name(Exact(b"S_1")))),
            ("deallocate \"all\"", Some(Deallocate::Name(Exact(b"all")))),
            ("deallocate \"a\"\"b\"", None),
            ("deallocate \"\"", None),
            ("deallocate U&\"a\"", None),
            ("deallocate", None),
            ("deallocate a b", None),
            ("deallocate prepare a b", None),
            ("deallocate a; select 1", None),
            ("select 1; deallocate a", None),
            ("deallocate 1", None),
            ("deallocate a /*", None),
            ("", None),
        ] {
            assert_eq!(deallocate_target(text.as_bytes()), target, "{text}");
        }
        let long = format!("deallocate {}", "x".repeat(64));
        assert_eq!(deallocate_target(long.as_bytes()), None);
        assert!(deallocate_target(&long.as_bytes()[..long.len() - 1]).is_some());
    }

    #[test]
    fn discard() {
        for (text, target) in [
            ("discard all", Some(Discard::All)),
            ("DISCARD PLANS;", Some(Discard::Plans)),
            ("discard sequences", Some(Discard::Sequences)),
            ("discard temp", Some(Discard::Temp)),
            ("discard temporary", Some(Discard::Temp)),
            ("discard \"all\"", None),
            ("discard all all", None),
            ("discard all; select 1", None),
            ("discard", None),
        ] {
            assert_eq!(discard_target(text.as_bytes()), target, "{text}");
        }
    }

    #[test]
    fn identifiers_match_as_the_server_folds_them() {
        assert!(Identifier::Folded(b"S_1").matches(b"s_1"));
        assert!(!Identifier::Folded(b"S_1").matches(b"S_1"));
        assert!(Identifier::Exact(b"S_1").matches(b"S_1"));
        assert!(!Identifier::Exact(b"S_1").matches(b"s_1"));
        assert!(!Identifier::Folded(b"s").matches(b"s_1"));
    }
}
