//! The load that this program makes itself: connections as the pool makes them, each running the script over and over.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use config::Config;
use meter::Histogram;
use route::Protocol;
use session::{Engine, Errand, ErrandError};
use tokio::{runtime::Runtime, task::JoinSet, time::timeout};

use super::{
    Failure, Sample,
    script::{Dice, Script},
};
use crate::{plan::plan, runtime};

/// How long one connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a transaction may take beyond the time that is measured.
const GRACE: Duration = Duration::from_secs(60);

/// How long saying good-bye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The part of the time at its beginning that is not measured, while all connections get going.
const WARM_UP: f64 = 0.1;

/// Keeps connections to one server busy.
pub(super) struct Drive {
    engine: Arc<Engine>,
    user: String,
    database: String,
    script: Arc<Script>,
    /// Connections at rest.
    errands: Vec<Errand>,
    runtime: Runtime,
}

/// What one connection did.
struct Lap {
    /// The connection, unless it broke.
    errand: Errand,
    done: Arc<Histogram>,
    failed: u64,
}

impl Drive {
    /// Runs the script once, so that what is wrong with it is told at once.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses a statement of the script.
    pub(super) fn new(config: &Config, script: Script, up_to: u32) -> Result<Self> {
        let runtime = runtime::build(1)?;
        let mut plan = plan(config, 1);
        for server in &mut plan.servers {
            server.pool.budget = up_to;
        }
        let table = config.table();
        let user = table.users().first().context("the URL names no user")?.name.to_string();
        let protocol = table.servers().first().context("the URL names no server")?.protocol;
        let named = table.databases().first().filter(|database| &*database.name != "*");
        let database = match (named, protocol) {
            (Some(database), _) => database.name.to_string(),
            // What PostgreSQL's own clients do.
            (None, Protocol::Postgres) => user.clone(),
            (None, Protocol::Mysql) => bail!("the URL names no database"),
        };
        let engine = runtime.block_on(async { Engine::new(plan, config.keys().runtime.relay_buffer.get()) });
        let mut drive = Self { engine, user, database, script: Arc::new(script), errands: Vec::new(), runtime };
        drive.connect(1).map_err(|error| anyhow!(error))?;
        drive.try_script()?;
        Ok(drive)
    }

    fn try_script(&mut self) -> Result<()> {
        let statements = self.script.draw(&mut Dice::new(0));
        let errand = self.errands.first_mut().context("there is no connection")?;
        self.runtime.block_on(async {
            for statement in statements {
                let ran = timeout(GRACE, errand.run(&statement)).await;
                ran.context("it takes longer than a minute")
                    .and_then(|ran| Ok(ran?))
                    .with_context(|| format!("--script: {}", statement.lines().next().unwrap_or_default()))?;
            }
            Ok(())
        })
    }

    /// Keeps so many connections busy for this long.
    pub(super) fn measure(&mut self, connections: u32, length: Duration) -> Result<Sample, Failure> {
        self.connect(connections as usize).map_err(|error| Failure::Full(anyhow!(error)))?;
        let rest = self.errands.split_off(connections as usize);
        let busy = std::mem::replace(&mut self.errands, rest);
        let (begin, before) = (Instant::now(), processor_time());
        let (from, until) = (begin + length.mul_f64(WARM_UP), begin + length);
        let done = Arc::new(Histogram::new());
        let laps = self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for (seed, errand) in (1..).zip(busy) {
                let lap = Lap { errand, done: done.clone(), failed: 0 };
                tasks.spawn(lap.run(self.script.clone(), Dice::new(seed), from, until));
            }
            timeout(length + GRACE, tasks.join_all()).await
        });
        let took = begin.elapsed();
        let mut failed = 0;
        for lap in laps.context("a transaction takes longer than a minute")? {
            let lap = lap?;
            failed += lap.failed;
            self.errands.push(lap.errand);
        }
        let snapshot = done.snapshot();
        if snapshot.count() == 0 && failed > 0 {
            return Err(Failure::Other(anyhow!("the server refused every transaction")));
        }
        let used = processor_time().zip(before).map(|(after, before)| after.saturating_sub(before));
        Ok(Sample {
            throughput: snapshot.count() as f64 / (until - from).as_secs_f64(),
            latency: snapshot.mean(),
            p99: Some(snapshot.quantile(0.99)),
            failed,
            processor: used.map(|used| used.as_secs_f64() / took.as_secs_f64()),
        })
    }

    /// Connects until there are so many connections.
    fn connect(&mut self, connections: usize) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        while self.errands.len() < connections {
            let errand = self.engine.errand(&self.user, &self.database, CONNECT_TIMEOUT);
            self.errands.push(self.runtime.block_on(errand)?);
        }
        Ok(())
    }
}

impl Lap {
    /// Runs the script until the time is over; what ended from `from` on and in time is counted, as throughput counts it.
    async fn run(mut self, script: Arc<Script>, mut dice: Dice, from: Instant, until: Instant) -> Result<Self> {
        loop {
            let begin = Instant::now();
            if begin >= until {
                return Ok(self);
            }
            match self.transaction(&script, &mut dice).await {
                Ok(()) => {
                    let end = Instant::now();
                    if end >= from && end <= until {
                        self.done.record(end - begin);
                    }
                }
                Err(ErrandError::Refused(_)) => {
                    self.failed += 1;
                    // The transaction that failed must not fail the next one.
                    self.errand.run("rollback").await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn transaction(&mut self, script: &Script, dice: &mut Dice) -> Result<(), ErrandError> {
        for statement in script.draw(dice) {
            self.errand.run(&statement).await?;
        }
        Ok(())
    }
}

impl Drop for Drive {
    /// Says good-bye to the server, which else would log that clients vanish.
    fn drop(&mut self) {
        self.errands.clear();
        self.runtime.block_on(self.engine.drain(CLOSE_TIMEOUT));
    }
}

/// How long this thread, which makes the load, has been on a processor; [`None`] where the system does not tell.
fn processor_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
