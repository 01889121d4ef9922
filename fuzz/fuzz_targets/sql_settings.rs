//! A text that may be made of SET and RESET.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = sql::inspect_settings(bytes, true).map(Iterator::count);
});
