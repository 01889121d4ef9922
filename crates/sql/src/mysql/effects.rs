//! The set of things a text may do.

use crate::flags::flags;

/// What a text may do to its session, its transaction or the data: a set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Effects(u32);

flags! {
    /// Changes system variables of the session: `SET x`, `SET NAMES`, `SET CHARACTER SET`, `SET SESSION TRANSACTION`.
    SETS = 0;
    /// Changes system variables of the server, which is no state of the session: `SET GLOBAL`, `SET PERSIST`.
    SETS_GLOBAL = 1;
    /// Changes what the next transaction of the session will be, and only that: `SET TRANSACTION`, MySQL's
    /// `SET @@transaction_isolation` (which on MariaDB is of the session, so it has [`Effects::SETS`] too).
    NEXT_TRANSACTION = 2;
    /// Sets user variables: `SET @x`, `@x := …`, `INTO @x`, `LOAD DATA … (@x)`, `GET DIAGNOSTICS @x`; or hands them to code that
    /// may: `CALL p(@x)`, `EXECUTE … USING @x`.
    USER_VARIABLE_WRITE = 3;
    /// Reads user variables.
    USER_VARIABLE_READ = 4;
    /// Makes or drops temporary tables: `CREATE TEMPORARY TABLE`, `DROP TEMPORARY TABLE`.
    TEMP = 5;
    /// Calls a function that takes, gives back or looks at named locks: `GET_LOCK`, `RELEASE_LOCK`, `IS_USED_LOCK`,
    /// `SERVICE_GET_READ_LOCKS`, `VERSION_TOKENS_LOCK_SHARED` and their kin.
    LOCK_FUNCTION = 6;
    /// Locks tables for the session: `LOCK TABLES`.
    LOCK_TABLES = 7;
    /// Gives back what [`Effects::LOCK_TABLES`] and `FLUSH TABLES … WITH READ LOCK` took: `UNLOCK TABLES`.
    UNLOCK_TABLES = 8;
    /// Takes or gives back a lock of the whole server: `FLUSH TABLES … WITH READ LOCK` and `FOR EXPORT`, `LOCK INSTANCE`,
    /// `BACKUP STAGE`, `BACKUP LOCK`.
    FLUSH_LOCK = 9;
    /// Makes, uses or forgets a prepared statement by SQL: `PREPARE`, `EXECUTE`, `DEALLOCATE`; not `EXECUTE IMMEDIATE`.
    SQL_PREPARE = 10;
    /// Opens, reads or closes a table by `HANDLER`.
    HANDLER = 11;
    /// Begins, ends or recovers a distributed transaction: `XA`.
    XA = 12;
    /// Counts the rows its `LIMIT` leaves out, for `FOUND_ROWS()` later: `SQL_CALC_FOUND_ROWS`.
    CALC_FOUND_ROWS = 13;
    /// Runs code that may have any effect at all: `CALL`, `EXECUTE`, `EXECUTE IMMEDIATE`.
    CALLS = 14;
    /// Changes the default database: `USE`.
    USE = 15;
    /// Ends connections or their statements, by the numbers the server knows them by: `KILL`.
    KILL = 16;
    /// Asks the client for a file: `LOAD DATA LOCAL`, `LOAD XML LOCAL`.
    LOCAL_INFILE = 17;
    /// Reads what the statement before it has left: `SHOW WARNINGS`, `SHOW ERRORS`, `SHOW PROFILE`, `GET DIAGNOSTICS`,
    /// `@@warning_count`, `@@error_count`.
    READS_DIAGNOSTICS = 18;
    /// Reads or sets the last inserted id: `LAST_INSERT_ID()`, `@@last_insert_id`, `@@identity`.
    LAST_INSERT_ID = 19;
    /// Calls `FOUND_ROWS()`.
    FOUND_ROWS = 20;
    /// Calls `ROW_COUNT()`.
    ROW_COUNT = 21;
    /// Reads or sets the number the server knows the session by: `CONNECTION_ID()`, `@@pseudo_thread_id`, `PS_THREAD_ID()`.
    CONNECTION_ID = 22;
    /// Changes the roles the session acts with: `SET ROLE`. `SET DEFAULT ROLE` changes an account: [`Effects::WRITES`].
    SET_ROLE = 23;
    /// Changes a password, which may be the one this session logs in with: `SET PASSWORD`.
    SET_PASSWORD = 24;
    /// Begins, ends or moves inside a transaction: `BEGIN`, `START TRANSACTION`, `COMMIT`, `ROLLBACK`, `SAVEPOINT`, `RELEASE`.
    TRANSACTION = 25;
    /// Locks the rows it reads: `FOR UPDATE`, `FOR SHARE`, `LOCK IN SHARE MODE`.
    LOCKING_READ = 26;
    /// Changes rows, the schema, accounts or the server: everything but queries and what is of the session alone.
    WRITES = 27;
    /// Advances a sequence, whose last value the session then remembers: MariaDB's `NEXTVAL`, `NEXT VALUE FOR`, `SETVAL`.
    NEXTVAL = 28;
    /// Reads that memory: `LASTVAL`, `PREVIOUS VALUE FOR`.
    LASTVAL = 29;
    /// Reads the session's last transaction id: MariaDB's `@@last_gtid`, Galera's `WSREP_LAST_WRITTEN_GTID()`.
    LAST_GTID = 30;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_a_bit_of_its_own() {
        assert_eq!(Effects::all().0.count_ones() as usize, Effects::NAMES.len());
        assert_eq!(format!("{:?}", Effects::XA | Effects::SETS), "Effects(SETS | XA)");
    }
}
