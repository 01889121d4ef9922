//! Texts nobody wrote: nothing panics, white space never matters, and a longer text never does less.
//!
//! The seeds in `corpus/` are also the fuzzer's (`fuzz/`); here each is changed at random for a bounded number of rounds.

use proptest::prelude::*;
use proptest::sample::select;
use sql::{Count, Dialect, Effects, Keyword, Lexer, TokenKind, Verdict, inspect};

const CORPUS: [&str; 6] = [
    include_str!("../corpus/settings.sql"),
    include_str!("../corpus/strings.sql"),
    include_str!("../corpus/comments.sql"),
    include_str!("../corpus/session.sql"),
    include_str!("../corpus/queries.sql"),
    include_str!("../corpus/continued.sql"),
];

const ROUNDS: usize = 20_000;

/// Calls everything that reads a text, and checks what must hold for any text at all.
fn check_any_text(text: &[u8], standard_conforming_strings: bool) {
    let verdict = inspect(text, standard_conforming_strings);
    assert_eq!(verdict.statements == Count::Zero, verdict.first == Keyword::Nothing);
    assert_eq!(sql::is_empty(text), verdict.statements == Count::Zero);
    if verdict.statements == Count::Zero {
        assert_eq!(verdict.effects, Effects::NONE);
    }
    if let Some(changes) = sql::inspect_settings(text, standard_conforming_strings) {
        // Whatever is understood as settings must have been reported as such.
        let expected = Effects::SETS | Effects::SET_LOCAL;
        let (understood, reported) = (changes.count() > 0, verdict.effects.intersects(expected));
        // In parentheses, where only queries may stand, they are reported and not understood.
        assert!(understood == reported || (reported && text.contains(&b'(')));
    }
    if sql::deallocate_target(text).is_some() {
        assert!(verdict.first == Keyword::Deallocate && verdict.effects.contains(Effects::DEALLOCATES));
    }
    if sql::discard_target(text).is_some() {
        assert_eq!((verdict.first, verdict.effects), (Keyword::Discard, Effects::DISCARDS));
    }
    check_tokens(text, standard_conforming_strings);
}

/// Tokens follow each other without overlap, and only white space and comments lie between them.
fn check_tokens(text: &[u8], standard_conforming_strings: bool) {
    let mut at = 0;
    for token in Lexer::new(text, Dialect::Postgres { standard_conforming_strings }) {
        assert!(!token.text.is_empty());
        let start = token.text.as_ptr() as usize - text.as_ptr() as usize;
        assert!(start >= at);
        if let Some(first) = text[at..start].iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0x0b) {
            assert!(matches!(first, b'-' | b'/'), "{} in {}", first.escape_ascii(), text.escape_ascii());
        }
        at = start + token.text.len();
    }
}

/// A generator good enough to choose mutations (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }

    /// Changes `text` in a few places, preferring the characters that lexers stumble over.
    fn mutate(&mut self, text: &mut Vec<u8>) {
        const TRICKY: &[u8] = b"'\"$\\;-/*.()\n eEuU&,=0\0\xff";
        for _ in 0..=self.roll(4) {
            let at = self.roll(text.len() + 1);
            match self.roll(5) {
                0 => text.insert(at, TRICKY[self.roll(TRICKY.len())]),
                1 => text.truncate(at),
                2 if at < text.len() => text[at] = self.roll(256) as u8,
                3 if at < text.len() => drop(text.remove(at)),
                _ => {
                    let from = self.roll(at + 1);
                    let piece = text[from..at].to_vec();
                    text.extend_from_slice(&piece);
                }
            }
        }
    }
}

#[test]
fn mutated_seeds() {
    let mut dice = Dice(0x5ca1_ab1e);
    for round in 0..ROUNDS {
        let mut text = CORPUS[round % CORPUS.len()].as_bytes().to_vec();
        dice.mutate(&mut text);
        check_any_text(&text, round % 2 == 0);
    }
}

/// Complete pieces, none of which can swallow what stands after it.
const PIECES: &[&str] = &[
    "select",
    "set",
    "x",
    "to",
    "1",
    "local",
    "session",
    "role",
    "temp",
    "create",
    "table",
    "into",
    "insert",
    "update",
    "for",
    "with",
    "hold",
    "declare",
    "listen",
    "commit",
    "rollback",
    "prepare",
    "transaction",
    "execute",
    "as",
    "copy",
    "from",
    "set_config",
    "pg_temp",
    "pg_settings",
    "pg_advisory_lock",
    "nextval",
    "(",
    ")",
    ",",
    ".",
    "=",
    "+",
    "-",
    "/",
    "*",
    "$1",
    "'a'",
    "'pg_temp'",
    "E'\\''",
    "$$;$$",
    "\"a\"",
    "\"set_config\"",
    "U&\"a\"",
    "e",
    "u",
    "B'1'",
    "to",
    "reset",
    "all",
    "end",
    "begin",
    "and",
    "chain",
    "no",
    "key",
    "share",
    "explain",
    "call",
    "merge",
    "1.5",
    "<>",
];

/// What separates tokens and means nothing.
const BLANKS: &[&str] =
    &[" ", "\n", "\t \r\n", " /* ' */ ", " /* a /* ; */ $$ */ ", " -- ' ; set\n", " -- $$\r", "\x0c"];

fn text_of(pieces: &[&str], blanks: &[&str]) -> String {
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        // White space with a line's end between two strings would join them.
        let previous_is_string = at > 0 && pieces[at - 1].ends_with('\'');
        text += if previous_is_string { " /**/ " } else { blanks[at % blanks.len()] };
        text += piece;
    }
    text
}

/// A statement of pieces that holds no semicolon outside quotes.
fn statement() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(select(PIECES), 0..12)
}

fn inspected(text: &str) -> Verdict {
    inspect(text.as_bytes(), true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), standard in any::<bool>()) {
        check_any_text(&bytes, standard);
    }

    #[test]
    fn arbitrary_pieces(pieces in proptest::collection::vec(select(PIECES), 0..20), glue in select(&["", " ", ";"][..])) {
        check_any_text(pieces.join(glue).as_bytes(), true);
    }

    #[test]
    fn white_space_and_comments_never_matter(
        pieces in statement(),
        blanks in proptest::collection::vec(select(BLANKS), 1..5),
        end in select(BLANKS),
    ) {
        let plain = text_of(&pieces, &[" "]);
        let spread = text_of(&pieces, &blanks) + end;
        prop_assert_eq!(inspected(&plain), inspected(&spread), "{:?} {:?}", plain, spread);
    }

    #[test]
    fn statements_add_up(a in statement(), b in statement()) {
        let (a, b) = (text_of(&a, &[" "]), text_of(&b, &[" "]));
        let both = inspected(&format!("{a} ; {b}"));
        let (a, b) = (inspected(&a), inspected(&b));
        prop_assert!(both.effects.contains(a.effects | b.effects));
        let count = match (a.statements, b.statements) {
            (Count::Zero, count) | (count, Count::Zero) => count,
            _ => Count::Many,
        };
        prop_assert_eq!(both.statements, count);
        prop_assert_eq!(both.first, if a.statements == Count::Zero { b.first } else { a.first });
    }

    #[test]
    fn names_in_quotes_are_quoted_tokens(name in "[^\"\0]{1,20}") {
        let text = format!("\"{name}\"");
        let tokens: Vec<_> =
            Lexer::new(text.as_bytes(), Dialect::Postgres { standard_conforming_strings: true }).collect();
        prop_assert_eq!(tokens.len(), 1);
        prop_assert_eq!(tokens[0].kind, TokenKind::QuotedIdentifier);
    }
}
