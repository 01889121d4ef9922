//! What an idle connection costs.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

use rcgen::{CertificateParams, KeyPair};
use tls::{Acceptor, AcceptorSettings, ClientAuth, Connector, ConnectorSettings, Identity, Mode, Roots, TlsStream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

const CONNECTIONS: usize = 50;
/// Bytes of heap that one idle connection may hold on the server's side, after it has served something.
const IDLE_MAX: u64 = 12 * 1024;

#[test]
fn an_idle_client_stays_small() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (acceptor, connector) = sides();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    // What is made once is made now.
    drop(runtime.block_on(serve_one(&listener, &acceptor, &connector)));

    let mut kept = Vec::with_capacity(CONNECTIONS);
    let spent = allocation_counter::measure(|| {
        for _ in 0..CONNECTIONS {
            kept.push(runtime.block_on(serve_one(&listener, &acceptor, &connector)));
        }
    });
    let each = u64::try_from(spent.bytes_current).unwrap() / CONNECTIONS as u64;
    println!("{each} bytes of heap and {} of the value itself", size_of::<TlsStream<TcpStream>>());
    assert!(each < IDLE_MAX, "{each} bytes for an idle connection");
}

/// The server's side of a connection that has exchanged something large and something small, its client gone.
async fn serve_one(listener: &TcpListener, acceptor: &Acceptor, connector: &Connector) -> TlsStream<TcpStream> {
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
    let (server, client) =
        tokio::join!(acceptor.accept(accepted.unwrap().0), connector.connect("db.test", connected.unwrap()));
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    for len in [40_000, 10] {
        let (asked, mut answered) = (vec![1; len], vec![0; len]);
        let (read, written) = tokio::join!(server.read_exact(&mut answered), client.write_all(&asked));
        read.unwrap();
        written.unwrap();
        let (read, written) = tokio::join!(client.read_exact(&mut answered), server.write_all(&asked));
        read.unwrap();
        written.unwrap();
    }
    server
}

fn sides() -> (Acceptor, Connector) {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["db.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let identity = Identity { certificate: folder.path().join("crt"), key: folder.path().join("key") };
    std::fs::write(&identity.certificate, certificate.pem()).unwrap();
    std::fs::write(&identity.key, key.serialize_pem()).unwrap();
    let settings = AcceptorSettings { identity, clients: ClientAuth::None, alpn: vec![] };
    let client = ConnectorSettings { mode: Mode::Require, roots: Roots::System, identity: None };
    (Acceptor::load(settings).unwrap(), Connector::load(client).unwrap())
}
