//! When a lease ends, and what passes through it: the pooling modes, pipelines, errors, COPY, and large messages.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;

use common::{Script, Setup, backend, column, errors, fails_with, only, sqlstate, tags};
use testkit::{Result, Wire};

#[test]
fn a_lease_ends_with_its_transaction() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let first = backend(&mut wire)?;
    let held = scene.hold()?;
    assert_eq!(held.backend(), first, "the connection used last was free");
    wire.query("begin")?;
    let second = backend(&mut wire)?;
    assert_ne!(second, first);
    held.release()?;
    assert_eq!(backend(&mut wire)?, second, "inside a transaction the server stays");
    wire.query("savepoint a")?;
    assert_eq!(fails_with(&mut wire, "select 1/0"), "22012");
    wire.query("rollback to a")?;
    assert_eq!(backend(&mut wire)?, second);
    wire.query("commit")?;
    let held = scene.hold()?;
    assert_eq!(held.backend(), second, "after COMMIT it is free again");
    assert_ne!(backend(&mut wire)?, second);
    Ok(())
}

#[test]
fn in_session_mode_a_lease_ends_with_its_session_and_leaves_nothing() -> Result<()> {
    let scene = Setup::new().budget(1).toml("[pool]\nmode = \"session\"").start()?;
    let mut wire = scene.client()?;
    let first = backend(&mut wire)?;
    wire.query("set statement_timeout = 54321; create temporary table mine (n int); listen news")?;
    wire.query("prepare mine as select 1")?;
    wire.query("select pg_advisory_lock(7)")?;
    assert_eq!(wire.value("show statement_timeout")?, "54321ms");
    assert_eq!(backend(&mut wire)?, first);
    wire.terminate()?;
    let mut next = scene.client()?;
    assert_eq!(backend(&mut next)?, first, "the connection is put in order, not replaced");
    assert_eq!(next.value("show statement_timeout")?, "0");
    let left = "select (select count(*) from pg_prepared_statements) + (select count(*) from pg_listening_channels())
        + (select count(*) from pg_locks where locktype = 'advisory') + (select count(*) from pg_class where relname = 'mine')";
    assert_eq!(next.value(left)?, "0");
    Ok(())
}

#[test]
fn in_statement_mode_a_lease_ends_with_its_statement_and_transactions_are_refused() -> Result<()> {
    let scene = Setup::new().toml("[pool]\nmode = \"statement\"").start()?;
    let mut wire = scene.client()?;
    assert_eq!(wire.value("select 1")?, "1");
    assert_eq!(wire.query("select 1; select 2")?.len(), 2, "several statements are one implicit transaction");
    let prepared = Script::new().parse("", "select $1::int + 1").run("", &["41"]).sync().run_on(&mut wire)?;
    assert_eq!(only(&prepared), "42");
    for begin in ["begin", "start transaction", "select 1; begin"] {
        let mut wire = scene.client()?;
        wire.send_query(begin)?;
        assert_eq!(wire.read()?.field(b'C').as_deref(), Some("0A000"), "{begin}");
    }
    let mut extended = scene.client()?;
    extended.send(Script::new().parse("", "begin").run("", &[]).sync().bytes())?;
    assert_eq!(extended.read()?.field(b'C').as_deref(), Some("0A000"));
    assert_eq!(backend(&mut wire)?, backend(&mut scene.client()?)?, "nobody holds the connection");
    Ok(())
}

#[test]
fn a_pipeline_of_many_units_is_answered_in_order() -> Result<()> {
    const UNITS: usize = 2_000;
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let mut script = Script::new().parse("echo", "select $1::text").sync();
    let mut expected = Vec::new();
    for n in 0..UNITS {
        let value = format!("unit {n}");
        script = match n % 3 {
            0 => script.run("echo", &[&value]).sync(),
            1 => script.query(&format!("select '{value}'")),
            _ => script.parse("", "select $1::text").run("", &[&value]).sync(),
        };
        expected.push(value);
    }
    let messages = script.run_on(&mut wire)?;
    assert!(errors(&messages).is_empty(), "{:?}", errors(&messages));
    assert_eq!(column(&messages), expected);
    assert_eq!(tags(&messages).matches('Z').count(), UNITS + 1);
    assert_eq!(wire.value("select 1")?, "1");
    Ok(())
}

#[test]
fn an_error_skips_to_sync_and_no_further() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    wire.query("create table t (n int)")?;
    let messages = Script::new()
        .parse("", "insert into t values (1)")
        .run("", &[])
        .parse("", "select 1/0")
        .run("", &[])
        .parse("skipped", "select 'never'")
        .run("skipped", &[])
        .sync()
        .parse("", "select count(*) from t")
        .run("", &[])
        .sync()
        .run_on(&mut wire)?;
    assert_eq!(tags(&messages), "12C1EZ12DCZ");
    assert_eq!((errors(&messages), only(&messages)), (vec!["22012".to_owned()], "0".to_owned()));
    let unknown = Script::new().run("skipped", &[]).sync().run_on(&mut wire)?;
    assert_eq!(errors(&unknown), ["26000"], "what was skipped was not prepared");
    Ok(())
}

#[test]
fn a_unit_without_sync_keeps_its_connection() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    wire.query("create table t (n int)")?;
    wire.send(Script::new().parse("", "insert into t values (1) returning pg_backend_pid()").flush().bytes())?;
    assert_eq!(wire.read()?.tag, b'1');
    wire.send(Script::new().bind("", "", &[]).execute("", 0).flush().bytes())?;
    let answer: Vec<_> = (0..3).map(|_| wire.read()).collect::<Result<_>>()?;
    assert_eq!(tags(&answer), "2DC");
    // The row is not committed, and nobody else may commit it.
    let mut other = scene.client()?;
    assert_ne!(backend(&mut other)?.to_string(), only(&answer));
    assert_eq!(other.value("select count(*) from t")?, "0");
    drop(wire);
    let mut next = scene.client()?;
    assert_eq!(next.value("select count(*) from t")?, "0", "its client left without a Sync");
    Ok(())
}

#[test]
fn the_fast_path_function_call_works() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let abs: u32 = wire.value("select 'int4abs'::regproc::oid")?.parse()?;
    // Object id, one format code (text), one argument "-7", result as text.
    let body = [&abs.to_be_bytes()[..], &[0, 1, 0, 0, 0, 1, 0, 0, 0, 2], b"-7", &[0, 0]].concat();
    wire.send_message(b'F', &body)?;
    let messages = wire.read_until_ready()?;
    assert_eq!((tags(&messages).as_str(), messages[0].body.as_slice()), ("VZ", &b"\0\0\0\x017"[..]));
    Ok(())
}

#[test]
fn copy_moves_rows_in_and_out_in_both_protocols() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    wire.query("create table t (n int)")?;
    let simple = Script::new().query("copy t from stdin").copy_data("1\n2\n").copy_data("3\n").copy_done();
    assert_eq!(tags(&simple.run_on(&mut wire)?), "GCZ");
    let extended = Script::new().parse("", "copy t from stdin").run("", &[]).copy_data("4\n").copy_done().sync();
    assert_eq!(tags(&extended.run_on(&mut wire)?), "12GCZ");
    let eager = Script::new().parse("", "copy t from stdin").run("", &[]).ignored_sync().copy_data("5\n").copy_done();
    assert_eq!(tags(&eager.sync().run_on(&mut wire)?), "12GCZ", "as libpq does, with a Sync that is ignored");
    let out = Script::new().query("copy t to stdout").run_on(&mut wire)?;
    assert_eq!(tags(&out), "HdddddcCZ");
    let both = Script::new().query("copy (select 1) to stdout; select 2").run_on(&mut wire)?;
    assert_eq!(tags(&both), "HdcCTDCZ");
    assert_eq!(wire.value("select sum(n) from t")?, "15");
    Ok(())
}

#[test]
fn a_copy_that_fails_ignores_late_data() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    wire.query("create table t (n int)")?;
    let bad = "x".repeat(100) + "\n";
    let simple = Script::new().query("copy t from stdin").copy_data(&bad).copy_data("1\n").copy_data("2\n").copy_done();
    assert_eq!(errors(&simple.run_on(&mut wire)?), ["22P02"]);
    assert_eq!(wire.value("select count(*) from t")?, "0");
    let extended = Script::new().parse("", "copy t from stdin").run("", &[]).copy_data(&bad).copy_data("1\n");
    assert_eq!(errors(&extended.copy_done().sync().run_on(&mut wire)?), ["22P02"]);
    let given_up = Script::new().query("copy t from stdin").copy_data("1\n").copy_fail("no more").run_on(&mut wire)?;
    assert_eq!(errors(&given_up), ["57014"]);
    // The rest of the data comes when the connection has long gone back.
    let refused = Script::new().query("copy nowhere from stdin").run_on(&mut wire)?;
    assert_eq!(errors(&refused), ["42P01"]);
    wire.send(Script::new().copy_data("1\n").copy_done().bytes())?;
    assert_eq!(wire.value("select count(*) from t")?, "0");
    Ok(())
}

#[test]
fn large_messages_pass_in_both_directions() -> Result<()> {
    const LEN: usize = 10 << 20;
    let scene = Setup::new().toml("[limits]\nmax_message_size = \"12MiB\"").start()?;
    let mut wire = scene.client()?;
    assert_eq!(wire.value(&format!("select repeat('x', {LEN})"))?.len(), LEN);
    let text = "y".repeat(LEN);
    assert_eq!(wire.value(&format!("select length('{text}')"))?, LEN.to_string());
    let bound = Script::new().parse("", "select length($1)").run("", &[&text]).sync().run_on(&mut wire)?;
    assert_eq!(only(&bound), LEN.to_string());
    let named = Script::new().parse("long", &format!("select length('{text}')")).run("long", &[]).sync();
    assert_eq!(only(&named.run_on(&mut wire)?), LEN.to_string());
    let first = backend(&mut wire)?;
    assert_eq!(scene.hold()?.backend(), first, "nothing of it holds the session");
    // More than may be held: it passes unread, and so the session is held.
    let larger = "z".repeat(LEN + (4 << 20));
    assert_eq!(wire.value(&format!("select length('{larger}')"))?, larger.len().to_string());
    let pinned = backend(&mut wire)?;
    assert_ne!(scene.hold()?.backend(), pinned);
    Ok(())
}

#[test]
fn protocol_versions_are_negotiated() -> Result<()> {
    // Unasked for a password, all that comes is the greeting. These lines go on with `[listen]`.
    let scene = Setup::new().toml("auth = \"trust\"").start()?;
    for (minor, options, key_len, negotiated) in
        [(0, "", 4, None), (2, "", 32, None), (9, "", 32, Some(2)), (0, "_pq_.magic", 4, Some(0))]
    {
        let mut wire = Wire::connect(&scene.evenkeel.address())?;
        let option = if options.is_empty() { String::new() } else { format!("{options}\0on\0") };
        let body = format!("user\0{}\0database\0{}\0{option}\0", common::USER, common::DATABASE);
        let length = u32::try_from(body.len() + 8)?;
        wire.send(&[&length.to_be_bytes()[..], &(0x0003_0000_u32 + minor).to_be_bytes(), body.as_bytes()].concat())?;
        let greeting = wire.read_until_ready()?;
        let answer = greeting.iter().find(|message| message.tag == b'v').map(|message| message.body[..8].to_vec());
        let expected = negotiated
            .map(|minor: u32| [(0x0003_0000 + minor).to_be_bytes(), [0, 0, 0, u8::from(!options.is_empty())]].concat());
        assert_eq!(answer, expected, "3.{minor} {options}");
        let key = greeting.iter().find(|message| message.tag == b'K').map(|message| message.body.len() - 4);
        assert_eq!(key, Some(key_len), "3.{minor} {options}");
        assert_eq!(wire.value("select 1")?, "1");
    }
    Ok(())
}

#[test]
fn startup_options_hold_for_the_session() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client_with(&[("options", "-c statement_timeout=1234 --search-path=pg_catalog,\\ public")])?;
    let held = scene.hold()?;
    for _ in 0..2 {
        assert_eq!(wire.value("show statement_timeout")?, "1234ms");
        assert_eq!(wire.value("show search_path")?, "pg_catalog, public");
    }
    held.release()?;
    assert_eq!(scene.client()?.value("show statement_timeout")?, "0");
    // What the server refuses ends only the session that asked for it.
    let mut bad = scene.client_with(&[("options", "-c statement_timeout=soon")])?;
    assert!(bad.query("select 1").is_err());
    assert_eq!(scene.client()?.value("select 1")?, "1");
    let malformed = scene.client_with(&[("options", "-d nonsense")]).unwrap_err();
    assert_eq!(sqlstate(&malformed), "08P01");
    Ok(())
}
