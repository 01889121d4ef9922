//! What drivers, command lines and tools ask and set before anybody has typed a word. It means nothing to the console, and
//! must not fail.

use mysql::write::Kind;
use sql::mysql::{Assignment, Lexer, Mode, Token, TokenKind};

use crate::console;

/// What the console calls itself.
pub(super) const COMMENT: &str = concat!("Evenkeel ", env!("CARGO_PKG_VERSION"), " admin console");

/// System variables, as a session of a server would have them that keeps no data.
const VARIABLES: &[(&str, &str)] = &[
    ("auto_increment_increment", "1"),
    ("autocommit", "1"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("character_set_system", "utf8mb3"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_database", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("default_storage_engine", ""),
    ("foreign_key_checks", "1"),
    ("group_concat_max_len", "1024"),
    ("have_openssl", "YES"),
    ("have_ssl", "YES"),
    ("init_connect", ""),
    ("innodb_lock_wait_timeout", "50"),
    ("interactive_timeout", "28800"),
    ("lock_wait_timeout", "86400"),
    ("lower_case_table_names", "0"),
    ("max_allowed_packet", "65536"),
    ("max_execution_time", "0"),
    ("net_buffer_length", "16384"),
    ("net_read_timeout", "30"),
    ("net_write_timeout", "60"),
    ("optimizer_switch", ""),
    ("performance_schema", "0"),
    ("profiling", "0"),
    ("query_cache_size", "0"),
    ("query_cache_type", "OFF"),
    ("sql_auto_is_null", "0"),
    ("sql_mode", ""),
    ("sql_notes", "1"),
    ("sql_quote_show_create", "1"),
    ("sql_safe_updates", "0"),
    ("sql_select_limit", "18446744073709551615"),
    ("ssl_cipher", ""),
    ("system_time_zone", "UTC"),
    ("time_zone", "+00:00"),
    ("transaction_isolation", "REPEATABLE-READ"),
    ("transaction_read_only", "0"),
    ("tx_isolation", "REPEATABLE-READ"),
    ("tx_read_only", "0"),
    ("unique_checks", "1"),
    ("version", concat!(env!("CARGO_PKG_VERSION"), "-evenkeel")),
    ("version_comment", COMMENT),
    ("wait_timeout", "28800"),
];

/// A statement that is no command of the console's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Formality<'t> {
    /// It changes nothing here.
    Nothing,
    /// It goes to a database.
    Database(&'t [u8]),
    /// It asks for these.
    Row(Vec<Value>),
    /// It asks for variables: names and values.
    Variables(Vec<(&'static str, &'static str)>),
    /// It asks for, or sets, one that there is not.
    UnknownVariable(&'t [u8]),
}

/// A value that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) kind: Kind,
}

/// Knows the answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guide<'a> {
    pub(super) user: &'a str,
    /// The number of the connection.
    pub(super) id: u32,
}

impl Guide<'_> {
    /// What a text asks for, if it is not for the console itself.
    pub(super) fn look_at<'t>(&self, text: &'t [u8]) -> Option<Formality<'t>> {
        if let Some(target) = sql::mysql::use_target(text, Mode::STANDARD) {
            return Some(Formality::Database(target.database));
        }
        if sql::mysql::transaction_verb(text, Mode::STANDARD).is_some() {
            return Some(Formality::Nothing);
        }
        if let Some(mut assignments) = sql::mysql::assignments(text, Mode::STANDARD) {
            return settings_known(&mut assignments);
        }
        let mut tokens: Vec<_> = Lexer::new(text, Mode::STANDARD).collect();
        while tokens.last().is_some_and(|token| token.kind == TokenKind::Semicolon) {
            tokens.pop();
        }
        match tokens.split_first()? {
            (first, items) if is_word(first, "select") => self.select(items),
            (first, rest) if is_word(first, "show") => show_variables(rest),
            _ => None,
        }
    }

    /// A list of variables, functions and literals, each perhaps with a name.
    fn select<'t>(&self, tokens: &[Token<'t>]) -> Option<Formality<'t>> {
        let tokens = match tokens {
            [list @ .., limit, number] if is_word(limit, "limit") && number.kind == TokenKind::Number => list,
            list => list,
        };
        let mut values = Vec::new();
        for item in tokens.split(|token| token.kind == TokenKind::Comma) {
            let (expression, alias) = match item {
                [expression @ .., word, alias] if is_word(word, "as") => (expression, Some(unquoted(alias))),
                // `DATABASE() d`, `@@version v`, `1 one`
                [expression @ .., alias] if !expression.is_empty() && self.value(expression).is_some() => {
                    (expression, Some(unquoted(alias)))
                }
                expression => (expression, None),
            };
            let (text, kind) = match self.value(expression) {
                Some(Ok(found)) => found,
                Some(Err(variable)) => return Some(Formality::UnknownVariable(variable)),
                None => return None,
            };
            let name = alias.unwrap_or_else(|| {
                expression.iter().map(|token| String::from_utf8_lossy(token.text)).collect::<String>()
            });
            values.push(Value { name, text, kind });
        }
        Some(Formality::Row(values))
    }

    /// The value of one expression; the name of a variable that is not known; `None` for what the console does not understand.
    fn value<'t>(&self, expression: &[Token<'t>]) -> Option<Result<(String, Kind), &'t [u8]>> {
        use TokenKind::{Close, Dot, Number, Open, String as Quoted, SystemVariable, Word};
        let text = |text: &str| Some(Ok((text.to_owned(), Kind::Text)));
        match expression {
            [at, name] | [at, _, Token { kind: Dot, .. }, name] if at.kind == SystemVariable => {
                Some(variable(name.text).map(|value| {
                    let kind = if value.parse::<i64>().is_ok() { Kind::Integer } else { Kind::Text };
                    (value.to_owned(), kind)
                }))
            }
            [Token { kind: Word, text: name }, Token { kind: Open, .. }, Token { kind: Close, .. }]
            | [Token { kind: Word, text: name }] => match name.to_ascii_lowercase().as_slice() {
                b"database" | b"schema" => text(console::DATABASES[0]),
                b"user" | b"current_user" | b"session_user" | b"system_user" => text(self.user),
                b"version" => Some(variable(b"version").map(|value| (value.to_owned(), Kind::Text))),
                b"connection_id" => Some(Ok((self.id.to_string(), Kind::Integer))),
                _ => None,
            },
            [Token { kind: Number, text: number }] => {
                let kind = if number.iter().all(u8::is_ascii_digit) { Kind::Integer } else { Kind::Real };
                Some(Ok((String::from_utf8_lossy(number).into_owned(), kind)))
            }
            [quoted @ Token { kind: Quoted, .. }] => Some(Ok((unquoted(quoted), Kind::Text))),
            _ => None,
        }
    }
}

/// Whether everything that is set is known here.
fn settings_known<'t>(assignments: &mut dyn Iterator<Item = Assignment<'t>>) -> Option<Formality<'t>> {
    for assignment in assignments {
        match assignment {
            Assignment::System { name, .. } if variable(name).is_err() => {
                // One that PostgreSQL's drivers set, or an attempt to change what only the configuration can.
                return None;
            }
            Assignment::System { .. }
            | Assignment::Names { .. }
            | Assignment::CharacterSet { .. }
            | Assignment::Transaction { .. } => {}
            Assignment::User { .. } => return None,
        }
    }
    Some(Formality::Nothing)
}

/// `SHOW [GLOBAL|SESSION|LOCAL] VARIABLES|STATUS [LIKE 'pattern'|WHERE …]`, without its first word. There is no status, and
/// every condition but `LIKE` is for who asks to look at.
fn show_variables<'t>(tokens: &[Token<'_>]) -> Option<Formality<'t>> {
    let tokens = match tokens {
        [scope, rest @ ..] if ["global", "session", "local"].iter().any(|name| is_word(scope, name)) => rest,
        all => all,
    };
    let (of, condition) = tokens.split_first()?;
    let all = match of {
        of if is_word(of, "variables") => VARIABLES,
        of if is_word(of, "status") => &[],
        _ => return None,
    };
    let pattern = match condition {
        [] => None,
        [like, pattern] if is_word(like, "like") && pattern.kind == TokenKind::String => Some(unquoted(pattern)),
        [first, ..] if is_word(first, "where") => None,
        _ => return None,
    };
    let shown = |name: &str| pattern.as_deref().is_none_or(|pattern| is_like(name.as_bytes(), pattern.as_bytes()));
    Some(Formality::Variables(all.iter().copied().filter(|(name, _)| shown(name)).collect()))
}

fn variable(name: &[u8]) -> Result<&'static str, &[u8]> {
    let known = VARIABLES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    known.map(|(_, value)| *value).ok_or(name)
}

fn is_word(token: &Token<'_>, word: &str) -> bool {
    token.kind == TokenKind::Word && token.text.eq_ignore_ascii_case(word.as_bytes())
}

/// A name or text without its quotes. Those inside stay doubled: nobody names a column like that.
fn unquoted(token: &Token<'_>) -> String {
    let text = match (token.kind, token.text) {
        (TokenKind::String | TokenKind::QuotedIdentifier, [_, inside @ .., _]) => inside,
        (_, text) => text,
    };
    String::from_utf8_lossy(text).into_owned()
}

/// `LIKE`, without regard to case: `%` is any text, `_` any byte, a backslash takes either for itself.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    let (mut name, mut pattern) = (name, pattern);
    // Behind the last `%`, and where what it stands for ends: only that one ever needs another try.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let (matches, behind) = match pattern {
            [b'%', rest @ ..] => {
                (retry, pattern) = (Some((rest, name)), rest);
                continue;
            }
            [] => (name.is_empty(), pattern),
            [b'_', rest @ ..] => (!name.is_empty(), rest),
            [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
                (name.first().is_some_and(|first| first.eq_ignore_ascii_case(literal)), rest)
            }
        };
        match (matches, name, retry) {
            (true, [], _) => return true,
            (true, [_, rest @ ..], _) => (name, pattern) = (rest, behind),
            (false, _, Some((behind, [_, rest @ ..]))) => {
                (retry, name, pattern) = (Some((behind, rest)), rest, behind);
            }
            (false, ..) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: Guide<'_> = Guide { user: "root", id: 7 };

    fn row(text: &str) -> Vec<(String, String, Kind)> {
        match GUIDE.look_at(text.as_bytes()) {
            Some(Formality::Row(values)) => {
                values.into_iter().map(|Value { name, text, kind }| (name, text, kind)).collect()
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_clients_ask_first_is_answered() {
        for (text, name, value, kind) in [
            ("select @@version_comment limit 1", "@@version_comment", COMMENT, Kind::Text),
            ("SELECT DATABASE()", "DATABASE()", "evenkeel", Kind::Text),
            ("select database();", "database()", "evenkeel", Kind::Text),
            ("/* ping */ SELECT 1", "1", "1", Kind::Integer),
            ("SELECT 'x' AS `alive`", "alive", "x", Kind::Text),
            ("select connection_id() id", "id", "7", Kind::Integer),
            ("SELECT CURRENT_USER", "CURRENT_USER", "root", Kind::Text),
            ("SELECT @@session.tx_isolation", "@@session.tx_isolation", "REPEATABLE-READ", Kind::Text),
            ("SELECT @@GLOBAL.max_allowed_packet AS m", "m", "65536", Kind::Integer),
        ] {
            assert_eq!(row(text), [(name.to_owned(), value.to_owned(), kind)], "{text}");
        }
        // MySQL Connector/J begins like this, MySQL's own command line with the second.
        let many = row("/* conn */SELECT  @@session.auto_increment_increment AS auto_increment_increment, \
                        @@character_set_client AS character_set_client, @@sql_mode AS sql_mode, @@wait_timeout AS wait_timeout");
        assert_eq!(many.len(), 4);
        assert_eq!(row("select DATABASE(), USER() limit 1").len(), 2);
    }

    #[test]
    fn what_drivers_set_first_changes_nothing() {
        for text in [
            "SET NAMES utf8mb4",
            "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_0900_ai_ci'",
            "SET AUTOCOMMIT = 0",
            "set @@session.autocommit = OFF;",
            "SET sql_mode=(SELECT CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')),time_zone='+00:00',NAMES utf8mb4",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET character_set_results = NULL",
            "BEGIN",
            "START TRANSACTION READ ONLY",
            "COMMIT",
            "rollback;",
        ] {
            assert_eq!(GUIDE.look_at(text.as_bytes()), Some(Formality::Nothing), "{text}");
        }
        assert_eq!(GUIDE.look_at(b"use `pgbouncer`"), Some(Formality::Database(b"pgbouncer")));
    }

    #[test]
    fn variables_are_shown_by_pattern() {
        let names = |text: &str| match GUIDE.look_at(text.as_bytes()) {
            Some(Formality::Variables(rows)) => rows.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(names("SHOW VARIABLES LIKE 'sql_mode'"), ["sql_mode"]);
        assert_eq!(names("SHOW VARIABLES LIKE 'lower_case_%'"), ["lower_case_table_names"]);
        assert_eq!(names("show session variables like 'TX%'"), ["tx_isolation", "tx_read_only"]);
        assert_eq!(names("show global variables like 'time\\_zone'"), ["time_zone"]);
        assert_eq!(names("SHOW VARIABLES WHERE Variable_name = 'x'").len(), VARIABLES.len());
        assert_eq!(names("show session status like 'ssl_cipher'"), [""; 0]);
    }

    #[test]
    fn patterns_are_matched_as_servers_do() {
        for (pattern, matches) in [
            ("", false),
            ("sql_mode", true),
            ("SQL%", true),
            ("%mode", true),
            ("%q%_o%e", true),
            ("sql_mod", false),
            ("sql_mode_", false),
            ("sql\\_mode", true),
            ("sql\\%mode", false),
            ("%%", true),
        ] {
            assert_eq!(is_like(b"sql_mode", pattern.as_bytes()), matches, "{pattern}");
        }
        assert!(is_like(b"", b"%") && is_like(b"", b"") && !is_like(b"", b"_"));
        assert!(!is_like(&[b'a'; 64], "%a".repeat(2_000).as_bytes()), "and soon at that");
    }

    #[test]
    fn what_is_for_the_console_is_left_to_it() {
        for text in [
            "SHOW POOLS",
            "SHOW CONFIG",
            "SHOW VERSION",
            "SHOW FULL PROCESSLIST",
            "PAUSE shop",
            "KILL 5",
            "SET max_clients = 5",
            "SET application_name = 'psql'",
            "SELECT * FROM pools",
            "SELECT now()",
            "select $$",
            "SHOW POOLS; SELECT 1",
            "",
        ] {
            assert_eq!(GUIDE.look_at(text.as_bytes()), None, "{text}");
        }
        assert_eq!(GUIDE.look_at(b"select @@nonsense"), Some(Formality::UnknownVariable(b"nonsense")));
    }
}
