//! `SET` and `RESET`, taken apart as far as replaying them needs.
//!
//! Source: `VariableSetStmt` and `VariableResetStmt` in PostgreSQL's `src/backend/parser/gram.y`.

use super::Effects;
use super::lexer::{Dialect, Lexer, Token, TokenKind};
use super::word::Keyword;

/// How long a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Until the session ends; until a rollback, if the transaction is rolled back.
    Session,
    /// Until the transaction ends.
    Local,
}

/// One change of a setting.
///
/// Names are as written, without quotes; the server compares them without regard to ASCII case. The forms with a syntax of their
/// own have the name of the setting they change: `SET ROLE` is `role`, `SET SESSION AUTHORIZATION` `session_authorization` (which
/// resets `role`), `SET TIME ZONE` `timezone`, `SET NAMES` `client_encoding`, `SET SCHEMA` `search_path`, `SET XML OPTION`
/// `xmloption`. Their values can be replayed as `SET name TO value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingChange<'a> {
    /// `SET [SESSION | LOCAL] name TO value`.
    Set {
        /// The setting, with its prefix if it has one.
        name: &'a [u8],
        /// The SQL behind `TO` or `=`: constants and words, with commas. Strings are with their quotes.
        value: &'a [u8],
        /// How long it holds.
        scope: Scope,
    },
    /// `RESET name` and `SET name TO DEFAULT`.
    Reset {
        /// The setting, with its prefix if it has one.
        name: &'a [u8],
        /// How long it holds; `RESET` is of the session.
        scope: Scope,
    },
    /// `RESET ALL`. It leaves `role` and `session_authorization` as they are.
    ResetAll,
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION modes`.
    TransactionDefaults {
        /// The SQL behind `TRANSACTION`: words and commas.
        modes: &'a [u8],
    },
}

/// Takes the `SET` and `RESET` statements of a PostgreSQL text apart; statements of other kinds are passed over.
///
/// `None` when there is anything in them that is not understood exactly, down to strings whose meaning depends on
/// `standard_conforming_strings`: then the text is for the server alone, and its effects are [`inspect`](super::inspect)'s.
/// `SET TRANSACTION` and `SET CONSTRAINTS` change no setting of the session and are not understood either. Names and values the
/// server will refuse are not found out here: apply the changes when it has accepted the text.
pub fn inspect_settings(text: &[u8], standard_conforming_strings: bool) -> Option<SettingChanges<'_>> {
    let changes = SettingChanges { lexer: Lexer::new(text, Dialect::Postgres { standard_conforming_strings }) };
    let mut ahead = changes.clone();
    while let Some(change) = ahead.read() {
        change.ok()?;
    }
    Some(changes)
}

/// The changes of a text that [`inspect_settings`] has understood, in order.
#[derive(Debug, Clone)]
pub struct SettingChanges<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Iterator for SettingChanges<'a> {
    type Item = SettingChange<'a>;

    fn next(&mut self) -> Option<SettingChange<'a>> {
        self.read()?.ok()
    }
}

/// There is something in the statement beyond what this module knows.
struct NotUnderstood;

impl<'a> SettingChanges<'a> {
    /// Reads the next statement that sets or resets.
    fn read(&mut self) -> Option<Result<SettingChange<'a>, NotUnderstood>> {
        loop {
            let leading = self.lexer.find(|token| token.kind != TokenKind::Semicolon)?;
            if leading.is_word(b"set") {
                return Some(self.read_set().ok_or(NotUnderstood));
            }
            if leading.is_word(b"reset") {
                return Some(self.read_reset().ok_or(NotUnderstood));
            }
            while next_of_statement(&mut self.lexer).is_some() {}
        }
    }

    fn read_set(&mut self) -> Option<SettingChange<'a>> {
        let scope = scope(&mut self.lexer);
        let (name, defaults): (_, &[&[u8]]) = match Target::read(&mut self.lexer)? {
            Target::Setting(name) => {
                let assigns = self.lexer.next()?;
                if assigns.kind != TokenKind::Equals && !assigns.is_word(b"to") {
                    return None;
                }
                (name, &[b"default"])
            }
            Target::Special(TIME_ZONE) => (TIME_ZONE, &[b"default", b"local"]),
            Target::Special(CLIENT_ENCODING) => (CLIENT_ENCODING, &[b"default", b""]),
            Target::Special(name) => (name, &[b"default"]),
            Target::TransactionDefaults => return self.read_modes(),
            Target::Transaction | Target::All => return None,
        };
        let value = self.read_value()?;
        if defaults.iter().any(|default| value.eq_ignore_ascii_case(default)) {
            return Some(SettingChange::Reset { name, scope });
        }
        (!value.is_empty()).then_some(SettingChange::Set { name, value, scope })
    }

    fn read_reset(&mut self) -> Option<SettingChange<'a>> {
        let change = match Target::read(&mut self.lexer)? {
            Target::Setting(name) => SettingChange::Reset { name, scope: Scope::Session },
            // SET NAMES and its like have no RESET of that form.
            Target::Special(name @ (ROLE | SESSION_AUTHORIZATION | TIME_ZONE)) => {
                SettingChange::Reset { name, scope: Scope::Session }
            }
            Target::All => SettingChange::ResetAll,
            Target::Special(_) | Target::Transaction | Target::TransactionDefaults => return None,
        };
        self.at_end().then_some(change)
    }

    fn read_modes(&mut self) -> Option<SettingChange<'a>> {
        let introduced = self.lexer.next()?.is_word(b"as") && self.lexer.next()?.is_word(b"transaction");
        let mut modes = Span::default();
        while let Some(token) = next_of_statement(&mut self.lexer) {
            if !matches!(token.kind, TokenKind::Word | TokenKind::Comma) {
                return None;
            }
            modes.add(token, &self.lexer);
        }
        let complete = introduced && !modes.is_empty();
        complete.then(|| SettingChange::TransactionDefaults { modes: modes.text(&self.lexer) })
    }

    /// Reads constants and words with commas between them, to the statement's end.
    fn read_value(&mut self) -> Option<&'a [u8]> {
        let mut value = Span::default();
        let mut previous = TokenKind::Comma;
        while let Some(token) = next_of_statement(&mut self.lexer) {
            let follows = match token.kind {
                TokenKind::Comma => !matches!(previous, TokenKind::Comma | TokenKind::Symbol),
                TokenKind::Symbol => previous == TokenKind::Comma && matches!(token.text, b"-" | b"+"),
                TokenKind::Number => matches!(previous, TokenKind::Comma | TokenKind::Symbol),
                _ => previous == TokenKind::Comma && is_constant(token),
            };
            if !follows {
                return None;
            }
            previous = token.kind;
            value.add(token, &self.lexer);
        }
        let complete = value.is_empty() || !matches!(previous, TokenKind::Comma | TokenKind::Symbol);
        complete.then(|| value.text(&self.lexer))
    }

    /// Consumes the statement's end, if it is here.
    fn at_end(&mut self) -> bool {
        next_of_statement(&mut self.lexer).is_none()
    }
}

/// What a `SET` or `RESET` statement does, by the words behind `keyword`, at which `rest` begins.
pub(crate) fn setting_effects(keyword: Keyword, mut rest: Lexer<'_>) -> Effects {
    let scope = if keyword == Keyword::Set { scope(&mut rest) } else { Scope::Session };
    match (scope, Target::read(&mut rest)) {
        (Scope::Local, _) | (_, Some(Target::Transaction)) => Effects::SET_LOCAL,
        (_, Some(Target::Setting(name) | Target::Special(name))) if is_role(name) => Effects::SETS | Effects::ROLE,
        (_, Some(_)) => Effects::SETS,
        (_, None) => Effects::SETS | Effects::ROLE,
    }
}

/// Whether a string in a change of settings may put the session's temporary schema on its search path, where `CREATE TABLE` then creates.
pub(crate) fn may_name_temp_schema(token: Token<'_>) -> bool {
    const SCHEMA: &[u8] = b"pg_temp";
    let spelled = token.text.windows(SCHEMA.len()).any(|part| part.eq_ignore_ascii_case(SCHEMA));
    let disguised = match token.kind {
        // U& takes any character for its escape.
        TokenKind::EscapeString => matches!(token.text, [b'u' | b'U', ..]) || token.text.contains(&b'\\'),
        _ => false,
    };
    // A string may be continued on another line, in the middle of the name.
    spelled || disguised || token.text.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
}

/// What is set.
enum Target<'a> {
    /// A setting by its name; `TO` or `=` follows.
    Setting(&'a [u8]),
    /// A setting with a syntax of its own; the value follows.
    Special(&'static [u8]),
    /// `SESSION CHARACTERISTICS`; `AS TRANSACTION` follows.
    TransactionDefaults,
    /// `TRANSACTION` and `CONSTRAINTS`: nothing of the session.
    Transaction,
    /// `ALL`.
    All,
}

const ROLE: &[u8] = b"role";
const SESSION_AUTHORIZATION: &[u8] = b"session_authorization";
const TIME_ZONE: &[u8] = b"timezone";
const CLIENT_ENCODING: &[u8] = b"client_encoding";

fn is_role(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(ROLE) || name.eq_ignore_ascii_case(SESSION_AUTHORIZATION)
}

impl<'a> Target<'a> {
    /// Reads it from behind `SET`, `SET SESSION`, `SET LOCAL` or `RESET`.
    fn read(lexer: &mut Lexer<'a>) -> Option<Self> {
        let token = lexer.next()?;
        if token.kind != TokenKind::Word || is_whole_name(lexer) {
            return setting_name(token, lexer).map(Target::Setting);
        }
        let mut followed_by = |word: &[u8]| lexer.next_if(|next| next.is_word(word)).is_some();
        let is = |word: &[u8]| token.is_word(word);
        Some(if is(b"transaction") || is(b"constraints") {
            Self::Transaction
        } else if is(b"role") {
            Self::Special(ROLE)
        } else if is(b"session") && followed_by(b"authorization") {
            Self::Special(SESSION_AUTHORIZATION)
        } else if is(b"session") && followed_by(b"characteristics") {
            Self::TransactionDefaults
        // The word SESSION before these two has been read as the scope.
        } else if is(b"authorization") {
            Self::Special(SESSION_AUTHORIZATION)
        } else if is(b"characteristics") {
            Self::TransactionDefaults
        } else if is(b"time") && followed_by(b"zone") {
            Self::Special(TIME_ZONE)
        } else if is(b"names") {
            Self::Special(CLIENT_ENCODING)
        } else if is(b"schema") {
            Self::Special(b"search_path")
        } else if is(b"xml") && followed_by(b"option") {
            Self::Special(b"xmloption")
        } else if is(b"all") {
            Self::All
        } else {
            Self::Setting(setting_name(token, lexer)?)
        })
    }
}

/// Reads `SESSION` or `LOCAL` behind `SET`, unless it is part of a setting's own name, as in `SET local.x TO 1`.
fn scope(lexer: &mut Lexer<'_>) -> Scope {
    let mut ahead = lexer.clone();
    let scope = match ahead.next() {
        Some(token) if token.is_word(b"local") => Scope::Local,
        Some(token) if token.is_word(b"session") => Scope::Session,
        _ => return Scope::Session,
    };
    if is_whole_name(&ahead) {
        return Scope::Session;
    }
    *lexer = ahead;
    scope
}

/// Whether what follows makes the word before it a setting's name, or the first part of one.
fn is_whole_name(rest: &Lexer<'_>) -> bool {
    let names = |next: Token<'_>| matches!(next.kind, TokenKind::Dot | TokenKind::Equals) || next.is_word(b"to");
    rest.peek(0).is_some_and(names)
}

/// A setting's name as one piece of the text: `name`, `prefix.name` or `"name"`.
fn setting_name<'a>(first: Token<'a>, lexer: &mut Lexer<'a>) -> Option<&'a [u8]> {
    let is_dot = |token: &Token<'_>| token.kind == TokenKind::Dot;
    match first.kind {
        TokenKind::QuotedIdentifier if !lexer.peek(0).is_some_and(|next| is_dot(&next)) => first.unquoted(),
        TokenKind::Word => {
            let mut name = Span::default();
            name.add(first, lexer);
            let mut length = first.text.len();
            while let Some(dot) = lexer.next_if(is_dot) {
                let part = lexer.next().filter(|part| part.kind == TokenKind::Word)?;
                name.add(part, lexer);
                length += dot.text.len() + part.text.len();
            }
            // With white space around a dot it is not one piece.
            Some(name.text(lexer)).filter(|name| name.len() == length)
        }
        _ => None,
    }
}

/// Whether a token is a constant, or a word in place of one, that means the same in every session.
fn is_constant(token: Token<'_>) -> bool {
    match token.kind {
        TokenKind::Word | TokenKind::QuotedIdentifier | TokenKind::String => true,
        // Without the E in front, or with U&, what it says depends on standard_conforming_strings.
        TokenKind::EscapeString => matches!(token.text, [b'e' | b'E', ..]) || !token.text.contains(&b'\\'),
        _ => false,
    }
}

/// The next token of this statement; its end is consumed.
fn next_of_statement<'a>(lexer: &mut Lexer<'a>) -> Option<Token<'a>> {
    lexer.next().filter(|token| token.kind != TokenKind::Semicolon)
}

/// The text from one token to another, with what lies between them.
#[derive(Default)]
struct Span(Option<(usize, usize)>);

impl Span {
    /// Extends it to the token the lexer has just returned.
    fn add(&mut self, token: Token<'_>, lexer: &Lexer<'_>) {
        let end = lexer.position();
        let start = self.0.map_or(end - token.text.len(), |(start, _)| start);
        self.0 = Some((start, end));
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn text<'a>(&self, lexer: &Lexer<'a>) -> &'a [u8] {
        self.0.and_then(|(start, end)| lexer.text().get(start..end)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
