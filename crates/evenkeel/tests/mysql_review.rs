//! What somebody found who read the MySQL sessions in order to break them.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use common::{DATABASE, PASSWORD, USER};
use mysql::{MySetup, code, connection, fails_with, read_value, until_running};
use testkit::mysql::{Answer, Client, Kind, Server, capability, packet, scramble};
use testkit::{MyWire, Result, poll_until};
use watch::{SOON, until_in_use};

const COM_QUERY: u8 = 0x03;
const COM_CHANGE_USER: u8 = 0x11;
const COM_SET_OPTION: u8 = 0x1b;
const COM_RESET_CONNECTION: u8 = 0x1f;

/// One server connection for all, so that whatever one client leaves, the next one would meet.
fn setup() -> MySetup {
    MySetup::new().budget(1).user("other")
}

#[test]
fn nothing_of_one_client_reaches_another() -> Result<()> {
    setup().on_each(|server| {
        a_procedure_that_failed_leaves_nothing(server)?;
        a_role_does_not_outlive_its_client(server)?;
        a_role_of_the_login_does_not_move_to_another_user(server)?;
        a_dropped_database_is_not_followed_by_the_one_of_the_login(server)?;
        a_refused_second_statement_is_not_allowed_by_its_length(server)?;
        an_option_does_not_outlive_its_client(server)?;
        columns_of_a_table_are_not_told_to_who_may_not_read_it(server)?;
        what_a_client_has_the_server_tell_is_told_to_it_alone(server)
    })
}

#[test]
fn queries_are_stopped_and_waits_end() -> Result<()> {
    setup().on_each(|server| {
        a_query_on_a_connection_that_was_another_users_can_be_killed(server)?;
        a_kill_that_comes_late_stops_nobody_else(server)?;
        a_client_that_leaves_while_the_server_is_silent_is_seen_to(server)
    })
}

#[test]
fn what_belongs_to_a_session_goes_with_it() -> Result<()> {
    setup().on_each(|server| {
        statements_go_along_to_another_server(server)?;
        what_is_sent_behind_a_change_of_user_is_answered(server)?;
        what_runs_on_new_connections_holds_after_a_reset_and_a_move(server)
    })
}

fn reset(wire: &mut MyWire) -> Result<()> {
    wire.send_command(COM_RESET_CONNECTION, b"")?;
    wire.read_answer().map(drop)
}

fn a_procedure_that_failed_leaves_nothing(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let procedure =
        "create procedure fails() begin set @secret = 'told'; signal sqlstate '42000' set mysql_errno = 1064; end";
    server.superuser(Some(DATABASE))?.query(procedure)?;
    let mut wire = scene.client()?;
    assert_eq!(fails_with(&mut wire, "call fails()"), 1064);
    assert_eq!(scene.client()?.value("select coalesce(@secret, 'nothing')")?, "nothing");
    wire.quit()?;
    scene.at_rest()
}

fn a_role_does_not_outlive_its_client(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    server.sql("create role powerful; grant powerful to 'app'@'%'")?;
    let none = scene.client()?.value("select coalesce(current_role(), 'NONE')")?;
    let mut wire = scene.client()?;
    wire.query("set role powerful")?;
    assert_ne!(wire.value("select current_role()")?, none);
    wire.quit()?;
    assert_eq!(scene.client()?.value("select coalesce(current_role(), 'NONE')")?, none);
    let mut wire = scene.client()?;
    wire.query("set role powerful")?;
    reset(&mut wire)?;
    assert_eq!(wire.value("select coalesce(current_role(), 'NONE')")?, none);
    wire.quit()?;
    scene.at_rest()
}

fn a_role_of_the_login_does_not_move_to_another_user(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    server.sql(match server.kind() {
        Kind::MariaDb => "set default role powerful for 'app'@'%'",
        Kind::MySql => "set default role powerful to 'app'@'%'",
    })?;
    let asks = "select coalesce(current_role(), 'NONE')";
    assert!(scene.client()?.value(asks)?.contains("powerful"));
    assert_eq!(scene.client_of("other")?.value(asks)?, "NONE");
    assert!(scene.client()?.value(asks)?.contains("powerful"));
    server.sql(match server.kind() {
        Kind::MariaDb => "set default role none for 'app'@'%'",
        Kind::MySql => "set default role none to 'app'@'%'",
    })?;
    scene.at_rest()
}

fn columns_of_a_table_are_not_told_to_who_may_not_read_it(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    server.sql(
        "create database hr; create table hr.salaries (name varchar(20), salary int); grant select on hr.* to 'app'@'%'",
    )?;
    let text = "select name, salary from hr.salaries where name = ?";
    for _ in 0..2 {
        assert_eq!(scene.client()?.prepare(text)?.columns, 2);
        assert_eq!(code(&scene.client_of("other")?.prepare(text).unwrap_err()), 1142);
    }
    server.sql("drop database hr; revoke select on hr.* from 'app'@'%'")?;
    scene.at_rest()
}

fn a_dropped_database_is_not_followed_by_the_one_of_the_login(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    server.sql(
        "create database fleeting; grant all on *.* to 'app'@'%'; create table if not exists shop.precious (id int)",
    )?;
    let mut other = scene.client()?;
    for mut wire in [scene.direct()?, scene.client()?] {
        server.sql("create database if not exists fleeting")?;
        wire.query("use fleeting")?;
        wire.query("drop database fleeting")?;
        other.query("select 1")?;
        assert_eq!(wire.value("select coalesce(database(), 'none')")?, "none");
        assert_eq!(fails_with(&mut wire, "select * from precious"), 1046);
        wire.query(&format!("use {DATABASE}"))?;
        assert_eq!(wire.value("select database()")?, DATABASE);
        wire.quit()?;
    }
    // Also when somebody else drops it: one can leave for another one.
    let mut wire = scene.client()?;
    server.sql("create database fleeting")?;
    wire.query("use fleeting")?;
    server.sql("drop database fleeting")?;
    other.query("select 1")?;
    wire.query(&format!("use {DATABASE}"))?;
    assert_eq!(wire.value("select database()")?, DATABASE);
    wire.quit()?;
    scene.at_rest()
}

fn a_refused_second_statement_is_not_allowed_by_its_length(server: &Server) -> Result<()> {
    let scene = setup().toml("[limits]\nmax_message_size = \"1MiB\"").before(server)?;
    let text = format!("do length('{}'); do 1", "x".repeat(4 << 20));
    for mut wire in [scene.direct()?, scene.client()?] {
        wire.send_command(COM_SET_OPTION, &1_u16.to_le_bytes())?;
        wire.read_payload()?;
        assert!(fails_with(&mut wire, &text) == 1064);
        wire.quit()?;
    }
    scene.at_rest()
}

fn an_option_does_not_outlive_its_client(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let many = capability::MULTI_STATEMENTS;
    // The first ends with a server connection that takes one statement, and has it reset.
    let mut wire = scene.client_with(many)?;
    wire.send_command(COM_SET_OPTION, &1_u16.to_le_bytes())?;
    wire.read_payload()?;
    assert_eq!(fails_with(&mut wire, "do 1; do 2"), 1064);
    wire.query("create temporary table mine (id int)")?;
    wire.quit()?;
    let mut wire = scene.client_with(many)?;
    assert_eq!(wire.answers("do 1; do 2")?.len(), 2);
    wire.quit()?;
    scene.at_rest()
}

fn what_a_client_has_the_server_tell_is_told_to_it_alone(server: &Server) -> Result<()> {
    const ASKS: [&str; 3] = [
        "set session_track_state_change = on, session_track_transaction_info = 'STATE'",
        "set sql_mode = ''; set session_track_system_variables = 'sql_mode,autocommit'",
        "set session_track_system_variables = 'wait_timeout'",
    ];
    const TELLING: [&str; 7] = [
        "do 1",
        "set time_zone = '+01:00'",
        "set sql_mode = 'ANSI'",
        "set wait_timeout = 1000",
        "set autocommit = 0",
        "use information_schema",
        "set @x = 1",
    ];
    let scene = setup().before(server)?;
    // What servers can do is known, and offered, when one of them has served somebody.
    scene.at_rest()?;
    let capabilities = capability::MULTI_STATEMENTS | capability::SESSION_TRACK;
    for asks in ASKS {
        let mut through = scene.client_with(capabilities)?;
        let mut direct = directly(server, capabilities)?;
        // What this itself tells depends on what was told before, which is more here.
        through.query(asks)?;
        direct.query(asks)?;
        for text in TELLING {
            assert_eq!(told(&mut through, text)?, told(&mut direct, text)?, "{}: {asks}: {text}", server.kind().name());
        }
        through.quit()?;
        direct.quit()?;
        // On the same connection, the next one is told what it would be, and nothing that it sets is missed.
        let (mut through, mut direct) = (scene.client_with(capabilities)?, directly(server, capabilities)?);
        for text in TELLING {
            assert_eq!(told(&mut through, text)?, told(&mut direct, text)?, "{}: after {asks}", server.kind().name());
        }
        through.quit()?;
        direct.quit()?;
    }
    scene.at_rest()
}

fn directly(server: &Server, capabilities: u32) -> Result<MyWire> {
    MyWire::log_in_as(&server.address(), &Client::new(USER, PASSWORD, Some(DATABASE)).with(capabilities))
}

/// What the OK packets of an answer tell, with their flag for it.
fn told(wire: &mut MyWire, text: &str) -> Result<Vec<(u16, Vec<u8>)>> {
    const SESSION_STATE_CHANGED: u16 = 0x4000;
    let answers = wire.answers(text)?;
    let told = answers.into_iter().filter_map(|answer| match answer {
        Answer::Done(done) => Some((done.status & SESSION_STATE_CHANGED, done.rest)),
        Answer::Rows(_) => None,
    });
    Ok(told.collect())
}

fn a_query_on_a_connection_that_was_another_users_can_be_killed(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let mut wire = scene.client()?;
    // Whether a connection moves or is replaced is the scheduler's choice, which minds how long it was kept.
    poll_until(SOON, "a connection that was another user's", || {
        let before = connection(&mut scene.client_of("other")?)?;
        Ok((connection(&mut wire)? == before).then_some(()))
    })?;
    let id = wire.value("select connection_id()")?;
    wire.send_query("select sleep(60)")?;
    until_running(server, "select sleep(60)", 1)?;
    scene.client()?.query(&format!("kill query {id}"))?;
    // MySQL returns 1 from an interrupted sleep, MariaDB fails.
    match wire.read_answer() {
        Ok(Answer::Rows(table)) => assert_eq!(table.rows, [[Some("1".to_owned())]]),
        Ok(other) => panic!("{other:?}"),
        Err(error) => assert_eq!(code(&error), 1317),
    }
    wire.quit()?;
    scene.at_rest()
}

fn a_kill_that_comes_late_stops_nobody_else(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let mut wire = scene.client()?;
    for _ in 0..5 {
        let holder = scene.hold()?;
        server.sql(&format!("kill query {}", holder.connection()))?;
        holder.release()?;
        assert_eq!(wire.value("select 'mine'")?, "mine");
    }
    wire.quit()?;
    scene.at_rest()
}

fn a_client_that_leaves_while_the_server_is_silent_is_seen_to(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    server.sql("create database if not exists elsewhere; grant all on *.* to 'app'@'%'")?;
    let (mut here, mut there) = (scene.client()?, scene.client()?);
    there.query("use elsewhere")?;
    here.query("do 1")?;
    server.pause()?;
    // What must be asked of the server first is a change of the current database.
    let left = there.send_query("do 2").and_then(|()| until_in_use(&scene.evenkeel, 1)).and_then(|()| {
        drop(there);
        until_in_use(&scene.evenkeel, 0)
    });
    server.resume()?;
    left?;
    assert_eq!(here.value("select database()")?, DATABASE);
    here.quit()?;
    scene.at_rest()
}

fn statements_go_along_to_another_server(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let mut mine = scene.client()?;
    let statement = mine.prepare("select 'mine'")?;
    mine.execute(statement.id, &[])?;
    // The same server, but who knows that?
    scene.evenkeel.reload(&setup().config(&server.address().replace("127.0.0.1", "localhost")))?;
    poll_until(SOON, "the reload", || Ok(scene.evenkeel.log().contains("configuration reloaded").then_some(())))?;
    let mut other = scene.client()?;
    let foreign = other.prepare("select 'foreign'")?;
    other.execute(foreign.id, &[])?;
    match mine.execute(statement.id, &[])? {
        Answer::Rows(table) => assert_eq!(table.rows, [[Some("mine".to_owned())]]),
        other => panic!("{other:?}"),
    }
    mine.quit()?;
    other.quit()?;
    scene.at_rest()
}

fn what_is_sent_behind_a_change_of_user_is_answered(server: &Server) -> Result<()> {
    let scene = setup().before(server)?;
    let mut wire = scene.client()?;
    let command = format!("other\0\0{DATABASE}\0\x2d\0mysql_native_password\0");
    wire.send_command(COM_CHANGE_USER, command.as_bytes())?;
    let switch = wire.read_payload()?;
    let challenge = switch.body.strip_prefix(b"\xfemysql_native_password\0").unwrap().strip_suffix(b"\0").unwrap();
    let proof = scramble("mysql_native_password", PASSWORD, challenge).unwrap();
    let query = [&[COM_QUERY], "select 'behind it'".as_bytes()].concat();
    wire.send(&[packet(switch.sequence + 1, &proof)?, packet(0, &query)?].concat())?;
    assert_eq!(wire.read_payload()?.body.first(), Some(&0), "OK");
    assert_eq!(read_value(&mut wire)?, "behind it");
    wire.quit()?;
    scene.at_rest()
}

fn what_runs_on_new_connections_holds_after_a_reset_and_a_move(server: &Server) -> Result<()> {
    let scene = setup().toml("[pool]\ninit_sql = \"set session group_concat_max_len = 4242\"").before(server)?;
    let asks = "select @@group_concat_max_len";
    let mut wire = scene.client()?;
    assert_eq!(wire.value(asks)?, "4242");
    wire.query("set session group_concat_max_len = 99")?;
    let mut next = scene.client()?;
    assert_eq!(next.value(asks)?, "4242", "what a client set is undone to that");
    next.query("create temporary table mine (id int)")?;
    next.quit()?;
    assert_eq!(wire.value(asks)?, "99");
    assert_eq!(scene.client()?.value(asks)?, "4242", "after a reset");
    let mut other = scene.client_of("other")?;
    assert_eq!(other.value(asks)?, "4242", "after a move");
    wire.quit()?;
    other.quit()?;
    scene.at_rest()
}
