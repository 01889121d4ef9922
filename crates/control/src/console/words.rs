//! A statement's words. The console's language is not SQL, but comments and quotes are as there.

/// One word or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A word, a number, or a name in double quotes or in MySQL's backticks without these.
    Word(String),
    /// A text in single quotes, without these.
    Text(String),
    /// `=` or a comma.
    Sign(char),
    Semicolon,
}

/// Why a statement cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WordsError {
    #[error("a quote is not closed")]
    Quote,
    #[error("a comment is not closed")]
    Comment,
}

impl Token {
    /// In capitals, to be compared with keywords.
    pub(crate) fn keyword(&self) -> String {
        match self {
            Self::Word(word) => word.to_uppercase(),
            Self::Text(text) => format!("'{text}'"),
            Self::Sign(sign) => sign.to_string(),
            Self::Semicolon => ";".into(),
        }
    }
}

/// Takes a statement apart.
pub(crate) fn words(text: &str) -> Result<Vec<Token>, WordsError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = if first.is_whitespace() {
            rest.trim_start()
        } else if rest.starts_with("--") {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if rest.starts_with("/*") {
            after_comment(rest)?
        } else if matches!(first, '"' | '`' | '\'') {
            let (inside, after) = quoted(rest, first)?;
            tokens.push(if first == '\'' { Token::Text(inside) } else { Token::Word(inside) });
            after
        } else if matches!(first, ';' | '=' | ',') {
            tokens.push(if first == ';' { Token::Semicolon } else { Token::Sign(first) });
            &rest[1..]
        } else {
            let len = word_len(rest);
            tokens.push(Token::Word(rest[..len].into()));
            &rest[len..]
        };
    }
    Ok(tokens)
}

/// Length in bytes of the word at the start: up to a blank, a sign, a quote or a comment.
fn word_len(text: &str) -> usize {
    let ends = |(at, c): &(usize, char)| {
        c.is_whitespace()
            || matches!(c, ';' | '=' | ',' | '"' | '`' | '\'')
            || text[*at..].starts_with("--")
            || text[*at..].starts_with("/*")
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

/// What follows the comment at the start. Comments nest, as in PostgreSQL.
fn after_comment(text: &str) -> Result<&str, WordsError> {
    let (mut depth, mut rest) = (0_u32, text);
    loop {
        if let Some(after) = rest.strip_prefix("/*") {
            (depth, rest) = (depth + 1, after);
        } else if let Some(after) = rest.strip_prefix("*/") {
            (depth, rest) = (depth - 1, after);
            if depth == 0 {
                return Ok(rest);
            }
        } else {
            let mut chars = rest.chars();
            chars.next().ok_or(WordsError::Comment)?;
            rest = chars.as_str();
        }
    }
}

/// What stands between the quote at the start and the next single one, and what follows. A doubled quote is one.
fn quoted(text: &str, quote: char) -> Result<(String, &str), WordsError> {
    let (mut inside, mut rest) = (String::new(), &text[1..]);
    loop {
        let (part, after) = rest.split_once(quote).ok_or(WordsError::Quote)?;
        inside.push_str(part);
        match after.strip_prefix(quote) {
            Some(after) => {
                inside.push(quote);
                rest = after;
            }
            None => return Ok((inside, after)),
        }
    }
}
