//! Calls of `set_config`, whose third argument says whether the setting ends with the transaction.
//!
//! Source: `set_config_by_name` in PostgreSQL's `src/backend/utils/misc/guc_funcs.c`; a local change is a `SET LOCAL`.

use super::Effects;
use super::lexer::{Lexer, Token, TokenKind};
use super::settings::may_name_temp_schema;

/// What a call of PostgreSQL's own `set_config` does; `rest` begins behind the name.
///
/// [`Effects::SET_LOCAL`] only when the call is understood exactly: two arguments, whatever they are, and a third that is
/// nothing but a true constant. A call with another one in its arguments is not: reading stops there, so that no part of a
/// text is read for more than one call.
#[cold]
#[inline(never)]
pub(crate) fn set_config_effects(rest: &Lexer<'_>) -> Effects {
    local_effects(rest.clone()).unwrap_or(Effects::SET_CONFIG)
}

fn local_effects(mut rest: Lexer<'_>) -> Option<Effects> {
    rest.next_if(|token| token.kind == TokenKind::Open)?;
    let sets_path = may_set_search_path(&rest);
    let temp = argument(&mut rest)? | argument(&mut rest)?;
    let effects = if sets_path { Effects::SET_LOCAL | temp } else { Effects::SET_LOCAL };
    ends_with_true(rest).then_some(effects)
}

/// Whether a call may set `search_path`: unless its first argument is the plain name of another setting.
fn may_set_search_path(arguments: &Lexer<'_>) -> bool {
    match (arguments.peek(0), arguments.peek(1)) {
        (
            Some(Token { kind: TokenKind::String, text: [b'\'', name @ .., b'\''] }),
            Some(Token { kind: TokenKind::Comma, .. }),
        ) => {
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
            !name.iter().all(is_plain) || name.eq_ignore_ascii_case(b"search_path")
        }
        _ => true,
    }
}

/// Consumes an argument and the comma behind it. Returns [`Effects::TEMP`] if it may name the temporary schema; `None` if it
/// is the last one or calls `set_config` itself.
fn argument(rest: &mut Lexer<'_>) -> Option<Effects> {
    let mut effects = Effects::NONE;
    let mut depth = 0_usize;
    loop {
        let token = rest.next()?;
        match (token.kind, token.text) {
            (TokenKind::Open, _) | (TokenKind::Symbol, b"[") => depth += 1,
            (TokenKind::Close, _) | (TokenKind::Symbol, b"]") => depth = depth.checked_sub(1)?,
            (TokenKind::Comma, _) if depth == 0 => return Some(effects),
            (TokenKind::Semicolon | TokenKind::Unclosed, _) => return None,
            (TokenKind::Word, word) if word.eq_ignore_ascii_case(NAME) => return None,
            (TokenKind::QuotedIdentifier, _) if token.unquoted() == Some(NAME) => return None,
            (TokenKind::String | TokenKind::EscapeString, _) if may_name_temp_schema(token) => effects = Effects::TEMP,
            _ => {}
        }
    }
}

/// Whether the last argument is a true constant, and nothing else stands before the parenthesis that ends the call.
fn ends_with_true(mut rest: Lexer<'_>) -> bool {
    if !rest.next().is_some_and(is_true) {
        return false;
    }
    let is_colon = |token: &Token<'_>| token.kind == TokenKind::Symbol && token.text == b":";
    let is_boolean = |token: Token<'_>| token.is_word(b"bool") || token.is_word(b"boolean");
    if rest.next_if(is_colon).is_some() && !(rest.next_if(is_colon).is_some() && rest.next().is_some_and(is_boolean)) {
        return false;
    }
    rest.next().is_some_and(|token| token.kind == TokenKind::Close)
}

/// Whether a token is a constant that PostgreSQL takes for true. It takes more (`parse_bool_with_len` in
/// `src/backend/utils/adt/bool.c`); these are the ones in use.
fn is_true(token: Token<'_>) -> bool {
    match (token.kind, token.text) {
        (TokenKind::Word, word) => word.eq_ignore_ascii_case(b"true"),
        // Without backslashes both kinds of string say the same.
        (TokenKind::String | TokenKind::EscapeString, [b'\'', value @ .., b'\'']) => {
            let spellings: [&[u8]; 5] = [b"t", b"true", b"on", b"yes", b"1"];
            spellings.iter().any(|spelling| value.eq_ignore_ascii_case(spelling))
        }
        _ => false,
    }
}

const NAME: &[u8] = b"set_config";
