//! A server's first message.
#![no_main]

use auth::scram::{Client, ClientBinding, Nonce};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (client, _) = Client::begin(Nonce::new([1; 18]), ClientBinding::Unsupported);
    let _ = client.challenge(bytes);
});
