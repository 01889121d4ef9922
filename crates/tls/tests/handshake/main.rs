//! Both sides of TLS against each other, with certificates of every kind that goes wrong.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod authority;
mod reload;
mod streams;
mod trust;

use tls::{
    Acceptor, AcceptorSettings, ClientAuth, Connector, ConnectorSettings, HandshakeError, Identity, Mode, Roots,
    TlsStream,
};
use tokio::io::DuplexStream;

type Side = Result<TlsStream<DuplexStream>, HandshakeError>;

/// An acceptor that shows `identity` and asks for nothing.
fn acceptor(identity: Identity) -> Acceptor {
    Acceptor::load(AcceptorSettings { identity, clients: ClientAuth::None, alpn: vec![b"postgresql".to_vec()] })
        .unwrap()
}

fn connector(mode: Mode, roots: &Roots) -> Connector {
    Connector::load(ConnectorSettings { mode, roots: roots.clone(), identity: None }).unwrap()
}

/// Server's and client's end of a handshake.
async fn meet(acceptor: &Acceptor, connector: &Connector, name: &str) -> (Side, Side) {
    let (here, there) = tokio::io::duplex(64 * 1024);
    tokio::join!(acceptor.accept(here), connector.connect(name, there))
}
