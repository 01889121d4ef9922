//! `evenkeel size`: how large should the pools be? The figures are crate [`sizing`]'s; here they are asked for and printed.

mod answer;
mod plot;
mod points;
mod values;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use sizing::{Fit, Needs, ServerLimit, Target, Workload};

/// What is known of the work and the servers.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Size {
    #[command(subcommand)]
    what: Option<What>,
    /// Statements per second, of all clients together; 40k and 1.5M are understood.
    #[arg(long, value_name = "N", value_parser = values::rate, requires = "response_time", allow_hyphen_values = true)]
    qps: Option<f64>,
    /// How long one keeps its connection: 5ms, 0.2s. For transactions: the whole of it, the application's own time included.
    #[arg(long, value_name = "TIME", value_parser = values::response_time, requires = "qps", allow_hyphen_values = true)]
    response_time: Option<Duration>,
    /// Servers that share the work evenly.
    #[arg(long, value_name = "N", value_parser = values::few, default_value = "1", requires = "qps", allow_hyphen_values = true)]
    servers: u32,
    /// Statements that one server works on at once (threads, or what its processors can do); more wait inside it.
    #[arg(long, value_name = "N", value_parser = values::many, requires = "qps", allow_hyphen_values = true)]
    slots: Option<u32>,
    /// How long a client may wait for a connection; 0ms: it finds one free.
    #[arg(long, value_name = "TIME", value_parser = values::wait, default_value = "0ms", requires = "qps", allow_hyphen_values = true)]
    target_wait: Duration,
    /// How many percent of the statements wait no longer than that.
    #[arg(long, value_name = "PERCENT", value_parser = values::percentile, default_value = "99", requires = "qps", allow_hyphen_values = true)]
    percentile: f64,
    /// At least this many times the ideal number of connections, for bursts of the response time: 1.5 to 2 is usual.
    #[arg(long, value_name = "FACTOR", value_parser = values::headroom, requires = "qps", allow_hyphen_values = true)]
    headroom: Option<f64>,
    /// The servers' own max_connections.
    #[arg(long, value_name = "N", value_parser = values::many, allow_hyphen_values = true)]
    limit: Option<u32>,
    /// How many of these a server keeps for administrators. PostgreSQL keeps 3; MySQL none, but one beyond its limit.
    #[arg(long, value_name = "N", value_parser = values::any, default_value = "3", requires = "limit", allow_hyphen_values = true)]
    reserve: u32,
    /// How many of these others use: monitoring, backups, applications that connect directly.
    #[arg(long, value_name = "N", value_parser = values::any, default_value = "0", requires = "limit", allow_hyphen_values = true)]
    others: u32,
    /// Instances of Evenkeel that share the work and the servers evenly. Count those of a rolling restart twice.
    #[arg(long, value_name = "N", value_parser = values::few, default_value = "1", allow_hyphen_values = true)]
    instances: u32,
    /// What was measured on one server, a line each: connections,throughput or connections,throughput,latency (in ms).
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Work out the figures of the documents that Evenkeel follows, step by step.
    Examples,
}

impl Size {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let text = match (&self.what, self.work()?, &self.points) {
            (Some(What::Examples), _, _) => answer::examples()?,
            (None, None, None) => bail!(
                "nothing to size: give --qps and --response-time, or --points FILE, or say `evenkeel size examples`"
            ),
            (None, None, Some(_)) => answer::measured(&self.fit()?, self.limit(), self.instances)?,
            (None, Some(work), None) => answer::needed(&self.needs(work))?,
            (None, Some(work), Some(_)) => {
                let fit = self.fit()?;
                let needs = Needs { knee: Some(fit.fit.knee()), ..self.needs(work) };
                answer::curve(&fit) + "\n" + &answer::needed(&needs)?
            }
        };
        // Not print!, which panics when a pager closes early.
        io::stdout().write_all(text.as_bytes()).context("the answer cannot be written")?;
        Ok(ExitCode::SUCCESS)
    }

    fn work(&self) -> Result<Option<Workload>> {
        let Some((rate, time)) = self.qps.zip(self.response_time) else { return Ok(None) };
        Ok(Some(Workload::new(rate, time).context("--qps and --response-time")?))
    }

    fn needs(&self, work: Workload) -> Needs {
        let target = Target::Percentile { percent: self.percentile, wait: self.target_wait };
        Needs {
            headroom: self.headroom,
            servers: self.servers,
            instances: self.instances,
            slots: self.slots,
            limit: self.limit(),
            ..Needs::new(work, target)
        }
    }

    fn limit(&self) -> Option<ServerLimit> {
        let (reserve, others) = (self.reserve, self.others);
        self.limit.map(|max_connections| ServerLimit { max_connections, reserve, others })
    }

    fn fit(&self) -> Result<Measured> {
        let path = self.points.as_deref().context("--points is missing")?;
        let points = points::read(path).context("--points")?;
        let fit = Fit::of(&points).with_context(|| format!("--points {}", path.display()))?;
        Ok(Measured { points, fit })
    }
}

/// Points and the curve through them.
struct Measured {
    points: Vec<sizing::Point>,
    fit: Fit,
}
