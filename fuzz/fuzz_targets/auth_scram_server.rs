//! A client's first message.
#![no_main]

use auth::scram::{Iterations, Key, Nonce, Server, Verifier};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let verifier = Verifier::mock(&Key::new([1; 32]), b"user", Iterations::DEFAULT);
    let _ = Server::new(verifier, Nonce::new([2; 18])).challenge(bytes);
});
