//! The sizing advisor against reality: the size that `evenkeel size --measure` advises, beside the throughput of every size;
//! and the size that `evenkeel size --from` advises for a wait, beside the waits that it then has.

mod open;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::mysql::{self, Install, Kind, skipped};
use testkit::{Evenkeel, Login, Options, Postgres};

use self::open::Open;
use super::Arguments;
use super::contender::{build_evenkeel, order};
use crate::load::{Introduction, Load, Plan, Protocol};
use crate::report::{Table, median, whole};
use crate::scene::{PASSWORD, Scene};
use crate::shell::root;

/// A server of one kind.
enum Backend {
    Postgres(Postgres),
    MySql(mysql::Server),
}

/// What the advised size does beside the best one.
struct Duel {
    best: u32,
    /// Pieces of work per second, in the median.
    of_advised: f64,
    of_best: f64,
    turns: usize,
}

/// How much was within the target, with one budget.
struct Waits {
    budget: u32,
    /// Of all waits, 0 to 1.
    within: f64,
    /// How many there were.
    count: f64,
}

/// Runs everything on each server and prints the tables; writes them to `docs/benchmarks/sizing.md` when asked.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let binary = build_evenkeel()?;
    let mut page = String::new();
    if arguments.server.is_none() {
        let server = Backend::Postgres(scene(SIZE_MAX).postgres(Options::new())?);
        page.push_str(&judge(arguments, &binary, &server)?);
    }
    for kind in [Kind::MariaDb, Kind::MySql].into_iter().filter(|kind| arguments.covers(*kind)) {
        if let (Kind::MySql, Err(why)) = (kind, Install::find(kind)) {
            skipped(kind.name(), &format!("{why:#}"));
            continue;
        }
        let server = Backend::MySql(scene(SIZE_MAX).mysql(kind, mysql::Options::new())?);
        page.push_str(&judge(arguments, &binary, &server)?);
    }
    print!("\n{page}");
    if arguments.write {
        let path = root().join("docs/benchmarks/sizing.md");
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(&path, format!("{}\n{}\n", preface(arguments)?, page.trim_end()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

/// Both comparisons on one server.
fn judge(arguments: &Arguments, binary: &Path, server: &Backend) -> Result<String> {
    let name = server.name();
    server.prepare()?;
    println!("sizing: {name}: the advisor measures");
    let (advised, knee) = measured(arguments, binary, server)?;
    let mut found: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for round in 0..arguments.repeat.max(1) {
        println!("sizing: {name}: every size, round {} of {}", round + 1, arguments.repeat.max(1));
        for size in sizes(advised) {
            found.entry(size).or_default().push(throughput(arguments, binary, server, size)?);
        }
    }
    let found: BTreeMap<u32, f64> = found.into_iter().map(|(size, rates)| (size, median(&rates))).collect();
    let duel = duel(arguments, binary, server, advised, &found)?;
    let mut page = format!("## {name}\n\n{}\n", throughput_text(advised, &knee, &found, &duel));
    println!("sizing: {name}: the advisor watches");
    let (budget, expected) = watched(arguments, binary, server)?;
    let mut table = Table::new(["budget", "statements", "within the wait %", "longer %"]);
    for size in [budget, budget.saturating_sub(FEWER).max(1)] {
        println!("sizing: {name}: waits with {size}");
        let waits = waits(arguments, binary, server, size)?;
        table.row([
            waits.budget.to_string(),
            whole(waits.count),
            format!("{:.2}", 100.0 * waits.within),
            format!("{:.2}", 100.0 * (1.0 - waits.within)),
        ]);
    }
    write!(
        page,
        "Waits: statements of {HOLD_MS} ms on average, spread like an exponential, {RATE} a second at random. So that 99 % wait at \
         most {TARGET_MS} ms, the advisor that watched says **{budget}** connections, and expects: {expected}. What happened with as many, \
         and with {FEWER} fewer:\n\n{}\n",
        table.markdown()
    )?;
    Ok(page)
}

/// The size that the advisor finds by itself, and its knee in its own words.
fn measured(arguments: &Arguments, binary: &Path, server: &Backend) -> Result<(u32, String)> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("script.sql");
    fs::write(&script, server.work().to_owned() + ";\n")?;
    let each = (2 * arguments.duration()).as_secs().to_string();
    let mut command = Command::new(binary);
    command.args(["size", "--measure", &server.url(), "--script"]).arg(&script);
    command.args(["--up-to", &SIZE_MAX.to_string(), "--seconds", &each]);
    let text = said(&mut command)?;
    println!("{text}");
    Ok((budget(&text)?, line(&text, "Knee: ")?.to_owned()))
}

/// The size that the advisor finds by watching, and what it expects of it.
fn watched(arguments: &Arguments, binary: &Path, server: &Backend) -> Result<(u32, String)> {
    let evenkeel = server.evenkeel(binary, SIZE_MAX)?;
    let _load = open_load(server, &evenkeel)?;
    thread::sleep(WARM_UP);
    let mut command = Command::new(binary);
    command.args(["size", "--from", &format!("http://127.0.0.1:{}", evenkeel.ports().http())]);
    command.args(["--target-wait", &format!("{TARGET_MS}ms"), "--seconds", &watch(arguments).as_secs().to_string()]);
    let text = said(&mut command)?;
    println!("{text}");
    Ok((budget(&text)?, line(&text, "Expected: ")?.to_owned()))
}

/// The advised size and the best one found, in turns: of many figures the best one is also the luckiest, and is judged by
/// new ones.
fn duel(
    arguments: &Arguments,
    binary: &Path,
    server: &Backend,
    advised: u32,
    found: &BTreeMap<u32, f64>,
) -> Result<Duel> {
    let (best, _) = found.iter().max_by(|a, b| a.1.total_cmp(b.1)).context("no size was measured")?;
    println!("sizing: {}: {advised} and {best} in turns", server.name());
    let mut rates: [Vec<f64>; 2] = Default::default();
    for round in 0..TURNS * arguments.repeat.max(1) {
        for at in order(2, round) {
            rates[at].push(throughput(arguments, binary, server, [advised, *best][at])?);
        }
    }
    Ok(Duel { best: *best, of_advised: median(&rates[0]), of_best: median(&rates[1]), turns: rates[0].len() })
}

/// How many waits were within the target with this budget.
fn waits(arguments: &Arguments, binary: &Path, server: &Backend, budget: u32) -> Result<Waits> {
    let evenkeel = server.evenkeel(binary, budget)?;
    let load = open_load(server, &evenkeel)?;
    thread::sleep(WARM_UP);
    let (within, count) = counted(&evenkeel)?;
    thread::sleep(watch(arguments));
    let (within_after, count_after) = counted(&evenkeel)?;
    load.check()?;
    let count = count_after - count;
    ensure!(count > 0.0, "no statement was counted");
    Ok(Waits { budget, within: (within_after - within) / count, count })
}

/// Waits within the target and all waits, of all routes, so far.
fn counted(evenkeel: &Evenkeel) -> Result<(f64, f64)> {
    let (status, page) = evenkeel.http("/metrics")?;
    ensure!(status == 200, "/metrics answered {status}");
    // A bound of a bucket, so that the count is exact.
    let bound = format!("le=\"{}\"", TARGET_MS / 1e3);
    let sum = |family: &str, part: &str| -> f64 {
        let lines = page.lines().filter(|line| line.starts_with(family) && line.contains(part));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    Ok((sum("evenkeel_route_wait_seconds_bucket", &bound), sum("evenkeel_route_wait_seconds_count", "")))
}

fn open_load(server: &Backend, evenkeel: &Evenkeel) -> Result<Open> {
    Open::start(&server.plan(evenkeel, server.varying(), OPEN_CLIENTS), RATE)
}

/// Pieces of work per second with this budget, when there are always more clients than connections.
fn throughput(arguments: &Arguments, binary: &Path, server: &Backend, budget: u32) -> Result<f64> {
    let evenkeel = server.evenkeel(binary, budget)?;
    let load = Load::start(&server.plan(&evenkeel, server.work(), CLIENTS))?.logged_in()?;
    thread::sleep(WARM_UP / 4);
    let from = Instant::now();
    thread::sleep(arguments.duration());
    let sight = load.since(from);
    ensure!(sight.errors == 0, "{} errors: {:?}", sight.errors, sight.last_error);
    Ok(sight.per_second())
}

fn throughput_text(advised: u32, knee: &str, found: &BTreeMap<u32, f64>, duel: &Duel) -> String {
    let best = found.get(&duel.best).copied().unwrap_or_default();
    let mut table = Table::new(["connections", "work/s", "of the best"]);
    for (size, rate) in found {
        let mark = if *size == advised { format!("**{size}**") } else { size.to_string() };
        table.row([mark, whole(*rate), format!("{:.3}", rate / best)]);
    }
    format!(
        "The advisor measured by itself: {knee}, so it advises **{advised}**. Through Evenkeel, with {CLIENTS} clients, the best size \
         found is {}. In {} turns more of both, it does {} pieces of work per second and the advised one {}: **{:.3}** of it.\n\n{}",
        duel.best,
        duel.turns,
        whole(duel.of_best),
        whole(duel.of_advised),
        duel.of_advised / duel.of_best,
        table.markdown()
    )
}

impl Backend {
    fn name(&self) -> String {
        match self {
            Self::Postgres(server) => format!("PostgreSQL {}", server.install().version()),
            Self::MySql(server) => format!("{} {}", server.kind().name(), server.install().version()),
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Postgres(server) => {
                format!("postgres://{USER}:{PASSWORD}@{}/{DATABASE}?sslmode=disable", server.address())
            }
            Self::MySql(server) => {
                format!("mysql://{USER}:{PASSWORD}@{}/{DATABASE}?ssl-mode=DISABLED", server.address())
            }
        }
    }

    /// Work that takes 20 ms, as for a disk, and then 2 ms under a lock that all want, as for a row that all count
    /// in. So throughput ends to grow with some more than 10 connections, and that does not hang on processors, of which
    /// others may use a part that changes.
    fn work(&self) -> &'static str {
        match self {
            Self::Postgres(_) => {
                "with work as materialized (select pg_sleep(0.02)) select pg_advisory_xact_lock(1), pg_sleep(0.002) from work"
            }
            Self::MySql(_) => "do sleep(0.02);\nupdate hot set n = n + 1 where id = 0 and sleep(0.002 + 0 * n) = 0",
        }
    }

    /// What [`Backend::work`] needs.
    fn prepare(&self) -> Result<()> {
        if let Self::MySql(server) = self {
            server.sql(&format!(
                "create table {DATABASE}.hot (id int primary key, n int); insert into {DATABASE}.hot values (0, 0)"
            ))?;
        }
        Ok(())
    }

    /// A statement that takes [`HOLD_MS`] on average, spread like an exponential.
    fn varying(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "select pg_sleep(-0.02 * ln(1 - random()))",
            Self::MySql(_) => "select sleep(-0.02 * ln(1 - rand()))",
        }
    }

    fn evenkeel(&self, binary: &Path, budget: u32) -> Result<Evenkeel> {
        match self {
            Self::Postgres(server) => scene(budget).evenkeel(binary, server),
            Self::MySql(server) => scene(budget).evenkeel_mysql(binary, server),
        }
    }

    /// Clients through an Evenkeel.
    fn plan(&self, evenkeel: &Evenkeel, sql: &str, clients: usize) -> Plan {
        let (protocol, address) = match self {
            Self::Postgres(_) => (Protocol::Postgres, evenkeel.address()),
            Self::MySql(_) => (Protocol::MySql, evenkeel.mysql_address()),
        };
        Plan {
            protocol,
            address,
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            database: DATABASE.to_owned(),
            clients,
            sql: sql.to_owned(),
            period: Duration::ZERO,
            introduction: Introduction::default(),
        }
    }
}

fn scene(budget: u32) -> Scene<'static> {
    Scene { budget, users: &[(USER, Login::Scram)], databases: &[DATABASE], ..Scene::default() }
}

/// Each of the small sizes, and ever fewer of the large ones.
fn sizes(advised: u32) -> Vec<u32> {
    let mut sizes: Vec<u32> = (1..=12).chain([14, 16, 18, 20, 24, 32, 48, SIZE_MAX, advised]).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "evenkeel size: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn budget(text: &str) -> Result<u32> {
    let rest = line(text, "Budget: ")?;
    rest.split(' ').next().and_then(|number| number.parse().ok()).with_context(|| format!("no number in {rest:?}"))
}

fn line<'a>(text: &'a str, label: &str) -> Result<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(label)).with_context(|| format!("no {label:?} in\n{text}"))
}

fn watch(arguments: &Arguments) -> Duration {
    5 * arguments.duration()
}

fn preface(arguments: &Arguments) -> Result<String> {
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let busy = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(format!(
        "# The sizing advisor against reality\n\nWritten by `cargo xtask bench sizing --write` on {}: {} CPUs, {} runs of {} s per size, \
         interleaved; the tables have medians. Server, clients and Evenkeel share the machine, with a load average of {} at the \
         end: one far above the number of CPUs means that others disturbed it. What the advice means: [sizing.md](../sizing.md).\n",
        date.trim(),
        thread::available_parallelism()?,
        arguments.repeat.max(1),
        arguments.seconds.max(1),
        busy.split(' ').next().filter(|busy| !busy.is_empty()).unwrap_or("an unknown number")
    ))
}

/// Turns of the advised and the best size, for each round of all sizes.
const TURNS: usize = 3;
const USER: &str = "app";
const DATABASE: &str = "shop";
/// The most connections that are tried.
const SIZE_MAX: u32 = 64;
/// Clients that saturate every size.
const CLIENTS: usize = 96;
/// Clients of the open load: more than ever wait or are served at once.
const OPEN_CLIENTS: usize = 150;
/// Statements per second of the open load, and how long each takes on average.
const RATE: f64 = 300.0;
const HOLD_MS: u32 = 20;
/// The wait that 99 % may have: a bound of the histogram's buckets.
const TARGET_MS: f64 = 4.096;
/// How many connections fewer than advised are tried, too.
const FEWER: u32 = 3;
const WARM_UP: Duration = Duration::from_secs(3);
