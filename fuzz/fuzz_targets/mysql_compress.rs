//! Compressed packets of both sorts: nothing longer than the bound comes out.
#![no_main]

use mysql::compress::{Algorithm, Decompressor};

const CONTENT_LEN_MAX: usize = 1 << 16;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    for algorithm in [Algorithm::Zlib { level: 6 }, Algorithm::Zstd { level: 3 }] {
        let mut decompressor = Decompressor::new(algorithm, CONTENT_LEN_MAX).expect("there is memory");
        let (mut rest, mut sequence) = (input, input.get(3).copied().unwrap_or(0));
        let mut out = Vec::new();
        while let Ok(Some(taken)) = decompressor.unwrap(rest, &mut sequence, &mut out) {
            assert!(out.len() <= CONTENT_LEN_MAX);
            out.clear();
            rest = &rest[taken..];
        }
    }
});
