//! What the program can be told to do.

use std::sync::Arc;

use config::{AmendError, Config, Given};

/// What the program can be told to do; implemented by crate `evenkeel`, which knows where the configuration is and how
/// the program ends.
pub trait Steering: Send + Sync + 'static {
    /// Reads the configuration again and applies it. May block: it reads files.
    ///
    /// Returns one line per change, which says so where a change needs a restart.
    ///
    /// # Errors
    /// What is wrong with the new configuration, as text; the old one stays in force.
    fn reload(&self) -> Result<Vec<String>, String>;

    /// Changes one key of the configuration in force, until it is next read. May block, as a reload may.
    ///
    /// Returns one line per change: of `[pool]`, other servers' may follow.
    ///
    /// # Errors
    /// Why it was not changed.
    fn set(&self, key: &str, value: Given<'_>) -> Result<Vec<String>, SetError>;

    /// Begins to end the program. Returns at once.
    fn shutdown(&self, how: Shutdown);

    /// The configuration in force.
    fn config(&self) -> Arc<Config>;
}

/// Why a key was not changed. Everything is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The configuration cannot be like that.
    #[error(transparent)]
    Amend(#[from] AmendError),
    /// More connections could be opened than a server has room for, and `pool.fit` is `refuse`.
    #[error("{0}")]
    Unfit(String),
}

/// How the program is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// At once: clients are disconnected.
    Now,
    /// When no client has a transaction open, or after `timeouts.shutdown`.
    WhenIdle,
}

/// How far the program is, as `/readyz` and `SHOW STATE` tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does not accept clients yet.
    Starting,
    /// It accepts clients.
    Ready,
    /// It is about to end: no new clients.
    Draining,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}
