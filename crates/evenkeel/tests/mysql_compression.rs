//! The compressed protocol on both sides: with the clients that people use, and towards servers.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;

use common::{DATABASE, PASSWORD, USER, binary};
use mysql::{MyScene, MySetup, until_says};
use testkit::mysql::{Cli, Client, Install, Kind, Options, Server, capability, skipped};
use testkit::{Evenkeel, MyWire, Result, Speaks, drivers};
use watch::{ADMIN, until_in_use};

const OTHER: &str = "other";
const ZSTD: u32 = 1 << 26;
/// Longer than any buffer on the way.
const FILE_LEN: usize = 1 << 19;

fn setup() -> MySetup {
    let options = Options::new().set("local_infile", "ON").set("max_allowed_packet", "64M").tls(&["localhost"]);
    MySetup::new().options(options).user(OTHER).toml("[mysql]\nlocal_infile = true")
}

/// Evenkeel before `server`, with these lines for it.
fn before<'s>(server: &'s Server, setup: &MySetup, lines: &str) -> Result<MyScene<'s>> {
    let config = setup.config(&server.address()).replacen("budget = 2", &format!("budget = 2\n{lines}"), 1);
    Ok(MyScene { evenkeel: Evenkeel::start_for(Speaks::MySql, binary(), &config)?, server })
}

fn fill(server: &Server) -> Result<()> {
    let rows: Vec<_> = (0..2000).map(|n| format!("({n})")).collect();
    let text = format!(
        "use {DATABASE}; create table if not exists seq (n int primary key); replace seq values {}",
        rows.join(",")
    );
    server.sql(&text).map(drop)
}

#[test]
fn clients_may_compress() -> Result<()> {
    setup().on_each(|server| {
        fill(server)?;
        let scene = setup().toml(ADMIN).before(server)?;
        command_lines(&scene)?;
        drivers_of_other_languages(&scene)?;
        by_hand(&scene)?;
        a_result_in_a_packet_of_its_own_has_its_number(&scene)?;
        hostile(&scene)?;
        console(&scene)?;
        only_what_is_offered(server)
    })
}

#[test]
fn servers_may_be_compressed() -> Result<()> {
    setup().on_each(|server| {
        fill(server)?;
        for (way, algorithm) in [("zlib", "zlib"), ("zstd", "zstd")] {
            let offered = way == "zlib" || server.kind() == Kind::MySql;
            for tls in ["disable", "require"] {
                let scene = before(server, &setup(), &format!("compression = \"{way}\"\ntls = \"{tls}\""))?;
                is_compressed(&scene, offered.then_some(algorithm), tls == "require")?;
                moves_everything(&scene)?;
            }
        }
        Ok(())
    })
}

/// The ways a client of this kind is told to compress.
fn ways(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::MariaDb => &["--compress"],
        Kind::MySql => {
            &["--compression-algorithms=zlib", "--compression-algorithms=zstd", "--compression-algorithms=zstd,zlib"]
        }
    }
}

/// Both command lines, with results and texts of every size, several results in one, and files.
fn command_lines(scene: &MyScene<'_>) -> Result<()> {
    for kind in [Kind::MariaDb, Kind::MySql] {
        if let Err(error) = Install::find(kind) {
            skipped("the command line of the other kind", &error.to_string());
            continue;
        }
        for way in ways(kind) {
            all_sizes(scene, &cli(scene, kind, way)?, way)?;
        }
        if kind == scene.server.kind() {
            let way = ways(kind)[0];
            long_text(&cli(scene, kind, way)?, way)?;
        }
    }
    scene.at_rest()
}

fn cli(scene: &MyScene<'_>, kind: Kind, way: &str) -> Result<Cli> {
    let cli = Cli::new(kind, scene.evenkeel.mysql_port(), USER, PASSWORD)?;
    Ok(cli.option(way).option("--local-infile=1").option("--max-allowed-packet=64M"))
}

/// A text of more than one packet.
fn long_text(cli: &Cli, way: &str) -> Result<()> {
    let mut script = tempfile::tempfile()?;
    write!(script, "select length('{}');", "na".repeat(9 << 20))?;
    script.rewind()?;
    let output = cli.command().arg(DATABASE).stdin(script).output()?;
    let why = String::from_utf8_lossy(&output.stderr);
    let why = &why[why.len().saturating_sub(300)..];
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "18874368", "{way}: {why}");
    Ok(())
}

fn all_sizes(scene: &MyScene<'_>, cli: &Cli, way: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rows.txt");
    let rows = "one row of a file\t1\n".repeat(FILE_LEN / 20);
    std::fs::write(&file, &rows)?;
    let count = rows.lines().count();
    assert_eq!(
        cli.sql(DATABASE, "select 1; select 2; select count(*), sum(n) from seq")?,
        "1\n2\n2000\t1999000",
        "{way}"
    );
    assert_eq!(cli.sql(DATABASE, "select n from seq order by n")?.lines().count(), 2000);
    assert_eq!(cli.sql(DATABASE, "select repeat('x', 300000)")?.len(), 300_000);
    let load = format!(
        "create temporary table f (t varchar(40), n int); load data local infile '{}' into table f; select count(*), sum(n) from f",
        file.display()
    );
    assert_eq!(cli.sql(DATABASE, &load)?, format!("{count}\t{count}"), "{way}");
    until_in_use(&scene.evenkeel, 0)
}

fn drivers_of_other_languages(scene: &MyScene<'_>) -> Result<()> {
    let port = scene.evenkeel.mysql_port().to_string();
    let arguments = [&port, USER, PASSWORD, DATABASE, OTHER];
    for (name, runtime, script) in [
        ("mysql.connector", drivers::python(), "session.py"),
        ("mysql2", drivers::node(), "session.js"),
        ("Connector/J", drivers::java(), "Session.java"),
    ] {
        match runtime {
            Ok(runtime) => assert_eq!(runtime.run(&script_of(script), &arguments)?, "done", "{name}"),
            Err(error) => skipped(name, &error.to_string()),
        }
    }
    scene.at_rest()
}

fn script_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mysql_compression").join(name)
}

/// A client that has logged in and speaks compressed packets itself from now on.
fn raw(evenkeel: &Evenkeel, database: &str) -> Result<MyWire> {
    let client = Client::new(USER, PASSWORD, Some(database)).with(capability::COMPRESS);
    MyWire::log_in_as(&evenkeel.mysql_address(), &client)
}

/// A compressed packet whose content is not compressed.
fn stored(number: u8, content: &[u8]) -> Vec<u8> {
    let [a, b, c, ..] = content.len().to_le_bytes();
    [&[a, b, c, number, 0, 0, 0][..], content].concat()
}

fn query(text: &str) -> Vec<u8> {
    let [a, b, c, ..] = (text.len() + 1).to_le_bytes();
    [&[a, b, c, 0, 3][..], text.as_bytes()].concat()
}

/// Reads a compressed packet: its number, and its content as it came.
fn read_compressed(wire: &mut MyWire) -> Result<(u8, Vec<u8>)> {
    let head = wire.read_bytes(7)?;
    let content = wire.read_bytes(usize::from(head[0]) | usize::from(head[1]) << 8)?;
    Ok((head[3], content))
}

/// Numbers are as the protocol has them, whatever packets are cut into.
fn by_hand(scene: &MyScene<'_>) -> Result<()> {
    let mut wire = raw(&scene.evenkeel, DATABASE)?;
    let (first, rest) = (query("select 7"), query("select 8"));
    for cut in [1, 4, 7] {
        wire.send(&stored(0, &first[..cut]))?;
        wire.send(&stored(1, &first[cut..]))?;
        let (number, content) = read_compressed(&mut wire)?;
        assert_eq!(number, 2, "it goes on from the client's two");
        assert!(!content.is_empty());
    }
    // Two commands at once: each answer is numbered from its own.
    wire.send(&[stored(0, &first), stored(0, &rest)].concat())?;
    for _ in 0..2 {
        assert_eq!(read_compressed(&mut wire)?.0, 1);
    }
    let ping = b"\x01\0\0\x05\x0e";
    wire.send(&stored(0, ping))?;
    let (number, content) = read_compressed(&mut wire)?;
    assert_eq!((number, &content[..5]), (1, &b"\x07\0\0\x01\0"[..]), "a packet inside may have any number");
    Ok(())
}

/// As from a server, which flushes after each result: mysql_async takes another number for a lost packet.
fn a_result_in_a_packet_of_its_own_has_its_number(scene: &MyScene<'_>) -> Result<()> {
    let client = Client::new(USER, PASSWORD, Some(DATABASE)).with(capability::COMPRESS | capability::MULTI_STATEMENTS);
    let mut wire = MyWire::log_in_as(&scene.evenkeel.mysql_address(), &client)?;
    // What comes before the pause is written before it.
    wire.send(&stored(0, &query("select 7; do sleep(0.2)")))?;
    loop {
        let (number, content) = read_compressed(&mut wire)?;
        if let [_, _, _, inside, 0, ..] = content[..]
            && content.len() < 20
        {
            assert_eq!(inside, number);
            return Ok(());
        }
    }
}

/// What no client sends ends its session, and only that.
fn hostile(scene: &MyScene<'_>) -> Result<()> {
    let (uncompress, order, too_large) = (b"\xff\x85\x04#08S01", b"\xff\x84\x04#08S01", b"\xff\x81\x04#08S01");
    // Ten bytes that claim to be 16 MiB; zlib that is none; a content longer than it says; a number out of order.
    let bomb = [b"\x0b\0\0\0\xff\xff\xff\x78\x9c".as_slice(), &[0; 9]].concat();
    let not_zlib = [b"\x10\0\0\0\x40\0\0".as_slice(), &[0xaa; 16]].concat();
    let number = stored(9, &query("select 1"));
    for (bytes, expected) in [(&bomb, uncompress), (&not_zlib, uncompress), (&number, order)] {
        let mut wire = raw(&scene.evenkeel, DATABASE)?;
        wire.send(bytes)?;
        let said = wire.read_to_close()?;
        assert!(said.windows(9).any(|part| part == expected), "{bytes:?}: {said:?}");
    }
    // A limit below 16 MiB holds for what is compressed, before anything of it is kept.
    let small = setup().toml("max_packet = \"1MiB\"").before(scene.server)?;
    for lie in [b"\xff\xff\xff\0\0\0\0", b"\x10\0\0\0\xff\xff\xff"] {
        let mut wire = raw(&small.evenkeel, DATABASE)?;
        wire.send(lie)?;
        let said = wire.read_to_close()?;
        assert!(said.windows(9).any(|part| part == too_large), "{lie:?}: {said:?}");
    }
    drop(small);
    // A client that stops in the middle of a packet.
    let wire_of_half = |bytes: &[u8]| -> Result<()> {
        let mut wire = raw(&scene.evenkeel, DATABASE)?;
        wire.send(bytes)?;
        wire.close_write()?;
        assert_eq!(wire.read_to_close()?, b"");
        Ok(())
    };
    wire_of_half(&stored(0, &query("select 1"))[..9])?;
    wire_of_half(b"\x05\0")?;
    scene.at_rest()
}

fn console(scene: &MyScene<'_>) -> Result<()> {
    let mut wire = raw(&scene.evenkeel, "evenkeel")?;
    for _ in 0..2 {
        wire.send(&stored(0, &query("show version")))?;
        assert_eq!(read_compressed(&mut wire)?.0, 1);
    }
    for kind in [Kind::MariaDb, Kind::MySql].into_iter().filter(|kind| Install::find(*kind).is_ok()) {
        let way = ways(kind)[0];
        let shown = cli(scene, kind, way)?.sql("evenkeel", "show clients; show servers; show config")?;
        assert!(shown.contains("max_packet"), "{way}");
    }
    drop(wire);
    compression_is_shown(scene)
}

/// Who is in the console sees how each client is sent what it asks for.
fn compression_is_shown(scene: &MyScene<'_>) -> Result<()> {
    let _compressed = raw(&scene.evenkeel, DATABASE)?;
    let _plain = scene.client_of(OTHER)?;
    let clients = mysql::show(&mut mysql::console(&scene.evenkeel)?, "clients")?;
    let of = |user: &str| clients.find("user", user).map(|row| clients.get(row, "compression"));
    assert_eq!((of(USER), of(OTHER)), (Some("zlib"), Some("")));
    Ok(())
}

fn only_what_is_offered(server: &Server) -> Result<()> {
    for (keys, offered) in [
        ("[]", 0),
        ("[\"zlib\"]", capability::COMPRESS),
        ("[\"zstd\"]", ZSTD),
        ("[\"zstd\", \"zlib\"]", ZSTD | capability::COMPRESS),
    ] {
        let scene = setup().toml(&format!("compression = {keys}")).before(server)?;
        let mut wire = MyWire::connect(&scene.evenkeel.mysql_address())?;
        assert_eq!(wire.greet()?.capabilities & (ZSTD | capability::COMPRESS), offered, "{keys}");
        if offered & capability::COMPRESS == 0 {
            let client = Client::new(USER, PASSWORD, Some(DATABASE)).with(capability::COMPRESS);
            let mut wire = MyWire::log_in_as(&scene.evenkeel.mysql_address(), &client)?;
            assert_eq!(wire.value("select 1")?, "1", "what was not offered does not hold");
        }
    }
    Ok(())
}

/// The server itself says that the connections to it are compressed.
fn is_compressed(scene: &MyScene<'_>, algorithm: Option<&str>, tls: bool) -> Result<()> {
    let mut wire = scene.client()?;
    let status =
        wire.value("select variable_value from performance_schema.session_status where variable_name = 'Compression'");
    let status = match scene.server.kind() {
        Kind::MySql => status?,
        Kind::MariaDb => wire.value(
            "select variable_value from information_schema.session_status where variable_name = 'Compression'",
        )?,
    };
    assert_eq!(status, if algorithm.is_some() { "ON" } else { "OFF" });
    if let (Kind::MySql, Some(algorithm)) = (scene.server.kind(), algorithm) {
        let sql = "select variable_value from performance_schema.session_status where variable_name = 'Compression_algorithm'";
        assert_eq!(wire.value(sql)?, algorithm);
    }
    let cipher = wire.query("show session status like 'Ssl_cipher'")?;
    let cipher = cipher[0][1].as_deref().unwrap_or_default();
    assert_eq!(!cipher.is_empty(), tls, "{cipher:?}");
    Ok(())
}

/// Texts and results of every size, prepared statements, a file, another user's turn, a kill.
fn moves_everything(scene: &MyScene<'_>) -> Result<()> {
    let mut wire = scene.client()?;
    for len in [1, 60, 70_000, 3_000_000] {
        let text = "na".repeat(len / 2);
        assert!(wire.value(&format!("select concat('{text}', '')"))? == text, "{len}");
    }
    assert_eq!(wire.query("select n from seq order by n")?.len(), 2000);
    assert_eq!(wire.answers("select 1; select 2; do 3")?.len(), 3);
    for _ in 0..3 {
        let statement = wire.prepare("select n + ? from seq where n = ?")?;
        assert!(format!("{:?}", wire.execute(statement.id, &[Some("1"), Some("41")])?).contains("42"));
        wire.close_statement(statement.id)?;
    }
    // The budget is two: others get the connections by a change of user.
    for user in [OTHER, USER, OTHER] {
        let mut others: Vec<_> = (0..2).map(|_| scene.client_of(user)).collect::<Result<_>>()?;
        for other in &mut others {
            assert_eq!(other.value("select substring_index(user(), '@', 1)")?, user);
        }
    }
    file_through(scene)?;
    stops(scene)?;
    scene.at_rest()
}

/// A file of more packets than there are numbers, from a client that is not compressed.
fn file_through(scene: &MyScene<'_>) -> Result<()> {
    let mut wire = scene.client_with(capability::LOCAL_FILES)?;
    wire.query("create table if not exists f (n int)")?;
    wire.query("truncate f")?;
    wire.send_query("load data local infile 'rows' into table f")?;
    let asked = wire.read()?;
    assert_eq!((asked.sequence, asked.body[0]), (1, 0xfb));
    let rows = 700_u32;
    for row in 0..rows {
        wire.send(&testkit::mysql::packet((row + 2) as u8, format!("{row}\n").as_bytes())?)?;
    }
    wire.send(&testkit::mysql::packet((rows + 2) as u8, b"")?)?;
    let done = wire.read()?;
    assert_eq!((done.sequence, done.body[0]), ((rows + 3) as u8, 0));
    assert_eq!(wire.value("select concat(count(*), ' ', sum(n)) from f")?, "700 244650");
    Ok(())
}

/// `KILL QUERY`, which takes a connection of its own to the server.
fn stops(scene: &MyScene<'_>) -> Result<()> {
    let mut wire = scene.client()?;
    let id = wire.greeting().unwrap().connection_id;
    let asleep = thread::spawn(move || {
        drop(wire.query("select sleep(30)"));
        wire
    });
    let runs = "select count(*) from information_schema.processlist where info = 'select sleep(30)'";
    until_says(scene.server, runs, "1")?;
    scene.client()?.query(&format!("kill query {id}"))?;
    assert_eq!(asleep.join().unwrap().value("select 'still there'")?, "still there");
    Ok(())
}
