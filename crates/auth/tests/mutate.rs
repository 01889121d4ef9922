//! Bytes from a peer: any change to any message is refused, and nothing panics.
//!
//! The seeds in `corpus/` are also the fuzzer's (`fuzz/`); here each is changed at random for a bounded number of rounds.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

use auth::scram::{Client, ClientBinding, ClientKeys, Derivation, Iterations, Nonce, Server, Verifier};
use auth::{Credential, Secret};
use proptest::prelude::*;

/// Messages and verifiers that real programs send and store.
const CORPUS: [&[u8]; 7] = [
    include_bytes!("../corpus/client-first-libpq"),
    include_bytes!("../corpus/client-first-bound"),
    include_bytes!("../corpus/client-final"),
    include_bytes!("../corpus/server-first"),
    include_bytes!("../corpus/server-final"),
    include_bytes!("../corpus/verifier"),
    include_bytes!("../corpus/md5"),
];

const ROUNDS: u32 = 20_000;

/// One genuine exchange, as the bytes that crossed.
struct Exchange {
    keys: ClientKeys,
    client_first: Vec<u8>,
    server_first: Vec<u8>,
    client_final: Vec<u8>,
    server_final: Vec<u8>,
}

impl Exchange {
    fn run() -> Self {
        let derivation = Derivation::new(b"0123456789abcdef", Iterations::new(1).unwrap()).unwrap();
        let keys = ClientKeys::derive(&Secret::from("pencil"), derivation);
        let (client, client_first) = begin();
        let (challenging, server_first) = server(&keys).challenge(&client_first).unwrap();
        let (answered, client_final) = client.challenge(&server_first).unwrap().answer(&keys).unwrap();
        let server_final = challenging.accept(&client_final).unwrap().reply;
        answered.verify(&server_final).unwrap();
        Self { keys, client_first, server_first, client_final, server_final }
    }

    /// Whether the server lets in a client that sends these messages.
    fn server_accepts(&self, client_first: &[u8], client_final: &[u8]) -> bool {
        let challenged = server(&self.keys).challenge(client_first);
        challenged.is_ok_and(|(challenging, _)| challenging.accept(client_final).is_ok())
    }

    /// Whether the client trusts a server that sends these messages.
    fn client_accepts(&self, server_first: &[u8], server_final: &[u8]) -> bool {
        let answered = begin().0.challenge(server_first).and_then(|challenged| challenged.answer(&self.keys));
        answered.is_ok_and(|(answered, _)| answered.verify(server_final).is_ok())
    }
}

fn begin() -> (Client, Vec<u8>) {
    Client::begin(Nonce::new([3; 18]), ClientBinding::Unsupported)
}

fn server(keys: &ClientKeys) -> Server {
    Server::new(Verifier::from(keys), Nonce::new([7; 18]))
}

/// A generator good enough to choose mutations (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }

    /// Changes `bytes` in one to three places, preferring the characters the grammar is made of.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const GRAMMAR: &[u8] = b",=nyparcsvmei$:09Az/+\0\xff";
        for _ in 0..=self.roll(3) {
            let at = self.roll(bytes.len() + 1);
            match self.roll(4) {
                0 => bytes.insert(at, GRAMMAR[self.roll(GRAMMAR.len())]),
                1 => bytes.truncate(at),
                2 if at < bytes.len() => bytes[at] = self.roll(256) as u8,
                3 if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
    }
}

#[test]
fn mutated_messages_are_never_accepted() {
    let exchange = Exchange::run();
    assert!(exchange.server_accepts(&exchange.client_first, &exchange.client_final));
    assert!(exchange.client_accepts(&exchange.server_first, &exchange.server_final));
    let mut dice = Dice(0x0e5e_c0de);
    for round in 0..ROUNDS {
        let mut messages =
            [&exchange.client_first, &exchange.server_first, &exchange.client_final, &exchange.server_final]
                .map(Vec::clone);
        let which = dice.roll(4);
        let genuine = messages[which].clone();
        dice.mutate(&mut messages[which]);
        if messages[which] == genuine {
            continue;
        }
        let [client_first, server_first, client_final, server_final] = &messages;
        match which {
            0 | 2 => assert!(!exchange.server_accepts(client_first, client_final), "round {round}: {messages:?}"),
            // A signature is over the messages before it, so what follows it in the last one is not signed.
            3 if server_final.starts_with(&genuine) => {}
            _ => assert!(!exchange.client_accepts(server_first, server_final), "round {round}: {messages:?}"),
        }
    }
}

#[test]
fn mutated_seeds_never_panic() {
    let exchange = Exchange::run();
    let mut dice = Dice(0x5eed);
    let mut refused = 0;
    for round in 0..ROUNDS {
        let mut bytes = CORPUS[round as usize % CORPUS.len()].to_vec();
        dice.mutate(&mut bytes);
        refused += u32::from(!exchange.server_accepts(&bytes, &exchange.client_final));
        refused += u32::from(!exchange.server_accepts(&exchange.client_first, &bytes));
        refused += u32::from(!exchange.client_accepts(&bytes, &exchange.server_final));
        refused += u32::from(!exchange.client_accepts(&exchange.server_first, &bytes));
        if let Ok(credential) = Credential::parse(Secret::new(bytes)) {
            credential.accepts_md5(b"user", [0; 4], b"md5").unwrap_or_default();
        }
    }
    assert_eq!(refused, 4 * ROUNDS);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_nor_pass(bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
        let exchange = Exchange::run();
        prop_assert!(!exchange.server_accepts(&bytes, &exchange.client_final));
        prop_assert!(!exchange.server_accepts(&exchange.client_first, &bytes));
        prop_assert!(!exchange.client_accepts(&bytes, &exchange.server_final));
        prop_assert!(!exchange.client_accepts(&exchange.server_first, &bytes));
    }

    #[test]
    fn verifiers_survive_their_text_form(password in ".*", salt in proptest::collection::vec(any::<u8>(), 1..=128)) {
        let derivation = Derivation::new(&salt, Iterations::new(1).unwrap()).unwrap();
        let verifier = Verifier::from_password(&Secret::from(password), derivation);
        prop_assert_eq!(Verifier::parse(verifier.to_text().expose()), Ok(verifier));
    }
}
