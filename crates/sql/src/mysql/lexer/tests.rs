//! Tokens of texts that are easy to cut wrongly. What the servers do with them was asked of MySQL 9.7 and MariaDB 10.11.

use super::TokenKind::*;
use super::*;

const ANSI: Mode = Mode { ansi_quotes: true, ..Mode::STANDARD };
const NO_ESCAPES: Mode = Mode { no_backslash_escapes: true, ..Mode::STANDARD };
const MARIADB: Mode = Mode { mariadb: true, ..Mode::STANDARD };

fn lex(text: &str, mode: Mode, reading: Reading) -> Vec<(TokenKind, &str)> {
    Lexer::with_reading(text.as_bytes(), mode, reading)
        .map(|token| (token.kind, std::str::from_utf8(token.text).unwrap()))
        .collect()
}

fn tokens(text: &str) -> Vec<(TokenKind, &str)> {
    lex(text, Mode::STANDARD, Reading::Certain)
}

#[test]
fn strings_and_names_end_where_the_server_ends_them() {
    for (text, mode, first) in [
        ("'a''b'c", Mode::STANDARD, (String, "'a''b'")),
        ("'a\\'b'c", Mode::STANDARD, (String, "'a\\'b'")),
        ("'a\\\\'c", Mode::STANDARD, (String, "'a\\\\'")),
        ("'a\\'b'c", NO_ESCAPES, (String, "'a\\'")),
        ("\"a\\\"b\"c", Mode::STANDARD, (String, "\"a\\\"b\"")),
        ("\"a\"\"b\"c", Mode::STANDARD, (String, "\"a\"\"b\"")),
        ("\"a\\\"b", ANSI, (QuotedIdentifier, "\"a\\\"")),
        ("`a\\`b", Mode::STANDARD, (QuotedIdentifier, "`a\\`")),
        ("`a``b`c", Mode::STANDARD, (QuotedIdentifier, "`a``b`")),
        ("`\u{e4}`c", Mode::STANDARD, (QuotedIdentifier, "`\u{e4}`")),
        ("`\u{1f600}`c", Mode::STANDARD, (Doubtful, "`\u{1f600}`c")),
        ("'\u{1f600}'c", Mode::STANDARD, (String, "'\u{1f600}'")),
        ("'a", Mode::STANDARD, (Unclosed, "'a")),
        ("'a\\'", Mode::STANDARD, (Unclosed, "'a\\'")),
        ("'a\\", Mode::STANDARD, (Unclosed, "'a\\")),
        ("`a``", Mode::STANDARD, (Unclosed, "`a``")),
        ("@x.y$1-", Mode::STANDARD, (UserVariable, "@x.y$1")),
        ("@'a\\'b'c", Mode::STANDARD, (UserVariable, "@'a\\'b'")),
        ("@`a``b`c", Mode::STANDARD, (UserVariable, "@`a``b`")),
        ("@\"a\\\"c", ANSI, (UserVariable, "@\"a\\\"")),
        ("@ x", Mode::STANDARD, (UserVariable, "@")),
        ("@'x", Mode::STANDARD, (Unclosed, "@'x")),
        ("@@x", Mode::STANDARD, (SystemVariable, "@@")),
        ("$a", Mode::STANDARD, (Word, "$a")),
        ("$$ ' $$", Mode::STANDARD, (Doubtful, "$$ ' $$")),
        ("$a$ ' $a$", Mode::STANDARD, (Doubtful, "$a$ ' $a$")),
        ("a$$ b", Mode::STANDARD, (Word, "a$$")),
        ("\0 a", Mode::STANDARD, (Doubtful, "\0 a")),
        (":= 1", Mode::STANDARD, (Assign, ":=")),
    ] {
        assert_eq!(lex(text, mode, Reading::Certain)[0], first, "{text}");
    }
}

#[test]
fn numbers() {
    for (text, expected) in [
        ("1e5into", &[(Number, "1e5"), (Word, "into")][..]),
        ("1E-5x", &[(Number, "1E-5"), (Word, "x")]),
        ("1.5into", &[(Number, "1.5"), (Word, "into")]),
        (".5e+1into", &[(Number, ".5e+1"), (Word, "into")]),
        ("1.into", &[(Number, "1."), (Word, "into")]),
        ("1into", &[(Word, "1into")]),
        ("1ex", &[(Word, "1ex")]),
        ("0x1Fz", &[(Word, "0x1Fz")]),
        ("0x1F 0b01", &[(Number, "0x1F"), (Number, "0b01")]),
        ("a.b", &[(Word, "a"), (Dot, "."), (Word, "b")]),
        ("x'41'", &[(Word, "x"), (String, "'41'")]),
    ] {
        assert_eq!(tokens(text), expected, "{text}");
    }
}

#[test]
fn comments() {
    for (text, expected) in [
        ("1 -- a ' \n 2", &[(Number, "1"), (Number, "2")][..]),
        ("1 -- a \r 2", &[(Number, "1")]),
        ("1 --", &[(Number, "1")]),
        ("1 --\t2", &[(Number, "1")]),
        ("1--2", &[(Number, "1"), (Symbol, "-"), (Symbol, "-"), (Number, "2")]),
        ("1 # '\n2#", &[(Number, "1"), (Number, "2")]),
        ("1 -- a\0\n2", &[(Number, "1"), (Doubtful, "-- a\0\n2")]),
        ("1 /* ' /* */ 2", &[(Number, "1"), (Number, "2")]),
        ("1 /*/ 2", &[(Number, "1"), (Unclosed, "/*/ 2")]),
        ("1 /*+ hint(') */ 2", &[(Number, "1"), (Number, "2")]),
        ("1 /*M! 2 */", &[(Number, "1")]),
        ("1 */ 2", &[(Number, "1"), (Symbol, "*"), (Symbol, "/"), (Number, "2")]),
    ] {
        assert_eq!(tokens(text), expected, "{text}");
    }
}

#[test]
fn executable_comments() {
    for (text, expected) in [
        ("1 /*! 2 */ 3", &[(Number, "1"), (Number, "2"), (Number, "3")][..]),
        ("/*!*/1/*!50000*/", &[(Number, "1")]),
        ("/*!50000a*/", &[(Word, "a")]),
        ("/*!5 a*/", &[(Number, "5"), (Word, "a")]),
        ("/*! '*/' */ 1", &[(String, "'*/'"), (Number, "1")]),
        ("/*! 1 /* a */ 2 */ 3", &[(Number, "1"), (Number, "2"), (Number, "3")]),
        ("/*! 1 -- a */ \n 2 */ 3", &[(Number, "1"), (Number, "2"), (Number, "3")]),
        ("/*! 1 */ 2 */", &[(Number, "1"), (Number, "2"), (Symbol, "*"), (Symbol, "/")]),
        ("/*! 1", &[(Number, "1"), (Unclosed, "")]),
        ("/*! 1 /*! 2 */", &[(Number, "1"), (Doubtful, "/*! 2 */")]),
        ("1 /*!80000 2 */ 3", &[(Number, "1"), (Doubtful, "/*!80000 2 */ 3")]),
        ("/*!050000 2 */", &[(Doubtful, "/*!050000 2 */")]),
        ("/*!500001e5into */", &[(Doubtful, "/*!500001e5into */")]),
    ] {
        assert_eq!(tokens(text), expected, "{text}");
    }
    assert_eq!(lex("1 /*M! 2 */", MARIADB, Reading::Certain), [(Number, "1"), (Number, "2")]);
}

#[test]
fn comments_for_some_versions_read_both_ways() {
    for (text, code, comment) in [
        ("/*!80000 1 */ 2", &[(Number, "1"), (Number, "2")][..], &[(Number, "2")][..]),
        ("/*!100500 1 */ 2", &[(Number, "1"), (Number, "2")], &[(Number, "2")]),
        // What it holds is code to one and has no quotes to the other.
        ("/*!99999 ' */ 2 /* ' */", &[(String, "' */ 2 /* '")], &[(Number, "2")]),
        ("/*!99999 /* */ 5 */ 2", &[(Number, "5"), (Number, "2")], &[(Number, "2")]),
        ("/*!80000 1 */ /*!80000 2 */ 3", &[(Number, "1"), (Number, "2"), (Number, "3")], &[(Number, "3")]),
        ("/*!80000 1 */ /*!80001 2 */", &[(Number, "1"), (Doubtful, "/*!80001 2 */")], &[(Doubtful, "/*!80001 2 */")]),
        ("/*!80000 1", &[(Number, "1"), (Unclosed, "")], &[(Unclosed, "/*!80000 1")]),
    ] {
        assert_eq!(lex(text, Mode::STANDARD, Reading::Code), code, "{text}");
        assert_eq!(lex(text, Mode::STANDARD, Reading::Comment), comment, "{text}");
    }
}

#[test]
fn bytes_above_ascii_depend_on_the_character_set() {
    let kinds = |text: &[u8], charset| -> Vec<TokenKind> {
        Lexer::new(text, Mode { charset, ..Mode::STANDARD }).map(|token| token.kind).collect()
    };
    use Charset::{MultiByte, SingleByte, Utf8};
    for (text, utf8, single, multi) in [
        (&b"a 'b' /* \xa0 */"[..], &[Word, String][..], &[Word, String][..], &[Word, String][..]),
        // In latin1 it is white space.
        (b"a\xa0b c", &[Word, Word], &[Doubtful], &[Doubtful]),
        (b"'\xe4' c", &[String, Word], &[String, Word], &[Doubtful]),
        // In gbk the second byte of a character.
        (b"'\xbf\\' c", &[Unclosed], &[Unclosed], &[Doubtful]),
        (b"`\xe4` c", &[Doubtful], &[QuotedIdentifier, Word], &[Doubtful]),
        (b"@`\xe4` c", &[Doubtful], &[UserVariable, Word], &[Doubtful]),
    ] {
        assert_eq!(kinds(text, Utf8), utf8, "{}", text.escape_ascii());
        assert_eq!(kinds(text, SingleByte), single, "{}", text.escape_ascii());
        assert_eq!(kinds(text, MultiByte), multi, "{}", text.escape_ascii());
    }
}
