//! The first bytes of a connection from a balancer's network.
#![no_main]

use session::proxy_header::{HEADER_LEN_MAX, Header, Look};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match Header::look(bytes) {
        Ok(Look::Found(header, len)) => {
            assert!(len <= bytes.len());
            let mut written = Vec::new();
            header.write(&mut written);
            assert!(matches!(Header::look(&written), Ok(Look::Found(_, len)) if len == written.len()));
        }
        Ok(Look::Missing(missing)) => assert!(missing > 0 && bytes.len() + missing <= HEADER_LEN_MAX),
        Err(_) => {}
    }
});
