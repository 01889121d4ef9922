//! Which settings are taken apart, and which are left to the server.

use super::*;

fn read(text: &str) -> Option<Vec<SettingChange<'_>>> {
    inspect_settings(text.as_bytes(), true).map(Iterator::collect)
}

fn set<'a>(name: &'a str, value: &'a str) -> SettingChange<'a> {
    SettingChange::Set { name: name.as_bytes(), value: value.as_bytes(), scope: Scope::Session }
}

fn reset(name: &str) -> SettingChange<'_> {
    SettingChange::Reset { name: name.as_bytes(), scope: Scope::Session }
}

#[test]
fn one_change() {
    for (text, change) in [
        ("set x to 1", set("x", "1")),
        ("SET x=1;", set("x", "1")),
        ("set session x to -1.5e3", set("x", "-1.5e3")),
        ("set x = - 1", set("x", "- 1")),
        ("set x to 'it''s'", set("x", "'it''s'")),
        ("set x to 'a\\b'", set("x", "'a\\b'")),
        ("set x to E'a\\'b'", set("x", "E'a\\'b'")),
        ("set x to $$a$$ -- c", set("x", "$$a$$")),
        ("set x to 'a'\n'b'", set("x", "'a'\n'b'")),
        ("set x to on", set("x", "on")),
        ("set search_path to \"$user\", public, 'a'", set("search_path", "\"$user\", public, 'a'")),
        ("set DateStyle to ISO , /* c */ MDY", set("DateStyle", "ISO , /* c */ MDY")),
        ("set app.user_id to '7'", set("app.user_id", "'7'")),
        ("set a.b.c to '7'", set("a.b.c", "'7'")),
        ("set \"app.User\" to '7'", set("app.User", "'7'")),
        ("set local.x to 1", set("local.x", "1")),
        ("set session session.x = 1", set("session.x", "1")),
        ("set role bob", set("role", "bob")),
        ("set role none", set("role", "none")),
        ("set role to bob", set("role", "bob")),
        ("set session authorization 'bob'", set("session_authorization", "'bob'")),
        ("set session session authorization bob", set("session_authorization", "bob")),
        ("set time zone 'Europe/Berlin'", set("timezone", "'Europe/Berlin'")),
        ("set time zone -7", set("timezone", "-7")),
        ("set timezone to local", set("timezone", "local")),
        ("set names 'utf8'", set("client_encoding", "'utf8'")),
        ("set schema 'app'", set("search_path", "'app'")),
        ("set xml option document", set("xmloption", "document")),
        ("set x to default", reset("x")),
        ("set x = DEFAULT", reset("x")),
        ("set time zone local", reset("timezone")),
        ("set time zone default", reset("timezone")),
        ("set names", reset("client_encoding")),
        ("set names default", reset("client_encoding")),
        ("set session authorization default", reset("session_authorization")),
        ("reset x", reset("x")),
        ("reset app.user_id;", reset("app.user_id")),
        ("reset \"TimeZone\"", reset("TimeZone")),
        ("reset time zone", reset("timezone")),
        ("reset role", reset("role")),
        ("reset session authorization", reset("session_authorization")),
        ("reset all", SettingChange::ResetAll),
        (
            "set session characteristics as transaction isolation level serializable, read only",
            SettingChange::TransactionDefaults { modes: b"isolation level serializable, read only" },
        ),
        ("set local x to 1", SettingChange::Set { name: b"x", value: b"1", scope: Scope::Local }),
        ("set local x to default", SettingChange::Reset { name: b"x", scope: Scope::Local }),
        ("set local role bob", SettingChange::Set { name: b"role", value: b"bob", scope: Scope::Local }),
    ] {
        assert_eq!(read(text), Some(vec![change]), "{text}");
    }
}

#[test]
fn several_changes_and_none() {
    assert_eq!(read(";set a to 1;; reset b; -- c"), Some(vec![set("a", "1"), reset("b")]));
    assert_eq!(read(""), Some(vec![]));
    assert_eq!(read("/* c */ ;"), Some(vec![]));
}

#[test]
fn what_is_left_to_the_server() {
    for text in [
        "select 1; set",
        "set",
        "set x",
        "set x to",
        "set x to 1 2",
        "set x to 1,",
        "set x to ,1",
        "set x to 1,,2",
        "set x to -",
        "set x to - 'a'",
        "set x to 'a' 'b'",
        "set x to (1)",
        "set x to $1",
        "set x to a + b",
        "set x to X'1F'",
        "set x to U&'\\0061'",
        "set x to U&\"a\"",
        "set x from current",
        "set a . b to 1",
        "set a. b to 1",
        "set \"a\".b to 1",
        "set a.\"b\" to 1",
        "set \"a\"\"b\" to 1",
        "set \"\" to 1",
        "set U&\"a\" to 1",
        "set 'x' to 1",
        "set time zone interval '-8' hour",
        "set transaction read only",
        "set constraints all deferred",
        "set session characteristics as transaction",
        "set session characteristics transaction read only",
        "set session characteristics as transaction isolation level 'x'",
        "set x to 'a",
        "set x to 1 /*",
        "set \"x to 1",
        "set x to $$a$",
        "set local",
        "reset",
        "reset x y",
        "reset all all",
        "reset names",
        "reset transaction isolation level",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn other_statements_are_passed_over() {
    let set = |name, value| SettingChange::Set { name, value, scope: Scope::Session };
    assert_eq!(read("select 1"), Some(vec![]));
    assert_eq!(read("\"set\" x to 1; show x"), Some(vec![]));
    assert_eq!(read("set x to 1; select 1; set y to 2"), Some(vec![set(b"x", b"1"), set(b"y", b"2")]));
    assert_eq!(read("create function f() returns int set x to 1 return 1"), Some(vec![]));
    // As asyncpg cleans up.
    let text = "select pg_advisory_unlock_all(); close all; unlisten *; reset all";
    assert_eq!(read(text), Some(vec![SettingChange::ResetAll]));
}

/// What a plain string with a backslash says depends on the setting, so it is not replayed elsewhere.
#[test]
fn backslashes_in_plain_strings() {
    assert!(inspect_settings(br"set x to 'a\'b'", false).is_none());
    assert!(inspect_settings(b"set x to 'ab'", false).is_some());
    assert!(inspect_settings(br"set x to E'a\'b'", false).is_some());
}
