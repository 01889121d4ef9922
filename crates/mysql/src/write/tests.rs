use super::*;
use crate::{
    packet::Packet,
    view::{Change, ColumnCount, SessionChanges, TextRow, is_result_end, tests::payloads},
};
use mysql_common::{io::ParseBuf, packets::Column as TheirColumn, proto::MyDeserialize};

const PLAIN: Capabilities = Capabilities::PROTOCOL_41;
const TRACKED: Capabilities =
    PLAIN.with(Capabilities::SESSION_TRACK).with(Capabilities::DEPRECATE_EOF).with(Capabilities::EXTENDED_METADATA);

fn written(write: impl FnOnce(&mut Vec<u8>, &mut u8)) -> Vec<u8> {
    let (mut out, mut sequence) = (Vec::new(), 0);
    write(&mut out, &mut sequence);
    let (packet, rest) = Packet::split(&out).unwrap();
    assert_eq!((rest, sequence), (&b""[..], 1));
    packet.payload.to_vec()
}

#[test]
fn what_a_server_wrote_is_written_the_same() {
    let (mut oks, mut columns, mut rows) = (0, 0, 0);
    let mariadb = payloads(include_bytes!("../../corpus/server-tracked"));
    let mysql = payloads(include_bytes!("../../corpus/mysql-server-tracked"));
    // Only MariaDB knows of extended type information.
    let mysql = mysql.map(|payload| (payload, TRACKED.without(Capabilities::EXTENDED_METADATA)));
    for (payload, capabilities) in mariadb.map(|payload| (payload, TRACKED)).chain(mysql) {
        let again = match payload {
            [view::OK, ..] => {
                oks += 1;
                let read = OkPacket::parse(payload, capabilities).unwrap();
                written(|out, sequence| ok(out, sequence, capabilities, &read))
            }
            [view::EOF, ..] => {
                oks += 1;
                let read = OkPacket::parse(payload, capabilities).unwrap();
                written(|out, sequence| result_end(out, sequence, capabilities, &read))
            }
            [3, b'd', b'e', b'f', ..] => {
                columns += 1;
                let read = ColumnDefinition::parse(payload, capabilities).unwrap();
                written(|out, sequence| column_definition(out, sequence, capabilities, &read))
            }
            [first, ..] if payload.len() > 2 && !view::is_err(*first) => {
                rows += 1;
                let mut row = TextRow::new(payload);
                let again = written(|out, sequence| text_row(out, sequence, row.by_ref()));
                assert!(row.is_complete());
                again
            }
            _ => continue,
        };
        assert_eq!(again, payload);
    }
    assert!(oks >= 24 && columns >= 10 && rows >= 5, "{oks} {columns} {rows}");
}

#[test]
fn an_answer_to_a_prepare_and_listed_columns_are_written_as_a_server_does() {
    let packets: Vec<_> = payloads(include_bytes!("../../corpus/server-prepared")).collect();
    for listed in &packets[..3] {
        let read = ColumnDefinition::parse(listed, TRACKED).unwrap();
        assert_eq!(written(|out, sequence| column_definition(out, sequence, TRACKED, &read)), *listed);
    }
    let read = PrepareOk::parse(packets[4], TRACKED).unwrap();
    assert_eq!(written(|out, sequence| prepare_ok(out, sequence, TRACKED, &read)), packets[4]);
    let optional = TRACKED | Capabilities::OPTIONAL_RESULTSET_METADATA;
    let bare = PrepareOk { metadata: false, ..read };
    let payload = written(|out, sequence| prepare_ok(out, sequence, optional, &bare));
    assert_eq!(PrepareOk::parse(&payload, optional), Ok(bare));
}

#[test]
fn changes_are_told_only_to_clients_that_ask_for_them() {
    let mut list = Vec::new();
    Change::Schema(b"shop").write(&mut list);
    let packet = OkPacket {
        status: Status::AUTOCOMMIT,
        info: b"hi",
        changes: SessionChanges::parse(&list).unwrap(),
        ..OkPacket::default()
    };
    let told = written(|out, sequence| ok(out, sequence, TRACKED, &packet));
    assert_eq!(told, b"\0\0\0\x02\x40\0\0\x02hi\x07\x01\x05\x04shop");
    assert_eq!(written(|out, sequence| ok(out, sequence, PLAIN, &packet)), b"\0\0\0\x02\0\0\0\x02hi");
    // A client that looks for changes where the flag is must not find the flag without them.
    let flag_only = OkPacket { status: Status::SESSION_STATE_CHANGED, ..OkPacket::default() };
    assert_eq!(written(|out, sequence| ok(out, sequence, TRACKED, &flag_only)), b"\0\0\0\0\0\0\0");
}

#[test]
fn a_result_ends_as_the_client_knows_it() {
    let end =
        OkPacket { status: Status::AUTOCOMMIT | Status::SESSION_STATE_CHANGED, warnings: 1, ..OkPacket::default() };
    assert_eq!(written(|out, sequence| result_end(out, sequence, PLAIN, &end)), b"\xfe\x01\0\x02\0");
    assert_eq!(written(|out, sequence| result_end(out, sequence, TRACKED, &end)), b"\xfe\0\0\x02\0\x01\0");
}

#[test]
fn a_whole_result_is_read_to_its_end_by_every_sort_of_client() {
    let columns = [Column { name: "name", kind: Kind::Text }, Column { name: "waiting", kind: Kind::Integer }];
    let rows = [[Some("shop"), Some("3")], [Some(""), None]];
    let metadata = Capabilities::OPTIONAL_RESULTSET_METADATA;
    for capabilities in [PLAIN, TRACKED, TRACKED | Capabilities::CACHE_METADATA, PLAIN | metadata] {
        let (mut out, mut sequence) = (Vec::new(), 1);
        text_result(&mut out, &mut sequence, capabilities, Status::AUTOCOMMIT, &columns, rows.into_iter());
        let mut packets = payloads(&out);
        let mut next = || packets.next().unwrap();
        let count = ColumnCount::parse(next(), capabilities).unwrap();
        assert_eq!(count, ColumnCount { columns: 2, definitions: true });
        for column in columns {
            let payload = next();
            let definition = ColumnDefinition::parse(payload, capabilities).unwrap();
            assert_eq!(definition.name, column.name.as_bytes());
            if !capabilities.contains(Capabilities::EXTENDED_METADATA) {
                let theirs = TheirColumn::deserialize((), &mut ParseBuf(payload)).unwrap();
                assert_eq!((theirs.name_str(), theirs.character_set()), (column.name.into(), definition.charset));
            }
        }
        if !capabilities.contains(Capabilities::DEPRECATE_EOF) {
            assert_eq!(EofPacket::parse(next()).unwrap().status, Status::AUTOCOMMIT);
        }
        for row in rows {
            let values: Vec<_> = row.iter().map(|value| value.map(str::as_bytes)).collect();
            assert_eq!(TextRow::new(next()).collect::<Vec<_>>(), values);
        }
        let end = next();
        assert!(is_result_end(end[0], end.len(), capabilities));
        assert_eq!((packets.next(), usize::from(sequence)), (None, 1 + payloads(&out).count()));
    }
}

#[test]
fn commands_begin_at_number_0() {
    let mut out = Vec::new();
    command(&mut out, Command::Ping, b"");
    query(&mut out, PLAIN, b"select 1");
    query(&mut out, PLAIN | Capabilities::QUERY_ATTRIBUTES, b"select 1");
    assert_eq!(out, b"\x01\0\0\0\x0e\x09\0\0\0\x03select 1\x0b\0\0\0\x03\0\x01select 1");
}

#[test]
fn a_file_is_asked_for_by_name() {
    let payload = written(|out, sequence| local_infile_request(out, sequence, b"/tmp/x"));
    assert_eq!(view::local_infile_request(&payload), Ok(&b"/tmp/x"[..]));
}
