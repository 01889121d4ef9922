//! What a session is told from outside while it waits, and its time limits: the same for both protocols.

use std::{
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use route::{Terms, Timeouts};

use crate::registry::{Alarm, ClientEntry, Phase, Registry};

/// After a query was asked to stop because of its time limit, how long it may take to do so.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// Where the silence of a client falls that holds its server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Into a transaction, or a unit of work without its end.
    Inside,
    /// Between transactions of a session that keeps its connection.
    Outside,
}

/// What an alarm asks of a session at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarmed {
    /// Nothing.
    No,
    /// To stop waiting: the client asked for it, on another connection.
    Cancel,
    /// To stop the query under way: its time is up.
    Timeout,
}

/// Watches over one session. The terms of its route are given to each call that may need their time limits: the route may
/// change, and so may they.
#[derive(Debug)]
pub(crate) struct Vigil {
    registry: Arc<Registry>,
    shared: Arc<ClientEntry>,
    phase: Phase,
    /// What [`Phase::Holding`] means, when it is that.
    silence: Silence,
    /// The program is about to end: leave once nothing is under way.
    leaving: bool,
    /// When the lease under way, and its last unit of work, began.
    leased_at: Instant,
    asked_at: Instant,
}

impl Vigil {
    pub(crate) fn new(registry: Arc<Registry>, shared: Arc<ClientEntry>, terms: &ArcSwap<Terms>) -> Self {
        let since = shared.since;
        let vigil = Self {
            registry,
            shared,
            phase: Phase::Idle,
            silence: Silence::Outside,
            leaving: false,
            leased_at: since,
            asked_at: since,
        };
        // Also who never asks for anything is silent.
        vigil.arm(&terms.load().timeouts);
        vigil
    }

    /// A lease, and with it a unit of work, begins.
    pub(crate) fn leased(&mut self, now: Instant) {
        (self.leased_at, self.asked_at) = (now, now);
        self.shared.note_change(now);
    }

    /// From the start of the lease to the end of its last unit of work.
    pub(crate) fn lease_age(&self) -> Duration {
        self.asked_at.saturating_duration_since(self.leased_at)
    }

    /// A unit of work was answered to its end. Returns how long it took.
    pub(crate) fn answered(&mut self) -> Duration {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.asked_at);
        self.asked_at = now;
        self.shared.note_change(now);
        took
    }

    /// While a unit of work is under way.
    ///
    /// # Errors
    /// The alarm that ends the session.
    pub(crate) fn poll(&mut self, cx: &Context<'_>, terms: &ArcSwap<Terms>) -> Result<Alarmed, Alarm> {
        match self.shared.poll_alarm(cx.waker()) {
            None | Some(Alarm::IdleTimeout) => Ok(Alarmed::No),
            Some(Alarm::Drain) if (self.phase, self.silence) == (Phase::Holding, Silence::Outside) => Err(Alarm::Drain),
            // What is under way may end; the session is left when it is idle.
            Some(Alarm::Drain) => {
                self.leaving = true;
                Ok(Alarmed::No)
            }
            // A cancel request for what the server runs went to the server; here it can only mean the wait.
            Some(Alarm::Cancel) if self.phase == Phase::Waiting => Ok(Alarmed::Cancel),
            Some(Alarm::Cancel) => Ok(Alarmed::No),
            Some(alarm) if self.is_outdated(alarm, &terms.load().timeouts) => {
                self.arm(&terms.load().timeouts);
                Ok(Alarmed::No)
            }
            Some(Alarm::QueryTimeout) => Ok(Alarmed::Timeout),
            Some(alarm) => Err(alarm),
        }
    }

    /// While nothing is under way: every alarm ends the session, but those about what was under way.
    ///
    /// # Errors
    /// The alarm that ends the session.
    pub(crate) fn poll_idle(&self, cx: &Context<'_>) -> Result<(), Alarm> {
        match self.shared.poll_alarm(cx.waker()) {
            None if self.leaving && self.phase == Phase::Idle => Err(Alarm::Drain),
            None
            | Some(
                Alarm::Cancel
                | Alarm::QueryTimeout
                | Alarm::QueryStuck
                | Alarm::TransactionTimeout
                | Alarm::HoldingTimeout,
            ) => Ok(()),
            Some(alarm) => Err(alarm),
        }
    }

    /// Whether the alarm is about a query or transaction that has ended since it was set.
    fn is_outdated(&self, alarm: Alarm, limits: &Timeouts) -> bool {
        let due = match alarm {
            Alarm::QueryTimeout => limits.query.limit().map(|limit| self.asked_at + limit),
            Alarm::QueryStuck => limits.query.limit().map(|limit| self.asked_at + limit + CANCEL_GRACE),
            Alarm::TransactionTimeout => limits.transaction.limit().map(|limit| self.leased_at + limit),
            _ => return false,
        };
        due.is_none_or(|due| due > Instant::now())
    }

    /// Notes what the session does, and when that has taken too long.
    pub(crate) fn enter(&mut self, phase: Phase, terms: &ArcSwap<Terms>) {
        if phase == self.phase {
            return;
        }
        // Otherwise the clock was read when the last unit of work ended, or the wait began.
        if (self.phase, phase) == (Phase::Holding, Phase::Active) {
            self.asked_at = Instant::now();
            if self.silence == Silence::Outside {
                self.leased_at = self.asked_at;
            }
            self.shared.note_change(self.asked_at);
        }
        self.phase = phase;
        self.shared.set_phase(phase);
        self.arm(&terms.load().timeouts);
    }

    /// The session waits for a server connection, since it began to ask for one.
    pub(crate) fn wait(&mut self, began: Instant, terms: &ArcSwap<Terms>) {
        self.shared.note_change(began);
        self.enter(Phase::Waiting, terms);
    }

    /// The session holds its server connection, and it is the client's turn.
    pub(crate) fn hold(&mut self, silence: Silence, terms: &ArcSwap<Terms>) {
        self.silence = silence;
        self.enter(Phase::Holding, terms);
    }

    /// The query was asked to stop; when it has not done so for too long, the session ends.
    pub(crate) fn expect_end(&self) {
        self.registry.set_due(&self.shared, Some((Instant::now() + CANCEL_GRACE, Alarm::QueryStuck)));
    }

    /// Sets the alarm for what the session does now.
    fn arm(&self, limits: &Timeouts) {
        let query = || limits.query.limit().map(|limit| (self.asked_at + limit, Alarm::QueryTimeout));
        let transaction =
            || limits.transaction.limit().map(|limit| (self.leased_at + limit, Alarm::TransactionTimeout));
        let holding =
            || limits.idle_in_transaction.limit().map(|limit| (Instant::now() + limit, Alarm::HoldingTimeout));
        let idle = || limits.client_idle.limit().map(|limit| (Instant::now() + limit, Alarm::IdleTimeout));
        let due = match (self.phase, self.silence) {
            (Phase::Waiting, _) => None,
            (Phase::Active, _) => earlier(query(), transaction()),
            (Phase::Holding, Silence::Inside) => earlier(holding(), transaction()),
            (Phase::Holding, Silence::Outside) | (Phase::Idle, _) => idle(),
        };
        self.registry.set_due(&self.shared, due);
    }
}

fn earlier(one: Option<(Instant, Alarm)>, other: Option<(Instant, Alarm)>) -> Option<(Instant, Alarm)> {
    one.into_iter().chain(other).min_by_key(|(at, _)| *at)
}
