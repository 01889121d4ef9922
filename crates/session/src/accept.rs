//! Accepts clients. Whatever happens to one of them, or to the supply of file descriptors, the loop goes on.

use std::{io, sync::Arc, time::Duration};

use tokio::net::{TcpListener, UnixListener};

use crate::{engine::Engine, postgres::greet, stream::Stream};

/// How long to wait when no client can be accepted for want of resources.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// Over a unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// Accepts clients until the future is dropped.
    pub async fn accept_all(self, engine: Arc<Engine>) {
        loop {
            // Whoever says nothing takes a place here, not a file descriptor that a client needs.
            let Ok(place) = engine.lobby.clone().acquire_owned().await else { return };
            let accepted = match &self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
                Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
            };
            match accepted.and_then(|stream| stream.prepare().map(|()| stream)) {
                Ok(stream) => drop(tokio::spawn(greet::receive(engine.clone(), stream, place))),
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

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted | Kind::NotConnected | Kind::InvalidInput
    )
}
