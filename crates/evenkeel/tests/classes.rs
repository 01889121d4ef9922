//! Classes, sessions that keep their connection, and the limit on transactions: on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use common::{DATABASE, PASSWORD, Scene, Setup, USER, backend};
use testkit::{Evenkeel, Options, Result, Wire, poll_until};
use watch::{ADMIN, SOON, Shown, TRUST, at_rest, console, show, until_in_use, until_says, until_waiting, whole};

/// A scene with these classes on its server, and a console.
fn with_classes(budget: u32, classes: &str) -> Setup {
    Setup::new().toml(TRUST).toml(ADMIN).budget(budget).server_toml(&format!("classes = {classes}"))
}

/// With what a statement fails: SQLSTATE, and all that is said.
fn refused(wire: &mut Wire, sql: &str) -> Result<(String, String)> {
    wire.send_query(sql)?;
    let messages = wire.read_until_ready()?;
    let error = messages.iter().find(|message| message.tag == b'E').unwrap_or_else(|| panic!("{sql} did not fail"));
    let said = |fields: &[u8]| fields.iter().filter_map(|&field| error.field(field)).collect::<Vec<_>>().join(". ");
    Ok((said(b"C"), said(b"MDH")))
}

/// In which class each client's connection counts that holds one, and why it is kept.
fn clients(evenkeel: &Evenkeel) -> Result<Vec<(String, String, String)>> {
    let shown = show(&mut console(evenkeel)?, "clients")?;
    let column = |row, name| Shown::get(&shown, row, name).to_owned();
    let all = shown.rows.iter().map(|row| (column(row, "user"), column(row, "class"), column(row, "pin")));
    Ok(all.filter(|(_, class, _)| !class.is_empty()).collect())
}

/// The classes of the connections that are held, in order.
fn classes(evenkeel: &Evenkeel) -> Result<Vec<String>> {
    let mut classes: Vec<_> = clients(evenkeel)?.into_iter().map(|(_, class, _)| class).collect();
    classes.sort();
    Ok(classes)
}

/// A table that statements on it wait for, as long as this lives.
struct Gate(Wire);

impl Gate {
    fn close(scene: &Scene) -> Result<Self> {
        let mut wire = scene.pg.superuser(DATABASE)?;
        wire.query("create table if not exists gate (a int)")?;
        wire.query("grant all on gate to public")?;
        wire.query("begin")?;
        wire.query("lock table gate in access exclusive mode")?;
        Ok(Self(wire))
    }

    fn open(mut self) -> Result<()> {
        self.0.query("commit").map(drop)
    }
}

/// Who drives a class of the preset, and by what.
struct Drive {
    class: &'static str,
    cap: usize,
    user: &'static str,
    application: &'static str,
    workload: &'static str,
    /// What waits at the gate. The comment tells the server's sessions apart.
    sql: &'static str,
}

const fn drive(
    class: &'static str,
    cap: usize,
    user: &'static str,
    application: &'static str,
    sql: &'static str,
) -> Drive {
    Drive { class, cap, user, application, workload: "oltp", sql }
}

/// The classes of the preset that a PostgreSQL client can use, with the sizes of VTTablet's pools.
const PRESET: [Drive; 9] = [
    drive("oltp", 16, USER, "web", "select /* oltp */ count(*) from gate"),
    drive("transaction", 20, USER, "web", "begin; select /* transaction */ count(*) from gate; commit"),
    Drive { workload: "olap", ..drive("stream", 200, USER, "web", "select /* stream */ count(*) from gate") },
    drive("dba", 20, "vt_dba", "psql", "select /* dba */ count(*) from gate"),
    drive("app", 40, USER, "vreplication-1", "begin; select /* app */ count(*) from gate; commit"),
    drive("tx_read", 3, USER, "tx_read", "select /* tx_read */ count(*) from gate"),
    drive("online_ddl_executor", 3, USER, "gh-ost", "select /* online_ddl */ count(*) from gate"),
    drive("table_gc", 2, USER, "table_gc", "select /* table_gc */ count(*) from gate"),
    drive("throttler", 2, USER, "throttler", "select /* throttler */ count(*) from gate"),
];

/// How many more clients come than a class has connections.
const TOO_MANY: usize = 2;

#[test]
fn the_preset_opens_what_its_formula_says_and_never_more() -> Result<()> {
    let pool = "[pool]\nconnect_concurrency = 32\ncheckout_timeout = \"120s\"\n[metrics]\nvttablet_names = true";
    let setup =
        with_classes(340, "\"vttablet\"").options(Options::new().max_connections(360)).user("vt_dba").toml(pool);
    let scene = setup.start()?;
    let gate = Gate::close(&scene)?;
    let mut wires = Vec::new();
    for Drive { cap, user, application, workload, sql, .. } in PRESET {
        for _ in 0..cap + TOO_MANY {
            let mut wire = Wire::connect(&scene.evenkeel.address())?;
            let options = format!("-c evenkeel.workload={workload}");
            let of_client = [("application_name", application), ("options", &options)];
            wire.start(&[&[("user", user), ("database", DATABASE)], &of_client[..]].concat())?;
            wire.authenticate(user, PASSWORD)?;
            wire.send_query(sql)?;
            wires.push(wire);
        }
    }
    let sum: usize = PRESET.iter().map(|drive| drive.cap).sum();
    // 20 of the formula are for MySQL clients that want found rows.
    assert_eq!(sum, 326 - 20);
    until_in_use(&scene.evenkeel, sum as u32)?;
    until_waiting(&scene.evenkeel, (PRESET.len() * TOO_MANY) as u32)?;
    let mut watcher = scene.pg.superuser(DATABASE)?;
    for Drive { class, cap, sql, .. } in PRESET {
        let comment = sql.split('*').nth(1).unwrap();
        let count = format!(
            "select count(*) from pg_stat_activity where query like '%/*{comment}*/%' and pid <> pg_backend_pid()"
        );
        assert_eq!(watcher.value(&count)?, cap.to_string(), "{class}");
        told_of_a_full_class(&scene.evenkeel, class, cap)?;
    }
    let all = "select count(*) from pg_stat_activity where usename in ('app', 'vt_dba')";
    assert_eq!(watcher.value(all)?, sum.to_string(), "no connection beyond the classes'");
    gate.open()?;
    for wire in &mut wires {
        wire.read_until_ready()?;
    }
    assert!(watcher.value(all)?.parse::<usize>()? <= sum, "nor afterwards");
    drop(wires);
    at_rest(&scene.evenkeel)
}

/// What the console and VTTablet's metrics say of a class of the preset that has no connection left.
fn told_of_a_full_class(evenkeel: &Evenkeel, class: &str, cap: usize) -> Result<()> {
    let shown = show(&mut console(evenkeel)?, "classes")?;
    let row = shown.find("class", class).unwrap_or_else(|| panic!("{class} in {:?}", shown.rows));
    let number = |name| shown.number(row, name);
    let (cap, too_many) = (cap as u64, TOO_MANY as u64);
    assert_eq!([number("capacity"), number("active"), number("in_use")], [cap; 3], "{class}");
    assert_eq!([number("available"), number("failed_waits")], [0; 2], "{class}");
    assert!(number("exhausted") > 0, "{class}: its last connection is lent");
    assert_eq!(number("waiting"), too_many, "{class}");
    let metric = match class {
        "oltp" => "conn_pool".to_owned(),
        "stream" | "dba" | "app" => format!("{class}_conn_pool"),
        _ => format!("{class}_pool"),
    };
    let exhausted = number("exhausted");
    for (name, value) in
        [("capacity", cap), ("active", cap), ("in_use", cap), ("available", 0), ("exhausted", exhausted)]
    {
        let sample = format!("vttablet_{metric}_{name}{{server=\"main\",class=\"{class}\"}}");
        assert_eq!(u64::from(whole(evenkeel, &sample)?), value, "{sample}");
    }
    Ok(())
}

#[test]
fn who_waits_too_long_is_told_which_class_and_which_setting() -> Result<()> {
    let pool = "[pool]\ncheckout_timeout = \"300ms\"";
    let scene = with_classes(4, "{ transaction = 1, oltp = 2 }").toml(pool).start()?;
    let held = scene.hold()?;
    let mut other = scene.client()?;
    let (code, said) = refused(&mut other, "begin")?;
    assert_eq!(code, "53300");
    for word in ["class transaction", "1 connections", "servers.classes", "checkout_timeout"] {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    let shown = show(&mut console(&scene.evenkeel)?, "classes")?;
    let row = shown.find("class", "transaction").unwrap();
    assert_eq!((shown.number(row, "exhausted"), shown.number(row, "failed_waits")), (1, 1));
    // The same client is served where there is room, and its next transaction when there is.
    assert_eq!(other.value("select 'oltp'")?, "oltp");
    held.release()?;
    other.query("begin")?;
    assert_eq!(classes(&scene.evenkeel)?, ["transaction"]);
    other.query("commit")?;
    at_rest(&scene.evenkeel)
}

#[test]
fn each_rule_takes_its_traffic() -> Result<()> {
    let declared = r#"
        [[classes]]
        name = "reports"
        users = ["report*"]
        [[classes]]
        name = "etl"
        applications = ["etl*"]
        traffic = ["statement", "stream"]
        [[classes]]
        name = "archive"
        databases = ["old"]
        [[classes]]
        name = "slow"
        workload = "dba"
        [[classes]]
        name = "writes"
        statements = ["insert", "update", "delete"]
        [[classes]]
        name = "copies"
        traffic = ["stream"]
    "#;
    let list = r#"["reports", "etl", "archive", "slow", "writes", "copies"]"#;
    let scene = with_classes(9, list).toml(declared).user("reporter").database("old").start()?;
    scene.pg.psql_in("old", "create table gate (a int); grant all on gate to public")?;
    let gate = Gate::close(&scene)?;
    let select = "select count(*) from gate";
    let in_class = |wire: &mut Wire, sql: &str, class: &str| -> Result<()> {
        wire.send_query(sql)?;
        poll_until(SOON, &format!("{sql} in {class}"), || Ok((classes(&scene.evenkeel)? == [class]).then_some(())))?;
        until_says(&scene.pg, "select count(*) from pg_locks where not granted", "1")?;
        wire.cancel()?;
        wire.read_until_ready().map(drop)
    };
    let mut app = scene.client()?;
    in_class(&mut app, select, "default")?;
    in_class(&mut app, "insert into gate values (1)", "writes")?;
    in_class(&mut app, "copy gate to stdout", "copies")?;
    // What opens a transaction decides for all of it.
    in_class(&mut app, "begin; delete from gate", "default")?;
    app.query("rollback")?;
    app.query("set evenkeel.workload = 'dba'")?;
    in_class(&mut app, select, "slow")?;
    app.query("set evenkeel.workload = olap")?;
    in_class(&mut app, select, "copies")?;
    app.query("reset evenkeel.workload")?;
    in_class(&mut app, select, "default")?;
    app.query("begin; set application_name = 'etl-7'; rollback")?;
    in_class(&mut app, select, "default")?;
    app.query("set application_name = 'etl-7'")?;
    in_class(&mut app, select, "etl")?;
    in_class(&mut app, "begin; select count(*) from gate", "default")?;
    app.query("rollback")?;
    let mut etl = scene.client_with(&[("application_name", "etl")])?;
    in_class(&mut etl, "insert into gate values (1)", "etl")?;
    let mut olap = scene.client_with(&[("options", "-c evenkeel.workload=olap")])?;
    in_class(&mut olap, select, "copies")?;
    in_class(&mut scene.evenkeel.client("reporter", PASSWORD, DATABASE)?, "copy gate to stdout", "reports")?;
    gate.open()?;
    let mut old = scene.evenkeel.client(USER, PASSWORD, "old")?;
    old.query("begin")?;
    assert_eq!(classes(&scene.evenkeel)?, ["archive"]);
    old.query("commit")?;
    drop((app, etl, olap, old));
    at_rest(&scene.evenkeel)
}

#[test]
fn classes_of_one_login_share_connections_and_others_never_do() -> Result<()> {
    let scene = with_classes(2, "{ transaction = 1, oltp = 1 }").user("other").start()?;
    let mut app = scene.client()?;
    let first = backend(&mut app)?;
    app.query("begin")?;
    assert_eq!(backend(&mut app)?, first, "a connection goes from class to class as it is");
    app.query("commit")?;
    let mut other = scene.evenkeel.client("other", PASSWORD, DATABASE)?;
    other.query("begin")?;
    assert_ne!(backend(&mut other)?, first, "another user's never is the same");
    assert_eq!(other.value("select current_user")?, "other");
    app.query("select 1")?;
    other.query("commit")?;
    drop((app, other));
    at_rest(&scene.evenkeel)
}

#[test]
fn what_a_class_does_not_use_is_lent_where_that_is_so_configured() -> Result<()> {
    let declared = "[[classes]]\nname = \"oltp\"\nlends_to = [\"transaction\"]";
    let scene = with_classes(6, "{ transaction = 1, oltp = 2 }").toml(declared).start()?;
    let mut open: Vec<_> = (0..3).map(|_| scene.client()).collect::<Result<_>>()?;
    for wire in &mut open {
        wire.query("begin")?;
    }
    assert_eq!(classes(&scene.evenkeel)?, ["transaction"; 3], "one of its own and two borrowed");
    let mut fourth = scene.client()?;
    fourth.send_query("begin")?;
    let mut lender = scene.client()?;
    lender.send_query("select 'mine'")?;
    until_waiting(&scene.evenkeel, 2)?;
    // What comes back goes to its owner first.
    open.remove(0).query("commit")?;
    assert_eq!(lender.read_until_ready()?.iter().filter(|message| message.tag == b'D').count(), 1);
    open.remove(0).query("commit")?;
    fourth.read_until_ready()?;
    fourth.query("commit")?;
    open.remove(0).query("commit")?;
    drop((lender, fourth));
    at_rest(&scene.evenkeel)
}

#[test]
fn a_transaction_behind_a_statement_in_one_packet_is_for_its_class() -> Result<()> {
    let scene = with_classes(3, "{ transaction = 1, oltp = 1 }").start()?;
    let mut app = scene.client()?;
    let held = scene.hold()?;
    let mut packet = Vec::new();
    for sql in ["select 1", "begin", "select 2"] {
        packet.extend_from_slice(&testkit::wire::message(b'Q', &[sql.as_bytes(), b"\0"].concat()));
    }
    app.send(&packet)?;
    app.read_until_ready()?;
    until_waiting(&scene.evenkeel, 1)?;
    held.release()?;
    app.read_until_ready()?;
    app.read_until_ready()?;
    assert_eq!(classes(&scene.evenkeel)?, ["transaction"]);
    app.query("commit")?;
    at_rest(&scene.evenkeel)
}

#[test]
fn a_session_that_is_held_to_its_connection_leaves_its_class() -> Result<()> {
    let scene = with_classes(6, "{ transaction = 1, oltp = 1, reserved = 1 }").start()?;
    let mut pinned = scene.client()?;
    pinned.query("create temporary table t (a int)")?;
    let reserved = (USER.to_owned(), "reserved".to_owned(), "temporary table".to_owned());
    assert_eq!(clients(&scene.evenkeel)?, std::slice::from_ref(&reserved));
    // The class refills.
    let mut other = scene.client()?;
    assert_eq!(other.value("select 'free'")?, "free");
    // Its transactions are its own business.
    let _transaction = scene.hold()?;
    pinned.query("begin; insert into t values (1); commit")?;
    assert_eq!(classes(&scene.evenkeel)?, ["reserved", "transaction"]);
    // Without room there the next one is in the way of its class, until there is room.
    let mut second = scene.client()?;
    second.query("create temporary table t (a int)")?;
    assert_eq!(classes(&scene.evenkeel)?, ["oltp", "reserved", "transaction"]);
    pinned.query("discard all")?;
    second.query("select 1")?;
    assert_eq!(classes(&scene.evenkeel)?, ["reserved", "transaction"]);
    Ok(())
}

#[test]
fn settings_reserve_a_connection_where_that_is_so_configured() -> Result<()> {
    let pool = "[pool]\nsession_state = \"reserve\"\nmax_reserved = 1";
    for classes_of_server in ["\"single\"", "{ transaction = 2, oltp = 1 }"] {
        let scene = with_classes(4, classes_of_server).toml(pool).start()?;
        let mut app = scene.client()?;
        app.query("set application_name = 'free'")?;
        app.query("begin; set local work_mem = '1MB'; commit")?;
        assert_eq!(classes(&scene.evenkeel)?, [""; 0], "neither needs a connection of its own");
        assert!(app.query("set no_such_setting = 1").is_err());
        assert_eq!(classes(&scene.evenkeel)?, [""; 0], "nor does what failed");
        app.query("set work_mem = '1MB'")?;
        let held = clients(&scene.evenkeel)?;
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!((&*held[0].1, held[0].2.contains("session_state")), ("reserved", true));
        let process = backend(&mut app)?;
        // One too many is told, and goes on without.
        let mut other = scene.client()?;
        let (code, said) = refused(&mut other, "set work_mem = '2MB'")?;
        assert_eq!(code, "53300");
        assert!(said.contains("max_reserved"), "{said}");
        assert_ne!(backend(&mut other)?, process);
        assert_ne!(other.value("show work_mem")?, "2MB");
        // In a transaction it is known too late to refuse one statement.
        let mut late = scene.client()?;
        late.query("begin")?;
        late.query("set work_mem = '3MB'")?;
        late.send_query("commit")?;
        assert_eq!(fatal(&mut late)?, "53300");
        assert_eq!((app.value("show work_mem")?, backend(&mut app)?), ("1MB".into(), process));
        app.terminate()?;
        poll_until(SOON, "room for another reserved session", || Ok(other.query("set work_mem = '2MB'").ok()))?;
        assert_eq!(other.value("show work_mem")?, "2MB");
        other.query("discard all")?;
        assert_eq!(classes(&scene.evenkeel)?, [""; 0], "nothing is left to be kept");
        drop(other);
        at_rest(&scene.evenkeel)?;
    }
    Ok(())
}

/// Reads to the end of a session; the SQLSTATE of its last error.
fn fatal(wire: &mut Wire) -> Result<String> {
    loop {
        let message = wire.read()?;
        if message.tag == b'E' {
            assert_eq!(message.field(b'V').as_deref(), Some("FATAL"), "{message:?}");
            return Ok(message.field(b'C').unwrap_or_default());
        }
    }
}

#[test]
fn settings_are_forgotten_where_that_is_so_configured() -> Result<()> {
    let scene = Setup::new().budget(1).toml("[pool]\nsession_state = \"ignore\"").start()?;
    let mut app = scene.client_with(&[("DateStyle", "SQL, DMY")])?;
    let usual = app.value("show work_mem")?;
    app.query("set work_mem = '1MB'")?;
    app.query("set datestyle = 'German'")?;
    assert_eq!(app.value("show work_mem")?, usual, "it lasted as long as the lease");
    assert_eq!(app.value("show datestyle")?, "SQL, DMY", "what the session came with stays");
    app.query("begin; set work_mem = '1MB'")?;
    assert_eq!(app.value("show work_mem")?, "1MB");
    app.query("commit")?;
    assert_eq!(app.value("show work_mem")?, usual);
    // By these the client is known, and its texts are read.
    app.query("set client_encoding = 'LATIN1'")?;
    app.query("set application_name = 'kept'")?;
    assert_eq!(scene.client()?.value("show client_encoding")?, "UTF8");
    assert_eq!(
        (app.value("show client_encoding")?, app.value("show application_name")?),
        ("LATIN1".into(), "kept".into())
    );
    drop(app);
    at_rest(&scene.evenkeel)
}

#[test]
fn a_reload_renames_and_resizes_classes_and_loses_nobody() -> Result<()> {
    let setup = |classes: &str| with_classes(6, classes).toml("[pool]\ncheckout_timeout = \"60s\"");
    let scene = setup("{ transaction = 1, oltp = 1, stream = 1 }").start()?;
    let mut app = scene.client()?;
    app.query("begin")?;
    let mut waiting = scene.client()?;
    waiting.send_query("begin")?;
    until_waiting(&scene.evenkeel, 1)?;
    // Fewer classes, in another order; the one that is waited for is wider.
    let reload = |classes: &str| scene.evenkeel.reload(&setup(classes).config(&scene.pg.address()));
    reload("{ oltp = 1, transaction = 2 }")?;
    waiting.read_until_ready()?;
    assert_eq!(classes(&scene.evenkeel)?, ["transaction"; 2]);
    // None at all: who is inside stays there, and who comes next is not limited.
    reload("\"single\"")?;
    app.query("commit")?;
    let mut more: Vec<_> = (0..4).map(|_| scene.hold()).collect::<Result<Vec<_>>>()?;
    waiting.query("commit")?;
    // And back again.
    reload("{ transaction = 1, oltp = 1, stream = 1 }")?;
    more.drain(..).try_for_each(common::Holder::release)?;
    app.query("begin")?;
    waiting.send_query("begin")?;
    until_waiting(&scene.evenkeel, 1)?;
    app.query("commit")?;
    waiting.read_until_ready()?;
    waiting.query("commit")?;
    drop((app, waiting));
    at_rest(&scene.evenkeel)
}

#[test]
fn what_was_counted_of_a_class_stays_with_its_name() -> Result<()> {
    let setup = |list: &str| with_classes(6, list);
    let scene = setup("{ transaction = 2, oltp = 2, stream = 1 }").start()?;
    let reload = |list: &str, names: &[&str]| -> Result<()> {
        scene.evenkeel.reload(&setup(list).config(&scene.pg.address()))?;
        poll_until(SOON, "the new classes", || {
            let shown = show(&mut console(&scene.evenkeel)?, "classes")?;
            let mut listed: Vec<_> = shown.rows.iter().map(|row| shown.get(row, "class")).collect();
            listed.retain(|name| !["default", "reserved"].contains(name));
            listed.sort_unstable();
            Ok((listed == names).then_some(()))
        })
    };
    let used = |class: &str| -> Result<[u64; 3]> {
        let shown = show(&mut console(&scene.evenkeel)?, "classes")?;
        let row = shown.find("class", class).unwrap_or_else(|| panic!("{class} in {:?}", shown.rows));
        let measured = |name: &str| {
            let sample = format!("evenkeel_class_{name}_seconds_count{{server=\"main\",class=\"{class}\"}}");
            // What was never measured has no sample.
            whole(&scene.evenkeel, &sample).unwrap_or(0)
        };
        assert_eq!(shown.number(row, "connects"), u64::from(measured("connect")), "{class}");
        assert_eq!(shown.number(row, "leases"), u64::from(measured("wait")), "{class}");
        Ok(["leases", "exhausted", "connects"].map(|name| shown.number(row, name)))
    };
    let (mut app, mut held) = (scene.client()?, scene.client()?);
    app.query("begin; commit")?;
    app.query("begin")?;
    held.query("select 'one'")?;
    held.query("begin")?;
    app.query("commit")?;
    let (transaction, oltp) = ([3, 1, 0], [1, 0, 1]);
    assert_eq!([used("transaction")?, used("oltp")?], [transaction, oltp]);
    // New classes, some in the places of others.
    reload("{ dba = 1, oltp = 2, app = 1, transaction = 2 }", &["app", "dba", "oltp", "transaction"])?;
    assert_eq!([used("transaction")?, used("oltp")?], [transaction, oltp]);
    assert_eq!([used("dba")?, used("app")?], [[0; 3]; 2], "what others have had is not theirs");
    // One goes while its connection is in use, and comes again: it has no past, and its place nobody else's.
    reload("{ dba = 1, oltp = 2, app = 1 }", &["app", "dba", "oltp"])?;
    held.query("commit")?;
    assert_eq!([used("dba")?, used("app")?, used("oltp")?], [[0; 3], [0; 3], oltp]);
    reload("{ transaction = 1, oltp = 2 }", &["oltp", "transaction"])?;
    assert_eq!([used("transaction")?, used("oltp")?], [[0; 3], oltp]);
    app.query("begin; commit")?;
    assert_eq!(used("transaction")?, [1, 1, 0]);
    drop((app, held));
    at_rest(&scene.evenkeel)
}

#[test]
fn one_user_has_its_part_of_the_transactions_and_others_have_theirs() -> Result<()> {
    let setup = |slots: u32, limit: &str| {
        let limit = format!("[transaction_limit]\n{limit}\nper_user = 0.4");
        let list = format!("{{ transaction = {slots}, oltp = 2 }}");
        with_classes(16, &list).user("other").toml(&limit)
    };
    let scene = setup(5, "mode = \"on\"").start()?;
    let reload = |slots, limit| scene.evenkeel.reload(&setup(slots, limit).config(&scene.pg.address()));
    let app = || scene.client();
    let begun = |mut wire: Wire| wire.query("begin").map(|_| wire);
    let mut open = vec![begun(app()?)?, begun(app()?)?];
    let mut third = app()?;
    let (code, said) = refused(&mut third, "begin")?;
    assert_eq!(code, "53400");
    for word in ["transaction_limit.per_user", "2 transactions are under way", "0.4 of 5 connections"] {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    // Not by a prepared statement, nor in a text of several, nor behind a statement in one packet.
    assert_eq!(refused(&mut third, "select 1; begin")?.0, "53400");
    let mut packet = testkit::wire::message(b'Q', b"select 1\0");
    packet.extend_from_slice(&testkit::wire::message(b'Q', b"begin\0"));
    third.send(&packet)?;
    third.read_until_ready()?;
    assert!(third.read_until_ready()?.iter().any(|message| message.field(b'C').as_deref() == Some("53400")));
    assert_eq!(third.value("select 'statements go on'")?, "statements go on");
    let mut others: Vec<_> =
        (0..2).map(|_| begun(scene.evenkeel.client("other", PASSWORD, DATABASE)?)).collect::<Result<_>>()?;
    // Exact under a resize, in both directions.
    reload(10, "mode = \"on\"")?;
    open.push(poll_until(SOON, "the new size", || Ok(begun(app()?).ok()))?);
    open.push(begun(app()?)?);
    assert_eq!(refused(&mut third, "begin")?.0, "53400", "4 of 10");
    reload(5, "mode = \"on\"")?;
    for _ in 0..2 {
        open.remove(0).query("commit")?;
        assert_eq!(refused(&mut third, "begin")?.0, "53400", "2 of 5");
    }
    open.remove(0).query("rollback")?;
    third.query("begin")?;
    // A client that is gone has no transaction.
    drop(third);
    poll_until(SOON, "room for another transaction", || Ok(begun(app()?).ok()))?;
    drop(open);
    others.iter_mut().try_for_each(|wire| wire.query("commit").map(drop))?;
    at_rest(&scene.evenkeel)
}

#[test]
fn transactions_are_limited_by_application_and_where_there_is_one_class() -> Result<()> {
    let limit = "[transaction_limit]\nmode = \"on\"\nby = [\"user\", \"application\"]\nper_user = 0.25";
    let scene = Setup::new().toml(TRUST).budget(8).toml(limit).start()?;
    let named = |name: &str| scene.client_with(&[("application_name", name)]);
    let mut open = Vec::new();
    for name in ["web", "batch"] {
        for _ in 0..2 {
            let mut wire = named(name)?;
            wire.query("begin")?;
            open.push(wire);
        }
        assert_eq!(refused(&mut named(name)?, "begin")?.0, "53400", "{name}: 2 of 8");
    }
    let mut renamed = named("web")?;
    renamed.query("set application_name = 'nightly'")?;
    renamed.query("begin")?;
    drop((open, renamed));
    at_rest(&scene.evenkeel)
}

#[test]
fn a_dry_run_counts_what_would_have_been_refused_and_refuses_nothing() -> Result<()> {
    let limit = "[transaction_limit]\nmode = \"dry_run\"\nper_user = 0.4";
    let scene = with_classes(9, "{ transaction = 5, oltp = 2 }").toml(limit).start()?;
    let mut console = console(&scene.evenkeel)?;
    let mut would_be_refused = |count: u64| -> Result<()> {
        let shown = show(&mut console, "transaction_limits")?;
        let app = shown.find("party", USER).unwrap_or_else(|| panic!("{:?}", shown.rows));
        assert_eq!((shown.number(app, "dry_run"), shown.number(app, "refused")), (count, 0));
        Ok(())
    };
    let begun = || -> Result<Wire> {
        let mut wire = scene.client()?;
        wire.query("begin")?;
        Ok(wire)
    };
    let (mut first, _second) = (begun()?, begun()?);
    would_be_refused(0)?;
    let mut third = begun()?;
    would_be_refused(1)?;
    // One that would not have been there makes no room when it ends.
    third.query("commit")?;
    third.query("begin")?;
    would_be_refused(2)?;
    first.query("commit")?;
    first.query("begin")?;
    would_be_refused(2)?;
    let _fourth = begun()?;
    would_be_refused(3)
}
