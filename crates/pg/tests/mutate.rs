//! Bytes from strangers: whatever a client or a server sends, nothing panics, and what is accepted is consistent.
//!
//! The seeds in `corpus/` are also the fuzzer's (`fuzz/`); here each is changed at random for a bounded number of rounds.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

use std::sync::Arc;

use auth::{
    Credential, Secret,
    scram::{Iterations, Key, KeyCache, Nonce, Verifier},
};
use pg::{
    dial::{Dial, Step},
    exchange::{Audience, Exchange, Expect},
    frame::{HEADER_LEN, Header, Message, server},
    login::{self, Demand, Exists, Known, Login},
    startup::{Packet, STARTUP_LEN_MAX},
    view,
};

const STARTUPS: [&[u8]; 3] =
    [include_bytes!("../corpus/startup"), include_bytes!("../corpus/cancel"), include_bytes!("../corpus/ssl-request")];
const GREETINGS: [&[u8]; 3] = [
    include_bytes!("../corpus/server-greeting"),
    include_bytes!("../corpus/server-sasl"),
    include_bytes!("../corpus/server-error"),
];
const REPLIES: [&[u8]; 3] = [
    include_bytes!("../corpus/server-unit"),
    include_bytes!("../corpus/server-copy"),
    include_bytes!("../corpus/server-error"),
];
const CLIENT: [&[u8]; 2] = [include_bytes!("../corpus/client-unit"), include_bytes!("../corpus/password")];

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

    /// Changes `bytes` in up to three places, preferring the bytes that messages begin and end with.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const GRAMMAR: &[u8] = b"\0\0\0\x04\x08\xffRSKZEN123CDTGHdcWVQPBESXfI\x7f";
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

    fn mutant(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let mut bytes = seeds[self.roll(seeds.len())].to_vec();
        self.mutate(&mut bytes);
        bytes
    }
}

/// The messages at the start of `bytes`, up to the first that is incomplete or impossible.
fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (message, after) = Message::split(rest).ok()??;
        let header = Header::peek(rest).unwrap().unwrap();
        assert_eq!((header.total, header.tag), (rest.len() - after.len(), message.tag));
        assert_eq!(header.total, HEADER_LEN + message.body.len());
        rest = after;
        Some(message)
    })
}

#[test]
fn first_packets_are_within_bounds_or_refused() {
    let mut dice = Dice(0x0e5e_c0de);
    let mut read = 0;
    for _ in 0..ROUNDS {
        let bytes = dice.mutant(&STARTUPS);
        if let Ok(Some((packet, len))) = Packet::read(&bytes) {
            read += 1;
            assert!((8..=STARTUP_LEN_MAX.min(bytes.len())).contains(&len));
            // The bytes behind the packet change nothing, and without its last byte it is not complete.
            assert_eq!(Packet::read(&bytes[..len]), Ok(Some((packet.clone(), len))));
            assert_eq!(Packet::read(&bytes[..len - 1]), Ok(None));
            if let Packet::Startup(startup) = packet {
                assert!(!startup.user.is_empty() && !startup.database.is_empty());
                startup.negotiate(&mut Vec::new());
            }
        }
    }
    assert!(read > ROUNDS / 10, "only {read} mutants are packets");
}

#[test]
fn views_read_only_what_is_there() {
    let mut dice = Dice(0x5eed);
    let mut parsed = 0;
    for _ in 0..ROUNDS {
        let seeds: &[&[u8]] = if dice.roll(2) == 0 { &CLIENT } else { &REPLIES };
        let bytes = dice.mutant(seeds);
        for Message { tag, body } in messages(&bytes) {
            if let Ok(parse) = view::parse(body) {
                parsed += 1;
                assert_eq!(parse.name.len() + parse.text.len() + parse.types.len() + 2, body.len());
            }
            if let Ok(text) = view::query(body) {
                assert_eq!(text.len() + 1, body.len());
            }
            if let Some((portal, statement, len)) = view::bind_names(body) {
                assert_eq!(portal.len() + statement.len() + 2, len);
            }
            let _ = view::target(tag, body);
            let _ = view::parameter_status(body);
            let _ = view::backend_key_data(body);
            let _ = view::command_tag(body);
            for field in [b'C', b'M', b'V', 0] {
                assert!(view::error_field(body, field).is_none_or(|text| text.len() < body.len()));
            }
        }
    }
    assert!(parsed > ROUNDS / 20, "only {parsed} Parse messages");
}

#[test]
fn an_exchange_survives_any_server() {
    let mut dice = Dice(0xacc0_17ed);
    let (mut settled, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let mut exchange = Exchange::default();
        let mut owed = 0;
        for _ in 0..dice.roll(12) {
            exchange.expect(expectation(&mut dice));
            owed += 1;
        }
        let bytes = dice.mutant(&REPLIES);
        let mut handled = true;
        for message in messages(&bytes) {
            handled &= exchange.handle(message.tag, message.body).is_ok();
            let undone = exchange.take_skipped().count();
            let faked = std::iter::from_fn(|| exchange.poll_fake()).count();
            assert!(undone + faked <= owed, "more was skipped and answered than was ever asked");
            assert!(exchange.readies_owed() <= owed);
            assert!(!exchange.is_settled() || exchange.owes_nothing() && exchange.ends_with_ready());
            if !handled {
                break;
            }
        }
        refused += usize::from(!handled);
        settled += usize::from(exchange.is_settled());
    }
    assert!(settled > 100 && refused > 100, "{settled} settled, {refused} refused");
}

fn expectation(dice: &mut Dice) -> Expect {
    let audience = [Audience::Client, Audience::Us][dice.roll(2)];
    match dice.roll(11) {
        0 => Expect::Query(audience),
        1 => Expect::Function,
        2 | 3 => Expect::Sync(audience),
        4 => Expect::Parse { audience, statement: None, name: None },
        5 => Expect::Bind,
        6 => Expect::Describe,
        7 => Expect::Execute,
        8 => Expect::Close { audience, statement: None },
        9 => [Expect::FakeParse { name: None }, Expect::FakeClose { closed: None }][dice.roll(2)].clone(),
        _ => Expect::CopyEnd,
    }
}

#[test]
fn a_login_to_any_server_ends_or_waits() {
    let mut dice = Dice(0xd1a1);
    let mut ready = 0;
    for _ in 0..ROUNDS {
        let credential = Some(Arc::new(Credential::parse(Secret::from("pencil")).unwrap()));
        let nonce = Nonce::new([7; Nonce::LEN]);
        let mut out = Vec::new();
        let mut dial = Dial::begin(b"app", b"shop", std::iter::empty(), credential, nonce, &mut out);
        let mut keys = KeyCache::new(1);
        for message in messages(&dice.mutant(&GREETINGS)) {
            match dial.handle(message.tag, message.body, &mut keys, &mut out) {
                Ok(Step::Ready(_)) => {
                    ready += 1;
                    assert_eq!(message.tag, server::READY_FOR_QUERY);
                    assert!(dial.handle(b'Z', b"I", &mut keys, &mut out).is_err(), "a login ends once");
                    break;
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    assert!(ready > ROUNDS / 20, "only {ready} logins succeeded");
}

#[test]
fn only_the_right_password_logs_a_client_in() {
    let mut dice = Dice(0x1091);
    for _ in 0..ROUNDS / 10 {
        let bytes = dice.mutant(&CLIENT[1..]);
        for demand in demands() {
            let login::Step::Wait(login) = Login::begin(demand, &mut Vec::new()) else { panic!("nothing is asked") };
            let Some(message) = messages(&bytes).next() else { continue };
            if let Ok(login::Step::Accepted(_)) = login.handle(message.tag, message.body, b"app", &mut Vec::new()) {
                assert_eq!((message.tag, message.body), (b'p', &b"pencil\0"[..]));
            }
        }
    }
}

fn demands() -> [Demand; 3] {
    let known = || Known::Credential(Arc::new(Credential::parse(Secret::from("pencil")).unwrap()));
    let verifier = Verifier::mock(&Key::new([1; 32]), b"app", Iterations::DEFAULT);
    [
        Demand::Cleartext(known()),
        Demand::Md5 { known: known(), salt: [1; 4] },
        Demand::Scram { verifier, exists: Exists::No, nonce: Nonce::new([9; Nonce::LEN]) },
    ]
}
