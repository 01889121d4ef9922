//! The tasks that carry out jobs: connect, re-key, validate, close.
//!
//! Each one owns a guard that reports to the pool, at the latest when it is dropped: a task that panics, is cut off by
//! its deadline or goes down with its runtime ends like any other failure, and its permit comes back.

use std::sync::Arc;
use std::time::Duration;

use scheduler::{CloseReason, ConnId, Home, RouteId, StateKey};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::connector::Connector;
use crate::error::ConnectFault;
use crate::ledger::{Connected, Job, Then};
use crate::shared::{Shared, Starter};

impl<C: Connector> Shared<C> {
    /// Starts a task for each job that waits: on the caller's runtime if it has one, else on the pool's.
    pub(crate) fn start_jobs(self: &Arc<Self>, home: Home) {
        let current = Handle::try_current();
        let runtime = current.as_ref().unwrap_or(&self.runtime);
        loop {
            let (job, connect_timeout, close_timeout) = {
                let mut ledger = self.lock();
                let Some(job) = ledger.jobs.pop_front() else { return };
                (job, ledger.settings.connect_timeout, ledger.settings.close_timeout)
            };
            let shared = Arc::clone(self);
            match job {
                Job::Connect { conn, route, target } => {
                    let dial = Dial { shared, conn, route, home, fault: Some(ConnectFault::BrokenOff) };
                    runtime.spawn(dial.run(target, connect_timeout));
                }
                Job::Rekey { conn, connection, from, to, target } => {
                    let transfer = Transfer { shared, conn, from, to, home, connection: Some(connection) };
                    runtime.spawn(transfer.run(target, connect_timeout));
                }
                Job::Test { conn, connection, then, limit } => {
                    let trial = Trial { shared, conn, home, connection: Some(connection), then };
                    runtime.spawn(trial.run(limit));
                }
                Job::Close { conn, connection, reason } => {
                    let farewell = Farewell { shared, conn, home, reason, stage: Stage::Due(connection) };
                    runtime.spawn(farewell.run(close_timeout));
                }
            }
        }
    }
}

/// A connect under way.
struct Dial<C: Connector> {
    shared: Arc<Shared<C>>,
    conn: ConnId,
    route: RouteId,
    home: Home,
    /// What there is to report if the task ends here; `None` once it has reported.
    fault: Option<ConnectFault<C::Error>>,
}

impl<C: Connector> Dial<C> {
    async fn run(mut self, target: Arc<C::Route>, limit: Duration) {
        let fault = match timeout(limit, self.shared.connector.connect(&target)).await {
            Ok(Ok(connection)) => return self.succeed(connection),
            Ok(Err(error)) => ConnectFault::Failed { failure: error.failure, error: Arc::new(error.source) },
            Err(_) => ConnectFault::TimedOut(limit),
        };
        self.fault = Some(fault);
        self.fail(Starter::Caller(self.home));
    }

    fn succeed(&mut self, connection: C::Connection) {
        let state = self.shared.connector.state(&connection);
        self.fault = None;
        let (conn, home, connection) = (self.conn, self.home, Box::new(connection));
        let connected = self
            .shared
            .act(Starter::Caller(home), |ledger, now| ledger.handle_connected(conn, connection, state, home, now));
        if let Some(Connected { class, took, mended }) = connected {
            drop(mended);
            self.shared.observer.on_open(self.route, class, conn, took);
        }
    }

    fn fail(&mut self, starter: Starter) {
        let Some(fault) = self.fault.take() else { return };
        let (conn, told) = (self.conn, fault.clone());
        drop(self.shared.act(starter, |ledger, now| ledger.handle_connect_failed(conn, told, now)));
        self.shared.observer.on_open_failed(self.route, fault.failure(), &fault);
    }
}

impl<C: Connector> Drop for Dial<C> {
    fn drop(&mut self) {
        self.fail(Starter::Keeper);
    }
}

/// A re-key under way.
struct Transfer<C: Connector> {
    shared: Arc<Shared<C>>,
    conn: ConnId,
    from: RouteId,
    to: RouteId,
    home: Home,
    /// Present until it has come through or failed.
    connection: Option<Box<C::Connection>>,
}

impl<C: Connector> Transfer<C> {
    async fn run(mut self, target: Arc<C::Route>, limit: Duration) {
        let Some(connection) = self.connection.as_deref_mut() else { return };
        let fault = match timeout(limit, self.shared.connector.rekey(connection, &target)).await {
            Ok(Ok(())) => {
                let state = self.shared.connector.state(connection);
                return self.succeed(state);
            }
            Ok(Err(error)) => ConnectFault::Failed { failure: error.failure, error: Arc::new(error.source) },
            Err(_) => ConnectFault::TimedOut(limit),
        };
        self.fail(fault, Starter::Caller(self.home));
    }

    fn succeed(&mut self, state: StateKey) {
        let Some(connection) = self.connection.take() else { return };
        let conn = self.conn;
        let starter = Starter::Caller(self.home);
        let moved = self.shared.act(starter, |ledger, now| ledger.handle_rekeyed(conn, connection, state, now));
        if let Some(Connected { took, mended, .. }) = moved {
            drop(mended);
            self.shared.observer.on_move(self.from, self.to, conn, took);
        }
    }

    fn fail(&mut self, fault: ConnectFault<C::Error>, starter: Starter) {
        let Some(connection) = self.connection.take() else { return };
        let (conn, told) = (self.conn, fault.clone());
        drop(self.shared.act(starter, |ledger, now| ledger.handle_rekey_failed(conn, connection, told, now)));
        self.shared.observer.on_move_failed(self.from, self.to, fault.failure(), &fault);
    }
}

impl<C: Connector> Drop for Transfer<C> {
    fn drop(&mut self) {
        self.fail(ConnectFault::BrokenOff, Starter::Keeper);
    }
}

/// A validation under way. It holds a connection in use.
struct Trial<C: Connector> {
    shared: Arc<Shared<C>>,
    conn: ConnId,
    home: Home,
    /// Present until it has passed or failed.
    connection: Option<Box<C::Connection>>,
    then: Then,
}

impl<C: Connector> Trial<C> {
    async fn run(mut self, limit: Duration) {
        let Some(connection) = self.connection.as_deref_mut() else { return };
        let starter = Starter::Caller(self.home);
        if !matches!(timeout(limit, self.shared.connector.validate(connection)).await, Ok(Ok(()))) {
            return self.fail(starter);
        }
        let state = self.shared.connector.state(connection);
        let (conn, then) = (self.conn, self.then);
        if let Some(connection) = self.connection.take() {
            self.shared.act(starter, |ledger, now| ledger.handle_tested(conn, connection, then, state, now));
        }
    }

    /// The connection is closed, and the waiter it was meant for gets another.
    fn fail(&mut self, starter: Starter) {
        let Some(connection) = self.connection.take() else { return };
        let (conn, then) = (self.conn, self.then);
        self.shared.act(starter, |ledger, now| {
            ledger.discard(conn, connection, CloseReason::Invalid, now);
            if let Then::Deliver(place) = then {
                ledger.attach_again(place, now);
            }
        });
    }
}

impl<C: Connector> Drop for Trial<C> {
    fn drop(&mut self) {
        self.fail(Starter::Keeper);
    }
}

/// A goodbye under way.
struct Farewell<C: Connector> {
    shared: Arc<Shared<C>>,
    conn: ConnId,
    home: Home,
    reason: CloseReason,
    stage: Stage<C::Connection>,
}

enum Stage<T> {
    /// Not begun.
    Due(Box<T>),
    /// The connection is with the connector.
    UnderWay,
    Reported,
}

impl<C: Connector> Farewell<C> {
    async fn run(mut self, limit: Duration) {
        if let Stage::Due(connection) = std::mem::replace(&mut self.stage, Stage::UnderWay) {
            // Cut off, the connection is dropped with the future, and that closes the socket.
            let _ = timeout(limit, self.shared.connector.close(*connection, self.reason)).await;
        }
        self.report(Starter::Caller(self.home));
    }

    fn report(&mut self, starter: Starter) {
        if let Stage::Reported = std::mem::replace(&mut self.stage, Stage::Reported) {
            return;
        }
        // A goodbye that never began ended above: its socket is closed, and now the permit is free.
        let conn = self.conn;
        let closed = self.shared.act(starter, |ledger, now| Some((ledger.handle_closed(conn, now)?, now)));
        if let Some((entry, now)) = closed {
            self.shared.observer.on_close(entry.route, conn, self.reason, now.since(entry.born), entry.uses);
        }
    }
}

impl<C: Connector> Drop for Farewell<C> {
    fn drop(&mut self) {
        self.report(Starter::Keeper);
    }
}
