//! What the pool must be told: how a connection is made, judged and ended.

use std::future::Future;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use scheduler::{CloseReason, ConnectFailure, Realm, StateKey};

/// Makes, judges and ends connections of one kind to one server.
///
/// The pool calls the asynchronous methods in tasks of its own, never in a waiter's, and puts a deadline on each. A
/// method that panics or outlasts its deadline counts as failed; its permit comes back all the same.
pub trait Connector: Send + Sync + 'static {
    /// A connection, logged in and ready for use.
    type Connection: Send + 'static;
    /// What a connect needs beyond the server: user, database, credentials.
    type Route: Send + Sync + 'static;
    /// Why a connect or a validation failed. Its text is shown to callers, so it must not carry secrets.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Connects and logs in. The deadline is [`Settings::connect_timeout`](crate::Settings::connect_timeout).
    ///
    /// # Errors
    /// Says whose fault it is: the [`ConnectFailure`] decides what becomes of the waiters.
    fn connect(
        &self,
        route: &Arc<Self::Route>,
    ) -> impl Future<Output = Result<Self::Connection, ConnectError<Self::Error>>> + Send;

    /// Among which routes a connection made for this one may be re-keyed: those of the same realm. Connections that differ
    /// in what a new login cannot change (MySQL: the capabilities agreed on, TLS or not) belong to different realms. `None`,
    /// the default: it never is, and a slot that moves costs a reconnect.
    fn realm(&self, route: &Self::Route) -> Option<Realm> {
        let _ = route;
        None
    }

    /// For whom the server counts this route's connections where it limits single users. `None`, the default: no other route
    /// logs in as the same user.
    fn account(&self, route: &Self::Route) -> Option<Account> {
        let _ = route;
        None
    }

    /// Logs a live, idle connection in anew, for another route of its realm, leaving nothing behind of the session it was
    /// (MySQL: `COM_CHANGE_USER`). The deadline is [`Settings::connect_timeout`](crate::Settings::connect_timeout). To be
    /// implemented together with [`realm`](Self::realm): the default panics, as it is never asked without one.
    ///
    /// # Errors
    /// The connection is closed, and another one is opened for the route if it still needs it. Only a refusal that an
    /// ordinary login would have met as well is a [`ConnectFailure::LoginRefused`]: the route's waiters are told.
    fn rekey(
        &self,
        connection: &mut Self::Connection,
        to: &Arc<Self::Route>,
    ) -> impl Future<Output = Result<(), ConnectError<Self::Error>>> + Send {
        let _ = (connection, to);
        async { unreachable!("connections are re-keyed inside a realm, and a connector that names realms can do it") }
    }

    /// May the connection be lent again? Asked when a lease is dropped, so it must be cheap and must not block.
    fn is_reusable(&self, connection: &mut Self::Connection) -> bool;

    /// Must a reusable connection that is given back be [validated](Self::validate) before it is lent again, whatever
    /// [`Settings::test_on_return`](crate::Settings::test_on_return) says? For a connector that cannot tell at once whether
    /// its holder left something behind, or that puts sessions in order. It must be cheap and must not block.
    fn must_settle(&self, connection: &Self::Connection) -> bool {
        let _ = connection;
        false
    }

    /// A fingerprint of the connection's session state, asked after a connect or a re-key and at each return.
    fn state(&self, connection: &Self::Connection) -> StateKey {
        let _ = connection;
        StateKey::default()
    }

    /// Asks the server whether the connection still works, usually by the protocol's own ping. The deadline is
    /// [`Settings::validate_timeout`](crate::Settings::validate_timeout).
    ///
    /// # Errors
    /// The connection is closed and another one takes its place.
    fn validate(&self, connection: &mut Self::Connection) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Says goodbye and closes. The deadline is [`Settings::close_timeout`](crate::Settings::close_timeout); the permit
    /// is free when this ends, in whatever way.
    fn close(&self, connection: Self::Connection, reason: CloseReason) -> impl Future<Output = ()> + Send;
}

/// A user of the server, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account(u64);

impl Account {
    /// The user of this name. Two names may be one account by a very rare accident, which does no more than to have a limit of
    /// one taken for the server's.
    #[must_use]
    pub fn of(user: &str) -> Self {
        Self(BuildHasherDefault::<DefaultHasher>::default().hash_one(user))
    }
}

/// Why a connect or a re-key failed: what the pool must know of it, and the connector's own error.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct ConnectError<E: std::error::Error + 'static> {
    /// Whose fault it is.
    pub failure: ConnectFailure,
    /// What happened.
    pub source: E,
}

impl<E: std::error::Error + 'static> ConnectError<E> {
    /// The server did not answer, or the connection broke: to be tried again, with back-off.
    pub fn unavailable(source: E) -> Self {
        Self { failure: ConnectFailure::Unavailable, source }
    }

    /// The server does not let this route in: its waiters are told.
    pub fn login_refused(source: E) -> Self {
        Self { failure: ConnectFailure::LoginRefused, source }
    }

    /// The server has no connection left: the pool lives on a lower budget for a while.
    pub fn too_many_connections(source: E) -> Self {
        Self { failure: ConnectFailure::TooManyConnections, source }
    }

    /// The server has connections left, but no more for the user of this route, whom it limits: the route lives on those that
    /// it has for a while. If other routes have connections of the same [account](Connector::account), the pool lives on a
    /// lower budget instead, so that theirs move to it.
    pub fn too_many_for_route(source: E) -> Self {
        Self { failure: ConnectFailure::TooManyForRoute, source }
    }
}
