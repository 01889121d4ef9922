//! The sum of all connections that can be opened, beside what real servers let in.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use std::fs;
use std::process::Command;

use common::{DATABASE, PASSWORD, Setup, USER, binary};
use mysql::MySetup;
use testkit::mysql::{Answer, Server};
use testkit::{Evenkeel, Options, Postgres, Result, poll_until};
use watch::{ADMIN, SOON, Shown, at_rest, console, show, until_logged, until_says};

/// 20 connections, 3 of them for superusers; nobody but clients connects to a database.
fn postgres_options() -> Options {
    Options::new().max_connections(20).set("superuser_reserved_connections", "3").set("autovacuum", "off")
}

fn setup(budget: u32) -> Setup {
    Setup::new().options(postgres_options()).budget(budget).toml(ADMIN)
}

/// What `SHOW SUM` has under a term; `None`: no number.
fn connections(evenkeel: &Evenkeel, term: &str) -> Result<Option<i64>> {
    let table = show(&mut console(evenkeel)?, "sum")?;
    Ok(number(&table, term))
}

fn number(sum: &Shown, term: &str) -> Option<i64> {
    let row = sum.find("term", term).unwrap_or_else(|| panic!("no {term} in {:?}", sum.rows));
    sum.get(row, "connections").parse().ok()
}

/// What `evenkeel check` says of a configuration, and whether it is content.
fn check(text: &str) -> Result<(bool, String)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("evenkeel.toml");
    fs::write(&file, text)?;
    let output = Command::new(binary()).args(["check", "--config"]).arg(&file).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn a_postgres_server_is_asked_what_it_lets_in() -> Result<()> {
    let pg = setup(12).postgres()?;
    shown_and_said(&pg)?;
    refused_at_the_start(&pg)?;
    refused_at_a_reload(&pg)?;
    checked(&pg)?;
    users_and_databases_have_limits_of_their_own(&pg)
}

/// The first connection asks; SHOW SUM asks anew.
fn shown_and_said(pg: &Postgres) -> Result<()> {
    let evenkeel = setup(12).evenkeel(&pg.address())?;
    until_logged(&evenkeel, "at most 12 connections: caps 12, budget 12")?;
    assert_eq!(connections(&evenkeel, "most")?, Some(12));
    evenkeel.client(USER, PASSWORD, DATABASE)?.value("select 1")?;
    until_logged(&evenkeel, "there is room for 17: max_connections 20 - 3 for administrators - 0 of others")?;
    // Others come: that many fewer are left, and it is said when it is seen that it does not fit any more.
    let _others: Vec<_> = (0..6).map(|_| pg.superuser("postgres")).collect::<Result<_>>()?;
    let numbers = ["max_connections", "reserve", "others", "usable", "room"].map(|term| connections(&evenkeel, term));
    let numbers: Vec<_> = numbers.into_iter().collect::<Result<_>>()?;
    assert_eq!(numbers, [Some(20), Some(3), Some(6), Some(11), Some(-1)]);
    let warning = "That is 1 too many: lower servers.budget from 12 to 11, or raise max_connections by 1";
    assert!(until_logged(&evenkeel, warning)?.contains("WARN"), "a warning");
    // A smaller budget is a matter of a reload, and fits.
    evenkeel.reload(&setup(11).config(&pg.address()))?;
    until_logged(&evenkeel, "It fits, and 0 are left")?;
    let (status, page) = evenkeel.http("/api/sum")?;
    assert!(status == 200 && page.contains("\"term\":\"room\""), "{page}");
    at_rest(&evenkeel)
}

const REFUSE: &str = "[pool]\nfit = \"refuse\"";

fn refused_at_the_start(pg: &Postgres) -> Result<()> {
    let error = setup(18).toml(REFUSE).evenkeel(&pg.address()).expect_err("18 do not fit into 17");
    let said = format!("{error:#}");
    assert!(said.contains("That is 1 too many: lower servers.budget from 18 to 17"), "{said}");
    // As a warning it is no reason not to start.
    let evenkeel = setup(18).evenkeel(&pg.address())?;
    evenkeel.client(USER, PASSWORD, DATABASE)?.value("select 1")?;
    until_logged(&evenkeel, "That is 1 too many")?;
    at_rest(&evenkeel)
}

fn refused_at_a_reload(pg: &Postgres) -> Result<()> {
    let evenkeel = setup(17).toml(REFUSE).evenkeel(&pg.address())?;
    let mut client = evenkeel.client(USER, PASSWORD, DATABASE)?;
    assert_eq!(client.value("select 1")?, "1");
    evenkeel.reload(&setup(18).toml(REFUSE).config(&pg.address()))?;
    let refused = until_logged(&evenkeel, "configuration not reloaded")?;
    assert!(refused.contains("lower servers.budget from 18 to 17"), "{refused}");
    assert_eq!(connections(&evenkeel, "budget")?, Some(17), "the old configuration stays in force");
    assert_eq!(client.value("select 2")?, "2");
    at_rest(&evenkeel)
}

fn checked(pg: &Postgres) -> Result<()> {
    let (content, said) = check(&setup(17).config(&pg.address()))?;
    assert!(content && said.contains("at most 17 connections: caps 17, budget 17"), "{said}");
    assert!(said.contains("It fits, and 0 are left"), "{said}");
    let (content, said) = check(&setup(18).config(&pg.address()))?;
    assert!(content && said.contains("warning: server main: at most 18 connections"), "{said}");
    let (content, said) = check(&setup(18).toml(REFUSE).config(&pg.address()))?;
    assert!(!content && said.contains("1 servers have no room for all connections"), "{said}");
    let preset = setup(16).server_toml("classes = \"vttablet\"");
    let (content, said) = check(&preset.config(&pg.address()))?;
    assert!(content && said.contains("20 × 2 + 16 + 200 + 20 + 40 + 3 + 7 = 326, reserved without a cap"), "{said}");
    assert!(said.contains("warning: server `main`: class `stream` has a cap of 200"), "{said}");
    Ok(())
}

fn users_and_databases_have_limits_of_their_own(pg: &Postgres) -> Result<()> {
    pg.psql("alter role app connection limit 10")?;
    pg.psql("alter database shop connection limit 13")?;
    until_says(pg, "select count(*) from pg_stat_activity where usename = 'app'", "0")?;
    let evenkeel = setup(12).evenkeel(&pg.address())?;
    evenkeel.client(USER, PASSWORD, DATABASE)?.value("select 1")?;
    let warning = "as user app at most 12 are opened, and there is room for 10: rolconnlimit 10. That is 2 too many";
    assert!(until_logged(&evenkeel, warning)?.contains("WARN"), "a warning");
    let _others: Vec<_> = (0..2).map(|_| pg.superuser(DATABASE)).collect::<Result<_>>()?;
    let terms = ["user app", "user app: usable", "user app: room", "database shop", "database shop: usable"];
    let numbers: Vec<_> = terms.into_iter().map(|term| connections(&evenkeel, term)).collect::<Result<_>>()?;
    assert_eq!(numbers, [12, 10, -2, 12, 11].map(Some));
    assert_eq!(connections(&evenkeel, "database shop: room")?, Some(-1));
    assert_eq!(connections(&evenkeel, "room")?, Some(3), "in all it fits");
    let (content, said) = check(&setup(12).toml(REFUSE).config(&pg.address()))?;
    assert!(!content && said.contains("to database shop at most 12 are opened, and there is room for"), "{said}");
    // Routes with caps fit.
    let capped = setup(12).toml(REFUSE).toml("[[routes]]\nuser = \"app\"\ncap = 10");
    evenkeel.reload(&capped.config(&pg.address()))?;
    until_logged(&evenkeel, "configuration reloaded")?;
    assert_eq!(connections(&evenkeel, "user app: room")?, Some(0));
    at_rest(&evenkeel)
}

#[test]
fn a_mysql_server_is_asked_what_it_lets_in() -> Result<()> {
    let options = testkit::mysql::Options::new().max_connections(30).set("max_user_connections", "20");
    MySetup::new().options(options).on_each(|server| {
        let scene = MySetup::new().budget(12).toml(ADMIN).before(server)?;
        assert_eq!(scene.client()?.value("select 1")?, "1");
        until_logged(&scene.evenkeel, "max_connections 30 - 0 for administrators")?;
        let _others: Vec<_> = (0..7).map(|_| server.superuser(None)).collect::<Result<_>>()?;
        // What the server counts, without the one connection that asks and those that the pool has.
        poll_until(SOON, "others as the server counts them", || {
            let (others, ours) = (mysql_sum(&scene.evenkeel, "others")?, i64::from(watch::held(&scene.evenkeel)?));
            Ok((others == Some(threads(server)? - 1 - ours)).then_some(()))
        })?;
        assert!(mysql_sum(&scene.evenkeel, "others")? >= Some(7));
        assert_eq!(mysql_sum(&scene.evenkeel, "max_connections")?, Some(30));
        let room = mysql_sum(&scene.evenkeel, "usable")?.unwrap() - 12;
        assert_eq!(mysql_sum(&scene.evenkeel, "room")?, Some(room));
        accounts_have_limits_of_their_own(server)
    })
}

fn accounts_have_limits_of_their_own(server: &Server) -> Result<()> {
    server.sql(&format!("alter user '{USER}'@'%' with max_user_connections 5"))?;
    let setup = MySetup::new().budget(6).toml(ADMIN);
    let scene = setup.before(server)?;
    assert_eq!(scene.client()?.value("select 1")?, "1");
    let warning =
        "as user app at most 6 are opened, and there is room for 5: max_user_connections 5. That is 1 too many";
    assert!(until_logged(&scene.evenkeel, warning)?.contains("WARN"), "a warning");
    assert_eq!(mysql_sum(&scene.evenkeel, "user app: room")?, Some(-1));
    let (content, said) = check(&setup.config(&server.address()))?;
    assert!(content && said.contains(warning), "{said}");
    // What holds for everybody holds for those who have no limit of their own.
    server.sql(&format!("alter user '{USER}'@'%' with max_user_connections 0"))?;
    let (content, said) = check(&setup.config(&server.address()))?;
    assert!(content && !said.contains("too many"), "{said}");
    let (content, said) = check(&setup.budget(21).config(&server.address()))?;
    assert!(content && said.contains("room for 20: max_user_connections 20"), "{said}");
    Ok(())
}

/// Connections of the server, the one that asks included.
fn threads(server: &Server) -> Result<i64> {
    let mut root = server.superuser(None)?;
    match root.answers("show global status like 'Threads_connected'")?.pop() {
        Some(Answer::Rows(table)) => Ok(table.rows[0][1].as_deref().unwrap_or_default().parse()?),
        other => panic!("{other:?}"),
    }
}

/// As [`connections`], over MySQL's protocol.
fn mysql_sum(evenkeel: &Evenkeel, term: &str) -> Result<Option<i64>> {
    let table = mysql::show(&mut mysql::console(evenkeel)?, "sum")?;
    Ok(number(&table, term))
}
