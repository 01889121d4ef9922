//! Cancel requests: from a client's key to the server connection that works for it, and never to another.
//!
//! A request on its way to the server is counted on its target. The target's connection does not serve anybody else
//! before that count is back to zero, so a request that arrives late finds the same client's query, or none.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use route::Address;

use crate::{dialling::Dialling, mysql, postgres::encryption};

/// How long a cancel request may take to be delivered.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a query may go on after a request to stop it until it is asked again; twice as long each further time.
const PATIENCE: Duration = Duration::from_millis(100);

/// The most cancel requests on their way to one server connection at once. One more could only ask for the same, and each
/// costs a connection that is not in the server's budget.
const UNDERWAY_MAX: u32 = 8;

/// Where a cancel request for a server connection must go, and what it must say.
#[derive(Debug)]
pub(crate) struct CancelTarget {
    address: Address,
    process: u32,
    means: Means,
    traffic: Traffic,
}

/// How a server is asked to stop a query.
#[derive(Debug)]
pub(crate) enum Means {
    /// By the key that it gave out at the login.
    Postgres {
        /// The key.
        key: Box<[u8]>,
        /// How the server is reached: the key is as secret on this way as on that on which it came.
        dialling: Dialling,
    },
    /// By another login of the same user, which kills the query.
    Mysql {
        /// The user.
        login: Arc<mysql::Login>,
        /// How the server is reached.
        habits: Arc<mysql::Habits>,
    },
}

/// The cancel requests on their way to one server connection.
#[derive(Debug, Default)]
struct Traffic {
    underway: AtomicU32,
    /// Those that were sent, and whose arrival nobody has confirmed.
    unconfirmed: AtomicU32,
    arrived: Notify,
}

/// A cancel request on its way.
#[derive(Debug)]
pub(crate) struct Underway(Arc<CancelTarget>);

impl Underway {
    /// Counts one; `None` when enough are on their way already. The caller holds the lock under which the target is the
    /// client's.
    pub(crate) fn new(target: &Arc<CancelTarget>) -> Option<Self> {
        let one_more = |underway| (underway < UNDERWAY_MAX).then_some(underway + 1);
        target.traffic.underway.fetch_update(SeqCst, SeqCst, one_more).ok()?;
        Some(Self(target.clone()))
    }

    /// Delivers it: the server closes the connection once it has passed the request on.
    pub(crate) async fn deliver(self) {
        let target = &*self.0;
        let delivered = timeout(DELIVERY_TIMEOUT, async {
            match &target.means {
                Means::Postgres { key, dialling } => ask_postgres(target, key, dialling).await,
                Means::Mysql { login, habits } => {
                    mysql::kill_query(target, login, habits).await.map_err(io::Error::other)
                }
            }
        });
        match delivered.await {
            Ok(Ok(())) => tracing::debug!(process = self.0.process, "cancel request delivered"),
            Ok(Err(error)) => tracing::warn!(process = self.0.process, %error, "cancel request not delivered"),
            Err(_) => tracing::warn!(process = self.0.process, "cancel request not delivered in time"),
        }
    }
}

async fn ask_postgres(target: &CancelTarget, key: &[u8], dialling: &Dialling) -> io::Result<()> {
    let mut packet = Vec::new();
    pg::write::cancel_request(&mut packet, target.process, key);
    let mut stream = encryption::open(dialling, &target.address).await.map_err(io::Error::other)?;
    target.note_sent();
    stream.write_all(&packet).await?;
    stream.read_some(&mut Vec::new()).await?;
    target.note_arrived();
    Ok(())
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.traffic.underway.fetch_sub(1, SeqCst);
        self.0.traffic.arrived.notify_waiters();
    }
}

impl CancelTarget {
    /// The connection that the server at this address knows by this number.
    pub(crate) fn new(address: Address, process: u32, means: Means) -> Self {
        Self { address, process, means, traffic: Traffic::default() }
    }

    /// Asks for the end of the query again and again, until dropped. A request may overtake the query that it is meant for,
    /// and servers forget what they were asked to stop while nothing ran.
    pub(crate) async fn insist(self: &Arc<Self>) -> Infallible {
        let mut pause = PATIENCE;
        loop {
            sleep(pause).await;
            pause *= 2;
            if let Some(underway) = Underway::new(self) {
                // By a task of its own: a request that was begun arrives, so it is to be counted until it has.
                tokio::spawn(underway.deliver()).await.ok();
            }
        }
    }

    /// Where the server is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The server's number for the connection.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    /// A request is about to be written. Unless [`CancelTarget::note_arrived`] follows, it may do its work at any time.
    pub(crate) fn note_sent(&self) {
        self.traffic.unconfirmed.fetch_add(1, SeqCst);
    }

    /// The server has carried a request out.
    pub(crate) fn note_arrived(&self) {
        self.traffic.unconfirmed.fetch_sub(1, SeqCst);
    }

    /// Whether no request can meet what runs on the connection from now on: none is on its way, and of none is it unknown
    /// what has become of it.
    pub(crate) fn is_safe(&self) -> bool {
        self.is_calm() && self.traffic.unconfirmed.load(SeqCst) == 0
    }

    /// Whether no cancel request is on its way.
    pub(crate) fn is_calm(&self) -> bool {
        self.traffic.underway.load(SeqCst) == 0
    }

    /// Waits until no cancel request is on its way. Ends, because each delivery has a deadline.
    pub(crate) async fn calm(&self) {
        loop {
            let arrived = self.traffic.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            if self.is_calm() {
                return;
            }
            arrived.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_one_connection_are_bounded_and_it_is_calm_once_all_have_arrived() {
        let address = Address::Unix { path: "/nowhere".into() };
        let target = Arc::new(CancelTarget::new(
            address,
            1,
            Means::Postgres { key: Box::new([0; 4]), dialling: Dialling::default() },
        ));
        let mut underway: Vec<_> = (0..UNDERWAY_MAX).map(|_| Underway::new(&target).unwrap()).collect();
        assert!(Underway::new(&target).is_none());
        drop(underway.pop());
        drop(Underway::new(&target).unwrap());
        assert!(!target.is_calm());
        drop(underway);
        assert!(target.is_calm());
    }

    #[test]
    fn a_connection_is_not_safe_while_a_request_may_still_do_its_work() {
        let means = Means::Postgres { key: Box::new([0; 4]), dialling: Dialling::default() };
        let target = Arc::new(CancelTarget::new(Address::Unix { path: "/nowhere".into() }, 1, means));
        let underway = Underway::new(&target).unwrap();
        target.note_sent();
        drop(underway);
        assert!(target.is_calm() && !target.is_safe(), "nobody knows what has become of it");
        target.note_arrived();
        assert!(target.is_safe());
    }
}
