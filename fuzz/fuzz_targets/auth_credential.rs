//! A configured secret, in whatever form it comes.
#![no_main]

use auth::{Credential, Secret};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Credential::parse(Secret::new(bytes.to_vec()));
});
