//! After a client that left its server connection in the middle of something: the connection is put in order and goes
//! back, if that is soon done; else it is closed. The client has not to wait for it, nor has anybody else.

use std::time::Duration;

use pg::{
    exchange::{Audience, Expect, Transaction},
    frame::client,
    settings::Settings,
    write,
};
use pool::Lease;
use route::PoolMode;
use tokio::time::timeout;

use super::Client;
use crate::postgres::{
    connector::{self, PgConnector, ServerError},
    server::{ServerConnection, Unnamed},
};

/// How long putting a connection in order may take. What takes longer is cheaper to replace.
const TIDY_TIMEOUT: Duration = Duration::from_secs(5);

/// What is in the way of lending the connection again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leftover {
    /// At most an open transaction or a query under way.
    Work,
    /// Also session state of the client's.
    Session,
}

impl Client {
    /// Gives back a connection that may be in any state.
    pub(super) fn tidy(&mut self, mut lease: Lease<PgConnector>) {
        let underway = (!lease.exchange.is_settled()).then(|| self.shared.cancel_target()).flatten();
        self.shared.end_lease();
        if let Some(placing) = &mut self.placing {
            placing.leave(&mut lease, &self.route);
        }
        if self.work.up.pending() > 0 || self.work.up.is_amid_message() {
            return lease.discard("its client left in the middle of a message");
        }
        if lease.unfit().is_some() {
            return;
        }
        let leftover = if self.mode == PoolMode::Session || self.state.leaves_traces() {
            Leftover::Session
        } else {
            Leftover::Work
        };
        if lease.is_clean() && leftover == Leftover::Work && lease.cancel.is_calm() {
            return;
        }
        if self.work.down.is_amid_message() {
            return lease.discard("its client left in the middle of a reply");
        }
        // Replies that were read but not looked at belong to the exchange.
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
pub(super) fn release_cleaned(lease: Lease<PgConnector>) {
    tokio::spawn(release_in_order(lease, Vec::new(), Leftover::Session));
}

async fn release_in_order(mut lease: Lease<PgConnector>, read: Vec<u8>, leftover: Leftover) {
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

/// Gives a clean connection back once no cancel request is on its way to it.
pub(super) fn release_when_calm(lease: Lease<PgConnector>) {
    tokio::spawn(async move {
        lease.cancel.calm().await;
        drop(lease);
    });
}

async fn put_in_order(server: &mut ServerConnection, read: Vec<u8>, leftover: Leftover) -> Result<(), ServerError> {
    if !server.exchange.is_settled() || !read.is_empty() {
        end_unit(server).await?;
        let cancel = server.cancel.clone();
        tokio::select! {
            settled = connector::settle(server, read) => settled?,
            never = cancel.insist() => match never {},
        }
        // A request may come behind the end of the query, and would meet the next one.
        cancel.calm().await;
    }
    if server.exchange.transaction() != Transaction::Idle {
        connector::run(server, b"ROLLBACK").await?;
    }
    if leftover == Leftover::Session {
        connector::run(server, b"DISCARD ALL").await?;
        server.settings = Settings::default();
        server.statements.clear();
        server.to_close.clear();
        server.unnamed = Unnamed::Absent;
    }
    Ok(())
}

/// Ends what the client began: data that a COPY waits for, and a unit without its `Sync`. That `Sync` would commit what
/// the client did not, so ROLLBACK comes before it; if the server skips messages after an error, it skips that, too.
async fn end_unit(server: &mut ServerConnection) -> Result<(), ServerError> {
    let mut packet = Vec::new();
    if server.exchange.takes_copy_data() {
        write::message(&mut packet, client::COPY_FAIL, |out| write::cstr(out, b"the client is gone"));
        server.exchange.expect(Expect::CopyEnd);
    }
    if server.exchange.readies_owed() == 0 || !server.exchange.ends_with_ready() {
        write::query(&mut packet, b"ROLLBACK");
        server.exchange.expect(Expect::Query(Audience::Us));
        write::sync(&mut packet);
        server.exchange.expect(Expect::Sync(Audience::Us));
    }
    Ok(server.stream.write_all(&packet).await?)
}
