//! Accepts clients. Whatever happens to one of them, or to the supply of file descriptors, the loop goes on.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::OwnedSemaphorePermit,
    time::timeout,
};

use route::Protocol;

use crate::{engine::Engine, mysql, postgres, stream::Stream};

/// How long to wait when no client can be accepted for want of resources.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a balancer may take to say for whom it connects. It has nothing to wait for.
const HEADER_TIMEOUT: Duration = Duration::from_secs(3);

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// Over a unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// Accepts clients of this protocol until the future is dropped.
    pub async fn accept_all(self, engine: Arc<Engine>, protocol: Protocol) {
        loop {
            // Whoever says nothing takes a place here, not a file descriptor that a client needs.
            let Ok(place) = engine.lobby.clone().acquire_owned().await else { return };
            let accepted = match &self {
                Self::Tcp(listener) => listener.accept().await.and_then(|(stream, _)| Stream::tcp(stream)),
                Self::Unix(listener) => listener.accept().await.and_then(|(stream, _)| Stream::unix(stream)),
            };
            match accepted {
                Ok(stream) => drop(tokio::spawn(receive(engine.clone(), stream, protocol, place))),
                // The client was gone before it was accepted (accept(2), "Error handling").
                Err(error) if is_of_one_client(&error) => tracing::debug!(%error, "client gone before it was accepted"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept clients; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Serves whoever connected, to the end; a balancer says first for whom it did.
async fn receive(engine: Arc<Engine>, mut stream: Stream, protocol: Protocol, place: OwnedSemaphorePermit) {
    let plan = engine.plan();
    let is_balancer = stream.peer().ip().is_some_and(|ip| plan.balancers.contains(ip));
    drop(plan);
    if is_balancer {
        let balancer = stream.peer();
        let refused = match timeout(HEADER_TIMEOUT, stream.read_proxy_header()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no PROXY protocol header within {HEADER_TIMEOUT:?}")),
        };
        if let Some(why) = refused {
            // Nothing is answered: whoever expects a balancer here, and is none, is to learn nothing.
            tracing::info!(peer = %balancer, why, "connection from a balancer's network (listen.proxy_protocol) refused");
            return;
        }
        tracing::debug!(%balancer, peer = %stream.peer(), "client behind a balancer");
    }
    match protocol {
        Protocol::Postgres => postgres::greet::receive(engine, stream, place).await,
        Protocol::Mysql => mysql::greet::receive(engine, stream, place).await,
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted | Kind::NotConnected | Kind::InvalidInput
    )
}
