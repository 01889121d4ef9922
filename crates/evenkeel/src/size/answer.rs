//! What `evenkeel size` prints.

use std::{fmt::Write, time::Duration};

use anyhow::{Context, Result};
use sizing::{
    ASSUMPTIONS, Advice, Amount, Confidence, Derivation, Needs, Queue, Room, ServerLimit, Sum, count, real, time,
};

use super::{Measured, plot};

/// The default of `pool.checkout_timeout`, which says how many clients may wait.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default of `pool.max_waiters`; not more are advised, as each holds memory.
const WAITERS_MAX: u32 = 10_000;

/// How large the pools should be for stated needs.
pub(super) fn needed(needs: &Needs) -> Result<String> {
    let advice =
        needs.advise().context("--qps, --response-time, --servers, --instances and the limits do not go together")?;
    let mut text = String::new();
    let _ = writeln!(text, "Budget: {}", budget(advice.budget, needs.servers, needs.instances));
    let _ = writeln!(text, "  {}", advice.reason(needs));
    text += &expected(&advice, needs.percent());
    if let Some(limit) = needs.limit {
        text += &room(limit, advice.budget, needs.instances);
    }
    let warnings: Vec<String> = advice.warnings.iter().map(ToString::to_string).collect();
    text += &list("Beware", &warnings);
    text += &steps("How it comes about", &advice.derivation);
    text += &list("Taken for granted", &ASSUMPTIONS);
    let waiters = sizing::waiters(advice.budget, needs.work.response_time(), CHECKOUT_TIMEOUT).value;
    text += &section("To paste", &fragment(advice.budget, needs.servers, waiters));
    Ok(text)
}

/// How large the pools should be by what was measured alone.
pub(super) fn measured(measured: &Measured, limit: Option<ServerLimit>, instances: u32) -> Result<String> {
    let knee = measured.fit.knee();
    let usable = limit.map(|limit| limit.usable().value);
    let of_server = usable.map_or(knee.high, |usable| usable.min(knee.high));
    let of_pool = of_server / instances;
    if of_pool == 0 {
        return Err(sizing::Error::NoRoom { allowed: of_server, instances }.into());
    }
    let mut text = curve(measured);
    let _ = writeln!(text, "\nBudget: {}", budget(of_pool, 1, instances));
    let reason = match usable {
        Some(usable) if usable < knee.high => "all that the server lets in; its knee would allow more",
        _ => "the upper end of the knee, shared by all instances: more connections bring next to nothing",
    };
    let _ = writeln!(text, "  {reason}");
    if let Some(limit) = limit {
        text += &room(limit, of_pool, instances);
    }
    let connections = f64::from(of_server);
    let response_time = Duration::from_secs_f64(connections / measured.fit.curve.throughput(connections));
    let waiters = sizing::waiters(of_pool, response_time, CHECKOUT_TIMEOUT).value;
    text += &section("To paste", &fragment(of_pool, 1, waiters));
    Ok(text)
}

/// The curve through what was measured, its knee, and how far to trust it.
pub(super) fn curve(Measured { points, fit }: &Measured) -> String {
    let knee = fit.knee();
    let mut text =
        format!("Knee: {} to {} connections to one server\n", count(knee.low.into()), count(knee.high.into()));
    for connections in [knee.low, knee.high] {
        let throughput = fit.curve.throughput(connections.into());
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
    let doubts: Vec<String> = fit.doubts.iter().map(ToString::to_string).collect();
    text += &list("Beware", &doubts);
    text += &section("Throughput per second; o measured, · curve, [-] knee", &plot::plot(points, fit));
    if let Some(derived) = fit.curve.knee() {
        text += &steps("How it comes about", &derived.derivation);
    }
    text
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

fn budget(each: u32, servers: u32, instances: u32) -> String {
    let total = u64::from(each) * u64::from(servers) * u64::from(instances);
    let each = format!("{} connections", count(each.into()));
    match (servers, instances) {
        (1, 1) => format!("{each} to the server"),
        (_, 1) => format!("{each} to each of {servers} servers, {} in all", count(total)),
        (1, _) => format!("{each} of each of {instances} instances, {} in all", count(total)),
        _ => format!("{each} of each of {instances} instances to each of {servers} servers, {} in all", count(total)),
    }
}

fn expected(advice: &Advice, percent: f64) -> String {
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

fn room(limit: ServerLimit, budget: u32, instances: u32) -> String {
    let needed = u64::from(budget) * u64::from(instances);
    let usable = count(limit.usable().value.into());
    let left = match limit.room(needed).value {
        Room::Fits { spare } => format!("{} are left", count(spare)),
        Room::TooMany { excess } => format!("{} are too many", count(excess)),
    };
    format!("Room: {} of the {usable} connections that pools may hold to one server; {left}\n", count(needed))
}

/// Lines for evenkeel.toml.
fn fragment(budget: u32, servers: u32, waiters: u32) -> String {
    let which = match servers {
        1 => String::new(),
        _ => format!("                   # one of {servers}; the same budget for each"),
    };
    let why = if waiters < WAITERS_MAX { "what can be served within checkout_timeout" } else { "the default" };
    format!(
        "[pool]\n\
         checkout_timeout = \"{}s\"\n\
         max_waiters = {}           # {why}\n\
         \n\
         [[servers]]{which}\n\
         name = \"db-1\"\n\
         cluster = \"db\"\n\
         address = \"db-1.example:5432\"\n\
         budget = {budget}\n",
        CHECKOUT_TIMEOUT.as_secs(),
        waiters.min(WAITERS_MAX),
    )
}

fn section(title: &str, body: &str) -> String {
    let mut text = format!("\n{title}\n");
    for line in body.lines() {
        let _ = writeln!(text, "{}", format!("  {line}").trim_end());
    }
    text
}

fn list(title: &str, lines: &[impl AsRef<str>]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("- {}", line.as_ref())).collect();
    section(title, &lines.join("\n"))
}

fn steps(title: &str, derivation: &Derivation) -> String {
    format!("\n{title}\n{}", indented_steps(derivation))
}

/// Each step: what it is, below it the formula, and below that the numbers and what comes out.
fn indented_steps(derivation: &Derivation) -> String {
    let mut text = String::new();
    for step in derivation.steps() {
        let _ = writeln!(text, "  {}", step.what);
        let _ = writeln!(text, "    = {}\n    = {} = {}", step.formula, step.filled, step.value);
    }
    text
}

#[cfg(test)]
mod tests {
    use config::Config;

    use super::*;

    #[test]
    fn what_is_to_be_pasted_is_a_configuration() {
        for (servers, waiters) in [(1, 200), (3, 34_000)] {
            let rest = "[[databases]]\nname = \"*\"\ncluster = \"db\"\n[[users]]\nname = \"app\"\npassword = \"x\"\n";
            let text = fragment(34, servers, waiters) + rest;
            let config = Config::from_toml(&text, "pasted").unwrap();
            assert_eq!(config.table().servers()[0].budget, 34);
        }
    }

    #[test]
    fn the_defaults_named_are_the_defaults() {
        let pool = config::keys::PoolKeys::default();
        assert_eq!(pool.checkout_timeout.get(), CHECKOUT_TIMEOUT);
        assert_eq!(pool.max_waiters, WAITERS_MAX);
    }
}
