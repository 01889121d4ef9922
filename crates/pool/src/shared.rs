//! What every handle, lease and task of a pool shares: the lock, the clock, and what happens outside the lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scheduler::{Home, Time};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::connector::Connector;
use crate::ledger::{FollowUp, Ledger};
use crate::observer::Observer;

/// The one value behind all handles of a pool.
pub(crate) struct Shared<C: Connector> {
    pub(crate) connector: C,
    pub(crate) observer: Box<dyn Observer>,
    ledger: Mutex<Ledger<C>>,
    /// Where the scheduler's time begins. Monotonic, so a stepped wall clock changes nothing.
    epoch: Instant,
    /// The pool's own runtime: the keeper's, and of tasks that nobody on a runtime asked for.
    pub(crate) runtime: Handle,
    /// Calls the keeper.
    pub(crate) alarm: Arc<Notify>,
    /// Tells [`close`](crate::Pool::close) that every permit is back.
    pub(crate) empty: Notify,
}

/// Who starts the tasks that a critical section decided on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Starter {
    /// The caller, on its runtime; connections made so are at home here.
    Caller(Home),
    /// The keeper: the caller is in a `Drop`, where nothing may be spawned, for the runtime may be going away.
    Keeper,
}

impl<C: Connector> Shared<C> {
    pub(crate) fn new(
        connector: C,
        observer: Box<dyn Observer>,
        ledger: Ledger<C>,
        epoch: Instant,
        runtime: Handle,
    ) -> Self {
        let (alarm, empty) = (Arc::new(Notify::new()), Notify::new());
        Self { connector, observer, ledger: Mutex::new(ledger), epoch, runtime, alarm, empty }
    }

    /// Runs one critical section, then what follows from it.
    pub(crate) fn act<R>(self: &Arc<Self>, starter: Starter, section: impl FnOnce(&mut Ledger<C>, Time) -> R) -> R {
        let now = self.now();
        let mut ledger = self.lock();
        let result = section(&mut ledger, now);
        let after = ledger.carry_out(now);
        drop(ledger);
        if let Some(after) = after {
            self.follow_up(after, starter);
        }
        result
    }

    /// The state, to be read or changed in a way that decides nothing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Ledger<C>> {
        // No foreign code runs under the lock. Should our own panic there, one lost request beats a dead pool.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Time {
        self.time_of(Instant::now())
    }

    pub(crate) fn time_of(&self, instant: Instant) -> Time {
        Time::default().after(instant.saturating_duration_since(self.epoch))
    }

    /// The inverse of [`time_of`](Self::time_of).
    pub(crate) fn instant_of(&self, time: Time) -> Instant {
        self.epoch + time.since(Time::default())
    }

    #[cold]
    fn follow_up(self: &Arc<Self>, after: FollowUp, starter: Starter) {
        if let Some(waker) = after.waker {
            waker.wake();
            after.more_wakers.into_iter().for_each(std::task::Waker::wake);
        }
        if after.empty {
            self.empty.notify_waiters();
        }
        match starter {
            Starter::Caller(home) if after.jobs => {
                self.start_jobs(home);
                if after.alarm {
                    self.alarm.notify_one();
                }
            }
            _ if after.jobs || after.alarm => self.alarm.notify_one(),
            _ => {}
        }
    }
}

impl<C: Connector> Drop for Shared<C> {
    /// The last handle is gone: the keeper finds nobody to keep for, and ends.
    fn drop(&mut self) {
        self.alarm.notify_one();
    }
}
