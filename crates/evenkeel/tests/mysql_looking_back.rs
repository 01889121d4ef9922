//! What a session is told of its past is what a server would tell it directly, whoever used the server connection in between.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use mysql::{MyScene, MySetup, code, fails_with};
use testkit::mysql::Server;
use testkit::{MyWire, Result};

const COM_INIT_DB: u8 = 0x02;
const COM_RESET_CONNECTION: u8 = 0x1f;

/// One server connection for all, so that whatever one client leaves, the next one would meet.
fn setup() -> MySetup {
    MySetup::new().budget(1)
}

#[test]
fn a_session_is_told_of_its_own_past() -> Result<()> {
    setup().on_each(|server| {
        let scene = setup().before(server)?;
        scene.sql("create table item (id int auto_increment primary key, n int unique)")?;
        calls_inside_expressions_keep_the_names_of_their_columns(&scene)?;
        rows_found_are_those_that_the_server_counted(&scene)?;
        an_insert_id_is_the_last_that_the_server_gave(&scene)?;
        an_insert_id_of_a_client_that_left_is_nobodys(&scene)?;
        a_statement_that_is_prepared_again_ends_no_transaction(&scene)?;
        set_names_brings_its_collation_along(&scene)?;
        conditions_are_told_once_the_statement_is_over(&scene)?;
        conditions_of_others_are_not_told_behind_a_change_of_database(server, &scene)?;
        a_reset_leads_back_to_where_servers_lead(&scene)?;
        a_mistyped_word_pins_nothing(&scene)?;
        a_statement_that_failed_and_committed_before_keeps_no_connection(&scene)?;
        a_transaction_that_ends_with_release_ends_the_session(&scene)?;
        scene.at_rest()
    })
}

/// Runs texts directly and through; another client uses the server connection after each, where it is free.
fn alike(scene: &MyScene<'_>, texts: &[&str]) -> Result<()> {
    let (mut direct, mut through, mut other) = (scene.direct()?, scene.client()?, scene.client()?);
    let mut held = false;
    for (at, text) in texts.iter().enumerate() {
        let [expected, told] = [&mut direct, &mut through].map(|wire| said(wire, text));
        assert_eq!(told, expected, "{:?} of {texts:?}", texts.get(at.saturating_sub(1)..=at));
        held = (held || *text == "begin") && *text != "commit";
        if !held {
            other.query("select 1 union select 2 union select 3")?;
            other.query("select cast('not a number' as signed)")?;
        }
    }
    // What the tests of a text have changed is undone.
    for wire in [direct, through, other] {
        wire.quit()?;
    }
    Ok(())
}

fn said(wire: &mut MyWire, text: &str) -> std::result::Result<Vec<Vec<Option<String>>>, u16> {
    wire.query(text).map_err(|error| code(&error))
}

fn calls_inside_expressions_keep_the_names_of_their_columns(scene: &MyScene<'_>) -> Result<()> {
    let by_name = |item: &str| format!("select `{item}` from (select {item}) as named");
    let texts = ["row_count() + 1", "-row_count( )", "(select row_count())", "if(row_count() = -1, 'yes', 'no')"];
    let texts: Vec<_> = texts.into_iter().map(by_name).collect();
    let texts: Vec<_> = texts.iter().flat_map(|text| ["select 1", text]).collect();
    alike(scene, &texts)
}

fn rows_found_are_those_that_the_server_counted(scene: &MyScene<'_>) -> Result<()> {
    let asks = "select found_rows()";
    alike(
        scene,
        &[
            "select 1",
            asks,
            "select 1 union select 2",
            asks,
            "select * from (select 1 as n union select 2 union select 3) as three limit 1, 1",
            asks,
            "select * from (select 1 as n union select 2) as two",
            "set sql_mode = ''",
            asks,
            "explain select 1",
            asks,
            "select * from (select 1 as n union select 2) as two",
            "update item set n = n",
            asks,
            "select * from (select 1 as n union select 2) as two",
            "delete from item where n > 1000",
            asks,
            "show create table item",
            asks,
            "insert into item (n) select n + 1000 from item",
            asks,
            "do 1",
            asks,
            "begin",
            "select sql_calc_found_rows * from (select 1 as n union select 2) as two limit 1",
            "commit",
            asks,
        ],
    )
}

/// The answer to an insert has the number that it gave, or the one that the client gave. A failed insert may have given one, too.
fn an_insert_id_is_the_last_that_the_server_gave(scene: &MyScene<'_>) -> Result<()> {
    let asks = "select last_insert_id()";
    scene.sql("create table numbered (id int auto_increment primary key, n int unique)")?;
    let each = |texts: &[&str]| {
        scene.sql("truncate numbered")?;
        let (mut direct, mut through, mut other) = (scene.direct()?, scene.client()?, scene.client()?);
        let mut told = Vec::new();
        for wire in [&mut direct, &mut through] {
            for text in texts {
                other.query("insert into numbered (n) values (null), (null)")?;
                told.push(said(wire, text));
            }
            scene.sql("truncate numbered")?;
        }
        let through = told.split_off(texts.len());
        assert_eq!(through, told, "{texts:?}");
        Ok::<_, anyhow::Error>(())
    };
    each(&["insert into numbered values (4000, 1)", asks])?;
    each(&["insert into numbered (n) values (1)", "insert into numbered values (4000, 2)", asks])?;
    each(&["insert into numbered (n) values (5), (6), (5)", asks])?;
    each(&[
        "insert into numbered (n) select n from (select 7 as n) as one",
        asks,
        "insert into numbered (n) values (8)",
        asks,
    ])
}

/// Nobody asked what the insert came to, and the next client's, which fails, leaves that where it was.
fn an_insert_id_of_a_client_that_left_is_nobodys(scene: &MyScene<'_>) -> Result<()> {
    let (mut leaver, mut wire) = (scene.client()?, scene.client()?);
    leaver.query("begin")?;
    leaver.query("insert into item (id, n) values (900, 900)")?;
    leaver.query("insert into item (n) values (901)")?;
    drop(leaver);
    assert_eq!(fails_with(&mut wire, "insert into item (n) values ('x', 'y')"), 1136);
    assert_eq!(wire.value("select last_insert_id()")?, "0");
    Ok(())
}

fn a_statement_that_is_prepared_again_ends_no_transaction(scene: &MyScene<'_>) -> Result<()> {
    let (mut wire, mut other) = (scene.client()?, scene.client()?);
    let statement = wire.prepare("select 1")?;
    // The connection forgets all statements behind a session that was pinned.
    other.query("set @pinned = 1")?;
    other.quit()?;
    wire.query("set autocommit = 0")?;
    wire.query("insert into numbered (n) values (77)")?;
    wire.execute(statement.id, &[])?;
    wire.query("rollback")?;
    assert_eq!(wire.value("select count(*) from numbered where n = 77")?, "0");
    wire.query("rollback")?;
    wire.quit()
}

fn set_names_brings_its_collation_along(scene: &MyScene<'_>) -> Result<()> {
    let asks = "select @@character_set_connection, @@collation_connection, 'a' = 'a '";
    alike(scene, &["set names latin1", asks, "set names utf8mb4 collate utf8mb4_bin", asks, "set names utf8mb4", asks])
}

fn conditions_are_told_once_the_statement_is_over(scene: &MyScene<'_>) -> Result<()> {
    let (warns, asks) = ("select cast('seven' as signed)", "show warnings");
    alike(
        scene,
        &[warns, asks, "set sql_mode = ''", asks, warns, "begin", asks, warns, "commit", asks, "selct", asks],
    )?;
    alike(scene, &["selct", "show create database shop", asks, "explain select 1", asks, "-- nothing", asks])?;
    alike(scene, &["begin", asks, "select 1", asks, warns, asks, "select * from item", asks, "commit"])
}

fn conditions_of_others_are_not_told_behind_a_change_of_database(server: &Server, scene: &MyScene<'_>) -> Result<()> {
    let (mut wire, mut other) = (scene.client()?, scene.client()?);
    other.query("select cast('secret' as signed)")?;
    wire.send_command(COM_INIT_DB, common::DATABASE.as_bytes())?;
    wire.read_answer()?;
    assert_eq!(wire.query("show warnings")?, Vec::<Vec<Option<String>>>::new(), "{}", server.kind().name());
    Ok(())
}

fn a_reset_leads_back_to_where_servers_lead(scene: &MyScene<'_>) -> Result<()> {
    let asks = "select @@character_set_client, @@collation_connection, @@sql_mode";
    let [direct, through] = [scene.direct()?, scene.client()?].map(|mut wire| {
        wire.query("set names latin1").unwrap();
        wire.send_command(COM_RESET_CONNECTION, b"").unwrap();
        wire.read_answer().unwrap();
        wire.query(asks).unwrap()
    });
    assert_eq!(through, direct);
    Ok(())
}

fn a_mistyped_word_pins_nothing(scene: &MyScene<'_>) -> Result<()> {
    let (mut wire, mut other) = (scene.client()?, scene.client()?);
    assert_eq!(fails_with(&mut wire, "selct 1"), 1064);
    assert_eq!(other.value("select 2")?, "2");
    assert_eq!(fails_with(&mut wire, "execute nothing"), 1243);
    assert_eq!(other.value("select 2")?, "2");
    Ok(())
}

fn a_statement_that_failed_and_committed_before_keeps_no_connection(scene: &MyScene<'_>) -> Result<()> {
    let (mut wire, mut other) = (scene.client()?, scene.client()?);
    wire.query("begin")?;
    assert_eq!(fails_with(&mut wire, "create table item (n int)"), 1050);
    assert_eq!(other.value("select 2")?, "2");
    Ok(())
}

fn a_transaction_that_ends_with_release_ends_the_session(scene: &MyScene<'_>) -> Result<()> {
    let (mut wire, mut other) = (scene.client()?, scene.client()?);
    wire.query("begin")?;
    wire.query("commit release")?;
    wire.read_to_close()?;
    assert_eq!(other.value("select 2")?, "2");
    Ok(())
}
