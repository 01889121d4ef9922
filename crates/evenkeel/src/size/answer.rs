//! What `evenkeel size` prints.

use std::{fmt::Write, time::Duration};

use anyhow::{Context, Result};
use sizing::{ASSUMPTIONS, Advice, Amount, Confidence, Needs, Queue, Room, ServerLimit, Sum, count, real, time};

use super::{
    Answer, Measured,
    chart::Chart,
    fragment::{CHECKOUT_TIMEOUT, of_needs},
    pools::Protocol,
    text::{indented_steps, list, section, steps},
};

/// How large the pools should be for stated needs.
pub(super) fn needed(needs: &Needs, protocol: Protocol) -> Result<Answer> {
    let advice =
        needs.advise().context("--qps, --response-time, --servers, --instances and the limits do not go together")?;
    let mut text = String::new();
    let _ = writeln!(text, "Budget: {}", budget(advice.budget, needs.servers, needs.instances));
    let _ = writeln!(text, "  {}", advice.reason(needs));
    text += &expected(&advice, needs.percent());
    if let Some(limit) = needs.limit {
        text += &room(limit, advice.budget, needs.instances);
    }
    text += &list("Beware", &warnings(&advice));
    let mut charts = Vec::new();
    let own = needs.work.split(needs.servers.saturating_mul(needs.instances))?;
    if let Some(chart) = Chart::of_waits(&own, needs.percent(), advice.budget, advice.useful) {
        text += &section(chart.title(), &chart.drawn());
        charts.push((String::new(), chart));
    }
    text += &steps("How it comes about", &advice.derivation);
    text += &list("Taken for granted", &ASSUMPTIONS);
    let waiters = sizing::waiters(advice.budget, needs.work.response_time(), CHECKOUT_TIMEOUT).value;
    text += &section("To paste", &of_needs(protocol, advice.budget, needs.servers, waiters));
    Ok(Answer { text, charts, work: Some(needs.work), ..Answer::default() })
}

pub(super) fn warnings(advice: &Advice) -> Vec<String> {
    advice.warnings.iter().map(ToString::to_string).collect()
}

/// How large the pools should be by what was measured alone.
pub(super) fn measured(
    measured: &Measured,
    limit: Option<ServerLimit>,
    instances: u32,
    protocol: Protocol,
) -> Result<Answer> {
    let knee = measured.fit.knee();
    let usable = limit.map(|limit| limit.usable().value);
    let of_server = usable.map_or(knee.high, |usable| usable.min(knee.high));
    let of_pool = of_server / instances;
    if of_pool == 0 {
        return Err(sizing::Error::NoRoom { allowed: of_server, instances }.into());
    }
    let mut answer = curve(measured);
    let text = &mut answer.text;
    let _ = writeln!(text, "\nBudget: {}", budget(of_pool, 1, instances));
    let reason = match usable {
        Some(usable) if usable < knee.high => "all that the server lets in; its knee would allow more",
        _ => "the upper end of the knee, shared by all instances: more connections bring next to nothing",
    };
    let _ = writeln!(text, "  {reason}");
    if let Some(limit) = limit {
        *text += &room(limit, of_pool, instances);
    }
    let response_time = Duration::from_secs_f64(f64::from(of_server) / measured.fit.throughput(of_server));
    let waiters = sizing::waiters(of_pool, response_time, CHECKOUT_TIMEOUT).value;
    *text += &section("To paste", &of_needs(protocol, of_pool, 1, waiters));
    Ok(answer)
}

/// The curve through what was measured, its knee, and how far to trust it.
pub(super) fn curve(Measured { points, fit, notes, csv }: &Measured) -> Answer {
    let knee = fit.knee();
    let mut text =
        format!("Knee: {} to {} connections to one server\n", count(knee.low.into()), count(knee.high.into()));
    for connections in [knee.low, knee.high] {
        let throughput = fit.throughput(connections);
        let _ = writeln!(
            text,
            "  with {} connections {} per second, {} each",
            count(connections.into()),
            real(throughput),
            time(f64::from(connections) / throughput)
        );
    }
    let _ = writeln!(
        text,
        "Curve: λ = {}, σ = {}, κ = {}",
        real(fit.curve.lambda),
        real(fit.curve.sigma),
        real(fit.curve.kappa)
    );
    let trust = match fit.confidence() {
        Confidence::Good => "good",
        Confidence::Fair => "fair",
        Confidence::Poor => "poor",
    };
    let _ = writeln!(
        text,
        "Confidence: {trust}; the curve explains {} % of the variance of {} points",
        real(fit.r_squared * 100.0),
        points.len()
    );
    let doubts: Vec<String> = notes.iter().cloned().chain(fit.doubts.iter().map(ToString::to_string)).collect();
    text += &list("Beware", &doubts);
    let chart = Chart::of_throughput(points, fit);
    text += &section(chart.title(), &chart.drawn());
    // A curve that misses the points derives nothing.
    if let Some(derived) = fit.curve.knee().filter(|_| !fit.is_corrected()) {
        text += &steps("How it comes about", &derived.derivation);
    }
    if let Some(csv) = csv {
        text += &section("Measured (as a file for --points)", csv);
    }
    Answer { text, charts: vec![(String::new(), chart)], ..Answer::default() }
}

/// Every figure that the documents behind the formulas work out.
pub(super) fn examples() -> Result<String> {
    let mut text = String::new();
    let mut source = "";
    for example in sizing::examples()? {
        if example.source != source {
            source = example.source;
            let _ = writeln!(text, "{}{source}", if text.is_empty() { "" } else { "\n" });
        }
        let _ = writeln!(text, "\n{}\n  {}", example.question, example.answer);
        text += &indented_steps(&example.derivation);
        if let Some(sum) = &example.sum {
            text += &terms(sum);
        }
    }
    Ok(text)
}

/// Pools, a line each.
fn terms(sum: &Sum) -> String {
    let mut text = String::new();
    for term in &sum.terms {
        let amount = match term.amount {
            Amount::Pools { pools: 1, cap } => count(cap.into()),
            Amount::Pools { pools, cap } => format!("{} × {pools}", count(cap.into())),
            Amount::UpTo(most) => format!("up to {most}"),
            Amount::Open => "no limit".to_owned(),
        };
        let line = format!("    {amount:>8}  {:<42}{}", term.name, term.setting.unwrap_or_default());
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

pub(super) fn budget(each: u32, servers: u32, instances: u32) -> String {
    let total = u64::from(each) * u64::from(servers) * u64::from(instances);
    let each = format!("{} connections", count(each.into()));
    match (servers, instances) {
        (1, 1) => format!("{each} to the server"),
        (_, 1) => format!("{each} to each of {servers} servers, {} in all", count(total)),
        (1, _) => format!("{each} of each of {instances} instances, {} in all", count(total)),
        _ => format!("{each} of each of {instances} instances to each of {servers} servers, {} in all", count(total)),
    }
}

pub(super) fn expected(advice: &Advice, percent: f64) -> String {
    let Some(queue) = &advice.expected else { return "Expected: clients wait without end\n".to_owned() };
    let mut percents = vec![95.0, 99.0];
    if !percents.contains(&percent) {
        percents.push(percent);
    }
    percents.sort_by(f64::total_cmp);
    let wait = |percent: &f64| format!("{} % {}", real(*percent), wait_of(queue, *percent));
    let waits: Vec<String> = percents.iter().map(wait).collect();
    format!(
        "Expected: {} % of the statements wait for a connection, {} in the mean of all; {}\n  connections are {} % busy\n",
        real(queue.wait_probability() * 100.0),
        time(queue.mean()),
        waits.join(", "),
        real(queue.utilisation() * 100.0)
    )
}

fn wait_of(queue: &Queue, percent: f64) -> String {
    match queue.percentile(percent) {
        0.0 => "do not wait".to_owned(),
        wait => format!("wait at most {}", time(wait)),
    }
}

pub(super) fn room(limit: ServerLimit, budget: u32, instances: u32) -> String {
    let needed = u64::from(budget) * u64::from(instances);
    let usable = count(limit.usable().value.into());
    let left = match limit.room(needed).value {
        Room::Fits { spare } => format!("{} are left", count(spare)),
        Room::TooMany { excess } => format!("{} are too many", count(excess)),
    };
    format!("Room: {} of the {usable} connections that pools may hold to one server; {left}\n", count(needed))
}
