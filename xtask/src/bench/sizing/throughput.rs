//! The size that `evenkeel size --measure` advises, beside the throughput of every size.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Backend, SIZE_MAX, WARM_UP, budget, line, said};
use crate::bench::Arguments;
use crate::bench::contender::order;
use crate::load::Load;
use crate::report::{Table, median, whole};

/// What connections are kept busy with.
pub(super) struct Work {
    /// What limits it, for headings.
    limit: &'static str,
    postgres: &'static str,
    mysql: &'static str,
    /// The sizes that are tried beside the advised one, all of the small ones that can make a difference.
    sizes: &'static [u32],
}

/// 20 ms, as for a disk, and then 2 ms under a lock that all want, as for a row that all count in. So throughput ends to grow
/// with some more than 10 connections, and that does not hang on processors, of which others may use a part that changes.
const LOCK: Work = Work {
    limit: "a lock",
    postgres: "with work as materialized (select pg_sleep(0.02)) select pg_advisory_xact_lock(1), pg_sleep(0.002) from work",
    mysql: "do sleep(0.02);\nupdate hot set n = n + 1 where id = 0 and sleep(0.002 + 0 * n) = 0",
    sizes: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 24, 32, 48, SIZE_MAX],
};

/// Some milliseconds of a processor. Throughput ends to grow at once when each processor has its connection.
const PROCESSORS: Work = Work {
    limit: "the processors",
    postgres: "select count(md5(cast(n as text))) from generate_series(1, 4000) as n",
    mysql: "do benchmark(10000, sha2('work', 256))",
    sizes: &[1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, SIZE_MAX],
};

/// Everything that is tried.
pub(super) const WORKS: [&Work; 2] = [&LOCK, &PROCESSORS];

/// What the advised size does beside the best one.
struct Duel {
    best: u32,
    /// Pieces of work per second, in the median.
    of_advised: f64,
    of_best: f64,
    turns: usize,
}

/// One work on one server.
pub(super) struct Trial<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) binary: &'a Path,
    pub(super) server: &'a Backend,
    pub(super) work: &'a Work,
}

impl Trial<'_> {
    /// Has the advisor measure, tries every size, and says how near it came.
    pub(super) fn run(&self) -> Result<String> {
        let title = format!("{}, {}", self.server.name(), self.work.limit);
        println!("sizing: {title}: the advisor measures");
        let (advised, knee) = self.measured()?;
        let mut found: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for round in 0..self.arguments.repeat.max(1) {
            println!("sizing: {title}: every size, round {} of {}", round + 1, self.arguments.repeat.max(1));
            for size in self.sizes(advised) {
                found.entry(size).or_default().push(self.throughput(size)?);
            }
        }
        let found: BTreeMap<u32, f64> = found.into_iter().map(|(size, rates)| (size, median(&rates))).collect();
        let duel = self.duel(advised, &found)?;
        Ok(format!("### Limited by {}\n\n{}\n", self.work.limit, text(advised, &knee, &found, &duel)))
    }

    fn sql(&self) -> &'static str {
        match self.server {
            Backend::Postgres(_) => self.work.postgres,
            Backend::MySql(_) => self.work.mysql,
        }
    }

    fn sizes(&self, advised: u32) -> Vec<u32> {
        let mut sizes: Vec<u32> = self.work.sizes.iter().copied().chain([advised]).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// The size that the advisor finds by itself, and its knee in its own words.
    fn measured(&self) -> Result<(u32, String)> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("script.sql");
        fs::write(&script, self.sql().to_owned() + ";\n")?;
        let each = (2 * self.arguments.duration()).as_secs().to_string();
        let mut command = Command::new(self.binary);
        command.args(["size", "--measure", &self.server.url(), "--script"]).arg(&script);
        command.args(["--up-to", &SIZE_MAX.to_string(), "--seconds", &each]);
        let text = said(&mut command)?;
        println!("{text}");
        Ok((budget(&text)?, line(&text, "Knee: ")?.to_owned()))
    }

    /// The advised size and the best one found, in turns: of many figures the best one is also the luckiest, and is judged by
    /// new ones.
    fn duel(&self, advised: u32, found: &BTreeMap<u32, f64>) -> Result<Duel> {
        let (best, _) = found.iter().max_by(|a, b| a.1.total_cmp(b.1)).context("no size was measured")?;
        println!("sizing: {}: {advised} and {best} in turns", self.server.name());
        let mut rates: [Vec<f64>; 2] = Default::default();
        for round in 0..TURNS * self.arguments.repeat.max(1) {
            for at in order(2, round) {
                rates[at].push(self.throughput([advised, *best][at])?);
            }
        }
        Ok(Duel { best: *best, of_advised: median(&rates[0]), of_best: median(&rates[1]), turns: rates[0].len() })
    }

    /// Pieces of work per second with this budget, when there are always more clients than connections.
    fn throughput(&self, budget: u32) -> Result<f64> {
        let evenkeel = self.server.evenkeel(self.binary, budget)?;
        let load = Load::start(&self.server.plan(&evenkeel, self.sql(), CLIENTS))?.logged_in()?;
        thread::sleep(WARM_UP / 4);
        let from = Instant::now();
        thread::sleep(self.arguments.duration());
        let sight = load.since(from);
        ensure!(sight.errors == 0, "{} errors: {:?}", sight.errors, sight.last_error);
        Ok(sight.per_second())
    }
}

fn text(advised: u32, knee: &str, found: &BTreeMap<u32, f64>, duel: &Duel) -> String {
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

/// Turns of the advised and the best size, for each round of all sizes.
const TURNS: usize = 3;

/// Clients that saturate every size.
const CLIENTS: usize = 96;
