//! The protocols that servers speak.

use std::fmt;

/// What a server, and so every database on it, speaks with its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// PostgreSQL's, version 3.0 and later.
    #[default]
    Postgres,
    /// MySQL's, which MariaDB speaks too.
    Mysql,
}

impl Protocol {
    /// The port of a server whose address names none.
    #[must_use]
    pub const fn server_port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }
}

impl fmt::Display for Protocol {
    /// The name by which people know it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
        })
    }
}
