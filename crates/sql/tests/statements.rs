//! What each kind of statement may do, by its text.

use sql::{Count, Effects, Keyword, inspect, is_empty};

type Case = (&'static [&'static str], Effects);

/// Statements that leave nothing behind, and words that only look like more.
const HARMLESS: Case = (
    &[
        "select 1",
        "SELECT * FROM t WHERE a = $1 LIMIT 10",
        "select abalance from pgbench_accounts where aid = 42",
        "(select 1) union all (select 2)",
        "((select 1))",
        "values (1), (2)",
        "table t",
        "show search_path",
        "with x as (select 1) select * from x",
        "with recursive t(n) as (values (1) union all select n + 1 from t where n < 100) select sum(n) from t",
        "fetch 10 from c",
        "move forward all in c",
        "close c",
        "close all",
        "explain select 1",
        "explain (analyze, buffers) select 1",
        // Words in strings, quoted identifiers and comments do not count.
        "select 'set x to 1', 'listen a', 'pg_temp', 'nextval'",
        "select 'it''s; set x to 1'",
        "select E'it\\'s; set x to 1; listen a'",
        "select $$; set x to 1; $$, $a$; listen $$ x; $a$",
        "select U&'\\0073et; listen x'",
        "select B'0'';' , X'1F'",
        "select N'x; listen y'",
        "select \"insert\", \"temp\", \"into\", \"for\", \"update\"; -- ; set x to 1",
        "select \"a;\"\"set x to 1;\" from t",
        "/* ; set x to 1 /* nested; listen y */ ; listen z */ select 1",
        "select 1 -- ; listen x",
        "-- listen x\nselect 1",
        "--listen x\rselect 1",
        "select 1 /* ' */ , 2 /* ' */",
        "select a-/* c */-1, 5*/*c*/3",
        // Names that hold a word, and words that are names.
        "select settings, offset1, update_time, temp_c, local_time, preset from insert_log",
        "select temp from weather",
        "select w.temp, w.temp as t, max(temp) from weather w where temp > 3 order by temp",
        "select t.update, t.delete, t.into, t.\"into\" from t",
        "select hold, share, chain, key, no from t",
        "select a as share, b as hold from t",
        "select substring(x from 2 for 3), position('a' in x), extract(year from d), overlay(a placing b from 1) from t",
        "select count(*) filter (where a) over (partition by b order by c rows between 1 preceding and current row) from t",
        "select case when a then 1 else 2 end from t",
        "select 1 as begin, 2 as commit, 3 as listen",
        "select current_setting('search_path')",
        "select pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(1, 2)",
        "select $1::text, $2, a$b from t",
        "select 1.5e10, .5, 1., 0x1F, 1_000, 1e-3",
        "select a ->> 'k', a @> b, a #>> '{x}', a ? 'k', a || b, - -1 from t",
        "select \u{e4}\u{f6}, caf\u{e9} from t",
        "select x[1:2], (row).field, array[1, 2] from t",
        "select * from pg_settings",
        "select name from pg_catalog.pg_settings where name = 'x'",
        "select 1 \\ 2",
    ],
    Effects::NONE,
);

const SESSION: &[Case] = &[
    (
        &[
            "set x to 1",
            "SET search_path = app, public",
            "set session statement_timeout to '5s'",
            "set time zone 'UTC'",
            "set time zone local",
            "set names 'utf8'",
            "set schema 'app'",
            "set xml option document",
            "set session characteristics as transaction read only",
            "set datestyle to iso, mdy",
            "set \"TimeZone\" to 'UTC'",
            "set myapp.user to '1'",
            "set x from current",
            "set transaction_isolation to 'serializable'",
            "reset x",
            "reset all",
            "reset time zone",
            "/* c */ set/* c */x/**/=/**/1;",
            "set\nx\n=\n1",
            "select 1; set x to 1",
            // These words are parts of a setting's own name.
            "set local.x to 1",
            "set session.x = 1",
            "set transaction.x = 1",
            "set constraints.x = 1",
            "set session local.x to 1",
            "reset local.x",
        ],
        Effects::SETS,
    ),
    (
        &[
            "set local x to 1",
            "SET LOCAL search_path = app",
            "set local role bob",
            "set local session authorization bob",
            "set local time zone 'UTC'",
            "set transaction isolation level serializable",
            "set transaction read only",
            "set transaction snapshot '1-1'",
            "set local transaction read write",
            "set constraints all deferred",
            "set constraints a, b immediate",
            "set local local.x = 1",
        ],
        Effects::SET_LOCAL,
    ),
    (
        &[
            "set role bob",
            "set role none",
            "SET ROLE TO 'bob'",
            "set \"role\" = bob",
            "set session role bob",
            "set session authorization bob",
            "set session session authorization bob",
            "set session authorization default",
            "set session_authorization to bob",
            "set Session_Authorization = bob",
            "reset role",
            "reset session authorization",
            "reset session_authorization",
            // Too odd to be understood, so it may be anything.
            "set constraints . x = 1",
        ],
        Effects::SETS.union(Effects::ROLE),
    ),
    (
        &[
            "select set_config('x', '1', false)",
            "SELECT pg_catalog.Set_Config ('x', '1', false)",
            "select \"set_config\"('x', '1', false)",
            "select pg_catalog . /* c */ set_config /* c */ ('x', '1', false)",
            "select * from t where set_config('x', a, false) = '1'",
            "select set_limit(0.5)",
            "explain analyze select set_config('x', '1', false)",
            "values (set_config('x', '1', false))",
        ],
        Effects::SET_CONFIG,
    ),
    (
        &[
            "update pg_settings set setting = '1' where name = 'x'",
            "update only pg_catalog.\"pg_settings\" set setting = '1'",
            "with u as (update pg_settings set setting = '1' returning 1) select * from u",
        ],
        Effects::SET_CONFIG.union(Effects::WRITES),
    ),
    (
        &[
            "prepare p as select 1",
            "prepare p (int) as select $1",
            "prepare \"p\" as select 1",
            "prepare transaction as select 1",
            "prepare transaction (int) as select $1",
        ],
        Effects::PREPARES,
    ),
    (&["prepare p as update t set a = 1", "prepare p as delete from t"], Effects::PREPARES.union(Effects::WRITES)),
    (&["execute p", "execute p(1, 'a')", "explain execute p", "explain (analyze) execute p(1)"], Effects::EXECUTES),
    (&["create table t as execute p", "create table t as /* c */ EXECUTE p(1)"], Effects::EXECUTES.union(Effects::DDL)),
    (&["deallocate p", "deallocate all", "deallocate prepare p"], Effects::DEALLOCATES),
    (&["discard all", "discard temp", "DISCARD PLANS;"], Effects::DISCARDS),
    (&["listen a", "LISTEN \"A\""], Effects::LISTENS),
    (&["unlisten a", "unlisten *"], Effects::UNLISTENS),
    (&["notify a", "notify a, 'x'", "select pg_notify('a', 'x')"], Effects::NOTIFIES),
    (
        &[
            "create temp table t (a int)",
            "create temporary table if not exists t (a int)",
            "create local temp table t (a int)",
            "create global temporary table t (a int)",
            "CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
            "create temp recursive view v (n) as select 1",
            "create temp sequence s",
            "create/**/temp/**/table t (a int)",
            "create table pg_temp.t (a int)",
            "create table \"pg_temp\".t (a int)",
            "create function pg_temp.f() returns int language sql as 'select 1'",
            "explain analyze create temp table t as select 1",
            "create schema s create temp table t (a int)",
        ],
        Effects::TEMP.union(Effects::DDL),
    ),
    (
        &[
            "select 1 into temp t",
            "select a, b into temporary table t from u",
            "select * into local temp t from u",
            "select 1into temp t",
        ],
        Effects::TEMP.union(Effects::DDL).union(Effects::WRITES),
    ),
    (&["select * from pg_temp.t", "select * from PG_TEMP_3.t", "select pg_temp.f()"], Effects::TEMP),
    (
        &[
            "set search_path to pg_temp, public",
            "set search_path = 'pg_temp'",
            "set search_path to public, E'\\x70g_temp'",
            "set search_path to U&'!0070g_temp' uescape '!'",
            "set search_path to 'pg_'\n'temp'",
            "set search_path to $$PG_TEMP$$",
        ],
        Effects::TEMP.union(Effects::SETS),
    ),
    (&["declare c cursor for select 1", "declare c cursor without hold for select 1"], Effects::DECLARES),
    (
        &["declare c cursor with hold for select 1", "DECLARE c BINARY SCROLL CURSOR WITH/**/HOLD FOR SELECT 1"],
        Effects::DECLARES.union(Effects::CURSOR_HOLD),
    ),
    (
        &[
            "select pg_advisory_lock(1)",
            "select pg_try_advisory_lock(1, 2)",
            "select PG_ADVISORY_LOCK_SHARED(1)",
            "select \"pg_advisory_lock\"(1)",
            "with l as (select pg_try_advisory_lock(id) from t) select * from l",
        ],
        Effects::ADVISORY,
    ),
    (&["load 'auto_explain'"], Effects::LOADS),
    (
        &[
            "select setseed(0.5)",
            "select dblink_connect('a', 'host=b')",
            "select pg_backup_start('x')",
            "select pg_replication_origin_session_setup('o')",
            "select pg_create_logical_replication_slot('s', 'pgoutput', true)",
        ],
        Effects::SESSION_FUNCTION,
    ),
    (&["select nextval('s')", "select setval('s', 1)", "values (Nextval('s'))"], Effects::NEXTVAL),
    (&["select currval('s')", "select lastval()"], Effects::CURRVAL),
    (&["insert into t values (nextval('s')) returning currval('s')"], {
        Effects::NEXTVAL.union(Effects::CURRVAL).union(Effects::WRITES)
    }),
];

const REST: &[Case] = &[
    (&["begin", "BEGIN WORK", "begin isolation level serializable", "start transaction read only"], Effects::BEGINS),
    (
        &[
            "commit",
            "COMMIT WORK;",
            "end",
            "end transaction",
            "rollback",
            "rollback work",
            "abort",
            "rollback; to",
            "commit and no chain",
            "prepare transaction 'x'",
            "prepare transaction $$x$$",
            "prepare/**/transaction -- c\n'x'",
        ],
        Effects::ENDS,
    ),
    (&["commit and chain", "rollback transaction and chain", "end and chain"], Effects::ENDS.union(Effects::BEGINS)),
    (&["commit prepared 'x'", "rollback prepared 'x'"], Effects::WRITES),
    (
        &[
            "savepoint a",
            "release a",
            "release savepoint a",
            "rollback to a",
            "rollback to savepoint a",
            "rollback work to a",
            "rollback transaction to savepoint a",
        ],
        Effects::SAVEPOINTS,
    ),
    (&["copy t to stdout", "copy (select a from t) to stdout", "copy t (a, b) to stdout with (format csv)"], {
        Effects::COPIES
    }),
    (
        &["copy t from stdin", "copy t (a) from '/f'", "copy (insert into t values (1) returning a) to stdout"],
        Effects::COPIES.union(Effects::WRITES),
    ),
    (
        &[
            "call p(1)",
            "do $$ begin perform set_config('x', '1', false); end $$",
            "do language plpgsql 'begin end'",
            "select query_to_xml('select set_config(''x'', ''1'', false)', true, true, '')",
            "select * from ts_stat('select 1')",
        ],
        Effects::CALLS,
    ),
    (
        &[
            "create table t (a int, temp int)",
            "create table temp (a int)",
            "create unlogged table t (a int)",
            "create index concurrently i on t (a)",
            "create or replace function f() returns int language sql as $$ set x to 1; listen a $$",
            "create function f() returns int language sql set search_path to a as 'select 1'",
            "create table t as select 1",
            "alter table t add column a int",
            "alter system set x to 1",
            "alter role bob set x to 1",
            "alter database d reset all",
            "drop table t",
            "comment on table t is 'set x to 1'",
            "grant select on t to bob",
            "revoke all on t from bob",
            "security label on table t is 'x'",
            "reassign owned by a to b",
            "refresh materialized view v",
            "explain analyze refresh materialized view v",
            "reindex table t",
            "cluster t",
            "vacuum full t",
            "analyze t",
            "checkpoint",
            "create trigger t after truncate on u execute function f()",
        ],
        Effects::DDL,
    ),
    (
        &[
            "insert into t values (1)",
            "insert into temp values (1)",
            "INSERT INTO t SELECT * FROM u ON CONFLICT DO UPDATE SET a = 1",
            "update t set a = 1",
            "update t set temp = local, x = excluded.y",
            "delete from t",
            "merge into t using u on a = b when matched then update set c = 1 when not matched then insert values (1)",
            "truncate t, u",
            "with x as (delete from t returning a) select * from x",
            "with x as (select 1) update t set a = 1",
            "with x as (select 1) insert into t select * from x",
            "explain analyze delete from t",
            "(with x as (insert into t values (1) returning a) select * from x)",
        ],
        Effects::WRITES,
    ),
    (&["select 1 into t", "select a into table t from u", "import foreign schema s from server x into y"], {
        Effects::DDL.union(Effects::WRITES)
    }),
    (
        &[
            "select * from t for update",
            "SELECT * FROM t FOR NO KEY UPDATE OF t NOWAIT",
            "select * from t for share skip locked",
            "select * from t for key share",
            "select * from t for /* c */ update",
            "with x as (select * from t for update) select * from x",
        ],
        Effects::LOCKS_ROWS,
    ),
    (&["lock t", "lock table t in share mode"], Effects::LOCKS_TABLES),
    // A name we cannot read may be any function's.
    (
        &["select U&\"set!005fconfig\" uescape '!' ('x', '1', false)", "select u&\"\\0070g_temp\".f()"],
        Effects::SET_CONFIG
            .union(Effects::NOTIFIES)
            .union(Effects::TEMP)
            .union(Effects::ADVISORY)
            .union(Effects::SESSION_FUNCTION)
            .union(Effects::NEXTVAL)
            .union(Effects::CURRVAL)
            .union(Effects::CALLS),
    ),
    // Taken for more than it is, on purpose: the bodies count as statements.
    (
        &["create function f() returns int begin atomic select 1; select case when true then 2 end; end"],
        Effects::DDL.union(Effects::ENDS),
    ),
    (
        &["create rule r as on insert to t do also (insert into u values (1); notify a)"],
        Effects::DDL.union(Effects::WRITES).union(Effects::NOTIFIES),
    ),
];

fn check((texts, effects): &Case) {
    for text in *texts {
        assert_eq!(inspect(text.as_bytes(), true).effects, *effects, "{text}");
        let upper = text.to_ascii_uppercase();
        if !text.contains(['$', '"', '\\']) {
            assert_eq!(inspect(upper.as_bytes(), true).effects, *effects, "{upper}");
        }
    }
}

#[test]
fn harmless() {
    check(&HARMLESS);
}

#[test]
fn session_effects() {
    SESSION.iter().for_each(check);
}

#[test]
fn other_effects() {
    REST.iter().for_each(check);
}

#[test]
fn there_are_enough_cases() {
    let cases: usize = [&HARMLESS].into_iter().chain(SESSION).chain(REST).map(|(texts, _)| texts.len()).sum();
    assert!(cases >= 200, "{cases}");
}

#[test]
fn first_word_and_count() {
    use Count::{Many, One, Zero};
    for (text, first, statements) in [
        ("", Keyword::Nothing, Zero),
        (" \t\r\n\x0b\x0c", Keyword::Nothing, Zero),
        (";;; -- c\n /* c */ ;", Keyword::Nothing, Zero),
        // The server refuses these instead of calling them empty.
        ("/* unclosed", Keyword::Other, One),
        ("; 'unclosed ;", Keyword::Other, One),
        ("select 1", Keyword::Select, One),
        ("select 1;", Keyword::Select, One),
        (";;select 1;;-- c", Keyword::Select, One),
        ("((select 1))", Keyword::Select, One),
        ("(values (1)) union select 2", Keyword::Values, One),
        ("select 1; select 2", Keyword::Select, Many),
        ("begin; select 1; commit", Keyword::Begin, Many),
        ("with x as (select 1) insert into t select 1", Keyword::With, One),
        ("selec 1", Keyword::Other, One),
        ("1", Keyword::Other, One),
        ("'select'", Keyword::Other, One),
        ("\"select\" 1", Keyword::Other, One),
        ("$$;$$", Keyword::Other, One),
        (",", Keyword::Other, One),
        ("(", Keyword::Other, One),
        ("(;select 1", Keyword::Other, Many),
        (")select 1", Keyword::Other, One),
        (".select 1", Keyword::Other, One),
        ("select ';'", Keyword::Select, One),
        ("temp", Keyword::Other, One),
        ("StArT transaction", Keyword::Start, One),
        ("start_transaction", Keyword::Other, One),
    ] {
        let verdict = inspect(text.as_bytes(), true);
        assert_eq!((verdict.first, verdict.statements), (first, statements), "{text}");
        assert_eq!(is_empty(text.as_bytes()), statements == Zero, "{text}");
    }
}

/// The same bytes end in different places under the two readings of plain strings.
#[test]
fn backslashes_in_plain_strings() {
    let text = br"select '\'; listen a; select '";
    assert_eq!(inspect(text, true).effects, Effects::LISTENS);
    assert_eq!(inspect(text, false).effects, Effects::NONE);
    let text = br"select '\\'; listen a; select ''";
    assert_eq!(inspect(text, true).effects, Effects::LISTENS);
    assert_eq!(inspect(text, false).effects, Effects::LISTENS);
    let text = br"select $$\$$; listen a; select B'\'; unlisten a";
    assert_eq!(inspect(text, false).effects, Effects::LISTENS | Effects::UNLISTENS);
}

#[test]
fn a_verdict_is_small() {
    assert!(size_of::<sql::Verdict>() <= 8);
}
