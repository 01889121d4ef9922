//! Fairness on a real server, as far as it can be told without a clock: a light user is served beside a heavy one, and
//! caps hold at every look and guarantees at all but a few.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod crowd;
mod watch;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use common::{DATABASE, PASSWORD, Setup, USER};
use crowd::{beside_a_crowd, crowd};
use testkit::{Result, Wire};
use watch::{ADMIN, Over, SOON, TRUST, at_rest, console, show};

#[test]
fn a_light_user_is_served_beside_a_saturating_one() -> Result<()> {
    const LIGHT: u32 = 300;
    let setup = Setup::new().budget(5).user("light").toml(TRUST).toml("[pool]\ncheckout_timeout = \"30s\"");
    let scene = setup.start()?;
    let at_light_end = beside_a_crowd::<Wire>(&scene.evenkeel, 40, || {
        watch::until_in_use(&scene.evenkeel, 5)?;
        let mut wire = scene.evenkeel.client("light", PASSWORD, DATABASE)?;
        for round in 0..LIGHT {
            assert_eq!(wire.value(&format!("select {round}"))?, round.to_string());
        }
        Ok(())
    })?;
    // First in, first out over all clients would have given the heavy user forty answers for each of the light one's.
    assert!(at_light_end < 20 * LIGHT, "{at_light_end} answers for the heavy user beside {LIGHT}");
    assert!(at_light_end > 0);
    at_rest(&scene.evenkeel)
}

#[test]
fn guarantees_and_caps_hold_at_every_look() -> Result<()> {
    const BUDGET: u64 = 6;
    const LOOKS: u32 = 100;
    let routes = "[[routes]]\nuser = \"app\"\nguarantee = 2\n[[routes]]\nuser = \"capped\"\ncap = 1\n\
                  [[routes]]\nuser = \"greedy\"\nweight = 9";
    let setup = Setup::new().budget(6).user("capped").user("greedy").toml(TRUST).toml(ADMIN).toml(routes);
    let scene = setup.toml("[pool]\ncheckout_timeout = \"30s\"").start()?;
    let over = AtomicBool::new(false);
    let counts = [const { AtomicU32::new(0) }; 3];
    thread::scope(|scope| -> Result<()> {
        let crowds: Vec<_> = [USER, "capped", "greedy"]
            .into_iter()
            .zip(&counts)
            .map(|(user, served)| {
                let (scene, over) = (&scene, &over);
                scope.spawn(move || crowd::<Wire>(&scene.evenkeel, user, 8, over, served))
            })
            .collect();
        let look = || -> Result<()> {
            let mut console = console(&scene.evenkeel)?;
            let (began, mut settled, mut short) = (Instant::now(), 0, 0);
            while settled < LOOKS || counts.iter().any(|served| served.load(Ordering::Relaxed) == 0) {
                assert!(began.elapsed() < SOON, "not everybody was served");
                let routes = show(&mut console, "routes")?;
                let held: u64 = routes.rows.iter().map(|row| routes.number(row, "held")).sum();
                let closing: u64 = routes.rows.iter().map(|row| routes.number(row, "closing")).sum();
                assert!(held + closing <= BUDGET, "{:?}", routes.rows);
                if let Some(row) = routes.find("user", "capped") {
                    assert!(routes.number(row, "held") <= 1, "{row:?}");
                }
                // Once it has what it is guaranteed it keeps that while it has clients waiting, and soon has it again if its
                // clients have paused; without a guarantee it would hardly ever have it.
                let Some(row) = routes.find("user", USER) else { continue };
                if settled > 0 || routes.number(row, "held") >= 2 {
                    settled += 1;
                    short += u32::from(routes.number(row, "held") < 2 && routes.number(row, "waiting") > 0);
                }
            }
            assert!(short <= settled / 4, "below its guarantee at {short} of {settled} looks");
            Ok(())
        };
        let end = Over(&over);
        let looked = look();
        drop(end);
        let served = crowds.into_iter().try_for_each(|crowd| crowd.join().unwrap());
        looked.and(served)
    })?;
    let [app, capped, greedy] = counts.map(AtomicU32::into_inner);
    assert!(app > 0 && capped > 0 && greedy > 0, "{app} {capped} {greedy}");
    at_rest(&scene.evenkeel)
}
