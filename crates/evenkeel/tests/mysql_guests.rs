//! Users that are not in the configuration: the server decides about them, also when it changes its mind.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use common::{DATABASE, PASSWORD, USER};
use mysql::{MyScene, MySetup, code};
use testkit::mysql::Server;
use testkit::{MyWire, Result};
use watch::until_logged;

#[test]
fn guests_are_the_servers_business() -> Result<()> {
    let setup = || MySetup::new().toml("[mysql]\nunknown_users = \"ask_server\"\n");
    setup().on_each(|server| {
        let scene = setup().before(server)?;
        let may = format!("grant all on {DATABASE}.* to 'guest'@'%'");
        server.sql(&format!("create user guest@'%' identified by 'first'; {may}"))?;
        a_guest_is_itself_on_the_server(&scene)?;
        another_password_takes_the_place_of_the_first(&scene, server)?;
        let elsewhere = setup().config(&server.address().replace("127.0.0.1", "localhost"));
        a_server_that_moves_is_asked_again(&scene, server, &elsewhere)?;
        scene.at_rest()
    })
}

fn a_guest_is_itself_on_the_server(scene: &MyScene<'_>) -> Result<()> {
    for _ in 0..2 {
        assert!(log_in(scene, "guest", "first")?.value("select current_user()")?.starts_with("guest@"));
    }
    assert_eq!(refused(scene, "guest", "wrong"), 1045);
    assert_eq!(refused(scene, "nobody", PASSWORD), 1045);
    // A wrong guess costs the right one nothing.
    log_in(scene, "guest", "first")?.query("select 1").map(drop)
}

/// Also for connections that were opened with the first.
fn another_password_takes_the_place_of_the_first(scene: &MyScene<'_>, server: &Server) -> Result<()> {
    server.sql("alter user guest@'%' identified by 'second'")?;
    log_in(scene, "guest", "second")?.query("select 1")?;
    assert_eq!(refused(scene, "guest", "first"), 1045);
    log_in(scene, "guest", "second")?.query("select 1").map(drop)
}

fn a_server_that_moves_is_asked_again(scene: &MyScene<'_>, server: &Server, elsewhere: &str) -> Result<()> {
    log_in(scene, "guest", "second")?.query("select 1")?;
    server.sql("alter user guest@'%' identified by 'third'")?;
    scene.evenkeel.reload(elsewhere)?;
    until_logged(&scene.evenkeel, "configuration reloaded")?;
    assert_eq!(refused(scene, "guest", "second"), 1045);
    log_in(scene, "guest", "third")?.query("select 1").map(drop)
}

/// A database may lead to an account of its own. That a server has accepted a guest's password for another one says nothing of that.
#[test]
fn a_guest_checked_for_one_account_is_not_let_in_as_another() -> Result<()> {
    MySetup::new().on_each(|server| {
        let pooled = format!(
            "[[databases]]\nname = \"pooled\"\nserver = \"main\"\nserver_database = \"{DATABASE}\"\n\
             server_user = \"{USER}\"\nserver_password = \"{PASSWORD}\"\n"
        );
        let scene =
            MySetup::new().toml("[mysql]\nunknown_users = \"ask_server\"\n").server_toml(&pooled).before(server)?;
        server.sql(&format!("create user bob@'%' identified by 'bobs'; grant all on {DATABASE}.* to bob@'%'"))?;
        let pooled = |password| scene.evenkeel.mysql_client("bob", password, Some("pooled"));
        // Somebody has told what the route there begins with, so that nothing but the check keeps anybody out.
        assert!(pooled(PASSWORD)?.value("select current_user()")?.starts_with(USER));
        assert!(log_in(&scene, "bob", "bobs")?.value("select current_user()")?.starts_with("bob@"));
        assert_eq!(code(&pooled("bobs").unwrap_err()), 1045);
        // Nor does a failure at one account cost him the other.
        assert_eq!(log_in(&scene, "bob", "bobs")?.value("select 'in'")?, "in");
        scene.at_rest()
    })
}

fn log_in(scene: &MyScene<'_>, user: &str, password: &str) -> Result<MyWire> {
    scene.evenkeel.mysql_client(user, password, Some(DATABASE))
}

fn refused(scene: &MyScene<'_>, user: &str, password: &str) -> u16 {
    code(&log_in(scene, user, password).unwrap_err())
}
