//! Session state: what follows a client from one server connection to the next, what holds it on one, and that no
//! other client ever sees it.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;

use std::time::Duration;

use common::{DATABASE, Scene, Script, Setup, backend, errors, fails_with, tags};
use testkit::{Result, Wire, poll_until};

/// A setting that the server does not report, so that only the text of statements tells what became of it.
const UNREPORTED: &str = "show statement_timeout";
/// One that it reports.
const REPORTED: &str = "show timezone";

/// What `question` gives to `wire` on each of the scene's two server connections.
fn everywhere(scene: &Scene, wire: &mut Wire, question: &str) -> Result<[String; 2]> {
    let first = backend(wire)?;
    let one = wire.value(question)?;
    // The other one is the only one that is free.
    let (a, b) = (scene.hold()?, scene.hold()?);
    let (kept, free) = if a.backend() == first { (a, b) } else { (b, a) };
    assert_eq!(kept.backend(), first);
    let second = free.backend();
    free.release()?;
    let two = wire.value(question)?;
    assert_eq!(backend(wire)?, second);
    kept.release()?;
    Ok([one, two])
}

#[test]
fn settings_follow_their_client_and_no_other_sees_them() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client_with(&[("statement_timeout", "5000"), ("timezone", "Asia/Tokyo")])?;
    let mut stranger = scene.client()?;
    let cases = [
        ("select 1", "5s", "Asia/Tokyo"),
        ("set statement_timeout = 1000", "1s", "Asia/Tokyo"),
        ("set timezone to 'Europe/Paris'", "1s", "Europe/Paris"),
        ("set local statement_timeout = 7", "1s", "Europe/Paris"),
        ("set statement_timeout = 2000; set timezone = 'UTC'", "2s", "UTC"),
        ("begin | set statement_timeout = 3000 | set timezone = 'Asia/Tokyo' | rollback", "2s", "UTC"),
        ("begin | set statement_timeout = 3000 | set timezone = 'Asia/Tokyo' | commit", "3s", "Asia/Tokyo"),
        ("begin | set statement_timeout = 1 | rollback | set statement_timeout = 4000", "4s", "Asia/Tokyo"),
        ("set statement_timeout = 6000 | begin | set local statement_timeout = 9 | commit", "6s", "Asia/Tokyo"),
        ("reset statement_timeout", "5s", "Asia/Tokyo"),
        ("set timezone = 'UTC'", "5s", "UTC"),
        ("set statement_timeout to default; reset all", "5s", "Asia/Tokyo"),
    ];
    for (statement, timeout, zone) in cases {
        for part in statement.split(" | ") {
            wire.query(part)?;
        }
        assert_eq!(everywhere(&scene, &mut wire, UNREPORTED)?, [timeout, timeout], "{statement}");
        assert_eq!(everywhere(&scene, &mut wire, REPORTED)?, [zone, zone], "{statement}");
        assert_eq!(everywhere(&scene, &mut stranger, UNREPORTED)?, ["0", "0"], "a stranger after {statement}");
        let [one, two] = everywhere(&scene, &mut stranger, REPORTED)?;
        assert!(one == two && !one.contains('/') || one == "Etc/UTC", "a stranger after {statement}: {one}, {two}");
    }
    Ok(())
}

#[test]
fn pipelined_settings_are_each_followed() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let mut stranger = scene.client()?;
    let set = |n: u32| format!("set statement_timeout = {n}");
    let extended = |n| Script::new().parse("", &set(n)).run("", &[]).sync();
    let cases = [
        ("two in a row", Script::new().query("set work_mem = '1MB'").query(&set(1000)), "1s"),
        ("behind a failure", Script::new().query("select 1/0").query(&set(2000)), "2s"),
        ("behind a failed one", Script::new().query("set statement_timeout = soon").query(&set(3000)), "3s"),
        ("before a failure", Script::new().query(&set(4000)).query("select 1/0"), "4s"),
        ("behind a rollback", Script::new().query("begin").query(&set(1)).query("rollback").query(&set(5000)), "5s"),
        ("in a transaction", Script::new().query("begin").query(&set(6000)).query("commit").query("select 1"), "6s"),
        ("extended", Script::new().parse("", "select 1/$1::int").run("", &["0"]).sync().then(&extended(7000)), "7s"),
        (
            "skipped",
            Script::new().parse("", "select 1/$1::int").run("", &["0"]).parse("", &set(1)).run("", &[]).sync(),
            "7s",
        ),
        ("discarded", Script::new().query("discard all").query(&set(8000)), "8s"),
    ];
    for (what, script, expected) in cases {
        script.run_on(&mut wire)?;
        assert_eq!(everywhere(&scene, &mut wire, UNREPORTED)?, [expected, expected], "{what}");
        assert_eq!(everywhere(&scene, &mut stranger, UNREPORTED)?, ["0", "0"], "a stranger: {what}");
    }
    Script::new().query("discard all").query("listen news").run_on(&mut wire)?;
    let held = backend(&mut wire)?;
    assert_ne!(backend(&mut stranger)?, held, "LISTEN behind DISCARD ALL still holds the session");
    Ok(())
}

#[test]
fn savepoints_around_settings_hold_the_session() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    wire.query("begin")?;
    wire.query("savepoint a")?;
    wire.query("set statement_timeout = 1000")?;
    wire.query("rollback to a")?;
    wire.query("set lock_timeout = 2000")?;
    wire.query("commit")?;
    let held = backend(&mut wire)?;
    let mut stranger = scene.client()?;
    assert_ne!(backend(&mut stranger)?, held, "what is left only the server knows");
    assert_eq!((wire.value(UNREPORTED)?, wire.value("show lock_timeout")?), ("0".into(), "2s".into()));
    wire.terminate()?;
    for _ in 0..2 {
        assert_eq!(everywhere(&scene, &mut stranger, "show lock_timeout")?, ["0", "0"]);
    }
    Ok(())
}

#[test]
fn reported_parameters_are_told_and_hold_everywhere() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client_with(&[("application_name", "till"), ("client_encoding", "LATIN1")])?;
    assert_eq!(everywhere(&scene, &mut wire, "show application_name")?, ["till", "till"]);
    assert_eq!(everywhere(&scene, &mut wire, "show client_encoding")?, ["LATIN1", "LATIN1"]);
    let messages = Script::new().query("set datestyle to german, dmy").run_on(&mut wire)?;
    assert_eq!(tags(&messages), "CSZ");
    assert_eq!(messages[1].body, b"DateStyle\0German, DMY\0");
    let today = "select date '2026-11-21'";
    assert_eq!(everywhere(&scene, &mut wire, today)?, ["21.11.2026", "21.11.2026"]);
    let mut stranger = scene.client()?;
    assert_eq!(everywhere(&scene, &mut stranger, today)?, ["2026-11-21", "2026-11-21"]);
    assert_eq!(everywhere(&scene, &mut stranger, "show client_encoding")?, ["UTF8", "UTF8"]);
    assert_eq!(everywhere(&scene, &mut stranger, "show application_name")?, ["evenkeel", "evenkeel"]);
    // Lists and quotes come out as they went in.
    wire.query("set search_path to \"odd \"\"one\", pg_catalog, 'a b'")?;
    let path = wire.value("show search_path")?;
    assert_eq!(everywhere(&scene, &mut wire, "show search_path")?, [path.clone(), path]);
    Ok(())
}

#[test]
fn settings_are_replayed_without_a_round_trip_of_their_own() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let mut one = scene.client_with(&[("statement_timeout", "1000")])?;
    let mut two = scene.client_with(&[("statement_timeout", "2000")])?;
    assert_eq!(two.value(UNREPORTED)?, "2s");
    scene.pg.pause()?;
    one.send_query(UNREPORTED)?;
    let server = scene.pg.address();
    // The frozen server has both messages in its socket at once, though it answered none.
    let queued = poll_until(Duration::from_secs(10), "both messages to lie in the server's socket", || {
        Ok(receive_queue(&server)?.filter(|bytes| *bytes > 0))
    });
    scene.pg.resume()?;
    let messages = one.read_until_ready()?;
    assert_eq!(common::column(&messages), ["1s"]);
    let plain = 1 + 4 + UNREPORTED.len() + 1;
    assert!(queued? > plain, "only the client's query was sent");
    Ok(())
}

/// Bytes that wait to be read in the socket of the server that listens at `address` (`/proc/net/tcp`), the most of any.
fn receive_queue(address: &str) -> Result<Option<usize>> {
    let port: u16 = address.rsplit(':').next().unwrap().parse()?;
    let local = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let waiting = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // ESTABLISHED is state 01; the queues are "sent:received" in hexadecimal.
        let ours = words.get(1)?.ends_with(&local) && *words.get(3)? == "01";
        let queue = words.get(4)?.split(':').nth(1)?;
        ours.then(|| usize::from_str_radix(queue, 16).ok()).flatten()
    });
    Ok(waiting.max())
}

#[test]
fn what_called_code_has_set_up_is_gone_before_another_client_comes() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let [mut one, mut other] = [scene.client()?, scene.client()?];
    one.query("do $$ begin perform set_config('statement_timeout', '7s', false); end $$")?;
    assert_eq!(other.value("show statement_timeout")?, "0");
    one.query("begin; do $$ begin perform set_config('lock_timeout', '7s', false); end $$; commit")?;
    assert_eq!(other.value("show lock_timeout")?, "0");
    one.query("do $$ begin perform set_config('statement_timeout', '7s', false); end $$")?;
    drop(one);
    assert_eq!(other.value("show statement_timeout")?, "0");
    Ok(())
}

#[test]
fn what_cannot_be_moved_holds_the_session_and_is_gone_after_it() -> Result<()> {
    let scene = Setup::new().start()?;
    scene.pg.psql("create role auditor; grant auditor to app")?;
    let cases = [
        ("create temporary table mine as select 1 as n", "select n::text from mine"),
        ("select 1 as n into temp mine", "select n::text from mine"),
        ("prepare mine as select 1", "execute mine"),
        ("select pg_advisory_lock(77)", "select count(*) from pg_locks where locktype = 'advisory'"),
        ("begin; declare mine cursor with hold for select 1; commit", "fetch 1 from mine"),
        ("listen mine", "select count(*) from pg_listening_channels()"),
        ("select set_config('mine.x', '1', false)", "show mine.x"),
        ("begin; set mine.x = '1'; commit", "show mine.x"),
    ];
    for (statement, question) in cases {
        let mut wire = scene.client()?;
        wire.query(statement)?;
        let held = backend(&mut wire)?;
        let mut stranger = scene.client()?;
        assert_ne!(backend(&mut stranger)?, held, "{statement}");
        assert_eq!(wire.value(question)?, "1", "{statement}");
        wire.terminate()?;
        assert_clean(&scene, &mut stranger)?;
    }
    let mut wire = scene.client()?;
    wire.query("set role auditor")?;
    let held = backend(&mut wire)?;
    let mut stranger = scene.client()?;
    assert_ne!(backend(&mut stranger)?, held);
    assert_eq!(wire.value("select current_user")?, "auditor");
    drop(wire);
    assert_eq!(everywhere(&scene, &mut stranger, "select current_user")?, ["app", "app"]);
    Ok(())
}

/// Neither server connection holds anything of a session that has ended.
fn assert_clean(scene: &Scene, wire: &mut Wire) -> Result<()> {
    // Every session sees these two of every other one, also of one that is just being put in order.
    let seen_by_all = "select (select count(*) from pg_locks where locktype = 'advisory')
        + (select count(*) from pg_class where relname = 'mine')";
    let mut watcher = scene.pg.superuser(DATABASE)?;
    poll_until(Duration::from_secs(10), "locks and tables to be gone", || {
        Ok((watcher.value(seen_by_all)? == "0").then_some(()))
    })?;
    let left = "select (select count(*) from pg_prepared_statements where name not like '\\_\\_ek\\_%')
        + (select count(*) from pg_listening_channels()) + (select count(*) from pg_cursors where is_holdable)
        + (select count(*) from pg_locks where locktype = 'advisory')
        + (select count(*) from pg_class where relname = 'mine')";
    assert_eq!(everywhere(scene, wire, left)?, ["0", "0"]);
    Ok(())
}

#[test]
fn notifications_reach_the_session_that_listens() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut listener = scene.client()?;
    listener.query("listen news")?;
    let mut other = scene.client()?;
    other.query("notify news, 'hello'")?;
    let message = listener.read()?;
    assert_eq!((message.tag, &message.body[4..]), (b'A', &b"news\0hello\0"[..]));
    listener.query("unlisten *")?;
    other.query("notify news, 'nobody'")?;
    assert_eq!(listener.value("select 1")?, "1");
    Ok(())
}

#[test]
fn discard_all_ends_what_held_the_session() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client_with(&[("statement_timeout", "4000")])?;
    wire.query("create temporary table mine (n int)")?;
    wire.query("set statement_timeout = 100000")?;
    let held = backend(&mut wire)?;
    wire.query("discard all")?;
    assert_eq!(scene.hold()?.backend(), held, "it is free for others");
    assert_eq!(everywhere(&scene, &mut wire, UNREPORTED)?, ["4s", "4s"], "back to what it came with");
    assert_clean(&scene, &mut wire)
}

#[test]
fn the_last_sequence_value_is_never_a_strangers() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let mut owner = scene.client()?;
    owner.query("create sequence s; create table t (n serial)")?;
    for question in ["select lastval()", "select currval('s')"] {
        owner.query("select nextval('s')")?;
        assert_eq!(fails_with(&mut scene.client()?, question), "55000", "{question}");
        owner.query("select nextval('s')")?;
        let mut extended = scene.client()?;
        let asked = Script::new().parse("", question).run("", &[]).sync().run_on(&mut extended)?;
        assert_eq!(errors(&asked), ["55000"], "{question} in the extended protocol");
        owner.query("select nextval('s')")?;
        let mut careful = scene.client()?;
        careful.query("select 1")?;
        careful.query("begin")?;
        assert_eq!(fails_with(&mut careful, question), "55000", "{question} in a transaction");
    }
    let mut own = scene.client()?;
    for n in 1..4 {
        own.query("begin")?;
        own.query("insert into t default values")?;
        assert_eq!(own.value("select lastval()")?, n.to_string());
        own.query("commit")?;
        owner.query("select nextval('s')")?;
        owner.query("select nextval('s')")?;
    }
    Ok(())
}
