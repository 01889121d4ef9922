//! `set_config` ends with the transaction only when its third argument is certainly true.

use proptest::prelude::*;
use proptest::sample::select;
use sql::{Dialect, Effects, Lexer, Token, TokenKind, inspect};

const LOCAL: Effects = Effects::SET_LOCAL;
const SESSION: Effects = Effects::SET_CONFIG;
const BOTH: Effects = LOCAL.union(SESSION);
const TEMP: Effects = LOCAL.union(Effects::TEMP);

fn check(texts: &[&str], effects: Effects) {
    for text in texts {
        assert_eq!(inspect(text.as_bytes(), true).effects, effects, "{text}");
    }
}

#[test]
fn local_calls() {
    let texts = [
        "select set_config('x', '1', true)",
        "SELECT SET_CONFIG('x', '1', TRUE)",
        "select\nset_config\t('x' , '1' , true )",
        "select set_config/* c */(/* ( */'x'/* , */,'1',-- )\n true/* false */)",
        // Who is called.
        "select pg_catalog.set_config('x', '1', true)",
        "select PG_CATALOG . /* c */ set_config /* c */ ('x', '1', true)",
        "select \"set_config\"('x', '1', true)",
        "select \"pg_catalog\".\"set_config\"('x', '1', true)",
        // How true is written.
        "select set_config('x', '1', 't')",
        "select set_config('x', '1', 'true')",
        "select set_config('x', '1', 'ON')",
        "select set_config('x', '1', 'yes')",
        "select set_config('x', '1', '1')",
        "select set_config('x', '1', true::bool)",
        "select set_config('x', '1', 'on'::boolean)",
        "select set_config('x', '1', 't' :: /* c */ BOOL)",
        // What is set, and to what.
        "select set_config($1, $2, true)",
        "select set_config('x', 'a, b), false)', true)",
        "select set_config('x', $$, false)$$, true)",
        "select set_config('x', E'\\', false)', true)",
        "select set_config('x', 'it''s, true', true)",
        "select set_config('x', \"a,b(\", true)",
        "select set_config('x', f(g(1, 2), (3, 4)), true)",
        "select set_config('x', (array['a', 'b'])[1], true)",
        "select set_config('x', array_to_string(array[a[1], 'b,c'], ','), true)",
        "select set_config('x', a[1] || ']', true)",
        "select set_config('x', (select max(a) from t where b in (1, 2)), true)",
        "select set_config(lower('X'), current_setting('y', true), true)",
        // Where.
        "values (set_config('x', '1', true))",
        "with c as (select set_config('x', '1', true)) select * from c",
        "select f(set_config('x', '1', true), false)",
        "select * from t where set_config('x', a, true) = '1'",
        "select set_config('x', '1', true), set_config('y', '2', 't')",
        "select set_config('x', '1', true); select set_config('y', '2', true);",
        "set local x to 1; select set_config('y', '2', true)",
    ];
    check(&texts, LOCAL);
    check(&["update t set a = set_config('x', '1', true)"], LOCAL.union(Effects::WRITES));
    check(&["select set_config('x', nextval('s')::text, true)"], LOCAL.union(Effects::NEXTVAL));
}

#[test]
fn calls_that_may_outlive_the_transaction() {
    let texts = [
        "select set_config('x', '1', false)",
        "select set_config('x', '1', 'false')",
        "select set_config('x', '1', 'off')",
        "select set_config('x', '1', null)",
        "select set_config('x', '1', $1)",
        "select set_config('x', '1', a)",
        "select set_config('x', 'true', false)",
        // True, but not plainly.
        "select set_config('x', '1', (true))",
        "select set_config('x', '1', not true)",
        "select set_config('x', '1', true and a)",
        "select set_config('x', '1', true is null)",
        "select set_config('x', '1', cast('t' as bool))",
        "select set_config('x', '1', bool 't')",
        "select set_config('x', '1', 't'::text::bool)",
        "select set_config('x', '1', 't'::pg_catalog.bool)",
        "select set_config('x', '1', 't'::\"bool\")",
        "select set_config('x', '1', true::bool = a)",
        "select set_config('x', '1', true::bool::text::bool)",
        "select set_config('x', '1', \"true\")",
        "select set_config('x', '1', t.true)",
        "select set_config('x', '1', E't')",
        "select set_config('x', '1', N't')",
        "select set_config('x', '1', $$t$$)",
        "select set_config('x', '1', 't'\n'rue')",
        "select set_config('x', '1', ' t')",
        "select set_config('x', '1', 'tru')",
        "select set_config('x', '1', 1)",
        "select set_config('x', '1', B'1')",
        // Not three arguments by their places.
        "select set_config('x', true)",
        "select set_config(true)",
        "select set_config()",
        "select set_config('x', '1', '2', true)",
        "select set_config('x', '1', true, true)",
        "select set_config('x', '1', true,)",
        "select set_config('x', array['1', true])",
        "select set_config('x', '1', (false, true))",
        "select set_config('x', '1', is_local => true)",
        "select set_config('x', '1', is_local := true)",
        "select set_config(setting_name => 'x', new_value => '1', is_local => true)",
        "select set_config(is_local => false, setting_name => 'x', new_value => 'true')",
        // Never closed, or not called at all.
        "select set_config('x', '1', true",
        "select set_config('x', '1', true; select ')'",
        "select set_config('x'; select 1, 2, true)",
        "select set_config('x', '1', true /* )",
        "select set_config",
        "select set_config as (a, b, true)",
        "select set_config from f('x', '1', true)",
        // Somebody else's.
        "select app.set_config('x', '1', true)",
        "select \"PG_CATALOG\".set_config('x', '1', true)",
        "select \"Set_Config\"('x', '1', true)",
        "select pg_catalog.app.set_config('x', '1', true)",
        "select set_limit('x', '1', true)",
        // One call in another is not taken apart.
        "select set_config('x', set_config('y', '1', false), true)",
        "select set_config('x', '1', set_config('y', '1', false)::bool)",
    ];
    check(&texts, SESSION);
    let mixed = [
        "select set_config('x', '1', true), set_config('y', '1', false)",
        "select set_config('x', '1', false), set_config('y', '1', true)",
        "select set_config('x', '1', true); select set_config('y', '1', $1)",
        "select set_config('x', set_config('y', '1', true), true)",
        "select set_config('x', \"set_config\"('y', '1', true), true)",
        "select set_config('x', '1', true), set_limit(0.5)",
    ];
    check(&mixed, BOTH);
    assert!(inspect(b"select U&\"set_config\"('x', '1', true)", true).effects.contains(SESSION));
}

/// `CREATE TABLE` makes a temporary table on such a path, and that outlives the transaction.
#[test]
fn paths_with_the_temporary_schema() {
    let texts = [
        "select set_config('search_path', 'pg_temp, public', true)",
        "select set_config('Search_Path', 'PG_TEMP', true)",
        "select set_config('search_path', E'\\x70g_temp', true)",
        "select set_config('search_path', 'pg_'\n'temp', true)",
        "select set_config('search_path', concat('a, ', 'pg_temp'), true)",
        "select set_config('search_' || 'path', 'pg_temp', true)",
        "select set_config('search_'\n'path', 'pg_temp', true)",
        "select set_config($1, 'pg_temp', true)",
    ];
    check(&texts, TEMP);
    let others = [
        "select set_config('search_path', 'public', true)",
        "select set_config('search_path', $1, true)",
        "select set_config('app.claims', 'a\nb', true)",
        "select set_config('app.note', 'pg_temp', true)",
    ];
    check(&others, LOCAL);
}

#[test]
fn strings_are_read_as_the_session_has_them() {
    let text = br"select set_config('x', '\', true), ('\', false)')";
    assert_eq!(inspect(text, true).effects, LOCAL);
    assert_eq!(inspect(text, false).effects, SESSION);
    // Without backslashes there is one reading.
    assert_eq!(inspect(b"select set_config('x', '1', 'on')", false).effects, LOCAL);
}

/// What is read for one call is not read again for another: else this takes minutes.
#[test]
fn many_calls_cost_no_more_than_their_length() {
    let text = "select ".to_owned() + &"set_config(f(".repeat(200_000);
    assert_eq!(inspect(text.as_bytes(), true).effects, SESSION);
}

/// The same question, asked of all tokens at once and without regard to cost.
fn has_only_local_calls(text: &str) -> bool {
    let tokens: Vec<_> = Lexer::new(text.as_bytes(), Dialect::Postgres { standard_conforming_strings: true }).collect();
    (0..tokens.len()).filter(|at| is_name(tokens[*at])).all(|at| is_local(&tokens, at))
}

fn is_name(token: Token<'_>) -> bool {
    token.text.eq_ignore_ascii_case(b"set_config") || token.text == b"\"set_config\""
}

fn is_local(tokens: &[Token<'_>], name: usize) -> bool {
    let qualified = name > 0 && tokens[name - 1].kind == TokenKind::Dot;
    if qualified && !(name > 1 && tokens[name - 2].text == b"pg_catalog") {
        return false;
    }
    if tokens.get(name + 1).is_none_or(|next| next.kind != TokenKind::Open) {
        return false;
    }
    let mut depth = 1;
    let mut arguments = vec![String::new()];
    for token in &tokens[name + 2..] {
        match token.text {
            b"(" | b"[" => depth += 1,
            b")" | b"]" => depth -= 1,
            b";" => return false,
            _ => {}
        }
        match token.text {
            _ if depth == 0 => return arguments.len() == 3 && TRUE.contains(&&*arguments[2]),
            b"," if depth == 1 => arguments.push(String::new()),
            text => arguments.last_mut().expect("there is one from the start").push_str(&String::from_utf8_lossy(text)),
        }
    }
    false
}

const TRUE: &[&str] = &["true", "'on'", "'t'::bool", "true::boolean"];

const ARGUMENTS: &[&str] = &[
    "true",
    "true",
    "true",
    "'on'",
    "'t' :: bool",
    "true::boolean",
    "false",
    "'false'",
    "$1",
    "a",
    "'a, true)'",
    "f(a, true)",
    "(a)",
    "a[1]",
    "array['a', true]",
    "is_local => true",
    "true)",
    "(true",
    "true; select (a, b, true",
    "",
];

const NAMES: &[&str] = &["set_config", "set_config", "pg_catalog.set_config", "\"set_config\"", "app . set_config"];

/// A call, or what looks like one; one in three has another among its arguments.
fn call() -> impl Strategy<Value = String> {
    let plain = (select(NAMES), proptest::collection::vec(select(ARGUMENTS), 1..5))
        .prop_map(|(name, arguments)| format!("{name}({})", arguments.join(", ")));
    (plain.clone(), proptest::option::weighted(0.3, (plain, any::<bool>()))).prop_map(|(outer, inner)| match inner {
        Some((inner, true)) => outer.replacen('a', &inner, 1),
        Some((inner, false)) => outer.replacen("$1", &inner, 1),
        None => outer,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Were it named `set_limit`, every call would be reported. Only when all are local may that be missing, and nothing
    /// else may be.
    #[test]
    fn nothing_is_missed(calls in proptest::collection::vec(call(), 1..4), glue in select(&[", ", "; select ", " "][..])) {
        let text = format!("select {}", calls.join(glue));
        let effects = inspect(text.as_bytes(), true).effects;
        let strictest = inspect(text.replace("set_config", "set_limit").as_bytes(), true).effects;
        if effects.contains(SESSION) {
            prop_assert!(effects.contains(strictest), "{} {:?}", text, effects);
        } else {
            prop_assert!(has_only_local_calls(&text), "{} {:?}", text, effects);
            prop_assert!(effects.contains(strictest.without(SESSION) | LOCAL), "{} {:?}", text, effects);
        }
    }
}
