//! Tokens of texts that are easy to cut wrongly.

use super::TokenKind::*;
use super::*;

fn tokens(text: &str) -> Vec<(TokenKind, &str)> {
    lex(text, true)
}

fn lex(text: &str, standard_conforming_strings: bool) -> Vec<(TokenKind, &str)> {
    Lexer::new(text.as_bytes(), Dialect::Postgres { standard_conforming_strings })
        .map(|token| (token.kind, std::str::from_utf8(token.text).unwrap()))
        .collect()
}

#[test]
fn strings_end_where_the_server_ends_them() {
    for (text, first) in [
        ("'a''b'c", (String, "'a''b'")),
        ("'a\\'b", (String, "'a\\'")),
        ("E'a\\'b'c", (EscapeString, "E'a\\'b'")),
        ("e'a\\\\'c", (EscapeString, "e'a\\\\'")),
        ("e'a''\\''c", (EscapeString, "e'a''\\''")),
        ("u&'a\\'c", (EscapeString, "u&'a\\'")),
        ("U&\"a\"\"b\"c", (UnicodeIdentifier, "U&\"a\"\"b\"")),
        ("b'01''1'", (BitString, "b'01'")),
        ("x'1F'a", (BitString, "x'1F'")),
        ("\"a\"\"b\" c", (QuotedIdentifier, "\"a\"\"b\"")),
        ("$$a$b$$c", (String, "$$a$b$$")),
        ("$a$ $$ $b$ $a$c", (String, "$a$ $$ $b$ $a$")),
        ("$\u{e4}1$x$\u{e4}1$c", (String, "$\u{e4}1$x$\u{e4}1$")),
    ] {
        assert_eq!(tokens(text)[0], first, "{text}");
    }
    assert_eq!(lex("'a\\'b'c", false)[0], (EscapeString, "'a\\'b'"));
}

/// A continued string keeps the rules it began with: the second half of an E string has escapes too.
#[test]
fn strings_go_on_after_a_line_s_end() {
    for text in ["E'a'\n'b\\'c'", "E'a' \t\r\n  'b\\'c'", "E'a' -- c\n -- d\n 'b\\'c'", "e'a'\n''\n'b\\'c'"] {
        assert_eq!(tokens(text), [(EscapeString, text)]);
    }
    assert_eq!(tokens("'a'\n'b'"), [(String, "'a'\n'b'")]);
    for apart in ["'a' 'b'", "'a' /*\n*/ 'b'", "'a' -- 'b'\n;'c'", "'a'\n/**/'b'"] {
        assert!(tokens(apart).len() > 1, "{apart}");
    }
    assert_eq!(tokens("E'a' 'b\\'"), [(EscapeString, "E'a'"), (String, "'b\\'")]);
}

#[test]
fn prefixes_belong_to_the_quote_only_when_they_are_the_whole_word() {
    assert_eq!(tokens("e 'a'"), [(Word, "e"), (String, "'a'")]);
    assert_eq!(tokens("type'a'"), [(Word, "type"), (String, "'a'")]);
    assert_eq!(tokens("_e'a'"), [(Word, "_e"), (String, "'a'")]);
    assert_eq!(tokens("n'a\\'"), [(Word, "n"), (String, "'a\\'")]);
    assert_eq!(tokens("u&a"), [(Word, "u"), (Symbol, "&"), (Word, "a")]);
    assert_eq!(tokens("u& 'a'"), [(Word, "u"), (Symbol, "&"), (String, "'a'")]);
    assert_eq!(tokens("1e'a\\''"), [(Number, "1"), (EscapeString, "e'a\\''")]);
}

#[test]
fn dollars() {
    assert_eq!(tokens("$1"), [(Parameter, "$1")]);
    assert_eq!(tokens("$12a$"), [(Parameter, "$12"), (Word, "a$")]);
    assert_eq!(tokens("a$b$c"), [(Word, "a$b$c")]);
    assert_eq!(tokens("$a"), [(Symbol, "$"), (Word, "a")]);
    assert_eq!(tokens("$a b$"), [(Symbol, "$"), (Word, "a"), (Word, "b$")]);
    assert_eq!(tokens("$"), [(Symbol, "$")]);
    assert_eq!(tokens("$1$$a$$"), [(Parameter, "$1"), (String, "$$a$$")]);
}

#[test]
fn numbers() {
    for text in ["1", "12.5", ".5", "1.", "1e5", "1.5E-10", "1e+3", ".5e1"] {
        assert_eq!(tokens(text), [(Number, text)]);
    }
    assert_eq!(tokens("1e"), [(Number, "1"), (Word, "e")]);
    assert_eq!(tokens("1e+"), [(Number, "1"), (Word, "e"), (Symbol, "+")]);
    assert_eq!(tokens("1..2"), [(Number, "1."), (Number, ".2")]);
    assert_eq!(tokens("1into"), [(Number, "1"), (Word, "into")]);
    assert_eq!(tokens("1e--5\n2"), [(Number, "1"), (Word, "e"), (Number, "2")]);
    assert_eq!(tokens("a.b"), [(Word, "a"), (Dot, "."), (Word, "b")]);
}

#[test]
fn comments() {
    assert_eq!(tokens("a--b\nc"), [(Word, "a"), (Word, "c")]);
    assert_eq!(tokens("a--b\rc"), [(Word, "a"), (Word, "c")]);
    assert_eq!(tokens("a+--b"), [(Word, "a"), (Symbol, "+")]);
    assert_eq!(tokens("a/*/*b*/c*/d"), [(Word, "a"), (Word, "d")]);
    assert_eq!(tokens("a/**/b/***/c/*/*/d*/*/e"), [(Word, "a"), (Word, "b"), (Word, "c"), (Word, "e")]);
    assert_eq!(tokens("a//*b*/c"), [(Word, "a"), (Symbol, "/"), (Word, "c")]);
    assert_eq!(tokens("a*/b"), [(Word, "a"), (Symbol, "*"), (Symbol, "/"), (Word, "b")]);
    assert_eq!(tokens("--"), []);
    assert_eq!(tokens("- -"), [(Symbol, "-"), (Symbol, "-")]);
}

#[test]
fn what_is_never_closed_takes_the_rest() {
    for text in [
        "'a", "'a''", "'a'\n'b", "e'a\\'", "e'a\\", "u&'a", "x'1", "\"a", "\"a\"\"", "u&\"a", "$$a$", "$a$ $b$", "/*",
        "/*/", "/* a *", "/* /* */",
    ] {
        assert_eq!(tokens(text), [(Unclosed, text)]);
    }
    assert_eq!(lex("'a\\'", false), [(Unclosed, "'a\\'")]);
    assert_eq!(tokens("a 'b; c"), [(Word, "a"), (Unclosed, "'b; c")]);
}

#[test]
fn punctuation_and_unknown_bytes() {
    let kinds: Vec<_> = tokens("(,);=.:[]\0\\").into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Open, Comma, Close, Semicolon, Equals, Dot, Symbol, Symbol, Symbol, Symbol, Symbol]);
    assert_eq!(tokens("\u{e4}\u{df}_1$"), [(Word, "\u{e4}\u{df}_1$")]);
}

#[test]
fn looking_ahead_takes_nothing() {
    let mut lexer = Lexer::new(b"a b c", Dialect::Postgres { standard_conforming_strings: true });
    assert_eq!(lexer.peek(1).map(|token| token.text), Some(&b"b"[..]));
    assert_eq!(lexer.peek(3), None);
    assert!(lexer.next_if(|token| token.is_word(b"b")).is_none());
    assert!(lexer.next_if(|token| token.is_word(b"a")).is_some());
    assert_eq!(lexer.next().map(|token| token.text), Some(&b"b"[..]));
}
