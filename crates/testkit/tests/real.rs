//! The test kit against real programs: what other tests rely on, checked once here.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::bouncer::Ini;
use testkit::cut::{Direction, Weather};
use testkit::pgbench::Script;
use testkit::wire::ServerError;
use testkit::{Cut, Install, Login, Options, PgBouncer, Pgbench, Postgres, Result, Stop, Wire, poll_until};

const SOON: Duration = Duration::from_secs(30);

fn code(error: &anyhow::Error) -> &str {
    error.downcast_ref::<ServerError>().map_or("not from the server", |error| &error.code)
}

#[test]
fn users_log_in_by_their_own_method_and_only_with_their_password() -> Result<()> {
    let options = Options::new().user("s", "scram pw", Login::Scram).user("m", "md5 pw", Login::Md5);
    let pg = Postgres::start(options.user("t", "unused", Login::Trust).database("shop"))?;
    for (user, password) in [("s", "scram pw"), ("m", "md5 pw"), ("t", "whatever")] {
        let mut wire = Wire::log_in(&pg.address(), user, password, "shop")?;
        assert_eq!(wire.value("select current_user || '@' || current_database()")?, format!("{user}@shop"));
    }
    for user in ["s", "m"] {
        assert_eq!(code(&Wire::log_in(&pg.address(), user, "wrong", "shop").unwrap_err()), "28P01");
    }
    assert_eq!(code(&Wire::log_in(&pg.address(), "t", "", "nowhere").unwrap_err()), "3D000");
    Ok(())
}

#[test]
fn a_stopped_server_starts_again_with_its_data() -> Result<()> {
    let mut pg = Postgres::start(Options::new().max_connections(17))?;
    pg.psql("create table kept as select 42 as n")?;
    let address = pg.address();
    for mode in [Stop::Smart, Stop::Fast, Stop::Immediate] {
        pg.stop(mode)?;
        assert!(Wire::connect(&address).is_err(), "still listening after {mode:?}");
        pg.restart()?;
    }
    // An unlogged crash loses nothing here: fsync is off, but the operating system lives on.
    assert_eq!(pg.psql("select n from kept")?, "42");
    assert_eq!(pg.psql("show max_connections")?, "17");
    Ok(())
}

#[test]
fn a_paused_server_is_silent_and_a_resumed_one_answers() -> Result<()> {
    let pg = Postgres::start(Options::new())?;
    let mut wire = pg.superuser("postgres")?;
    pg.pause()?;
    wire.send_query("select 1")?;
    wire.set_timeout(Duration::from_millis(200))?;
    assert!(wire.read().is_err(), "a frozen server answered");
    wire.set_timeout(SOON)?;
    pg.resume()?;
    assert!(wire.read_until_ready()?.iter().any(|message| message.tag == b'D'));
    Ok(())
}

#[test]
fn killing_a_backend_ends_its_connection() -> Result<()> {
    let pg = Postgres::start(Options::new())?;
    let mut wire = pg.superuser("postgres")?;
    let backend: u32 = wire.value("select pg_backend_pid()")?.parse()?;
    assert!(pg.kill9_backend(1).is_err(), "process 1 is not ours to kill");
    pg.kill9_backend(backend)?;
    wire.read_to_close()?;
    poll_until(SOON, "recovery", || Ok(pg.superuser("postgres").ok()))?;
    Ok(())
}

#[test]
fn a_replica_follows_and_can_be_promoted() -> Result<()> {
    let primary = Postgres::start(Options::new())?;
    let replica = primary.start_replica()?;
    primary.psql("create table t as select 7 as n")?;
    replica.wait_caught_up(&primary)?;
    assert_eq!(replica.psql("select n, pg_is_in_recovery() from t")?, "7|t");
    replica.promote()?;
    replica.psql("insert into t values (8)")?;
    Ok(())
}

#[test]
fn a_query_can_be_cancelled_and_its_connection_goes_on() -> Result<()> {
    let pg = Postgres::start(Options::new())?;
    let mut wire = pg.superuser("postgres")?;
    wire.send_query("select pg_sleep(3600)")?;
    let sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    poll_until(SOON, "the sleep", || Ok((pg.psql(sleeping)? == "1").then_some(())))?;
    wire.cancel()?;
    let messages = wire.read_until_ready()?;
    assert_eq!(messages[messages.len() - 2].field(b'C').as_deref(), Some("57014"));
    assert_eq!(wire.value("select 1")?, "1");
    Ok(())
}

#[test]
fn a_cut_in_front_of_a_server_breaks_what_passes() -> Result<()> {
    let pg = Postgres::start(Options::new())?;
    let cut = Cut::before(&pg.address())?;
    let mut wire = Wire::log_in(&cut.address(), "postgres", "", "postgres")?;
    assert_eq!(wire.value("select 1")?, "1");
    cut.truncate_after(Direction::ToClient, 20);
    wire.send_query("select repeat('x', 1000)")?;
    assert_eq!(wire.read_to_close()?.len(), 20);
    cut.set(Weather::Refusing);
    assert!(Wire::log_in(&cut.address(), "postgres", "", "postgres").is_err());
    Ok(())
}

#[test]
fn pgbench_reports_what_it_did() -> Result<()> {
    let pg = Postgres::start(Options::new())?;
    let bench =
        Pgbench::new(pg.install(), pg.port(), "postgres", "postgres").clients(2).duration(Duration::from_secs(1));
    bench.initialise(1)?;
    let good = bench.clone().run()?;
    assert!(good.tps > 0.0 && good.errors == 0);
    assert_eq!(good.latencies.count() as u64, good.transactions);
    assert!(good.latencies.quantile(0.5) > Duration::ZERO);
    let bad = bench.script(Script::Sql("select 1/0;".to_owned())).run()?;
    assert_eq!((bad.transactions, bad.errors), (0, 2), "both clients give up");
    Ok(())
}

#[test]
fn pgbouncer_pools_in_front_of_a_server() -> Result<()> {
    let install = Install::with_pgbouncer()?;
    let pg = Postgres::start(Options::new())?;
    let target = format!("host=127.0.0.1 port={} user=postgres", pg.port());
    let bouncer = PgBouncer::start(&install, &Ini::new().database("*", &target))?;
    let mut wire = Wire::log_in(&bouncer.address(), "anybody", "", "postgres")?;
    assert_eq!(wire.value("select current_user")?, "postgres");
    assert!(bouncer.process().resident_bytes()? > 1 << 20);
    Ok(())
}

#[test]
fn the_newest_postgres_of_the_peers_runs_too() -> Result<()> {
    let Some(peers) = Install::peers() else {
        eprintln!("skipped: no peers are installed (EVENKEEL_PEERS)");
        return Ok(());
    };
    let version = peers.version();
    let pg = Postgres::start(Options::new().install(peers).user("u", "pw", Login::Scram))?;
    assert!(pg.psql("show server_version")?.starts_with(&version.to_string()));
    assert_eq!(Wire::log_in(&pg.address(), "u", "pw", "postgres")?.value("select 1")?, "1");
    Ok(())
}

/// Runs only as a child of the test below: starts a server, says where, and waits to be killed.
#[test]
fn helper_that_never_cleans_up() -> Result<()> {
    let Some(report) = std::env::var_os("TESTKIT_REPORT") else { return Ok(()) };
    let pg = Postgres::start(Options::new())?;
    let facts = format!("{}\n{}\n", pg.process()?.id(), pg.socket_dir().display());
    fs::write(Path::new(&report).with_extension("part"), facts)?;
    fs::rename(Path::new(&report).with_extension("part"), &report)?;
    loop {
        std::thread::park();
    }
}

#[test]
fn a_killed_test_leaves_neither_server_nor_folder() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report");
    let mut helper = Command::new(std::env::current_exe()?)
        .args(["--exact", "helper_that_never_cleans_up"])
        .env("TESTKIT_REPORT", &report)
        .stdout(Stdio::null())
        .spawn()?;
    let facts = poll_until(SOON, "the helper's server", || Ok(fs::read_to_string(&report).ok()))?;
    let (server, data) = facts.trim().split_once('\n').unwrap();
    assert!(Path::new("/proc").join(server).exists());
    helper.kill()?;
    helper.wait()?;
    poll_until(SOON, "the guardian", || {
        Ok((!Path::new("/proc").join(server).exists() && !Path::new(data).exists()).then_some(()))
    })
}
