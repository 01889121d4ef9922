//! MariaDB, MySQL and what speaks to them: what other tests rely on, checked once here, without any pooler.

use std::time::Duration;

use testkit::mysql::{
    Answer, Cli, Client, Install, Kind, Login, Options, SUPERUSER, Server, ServerError, capability, for_each_server,
    skipped,
};
use testkit::sysbench::Script;
use testkit::{Authority, MyWire, Result, Sysbench, poll_until};

const SOON: Duration = Duration::from_secs(30);

fn code(error: &anyhow::Error) -> u16 {
    error.downcast_ref::<ServerError>().map_or(0, |error| error.code)
}

#[test]
fn a_server_has_the_users_databases_and_settings_asked_for() -> Result<()> {
    let options = Options::new().user("app", "se'cret", Login::Usual).database("shop").max_connections(17);
    for_each_server(&options, |server| {
        assert!(server.sql("select version()")?.starts_with(server.install().version()));
        assert_eq!(server.sql("select @@max_connections; select 'a', null")?, "17\na\tNULL");
        server.sql("create table shop.t (n int); insert into shop.t values (7)")?;
        // MySQL wants the whole password of the first, encrypted, and remembers it for the others.
        let socket = server.socket().display().to_string();
        for address in [server.address(), server.address(), socket] {
            let mut wire = MyWire::log_in(&address, "app", "se'cret", Some("shop"))?;
            assert_eq!(wire.value("select n from t")?, "7");
            assert_eq!(code(&wire.query("select * from mysql.user").unwrap_err()), 1142);
            wire.quit()?;
        }
        assert_eq!(code(&MyWire::log_in(&server.address(), "app", "wrong", None).unwrap_err()), 1045);
        assert!(server.sql("select nonsense").unwrap_err().to_string().contains("1054"));
        Ok(())
    })
}

#[test]
fn a_stopped_or_killed_server_starts_again_with_its_data() -> Result<()> {
    for_each_server(&Options::new().database("shop"), |server| {
        server.sql("create table shop.kept as select 42 as n")?;
        let before = server.superuser(None)?.greeting().map(|greeting| greeting.connection_id);
        assert!(before.is_some());
        server.stop()?;
        assert!(MyWire::connect(&server.address()).is_err(), "still listening");
        server.restart()?;
        server.kill();
        server.restart()?;
        assert_eq!(server.sql("select n from shop.kept")?, "42");
        Ok(())
    })
}

#[test]
fn a_paused_server_is_silent_and_a_resumed_one_answers() -> Result<()> {
    for_each_server(&Options::new(), |server| {
        let mut wire = server.superuser(None)?;
        server.pause()?;
        wire.send_query("select 1")?;
        wire.set_timeout(Duration::from_millis(200))?;
        assert!(wire.read().is_err(), "a frozen server answered");
        wire.set_timeout(SOON)?;
        server.resume()?;
        assert!(matches!(wire.read_answer()?, Answer::Rows(table) if table.rows.len() == 1));
        Ok(())
    })
}

#[test]
fn a_replica_follows_and_can_be_promoted() -> Result<()> {
    let options = Options::new().user("app", "pw", Login::Usual).database("shop");
    for_each_server(&options, |primary| {
        let replica = primary.start_replica()?;
        primary.sql("create table shop.t as select 7 as n")?;
        replica.wait_caught_up(primary)?;
        assert_eq!(replica.sql("select n, @@read_only from shop.t")?, "7\t1");
        let mut app = MyWire::log_in(&replica.socket().display().to_string(), "app", "pw", Some("shop"))?;
        assert_eq!(code(&app.query("insert into t values (8)").unwrap_err()), 1290);
        replica.promote()?;
        app.query("insert into t values (8)")?;
        Ok(())
    })
}

#[test]
fn every_login_of_mariadb_asks_in_its_own_way() -> Result<()> {
    let options = Options::new().user("n", "pw", Login::Native).user("e", "pw", Login::Ed25519);
    let server = Server::start(Kind::MariaDb, options.user("s", "", Login::UnixSocket))?;
    MyWire::log_in(&server.address(), "n", "pw", None)?.quit()?;
    let cli = Cli::new(Kind::MariaDb, server.port(), "e", "pw")?;
    assert_eq!(cli.sql("", "select current_user()")?, "e@%");
    let strange = MyWire::log_in(&server.address(), "e", "pw", None).unwrap_err();
    assert!(format!("{strange:#}").contains("client_ed25519"), "{strange:#}");
    assert_eq!(code(&MyWire::log_in(&server.socket().display().to_string(), "s", "", None).unwrap_err()), 1698);
    Ok(())
}

#[test]
fn every_login_of_mysql_asks_in_its_own_way() -> Result<()> {
    if let Err(why) = Install::find(Kind::MySql) {
        skipped("MySQL's logins", &format!("{why:#}"));
        return Ok(());
    }
    let options = Options::new().user("c", "pw", Login::CachingSha2).user("t", "pw", Login::Sha256);
    let server = Server::start(Kind::MySql, options.user("s", "", Login::UnixSocket))?;
    MyWire::log_in(&server.address(), "c", "pw", None)?.quit()?;
    let cli = Cli::new(Kind::MySql, server.port(), "t", "pw")?;
    assert_eq!(cli.sql("", "select current_user()")?, "t@%");
    let strange = MyWire::log_in(&server.address(), "t", "pw", None).unwrap_err();
    assert!(format!("{strange:#}").contains("sha256_password"), "{strange:#}");
    assert!(MyWire::log_in(&server.socket().display().to_string(), "s", "", None).is_err());
    Ok(())
}

#[test]
fn the_processlist_shows_who_is_there() -> Result<()> {
    let options = Options::new().user("app", "pw", Login::Usual).database("shop");
    for_each_server(&options, |server| {
        let mut wire = MyWire::log_in(&server.socket().display().to_string(), "app", "pw", Some("shop"))?;
        let id: u64 = wire.value("select connection_id()")?.parse()?;
        assert_eq!(wire.greeting().map(|greeting| u64::from(greeting.connection_id)), Some(id));
        wire.send_query("select sleep(3600)")?;
        poll_until(SOON, "the sleep", || {
            let sessions = server.processlist()?;
            let asleep = sessions.iter().any(|session| {
                session.id == id
                    && session.user == "app"
                    && session.database.as_deref() == Some("shop")
                    && session.info.as_deref() == Some("select sleep(3600)")
            });
            Ok(asleep.then_some(()))
        })?;
        server.sql(&format!("kill query {id}"))?;
        assert!(wire.read_answer().is_ok() || wire.query("select 1").is_ok());
        Ok(())
    })
}

#[test]
fn the_raw_client_reads_several_results_and_prepares() -> Result<()> {
    for_each_server(&Options::new(), |server| {
        for ends in [0, capability::DEPRECATE_EOF] {
            let client = Client::new(SUPERUSER, "", Some("mysql")).with(ends);
            use_raw_client(MyWire::log_in_as(&server.address(), &client)?)?;
        }
        Ok(())
    })
}

fn use_raw_client(mut wire: MyWire) -> Result<()> {
    let answers = wire.answers("do 1; select 1 as a, null as b; begin")?;
    let [Answer::Done(_), Answer::Rows(table), Answer::Done(begun)] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!(table.columns, ["a", "b"]);
    assert_eq!(table.rows, [[Some("1".to_owned()), None]]);
    assert_eq!(begun.status & 1, 1, "in a transaction");
    let statement = wire.prepare("select concat(?, 'b'), cast(? as signed) - 1, ?")?;
    assert_eq!((statement.parameters, statement.columns), (3, 3));
    let Answer::Rows(table) = wire.execute(statement.id, &[Some("a"), Some("-41"), None])? else { panic!("no rows") };
    assert_eq!(table.rows, [[Some("ab".to_owned()), Some("-42".to_owned()), None]]);
    wire.close_statement(statement.id)?;
    let Err(closed) = wire.execute(statement.id, &[Some("a"), Some("0"), None]) else { panic!("it was closed") };
    assert_eq!(code(&closed), 1243);
    assert_eq!(wire.value("select 1")?, "1");
    Ok(())
}

#[test]
fn both_command_line_clients_reach_both_servers() -> Result<()> {
    for_each_server(&Options::new().user("app", "pw", Login::Usual).database("shop"), |server| {
        for kind in Kind::ALL {
            let Ok(cli) = Cli::new(kind, server.port(), "app", "pw") else {
                skipped(kind.name(), "its client is not installed");
                continue;
            };
            // MySQL tells the whole password only to a server whose key or certificate is trusted, once.
            let cli = cli.option(if kind == Kind::MySql { "--get-server-public-key" } else { "--compress" });
            assert_eq!(cli.sql("shop", "select database(), user()")?, "shop\tapp@127.0.0.1", "{} client", kind.name());
        }
        Ok(())
    })
}

#[test]
fn sysbench_reports_what_it_did() -> Result<()> {
    for_each_server(&Options::new().user("app", "pw", Login::Usual).database("shop"), |server| {
        let bench =
            Sysbench::new(server.port(), "app", "pw", "shop").clients(2).duration(Duration::from_secs(1)).rows(100);
        bench.prepare()?;
        assert_eq!(server.sql("select count(*) from shop.sbtest1")?, "100");
        let points = bench.clone().unprepared().run()?;
        assert!(points.transactions > 0 && points.max >= points.p95 && points.p95 > Duration::ZERO);
        assert!((points.tps - points.qps).abs() < 0.01 * points.tps, "one statement an event");
        let mixed = bench.clone().script(Script::ReadOnly).without_transactions().run()?;
        assert!(mixed.qps > 10.0 * mixed.tps, "many statements an event: {}", mixed.report);
        bench.cleanup()?;
        assert!(bench.run().unwrap_err().to_string().contains("1146"), "the table is gone");
        Ok(())
    })
}

#[test]
fn a_server_with_tls_has_a_certificate_that_its_authority_vouches_for() -> Result<()> {
    let options = Options::new().user("app", "pw", Login::Usual).database("shop").tls(&["127.0.0.1", "localhost"]);
    for_each_server(&options, |server| {
        server.sql("alter user app@'%' require ssl")?;
        assert_eq!(code(&MyWire::log_in(&server.address(), "app", "pw", None).unwrap_err()), 1045, "without TLS");
        let question = "show session status like 'Ssl_version'";
        let ca = |file: &std::path::Path| format!("--ssl-ca={}", file.display());
        let cli = Cli::new(Kind::MariaDb, server.port(), "app", "pw")?.option("--ssl-verify-server-cert");
        let trusting = cli.clone().option(&ca(&server.tls()?.authority));
        assert!(trusting.sql("shop", question)?.contains("TLSv1."));
        let other = Authority::new("somebody else")?;
        let folder = tempfile::tempdir()?;
        let files = other.write(&other.issue(&["127.0.0.1"])?, folder.path())?;
        assert!(cli.option(&ca(&files.authority)).sql("shop", question).is_err(), "of another authority");
        Ok(())
    })
}
