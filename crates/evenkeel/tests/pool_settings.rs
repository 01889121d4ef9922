//! Every setting of `[pool]` on real servers: what can be seen of it, with one value and with another, which it is given by a
//! reload, with the same clients connected all the time.
//!
//! What is seen is the same on PostgreSQL, MariaDB and MySQL, and is what `docs/pool-effects.md` says; that page's table is
//! written with `EVENKEEL_BLESS=1`, and compared without. `POOL_SETTINGS` names the settings to try, apart by commas, with
//! no comparison.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

#[path = "pool_settings/age.rs"]
mod age;
#[path = "pool_settings/checks.rs"]
mod checks;
#[path = "pool_settings/connects.rs"]
mod connects;
#[path = "pool_settings/page.rs"]
mod page;
#[path = "pool_settings/place.rs"]
mod place;
#[path = "pool_settings/sharing.rs"]
mod sharing;
#[path = "pool_settings/size.rs"]
mod size;
#[path = "pool_settings/stage.rs"]
mod stage;

use std::thread;

use place::Place;
use stage::{Case, Seen};
use testkit::Result;

#[test]
fn every_setting_has_its_effect_and_can_be_changed_while_clients_are_connected() -> Result<()> {
    let chosen = std::env::var("POOL_SETTINGS").ok();
    let is_chosen =
        |case: &&Case| chosen.as_ref().is_none_or(|names| names.split(',').any(|name| name == case.setting));
    let cases: Vec<&Case> = [size::CASES, age::CASES, checks::CASES, connects::CASES, sharing::CASES]
        .into_iter()
        .flatten()
        .filter(is_chosen)
        .collect();
    let places = Place::all()?;
    // One after the other on each server: some stop it.
    let all_on = |place: &Place| cases.iter().map(|case| case.try_on(place)).collect::<Vec<Result<Seen>>>();
    let found: Vec<Vec<Result<Seen>>> = thread::scope(|scope| {
        let threads: Vec<_> = places.iter().map(|place| scope.spawn(move || all_on(place))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let failures: Vec<_> = found.iter().flatten().filter_map(|seen| seen.as_ref().err()).collect();
    assert!(failures.is_empty(), "{} failures:\n{failures:#?}", failures.len());
    let mut found = found.into_iter().map(|seen| seen.into_iter().collect::<Result<Vec<Seen>>>());
    let first = found.next().expect("there is PostgreSQL")?;
    for (place, seen) in places.iter().skip(1).zip(found) {
        for (case, (here, there)) in cases.iter().zip(first.iter().zip(seen?)) {
            assert_eq!(*here, there, "{}: on PostgreSQL, and on {}", case.setting, place.name());
        }
    }
    for (case, seen) in cases.iter().zip(&first) {
        assert_ne!(seen[0], seen[1], "{}: no effect", case.setting);
    }
    match chosen {
        Some(_) => Ok(()),
        None => page::publish(&cases.into_iter().zip(first).collect::<Vec<_>>()),
    }
}
