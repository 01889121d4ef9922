//! What a transaction, a login and an idle client cost the pooler, beside PgBouncer in the same run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use testkit::bouncer::Ini;
use testkit::pgbench::{Mode, Script};
use testkit::wire::md5_verifier;
use testkit::{Install, Login, Options, PgBouncer, Pgbench, Postgres, Wire};

use super::Arguments;
use super::contender::{Cell, Contender, build_evenkeel, measure, order};
use crate::report::{Table, whole};
use crate::scene::{PASSWORD, Scene};
use crate::shell::root;

/// A workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Simple,
    Extended,
    Prepared,
    TpcB,
    /// One login per transaction.
    Logins,
}

/// Runs all cells and prints the tables; writes them to `docs/benchmarks/pg.md` when asked.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let binary = build_evenkeel()?;
    let scene = Scene {
        budget: BUDGET,
        users: &[(USER, Login::Md5), (SCRAM_USER, Login::Scram)],
        databases: &[DATABASE],
        ..Scene::default()
    };
    let pg = scene.postgres(Options::new().set("shared_buffers", "256MB"))?;
    pg.process()?.prefer();
    bench(&pg, pg.port()).initialise(SCALE)?;
    pg.psql_in(DATABASE, "grant select on all tables in schema public to public")?;
    let contenders = [Contender::evenkeel(scene.evenkeel(&binary, &pg)?), Contender::pgbouncer(pgbouncer(&pg)?)];

    // First, while the poolers are fresh: memory freed by earlier clients would hide what idle ones take.
    let idle = idle_table(&contenders)?;

    let mut cells: BTreeMap<(Work, u32, usize), Cell> = BTreeMap::new();
    for round in 0..arguments.repeat {
        println!("pg: round {} of {}", round + 1, arguments.repeat);
        for (work, clients) in grid() {
            for index in order(contenders.len(), round) {
                let contender = &contenders[index];
                let bench = work.prepare(bench(&pg, contender.port).clients(clients));
                let run = measure(contender, &bench, arguments.duration())
                    .with_context(|| format!("{}, {}, {clients} clients", contender.name, work.text()))?;
                cells.entry((work, clients, index)).or_default().0.push(run);
            }
        }
    }
    let mut page = String::new();
    writeln!(page, "{}", work_table(&contenders, &cells))?;
    writeln!(page, "Ratios, Evenkeel to PgBouncer (below 1 is less):\n\n{}", ratio_table(&cells))?;
    writeln!(page, "Idle clients:\n\n{idle}")?;
    print!("\n{page}");
    if arguments.write {
        let path = root().join("docs/benchmarks/pg.md");
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(&path, format!("{}\n{page}", preface(arguments, &pg)?))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

fn bench(pg: &Postgres, port: u16) -> Pgbench {
    Pgbench::new(pg.install(), port, USER, DATABASE).password(PASSWORD).sampling(0.2)
}

fn pgbouncer(pg: &Postgres) -> Result<PgBouncer> {
    let ini = Ini::new()
        .database("*", &format!("host=127.0.0.1 port={}", pg.port()))
        .set("auth_type", "hba")
        .hba(&format!("host all {SCRAM_USER} all scram-sha-256\nhost all all all md5\n"))
        .set("default_pool_size", &BUDGET.to_string())
        .user(USER, &md5_verifier(USER, PASSWORD))
        .user(SCRAM_USER, PASSWORD);
    PgBouncer::start(&Install::with_pgbouncer()?, &ini)
}

fn grid() -> Vec<(Work, u32)> {
    let selects = [Work::Simple, Work::Extended, Work::Prepared];
    let mut grid: Vec<_> =
        selects.into_iter().flat_map(|work| [1, 8, 64, 500].map(|clients| (work, clients))).collect();
    grid.extend([(Work::TpcB, 64), (Work::Logins, 8)]);
    grid
}

impl Work {
    fn prepare(self, bench: Pgbench) -> Pgbench {
        match self {
            Self::Simple => bench.mode(Mode::Simple),
            Self::Extended => bench.mode(Mode::Extended),
            Self::Prepared => bench.mode(Mode::Prepared),
            Self::TpcB => bench.script(Script::TpcB),
            Self::Logins => bench.user(SCRAM_USER).connect_each(),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Simple => "select, simple",
            Self::Extended => "select, extended",
            Self::Prepared => "select, prepared",
            Self::TpcB => "TPC-B",
            Self::Logins => "SCRAM login + select",
        }
    }
}

fn work_table(contenders: &[Contender], cells: &BTreeMap<(Work, u32, usize), Cell>) -> String {
    let head = ["workload", "clients", "pooler", "CPU µs/txn", "least", "TPS", "p50 µs", "p95 µs", "p99 µs", "errors"];
    let mut table = Table::new(head);
    for ((work, clients, index), cell) in cells {
        table.row([
            work.text().to_owned(),
            clients.to_string(),
            contenders[*index].name.clone(),
            format!("{:.1}", cell.median(|run| run.cpu_us)),
            format!("{:.1}", cell.minimum(|run| run.cpu_us)),
            whole(cell.median(|run| run.outcome.tps)),
            whole(cell.latency_us(0.5)),
            whole(cell.latency_us(0.95)),
            whole(cell.latency_us(0.99)),
            cell.errors().to_string(),
        ]);
    }
    table.markdown()
}

fn ratio_table(cells: &BTreeMap<(Work, u32, usize), Cell>) -> String {
    let mut table = Table::new(["workload", "clients", "CPU", "least CPU", "TPS", "p50", "p99"]);
    for (work, clients) in grid() {
        let (ours, theirs) = (&cells[&(work, clients, 0)], &cells[&(work, clients, 1)]);
        let ratio = |figure: &dyn Fn(&Cell) -> f64| format!("{:.2}", figure(ours) / figure(theirs));
        table.row([
            work.text().to_owned(),
            clients.to_string(),
            ratio(&|cell| cell.median(|run| run.cpu_us)),
            ratio(&|cell| cell.minimum(|run| run.cpu_us)),
            ratio(&|cell| cell.median(|run| run.outcome.tps)),
            ratio(&|cell| cell.latency_us(0.5)),
            ratio(&|cell| cell.latency_us(0.99)),
        ]);
    }
    table.markdown()
}

/// Resident memory of the pooler per client that has logged in and does nothing.
fn idle_table(contenders: &[Contender]) -> Result<String> {
    let mut table = Table::new(["pooler", "idle clients", "memory before MiB", "with them MiB", "bytes per client"]);
    for contender in contenders {
        println!("pg: {IDLE_CLIENTS} idle clients of {}", contender.name);
        let address = format!("127.0.0.1:{}", contender.port);
        Wire::log_in(&address, USER, PASSWORD, DATABASE)?.query("select 1")?;
        let before = contender.process().resident_bytes()?;
        let clients = (0..IDLE_CLIENTS)
            .map(|_| Wire::log_in(&address, USER, PASSWORD, DATABASE))
            .collect::<Result<Vec<_>>>()
            .with_context(|| contender.name.clone())?;
        let after = contender.process().resident_bytes()?;
        #[allow(clippy::cast_precision_loss)]
        let (before, after) = (before as f64, after as f64);
        table.row([
            contender.name.clone(),
            clients.len().to_string(),
            format!("{:.1}", before / MIB),
            format!("{:.1}", after / MIB),
            whole((after - before) / f64::from(IDLE_CLIENTS)),
        ]);
    }
    Ok(table.markdown())
}

fn preface(arguments: &Arguments, pg: &Postgres) -> Result<String> {
    let cpus = std::thread::available_parallelism()?;
    let version = pg.psql("show server_version")?;
    let date = testkit::process::run(std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    Ok(format!(
        "# pgbench through Evenkeel and PgBouncer\n\nWritten by `cargo xtask bench pg --write` on {date}: {cpus} CPUs, PostgreSQL \
         {version}, scale {SCALE}, {BUDGET} server connections,\n{} runs of {} s per figure, interleaved; the table has medians. \
         Pooler, server and pgbench share the\nmachine, so transactions per second mean little; CPU per transaction is what carries \
         over. See BENCHMARKING.md.\n",
        arguments.repeat,
        arguments.duration().as_secs(),
    ))
}

const USER: &str = "app";
/// The user whose logins are measured.
const SCRAM_USER: &str = "scram";
const DATABASE: &str = "bench";
const BUDGET: u32 = 16;
const SCALE: u32 = 10;
const IDLE_CLIENTS: u32 = 4000;
const MIB: f64 = 1024.0 * 1024.0;
