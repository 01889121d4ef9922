//! Asking for a connection, and waiting for it.

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use scheduler::{FOREVER, Home, StateKey};
use tokio::time::Instant;

use crate::connector::Connector;
use crate::error::CheckoutError;
use crate::handoff::{Look, Place};
use crate::lease::Lease;
use crate::ledger::Outcome;
use crate::shared::{Shared, Starter};

/// What a caller asks for.
#[derive(Debug, Clone, Copy)]
pub struct Checkout {
    /// Its session state: a connection in the same state is preferred.
    pub state: StateKey,
    /// Where it runs: a connection of the same home is preferred when the state does not decide.
    pub home: Home,
    /// When it gives up; `None`: after [`Settings::checkout_timeout`](crate::Settings::checkout_timeout).
    pub deadline: Option<Instant>,
    /// The place in the source to name if the lease is never given back.
    pub place: &'static Location<'static>,
    /// The number that the caller goes by, to be named as well. The pool makes nothing of it.
    pub borrower: u64,
}

impl Checkout {
    /// Any connection, within the default time, for the caller of this function.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        Self {
            state: StateKey::default(),
            home: Home::default(),
            deadline: None,
            place: Location::caller(),
            borrower: 0,
        }
    }

    /// The same, given up after this long from now; after 100 years at most.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { deadline: Some(Instant::now() + time.min(FOREVER)), ..self }
    }

    /// The same, preferring connections in this session state.
    #[must_use]
    pub fn state(self, state: StateKey) -> Self {
        Self { state, ..self }
    }

    /// The same, preferring connections at home here.
    #[must_use]
    pub fn home(self, home: Home) -> Self {
        Self { home, ..self }
    }

    /// The same, for the caller of this number.
    #[must_use]
    pub fn borrower(self, borrower: u64) -> Self {
        Self { borrower, ..self }
    }
}

impl Default for Checkout {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

/// A checkout under way. It has its place in the queue from the moment it is made; dropping it gives the place up.
///
/// It arms no timer: the pool's keeper ends all waits in time.
#[must_use = "dropping it cancels the checkout"]
pub struct Pending<C: Connector> {
    stage: Stage<C>,
}

enum Stage<C: Connector> {
    /// There was a connection at hand.
    Granted(Lease<C>),
    Failed(CheckoutError<C::Error>),
    Waiting {
        shared: Arc<Shared<C>>,
        place: Place,
    },
    /// The outcome has been taken.
    Done,
}

impl<C: Connector> Pending<C> {
    pub(crate) fn granted(lease: Lease<C>) -> Self {
        Self { stage: Stage::Granted(lease) }
    }

    pub(crate) fn failed(error: CheckoutError<C::Error>) -> Self {
        Self { stage: Stage::Failed(error) }
    }

    pub(crate) fn waiting(shared: Arc<Shared<C>>, place: Place) -> Self {
        Self { stage: Stage::Waiting { shared, place } }
    }

    /// Whether it waits for its turn, as of the last poll.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. })
    }
}

impl<C: Connector> Unpin for Pending<C> {}

impl<C: Connector> Future for Pending<C> {
    type Output = Result<Lease<C>, CheckoutError<C::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let (shared, place) = match mem::replace(&mut self.stage, Stage::Done) {
            Stage::Granted(lease) => return Poll::Ready(Ok(lease)),
            Stage::Failed(error) => return Poll::Ready(Err(error)),
            Stage::Waiting { shared, place } => (shared, place),
            Stage::Done => panic!("a checkout was polled after it was done"),
        };
        let look = shared.lock().places.look(place, waker);
        match look {
            Look::Waiting(replaced) => {
                drop(replaced);
                self.stage = Stage::Waiting { shared, place };
                Poll::Pending
            }
            Look::Settled(waiter, Outcome::Granted(granted)) => {
                let waited = granted.since.since(waiter.since);
                Poll::Ready(Ok(Lease::observed(shared, granted, waited)))
            }
            Look::Settled(waiter, Outcome::Denied(error)) => {
                if let CheckoutError::Timeout(timeout) = &error {
                    shared.observer.on_timeout(waiter.route, timeout.waited);
                }
                Poll::Ready(Err(error))
            }
            Look::Gone => unreachable!("only this future gives its place up, and it is done then"),
        }
    }
}

impl<C: Connector> Drop for Pending<C> {
    fn drop(&mut self) {
        if let Stage::Waiting { shared, place } = &self.stage {
            drop(shared.act(Starter::Keeper, |ledger, now| ledger.leave(*place, now)));
        }
    }
}

impl<C: Connector> fmt::Debug for Pending<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("waiting", &self.is_waiting()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connector that is never asked for anything.
    struct Never;

    impl Connector for Never {
        type Connection = [u64; 1_000];
        type Route = ();
        type Error = std::io::Error;

        async fn connect(&self, _: &Arc<()>) -> Result<[u64; 1_000], crate::ConnectError<std::io::Error>> {
            Ok([0; 1_000])
        }
        fn is_reusable(&self, _: &mut [u64; 1_000]) -> bool {
            false
        }
        async fn validate(&self, _: &mut [u64; 1_000]) -> Result<(), std::io::Error> {
            Ok(())
        }
        async fn close(&self, _: [u64; 1_000], _: scheduler::CloseReason) {}
    }

    #[test]
    fn a_checkout_under_way_is_small_however_large_a_connection_is() {
        assert!(size_of::<Pending<Never>>() <= 64, "{}", size_of::<Pending<Never>>());
    }
}
