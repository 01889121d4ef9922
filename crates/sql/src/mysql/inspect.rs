//! One walk over a text, collecting what it may do.

use super::doubt;
use super::effects::Effects;
use super::lexer::{Lexer, Reading, Token, TokenKind};
use super::mode::Mode;
use super::target::{Scope, Target};
use super::word::{Clause, Keyword, Word, variable_effects};
use crate::Count;

/// What a text is and may do. See the module's page for what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How many statements there are, empty ones not counted.
    pub statements: Count,
    /// The first word of the first statement; that of a query in parentheses is the query's, that of `SET STATEMENT … FOR` is
    /// what follows.
    pub first: Keyword,
    /// What any of the statements may do.
    pub effects: Effects,
}

impl Verdict {
    /// Whether the text is exactly one `SET`.
    pub fn is_single_set(&self) -> bool {
        self.statements == Count::One && self.first == Keyword::Set
    }

    /// What holds if either of two readings does.
    fn or(self, other: Self) -> Self {
        let statements = match (self.statements, other.statements) {
            (Count::Many, _) | (_, Count::Many) => Count::Many,
            (Count::One, _) | (_, Count::One) => Count::One,
            (Count::Zero, Count::Zero) => Count::Zero,
        };
        let first = if self.first == other.first { self.first } else { Keyword::Other };
        Self { statements, first, effects: self.effects | other.effects }
    }
}

/// Judges a text that a session in `mode` sends.
pub fn inspect(text: &[u8], mode: Mode) -> Verdict {
    let mut lexer = Lexer::with_reading(text, mode, Reading::Code);
    let verdict = walk(text, &mut lexer);
    if lexer.depends_on_reading() {
        return verdict.or(walk(text, &mut Lexer::with_reading(text, mode, Reading::Comment)));
    }
    verdict
}

fn walk<'a>(text: &'a [u8], lexer: &mut Lexer<'a>) -> Verdict {
    let mut walk = Walk::new();
    while let Some(token) = lexer.next() {
        walk.step(token, lexer);
    }
    let doubted = if walk.in_doubt { doubt::effects(text) } else { Effects::NONE };
    Verdict { statements: walk.statements, first: walk.first, effects: walk.effects | doubted }
}

struct Walk {
    statements: Count,
    first: Keyword,
    /// What is certain.
    effects: Effects,
    /// Something in the text cannot be judged. What that may do is asked of the text once, however much of it there is.
    in_doubt: bool,
    place: Place,
    previous: Previous,
    /// Parentheses open in this statement.
    depth: u32,
    rules: Rules,
}

/// Where in a statement the walk is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before it.
    Before,
    /// Behind parentheses that opened it, or behind `SET STATEMENT … FOR`: its first word is still to come.
    Opened,
    /// Behind `SET STATEMENT` or `SET TRANSACTION`: no assignments to the session follow.
    Settings,
    /// Behind its first word, or the token in that place.
    Inside(Keyword),
}

/// What the next token needs to know of the one before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Previous {
    Leading(Keyword),
    Clause(Clause),
    /// `SET`, or a comma behind it: an assignment follows.
    Assignments,
    /// `@@`, or a dot inside a qualified name: what follows is a name.
    Qualifier,
    /// A string or a name in quotes: an `@` behind it makes it an account.
    Quoted,
    /// A user variable that takes a value from `INTO`.
    IntoVariable,
    Other,
}

/// The lexical rules that the rest of the text is read by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Those it began with.
    AtStart,
    /// A statement may have changed them, for the statements behind it.
    MayChange,
    /// That does not matter: what is left reads the same by all.
    Irrelevant,
}

impl Walk {
    fn new() -> Self {
        Self {
            statements: Count::Zero,
            first: Keyword::Nothing,
            effects: Effects::NONE,
            in_doubt: false,
            place: Place::Before,
            previous: Previous::Other,
            depth: 0,
            rules: Rules::AtStart,
        }
    }

    /// Takes the next token; `rest` begins behind it.
    #[inline]
    fn step(&mut self, token: Token<'_>, rest: &Lexer<'_>) {
        self.previous = if token.kind == TokenKind::Word {
            match (Word::of(token.text), self.place) {
                (Word::Other, Place::Inside(_)) => Previous::Other,
                (word, _) => self.word(word, rest),
            }
        } else {
            self.no_word(token, rest)
        };
    }

    /// Takes a token that is not an unquoted word and returns what the next one needs to know of it.
    fn no_word(&mut self, token: Token<'_>, rest: &Lexer<'_>) -> Previous {
        match token.kind {
            TokenKind::Semicolon => return self.end(rest),
            TokenKind::Open => return self.open(),
            TokenKind::Doubtful => {
                self.doubt();
                return Previous::Other;
            }
            _ => {}
        }
        let Place::Inside(leading) = self.in_statement(rest) else { return Previous::Other };
        match token.kind {
            TokenKind::Close => {
                self.depth = self.depth.saturating_sub(1);
                Previous::Other
            }
            TokenKind::Comma => self.comma(leading, rest),
            TokenKind::Dot => Previous::Qualifier,
            TokenKind::String => Previous::Quoted,
            TokenKind::QuotedIdentifier => {
                let name = token.name().map_or(Word::Other, Word::of_name);
                self.effects |= self.name_effects(name, rest);
                Previous::Quoted
            }
            TokenKind::UserVariable => self.user_variable(leading, rest),
            TokenKind::SystemVariable => {
                if let Some(Target::Marked { name, .. }) = Target::marked(&mut rest.clone()) {
                    self.effects |= variable_effects(name);
                }
                Previous::Qualifier
            }
            _ => Previous::Other,
        }
    }

    /// Makes sure that a statement has begun, and returns where in it we are.
    fn in_statement(&mut self, rest: &Lexer<'_>) -> Place {
        if matches!(self.place, Place::Before | Place::Opened) {
            self.begin(Keyword::Other, rest);
        }
        match self.place {
            // Values that only the statement behind them sees are read like any other expressions.
            Place::Settings => Place::Inside(Keyword::Other),
            place => place,
        }
    }

    /// Takes a text that cannot be judged from here on.
    #[cold]
    fn doubt(&mut self) {
        self.statements = Count::Many;
        if self.first == Keyword::Nothing {
            self.first = Keyword::Other;
        }
        self.in_doubt = true;
    }

    /// Adds what a word does; all effects are those of one in doubt.
    fn add(&mut self, effects: Effects) {
        if effects == Effects::all() {
            self.in_doubt = true;
        } else {
            self.effects |= effects;
        }
    }

    fn end(&mut self, rest: &Lexer<'_>) -> Previous {
        self.place = Place::Before;
        self.depth = 0;
        if self.rules == Rules::MayChange {
            // The server reads each statement only when it has carried out those before it.
            if rest.rest().iter().any(|byte| matches!(byte, b'\\' | b'"') || !byte.is_ascii()) {
                self.doubt();
            }
            self.rules = Rules::Irrelevant;
        }
        Previous::Other
    }

    fn open(&mut self) -> Previous {
        self.depth = self.depth.saturating_add(1);
        if self.place == Place::Before {
            self.count();
            self.place = Place::Opened;
        }
        Previous::Other
    }

    fn comma(&mut self, leading: Keyword, rest: &Lexer<'_>) -> Previous {
        match self.previous {
            Previous::IntoVariable => Previous::Clause(Clause::Into),
            _ if leading == Keyword::Set && self.depth == 0 => self.assignment(rest),
            _ => Previous::Other,
        }
    }

    fn user_variable(&mut self, leading: Keyword, rest: &Lexer<'_>) -> Previous {
        let both = Effects::USER_VARIABLE_WRITE | Effects::USER_VARIABLE_READ;
        self.effects |= match self.previous {
            Previous::Quoted => Effects::NONE,
            Previous::Assignments => Effects::USER_VARIABLE_WRITE,
            Previous::Clause(Clause::Into) => {
                self.effects |= Effects::USER_VARIABLE_WRITE;
                return Previous::IntoVariable;
            }
            _ if matches!(leading, Keyword::Call | Keyword::Execute | Keyword::Load | Keyword::Get) => both,
            _ if rest.peek(0).is_some_and(|next| next.kind == TokenKind::Assign) => Effects::USER_VARIABLE_WRITE,
            _ => Effects::USER_VARIABLE_READ,
        };
        Previous::Other
    }

    /// Counts the statement that begins here.
    fn count(&mut self) {
        self.statements = self.statements.next();
        if self.statements == Count::One {
            self.first = Keyword::Other;
        }
    }

    /// Takes a word and returns what the next one needs to know of it.
    fn word(&mut self, word: Word, rest: &Lexer<'_>) -> Previous {
        match self.place {
            Place::Before | Place::Opened => match word {
                Word::Leading(keyword) => self.begin(keyword, rest),
                _ => self.begin(Keyword::Other, rest),
            },
            Place::Settings if self.depth == 0 && word == Word::Clause(Clause::For) => {
                self.place = Place::Opened;
                Previous::Other
            }
            Place::Settings => self.inside(word, Keyword::Other, rest),
            Place::Inside(leading) => self.inside(word, leading, rest),
        }
    }

    /// Takes the first word of a statement.
    #[cold]
    fn begin(&mut self, keyword: Keyword, rest: &Lexer<'_>) -> Previous {
        if self.place == Place::Before {
            self.count();
        }
        if self.statements == Count::One {
            self.first = keyword;
        }
        self.place = Place::Inside(keyword);
        if keyword == Keyword::Set {
            return self.assignment(rest);
        }
        let effects = leading_effects(keyword, rest);
        if effects.contains(Effects::CALLS) {
            self.rules = self.rules.may_change();
        }
        self.add(effects);
        Previous::Leading(keyword)
    }

    /// Takes what is set behind `SET` or a comma; the tokens of it come again, as those of any expression.
    #[cold]
    fn assignment(&mut self, rest: &Lexer<'_>) -> Previous {
        let target = Target::read(&mut rest.clone());
        self.add(target_effects(target));
        if may_change_rules(target) {
            self.rules = self.rules.may_change();
        }
        if matches!(target, Target::Statement | Target::Transaction(_)) {
            self.place = Place::Settings;
        }
        Previous::Assignments
    }

    /// Takes a later word of a statement.
    fn inside(&mut self, word: Word, leading: Keyword, rest: &Lexer<'_>) -> Previous {
        if self.previous == Previous::Qualifier {
            self.effects |= self.name_effects(word.as_name(), rest);
            return Previous::Other;
        }
        match word {
            Word::Other => Previous::Other,
            Word::Function(_) => {
                self.effects |= self.name_effects(word, rest);
                Previous::Other
            }
            Word::Leading(keyword) => {
                self.effects |= self.embedded_effects(keyword, leading, rest);
                Previous::Leading(keyword)
            }
            Word::Clause(clause) => {
                self.effects |= self.clause_effects(clause, leading, rest);
                self.effects |= self.name_effects(word, rest);
                Previous::Clause(clause)
            }
        }
    }

    /// What a word does that may be the name of a function or sequence.
    fn name_effects(&self, word: Word, rest: &Lexer<'_>) -> Effects {
        let is_qualified = self.previous == Previous::Qualifier;
        let is_called = || rest.peek(0).is_some_and(|next| next.kind == TokenKind::Open);
        match word {
            Word::Function(effects) if is_called() => effects,
            Word::Clause(Clause::Nextval) if is_qualified || is_called() => Effects::NEXTVAL | Effects::WRITES,
            Word::Clause(Clause::Currval) if is_qualified => Effects::LASTVAL,
            // The table behind SHOW PROFILE.
            Word::Clause(Clause::Profiling) => Effects::READS_DIAGNOSTICS,
            _ => Effects::NONE,
        }
    }

    /// What a word does that could begin a statement and stands inside one.
    fn embedded_effects(&self, keyword: Keyword, leading: Keyword, rest: &Lexer<'_>) -> Effects {
        let next_is = |kind| rest.peek(0).is_some_and(|next| next.kind == kind);
        match keyword {
            Keyword::Update if self.previous == Previous::Clause(Clause::For) => Effects::LOCKING_READ,
            Keyword::Lock if rest.peek(0).is_some_and(|next| next.is_word(b"in")) => Effects::LOCKING_READ,
            // Behind WITH or EXPLAIN. Two of these words are functions too.
            Keyword::Update | Keyword::Delete => Effects::WRITES,
            Keyword::Insert | Keyword::Replace if !next_is(TokenKind::Open) => Effects::WRITES,
            Keyword::With if leading == Keyword::Flush => Effects::FLUSH_LOCK,
            _ => Effects::NONE,
        }
    }

    fn clause_effects(&self, clause: Clause, leading: Keyword, rest: &Lexer<'_>) -> Effects {
        let next_is = |kind| rest.peek(0).is_some_and(|next| next.kind == kind);
        match clause {
            Clause::Share if self.previous == Previous::Clause(Clause::For) => Effects::LOCKING_READ,
            Clause::For if leading == Keyword::Flush => Effects::FLUSH_LOCK,
            // Otherwise into a file of the server.
            Clause::Into if !next_is(TokenKind::UserVariable) => Effects::WRITES,
            Clause::Local if leading == Keyword::Load => Effects::LOCAL_INFILE,
            Clause::SqlCalcFoundRows => Effects::CALC_FOUND_ROWS,
            Clause::Temporary if matches!(leading, Keyword::Create | Keyword::Drop) => Effects::TEMP,
            Clause::Value if self.previous == Previous::Clause(Clause::Next) => Effects::NEXTVAL | Effects::WRITES,
            Clause::Value if self.previous == Previous::Clause(Clause::Previous) => Effects::LASTVAL,
            _ => Effects::NONE,
        }
    }
}

impl Rules {
    fn may_change(self) -> Self {
        match self {
            Self::AtStart | Self::MayChange => Self::MayChange,
            Self::Irrelevant => Self::Irrelevant,
        }
    }
}

/// What setting something does. Its value is judged on its own.
fn target_effects(target: Target<'_>) -> Effects {
    match target {
        Target::User(_) => Effects::USER_VARIABLE_WRITE,
        // Without a scope it is the server's if a variable before it was; that was reported then.
        Target::System { scope, name } => scope_effects(scope) | variable_effects(name),
        Target::Marked { scope: None, name } if is_of_transaction(name) => Effects::SETS | Effects::NEXT_TRANSACTION,
        Target::Marked { scope, name } => scope_effects(scope) | variable_effects(name),
        Target::Names | Target::CharacterSet => Effects::SETS,
        Target::Transaction(None) => Effects::NEXT_TRANSACTION,
        Target::Transaction(scope) => scope_effects(scope),
        Target::Password => Effects::SET_PASSWORD | Effects::WRITES,
        Target::Role => Effects::SET_ROLE,
        Target::DefaultRole => Effects::WRITES,
        Target::Statement => Effects::NONE,
        Target::Unknown => Effects::all(),
    }
}

fn scope_effects(scope: Option<Scope>) -> Effects {
    match scope {
        None | Some(Scope::Session) => Effects::SETS,
        Some(Scope::NextTransaction) => Effects::NEXT_TRANSACTION,
        Some(Scope::Global | Scope::Persist | Scope::PersistOnly) => Effects::SETS_GLOBAL,
    }
}

/// Whether setting it by `@@` and no scope is for the next transaction only.
pub(crate) fn is_of_transaction(name: &[u8]) -> bool {
    let names: [&[u8]; 4] = [b"transaction_isolation", b"transaction_read_only", b"tx_isolation", b"tx_read_only"];
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether the statements behind it may be read by other rules.
fn may_change_rules(target: Target<'_>) -> bool {
    match target {
        Target::System { name, .. } | Target::Marked { name, .. } => {
            name.eq_ignore_ascii_case(b"sql_mode") || name.eq_ignore_ascii_case(b"character_set_client")
        }
        Target::Names | Target::CharacterSet | Target::Unknown => true,
        _ => false,
    }
}

/// What a statement does because of the word it begins with; `rest` begins behind that word.
fn leading_effects(keyword: Keyword, rest: &Lexer<'_>) -> Effects {
    let next_is =
        |skip, words: &[&[u8]]| rest.peek(skip).is_some_and(|token| words.iter().any(|word| token.is_word(word)));
    let ends = |skip| rest.peek(skip).is_none_or(|token| token.kind == TokenKind::Semicolon);
    match keyword {
        Keyword::Begin if ends(0) || (next_is(0, &[b"work"]) && ends(1)) => Effects::TRANSACTION,
        // MariaDB's BEGIN NOT ATOMIC, and in its Oracle mode any other: a block of statements.
        Keyword::Begin => Effects::all(),
        Keyword::Start if next_is(0, &[b"transaction"]) => Effects::TRANSACTION,
        Keyword::Commit | Keyword::Rollback | Keyword::Savepoint | Keyword::Release => Effects::TRANSACTION,
        Keyword::Xa => Effects::XA | Effects::WRITES,
        Keyword::Lock if next_is(0, &[b"table", b"tables"]) => Effects::LOCK_TABLES,
        // LOCK INSTANCE, and Percona's LOCK BINLOG.
        Keyword::Lock => Effects::FLUSH_LOCK,
        Keyword::Unlock if next_is(0, &[b"table", b"tables"]) => Effects::UNLOCK_TABLES,
        Keyword::Unlock => Effects::FLUSH_LOCK,
        Keyword::Backup => Effects::FLUSH_LOCK | Effects::WRITES,
        Keyword::Handler => Effects::HANDLER,
        Keyword::Use => Effects::USE,
        Keyword::Kill => Effects::KILL,
        Keyword::Call => Effects::CALLS | Effects::WRITES,
        Keyword::Execute if next_is(0, &[b"immediate"]) => Effects::CALLS | Effects::WRITES,
        Keyword::Execute => Effects::SQL_PREPARE | Effects::CALLS | Effects::WRITES,
        Keyword::Prepare | Keyword::Deallocate => Effects::SQL_PREPARE,
        Keyword::Drop if next_is(0, &[b"prepare"]) => Effects::SQL_PREPARE,
        Keyword::Get => Effects::READS_DIAGNOSTICS,
        Keyword::Show if next_is(0, &[b"warnings", b"errors", b"count", b"profile", b"profiles"]) => {
            Effects::READS_DIAGNOSTICS
        }
        // Events it carries out may do anything, and each relies on those before it.
        Keyword::Binlog | Keyword::Other => Effects::all(),
        Keyword::Checksum
        | Keyword::Describe
        | Keyword::Explain
        | Keyword::Help
        | Keyword::Nothing
        | Keyword::Resignal
        | Keyword::Select
        | Keyword::Set
        | Keyword::Show
        | Keyword::Signal
        | Keyword::Table
        | Keyword::Values
        | Keyword::With => Effects::NONE,
        _ => Effects::WRITES,
    }
}
