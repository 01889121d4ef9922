//! What each kind of statement may do, by its text.

use sql::Count;
use sql::mysql::{Charset, Effects, Keyword, Mode, inspect};

/// What a text that cannot be judged may do, if none of the words occurs in it that the rest would need.
const DOUBT: Effects = Effects::all().without(
    VARIABLES
        .union(Effects::TEMP)
        .union(Effects::LOCK_FUNCTION)
        .union(Effects::LOCK_TABLES)
        .union(Effects::FLUSH_LOCK)
        .union(Effects::SQL_PREPARE)
        .union(Effects::HANDLER)
        .union(Effects::XA)
        .union(Effects::KILL)
        .union(Effects::LOCAL_INFILE)
        .union(Effects::LASTVAL),
);
const VARIABLES: Effects = Effects::USER_VARIABLE_WRITE.union(Effects::USER_VARIABLE_READ);

fn effects(text: &str) -> Effects {
    inspect(text.as_bytes(), Mode::STANDARD).effects
}

/// Statements that leave nothing behind, and words that only look like more.
const HARMLESS: &[&str] = &[
    "",
    " ; ; -- c",
    "select 1",
    "(select 1) union all (select 2)",
    "values row(1, 2)",
    "table t",
    "with x as (select 1) select replace(a, 'b', 'c'), insert(a, 1, 2, 'x') from x",
    "show tables",
    "show variables like 'sql_mode'",
    "explain select 1",
    "describe t",
    "desc t",
    "help 'select'",
    "checksum table t",
    "signal sqlstate '45000' set message_text = 'set x = 1'",
    // What drivers send first: reading a variable is no state.
    "select @@version_comment limit 1",
    "SELECT @@socket, @@max_allowed_packet, @@wait_timeout",
    "/* mysql-connector-j-9.0.0 (Revision: x) */SELECT  @@session.auto_increment_increment AS auto_increment_increment, \
     @@character_set_client AS character_set_client, @@init_connect AS init_connect, @@sql_mode AS sql_mode, \
     @@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout",
    "SELECT USER(), DATABASE(), VERSION()",
    // Words in strings, names and comments do not count.
    "select 'set x = 1; get_lock(', \"; lock tables t read\"",
    "select 'it\\'s; set x = 1', 'it''s; set @x = 1'",
    "select `get_lock`, `into`, `for`, `update`, `a``; set x = 1` from t",
    "select 1 -- ; set x = 1",
    "select 1 # ; set x = 1",
    "select 1 /* ; set x = 1 */",
    "select /*+ SET_VAR(sql_mode = '') MAX_EXECUTION_TIME(1) */ 1",
    "-- set x = 1\nselect 1",
    // Names that hold a word, and words that are names.
    "select settings, row_count, t.found_rows, last_insert_ids, connection_id from insert_log",
    "select temporary, local, share, next, value, previous from t",
    "select t.update, t.delete, t.into, t.lock from t",
    "select a from t order by a desc limit 1",
    "select case when a then 1 else 2 end, if(a, 1, 2) from t",
    "select @@session.insert_ids, @@global.profilings",
    "/*!40000 select */ 1",
];

#[test]
fn harmless() {
    for text in HARMLESS {
        assert_eq!(effects(text), Effects::NONE, "{text}");
    }
}

#[test]
fn settings() {
    use Effects as E;
    let (sets, global, write, read) = (E::SETS, E::SETS_GLOBAL, E::USER_VARIABLE_WRITE, E::USER_VARIABLE_READ);
    for (text, expected) in [
        ("set autocommit = 0", sets),
        ("SET @@session.autocommit = OFF", sets),
        ("set sql_log_bin = 0", sets),
        ("set `sql_mode` = ''", sets),
        ("set names utf8mb4", sets),
        ("set character set latin1", sets),
        ("set charset latin1", sets),
        ("/* c */ sEt /* c */ x = 1", sets),
        ("set global x = 1", global),
        ("set persist x = 1", global),
        ("set @@persist_only.x = 1", global),
        ("set @@global.x = 1, @@y = 2", global | sets),
        ("set global x = 1, session y = 2", global | sets),
        ("set transaction read only", E::NEXT_TRANSACTION),
        ("set transaction isolation level read committed, read only", E::NEXT_TRANSACTION),
        ("set session transaction read only", sets),
        ("set local transaction isolation level serializable", sets),
        ("set global transaction read write", global),
        ("set @@transaction_isolation = 'x'", sets | E::NEXT_TRANSACTION),
        ("set @@session.transaction_isolation = 'x'", sets),
        ("set @a = 1", write),
        ("set @`a` := 1, @'b' = 2", write),
        ("set @a = @b", write | read),
        // ProxySQL lost the second of these.
        ("SET @a:=1, sql_mode='ANSI'", write | sets),
        ("set sql_mode = (select @a := 1)", write | sets),
        ("set x = (select 1, 2), @a = f(1, @b)", write | read | sets),
        ("set @a = (select a, @b from t)", write | read),
        ("set role none", E::SET_ROLE),
        ("set @a = 1, role none", write | E::SET_ROLE),
        ("set default role r to u", E::WRITES),
        ("set password = 'x'", E::SET_PASSWORD | E::WRITES),
        ("set password for 'u'@'h' = 'x'", E::SET_PASSWORD | E::WRITES),
        ("set last_insert_id = 5", sets | E::LAST_INSERT_ID),
        ("set insert_id = 5", sets | E::LAST_INSERT_ID),
        ("set pseudo_thread_id = 5", sets | E::CONNECTION_ID),
        ("set resource group g", DOUBT),
        ("set session authorization u", DOUBT),
        ("set", DOUBT),
        // Of the statement behind it alone.
        ("set statement max_statement_time = 1 for select 1", E::NONE),
        ("set statement a = 1, b = 2 for set c = 3", sets),
        ("set statement a = (select 1 for update) for update t set a = 1", E::LOCKING_READ | E::WRITES),
        ("SET NAMES 'utf8mb4' COLLATE 'utf8mb4_0900_ai_ci'", sets),
        (
            "SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION')),time_zone='+00:00',NAMES \
             utf8mb4 COLLATE utf8mb4_unicode_ci;",
            sets,
        ),
    ] {
        assert_eq!(effects(text), expected, "{text}");
    }
}

#[test]
fn session_state() {
    use Effects as E;
    let (write, read) = (E::USER_VARIABLE_WRITE, E::USER_VARIABLE_READ);
    for (text, expected) in [
        ("select @a", read),
        ("select@a", read),
        ("select @'a', @\"b\"", read),
        ("select @a := 1", write),
        ("select @a:=@a+1", write | read),
        ("select 1 into @a", write),
        ("select 1, 2 into @a, @b from t", write),
        ("select 1e5into @a", write),
        ("select 1 from t where a = @b into @a", write | read),
        ("insert into t values (@a, @b)", read | E::WRITES),
        ("insert into t select 1", E::WRITES),
        ("select 1 into outfile '/tmp/x'", E::WRITES),
        ("get diagnostics @a = number", write | read | E::READS_DIAGNOSTICS),
        ("load data infile 'x' into table t (@a, b) set c = @a", write | read | E::WRITES),
        ("load data local infile 'x' into table t", E::WRITES | E::LOCAL_INFILE),
        ("load xml low_priority local infile 'x' into table t", E::WRITES | E::LOCAL_INFILE),
        ("call p(@a)", write | read | E::CALLS | E::WRITES),
        ("call p()", E::CALLS | E::WRITES),
        ("execute immediate 'set @a = 1'", E::CALLS | E::WRITES),
        ("execute s using @a", write | read | E::SQL_PREPARE | E::CALLS | E::WRITES),
        ("prepare s from 'select 1'", E::SQL_PREPARE),
        ("prepare s from @a", E::SQL_PREPARE | read),
        ("deallocate prepare s", E::SQL_PREPARE),
        ("drop prepare s", E::SQL_PREPARE),
        ("create temporary table t (a int)", E::WRITES | E::TEMP),
        ("CREATE  /* c */ TEMPORARY TABLE t (a int)", E::WRITES | E::TEMP),
        ("create or replace temporary table t (a int)", E::WRITES | E::TEMP),
        ("/*!40000 create temporary */ table t (a int)", E::WRITES | E::TEMP),
        ("drop temporary table t", E::WRITES | E::TEMP),
        ("create definer = `u`@`h` view v as select 1", E::WRITES),
        ("select get_lock('a', 1)", E::LOCK_FUNCTION),
        ("select GET_LOCK /* c */ ('a', 1)", E::LOCK_FUNCTION),
        ("select `get_lock`('a', 1)", E::LOCK_FUNCTION),
        ("select mariadb_schema.get_lock('a', 1)", E::LOCK_FUNCTION),
        ("do release_all_locks()", E::LOCK_FUNCTION | E::WRITES),
        ("select is_used_lock('a'), service_get_write_locks('a', 'b', 1)", E::LOCK_FUNCTION),
        ("select version_tokens_lock_shared('a', 1)", E::LOCK_FUNCTION),
        ("lock tables t read, u write", E::LOCK_TABLES),
        ("lock table t read", E::LOCK_TABLES),
        ("unlock tables", E::UNLOCK_TABLES),
        ("lock instance for backup", E::FLUSH_LOCK),
        ("unlock instance", E::FLUSH_LOCK),
        ("backup stage start", E::FLUSH_LOCK | E::WRITES),
        ("flush tables", E::WRITES),
        ("flush tables with read lock", E::FLUSH_LOCK | E::WRITES),
        ("FLUSH LOCAL TABLES a, b FOR EXPORT", E::FLUSH_LOCK | E::WRITES),
        ("handler t open", E::HANDLER),
        ("xa start 'a'", E::XA | E::WRITES),
        ("use db", E::USE),
        ("kill 5", E::KILL),
        ("select sql_calc_found_rows * from t limit 1", E::CALC_FOUND_ROWS),
        ("select found_rows()", E::FOUND_ROWS),
        ("select row_count( )", E::ROW_COUNT),
        ("select connection_id()", E::CONNECTION_ID),
        ("select @@pseudo_thread_id", E::CONNECTION_ID),
        ("select last_insert_id()", E::LAST_INSERT_ID),
        ("update t set a = last_insert_id(a + 1)", E::LAST_INSERT_ID | E::WRITES),
        ("select @@identity", E::LAST_INSERT_ID),
        ("select @@session.last_insert_id", E::LAST_INSERT_ID),
        ("select @@`last_insert_id`", E::LAST_INSERT_ID),
        ("show warnings", E::READS_DIAGNOSTICS),
        ("SHOW COUNT(*) ERRORS", E::READS_DIAGNOSTICS),
        ("show profiles", E::READS_DIAGNOSTICS),
        ("select * from information_schema.profiling", E::READS_DIAGNOSTICS),
        ("select @@warning_count", E::READS_DIAGNOSTICS),
        ("select @@session/**/./**/error_count", E::READS_DIAGNOSTICS),
        ("select nextval(s)", E::NEXTVAL | E::WRITES),
        ("select next value for s", E::NEXTVAL | E::WRITES),
        ("select s.nextval", E::NEXTVAL | E::WRITES),
        ("select setval(s, 5)", E::NEXTVAL | E::WRITES),
        ("select lastval(s), previous value for s", E::LASTVAL),
        ("select s.currval", E::LASTVAL),
        ("select @@last_gtid", E::LAST_GTID),
        ("select wsrep_last_written_gtid()", E::LAST_GTID),
    ] {
        assert_eq!(effects(text), expected, "{text}");
    }
}

#[test]
fn transactions_locks_and_writes() {
    use Effects as E;
    for text in [
        "begin",
        "BEGIN WORK;",
        "start transaction read only",
        "commit",
        "commit and chain",
        "rollback",
        "rollback to savepoint a",
        "savepoint a",
        "release savepoint a",
    ] {
        assert_eq!(effects(text), E::TRANSACTION, "{text}");
    }
    for text in [
        "select 1 from t for update",
        "select 1 from t for share skip locked",
        "select 1 from t lock in share mode",
        "(select 1 from t for update)",
        "with x as (select 1) select * from x for update",
    ] {
        assert_eq!(effects(text), E::LOCKING_READ, "{text}");
    }
    for text in [
        "insert into t values (1) on duplicate key update a = 2",
        "replace into t values (1)",
        "update t set a = 1",
        "delete from t",
        "truncate t",
        "with x as (select 1) update t set a = 1",
        "with x as (select 1) delete from t",
        "explain analyze update t set a = 1",
        "analyze replace into t values (1)",
        "create table t (a int)",
        "alter table t add b int",
        "drop table t",
        "grant all on *.* to u",
        "rename table a to b",
        "optimize table t",
        "reset master",
        "start replica",
        "do sleep(1)",
        "install plugin x soname 'y'",
    ] {
        assert_eq!(effects(text), E::WRITES, "{text}");
    }
}

#[test]
fn what_cannot_be_judged_has_all_effects_whose_words_occur() {
    for text in [
        "frobnicate x",
        "1",
        "'a'",
        "begin not atomic set @a = 1; end",
        "begin select 1; end",
        "if 1 then set @a = 1; end if",
        "l: loop set @a = 1; end loop",
        "select $$ ' $$",
        "select 1 \0 , 2",
        "select 1 /*!80000 + 1 */ /*!80001 + 1 */",
        "select 1 /*! /*! */ */",
        "select `\u{1f600}`",
    ] {
        let variables = if text.contains('@') { VARIABLES } else { Effects::NONE };
        assert_eq!(effects(text), DOUBT | variables, "{text}");
    }
    for text in ["binlog 'x'", "x; call p()", "begin not atomic execute immediate @a; end"] {
        assert_eq!(effects(text), Effects::all(), "{text}: what it runs is not in it");
    }
    let charset = |text: &[u8], charset| inspect(text, Mode { charset, ..Mode::STANDARD }).effects;
    assert_eq!(charset(b"select '\xbf\\', 1", Charset::MultiByte), DOUBT);
    assert_eq!(charset(b"select 'a'", Charset::MultiByte), Effects::NONE);
    assert_eq!(charset(b"select 1 into\xa0@a", Charset::SingleByte), DOUBT | VARIABLES);
    assert_eq!(charset(b"select '\xe4'", Charset::SingleByte), Effects::NONE);
}

/// Each text hides a `SET` from those who read it by another rule.
#[test]
fn nothing_hides() {
    let sets = |text: &str, mode| inspect(text.as_bytes(), mode).effects.contains(Effects::SETS);
    let standard = Mode::STANDARD;
    let ansi = Mode { ansi_quotes: true, ..standard };
    let no_escapes = Mode { no_backslash_escapes: true, ..standard };
    let mariadb = Mode { mariadb: true, ..standard };
    for (text, mode) in [
        ("select 1; set x = 1", standard),
        ("select ';'; set x = 1", standard),
        ("/*! set x = 1 */", standard),
        ("/*!50000set x = 1 */", standard),
        ("/*!80000 set x = 1 */", standard),
        ("/*!80000 select */ set x = 1", standard),
        ("set /*!80000 global */ x = 1", standard),
        ("select 1 /*!99999 ' */; set x = 1 /* ' */", standard),
        ("/*M! set x = 1 */", mariadb),
        ("select 1 /* /* */; set x = 1 -- */", standard),
        ("select 1 -- \r\n; set x = 1", standard),
        ("select 1--1; set x = 1", standard),
        ("select 'a\\\\'; set x = 1 -- '", standard),
        ("select 'a\\'; set x = 1 -- '", no_escapes),
        ("select \"a\\\"; set x = 1 -- \"", ansi),
        ("select `a\\`; set x = 1 -- `", standard),
        ("select @'a;'; set x = 1", standard),
        // The mode changes between the statements of one text.
        ("set sql_mode = 'no_backslash_escapes'; select 'a\\'; set x = 1 -- '", standard),
        ("set @@sql_mode = 'ansi_quotes'; select \"a\\\"; set x = 1 -- \"", standard),
        ("set names gbk; select '\u{bf5c}'; set x = 1", standard),
        ("call p(); select 'a\\'; set x = 1 -- '", standard),
        ("set statement a = 1 for set x = 1", mariadb),
    ] {
        assert!(sets(text, mode), "{text}");
    }
    assert!(!sets("/*M! set x = 1 */ select 1", standard));
    assert_eq!(effects("call p(); select 'a\\'; select 1 -- '"), Effects::all());
    assert_eq!(effects("set autocommit = 0; select 'a\\\\'"), Effects::SETS);
    assert_eq!(effects("set sql_mode = ''; select 'a', `b`"), Effects::SETS);
}

#[test]
fn statements_and_first_words() {
    for (text, statements, first) in [
        ("", Count::Zero, Keyword::Nothing),
        ("/* c */ ; -- c", Count::Zero, Keyword::Nothing),
        ("select 1;", Count::One, Keyword::Select),
        ("((select 1))", Count::One, Keyword::Select),
        ("desc t", Count::One, Keyword::Describe),
        ("set x = 1", Count::One, Keyword::Set),
        ("set statement x = 1 for select 1", Count::One, Keyword::Select),
        ("select 1; set x = 1", Count::Many, Keyword::Select),
        ("; use db", Count::One, Keyword::Use),
        ("frobnicate", Count::One, Keyword::Other),
        ("/*!80000 select 1 */", Count::One, Keyword::Other),
        ("/*!40101 SET NAMES utf8 */;", Count::One, Keyword::Set),
        ("$$", Count::Many, Keyword::Other),
    ] {
        let verdict = inspect(text.as_bytes(), Mode::STANDARD);
        assert_eq!((verdict.statements, verdict.first), (statements, first), "{text}");
        assert_eq!(verdict.is_single_set(), statements == Count::One && first == Keyword::Set, "{text}");
    }
}
