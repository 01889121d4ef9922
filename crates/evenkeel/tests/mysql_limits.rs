//! Limits of clients, waits, times and sizes, told in the errors of MySQL; and bytes that no client sends.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use std::time::{Duration, Instant};

use common::script::{Dice, seed};
use common::{DATABASE, PASSWORD, USER};
use mysql::{MyScene, MySetup, client_of, code, connection, done, fails_with, last_words, read_value};
use testkit::mysql::{Client, Options, Server, capability, packet};
use testkit::{Evenkeel, MyWire, Result, poll_until};
use watch::{SOON, TRUST, at_rest, until_in_use, until_waiting};

const COM_PING: u8 = 14;

#[test]
fn limits_of_clients_and_waits() -> Result<()> {
    MySetup::new().user("other").user("third").on_mariadb(|server| {
        clients_in_all(server)?;
        clients_of_users_databases_and_addresses(server)?;
        waiters(server)?;
        statements(server)?;
        texts_of_statements(server)
    })
}

/// Logs in as soon as there is room.
fn log_in_soon(keel: &Evenkeel, user: &str) -> Result<MyWire> {
    poll_until(SOON, "room for one more client", || Ok(client_of(keel, user).ok()))
}

fn refused(keel: &Evenkeel, user: &str) -> u16 {
    code(&client_of(keel, user).map(drop).unwrap_err())
}

fn clients_in_all(server: &Server) -> Result<()> {
    let scene = MySetup::new().toml("[limits]\nmax_clients = 2").before(server)?;
    let first = scene.client()?;
    let _second = scene.client()?;
    let mut third = MyWire::connect(&scene.evenkeel.mysql_address())?;
    third.greet()?;
    // Whether it is an administrator, for whom there is room, shows only here; it is not asked what it knows.
    third.send_login(&Client::new(USER, PASSWORD, Some(DATABASE)), "mysql_native_password", b"wrong")?;
    assert_eq!(last_words(&mut third)?, 1040);
    first.quit()?;
    assert_eq!(log_in_soon(&scene.evenkeel, USER)?.value("select 'in'")?, "in");
    at_rest(&scene.evenkeel)
}

fn clients_of_users_databases_and_addresses(server: &Server) -> Result<()> {
    let limits = "[limits]\nmax_clients_per_user = 3\nmax_clients_per_database = 5\nmax_clients_per_address = 6";
    let scene = MySetup::new().user("other").user("third").toml(limits).before(server)?;
    let keel = &scene.evenkeel;
    let app: Vec<_> = (0..3).map(|_| scene.client()).collect::<Result<_>>()?;
    assert_eq!(refused(keel, USER), 1203, "a fourth of the user");
    let _other: Vec<_> = (0..2).map(|_| scene.client_of("other")).collect::<Result<_>>()?;
    assert_eq!(refused(keel, "third"), 1203, "a sixth of the database");
    // Whoever has not logged in counts for its address only.
    let _silent = MyWire::connect(&keel.mysql_address())?;
    poll_until(SOON, "a seventh of the address", || Ok((refused(keel, "third") == 1203).then_some(())))?;
    drop(app);
    log_in_soon(keel, "third")?;
    at_rest(keel)
}

fn waiters(server: &Server) -> Result<()> {
    let pool = "[pool]\nmax_waiters = 3\nmax_waiters_per_route = 2\ncheckout_timeout = \"60s\"";
    let scene = MySetup::new().budget(1).user("other").toml(pool).before(server)?;
    let held = scene.hold()?;
    let mut queue = [scene.client()?, scene.client()?, scene.client_of("other")?];
    for wire in &mut queue {
        wire.send_query("select 'waited'")?;
    }
    until_waiting(&scene.evenkeel, 3)?;
    let mut refused = [scene.client()?, scene.client_of("other")?];
    for wire in &mut refused {
        assert_eq!(fails_with(wire, "select 1"), 1203);
    }
    held.release()?;
    for wire in &mut queue {
        assert_eq!(read_value(wire)?, "waited");
    }
    for wire in &mut refused {
        assert_eq!(wire.value("select 'goes on'")?, "goes on");
    }
    drop((queue, refused));
    scene.at_rest()
}

fn statements(server: &Server) -> Result<()> {
    let scene = MySetup::new().toml("[prepared]\nmax_per_client = 3\nmax_per_server = 2").before(server)?;
    let mut wire = scene.client()?;
    let ids: Vec<_> = (0..3).map(|n| Ok(wire.prepare(&format!("select {n}, ?"))?.id)).collect::<Result<_>>()?;
    assert_eq!(code(&wire.prepare("select 3").unwrap_err()), 1461);
    wire.close_statement(ids[0])?;
    let anew = wire.prepare("select 3, ?")?.id;
    // More than a connection keeps: those used longest ago are prepared again.
    for _ in 0..3 {
        for (n, id) in [(1, ids[1]), (2, ids[2]), (3, anew)] {
            let answer = format!("{:?}", wire.execute(id, &[Some("own")])?);
            assert!(answer.contains(&format!("[Some(\"{n}\"), Some(\"own\")]")), "{answer}");
        }
    }
    drop(wire);
    scene.at_rest()
}

/// Each is within every limit of its own. Ten thousand of them would be more than a machine has.
fn texts_of_statements(server: &Server) -> Result<()> {
    let scene = MySetup::new().before(server)?;
    let mut wire = scene.client()?;
    let filler = "x".repeat(15 << 20);
    let text = |n: usize| format!("select {n}, ? /* {filler} */");
    let ids: Vec<_> = (0..4).map(|n| Ok(wire.prepare(&text(n))?.id)).collect::<Result<_>>()?;
    let error = wire.prepare(&text(4)).unwrap_err();
    assert_eq!(code(&error), 1461);
    assert!(error.to_string().contains("64 MiB"), "{error}");
    assert_eq!(wire.prepare("select 5, ?")?.parameters, 1, "a short one");
    let answer = format!("{:?}", wire.execute(ids[3], &[Some("own")])?);
    assert!(answer.contains("[Some(\"3\"), Some(\"own\")]"), "{answer}");
    wire.close_statement(ids[0])?;
    assert_eq!(wire.prepare(&text(4))?.parameters, 1, "what was closed takes no room");
    wire.quit()?;
    scene.at_rest()
}

#[test]
fn limits_of_time() -> Result<()> {
    MySetup::new().on_each(|server| {
        server.sql(&format!("create table {DATABASE}.t (n int)"))?;
        logins(server)?;
        idle_clients(server)?;
        idle_transactions(server)?;
        queries(server)?;
        waits(server)?;
        transactions(server)
    })
}

fn logins(server: &Server) -> Result<()> {
    let scene = MySetup::new().toml("[timeouts]\nlogin = \"3s\"").before(server)?;
    let mut silent = MyWire::connect(&scene.evenkeel.mysql_address())?;
    silent.greet()?;
    assert_eq!(silent.read_to_close()?, b"");
    assert_eq!(scene.client()?.value("select 'others log in'")?, "others log in");
    scene.at_rest()
}

fn idle_clients(server: &Server) -> Result<()> {
    let scene = MySetup::new().toml("[timeouts]\nclient_idle = \"400ms\"").before(server)?;
    let (mut idle, mut busy) = (scene.client()?, scene.client()?);
    assert_eq!(idle.value("select 1")?, "1");
    busy.send_query("select sleep(1)")?;
    assert_eq!(last_words(&mut idle)?, 4031);
    assert_eq!(read_value(&mut busy)?, "0");
    // In a transaction it is not idle in this sense.
    busy.query("begin")?;
    busy.set_timeout(Duration::from_millis(800))?;
    assert!(busy.read().is_err(), "nothing is said to a client in a transaction");
    busy.set_timeout(SOON)?;
    busy.query("commit")?;
    assert_eq!(last_words(&mut busy)?, 4031);
    scene.at_rest()
}

fn idle_transactions(server: &Server) -> Result<()> {
    let scene = MySetup::new().toml("[timeouts]\nidle_in_transaction = \"300ms\"").before(server)?;
    let mut wire = scene.client()?;
    wire.query("begin")?;
    wire.query("insert into t values (1)")?;
    // A query may take as long as it wants.
    wire.query("select sleep(0.6)")?;
    assert_eq!(last_words(&mut wire)?, 4031);
    scene.at_rest()?;
    assert_eq!(scene.sql("select count(*) from t")?, "0");
    // A session that keeps its connection for another reason is in no transaction.
    let mut pinned = scene.client()?;
    pinned.query("set @mine = 'kept'")?;
    pinned.set_timeout(Duration::from_millis(700))?;
    assert!(pinned.read().is_err(), "nothing is said to it");
    pinned.set_timeout(SOON)?;
    assert_eq!(pinned.value("select @mine")?, "kept");
    drop(pinned);
    scene.at_rest()
}

fn queries(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).toml("[timeouts]\nquery = \"300ms\"").before(server)?;
    // A sleep that is interrupted is no error by itself; that there is another row is.
    let slow = "select sleep(600) from (select 1 union select 2) as two";
    let mut wire = scene.client()?;
    let before = connection(&mut wire)?;
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(fails_with(&mut wire, slow), 3024);
        assert!(began.elapsed() >= Duration::from_millis(300));
    }
    assert_eq!(connection(&mut wire)?, before, "the server connection is still good");
    // The transaction is not ended by it, and its other queries have their own time.
    wire.query("begin")?;
    wire.query("insert into t values (1)")?;
    for _ in 0..3 {
        wire.query("select sleep(0.2)")?;
    }
    assert_eq!(fails_with(&mut wire, slow), 3024);
    assert_eq!(wire.value("select count(*) from t")?, "1");
    wire.query("rollback")?;
    drop(wire);
    scene.at_rest()
}

fn waits(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).toml("[pool]\ncheckout_timeout = \"300ms\"").before(server)?;
    let held = scene.hold()?;
    let mut queue = [scene.client()?, scene.client()?, scene.client()?];
    let began = Instant::now();
    for wire in &mut queue {
        wire.send_query("select 1")?;
    }
    for wire in &mut queue {
        let told = wire.read_answer().unwrap_err();
        assert_eq!(code(&told), 1205, "{told:#}");
        assert!(format!("{told:#}").contains("budget"), "it says what to change: {told:#}");
        assert!(began.elapsed() >= Duration::from_millis(250));
    }
    held.release()?;
    for wire in &mut queue {
        assert_eq!(wire.value("select 'goes on'")?, "goes on");
    }
    drop(queue);
    scene.at_rest()
}

fn transactions(server: &Server) -> Result<()> {
    let scene = MySetup::new().toml("[timeouts]\ntransaction = \"500ms\"").before(server)?;
    let (mut busy, mut silent) = (scene.client()?, scene.client()?);
    for wire in [&mut busy, &mut silent] {
        wire.query("begin")?;
        wire.query("insert into t values (1)")?;
    }
    busy.send_query("select sleep(600)")?;
    assert_eq!(last_words(&mut busy)?, 4031);
    assert_eq!(last_words(&mut silent)?, 4031);
    mysql::until_running(server, "select sleep(600)", 0)?;
    scene.at_rest()?;
    assert_eq!(scene.sql("select count(*) from t")?, "0");
    Ok(())
}

#[test]
fn limits_of_size() -> Result<()> {
    let options = Options::new().set("max_allowed_packet", "64M");
    MySetup::new().options(options).on_each(|server| {
        small_packets(server)?;
        payloads_of_several_packets(server)
    })
}

fn small_packets(server: &Server) -> Result<()> {
    let scene = MySetup::new().toml("[mysql]\nmax_packet = \"8KiB\"").before(server)?;
    let text = |len: usize| format!("select length('{}')", "x".repeat(len - 17));
    let mut wire = scene.client()?;
    assert_eq!(wire.value(&text(8 * 1024 - 10))?, (8 * 1024 - 27).to_string());
    for opening in ["select 1", "begin"] {
        let mut wire = scene.client()?;
        wire.query(opening)?;
        wire.send_query(&text(9 * 1024))?;
        assert_eq!(last_words(&mut wire)?, 1153, "behind {opening}");
    }
    // Told by its head alone: what it announces need not come.
    wire.send(&[0xff, 0xff, 0, 0, 3])?;
    assert_eq!(last_words(&mut wire)?, 1153);
    scene.at_rest()
}

fn payloads_of_several_packets(server: &Server) -> Result<()> {
    const FULL: usize = (1 << 24) - 1;
    let scene = MySetup::new().toml("[mysql]\nmax_packet = \"24MiB\"").before(server)?;
    let send = |wire: &mut MyWire, len: usize| -> Result<()> {
        let text = [&b"\x03select length('"[..], &vec![b'x'; len - 18], b"')"].concat();
        let mut sequence = 0;
        let mut last = FULL;
        for part in text.chunks(FULL) {
            wire.send(&packet(sequence, part)?)?;
            (sequence, last) = (sequence + 1, part.len());
        }
        if last == FULL { wire.send(&packet(sequence, b"")?) } else { Ok(()) }
    };
    let mut wire = scene.client()?;
    for len in [FULL - 1, FULL, FULL + 1, 20 << 20] {
        send(&mut wire, len)?;
        assert_eq!(read_value(&mut wire)?, (len - 18).to_string(), "{len} bytes");
    }
    // What is too long is not even sent to its end.
    send(&mut wire, 30 << 20).ok();
    let said = wire.read_to_close()?;
    assert!(said.is_empty() || u16::from_le_bytes([said[5], said[6]]) == 1153, "{said:?}");
    scene.at_rest()
}

#[test]
fn bytes_that_no_client_sends() -> Result<()> {
    MySetup::new().options(Options::new().set("local_infile", "ON")).on_each(|server| {
        instead_of_a_login(server)?;
        wrong_numbers_and_lengths(server)?;
        files_that_nobody_asked_for(server)?;
        any_commands(server)
    })
}

/// The pooler lives, nothing is lent, and who behaves is served.
fn unharmed(scene: &MyScene<'_>) -> Result<()> {
    assert_eq!(scene.client()?.value("select 'unharmed'")?, "unharmed");
    scene.at_rest()
}

fn instead_of_a_login(server: &Server) -> Result<()> {
    let scene = MySetup::new().toml("[timeouts]\nlogin = \"3s\"").before(server)?;
    let mut dice = Dice::new(seed("LIMITS_SEED"));
    let mut wires = Vec::new();
    for round in 0..200 {
        let mut wire = MyWire::connect(&scene.evenkeel.mysql_address())?;
        let bytes: Vec<u8> = (0..dice.roll(300)).map(|_| dice.roll(256) as u8).collect();
        // Half of them as packets that are what they say, half of these behind a plausible beginning.
        let body = if round % 4 == 0 { [&capability::PLAIN.to_le_bytes()[..], &bytes].concat() } else { bytes };
        let sent = if round % 2 == 0 { packet(1, &body)? } else { body };
        wire.send(&sent).ok();
        wires.push(wire);
    }
    for mut wire in wires {
        wire.greet()?;
        wire.read_to_close()?;
    }
    unharmed(&scene)
}

fn wrong_numbers_and_lengths(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).toml(TRUST).before(server)?;
    let hostile: [(&[u8], u16); 6] = [
        (&[9, 0, 0, 1, 3, b's', b'e', b'l', b'e', b'c', b't', b' ', b'1'], 1156),
        (&[1, 0, 0, 255, COM_PING], 1156),
        (&[0, 0, 0, 0], 1835),
        (&[1, 0, 0, 0, 255], 1047),
        // An execution without a number, and a prepared statement's number that is cut short.
        (&[1, 0, 0, 0, 23], 1835),
        (&[3, 0, 0, 0, 25, 1, 0], 1835),
    ];
    for opening in ["select 1", "begin"] {
        for (bytes, expected) in hostile {
            let mut wire = scene.client()?;
            wire.query(opening)?;
            wire.send(bytes)?;
            assert_eq!(last_words(&mut wire)?, expected, "{bytes:?} behind {opening}");
        }
    }
    unharmed(&scene)
}

/// A file's packets are taken only when a server has asked; and it asks only where that is allowed.
fn files_that_nobody_asked_for(server: &Server) -> Result<()> {
    let load = "load data local infile 'x' into table t";
    let scene = MySetup::new().budget(1).before(server)?;
    scene.sql("create table if not exists t (n int)")?;
    let mut wire = scene.client_with(capability::LOCAL_FILES)?;
    assert_eq!(fails_with(&mut wire, load), 1148, "not allowed here");
    assert_eq!(wire.value("select 'goes on'")?, "goes on");
    drop((wire, scene));
    let scene = MySetup::new().budget(1).toml("[mysql]\nlocal_infile = true").before(server)?;
    assert_eq!(fails_with(&mut scene.client()?, load), 1148, "not wanted by the client");
    // Sent along with the statement, before the server has asked.
    let mut hasty = scene.client_with(capability::LOCAL_FILES)?;
    let all = [packet(0, &[b"\x03", load.as_bytes()].concat())?, packet(2, b"7\n")?, packet(3, b"")?];
    hasty.send(&all.concat())?;
    hasty.read()?;
    hasty.read_answer()?;
    assert_eq!(hasty.value("select n from t")?, "7");
    assert_eq!(done(&mut hasty, "delete from t")?.affected, 1);
    // Nobody asked.
    hasty.query("select 1")?;
    hasty.send(&packet(2, b"8\n")?)?;
    assert_eq!(last_words(&mut hasty)?, 1156);
    let mut wire = scene.client_with(capability::LOCAL_FILES)?;
    wire.send(&[packet(0, b"\x03select 1")?, packet(2, b"8\n")?].concat())?;
    assert_eq!(read_value(&mut wire)?, "1");
    assert_eq!(last_words(&mut wire)?, 1156);
    unharmed(&scene)
}

/// Every code of a command, with nothing, with noise, and with numbers of statements that are not there.
fn any_commands(server: &Server) -> Result<()> {
    let scene = MySetup::new().toml(TRUST).toml("[pool]\ncheckout_timeout = \"5s\"").before(server)?;
    let mut dice = Dice::new(seed("LIMITS_SEED"));
    for round in 0..2 {
        for command in 0..=255_u8 {
            let mut wire = client_of(&scene.evenkeel, USER)?;
            if dice.roll(3) == 0 {
                wire.query("begin")?;
            }
            if dice.roll(3) == 0 {
                wire.prepare("select ?, ?")?;
            }
            let noise: Vec<u8> = (0..dice.roll(40)).map(|_| dice.roll(256) as u8).collect();
            let payload = if round == 0 { [&[1, 0, 0, 0], &noise[..]].concat() } else { noise };
            wire.send_command(command, &payload)?;
            // Some wait for what is said, some leave at once, some go on.
            match dice.roll(3) {
                0 => {
                    wire.set_timeout(Duration::from_millis(20))?;
                    wire.read().ok();
                }
                1 => drop(wire),
                _ => wire.send_command(COM_PING, b"")?,
            }
        }
    }
    unharmed(&scene)
}

#[test]
fn passwords_and_users_that_are_not_told_apart() -> Result<()> {
    MySetup::new().on_mariadb(|server| {
        let scene = MySetup::new().before(server)?;
        let keel = &scene.evenkeel;
        for (user, password) in [(USER, "wrong"), (USER, ""), ("nobody", PASSWORD), ("", ""), ("nobody", "")] {
            let told = keel.mysql_client(user, password, Some(DATABASE)).unwrap_err();
            assert_eq!(code(&told), 1045, "{user} with {password:?}: {told:#}");
        }
        let told = keel.mysql_client(USER, PASSWORD, Some("elsewhere")).unwrap_err();
        assert_eq!(code(&told), 1049, "{told:#}");
        until_in_use(keel, 0)?;
        at_rest(keel)
    })
}
