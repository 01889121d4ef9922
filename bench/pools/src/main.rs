//! Pools of an application beside each other, on a real PostgreSQL.
//!
//! `pools URL SECONDS ROUNDS`. Every pool may have eight connections, and each is used as its documentation says. What is
//! measured is a checkout, `SELECT 1` and the return: at rest with one task, and under 64 tasks. Rounds are interleaved; the
//! table has medians, and ratios to the first row.
//!
//! The `abandoned` column is no speed: every task drops its query in the middle, now and then, as a timeout would. It counts the
//! answers that somebody got late because of somebody else's dropped query, in a thousand.

mod contender;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use contender::{Bb8, Contender, Deadpool, Evenkeel, Sqlx};
use tokio::task::JoinSet;

/// Connections of every pool.
const CONNECTIONS: u32 = 8;

/// Tasks that want them.
const TASKS: usize = 64;

/// How long a query that is dropped in the middle would have taken.
const SLOW: Duration = Duration::from_millis(200);

/// An answer later than this waited for somebody else's query.
const LATE: Duration = Duration::from_millis(100);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("the first argument is the URL of a PostgreSQL server")?;
    let seconds: u64 = arguments.next().as_deref().unwrap_or("2").parse().context("seconds")?;
    let rounds: usize = arguments.next().as_deref().unwrap_or("3").parse().context("rounds")?;
    let time = Duration::from_secs(seconds);
    let mut rows: Vec<Row> = Vec::new();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        let mut runs = [run::<Evenkeel> as fn(&str, Duration) -> Result<Run>, run::<Deadpool>, run::<Bb8>, run::<Sqlx>]
            .into_iter()
            .zip([Evenkeel::NAME, Deadpool::NAME, Bb8::NAME, Sqlx::NAME])
            .enumerate()
            .collect::<Vec<_>>();
        if round % 2 == 1 {
            runs.reverse();
        }
        for (index, (run, name)) in runs {
            let measured = run(&url, time).with_context(|| name.to_owned())?;
            match rows.iter_mut().find(|row| row.index == index) {
                Some(row) => row.runs.push(measured),
                None => rows.push(Row { index, name, runs: vec![measured] }),
            }
        }
    }
    rows.sort_by_key(|row| row.index);
    print(&rows);
    Ok(())
}

/// What was measured of one pool in one round.
struct Run {
    /// Microseconds of a cycle with one task.
    alone_us: f64,
    /// Cycles in a second with all tasks.
    rate: f64,
    /// The same, of the process's CPU time, in microseconds for each cycle.
    cpu_us: f64,
    /// The 99th percentile of a cycle with all tasks, in milliseconds.
    p99_ms: f64,
    /// Late answers in a thousand, where others drop their queries.
    late: f64,
}

struct Row {
    index: usize,
    name: &'static str,
    runs: Vec<Run>,
}

impl Row {
    fn median(&self, of: impl Fn(&Run) -> f64) -> f64 {
        let mut values: Vec<f64> = self.runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

fn print(rows: &[Row]) {
    println!("\n{TASKS} tasks, {CONNECTIONS} connections, checkout + SELECT 1 + return; medians\n");
    println!("| pool | one task µs | x | cycles/s | x | CPU µs/cycle | p99 ms | abandoned: late ‰ |");
    println!("|:---|---:|---:|---:|---:|---:|---:|---:|");
    let Some(first) = rows.first() else { return };
    for row in rows {
        let (alone, rate) = (row.median(|run| run.alone_us), row.median(|run| run.rate));
        println!(
            "| {} | {alone:.1} | {:.2} | {rate:.0} | {:.2} | {:.1} | {:.2} | {:.1} |",
            row.name,
            alone / first.median(|run| run.alone_us),
            rate / first.median(|run| run.rate),
            row.median(|run| run.cpu_us),
            row.median(|run| run.p99_ms),
            row.median(|run| run.late),
        );
    }
}

/// Measures one pool, on a runtime of its own.
fn run<P: Contender>(url: &str, time: Duration) -> Result<Run> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let pool = P::new(url, CONNECTIONS).await?;
        let alone_us = alone(&pool, time / 2).await?;
        let before = cpu_time()?;
        let mut cycles = together(&pool, time).await?;
        let cpu = cpu_time()?.saturating_sub(before);
        cycles.sort_unstable();
        let count = cycles.len() as f64;
        let p99 = cycles.get(cycles.len() * 99 / 100).copied().unwrap_or_default();
        let late = with_abandoned(&pool, time / 2).await?;
        Ok(Run {
            alone_us,
            rate: count / time.as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / count,
            p99_ms: p99.as_secs_f64() * 1e3,
            late,
        })
    })
}

/// The median of a cycle with nobody else, in microseconds.
async fn alone<P: Contender>(pool: &P, time: Duration) -> Result<f64> {
    let until = Instant::now() + time;
    let mut cycles = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        pool.select_one().await?;
        cycles.push(began.elapsed());
    }
    cycles.sort_unstable();
    Ok(cycles.get(cycles.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e6)
}

/// All cycles of all tasks.
async fn together<P: Contender>(pool: &P, time: Duration) -> Result<Vec<Duration>> {
    let until = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut cycles = Vec::new();
            while Instant::now() < until {
                let began = Instant::now();
                pool.select_one().await?;
                cycles.push(began.elapsed());
            }
            anyhow::Ok(cycles)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.append(&mut done??);
    }
    Ok(all)
}

/// Late answers in a thousand: half of the tasks ask, the others drop a slow query in the middle and rest for as long.
async fn with_abandoned<P: Contender>(pool: &P, time: Duration) -> Result<f64> {
    let until = Instant::now() + time;
    let mut droppers = JoinSet::new();
    for _ in 0..2 {
        let pool = pool.clone();
        droppers.spawn(async move {
            while Instant::now() < until {
                let _ = tokio::time::timeout(Duration::from_millis(20), pool.sleep(SLOW)).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let mut askers = JoinSet::new();
    for _ in 0..4 {
        let pool = pool.clone();
        askers.spawn(async move {
            let (mut late, mut all) = (0_u32, 0_u32);
            while Instant::now() < until {
                let began = Instant::now();
                // What an application sees of a connection that was left at work: lateness or an error.
                let failed = pool.select_one().await.is_err();
                all += 1;
                late += u32::from(failed || began.elapsed() > LATE);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            (late, all)
        });
    }
    let counts = askers.join_all().await;
    droppers.join_all().await;
    let (late, all) = counts.into_iter().fold((0, 0), |(a, b), (late, all)| (a + late, b + all));
    Ok(f64::from(late) * 1_000.0 / f64::from(all.max(1)))
}

/// CPU time of this process so far. Source: `proc(5)`, fields 14 and 15 of `stat`, in ticks of 10 ms.
fn cpu_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).context("/proc/self/stat");
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
