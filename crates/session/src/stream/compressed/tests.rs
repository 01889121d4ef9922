use std::{future::poll_fn, task::Waker};

use mysql::{
    compress::Compressor,
    packet::{self, PAYLOAD_MAX},
};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;
use crate::stream::Stream;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Zlib { level: 6 }, Algorithm::Zstd { level: 3 }];

fn compression(side: Side, algorithm: Algorithm, content_len_max: usize) -> CompressionTerms {
    CompressionTerms { side, algorithm, content_len_max, codecs: Arc::default() }
}

async fn sockets() -> (Stream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(listener.local_addr().unwrap()));
    (Stream::tcp(accepted.unwrap().0).unwrap(), Stream::tcp(connected.unwrap()).unwrap())
}

/// Us towards a client, and the client: somebody who speaks as we do towards servers.
async fn pair(algorithm: Algorithm) -> (Stream, Stream) {
    let (mut ours, mut client) = sockets().await;
    ours.compress(compression(Side::Client, algorithm, PAYLOAD_MAX));
    client.compress(compression(Side::Server, algorithm, PAYLOAD_MAX));
    (ours, client)
}

/// Us towards a client that writes its compressed packets itself.
async fn raw(content_len_max: usize) -> (Stream, Stream) {
    let (mut ours, client) = sockets().await;
    ours.compress(compression(Side::Client, ALGORITHMS[0], content_len_max));
    (ours, client)
}

fn command(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet::write(&mut bytes, &mut 0, payload);
    bytes
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| b"select 1 from t where id = "[at % 27] ^ (at / 2000) as u8).collect()
}

async fn read_exactly(stream: &mut Stream, len: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < len {
        assert!(stream.read_up_to(&mut read, len).await.unwrap() > 0, "the end after {}", read.len());
    }
    read
}

fn compressed(stream: &Stream) -> &Compressed {
    match &stream.transport {
        Transport::Compressed(compressed) => compressed,
        other => panic!("{other:?}"),
    }
}

fn now<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn commands_and_replies_of_every_size_pass_both_ways() {
    for algorithm in ALGORITHMS {
        let (mut ours, mut client) = pair(algorithm).await;
        for len in [1, 49, 50, 300, 16 << 10, 100_000, 600_000] {
            let asked = command(&text(len));
            let (_, got) =
                tokio::join!(async { client.write_all(&asked).await.unwrap() }, read_exactly(&mut ours, asked.len()));
            assert!(got == asked, "{algorithm:?} {len}");
            ours.begin_reply();
            let reply = command(&text(2 * len));
            let (_, got) =
                tokio::join!(async { ours.write_all(&reply).await.unwrap() }, read_exactly(&mut client, reply.len()));
            assert!(got == reply, "{algorithm:?} {len}");
        }
        assert!(ours.is_quiet() && client.is_quiet() && ours.is_compressed());
    }
}

#[tokio::test]
async fn what_repeats_is_short_on_the_way() {
    let (mut ours, mut client) = sockets().await;
    ours.compress(compression(Side::Client, ALGORITHMS[1], PAYLOAD_MAX));
    ours.write_all(&command(&[b'x'; 60_000])).await.unwrap();
    ours.shut_down().await;
    let mut bytes = Vec::new();
    while client.read_some(&mut bytes).await.unwrap() > 0 {}
    assert!(bytes.len() < 100, "{}", bytes.len());
}

#[tokio::test]
async fn parts_are_written_in_order_and_the_end_is_an_end() {
    let (mut ours, mut client) = pair(ALGORITHMS[0]).await;
    let parts = [&b"\x2d\x01\0\x01f"[..], b"", &[7; 300]];
    let slices = parts.map(IoSlice::new);
    assert_eq!(poll_fn(|cx| ours.poll_write_vectored(cx, &slices)).await.unwrap(), 305);
    assert_eq!(read_exactly(&mut client, 305).await, parts.concat());
    ours.shut_down().await;
    assert_eq!(client.read_some(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn bytes_that_wait_inside_count_as_readable() {
    let (mut ours, mut client) = pair(ALGORITHMS[1]).await;
    assert!(ours.is_quiet() && now(|cx| ours.poll_readable(cx)).is_pending());
    client.write_all(&command(&text(100))).await.unwrap();
    poll_fn(|cx| ours.poll_readable(cx)).await.unwrap();
    read_exactly(&mut ours, 1).await;
    assert!(!ours.is_quiet(), "decompressed, and not read");
    assert!(now(|cx| ours.poll_readable(cx)).is_ready());
    read_exactly(&mut ours, 103).await;
    assert!(ours.is_quiet() && now(|cx| ours.poll_readable(cx)).is_pending());
}

#[tokio::test]
async fn two_packets_read_at_once_are_both_readable_and_a_part_of_one_is_not() {
    let (mut ours, mut client) = raw(PAYLOAD_MAX).await;
    let stored = b"\x05\0\0\0\0\0\0\x01\0\0\0a\x05\0\0\0\0\0\0\x01\0\0\0b\x05\0";
    client.write_all(stored).await.unwrap();
    assert_eq!(read_exactly(&mut ours, 5).await, b"\x01\0\0\0a");
    assert!(now(|cx| ours.poll_readable(cx)).is_ready());
    assert_eq!(read_exactly(&mut ours, 5).await, b"\x01\0\0\0b");
    assert!(now(|cx| ours.poll_readable(cx)).is_pending(), "two bytes of a header");
    assert!(!ours.is_quiet());
    client.write_all(b"\0\0\0\0\0\x01\0\0\0c").await.unwrap();
    assert_eq!(read_exactly(&mut ours, 5).await, b"\x01\0\0\0c");
    client.write_all(b"\x05").await.unwrap();
    client.shut_down().await;
    let error = ours.read_some(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn who_waits_owns_no_memory() {
    let (mut ours, mut client) = pair(ALGORITHMS[0]).await;
    let asked = command(&text(500_000));
    let (_, got) =
        tokio::join!(async { client.write_all(&asked).await.unwrap() }, read_exactly(&mut ours, asked.len()));
    assert!(got == asked);
    ours.begin_reply();
    ours.write_all(b"\x01\0\0\x01\0").await.unwrap();
    let inside = compressed(&ours);
    assert!(inside.received.bytes.len() <= KEPT_LEN && inside.content.capacity() <= KEPT_LEN);
    assert!(now(|cx| ours.poll_readable(cx)).is_pending());
    let inside = compressed(&ours);
    let kept = inside.received.bytes.capacity() + inside.content.capacity() + inside.packed.capacity();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn a_write_that_waits_goes_on_with_the_same_bytes() {
    let (one, other) = UnixStream::pair().unwrap();
    let (mut ours, mut client) = (Stream::unix(one).unwrap(), Stream::unix(other).unwrap());
    ours.compress(compression(Side::Client, ALGORITHMS[1], PAYLOAD_MAX));
    client.compress(compression(Side::Server, ALGORITHMS[1], PAYLOAD_MAX));
    // Noise, which does not become shorter.
    let mut seed = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    })
    .take(2_000_000)
    .collect();
    let noise = command(&noise);
    let mut waited = false;
    let write = async {
        let mut rest = &noise[..];
        while !rest.is_empty() {
            let written = poll_fn(|cx| {
                let done = ours.poll_write(cx, rest);
                waited |= done.is_pending();
                assert!(compressed(&ours).packed.len() <= AHEAD_MAX + held::HELD_MAX + 64);
                done
            });
            rest = &rest[written.await.unwrap()..];
        }
    };
    let (_, read) = tokio::join!(write, read_exactly(&mut client, noise.len()));
    assert!(waited, "more than the socket holds");
    assert!(read == noise);
}

/// What a stranger sends ends the connection with a reason, and takes no memory to speak of.
#[tokio::test]
async fn lies_end_the_connection() {
    let zeros = {
        let (mut bomb, mut number) = (Vec::new(), 0);
        Compressor::new(ALGORITHMS[0]).wrap(&[0; 100_000], &mut number, &mut bomb);
        bomb
    };
    let lie = |at: usize, value: &[u8]| {
        let mut bytes = zeros.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    let limit = "exceeds the limit of 200000";
    let false_content = "its content is not what its header says";
    for (bytes, why) in [
        (lie(0, b"\xff\xff\xff"), limit),
        (lie(4, b"\xff\xff\xff"), limit),
        (lie(4, b"\x60\0\0"), false_content),
        (lie(4, b"\x00\x00\x03"), false_content),
        (lie(8, b"\xff\xff\xff\xff"), false_content),
        (lie(3, b"\x05"), "packet number 5 came where 0 was due"),
    ] {
        let (mut ours, mut client) = raw(200_000).await;
        client.write_all(&bytes).await.unwrap();
        let error = ours.read_some(&mut Vec::new()).await.unwrap_err();
        assert!(broken(&error).is_some() && error.to_string().contains(why), "{error} {why}");
        assert!(compressed(&ours).received.bytes.len() <= RECEIVED_LEN);
        assert!(compressed(&ours).content.is_empty());
        assert!(ours.read_some(&mut Vec::new()).await.is_err(), "and stays so");
        ours.write_all(b"\x01\0\0\x01\xff").await.unwrap();
    }
    // A truth behind which a lie comes is still read.
    let (mut ours, mut client) = raw(200_000).await;
    client.write_all(&[&zeros[..], &lie(3, b"\x09")].concat()).await.unwrap();
    assert_eq!(read_exactly(&mut ours, 100_000).await, [0; 100_000]);
    assert!(broken(&ours.read_some(&mut Vec::new()).await.unwrap_err()).is_some());
}

#[test]
fn other_errors_are_none_of_compression() {
    assert!(broken(&io::ErrorKind::ConnectionReset.into()).is_none());
    assert!(broken(&io::Error::new(io::ErrorKind::InvalidData, "a record of TLS")).is_none());
}
