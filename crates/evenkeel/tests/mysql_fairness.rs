//! Fairness on MySQL servers, as far as it can be told without a clock: a light user is served beside a heavy one, many
//! equal users share evenly, and guarantees and caps hold at every look.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod crowd;
mod mysql;
mod watch;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use common::USER;
use crowd::{beside_a_crowd, crowd};
use mysql::{MyScene, MySetup};
use testkit::mysql::Server;
use testkit::{MyWire, Result};
use watch::{Over, SOON, TRUST, at_rest, until_in_use};

const PATIENT: &str = "[pool]\ncheckout_timeout = \"60s\"";

#[test]
fn users_are_served_fairly() -> Result<()> {
    MySetup::new().user("light").user("capped").user("greedy").on_each(|server| {
        light_beside_saturating(server)?;
        guarantees_and_caps(server)
    })
}

fn light_beside_saturating(server: &Server) -> Result<()> {
    const LIGHT: u32 = 200;
    let scene = MySetup::new().budget(5).user("light").toml(TRUST).toml(PATIENT).before(server)?;
    let at_light_end = beside_a_crowd::<MyWire>(&scene.evenkeel, 40, || {
        until_in_use(&scene.evenkeel, 5)?;
        let mut wire = scene.client_of("light")?;
        for round in 0..LIGHT {
            assert_eq!(wire.value(&format!("select {round}"))?, round.to_string());
        }
        Ok(())
    })?;
    // First in, first out over all clients would have given the heavy user forty answers for each of the light one's.
    assert!(at_light_end < 20 * LIGHT, "{at_light_end} answers for the heavy user beside {LIGHT}");
    assert!(at_light_end > 0);
    scene.at_rest()
}

fn guarantees_and_caps(server: &Server) -> Result<()> {
    const BUDGET: u32 = 6;
    const LOOKS: u32 = 100;
    let routes = "[[routes]]\nuser = \"app\"\nguarantee = 2\n[[routes]]\nuser = \"capped\"\ncap = 1\n\
                  [[routes]]\nuser = \"greedy\"\nweight = 9";
    let setup = MySetup::new().budget(BUDGET).user("capped").user("greedy").toml(TRUST).toml(PATIENT).toml(routes);
    let scene = setup.before(server)?;
    let over = AtomicBool::new(false);
    let counts = [const { AtomicU32::new(0) }; 3];
    thread::scope(|scope| -> Result<()> {
        let crowds: Vec<_> = [USER, "capped", "greedy"]
            .into_iter()
            .zip(&counts)
            .map(|(user, served)| {
                let (keel, over) = (&scene.evenkeel, &over);
                scope.spawn(move || crowd::<MyWire>(keel, user, 8, over, served))
            })
            .collect();
        let end = Over(&over);
        let looked = look(&scene, BUDGET, LOOKS, &counts);
        drop(end);
        let served = crowds.into_iter().try_for_each(|crowd| crowd.join().unwrap());
        looked.and(served)
    })?;
    let [app, capped, greedy] = counts.map(AtomicU32::into_inner);
    assert!(app > 0 && capped > 0 && greedy > 0, "{app} {capped} {greedy}");
    at_rest(&scene.evenkeel)
}

/// Looks so many times, and until everybody was served, that the promises hold: by the metrics, which show all routes at once.
fn look(scene: &MyScene<'_>, budget: u32, looks: u32, counts: &[AtomicU32]) -> Result<()> {
    let (began, mut settled, mut short) = (Instant::now(), 0, 0);
    while settled < looks || counts.iter().any(|served| served.load(Ordering::Relaxed) == 0) {
        assert!(began.elapsed() < SOON, "not everybody was served");
        let (_, page) = scene.evenkeel.http("/metrics")?;
        let of = |family: &str, user: &str| -> u32 {
            let samples = page.lines().filter(|line| line.starts_with(&format!("{family}{{")));
            let own = samples.filter(|line| line.contains(&format!("user=\"{user}\"")));
            own.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()).sum()
        };
        let held = |user: &str| of("evenkeel_route_held_connections", user);
        let all: u32 = [USER, "capped", "greedy"].into_iter().map(held).sum();
        assert!(all <= budget, "{all} connections");
        assert!(held("capped") <= 1, "beyond its cap");
        // Once it has what it is guaranteed it keeps that while it has clients waiting, and soon has it again if its clients
        // have paused; without a guarantee it would hardly ever have it.
        if settled > 0 || held(USER) >= 2 {
            settled += 1;
            short += u32::from(held(USER) < 2 && of("evenkeel_route_waiting_clients", USER) > 0);
        }
    }
    assert!(short <= settled / 4, "below its guarantee at {short} of {settled} looks");
    Ok(())
}
