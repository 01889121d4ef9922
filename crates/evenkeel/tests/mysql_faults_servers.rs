//! MySQL servers that die, hang, refuse, lose the network, or whose administrator ends connections: clients are told what
//! happened to their own work, others go on, and the pool refills.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod crowd;
mod mysql;
mod watch;

use common::USER;
use crowd::{Persistent, Session, in_vain, under_load};
use mysql::{
    MyScene, MySetup, client_of, code, connection, fails_with, last_words, read_value, until_running, until_says,
};
use testkit::cut::{Direction, Weather};
use testkit::mysql::{Answer, Options, Server};
use testkit::{Cut, Evenkeel, MyWire, Result, poll_until};
use watch::{SOON, TRUST, at_rest, connections, sound, until_in_use, until_lost, whole};

#[test]
fn connections_that_an_administrator_ends() -> Result<()> {
    MySetup::new().on_each(|server| {
        ended_in_a_query(server)?;
        ended_in_a_transaction(server)?;
        ended_while_idle(server)?;
        ended_under_load(server)?;
        ended_by_wait_timeout(server)
    })
}

fn ended_in_a_query(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(3).before(server)?;
    let (mut own, mut other, mut idle) = (scene.client()?, scene.client()?, scene.client()?);
    let id = connection(&mut own)?;
    own.send_query("select sleep(600)")?;
    until_running(server, "select sleep(600)", 1)?;
    other.query("begin")?;
    server.sql(&format!("kill {id}"))?;
    told_of_the_end(own.read_answer());
    assert_eq!(other.value("select 'unharmed'")?, "unharmed");
    other.query("commit")?;
    assert_eq!(idle.value("select 'unharmed'")?, "unharmed");
    drop((own, other, idle));
    scene.at_rest()
}

/// An error; MySQL says that a sleep was interrupted, before it closes.
fn told_of_the_end(answer: Result<Answer>) {
    match answer {
        Err(error) => assert!(MyWire::fate(&error).is_some(), "{error:#}"),
        Ok(answer) => assert!(format!("{answer:?}").contains("\"1\""), "{answer:?}"),
    }
}

/// What its client sends next must not be taken for a statement of its own.
fn ended_in_a_transaction(server: &Server) -> Result<()> {
    let scene = MySetup::new().before(server)?;
    server.sql(&format!("create table if not exists {}.t (n int)", common::DATABASE))?;
    for hasty in [false, true] {
        let mut wire = scene.client()?;
        wire.query("begin")?;
        let id = connection(&mut wire)?;
        server.sql(&format!("kill {id}"))?;
        if hasty {
            wire.send_query("insert into t values (1)").ok();
        }
        wire.read_to_close()?;
        scene.at_rest()?;
        assert_eq!(scene.sql("select count(*) from t")?, "0");
    }
    Ok(())
}

fn ended_while_idle(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(3).before(server)?;
    let mut clients: Vec<_> = (0..3).map(|_| scene.client()).collect::<Result<_>>()?;
    for wire in &mut clients {
        wire.query("begin")?;
    }
    for wire in &mut clients {
        wire.query("commit")?;
    }
    for session in server.processlist()?.iter().filter(|session| session.user == USER) {
        server.sql(&format!("kill {}", session.id))?;
    }
    let left = format!("select count(*) from information_schema.processlist where user = '{USER}'");
    until_says(server, &left, "0")?;
    for wire in &mut clients {
        assert_eq!(wire.value("select 'served'")?, "served");
    }
    drop(clients);
    scene.at_rest()
}

fn ended_under_load(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(4).toml(TRUST).before(server)?;
    let failed = under_load::<MyWire>(&scene.evenkeel, 8, || {
        until_lost(&scene.evenkeel, || {
            for _ in 0..5 {
                let victim = poll_until(SOON, "a connection at work", || {
                    Ok(server.processlist()?.into_iter().find(|one| one.user == USER && one.command != "Sleep"))
                })?;
                // It may have ended by itself.
                server.sql(&format!("kill {}", victim.id)).ok();
            }
            Ok(())
        })
    })?;
    assert!(failed > 0, "somebody must have noticed");
    scene.at_rest()
}

/// A server that ends idle connections sooner than the pool does is noticed by nobody; a session that it ends in the middle
/// of a transaction is over.
fn ended_by_wait_timeout(server: &Server) -> Result<()> {
    server.sql("set global wait_timeout = 1")?;
    let scene = MySetup::new().budget(3).before(server)?;
    let mut clients: Vec<_> = (0..3).map(|_| scene.client()).collect::<Result<_>>()?;
    let mut inside = clients.pop().unwrap();
    inside.query("begin")?;
    for wire in &mut clients {
        wire.query("select 1")?;
    }
    let left = format!("select count(*) from information_schema.processlist where user = '{USER}'");
    until_says(server, &left, "0")?;
    for wire in &mut clients {
        assert_eq!(wire.value("select 'served'")?, "served");
    }
    inside.send_query("insert into t values (1)").ok();
    inside.read_to_close()?;
    server.sql("set global wait_timeout = default")?;
    drop((clients, inside));
    at_rest(&scene.evenkeel)
}

#[test]
fn servers_that_go_away_and_come_back() -> Result<()> {
    MySetup::new().on_each(|server| {
        stopped_and_started(server)?;
        killed_under_load(server)?;
        away(server)?;
        not_up_yet(server)?;
        frozen(server)
    })
}

fn short_waits(budget: u32) -> MySetup {
    MySetup::new().budget(budget).toml(TRUST).toml("[pool]\ncheckout_timeout = \"300ms\"\nconnect_timeout = \"300ms\"")
}

fn stopped_and_started(server: &mut Server) -> Result<()> {
    let keel = short_waits(3).evenkeel(&server.address())?;
    let (mut wire, mut busy, mut querying) =
        (client_of(&keel, USER)?, client_of(&keel, USER)?, client_of(&keel, USER)?);
    busy.query("begin")?;
    querying.send_query("select sleep(600)")?;
    until_running(server, "select sleep(600)", 1)?;
    server.stop()?;
    // In a transaction: it is lost, and the client must know.
    let said = busy.read_to_close()?;
    assert!(said.is_empty() || said[4] == 0xff, "{said:?}");
    told_of_the_end(querying.read_answer());
    let refused = fails_with(&mut wire, "select 1");
    assert!([1158, 1205].contains(&refused), "{refused}");
    server.restart()?;
    Persistent::<MyWire>::new(&keel, "next").until_served(1)?;
    at_rest(&keel)
}

fn killed_under_load(server: &mut Server) -> Result<()> {
    let keel = short_waits(4).evenkeel(&server.address())?;
    let failed = under_load::<MyWire>(&keel, 8, || {
        until_in_use(&keel, 4)?;
        server.kill();
        server.restart()
    })?;
    assert!(failed > 0, "somebody must have noticed");
    Ok(())
}

fn away(server: &mut Server) -> Result<()> {
    let keel = short_waits(5).evenkeel(&server.address())?;
    assert_eq!(client_of(&keel, USER)?.value("select 1")?, "1");
    server.kill();
    let failures = "evenkeel_server_connect_failures_total{server=\"main\"}";
    let before = whole(&keel, failures)?;
    in_vain::<MyWire>(&keel, 20, 5)?;
    let tries = whole(&keel, failures)? - before;
    assert!((1..60).contains(&tries), "{tries} connects for 100 queries");
    server.restart()?;
    Persistent::<MyWire>::new(&keel, "next").until_served(1)?;
    at_rest(&keel)
}

fn not_up_yet(server: &mut Server) -> Result<()> {
    server.kill();
    let keel = short_waits(2).evenkeel(&server.address())?;
    let error = client_of(&keel, USER).unwrap_err();
    assert_eq!(code(&error), 1158, "{error:#}");
    server.restart()?;
    Persistent::<MyWire>::new(&keel, "first").until_served(1)?;
    at_rest(&keel)
}

fn frozen(server: &Server) -> Result<()> {
    let keel = short_waits(2).evenkeel(&server.address())?;
    let mut busy = [client_of(&keel, USER)?, client_of(&keel, USER)?];
    for wire in &mut busy {
        wire.query("begin")?;
    }
    let mut waiting = client_of(&keel, USER)?;
    server.pause()?;
    // All server connections are taken; nobody gets one, and the wait has an end.
    assert_eq!(fails_with(&mut waiting, "select 1"), 1205);
    drop(busy);
    server.resume()?;
    poll_until(SOON, "service", || Ok(waiting.value("select 'served'").ok()))?;
    at_rest(&keel)
}

#[test]
fn networks_that_break() -> Result<()> {
    MySetup::new().on_each(|server| {
        server.sql(&format!("create table {}.t (n int)", common::DATABASE))?;
        cut_in_a_reply(server)?;
        cut_between_packets(server)?;
        cut_on_the_way_to_the_server(server)?;
        silent(server)?;
        cut_in_a_login(server)
    })
}

/// An Evenkeel for a server with a network in front of it that can be broken.
fn behind_cut(server: &Server, setup: &MySetup) -> Result<(Evenkeel, Cut)> {
    let cut = Cut::before(&server.address())?;
    Ok((setup.evenkeel(&cut.address())?, cut))
}

fn cut_in_a_reply(server: &Server) -> Result<()> {
    let (keel, cut) = behind_cut(server, &MySetup::new().toml(TRUST))?;
    let (mut own, mut other) = (client_of(&keel, USER)?, client_of(&keel, USER)?);
    assert_eq!(own.value("select 1")?, "1");
    // In the middle of a row: no error can be put there that the client would understand. A record of TLS that is cut tells
    // nothing at all, and the client hears of it.
    cut.truncate_after(Direction::ToClient, 5_000);
    own.send_query("select repeat('x', 200000)")?;
    let lost = own.read_answer().unwrap_err();
    assert!([0, 1158].contains(&code(&lost)), "{lost:#}");
    poll_until(SOON, "service after the cut", || Ok(other.value("select 'served'").ok()))?;
    at_rest(&keel)
}

fn cut_between_packets(server: &Server) -> Result<()> {
    let (keel, cut) = behind_cut(server, &MySetup::new().toml(TRUST))?;
    let mut wire = client_of(&keel, USER)?;
    for _ in 0..2 {
        assert_eq!(wire.value("select 1")?, "1");
        wire.send_query("select sleep(600)")?;
        until_running(server, "select sleep(600)", 1)?;
        cut.cut();
        // It was not in a transaction and has seen nothing of the answer: the session goes on.
        let lost = wire.read_answer().unwrap_err();
        assert_eq!(code(&lost), 1158, "{lost:#}");
        kill_all(server, "select sleep(600)")?;
    }
    for query in [None, Some("select sleep(600)")] {
        let mut wire = client_of(&keel, USER)?;
        wire.query("begin")?;
        if let Some(query) = query {
            wire.send_query(query)?;
            until_running(server, query, 1)?;
        }
        cut.cut();
        assert_eq!(wire.read_to_close()?, b"", "a transaction is lost, and with it the session");
        kill_all(server, "select sleep(600)")?;
    }
    at_rest(&keel)
}

/// A server does not notice that whoever asked is gone before it answers.
fn kill_all(server: &Server, sql: &str) -> Result<()> {
    for session in server.processlist()?.iter().filter(|one| one.info.as_deref() == Some(sql)) {
        server.sql(&format!("kill {}", session.id)).ok();
    }
    until_running(server, sql, 0)
}

fn cut_on_the_way_to_the_server(server: &Server) -> Result<()> {
    let (keel, cut) = behind_cut(server, &MySetup::new().toml(TRUST))?;
    let mut wire = client_of(&keel, USER)?;
    assert_eq!(wire.value("select 1")?, "1");
    cut.truncate_after(Direction::ToServer, 20);
    assert_eq!(fails_with(&mut wire, "insert into t values (1)"), 1158);
    assert_eq!(server.sql(&format!("select count(*) from {}.t", common::DATABASE))?, "0");
    Persistent::<MyWire>::new(&keel, "next").until_served(1)?;
    at_rest(&keel)
}

fn silent(server: &Server) -> Result<()> {
    let limits =
        "[pool]\ncheckout_timeout = \"400ms\"\nconnect_timeout = \"300ms\"\n[timeouts]\ntransaction = \"500ms\"";
    let (keel, cut) = behind_cut(server, &MySetup::new().budget(1).toml(TRUST).toml(limits))?;
    let (mut own, mut other) = (client_of(&keel, USER)?, client_of(&keel, USER)?);
    assert_eq!(own.value("select 1")?, "1");
    cut.set(Weather::Stalled);
    own.send_query("select 1")?;
    assert_eq!(last_words(&mut own)?, 4031);
    let refused = fails_with(&mut other, "select 1");
    assert!([1158, 1205].contains(&refused), "{refused}");
    cut.set(Weather::Clear);
    poll_until(SOON, "service", || Ok(other.value("select 'served'").ok()))?;
    at_rest(&keel)
}

fn cut_in_a_login(server: &Server) -> Result<()> {
    let (keel, cut) = behind_cut(server, &MySetup::new().toml(TRUST))?;
    for bytes in [0, 3, 30, 100, 300] {
        cut.truncate_after(Direction::ToClient, bytes);
        Persistent::<MyWire>::new(&keel, "after a cut").until_served(1)?;
        cut.cut();
    }
    cut.set(Weather::Refusing);
    cut.cut();
    poll_until(SOON, "a refusal", || match client_of(&keel, USER)?.value("select 1") {
        Err(error) => {
            assert!([1158, 1205].contains(&code(&error)), "{error:#}");
            Ok(Some(()))
        }
        // It had a connection that the cut had not reached yet.
        Ok(_) => Ok(None),
    })?;
    cut.set(Weather::Clear);
    poll_until(SOON, "service", || Ok(client_of(&keel, USER)?.value("select 1").ok()))?;
    at_rest(&keel)
}

#[test]
fn servers_that_refuse() -> Result<()> {
    let options = Options::new().max_connections(10);
    MySetup::new().user("gone").options(options).on_each(|server| {
        with_fewer_connections_than_the_budget(server)?;
        a_login(server)
    })
}

#[test]
fn a_user_at_its_limit_leaves_the_budget_to_others() -> Result<()> {
    MySetup::new().user("small").on_each(|server| {
        server.sql("alter user small with max_user_connections 2")?;
        let pool = "[pool]\ncheckout_timeout = \"30s\"\nprobe_after = \"200ms\"";
        let scene = MySetup::new().user("small").budget(12).toml(TRUST).toml(pool).before(server)?;
        let mut small = [scene.client_of("small")?, scene.client_of("small")?];
        for wire in &mut small {
            wire.query("begin")?;
            wire.query("select 1")?;
        }
        let mut third = scene.client_of("small")?;
        third.send_query("select 'served'")?;
        let failures = "evenkeel_server_connect_failures_total{server=\"main\"}";
        poll_until(SOON, "the refusal", || Ok((whole(&scene.evenkeel, failures)? > 0).then_some(())))?;
        let mut others = (0..8).map(|_| scene.client()).collect::<Result<Vec<MyWire>>>()?;
        for wire in &mut others {
            wire.query("begin")?;
            wire.query("select 1")?;
        }
        assert_eq!(whole(&scene.evenkeel, "evenkeel_server_effective_budget{server=\"main\"}")?, 12);
        small[0].query("commit")?;
        assert_eq!(read_value(&mut third)?, "served", "who waited at the limit does not hear of it");
        for wire in small[1..].iter_mut().chain(&mut others) {
            wire.query("commit")?;
        }
        sound(&scene.evenkeel)?;
        drop((small, third, others));
        at_rest(&scene.evenkeel)
    })
}

fn with_fewer_connections_than_the_budget(server: &Server) -> Result<()> {
    const EFFECTIVE: &str = "evenkeel_server_effective_budget{server=\"main\"}";
    let pool = "[pool]\ncheckout_timeout = \"30s\"\nprobe_after = \"200ms\"";
    let scene = MySetup::new().budget(14).toml(TRUST).toml(pool).before(server)?;
    // Besides these ten a server has one for an administrator.
    let strangers: Vec<MyWire> = (0..4).map(|_| scene.direct()).collect::<Result<_>>()?;
    let mut clients: Vec<MyWire> = (0..18).map(|_| scene.client()).collect::<Result<_>>()?;
    let ask_all = |clients: &mut [MyWire]| -> Result<()> {
        for _ in 0..5 {
            for wire in &mut *clients {
                wire.send_query("select 'served' from (select sleep(0.02)) as slept")?;
            }
            for wire in &mut *clients {
                assert_eq!(read_value(wire)?, "served", "no client hears of it");
            }
        }
        Ok(())
    };
    ask_all(&mut clients)?;
    assert_eq!(whole(&scene.evenkeel, EFFECTIVE)?, 6, "what the server has left");
    assert!(connections(&scene.evenkeel, "idle")? <= 6);
    drop(strangers);
    poll_until(SOON, "the budget to be probed back", || {
        ask_all(&mut clients)?;
        Ok((whole(&scene.evenkeel, EFFECTIVE)? >= 10).then_some(()))
    })?;
    sound(&scene.evenkeel)?;
    drop(clients);
    at_rest(&scene.evenkeel)
}

fn a_login(server: &Server) -> Result<()> {
    let scene: MyScene<'_> = MySetup::new().user("gone").toml(TRUST).before(server)?;
    server.sql("drop user gone")?;
    assert_eq!(scene.client()?.value("select 'served'")?, "served");
    let error = scene.client_of("gone").and_then(|mut wire| wire.value("select 1")).unwrap_err();
    assert_eq!(code(&error), 1045, "what the server said: {error:#}");
    assert_eq!(scene.client()?.value("select 'others are served'")?, "others are served");
    // One pause between the tries of a route, not a storm.
    let failures = whole(&scene.evenkeel, "evenkeel_server_connect_failures_total{server=\"main\"}")?;
    assert!(failures <= 3, "{failures} tries for one client");
    at_rest(&scene.evenkeel)
}
