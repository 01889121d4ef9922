use super::*;
use crate::{Status, packet::Packet};
use mysql_common::{
    constants::CapabilityFlags,
    io::ParseBuf,
    packets::{CommonOkPacket, OkPacketDeserializer, ResultSetTerminator},
    proto::MyDeserialize,
};

/// What the captures were made with: everything MariaDB's own command line does not ask for is left out.
const CLASSIC: Capabilities =
    Capabilities(Capabilities::PROTOCOL_41.0 | Capabilities::SESSION_TRACK.0 | Capabilities::EXTENDED_METADATA.0);
const MODERN: Capabilities = CLASSIC.with(Capabilities::DEPRECATE_EOF).with(Capabilities::CACHE_METADATA);

const TRACKED: &[u8] = include_bytes!("../../corpus/server-tracked");
const TRACKED_BY_MYSQL: &[u8] = include_bytes!("../../corpus/mysql-server-tracked");
const CLASSIC_RESULTS: &[u8] = include_bytes!("../../corpus/server-classic");

pub(crate) fn payloads(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (packet, rest) = Packet::split(bytes)?;
        bytes = rest;
        Some(packet.payload)
    })
}

fn changes(payload: &[u8]) -> Vec<Change<'_>> {
    OkPacket::parse(payload, MODERN).unwrap().changes.collect()
}

fn variable<'a>(name: &'a str, value: &'a str) -> Change<'a> {
    Change::SystemVariable { name: name.as_bytes(), value: value.as_bytes() }
}

#[test]
fn a_server_tells_what_changed_in_the_session() {
    let oks: Vec<_> = payloads(TRACKED).filter(|payload| is_ok(payload[0]) && payload.len() > 7).collect();
    assert_eq!(
        changes(oks[0]),
        [
            Change::Schema(b"mysql"),
            Change::StateChanged(true),
            Change::TransactionState(b"________"),
            Change::Characteristics(b"")
        ]
    );
    assert_eq!(
        changes(oks[1]),
        [
            variable("character_set_client", "utf8mb4"),
            variable("character_set_connection", "utf8mb4"),
            variable("character_set_results", "utf8mb4"),
            Change::StateChanged(true)
        ]
    );
    assert_eq!(changes(oks[2]), [Change::Schema(b"mysql"), Change::StateChanged(true)]);
    assert_eq!(changes(oks[3]), [variable("character_set_results", ""), Change::StateChanged(true)]);
    assert_eq!(
        changes(oks[4]),
        [Change::TransactionState(b"T_______"), Change::Characteristics(b"START TRANSACTION;")]
    );
    let begun = OkPacket::parse(oks[4], MODERN).unwrap();
    assert!(begun.status.contains(Status::IN_TRANS | Status::SESSION_STATE_CHANGED));
}

#[test]
fn mysql_tells_global_transaction_identifiers_too() {
    let oks: Vec<_> = payloads(TRACKED_BY_MYSQL).filter(|payload| is_ok(payload[0])).collect();
    let created = changes(oks[3]);
    let Change::Gtid(gtid) = created[1] else { panic!("{created:?}") };
    assert_eq!((gtid.len(), gtid[36]), (39, b':'), "a server's number and a transaction's");
    assert_eq!(created[2], Change::TransactionState(b"________"), "creating a table committed");
    let all: Vec<_> = oks.iter().flat_map(|ok| changes(ok)).collect();
    assert!(all.contains(&variable("autocommit", "OFF")));
    assert!(all.contains(&variable("sql_mode", "NO_BACKSLASH_ESCAPES")));
}

#[test]
fn an_ok_packet_tells_what_a_statement_did() {
    let inserted = payloads(TRACKED).find(|payload| payload.ends_with(b"I___W___")).unwrap();
    let ok = OkPacket::parse(inserted, MODERN).unwrap();
    assert_eq!((ok.affected_rows, ok.last_insert_id, ok.warnings), (2, 0, 0));
    assert_eq!(ok.info, b"Records: 2  Duplicates: 0  Warnings: 0");
    assert!(!ok.status.contains(Status::AUTOCOMMIT));
}

#[test]
fn ok_packets_read_as_another_implementation_reads_them() {
    let flags = CapabilityFlags::from_bits_truncate(MODERN.basic());
    let mut compared = 0;
    for payload in payloads(TRACKED).chain(payloads(TRACKED_BY_MYSQL)) {
        // The oracle takes a first byte of 0x00 for an OK packet only, and 0xFE for the end of a result only.
        let theirs = match payload[0] {
            OK if payload.len() >= 7 => {
                OkPacketDeserializer::<CommonOkPacket>::deserialize(flags, &mut ParseBuf(payload)).unwrap().into_inner()
            }
            EOF => OkPacketDeserializer::<ResultSetTerminator>::deserialize(flags, &mut ParseBuf(payload))
                .unwrap()
                .into_inner(),
            _ => continue,
        };
        let ours = OkPacket::parse(payload, MODERN).unwrap();
        assert_eq!(OkPacket::status(payload), Ok(ours.status));
        compared += 1;
        if payload[0] == OK {
            assert_eq!(ours.affected_rows, theirs.affected_rows());
            assert_eq!(ours.last_insert_id, theirs.last_insert_id().unwrap_or(0));
        }
        assert_eq!(ours.warnings, theirs.warnings());
        assert_eq!(ours.info, theirs.info_ref().unwrap_or_default());
        assert_eq!(ours.changes.as_bytes(), theirs.session_state_info_ref().unwrap_or_default());
    }
    assert!(compared > 22, "{compared}");
}

#[test]
fn text_and_changes_depend_on_the_capabilities() {
    let tail = |tail: &[u8]| [&b"\0\x01\x02\x02\x40\0\0"[..], tail].concat();
    let read = |payload: &[u8], capabilities| {
        OkPacket::parse(payload, capabilities).map(|ok| (ok.info.to_vec(), ok.changes.count()))
    };
    let none = Capabilities::PROTOCOL_41;
    assert_eq!(read(&tail(b""), none), Ok((vec![], 0)));
    assert_eq!(read(&tail(b"\x02hi"), none), Ok((b"hi".to_vec(), 0)), "with its length");
    assert_eq!(read(&tail(b"hello"), none), Ok((b"hello".to_vec(), 0)), "as documented");
    assert_eq!(read(&tail(b"\x02hi\x04\x01\x02\x01x"), CLASSIC), Ok((b"hi".to_vec(), 1)));
    assert_eq!(read(&tail(b"\0\x09\0\x07\x01a\x01b\x01c\0"), CLASSIC), Ok((vec![], 2)), "two variables in one entry");
    // The flag alone, as MariaDB sets it where it has no place to say what changed.
    assert_eq!(read(&tail(b""), CLASSIC), Ok((vec![], 0)));
    for cut in [&b"\x03hi"[..], b"\0\x05\x01\x02\x01x", b"\0\x03\x01\x02\x01", b"\0\x03\x01\x01\x01", b"\0\x01\x01"] {
        assert!(read(&tail(cut), CLASSIC).is_err(), "{cut:?}");
    }
    for short in 0..7 {
        assert!(OkPacket::parse(&tail(b"")[..short], none).is_err());
    }
    for short in [&b"\x01\0\0\0\0\0\0"[..], b"\0\0\0\0\0\0", b""] {
        assert!(OkPacket::parse(short, none).is_err() && OkPacket::status(short).is_err());
    }
}

#[test]
fn what_changed_is_cut_off_as_if_nothing_had() {
    let none = Capabilities::PROTOCOL_41;
    let mut cut = 0;
    for payload in [TRACKED, TRACKED_BY_MYSQL].into_iter().flat_map(payloads).filter(|payload| is_ok(payload[0])) {
        // Rows of no columns look like OK packets that are cut short.
        let Ok(whole) = OkPacket::parse(payload, MODERN) else { continue };
        let mut shorter = payload.to_vec();
        let kept = OkPacket::cut_changes(&mut shorter).unwrap();
        shorter.truncate(kept);
        let status = whole.status.without(Status::SESSION_STATE_CHANGED);
        let expected = OkPacket { changes: SessionChanges::default(), status, ..whole };
        for capabilities in [MODERN, none] {
            assert_eq!(OkPacket::parse(&shorter, capabilities), Ok(expected), "{payload:?}");
        }
        cut += usize::from(kept < payload.len());
    }
    assert!(cut > 10, "{cut}");
    for tail in [&b""[..], b"\0\x03\x04\x01\x30", b"\x02hi\x03\x04\x01\x30"] {
        let mut payload = [&b"\xfe\x01\x02\x02\x40\0\0"[..], tail].concat();
        let kept = OkPacket::cut_changes(&mut payload).unwrap();
        let text: &[u8] = if tail.contains(&b'h') { b"\x02hi" } else { b"" };
        assert_eq!(payload[..kept], [b"\xfe\x01\x02\x02\0\0\0", text].concat());
    }
    for short in 0..7 {
        assert_eq!(OkPacket::cut_changes(&mut b"\0\x01\x02\x02\x40\0\0"[..short].to_vec()), None);
    }
}

#[test]
fn changes_are_read_as_they_are_written() {
    let long = "x".repeat(300);
    let changes = [
        variable("sql_mode", ""),
        Change::Schema(b""),
        Change::StateChanged(false),
        Change::StateChanged(true),
        Change::Gtid(b"3E11FA47-71CA-11E1-9E33-C80AA9429562:23"),
        Change::Characteristics(b"SET TRANSACTION READ ONLY;"),
        Change::TransactionState(b"T_______"),
        Change::Unknown { kind: 9, data: b"new" },
        variable("init_connect", &long),
    ];
    let mut bytes = Vec::new();
    for change in &changes {
        change.write(&mut bytes);
    }
    let read = SessionChanges::parse(&bytes).unwrap();
    assert_eq!(read.collect::<Vec<_>>(), changes);
    for cut in 1..bytes.len() {
        if let Ok(read) = SessionChanges::parse(&bytes[..cut]) {
            let whole = read.collect::<Vec<_>>();
            assert_eq!(whole, changes[..whole.len()], "cut at {cut}");
        }
    }
}

#[test]
fn the_ends_of_results_are_told_by_first_byte_and_length() {
    let (classic, modern) = (Capabilities::PROTOCOL_41, Capabilities::DEPRECATE_EOF);
    // first byte, length, ends a result without and with DEPRECATE_EOF
    let cases = [
        (0xfe, 5, true, true),
        (0xfe, 8, true, true),
        (0xfe, 9, false, true),
        (0xfe, 300, false, true),
        (0xfe, PAYLOAD_MAX - 1, false, true),
        (0xfe, PAYLOAD_MAX, false, false),
        (0x00, 7, false, false),
        (0xfb, 5, false, false),
        (0xff, 9, false, false),
    ];
    for (first, len, without, with) in cases {
        assert_eq!(is_result_end(first, len, classic), without, "{first:#x} {len}");
        assert_eq!(is_result_end(first, len, modern), with, "{first:#x} {len}");
    }
}

#[test]
fn eof_packets_are_short() {
    assert_eq!(
        EofPacket::parse(b"\xfe\x01\0\x63\x40"),
        Ok(EofPacket { warnings: 1, status: Status(0x4063) }),
        "a cursor was opened"
    );
    for bad in [&b"\xfe"[..], b"\xfe\0\0\x02", b"\0\0\0\x02\0", b"\xfe\0\0\x02\0\0\0\0\0"] {
        assert!(EofPacket::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn errors_come_with_and_without_a_state_and_progress_is_none() {
    let errors: Vec<_> = payloads(include_bytes!("../../corpus/server-error")).collect();
    let early = ErrPacket::parse(errors[0]).unwrap();
    assert_eq!((early.code, early.sqlstate, early.message), (1040, None, &b"Too many connections"[..]));
    let late = ErrPacket::parse(errors[1]).unwrap();
    assert_eq!((late.code, late.sqlstate), (1146, Some(*b"42S02")));
    assert_eq!(late.message, b"Table 'mysql.nope' doesn't exist");
    assert_eq!(Progress::parse(errors[1]), None);
    assert_eq!(ErrPacket::parse(errors[2]).unwrap().code, PROGRESS_CODE);
    let progress = Progress { stage: 1, stages: 2, millipercent: 10_000, info: b"copying" };
    assert_eq!(Progress::parse(errors[2]), Some(progress));
    for bad in [&b""[..], b"\xff", b"\xff\x10", b"\0\x10\x04"] {
        assert!(ErrPacket::parse(bad).is_err(), "{bad:?}");
    }
    assert_eq!(ErrPacket::parse(b"\xff\x10\x04#080").unwrap().message, b"#080", "no whole state");
}

#[test]
fn columns_carry_their_table_type_and_mariadbs_extension() {
    let json = payloads(TRACKED).find(|payload| payload.windows(4).any(|part| part == b"json")).unwrap();
    let column = ColumnDefinition::parse(json, MODERN).unwrap();
    assert_eq!((column.catalog, column.schema), (&b"def"[..], &b"mysql"[..]));
    assert_eq!((column.table, column.name, column.extended), (&b"tt"[..], &b"c"[..], &b"\x01\x04json"[..]));
    assert_eq!((column.charset, column.column_type, column.flags), (46, 0xfc, 0x90));
    assert_eq!(column.default, DefaultValue::Unsaid);

    let listed = payloads(include_bytes!("../../corpus/server-prepared")).take(2);
    let defaults: Vec<_> = listed.map(|payload| ColumnDefinition::parse(payload, MODERN).unwrap().default).collect();
    assert_eq!(defaults, [DefaultValue::Null, DefaultValue::Text(b"d")]);
    for short in 0..json.len() {
        assert!(ColumnDefinition::parse(&json[..short], MODERN).is_err(), "{short}");
    }
}

#[test]
fn a_column_count_may_say_that_definitions_are_left_out() {
    let read = |payload: &[u8], capabilities| {
        ColumnCount::parse(payload, capabilities).ok().map(|count| (count.columns, count.definitions))
    };
    let (mysql, mariadb) = (Capabilities::OPTIONAL_RESULTSET_METADATA, Capabilities::CACHE_METADATA);
    assert_eq!(read(b"\x02", Capabilities::NONE), Some((2, true)));
    assert_eq!(read(b"\xfc\x00\x01", Capabilities::NONE), Some((256, true)));
    for optional in [mysql, mariadb] {
        assert_eq!((read(b"\x02\x00", optional), read(b"\x02\x01", optional)), (Some((2, false)), Some((2, true))));
        assert_eq!((read(b"\x02", optional), read(b"", optional)), (None, None));
    }
    assert_eq!(read(b"\x02\x00", Capabilities::NONE), None);
    // select 1, 2 with and without definitions, then a prepare without.
    let captured: Vec<_> = payloads(include_bytes!("../../corpus/mysql-server-metadata")).collect();
    assert_eq!((read(captured[0], mysql), read(captured[6], mysql)), (Some((2, true)), Some((2, false))));
    let prepared = PrepareOk::parse(captured[9], mysql).unwrap();
    assert_eq!((prepared.columns, prepared.parameters, prepared.metadata), (1, 1, false));
}

#[test]
fn an_answer_to_a_prepare_says_what_follows() {
    let prepared: Vec<_> = payloads(include_bytes!("../../corpus/server-prepared")).skip(4).collect();
    let read = PrepareOk::parse(prepared[0], MODERN).unwrap();
    let expected = PrepareOk { statement_id: 2, columns: 2, parameters: 2, warnings: 0, metadata: true };
    assert_eq!(read, expected);
    assert_eq!((read.packets_after(MODERN), read.packets_after(CLASSIC)), (4, 6));
    let optional = Capabilities::OPTIONAL_RESULTSET_METADATA;
    let bare = PrepareOk::parse(b"\0\x01\0\0\0\x02\0\0\0\0\0\0\0", optional).unwrap();
    assert_eq!((bare.metadata, bare.packets_after(optional)), (false, 0));
    let none = PrepareOk { columns: 0, parameters: 0, ..read };
    assert_eq!(none.packets_after(CLASSIC), 0, "no definitions, no EOF packet");
    assert!(PrepareOk::parse(b"\0\x01\0\0\0\x02\0\0", MODERN).is_err());
    assert!(PrepareOk::parse(b"\xff\x01\0\0\0\x02\0\0\0\0\0\0", MODERN).is_err());
}

#[test]
fn a_captured_stream_reads_from_end_to_end() {
    let (mut rows, mut ends, mut columns_left) = (0, 0, 0);
    let mut in_rows = false;
    for payload in payloads(CLASSIC_RESULTS) {
        if columns_left > 0 {
            ColumnDefinition::parse(payload, CLASSIC).unwrap();
            columns_left -= 1;
        } else if is_eof_classic(payload[0], payload.len()) {
            ends += 1;
            in_rows = !in_rows;
        } else if in_rows {
            let mut row = TextRow::new(payload);
            assert!(row.by_ref().count() > 0 && row.is_complete());
            rows += 1;
        } else if is_ok(payload[0]) {
            OkPacket::parse(payload, CLASSIC).unwrap();
        } else {
            columns_left = ColumnCount::parse(payload, CLASSIC.with(Capabilities::CACHE_METADATA)).unwrap().columns;
        }
    }
    assert_eq!((rows, ends, columns_left, in_rows), (63, 8, 0, false));
}

#[test]
fn rows_end_before_what_is_cut_short() {
    let mut row = TextRow::new(b"\x011\xfb\0\x03abc");
    let values: Vec<_> = row.by_ref().collect();
    assert_eq!(values, [Some(&b"1"[..]), None, Some(b""), Some(b"abc")]);
    assert!(row.is_complete());
    let mut cut = TextRow::new(b"\x011\x03ab");
    assert_eq!((cut.by_ref().count(), cut.is_complete()), (1, false));
}

#[test]
fn a_local_file_is_asked_for_by_name() {
    assert_eq!(local_infile_request(b"\xfb/etc/passwd"), Ok(&b"/etc/passwd"[..]));
    assert!(local_infile_request(b"\x02").is_err() && local_infile_request(b"").is_err());
}
