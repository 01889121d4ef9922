//! Whole exchanges: our two halves with each other, and each with somebody else's.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

use auth::scram::{Client, ClientBinding, ClientKeys, Derivation, Iterations, Key, Nonce, Server, Verifier};
use auth::{Error, Message, Secret};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

fn derivation() -> Derivation {
    Derivation::new(b"0123456789abcdef", Iterations::new(64).unwrap()).unwrap()
}

fn keys() -> ClientKeys {
    ClientKeys::derive(&Secret::from("pencil"), derivation())
}

fn server() -> Server {
    Server::new(Verifier::from(&keys()), Nonce::new([7; 18]))
}

fn begin() -> (Client, Vec<u8>) {
    Client::begin(Nonce::new([3; 18]), ClientBinding::Unsupported)
}

/// Runs an exchange between our halves; the client has `keys`.
fn exchange(server: Server, keys: &ClientKeys) -> Result<ClientKeys, Error> {
    let (client, first) = begin();
    let (challenging, challenge) = server.challenge(&first)?;
    let (answered, proof) = client.challenge(&challenge)?.answer(keys)?;
    let accepted = challenging.accept(&proof)?;
    answered.verify(&accepted.reply)?;
    Ok(accepted.keys)
}

#[test]
fn our_halves_agree_and_the_keys_are_recovered() {
    assert_eq!(exchange(server(), &keys()), Ok(keys()));
}

/// Pass-through: keys recovered from a client log in to the next server, with no password known in between.
#[test]
fn recovered_keys_log_in_elsewhere() {
    let recovered = exchange(server(), &keys()).unwrap();
    assert_eq!(exchange(Server::new(Verifier::from(&recovered), Nonce::new([9; 18])), &recovered), Ok(keys()));
}

#[test]
fn a_wrong_password_fails_at_the_end() {
    let wrong = ClientKeys::derive(&Secret::from("pencils"), derivation());
    assert_eq!(exchange(server(), &wrong), Err(Error::WrongPassword));
}

#[test]
fn an_unknown_user_fails_like_a_wrong_password() {
    let mock = Verifier::mock(&Key::new([5; 32]), b"nobody", Iterations::new(64).unwrap());
    let guess = ClientKeys::derive(&Secret::from("pencil"), mock.derivation().clone());
    assert_eq!(exchange(Server::new(mock, Nonce::new([7; 18])), &guess), Err(Error::WrongPassword));
}

/// A proof made with StoredKey and ServerKey alone, which a stolen verifier holds, must not do.
#[test]
fn a_stolen_verifier_does_not_log_in() {
    let stored_key = Key::new({
        let text = Verifier::from(&keys()).to_text();
        let text = std::str::from_utf8(text.expose()).unwrap();
        let stored = text.rsplit('$').next().unwrap().split(':').next().unwrap();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, stored).unwrap().try_into().unwrap()
    });
    let thief = ClientKeys::new(stored_key, keys().server_key().clone(), derivation());
    assert_eq!(exchange(server(), &thief), Err(Error::WrongPassword));
}

#[test]
fn an_impostor_server_is_noticed() {
    let forged = ClientKeys::new(keys().client_key().clone(), Key::new([0; 32]), derivation());
    assert_eq!(
        exchange(Server::new(Verifier::from(&forged), Nonce::new([7; 18])), &keys()),
        Err(Error::ServerSignature)
    );
}

#[test]
fn postgres_protocol_logs_in_to_our_server() {
    for (password, binding) in [
        ("pencil", ChannelBinding::unsupported()),
        ("pencil", ChannelBinding::unrequested()),
        ("p\u{e4}ss\u{ad}\u{2168}", ChannelBinding::unsupported()),
        ("\u{627}1", ChannelBinding::unsupported()),
    ] {
        let verifier = Verifier::from_password(&Secret::from(password), derivation());
        let mut theirs = ScramSha256::new(password.as_bytes(), binding);
        let (challenging, challenge) =
            Server::new(verifier, Nonce::new([7; 18])).challenge(theirs.message()).expect(password);
        theirs.update(&challenge).expect(password);
        let accepted = challenging.accept(theirs.message()).expect(password);
        theirs.finish(&accepted.reply).expect(password);
    }
}

#[test]
fn postgres_protocol_with_a_wrong_password_does_not() {
    let mut theirs = ScramSha256::new(b"pencils", ChannelBinding::unsupported());
    let (challenging, challenge) = server().challenge(theirs.message()).unwrap();
    theirs.update(&challenge).unwrap();
    assert_eq!(challenging.accept(theirs.message()).unwrap_err(), Error::WrongPassword);
}

#[test]
fn bad_first_messages_are_refused() {
    let malformed = |expected| Error::Malformed { message: Message::ClientFirst, expected };
    let flag = malformed("a channel binding flag");
    let long = [b'n'; 1025];
    let cases: [(&[u8], Error); 20] = [
        (b"", flag.clone()),
        (b"n", flag.clone()),
        (b"n,", flag.clone()),
        (b"n,x,n=,r=a", flag.clone()),
        (b"x,,n=,r=a", flag),
        (b"p=tls-server-end-point,,n=,r=a", Error::ChannelBindingNotOffered),
        (b"p", Error::ChannelBindingNotOffered),
        (b"n,a=bob,n=,r=a", Error::AuthorizationIdentity),
        (b"n,,m=x,n=,r=a", Error::UnknownExtension { message: Message::ClientFirst }),
        (b"n,,", malformed("the user name (n=)")),
        (b"n,,r=a", malformed("the user name (n=)")),
        // PgBouncer's CVE-2026-19888: no nonce.
        (b"n,,n=", malformed("the nonce (r=)")),
        (b"n,,n=,", malformed("the nonce (r=)")),
        (b"n,,n=,r", malformed("the nonce (r=)")),
        (b"n,,n=,r=", malformed("a nonce of printable characters")),
        (b"n,,n=,r=a b", malformed("a nonce of printable characters")),
        (b"n,,n=,r=a\0", malformed("a nonce of printable characters")),
        (b"n,,n=,r=a,", malformed("a field after the last comma")),
        (b"n,,n=,r=a,xyz", malformed("a field (x=\u{2026})")),
        (&long, Error::TooLong { message: Message::ClientFirst, len: 1025, max: 1024 }),
    ];
    for (message, error) in cases {
        assert_eq!(server().challenge(message).unwrap_err(), error, "{}", message.escape_ascii());
    }
    for message in [&b"n,,n=,r=a"[..], b"y,,n=*,r=a", b"n,,n=\xff,r=a,x=ignored"] {
        assert!(server().challenge(message).is_ok(), "{}", message.escape_ascii());
    }
}

#[test]
fn bad_final_messages_are_refused() {
    let proof = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let malformed = |expected| Error::Malformed { message: Message::ClientFinal, expected };
    let no_proof = malformed("the proof (p=) as last field");
    let (_, challenge) = server().challenge(b"n,,n=,r=abc").unwrap();
    let challenge = String::from_utf8(challenge).unwrap();
    let nonce = challenge.split(',').next().unwrap();
    let cases = [
        (String::new(), no_proof.clone()),
        (format!("p={proof}"), no_proof.clone()),
        (format!("c=biws,{nonce}"), no_proof.clone()),
        (format!("c=biws,{nonce},p={proof},x=after"), no_proof),
        (format!("c=biws,{nonce},p="), malformed("a 32-byte proof in base64")),
        (format!("c=biws,{nonce},p={proof}AAAA"), malformed("a 32-byte proof in base64")),
        (format!("c=biws,{nonce},p=AAAA"), malformed("a 32-byte proof in base64")),
        (format!("{nonce},p={proof}"), malformed("the channel binding (c=)")),
        (format!("c=biws,p={proof}"), malformed("the nonce (r=)")),
        (format!("c=eSws,{nonce},p={proof}"), Error::ChannelBindingMismatch),
        (format!("c=,{nonce},p={proof}"), Error::ChannelBindingMismatch),
        (format!("c=biws,r=abc,p={proof}"), Error::NonceMismatch { message: Message::ClientFinal }),
        (format!("c=biws,{nonce}x,p={proof}"), Error::NonceMismatch { message: Message::ClientFinal }),
        (format!("c=biws,{nonce},p={proof}"), Error::WrongPassword),
        (format!("c=biws,{nonce},x=extension,p={proof}"), Error::WrongPassword),
    ];
    for (message, error) in cases {
        let (challenging, _) = server().challenge(b"n,,n=,r=abc").unwrap();
        assert_eq!(challenging.accept(message.as_bytes()).unwrap_err(), error, "{message}");
    }
}
