//! `evenkeel size --measure`: what one server does with more and more connections.
//!
//! Each number of connections is measured twice, on the way up and on the way down: what warms up or wears off between the
//! two, and whatever else uses the machine, shows as points that do not repeat, and the fit says so.

mod drive;
mod script;
mod tools;

use std::{fmt::Write, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use config::Config;
use route::Protocol;
use sizing::{Fit, Point, real, time};

use self::{drive::Drive, script::Script, tools::External};
use super::{Measured, node::progress};

/// What makes the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Tool {
    /// This program, as its pool connects: the same for every server, TLS and all.
    Builtin,
    /// pgbench, with the script as its own (-f), or a name of those it brings (-b).
    Pgbench,
    /// sysbench, with the script as its own, or a name of those it brings; its tables are there already.
    Sysbench,
}

/// A sweep to be made.
pub(super) struct Sweep<'a> {
    pub(super) url: &'a str,
    pub(super) script: &'a Path,
    /// The most connections.
    pub(super) up_to: u32,
    /// For each number of connections, both ways together.
    pub(super) each: Duration,
    pub(super) tool: Tool,
}

/// What one number of connections did.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    /// Transactions per second.
    throughput: f64,
    /// The mean of their times.
    latency: Duration,
    /// What 99 % of them did not exceed, if that is known.
    p99: Option<Duration>,
    /// Transactions that the server refused.
    failed: u64,
    /// The part of a processor that making the load took, if that is known.
    processor: Option<f64>,
}

/// Something that keeps connections busy.
enum Load {
    Builtin(Box<Drive>),
    External(External),
}

/// Why there is no sample.
enum Failure {
    /// The server does not let so many in.
    Full(anyhow::Error),
    /// Anything else: the sweep ends.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl Load {
    fn measure(&mut self, connections: u32, length: Duration) -> Result<Sample, Failure> {
        match self {
            Self::Builtin(drive) => drive.measure(connections, length),
            Self::External(tool) => Ok(tool.measure(connections, length)?),
        }
    }
}

impl Sweep<'_> {
    /// Measures and fits.
    ///
    /// # Errors
    /// The URL, the script or the server is at fault, or what was measured lies on no curve.
    pub(super) fn run(&self) -> Result<Measured> {
        let config = Config::from_urls(&[self.url])?;
        let mut load = self.load(&config)?;
        let mut taken = Taken::default();
        let mut numbers = numbers(self.up_to);
        let half = self.each / 2;
        for at in 0..numbers.len() {
            let left = half * (2 * numbers.len() - at) as u32;
            match self.measure(&mut load, numbers[at], half, left) {
                Ok(sample) => taken.add(numbers[at], sample)?,
                Err(Failure::Full(error)) if at >= 3 => {
                    taken
                        .notes
                        .push(format!("the server let no more than {} connections in: {error:#}", numbers[at - 1]));
                    numbers.truncate(at);
                    break;
                }
                Err(Failure::Full(error) | Failure::Other(error)) => return Err(error),
            }
            if taken.is_past_its_best() {
                taken.notes.push(format!(
                    "beyond {} connections nothing was measured: throughput had long fallen",
                    numbers[at]
                ));
                numbers.truncate(at + 1);
                break;
            }
        }
        for (at, connections) in numbers.iter().enumerate().rev() {
            match self.measure(&mut load, *connections, half, half * (at + 1) as u32) {
                Ok(sample) => taken.add(*connections, sample)?,
                Err(Failure::Full(error) | Failure::Other(error)) => return Err(error),
            }
        }
        taken.finish()
    }

    fn load(&self, config: &Config) -> Result<Load> {
        let protocol = config.table().servers().first().context("the URL names no server")?.protocol;
        let wrong = |needs: &str| bail!("--with {needs} measures the other protocol than the URL's");
        match (self.tool, protocol) {
            (Tool::Builtin, _) => {
                let name = self.script.display();
                let text = fs::read_to_string(self.script).with_context(|| format!("--script: cannot read {name}"))?;
                let script = Script::parse(&text, protocol).with_context(|| format!("--script {name}"))?;
                Ok(Load::Builtin(Box::new(Drive::new(config, script, self.up_to)?)))
            }
            (Tool::Pgbench, Protocol::Mysql) => wrong("pgbench"),
            (Tool::Sysbench, Protocol::Postgres) => wrong("sysbench"),
            (Tool::Pgbench | Tool::Sysbench, _) => Ok(Load::External(External::new(config, self.script)?)),
        }
    }

    fn measure(&self, load: &mut Load, connections: u32, length: Duration, left: Duration) -> Result<Sample, Failure> {
        progress(&format!("measuring with {connections} connections; {} s left", left.as_secs()));
        let sample = load.measure(connections, length);
        progress("");
        if let Ok(Sample { throughput, latency, p99, .. }) = sample {
            let p99 = p99.map_or_else(String::new, |p99| format!(", 99 % within {}", time(p99.as_secs_f64())));
            eprintln!(
                "{connections:>6} connections: {:>9} a second, {} each{p99}",
                real(throughput),
                time(latency.as_secs_f64())
            );
        }
        sample
    }
}

/// What was measured so far.
#[derive(Default)]
struct Taken {
    points: Vec<Point>,
    samples: Vec<(u32, Sample)>,
    notes: Vec<String>,
}

impl Taken {
    fn add(&mut self, connections: u32, sample: Sample) -> Result<()> {
        let point = Point::new(connections, sample.throughput, Some(sample.latency));
        self.points.push(
            point.with_context(|| format!("with {connections} connections nothing was done in time: --seconds"))?,
        );
        self.samples.push((connections, sample));
        Ok(())
    }

    /// Whether throughput has fallen so far below its best that more connections can only do harm.
    fn is_past_its_best(&self) -> bool {
        let best = self.points.iter().map(|point| point.throughput).fold(0.0, f64::max);
        let last = self.points.iter().rev().take(2).filter(|point| point.throughput < FALLEN * best).count();
        self.points.len() >= POINTS_ENOUGH && last == 2
    }

    fn finish(mut self) -> Result<Measured> {
        let fit = Fit::of(&self.points)?;
        let failed: u64 = self.samples.iter().map(|(_, sample)| sample.failed).sum();
        if failed > 0 {
            self.notes.push(format!("the server refused {failed} transactions; they are not counted"));
        }
        let busy = self.samples.iter().filter_map(|(_, sample)| sample.processor).fold(0.0, f64::max);
        if busy > PROCESSOR_FULL {
            self.notes.push(format!(
                "making the load took {} % of a processor: it may be the limit, not the server. Measure from another machine, \
                 or --with pgbench or sysbench",
                real((busy * 100.0).round())
            ));
        }
        let mut measured = String::from("connections,throughput,latency\n");
        for (connections, sample) in &self.samples {
            let _ =
                writeln!(measured, "{connections},{:.1},{:.3}", sample.throughput, sample.latency.as_secs_f64() * 1e3);
        }
        Ok(Measured { points: self.points, fit, notes: self.notes, csv: Some(measured) })
    }
}

/// 1, 2, 3, 4, 6, 8, 12, 16, 24, … and the last one itself.
fn numbers(up_to: u32) -> Vec<u32> {
    let powers = (0..32).map(|power| 1_u32 << power);
    let mut numbers: Vec<u32> = powers.flat_map(|power| [power, power.saturating_add(power / 2)]).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.retain(|number| *number < up_to);
    numbers.push(up_to);
    numbers
}

/// Below this part of the best throughput, twice in a row, a sweep goes no further.
const FALLEN: f64 = 0.7;

/// A sweep does not end early with fewer points than this.
const POINTS_ENOUGH: usize = 7;

/// A load that takes this part of a processor may be slower than the server.
const PROCESSOR_FULL: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_by_a_half_and_a_third() {
        assert_eq!(numbers(4), [1, 2, 3, 4]);
        assert_eq!(numbers(20), [1, 2, 3, 4, 6, 8, 12, 16, 20]);
        assert_eq!(numbers(10_000).last(), Some(&10_000));
        assert_eq!(numbers(64).len(), 12);
    }

    fn taken(throughputs: &[f64]) -> Taken {
        let mut taken = Taken::default();
        for (connections, throughput) in (1..).zip(throughputs) {
            let latency = Duration::from_secs_f64(f64::from(connections) / throughput);
            let sample = Sample { throughput: *throughput, latency, p99: None, failed: 1, processor: Some(0.95) };
            taken.add(connections, sample).unwrap();
        }
        taken
    }

    #[test]
    fn a_sweep_ends_when_throughput_has_fallen_twice() {
        assert!(!taken(&[10.0, 20.0, 6.0, 6.0]).is_past_its_best(), "too few points");
        assert!(!taken(&[10.0, 20.0, 30.0, 30.0, 30.0, 20.0, 25.0]).is_past_its_best());
        assert!(taken(&[10.0, 20.0, 30.0, 30.0, 30.0, 20.0, 19.0]).is_past_its_best());
    }

    #[test]
    fn what_was_measured_can_be_read_again_and_its_faults_are_told() {
        let measured = taken(&[100.0, 190.0, 270.0, 340.0, 400.0, 440.0]).finish().unwrap();
        let csv = measured.csv.unwrap();
        assert!(csv.starts_with("connections,throughput,latency\n1,100.0,10.000\n2,190.0,10.526\n"), "{csv}");
        assert_eq!(measured.notes.len(), 2, "{:?}", measured.notes);
        assert!(
            measured.notes[0].contains("refused 6 transactions") && measured.notes[1].contains("95 % of a processor")
        );
    }
}
