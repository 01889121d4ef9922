//! What a SCRAM login costs each side, in microseconds of CPU.
//!
//! `cargo run --release -p evenkeel-auth --example login_cost`

use std::hint::black_box;
use std::time::{Duration, Instant};

use auth::Secret;
use auth::scram::{Client, ClientBinding, ClientKeys, Derivation, Iterations, KeyCache, Nonce, Server, Verifier};

const LOGINS_PER_ROUND: u32 = 1_000;
const ROUNDS: u32 = 20;

fn main() -> Result<(), auth::Error> {
    let password = Secret::from("a password of usual length");
    let derivation = Derivation::new(b"0123456789abcdef", Iterations::DEFAULT)?;

    let begin = Instant::now();
    let keys = ClientKeys::derive(&password, derivation.clone());
    let derived = begin.elapsed();
    let verifier = Verifier::from(&keys);
    let mut cache = KeyCache::default();
    cache.insert(keys.clone().into());

    // The server's side: one exchange recorded, its bytes replayed.
    let begin_client = || Client::begin(Nonce::new([3; 18]), ClientBinding::Unsupported);
    let (client, first) = begin_client();
    let server = || Server::new(verifier.clone(), Nonce::new([7; 18]));
    let (challenging, challenge) = server().challenge(&first)?;
    let (_, proof) = client.challenge(&challenge)?.answer(&keys)?;
    let reply = challenging.accept(&proof)?.reply;

    let server_side = fastest(|| {
        let (challenging, _) = server().challenge(black_box(&first))?;
        challenging.accept(black_box(&proof)).map(|_| ())
    })?;
    let client_side = fastest(|| {
        let challenged = begin_client().0.challenge(black_box(&challenge))?;
        let keys = cache.get(challenged.derivation()).unwrap_or_else(|| challenged.derive(&password).into());
        let (answered, _) = challenged.answer(&keys)?;
        answered.verify(black_box(&reply))
    })?;

    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("server side, from a verifier:       {:8.2} us per login", micros(server_side));
    println!("client side, from cached keys:      {:8.2} us per login", micros(client_side));
    println!("deriving keys (PBKDF2, once only):  {:8.2} us", micros(derived));
    Ok(())
}

/// The mean time of one call in the fastest of several rounds: what is left when nobody else uses the core.
fn fastest(mut login: impl FnMut() -> Result<(), auth::Error>) -> Result<Duration, auth::Error> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..LOGINS_PER_ROUND {
            login()?;
        }
        best = best.min(begin.elapsed() / LOGINS_PER_ROUND);
    }
    Ok(best)
}
