//! The admin console for clients that speak MySQL, and what is seen there of MySQL's routes, clients and moves.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use std::collections::HashMap;
use std::path::Path;

use common::{DATABASE, PASSWORD, USER, binary};
use mysql::{MyScene, MySetup, code, connection, console, fails_with, last_words, read_value};
use testkit::mysql::{Answer, Cli, Install, Kind, Server, ServerError, skipped};
use testkit::{Evenkeel, MyWire, Result, Speaks, poll_until};
use watch::{ADMIN, SOON, Shown, until_in_use, until_waiting};

/// A user who may change everything, one who may look, and one who is nobody here.
const ACCESS: &str = "[admin]\nusers = [\"app\"]\nstats_users = [\"watcher\"]";

/// `CLIENT_FOUND_ROWS`.
const FOUND_ROWS: u32 = 2;

#[test]
fn the_console_is_one_for_clients_of_mysql_too() -> Result<()> {
    MySetup::new().user("watcher").user("other").on_mariadb(|server| {
        everything_is_shown(server)?;
        what_drivers_begin_with_does_not_fail(server)?;
        mistakes_are_told_with_what_was_probably_meant(server)?;
        only_administrators_change_anything(server)?;
        a_pause_keeps_clients_until_resume(server)?;
        connections_are_replaced_and_clients_killed(server)?;
        a_full_house_lets_operators_in(server)?;
        command_lines_and_drivers_find_their_way(server)?;
        both_protocols_see_the_same(server)
    })
}

fn setup() -> MySetup {
    MySetup::new().user("watcher").user("other").toml(ACCESS)
}

/// The rows of a table, each value under its column's name; null is empty.
fn show(console: &mut MyWire, topic: &str) -> Result<Vec<HashMap<String, String>>> {
    let Shown { names, rows } = mysql::show(console, topic)?;
    let named =
        |row: Vec<Option<String>>| names.iter().cloned().zip(row.into_iter().map(Option::unwrap_or_default)).collect();
    Ok(rows.into_iter().map(named).collect())
}

/// Every table there is, by what the console itself says.
fn topics(console: &mut MyWire) -> Result<Vec<String>> {
    let help = show(console, "help")?;
    let lines = help.iter().flat_map(HashMap::values);
    let tables = lines.filter_map(|line| line.strip_prefix("SHOW ")).find(|rest| rest.contains('|'));
    Ok(tables.unwrap_or_default().split('|').map(str::to_lowercase).collect())
}

fn everything_is_shown(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let mut client = scene.client()?;
    let id = client.value("select connection_id()")?;
    let held = scene.hold()?;
    let mut console = console(&scene.evenkeel)?;
    let topics = topics(&mut console)?;
    assert!(topics.len() > 15, "{topics:?}");
    for topic in &topics {
        let rows = show(&mut console, topic)?;
        assert!(!rows.is_empty(), "{topic}");
        assert!(rows.iter().flat_map(HashMap::values).all(|value| !value.contains(PASSWORD)), "no secret in {topic}");
    }
    let route = &show(&mut console, "routes")?[0];
    for (name, value) in [("user", USER), ("protocol", "mysql"), ("clients", "2"), ("in_use", "1"), ("flavour", "")] {
        assert_eq!(route[name], value, "{name}");
    }
    let clients = show(&mut console, "clients")?;
    let ours = clients.iter().find(|row| row["id"] == id).unwrap();
    assert_eq!((&*ours["phase"], &*ours["protocol"], &*ours["tls"]), ("idle", "mysql", ""));
    let holding = clients.iter().find(|row| row["phase"] == "holding").unwrap();
    assert_eq!(holding["server_pid"], held.connection().to_string());
    let processes = show(&mut console, "full processlist")?;
    let ours = processes.iter().find(|row| row["Id"] == id).unwrap();
    for (name, value) in [("User", USER), ("db", DATABASE), ("Command", "Sleep"), ("State", ""), ("Info", "")] {
        assert_eq!(ours[name], value, "{name}");
    }
    assert!(processes.iter().any(|row| row["State"] == "in a transaction"), "{processes:?}");
    assert_eq!(show(&mut console, "databases")?[0]["protocol"], "mysql");
    assert_eq!(show(&mut console, "budgets")?[0]["protocol"], "mysql");
    assert_eq!(scene.evenkeel.metric("evenkeel_server_info{server=\"main\",protocol=\"mysql\"}")?.to_string(), "1");
    held.release()?;
    scene.at_rest()
}

fn what_drivers_begin_with_does_not_fail(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let mut console = console(&scene.evenkeel)?;
    for text in [
        "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
        "SET autocommit=0",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET @@session.sql_mode = '', time_zone = '+00:00'",
        "USE evenkeel",
        "START TRANSACTION",
        "COMMIT",
    ] {
        assert!(matches!(console.answers(text)?.as_slice(), [Answer::Done(_)]), "{text}");
    }
    assert_eq!(console.value("SELECT DATABASE()")?, "evenkeel");
    assert!(console.value("select @@version_comment limit 1")?.starts_with("Evenkeel"));
    assert_eq!(show(&mut console, "variables like 'lower_case_table_names'")?[0]["Value"], "0");
    assert!(show(&mut console, "warnings")?.is_empty());
    // COM_INIT_DB of either name, COM_PING, COM_RESET_CONNECTION, COM_SET_OPTION
    for (command, body) in [(2, &b"pgbouncer"[..]), (2, b"evenkeel"), (14, b""), (31, b""), (27, b"\0\0")] {
        console.send_command(command, body)?;
        let answer = console.read_payload()?;
        assert!(matches!(answer.body.first(), Some(0 | 0xfe)), "command {command}: {answer:?}");
    }
    assert_eq!(fails_with(&mut console, "use shop"), 1049);
    // COM_STATISTICS and COM_STMT_PREPARE
    console.send_command(9, b"")?;
    assert!(console.read_payload()?.body.starts_with(b"Evenkeel"));
    console.send_command(22, b"show pools")?;
    assert_eq!(
        console.read_payload()?.body.get(..3),
        Some(&[0xff, 0x0f, 0x05][..]),
        "1295: drivers send the text then"
    );
    assert!(!show(&mut console, "version")?.is_empty());
    Ok(())
}

fn mistakes_are_told_with_what_was_probably_meant(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let mut console = console(&scene.evenkeel)?;
    let mut failure = |text: &str| {
        let error = console.query(text).unwrap_err();
        let ServerError { code, state, text } = error.downcast_ref::<ServerError>().unwrap().clone();
        (code, state, text)
    };
    let (number, state, text) = failure("show poools");
    assert_eq!((number, &*state), (1064, "42000"));
    assert!(text.contains("Did you mean SHOW POOLS?"), "{text}");
    let (number, _, text) = failure("pause shpo");
    assert_eq!(number, 1049);
    assert!(text.contains("Did you mean shop?"), "{text}");
    assert_eq!(failure("drop database shop").0, 1064);
    assert_eq!(failure("show pools; show routes").0, 1064);
    assert_eq!(failure("set max_clients = 5").0, 1193);
    assert_eq!(failure("kill 4000000000").0, 1094);
    assert_eq!(failure("select @@nonsense").0, 1193);
    assert_eq!(show(&mut console, "warnings")?[0]["Code"], "1193");
    Ok(())
}

fn only_administrators_change_anything(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let mut watcher = scene.evenkeel.mysql_client("watcher", PASSWORD, Some("pgbouncer"))?;
    assert!(!show(&mut watcher, "databases")?.is_empty());
    for command in ["pause", "resume", "reload", "shutdown", "kill 1", "kill query 1", "reconnect"] {
        assert_eq!(fails_with(&mut watcher, command), 1227, "{command}");
    }
    let error = scene.evenkeel.mysql_client("other", PASSWORD, Some("evenkeel")).unwrap_err();
    assert_eq!(code(&error), 1227);
    assert_eq!(code(&scene.evenkeel.mysql_client(USER, "wrong", Some("evenkeel")).unwrap_err()), 1045);
    console(&scene.evenkeel)?.query("reload")?;
    Ok(())
}

fn a_pause_keeps_clients_until_resume(server: &Server) -> Result<()> {
    let scene = setup().toml("[pool]\ncheckout_timeout = \"30s\"").before(server)?;
    let held = scene.hold()?;
    let mut pausing = console(&scene.evenkeel)?;
    pausing.send_query("pause")?;
    let paused = || scene.evenkeel.metric("evenkeel_server_paused{server=\"main\"}");
    poll_until(SOON, "the pause", || Ok((paused()? > 0.5).then_some(())))?;
    let mut waiting = scene.client()?;
    waiting.send_query("select 'after the pause'")?;
    until_waiting(&scene.evenkeel, 1)?;
    let mut looking = console(&scene.evenkeel)?;
    let processes = show(&mut looking, "processlist")?;
    assert!(processes.iter().any(|row| row["State"] == "waiting for a server connection"), "{processes:?}");
    let clients = show(&mut looking, "clients")?;
    let waits = |row: &HashMap<String, String>| row["wait"] != "0" || row["wait_us"] != "0";
    assert!(clients.iter().all(|row| waits(row) == (row["phase"] == "waiting")), "{clients:?}");
    held.release()?;
    assert!(matches!(pausing.read_answer()?, Answer::Done(_)));
    until_waiting(&scene.evenkeel, 1)?;
    assert_eq!(fails_with(&mut pausing, "pause `shop`"), 1105, "it is paused already");
    pausing.query("resume")?;
    assert_eq!(read_value(&mut waiting)?, "after the pause");
    scene.at_rest()
}

fn connections_are_replaced_and_clients_killed(server: &Server) -> Result<()> {
    let scene = setup().budget(1).before(server)?;
    let mut client = scene.client()?;
    let before = connection(&mut client)?;
    let mut console = console(&scene.evenkeel)?;
    console.query("reconnect")?;
    assert_ne!(connection(&mut client)?, before);
    let id = client.value("select connection_id()")?;
    client.send_query("select sleep(600) /* to be stopped */")?;
    until_in_use(&scene.evenkeel, 1)?;
    mysql::until_running(server, "select sleep(600)", 1)?;
    console.query(&format!("kill query {id}"))?;
    // MariaDB has sent the columns by then: its error stands where the rows would, behind an EOF packet for this client.
    let stopped = client.read_answer();
    assert!(stopped.as_ref().map_or_else(|error| code(error) == 1317, |_| true), "{stopped:?}");
    assert_eq!(client.value("select 'it goes on'")?, "it goes on");
    // COM_PROCESS_KILL, as older command lines send it.
    console.send_command(12, &id.parse::<u32>()?.to_le_bytes())?;
    assert_eq!(console.read_payload()?.body.first(), Some(&0));
    assert_eq!(last_words(&mut client)?, 1927);
    let mut client = scene.client()?;
    let id = client.value("select connection_id()")?;
    client.query("begin")?;
    console.query(&format!("kill {id}"))?;
    assert_eq!(last_words(&mut client)?, 1927);
    scene.at_rest()
}

fn a_full_house_lets_operators_in(server: &Server) -> Result<()> {
    let scene = setup().toml("[limits]\nmax_clients = 1").before(server)?;
    let client = scene.client()?;
    assert_eq!(code(&scene.client().err().unwrap()), 1040);
    let mut console = console(&scene.evenkeel)?;
    assert_eq!(show(&mut console, "clients")?.len(), 1);
    client.quit()
}

fn command_lines_and_drivers_find_their_way(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let mut client = scene.client()?;
    assert_eq!(client.value("select 1")?, "1");
    let port = scene.evenkeel.mysql_port();
    for kind in [Kind::MariaDb, Kind::MySql] {
        if let Err(error) = Install::find(kind) {
            skipped(&format!("the console by the command line of {}", kind.name()), &error.to_string());
            continue;
        }
        let cli = Cli::new(kind, port, USER, PASSWORD)?;
        let mut commands =
            String::from("show routes; show variables like 'version_comment'; use pgbouncer; select database()");
        if kind == Kind::MariaDb {
            // What MySQL's takes no more, but from a file.
            commands.push_str("; \\s");
        }
        let routes = cli.sql("evenkeel", &commands)?;
        assert!(routes.starts_with("main\tshop\tapp\t"), "{routes}");
        assert!(routes.contains("Evenkeel"), "{routes}");
        let help = cli.clone().option("--compress").sql("evenkeel", "show routes; show help")?;
        assert!(help.contains("SHUTDOWN WAIT_FOR_CLIENTS"), "{help}");
        let wrong = cli.sql("evenkeel", "show poools").unwrap_err().to_string();
        assert!(wrong.contains("ERROR 1064 (42000)"), "{wrong}");
    }
    match testkit::drivers::python() {
        Ok(python) => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mysql_console/opening.py");
            assert_eq!(python.run(&script, &[&port.to_string(), USER, PASSWORD])?, "done");
        }
        Err(error) => skipped("the console by PyMySQL", &error.to_string()),
    }
    client.quit()?;
    scene.at_rest()
}

/// The console that PostgreSQL's clients see shows MySQL's routes and clients, and kills them.
fn both_protocols_see_the_same(server: &Server) -> Result<()> {
    let evenkeel = Evenkeel::start_for(Speaks::Both, binary(), &setup().config(&server.address()))?;
    let mut client = mysql::client_of(&evenkeel, USER)?;
    let id = client.value("select connection_id()")?;
    let mut other = watch::console(&evenkeel)?;
    let shown = watch::show(&mut other, "processlist")?;
    assert_eq!(shown.get(shown.find("Id", &id).unwrap(), "db"), DATABASE);
    let routes = watch::show(&mut other, "routes")?;
    assert_eq!(routes.get(&routes.rows[0], "protocol"), "mysql");
    other.query(&format!("kill connection {id}"))?;
    assert_eq!(last_words(&mut client)?, 1927);
    let mut last = console(&evenkeel)?;
    assert!(show(&mut last, "processlist")?.is_empty());
    last.query("shutdown").ok();
    watch::until_logged(&evenkeel, "stopped").map(drop)
}

#[test]
fn moves_and_flavours_of_routes_are_seen() -> Result<()> {
    MySetup::new().user("other").on_each(|server| {
        let setup = MySetup::new().user("other").budget(1).toml(ADMIN);
        moves_are_counted(&setup.before(server)?)?;
        flavours_are_told_apart(&setup.budget(2).before(server)?)
    })
}

fn moves_are_counted(scene: &MyScene<'_>) -> Result<()> {
    let mut clients = [scene.client()?, scene.client_of("other")?];
    let mut console = console(&scene.evenkeel)?;
    // A connection may be given up for a new one when both come at the wrong moment; moving is what usually happens.
    poll_until(SOON, "a slot to move", || {
        for client in &mut clients {
            assert_eq!(client.value("select 1")?, "1");
        }
        Ok((show(&mut console, "budgets")?[0]["rekeys"] != "0").then_some(()))
    })?;
    let budget = &show(&mut console, "budgets")?[0];
    assert_eq!(budget["rekey_failures"], "0");
    assert_ne!(budget["rekey_us"], "0");
    let routes = show(&mut console, "routes")?;
    let moved: u64 = routes.iter().map(|route| route["rekeys"].parse::<u64>().unwrap()).sum();
    assert_eq!(moved.to_string(), budget["rekeys"]);
    let counted = scene.evenkeel.metric("evenkeel_server_rekeys_total{server=\"main\"}")?;
    let timed = scene.evenkeel.metric("evenkeel_server_rekey_seconds_count{server=\"main\"}")?;
    assert!(counted >= 1.0 && timed >= 1.0, "{counted} {timed}");
    scene.at_rest()
}

fn flavours_are_told_apart(scene: &MyScene<'_>) -> Result<()> {
    let mut clients = [scene.client()?, scene.client_with(FOUND_ROWS)?];
    for client in &mut clients {
        assert_eq!(client.value("select 1")?, "1");
    }
    let mut console = console(&scene.evenkeel)?;
    let mut flavours: Vec<_> = show(&mut console, "routes")?.iter().map(|row| row["flavour"].clone()).collect();
    flavours.sort();
    assert_eq!(flavours, ["", "found_rows"]);
    let labels = "server=\"main\",database=\"shop\",user=\"app\"";
    for labels in [labels.to_owned(), format!("{labels},flavour=\"found_rows\"")] {
        let queries = scene.evenkeel.metric(&format!("evenkeel_route_queries_total{{{labels}}}"))?;
        assert_eq!(queries.to_string(), "1", "{labels}");
    }
    scene.at_rest()
}
