//! How many of a server's connections one user may have in transactions.

use std::fmt;

/// The share of one key, and what makes the key.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionLimit {
    /// Whether it is in force.
    pub mode: LimitMode,
    /// The most of the connections of [`Classes::transactional`](crate::Classes::transactional) that one key may have, from
    /// above 0 to 1.
    pub fraction: f64,
    /// What tells one key from another: each of these counts.
    pub by: Vec<LimitKey>,
}

impl Default for TransactionLimit {
    /// Off; VTTablet's fraction, by user.
    fn default() -> Self {
        Self { mode: LimitMode::Off, fraction: 0.4, by: vec![LimitKey::User] }
    }
}

/// Whether a limit is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LimitMode {
    /// It is not.
    #[default]
    Off,
    /// It is: who is over it gets an error.
    On,
    /// It counts what it would refuse, and refuses nothing.
    DryRun,
}

/// A part of what a [`TransactionLimit`] tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// The user, as the client names it.
    User,
    /// What the client calls itself.
    Application,
    /// The client's address, without its port.
    Address,
}

impl fmt::Display for LimitKey {
    /// As the configuration spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Application => "application",
            Self::Address => "address",
        })
    }
}
