//! The RFC's own exchange, and what a client must refuse.

use super::super::{Iterations, Server, Verifier};
use super::*;

/// RFC 7677, section 3: user `user`, password `pencil`.
const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &[u8] = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn client() -> Client {
    let (client, first) =
        Client::begin_as("user", Nonce::from_text("rOprNGfwEbeRWgbNEkqO"), ClientBinding::Unsupported);
    assert_eq!(first, CLIENT_FIRST);
    client
}

fn password() -> Secret {
    Secret::from("pencil")
}

#[test]
fn rfc_7677_as_client() {
    let challenged = client().challenge(SERVER_FIRST).unwrap();
    assert_eq!(challenged.derivation().iterations(), Iterations::DEFAULT);
    let keys = challenged.derive(&password());
    let (answered, proof) = challenged.answer(&keys).unwrap();
    assert_eq!(proof, CLIENT_FINAL);
    assert_eq!(answered.verify(SERVER_FINAL), Ok(()));
}

#[test]
fn rfc_7677_as_server() {
    let derivation = client().challenge(SERVER_FIRST).unwrap().derivation;
    let nonce = Nonce::from_text("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    let server = Server::new(Verifier::from_password(&password(), derivation), nonce);
    let (challenging, challenge) = server.challenge(CLIENT_FIRST).unwrap();
    assert_eq!(challenge, SERVER_FIRST);
    let accepted = challenging.accept(CLIENT_FINAL).unwrap();
    assert_eq!(accepted.reply, SERVER_FINAL);
}

#[test]
fn bad_challenges_are_refused() {
    let malformed = |expected| Error::Malformed { message: Message::ServerFirst, expected };
    let nonce = malformed("the nonce (r=)");
    let mismatch = Error::NonceMismatch { message: Message::ServerFirst };
    let long = [b'x'; 1025];
    let cases: [(&[u8], Error); 15] = [
        (b"", nonce.clone()),
        (b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", nonce.clone()),
        (b"r", nonce),
        (b"r=,s=AAAA,i=1", malformed("a nonce of printable characters")),
        (b"r=a\x00b,s=AAAA,i=1", malformed("a nonce of printable characters")),
        (b"r=other,s=AAAA,i=1", mismatch.clone()),
        (b"r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=1", mismatch),
        (b"r=rOprNGfwEbeRWgbNEkqOx", malformed("the salt (s=)")),
        (b"r=rOprNGfwEbeRWgbNEkqOx,s=A!==,i=1", malformed("a salt in base64")),
        (b"r=rOprNGfwEbeRWgbNEkqOx,s=,i=1", Error::SaltLength { len: 0, max: 128 }),
        (b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA", malformed("the iteration count (i=)")),
        (b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=x", malformed("a decimal iteration count")),
        (b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1,", malformed("a field after the last comma")),
        (b"m=x,r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1", Error::UnknownExtension { message: Message::ServerFirst }),
        (&long, Error::TooLong { message: Message::ServerFirst, len: 1025, max: 1024 }),
    ];
    for (message, error) in cases {
        assert_eq!(client().challenge(message).unwrap_err(), error, "{}", message.escape_ascii());
    }
    assert!(client().challenge(b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1,x=ignored").is_ok());
}

/// PgBouncer's CVE-2026-6669: a server that asks for endless work.
#[test]
fn iterations_of_a_hostile_server_are_bounded() {
    for count in ["0", "1000001", "4294967295", "4294967296", "999999999999999999999999"] {
        let message = format!("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i={count}");
        let refused = client().challenge(message.as_bytes());
        assert!(matches!(refused, Err(Error::IterationsOutOfRange { max: 1_000_000, .. })), "{count}");
    }
}

#[test]
fn keys_of_another_salt_are_not_used() {
    let keys = client().challenge(SERVER_FIRST).unwrap().derive(&password());
    let other = client().challenge(b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4096").unwrap();
    assert_eq!(other.answer(&keys).unwrap_err(), Error::KeysOfOtherDerivation);
}

#[test]
fn the_server_must_prove_itself() {
    let answered = || {
        let challenged = client().challenge(SERVER_FIRST).unwrap();
        let keys = challenged.derive(&password());
        challenged.answer(&keys).unwrap().0
    };
    let mut wrong = SERVER_FINAL.to_vec();
    wrong[10] = b'A';
    assert_eq!(answered().verify(&wrong), Err(Error::ServerSignature));
    assert_eq!(answered().verify(b"e=other-error"), Err(Error::ServerRefused { reason: "other-error".to_owned() }));
    let malformed = |expected| Err(Error::Malformed { message: Message::ServerFinal, expected });
    assert_eq!(answered().verify(b""), malformed("the server's signature (v=)"));
    assert_eq!(answered().verify(b"v="), malformed("a 32-byte signature in base64"));
    assert_eq!(answered().verify(b"v=AAAA"), malformed("a 32-byte signature in base64"));
}
