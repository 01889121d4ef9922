//! What an encrypted connection does with bytes.

use std::{
    future::poll_fn,
    io::IoSlice,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tls::{Mode, TlsStream, Version};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use crate::{
    acceptor,
    authority::{Authority, GOOD},
    connector,
};

/// Server's and client's end, over a pipe that holds `room` bytes.
async fn pair(room: usize) -> (TlsStream<DuplexStream>, TlsStream<DuplexStream>) {
    let authority = Authority::new();
    let acceptor = acceptor(authority.issue("server", &GOOD));
    let connector = connector(Mode::VerifyFull, &authority.roots());
    let (here, there) = tokio::io::duplex(room);
    let (server, client) = tokio::join!(acceptor.accept(here), connector.connect("db.test", there));
    (server.unwrap(), client.unwrap())
}

fn now<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn both_sides_know_what_they_agreed_on() {
    let (server, client) = pair(1 << 16).await;
    assert_eq!((server.version(), client.version()), (Version::Tls13, Version::Tls13));
    assert_eq!(server.cipher(), client.cipher());
    assert!(server.cipher().is_some());
    assert_eq!(server.server_end_point().unwrap().as_bytes().len(), 32);
    assert_eq!(server.server_end_point(), client.server_end_point());
    assert_eq!((server.alpn(), client.peer_certificate().is_some()), (None, true));
}

#[tokio::test]
async fn a_write_is_done_when_the_socket_has_it_and_not_before() {
    let (mut server, mut client) = pair(4096).await;
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    // Larger than the pipe: some is encrypted, nothing is done.
    assert!(now(|cx| Pin::new(&mut server).poll_write(cx, &sent)).is_pending());
    assert!(now(|cx| Pin::new(&mut server).poll_write(cx, &sent)).is_pending());
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        read
    });
    let mut done = 0;
    while done < sent.len() {
        // Cut differently at each try, as a relay does whose buffer has moved meanwhile.
        let rest = &sent[done..];
        let (one, two) = rest.split_at(rest.len() / 3);
        let parts = [IoSlice::new(one), IoSlice::new(two)];
        done += poll_fn(|cx| Pin::new(&mut server).poll_write_vectored(cx, &parts)).await.unwrap();
    }
    server.shutdown().await.unwrap();
    assert!(reading.await.unwrap() == sent);
}

#[tokio::test]
async fn what_is_received_and_not_read_is_known() {
    let (mut server, mut client) = pair(1 << 16).await;
    assert!(!server.has_received());
    assert!(now(|cx| server.poll_readable(cx)).is_pending());
    client.write_all(b"ab").await.unwrap();
    poll_fn(|cx| server.poll_readable(cx)).await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'a');
    assert!(server.has_received(), "b");
    assert!(now(|cx| server.poll_readable(cx)).is_ready());
    assert_eq!(server.read_u8().await.unwrap(), b'b');
    assert!(!server.has_received());
}

#[tokio::test]
async fn an_orderly_end_is_an_end_and_another_is_an_error() {
    let (mut server, mut client) = pair(1 << 16).await;
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    assert!(server.has_received());
    poll_fn(|cx| server.poll_readable(cx)).await.unwrap();

    let (mut server, client) = pair(1 << 16).await;
    drop(client);
    let error = server.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn what_comes_behind_our_end_is_dropped_even_if_it_is_no_tls() {
    let authority = Authority::new();
    let acceptor = acceptor(authority.issue("server", &GOOD));
    let connector = connector(Mode::VerifyFull, &authority.roots());
    let ((here, mut behind_here), (there, mut behind_there)) = (tokio::io::duplex(1 << 16), tokio::io::duplex(1 << 16));
    let mut server = tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut behind_here, &mut behind_there) => panic!("the network ended"),
        (server, client) = async { tokio::join!(acceptor.accept(here), connector.connect("db.test", there)) } => {
            client.unwrap();
            server.unwrap()
        }
    };
    server.shutdown().await.unwrap();
    behind_here.write_all(&[0x17, 3, 3, 0, 20]).await.unwrap();
    behind_here.write_all(&[b'x'; 20_000]).await.unwrap();
    drop(behind_here);
    assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_not_data_wakes_nobody() {
    let (mut server, mut client) = pair(1 << 16).await;
    // The ticket that the server sent is on its way to the client.
    let mut readable = pin!(poll_fn(|cx| client.poll_readable(cx)));
    assert!(now(|cx| readable.as_mut().poll(cx)).is_pending());
    server.write_all(b"x").await.unwrap();
    readable.await.unwrap();
}
