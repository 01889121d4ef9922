//! The set of things a text may do.

use crate::flags::flags;

/// What a text may do to its session, its transaction or the data: a set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Effects(u32);

flags! {
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
