//! Memory is bounded whatever clients do.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use common::Setup;
use testkit::{Result, Wire};
use watch::{at_rest, until_says};

/// What ten connections in full flow may take: far less than what they would have to keep without back-pressure.
const GROWTH_MAX: u64 = 16 << 20;

#[test]
fn results_that_nobody_reads_stay_on_the_server() -> Result<()> {
    const READERS: usize = 5;
    let scene = Setup::new().budget(u32::try_from(READERS)?).start()?;
    let mut readers: Vec<Wire> = (0..READERS).map(|_| scene.client()).collect::<Result<_>>()?;
    let before = scene.evenkeel.process().resident_bytes()?;
    for wire in &mut readers {
        // A gigabyte each.
        wire.send_query("select repeat('x', 1000) from generate_series(1, 1000000)")?;
    }
    let blocked = "select count(*) from pg_stat_activity where wait_event = 'ClientWrite' and usename = 'app'";
    until_says(&scene.pg, blocked, &READERS.to_string())?;
    let growth = scene.evenkeel.process().resident_bytes()?.saturating_sub(before);
    assert!(growth < GROWTH_MAX, "{growth} bytes more, although nobody reads");
    drop(readers);
    at_rest(&scene.evenkeel)?;
    until_says(&scene.pg, blocked, "0")
}

#[test]
fn copy_data_that_the_server_does_not_take_stays_with_the_client() -> Result<()> {
    const CHUNK_LEN: usize = 1 << 16;
    let scene = Setup::new().budget(1).start()?;
    scene.pg.psql_in("shop", "create table t(line text); grant all on t to public")?;
    let mut wire = scene.client()?;
    let before = scene.evenkeel.process().resident_bytes()?;
    wire.send_query("copy t from stdin")?;
    assert_eq!(wire.read()?.tag, b'G');
    scene.pg.pause()?;
    wire.set_timeout(std::time::Duration::from_millis(500))?;
    let chunk = testkit::wire::message(b'd', &[vec![b'x'; CHUNK_LEN - 6], vec![b'\n']].concat());
    // Sends until nothing more is taken.
    let taken = (0..16 * 1024).take_while(|_| wire.send(&chunk).is_ok()).count() * CHUNK_LEN;
    assert!(taken < 256 << 20, "{taken} bytes were taken for a server that takes none");
    let growth = scene.evenkeel.process().resident_bytes()?.saturating_sub(before);
    assert!(growth < GROWTH_MAX, "{growth} bytes more, although the server takes nothing");
    drop(wire);
    scene.pg.resume()?;
    at_rest(&scene.evenkeel)?;
    assert_eq!(scene.client()?.value("select count(*) from t")?, "0");
    Ok(())
}

#[test]
fn an_idle_client_costs_little_after_a_large_query() -> Result<()> {
    const CLIENTS: usize = 20;
    let scene = Setup::new().budget(2).start()?;
    let mut clients: Vec<Wire> = (0..CLIENTS).map(|_| scene.client()).collect::<Result<_>>()?;
    // All of it is allocated once before the measurement.
    let large = format!("select length('{}')", "x".repeat(2 << 20));
    assert_eq!(clients[0].value(&large)?, (2 << 20).to_string());
    let before = scene.evenkeel.process().resident_bytes()?;
    for wire in &mut clients {
        assert_eq!(wire.value(&large)?, (2 << 20).to_string());
    }
    let growth = scene.evenkeel.process().resident_bytes()?.saturating_sub(before);
    assert!(growth < CLIENTS as u64 * (1 << 20), "{growth} bytes stay with {CLIENTS} idle clients");
    at_rest(&scene.evenkeel)
}
