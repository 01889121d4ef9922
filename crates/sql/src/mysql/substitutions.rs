//! Calls whose value the server connection does not know, because other clients use it too: a pooler puts the value in their place.

use std::ops::Range;

use super::lexer::{Lexer, Token, TokenKind};
use super::mode::Mode;
use super::word::{Keyword, Word};
use crate::Count;

/// A call to be replaced by the value it has for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substitution {
    /// Where it stands in the text, from its name to the closing parenthesis.
    pub range: Range<usize>,
    /// What is called.
    pub function: Function,
    /// The call is by itself an item of the outermost select list, without an alias: its column is called as the client has
    /// written the call, and only an alias keeps that.
    pub whole_item: bool,
}

/// A function that takes no arguments and returns what belongs to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `FOUND_ROWS()`.
    FoundRows,
    /// `ROW_COUNT()`.
    RowCount,
    /// `CONNECTION_ID()`.
    ConnectionId,
}

impl Function {
    fn of(name: &[u8]) -> Option<Self> {
        let functions: [(&[u8], Self); 3] =
            [(b"found_rows", Self::FoundRows), (b"row_count", Self::RowCount), (b"connection_id", Self::ConnectionId)];
        functions.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, function)| function)
    }
}

/// Finds the calls in a text.
///
/// `None` if putting values in their place is not certain to be right: there is a call with arguments, in quotes or with a schema, one that
/// the text's own earlier statement decides, one in a stored program or view, or the number is asked for in another way
/// (`@@pseudo_thread_id`).
pub fn substitutions(text: &[u8], mode: Mode) -> Option<Substitutions<'_>> {
    let substitutions = Substitutions {
        lexer: Lexer::new(text, mode),
        statement: Statement::NONE,
        count: Count::Zero,
        previous: Previous::Other,
        is_stored: false,
    };
    let mut ahead = substitutions.clone();
    while let Some(substitution) = ahead.read() {
        substitution.ok()?;
    }
    Some(substitutions)
}

/// The calls that [`substitutions`] has found, in order.
#[derive(Debug, Clone)]
pub struct Substitutions<'a> {
    lexer: Lexer<'a>,
    statement: Statement,
    /// The statements so far.
    count: Count,
    previous: Previous,
    /// A statement has made something of which the rest of the text may be the body.
    is_stored: bool,
}

/// Where in a statement we are.
#[derive(Debug, Clone, Copy)]
struct Statement {
    list: List,
    /// Parentheses open.
    depth: usize,
    /// Those of them that stood before its first word.
    outermost: usize,
}

impl Statement {
    const NONE: Self = Self { list: List::Before, depth: 0, outermost: 0 };
}

/// Where the outermost select list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    /// The statement has not begun.
    Before,
    /// Not here.
    Elsewhere,
    /// An item of it begins with the next token.
    AtItem,
    /// In an item of it.
    InItem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Previous {
    /// `@@` or a dot: a name follows.
    Qualifier,
    Other,
}

/// There is something in the text that forbids substitution.
struct NotUnderstood;

impl Iterator for Substitutions<'_> {
    type Item = Substitution;

    fn next(&mut self) -> Option<Substitution> {
        self.read()?.ok()
    }
}

impl Substitutions<'_> {
    /// Reads up to the next call.
    fn read(&mut self) -> Option<Result<Substitution, NotUnderstood>> {
        loop {
            let token = self.lexer.next()?;
            let list = self.statement.list;
            let previous = std::mem::replace(&mut self.previous, Previous::Other);
            match self.pass(token) {
                Step::NotUnderstood => return Some(Err(NotUnderstood)),
                Step::Passed => {}
                Step::Named(name) => {
                    if names_the_session(name) {
                        return Some(Err(NotUnderstood));
                    }
                    let is_called = self.lexer.peek(0).is_some_and(|next| next.kind == TokenKind::Open);
                    let Some(function) = Function::of(name).filter(|_| is_called) else { continue };
                    let is_plain = token.kind == TokenKind::Word && previous == Previous::Other;
                    let call = self.call(token, function, list).filter(|_| is_plain);
                    return Some(call.ok_or(NotUnderstood));
                }
            }
        }
    }

    /// Takes a token.
    fn pass<'t>(&mut self, token: Token<'t>) -> Step<'t> {
        match token.kind {
            TokenKind::Unclosed | TokenKind::Doubtful => return Step::NotUnderstood,
            TokenKind::Semicolon => {
                self.statement = Statement::NONE;
                return Step::Passed;
            }
            TokenKind::Open => {
                self.statement.depth += 1;
                if self.statement.list != List::Before {
                    self.statement.pass_item();
                }
                return Step::Passed;
            }
            _ => {}
        }
        if self.statement.list == List::Before {
            self.begin(token);
        }
        match token.kind {
            TokenKind::Close => self.statement.depth = self.statement.depth.saturating_sub(1),
            TokenKind::Comma => self.statement.pass_comma(),
            TokenKind::Dot | TokenKind::SystemVariable => {
                self.previous = Previous::Qualifier;
                self.statement.pass_item();
            }
            TokenKind::Word => {
                self.statement.pass_word(token);
                return Step::Named(token.text);
            }
            _ => self.statement.pass_item(),
        }
        token.name().map_or(Step::Passed, Step::Named)
    }

    /// Begins a statement with its first token.
    fn begin(&mut self, token: Token<'_>) {
        let keyword = match Word::of(token.text) {
            Word::Leading(keyword) if token.kind == TokenKind::Word => keyword,
            _ => Keyword::Other,
        };
        self.is_stored |= matches!(
            keyword,
            Keyword::Alter | Keyword::Begin | Keyword::Binlog | Keyword::Create | Keyword::Other | Keyword::Prepare
        );
        self.count = self.count.next();
        self.statement.list = List::Elsewhere;
        self.statement.outermost = self.statement.depth;
    }

    /// Reads the parentheses of a call whose name, `token`, has been read; `list` is where in the select list it stood.
    fn call(&mut self, token: Token<'_>, function: Function, list: List) -> Option<Substitution> {
        let name = self.lexer.clone();
        self.lexer.next_if(|next| next.kind == TokenKind::Open)?;
        self.lexer.next_if(|next| next.kind == TokenKind::Close)?;
        self.lexer.piece(&name, token)?;
        // Statements before this one in the text decide what it returns, and they have not run yet.
        let is_of_statement = function != Function::ConnectionId;
        if self.is_stored || (is_of_statement && self.count == Count::Many) {
            return None;
        }
        let is_whole = list == List::AtItem && self.statement.depth == self.statement.outermost;
        Some(Substitution {
            range: name.position() - token.text.len()..self.lexer.position(),
            function,
            whole_item: is_whole && self.lexer.peek(0).is_none_or(ends_item),
        })
    }
}

/// What a token was.
enum Step<'t> {
    NotUnderstood,
    Passed,
    /// A name, or a word that might be one.
    Named(&'t [u8]),
}

impl Statement {
    fn is_outermost(&self) -> bool {
        self.depth == self.outermost
    }

    /// Takes a token that is a part of an item, if there is a list.
    fn pass_item(&mut self) {
        if self.list == List::AtItem {
            self.list = List::InItem;
        }
    }

    fn pass_comma(&mut self) {
        if self.list == List::InItem && self.is_outermost() {
            self.list = List::AtItem;
        }
    }

    fn pass_word(&mut self, word: Token<'_>) {
        if self.is_outermost() && word.is_word(b"select") {
            self.list = List::AtItem;
        } else if self.is_outermost() && is_one_of(word, &LIST_ENDS) {
            self.list = List::Elsewhere;
        } else if self.list == List::AtItem && !is_one_of(word, &MODIFIERS) {
            self.list = List::InItem;
        }
    }
}

fn is_one_of(word: Token<'_>, words: &[&[u8]]) -> bool {
    words.iter().any(|known| word.is_word(known))
}

/// Whether an item of a select list has ended before this token.
fn ends_item(next: Token<'_>) -> bool {
    matches!(next.kind, TokenKind::Comma | TokenKind::Semicolon | TokenKind::Close) || is_one_of(next, &LIST_ENDS)
}

/// Whether a name stands for the number of the session without being a call that can be replaced.
fn names_the_session(name: &[u8]) -> bool {
    let names: [&[u8]; 3] = [b"pseudo_thread_id", b"ps_thread_id", b"ps_current_thread_id"];
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// What may stand between `SELECT` and its list.
const MODIFIERS: [&[u8]; 11] = [
    b"all",
    b"distinct",
    b"distinctrow",
    b"high_priority",
    b"sql_big_result",
    b"sql_buffer_result",
    b"sql_cache",
    b"sql_calc_found_rows",
    b"sql_no_cache",
    b"sql_small_result",
    b"straight_join",
];

/// The words that can follow a select list. All are reserved, so none is an alias.
const LIST_ENDS: [&[u8]; 13] = [
    b"except",
    b"for",
    b"from",
    b"group",
    b"having",
    b"into",
    b"intersect",
    b"limit",
    b"lock",
    b"order",
    b"procedure",
    b"union",
    b"where",
];

#[cfg(test)]
mod tests {
    use super::Function::*;
    use super::*;

    /// The calls of a text, each as written, with whether it is a whole item.
    fn calls(text: &str) -> Option<Vec<(&str, Function, bool)>> {
        let found = substitutions(text.as_bytes(), Mode::STANDARD)?;
        Some(found.map(|call| (&text[call.range], call.function, call.whole_item)).collect())
    }

    #[test]
    fn are_found() {
        for (text, expected) in [
            ("select 1", &[][..]),
            ("select found_rows()", &[("found_rows()", FoundRows, true)]),
            (
                "SELECT SQL_CALC_FOUND_ROWS DISTINCT Row_Count ( /* ) */ ) ;",
                &[("Row_Count ( /* ) */ )", RowCount, true)],
            ),
            (
                "select connection_id(), found_rows() from t",
                &[("connection_id()", ConnectionId, true), ("found_rows()", FoundRows, true)],
            ),
            ("select connection_id() id", &[("connection_id()", ConnectionId, false)]),
            ("select connection_id() as id", &[("connection_id()", ConnectionId, false)]),
            ("select connection_id() 'id'", &[("connection_id()", ConnectionId, false)]),
            ("select connection_id() + 1", &[("connection_id()", ConnectionId, false)]),
            ("select 1 + connection_id()", &[("connection_id()", ConnectionId, false)]),
            ("select -connection_id()", &[("connection_id()", ConnectionId, false)]),
            ("select (connection_id())", &[("connection_id()", ConnectionId, false)]),
            ("select f(connection_id())", &[("connection_id()", ConnectionId, false)]),
            ("select (select connection_id())", &[("connection_id()", ConnectionId, false)]),
            ("select a, connection_id() limit 1", &[("connection_id()", ConnectionId, true)]),
            ("select a from t where x = connection_id()", &[("connection_id()", ConnectionId, false)]),
            ("select a from t order by 1, connection_id()", &[("connection_id()", ConnectionId, false)]),
            ("select a order by 1, connection_id()", &[("connection_id()", ConnectionId, false)]),
            ("(select connection_id())", &[("connection_id()", ConnectionId, true)]),
            ("select 1 union select connection_id()", &[("connection_id()", ConnectionId, true)]),
            ("with x as (select 1) select connection_id() from x", &[("connection_id()", ConnectionId, true)]),
            ("insert into t values (1, connection_id())", &[("connection_id()", ConnectionId, false)]),
            ("set @a = row_count()", &[("row_count()", RowCount, false)]),
            ("do connection_id()", &[("connection_id()", ConnectionId, false)]),
            ("select 1; select connection_id()", &[("connection_id()", ConnectionId, true)]),
            ("/*!40000 select connection_id() */", &[("connection_id()", ConnectionId, true)]),
            // Not calls of these.
            ("select row_count, t.row_count, 'row_count()', `row_count` -- row_count()", &[]),
        ] {
            assert_eq!(calls(text), Some(expected.to_vec()), "{text}");
        }
    }

    #[test]
    fn are_left_alone_when_not_certain() {
        for text in [
            "select `row_count`()",
            "select x.row_count()",
            "select row_count(1)",
            "select 1; select row_count()",
            "select 1; select found_rows()",
            "create view v as select connection_id()",
            "create procedure p() begin select 1; select connection_id(); end",
            "alter event e do insert into t values (connection_id())",
            "begin not atomic select connection_id(); end",
            "select @@pseudo_thread_id",
            "set pseudo_thread_id = 5",
            "select connection_id() /*!80000 + 1 */",
            "select connection_id( /*!40000 ) */",
            "select connection_id() 'a",
            "frobnicate connection_id()",
        ] {
            assert_eq!(calls(text), None, "{text}");
        }
    }
}
