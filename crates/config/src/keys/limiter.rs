//! `[transaction_limit]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[transaction_limit]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TransactionLimitKeys {
    /// Whether it is in force.
    pub mode: LimitMode,
    /// The most of a server's connections for transactions that one user may have at once, from above 0 to 1, rounded down:
    /// of the classes that take transactions and nothing else, or of the `budget` where there are none. (VTTablet:
    /// transaction_limit_per_user)
    pub per_user: f64,
    /// What makes a user: each of these that differs.
    pub by: Vec<LimitKey>,
}

impl Default for TransactionLimitKeys {
    fn default() -> Self {
        Self { mode: LimitMode::Off, per_user: 0.4, by: vec![LimitKey::User] }
    }
}

impl From<&TransactionLimitKeys> for route::TransactionLimit {
    fn from(keys: &TransactionLimitKeys) -> Self {
        Self {
            mode: match keys.mode {
                LimitMode::Off => route::LimitMode::Off,
                LimitMode::On => route::LimitMode::On,
                LimitMode::DryRun => route::LimitMode::DryRun,
            },
            fraction: keys.per_user,
            by: keys.by.iter().copied().map(Into::into).collect(),
        }
    }
}

/// Whether the limit is in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum LimitMode {
    /// It is not.
    #[default]
    Off,
    /// A transaction over it is refused at once.
    On,
    /// What it would refuse is counted, and nothing refused.
    DryRun,
}

/// What tells users apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum LimitKey {
    /// The name they log in with.
    User,
    /// What they call themselves: `application_name`, `program_name`.
    Application,
    /// Their IP address.
    Address,
}

impl From<LimitKey> for route::LimitKey {
    fn from(key: LimitKey) -> Self {
        match key {
            LimitKey::User => Self::User,
            LimitKey::Application => Self::Application,
            LimitKey::Address => Self::Address,
        }
    }
}
