//! What one user's connections are to another.

use testkit::Result;

use crate::common::USER;
use crate::place::Heard;
use crate::stage::{Case, Stage};

pub(crate) const CASES: &[Case] = &[
    Case {
        setting: "reclaim_after",
        values: ["\"30s\"", "\"20ms\""],
        beside: "checkout_timeout = \"30s\"",
        budget: 2,
        done: "a user has one connection in use and wants another; the other of 2 is another user's, and idle",
        see: reclaim_after,
    },
    Case {
        setting: "retention_connects",
        values: ["1000000", "0"],
        beside: "checkout_timeout = \"30s\"",
        budget: 1,
        done: "the only connection comes back; the next client of the same user waits for it, and then one of another user",
        see: retention_connects,
    },
];

fn reclaim_after(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(1)?;
    let (mut busy, mut asking) = (stage.stranger("second")?, stage.stranger("second")?);
    busy.run("begin")?;
    asking.ask("begin")?;
    let moved = stage.until_or_long("both in use", Stage::has_waited, |stage| Ok(stage.totals()?.in_use == 2))?;
    busy.run("commit")?;
    assert_eq!(asking.heard()?, Heard::Served);
    asking.run("commit")?;
    Ok(if moved { "it gets that one" } else { "it waits for its own" }.to_owned())
}

fn retention_connects(stage: &mut Stage<'_>) -> Result<String> {
    let mut other = stage.stranger("second")?;
    let mut guests = stage.guests(2)?;
    let [one, two] = guests.as_mut_slice() else { unreachable!("two were asked for") };
    one.run("begin")?;
    two.ask("begin")?;
    stage.until_totals("the next to wait", |totals| totals.waiting == 1)?;
    other.ask("begin")?;
    stage.until_totals("the other to wait", |totals| totals.waiting == 2)?;
    one.run("commit")?;
    stage.until_totals("one of them to have it", |totals| (totals.in_use, totals.waiting) == (1, 1))?;
    let routes = stage.show("routes")?;
    let own_waits = routes.rows.iter().any(|row| routes.get(row, "user") == USER && routes.get(row, "waiting") == "1");
    for guest in if own_waits { [&mut other, two] } else { [two, &mut other] } {
        assert_eq!(guest.heard()?, Heard::Served);
        guest.run("commit")?;
    }
    stage.rest(guests);
    Ok(if own_waits { "the other user's is first" } else { "the same user's is first" }.to_owned())
}
