//! A text for MySQL or MariaDB, in a session whose mode the first byte chooses.
#![no_main]

use sql::mysql::{self, Charset, Mode};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((choice, text)) = bytes.split_first() else { return };
    let mode = Mode {
        ansi_quotes: choice & 1 != 0,
        no_backslash_escapes: choice & 2 != 0,
        mariadb: choice & 4 != 0,
        charset: [Charset::Utf8, Charset::SingleByte, Charset::MultiByte][usize::from(choice >> 3) % 3],
    };
    let _ = mysql::inspect(text, mode);
    let _ = mysql::assignments(text, mode).map(Iterator::count);
    let _ = mysql::substitutions(text, mode).map(Iterator::count);
    let _ = mysql::use_target(text, mode);
    let _ = mysql::kill_target(text, mode);
    let _ = mysql::show_diagnostics(text, mode);
    let _ = mysql::transaction_verb(text, mode);
});
