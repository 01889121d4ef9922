//! Each half of a login alone, with a peer that does not keep to the rules.
#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod stage;

use auth::{Channel, Secret};
use mysql::{
    Capabilities, ProtocolError, Status,
    dial::{ALWAYS, Account, Dial, DialError, KeySource, SWITCHES_MAX, Step, Tls},
    handshake::{Attributes, Greeting, HandshakeResponse, Nonce},
    login::{self, Demand, Given, Login, Opening, Refusal, Terms},
};
use proptest::prelude::*;
use stage::{
    KEYS, PASSWORD, Scene, account, by_password, ed25519_key, native_hash, password_demand, sha2_verifier, wanted,
};

const FULL: &[u8] = b"\x01\x04";
const NATIVE: &[u8] = b"\xfemysql_native_password\0aaaaaaaaaaaaaaaaaaaa\0";

/// A client half that has answered a greeting over a connection that others can read.
fn greeted(keys: KeySource, account: Account) -> Dial {
    let scene = Scene { client_keys: keys, ..Scene::plain() };
    let greeting =
        Greeting { version: b"11.8.3-MariaDB".to_vec(), ..stage::greeting(&scene, Nonce::from_random([9; 20])) };
    let mut dial = Dial::new(account, wanted(&scene));
    let (mut bytes, mut sequence, mut out) = (Vec::new(), 0, Vec::new());
    greeting.write(&mut bytes, &mut sequence);
    assert!(matches!(dial.handle(&bytes[4..], &mut sequence, &mut out), Ok(Step::Wait)));
    assert_eq!((sequence, out[3]), (2, 1));
    dial
}

/// A server half that has asked for the password itself.
fn asking(demand: Demand, channel: Channel) -> Login {
    let terms = Terms {
        demand,
        capabilities: ALWAYS,
        channel,
        greeted: Nonce::from_random([3; 20]),
        random: [200; 32],
        keys: Some(KEYS.clone()),
    };
    match begin(terms, b"caching_sha2_password", vec![1; 32]) {
        login::Step::Wait(login) => login,
        _ => panic!("the password is not asked for"),
    }
}

fn begin(terms: Terms, plugin: &[u8], answer: Vec<u8>) -> login::Step {
    let response = HandshakeResponse {
        capabilities: ALWAYS,
        max_packet: 1 << 24,
        charset: 45,
        user: b"app".to_vec(),
        auth_response: Secret::new(answer),
        database: None,
        plugin: Some(plugin.to_vec()),
        attributes: Attributes::default(),
        zstd_level: None,
    };
    Login::begin(Opening::Response(&response), terms, &mut 2, &mut Vec::new())
}

#[test]
fn the_client_half_says_what_is_wrong_and_sends_nothing() {
    let password = || by_password(PASSWORD);
    for (text, payload, account) in [
        ("the connection is not encrypted", FULL, password()),
        ("the connection is not encrypted", b"\xfemysql_clear_password\0", password()),
        ("none is configured", FULL, account(None)),
        ("none is configured", b"\xfeclient_ed25519\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", account(None)),
        ("plugin dialog\\x07, which is not supported", b"\xfedialog\x07\0", password()),
        ("the nonce has not 20 bytes", b"\xfemysql_native_password\0short\0", password()),
        ("the nonce has not 32 bytes", b"\xfeclient_ed25519\0short", password()),
        ("from before MySQL 4.1", b"\xfe", password()),
        ("neither success nor a demand", b"\x01\x05", password()),
        ("it does not begin with 0x01", b"\x02\x04", password()),
        ("it is empty", b"", password()),
        ("the server says: no (error 1045, SQLSTATE 28000)", b"\xff\x15\x04#28000no", password()),
    ] {
        let (mut dial, mut out) = (greeted(KeySource::Never, account), Vec::new());
        let said = dial.handle(payload, &mut 3, &mut out).unwrap_err().to_string();
        assert!(said.contains(text), "{said}");
        assert_eq!(out, b"", "{said}");
        assert!(dial.handle(payload, &mut 3, &mut out).is_err(), "after an error it is over");
    }
}

#[test]
fn a_key_that_is_none_gets_no_password() {
    let (mut dial, mut out) = (greeted(KeySource::Ask, by_password(PASSWORD)), Vec::new());
    assert!(matches!(dial.handle(FULL, &mut 3, &mut out), Ok(Step::Wait)));
    assert_eq!(out, b"\x01\0\0\x03\x02");
    out.clear();
    let error = dial.handle(b"\x01-----BEGIN PUBLIC KEY-----", &mut 5, &mut out).unwrap_err();
    assert!(matches!(error, DialError::Auth(auth::Error::NotAnRsaKey { .. })), "{error}");
    assert_eq!(out, b"");
}

#[test]
fn methods_are_asked_for_a_bounded_number_of_times() {
    let mut dial = greeted(KeySource::Ask, by_password(PASSWORD));
    for _ in 0..SWITCHES_MAX {
        assert!(matches!(dial.handle(NATIVE, &mut 3, &mut Vec::new()), Ok(Step::Wait)));
    }
    let error = dial.handle(NATIVE, &mut 3, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, DialError::Protocol(ProtocolError::Limit { limit: 8, .. })), "{error}");

    let mut dial = greeted(KeySource::Ask, by_password(PASSWORD));
    dial.handle(NATIVE, &mut 3, &mut Vec::new()).unwrap();
    let error = dial.handle(FULL, &mut 3, &mut Vec::new()).unwrap_err();
    assert!(
        error.to_string().contains("at this point of a login"),
        "mysql_native_password has no more to say: {error}"
    );
}

/// An account that its server checks by the operating system has nothing to prove, whatever is configured here.
#[test]
fn a_server_may_ask_its_system() {
    for name in ["auth_socket", "unix_socket"] {
        for account in [by_password(PASSWORD), account(None)] {
            let (mut dial, mut out) = (greeted(KeySource::Never, account), Vec::new());
            let request = [b"\xfe", name.as_bytes(), b"\0"].concat();
            assert!(matches!(dial.handle(&request, &mut 3, &mut out), Ok(Step::Wait)));
            assert_eq!(out, b"\0\0\0\x03");
            let Ok(Step::Ready(session)) = dial.handle(b"\0\0\0\x02\0\0\0", &mut 5, &mut out) else { panic!() };
            assert!(session.is_mariadb && session.status.contains(Status::AUTOCOMMIT));
        }
    }
}

/// Refusals before the login, such as too many connections, come in place of the greeting, without an SQLSTATE.
#[test]
fn a_server_may_refuse_at_once() {
    let mut dial = Dial::new(by_password(PASSWORD), wanted(&Scene { tls: Tls::Required, ..Scene::plain() }));
    assert!(matches!(dial.encrypted(&mut 1, &mut Vec::new()), Err(DialError::Protocol(_))));
    let mut dial = Dial::new(by_password(PASSWORD), wanted(&Scene { tls: Tls::Required, ..Scene::plain() }));
    let error = dial.handle(b"\xff\x10\x04Too many connections", &mut 1, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the server says: Too many connections (error 1040, SQLSTATE HY000)");
}

/// What the server says between its greeting and TLS could be anybody's.
#[test]
fn nothing_is_taken_before_tls() {
    let scene = Scene::tls();
    let mut dial = Dial::new(by_password(PASSWORD), wanted(&scene));
    let greeting = stage::greeting(&scene, Nonce::from_random([9; 20]));
    let (mut bytes, mut sequence, mut out) = (Vec::new(), 0, Vec::new());
    greeting.write(&mut bytes, &mut sequence);
    assert!(matches!(dial.handle(&bytes[4..], &mut sequence, &mut out), Ok(Step::StartTls)));
    assert_eq!((sequence, out.len()), (2, 4 + 32));
    assert!(dial.handle(b"\0\0\0\x02\0\0\0", &mut sequence, &mut out).is_err());
    assert_eq!(out.len(), 4 + 32);
}

#[test]
fn no_secret_is_shown() {
    for credential in [PASSWORD, &native_hash(), &ed25519_key()] {
        let dial = greeted(
            KeySource::Ask,
            Account {
                learned: auth::Learned::from_password(&Secret::from(PASSWORD)),
                ..by_password(if credential == PASSWORD { PASSWORD } else { credential })
            },
        );
        let shown = format!("{dial:?}");
        assert!(!shown.contains(PASSWORD) && shown.contains("Stage1(…)"), "{shown}");
    }
}

#[test]
fn the_server_half_takes_no_nonsense() {
    let handle =
        |channel, payload: &[u8]| asking(Demand::PassThrough, channel).handle(payload, &mut 4, &mut Vec::new());
    for payload in [&b""[..], b"pencil", &[7; 255], &[7; 257]] {
        assert!(handle(Channel::Plain, payload).is_err());
    }
    for payload in [&b""[..], b"pencil"] {
        assert!(handle(Channel::Secure, payload).is_err());
    }
    // The key is given once.
    let Ok(login::Step::Wait(login)) = handle(Channel::Plain, &[2]) else { panic!("no key") };
    assert!(login.handle(&[2], &mut 6, &mut Vec::new()).is_err());
    // Bytes of the right length that nobody encrypted.
    let Ok(login::Step::Check(check)) = handle(Channel::Plain, &[7; 256]) else { panic!("not checked") };
    assert_eq!(check.run(), Err(Refusal::WrongPassword { given: Given::Yes }));
}

#[test]
fn refusals_tell_the_client_what_to_do() {
    for (refusal, code, text) in [
        (Refusal::WrongPassword { given: Given::No }, 1045, "'app'@'10.0.0.1' (using password: NO)"),
        (Refusal::Unprotected, 3159, "connect with TLS"),
        (Refusal::OldClient { needed: auth::Plugin::Ed25519 }, 1251, "upgrade the client"),
    ] {
        let reply = refusal.reply(b"app", "10.0.0.1");
        assert_eq!(reply.code, code);
        assert!(reply.message.contains(text), "{}", reply.message);
    }
}

proptest! {
    /// Whatever a server sends, the client half does not panic, and writes the password to no connection that others read.
    #[test]
    fn any_server_learns_no_password(
        payloads in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..80),
                Just(FULL.to_vec()),
                Just(b"\x01\x03".to_vec()),
                Just(NATIVE.to_vec()),
                Just(b"\xfecaching_sha2_password\0aaaaaaaaaaaaaaaaaaaa\0".to_vec()),
                Just(b"\xfemysql_clear_password\0".to_vec()),
                Just(b"\xfeclient_ed25519\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec()),
                Just([&b"\x01"[..], KEYS.public_pem()].concat()),
            ],
            0..8,
        ),
        ask in any::<bool>(),
    ) {
        let keys = if ask { KeySource::Ask } else { KeySource::Never };
        let (mut dial, mut out) = (greeted(keys, by_password(PASSWORD)), Vec::new());
        for payload in payloads {
            if dial.handle(&payload, &mut 3, &mut out).is_err() {
                break;
            }
        }
        prop_assert!(!out.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()));
    }

    /// Whatever a client sends, the server half does not panic, and lets nobody in who does not know the password.
    #[test]
    fn any_client_stays_out(
        plugin in prop_oneof![
            Just("mysql_native_password"), Just("caching_sha2_password"), Just("client_ed25519"),
            Just("mysql_clear_password"), Just("auth_socket"), Just("dialog"),
        ],
        answers in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                proptest::collection::vec(any::<u8>(), 20),
                proptest::collection::vec(any::<u8>(), 32),
                proptest::collection::vec(any::<u8>(), 64),
                Just(vec![2]),
                Just(b"wrong\0".to_vec()),
            ],
            4,
        ),
        known in 0..4_usize,
        secure in any::<bool>(),
    ) {
        let demand = match known {
            0 => password_demand(PASSWORD),
            1 => password_demand(&native_hash()),
            2 => password_demand(&ed25519_key()),
            _ => Demand::Password {
                credential: sha2_verifier(),
                learned: auth::Learned::default(),
                exists: login::Exists::Yes,
            },
        };
        let terms = Terms {
            demand,
            capabilities: ALWAYS.without(Capabilities::QUERY_ATTRIBUTES),
            channel: if secure { Channel::Secure } else { Channel::Plain },
            greeted: Nonce::from_random([3; 20]),
            random: [200; 32],
            keys: Some(KEYS.clone()),
        };
        let mut answers = answers.into_iter();
        let mut step = Ok(begin(terms, plugin.as_bytes(), answers.next().unwrap_or_default()));
        for answer in answers {
            let Ok(login::Step::Wait(login)) = step else { break };
            step = login.handle(&answer, &mut 4, &mut Vec::new());
        }
        match step {
            Ok(login::Step::Accepted(_)) => prop_assert!(false, "let in by {plugin}"),
            Ok(login::Step::Check(check)) => prop_assert!(check.run().is_err()),
            Ok(login::Step::Wait(_) | login::Step::Refused(_)) | Err(_) => {}
        }
    }
}
