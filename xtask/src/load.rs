//! Clients that run one statement over and over, each on a raw connection and thread of its own.
//!
//! Latency is timed around each query from outside, the first included: pgbench's set-up query would hide a client that
//! never got its turn. What was seen is asked for by window, so that all users of a run are judged over the same time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::mysql;
use testkit::pgbench::Latencies;
use testkit::{MyWire, Wire, poll_until};

/// Which protocol clients speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Postgres,
    MySql,
}

/// Who connects where, and what for.
#[derive(Clone)]
pub(crate) struct Plan {
    /// What they speak.
    pub(crate) protocol: Protocol,
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
    /// The statement, or several with `;` at the ends of their lines.
    pub(crate) sql: String,
    /// Pause of each client from the start of one query to the start of the next; zero for none.
    pub(crate) period: Duration,
    /// What each client says of itself besides.
    pub(crate) introduction: Introduction,
}

/// What a client says of itself besides its name, so that it is told apart from others of the same user.
#[derive(Clone, Default)]
pub(crate) struct Introduction {
    /// The name of its program, if it tells one.
    pub(crate) program: Option<&'static str>,
    /// Capabilities of a MySQL client beyond the usual.
    pub(crate) capabilities: u32,
    /// What it asks first, once.
    pub(crate) opening: Option<&'static str>,
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
    /// How long the first login took, once it succeeded.
    login: Option<Duration>,
    /// Since when the login or query under way has waited.
    waiting_since: Option<Instant>,
    errors: u64,
    last_error: Option<String>,
}

/// What some clients saw in a window.
pub(crate) struct Sight {
    /// Queries answered within the window.
    pub(crate) queries: usize,
    /// Their times; a login or query still unanswered at the window's end counts as long as it had waited.
    pub(crate) latencies: Latencies,
    /// How long each client's first login took; those still waiting likewise.
    pub(crate) logins: Latencies,
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
    /// Starts all clients; each logs in and then repeats its query. Returns at once: a pooler may let a login wait.
    ///
    /// # Errors
    /// When threads run out.
    pub(crate) fn start(plan: &Plan) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let spread = plan.period / u32::try_from(plan.clients.max(1))?;
        let mut load = Self { clients: Vec::new(), stop: Arc::clone(&stop) };
        for index in 0..u32::try_from(plan.clients)? {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let task = Task { plan: plan.clone(), stop: Arc::clone(&stop), seen: Arc::clone(&seen) };
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || task.run(spread * index))?;
            load.clients.push(Client { seen, thread: Some(thread) });
        }
        Ok(load)
    }

    /// Waits until every client is logged in.
    ///
    /// # Errors
    /// When that takes too long, with the last error a client got.
    pub(crate) fn logged_in(self) -> Result<Self> {
        let all = || self.clients.iter().all(|client| lock(&client.seen).login.is_some());
        poll_until(LOGIN_LIMIT, "all clients to log in", || Ok(all().then_some(()))).with_context(|| {
            self.since(Instant::now()).last_error.unwrap_or_else(|| "no client got an error".to_owned())
        })?;
        Ok(self)
    }

    /// What the clients saw from `from` to now.
    pub(crate) fn since(&self, from: Instant) -> Sight {
        let now = Instant::now();
        let (mut queries, mut errors, mut last_error) = (0, 0, None);
        let (mut times, mut logins) = (Vec::new(), Vec::new());
        for client in &self.clients {
            let seen = lock(&client.seen);
            let before = times.len();
            let answered = seen.samples.iter().rev().take_while(|(began, took)| *began + *took >= from);
            times.extend(answered.map(|(_, took)| *took));
            queries += times.len() - before;
            let waited = seen.waiting_since.map(|began| now - began);
            times.extend(waited.filter(|waited| *waited > PATIENCE));
            logins.extend(seen.login.or(waited));
            errors += seen.errors;
            last_error = seen.last_error.clone().or(last_error);
        }
        let (latencies, logins) = (Latencies::new(times), Latencies::new(logins));
        Sight { queries, latencies, logins, errors, last_error, window: now - from }
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

/// What one client's thread needs.
struct Task {
    plan: Plan,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
}

impl Task {
    fn run(&self, offset: Duration) {
        let mut link = None;
        let mut next = Instant::now() + offset;
        while !self.stop.load(Ordering::Relaxed) {
            let Some(connected) = &mut link else {
                link = self.log_in();
                continue;
            };
            if !self.plan.period.is_zero() {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                next += self.plan.period;
            }
            if !self.ask(connected) {
                link = None;
                std::thread::sleep(RETRY_AFTER);
            }
        }
        if let Some(link) = link {
            link.leave();
        }
    }

    fn log_in(&self) -> Option<Link> {
        let began = self.begin();
        let answer = Link::log_in(&self.plan);
        let mut seen = lock(&self.seen);
        seen.waiting_since = None;
        match answer {
            Ok(link) => {
                let took = began.elapsed();
                seen.login.get_or_insert(took);
                Some(link)
            }
            Err(error) => {
                seen.fail(&error);
                drop(seen);
                std::thread::sleep(RETRY_AFTER);
                None
            }
        }
    }

    /// Runs the query; false when it failed, after which the connection is not to be trusted.
    fn ask(&self, link: &mut Link) -> bool {
        let began = self.begin();
        let answer = link.ask(&self.plan.sql);
        let took = began.elapsed();
        let mut seen = lock(&self.seen);
        seen.waiting_since = None;
        match answer {
            Ok(()) => {
                if seen.samples.len() == SAMPLES_MAX {
                    seen.samples.pop_front();
                }
                seen.samples.push_back((began, took));
                true
            }
            Err(error) => {
                seen.fail(&error);
                false
            }
        }
    }

    fn begin(&self) -> Instant {
        let now = Instant::now();
        lock(&self.seen).waiting_since = Some(now);
        now
    }
}

/// A raw connection of either protocol.
pub(crate) enum Link {
    /// Speaks PostgreSQL.
    Postgres(Wire),
    /// Speaks MySQL.
    MySql(MyWire),
}

impl Link {
    /// Logs in as the plan says.
    ///
    /// # Errors
    /// When refused.
    pub(crate) fn log_in(plan: &Plan) -> Result<Self> {
        let Plan { address, user, password, database, introduction, .. } = plan;
        let mut link = match plan.protocol {
            Protocol::Postgres => Self::Postgres(Wire::log_in(address, user, password, database)?),
            Protocol::MySql => {
                let client = mysql::Client::new(user, password, Some(database)).with(introduction.capabilities);
                let client = match introduction.program {
                    Some(program) => client.attribute("program_name", program),
                    None => client,
                };
                Self::MySql(MyWire::log_in_as(address, &client)?)
            }
        };
        if let Some(opening) = introduction.opening {
            link.ask(opening)?;
        }
        Ok(link)
    }

    /// Runs a statement to the end of its answer, or several with `;` at the ends of their lines, one after the other.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn ask(&mut self, sql: &str) -> Result<()> {
        sql.split(";\n").try_for_each(|statement| match self {
            Self::Postgres(wire) => wire.query(statement).map(drop),
            Self::MySql(wire) => wire.query(statement).map(drop),
        })
    }

    /// Says good-bye; nothing is left to do about it when that fails.
    pub(crate) fn leave(self) {
        match self {
            Self::Postgres(wire) => wire.terminate().ok(),
            Self::MySql(wire) => wire.quit().ok(),
        };
    }
}

impl Seen {
    fn fail(&mut self, error: &anyhow::Error) {
        self.errors += 1;
        self.last_error = Some(format!("{error:#}"));
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOGIN_LIMIT: Duration = Duration::from_secs(60);
const STACK_BYTES: usize = 256 * 1024;
/// Samples kept per client; more than any window the benchmarks ask for at their rates.
const SAMPLES_MAX: usize = 200_000;
/// A query younger than this is simply under way, not starved.
const PATIENCE: Duration = Duration::from_millis(10);
const RETRY_AFTER: Duration = Duration::from_millis(100);
