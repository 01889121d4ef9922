//! One walk over a text, collecting what it may do.

use super::Effects;
use super::lexer::{Dialect, Lexer, Token, TokenKind};
use super::set_config::set_config_effects;
use super::settings::{may_name_temp_schema, setting_effects};
use super::word::{Clause, Keyword, Word};
use crate::Count;

/// What a text is and may do. See the crate's page for what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How many statements there are, empty ones not counted.
    pub statements: Count,
    /// The first word of the first statement; that of a query in parentheses is the query's.
    pub first: Keyword,
    /// What any of the statements may do.
    pub effects: Effects,
}

/// Judges a PostgreSQL text.
///
/// `standard_conforming_strings` is the session's setting of that name, `on` by default.
pub fn inspect(text: &[u8], standard_conforming_strings: bool) -> Verdict {
    let mut lexer = Lexer::new(text, Dialect::Postgres { standard_conforming_strings });
    let mut walk = Walk::new();
    while let Some(token) = lexer.next() {
        walk.step(token, &lexer);
    }
    Verdict { statements: walk.statements, first: walk.first, effects: walk.effects }
}

/// Whether a PostgreSQL text holds no statement: the server answers it with `EmptyQueryResponse`.
pub fn is_empty(text: &[u8]) -> bool {
    // A string is a statement already, so how far it goes does not matter.
    Lexer::new(text, Dialect::Postgres { standard_conforming_strings: true })
        .all(|token| token.kind == TokenKind::Semicolon)
}

/// Where the walk is.
struct Walk {
    statements: Count,
    first: Keyword,
    effects: Effects,
    place: Place,
    /// The meaning of the token before this one.
    previous: Word,
    /// Parentheses open in this statement.
    depth: u32,
}

/// Where in a statement the walk is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before it.
    Before,
    /// Behind parentheses that opened it; a query begins inside them.
    Opened,
    /// Behind its first word, or the token in that place.
    Inside(Keyword),
}

impl Walk {
    fn new() -> Self {
        Self {
            statements: Count::Zero,
            first: Keyword::Nothing,
            effects: Effects::NONE,
            place: Place::Before,
            previous: Word::Other,
            depth: 0,
        }
    }

    /// Takes the next token; `rest` begins behind it.
    #[inline]
    fn step(&mut self, token: Token<'_>, rest: &Lexer<'_>) {
        self.previous = if token.kind == TokenKind::Word {
            self.word(Word::of(token.text), rest)
        } else {
            self.no_word(token, rest)
        };
    }

    /// Takes a token that is not an unquoted word and returns what the next one needs to know of it.
    fn no_word(&mut self, token: Token<'_>, rest: &Lexer<'_>) -> Word {
        match token.kind {
            TokenKind::Semicolon => {
                self.place = Place::Before;
                self.depth = 0;
                Word::Other
            }
            TokenKind::Open => self.open(),
            TokenKind::Close => {
                self.depth = self.depth.saturating_sub(1);
                self.other(Word::Other, rest)
            }
            TokenKind::Dot => self.other(self.dot(), rest),
            TokenKind::QuotedIdentifier => self.word(token.unquoted().map_or(Word::Other, Word::of_quoted), rest),
            TokenKind::UnicodeIdentifier => self.word(Word::Name(Effects::ANY_FUNCTION), rest),
            TokenKind::String | TokenKind::EscapeString => self.string(token, rest),
            _ => self.other(Word::Other, rest),
        }
    }

    /// Takes a word and returns what the next one needs to know of it.
    #[inline]
    fn word(&mut self, word: Word, rest: &Lexer<'_>) -> Word {
        match self.place {
            Place::Inside(_) if word == Word::Other => word,
            Place::Inside(leading) => self.inside(word, leading, rest),
            Place::Before | Place::Opened => self.begin(word, rest),
        }
    }

    /// What a dot means behind the token before it.
    fn dot(&self) -> Word {
        if self.previous == Word::PgCatalog { Word::CatalogDot } else { Word::Dot }
    }

    fn string(&mut self, token: Token<'_>, rest: &Lexer<'_>) -> Word {
        if self.place == Place::Inside(Keyword::Set) && may_name_temp_schema(token) {
            self.effects |= Effects::TEMP;
        }
        self.other(Word::Other, rest)
    }

    fn open(&mut self) -> Word {
        self.depth = self.depth.saturating_add(1);
        if self.place == Place::Before {
            self.count();
            self.place = Place::Opened;
        }
        Word::Other
    }

    /// Takes a token that is no name; a statement that begins with one is none we know.
    fn other(&mut self, word: Word, rest: &Lexer<'_>) -> Word {
        match self.place {
            Place::Inside(_) => word,
            Place::Before | Place::Opened => self.begin(word, rest),
        }
    }

    /// Counts the statement that begins here.
    fn count(&mut self) {
        self.statements = self.statements.next();
        if self.statements == Count::One {
            self.first = Keyword::Other;
        }
    }

    /// Takes the first word of a statement.
    #[cold]
    fn begin(&mut self, word: Word, rest: &Lexer<'_>) -> Word {
        if self.place == Place::Before {
            self.count();
        }
        let keyword = match word {
            Word::Leading(keyword) => keyword,
            _ => Keyword::Other,
        };
        if self.statements == Count::One {
            self.first = keyword;
        }
        self.place = Place::Inside(keyword);
        self.effects |= leading_effects(keyword, rest);
        match word {
            Word::Name(effects) => self.effects |= effects,
            Word::SetConfig => self.effects |= Effects::SET_CONFIG,
            _ => {}
        }
        word
    }

    /// Takes a later word of a statement.
    fn inside(&mut self, word: Word, leading: Keyword, rest: &Lexer<'_>) -> Word {
        match word {
            Word::Other | Word::PgCatalog | Word::Dot | Word::CatalogDot => {}
            Word::Name(effects) => self.effects |= effects,
            // In another schema it is another function.
            Word::SetConfig if self.previous == Word::Dot => self.effects |= Effects::SET_CONFIG,
            Word::SetConfig => self.effects |= set_config_effects(rest),
            // Its rule turns an update into a call of set_config. The table's name comes after the word UPDATE.
            Word::PgSettings if self.effects.intersects(Effects::WRITES) => self.effects |= Effects::SET_CONFIG,
            Word::PgSettings => {}
            // Behind a dot any word is a name.
            Word::Leading(_) | Word::Clause(_) if matches!(self.previous, Word::Dot | Word::CatalogDot) => {
                return Word::Other;
            }
            Word::Leading(keyword) => self.effects |= self.embedded_effects(keyword, leading),
            // What INSERT INTO and MERGE INTO name is a table, even if it is called "temp".
            Word::Clause(Clause::Into) if matches!(self.previous, Word::Leading(Keyword::Insert | Keyword::Merge)) => {
                return Word::Other;
            }
            Word::Clause(clause) => self.effects |= self.clause_effects(clause, leading),
        }
        word
    }

    /// What a word does that could begin a statement and stands inside one.
    fn embedded_effects(&self, keyword: Keyword, leading: Keyword) -> Effects {
        let locking = matches!(self.previous, Word::Clause(Clause::For | Clause::Key));
        match keyword {
            Keyword::Update if locking => Effects::LOCKS_ROWS,
            // In WITH, EXPLAIN, PREPARE and COPY. A column of such a name is taken for a write, which does no harm.
            Keyword::Insert | Keyword::Update | Keyword::Delete | Keyword::Merge => Effects::WRITES,
            // EXPLAIN ANALYZE EXECUTE and CREATE TABLE … AS EXECUTE; not CREATE TRIGGER … EXECUTE FUNCTION.
            Keyword::Execute if leading == Keyword::Explain || self.previous == Word::Clause(Clause::As) => {
                Effects::EXECUTES
            }
            // EXPLAIN ANALYZE carries these out too.
            Keyword::Create | Keyword::Refresh if leading == Keyword::Explain => Effects::DDL,
            _ => Effects::NONE,
        }
    }

    fn clause_effects(&self, clause: Clause, leading: Keyword) -> Effects {
        let previous_is =
            |clauses: &[Clause]| matches!(self.previous, Word::Clause(clause) if clauses.contains(&clause));
        match clause {
            // CREATE [OR REPLACE] [LOCAL | GLOBAL] TEMP and SELECT … INTO [LOCAL | GLOBAL] TEMP; elsewhere it is a name.
            Clause::Temp
                if self.previous == Word::Leading(Keyword::Create)
                    || previous_is(&[Clause::Replace, Clause::Local, Clause::Global, Clause::Into]) =>
            {
                Effects::TEMP
            }
            Clause::Hold if self.previous == Word::Leading(Keyword::With) => Effects::CURSOR_HOLD,
            Clause::Share if previous_is(&[Clause::For, Clause::Key]) => Effects::LOCKS_ROWS,
            // SELECT … INTO makes a table.
            Clause::Into => Effects::DDL | Effects::WRITES,
            Clause::From if leading == Keyword::Copy && self.depth == 0 => Effects::WRITES,
            Clause::Chain
                if !previous_is(&[Clause::No])
                    && matches!(leading, Keyword::Commit | Keyword::End | Keyword::Rollback | Keyword::Abort) =>
            {
                Effects::BEGINS
            }
            _ => Effects::NONE,
        }
    }
}

/// What a statement does because of the word it begins with; `rest` begins behind that word.
fn leading_effects(keyword: Keyword, rest: &Lexer<'_>) -> Effects {
    let next_is = |skip, word: &[u8]| rest.peek(skip).is_some_and(|token| token.is_word(word));
    match keyword {
        Keyword::Select | Keyword::Values | Keyword::With | Keyword::Table => Effects::NONE,
        Keyword::Insert | Keyword::Update | Keyword::Delete | Keyword::Merge | Keyword::Truncate => Effects::WRITES,
        Keyword::Set | Keyword::Reset => setting_effects(keyword, rest.clone()),
        Keyword::Begin | Keyword::Start => Effects::BEGINS,
        // The two-phase commands act on another transaction than the session's own.
        Keyword::Commit | Keyword::Rollback if next_is(0, b"prepared") => Effects::WRITES,
        Keyword::Rollback if next_is(0, b"to") => Effects::SAVEPOINTS,
        Keyword::Rollback if (next_is(0, b"work") || next_is(0, b"transaction")) && next_is(1, b"to") => {
            Effects::SAVEPOINTS
        }
        Keyword::Commit | Keyword::End | Keyword::Rollback | Keyword::Abort => Effects::ENDS,
        Keyword::Savepoint | Keyword::Release => Effects::SAVEPOINTS,
        // A statement may be called "transaction"; a two-phase commit has a string there.
        Keyword::Prepare if next_is(0, b"transaction") && !next_is(1, b"as") => match rest.peek(1) {
            Some(Token { kind: TokenKind::Open, .. }) => Effects::PREPARES,
            _ => Effects::ENDS,
        },
        Keyword::Prepare => Effects::PREPARES,
        Keyword::Execute => Effects::EXECUTES,
        Keyword::Deallocate => Effects::DEALLOCATES,
        Keyword::Discard => Effects::DISCARDS,
        Keyword::Listen => Effects::LISTENS,
        Keyword::Unlisten => Effects::UNLISTENS,
        Keyword::Notify => Effects::NOTIFIES,
        Keyword::Declare => Effects::DECLARES,
        Keyword::Load => Effects::LOADS,
        Keyword::Copy => Effects::COPIES,
        Keyword::Call | Keyword::Do => Effects::CALLS,
        Keyword::Lock => Effects::LOCKS_TABLES,
        Keyword::Alter
        | Keyword::Analyze
        | Keyword::Checkpoint
        | Keyword::Cluster
        | Keyword::Comment
        | Keyword::Create
        | Keyword::Drop
        | Keyword::Grant
        | Keyword::Import
        | Keyword::Reassign
        | Keyword::Refresh
        | Keyword::Reindex
        | Keyword::Revoke
        | Keyword::Security
        | Keyword::Vacuum => Effects::DDL,
        Keyword::Explain | Keyword::Show | Keyword::Fetch | Keyword::Move | Keyword::Close => Effects::NONE,
        Keyword::Nothing | Keyword::Other => Effects::NONE,
    }
}
