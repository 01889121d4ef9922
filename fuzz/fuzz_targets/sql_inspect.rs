//! A query's text.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = sql::inspect(bytes, true);
});
