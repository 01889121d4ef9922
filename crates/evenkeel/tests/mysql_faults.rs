//! MySQL clients that vanish, at every point: their server connection goes back clean or is closed, their query is killed,
//! their transaction rolled back, their place in the queue given up, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{DATABASE, PASSWORD, USER};
use mysql::{MyScene, MySetup, connection, fails_with, read_value, until_running, until_says};
use testkit::mysql::{Cli, Client, Kind, Options, Server, capability, packet};
use testkit::{MyWire, Result, poll_until};
use watch::{SOON, TRUST, until_in_use, until_waiting};

const COM_QUERY: u8 = 3;
const COM_STMT_EXECUTE: u8 = 23;
const COM_STMT_SEND_LONG_DATA: u8 = 24;
const COM_STMT_FETCH: u8 = 28;
/// `CURSOR_TYPE_READ_ONLY`.
const CURSOR_READ_ONLY: u8 = 1;

fn count(scene: &MyScene<'_>) -> Result<String> {
    scene.sql("select count(*) from t")
}

#[test]
fn clients_that_vanish_while_nothing_runs() -> Result<()> {
    MySetup::new().on_each(|server| {
        server.sql(&format!("create table {DATABASE}.t (n int)"))?;
        during_the_login(server)?;
        while_waiting(server)?;
        in_a_transaction(server)?;
        behind_an_error(server)?;
        in_the_middle_of_a_packet(server)?;
        half_closed(server)
    })
}

#[test]
fn clients_that_vanish_while_something_runs() -> Result<()> {
    let setup = MySetup::new().options(Options::new().set("local_infile", "ON").set("max_allowed_packet", "64M"));
    setup.on_each(|server| {
        server.sql(&format!("create table {DATABASE}.t (n int)"))?;
        in_a_query(server)?;
        in_a_call(server)?;
        behind_a_query(server)?;
        in_a_large_result(server)?;
        in_a_file(server)?;
        by_kill_9(server)
    })
}

#[test]
fn clients_that_vanish_with_something_open() -> Result<()> {
    MySetup::new().on_each(|server| {
        with_a_prepared_statement(server)?;
        with_a_cursor(server)?;
        with_a_pinned_session(server)
    })
}

fn during_the_login(server: &Server) -> Result<()> {
    let scene = MySetup::new().before(server)?;
    let address = scene.evenkeel.mysql_address();
    let mut answer = packet(1, &login())?;
    for end in [0, 1, 3, 4, 5, 40, answer.len() - 1, answer.len()] {
        let mut wire = MyWire::connect(&address)?;
        wire.greet()?;
        wire.send(&answer[..end])?;
    }
    // A login that is longer than it says is one whose rest is a command; a wrong number ends it.
    answer.extend(packet(7, b"\x03select 1")?);
    let mut wire = MyWire::connect(&address)?;
    wire.greet()?;
    wire.send(&answer)?;
    drop(wire);
    poll_until(SOON, "nobody to be left", || {
        Ok((watch::whole(&scene.evenkeel, "evenkeel_process_clients")? == 0).then_some(()))
    })?;
    scene.at_rest()
}

/// A handshake response without an answer to the challenge.
fn login() -> Vec<u8> {
    let mut body = (capability::PLAIN | capability::CONNECT_WITH_DB).to_le_bytes().to_vec();
    body.extend((1_u32 << 24).to_le_bytes());
    body.push(45);
    body.extend([0; 23]);
    body.extend(b"app\0\0shop\0mysql_native_password\0");
    body
}

fn while_waiting(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let held = scene.hold()?;
    let (mut vanishing, mut staying) = (scene.client()?, scene.client()?);
    vanishing.send_query("insert into t values (1)")?;
    until_waiting(&scene.evenkeel, 1)?;
    staying.send_query("select 'stayed'")?;
    until_waiting(&scene.evenkeel, 2)?;
    drop(vanishing);
    until_waiting(&scene.evenkeel, 1)?;
    held.release()?;
    assert_eq!(read_value(&mut staying)?, "stayed");
    scene.at_rest()?;
    assert_eq!(count(&scene)?, "0", "what it waited to do was not done");
    Ok(())
}

fn in_a_transaction(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    for (begin, says_goodbye) in [("begin", false), ("begin", true), ("set autocommit = 0", false)] {
        let mut wire = scene.client()?;
        let before = connection(&mut wire)?;
        wire.query(begin)?;
        wire.query("insert into t values (1)")?;
        if says_goodbye {
            wire.quit()?;
        } else {
            drop(wire);
        }
        scene.at_rest()?;
        assert_eq!(count(&scene)?, "0", "{begin}");
        assert_eq!(connection(&mut scene.client()?)?, before, "the server connection is still good");
    }
    // A transaction whose last statement failed is still one.
    let mut failed = scene.client()?;
    failed.query("begin")?;
    failed.query("insert into t values (1)")?;
    assert_eq!(fails_with(&mut failed, "insert into nowhere values (1)"), 1146);
    drop(failed);
    scene.at_rest()?;
    assert_eq!(count(&scene)?, "0");
    Ok(())
}

fn in_the_middle_of_a_packet(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let whole = packet(0, b"\x03insert into t values (1)")?;
    let large = packet(0, &[b"\x03insert into t values (1) /* ", &[b'x'; 200_000][..], b" */"].concat())?;
    // The first packet of two: what follows it belongs to the same text.
    let first = packet(0, &[b"\x03insert into t values (1) /* ", &vec![b'x'; (1 << 24) - 30][..]].concat())?;
    let cuts = [&whole[..1], &whole[..4], &whole[..5], &whole[..whole.len() - 1], &large[..150_000], &first];
    for opening in ["select 1", "begin"] {
        for cut in cuts {
            let mut wire = scene.client()?;
            wire.query(opening)?;
            wire.send(cut)?;
            drop(wire);
        }
    }
    scene.at_rest()?;
    assert_eq!(count(&scene)?, "0");
    Ok(())
}

/// The next client is not told of it, although nothing on the way to its question makes the server forget it.
fn behind_an_error(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let mut wire = scene.client()?;
    wire.query("begin")?;
    assert_eq!(fails_with(&mut wire, "select nothing_of_the_kind"), 1054);
    drop(wire);
    scene.at_rest()?;
    let mut next = scene.client()?;
    next.query("begin")?;
    assert_eq!(next.query("show warnings")?, Vec::<Vec<Option<String>>>::new());
    Ok(())
}

fn half_closed(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    for doing in [None, Some("select sleep(600)")] {
        let mut wire = scene.client()?;
        wire.query("begin")?;
        wire.query("insert into t values (1)")?;
        if let Some(sql) = doing {
            wire.send_query(sql)?;
        }
        wire.close_write()?;
        wire.read_to_close()?;
        scene.at_rest()?;
        assert_eq!(count(&scene)?, "0");
    }
    Ok(())
}

fn in_a_query(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    for prepared in [false, true] {
        let mut wire = scene.client()?;
        let before = connection(&mut wire)?;
        if prepared {
            let id = wire.prepare("select sleep(600)")?.id;
            wire.send_execute(id, &[])?;
        } else {
            wire.send_query("select sleep(600)")?;
        }
        until_running(server, "select sleep(600)", 1)?;
        drop(wire);
        until_running(server, "select sleep(600)", 0)?;
        scene.at_rest()?;
        assert_eq!(connection(&mut scene.client()?)?, before, "the server connection is still good");
    }
    Ok(())
}

/// What a procedure has begun is nobody's afterwards: the error that ends it says nothing of its transaction and variables.
fn in_a_call(server: &Server) -> Result<()> {
    server.superuser(Some(DATABASE))?.query(
        "create procedure endless() sql security invoker \
         begin start transaction; insert into t values (1); set @left = 1; do sleep(600); end",
    )?;
    let scene = MySetup::new().budget(1).before(server)?;
    let mut wire = scene.client()?;
    wire.send_query("call endless()")?;
    until_running(server, "do sleep(600)", 1)?;
    drop(wire);
    until_running(server, "do sleep(600)", 0)?;
    scene.at_rest()?;
    assert_eq!(count(&scene)?, "0");
    assert_eq!(scene.client()?.value("select @left is null")?, "1");
    Ok(())
}

/// Also a client that vanishes in the middle of its next command has its query killed.
fn behind_a_query(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let parts = [packet(0, b"\x03select 'never'")?[..9].to_vec(), packet(0, &vec![b'x'; 15_000_000])?];
    for part in parts {
        let mut wire = scene.client()?;
        wire.send_query("select sleep(600)")?;
        wire.set_timeout(Duration::from_secs(1))?;
        // What is too much for sockets and buffers is not taken, and need not be.
        wire.send(&part).ok();
        until_running(server, "select sleep(600)", 1)?;
        drop(wire);
        until_running(server, "select sleep(600)", 0)?;
        scene.at_rest()?;
    }
    Ok(())
}

fn in_a_large_result(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let rows = "select repeat('x', 1000) from information_schema.columns a, information_schema.columns b";
    for packets in [0, 1, 500] {
        let mut wire = scene.client()?;
        wire.send_query(rows)?;
        for _ in 0..packets {
            wire.read()?;
        }
        until_in_use(&scene.evenkeel, 1)?;
        drop(wire);
        scene.at_rest()?;
    }
    Ok(())
}

fn in_a_file(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).toml("[mysql]\nlocal_infile = true").before(server)?;
    let data = b"1\n2\n3\n";
    // In its middle, before its end, and without a word.
    for sent in [packet(2, data)?, packet(2, data)?[..7].to_vec(), Vec::new()] {
        let mut wire = scene.client_with(capability::LOCAL_FILES)?;
        wire.query("begin")?;
        wire.send_query("load data local infile 'anything' into table t")?;
        assert_eq!(wire.read()?.body.first(), Some(&0xfb), "the server asks for the file");
        wire.send(&sent)?;
        drop(wire);
        scene.at_rest()?;
        assert_eq!(count(&scene)?, "0");
    }
    let mut whole = scene.client_with(capability::LOCAL_FILES)?;
    whole.send_query("load data local infile 'anything' into table t")?;
    whole.read()?;
    whole.send_packet(data)?;
    whole.send_packet(b"")?;
    whole.read_answer()?;
    assert_eq!(count(&scene)?, "3");
    scene.sql("delete from t")?;
    scene.at_rest()
}

fn by_kill_9(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(2).before(server)?;
    // MySQL's own client would have to fetch our key to log in without TLS; one client is as good as the other here.
    let cli = Cli::new(Kind::MariaDb, scene.evenkeel.mysql_port(), USER, PASSWORD)?;
    let run = |sql: &str| {
        let mut command = cli.command();
        command.arg(format!("--database={DATABASE}")).args(["--execute", &format!("begin; {sql}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    let mut children = [run("select sleep(600)")?, run("select sleep(601)")?];
    until_running(server, "select sleep(60", 2)?;
    for child in &mut children {
        assert!(Command::new("kill").args(["-9", &child.id().to_string()]).status()?.success());
        child.wait()?;
    }
    until_running(server, "select sleep(60", 0)?;
    scene.at_rest()
}

fn with_a_prepared_statement(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let mut wire = scene.client()?;
    let before = connection(&mut wire)?;
    let id = wire.prepare("select concat(?, '!')")?.id;
    drop(wire);
    scene.at_rest()?;
    // Between its parts a statement holds nothing, but what was sent ahead of its execution does.
    let mut wire = scene.client()?;
    assert_eq!(connection(&mut wire)?, before);
    let own = wire.prepare("select concat(?, '?')")?.id;
    let data = [&own.to_le_bytes()[..], &[0, 0], b"left behind"].concat();
    wire.send_command(COM_STMT_SEND_LONG_DATA, &data)?;
    until_in_use(&scene.evenkeel, 1)?;
    drop(wire);
    scene.at_rest()?;
    let mut next = scene.client()?;
    assert_eq!(fails_with_execute(&mut next, own), 1243, "numbers of statements are a client's own");
    let same = next.prepare("select concat(?, '?')")?.id;
    let answer = format!("{:?}", next.execute(same, &[Some("mine")])?);
    assert!(answer.contains("\"mine?\""), "{answer}");
    assert_eq!(fails_with_execute(&mut next, id + 100), 1243);
    drop(next);
    scene.at_rest()
}

fn fails_with_execute(wire: &mut MyWire, id: u32) -> u16 {
    wire.execute(id, &[]).map(drop).map_err(|error| mysql::code(&error)).unwrap_err()
}

fn with_a_cursor(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    for fetched in [0, 2] {
        let mut wire = scene.client()?;
        let id = wire.prepare("select 1 union select 2 union select 3 union select 4")?.id;
        let execute = [&id.to_le_bytes()[..], &[CURSOR_READ_ONLY], &1_u32.to_le_bytes()].concat();
        wire.send_command(COM_STMT_EXECUTE, &execute)?;
        // How many columns, the column, and that a cursor is open.
        for _ in 0..3 {
            wire.read()?;
        }
        until_in_use(&scene.evenkeel, 1)?;
        if fetched > 0 {
            wire.send_command(COM_STMT_FETCH, &[id.to_le_bytes(), u32::to_le_bytes(fetched)].concat())?;
            for _ in 0..=fetched {
                wire.read()?;
            }
        }
        drop(wire);
        scene.at_rest()?;
    }
    Ok(())
}

fn with_a_pinned_session(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let mut wire = scene.client()?;
    wire.query("create temporary table mine as select 1 as n")?;
    wire.query("set @mine = 1, sql_mode = 'ANSI_QUOTES'")?;
    wire.query("do get_lock('mine', 0)")?;
    wire.send_query("select sleep(600)")?;
    until_running(server, "select sleep(600)", 1)?;
    drop(wire);
    until_running(server, "select sleep(600)", 0)?;
    scene.at_rest()?;
    let mut next = scene.client()?;
    assert_eq!(fails_with(&mut next, "select n from mine"), 1146);
    assert_eq!(next.query("select @mine, \"text\"")?, [[None, Some("text".to_owned())]]);
    until_says(server, "select is_free_lock('mine')", "1")?;
    drop(next);
    scene.at_rest()
}

#[test]
fn thousands_of_waits_given_up_cost_nobody_anything() -> Result<()> {
    const THREADS: usize = 4;
    const ROUNDS: usize = 12;
    const CROWD: usize = 100;
    let setup = MySetup::new().budget(2).toml(TRUST).toml("[pool]\ncheckout_timeout = \"120s\"");
    setup.on_mariadb(|server| {
        let scene = setup.before(server)?;
        let held = [scene.hold()?, scene.hold()?];
        let client = Client::new(USER, PASSWORD, Some(DATABASE));
        // Logs in and asks without reading the answer.
        let hurried = || -> Result<MyWire> {
            let mut wire = MyWire::connect(&scene.evenkeel.mysql_address())?;
            wire.greet()?;
            wire.send_login(&client, "mysql_native_password", b"")?;
            wire.finish_login(PASSWORD, b"")?;
            wire.send_command(COM_QUERY, b"select 1")?;
            Ok(wire)
        };
        thread::scope(|scope| {
            let crowds: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        for _ in 0..ROUNDS {
                            let _crowd: Vec<_> = (0..CROWD).map(|_| hurried()).collect::<Result<_>>()?;
                        }
                        Ok(())
                    })
                })
                .collect();
            crowds.into_iter().try_for_each(|crowd| crowd.join().unwrap())
        })?;
        until_waiting(&scene.evenkeel, 0)?;
        for held in held {
            held.release()?;
        }
        scene.at_rest()
    })
}
