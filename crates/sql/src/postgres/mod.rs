//! PostgreSQL.

mod command;
mod effects;
mod inspect;
mod lexer;
mod outline;
mod set_config;
mod settings;
mod word;

pub use command::{Deallocate, Discard, Identifier, deallocate_target, discard_target};
pub use effects::Effects;
pub use inspect::{Verdict, inspect, is_empty};
pub use lexer::{Dialect, Lexer, Token, TokenKind};
pub use outline::outline;
pub use settings::{Scope, SettingChange, SettingChanges, inspect_settings};
pub use word::Keyword;
