//! What a query and an idle client cost the pooler where clients speak MySQL, beside MySQL Router and no pooler at all, in
//! the same run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::mysql::{Install, Kind, Login, Options, Server, skipped};
use testkit::sysbench::{Outcome, Script};
use testkit::{Evenkeel, MyWire, Process, Sysbench};

use super::Arguments;
use super::contender::{Cell, build_evenkeel, order};
use super::forwarder::{self, Forwarder};
use super::router::{self, Router};
use super::usage;
use crate::report::{Table, whole};
use crate::scene::{PASSWORD, Scene};
use crate::shell::root;

/// A workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    PointPrepared,
    PointText,
    ReadOnly,
    ReadWrite,
}

/// A way for clients to a server.
struct Way {
    name: &'static str,
    port: u16,
    user: &'static str,
    password: &'static str,
    between: Between,
}

/// What stands on the way.
enum Between {
    Nothing,
    Evenkeel(Evenkeel),
    Router(Router),
    Forwarder(Forwarder),
}

/// One run of sysbench on one way.
struct Run {
    outcome: Outcome,
    /// CPU of what stands between, in microseconds per query.
    proxy_us: f64,
    /// CPU of the server, in microseconds per query.
    server_us: f64,
}

type Cells = BTreeMap<(Work, u32, usize), Cell<Run>>;

/// Runs all cells on MySQL and on MariaDB and prints the tables; writes them to `docs/benchmarks/mysql.md` when asked.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let binary = build_evenkeel()?;
    let mut page = String::new();
    // MySQL first, where Router can share.
    for kind in [Kind::MySql, Kind::MariaDb].into_iter().filter(|kind| arguments.covers(*kind)) {
        if let (Kind::MySql, Err(why)) = (kind, Install::find(kind)) {
            skipped(kind.name(), &format!("{why:#}"));
            continue;
        }
        let server = start_server(kind)?;
        let ways = ways(&binary, &server)?;
        writeln!(page, "## {} {}\n\n{}", kind.name(), server.install().version(), bench(arguments, &server, &ways)?)?;
    }
    print!("\n{page}");
    if arguments.write {
        let path = root().join("docs/benchmarks/mysql.md");
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(&path, format!("{}\n{}\n", preface(arguments)?, page.trim_end()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

/// All tables of one server.
fn bench(arguments: &Arguments, server: &Server, ways: &[Way]) -> Result<String> {
    // First, while the poolers are fresh: memory freed by earlier clients would hide what idle ones take.
    let idle = idle_table(server, ways)?;
    let mut cells = Cells::new();
    let clients = arguments.clients_or(&CLIENTS);
    for round in 0..arguments.repeat.max(1) {
        println!("mysql: {}, round {} of {}", server.kind().name(), round + 1, arguments.repeat.max(1));
        for (work, clients) in grid(&clients) {
            for index in order(ways.len(), round) {
                let way = &ways[index];
                let run = way
                    .measure(server, &work.prepare(way.sysbench().clients(clients)), arguments.duration())
                    .with_context(|| format!("{}, {}, {clients} clients", way.name, work.text()))?;
                cells.entry((work, clients, index)).or_default().0.push(run);
            }
        }
    }
    let mut text = work_table(ways, &cells);
    for (theirs, way) in ways.iter().enumerate().skip(EVENKEEL + 1) {
        write!(text, "\nRatios, Evenkeel to {} (below 1 is less):\n\n", way.name)?;
        text.push_str(&ratio_table(&cells, &clients, theirs));
    }
    write!(text, "\nIdle clients:\n\n{idle}")?;
    Ok(text)
}

fn start_server(kind: Kind) -> Result<Server> {
    let scene = scene();
    let options = Options::new()
        .user(router::USER, "", Login::Usual)
        .set("innodb_buffer_pool_size", "512M")
        .max_connections(IDLE_CLIENTS + 500)
        // Sysbench prepares up to 20 statements for each client.
        .set("max_prepared_stmt_count", "100000");
    let server = scene.mysql(kind, options)?;
    server.process()?.prefer();
    Sysbench::new(server.port(), USER, PASSWORD, DATABASE).rows(ROWS).prepare()?;
    Ok(server)
}

fn ways(binary: &std::path::Path, server: &Server) -> Result<Vec<Way>> {
    let evenkeel = scene().evenkeel_mysql(binary, server)?;
    let port = evenkeel.mysql_port();
    let mut ways = vec![
        Way { name: "direct", port: server.port(), user: USER, password: PASSWORD, between: Between::Nothing },
        Way { name: "evenkeel", port, user: USER, password: PASSWORD, between: Between::Evenkeel(evenkeel) },
    ];
    match router::Installed::find() {
        Ok(installed) => {
            let router = Router::start(&installed, server)?;
            let (name, port) = (router::name(server.kind()), router.port());
            ways.push(Way { name, port, user: router::USER, password: "", between: Between::Router(router) });
        }
        Err(why) => skipped("MySQL Router", &format!("{why:#}")),
    }
    match Forwarder::start(&server.address()) {
        Ok(haproxy) => {
            let (port, between) = (haproxy.port(), Between::Forwarder(haproxy));
            ways.push(Way { name: forwarder::NAME, port, user: USER, password: PASSWORD, between });
        }
        Err(why) => skipped("HAProxy", &format!("{why:#}")),
    }
    for process in ways.iter().filter_map(Way::process) {
        process.prefer();
    }
    Ok(ways)
}

fn scene() -> Scene<'static> {
    Scene { budget: BUDGET, users: &[(USER, testkit::Login::Scram)], databases: &[DATABASE], ..Scene::default() }
}

impl Way {
    fn process(&self) -> Option<&Process> {
        match &self.between {
            Between::Nothing => None,
            Between::Evenkeel(evenkeel) => Some(evenkeel.process()),
            Between::Router(router) => Some(router.process()),
            Between::Forwarder(haproxy) => Some(haproxy.process()),
        }
    }

    fn sysbench(&self) -> Sysbench {
        Sysbench::new(self.port, self.user, self.password, DATABASE).rows(ROWS)
    }

    fn measure(&self, server: &Server, bench: &Sysbench, duration: Duration) -> Result<Run> {
        let server = server.process()?;
        let mut running = bench.clone().duration(duration).start()?;
        running.process().prefer();
        let read = || {
            let proxy = self.process().map_or(Ok(Duration::ZERO), Process::cpu_time)?;
            Ok([proxy, server.cpu_time()?])
        };
        let window = usage::watch(duration, || running.is_running(), read)?;
        let outcome = running.finish()?;
        ensure!(outcome.transactions > 0, "no transaction completed:\n{}", outcome.report);
        let queries = outcome.qps * window.length.as_secs_f64();
        let per_query = |index: usize| (window.last[index] - window.first[index]).as_secs_f64() * 1e6 / queries;
        Ok(Run { proxy_us: per_query(0), server_us: per_query(1), outcome })
    }
}

fn grid(clients: &[u32]) -> Vec<(Work, u32)> {
    WORKS.into_iter().flat_map(|work| clients.iter().map(move |clients| (work, *clients))).collect()
}

impl Work {
    fn prepare(self, bench: Sysbench) -> Sysbench {
        match self {
            Self::PointPrepared => bench.script(Script::PointSelect),
            Self::PointText => bench.script(Script::PointSelect).unprepared(),
            Self::ReadOnly => bench.script(Script::ReadOnly),
            Self::ReadWrite => bench.script(Script::ReadWrite),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::PointPrepared => "point select, prepared",
            Self::PointText => "point select, text",
            Self::ReadOnly => "read only",
            Self::ReadWrite => "read and write",
        }
    }
}

fn work_table(ways: &[Way], cells: &Cells) -> String {
    let head = [
        "workload",
        "clients",
        "way",
        "proxy CPU µs/query",
        "least",
        "server CPU µs/query",
        "queries/s",
        "p95 ms",
        "deadlocks",
    ];
    let mut table = Table::new(head);
    for ((work, clients, index), cell) in cells {
        table.row([
            work.text().to_owned(),
            clients.to_string(),
            ways[*index].name.to_owned(),
            format!("{:.1}", cell.median(|run| run.proxy_us)),
            format!("{:.1}", cell.minimum(|run| run.proxy_us)),
            format!("{:.1}", cell.median(|run| run.server_us)),
            whole(cell.median(|run| run.outcome.qps)),
            format!("{:.2}", cell.p95_ms()),
            cell.0.iter().map(|run| run.outcome.ignored_errors).sum::<u64>().to_string(),
        ]);
    }
    table.markdown()
}

fn ratio_table(cells: &Cells, clients: &[u32], theirs: usize) -> String {
    let mut table =
        Table::new(["workload", "clients", "proxy CPU", "least proxy CPU", "proxy + server CPU", "queries/s", "p95"]);
    for (work, clients) in grid(clients) {
        let (ours, theirs) = (&cells[&(work, clients, EVENKEEL)], &cells[&(work, clients, theirs)]);
        let ratio = |figure: &dyn Fn(&Cell<Run>) -> f64| format!("{:.2}", figure(ours) / figure(theirs));
        table.row([
            work.text().to_owned(),
            clients.to_string(),
            ratio(&|cell| cell.median(|run| run.proxy_us)),
            ratio(&|cell| cell.minimum(|run| run.proxy_us)),
            ratio(&|cell| cell.median(|run| run.proxy_us + run.server_us)),
            ratio(&|cell| cell.median(|run| run.outcome.qps)),
            ratio(&Cell::p95_ms),
        ]);
    }
    table.markdown()
}

impl Cell<Run> {
    /// The time that 95 of 100 transactions did not exceed, in milliseconds; median over the runs.
    fn p95_ms(&self) -> f64 {
        self.median(|run| run.outcome.p95.as_secs_f64() * 1e3)
    }
}

/// Resident memory per client that has logged in and does nothing: of what stands between, and of the server.
fn idle_table(server: &Server, ways: &[Way]) -> Result<String> {
    let head = ["way", "idle clients", "proxy MiB before", "with them MiB", "bytes per client", "server connections"];
    let mut table = Table::new(head);
    for way in ways {
        let Some(process) = way.process() else { continue };
        println!("mysql: {IDLE_CLIENTS} idle clients of {}", way.name);
        let address = format!("127.0.0.1:{}", way.port);
        let log_in = || MyWire::log_in(&address, way.user, way.password, Some(DATABASE));
        log_in()?.query("select 1")?;
        let before = process.resident_bytes()?;
        let clients = (0..IDLE_CLIENTS).map(|_| log_in()).collect::<Result<Vec<_>>>().context(way.name)?;
        let after = process.resident_bytes()?;
        let held = server.processlist()?.iter().filter(|session| session.user == way.user).count();
        #[allow(clippy::cast_precision_loss)]
        let (before, after) = (before as f64, after as f64);
        table.row([
            way.name.to_owned(),
            clients.len().to_string(),
            format!("{:.1}", before / MIB),
            format!("{:.1}", after / MIB),
            whole((after - before) / f64::from(IDLE_CLIENTS)),
            held.to_string(),
        ]);
    }
    Ok(table.markdown())
}

fn preface(arguments: &Arguments) -> Result<String> {
    let cpus = std::thread::available_parallelism()?;
    let router =
        router::Installed::find().and_then(|installed| installed.version()).unwrap_or_else(|_| "absent".to_owned());
    let date = testkit::process::run(std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    Ok(format!(
        "# sysbench through Evenkeel and MySQL Router\n\nWritten by `cargo xtask bench mysql --write` on {date}: {cpus} CPUs, \
         one table of {ROWS} rows; Evenkeel with\n{BUDGET} server connections, MySQL Router {router} with as many as its clients \
         make it open. {} runs of {} s per figure,\ninterleaved; the tables have medians. Proxy, server and sysbench share the \
         machine, so queries per second mean little;\nCPU per query is what carries over. No run had an error; deadlocks are \
         between sysbench's own transactions, which it\nrepeats. Router shares connections with MySQL only: with MariaDB its \
         sharing fails, so every client has a server connection\nof its own there. With statements prepared Router \
         hardly shares either. HAProxy takes part where it is installed, with one\nthread and as a TCP proxy: it only moves \
         bytes between each client and a server connection of its own, and so shows what\na proxy costs on this machine that \
         does nothing else. See BENCHMARKING.md.\n",
        arguments.repeat.max(1),
        arguments.duration().as_secs(),
    ))
}

const WORKS: [Work; 4] = [Work::PointPrepared, Work::PointText, Work::ReadOnly, Work::ReadWrite];
const CLIENTS: [u32; 4] = [1, 8, 64, 256];
/// Where Evenkeel is among the ways.
const EVENKEEL: usize = 1;
const USER: &str = "app";
const DATABASE: &str = "bench";
const BUDGET: u32 = 16;
const ROWS: u32 = 50_000;
const IDLE_CLIENTS: u32 = 1000;
const MIB: f64 = 1024.0 * 1024.0;
