//! MySQL and MariaDB.
//!
//! [`inspect`] tells what a text may do to the session, without allocating and for a nanosecond or two a byte. The trackers of the server
//! (`session_track_system_variables` and its kin) tell afterwards which variables, which database and which transaction there are;
//! the text is the only source for the rest: user variables, named locks, temporary tables, what it reads of the statement before.
//! The other functions take apart the few statements a pooler carries out itself or rewrites: [`use_target`], [`kill_target`],
//! [`show_diagnostics`], [`assignments`], [`transaction_verb`], [`substitutions`]; [`found_rows`] and [`uses_no_table`] tell what a
//! text leaves for the next one.
//!
//! # What a verdict promises
//!
//! It may report an effect that does not happen, and must never miss one of the servers' own syntax and functions, in any version
//! from MySQL 5.6 and MariaDB 10.0 on. A statement that begins with a word we do not know, and a text that versions read
//! differently, has all effects but those whose words occur nowhere in it. A statement the server refuses to parse has no effects; nothing is promised about it except
//! an answer, which for a mistyped first word is the same: the caller should look at the reply before it believes that.
//!
//! [`Mode`] must be the session's as of the text's start. If a statement may change it, what follows in the same text and would be
//! read differently then is doubtful, with the same effects.
//!
//! Bodies of stored programs are read as if they ran when they are made. Executable comments (`/*! … */`) are code; where their
//! version decides (`/*!80016 … */`), the verdict holds for the servers that carry them out and for those that do not.
//!
//! # What no text can show
//!
//! - What a user's own function, trigger or view does. `CALL`, `EXECUTE` and `EXECUTE IMMEDIATE` report [`Effects::CALLS`];
//!   a function looks like any other, and may set user variables or take named locks. Nor which of the database's tables is a temporary one
//!   or a sequence.
//! - What a variable changes elsewhere: with `sql_auto_is_null` a `WHERE id IS NULL` reads the last inserted id, with
//!   `completion_type` a `COMMIT` ends the connection, with `init_connect` anything.
//! - That `SHOW VARIABLES`, `SHOW PROCESSLIST` and the tables of `performance_schema` and `information_schema` tell of the server
//!   connection what they tell (`PROFILING` is reported).
//!
//! ```
//! use sql::mysql::{Effects, Mode, inspect};
//!
//! let effects = |text: &str| inspect(text.as_bytes(), Mode::STANDARD).effects;
//! assert_eq!(effects("SET @a := 1, sql_mode = ''"), Effects::USER_VARIABLE_WRITE | Effects::SETS);
//! assert_eq!(effects("select /*! get_lock('a', 1) */ 1 # ; set x = 1"), Effects::LOCK_FUNCTION);
//! assert!(effects("select @@sql_mode, 'set x = 1; -- ', `get_lock` from t").is_empty());
//! ```

mod afterwards;
mod assignments;
mod command;
mod doubt;
mod effects;
mod inspect;
mod items;
mod lexer;
mod mode;
mod outline;
mod phrase;
mod substitutions;
mod target;
mod transaction;
mod word;

pub use afterwards::{FoundRows, found_rows, uses_no_table};
pub use assignments::{Assignment, Assignments, Value, assignments};
pub use command::{Diagnostics, Kill, Limit, Use, kill_target, show_diagnostics, use_target};
pub use effects::Effects;
pub use inspect::{Verdict, inspect};
pub use lexer::{Lexer, Token, TokenKind};
pub use mode::{Charset, Mode};
pub use outline::outline;
pub use substitutions::{Function, Substitution, Substitutions, substitutions};
pub use target::Scope;
pub use transaction::{Access, Completion, TransactionVerb, transaction_verb};
pub use word::Keyword;
