//! Statements of the console, read.

use std::fmt;

use config::Given;
use route::nearest;

use crate::{
    Shutdown,
    tables::{TOPICS, values::pgbouncer_keys},
};

use super::{
    COMMANDS,
    words::{Token, WordsError, words},
};

/// A statement, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Nothing but blanks and comments.
    Nothing,
    /// `SHOW HELP`.
    Help,
    /// A table, by its place in [`TOPICS`].
    Show(usize),
    /// A setting that drivers ask for, by its place in [`SETTINGS`].
    ShowSetting(usize),
    /// A setting that drivers set without meaning much by it.
    SetNothing,
    /// A key of the configuration.
    Set(Setting),
    Reload,
    Pause(Scope),
    Resume(Scope),
    Reconnect(Scope),
    /// A client, by its number.
    Kill(u64),
    /// What a client runs or waits for.
    KillQuery(u64),
    Shutdown(Shutdown),
}

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All servers.
    All,
    /// The server of this database.
    Database(String),
}

/// A key of the configuration and what it shall be.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its name, as `SHOW CONFIG` has it.
    pub(crate) key: String,
    value: Token,
}

impl Setting {
    /// What it shall be.
    pub(crate) fn value(&self) -> Given<'_> {
        match &self.value {
            Token::Text(text) => Given::Text(text),
            Token::Word(word) => Given::Word(word),
            Token::Sign(_) | Token::Semicolon => Given::Word(""),
        }
    }
}

/// Without the value: before the key is known to be none, it may be a secret.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = …", self.key)
    }
}

/// Why a statement is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("the console takes one statement at a time")]
    Several,
    #[error("unknown command: {text}")]
    Unknown {
        text: String,
        /// The known command most like it.
        nearest: Option<String>,
    },
    #[error("SET takes one key and its value: SET pool.max_lifetime = '30m'")]
    NoAssignment,
    #[error("KILL takes the number of a client, as SHOW CLIENTS has it under id")]
    NoNumber,
    #[error(transparent)]
    Words(#[from] WordsError),
}

/// Settings that drivers ask for or set when they log in, and what they are told. PgBouncer answers the same ones.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("default_transaction_isolation", "read committed"),
    ("standard_conforming_strings", "on"),
    ("datestyle", "ISO, MDY"),
    ("timezone", "UTC"),
    ("extra_float_digits", "1"),
    ("application_name", ""),
];

/// Those of [`pgbouncer_keys`] that are times.
const TIMES: [&str; 3] = ["pool.max_lifetime", "pool.idle_timeout", "pool.checkout_timeout"];

impl Command {
    /// Reads one statement. A semicolon at its end and comments are allowed; words are alike in any case.
    pub(crate) fn parse(text: &str) -> Result<Self, CommandError> {
        let mut tokens = words(text)?;
        while tokens.last() == Some(&Token::Semicolon) {
            tokens.pop();
        }
        if tokens.contains(&Token::Semicolon) {
            return Err(CommandError::Several);
        }
        let upper: Vec<String> = tokens.iter().map(Token::keyword).collect();
        let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
        match (upper.as_slice(), tokens.as_slice()) {
            ([], _) => Ok(Self::Nothing),
            (["SHOW", "HELP"], _) => Ok(Self::Help),
            (["SHOW", "TRANSACTION", "LIMITS"], _) => {
                Self::show("TRANSACTION_LIMITS").ok_or_else(|| unknown(text, &upper))
            }
            (["SHOW", "FULL", topic @ "PROCESSLIST"] | ["SHOW", topic], _) => {
                Self::show(topic).ok_or_else(|| unknown(text, &upper))
            }
            (["SET", ..], [_, rest @ ..]) => set(rest),
            (["RELOAD"], _) => Ok(Self::Reload),
            (["PAUSE"], _) => Ok(Self::Pause(Scope::All)),
            (["PAUSE", _], [_, Token::Word(name)]) => Ok(Self::Pause(Scope::Database(name.clone()))),
            (["RESUME"], _) => Ok(Self::Resume(Scope::All)),
            (["RESUME", _], [_, Token::Word(name)]) => Ok(Self::Resume(Scope::Database(name.clone()))),
            (["RECONNECT"], _) => Ok(Self::Reconnect(Scope::All)),
            (["RECONNECT", _], [_, Token::Word(name)]) => Ok(Self::Reconnect(Scope::Database(name.clone()))),
            (["KILL", "QUERY", number], _) => client(number).map(Self::KillQuery),
            (["KILL", "CONNECTION", number] | ["KILL" | "KILL_CLIENT", number], _) => client(number).map(Self::Kill),
            (["KILL" | "KILL_CLIENT"], _) => Err(CommandError::NoNumber),
            (["SHUTDOWN"], _) => Ok(Self::Shutdown(Shutdown::Now)),
            (["SHUTDOWN", "WAIT_FOR_CLIENTS"], _) => Ok(Self::Shutdown(Shutdown::WhenIdle)),
            _ => Err(unknown(text, &upper)),
        }
    }

    /// Whether it only looks.
    pub(crate) const fn only_looks(&self) -> bool {
        match self {
            Self::Nothing | Self::Help | Self::Show(_) | Self::ShowSetting(_) | Self::SetNothing => true,
            Self::Set(_)
            | Self::Reload
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Reconnect(_)
            | Self::Kill(_)
            | Self::KillQuery(_)
            | Self::Shutdown(_) => false,
        }
    }

    fn show(topic: &str) -> Option<Self> {
        let table = TOPICS.iter().position(|known| known.name == topic).map(Self::Show);
        table.or_else(|| setting(topic).map(Self::ShowSetting))
    }
}

fn client(number: &str) -> Result<u64, CommandError> {
    number.parse().map_err(|_| CommandError::NoNumber)
}

fn setting(name: &str) -> Option<usize> {
    SETTINGS.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// `SET` without its first word: of a driver, which may set what it likes among [`SETTINGS`], or of an operator.
fn set(rest: &[Token]) -> Result<Command, CommandError> {
    let scoped = rest.first().is_some_and(|word| matches!(word.keyword().as_str(), "SESSION" | "LOCAL"));
    if let Some(Token::Word(name)) = rest.get(usize::from(scoped))
        && setting(name).is_some()
    {
        return Ok(Command::SetNothing);
    }
    match rest {
        [Token::Word(name), sign, value @ (Token::Word(_) | Token::Text(_))]
            if *sign == Token::Sign('=') || sign.keyword() == "TO" =>
        {
            Ok(Command::Set(key_of(name, value)))
        }
        _ => Err(CommandError::NoAssignment),
    }
}

/// The key that is meant: PgBouncer's names are known, and so are keys of `[pool]` without their section.
fn key_of(name: &str, value: &Token) -> Setting {
    let theirs = pgbouncer_keys().find(|(_, theirs)| theirs.eq_ignore_ascii_case(name));
    match (theirs, value) {
        // A connection with no lifetime at all is used once there; here that would be one without a limit.
        (Some(("pool.max_lifetime", _)), Token::Word(text) | Token::Text(text)) if text.parse() == Ok(0.0) => {
            Setting { key: "pool.max_uses".into(), value: Token::Word("1".into()) }
        }
        // Its times are in seconds.
        (Some((ours, _)), Token::Word(text) | Token::Text(text))
            if TIMES.contains(&ours) && !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) =>
        {
            Setting { key: ours.into(), value: Token::Text(format!("{text}s")) }
        }
        (Some((ours, _)), value) => Setting { key: ours.into(), value: value.clone() },
        (None, value) if name.contains('.') => Setting { key: name.into(), value: value.clone() },
        (None, value) => Setting { key: format!("pool.{name}"), value: value.clone() },
    }
}

/// Names the command that was probably meant.
fn unknown(text: &str, upper: &[&str]) -> CommandError {
    let first = upper.first().copied().unwrap_or_default();
    let whole = upper.join(" ");
    let shows = TOPICS.iter().map(|topic| format!("SHOW {}", topic.name));
    let known: Vec<String> = shows.chain(COMMANDS.iter().map(|command| command.words.to_owned())).collect();
    let known = || known.iter().map(String::as_str);
    // The name behind a word such as PAUSE is like no command, so its first word decides then.
    let found = nearest(&whole, known()).or_else(|| nearest(first, known().filter(|known| !known.contains(' '))));
    CommandError::Unknown { text: shortened(text.trim()), nearest: found.map(Into::into) }
}

/// What was typed, if it is not long.
fn shortened(text: &str) -> String {
    const LEN_MAX: usize = 60;
    let mut short: String = text.chars().take(LEN_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(name: &str) -> Command {
        Command::Show(TOPICS.iter().position(|topic| topic.name == name).unwrap())
    }

    #[test]
    fn statements_are_understood() {
        let database = |name: &str| Scope::Database(name.into());
        let (text, word) = (|text: &str| Token::Text(text.into()), |word: &str| Token::Word(word.into()));
        let assigned = |key: &str, value| Command::Set(Setting { key: key.into(), value });
        for (text, command) in [
            ("", Command::Nothing),
            (" ; ; -- nothing", Command::Nothing),
            ("/* a /* nested */ one */", Command::Nothing),
            ("SHOW HELP", Command::Help),
            ("show pools;", show("POOLS")),
            ("Show\tStats_Totals", show("STATS_TOTALS")),
            ("-- who?\nSHOW /* all */ CLIENTS ;;", show("CLIENTS")),
            ("SHOW \"routes\"", show("ROUTES")),
            ("show TimeZone", Command::ShowSetting(4)),
            ("SET application_name = 'a;b'", Command::SetNothing),
            ("set session datestyle to 'ISO'", Command::SetNothing),
            ("SET extra_float_digits = 3;", Command::SetNothing),
            ("SET pool.max_lifetime = '30m'", assigned("pool.max_lifetime", text("30m"))),
            ("set max_uses=7;", assigned("pool.max_uses", word("7"))),
            ("SET servers.pg-a.budget TO 30", assigned("servers.pg-a.budget", word("30"))),
            ("SET \"databases.a b.pool_mode\" = session", assigned("databases.a b.pool_mode", word("session"))),
            ("SET max_client_conn = '50'", assigned("limits.max_clients", text("50"))),
            ("SET query_wait_timeout = 10", assigned("pool.checkout_timeout", text("10s"))),
            ("SET server_lifetime = '1h'", assigned("pool.max_lifetime", text("1h"))),
            ("SET server_lifetime = 0", assigned("pool.max_uses", word("1"))),
            ("reload", Command::Reload),
            ("PAUSE", Command::Pause(Scope::All)),
            ("pause Shop", Command::Pause(database("Shop"))),
            ("PAUSE \"a \"\"b\"\"\"", Command::Pause(database("a \"b\""))),
            ("RESUME \"*\";", Command::Resume(database("*"))),
            ("RESUME", Command::Resume(Scope::All)),
            ("RECONNECT shop-1", Command::Reconnect(database("shop-1"))),
            ("RECONNECT", Command::Reconnect(Scope::All)),
            ("RECONNECT `shop`", Command::Reconnect(database("shop"))),
            ("show full processlist", show("PROCESSLIST")),
            ("kill connection 7", Command::Kill(7)),
            ("KILL QUERY 7;", Command::KillQuery(7)),
            ("KILL 18446744073709551615", Command::Kill(u64::MAX)),
            ("kill_client 7", Command::Kill(7)),
            ("SHUTDOWN", Command::Shutdown(Shutdown::Now)),
            ("shutdown wait_for_clients", Command::Shutdown(Shutdown::WhenIdle)),
        ] {
            assert_eq!(Command::parse(text), Ok(command), "{text}");
        }
    }

    #[test]
    fn what_is_no_command_is_explained() {
        let unknown = |text: &str, nearest: Option<&str>| CommandError::Unknown {
            text: text.into(),
            nearest: nearest.map(Into::into),
        };
        for (text, error) in [
            ("SHOW POOLS; SHOW CLIENTS", CommandError::Several),
            ("RELOAD; SHUTDOWN", CommandError::Several),
            ("SHOW POLLS", unknown("SHOW POLLS", Some("SHOW POOLS"))),
            ("shw routes", unknown("shw routes", Some("SHOW ROUTES"))),
            ("PASUE shop", unknown("PASUE shop", Some("PAUSE"))),
            ("PAUSE a b", unknown("PAUSE a b", Some("PAUSE"))),
            ("SHUTDOWN WAIT_FOR_SERVERS", unknown("SHUTDOWN WAIT_FOR_SERVERS", Some("SHUTDOWN WAIT_FOR_CLIENTS"))),
            ("SELECT 1", unknown("SELECT 1", None)),
            ("KILL shop", CommandError::NoNumber),
            ("KILL -1", CommandError::NoNumber),
            ("KILL", CommandError::NoNumber),
            ("KILL QUERY", CommandError::NoNumber),
            ("KILL QUERY x", CommandError::NoNumber),
            ("SHOW FULL POOLS", unknown("SHOW FULL POOLS", Some("SHOW POOLS"))),
            ("SET", CommandError::NoAssignment),
            ("SET pool.max_uses", CommandError::NoAssignment),
            ("SET pool.max_uses = ", CommandError::NoAssignment),
            ("SET pool.max_uses = 1, pool.max = 2", CommandError::NoAssignment),
            ("SET 'pool.max_uses' = 1", CommandError::NoAssignment),
            ("SET SESSION pool.max_uses = 1", CommandError::NoAssignment),
            ("PAUSE \"shop", CommandError::Words(WordsError::Quote)),
            ("SET timezone = 'UTC", CommandError::Words(WordsError::Quote)),
            ("SHOW POOLS /* and", CommandError::Words(WordsError::Comment)),
        ] {
            assert_eq!(Command::parse(text), Err(error), "{text}");
        }
        let CommandError::Unknown { text, .. } = Command::parse(&"é".repeat(1_000)).unwrap_err() else { panic!() };
        assert_eq!(text.chars().count(), 61);
    }

    #[test]
    fn a_value_is_not_logged_before_it_is_known_to_be_none_to_hide() {
        let command = Command::parse("SET users.app.password = 'hunter2'").unwrap();
        assert_eq!(format!("{command:?}"), "Set(users.app.password = …)");
    }

    #[test]
    fn only_shows_are_for_viewers() {
        for command in COMMANDS {
            let example = match command.words {
                words if words.starts_with("KILL") => format!("{words} 1"),
                "SET" => "SET pool.max_uses = 1".into(),
                words => words.into(),
            };
            let looks = Command::parse(&example).unwrap().only_looks();
            assert_eq!(looks, command.words.starts_with("SHOW"), "{example}");
        }
    }
}
