use super::Value::{Default, Expression, Number, String, Word};
use super::*;

fn read(text: &str) -> Option<Vec<Assignment<'_>>> {
    assignments(text.as_bytes(), Mode::STANDARD).map(Iterator::collect)
}

fn system<'a>(scope: Scope, name: &'a str, value: Value<'a>) -> Assignment<'a> {
    Assignment::System { scope, name: name.as_bytes(), value }
}

fn session<'a>(name: &'a str, value: Value<'a>) -> Assignment<'a> {
    system(Scope::Session, name, value)
}

#[test]
fn variables_and_values() {
    for (text, assignment) in [
        ("set autocommit=0", session("autocommit", Number(b"0"))),
        ("SET AUTOCOMMIT = 0", session("AUTOCOMMIT", Number(b"0"))),
        ("set autocommit := on;", session("autocommit", Word(b"on"))),
        ("set session time_zone = '+00:00';;", session("time_zone", String(b"'+00:00'"))),
        ("set local time_zone = \"+00:00\"", session("time_zone", String(b"\"+00:00\""))),
        ("set @@sql_mode = default", session("sql_mode", Default)),
        ("set @@session.`sql_mode` = ''", session("sql_mode", String(b"''"))),
        ("set `sql_mode` = ansi", session("sql_mode", Word(b"ansi"))),
        ("set x = -1.5e3 -- c", session("x", Number(b"-1.5e3"))),
        ("set x = - 1", session("x", Number(b"- 1"))),
        ("set x = 1 + 1", session("x", Expression(b"1 + 1"))),
        ("set x = 'a' 'b'", session("x", Expression(b"'a' 'b'"))),
        ("set x = _latin1'a'", session("x", Expression(b"_latin1'a'"))),
        ("set x = x'41'", session("x", Expression(b"x'41'"))),
        ("set x = (select 1, 2)", session("x", Expression(b"(select 1, 2)"))),
        ("set x = f(1, g(2))", session("x", Expression(b"f(1, g(2))"))),
        ("set x = @@y", session("x", Expression(b"@@y"))),
        ("set x = @y", session("x", Expression(b"@y"))),
        ("set x = 1 /*!40000 + 1 */ + 1", session("x", Expression(b"1 /*!40000 + 1 */ + 1"))),
        ("/*!40101 set x = 1 + 1 */", session("x", Expression(b"1 + 1"))),
        ("set names = 1", session("names", Number(b"1"))),
        ("set session = 1", session("session", Number(b"1"))),
        ("set global x = 1", system(Scope::Global, "x", Number(b"1"))),
        ("set @@global.x = 1", system(Scope::Global, "x", Number(b"1"))),
        ("set persist x = 1", system(Scope::Persist, "x", Number(b"1"))),
        ("set @@PERSIST_ONLY.x = 1", system(Scope::PersistOnly, "x", Number(b"1"))),
        ("set @@transaction_isolation = 'x'", system(Scope::NextTransaction, "transaction_isolation", String(b"'x'"))),
        ("set @@session.tx_read_only = 1", session("tx_read_only", Number(b"1"))),
        ("set transaction_isolation = 'x'", session("transaction_isolation", String(b"'x'"))),
        ("set @a = 1", Assignment::User { name: b"a", value: Number(b"1") }),
        ("set @`a b` := @b", Assignment::User { name: b"`a b`", value: Expression(b"@b") }),
    ] {
        assert_eq!(read(text), Some(vec![assignment]), "{text}");
    }
}

#[test]
fn forms_with_a_syntax_of_their_own() {
    let transaction = |scope, modes| Assignment::Transaction { scope, modes };
    for (text, assignment) in [
        ("set names utf8mb4", Assignment::Names { charset: Word(b"utf8mb4"), collation: None }),
        ("set names default", Assignment::Names { charset: Default, collation: None }),
        (
            "SET NAMES 'utf8mb4' COLLATE utf8mb4_bin",
            Assignment::Names { charset: String(b"'utf8mb4'"), collation: Some(Word(b"utf8mb4_bin")) },
        ),
        ("set character set latin1", Assignment::CharacterSet { charset: Word(b"latin1") }),
        ("set char set 'latin1'", Assignment::CharacterSet { charset: String(b"'latin1'") }),
        ("set charset default", Assignment::CharacterSet { charset: Default }),
        ("set transaction read only", transaction(Scope::NextTransaction, b"read only")),
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;",
            transaction(Scope::Session, b"ISOLATION LEVEL READ COMMITTED, READ WRITE"),
        ),
        ("set global transaction read write", transaction(Scope::Global, b"read write")),
    ] {
        assert_eq!(read(text), Some(vec![assignment]), "{text}");
    }
}

#[test]
fn several_at_once() {
    let global = |name, value| system(Scope::Global, name, value);
    // What sqlx sends first: a sub-select is an expression, not the end of understanding.
    let sqlx = "SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION')),time_zone='+00:00',\
                NAMES utf8mb4 COLLATE utf8mb4_unicode_ci;";
    let select = b"(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION'))";
    assert_eq!(
        read(sqlx).unwrap(),
        [
            session("sql_mode", Expression(select)),
            session("time_zone", String(b"'+00:00'")),
            Assignment::Names { charset: Word(b"utf8mb4"), collation: Some(Word(b"utf8mb4_unicode_ci")) },
        ]
    );
    // A variable without a keyword has the last one's; one with @@ stands for itself.
    assert_eq!(
        read("set a=1, global b=2, c=3, @@d=4, @@session.e=5, f=6, @g=7, h=8, session i=9, j=10").unwrap(),
        [
            session("a", Number(b"1")),
            global("b", Number(b"2")),
            global("c", Number(b"3")),
            session("d", Number(b"4")),
            session("e", Number(b"5")),
            global("f", Number(b"6")),
            Assignment::User { name: b"g", value: Number(b"7") },
            global("h", Number(b"8")),
            session("i", Number(b"9")),
            session("j", Number(b"10")),
        ]
    );
}

#[test]
fn what_is_not_understood() {
    for text in [
        "",
        "set",
        "set x",
        "set x =",
        "set x = ,",
        "set x = 1,",
        "set , x = 1",
        "set x = 1 ) + (2",
        "set x = (1",
        "set x = 'a",
        "set x = 1; select 1",
        "set x = 1; set y = 2",
        ";set x = 1",
        "select 1; set x = 1",
        "set password = 'x'",
        "set role none",
        "set default role a to b",
        "set resource group g",
        "set statement x = 1 for select 1",
        "set hot_cache.key_buffer_size = 1",
        "set @@hot_cache.key_buffer_size = 1",
        "set session authorization x",
        "set transaction",
        "set transaction read only, @a = 1",
        "set transaction isolation level 'x'",
        "set names",
        "set names 1",
        "set names utf8mb4 x",
        "set names ?",
        "set `a``b` = 1",
        "set x = 1 /*!80000 + 1 */",
        "set x /*!40000 = 1 */ + 1",
        "set x = 1 /*!40000",
        "select 1",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn plain_values() {
    for (value, plain) in [
        (Word(b"on"), Some(&b"on"[..])),
        (String(b"'a b'"), Some(b"a b")),
        (String(b"\"a'b\""), Some(b"a'b")),
        (String(b"'a''b'"), None),
        (String(b"'a\\'b'"), None),
        (Number(b"1"), None),
        (Default, None),
    ] {
        assert_eq!(value.plain(), plain, "{value:?}");
    }
}
