//! Clients that run one statement over and over, each on a raw connection and thread of its own.
//!
//! Latency is timed around each query from outside, the first included: pgbench's set-up query would hide a client that
//! never got its turn. What was seen is asked for by window, so that all users of a run are judged over the same time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use testkit::Wire;
use testkit::pgbench::Latencies;

/// Who connects where, and what for.
#[derive(Clone)]
pub(crate) struct Plan {
    /// `host:port` of the pooler or server.
    pub(crate) address: String,
    /// User to log in as.
    pub(crate) user: String,
    /// Password to log in with.
    pub(crate) password: String,
    /// Database to ask for.
    pub(crate) database: String,
    /// How many clients.
    pub(crate) clients: usize,
    /// The statement.
    pub(crate) sql: String,
    /// Pause of each client from the start of one query to the start of the next; zero for none.
    pub(crate) period: Duration,
}

/// Running clients; dropping the value stops them.
pub(crate) struct Load {
    clients: Vec<Client>,
    stop: Arc<AtomicBool>,
}

struct Client {
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    /// When each query began and how long it took; the oldest are forgotten.
    samples: VecDeque<(Instant, Duration)>,
    /// When the query under way began.
    asking_since: Option<Instant>,
    errors: u64,
    last_error: Option<String>,
}

/// What some clients saw in a window.
pub(crate) struct Sight {
    /// Queries answered within the window.
    pub(crate) queries: usize,
    /// Their times, those still unanswered at its end counted as long as they had waited.
    pub(crate) latencies: Latencies,
    /// Errors since the start of the run.
    pub(crate) errors: u64,
    /// The last of them.
    pub(crate) last_error: Option<String>,
    /// Length of the window.
    pub(crate) window: Duration,
}

impl Sight {
    /// Queries per second.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn per_second(&self) -> f64 {
        self.queries as f64 / self.window.as_secs_f64()
    }
}

impl Load {
    /// Logs all clients in, then starts their queries.
    ///
    /// # Errors
    /// When one cannot log in.
    pub(crate) fn start(plan: &Plan) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let wires: Vec<Wire> = log_in(plan)?;
        let spread = plan.period / u32::try_from(plan.clients.max(1))?;
        let mut load = Self { clients: Vec::new(), stop: Arc::clone(&stop) };
        for (wire, index) in wires.into_iter().zip(0u32..) {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let (plan, stop, shared) = (plan.clone(), Arc::clone(&stop), Arc::clone(&seen));
            let thread = std::thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn(move || run(&plan, wire, &stop, &shared, spread * index))?;
            load.clients.push(Client { seen, thread: Some(thread) });
        }
        Ok(load)
    }

    /// What the clients saw from `from` to now.
    pub(crate) fn since(&self, from: Instant) -> Sight {
        let now = Instant::now();
        let mut sight =
            Sight { queries: 0, latencies: Latencies::default(), errors: 0, last_error: None, window: now - from };
        let mut times = Vec::new();
        for client in &self.clients {
            let seen = client.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let answered = seen.samples.iter().rev().take_while(|(began, took)| *began + *took >= from);
            let before = times.len();
            times.extend(answered.map(|(_, took)| *took));
            sight.queries += times.len() - before;
            times.extend(seen.asking_since.map(|began| now - began).filter(|waited| *waited > PATIENCE));
            sight.errors += seen.errors;
            if seen.last_error.is_some() {
                sight.last_error.clone_from(&seen.last_error);
            }
        }
        sight.latencies = Latencies::new(times);
        sight
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in &mut self.clients {
            if let Some(thread) = client.thread.take() {
                thread.join().ok();
            }
        }
    }
}

/// Opens all connections, some at a time: one after another a SCRAM login of hundreds would take its time.
fn log_in(plan: &Plan) -> Result<Vec<Wire>> {
    let share = plan.clients.div_ceil(LOGINS_AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.clients)
            .step_by(share)
            .map(|from| {
                let count = share.min(plan.clients - from);
                let open = move || Wire::log_in(&plan.address, &plan.user, &plan.password, &plan.database);
                scope.spawn(move || (0..count).map(|_| open()).collect::<Result<Vec<_>>>())
            })
            .collect();
        let mut wires = Vec::new();
        for worker in workers {
            wires.extend(worker.join().map_err(|_| anyhow!("a login thread panicked"))??);
        }
        anyhow::Ok(wires)
    })
    .with_context(|| format!("{} clients of user {}", plan.clients, plan.user))
}

fn run(plan: &Plan, mut wire: Wire, stop: &AtomicBool, seen: &Mutex<Seen>, offset: Duration) {
    let mut next = Instant::now() + offset;
    while !stop.load(Ordering::Relaxed) {
        if !plan.period.is_zero() {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next += plan.period;
        }
        let began = Instant::now();
        seen.lock().unwrap_or_else(PoisonError::into_inner).asking_since = Some(began);
        let answer = wire.query(&plan.sql);
        let took = began.elapsed();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.asking_since = None;
        match answer {
            Ok(_) => {
                if seen.samples.len() == SAMPLES_MAX {
                    seen.samples.pop_front();
                }
                seen.samples.push_back((began, took));
            }
            Err(error) => {
                seen.errors += 1;
                seen.last_error = Some(format!("{error:#}"));
                drop(seen);
                // A refused query leaves a usable connection; a cut one does not, and would spin.
                match Wire::log_in(&plan.address, &plan.user, &plan.password, &plan.database) {
                    Ok(again) => wire = again,
                    Err(_) => std::thread::sleep(RETRY_AFTER),
                }
            }
        }
    }
    wire.terminate().ok();
}

const LOGINS_AT_ONCE: usize = 8;
const STACK_BYTES: usize = 256 * 1024;
/// Samples kept per client; more than any window the benchmarks ask for at their rates.
const SAMPLES_MAX: usize = 200_000;
/// A query younger than this is simply under way, not starved.
const PATIENCE: Duration = Duration::from_millis(10);
const RETRY_AFTER: Duration = Duration::from_millis(100);
