//! Statements that come at random, whether or not earlier ones are answered: an open load, as many independent users make it.
//!
//! Clients that ask again only when they are answered hide waiting: they come less often the longer they wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::{Link, Plan};

/// A running load; dropping it stops it.
pub(super) struct Open {
    clients: Vec<JoinHandle<()>>,
    arrivals: Arc<Arrivals>,
}

/// When the next statement comes.
struct Arrivals {
    /// Per second.
    rate: f64,
    next: Mutex<Next>,
    stop: AtomicBool,
    /// What went wrong first.
    failure: Mutex<Option<anyhow::Error>>,
}

struct Next {
    at: Instant,
    /// State of the generator that draws the gaps.
    bits: u64,
    /// How late the latest statement was taken up: above nothing, no client was free in time.
    late_max: Duration,
}

impl Open {
    /// Logs all clients of the plan in, and then sends its statement `rate` times a second by whoever is free.
    ///
    /// # Errors
    /// When a client cannot log in.
    pub(super) fn start(plan: &Plan, rate: f64) -> Result<Self> {
        let links = (0..plan.clients).map(|_| Link::log_in(plan)).collect::<Result<Vec<Link>>>()?;
        let next = Next { at: Instant::now(), bits: SEED, late_max: Duration::ZERO };
        let arrivals = Arc::new(Arrivals {
            rate,
            next: Mutex::new(next),
            stop: AtomicBool::new(false),
            failure: Mutex::default(),
        });
        let mut load = Self { clients: Vec::new(), arrivals };
        for link in links {
            let (arrivals, sql) = (Arc::clone(&load.arrivals), plan.sql.clone());
            let thread =
                std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || arrivals.serve(link, &sql))?;
            load.clients.push(thread);
        }
        Ok(load)
    }

    /// # Errors
    /// A statement failed, or statements came later than they should because no client was free.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(error) = self.arrivals.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error).context("a client of the open load");
        }
        let late = self.arrivals.next.lock().unwrap_or_else(PoisonError::into_inner).late_max;
        if late > LATE_MAX {
            bail!("the open load was no longer open: a statement was sent {late:?} late");
        }
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.arrivals.stop.store(true, Ordering::Relaxed);
        self.clients.drain(..).for_each(|client| _ = client.join());
    }
}

impl Arrivals {
    /// Takes one statement after the other, for as long as the load runs.
    fn serve(&self, mut link: Link, sql: &str) {
        while !self.stop.load(Ordering::Relaxed) {
            let due = self.take();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if let Err(error) = link.ask(sql) {
                self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
        }
        link.leave();
    }

    /// When the next statement is due, and draws the one after it: gaps spread like an exponential make a Poisson process.
    #[allow(clippy::cast_precision_loss)]
    fn take(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        // Marsaglia's xorshift64.
        next.bits ^= next.bits << 13;
        next.bits ^= next.bits >> 7;
        next.bits ^= next.bits << 17;
        let uniform = ((next.bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let due = next.at;
        next.late_max = next.late_max.max(due.elapsed());
        next.at = due + Duration::from_secs_f64(-uniform.ln() / self.rate);
        due
    }
}

const SEED: u64 = 0x2545_f491_4f6c_dd1d;
const STACK_BYTES: usize = 256 * 1024;
/// A machine that is busy may wake a thread this late.
const LATE_MAX: Duration = Duration::from_secs(1);
