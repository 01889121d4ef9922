//! How many connections there are, and who waits for them.

use testkit::Result;

use crate::common::USER;
use crate::place::{Guest, Heard};
use crate::stage::{Case, Stage};

pub(crate) const CASES: &[Case] = &[
    Case {
        setting: "initial",
        values: ["0", "3"],
        beside: "",
        budget: 6,
        done: "the first client of a user asks for something",
        see: initial,
    },
    Case {
        setting: "min_idle",
        values: ["0", "2"],
        beside: "idle_timeout = \"100ms\"",
        budget: 4,
        done: "4 clients worked at once; then nobody does, for longer than `idle_timeout`",
        see: min_idle,
    },
    Case {
        setting: "max",
        values: ["0", "2"],
        beside: "checkout_timeout = \"30s\"",
        budget: 4,
        done: "4 clients begin transactions, with a `budget` of 4",
        see: max,
    },
    Case {
        setting: "checkout_timeout",
        values: ["\"30s\"", "\"150ms\""],
        beside: "",
        budget: 1,
        done: "a client asks while another one keeps the only connection for half a second",
        see: checkout_timeout,
    },
    Case {
        setting: "max_waiters",
        values: ["10000", "1"],
        beside: "checkout_timeout = \"30s\"",
        budget: 1,
        done: "the only connection is in use; two clients ask, and one of another user",
        see: waiters,
    },
    Case {
        setting: "max_waiters_per_route",
        values: ["0", "1"],
        beside: "checkout_timeout = \"30s\"",
        budget: 1,
        done: "the same",
        see: waiters,
    },
    Case {
        setting: "reuse",
        values: ["\"most_recent\"", "\"least_recent\""],
        beside: "",
        budget: 4,
        done: "4 connections are idle; one client carries out 12 transactions",
        see: reuse,
    },
];

fn initial(stage: &mut Stage<'_>) -> Result<String> {
    let user = if stage.is_changed() { "second" } else { USER };
    let mut first = stage.stranger(user)?;
    first.run("select 1")?;
    let wanted = stage.value().parse::<usize>()?.max(1);
    stage.until("the connections", |stage| Ok((stage.sessions(user)?.len() == wanted).then_some(())))?;
    let resting = stage.guest()?;
    stage.rest([resting]);
    Ok(format!("the server has {wanted} of this user"))
}

fn min_idle(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(4)?;
    let kept = stage.value().parse::<usize>()?;
    stage.until("the rest", |stage| Ok((stage.sessions(USER)?.len() == kept).then_some(())))?;
    Ok(format!("the server has {kept}"))
}

fn max(stage: &mut Stage<'_>) -> Result<String> {
    let mut guests = stage.guests(4)?;
    let mut seen = None;
    for (number, guest) in (1..).zip(&mut guests) {
        guest.ask("begin")?;
        let totals = stage.until_totals("everybody to be lent one or to wait", |totals| {
            totals.connecting == 0 && totals.in_use + totals.waiting == number
        })?;
        seen = Some(totals);
    }
    let totals = seen.unwrap_or_else(|| stage.totals().unwrap());
    // Those that were closed because there may be fewer now take the server a moment.
    let lent = totals.in_use as usize;
    stage.until("as many connections as are lent", |stage| Ok((stage.sessions(USER)?.len() == lent).then_some(())))?;
    for guest in &mut guests {
        assert_eq!(guest.heard()?, Heard::Served);
        guest.run("commit")?;
    }
    stage.rest(guests);
    Ok(format!("the server has {lent}, {} wait", totals.waiting))
}

fn checkout_timeout(stage: &mut Stage<'_>) -> Result<String> {
    let [mut holder, mut asking] = two(stage)?;
    holder.run("begin")?;
    let before = stage.told()?;
    asking.ask("select 1")?;
    let told = stage.until_told(before)?;
    holder.run("commit")?;
    let seen = match (told, asking.heard()?) {
        (false, Heard::Served) => "it waits, and is served",
        (true, Heard::Refused) => "it is told that there is none",
        other => panic!("{other:?}"),
    };
    stage.rest([holder, asking]);
    Ok(seen.to_owned())
}

fn waiters(stage: &mut Stage<'_>) -> Result<String> {
    let [mut holder, mut first] = two(stage)?;
    let mut second = stage.guest()?;
    let mut other = stage.stranger("second")?;
    holder.run("begin")?;
    first.ask("select 1")?;
    stage.until_totals("the first to wait", |totals| totals.waiting == 1)?;
    let before = stage.refusals()?;
    second.ask("select 1")?;
    let second_waits = stage.until("the second to wait or not", |stage| {
        let refused = stage.refusals()? > before;
        Ok((refused || stage.totals()?.waiting == 2).then_some(!refused))
    })?;
    other.ask("select 1")?;
    let told = |heard| if heard == Heard::Served { "waits" } else { "is refused at once" };
    // Who may not wait is told so while the connection is still in use.
    let waiting = 1 + u32::from(second_waits);
    let other_waits = stage.until("the other to wait or not", |stage| {
        if stage.totals()?.waiting > waiting {
            return Ok(Some(true));
        }
        let refused = watched_refusals(stage, "second")? > u32::from(false);
        Ok(refused.then_some(false))
    })?;
    let refused = (!second_waits).then(|| second.heard()).transpose()?;
    holder.run("commit")?;
    assert_eq!(first.heard()?, Heard::Served);
    let second_heard = refused.map_or_else(|| second.heard(), Ok)?;
    let other_heard = other.heard()?;
    assert_eq!((second_heard == Heard::Served, other_heard == Heard::Served), (second_waits, other_waits));
    stage.rest([holder, first, second]);
    Ok(format!("the second {}, the other {}", told(second_heard), told(other_heard)))
}

fn watched_refusals(stage: &Stage<'_>, user: &str) -> Result<u32> {
    let labels = format!("server=\"main\",database=\"shop\",user=\"{user}\"");
    crate::watch::whole(&stage.keel, &format!("evenkeel_route_refusals_total{{{labels}}}"))
}

fn reuse(stage: &mut Stage<'_>) -> Result<String> {
    stage.fill(4)?;
    let mut guest = stage.guest()?;
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..12 {
        used.insert(guest.server_session()?);
    }
    stage.rest([guest]);
    Ok(match used.len() {
        1 => "one of them serves all, the others fall idle".to_owned(),
        number => format!("all {number} serve in turn"),
    })
}

fn two(stage: &mut Stage<'_>) -> Result<[Guest; 2]> {
    let mut guests = stage.guests(2)?.into_iter();
    let mut next = || anyhow::Context::context(guests.next(), "a guest");
    Ok([next()?, next()?])
}
