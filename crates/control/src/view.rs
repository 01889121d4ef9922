//! Everything that can be seen, in one place. Whoever asks takes a look of their own, away from the threads that serve.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use config::Config;
use session::Engine;
use tokio::sync::Semaphore;

use crate::{
    State, Steering,
    periods::{PERIOD, Periods},
    sum::watch,
    tables::stats,
};

/// The most looks at once. Each may take a core for some milliseconds and hold some megabytes; clients come first.
const LOOKS_MAX: usize = 2;

/// What console and HTTP look at.
pub(crate) struct View {
    pub(crate) engine: Arc<Engine>,
    pub(crate) version: &'static str,
    steering: Arc<dyn Steering>,
    started: Instant,
    state: Mutex<State>,
    periods: Mutex<Periods>,
    looks: Arc<Semaphore>,
}

impl View {
    pub(crate) fn new(engine: Arc<Engine>, steering: Arc<dyn Steering>, version: &'static str) -> Arc<Self> {
        let view = Arc::new(Self {
            engine,
            version,
            steering,
            started: Instant::now(),
            state: Mutex::new(State::Starting),
            periods: Mutex::default(),
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
        });
        tokio::spawn(watch::watch(Arc::downgrade(&view)));
        let weak = Arc::downgrade(&view);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(PERIOD);
            loop {
                tick.tick().await;
                let Some(view) = weak.upgrade() else { return };
                if view.look(|view| view.lock_periods().turn(stats::tallies(&view.engine))).await.is_err() {
                    tracing::error!("the averages of SHOW STATS could not be brought up to date");
                }
            }
        });
        view
    }

    /// Looks, on a thread where long tables are in nobody's way.
    ///
    /// # Errors
    /// The look panicked, or the program is ending.
    pub(crate) async fn look<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        // The semaphore is never closed. If it were, looks would be as many as are asked for.
        let turn = self.looks.clone().acquire_owned().await;
        let view = self.clone();
        tokio::task::spawn_blocking(move || {
            // Held to the end of the look, also when nobody waits for it any more.
            let _turn = turn;
            look(&view)
        })
        .await
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        self.steering.config()
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_state(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(crate) fn lock_periods(&self) -> MutexGuard<'_, Periods> {
        self.periods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether work that comes now can be done.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        match self.state() {
            State::Starting => return Err("starting: clients are not accepted yet".into()),
            State::Draining => return Err("draining: the program is about to end".into()),
            State::Ready => {}
        }
        let servers: Vec<_> =
            self.engine.servers().into_iter().map(|server| (server.server.name, server.pool.totals())).collect();
        if servers.is_empty() {
            return Err("no server is configured".into());
        }
        if servers.iter().any(|(_, totals)| !totals.paused && totals.unanswered == 0) {
            return Ok(());
        }
        if servers.iter().all(|(_, totals)| totals.paused) {
            return Err("paused: RESUME on the admin console ends it".into());
        }
        let silent: Vec<_> = servers
            .iter()
            .filter(|(_, totals)| totals.unanswered > 0)
            .map(|(name, totals)| format!("{name} ({} connects failed in a row)", totals.unanswered))
            .collect();
        Err(format!("no server answers: {}", silent.join(", ")))
    }
}
