//! The set of things a text may do.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What a text may do to its session, its transaction or the data: a set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Effects(u32);

macro_rules! effects {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Effects {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// Every flag with its name, lowest bit first.
            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, stringify!($name))),*];
        }
    };
}

effects! {
    /// Changes a setting for the session: `SET`, `RESET`, `SET SESSION CHARACTERISTICS`.
    SETS = 0;
    /// Changes a setting until the transaction ends: `SET LOCAL`, `SET TRANSACTION`, `SET CONSTRAINTS`,
    /// `set_config(…, …, true)`.
    SET_LOCAL = 1;
    /// Changes settings out of our sight: `set_config(…)` unless it is certainly local, an `UPDATE` of `pg_settings`, `pg_trgm`'s `set_limit`.
    SET_CONFIG = 2;
    /// Changes who the session acts as: `SET ROLE`, `SET SESSION AUTHORIZATION`, and their `RESET`. Always with
    /// [`Effects::SETS`].
    ROLE = 3;
    /// Names a prepared statement: SQL's `PREPARE` (`PREPARE TRANSACTION` is [`Effects::ENDS`]).
    PREPARES = 4;
    /// Uses a statement that SQL's `PREPARE`, or a driver's Parse, has named: `EXECUTE`.
    EXECUTES = 5;
    /// Forgets prepared statements: `DEALLOCATE`.
    DEALLOCATES = 6;
    /// Forgets session state wholesale: `DISCARD`.
    DISCARDS = 7;
    /// Wants notifications: `LISTEN`.
    LISTENS = 8;
    /// Wants them no more: `UNLISTEN`.
    UNLISTENS = 9;
    /// Sends one when it commits: `NOTIFY`, `pg_notify`.
    NOTIFIES = 10;
    /// Makes or touches temporary objects: `CREATE TEMP …`, `SELECT … INTO TEMP`, anything in the schema `pg_temp`.
    TEMP = 11;
    /// Opens a cursor: `DECLARE`. It ends with the transaction, unless [`Effects::CURSOR_HOLD`] is here too.
    DECLARES = 12;
    /// Opens a cursor that outlives the transaction: `DECLARE … WITH HOLD`.
    CURSOR_HOLD = 13;
    /// Takes an advisory lock of the session: `pg_advisory_lock` and its kin, not those with `_xact_`, nor the returning of one.
    ADVISORY = 14;
    /// Loads a library into the server process: `LOAD`.
    LOADS = 15;
    /// Calls a built-in or contrib function that leaves something else in the session: `setseed`, `dblink_connect`,
    /// `pg_backup_start`, `pg_replication_origin_session_setup`, temporary replication slots.
    SESSION_FUNCTION = 16;
    /// Advances a sequence, which `currval` and `lastval` of the session then remember: `nextval`, `setval`.
    NEXTVAL = 17;
    /// Reads that memory: `currval`, `lastval`.
    CURRVAL = 18;
    /// Begins a transaction: `BEGIN`, `START TRANSACTION`, `… AND CHAIN`.
    BEGINS = 19;
    /// Ends a transaction: `COMMIT`, `END`, `ROLLBACK`, `ABORT`, `PREPARE TRANSACTION`.
    ENDS = 20;
    /// Moves inside a transaction: `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`.
    SAVEPOINTS = 21;
    /// Uses the copy sub-protocol, or a file of the server: `COPY`.
    COPIES = 22;
    /// Runs code that may have any effect at all: `CALL`, `DO`, and functions that run a string, such as `query_to_xml`.
    CALLS = 23;
    /// Changes the schema, rights or physical storage: `CREATE`, `ALTER`, `DROP`, `GRANT`, `VACUUM`, `SELECT … INTO`, ….
    DDL = 24;
    /// Changes rows: `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `TRUNCATE`, `COPY … FROM`, also inside `WITH`.
    WRITES = 25;
    /// Locks the rows it reads: `FOR UPDATE`, `FOR NO KEY UPDATE`, `FOR SHARE`, `FOR KEY SHARE`.
    LOCKS_ROWS = 26;
    /// Locks tables until the transaction ends: `LOCK`.
    LOCKS_TABLES = 27;
}

impl Effects {
    /// No effect.
    pub const NONE: Self = Self(0);

    /// All an unreadable function name might stand for.
    pub(crate) const ANY_FUNCTION: Self = Self(
        Self::SET_CONFIG.0
            | Self::NOTIFIES.0
            | Self::TEMP.0
            | Self::ADVISORY.0
            | Self::SESSION_FUNCTION.0
            | Self::NEXTVAL.0
            | Self::CURRVAL.0
            | Self::CALLS.0,
    );

    /// Every effect: for a text that cannot be judged.
    pub const fn all() -> Self {
        let mut all = Self::NONE;
        let mut at = 0;
        while at < Self::NAMES.len() {
            all = all.union(Self::NAMES[at].0);
            at += 1;
        }
        all
    }

    /// The effects of either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The effects of this that are not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are in this.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in this.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the effects, for logs and the console.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
    }
}

impl BitOr for Effects {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Effects {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Effects(")?;
        for (at, name) in self.names().enumerate() {
            f.write_str(if at == 0 { "" } else { " | " })?;
            f.write_str(name)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_operations() {
        let both = Effects::SETS | Effects::ROLE;
        assert!(both.contains(Effects::ROLE) && both.intersects(Effects::ROLE | Effects::TEMP));
        assert!(!both.contains(Effects::ROLE | Effects::TEMP) && !both.intersects(Effects::TEMP));
        assert_eq!(both.without(Effects::SETS), Effects::ROLE);
        assert_eq!(format!("{both:?} {:?}", Effects::NONE), "Effects(SETS | ROLE) Effects()");
        assert_eq!(Effects::all().names().count(), Effects::NAMES.len());
        assert_eq!(Effects::all().0.count_ones() as usize, Effects::NAMES.len(), "each flag has a bit of its own");
    }
}
