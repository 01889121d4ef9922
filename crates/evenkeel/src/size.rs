//! `evenkeel size`: how large should the pools be? The figures are crate [`sizing`]'s; here they are asked for and printed.
//!
//! A load is stated (`--qps`) or seen at a running node (`--from`, module `node`); what a server is good for is read from
//! a file (`--points`) or measured (`--measure`, module `sweep`).

mod answer;
mod chart;
mod fragment;
mod node;
mod points;
mod pools;
mod sweep;
mod text;
mod values;

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args, Subcommand};
use sizing::{Fit, Knee, Needs, ServerLimit, Target, Tasks, Workload};

use self::{
    chart::Chart,
    pools::{Application, Format, Protocol},
    sweep::Sweep,
};

/// What is known of the work and the servers.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES,
    group(ArgGroup::new("work").args(["qps", "from"])),
    group(ArgGroup::new("measured").args(["points", "measure"])),
)]
pub(crate) struct Size {
    #[command(subcommand)]
    what: Option<What>,
    /// Statements per second, of all clients together; 40k and 1.5M are understood.
    #[arg(long, value_name = "N", value_parser = values::rate, requires = "response_time", allow_hyphen_values = true, help_heading = "The load")]
    qps: Option<f64>,
    /// How long one keeps its connection: 5ms, 0.2s. For transactions: the whole of it, the application's own time included.
    #[arg(long, value_name = "TIME", value_parser = values::response_time, requires = "qps", allow_hyphen_values = true, help_heading = "The load")]
    response_time: Option<Duration>,
    /// Watch this running node, http://host:9632, and size for what it has to do.
    #[arg(long, value_name = "URL", help_heading = "The load")]
    from: Option<String>,
    /// How long to watch the node (30), or to measure each number of connections (6).
    #[arg(long, value_name = "N", value_parser = values::seconds, allow_hyphen_values = true, help_heading = "The load")]
    seconds: Option<u32>,
    /// What the servers and the application speak. By default that of --from or --measure; else MySQL for druid, PostgreSQL for others.
    #[arg(long, value_name = "PROTOCOL", help_heading = "The servers")]
    protocol: Option<Protocol>,
    /// Servers that share the work evenly.
    #[arg(long, value_name = "N", value_parser = values::few, default_value = "1", requires = "qps", allow_hyphen_values = true, help_heading = "The servers")]
    servers: u32,
    /// Statements that one server works on at once (threads, or what its processors can do); more wait inside it.
    #[arg(long, value_name = "N", value_parser = values::many, requires = "work", allow_hyphen_values = true, help_heading = "The servers")]
    slots: Option<u32>,
    /// How long a client may wait for a connection; 0ms: it finds one free.
    #[arg(long, value_name = "TIME", value_parser = values::wait, default_value = "0ms", requires = "work", allow_hyphen_values = true, help_heading = "What is asked for")]
    target_wait: Duration,
    /// How many percent of the statements wait no longer than that.
    #[arg(long, value_name = "PERCENT", value_parser = values::percentile, default_value = "99", requires = "work", allow_hyphen_values = true, help_heading = "What is asked for")]
    percentile: f64,
    /// At least this many times the ideal number of connections, for bursts of the response time: 1.5 to 2 is usual.
    #[arg(long, value_name = "FACTOR", value_parser = values::headroom, requires = "work", allow_hyphen_values = true, help_heading = "What is asked for")]
    headroom: Option<f64>,
    /// Tasks of one instance that run at once and take several connections each at the same time.
    #[arg(long, value_name = "N", value_parser = values::many, requires = "work", requires = "connections_each", allow_hyphen_values = true, help_heading = "What is asked for")]
    tasks: Option<u32>,
    /// How many connections one of them takes.
    #[arg(long, value_name = "N", value_parser = values::few, requires = "tasks", allow_hyphen_values = true, help_heading = "What is asked for")]
    connections_each: Option<u32>,
    /// The servers' own max_connections.
    #[arg(long, value_name = "N", value_parser = values::many, allow_hyphen_values = true, help_heading = "The servers")]
    limit: Option<u32>,
    /// How many of these a server keeps for administrators. By default 3 for PostgreSQL and 0 for MySQL, which keeps one beyond its limit.
    #[arg(long, value_name = "N", value_parser = values::any, requires = "limit", allow_hyphen_values = true, help_heading = "The servers")]
    reserve: Option<u32>,
    /// How many of these others use: monitoring, backups, applications that connect directly.
    #[arg(long, value_name = "N", value_parser = values::any, default_value = "0", requires = "limit", allow_hyphen_values = true, help_heading = "The servers")]
    others: u32,
    /// Instances of Evenkeel that share the work and the servers evenly. Count those of a rolling restart twice.
    #[arg(long, value_name = "N", value_parser = values::few, default_value = "1", allow_hyphen_values = true, help_heading = "The servers")]
    instances: u32,
    /// What was measured on one server, a line each: connections,throughput or connections,throughput,latency (in ms).
    #[arg(long, value_name = "FILE", help_heading = "A measurement")]
    points: Option<PathBuf>,
    /// Measure this server, postgres://user:password@host/database or mysql://…, with more and more connections.
    #[arg(long, value_name = "URL", requires = "script", help_heading = "A measurement")]
    measure: Option<String>,
    /// What each connection runs over and over: a file of statements, one transaction. \set name random(1, 1000) is understood.
    #[arg(long, value_name = "FILE", requires = "measure", help_heading = "A measurement")]
    script: Option<PathBuf>,
    /// The most connections to measure with.
    #[arg(long, value_name = "N", value_parser = values::measured, default_value = "64", requires = "measure", allow_hyphen_values = true, help_heading = "A measurement")]
    up_to: u32,
    /// What makes the load: builtin, or pgbench or sysbench, to which --script is given as it is.
    #[arg(long, value_name = "TOOL", default_value = "builtin", requires = "measure", help_heading = "A measurement")]
    with: sweep::Tool,
    /// Also print the application's own pool, towards Evenkeel, in the format of its library.
    #[arg(long = "for", value_name = "LIBRARY", requires = "work", help_heading = "The application's own pool")]
    library: Option<Format>,
    /// Processes of the application, each with a pool of its own.
    #[arg(long, value_name = "N", value_parser = values::many, default_value = "1", requires = "library", allow_hyphen_values = true, help_heading = "The application's own pool")]
    apps: u32,
    /// Also write the plot to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Work out the figures of the documents that Evenkeel follows, step by step.
    Examples,
}

impl Size {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let answer = match self.what {
            Some(What::Examples) => Answer { text: answer::examples()?, ..Answer::default() },
            None => self.answer()?,
        };
        // Not print!, which panics when a pager closes early.
        io::stdout().write_all(answer.text.as_bytes()).context("the answer cannot be written")?;
        if let Some(path) = &self.svg {
            if answer.charts.is_empty() {
                bail!("--svg: there is nothing to draw");
            }
            fs::write(path, chart::document(&answer.charts))
                .with_context(|| format!("--svg: cannot write {}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn answer(&self) -> Result<Answer> {
        // Told before anything is measured, which takes minutes.
        let work = self.work()?;
        let measured = self.measured()?;
        let terms = self.terms(measured.as_ref().map(|measured| measured.fit.knee()));
        let mut answer = match (work, &self.from, &measured) {
            (Some(work), _, _) => answer::needed(&terms.needs(work), self.protocol())?,
            (None, Some(url), _) => node::size(url, self.length(WATCH_SECONDS), &terms).context("--from")?,
            (None, None, Some(measured)) => {
                return answer::measured(measured, self.limit(), self.instances, self.protocol());
            }
            (None, None, None) => bail!(
                "nothing to size: give --qps and --response-time, or --from URL, or --points FILE, or --measure URL and \
                 --script FILE, or say `evenkeel size examples`"
            ),
        };
        if let Some(measured) = &measured {
            let curve = answer::curve(measured);
            answer.text = curve.text + "\n" + &answer.text;
            answer.charts.extend(curve.charts);
        }
        if let Some((format, work)) = self.library.zip(answer.work) {
            let protocol = self.protocol.or(answer.protocol).unwrap_or_else(|| self.protocol());
            let terms = Terms { limit: terms.limit_of(Some(protocol)), ..terms };
            let application = Application { format, processes: self.apps, protocol };
            answer.text += &pools::pasted(&application, &terms.needs(work))?;
        }
        Ok(answer)
    }

    fn work(&self) -> Result<Option<Workload>> {
        let Some((rate, time)) = self.qps.zip(self.response_time) else { return Ok(None) };
        Ok(Some(Workload::new(rate, time).context("--qps and --response-time")?))
    }

    fn terms(&self, knee: Option<Knee>) -> Terms {
        Terms {
            target: Target::Percentile { percent: self.percentile, wait: self.target_wait },
            headroom: self.headroom,
            tasks: self
                .tasks
                .zip(self.connections_each)
                .map(|(tasks, connections_each)| Tasks { tasks, connections_each }),
            servers: self.servers,
            instances: self.instances,
            slots: self.slots,
            limit: self.limit(),
            reserve: self.reserve.or_else(|| self.protocol.map(Protocol::reserve)),
            knee,
        }
    }

    fn limit(&self) -> Option<ServerLimit> {
        let reserve = self.reserve.unwrap_or_else(|| self.protocol().reserve());
        let others = self.others;
        self.limit.map(|max_connections| ServerLimit { max_connections, reserve, others })
    }

    /// What the servers speak, and the application to them.
    fn protocol(&self) -> Protocol {
        let measured = || self.measure.as_deref().and_then(Protocol::of_url);
        let usual = || self.library.map(Format::usual);
        self.protocol.or_else(measured).or_else(usual).unwrap_or(Protocol::Postgres)
    }

    fn length(&self, usual: u32) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(usual).into())
    }

    fn measured(&self) -> Result<Option<Measured>> {
        if let Some(path) = &self.points {
            let points = points::read(path).context("--points")?;
            let fit = Fit::of(&points).with_context(|| format!("--points {}", path.display()))?;
            return Ok(Some(Measured { points, fit, notes: Vec::new(), csv: None }));
        }
        let Some((url, script)) = self.measure.as_deref().zip(self.script.as_deref()) else { return Ok(None) };
        let each = self.length(MEASURE_SECONDS);
        let sweep = Sweep { url, script, up_to: self.up_to, each, tool: self.with };
        sweep.run().context("--measure").map(Some)
    }
}

/// What is asked for, whatever the load.
struct Terms {
    target: Target,
    headroom: Option<f64>,
    tasks: Option<Tasks>,
    servers: u32,
    instances: u32,
    slots: Option<u32>,
    limit: Option<ServerLimit>,
    /// What a server keeps for administrators; [`None`]: a node says what its server speaks.
    reserve: Option<u32>,
    knee: Option<Knee>,
}

impl Terms {
    /// What is told of every server's limit, for one that speaks this.
    fn limit_of(&self, protocol: Option<Protocol>) -> Option<ServerLimit> {
        let usual = || protocol.map(Protocol::reserve);
        self.limit.map(|limit| ServerLimit { reserve: self.reserve.or_else(usual).unwrap_or(limit.reserve), ..limit })
    }

    fn needs(&self, work: Workload) -> Needs {
        let Self { target, headroom, tasks, servers, instances, slots, limit, knee, .. } = *self;
        Needs { work, target, headroom, tasks, servers, instances, slots, limit, knee }
    }
}

#[cfg(test)]
impl Terms {
    /// Nothing but that 99 % of the statements find a connection free.
    fn plain() -> Self {
        Self {
            target: Target::Percentile { percent: 99.0, wait: Duration::ZERO },
            headroom: None,
            tasks: None,
            servers: 1,
            instances: 1,
            slots: None,
            limit: None,
            reserve: None,
            knee: None,
        }
    }
}

/// What is printed, and what else came of it.
#[derive(Default)]
struct Answer {
    text: String,
    /// What can be drawn, each with a name where there are several.
    charts: Vec<(String, Chart)>,
    /// The work that was sized for.
    work: Option<Workload>,
    /// What the server of a node with that work speaks.
    protocol: Option<Protocol>,
}

/// Points and the curve through them.
struct Measured {
    points: Vec<sizing::Point>,
    fit: Fit,
    /// What is to be known of how they were measured.
    notes: Vec<String>,
    /// The points as a file for --points, if they are from no such file.
    csv: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  evenkeel size --qps 5000 --response-time 5ms --target-wait 1ms
  evenkeel size --from http://127.0.0.1:9632 --target-wait 1ms
  evenkeel size --measure postgres://app:secret@10.0.0.5/shop --script script.sql
  evenkeel size --qps 5000 --response-time 5ms --points points.csv --for hikaricp --apps 10";

/// How long a node is watched, and one number of connections measured, unless told otherwise.
const WATCH_SECONDS: u32 = 30;
const MEASURE_SECONDS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_of_a_node_keeps_what_its_protocol_keeps() {
        let limit = Some(ServerLimit { max_connections: 200, reserve: 3, others: 0 });
        let kept = |reserve, protocol| Terms { limit, reserve, ..Terms::plain() }.limit_of(protocol).unwrap().reserve;
        let (mysql, postgres) = (Some(Protocol::Mysql), Some(Protocol::Postgres));
        assert_eq!((kept(None, mysql), kept(None, postgres), kept(Some(7), mysql)), (0, 3, 7));
        assert_eq!(Terms::plain().limit_of(mysql), None);
    }
}
