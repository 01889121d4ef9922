use std::{future::poll_fn, task::Waker};

use rcgen::{CertificateParams, KeyPair};
use tls::{AcceptorSettings, ClientAuth, ConnectorSettings, Identity, Mode, Roots};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

async fn sockets() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
    (Stream::tcp(accepted.unwrap().0).unwrap(), connected.unwrap())
}

fn sides() -> (Acceptor, Connector) {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["db.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let identity = Identity { certificate: folder.path().join("crt"), key: folder.path().join("key") };
    std::fs::write(&identity.certificate, certificate.pem()).unwrap();
    std::fs::write(&identity.key, key.serialize_pem()).unwrap();
    let roots = Roots::File(identity.certificate.clone());
    let acceptor = Acceptor::load(AcceptorSettings { identity, clients: ClientAuth::None, alpn: vec![] }).unwrap();
    let connector = Connector::load(ConnectorSettings { mode: Mode::VerifyFull, roots, identity: None }).unwrap();
    (acceptor, connector)
}

/// Two ends of an encrypted connection, after a few bytes in the clear.
async fn encrypted() -> (Stream, Stream) {
    let (acceptor, connector) = sides();
    let (mut server, client) = sockets().await;
    let mut client = Stream::tcp(client).unwrap();
    client.write_all(b"S").await.unwrap();
    assert_eq!(server.read_some(&mut Vec::new()).await.unwrap(), 1);
    let (accepted, connected) =
        tokio::join!(server.start_tls_server(&acceptor), client.start_tls_client(&connector, "db.test"));
    accepted.unwrap();
    connected.unwrap();
    (server, client)
}

fn now<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn what_is_secret_on_the_way_is_said_so() {
    let (mut plain, _client) = sockets().await;
    assert!(!plain.is_encrypted() && !plain.is_secure_channel() && plain.tls().is_none());
    let (one, _other) = UnixStream::pair().unwrap();
    let unix = Stream::unix(one).unwrap();
    assert!(!unix.is_encrypted() && unix.is_secure_channel());
    let (server, _client) = encrypted().await;
    assert!(server.is_encrypted() && server.is_secure_channel());
    assert!(server.tls().unwrap().server_end_point().is_some());
    assert!(plain.is_quiet());
    assert!(now(|cx| plain.poll_readable(cx)).is_pending());
}

#[tokio::test]
async fn an_encrypted_connection_is_quiet_until_something_comes() {
    let (mut server, mut client) = encrypted().await;
    assert!(server.is_quiet());
    assert!(now(|cx| server.poll_readable(cx)).is_pending());
    client.write_all(b"ab").await.unwrap();
    poll_fn(|cx| server.poll_readable(cx)).await.unwrap();
    assert!(!server.is_quiet(), "decrypted, and not read");
    let mut read = Vec::new();
    server.read_up_to(&mut read, 1).await.unwrap();
    assert!(!server.is_quiet(), "one byte is left");
    server.read_up_to(&mut read, 9).await.unwrap();
    assert_eq!(read, b"ab");
    assert!(server.is_quiet());
    client.shut_down().await;
    poll_fn(|cx| server.poll_readable(cx)).await.unwrap();
    assert!(!server.is_quiet(), "the end");
    assert_eq!(server.read_some(&mut read).await.unwrap(), 0);
}

#[tokio::test]
async fn a_record_that_nobody_has_looked_at_is_not_quiet() {
    let (server, mut client) = encrypted().await;
    client.write_all(b"x").await.unwrap();
    let Transport::Tls(stream) = &server.transport else { panic!("encrypted") };
    let Socket::Tcp(socket) = stream.get_ref() else { panic!("TCP") };
    socket.readable().await.unwrap();
    assert!(!server.is_quiet());
}

#[tokio::test]
async fn after_a_failed_handshake_nothing_is_said_in_the_clear() {
    let (acceptor, _) = sides();
    let (mut server, mut client) = sockets().await;
    client.write_all(b"\0\0\0\x08no TLS at all").await.unwrap();
    let error = server.start_tls_server(&acceptor).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Protocol(_)), "{error}");
    assert!(server.write_all(b"secret").await.is_err());
    assert!(server.read_some(&mut Vec::new()).await.is_err());
    assert!(!server.is_quiet());
    let mut read = Vec::new();
    client.read_to_end(&mut read).await.unwrap();
    assert_eq!(read[..1], [0x15], "an alert and nothing else");
    assert!(read.len() < 10);
}

#[tokio::test]
async fn who_is_encrypted_stays_so() {
    let (acceptor, _) = sides();
    let (mut server, mut client) = encrypted().await;
    assert!(matches!(server.start_tls_server(&acceptor).await, Err(HandshakeError::Io(_))));
    client.write_all(b"x").await.unwrap();
    assert_eq!(server.read_some(&mut Vec::new()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_balancer_says_for_whom_it_connects_and_the_rest_stays_unread() {
    let (mut server, mut client) = sockets().await;
    client.write_all(b"PROXY TCP4 192.168.0.1 10.0.0.5 56324 6432\r\n\0\0\0\x08").await.unwrap();
    server.read_proxy_header().await.unwrap();
    assert_eq!(server.peer().to_string(), "192.168.0.1:56324");
    let mut read = Vec::new();
    server.read_some(&mut read).await.unwrap();
    assert_eq!(read, b"\0\0\0\x08");
}

#[tokio::test]
async fn who_is_no_balancer_is_refused() {
    for said in [&b"\0\0\0\x08\x04\xd2\x16\x2f"[..], b"PROXY TCP4"] {
        let (mut server, mut client) = sockets().await;
        client.write_all(said).await.unwrap();
        drop(client);
        let peer = server.peer();
        server.read_proxy_header().await.unwrap_err();
        assert_eq!(server.peer(), peer);
    }
}

#[tokio::test]
async fn our_own_header_names_the_two_ends_of_the_connection() {
    let (mut server, client) = sockets().await;
    let (ours, theirs) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    Stream::tcp(client).unwrap().write_proxy_header().await.unwrap();
    let mut read = Vec::new();
    server.read_some(&mut read).await.unwrap();
    assert_eq!(Header::look(&read), Ok(Look::Found(Header::Tcp { source: ours, destination: theirs }, read.len())));
}
