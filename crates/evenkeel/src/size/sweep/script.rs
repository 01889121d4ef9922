//! A transaction to run over and over: statements, and numbers in them that are drawn anew each time.
//!
//! The format is the part of pgbench's that most scripts use, for every server: statements that end with a semicolon,
//! comments, `\set name random(1, 1000)` or `\set name 5` on lines of their own, and `:name` where the number goes.

use std::{collections::BTreeMap, ops::RangeInclusive};

use anyhow::{Context, Result, bail, ensure};
use route::Protocol;

/// The longest script, in bytes.
const SCRIPT_MAX: usize = 1 << 20;

/// Statements with places for numbers.
#[derive(Debug, PartialEq)]
pub(super) struct Script {
    /// From which range each number is drawn, once a transaction.
    numbers: Vec<RangeInclusive<i64>>,
    statements: Vec<Vec<Piece>>,
}

/// A part of a statement.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    /// One of the numbers.
    Number(usize),
}

/// Draws numbers: SplitMix64, of which nothing is asked but to spread well.
pub(super) struct Dice(u64);

impl Script {
    /// # Errors
    /// A line that is not understood, or no statement.
    pub(super) fn parse(text: &str, protocol: Protocol) -> Result<Self> {
        ensure!(text.len() <= SCRIPT_MAX, "it has more than {SCRIPT_MAX} bytes");
        let (mut names, mut numbers, mut sql) = (BTreeMap::new(), Vec::new(), String::new());
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(command) = line.trim_start().strip_prefix('\\') {
                let (name, range) = variable(command).with_context(|| format!("line {number}"))?;
                names.insert(name, numbers.len());
                numbers.push(range);
                // Lines keep their numbers.
                sql.push('\n');
            } else {
                sql.push_str(line);
                sql.push('\n');
            }
        }
        let statements: Vec<Vec<Piece>> = split(&sql, protocol)?.map(|statement| pieces(statement, &names)).collect();
        ensure!(!statements.is_empty(), "there is no statement in it");
        Ok(Self { numbers, statements })
    }

    /// The statements of one transaction.
    pub(super) fn draw(&self, dice: &mut Dice) -> Vec<String> {
        let drawn: Vec<String> = self.numbers.iter().map(|range| dice.draw(range).to_string()).collect();
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Number(at) => drawn[*at].clone(),
        };
        self.statements.iter().map(|pieces| pieces.iter().map(text).collect()).collect()
    }
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self, range: &RangeInclusive<i64>) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let width = i128::from(*range.end()) - i128::from(*range.start()) + 1;
        (i128::from(*range.start()) + i128::from(bits) % width) as i64
    }
}

/// `set name random(1, 1000)`, or `set name 5`.
fn variable(command: &str) -> Result<(String, RangeInclusive<i64>)> {
    const KNOWN: &str =
        "only \\set name random(1, 1000) and \\set name 5 are understood; pgbench knows more: --with pgbench";
    let rest = command.strip_prefix("set").filter(|rest| rest.starts_with([' ', '\t'])).context(KNOWN)?;
    let (name, value) = rest.trim().split_once([' ', '\t']).context(KNOWN)?;
    ensure!(is_name(name), "`{name}` is no name: letters, digits and _ make one");
    let number = |text: &str| {
        text.trim().parse::<i64>().ok().with_context(|| format!("`{}` is no whole number: {KNOWN}", text.trim()))
    };
    let value = value.trim();
    let range = match value.strip_prefix("random(").and_then(|rest| rest.strip_suffix(')')) {
        Some(inside) => {
            let (low, high) = inside.split_once(',').context(KNOWN)?;
            number(low)?..=number(high)?
        }
        None => number(value)?..=number(value)?,
    };
    ensure!(!range.is_empty(), "nothing is from {} to {}", range.start(), range.end());
    Ok((name.to_owned(), range))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The statements of a text, as the server's own lexer tells them apart.
fn split(text: &str, protocol: Protocol) -> Result<impl Iterator<Item = &str>> {
    let mut ends = Vec::new();
    let place = |token: &[u8]| token.as_ptr() as usize - text.as_ptr() as usize;
    let unclosed = |token: &[u8]| {
        let line = text[..place(token)].lines().count().max(1);
        bail!("line {line}: what begins here never ends, or not everywhere: a string, a name or a comment")
    };
    match protocol {
        Protocol::Postgres => {
            let dialect = sql::Dialect::Postgres { standard_conforming_strings: true };
            for token in sql::Lexer::new(text.as_bytes(), dialect) {
                match token.kind {
                    sql::TokenKind::Semicolon => ends.push(place(token.text)),
                    sql::TokenKind::Unclosed => return unclosed(token.text),
                    _ => {}
                }
            }
        }
        Protocol::Mysql => {
            for token in sql::mysql::Lexer::new(text.as_bytes(), sql::mysql::Mode::STANDARD) {
                match token.kind {
                    sql::mysql::TokenKind::Semicolon => ends.push(place(token.text)),
                    sql::mysql::TokenKind::Unclosed | sql::mysql::TokenKind::Doubtful => return unclosed(token.text),
                    _ => {}
                }
            }
        }
    }
    ends.push(text.len());
    let begins = std::iter::once(0).chain(ends.clone().into_iter().map(|end| end + 1));
    let statements = begins.zip(ends).map(|(begin, end)| without_comments(&text[begin..end]));
    Ok(statements.filter(|statement| !statement.is_empty()))
}

/// A statement without the white space and the whole lines of comment before it.
fn without_comments(statement: &str) -> &str {
    let mut rest = statement.trim();
    while rest.starts_with("--") {
        rest = rest.split_once('\n').map_or("", |(_, after)| after.trim_start());
    }
    rest
}

/// A statement cut where `:name` stands for a number. `::` is a cast.
fn pieces(statement: &str, names: &BTreeMap<String, usize>) -> Vec<Piece> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut rest = statement;
    while let Some(at) = rest.find(':') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        text.push_str(before);
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        match names.get(&after[..end]).filter(|_| !text.ends_with(':')) {
            Some(number) => {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Number(*number));
                rest = &after[end..];
            }
            None => {
                text.push(':');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    pieces.push(Piece::Text(text));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Protocol; 2] = [Protocol::Postgres, Protocol::Mysql];

    fn drawn(text: &str, protocol: Protocol) -> Vec<String> {
        Script::parse(text, protocol).unwrap().draw(&mut Dice::new(1))
    }

    #[test]
    fn statements_are_told_apart_as_the_server_does() {
        let text = "-- a comment; with a semicolon\nbegin;\nselect ';', 'it''s' /* ; */ from t;\n\n;commit";
        for protocol in BOTH {
            assert_eq!(drawn(text, protocol), ["begin", "select ';', 'it''s' /* ; */ from t", "commit"]);
        }
        assert_eq!(drawn("select $$a;b$$; select 2", Protocol::Postgres), ["select $$a;b$$", "select 2"]);
        assert_eq!(drawn("select `a;b`, 'a\\';b'; select 2", Protocol::Mysql), ["select `a;b`, 'a\\';b'", "select 2"]);
    }

    #[test]
    fn numbers_stand_where_their_names_are() {
        let text = "\\set a 7\n\\set b random(3, 3)\nselect :a, x::a, :ab, ':b', @c := :a;\n";
        assert_eq!(drawn(text, Protocol::Mysql), ["select 7, x::a, :ab, '3', @c := 7"]);
    }

    #[test]
    fn drawn_numbers_fill_their_range_and_no_more() {
        let script = Script::parse("\\set n random(-2, 2)\nselect :n", Protocol::Postgres).unwrap();
        let mut dice = Dice::new(7);
        let seen: std::collections::BTreeSet<String> = (0..1_000).flat_map(|_| script.draw(&mut dice)).collect();
        assert_eq!(seen.len(), 5, "{seen:?}");
        assert!(seen.contains("select -2") && seen.contains("select 2"), "{seen:?}");
        let all = i64::MIN..=i64::MAX;
        assert_ne!(dice.draw(&all), dice.draw(&all));
    }

    #[test]
    fn what_is_not_understood_names_its_line() {
        for (text, told) in [
            ("select 1;\n\\sleep 5 ms\n", "line 2: only \\set"),
            ("\\set a random(1, x)\n", "line 1: `x` is no whole number"),
            ("\\set a random(5, 1)\n", "line 1: nothing is from 5 to 1"),
            ("\\set a-b 5\n", "line 1: `a-b` is no name"),
            ("\\settle\n", "line 1: only"),
            ("select 1;\nselect 'x\n", "line 2: what begins here never ends"),
            ("-- nothing\n;\n", "there is no statement in it"),
            ("", "there is no statement in it"),
        ] {
            for protocol in BOTH {
                let said = format!("{:#}", Script::parse(text, protocol).unwrap_err());
                assert!(said.starts_with(told), "{said:?} does not begin with {told:?}");
            }
        }
    }
}
