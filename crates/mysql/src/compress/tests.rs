use super::*;
use crate::{ProtocolError, packet::Packet, view::tests::payloads};
use proptest::prelude::*;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Zlib { level: 6 }, Algorithm::Zstd { level: 3 }];
const MARIADB: [&[u8]; 2] =
    [include_bytes!("../../corpus/compressed-client"), include_bytes!("../../corpus/compressed-server")];
const MYSQL: [&[u8]; 2] =
    [include_bytes!("../../corpus/mysql-zstd-client"), include_bytes!("../../corpus/mysql-zstd-server")];

fn decompressor(algorithm: Algorithm) -> Decompressor {
    Decompressor::new(algorithm, PAYLOAD_MAX).unwrap()
}

fn unwrap_all(algorithm: Algorithm, mut input: &[u8], sequence: &mut u8) -> Result<Vec<u8>, ProtocolError> {
    let (mut decompressor, mut out) = (decompressor(algorithm), Vec::new());
    while let Some(taken) = decompressor.unwrap(input, sequence, &mut out)? {
        input = &input[taken..];
    }
    assert_eq!(input, b"");
    Ok(out)
}

/// All packets in a captured stream, whatever the numbers of the compressed ones: they begin anew with every command.
fn captured(algorithm: Algorithm, mut stream: &[u8]) -> Vec<u8> {
    let (mut decompressor, mut out) = (decompressor(algorithm), Vec::new());
    while let Some((&[_, _, _, sequence, ..], _)) = stream.split_first_chunk::<HEADER_LEN>() {
        let taken = decompressor.unwrap(stream, &mut { sequence }, &mut out).unwrap().unwrap();
        stream = &stream[taken..];
    }
    let whole: usize = payloads(&out).map(|payload| payload.len() + crate::packet::HEADER_LEN).sum();
    assert_eq!((stream, whole), (&b""[..], out.len()), "no packet is cut");
    out
}

#[test]
fn captured_sessions_come_out_whole() {
    let mysqls_first = &b"\x03\0\x01select @@version_comment limit 1"[..];
    let sessions = [(ALGORITHMS[0], MARIADB, &b"\x03select 1"[..]), (ALGORITHMS[1], MYSQL, mysqls_first)];
    for (algorithm, [client, server], first) in sessions {
        let (asked, answered) = (captured(algorithm, client), captured(algorithm, server));
        assert_eq!((payloads(&asked).next(), payloads(&asked).count()), (Some(first), 6));
        let rows = payloads(&answered).filter(|payload| payload.starts_with(b"\xfc\x58\x02abcabc")).count();
        assert_eq!((rows, payloads(&answered).last().unwrap()[0]), (1, crate::view::EOF));
    }
}

#[test]
fn short_contents_are_sent_as_they_are() {
    for algorithm in ALGORITHMS {
        let (mut out, mut sequence) = (Vec::new(), 255);
        Compressor::new(algorithm).wrap(b"\x01\0\0\0\x0e", &mut sequence, &mut out);
        assert_eq!((&*out, sequence), (&b"\x05\0\0\xff\0\0\0\x01\0\0\0\x0e"[..], 0));
        assert_eq!(unwrap_all(algorithm, &out, &mut 255).unwrap(), b"\x01\0\0\0\x0e");
    }
}

#[test]
fn what_does_not_shrink_is_sent_as_it_is() {
    let mut seed = 88_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    })
    .take(4000)
    .collect();
    for algorithm in ALGORITHMS {
        let mut out = Vec::new();
        Compressor::new(algorithm).wrap(&noise, &mut 0, &mut out);
        assert_eq!(out.len(), HEADER_LEN + noise.len());
        assert_eq!(unwrap_all(algorithm, &out, &mut 0).unwrap(), noise);
    }
}

#[test]
fn long_contents_take_several_packets() {
    let bytes = vec![b'x'; 2 * CONTENT_LEN_MAX + 1];
    for algorithm in ALGORITHMS {
        let (mut out, mut sequence) = (Vec::new(), 0);
        Compressor::new(algorithm).wrap(&bytes, &mut sequence, &mut out);
        assert_eq!(sequence, 3);
        assert!(out.len() < 16 << 10, "{}", out.len());
        assert!(unwrap_all(algorithm, &out, &mut 0).unwrap() == bytes);
    }
}

#[test]
fn levels_out_of_range_count_as_the_nearest() {
    let bytes = vec![b'x'; 100];
    for level in [0, 255] {
        for algorithm in [Algorithm::Zlib { level }, Algorithm::Zstd { level }] {
            let mut out = Vec::new();
            Compressor::new(algorithm).wrap(&bytes, &mut 0, &mut out);
            assert!(out.len() < bytes.len());
            assert_eq!(unwrap_all(algorithm, &out, &mut 0).unwrap(), bytes);
        }
    }
}

#[test]
fn packets_come_in_order_and_whole() {
    let mut out = Vec::new();
    Compressor::new(ALGORITHMS[0]).wrap(&[b'x'; 100], &mut 4, &mut out);
    let mut decompressor = decompressor(ALGORITHMS[0]);
    let refused = decompressor.unwrap(&out, &mut 3, &mut Vec::new());
    assert_eq!(refused, Err(ProtocolError::Sequence { expected: 3, found: 4 }));
    for short in 0..out.len() {
        let (mut sequence, mut content) = (4, Vec::new());
        assert_eq!(decompressor.unwrap(&out[..short], &mut sequence, &mut content), Ok(None));
        assert_eq!((sequence, content.len()), (4, 0));
    }
}

#[test]
fn a_content_that_is_not_what_its_header_says_is_refused() {
    for algorithm in ALGORITHMS {
        let mut honest = Vec::new();
        Compressor::new(algorithm).wrap(&[b'x'; 1000], &mut 0, &mut honest);
        for original_len in [1_u16, 999, 1001, 0xffff] {
            let mut lie = honest.clone();
            lie[4..6].copy_from_slice(&original_len.to_le_bytes());
            let mut out = b"before".to_vec();
            let refused = decompressor(algorithm).unwrap(&lie, &mut 0, &mut out);
            assert!(
                matches!(refused, Err(ProtocolError::Malformed { .. })),
                "{algorithm:?} {original_len}: {refused:?}"
            );
            assert_eq!(out, b"before");
        }
        // Bytes behind the compressed content.
        let mut longer = honest.clone();
        longer[0] += 1;
        longer.push(0);
        assert!(unwrap_all(algorithm, &longer, &mut 0).is_err(), "{algorithm:?}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_opened() {
    for algorithm in ALGORITHMS {
        let mut bomb = Vec::new();
        Compressor::new(algorithm).wrap(&vec![0; CONTENT_LEN_MAX], &mut 0, &mut bomb);
        let mut decompressor = Decompressor::new(algorithm, CONTENT_LEN_MAX - 1).unwrap();
        let mut out = Vec::new();
        let refused = decompressor.unwrap(&bomb, &mut 0, &mut out);
        assert!(matches!(refused, Err(ProtocolError::Limit { .. })), "{refused:?}");
        assert_eq!(out.capacity(), 0);
        // Refused by its header alone, whatever of it has come.
        assert!(decompressor.unwrap(&bomb[..HEADER_LEN], &mut 0, &mut out).is_err());
    }
}

#[test]
fn one_of_each_serves_many_connections() {
    for algorithm in ALGORITHMS {
        let (mut compressor, mut decompressor) = (Compressor::new(algorithm), decompressor(algorithm));
        for round in 0..20_u8 {
            let bytes = vec![round; 60 + usize::from(round) * 100];
            let (mut wire, mut back) = (Vec::new(), Vec::new());
            compressor.wrap(&bytes, &mut 0, &mut wire);
            if round % 3 == 0 {
                wire[HEADER_LEN] ^= 0x55;
                assert!(decompressor.unwrap(&wire, &mut 0, &mut back).is_err());
                continue;
            }
            decompressor.unwrap(&wire, &mut 0, &mut back).unwrap();
            assert_eq!(back, bytes);
        }
    }
}

proptest! {
    #[test]
    fn whatever_goes_in_comes_out(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        repeat in 1..40_usize,
        sequence: u8,
    ) {
        let bytes = parts.concat().repeat(repeat);
        for algorithm in ALGORITHMS {
            let (mut wire, mut after) = (Vec::new(), sequence);
            Compressor::new(algorithm).wrap(&bytes, &mut after, &mut wire);
            let mut read = sequence;
            prop_assert_eq!(unwrap_all(algorithm, &wire, &mut read).unwrap(), &bytes[..]);
            prop_assert_eq!(read, after);
        }
    }
}

#[test]
fn packets_inside_are_found_again() {
    let mut plain = Vec::new();
    crate::packet::write(&mut plain, &mut 1, &[b'x'; 300]);
    let mut wire = Vec::new();
    Compressor::new(ALGORITHMS[1]).wrap(&plain, &mut 1, &mut wire);
    let content = unwrap_all(ALGORITHMS[1], &wire, &mut 1).unwrap();
    assert_eq!(Packet::split(&content).unwrap().0.payload, [b'x'; 300]);
}
