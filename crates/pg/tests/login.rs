//! Both halves of a login against each other, over the messages as they go over the wire.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use auth::{
    Credential, Secret,
    scram::{Derivation, Iterations, Key, KeyCache, Nonce, Verifier},
};
use pg::{
    dial::{self, Dial, DialError},
    frame::Message,
    login::{self, Demand, Exists, Known, Login},
    startup::Packet,
    write,
};

#[derive(Debug, PartialEq)]
enum Outcome {
    In,
    Refused,
    Failed,
}

/// Logs in with `password` where `demand` is made; counts the key derivations.
fn log_in(demand: Demand, password: Option<&str>, keys: &mut KeyCache) -> (Outcome, usize) {
    let (mut to_server, mut to_client, mut derived) = (Vec::new(), Vec::new(), 0);
    let credential = password.map(|text| Arc::new(Credential::parse(Secret::from(text)).unwrap()));
    let nonce = Nonce::new([7; Nonce::LEN]);
    let mut dial = Dial::begin(b"app", b"shop", std::iter::empty(), credential, nonce, &mut to_server);
    let Some((Packet::Startup(startup), len)) = Packet::read(&to_server).unwrap() else { panic!("no startup") };
    assert_eq!((&*startup.user, &*startup.database, len), (&b"app"[..], &b"shop"[..], to_server.len()));
    to_server.clear();
    let mut step = Some(Login::begin(demand, &mut to_client));
    for _ in 0..10 {
        if let Some(login::Step::Accepted(_)) = &step {
            write::parameter_status(&mut to_client, b"server_version", b"18.1");
            write::backend_key_data(&mut to_client, 42, b"secret");
            write::ready_for_query(&mut to_client, b'I');
        }
        let bytes = std::mem::take(&mut to_client);
        let mut rest = &bytes[..];
        while let Some((message, after)) = Message::split(rest).unwrap() {
            rest = after;
            match dial.handle(message.tag, message.body, keys, &mut to_server) {
                Ok(dial::Step::Wait) => {}
                Ok(dial::Step::Derive(password, derivation)) => {
                    derived += 1;
                    let new = Arc::new(auth::scram::ClientKeys::derive(&password, derivation));
                    keys.insert(new.clone());
                    dial.answer(&new, &mut to_server).unwrap();
                }
                Ok(dial::Step::Ready(greeting)) => {
                    assert_eq!((greeting.process, &*greeting.key), (42, &b"secret"[..]));
                    return (Outcome::In, derived);
                }
                Err(DialError::NoPassword | DialError::Auth(_)) => return (Outcome::Failed, derived),
                Err(error) => panic!("{error}"),
            }
        }
        let Some(login::Step::Wait(login)) = step.take() else { return (Outcome::Refused, derived) };
        let (message, after) = Message::split(&to_server).unwrap().unwrap();
        assert!(after.is_empty());
        step = Some(login.handle(message.tag, message.body, b"app", &mut to_client).unwrap());
        to_server.clear();
        if let Some(login::Step::Refused(_)) = step {
            return (Outcome::Refused, derived);
        }
    }
    panic!("the login does not end");
}

fn known(text: &str) -> Known {
    Known::Credential(Arc::new(Credential::parse(Secret::from(text)).unwrap()))
}

fn verifier(password: &str) -> Verifier {
    Verifier::from_password(&password.into(), Derivation::new(b"salt of 16 bytes", Iterations::DEFAULT).unwrap())
}

fn scram(password: &str, exists: Exists) -> Demand {
    Demand::Scram { verifier: verifier(password), exists, nonce: Nonce::new([9; Nonce::LEN]) }
}

#[test]
fn the_right_password_gets_in_by_every_method() {
    let mut keys = KeyCache::default();
    assert_eq!(log_in(Demand::Trust, None, &mut keys).0, Outcome::In);
    assert_eq!(log_in(Demand::Cleartext(known("pencil")), Some("pencil"), &mut keys).0, Outcome::In);
    assert_eq!(log_in(Demand::Md5 { known: known("pencil"), salt: [1; 4] }, Some("pencil"), &mut keys).0, Outcome::In);
    assert_eq!(log_in(scram("pencil", Exists::Yes), Some("pencil"), &mut keys), (Outcome::In, 1));
    assert_eq!(log_in(scram("pencil", Exists::Yes), Some("pencil"), &mut keys), (Outcome::In, 0), "keys are reused");
}

#[test]
fn the_wrong_password_gets_in_by_none() {
    let mut keys = KeyCache::default();
    assert_eq!(log_in(Demand::Cleartext(known("pencil")), Some("pen"), &mut keys).0, Outcome::Refused);
    assert_eq!(
        log_in(Demand::Md5 { known: known("pencil"), salt: [1; 4] }, Some("pen"), &mut keys).0,
        Outcome::Refused
    );
    assert_eq!(log_in(scram("pencil", Exists::Yes), Some("pen"), &mut keys).0, Outcome::Refused);
    assert_eq!(log_in(Demand::Cleartext(known("pencil")), None, &mut keys).0, Outcome::Failed);
}

#[test]
fn a_user_who_does_not_exist_is_asked_and_refused() {
    let mut keys = KeyCache::default();
    assert_eq!(log_in(Demand::Cleartext(Known::NoSuchUser), Some("x"), &mut keys).0, Outcome::Refused);
    assert_eq!(
        log_in(Demand::Md5 { known: Known::NoSuchUser, salt: [1; 4] }, Some("x"), &mut keys).0,
        Outcome::Refused
    );
    // Even one who guesses what the mock verifier was made of.
    assert_eq!(log_in(scram("x", Exists::No), Some("x"), &mut keys).0, Outcome::Refused);
    let mock = Verifier::mock(&Key::new([1; 32]), b"app", Iterations::DEFAULT);
    let demand = Demand::Scram { verifier: mock, exists: Exists::No, nonce: Nonce::new([9; Nonce::LEN]) };
    assert_eq!(log_in(demand, Some("x"), &mut keys).0, Outcome::Refused);
}

#[test]
fn messages_out_of_order_are_refused_by_both_halves() {
    let mut out = Vec::new();
    let login::Step::Wait(login) = Login::begin(Demand::Cleartext(known("pencil")), &mut out) else { panic!() };
    assert!(login.handle(b'Q', b"select 1\0", b"app", &mut out).is_err());
    for (tag, body) in [
        (b'Z', &b"I"[..]),
        (b'S', b"a\0b\0"),
        (b'K', b"\0\0\0\x01abcd"),
        (b'R', b"\0\0\0\x0b"),
        (b'R', b"\0\0\0\x0cx"),
        (b'R', b"\0\0\0\x05abc"),
        (b'R', b"\0\0"),
        (b'D', b""),
    ] {
        let nonce = Nonce::new([7; Nonce::LEN]);
        let mut dial = Dial::begin(b"a", b"b", std::iter::empty(), None, nonce, &mut Vec::new());
        assert!(dial.handle(tag, body, &mut KeyCache::default(), &mut out).is_err(), "{}", char::from(tag));
    }
}
