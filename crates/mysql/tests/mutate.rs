//! Bytes from strangers: whatever a client or a server sends, nothing panics, and what is accepted is consistent.
//!
//! The seeds in `corpus/` are also the fuzzer's (`fuzz/`); here each is changed at random for a bounded number of rounds.
//! Most were captured from MariaDB 10.11 and its command line, those named `mysql-` from MySQL 9.7 and its own.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

use mysql::{
    Capabilities,
    command::{BulkExecute, Command, ParameterType, Query, SendLongData, StmtExecute, StmtFetch},
    compress::{Algorithm, Decompressor},
    handshake::{AuthMoreData, AuthSwitchRequest, ChangeUser, Greeting, HandshakeResponse, Nonce, SslRequest},
    packet::{Assembler, HEADER_LEN, Header, Packet},
    view::{self, ColumnCount, ColumnDefinition, EofPacket, ErrPacket, OkPacket, PrepareOk, Progress, TextRow},
    write,
};

const LOGINS: [&[u8]; 6] = [
    include_bytes!("../corpus/server-greeting"),
    include_bytes!("../corpus/client-response"),
    include_bytes!("../corpus/client-change-user"),
    include_bytes!("../corpus/server-auth"),
    include_bytes!("../corpus/mysql-server-greeting"),
    include_bytes!("../corpus/mysql-client-response"),
];
const COMMANDS: [&[u8]; 5] = [
    include_bytes!("../corpus/client-commands"),
    include_bytes!("../corpus/client-prepared"),
    include_bytes!("../corpus/client-attributes"),
    include_bytes!("../corpus/client-bulk"),
    include_bytes!("../corpus/mysql-client-commands"),
];
const REPLIES: [&[u8]; 6] = [
    include_bytes!("../corpus/server-classic"),
    include_bytes!("../corpus/server-tracked"),
    include_bytes!("../corpus/server-prepared"),
    include_bytes!("../corpus/server-error"),
    include_bytes!("../corpus/mysql-server-tracked"),
    include_bytes!("../corpus/mysql-server-metadata"),
];
const COMPRESSED: [(Algorithm, [&[u8]; 2]); 2] = [
    (
        Algorithm::Zlib { level: 6 },
        [include_bytes!("../corpus/compressed-server"), include_bytes!("../corpus/compressed-client")],
    ),
    (
        Algorithm::Zstd { level: 3 },
        [include_bytes!("../corpus/mysql-zstd-server"), include_bytes!("../corpus/mysql-zstd-client")],
    ),
];

const ROUNDS: usize = 20_000;

/// A generator good enough to choose mutations (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }

    /// Changes `bytes` in up to three places, preferring the bytes that lengths and kinds are made of.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const GRAMMAR: &[u8] = b"\0\x01\x02\x03\x05\x08\x0a\x16\x17\x40\x80\xfa\xfb\xfc\xfd\xfe\xff";
        for _ in 0..self.roll(4) {
            let at = self.roll(bytes.len() + 1);
            match self.roll(5) {
                0 => bytes.insert(at, GRAMMAR[self.roll(GRAMMAR.len())]),
                1 => bytes.truncate(at),
                2 if at < bytes.len() => bytes[at] = self.roll(256) as u8,
                3 if at < bytes.len() => drop(bytes.remove(at)),
                4 if at < bytes.len() => bytes[at] = GRAMMAR[self.roll(GRAMMAR.len())],
                _ => {}
            }
        }
    }

    /// One packet's payload out of the seeds, changed. The header stays right, or hardly a mutant would get past it.
    fn payload(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let packets: Vec<_> = packets(seeds[self.roll(seeds.len())]).collect();
        let mut payload = packets[self.roll(packets.len())].payload.to_vec();
        self.mutate(&mut payload);
        payload
    }

    /// Capabilities under which the payload shall be read: those that change formats, at random.
    fn capabilities(&mut self) -> Capabilities {
        [
            Capabilities::SESSION_TRACK,
            Capabilities::DEPRECATE_EOF,
            Capabilities::QUERY_ATTRIBUTES,
            Capabilities::OPTIONAL_RESULTSET_METADATA,
            Capabilities::EXTENDED_METADATA,
            Capabilities::CACHE_METADATA,
            Capabilities::PLUGIN_AUTH,
            Capabilities::CONNECT_ATTRS,
            Capabilities::SECURE_CONNECTION,
        ]
        .into_iter()
        .filter(|_| self.roll(2) == 0)
        .fold(Capabilities::PROTOCOL_41, |set, flag| set | flag)
    }
}

/// The packets at the start of `bytes`, up to the first that is incomplete.
fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (packet, after) = Packet::split(rest)?;
        let header = Header::peek(rest).unwrap();
        assert_eq!((header.total(), header.sequence), (rest.len() - after.len(), packet.sequence));
        assert_eq!(header.total(), HEADER_LEN + packet.payload.len());
        rest = after;
        Some(packet)
    })
}

/// The payload of the one packet that `write` appends.
fn written(write: impl FnOnce(&mut Vec<u8>, &mut u8)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, &mut 0);
    let (packet, rest) = Packet::split(&out).unwrap();
    assert_eq!(rest, b"");
    packet.payload.to_vec()
}

#[test]
fn packets_are_put_together_in_order_or_refused() {
    let mut dice = Dice(0x0e5e_c0de);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let mut bytes = REPLIES[dice.roll(REPLIES.len())].to_vec();
        dice.mutate(&mut bytes);
        let mut assembler = Assembler::new(200);
        assembler.expect(Header::peek(&bytes).map_or(0, |header| header.sequence));
        for packet in packets(&bytes) {
            match assembler.push(packet) {
                Ok(payload) => {
                    taken += 1;
                    assert!(payload.is_none_or(|payload| payload.len() <= 200));
                }
                Err(_) => {
                    refused += 1;
                    break;
                }
            }
        }
    }
    assert!(taken > ROUNDS && refused > ROUNDS / 10, "{taken} taken, {refused} refused");
}

#[test]
fn logins_are_refused_or_mean_the_same_when_written_again() {
    let mut dice = Dice(0x1091);
    let mut read = 0;
    for _ in 0..ROUNDS {
        let payload = dice.payload(&LOGINS);
        let capabilities = dice.capabilities();
        if let Ok(greeting) = Greeting::parse(&payload) {
            read += 1;
            let _ = (greeting.version_number(), greeting.is_mariadb());
            assert_eq!(Greeting::parse(&written(|out, sequence| greeting.write(out, sequence))), Ok(greeting));
        }
        if let Ok(response) = HandshakeResponse::parse(&payload) {
            read += 1;
            let again = written(|out, sequence| response.write(out, sequence));
            let again = HandshakeResponse::parse(&again).unwrap();
            assert_eq!(
                (&again.user, &again.database, &again.plugin),
                (&response.user, &response.database, &response.plugin)
            );
            assert_eq!((again.capabilities, &again.attributes), (response.capabilities, &response.attributes));
        }
        if let Some(request) = SslRequest::parse(&payload) {
            assert_eq!(SslRequest::parse(&written(|out, sequence| request.write(out, sequence))), Some(request));
        }
        if let Some(change) = payload.get(1..).and_then(|body| ChangeUser::parse(body, capabilities).ok()) {
            read += 1;
            let again = written(|out, sequence| change.write(out, sequence, capabilities));
            assert_eq!(ChangeUser::parse(&again[1..], capabilities).unwrap().user, change.user);
        }
        if let Ok(switch) = AuthSwitchRequest::parse(&payload) {
            read += 1;
            assert!(switch.nonce().is_none_or(|_| switch.data.len() <= Nonce::LEN + 1));
            assert_eq!(AuthSwitchRequest::parse(&written(|out, sequence| switch.write(out, sequence))), Ok(switch));
        }
        let _ = AuthMoreData::parse(&payload);
    }
    assert!(read > ROUNDS / 2, "only {read} mutants are logins");
}

#[test]
fn replies_are_read_only_as_far_as_they_go() {
    let mut dice = Dice(0x5eed);
    let (mut oks, mut columns) = (0, 0);
    for _ in 0..ROUNDS {
        let payload = dice.payload(&REPLIES);
        let capabilities = dice.capabilities();
        if let Ok(ok) = OkPacket::parse(&payload, capabilities) {
            oks += 1;
            assert!(ok.info.len() + ok.changes.as_bytes().len() < payload.len());
            // Every change takes at least its kind and a length.
            assert!(ok.changes.count() <= ok.changes.as_bytes().len());
            let again = written(|out, sequence| write::ok(out, sequence, capabilities, &ok));
            let again = OkPacket::parse(&again, capabilities).unwrap();
            assert!(again.changes.eq(ok.changes) && again.warnings == ok.warnings);
        }
        if let Ok(column) = ColumnDefinition::parse(&payload, capabilities) {
            columns += 1;
            let again = written(|out, sequence| write::column_definition(out, sequence, capabilities, &column));
            assert_eq!(ColumnDefinition::parse(&again, capabilities), Ok(column));
        }
        if let Ok(prepared) = PrepareOk::parse(&payload, capabilities) {
            assert!(prepared.packets_after(capabilities) <= 2 * (u32::from(u16::MAX) + 1));
        }
        let mut row = TextRow::new(&payload);
        assert!(row.by_ref().count() <= payload.len());
        if let Some((&first, _)) = payload.split_first() {
            assert!(!view::is_err(first) || !view::is_result_end(first, payload.len(), capabilities));
            assert_eq!(view::is_err(first), ErrPacket::parse(&payload).is_ok() || payload.len() < 3 && first == 0xff);
        }
        let _ = (EofPacket::parse(&payload), ColumnCount::parse(&payload, capabilities), Progress::parse(&payload));
        let _ = view::local_infile_request(&payload);
    }
    assert!(oks > ROUNDS / 10 && columns > ROUNDS / 40, "{oks} OK packets, {columns} columns");
}

#[test]
fn commands_mean_the_same_on_another_connection() {
    let mut dice = Dice(0xacc0_17ed);
    let (mut queries, mut executions) = (0, 0);
    for _ in 0..ROUNDS {
        let payload = dice.payload(&COMMANDS);
        let Some((&code, body)) = payload.split_first() else { continue };
        let capabilities = dice.capabilities();
        let parameters = dice.roll(4) as u16;
        let kept = [ParameterType::LONGLONG; 4];
        if let Ok(query) = Query::parse(body, capabilities) {
            queries += 1;
            assert!(query.attributes.len() + query.text.len() <= body.len() && body.ends_with(query.text));
            let again = written(|out, sequence| query.write(out, sequence, capabilities));
            assert_eq!(Query::parse(&again[1..], capabilities), Ok(query));
        }
        if let Ok(execute) = StmtExecute::parse(body, parameters, capabilities) {
            assert!(body.ends_with(execute.values) && execute.values_count >= usize::from(parameters));
            let mut out = Vec::new();
            if execute.write(7, parameters, &kept, capabilities, &mut out).is_ok() {
                executions += 1;
                let again = StmtExecute::parse(&out[1..], parameters, capabilities).unwrap();
                assert_eq!((again.statement_id, again.nulls), (7, execute.nulls));
                assert!(again.values_count == 0 || again.values == execute.values && again.new_params_bound());
            }
        }
        if let Ok(bulk) = BulkExecute::parse(body, parameters) {
            let mut out = Vec::new();
            bulk.write(7, parameters, &kept, &mut out).unwrap();
            assert_eq!(BulkExecute::parse(&out[1..], parameters).unwrap().values, bulk.values);
        }
        assert!(Command::from_code(code).is_none_or(|command| command.code() == code));
        let mut renumbered = body.to_vec();
        Command::set_statement_id(&mut renumbered, 9);
        assert_eq!(Command::statement_id(&renumbered).ok(), Command::statement_id(body).ok().map(|_| 9));
        let _ = (StmtFetch::parse(body), SendLongData::parse(body));
        let _ = (mysql::command::multi_statements(body), mysql::command::process_kill(body));
    }
    assert!(queries > ROUNDS / 2 && executions > ROUNDS / 10, "{queries} queries, {executions} executions");
}

#[test]
fn compressed_packets_hold_what_they_announce_or_nothing() {
    const CONTENT_LEN_MAX: usize = 4096;
    let mut dice = Dice(0xb0b0);
    let (mut opened, mut refused) = (0, 0);
    for (algorithm, seeds) in COMPRESSED {
        let mut decompressor = Decompressor::new(algorithm, CONTENT_LEN_MAX).unwrap();
        for _ in 0..ROUNDS / 2 {
            let mut bytes = seeds[dice.roll(seeds.len())].to_vec();
            dice.mutate(&mut bytes);
            let (mut sequence, mut out) = (bytes.get(3).copied().unwrap_or(0), Vec::new());
            match decompressor.unwrap(&bytes, &mut sequence, &mut out) {
                Ok(Some(taken)) => {
                    opened += 1;
                    assert!(taken <= bytes.len() && out.len() <= CONTENT_LEN_MAX);
                }
                Ok(None) => assert!(out.is_empty()),
                Err(_) => {
                    refused += 1;
                    assert!(out.is_empty());
                }
            }
        }
    }
    assert!(opened > ROUNDS / 4 && refused > ROUNDS / 20, "{opened} opened, {refused} refused");
}
