//! Calls whose value the server connection does not know, because other clients use it too: a pooler puts the value in their place.

use std::ops::Range;

use memchr::memmem;

use super::items::Items;
use super::lexer::{Lexer, Token, TokenKind};
use super::mode::Mode;
use super::word::{Keyword, Word};
use crate::Count;

/// A change to a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Substitution {
    /// A call is replaced by the value it has for the client.
    Value {
        /// Where it stands in the text, from its name to the closing parenthesis.
        call: Range<usize>,
        /// What is called.
        function: Function,
    },
    /// A column is called as its item in the select list is written. This one has calls in it and no alias: only an alias keeps its name.
    Name {
        /// The item's text as the client has written it, which is the alias. It goes behind the item.
        item: Range<usize>,
    },
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
        text,
        lexer: Lexer::new(text, mode),
        statement: Statement::Ahead,
        count: Count::Zero,
        previous: Previous::Other,
        items: Items::new(),
    };
    let mut ahead = substitutions.clone();
    while let Some(substitution) = ahead.read() {
        substitution.ok()?;
    }
    Some(substitutions)
}

/// The changes that [`substitutions`] has found, in order.
#[derive(Debug, Clone)]
pub struct Substitutions<'a> {
    text: &'a [u8],
    lexer: Lexer<'a>,
    statement: Statement,
    /// The statements so far.
    count: Count,
    previous: Previous,
    items: Items,
}

/// Which statement we are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statement {
    /// None; one may follow.
    Ahead,
    /// One that is carried out as it is written.
    Plain,
    /// One that makes something of which the rest of the text may be the body.
    Stored,
    /// None: the text has ended, and all is told.
    Over,
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
    /// Reads up to the next change.
    fn read(&mut self) -> Option<Result<Substitution, NotUnderstood>> {
        while let Some(token) = self.lexer.next() {
            match self.pass(token) {
                Ok(None) => {}
                Ok(Some(change)) => return Some(Ok(change)),
                Err(why) => return Some(Err(why)),
            }
        }
        let last = std::mem::replace(&mut self.statement, Statement::Over);
        let item = self.items.unnamed().filter(|_| last != Statement::Over)?;
        self.name(item).map(Ok)
    }

    /// Takes a token.
    fn pass(&mut self, token: Token<'_>) -> Result<Option<Substitution>, NotUnderstood> {
        if matches!(token.kind, TokenKind::Unclosed | TokenKind::Doubtful) {
            return Err(NotUnderstood);
        }
        let previous = std::mem::replace(&mut self.previous, Previous::Other);
        if self.statement == Statement::Ahead && !matches!(token.kind, TokenKind::Open | TokenKind::Semicolon) {
            self.begin(token);
        }
        if let Some(name) = token.name() {
            if names_the_session(name) {
                return Err(NotUnderstood);
            }
            let is_called = self.lexer.peek(0).is_some_and(|next| next.kind == TokenKind::Open);
            if let Some(function) = Function::of(name).filter(|_| is_called) {
                let is_plain = token.kind == TokenKind::Word && previous == Previous::Other;
                return self.call(token, function).filter(|_| is_plain).ok_or(NotUnderstood).map(Some);
            }
            if previous == Previous::Qualifier {
                self.items.take_name(token, self.lexer.position());
                return Ok(None);
            }
        }
        match token.kind {
            TokenKind::Dot | TokenKind::SystemVariable => self.previous = Previous::Qualifier,
            TokenKind::Semicolon if self.statement == Statement::Plain => self.statement = Statement::Ahead,
            _ => {}
        }
        let ended = self.items.take(token, self.lexer.position());
        Ok(ended.and_then(|item| self.name(item)))
    }

    /// Begins a statement with its first token.
    fn begin(&mut self, token: Token<'_>) {
        let keyword = match Word::of(token.text) {
            Word::Leading(keyword) if token.kind == TokenKind::Word => keyword,
            _ => Keyword::Other,
        };
        self.count = self.count.next();
        self.statement = match keyword {
            Keyword::Alter | Keyword::Begin | Keyword::Binlog | Keyword::Create | Keyword::Other | Keyword::Prepare => {
                Statement::Stored
            }
            _ => Statement::Plain,
        };
    }

    /// Reads the parentheses of a call whose name, `token`, has been read.
    fn call(&mut self, token: Token<'_>, function: Function) -> Option<Substitution> {
        let name = self.lexer.clone();
        self.lexer.next_if(|next| next.kind == TokenKind::Open)?;
        self.lexer.next_if(|next| next.kind == TokenKind::Close)?;
        self.lexer.piece(&name, token)?;
        // Statements before this one in the text decide what it returns, and they have not run yet.
        let is_of_statement = function != Function::ConnectionId;
        if self.statement == Statement::Stored || (is_of_statement && self.count == Count::Many) {
            return None;
        }
        let call = name.position() - token.text.len()..self.lexer.position();
        self.items.take_changed(call.clone());
        Some(Substitution::Value { call, function })
    }

    /// Names an item. Executable comments are no part of the name that servers give it.
    fn name(&self, item: Range<usize>) -> Option<Substitution> {
        let text = self.text.get(item.clone())?;
        let is_plain = [b"/*!".as_slice(), b"/*M!"].iter().all(|mark| memmem::find(text, mark).is_none());
        is_plain.then_some(Substitution::Name { item })
    }
}

/// Whether a name stands for the number of the session without being a call that can be replaced.
fn names_the_session(name: &[u8]) -> bool {
    let names: [&[u8]; 3] = [b"pseudo_thread_id", b"ps_thread_id", b"ps_current_thread_id"];
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text with its calls in brackets, and the names of its items in braces.
    fn marked(text: &str) -> Option<String> {
        let (mut out, mut copied) = (String::new(), 0);
        for change in substitutions(text.as_bytes(), Mode::STANDARD)? {
            match change {
                Substitution::Value { call, function } => {
                    let name = format!("{function:?}").to_lowercase();
                    assert!(text[call.clone()].to_lowercase().replace('_', "").starts_with(&name), "{text}");
                    out += &text[copied..call.start];
                    out += &format!("[{}]", &text[call.clone()]);
                    copied = call.end;
                }
                Substitution::Name { item } => {
                    out += &text[copied..item.end];
                    out += &format!("{{{}}}", &text[item.clone()]);
                    copied = item.end;
                }
            }
        }
        Some(out + &text[copied..])
    }

    #[test]
    fn are_found() {
        for (text, expected) in [
            ("select 1", "select 1"),
            ("select found_rows()", "select [found_rows()]{found_rows()}"),
            (
                "SELECT SQL_CALC_FOUND_ROWS DISTINCT Row_Count ( /* ) */ ) ;",
                "SELECT SQL_CALC_FOUND_ROWS DISTINCT [Row_Count ( /* ) */ )]{Row_Count ( /* ) */ )} ;",
            ),
            (
                "select connection_id(), found_rows() from t",
                "select [connection_id()]{connection_id()}, [found_rows()]{found_rows()} from t",
            ),
            ("select connection_id() /* c */ , 1", "select [connection_id()]{connection_id()} /* c */ , 1"),
            ("insert into t values (1, connection_id())", "insert into t values (1, [connection_id()])"),
            ("set @a = row_count()", "set @a = [row_count()]"),
            ("do connection_id()", "do [connection_id()]"),
            ("select 1; select connection_id()", "select 1; select [connection_id()]{connection_id()}"),
            ("/*!40000 select connection_id() */", "/*!40000 select [connection_id()]{connection_id()} */"),
            ("select a from t where x = connection_id()", "select a from t where x = [connection_id()]"),
            ("select a order by 1, connection_id()", "select a order by 1, [connection_id()]"),
            ("select connection_id() /*!+ 1 */", "select [connection_id()] /*!+ 1 */"),
            // Not calls of these.
            (
                "select row_count, t.row_count, 'row_count()', `row_count` -- row_count()",
                "select row_count, t.row_count, 'row_count()', `row_count` -- row_count()",
            ),
        ] {
            assert_eq!(marked(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn items_without_an_alias_keep_their_names() {
        for item in [
            "R",
            "R + 1",
            "1 + R",
            "- R",
            "( R )",
            "f(a, R)",
            "R is not null",
            "R between 1 and `x`",
            "R = t.a",
            "R > ?",
            "R in (1, 2)",
            "'a' like R escape '!'",
            "concat(R) collate utf8mb4_bin",
            "case R when 1 then 2 else x end",
            "case when R then case 1 when 1 then 2 end end",
            "not R",
            "R mod 2",
            "t.select + R",
            "@@sql_mode = R",
        ] {
            let (item, name) = (item.replace('R', "[row_count()]"), item.replace('R', "row_count()"));
            for (before, behind) in
                [("select ", ""), ("select distinct 1, ", ", 2"), ("insert into t select ", " from t")]
            {
                let text = format!("{before}{name}{behind}");
                assert_eq!(marked(&text), Some(format!("{before}{item}{{{name}}}{behind}")), "{text}");
            }
        }
    }

    #[test]
    fn items_inside_items_keep_their_names() {
        for (text, expected) in [
            ("select (select row_count()), 1", "select (select [row_count()]{row_count()}){(select row_count())}, 1"),
            (
                "select * from (select 1 as a, row_count() union select 2, 3) as d where row_count() > 1",
                "select * from (select 1 as a, [row_count()]{row_count()} union select 2, 3) as d where [row_count()] > 1",
            ),
            (
                "with x as (select row_count()) select connection_id() y from x",
                "with x as (select [row_count()]{row_count()}) select [connection_id()] y from x",
            ),
        ] {
            assert_eq!(marked(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn items_with_an_alias_or_in_doubt_get_none() {
        for item in [
            "R id",
            "R as id",
            "R 'id'",
            "R as 'id'",
            "R + 1 `id`",
            "R end",
            "case R when 1 then 2 end end",
            "R is null unknown",
            "R collate x y",
            "now() + interval R day",
            "R > date '2000-01-01'",
        ] {
            let text = format!("select {}, 1", item.replace('R', "row_count()"));
            let expected = format!("select {}, 1", item.replace('R', "[row_count()]"));
            assert_eq!(marked(&text), Some(expected), "{text}");
        }
    }

    #[test]
    fn parentheses_without_end_are_no_trouble() {
        let depth = 100_000;
        let text = format!("select {}row_count(){}, row_count()", "(".repeat(depth), ")".repeat(depth));
        let found = substitutions(text.as_bytes(), Mode::STANDARD).map(Iterator::count);
        assert_eq!(found, Some(4));
        assert_eq!(substitutions("select (".repeat(depth).as_bytes(), Mode::STANDARD).map(Iterator::count), Some(0));
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
            assert_eq!(marked(text), None, "{text}");
        }
    }
}
