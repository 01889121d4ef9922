//! The runtime experiment: a bare relay under several ways of using tokio, beside PgBouncer.

use std::collections::BTreeMap;

use anyhow::Result;
use testkit::bouncer::Ini;
use testkit::{Install, Options, PgBouncer, Pgbench, Postgres};

use super::Arguments;
use super::contender::{Cell, Contender, build_relay, measure, order};
use crate::report::{Table, whole};

/// Runs all shapes at all client counts and prints a table for each count.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let relay = build_relay()?;
    let pg = Postgres::start(Options::new().max_connections(200).set("shared_buffers", "256MB"))?;
    pg.process()?.prefer();
    let bench =
        |port, clients| Pgbench::new(pg.install(), port, "postgres", "postgres").clients(clients).sampling(SAMPLING);
    bench(pg.port(), 1).initialise(SCALE)?;

    let target = format!("host=127.0.0.1 port={} user=postgres", pg.port());
    let ini = Ini::new().database("*", &target).set("default_pool_size", "16");
    let mut contenders = vec![Contender::pgbouncer(PgBouncer::start(&Install::with_pgbouncer()?, &ini)?)];
    for (shape, threads) in SHAPES {
        contenders.push(Contender::relay(&relay, shape, threads, &pg.address())?);
    }
    let mut cells: BTreeMap<(u32, usize), Cell> = BTreeMap::new();
    for repeat in 0..arguments.repeat {
        println!("runtime: round {} of {}", repeat + 1, arguments.repeat);
        for clients in CLIENTS {
            for index in order(contenders.len(), repeat) {
                let contender = &contenders[index];
                let run = measure(contender, &bench(contender.port, clients), arguments.duration())?;
                cells.entry((clients, index)).or_default().0.push(run);
            }
        }
    }
    for clients in CLIENTS {
        println!("\npgbench -S, simple protocol, {clients} clients on 16 server connections\n");
        print!("{}", table(&contenders, |index| &cells[&(clients, index)]));
    }
    Ok(())
}

fn table<'a>(contenders: &[Contender], cell: impl Fn(usize) -> &'a Cell) -> String {
    let head = ["relay", "CPU µs/txn", "least", "of PgBouncer", "switches/txn", "TPS", "p50 µs", "p99 µs", "errors"];
    let mut table = Table::new(head);
    let base = cell(0).median(|run| run.cpu_us);
    for (index, contender) in contenders.iter().enumerate() {
        let runs = cell(index);
        let cpu = runs.median(|run| run.cpu_us);
        table.row([
            contender.name.clone(),
            format!("{cpu:.1}"),
            format!("{:.1}", runs.minimum(|run| run.cpu_us)),
            format!("{:.2}", cpu / base),
            format!("{:.2}", runs.median(|run| run.switches)),
            whole(runs.median(|run| run.outcome.tps)),
            whole(runs.latency_us(0.5)),
            whole(runs.latency_us(0.99)),
            runs.errors().to_string(),
        ]);
    }
    table.markdown()
}

const SHAPES: [(&str, usize); 5] = [("multi", 1), ("multi", 2), ("reuseport", 1), ("reuseport", 2), ("spread", 2)];
const CLIENTS: [u32; 3] = [1, 64, 500];
const SCALE: u32 = 10;
const SAMPLING: f64 = 0.2;
