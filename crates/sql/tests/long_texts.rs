//! Long texts that are one short piece again and again. Each must be read in time that grows with its length only: clients
//! choose their texts, and a thread that reads one serves all others as well.
//!
//! Nothing is timed here. Where the time grew with the square of the length, a test would not end for hours.

use sql::{Count, mysql};

/// Bytes of each text: so many that no test ends which reads it once for each of its pieces.
const LEN: usize = 128 * 1024;

fn long(opening: &str, piece: &str, len: usize) -> Vec<u8> {
    let mut text = opening.as_bytes().to_vec();
    text.extend(piece.bytes().cycle().take(len));
    text
}

/// An opening, and what is repeated behind it.
const SHAPES: [(&str, &str); 34] = [
    // Statements and assignments that nobody knows.
    ("", "x;"),
    ("", "1;"),
    ("", "?;"),
    ("", "begin x;"),
    ("", "binlog '';"),
    ("", "set ;"),
    ("set ", "1,"),
    ("set ", "a.b.c=1,"),
    ("set names x", ";\\"),
    ("set @a = 1;", "set sql_mode = '';"),
    ("/*!99999 x */", "x;"),
    // Those that are known, and what is behind them.
    ("", ";"),
    ("kill 1", ";"),
    ("", "call p();"),
    ("set ", "@a := 1,"),
    ("set ", "a = (1 + 2),"),
    ("set session ", "a."),
    ("set ", "set "),
    ("", "set a to 'b\n';"),
    ("start transaction ", "read only,"),
    ("select ", "set_config("),
    ("select set_config(", "'a',("),
    ("select ", "found_rows(),"),
    ("select ", "(select found_rows(),"),
    ("", "select f("),
    // What may never end.
    ("", "'"),
    ("", "'a' -- b\n"),
    ("", "/*"),
    ("", "/* */"),
    ("", "/*!99999 /* */"),
    ("", "$a"),
    ("", "$a$ $b$ "),
    ("", "@`"),
    ("", "a -- b\n"),
];

#[test]
fn a_mysql_text_of_many_statements_is_not_read_again_for_each() {
    for (opening, piece) in SHAPES {
        let mode = mysql::Mode { mariadb: true, ..mysql::Mode::STANDARD };
        let text = long(opening, piece, LEN);
        let verdict = mysql::inspect(&text, mode);
        mysql::found_rows(&text, mode, verdict);
        mysql::uses_no_table(&text, mode, verdict);
        let _ = mysql::outline(&text, mode);
        mysql::use_target(&text, mode);
        mysql::kill_target(&text, mode);
        mysql::show_diagnostics(&text, mode);
        mysql::transaction_verb(&text, mode);
        let _ = mysql::assignments(&text, mode).map(Iterator::count);
        let _ = mysql::substitutions(&text, mode).map(Iterator::count);
    }
}

#[test]
fn a_postgresql_text_of_many_statements_is_not_read_again_for_each() {
    for (opening, piece) in SHAPES {
        for standard_conforming_strings in [true, false] {
            let text = long(opening, piece, LEN);
            sql::inspect(&text, standard_conforming_strings);
            sql::is_empty(&text);
            let _ = sql::outline(&text);
            sql::deallocate_target(&text);
            sql::discard_target(&text);
            let _ = sql::inspect_settings(&text, standard_conforming_strings).map(Iterator::count);
        }
    }
}

#[test]
fn a_word_at_the_end_of_a_long_text_in_doubt_still_counts() {
    let mut text = long("", "x;", 1024 * 1024);
    assert!(!mysql::inspect(&text, mysql::Mode::STANDARD).effects.contains(mysql::Effects::KILL));
    text.extend_from_slice(b"kill");
    let verdict = mysql::inspect(&text, mysql::Mode::STANDARD);
    assert_eq!(verdict.statements, Count::Many);
    assert!(verdict.effects.contains(mysql::Effects::KILL));
}
