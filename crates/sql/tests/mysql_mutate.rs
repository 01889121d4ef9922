//! Texts nobody wrote: nothing panics, white space never matters, and a longer text never does less.
//!
//! The seeds in `corpus/mysql` are also the fuzzer's (`fuzz/`); here each is changed at random for a bounded number of rounds.

use proptest::prelude::*;
use proptest::sample::select;
use sql::Count;
use sql::mysql::{
    Assignment, Charset, Diagnostics, Effects, Keyword, Kill, Lexer, Mode, Scope, Substitution, Verdict, assignments,
    inspect, kill_target, show_diagnostics, substitutions, transaction_verb, use_target,
};

const CORPUS: [&str; 6] = [
    include_str!("../corpus/mysql/calls.sql"),
    include_str!("../corpus/mysql/comments.sql"),
    include_str!("../corpus/mysql/session.sql"),
    include_str!("../corpus/mysql/set.sql"),
    include_str!("../corpus/mysql/transaction.sql"),
    include_str!("../corpus/mysql/values.sql"),
];

const ROUNDS: usize = 20_000;

/// Every combination of what a mode can be.
fn mode(number: usize) -> Mode {
    Mode {
        ansi_quotes: number & 1 != 0,
        no_backslash_escapes: number & 2 != 0,
        mariadb: number & 4 != 0,
        charset: [Charset::Utf8, Charset::SingleByte, Charset::MultiByte][number / 8 % 3],
    }
}

/// Calls everything that reads a text, and checks what must hold for any text at all.
fn check_any_text(text: &[u8], mode: Mode) {
    let verdict = inspect(text, mode);
    let effects = verdict.effects;
    if verdict.statements == Count::Zero {
        assert_eq!((verdict.first, effects), (Keyword::Nothing, Effects::NONE));
    }
    if let Some(assignments) = assignments(text, mode) {
        // Whatever is understood must have been reported.
        assert!(verdict.is_single_set());
        for assignment in assignments {
            assert!(effects.contains(effects_of(assignment)), "{assignment:?} {effects:?}");
        }
    }
    if let Some(calls) = substitutions(text, mode) {
        let mut at = 0;
        for change in calls {
            assert!(effects.intersects(Effects::FOUND_ROWS | Effects::ROW_COUNT | Effects::CONNECTION_ID));
            at = match change {
                Substitution::Value { call, .. } => {
                    assert!(call.start >= at && text[call.clone()].ends_with(b")"));
                    call.end
                }
                Substitution::Name { item } => {
                    assert!(item.end >= at && item.start < item.end);
                    item.end
                }
            };
        }
    } else if !effects.intersects(Effects::FOUND_ROWS | Effects::ROW_COUNT | Effects::CONNECTION_ID) {
        // Nothing to substitute, so only what cannot be read is in the way, or a name that is not used as one.
        let named = |name: &[u8]| text.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
        let tokens = || Lexer::new(text, mode);
        assert!(named(b"thread_id") || tokens().any(|token| is_unreadable(token.kind)), "{}", text.escape_ascii());
    }
    check_commands(text, mode, verdict);
    check_tokens(text, mode);
}

fn is_unreadable(kind: sql::mysql::TokenKind) -> bool {
    matches!(kind, sql::mysql::TokenKind::Doubtful | sql::mysql::TokenKind::Unclosed)
}

fn effects_of(assignment: Assignment<'_>) -> Effects {
    match assignment {
        Assignment::User { .. } => Effects::USER_VARIABLE_WRITE,
        Assignment::Names { .. } | Assignment::CharacterSet { .. } => Effects::SETS,
        Assignment::System { scope, .. } | Assignment::Transaction { scope, .. } => match scope {
            Scope::NextTransaction => Effects::NEXT_TRANSACTION,
            Scope::Session => Effects::SETS,
            Scope::Global | Scope::Persist | Scope::PersistOnly => Effects::SETS_GLOBAL,
        },
    }
}

/// What a pooler would carry out itself is one statement, and nothing else.
fn check_commands(text: &[u8], mode: Mode, verdict: Verdict) {
    let is_one = |keywords: &[Keyword], effects| {
        assert_eq!(verdict.statements, Count::One);
        assert!(keywords.contains(&verdict.first) && verdict.effects == effects, "{verdict:?}");
    };
    if let Some(used) = use_target(text, mode)
        && used.target.is_none()
    {
        is_one(&[Keyword::Use], Effects::USE);
    }
    if let Some(Kill::Query { .. } | Kill::Connection { .. }) = kill_target(text, mode) {
        is_one(&[Keyword::Kill], Effects::KILL);
    }
    match show_diagnostics(text, mode) {
        Some(Diagnostics::CountWarnings { column } | Diagnostics::CountErrors { column }) => {
            assert!(column.starts_with(b"@@"));
            is_one(&[Keyword::Show, Keyword::Select], Effects::READS_DIAGNOSTICS);
        }
        Some(_) => is_one(&[Keyword::Show], Effects::READS_DIAGNOSTICS),
        None => {}
    }
    if transaction_verb(text, mode).is_some() {
        let verbs =
            [Keyword::Begin, Keyword::Start, Keyword::Commit, Keyword::Rollback, Keyword::Savepoint, Keyword::Release];
        is_one(&verbs, Effects::TRANSACTION);
    }
}

/// Tokens follow each other without overlap, and only white space and comments lie between them.
fn check_tokens(text: &[u8], mode: Mode) {
    let mut at = 0;
    for token in Lexer::new(text, mode).filter(|token| !token.text.is_empty()) {
        let start = token.text.as_ptr() as usize - text.as_ptr() as usize;
        assert!(start >= at);
        if let Some(first) = text[at..start].iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0x0b) {
            assert!(matches!(first, b'-' | b'/' | b'#' | b'*'), "{} in {}", first.escape_ascii(), text.escape_ascii());
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
        const TRICKY: &[u8] = b"'\"`$\\;-/*!M+.()@#\n e0:,=?\0\xa0\xff";
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
        check_any_text(&text, mode(dice.roll(24)));
    }
}

/// Complete pieces, none of which can swallow what stands after it.
const PIECES: &[&str] = &[
    "select",
    "set",
    "x",
    "1",
    "global",
    "session",
    "local",
    "names",
    "role",
    "transaction",
    "read",
    "only",
    "temporary",
    "create",
    "drop",
    "prepare",
    "table",
    "into",
    "insert",
    "replace",
    "update",
    "for",
    "share",
    "with",
    "lock",
    "in",
    "tables",
    "unlock",
    "flush",
    "begin",
    "work",
    "start",
    "commit",
    "rollback",
    "to",
    "savepoint",
    "release",
    "and",
    "no",
    "chain",
    "use",
    "kill",
    "query",
    "show",
    "warnings",
    "count",
    "limit",
    "@@",
    "@x",
    "@`a`",
    ":=",
    "=",
    "warning_count",
    "last_insert_id",
    "get_lock",
    "found_rows",
    "row_count",
    "connection_id",
    "next",
    "value",
    "statement",
    "call",
    "execute",
    "immediate",
    "default",
    "sql_mode",
    "union",
    "from",
    "(",
    ")",
    ",",
    ".",
    "+",
    "-",
    "*",
    "?",
    "'a'",
    "\"b\"",
    "`c`",
    "1.5",
    "/*!40000",
    "*/",
    "/*!80000",
    "<>",
    "n'a'",
    "xa",
    "handler",
    "load",
    "data",
    "explain",
    "frobnicate",
];

/// What separates tokens and means nothing.
const BLANKS: &[&str] =
    &[" ", "\n", "\t \r\n", " /* ' */ ", " /* a /* ; */ ", " -- ' ; set\n", " # `\n", "\x0c", " /*+ x */ "];

fn text_of(pieces: &[&str], blanks: &[&str]) -> String {
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        text += blanks[at % blanks.len()];
        text += piece;
    }
    text
}

/// A statement of pieces that holds no semicolon outside quotes.
fn statement() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(select(PIECES), 0..12)
}

/// One whose comments do not go on behind it, nor decide what is read.
fn closed_statement() -> impl Strategy<Value = Vec<&'static str>> {
    statement().prop_map(|mut pieces| {
        pieces.retain(|piece| !piece.contains("/*"));
        pieces
    })
}

fn inspected(text: &str) -> Verdict {
    inspect(text.as_bytes(), Mode::STANDARD)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), number in 0_usize..24) {
        check_any_text(&bytes, mode(number));
    }

    #[test]
    fn arbitrary_pieces(
        pieces in proptest::collection::vec(select(PIECES), 0..20),
        glue in select(&["", " ", ";"][..]),
        number in 0_usize..24,
    ) {
        check_any_text(pieces.join(glue).as_bytes(), mode(number));
    }

    #[test]
    fn white_space_and_comments_never_matter(
        pieces in statement(),
        blanks in proptest::collection::vec(select(BLANKS), 1..5),
        end in select(BLANKS),
    ) {
        // An older server passes over a newer one's comment whole, where a comment in it is one, but half of one is not.
        prop_assume!(!pieces.contains(&"/*!80000"));
        let plain = text_of(&pieces, &[" "]);
        let spread = text_of(&pieces, &blanks) + end;
        prop_assert_eq!(inspected(&plain), inspected(&spread), "{:?} {:?}", plain, spread);
    }

    #[test]
    fn statements_add_up(a in closed_statement(), b in closed_statement()) {
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

    /// A comment that only some servers carry out may do what its text does, and what the rest does without it.
    #[test]
    fn comments_for_some_versions_hold_for_all(
        before in closed_statement(),
        inside in closed_statement(),
        behind in closed_statement(),
    ) {
        let [before, inside, behind] = [before, inside, behind].map(|pieces| text_of(&pieces, &[" "]));
        let both = inspected(&format!("{before} /*!80000 {inside} */ {behind}"));
        let code = inspected(&format!("{before} /*! {inside} */ {behind}"));
        let comment = inspected(&format!("{before} /* {} */ {behind}", inside.replace("*/", "")));
        prop_assert!(both.effects.contains(code.effects));
        if !inside.contains("*/") {
            prop_assert!(both.effects.contains(comment.effects));
        }
    }
}
