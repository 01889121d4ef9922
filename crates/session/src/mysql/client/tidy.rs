//! After a client that left its server connection in the middle of something: the connection is put in order and goes
//! back, if that is soon done; else it is closed. The client has not to wait for it, nor has anybody else.

use std::time::Duration;

use pool::Lease;
use route::PoolMode;
use tokio::time::timeout;

use super::{Client, work::Upload};
use crate::mysql::connector::{self, MyConnector, ServerError};

/// How long putting a connection in order may take. What takes longer is cheaper to replace.
const TIDY_TIMEOUT: Duration = Duration::from_secs(5);

/// What is in the way of lending the connection again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leftover {
    /// At most an open transaction.
    Work,
    /// Also session state of the client's.
    Session,
}

impl Client {
    /// Gives back a connection that may be in any state.
    pub(super) fn tidy(&mut self, mut lease: Lease<MyConnector>) {
        let underway = (!lease.exchange.is_settled()).then(|| self.shared.cancel_target()).flatten();
        self.shared.end_lease();
        if let Some(placing) = &mut self.placing {
            placing.leave(&mut lease, &self.route);
        }
        if self.work.up.pending() > 0 || self.work.up.is_amid_message() || self.work.upload != Upload::Done {
            return lease.discard("its client left in the middle of a command");
        }
        if lease.unfit().is_some() {
            return;
        }
        // What has not been answered to its end may have done anything that it can do: nobody was told, and an error does not
        // even say whether a transaction is open.
        let is_known = lease.exchange.is_settled() && !self.state.leaves_traces();
        let leftover = if self.mode == PoolMode::Session || !is_known { Leftover::Session } else { Leftover::Work };
        if lease.is_clean() && leftover == Leftover::Work && lease.cancel.is_calm() {
            return;
        }
        if self.work.down.is_amid_message() {
            return lease.discard("its client left in the middle of a reply");
        }
        // Packets that were read but not looked at belong to the exchange.
        let read = self.work.down.unscanned().to_vec();
        tokio::spawn(async move {
            if let Some(underway) = underway {
                underway.deliver().await;
            }
            release_in_order(lease, read, leftover).await;
        });
    }
}

/// Gives a connection back whose session was changed in ways that cannot be known, without these changes.
pub(super) fn release_cleaned(lease: Lease<MyConnector>) {
    tokio::spawn(release_in_order(lease, Vec::new(), Leftover::Session));
}

async fn release_in_order(mut lease: Lease<MyConnector>, read: Vec<u8>, leftover: Leftover) {
    let tidied = timeout(TIDY_TIMEOUT, async {
        put_in_order(&mut lease, read, leftover).await?;
        lease.cancel.calm().await;
        Ok::<_, ServerError>(())
    });
    match tidied.await {
        Ok(Ok(())) => tracing::debug!(process = lease.process(), "connection put in order after its client"),
        Ok(Err(error)) => {
            tracing::info!(process = lease.process(), %error, "connection could not be put in order");
            lease.discard("it could not be put in order");
        }
        Err(_) => lease.discard("putting it in order took too long"),
    }
}

/// Gives a clean connection back once no request to kill its query is on its way to it.
pub(super) fn release_when_calm(lease: Lease<MyConnector>) {
    tokio::spawn(async move {
        lease.cancel.calm().await;
        drop(lease);
    });
}

async fn put_in_order(server: &mut Lease<MyConnector>, read: Vec<u8>, leftover: Leftover) -> Result<(), ServerError> {
    if !server.exchange.is_settled() || !read.is_empty() {
        let cancel = server.cancel.clone();
        tokio::select! {
            settled = connector::settle(server, read) => settled?,
            never = cancel.insist() => match never {},
        }
        // A request to kill the query may come behind its end, and would meet the next one.
        cancel.calm().await;
    }
    if leftover == Leftover::Session {
        return connector::reset(server).await;
    }
    if server.exchange.in_transaction() {
        connector::query(server, b"ROLLBACK").await?;
    }
    Ok(())
}
