//! The server status flags of OK and EOF packets (MySQL: `SERVER_STATUS_flags_enum`, `include/mysql_com.h`).

use std::fmt;
use std::ops::{BitAnd, BitOr};

/// A session's state as the server reports it after each statement.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Status(pub u16);

impl Status {
    /// Nothing is set.
    pub const NONE: Self = Self(0);
    /// A transaction is open.
    pub const IN_TRANS: Self = Self(1);
    /// Statements outside a transaction commit themselves.
    pub const AUTOCOMMIT: Self = Self(1 << 1);
    /// Another result follows this one.
    pub const MORE_RESULTS_EXISTS: Self = Self(1 << 3);
    /// No good index was found for the statement.
    pub const NO_GOOD_INDEX_USED: Self = Self(1 << 4);
    /// No index was used for the statement.
    pub const NO_INDEX_USED: Self = Self(1 << 5);
    /// The statement opened a cursor; its rows come by `COM_STMT_FETCH`.
    pub const CURSOR_EXISTS: Self = Self(1 << 6);
    /// The cursor's last row was sent, and the cursor is closed.
    pub const LAST_ROW_SENT: Self = Self(1 << 7);
    /// A database was dropped.
    pub const DB_DROPPED: Self = Self(1 << 8);
    /// In literals a backslash is an ordinary byte: clients escape by this flag.
    pub const NO_BACKSLASH_ESCAPES: Self = Self(1 << 9);
    /// A statement was prepared anew, and its result's columns are others than before.
    pub const METADATA_CHANGED: Self = Self(1 << 10);
    /// The statement took longer than `long_query_time`.
    pub const QUERY_WAS_SLOW: Self = Self(1 << 11);
    /// This result holds the output parameters of a stored procedure.
    pub const PS_OUT_PARAMS: Self = Self(1 << 12);
    /// The open transaction is read-only.
    pub const IN_TRANS_READONLY: Self = Self(1 << 13);
    /// Session state changed, and the OK packet says how (only with `SESSION_TRACK`).
    pub const SESSION_STATE_CHANGED: Self = Self(1 << 14);
    /// MariaDB: double quotes delimit identifiers (`SERVER_STATUS_ANSI_QUOTES`).
    pub const ANSI_QUOTES: Self = Self(1 << 15);

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags with `flags` cleared.
    #[must_use]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl BitOr for Status {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Status {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({:#06x})", self.0)
    }
}
