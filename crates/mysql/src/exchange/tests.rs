//! Transcripts: one letter for each packet of a server's, one for each event.

use super::*;
use Asked::{Events, Fields, Prepare, Results, Rows, Simple, Text};
use proptest::prelude::*;

const CLASSIC: Capabilities = Capabilities::PROTOCOL_41;
const MODERN: Capabilities = CLASSIC.with(Capabilities::DEPRECATE_EOF).with(Capabilities::SESSION_TRACK);

const MORE: Status = Status::MORE_RESULTS_EXISTS;
const CURSOR: Status = Status::CURSOR_EXISTS;
const LAST_ROW: Status = Status::LAST_ROW_SENT;

/// The payload of a packet:
/// `0` to `9` a column count, `d` a definition, `r` a row, `n` a row that begins with NULL, `u` a row whose first value is
/// empty; `k` OK, `K` OK before another result; `e` EOF, `E` before another result, `c` EOF of an open cursor, `l` of a cursor
/// that has given its last row; `o` an OK packet in the place of EOF, `O` before another result, `C` of an open cursor; `x` an
/// error, `f` a request for a file, `t` a text; `p` the answer to a prepare without parameters and columns, `q` with one
/// parameter, `s` with two columns, `b` with one parameter and one column.
fn payload(letter: char) -> Vec<u8> {
    let ok = |first: u8, status: Status| [&[first, 0, 0][..], &status.0.to_le_bytes(), &[0, 0]].concat();
    let eof = |status: Status| [&[0xfe, 0, 0][..], &status.0.to_le_bytes()].concat();
    let prepared = |columns: u8, parameters: u8| vec![0, 7, 0, 0, 0, columns, 0, parameters, 0, 0, 0, 0];
    match letter {
        '0'..='9' => vec![letter as u8 - b'0'],
        'd' => b"\x03def\0\0\0\x01a\0\x0c\x3f\0\x01\0\0\0\x03\x81\0\0\0\0".to_vec(),
        'r' => b"\x01a".to_vec(),
        'n' => b"\xfb".to_vec(),
        'u' => b"\0\x01a".to_vec(),
        'k' => ok(0, Status::AUTOCOMMIT),
        'K' => ok(0, MORE),
        'e' => eof(Status::AUTOCOMMIT),
        'E' => eof(MORE),
        'c' => eof(CURSOR),
        'l' => eof(LAST_ROW),
        'o' => ok(0xfe, Status::IN_TRANS),
        'O' => ok(0xfe, MORE),
        'C' => ok(0xfe, CURSOR),
        'x' => b"\xff\x7a\x04#42S02no".to_vec(),
        'f' => b"\xfbname".to_vec(),
        't' => b"Uptime: 1".to_vec(),
        'p' => prepared(0, 0),
        'q' => prepared(0, 1),
        's' => prepared(2, 0),
        'b' => prepared(1, 1),
        other => panic!("no packet {other}"),
    }
}

/// `.` a part, `L` the last column, `H` the end of columns, `F` a file is wanted, `P` prepared, `v` and `V` the last
/// definition of some and of all, `w` and `W` the EOF behind them, `m` done with more to come, `D` done, `X` failed.
fn letter(event: Event) -> char {
    match event {
        Event::Part => '.',
        Event::LastColumn => 'L',
        Event::ColumnsEnd => 'H',
        Event::FileWanted => 'F',
        Event::Prepared(_) => 'P',
        Event::LastDefinition { ends } => ['v', 'V'][usize::from(ends)],
        Event::DefinitionsEnd { ends } => ['w', 'W'][usize::from(ends)],
        Event::Done { more } => ['D', 'm'][usize::from(more)],
        Event::Failed => 'X',
    }
}

fn asked(capabilities: Capabilities, asked: Asked) -> Exchange {
    let mut exchange = Exchange::new(capabilities, Status::AUTOCOMMIT);
    exchange.ask(asked);
    exchange
}

/// Feeds a whole answer; a file that is wanted is sent at once.
fn feed(exchange: &mut Exchange, packets: &str) -> Result<String, ProtocolError> {
    let mut events = String::new();
    for packet in packets.chars() {
        let payload = payload(packet);
        events.push(letter(exchange.handle(payload.len(), &payload)?));
        exchange.file_sent();
    }
    Ok(events)
}

/// Whole answers: what was asked, under which capabilities, the packets, the events.
const ANSWERS: &[(Asked, Capabilities, &str, &str)] = &[
    (Simple, CLASSIC, "k", "D"),
    (Simple, MODERN, "k", "D"),
    (Simple, CLASSIC, "e", "D"),
    // `COM_SET_OPTION` is answered by EOF on any connection.
    (Simple, MODERN, "e", "D"),
    (Simple, MODERN, "o", "D"),
    (Simple, MODERN, "x", "X"),
    (Text, CLASSIC, "t", "."),
    (Text, CLASSIC, "x", "."),
    (Results, CLASSIC, "k", "D"),
    (Results, CLASSIC, "x", "X"),
    (Results, CLASSIC, "1derre", "..H..D"),
    (Results, MODERN, "1drro", ".L..D"),
    (Results, CLASSIC, "1dee", "..HD"),
    (Results, MODERN, "1do", ".LD"),
    // Rows that begin like other packets.
    (Results, CLASSIC, "1denue", "..H..D"),
    (Results, MODERN, "1dnuo", ".L..D"),
    (Results, CLASSIC, "1derx", "..H.X"),
    (Results, MODERN, "1drx", ".L.X"),
    (Results, CLASSIC, "1dx", "..X"),
    (Results, MODERN, "1dx", ".LX"),
    // Several results, as of a procedure or a text of several statements.
    (Results, CLASSIC, "K1derE2ddere", "m..H.m...H.D"),
    (Results, MODERN, "K1drO2ddro", "m.L.m..L.D"),
    (Results, CLASSIC, "1derEKx", "..H.mmX"),
    (Results, MODERN, "1drOKk", ".L.mmD"),
    // OUT parameters come as one more result.
    (Results, MODERN, "1drO1drOk", ".L.m.L.mD"),
    // A cursor is opened: no rows yet.
    (Results, CLASSIC, "2ddc", "...D"),
    (Results, MODERN, "2ddC", "..LD"),
    (Rows, CLASSIC, "rrc", "..D"),
    (Rows, CLASSIC, "l", "D"),
    (Rows, MODERN, "rrC", "..D"),
    (Rows, MODERN, "x", "X"),
    // Files.
    (Results, CLASSIC, "fk", "FD"),
    (Results, CLASSIC, "fx", "FX"),
    (Results, MODERN, "fKfk", "FmFD"),
    (Fields, CLASSIC, "dde", "..D"),
    (Fields, MODERN, "ddo", "..D"),
    (Fields, CLASSIC, "e", "D"),
    (Fields, CLASSIC, "x", "X"),
    (Prepare, CLASSIC, "p", "P"),
    (Prepare, MODERN, "p", "P"),
    (Prepare, CLASSIC, "x", "X"),
    (Prepare, CLASSIC, "qde", "P.W"),
    (Prepare, MODERN, "qd", "PV"),
    (Prepare, CLASSIC, "sdde", "P..W"),
    (Prepare, MODERN, "sdd", "P.V"),
    (Prepare, CLASSIC, "bdede", "P.w.W"),
    (Prepare, MODERN, "bdd", "PvV"),
    (Events, CLASSIC, "kkke", "...D"),
    (Events, CLASSIC, "kx", ".X"),
    (Events, CLASSIC, "x", "X"),
];

#[test]
fn answers_end_where_they_should() {
    for &(what, capabilities, packets, events) in ANSWERS {
        let mut exchange = asked(capabilities, what);
        assert!(!exchange.is_settled());
        assert_eq!(feed(&mut exchange, packets).as_deref(), Ok(events), "{what:?} {packets}");
        assert!(exchange.is_settled(), "{what:?} {packets}");
    }
}

#[test]
fn nothing_comes_behind_the_end() {
    for &(what, capabilities, packets, _) in ANSWERS {
        let mut exchange = asked(capabilities, what);
        feed(&mut exchange, packets).unwrap();
        let error = feed(&mut exchange, "k").unwrap_err();
        assert!(matches!(error, ProtocolError::Unexpected { first: 0, .. }), "{what:?} {packets}: {error}");
    }
}

#[test]
fn packets_out_of_place_are_refused() {
    for (what, capabilities, packets) in [
        (Simple, CLASSIC, "r"),
        (Simple, CLASSIC, "1"),
        (Results, CLASSIC, "1dr"),
        (Results, CLASSIC, "1dk"),
        (Prepare, CLASSIC, "e"),
        (Prepare, CLASSIC, "1"),
    ] {
        assert!(feed(&mut asked(capabilities, what), packets).is_err(), "{what:?} {packets}");
    }
    let mut exchange = asked(CLASSIC, Results);
    assert_eq!(exchange.handle(5, &payload('f')).map(letter), Ok('F'));
    assert!(exchange.wants_file() && !exchange.is_settled());
    assert!(exchange.handle(7, &payload('k')).is_err(), "the server is silent until it has the file");
}

#[test]
fn cut_packets_are_refused_where_they_matter() {
    for (what, bytes) in [
        (Simple, &b"\0"[..]),
        (Simple, b"\0\0\0\x02"),
        (Simple, b""),
        (Results, b""),
        (Results, b"\xff"),
        (Results, b"\xfc\x01"),
        (Prepare, b"\0\x01\0\0\0\x01"),
        (Rows, b"\xfe\0\0"),
    ] {
        for capabilities in [CLASSIC, MODERN] {
            assert!(asked(capabilities, what).handle(bytes.len(), bytes).is_err(), "{what:?} {bytes:?}");
        }
    }
}

#[test]
fn the_status_is_that_of_the_last_end() {
    let mut exchange = asked(MODERN, Results);
    feed(&mut exchange, "1dro").unwrap();
    assert!(exchange.in_transaction() && !exchange.status().contains(Status::AUTOCOMMIT));
    exchange.ask(Results);
    feed(&mut exchange, "x").unwrap();
    assert!(exchange.in_transaction(), "an error tells no status");
    exchange.ask(Simple);
    feed(&mut exchange, "k").unwrap();
    assert!(!exchange.in_transaction() && exchange.status().contains(Status::AUTOCOMMIT));
}

#[test]
fn rows_are_counted_by_result() {
    let mut exchange = asked(MODERN, Results);
    feed(&mut exchange, "1drrrO1dr").unwrap();
    assert_eq!(exchange.rows(), 1);
    feed(&mut exchange, "o").unwrap();
    assert_eq!(exchange.rows(), 1);
    exchange.ask(Rows);
    feed(&mut exchange, "rr").unwrap();
    assert_eq!(exchange.rows(), 2);
}

/// A row of 16 MiB or more goes over several packets, whose insides may look like anything.
#[test]
fn long_rows_are_one_row_whatever_is_in_them() {
    for (capabilities, before, end) in [(CLASSIC, "1de", 'e'), (MODERN, "1d", 'o')] {
        let mut exchange = asked(capabilities, Results);
        feed(&mut exchange, before).unwrap();
        // The first value is so long that its length begins with 0xfe.
        assert!(!exchange.needs_whole(PAYLOAD_MAX, 0xfe));
        assert_eq!(exchange.handle(PAYLOAD_MAX, b"\xfe\0\0\0\x01").map(letter), Ok('.'));
        for inside in ['e', 'x', 'k'] {
            let inside = payload(inside);
            assert!(!exchange.needs_whole(PAYLOAD_MAX, inside[0]));
            assert_eq!(exchange.handle(PAYLOAD_MAX, &inside).map(letter), Ok('.'));
        }
        let end = payload(end);
        assert!(!exchange.needs_whole(end.len(), end[0]) && !exchange.is_settled());
        assert_eq!(exchange.handle(end.len(), &end).map(letter), Ok('.'), "the rest of the row");
        assert_eq!(exchange.rows(), 1);
        assert!(exchange.needs_whole(end.len(), end[0]));
        assert_eq!(exchange.handle(end.len(), &end).map(letter), Ok('D'));
        assert!(exchange.is_settled());
    }
}

#[test]
fn a_row_of_exactly_one_full_packet_ends_with_an_empty_one() {
    let mut exchange = asked(MODERN, Results);
    feed(&mut exchange, "1d").unwrap();
    assert_eq!(exchange.handle(PAYLOAD_MAX, b"\xfd").map(letter), Ok('.'));
    assert_eq!(exchange.handle(0, b"").map(letter), Ok('.'));
    assert_eq!((exchange.rows(), feed(&mut exchange, "ro")), (1, Ok(".D".into())));
}

/// With 0xfe in front a text row can only be a long one; a binary row begins with 0x00.
#[test]
fn results_end_by_length_as_well() {
    let row = [&[0xfe][..], &(9_u64).to_le_bytes(), b"nine byte"].concat();
    let mut exchange = asked(CLASSIC, Results);
    feed(&mut exchange, "1de").unwrap();
    assert_eq!(exchange.handle(row.len(), &row).map(letter), Ok('.'));
    assert_eq!(feed(&mut exchange, "e"), Ok("D".into()));
}

#[test]
fn definitions_may_be_left_out() {
    for (flag, count) in
        [(Capabilities::OPTIONAL_RESULTSET_METADATA, b"\x02\0"), (Capabilities::CACHE_METADATA, b"\x02\0")]
    {
        let mut exchange = asked(MODERN.with(flag), Results);
        assert_eq!(exchange.handle(2, count).map(letter), Ok('.'));
        assert_eq!(feed(&mut exchange, "rro"), Ok("..D".into()));
        let mut exchange = asked(CLASSIC.with(flag), Results);
        assert_eq!(exchange.handle(2, count).map(letter), Ok('.'));
        assert_eq!(feed(&mut exchange, "erre"), Ok("H..D".into()));
    }
    let mut exchange = asked(MODERN.with(Capabilities::OPTIONAL_RESULTSET_METADATA), Prepare);
    let prepared = [payload('b'), vec![0]].concat();
    assert_eq!(exchange.handle(prepared.len(), &prepared).map(letter), Ok('P'));
    assert!(exchange.is_settled());
}

/// The events of a stream that comes in pieces of these lengths, read as a relay does: what need not be seen whole is
/// judged as soon as its first byte is here.
fn relayed(exchange: &mut Exchange, stream: &[u8], pieces: &[usize]) -> String {
    let (mut events, mut here, mut at, mut pieces) = (String::new(), 0, 0, pieces.iter().cycle());
    while at < stream.len() {
        here = (here + pieces.next().unwrap()).min(stream.len());
        while let Some(&[a, b, c, _]) = stream[at..here.max(at)].first_chunk::<4>() {
            let len = u32::from_le_bytes([a, b, c, 0]) as usize;
            let payload = &stream[at + 4..(at + 4 + len).min(here)];
            let waits = match payload.first() {
                Some(&first) => exchange.needs_whole(len, first) && payload.len() < len,
                None => len > 0,
            };
            if waits {
                break;
            }
            events.push(letter(exchange.handle(len, payload).unwrap()));
            exchange.file_sent();
            // The rest of the packet is passed on unseen.
            at += 4 + len;
        }
    }
    events
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_events(
        answer in prop::sample::select(ANSWERS),
        pieces in prop::collection::vec(1_usize..20, 1..8),
    ) {
        let (what, capabilities, packets, events) = answer;
        let mut stream = Vec::new();
        for (sequence, packet) in packets.chars().enumerate() {
            crate::packet::write(&mut stream, &mut (sequence as u8), &payload(packet));
        }
        prop_assert_eq!(relayed(&mut asked(capabilities, what), &stream, &pieces), events);
    }

    #[test]
    fn nonsense_never_panics(
        what in prop::sample::select(vec![Simple, Results, Rows, Fields, Prepare, Text, Events]),
        flags in any::<u64>(),
        packets in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..24)), 0..20),
    ) {
        let mut exchange = asked(Capabilities(flags), what);
        for (is_full, payload) in packets {
            let len = if is_full { PAYLOAD_MAX } else { payload.len() };
            let _ = exchange.needs_whole(len, payload.first().copied().unwrap_or_default());
            match exchange.handle(len, &payload) {
                Ok(event) => prop_assert!(event != Event::FileWanted || exchange.wants_file()),
                Err(_) => return Ok(()),
            }
            exchange.file_sent();
            if exchange.is_settled() {
                exchange.ask(what);
            }
        }
    }
}
