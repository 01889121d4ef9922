//! Real MariaDB and MySQL servers, and what speaks to them.
//!
//! ```no_run
//! use testkit::mysql::{Kind, Login, Options, Server};
//!
//! let server = Server::start(Kind::MariaDb, Options::new().user("app", "secret", Login::Usual).database("shop"))?;
//! assert_eq!(server.sql("select 1")?, "1");
//! # anyhow::Ok(())
//! ```
//!
//! MariaDB is the machine's own. MySQL comes from a folder of the [cache](crate::cache), because Debian's stable suites
//! have none; where it could not be installed, [`for_each_server`] says so by name and goes on.

mod client;
mod handshake;
mod install;
mod options;
mod result;
mod server;
mod statement;
mod wire;

pub use client::Cli;
pub use handshake::{Client, Greeting, capability, scramble};
pub use install::{Install, UNPACKED};
pub use options::{Login, Options};
pub use result::{Answer, Done, Row, ServerError, Table};
pub use server::{SUPERUSER, Server, Session};
pub use statement::Statement;
pub use wire::{MyWire, Packet, packet};

use anyhow::{Context, Result};

/// Which of the two servers that speak the MySQL protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MariaDB.
    MariaDb,
    /// MySQL.
    MySql,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::MariaDb, Self::MySql];

    /// The name people know it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        }
    }
}

/// Runs `test` on a fresh server of each kind; MySQL is skipped, loudly, where it is not installed.
///
/// # Errors
/// The first error of a test, with the kind of its server. A missing MariaDB is an error: every machine can have it.
pub fn for_each_server(options: &Options, mut test: impl FnMut(&mut Server) -> Result<()>) -> Result<()> {
    for kind in Kind::ALL {
        if let (Kind::MySql, Err(why)) = (kind, Install::find(kind)) {
            skipped(kind.name(), &format!("{why:#}"));
            continue;
        }
        let mut server = Server::start(kind, options.clone())?;
        test(&mut server).with_context(|| format!("with {}; its log ends:\n{}", kind.name(), server.log_end()))?;
    }
    Ok(())
}

/// Says, in the one form that a search of a test run's output finds, that `what` was not tested and why.
pub fn skipped(what: &str, why: &str) {
    eprintln!("SKIPPED: {what} ({why})");
}
