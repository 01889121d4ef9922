//! Classes, sessions that keep their connection, and the limit on transactions: on real MySQL and MariaDB servers.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use common::{DATABASE, PASSWORD, USER};
use mysql::{MyScene, MySetup, code, connection, fails_with, last_words, until_running, until_says};
use testkit::mysql::{Client, Options, Server, capability};
use testkit::{Evenkeel, MyWire, Result, poll_until};
use watch::{SOON, TRUST, at_rest, until_in_use, until_waiting};

const COM_STMT_EXECUTE: u8 = 23;
/// `CURSOR_TYPE_READ_ONLY`.
const CURSOR_READ_ONLY: u8 = 1;

/// A setup with these classes on its server; its user may use the console.
fn with_classes(budget: u32, classes: &str) -> MySetup {
    let admin = "[admin]\nusers = [\"app\"]";
    MySetup::new().toml(TRUST).toml(admin).budget(budget).server_toml(&format!("classes = {classes}"))
}

/// The classes of the connections that clients hold, in order, and why those are kept that are.
fn classes(evenkeel: &Evenkeel) -> Result<Vec<String>> {
    let shown = mysql::show(&mut mysql::console(evenkeel)?, "clients")?;
    let held = shown.rows.iter().map(|row| (shown.get(row, "class"), shown.get(row, "pin")));
    let held = held.filter(|(class, _)| !class.is_empty());
    let mut all: Vec<_> =
        held.map(|(class, pin)| if pin.is_empty() { class.to_owned() } else { format!("{class}: {pin}") }).collect();
    all.sort();
    Ok(all)
}

/// A table that statements on it wait for, as long as this lives.
struct Gate(MyWire);

impl Gate {
    fn close(server: &Server) -> Result<Self> {
        let mut wire = server.superuser(Some(DATABASE))?;
        wire.query("create table if not exists gate (a int)")?;
        wire.query("lock tables gate write")?;
        Ok(Self(wire))
    }

    fn open(mut self) -> Result<()> {
        self.0.query("unlock tables").map(drop)
    }
}

/// Who drives a class of the preset, and by what.
struct Drive {
    class: &'static str,
    cap: usize,
    user: &'static str,
    program: &'static str,
    capabilities: u32,
    workload: &'static str,
    /// Sent ahead of the statement, in the same packet.
    begins: &'static str,
}

const fn drive(class: &'static str, cap: usize, program: &'static str) -> Drive {
    Drive { class, cap, user: USER, program, capabilities: 0, workload: "oltp", begins: "" }
}

/// VTTablet's pools with their sizes.
const PRESET: [Drive; 10] = [
    drive("oltp", 16, "web"),
    Drive { begins: "begin; ", ..drive("transaction", 20, "web") },
    Drive { begins: "begin; ", capabilities: capability::FOUND_ROWS, ..drive("found_rows", 20, "web") },
    Drive { workload: "olap", ..drive("stream", 200, "web") },
    Drive { user: "vt_dba", ..drive("dba", 20, "mysql") },
    drive("app", 40, "vreplication-1"),
    drive("tx_read", 3, "tx_read"),
    drive("online_ddl_executor", 3, "gh-ost"),
    drive("table_gc", 2, "table_gc"),
    drive("throttler", 2, "throttler"),
];

/// How many more clients come than a class has connections.
const TOO_MANY: usize = 2;

#[test]
fn the_preset_opens_what_its_formula_says_and_never_more() -> Result<()> {
    let pool = "[pool]\nconnect_concurrency = 32\ncheckout_timeout = \"120s\"";
    let setup =
        with_classes(350, "\"vttablet\"").options(Options::new().max_connections(380)).user("vt_dba").toml(pool);
    setup.on_each(|server| {
        let scene = setup.before(server)?;
        let gate = Gate::close(server)?;
        let mut wires = Vec::new();
        for Drive { class, cap, user, program, capabilities, workload, begins } in PRESET {
            let client =
                Client::new(user, PASSWORD, Some(DATABASE)).with(capabilities).attribute("program_name", program);
            for _ in 0..cap + TOO_MANY {
                let mut wire = MyWire::log_in_as(&scene.evenkeel.mysql_address(), &client)?;
                wire.query(&format!("set workload = '{workload}'"))?;
                wire.send_query(&format!("{begins}select /* {class} */ count(*) from gate"))?;
                wires.push((wire, begins.is_empty()));
            }
        }
        let sum: usize = PRESET.iter().map(|drive| drive.cap).sum();
        assert_eq!(sum, 20 * 2 + 16 + 200 + 20 + 40 + 3 + 7, "Vitess's formula without its variable terms");
        until_in_use(&scene.evenkeel, sum as u32)?;
        until_waiting(&scene.evenkeel, (PRESET.len() * TOO_MANY) as u32)?;
        for Drive { class, cap, .. } in PRESET {
            until_running(server, &format!("select /* {class} */"), cap as u32)?;
        }
        let ours = "select count(*) from information_schema.processlist where user in ('app', 'vt_dba')";
        until_says(server, ours, &sum.to_string())?;
        gate.open()?;
        for (wire, is_statement) in &mut wires {
            if !*is_statement {
                wire.read_answer()?;
            }
            wire.read_answer()?;
            if !*is_statement {
                wire.query("commit")?;
            }
        }
        drop(wires);
        at_rest(&scene.evenkeel)
    })
}

#[test]
fn classes_on_mysql() -> Result<()> {
    MySetup::new().user("other").user("reporter").on_each(|server| {
        who_waits_too_long_is_told(server)?;
        rules(server)?;
        siblings_and_loans(server)?;
        held_to_its_connection(server)?;
        settings_reserve(server)?;
        settings_are_forgotten(server)?;
        limited(server)?;
        limited_by_what_procedures_open(server)
    })
}

fn who_waits_too_long_is_told(server: &Server) -> Result<()> {
    let setup = with_classes(4, "{ transaction = 1, oltp = 2 }").toml("[pool]\ncheckout_timeout = \"300ms\"");
    let scene = setup.before(server)?;
    let held = scene.hold()?;
    let mut other = scene.client()?;
    let error = other.query("start transaction").unwrap_err();
    assert_eq!(code(&error), 1205);
    for word in ["class transaction", "1 connections", "servers.classes", "checkout_timeout"] {
        assert!(error.to_string().contains(word), "{word:?} is not in {error:#}");
    }
    assert_eq!(other.value("select 'oltp'")?, "oltp");
    held.release()?;
    other.query("begin")?;
    assert_eq!(classes(&scene.evenkeel)?, ["transaction"]);
    other.query("commit")?;
    drop(other);
    at_rest(&scene.evenkeel)
}

fn rules(server: &Server) -> Result<()> {
    let declared = r#"
        [[classes]]
        name = "reports"
        users = ["report*"]
        [[classes]]
        name = "etl"
        applications = ["etl*"]
        [[classes]]
        name = "billing"
        attributes = { team = "bill*", tier = "1" }
        [[classes]]
        name = "found"
        capability = "found_rows"
        [[classes]]
        name = "slow"
        workload = "dba"
        [[classes]]
        name = "writes"
        statements = ["insert", "update", "delete"]
        [[classes]]
        name = "streams"
        traffic = ["stream"]
        [[classes]]
        name = "transactions"
        traffic = ["transaction"]
        cap = 1
    "#;
    let list = r#"["reports", "etl", "billing", "found", "slow", "writes", "streams", "transactions"]"#;
    let scene = with_classes(12, list).toml(declared).user("reporter").before(server)?;
    let mut gate = Some(Gate::close(server)?);
    let select = "select count(*) from gate";
    let mut in_class = |wire: &mut MyWire, sql: &str, class: &str| -> Result<()> {
        wire.send_query(sql)?;
        poll_until(SOON, &format!("{sql} in {class}"), || Ok((classes(&scene.evenkeel)? == [class]).then_some(())))?;
        // Through the gate, and closed behind it.
        gate.take().unwrap().open()?;
        wire.read_answer()?;
        // A transaction would keep the table open.
        wire.query("rollback")?;
        gate = Some(Gate::close(server)?);
        Ok(())
    };
    let as_client = |client: Client| MyWire::log_in_as(&scene.evenkeel.mysql_address(), &client);
    let client = || Client::new(USER, PASSWORD, Some(DATABASE));
    let mut app = scene.client()?;
    in_class(&mut app, select, "default")?;
    in_class(&mut app, "insert into gate values (1)", "writes")?;
    app.query("set workload = 'dba'")?;
    in_class(&mut app, select, "slow")?;
    app.query("SET SESSION workload = olap")?;
    in_class(&mut app, select, "streams")?;
    assert_eq!(fails_with(&mut app, "set workload = 'fast'"), 1231);
    assert_eq!(fails_with(&mut app, "set workload = 'oltp', sql_mode = ''"), 1235);
    in_class(&mut app, select, "streams")?;
    app.query("set @@session.workload = 'oltp'")?;
    // Every statement opens a transaction there.
    app.query("set autocommit = 0")?;
    in_class(&mut app, select, "transactions")?;
    app.query("set autocommit = 1")?;
    in_class(&mut app, select, "default")?;
    // A cursor stays where it was opened, from its first row to its last.
    let statement = app.prepare("select 1 union select 2")?;
    app.send_command(COM_STMT_EXECUTE, &[&statement.id.to_le_bytes()[..], &[CURSOR_READ_ONLY, 1, 0, 0, 0]].concat())?;
    for _ in 0..3 {
        app.read_payload()?;
    }
    assert_eq!(classes(&scene.evenkeel)?, ["streams: cursor WITH HOLD"]);
    app.close_statement(statement.id)?;
    poll_until(SOON, "the cursor to be closed", || Ok(classes(&scene.evenkeel)?.is_empty().then_some(())))?;
    // What is said of the next transaction keeps the connection, which is one of transactions when that begins.
    app.query("set transaction read only")?;
    assert_eq!(classes(&scene.evenkeel)?, ["default: SET TRANSACTION"]);
    app.query("begin")?;
    assert_eq!(classes(&scene.evenkeel)?, ["transactions"]);
    app.query("commit")?;
    in_class(&mut as_client(client().attribute("program_name", "etl-7"))?, select, "etl")?;
    let bills = client().attribute("team", "billing").attribute("tier", "1");
    in_class(&mut as_client(bills)?, select, "billing")?;
    in_class(&mut as_client(client().attribute("team", "billing"))?, select, "default")?;
    in_class(&mut as_client(client().with(capability::FOUND_ROWS))?, select, "found")?;
    in_class(&mut scene.client_of("reporter")?, select, "reports")?;
    drop((app, gate));
    at_rest(&scene.evenkeel)
}

fn siblings_and_loans(server: &Server) -> Result<()> {
    let declared = "[[classes]]\nname = \"oltp\"\nlends_to = [\"transaction\"]";
    let setup = with_classes(4, "{ transaction = 1, oltp = 2 }").toml(declared).user("other");
    let scene = setup.before(server)?;
    let mut app = scene.client()?;
    let first = connection(&mut app)?;
    app.query("begin")?;
    assert_eq!(connection(&mut app)?, first, "a connection goes from class to class as it is");
    let mut other = scene.client_of("other")?;
    other.query("begin")?;
    assert_ne!(connection(&mut other)?, first, "another user's is never the same");
    assert_eq!(other.value("select substring_index(current_user(), '@', 1)")?, "other");
    other.query("commit")?;
    let mut more: Vec<_> = (0..2).map(|_| scene.client()).collect::<Result<_>>()?;
    for wire in &mut more {
        wire.query("begin")?;
    }
    assert_eq!(classes(&scene.evenkeel)?, ["transaction"; 3], "one of its own and two borrowed");
    let mut lender = scene.client()?;
    lender.send_query("select 'mine' from dual where sleep(0) = 0")?;
    until_waiting(&scene.evenkeel, 1)?;
    app.query("commit")?;
    assert_eq!(mysql::read_value(&mut lender)?, "mine");
    drop((app, other, more, lender));
    at_rest(&scene.evenkeel)
}

fn held_to_its_connection(server: &Server) -> Result<()> {
    let scene = with_classes(6, "{ transaction = 1, oltp = 1, reserved = 1 }").before(server)?;
    let mut pinned = scene.client()?;
    pinned.query("create temporary table t (a int)")?;
    assert_eq!(classes(&scene.evenkeel)?, ["reserved: temporary table"]);
    let mut other = scene.client()?;
    assert_eq!(other.value("select 'free' from dual where sleep(0) = 0")?, "free", "the class refills");
    let transaction = scene.hold()?;
    for sql in ["begin", "insert into t values (1)", "commit"] {
        pinned.query(sql)?;
    }
    assert_eq!(classes(&scene.evenkeel)?, ["reserved: temporary table", "transaction"]);
    // Without room there the next one is in the way of its class, until there is room.
    let mut second = scene.client()?;
    second.query("create temporary table t (a int)")?;
    assert_eq!(classes(&scene.evenkeel)?, ["oltp: temporary table", "reserved: temporary table", "transaction"]);
    pinned.quit()?;
    poll_until(SOON, "the second to move", || {
        second.query("select 1 from t")?;
        Ok((classes(&scene.evenkeel)? == ["reserved: temporary table", "transaction"]).then_some(()))
    })?;
    transaction.release()?;
    drop((second, other));
    at_rest(&scene.evenkeel)
}

fn settings_reserve(server: &Server) -> Result<()> {
    let pool = "[pool]\nsession_state = \"reserve\"\nmax_reserved = 1";
    for of_server in ["\"single\"", "{ transaction = 2, oltp = 1 }"] {
        let scene = with_classes(4, of_server).toml(pool).before(server)?;
        let mut app = scene.client()?;
        app.query("set names utf8mb4")?;
        app.query("set autocommit = 1")?;
        assert_eq!(classes(&scene.evenkeel)?, [""; 0], "neither needs a connection of its own");
        assert!(code(&app.query("set sql_mode = 'NO_SUCH_MODE'").unwrap_err()) > 0);
        assert_eq!(classes(&scene.evenkeel)?, [""; 0], "nor does what failed");
        app.query("set div_precision_increment = 7")?;
        assert_eq!(classes(&scene.evenkeel)?, ["reserved: settings (session_state = \"reserve\")"]);
        let mine = connection(&mut app)?;
        let mut other = scene.client()?;
        let error = other.query("set div_precision_increment = 8").unwrap_err();
        assert_eq!(code(&error), 1203);
        assert!(error.to_string().contains("max_reserved"), "{error:#}");
        assert_ne!(connection(&mut other)?, mine);
        assert_ne!(other.value("select @@div_precision_increment")?, "8");
        // In a transaction it is known too late to refuse one statement.
        let mut late = scene.client()?;
        late.query("begin")?;
        late.query("set div_precision_increment = 9")?;
        late.send_query("commit")?;
        late.read_answer()?;
        assert_eq!(last_words(&mut late)?, 1203);
        assert_eq!((app.value("select @@div_precision_increment")?, connection(&mut app)?), ("7".into(), mine));
        app.quit()?;
        let set = |wire: &mut MyWire| wire.query("set div_precision_increment = 8").ok();
        poll_until(SOON, "room for another reserved session", || Ok(set(&mut other)))?;
        assert_eq!(other.value("select @@div_precision_increment")?, "8");
        drop(other);
        at_rest(&scene.evenkeel)?;
    }
    Ok(())
}

fn settings_are_forgotten(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).toml("[pool]\nsession_state = \"ignore\"").before(server)?;
    let mut app = scene.client()?;
    let usual = app.value("select @@div_precision_increment")?;
    app.query("set div_precision_increment = 9")?;
    assert_eq!(app.value("select @@div_precision_increment")?, usual, "it lasted as long as the lease");
    app.query("begin")?;
    app.query("set div_precision_increment = 9")?;
    assert_eq!(app.value("select @@div_precision_increment")?, "9");
    app.query("commit")?;
    assert_eq!(app.value("select @@div_precision_increment")?, usual);
    // By this its texts are read.
    app.query("begin")?;
    app.query("set sql_mode = 'ANSI_QUOTES'")?;
    assert_eq!(fails_with(&mut app, "select \"no text\""), 1054);
    app.query("commit")?;
    assert_eq!(app.value("select \"a text\"")?, "a text");
    // In these characters it speaks.
    app.query("set names latin1")?;
    assert_eq!(scene.client()?.value("select @@character_set_client")?, "utf8mb4");
    assert_eq!(app.value("select @@character_set_client")?, "latin1");
    drop(app);
    at_rest(&scene.evenkeel)
}

fn limited(server: &Server) -> Result<()> {
    let setup = |slots: u32| {
        let list = format!("{{ transaction = {slots}, oltp = 2 }}");
        let limit = "[transaction_limit]\nmode = \"on\"\nper_user = 0.4\nby = [\"user\", \"application\"]";
        with_classes(16, &list).user("other").toml(limit)
    };
    let scene = setup(5).before(server)?;
    let begun = |scene: &MyScene<'_>, user: &str| -> Result<MyWire> {
        let mut wire = scene.client_of(user)?;
        wire.query("begin")?;
        Ok(wire)
    };
    let mut open = vec![begun(&scene, USER)?, begun(&scene, USER)?];
    let mut third = scene.client()?;
    let error = third.query("begin").unwrap_err();
    assert_eq!(code(&error), 1203);
    for word in ["transaction_limit.per_user", "2 transactions are under way", "0.4 of 5 connections"] {
        assert!(error.to_string().contains(word), "{word:?} is not in {error:#}");
    }
    let mut held = scene.client()?;
    held.query("set transaction read only")?;
    assert_eq!(fails_with(&mut held, "begin"), 1203, "on a connection that is held already, too");
    drop(held);
    third.query("set autocommit = 0")?;
    assert_eq!(fails_with(&mut third, "select 1 from dual where sleep(0) = 0"), 1203, "it would open one");
    third.query("set autocommit = 1")?;
    assert_eq!(third.value("select 'statements go on' from dual where sleep(0) = 0")?, "statements go on");
    let others = (begun(&scene, "other")?, begun(&scene, "other")?);
    let job = Client::new(USER, PASSWORD, Some(DATABASE)).attribute("program_name", "job");
    let mut job = MyWire::log_in_as(&scene.evenkeel.mysql_address(), &job)?;
    drop(others);
    poll_until(SOON, "room in the class", || Ok((classes(&scene.evenkeel)?.len() == 2).then_some(())))?;
    job.query("begin")?;
    // Exact under a resize.
    scene.evenkeel.reload(&setup(10).config(&server.address()))?;
    open.push(begun(&scene, USER)?);
    open.push(begun(&scene, USER)?);
    assert_eq!(fails_with(&mut third, "begin"), 1203, "4 of 10");
    open.clear();
    poll_until(SOON, "room for another transaction", || Ok(third.query("begin").ok()))?;
    drop((third, job));
    at_rest(&scene.evenkeel)
}

/// A transaction that a procedure opens is known when it is open: it goes on, counts, and is told to be too many.
fn limited_by_what_procedures_open(server: &Server) -> Result<()> {
    let mut superuser = server.superuser(Some(DATABASE))?;
    superuser
        .query("create or replace procedure opens() begin start transaction; end")
        .or_else(|_| superuser.query("create procedure opens() begin start transaction; end"))?;
    superuser.query(&format!("grant execute on procedure {DATABASE}.opens to {USER}"))?;
    let limit = "[transaction_limit]\nmode = \"on\"\nper_user = 0.5";
    // The class has room for all of them, or for one: where a lease finds its place does not matter.
    for slots in [4, 1] {
        let scene = with_classes(16, &format!("{{ transaction = {slots}, oltp = 4 }}")).toml(limit).before(server)?;
        let counted = |name: &str| -> Result<u64> {
            let shown = mysql::show(&mut mysql::console(&scene.evenkeel)?, "transaction limits")?;
            Ok(shown.find("party", USER).map_or(0, |row| shown.number(row, name)))
        };
        let most = (slots / 2).max(1);
        let mut wires = (0..most + 1).map(|_| scene.client()).collect::<Result<Vec<_>>>()?;
        for (before, wire) in (0..).zip(&mut wires) {
            assert_eq!(counted("transactions")?, before);
            wire.query("call opens()")?;
        }
        assert_eq!((counted("transactions")?, counted("exceeded")?), (most + 1, 1), "{slots} slots");
        assert_eq!(fails_with(&mut scene.client()?, "begin"), 1203, "one that says so is refused");
        assert_eq!((counted("exceeded")?, counted("refused")?), (1, 1));
        // Inside, nothing is counted twice.
        wires[0].query("select 1 from dual where sleep(0) = 0")?;
        wires[0].query("call opens()")?;
        assert_eq!(counted("transactions")?, most + 1);
        for wire in &mut wires {
            wire.query("rollback")?;
        }
        poll_until(SOON, "no transaction to be open", || Ok((counted("transactions")? == 0).then_some(())))?;
        wires[0].query("begin")?;
        assert_eq!(counted("transactions")?, 1);
        drop(wires);
        scene.at_rest()?;
    }
    Ok(())
}
