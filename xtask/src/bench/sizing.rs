//! The sizing advisor against reality: the size that `evenkeel size --measure` advises, beside the throughput of every size;
//! and the size that `evenkeel size --from` advises for a wait, beside the waits that it then has.

mod open;
mod throughput;

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
use self::throughput::{Trial, WORKS};
use super::Arguments;
use super::contender::build_evenkeel;
use crate::load::{Introduction, Plan, Protocol};
use crate::report::{Table, whole};
use crate::scene::{PASSWORD, Scene};
use crate::shell::root;

/// A server of one kind.
enum Backend {
    Postgres(Postgres),
    MySql(mysql::Server),
}

/// How much was within the target, with one budget.
struct Waits {
    budget: u32,
    /// Of all waits, 0 to 1.
    within: f64,
    /// How many there were.
    count: f64,
    /// Connections busy on average: whether the load was the one that was sized for.
    busy: f64,
}

/// What an Evenkeel has counted so far, of all routes.
struct Counted {
    /// Waits within the target.
    within: f64,
    /// All waits.
    waits: f64,
    /// How long connections were lent, in seconds.
    held: f64,
    at: Instant,
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
    let mut page = format!("## {name}\n\n");
    for work in WORKS {
        writeln!(page, "{}\n", Trial { arguments, binary, server, work }.run()?.trim_end())?;
    }
    println!("sizing: {name}: the advisor watches");
    let (budget, expected, busy) = watched(arguments, binary, server)?;
    let mut table = Table::new(["budget", "statements", "busy on average", "within the wait %", "longer %"]);
    for size in [budget, budget.saturating_sub(FEWER).max(1)] {
        println!("sizing: {name}: waits with {size}");
        let waits = waits(arguments, binary, server, size)?;
        table.row([
            waits.budget.to_string(),
            whole(waits.count),
            format!("{:.2}", waits.busy),
            format!("{:.2}", 100.0 * waits.within),
            format!("{:.2}", 100.0 * (1.0 - waits.within)),
        ]);
    }
    write!(
        page,
        "### Waits\n\nStatements of {HOLD_MS} ms on average, spread like an exponential, {RATE} a second at random. So that 99 % wait at \
         most {TARGET_MS} ms, the advisor that watched says **{budget}** connections, and expects: {expected}. Busy were {busy}. What happened with as many, \
         and with {FEWER} fewer:\n\n{}\n",
        table.markdown()
    )?;
    Ok(page)
}

/// The size that the advisor finds by watching, what it expects of it, and the load that it saw.
fn watched(arguments: &Arguments, binary: &Path, server: &Backend) -> Result<(u32, String, String)> {
    let evenkeel = server.evenkeel(binary, SIZE_MAX)?;
    let _load = open_load(server, &evenkeel)?;
    thread::sleep(WARM_UP);
    let mut command = Command::new(binary);
    command.args(["size", "--from", &format!("http://127.0.0.1:{}", evenkeel.ports().http())]);
    command.args(["--target-wait", &format!("{TARGET_MS}ms"), "--seconds", &watch(arguments).as_secs().to_string()]);
    let text = said(&mut command)?;
    println!("{text}");
    Ok((budget(&text)?, line(&text, "Expected: ")?.to_owned(), line(&text, "Busy: ")?.to_owned()))
}

/// How many waits were within the target with this budget.
fn waits(arguments: &Arguments, binary: &Path, server: &Backend, budget: u32) -> Result<Waits> {
    let evenkeel = server.evenkeel(binary, budget)?;
    let load = open_load(server, &evenkeel)?;
    thread::sleep(WARM_UP);
    let before = counted(&evenkeel)?;
    thread::sleep(watch(arguments));
    let after = counted(&evenkeel)?;
    load.check()?;
    let count = after.waits - before.waits;
    ensure!(count > 0.0, "no statement was counted");
    let busy = (after.held - before.held) / after.at.duration_since(before.at).as_secs_f64();
    Ok(Waits { budget, within: (after.within - before.within) / count, count, busy })
}

fn counted(evenkeel: &Evenkeel) -> Result<Counted> {
    let (status, page) = evenkeel.http("/metrics")?;
    let at = Instant::now();
    ensure!(status == 200, "/metrics answered {status}");
    // A bound of a bucket, so that the count is exact.
    let bound = format!("le=\"{}\"", TARGET_MS / 1e3);
    let sum = |family: &str, part: &str| -> f64 {
        let lines = page.lines().filter(|line| line.starts_with(family) && line.contains(part));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    Ok(Counted {
        within: sum("evenkeel_route_wait_seconds_bucket", &bound),
        waits: sum("evenkeel_route_wait_seconds_count", ""),
        held: sum("evenkeel_route_transaction_seconds_sum", ""),
        at,
    })
}

fn open_load(server: &Backend, evenkeel: &Evenkeel) -> Result<Open> {
    Open::start(&server.plan(evenkeel, server.varying(), OPEN_CLIENTS), RATE)
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

    /// What [`WORKS`] need.
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

const USER: &str = "app";
const DATABASE: &str = "shop";
/// The most connections that are tried.
const SIZE_MAX: u32 = 64;
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
