//! What a statement may do to the session that runs it: a lexer and verdicts.
//!
//! It deliberately knows no grammar beyond what that question needs: it never fails, never allocates and reads the text once,
//! so that looking at every query costs a nanosecond or two a byte. The main entry is [`inspect`], whose [`Verdict`] is a few
//! bytes of facts; [`inspect_settings`], [`deallocate_target`] and [`discard_target`] take apart the few statements a pooler
//! carries out itself. The caller is `session`, which decides from the facts whether a server connection can be shared again.
//!
//! This page is of PostgreSQL; [`mysql`] has the same for MySQL and MariaDB.
//!
//! # What a verdict promises
//!
//! It may report an effect that does not happen, and must never miss one of PostgreSQL's own syntax and functions. A text the
//! server refuses to parse has no effects, so nothing is promised about such a text except an answer.
//!
//! # What no text can show
//!
//! - What a user's own function, operator, trigger, rule or view does: it may call `set_config`, take an advisory lock or make
//!   a temporary table. `DO` and `CALL`, and built-in functions that run a string as SQL, report [`Effects::CALLS`].
//! - What a name means. Under another `search_path`, `set_config` may be somebody else's function, or `CREATE TABLE` may make
//!   a temporary table (setting a path with `pg_temp` in it reports [`Effects::TEMP`] for that reason, unless a parameter or an
//!   expression in `set_config(…, true)` says so).
//! - Encodings in which a byte of a longer character looks like a backslash: SJIS, BIG5, GBK, UHC, GB18030 and JOHAB, which
//!   exist as `client_encoding` only. A session that uses one must be taken to have [`Effects::all`].
//!
//! ```
//! use sql::{Count, Effects, inspect};
//!
//! let verdict = inspect(b"/* hint */ select 1; set search_path to app", true);
//! assert_eq!((verdict.statements, verdict.effects), (Count::Many, Effects::SETS));
//! assert!(inspect(b"select 'set x to 1'", true).effects.is_empty());
//! ```

mod count;
mod flags;
mod index;
pub mod mysql;
mod outline;
mod postgres;

pub use count::Count;
pub use postgres::{
    Deallocate, Dialect, Discard, Effects, Identifier, Keyword, Lexer, Scope, SettingChange, SettingChanges, Token,
    TokenKind, Verdict, deallocate_target, discard_target, inspect, inspect_settings, is_empty, outline,
};
