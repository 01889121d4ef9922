//! When a lease of a MySQL client ends, and what keeps it: the pooling modes, transactions, pins, slow readers.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use mysql::{MySetup, connection, done, fails_with, read_value};
use testkit::Result;
use testkit::mysql::{Kind, Server};
use watch::{ADMIN, connections, until_in_use};

const COM_RESET_CONNECTION: u8 = 31;

#[test]
fn leases_end_at_boundaries() -> Result<()> {
    MySetup::new().on_each(|server| {
        with_its_transaction(server)?;
        without_autocommit(server)?;
        with_the_session(server)?;
        with_the_statement(server)
    })
}

fn with_its_transaction(server: &Server) -> Result<()> {
    let scene = MySetup::new().before(server)?;
    let mut wire = scene.client()?;
    let first = connection(&mut wire)?;
    let held = scene.hold()?;
    assert_eq!(held.connection(), first, "the connection used last was free");
    wire.query("begin")?;
    let second = connection(&mut wire)?;
    assert_ne!(second, first);
    held.release()?;
    assert_eq!(connection(&mut wire)?, second, "inside a transaction the server stays");
    wire.query("savepoint a")?;
    assert_eq!(fails_with(&mut wire, "select nothing"), 1054);
    wire.query("rollback to a")?;
    assert_eq!(connection(&mut wire)?, second);
    wire.query("commit")?;
    let held = scene.hold()?;
    assert_eq!(held.connection(), second, "after COMMIT it is free again");
    assert_ne!(connection(&mut wire)?, second);
    held.release()?;
    scene.at_rest()
}

/// A session without autocommit is in a transaction once it has touched a table, and not before.
fn without_autocommit(server: &Server) -> Result<()> {
    let scene = MySetup::new().before(server)?;
    scene.sql("create table if not exists t (n int)")?;
    let mut wire = scene.client()?;
    wire.query("set autocommit = 0")?;
    assert_eq!(wire.value("select 1")?, "1");
    until_in_use(&scene.evenkeel, 0)?;
    wire.query("insert into t values (1)")?;
    until_in_use(&scene.evenkeel, 1)?;
    assert_eq!(scene.client()?.value("select count(*) from t")?, "0", "nobody else sees it");
    wire.query("commit")?;
    until_in_use(&scene.evenkeel, 0)?;
    // The first statement begins a transaction also when it fails, which errors do not say.
    wire.query("set @@autocommit = 0")?;
    scene.sql("insert into t values (7), (8)")?;
    assert_eq!(fails_with(&mut wire, "select (select n from t) from t for update"), 1242);
    until_in_use(&scene.evenkeel, 1)?;
    wire.query("rollback")?;
    until_in_use(&scene.evenkeel, 0)?;
    wire.query("insert into t values (2)")?;
    assert_eq!(wire.value("select @@autocommit")?, "0");
    wire.query("set autocommit = 1")?;
    until_in_use(&scene.evenkeel, 0)?;
    assert_eq!(scene.client()?.value("select count(*) from t")?, "4", "turning it on commits");
    scene.sql("drop table t")?;
    scene.at_rest()
}

fn with_the_session(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).toml("[pool]\nmode = \"session\"").before(server)?;
    let mut wire = scene.client()?;
    let first = connection(&mut wire)?;
    wire.query("set sql_mode = 'ANSI', @mine = 7, time_zone = '+03:00'")?;
    wire.query("create temporary table mine (n int)")?;
    wire.query("prepare mine from 'select 1'")?;
    wire.query("do get_lock('mine', 0)")?;
    assert_eq!(connection(&mut wire)?, first);
    wire.quit()?;
    let mut next = scene.client()?;
    assert_eq!(connection(&mut next)?, first, "the connection is put in order, not replaced");
    assert_ne!(next.value("select @@time_zone")?, "+03:00");
    assert_eq!(next.query("select @mine")?, [[None]]);
    assert_eq!(next.value("select is_free_lock('mine')")?, "1");
    assert_eq!(fails_with(&mut next, "select * from mine"), 1146);
    assert_eq!(fails_with(&mut next, "execute mine"), 1243);
    drop(next);
    scene.at_rest()
}

fn with_the_statement(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).toml("[pool]\nmode = \"statement\"").before(server)?;
    let mut wire = scene.client()?;
    assert_eq!(wire.answers("select 1; select 2")?.len(), 2);
    for begin in ["begin", "start transaction", "select 1; begin"] {
        let mut wire = scene.client()?;
        wire.send_query(begin)?;
        while wire.read_answer().is_ok() {}
        assert_eq!(wire.read_to_close()?, b"", "{begin}");
    }
    until_in_use(&scene.evenkeel, 0)?;
    assert_eq!(connection(&mut wire)?, connection(&mut scene.client()?)?, "nobody holds the connection");
    scene.at_rest()
}

#[test]
fn what_pins_is_named_and_ends_with_the_session() -> Result<()> {
    MySetup::new().on_each(|server| {
        named_pins(server)?;
        unpinned_again(server)?;
        slow_readers(server)
    })
}

/// Each of these keeps the connection; the console tells why, and the next client finds nothing of it.
fn named_pins(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).toml(ADMIN).before(server)?;
    scene.sql("create table if not exists t (n int)")?;
    let pins = [
        ("create temporary table mine (n int)", "temporary table"),
        ("prepare mine from 'select 1'", "SQL PREPARE"),
        ("do get_lock('mine', 0)", "advisory lock"),
        ("lock tables t read", "LOCK TABLES"),
        ("set @mine = 1", "user variable"),
        ("handler t open", "HANDLER"),
        ("xa start 'mine'", "XA transaction"),
        ("set transaction isolation level serializable", "SET TRANSACTION"),
    ];
    for (sql, why) in pins {
        let mut wire = scene.client()?;
        wire.query(sql)?;
        until_in_use(&scene.evenkeel, 1)?;
        let mut console = scene.evenkeel.mysql_client(common::USER, common::PASSWORD, Some("evenkeel"))?;
        let clients = console.answers("show clients")?;
        assert!(format!("{clients:?}").contains(&format!("{why:?}")), "{sql}: {clients:?}");
        drop(wire);
        scene.at_rest()?;
    }
    scene.sql("drop table t").map(drop)
}

/// What no longer holds the connection lets go of it.
fn unpinned_again(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    scene.sql("create table if not exists t (n int)")?;
    let mut wire = scene.client()?;
    for (holds, lets_go) in [
        ("lock tables t read", "unlock tables"),
        ("set transaction read only", "select count(*) from t"),
        ("begin", "rollback"),
        ("start transaction read only", "commit"),
    ] {
        wire.query(holds)?;
        until_in_use(&scene.evenkeel, 1)?;
        wire.query(lets_go)?;
        assert_eq!(scene.client()?.value("select 'served'")?, "served", "{holds}");
    }
    // A lock of the server that is not given back with those of tables.
    if server.kind() == Kind::MySql {
        server.sql("grant backup_admin on *.* to app")?;
        let mut keeper = scene.client()?;
        keeper.query("lock instance for backup")?;
        keeper.query("unlock tables")?;
        assert_eq!(connections(&scene.evenkeel, "in_use")?, 1);
        keeper.query("unlock instance")?;
        // Nothing of it outlives the reset that a driver's pool sends.
        keeper.send_command(COM_RESET_CONNECTION, b"")?;
        keeper.read_answer()?;
        until_in_use(&scene.evenkeel, 0)?;
        keeper.query("lock tables t read")?;
        until_in_use(&scene.evenkeel, 1)?;
        keeper.query("unlock tables")?;
        until_in_use(&scene.evenkeel, 0)?;
    }
    // A statement that fails to pin holds nothing either, once it is known that it did nothing.
    assert_eq!(done(&mut wire, "set autocommit = 1")?.affected, 0);
    scene.sql("drop table t")?;
    drop(wire);
    scene.at_rest()
}

fn slow_readers(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let mut slow: Vec<_> = (0..4).map(|_| scene.client()).collect::<Result<_>>()?;
    for (number, wire) in slow.iter_mut().enumerate() {
        // Every second one also leaves a warning, about which its connection is asked before it goes back.
        let warns = if number % 2 == 0 { "1" } else { "cast('x' as signed) + 1" };
        wire.send_query(&format!("select repeat('x', 200000) from (select {warns} as n) as one where n = 1"))?;
    }
    // None of them reads; each has had its turn when this one has.
    assert_eq!(scene.client()?.value("select 'served'")?, "served");
    for wire in &mut slow {
        assert_eq!(read_value(wire)?.len(), 200_000);
    }
    drop(slow);
    scene.at_rest()
}
