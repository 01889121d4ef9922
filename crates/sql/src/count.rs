//! How many statements a text holds.

/// None, one or more statements; empty ones do not count.
///
/// A body with semicolons of its own (PostgreSQL's `CREATE FUNCTION … BEGIN ATOMIC …; END` and `CREATE RULE … DO (…; …)`, MySQL's
/// stored programs) counts as statements of their own, and so do its effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Nothing but white space, comments and semicolons.
    Zero,
    /// Exactly one statement.
    One,
    /// Two or more.
    Many,
}

impl Count {
    /// With one statement more.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Zero => Self::One,
            Self::One | Self::Many => Self::Many,
        }
    }
}
