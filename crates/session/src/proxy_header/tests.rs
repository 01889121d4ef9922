use proptest::prelude::*;

use super::*;

fn found(bytes: &[u8]) -> (Header, usize) {
    match Header::look(bytes) {
        Ok(Look::Found(header, len)) => (header, len),
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn tcp(source: &str, destination: &str) -> Header {
    Header::Tcp { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

#[test]
fn lines_of_version_1() {
    for (line, header) in [
        ("PROXY TCP4 192.168.0.1 10.0.0.5 56324 6432\r\n", tcp("192.168.0.1:56324", "10.0.0.5:6432")),
        ("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", tcp("[2001:db8::1]:65535", "[::1]:0")),
        ("PROXY UNKNOWN\r\n", Header::Local),
        ("PROXY UNKNOWN ffff::f whatever 1 2 3\r\n", Header::Local),
    ] {
        assert_eq!(found(line.as_bytes()), (header, line.len()));
        assert_eq!(
            found(&[line.as_bytes(), b"\0\0\0\x08"].concat()),
            (header, line.len()),
            "what follows is not its own"
        );
    }
}

#[test]
fn lines_that_break_a_rule() {
    for line in [
        "PROXY TCP4 192.168.0.1 10.0.0.5 56324\r\n",
        "PROXY TCP4 192.168.0.1 10.0.0.5 56324 6432 1\r\n",
        "PROXY TCP4  192.168.0.1 10.0.0.5 56324 6432\r\n",
        "PROXY TCP4 192.168.0.1 10.0.0.5 56324 65536\r\n",
        "PROXY TCP4 192.168.0.1 10.0.0.5 +5632 6432\r\n",
        "PROXY TCP4 192.168.0.1 10.0.0.5 056324 6432\r\n",
        "PROXY TCP4 192.168.0.256 10.0.0.5 56324 6432\r\n",
        "PROXY TCP4 ::1 ::1 56324 6432\r\n",
        "PROXY TCP6 192.168.0.1 10.0.0.5 56324 6432\r\n",
        "PROXY UDP4 192.168.0.1 10.0.0.5 56324 6432\r\n",
        "PROXY UNKNOWN\rPROXY UNKNOWN\r\n",
        "PROXY \r\n",
        "PROXY TCP4 \u{e9}\r\n",
    ] {
        assert!(matches!(Header::look(line.as_bytes()), Err(HeaderError::Malformed(_))), "{line:?}");
    }
}

#[test]
fn a_line_is_bounded() {
    let line = |len: usize| [b"PROXY UNKNOWN ".as_slice(), &vec![b'x'; len - 16], b"\r\n"].concat();
    assert_eq!(found(&line(LINE_LEN_MAX)), (Header::Local, LINE_LEN_MAX));
    for len in [LINE_LEN_MAX + 1, LINE_LEN_MAX + 2, 10_000] {
        assert!(matches!(Header::look(&line(len)), Err(HeaderError::Malformed(_))), "{len}");
        let cut = Header::look(&line(len)[..LINE_LEN_MAX]);
        assert!(matches!(cut, Err(HeaderError::Malformed(_))), "{len}: {cut:?}");
    }
}

#[test]
fn headers_of_version_2() {
    let header = |command, family, body: &[u8]| {
        [&SIGNATURE[..], &[command, family], &(body.len() as u16).to_be_bytes(), body].concat()
    };
    let four = [1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0, 0x20, 0];
    let extras = [&four[..], b"\x04\0\x03abc"].concat();
    assert_eq!(found(&header(PROXY, TCP4, &four)), (tcp("1.2.3.4:4096", "5.6.7.8:8192"), 28));
    assert_eq!(found(&header(PROXY, TCP4, &extras)), (tcp("1.2.3.4:4096", "5.6.7.8:8192"), 34));
    for local in [
        header(LOCAL, TCP4, &four),
        header(LOCAL, UNSPECIFIED, b""),
        header(LOCAL, 0xff, b"whatever"),
        header(PROXY, UNSPECIFIED, b"extras"),
        header(PROXY, UNIX, &[b'/'; 216]),
    ] {
        assert_eq!(found(&local), (Header::Local, local.len()));
    }
    for wrong in [
        header(PROXY, TCP4, &four[..11]),
        header(PROXY, TCP6, &four),
        header(PROXY, 0x12, &four),
        header(0x22, TCP4, &four),
        header(0x11, TCP4, &four),
    ] {
        assert!(matches!(Header::look(&wrong), Err(HeaderError::Malformed(_))), "{}", wrong.escape_ascii());
    }
    let longest = header(LOCAL, 0, &[0; HEADER_LEN_MAX - FIXED_LEN]);
    assert_eq!(found(&longest).1, HEADER_LEN_MAX);
    let too_long = header(LOCAL, 0, &[0; HEADER_LEN_MAX - FIXED_LEN + 1]);
    assert_eq!(Header::look(&too_long[..FIXED_LEN]), Err(HeaderError::TooLong(HEADER_LEN_MAX + 1)));
}

#[test]
fn who_sends_none_is_known_by_the_first_byte_that_differs() {
    for start in [&b"\0\0\0\x08\x04\xd2\x16\x2f"[..], b"\x16\x03\x01", b"P\0\0", b"PROXYTCP4", b"\r\n\r\nQ", b"proxy "]
    {
        assert_eq!(Header::look(start), Err(HeaderError::Absent), "{}", start.escape_ascii());
    }
}

#[test]
fn two_families_are_no_connection() {
    let mut out = Vec::new();
    tcp("1.2.3.4:1", "[::1]:2").write(&mut out);
    assert_eq!(found(&out), (Header::Local, out.len()));
}

/// Reads as a connection does: never more than what is said to be missing.
fn read_in_steps(bytes: &[u8]) -> Result<(Header, usize), HeaderError> {
    let mut read = 0;
    loop {
        match Header::look(&bytes[..read])? {
            Look::Found(header, len) => {
                assert_eq!(len, read, "read beyond the header");
                return Ok((header, len));
            }
            Look::Missing(missing) => {
                assert!(missing > 0);
                if read == bytes.len() {
                    return Err(HeaderError::Absent);
                }
                read = (read + missing).min(bytes.len());
            }
        }
    }
}

/// A generator good enough to choose mutations (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }
}

#[test]
fn many_small_changes_never_panic_and_what_is_found_is_within() {
    const ROUNDS: usize = 200_000;
    const GRAMMAR: &[u8] = b"\r\n \0.:0129TCP46UNKNOWNPROXYQUI\x20\x21\x11\x31\xff";
    let mut binary = Vec::new();
    tcp("[2001:db8::1]:1", "[::1]:2").write(&mut binary);
    let seeds: [&[u8]; 4] = [
        b"PROXY TCP4 192.168.0.1 10.0.0.5 56324 6432\r\n",
        b"PROXY TCP6 2001:db8::1 ::1 56324 6432\r\n",
        b"PROXY UNKNOWN\r\n",
        &binary,
    ];
    let mut dice = Dice(0x5eed);
    let mut verdicts = [0; 3];
    for _ in 0..ROUNDS {
        let mut bytes = seeds[dice.roll(seeds.len())].to_vec();
        for _ in 0..dice.roll(4) {
            let at = dice.roll(bytes.len());
            match dice.roll(4) {
                0 => bytes.insert(at, GRAMMAR[dice.roll(GRAMMAR.len())]),
                1 if bytes.len() > 1 => bytes.truncate(at.max(1)),
                2 => bytes[at] = dice.roll(256) as u8,
                _ => bytes[at] = GRAMMAR[dice.roll(GRAMMAR.len())],
            }
        }
        verdicts[match Header::look(&bytes) {
            Ok(Look::Found(_, len)) => {
                assert!(len <= bytes.len());
                0
            }
            Ok(Look::Missing(missing)) => {
                assert!(missing > 0 && bytes.len() + missing <= HEADER_LEN_MAX);
                1
            }
            Err(_) => 2,
        }] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > ROUNDS / 50), "each verdict is met often: {verdicts:?}");
}

fn any_header() -> impl Strategy<Value = Header> {
    let four = any::<(Ipv4Addr, Ipv4Addr)>().prop_map(|(one, other)| (IpAddr::from(one), IpAddr::from(other)));
    let six = any::<(Ipv6Addr, Ipv6Addr)>().prop_map(|(one, other)| (IpAddr::from(one), IpAddr::from(other)));
    let tcp = (prop_oneof![four, six], any::<(u16, u16)>()).prop_map(|((source, destination), ports)| Header::Tcp {
        source: SocketAddr::new(source, ports.0),
        destination: SocketAddr::new(destination, ports.1),
    });
    prop_oneof![1 => Just(Header::Local), 9 => tcp]
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_nothing_behind_it(header in any_header(), behind in any::<[u8; 8]>()) {
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        let len = bytes.len();
        bytes.extend_from_slice(&behind);
        prop_assert_eq!(read_in_steps(&bytes), Ok((header, len)));
    }

    #[test]
    fn a_line_is_read_to_its_end_and_not_beyond(header in any_header(), behind in any::<[u8; 8]>()) {
        let line = match header {
            Header::Local => "PROXY UNKNOWN\r\n".to_owned(),
            Header::Tcp { source, destination } => {
                let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from, to) = (source.ip(), destination.ip());
                format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
            }
        };
        let bytes = [line.as_bytes(), &behind].concat();
        prop_assert_eq!(read_in_steps(&bytes), Ok((header, line.len())));
    }

    #[test]
    fn changed_bytes_never_panic_and_what_is_found_is_within(
        header in any_header(),
        as_line in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = if as_line { b"PROXY TCP4 192.168.0.1 10.0.0.5 56324 6432\r\n".to_vec() } else { Vec::new() };
        if !as_line {
            header.write(&mut bytes);
        }
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        match Header::look(&bytes) {
            Ok(Look::Found(_, len)) => prop_assert!(len <= bytes.len()),
            Ok(Look::Missing(missing)) => prop_assert!(missing > 0 && bytes.len() + missing <= HEADER_LEN_MAX),
            Err(_) => {}
        }
    }
}
