//! What `evenkeel size --from` prints.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use anyhow::{Context, Result};
use sizing::{ASSUMPTIONS, Advice, Error, Knee, Needs, Queue, ServerLimit, Workload, count, real, time};

use super::{
    class::{self, Capped},
    demand::Basis,
    http::Node,
    load::{Load, RouteLoad, ServerLoad},
};
use crate::size::{
    Answer, Terms,
    answer::{budget, expected, room, warnings},
    chart::Chart,
    fragment::{self, Guarantee, Sized},
    pools::Protocol,
    text::{list, section, shown, steps, table},
};

/// What is said of every server.
pub(super) fn answer(
    node: &Node,
    length: Duration,
    servers: &[ServerLoad],
    limits: &BTreeMap<String, ServerLimit>,
    terms: &Terms,
) -> Result<Answer> {
    let mut answer = Answer::default();
    let _ = writeln!(answer.text, "{node}, watched for {}", time(length.as_secs_f64()));
    for server in servers {
        let name = &server.entry.server;
        let protocol = Protocol::named(&server.entry.protocol);
        let told = terms.limit_of(protocol);
        let limit = told.or_else(|| limits.get(name).map(|limit| shared(*limit, terms.instances)));
        let terms = Terms { limit, ..*terms };
        let said = of_server(server, &terms).with_context(|| format!("server {}", shown(name)))?;
        answer.text += "\n";
        answer.text += &said.text;
        answer.charts.extend(said.charts);
        if answer.work.is_none() && said.work.is_some() {
            (answer.work, answer.protocol) = (said.work, protocol);
        }
    }
    if servers.is_empty() {
        answer.text += "It has no servers.\n";
    }
    Ok(answer)
}

/// A server's limit as one of several instances counts: the connections of the others of them are no strangers'.
fn shared(limit: ServerLimit, instances: u32) -> ServerLimit {
    if instances > 1 { ServerLimit { others: 0, ..limit } } else { limit }
}

fn of_server(server: &ServerLoad, terms: &Terms) -> Result<Answer> {
    let entry = &server.entry;
    let mut text = format!(
        "Server {} at {}: a budget of {}, at most {} in use at once, {} waiting\n",
        shown(&entry.server),
        shown(&entry.address),
        count(entry.budget.into()),
        real(server.all.in_use_max),
        real(server.all.waiting_max)
    );
    let Some(sized) = Sizing::of(&server.all, terms)? else {
        text += "  nothing to size: nobody used it. Watch it while it is busy (--seconds).\n";
        return Ok(Answer { text, ..Answer::default() });
    };
    let _ = writeln!(text, "\nBudget: {}", budget(sized.budget, 1, terms.instances));
    for reason in sized.reasons() {
        let _ = writeln!(text, "  {reason}");
    }
    let mut charts = Vec::new();
    if let Some((needs, advice)) = &sized.pooled {
        text += &expected(advice, needs.percent());
        text += &due(&server.all);
        text += &seen(&server.all, &needs.work, entry.effective_budget.saturating_sub(sized.kept), needs);
    }
    if let Some(limit) = terms.limit {
        text += &room(limit, sized.budget, terms.instances);
    }
    text += &list("Beware", &doubts(server, &sized, terms));
    text += &section("Routes, the busiest first", &routes(server, &sized));
    let caps = class::caps(&server.classes, sized.variation(), terms)?;
    if !caps.is_empty() {
        text += &section("Classes, in the order in which they are asked", &class::rows(&server.classes, &caps));
    }
    if let Some((needs, advice)) = &sized.pooled {
        let own = needs.work.split(needs.instances)?;
        if let Some(chart) = Chart::of_waits(&own, needs.percent(), advice.budget, advice.useful) {
            text += &section(chart.title(), &chart.drawn());
            charts.push((shown(&entry.server), chart));
        }
        text += &steps("How it comes about", &advice.derivation);
        text += &list("Taken for granted", &ASSUMPTIONS);
    }
    text += &section("To paste", &fragment::of_node(&pasted(server, &sized, &caps)));
    let work = sized.pooled.map(|(needs, _)| needs.work);
    Ok(Answer { text, charts, work, ..Answer::default() })
}

/// How large the pool to one server should be.
struct Sizing {
    /// What is lent and given back; [`None`] when nothing was.
    pooled: Option<(Needs, Advice)>,
    /// Connections that clients keep.
    kept: u32,
    /// Both.
    budget: u32,
}

impl Sizing {
    fn of(load: &Load, terms: &Terms) -> Result<Option<Self>> {
        let kept = load.kept;
        let Some(work) = load.work(terms.instances)? else {
            return Ok((kept > 0).then_some(Self { pooled: None, kept, budget: kept }));
        };
        // What is kept is not there for the others.
        let of_all = kept.saturating_mul(terms.instances);
        let limit = terms.limit.map(|limit| ServerLimit { others: limit.others.saturating_add(of_all), ..limit });
        let less = |connections: u32| connections.saturating_sub(of_all).max(1);
        let knee = terms.knee.map(|knee| Knee { low: less(knee.low), high: less(knee.high) });
        let needs = Needs { limit, knee, slots: terms.slots.map(less), servers: 1, ..terms.needs(work) };
        let advice = needs.advise()?;
        let budget = advice.budget.saturating_add(kept);
        Ok(Some(Self { pooled: Some((needs, advice)), kept, budget }))
    }

    /// C_s² of what is lent; what formulas assume where nothing is.
    fn variation(&self) -> f64 {
        self.pooled.as_ref().map_or(1.0, |(needs, _)| needs.work.variation())
    }

    /// Whether clients waited more than twice as long as the formula says of the connections that there are.
    fn waited_longer(&self, load: &Load, connections: u32) -> bool {
        let Some((needs, _)) = &self.pooled else { return false };
        let own = needs.work.split(needs.instances);
        let queue = own.and_then(|own| Queue::new(&own, connections.saturating_sub(self.kept)));
        // Where there are too few connections, the formula says it all.
        let Ok(queue) = queue else { return false };
        let seen = load.waits.at_least(needs.percent());
        load.waits.count() >= LEASES_FEW && seen > 2.0 * queue.percentile(needs.percent()).max(WAIT_NOTHING)
    }

    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some((needs, advice)) = &self.pooled {
            let own = if self.kept > 0 { format!("{}: ", count(advice.budget.into())) } else { String::new() };
            reasons.push(own + &advice.reason(needs));
        }
        if self.kept > 0 {
            reasons.push(format!(
                "{}: kept by clients all the time (sessions in session mode, and transactions longer than the watch)",
                count(self.kept.into())
            ));
        }
        reasons
    }
}

/// How much of the servers' connections the work takes, and how much of it is sized for.
fn due(load: &Load) -> String {
    let why = match load.demand.basis {
        Basis::Whole => "as much as so short a watch leaves open (97.5 %)",
        Basis::Busiest => "the busiest part of the time",
    };
    format!("Busy: {} on average; sized for {}, {why}\n", real(load.busy()), real(load.demand.busy()))
}

/// What clients really waited, beside what the same formulas say of the connections there are.
fn seen(load: &Load, work: &Workload, connections: u32, needs: &Needs) -> String {
    let percent = needs.percent();
    let seen = load.waits.at_most(percent).map_or_else(|| "more than a minute".to_owned(), time);
    let own = work.split(needs.instances).and_then(|own| Queue::new(&own, connections));
    let says = match own {
        Ok(queue) => format!("{} for the {connections} there are", time(queue.percentile(percent))),
        Err(Error::Overloaded { .. }) => format!("that {connections} are too few: they wait without end"),
        Err(error) => error.to_string(),
    };
    format!("Seen: {} % waited at most {seen}; the formula says {says}\n", real(percent))
}

fn doubts(server: &ServerLoad, sized: &Sizing, terms: &Terms) -> Vec<String> {
    let (load, entry) = (&server.all, &server.entry);
    let mut doubts = Vec::new();
    if let Some((_, advice)) = &sized.pooled {
        doubts.extend(warnings(advice));
        if load.holds.count() < LEASES_FEW {
            doubts.push(format!(
                "only {} leases ended meanwhile: watch for longer (--seconds)",
                real(load.holds.count())
            ));
        }
        if load.demand.basis == Basis::Busiest {
            doubts.push(format!(
                "sized for the busiest part of the time, {} leases a second kept for {}; the mean was {} kept for {}",
                real(load.demand.rate),
                time(load.demand.hold),
                real(load.rate),
                time(load.holds.mean())
            ));
        }
        if advice.budget > entry.budget && terms.knee.is_none() {
            doubts.push(
                "more connections can make the server slower, which no pooler can see from outside: measure it first \
                 (--measure, or --points beside --from)"
                    .into(),
            );
        }
    }
    if sized.waited_longer(load, entry.effective_budget) {
        doubts.push(
            "clients waited much longer than the formula says of the connections there are: a cap of a route or a class holds them \
             back, or they come in bursts; do not trust the expected wait"
                .into(),
        );
    }
    if load.is_held_back() {
        doubts.push("clients waited: more work may come once they wait less, so look again with the new budget".into());
    }
    if entry.effective_budget < entry.budget {
        doubts.push(format!(
            "the server lets in {} only, less than the budget: its own limit is too small, or others use it",
            count(entry.effective_budget.into())
        ));
    }
    doubts
}

/// A row for each route, with what it should be guaranteed and why.
fn routes(server: &ServerLoad, sized: &Sizing) -> String {
    let head = ["user", "database", "leases/s", "kept for", "busy", "C_s²", "guarantee", "because"];
    let mut rows = vec![head.map(str::to_owned)];
    for route in server.routes.iter().take(ROUTES_SHOWN) {
        let load = &route.load;
        let lent = load.rate > 0.0;
        let when = |text: String| if lent { text } else { "-".into() };
        let flavour = if route.name.flavour.is_empty() { String::new() } else { format!(" ({})", route.name.flavour) };
        rows.push([
            shown(&route.name.user) + &shown(&flavour),
            shown(&route.name.database),
            when(real(load.rate)),
            when(time(load.holds.mean())),
            real(busy(load)),
            when(real(load.holds.variation())),
            guarantee(server, route).to_string(),
            because(server, route),
        ]);
    }
    let mut text = table(2, &rows);
    if let Some(more) = server.routes.len().checked_sub(ROUTES_SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {} more", count(more as u64));
    }
    if sized.budget < server.routes.len() as u32 {
        text += "there are more routes than connections: slots move from one to another all the time\n";
    }
    text
}

fn busy(load: &Load) -> f64 {
    load.busy() + f64::from(load.kept)
}

/// What a route has busy all the time anyway: nobody is poorer for its guarantee. A light route needs none to get its share,
/// and a route that is alone has everything. With classes it would hold in each of them.
fn guarantee(server: &ServerLoad, route: &RouteLoad) -> u32 {
    let of_use = server.routes.len() > 1 && server.classes.is_empty();
    if of_use { busy(&route.load).floor() as u32 } else { 0 }
}

fn because(server: &ServerLoad, route: &RouteLoad) -> String {
    let now = match (route.guarantee, guarantee(server, route)) {
        (has, good) if has > good => format!("; it has {has}, which others may miss"),
        _ => String::new(),
    };
    let reason = match guarantee(server, route) {
        0 if server.routes.len() < 2 => "it is alone on the server",
        0 if !server.classes.is_empty() => "it would hold in each class; their caps keep work apart",
        0 => "the fair share is enough for so little",
        _ => "busy anyway, so nobody is poorer for it",
    };
    reason.to_owned() + &now
}

fn pasted<'a>(server: &'a ServerLoad, sized: &Sizing, caps: &[Capped<'a>]) -> Sized<'a> {
    let guarantees = server.routes.iter().filter(|route| !is_other(route)).filter_map(|route| {
        let connections = guarantee(server, route);
        (connections > 0).then_some(Guarantee { user: &route.name.user, database: &route.name.database, connections })
    });
    let mut merged: Vec<Guarantee<'_>> = Vec::new();
    for guarantee in guarantees.take(ROUTES_SHOWN) {
        // Routes that differ by flavour have one entry.
        match merged.iter_mut().find(|known| (known.user, known.database) == (guarantee.user, guarantee.database)) {
            Some(known) => known.connections = known.connections.max(guarantee.connections),
            None => merged.push(guarantee),
        }
    }
    let entry = &server.entry;
    let hold = sized.pooled.as_ref().map(|(needs, _)| needs.work.response_time());
    Sized {
        name: &entry.server,
        cluster: &entry.cluster,
        protocol: &entry.protocol,
        address: &entry.address,
        budget: sized.budget,
        waiters: hold.map(|hold| sizing::waiters(sized.budget, hold, fragment::CHECKOUT_TIMEOUT).value),
        guarantees: merged,
        // These two are always there.
        classes: caps
            .iter()
            .map(|capped| (capped.name, capped.cap))
            .filter(|(name, _)| !matches!(*name, "default" | "reserved"))
            .collect(),
    }
}

/// Whether it is the sum of the routes beyond those that the node shows one by one.
fn is_other(route: &RouteLoad) -> bool {
    route.name.user == "other" && route.name.database == "other"
}

/// The most routes that are shown and pasted.
const ROUTES_SHOWN: usize = 50;

/// Below this, in seconds, nobody calls it waiting: the machine's own jitter.
const WAIT_NOTHING: f64 = 1e-3;

/// Fewer leases than this say little of their times.
const LEASES_FEW: f64 = 200.0;

#[cfg(test)]
mod tests;
