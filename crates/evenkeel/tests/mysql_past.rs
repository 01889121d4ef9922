//! What a statement looks back at is its own client's past, whichever connection it runs on; and what a session is told
//! unasked answers what its client does next.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use mysql::{MySetup, fails_with};
use testkit::Result;
use testkit::mysql::{Answer, Server, capability};

#[test]
fn the_past_is_ones_own() -> Result<()> {
    MySetup::new().budget(1).on_each(|server| {
        conditions_of_another_client_are_not_seen(server)?;
        ones_own_conditions_are_seen_where_the_connection_is_held(server)?;
        a_reset_keeps_the_current_database(server)?;
        last_words_are_numbered_as_the_next_answer(server)
    })
}

fn conditions_of_another_client_are_not_seen(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let mut other = scene.client()?;
    let fail = |other: &mut _| assert_eq!(fails_with(other, "select * from a_secret_name"), 1146);

    fail(&mut other);
    let mut wire = scene.client()?;
    assert_eq!(wire.value("select concat(@@warning_count, ' ', 'of mine')")?, "0 of mine");

    fail(&mut other);
    let mut wire = scene.client_with(capability::MULTI_STATEMENTS)?;
    let answers = wire.answers("show warnings; select 1")?;
    assert!(matches!(&answers[..], [Answer::Rows(table), _] if table.rows.is_empty()), "{answers:?}");

    fail(&mut other);
    let mut wire = scene.client()?;
    wire.query("get diagnostics @number = number")?;
    assert_eq!(wire.value("select @number")?, "0");
    wire.quit()?;
    scene.at_rest()
}

fn ones_own_conditions_are_seen_where_the_connection_is_held(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let mut wire = scene.client()?;
    wire.query("begin")?;
    assert_eq!(fails_with(&mut wire, "select * from my_own_name"), 1146);
    wire.query("get diagnostics condition 1 @number = mysql_errno")?;
    assert_eq!(wire.value("select @number")?, "1146");
    wire.quit()?;
    scene.at_rest()
}

fn a_reset_keeps_the_current_database(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    server.sql("create database elsewhere; grant all on elsewhere.* to 'app'@'%'")?;
    for mut wire in [scene.direct()?, scene.client()?] {
        wire.query("use elsewhere")?;
        wire.query("set @gone = 1")?;
        wire.send_command(COM_RESET_CONNECTION, b"")?;
        wire.read_answer()?;
        assert_eq!(wire.value("select concat(database(), ' ', coalesce(@gone, 'gone'))")?, "elsewhere gone");
        wire.quit()?;
    }
    scene.at_rest()
}

/// Drivers check the number; with another one they report broken packets instead of the reason.
fn last_words_are_numbered_as_the_next_answer(server: &Server) -> Result<()> {
    let scene = MySetup::new().budget(1).before(server)?;
    let mut killer = scene.client()?;
    for before in ["do 1", "begin"] {
        let mut wire = scene.client()?;
        let id = wire.value("select connection_id()")?;
        wire.query(before)?;
        killer.query(&format!("kill {id}"))?;
        wire.send_query("select 1").ok();
        let packet = wire.read_payload()?;
        assert_eq!((packet.body.first(), packet.sequence), (Some(&0xff), 1), "behind {before}");
    }
    killer.quit()?;
    scene.at_rest()
}

const COM_RESET_CONNECTION: u8 = 0x1f;
