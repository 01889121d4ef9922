//! Slots that move between users of a MySQL server: by a new login on the live connection (`COM_CHANGE_USER`), counted
//! here and by the server itself, and never with anything of the user before.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use std::thread;

use common::{DATABASE, PASSWORD, USER};
use mysql::{MySetup, connection, fails_with, status};
use testkit::mysql::{Client, Server, capability};
use testkit::{Evenkeel, MyWire, Result};
use watch::{at_rest, whole};

const USERS: [&str; 6] = [USER, "clerk", "auditor", "porter", "cook", "gardener"];
/// What counts `COM_CHANGE_USER` on servers, among other commands that are not sent here.
const ADMIN_COMMANDS: &str = "Com_admin_commands";
const PATIENT: &str = "[pool]\ncheckout_timeout = \"60s\"";

fn setup(budget: u32) -> MySetup {
    USERS[1..].iter().fold(MySetup::new().budget(budget).toml(PATIENT), |setup, name| setup.user(name))
}

fn count(keel: &Evenkeel, what: &str) -> Result<u64> {
    Ok(whole(keel, &format!("evenkeel_server_{what}_total{{server=\"main\"}}"))?.into())
}

#[test]
fn slots_move_by_a_new_login() -> Result<()> {
    setup(1).on_each(|server| {
        many_users_on_few_slots(server)?;
        nothing_is_carried_along(server)?;
        a_user_who_is_refused(server)?;
        flavours_do_not_mix(server)
    })
}

/// More users than slots, all at work: nearly every move is a new login, and the server saw as many as we did.
fn many_users_on_few_slots(server: &Server) -> Result<()> {
    const ROUNDS: usize = 40;
    let scene = setup(2).before(server)?;
    let (connections, changes) = (status(server, "Connections")?, status(server, ADMIN_COMMANDS)?);
    thread::scope(|scope| {
        let users = USERS.map(|user| {
            let scene = &scene;
            scope.spawn(move || -> Result<()> {
                let mut wire = scene.client_of(user)?;
                for round in 0..ROUNDS {
                    let token = format!("{user} {round}");
                    let rows =
                        wire.query(&format!("select '{token}', substring_index(current_user(), '@', 1), database()"))?;
                    assert_eq!(rows, [[Some(token), Some(user.to_owned()), Some(DATABASE.to_owned())]]);
                }
                Ok(())
            })
        });
        users.into_iter().try_for_each(|user| user.join().unwrap())
    })?;
    let keel = &scene.evenkeel;
    let (rekeys, connects) = (count(keel, "rekeys")?, count(keel, "connects")?);
    // Six users, two slots: four of them can only have come by a move.
    assert!(rekeys >= 4, "{rekeys} new logins for {} users", USERS.len());
    assert_eq!(count(keel, "rekey_failures")?, 0);
    assert!(connects <= 4, "{connects} connects, {rekeys} new logins");
    // What the server counts: ours, and our own questions.
    let seen = status(server, ADMIN_COMMANDS)? - changes;
    assert_eq!(seen, rekeys, "the server's own count");
    let opened = status(server, "Connections")? - connections;
    assert!(opened < connects + 10, "{opened} connections opened on the server, {connects} by us");
    scene.at_rest()
}

/// What one user leaves in a connection is not there when another has it.
fn nothing_is_carried_along(server: &Server) -> Result<()> {
    let scene = setup(1).before(server)?;
    let mut first = scene.client()?;
    let before = connection(&mut first)?;
    first.query("set time_zone = '+05:00', sql_mode = 'ANSI_QUOTES', lock_wait_timeout = 77")?;
    first.query("select last_insert_id(4711)")?;
    let own = first.prepare("select concat(?, ' of the first')")?.id;
    first.execute(own, &[Some("x")])?;
    let mut second = scene.client_of("clerk")?;
    let seen = second.query("select @@time_zone, @@lock_wait_timeout = 77, \"text\", last_insert_id(), @mine")?;
    let expected =
        [Some("SYSTEM".to_owned()), Some("0".to_owned()), Some("text".to_owned()), Some("0".to_owned()), None];
    assert_eq!(seen, [expected]);
    assert_eq!(connection(&mut second)?, before, "it is the same connection");
    let id = second.prepare("select concat(?, ' of the first')")?.id;
    assert!(format!("{:?}", second.execute(id, &[Some("not")])?).contains("not of the first"));
    // And back: the first finds everything as it left it.
    let seen = first.query("select @@time_zone, @@lock_wait_timeout, last_insert_id()")?;
    assert_eq!(seen, [[Some("+05:00".to_owned()), Some("77".to_owned()), Some("4711".to_owned())]]);
    assert!(format!("{:?}", first.execute(own, &[Some("still")])?).contains("still of the first"));
    drop((first, second));
    scene.at_rest()
}

/// A login that the server refuses costs the connection, not the client that waits behind it.
fn a_user_who_is_refused(server: &Server) -> Result<()> {
    server.sql("create user gone@'%' identified by 'open sesame'")?;
    server.sql(&format!("grant all on {DATABASE}.* to gone@'%'"))?;
    let scene = setup(1).user("gone").toml("[timeouts]\nlogin = \"20s\"").before(server)?;
    let mut gone = scene.client_of("gone")?;
    assert_eq!(gone.value("select 1")?, "1");
    let mut other = scene.client()?;
    assert_eq!(other.value("select 1")?, "1");
    server.sql("drop user gone")?;
    assert_eq!(fails_with(&mut gone, "select 1"), 1045);
    assert_eq!(other.value("select 'served'")?, "served");
    at_rest(&scene.evenkeel)
}

/// Connections that count rows found are never lent to clients that count rows changed.
fn flavours_do_not_mix(server: &Server) -> Result<()> {
    let scene = setup(1).before(server)?;
    scene.sql("create table t (id int primary key, n int); insert into t values (1, 5)")?;
    let log_in = |user: &str, abilities: u32| {
        let client = Client::new(user, PASSWORD, Some(DATABASE)).with(abilities);
        MyWire::log_in_as(&scene.evenkeel.mysql_address(), &client)
    };
    for _ in 0..3 {
        for (user, abilities, expected) in
            [(USER, 0, 0), (USER, capability::FOUND_ROWS, 1), ("clerk", 0, 0), ("clerk", capability::FOUND_ROWS, 1)]
        {
            let mut wire = log_in(user, abilities)?;
            assert_eq!(mysql::done(&mut wire, "update t set n = 5 where id = 1")?.affected, expected, "{user}");
        }
    }
    scene.sql("drop table t")?;
    scene.at_rest()
}
