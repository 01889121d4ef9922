//! Capability flags: what client and server agree on before the first command, and by which every payload is read.
//!
//! # How we negotiate
//! A session's capabilities are what the client asked for, cut to what we offered; a server connection's are what the
//! server offered, cut to what we asked for. The offer to clients is made before it is known which server will answer, so
//! it never promises more than *every* server behind can do: a flag that changes what a command means
//! ([`FOUND_ROWS`](Capabilities::FOUND_ROWS), [`IGNORE_SPACE`](Capabilities::IGNORE_SPACE)) or that needs the server's
//! help ([`QUERY_ATTRIBUTES`](Capabilities::QUERY_ATTRIBUTES),
//! [`STMT_BULK_OPERATIONS`](Capabilities::STMT_BULK_OPERATIONS)) is offered only if all of them offer it. A flag that only
//! changes how a reply is written ([`DEPRECATE_EOF`](Capabilities::DEPRECATE_EOF),
//! [`SESSION_TRACK`](Capabilities::SESSION_TRACK)) may differ between the two sides, and is translated.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign};

/// Capability flags: MySQL's in the lower 32 bits, MariaDB's extended ones in the upper 32.
///
/// Names as in MySQL's `include/mysql_com.h` without `CLIENT_`, MariaDB's without `MARIADB_CLIENT_`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// No capability at all: what holds before a greeting was read.
    pub const NONE: Self = Self(0);
    /// Set by MySQL and its clients. MariaDB names this bit `CLIENT_MYSQL`: a side that leaves it out is MariaDB's, and
    /// sends extended capabilities in bytes that MySQL fills with zeros.
    pub const LONG_PASSWORD: Self = Self(1);
    /// Affected rows counts rows found, not rows changed.
    pub const FOUND_ROWS: Self = Self(1 << 1);
    /// Longer flags in column definitions.
    pub const LONG_FLAG: Self = Self(1 << 2);
    /// The handshake response names a database.
    pub const CONNECT_WITH_DB: Self = Self(1 << 3);
    /// `database.table.column` is not allowed.
    pub const NO_SCHEMA: Self = Self(1 << 4);
    /// The compressed protocol with zlib, after the login.
    pub const COMPRESS: Self = Self(1 << 5);
    /// Means nothing to servers.
    pub const ODBC: Self = Self(1 << 6);
    /// The client can send a file for `LOAD DATA LOCAL`.
    pub const LOCAL_FILES: Self = Self(1 << 7);
    /// Spaces may stand before the parenthesis of a function call, and function names are reserved words.
    pub const IGNORE_SPACE: Self = Self(1 << 8);
    /// The 4.1 protocol; without it we speak with nobody.
    pub const PROTOCOL_41: Self = Self(1 << 9);
    /// `interactive_timeout` holds instead of `wait_timeout`.
    pub const INTERACTIVE: Self = Self(1 << 10);
    /// TLS: the client goes on with it after an SSL request.
    pub const SSL: Self = Self(1 << 11);
    /// Means nothing to servers.
    pub const IGNORE_SIGPIPE: Self = Self(1 << 12);
    /// Status flags in OK packets before 4.1; set by everyone.
    pub const TRANSACTIONS: Self = Self(1 << 13);
    /// Was the 4.1 protocol once, means nothing now.
    pub const RESERVED: Self = Self(1 << 14);
    /// The 4.1 password exchange, a nonce of 20 bytes (`CLIENT_RESERVED2` in MySQL 8).
    pub const SECURE_CONNECTION: Self = Self(1 << 15);
    /// Several statements in one text.
    pub const MULTI_STATEMENTS: Self = Self(1 << 16);
    /// Several results for one text.
    pub const MULTI_RESULTS: Self = Self(1 << 17);
    /// Several results for one prepared statement.
    pub const PS_MULTI_RESULTS: Self = Self(1 << 18);
    /// Authentication plugins are named.
    pub const PLUGIN_AUTH: Self = Self(1 << 19);
    /// The handshake response carries connection attributes.
    pub const CONNECT_ATTRS: Self = Self(1 << 20);
    /// The authentication response's length is length-encoded, so that it may exceed 255 bytes.
    pub const PLUGIN_AUTH_LENENC_CLIENT_DATA: Self = Self(1 << 21);
    /// The client can go on with an expired password (to change it).
    pub const CAN_HANDLE_EXPIRED_PASSWORDS: Self = Self(1 << 22);
    /// OK packets tell changes of session state.
    pub const SESSION_TRACK: Self = Self(1 << 23);
    /// Results end with an OK packet, and no EOF packet follows column definitions.
    pub const DEPRECATE_EOF: Self = Self(1 << 24);
    /// Results may come without column definitions. MariaDB uses the bit for nothing.
    pub const OPTIONAL_RESULTSET_METADATA: Self = Self(1 << 25);
    /// The compressed protocol with zstd, after the login.
    pub const ZSTD_COMPRESSION_ALGORITHM: Self = Self(1 << 26);
    /// Queries and executions carry attributes.
    pub const QUERY_ATTRIBUTES: Self = Self(1 << 27);
    /// More than one authentication method in turn.
    pub const MULTI_FACTOR_AUTHENTICATION: Self = Self(1 << 28);
    /// Extends the word of capabilities; reserved.
    pub const CAPABILITY_EXTENSION: Self = Self(1 << 29);
    /// The client verifies the server's certificate; of use only inside clients.
    pub const SSL_VERIFY_SERVER_CERT: Self = Self(1 << 30);
    /// Options hold after a failed login; of use only inside clients.
    pub const REMEMBER_OPTIONS: Self = Self(1 << 31);

    /// MariaDB: the server may report progress in error packets of code 0xFFFF.
    pub const PROGRESS: Self = Self(1 << 32);
    /// MariaDB: `COM_MULTI`, withdrawn before it was released.
    pub const COM_MULTI: Self = Self(1 << 33);
    /// MariaDB: `COM_STMT_BULK_EXECUTE`.
    pub const STMT_BULK_OPERATIONS: Self = Self(1 << 34);
    /// MariaDB: column definitions carry extended type information.
    pub const EXTENDED_METADATA: Self = Self(1 << 35);
    /// MariaDB: an execution's result may come without column definitions when they have not changed.
    pub const CACHE_METADATA: Self = Self(1 << 36);
    /// MariaDB: `COM_STMT_BULK_EXECUTE` may answer with a result of its own for each row.
    pub const BULK_UNIT_RESULTS: Self = Self(1 << 37);

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

    /// Whether results may come without column definitions, by either server's flag for it.
    pub(crate) const fn may_leave_definitions_out(self) -> bool {
        self.contains(Self::OPTIONAL_RESULTSET_METADATA) || self.contains(Self::CACHE_METADATA)
    }

    /// These flags with `flags` set: `|` for constants.
    #[must_use]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// MySQL's half, as on the wire.
    #[must_use]
    pub const fn basic(self) -> u32 {
        self.0 as u32
    }

    /// MariaDB's half, as on the wire; nothing when the side says that it is MySQL's.
    #[must_use]
    pub const fn extended(self) -> u32 {
        if self.contains(Self::LONG_PASSWORD) { 0 } else { (self.0 >> 32) as u32 }
    }

    /// Puts both halves together; MariaDB's counts only where the side does not say that it is MySQL's.
    #[must_use]
    pub const fn from_wire(basic: u32, extended: u32) -> Self {
        let basic = Self(basic as u64);
        if basic.contains(Self::LONG_PASSWORD) { basic } else { Self(basic.0 | (extended as u64) << 32) }
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl BitOrAssign for Capabilities {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl BitAnd for Capabilities {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capabilities({:#x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::constants::{CapabilityFlags, MariadbCapabilities};

    #[test]
    fn the_bits_are_those_of_another_implementation() {
        let all = [
            (Capabilities::LONG_PASSWORD, CapabilityFlags::CLIENT_LONG_PASSWORD),
            (Capabilities::FOUND_ROWS, CapabilityFlags::CLIENT_FOUND_ROWS),
            (Capabilities::CONNECT_WITH_DB, CapabilityFlags::CLIENT_CONNECT_WITH_DB),
            (Capabilities::LOCAL_FILES, CapabilityFlags::CLIENT_LOCAL_FILES),
            (Capabilities::IGNORE_SPACE, CapabilityFlags::CLIENT_IGNORE_SPACE),
            (Capabilities::PROTOCOL_41, CapabilityFlags::CLIENT_PROTOCOL_41),
            (Capabilities::INTERACTIVE, CapabilityFlags::CLIENT_INTERACTIVE),
            (Capabilities::SSL, CapabilityFlags::CLIENT_SSL),
            (Capabilities::SECURE_CONNECTION, CapabilityFlags::CLIENT_SECURE_CONNECTION),
            (Capabilities::MULTI_STATEMENTS, CapabilityFlags::CLIENT_MULTI_STATEMENTS),
            (Capabilities::PS_MULTI_RESULTS, CapabilityFlags::CLIENT_PS_MULTI_RESULTS),
            (Capabilities::PLUGIN_AUTH, CapabilityFlags::CLIENT_PLUGIN_AUTH),
            (Capabilities::CONNECT_ATTRS, CapabilityFlags::CLIENT_CONNECT_ATTRS),
            (Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA, CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA),
            (Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS, CapabilityFlags::CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS),
            (Capabilities::SESSION_TRACK, CapabilityFlags::CLIENT_SESSION_TRACK),
            (Capabilities::DEPRECATE_EOF, CapabilityFlags::CLIENT_DEPRECATE_EOF),
            (Capabilities::OPTIONAL_RESULTSET_METADATA, CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA),
            (Capabilities::ZSTD_COMPRESSION_ALGORITHM, CapabilityFlags::CLIENT_ZSTD_COMPRESSION_ALGORITHM),
            (Capabilities::QUERY_ATTRIBUTES, CapabilityFlags::CLIENT_QUERY_ATTRIBUTES),
            (Capabilities::MULTI_FACTOR_AUTHENTICATION, CapabilityFlags::MULTI_FACTOR_AUTHENTICATION),
            (Capabilities::REMEMBER_OPTIONS, CapabilityFlags::CLIENT_REMEMBER_OPTIONS),
        ];
        for (ours, theirs) in all {
            assert_eq!(ours.basic(), theirs.bits(), "{theirs:?}");
        }
        assert_eq!(Capabilities::PROGRESS.extended(), MariadbCapabilities::MARIADB_CLIENT_PROGRESS.bits());
        assert_eq!(
            Capabilities::STMT_BULK_OPERATIONS.extended(),
            MariadbCapabilities::MARIADB_CLIENT_STMT_BULK_OPERATIONS.bits()
        );
        assert_eq!(Capabilities::CACHE_METADATA.extended(), MariadbCapabilities::MARIADB_CLIENT_CACHE_METADATA.bits());
    }

    #[test]
    fn extended_flags_need_a_side_that_is_not_mysqls() {
        let bulk = Capabilities::STMT_BULK_OPERATIONS;
        assert_eq!(Capabilities::from_wire(1 << 9, bulk.extended()), Capabilities::PROTOCOL_41 | bulk);
        assert_eq!(Capabilities::from_wire(1, bulk.extended()), Capabilities::LONG_PASSWORD);
        assert_eq!((bulk | Capabilities::LONG_PASSWORD).extended(), 0);
    }

    #[test]
    fn flags_are_sets() {
        let flags = Capabilities::SSL | Capabilities::COMPRESS;
        assert!(flags.contains(Capabilities::SSL) && !flags.contains(Capabilities::SSL | Capabilities::ODBC));
        assert_eq!(flags.without(Capabilities::SSL), Capabilities::COMPRESS);
        assert_eq!(flags & Capabilities::SSL, Capabilities::SSL);
    }
}
