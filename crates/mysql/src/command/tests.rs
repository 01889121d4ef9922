use super::*;
use crate::{Capabilities, packet::Packet, view::tests::payloads};
use mysql_common::{
    packets::{ComStmtBulkExecuteRequestBuilder, ComStmtExecuteRequestBuilder},
    proto::MySerialize,
    value::Value,
};
use proptest::prelude::*;

const PREPARED: &[u8] = include_bytes!("../../corpus/client-prepared");
const ATTRIBUTES: &[u8] = include_bytes!("../../corpus/client-attributes");
const PLAIN: Capabilities = Capabilities::PROTOCOL_41;
const NAMED: Capabilities = PLAIN.with(Capabilities::QUERY_ATTRIBUTES);

/// The body of the `at`th command in a captured stream, and what command it is.
fn command(stream: &[u8], at: usize) -> (Command, &[u8]) {
    let payload = payloads(stream).nth(at).unwrap();
    (Command::from_code(payload[0]).unwrap(), &payload[1..])
}

fn types(types: ParameterTypes<'_>) -> Vec<(u8, &[u8])> {
    types.map(|(kind, name)| (kind.0[0], name)).collect()
}

#[test]
fn commands_are_known_by_their_codes() {
    for &command in Command::ALL {
        assert_eq!(Command::from_code(command.code()), Some(command));
    }
    let known = (0..=255).filter(|&code| Command::from_code(code).is_some()).count();
    assert_eq!(known, Command::ALL.len());
    // Sleep, Connect, Time, DelayedInsert and ConnectOut are states of threads, not commands.
    for code in [0x00, 0x0b, 0x0f, 0x10, 0x14, 0x22, 0xfb, 0xff] {
        assert_eq!(Command::from_code(code), None, "{code:#x}");
    }
    let silent: Vec<_> = Command::ALL.iter().filter(|command| !command.has_reply()).collect();
    assert_eq!(silent, [&Command::Quit, &Command::StmtSendLongData, &Command::StmtClose]);
}

#[test]
fn a_query_is_its_text_or_has_attributes_before_it() {
    assert_eq!(Query::parse(b"select 1", PLAIN), Ok(Query { attributes: b"", text: b"select 1" }));
    let (_, body) = command(ATTRIBUTES, 0);
    let query = Query::parse(body, NAMED).unwrap();
    assert_eq!((query.text, query.attributes.len()), (&b"select 1"[..], body.len() - 8));
    let (_, none) = command(ATTRIBUTES, 1);
    assert_eq!(Query::parse(none, NAMED), Ok(Query { attributes: b"", text: b"select 2" }));
    for short in 0..body.len() - 8 {
        assert!(Query::parse(&body[..short], NAMED).is_err(), "{short}");
    }
}

#[test]
fn mysqls_own_client_is_understood() {
    let stream = include_bytes!("../../corpus/mysql-client-commands");
    let queries: Vec<_> = (0..5).map(|at| Query::parse(command(stream, at).1, NAMED).unwrap()).collect();
    assert_eq!((queries[0].text, queries[0].attributes), (&b"select @@version_comment limit 1"[..], &b""[..]));
    assert_eq!(queries[2].text, b"select 1");
    assert_eq!(queries[2].attributes, b"\x02\x01\x00\x01\xfe\0\x02n1\xfe\0\x0btraceparent\x02v1\x0600-abc");
    assert_eq!((queries[4].text, command(stream, 5)), (&b"select 2"[..], (Command::Quit, &b""[..])));
}

#[test]
fn attributes_of_odd_shapes_are_refused() {
    let bad: [&[u8]; 6] = [
        b"",
        b"\0\x02select 1",                            // two sets of parameters
        b"\x01\x01\0\0select 1",                      // no types
        b"\x01\x01\0\x01\xff",                        // half a type
        b"\x01\x01\0\x01\x0e\0\0\x00select",          // NEWDATE is no type of a parameter
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01x", // more than there is
    ];
    for body in bad {
        assert!(Query::parse(body, NAMED).is_err(), "{body:?}");
    }
}

#[test]
fn a_query_is_translated_between_those_who_know_attributes_and_those_who_do_not() {
    let (_, body) = command(ATTRIBUTES, 0);
    let with = Query::parse(body, NAMED).unwrap();
    let without = Query { attributes: b"", ..with };
    let written = |query: Query<'_>, capabilities| {
        let mut out = Vec::new();
        query.write(&mut out, &mut 0, capabilities);
        Packet::split(&out).unwrap().0.payload.to_vec()
    };
    assert_eq!(written(with, NAMED), payloads(ATTRIBUTES).next().unwrap());
    assert_eq!(written(with, PLAIN), b"\x03select 1");
    assert_eq!(written(without, NAMED), b"\x03\0\x01select 1");
    assert_eq!(written(without, PLAIN), b"\x03select 1");
}

#[test]
fn values_of_every_type_are_walked_over() {
    let cases: [(u8, &[u8]); 14] = [
        (1, b"\x01"),
        (2, b"\x01\x02"),
        (3, b"\x01\x02\x03\x04"),
        (4, b"\x01\x02\x03\x04"),
        (5, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        (6, b""),
        (8, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        (10, b"\x04\xe8\x07\x01\x02"),
        (11, b"\x08\0\0\0\0\0\x01\x02\x03"),
        (12, b"\0"),
        (0, b"\x0212"),
        (246, b"\x0212"),
        (245, b"\x02{}"),
        (254, b"\xfc\x03\x00abc"),
    ];
    for (kind, value) in cases {
        let body = [b"\x01\x01\0\x01", &[kind, 0, 0][..], value, b"select 1"].concat();
        assert_eq!(Query::parse(&body, NAMED).unwrap().text, b"select 1", "type {kind}");
        let null = [b"\x01\x01\x01\x01", &[kind, 0, 0][..], b"select 1"].concat();
        assert_eq!(Query::parse(&null, NAMED).unwrap().text, b"select 1", "NULL of type {kind}");
    }
}

#[test]
fn an_execution_tells_whether_types_came_with_it() {
    let (code, body) = command(PREPARED, 1);
    assert_eq!(code, Command::StmtExecute);
    let first = StmtExecute::parse(body, 2, PLAIN).unwrap();
    assert!(first.new_params_bound() && !first.opens_cursor());
    assert_eq!((first.statement_id, first.iterations, first.nulls), (2, 1, &b"\0"[..]));
    assert_eq!(types(first.types.unwrap()), [(8, &b""[..]), (8, b"")]);
    assert_eq!(first.values.len(), 16);
    let (_, body) = command(PREPARED, 2);
    let second = StmtExecute::parse(body, 2, PLAIN).unwrap();
    assert!(!second.new_params_bound() && second.values.len() == 16);
    let (_, body) = command(PREPARED, 3);
    assert!(StmtExecute::parse(body, 2, PLAIN).unwrap().opens_cursor());
    for short in 0..11 {
        assert!(StmtExecute::parse(&body[..short], 2, PLAIN).is_err(), "{short}");
    }
    assert_eq!(StmtExecute::parse(b"\xff\xff\xff\xff\0\x01\0\0\0", 0, PLAIN).unwrap().statement_id, LAST_STATEMENT);
}

#[test]
fn an_execution_without_types_gets_them_again() {
    let (_, first) = command(PREPARED, 1);
    let (_, again) = command(PREPARED, 2);
    let first = StmtExecute::parse(first, 2, PLAIN).unwrap();
    let kept: Vec<_> = first.types.unwrap().map(|(kind, _)| kind).collect();
    let again = StmtExecute::parse(again, 2, PLAIN).unwrap();
    let mut out = Vec::new();
    again.write(77, 2, &kept, PLAIN, &mut out).unwrap();
    let moved = StmtExecute::parse(&out[1..], 2, PLAIN).unwrap();
    assert_eq!((out[0], moved.statement_id), (0x17, 77));
    assert_eq!((moved.types, moved.values), (first.types, again.values));
    let mut nothing = Vec::new();
    assert!(
        again.write(77, 2, &kept[..1], PLAIN, &mut nothing).is_err() && nothing.is_empty(),
        "a type was never sent"
    );

    // To a server that knows attributes, with a count and names; and back.
    let mut named = Vec::new();
    again.write(78, 2, &kept, NAMED, &mut named).unwrap();
    let there = StmtExecute::parse(&named[1..], 2, NAMED).unwrap();
    assert_eq!((there.values_count, types(there.types.unwrap())), (2, vec![(8, &b""[..]), (8, b"")]));
    let mut back = Vec::new();
    there.write(77, 2, &[], PLAIN, &mut back).unwrap();
    assert_eq!(back, out);
}

#[test]
fn an_execution_may_carry_attributes() {
    let (_, body) = command(ATTRIBUTES, 2);
    let execute = StmtExecute::parse(body, 1, NAMED).unwrap();
    assert_eq!((execute.values_count, execute.statement_id), (2, 4));
    assert_eq!(types(execute.types.unwrap()), [(0xfd, &b""[..]), (0xfd, b"traceparent")]);
    let mut out = Vec::new();
    execute.write(4, 1, &[], NAMED, &mut out).unwrap();
    assert_eq!(out[1..], *body);
    assert!(execute.write(4, 1, &[], PLAIN, &mut out).is_err());
    assert!(StmtExecute::parse(body, 3, NAMED).is_err(), "fewer values than the statement takes");
}

#[test]
fn an_execution_without_parameters_is_nothing_but_its_head() {
    let head = b"\x01\0\0\0\0\x01\0\0\0";
    let counted = b"\x01\0\0\0\x08\x01\0\0\0\0"; // the count is sent, and is 0
    for (body, from) in [(&head[..], PLAIN), (head, NAMED), (counted, NAMED)] {
        let execute = StmtExecute::parse(body, 0, from).unwrap();
        for to in [PLAIN, NAMED] {
            let mut out = Vec::new();
            execute.write(1, 0, &[], to, &mut out).unwrap();
            assert_eq!(out[1..], *head);
        }
    }
}

#[test]
fn executions_of_another_implementation_are_understood() {
    let values = [
        Value::Int(-1),
        Value::NULL,
        Value::Bytes(b"text".to_vec()),
        Value::Date(2026, 11, 21, 1, 2, 3, 4),
        Value::Double(0.5),
    ];
    let (request, _) = ComStmtExecuteRequestBuilder::new(9).build(&values);
    let mut bytes = Vec::new();
    request.serialize(&mut bytes);
    let execute = StmtExecute::parse(&bytes[1..], 5, PLAIN).unwrap();
    assert_eq!((execute.statement_id, execute.nulls), (9, &b"\x02"[..]));
    let mut cursor = Cursor::new(execute.values);
    for (at, (kind, _)) in execute.types.unwrap().enumerate() {
        assert!(at == 1 || kind.value(&mut cursor).is_some(), "value {at}");
    }
    assert!(cursor.is_empty());
    let mut again = Vec::new();
    execute.write(9, 5, &[], PLAIN, &mut again).unwrap();
    assert_eq!(again, bytes);
}

#[test]
fn bulk_executions_get_their_types_again() {
    let rows = vec![vec![Value::Int(5), Value::Bytes(b"a".to_vec())], vec![Value::Int(6), Value::NULL]];
    let mut builder = ComStmtBulkExecuteRequestBuilder::new(3, 1 << 20);
    for row in rows {
        builder.add_row(row).unwrap();
    }
    let mut bytes = Vec::new();
    builder.build().unwrap().serialize(&mut bytes);
    let bulk = BulkExecute::parse(&bytes[1..], 2).unwrap();
    let kept: Vec<_> = bulk.types.unwrap().map(|(kind, _)| kind).collect();
    assert_eq!((bulk.statement_id, &*kept), (3, &[ParameterType::LONGLONG, ParameterType::VAR_STRING][..]));
    let mut again = Vec::new();
    bulk.write(3, 2, &[], &mut again).unwrap();
    assert_eq!(again, bytes);

    let bare = BulkExecute { flags: bulk.flags & !128, types: None, ..bulk };
    let mut moved = Vec::new();
    bare.write(3, 2, &kept, &mut moved).unwrap();
    assert_eq!(moved, bytes);
    assert!(bare.write(3, 2, &[], &mut moved).is_err());
    assert!(BulkExecute::parse(&bytes[1..9], 2).is_err());

    let (_, captured) = command(include_bytes!("../../corpus/client-bulk"), 0);
    assert_eq!(BulkExecute::parse(captured, 2).unwrap().statement_id, LAST_STATEMENT);
}

#[test]
fn statements_are_renumbered_in_place() {
    let mut body = b"\x01\0\0\0rest".to_vec();
    Command::set_statement_id(&mut body, 0x0403_0201);
    assert_eq!(body, b"\x01\x02\x03\x04rest");
    assert_eq!(Command::statement_id(&body), Ok(0x0403_0201));
    assert!(Command::statement_id(b"\x01\0\0").is_err());
}

#[test]
fn the_small_bodies_are_read_to_their_end() {
    assert_eq!(command(PREPARED, 4).0, Command::StmtFetch);
    assert_eq!(StmtFetch::parse(command(PREPARED, 4).1), Ok(StmtFetch { statement_id: 2, rows: 9 }));
    let piece = SendLongData::parse(command(PREPARED, 5).1).unwrap();
    assert_eq!(piece, SendLongData { statement_id: 2, parameter: 1, data: b"piece" });
    assert_eq!(multi_statements(command(PREPARED, 8).1), Ok(false));
    assert_eq!((multi_statements(b"\0\0"), process_kill(b"\x07\0\0\0")), (Ok(true), Ok(7)));
    assert!(multi_statements(b"\x02\0").is_err() && process_kill(b"\x07").is_err());
    assert!(StmtFetch::parse(b"\x01\0\0\0\x09").is_err() && SendLongData::parse(b"\x01\0\0\0\0").is_err());
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::NULL),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any::<f32>().prop_map(Value::Float),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        (any::<bool>(), 0..30_u32, 0..24_u8, any::<u32>())
            .prop_map(|(minus, d, h, us)| Value::Time(minus, d, h, 1, 2, us)),
    ]
}

proptest! {
    #[test]
    fn executions_move_between_connections_unharmed(values in prop::collection::vec(value(), 0..40), id: u32) {
        let (request, _) = ComStmtExecuteRequestBuilder::new(1).build(&values);
        let mut bytes = Vec::new();
        request.serialize(&mut bytes);
        let count = values.len() as u16;
        let execute = StmtExecute::parse(&bytes[1..], count, PLAIN).unwrap();
        let (mut there, mut back) = (Vec::new(), Vec::new());
        execute.write(id, count, &[], NAMED, &mut there).unwrap();
        StmtExecute::parse(&there[1..], count, NAMED).unwrap().write(1, count, &[], PLAIN, &mut back).unwrap();
        if count > 0 {
            prop_assert_eq!(back, bytes);
        } else {
            // The oracle says that it has no types even where there is nothing to have a type.
            prop_assert_eq!(&back[..], &bytes[..10]);
        }
    }
}
