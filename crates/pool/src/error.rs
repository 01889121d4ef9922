//! Why a caller got no connection, said so that it can be acted on.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use scheduler::{BlockedBy, ConnectFailure, Refusal};

/// Why a checkout failed. `E` is the connector's error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckoutError<E: Error + 'static> {
    /// No connection became free in time. It says nothing about the server's health.
    #[error("{0}")]
    Timeout(Box<Timeout<E>>),
    /// The request was not even queued.
    #[error("no connection: {0}")]
    Refused(#[from] Refusal),
    /// The server does not let this route in.
    #[error("the server refused the login: {0}")]
    LoginRefused(#[source] Arc<E>),
    /// The route was removed while the request waited.
    #[error("no connection: the route was removed")]
    RouteGone,
    /// The pool was closed while the request waited.
    #[error("no connection: the pool is closing")]
    Closing,
}

/// The circumstances of a checkout that ran out of time.
#[derive(Debug)]
pub struct Timeout<E> {
    /// How long it waited.
    pub waited: Duration,
    /// Its place in its route's queue when it began to wait; 1 is the head.
    pub queue_position: u32,
    /// Connections in use by all routes when it gave up.
    pub in_use: u32,
    /// Connections allowed when it gave up: the budget, or less while the server refuses more.
    pub budget: u32,
    /// The limit it met.
    pub blocked_by: BlockedBy,
    /// Why the last connect of the route failed, if none succeeded since.
    pub last_connect_error: Option<ConnectFault<E>>,
}

impl<E: fmt::Display> fmt::Display for Timeout<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waited, queue_position, in_use, budget, blocked_by, last_connect_error } = self;
        write!(
            f,
            "no connection within {waited:?}: {in_use} of {budget} were in use, the request was number \
             {queue_position} in its queue"
        )?;
        match (last_connect_error, blocked_by) {
            (Some(fault), _) => write!(f, "; the last connect failed: {fault}"),
            (None, BlockedBy::Route { cap }) => {
                write!(f, "; its route may hold {cap}: raise that cap or shorten what holds the connections")
            }
            (None, BlockedBy::Class { class, cap }) => {
                write!(
                    f,
                    "; its class, number {class}, may hold {cap}: raise that cap or shorten what holds the connections"
                )
            }
            (None, BlockedBy::Budget) => f.write_str("; raise the budget or shorten what holds the connections"),
        }
    }
}

/// What went wrong with a connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFault<E> {
    /// The connector reported an error.
    #[error("{error}")]
    Failed {
        /// Whose fault it was.
        failure: ConnectFailure,
        /// What it reported.
        error: Arc<E>,
    },
    /// It did not end in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connector panicked, or the runtime it ran on went away.
    #[error("the connect was broken off")]
    BrokenOff,
}

impl<E> ConnectFault<E> {
    /// What the scheduler must know of it.
    #[must_use]
    pub fn failure(&self) -> ConnectFailure {
        match self {
            Self::Failed { failure, .. } => *failure,
            Self::TimedOut(_) | Self::BrokenOff => ConnectFailure::Unavailable,
        }
    }
}

// Not derived: an `Arc` is cloned, whatever the error.
impl<E> Clone for ConnectFault<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed { failure, error } => Self::Failed { failure: *failure, error: Arc::clone(error) },
            Self::TimedOut(after) => Self::TimedOut(*after),
            Self::BrokenOff => Self::BrokenOff,
        }
    }
}
