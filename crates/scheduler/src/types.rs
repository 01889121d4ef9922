//! The words in which caller and scheduler speak: ids, limits, requests, decisions.

use std::time::Duration;

use crate::classes::{BlockedBy, ClassId};
use crate::pace::nanos;

/// A point in time: nanoseconds since an epoch of the caller's choosing. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// This much later; the end of time at most.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A route: one (class, user, database) that shares the server's budget. Stale ids find nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// One server connection and the permit it holds, from the decision to open it until its socket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnId {
    /// The slot's number, dense and small: an index into the caller's own table of connections.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// One waiter's place in its route's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Ticket {
    /// The place's number, dense and small: an index into the caller's own table of waiters.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// A fingerprint of session state (settings, character set). Equal keys mean: nothing has to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StateKey(pub u64);

/// Where a waiter or a connection is at home (a runtime thread). A connection of the same home is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Home(pub u16);

/// Connections that differ in nothing that a new login cannot change. A live connection can be re-keyed from one route to
/// another of the same realm: it logs in anew, as the other user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Realm(pub u32);

/// How a slot gets from one route to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Moves {
    /// The connection is closed and another one opened.
    Reconnect,
    /// The connection itself changes hands, by a new login on it, wherever both routes are of one [`Realm`]. Elsewhere,
    /// and for a while after that has failed, it is closed and another one opened.
    #[default]
    Rekey,
}

/// Which idle connection of a route is taken first (seeds/002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reuse {
    /// The one used last: the rest falls idle, so pools shrink, and the server's caches stay warm.
    #[default]
    MostRecent,
    /// The one unused longest: all are used alike, so servers behind one address share evenly.
    LeastRecent,
}

/// 100 years. A longer duration in a limit is taken to be this one, so that sums of durations stay within any clock's range.
pub const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What holds for the whole server.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The most connections to the server, in every state from connecting to closing.
    pub budget: u32,
    /// The most connects under way at once.
    pub connect_concurrency: u32,
    /// The most waiters over all routes; one more is refused.
    pub max_waiters: u32,
    /// Which idle connection is taken first.
    pub reuse: Reuse,
    /// An idle connection of a route at or below its share may be taken from it only after this long.
    pub reclaim_after: Duration,
    /// A route keeps a slot at least this long, before fairness moves it, as a multiple of the measured time that the move
    /// takes: of a connect, or of a re-key where that does.
    pub retention_connects: u32,
    /// How a slot gets from one route to another.
    pub moves: Moves,
    /// How long after a refusal (too many connections) the lowered budget is tried again; doubles up to 16 times this. At
    /// least 10 ms, for a server that is full is not to be asked without a pause.
    pub probe_after: Duration,
}

const PROBE_AFTER_MIN: Duration = Duration::from_millis(10);

impl Limits {
    /// The same, with durations that can be reckoned with.
    pub(crate) fn sound(self) -> Self {
        Self {
            reclaim_after: self.reclaim_after.min(FOREVER),
            probe_after: self.probe_after.clamp(PROBE_AFTER_MIN, FOREVER),
            ..self
        }
    }
}

/// What holds for one route.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteLimits {
    /// The class whose cap it counts against.
    pub class: ClassId,
    /// Its share of contended capacity relative to other routes; at least 1.
    pub weight: u32,
    /// Connections it gets before anyone gets more than theirs, while it has demand.
    pub guarantee: u32,
    /// The most connections it may hold; `None`: class and budget limit it.
    pub cap: Option<u32>,
    /// Idle connections kept open for it even without demand.
    pub min_idle: u32,
    /// The most waiters; `None`: only `Limits::max_waiters`.
    pub max_waiters: Option<u32>,
}

/// How long connections live (design, section 5). Zero is the same as `None`: no limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Recycling {
    /// An idle connection beyond `min_idle` is closed after this long.
    pub idle_timeout: Option<Duration>,
    /// Any idle connection is closed after this long.
    pub max_idle_timeout: Option<Duration>,
    /// A connection is closed when this old, at its next detach or while idle. Jitter is rolled once at birth.
    pub max_lifetime: Option<Duration>,
    /// Up to this fraction of `max_lifetime` (0 to 0.5) is taken off at random, so that births together do not die together.
    /// What is no number is 0.
    pub lifetime_jitter: f64,
    /// A connection is closed after this many leases.
    pub max_uses: Option<u64>,
}

impl Recycling {
    /// The same, with limits that a connection can live with and durations that can be reckoned with.
    pub(crate) fn sound(self) -> Self {
        let sound = |limit: Option<Duration>| limit.filter(|limit| !limit.is_zero()).map(|limit| limit.min(FOREVER));
        let jitter = self.lifetime_jitter;
        Self {
            idle_timeout: sound(self.idle_timeout),
            max_idle_timeout: sound(self.max_idle_timeout),
            max_lifetime: sound(self.max_lifetime),
            lifetime_jitter: if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 0.5) },
            max_uses: self.max_uses.filter(|uses| *uses > 0),
        }
    }
}

/// What a client wants when it asks for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Its session state; a connection in the same state is preferred.
    pub state: StateKey,
    /// Its home; a connection of the same home is preferred when state does not decide.
    pub home: Home,
    /// When it gives up. The scheduler expires it then, in [`Scheduler::handle_time`](crate::Scheduler::handle_time).
    pub deadline: Time,
}

/// The immediate answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// Take this connection; it is in use from now on.
    Granted(ConnId),
    /// Wait: a [`Decision`] about this ticket will come, exactly one.
    Queued(Ticket),
    /// No.
    Refused(Refusal),
}

/// Why a request was not even queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The route is not (any more) known.
    #[error("no such route")]
    UnknownRoute,
    /// The route's queue is full.
    #[error("too many clients wait for a connection of this user and database ({limit})")]
    RouteQueueFull {
        /// The limit that was met.
        limit: u32,
    },
    /// The server's queue is full.
    #[error("too many clients wait for a connection to this server ({limit})")]
    QueueFull {
        /// The limit that was met.
        limit: u32,
    },
    /// The scheduler is draining: nobody new is served.
    #[error("the pool is closing")]
    Closing,
}

/// What the caller must carry out. Decisions come out in order from [`Scheduler::poll_decision`](crate::Scheduler::poll_decision).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Give this in-use connection to this waiter.
    Grant {
        /// The waiter.
        ticket: Ticket,
        /// The connection, in use by the waiter from now on.
        conn: ConnId,
    },
    /// Open a connection for this route; its permit is taken. Report `handle_connected` or `handle_connect_failed`.
    Open {
        /// The new connection's id.
        conn: ConnId,
        /// The route to log in for.
        route: RouteId,
    },
    /// Log this idle connection in anew, for another route; it counts as that route's from now on, as one that is being
    /// made. Report `handle_rekeyed` or `handle_rekey_failed`.
    Rekey {
        /// The connection.
        conn: ConnId,
        /// Whose it was.
        from: RouteId,
        /// The route to log in for.
        to: RouteId,
    },
    /// Close this idle connection, then report `handle_closed`.
    Close {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// Tell this waiter that its time is up or its route is gone.
    Expire {
        /// The waiter.
        ticket: Ticket,
        /// Why.
        reason: ExpireReason,
    },
}

/// Why a connection is closed. The text is what logs and metrics show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// Idle beyond `idle_timeout` and not needed for `min_idle`.
    IdleTimeout,
    /// Idle beyond `max_idle_timeout`.
    MaxIdleTimeout,
    /// Older than `max_lifetime`.
    Lifetime,
    /// Lent `max_uses` times.
    Uses,
    /// Its slot moves to another route with a better claim.
    Reclaimed,
    /// The budget, a cap or the route itself went away.
    Shrunk,
    /// The pool drains.
    Draining,
    /// A reconnect was asked for.
    Reconnect,
    /// The holder said that it must not be used again.
    Unusable,
    /// It failed a validation.
    Invalid,
    /// The login for another route failed on it.
    RekeyFailed,
}

impl CloseReason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::IdleTimeout,
        Self::MaxIdleTimeout,
        Self::Lifetime,
        Self::Uses,
        Self::Reclaimed,
        Self::Shrunk,
        Self::Draining,
        Self::Reconnect,
        Self::Unusable,
        Self::Invalid,
        Self::RekeyFailed,
    ];
}

/// Why a waiter gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpireReason {
    /// Its deadline passed.
    Deadline {
        /// The limit it met.
        blocked_by: BlockedBy,
    },
    /// Its route was removed.
    RouteGone,
    /// The server refuses logins of this route (wrong password, no such database).
    LoginRefused,
    /// The pool drains.
    Draining,
}

/// What becomes of a connection that its holder gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detach {
    /// It may serve again; its session state is now this.
    Keep(StateKey),
    /// It must be closed, for this reason; the holder closes it and then reports `handle_closed`.
    Discard(CloseReason),
}

/// Why a connect, or a new login on a live connection, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// The server has no connection left (PostgreSQL 53300, MySQL 1040): the budget is lowered until a probe succeeds.
    TooManyConnections,
    /// The server has some, but no more for this route (the limit of a user or a database): it does with those that it has until
    /// a probe of its own succeeds. Its waiters wait on, and other routes are not concerned.
    TooManyForRoute,
    /// The server does not let this route in. Its waiters are told; the next request tries again, paced.
    LoginRefused,
    /// Nobody answered in time, or the connection broke: retried with back-off.
    Unavailable,
}
