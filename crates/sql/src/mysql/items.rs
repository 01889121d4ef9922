//! The items of select lists, at every depth of a statement: where they begin and end, and whether they have names of their own.
//!
//! A column is called as its item is written, unless the item has an alias. Who changes something inside an item has to give it its
//! former text as an alias.

use std::ops::Range;

use super::lexer::{Token, TokenKind};

/// Parentheses around the place where a walk over a statement is, and the select lists inside them.
#[derive(Debug, Clone)]
pub(crate) struct Items {
    /// The innermost.
    list: List,
    /// Those around it, outermost first.
    around: Vec<List>,
    /// Parentheses open inside the innermost that are too many to be followed.
    beyond: usize,
}

/// Where in the select list of its level a walk is.
#[derive(Debug, Clone, Copy)]
enum List {
    /// Not there.
    Elsewhere,
    /// An item of it begins with the next token.
    AtItem,
    InItem(Item),
}

/// An item of which some tokens were read.
#[derive(Debug, Clone, Copy)]
struct Item {
    begins: usize,
    ends: usize,
    part: Part,
    /// Each `CASE` without its `END`.
    cases: usize,
    is_changed: bool,
}

/// What the last token of an item comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A value or a name follows.
    Operator,
    /// A value ends with it, and it is nothing else.
    Operand,
    /// It may be an alias.
    Alias,
}

impl Items {
    /// Before a statement.
    pub(crate) fn new() -> Self {
        Self { list: List::Elsewhere, around: Vec::new(), beyond: 0 }
    }

    /// Takes the next token of the statement, which ends at `position` of the text. Returns where the item that it ends is, if
    /// something in that was changed and it certainly has no alias.
    pub(crate) fn take(&mut self, token: Token<'_>, position: usize) -> Option<Range<usize>> {
        let ended = self.unnamed();
        match token.kind {
            TokenKind::Open if self.around.len() == DEPTH_MAX => self.beyond += 1,
            TokenKind::Close if self.beyond > 0 => self.beyond -= 1,
            TokenKind::Semicolon => {
                *self = Self::new();
                return ended;
            }
            _ if self.beyond > 0 => {}
            TokenKind::Open => {
                self.list.pass(token, position);
                self.around.push(std::mem::replace(&mut self.list, List::Elsewhere));
            }
            TokenKind::Close => {
                self.list = self.around.pop().unwrap_or(List::Elsewhere);
                self.list.pass(token, position);
                return ended;
            }
            TokenKind::Comma => {
                if let List::InItem(_) = self.list {
                    self.list = List::AtItem;
                    return ended;
                }
            }
            TokenKind::Word if is_one_of(token, &LIST_ENDS) => {
                self.list = List::Elsewhere;
                return ended;
            }
            TokenKind::Word if token.is_word(b"select") => self.list = List::AtItem,
            _ => self.list.pass(token, position),
        }
        None
    }

    /// Takes a token that is a name, whatever the word means elsewhere.
    pub(crate) fn take_name(&mut self, name: Token<'_>, position: usize) {
        if self.beyond == 0 {
            self.list.pass(Token { kind: TokenKind::QuotedIdentifier, ..name }, position);
        }
    }

    /// Takes a call that has just been read as a whole and will be changed.
    pub(crate) fn take_changed(&mut self, call: Range<usize>) {
        if self.beyond == 0 {
            self.list.begin_item(call.start);
        }
        for list in self.around.iter_mut().chain([&mut self.list]) {
            if let List::InItem(item) = list {
                item.is_changed = true;
            }
        }
        if let List::InItem(item) = &mut self.list
            && self.beyond == 0
        {
            (item.ends, item.part) = (call.end, Part::Operand);
        }
    }

    /// At the end of the text: as [`Items::take`].
    pub(crate) fn unnamed(&self) -> Option<Range<usize>> {
        self.list.unnamed().filter(|_| self.beyond == 0)
    }
}

impl List {
    fn begin_item(&mut self, begins: usize) {
        if let Self::AtItem = self {
            *self = Self::InItem(Item { begins, ends: begins, part: Part::Operator, cases: 0, is_changed: false });
        }
    }

    /// Takes a token that is a part of an item, if there is a list.
    fn pass(&mut self, token: Token<'_>, position: usize) {
        if matches!(self, Self::AtItem) && is_one_of(token, &MODIFIERS) {
            return;
        }
        self.begin_item(position.saturating_sub(token.text.len()));
        if let Self::InItem(item) = self {
            item.pass(token);
            item.ends = position;
        }
    }

    /// Where the item is that was read so far, if something in it was changed and it certainly has no alias.
    fn unnamed(&self) -> Option<Range<usize>> {
        match self {
            Self::InItem(item) if item.is_changed && item.part == Part::Operand => Some(item.begins..item.ends),
            _ => None,
        }
    }
}

impl Item {
    fn pass(&mut self, token: Token<'_>) {
        use TokenKind as Kind;
        self.part = match (self.part, token.kind) {
            _ if token.is_word(b"case") => {
                self.cases += 1;
                Part::Operator
            }
            _ if token.is_word(b"end") && self.cases > 0 => {
                self.cases -= 1;
                Part::Operand
            }
            _ if token.is_word(b"as") => Part::Alias,
            _ if is_one_of(token, &OPERATORS) => Part::Operator,
            (_, Kind::Close) => Part::Operand,
            (_, Kind::Open | Kind::Symbol | Kind::Equals | Kind::Dot | Kind::Assign | Kind::SystemVariable) => {
                Part::Operator
            }
            (Part::Operator, _) => Part::Operand,
            (Part::Operand | Part::Alias, _) => Part::Alias,
        };
    }
}

fn is_one_of(word: Token<'_>, words: &[&[u8]]) -> bool {
    words.iter().any(|known| word.is_word(known))
}

/// Levels of parentheses that are followed. Servers themselves give up at some hundreds.
const DEPTH_MAX: usize = 100;

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

/// Words behind which an expression goes on. Other words than these only make an item look as if it had an alias.
const OPERATORS: [&[u8]; 22] = [
    b"and",
    b"between",
    b"binary",
    b"collate",
    b"div",
    b"else",
    b"escape",
    b"in",
    b"interval",
    b"is",
    b"like",
    b"member",
    b"mod",
    b"not",
    b"of",
    b"or",
    b"over",
    b"regexp",
    b"rlike",
    b"then",
    b"when",
    b"xor",
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
