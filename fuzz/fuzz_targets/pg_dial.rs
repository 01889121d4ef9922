//! Any server while we log in to it.
#![no_main]

use std::sync::Arc;

use auth::{
    Credential, Secret,
    scram::{KeyCache, Nonce},
};
use pg::{dial::Dial, frame::Message};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let credential = Credential::parse(Secret::from("pencil")).ok().map(Arc::new);
    let mut out = Vec::new();
    let mut dial = Dial::begin(b"app", b"shop", std::iter::empty(), credential, Nonce::new([7; Nonce::LEN]), &mut out);
    let mut keys = KeyCache::new(1);
    let mut rest = bytes;
    while let Ok(Some((message, after))) = Message::split(rest) {
        rest = after;
        if dial.handle(message.tag, message.body, &mut keys, &mut out).is_err() {
            return;
        }
    }
});
