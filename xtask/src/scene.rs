//! The scene that the demo and the benchmarks share: one real server, its users, and Evenkeel in front with one budget.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use testkit::wire::md5_verifier;
use testkit::{Evenkeel, Login, Options, Postgres, Speaks, Wire, mysql};

/// A server connection budget, users and databases; every user has the password [`PASSWORD`].
#[derive(Default)]
pub(crate) struct Scene<'a> {
    /// The most server connections Evenkeel may hold.
    pub(crate) budget: u32,
    /// Names of the users, and how they log in, here and at a PostgreSQL server. Hundreds of md5 logins cost little. With
    /// MySQL they log in as the server does by itself.
    pub(crate) users: &'a [(&'a str, Login)],
    /// Names of the databases.
    pub(crate) databases: &'a [&'a str],
    /// Further keys of the server, each on a line.
    pub(crate) server_keys: &'a str,
    /// Further sections of the configuration.
    pub(crate) sections: &'a str,
}

impl Scene<'_> {
    /// Starts the PostgreSQL server, with room beyond the budget for observers.
    pub(crate) fn postgres(&self, options: Options) -> Result<Postgres> {
        let spare = 80;
        let options = options.max_connections(self.budget + spare);
        let options = self.users.iter().fold(options, |options, (user, login)| options.user(user, PASSWORD, *login));
        Postgres::start(self.databases.iter().fold(options, |options, database| options.database(database)))
    }

    /// Starts Evenkeel in front of it.
    pub(crate) fn evenkeel(&self, binary: &Path, pg: &Postgres) -> Result<Evenkeel> {
        Evenkeel::start(
            binary,
            &self.config("postgres", &pg.address(), |user, login| match login {
                Login::Md5 => md5_verifier(user, PASSWORD),
                Login::Scram | Login::Trust => PASSWORD.to_owned(),
            }),
        )
    }

    /// Starts a MySQL or MariaDB server, with room beyond the budget for observers and other poolers.
    pub(crate) fn mysql(&self, kind: mysql::Kind, options: mysql::Options) -> Result<mysql::Server> {
        let options =
            self.users.iter().fold(options, |options, (user, _)| options.user(user, PASSWORD, mysql::Login::Usual));
        mysql::Server::start(kind, self.databases.iter().fold(options, |options, database| options.database(database)))
    }

    /// Starts Evenkeel in front of it; [`console`] works here too.
    pub(crate) fn evenkeel_mysql(&self, binary: &Path, server: &mysql::Server) -> Result<Evenkeel> {
        Evenkeel::start_for(Speaks::Both, binary, &self.config_mysql(server))
    }

    /// What Evenkeel is told of a MySQL or MariaDB server.
    pub(crate) fn config_mysql(&self, server: &mysql::Server) -> String {
        self.config("mysql", &server.address(), |_, _| PASSWORD.to_owned())
    }

    /// Evenkeel's configuration, without the `[listen]` section. Nobody encrypts, so that everybody in a measurement does
    /// the same work.
    fn config(&self, protocol: &str, server: &str, password: impl Fn(&str, Login) -> String) -> String {
        let mut text = format!(
            "[pool]\nmode = \"transaction\"\ncheckout_timeout = \"30s\"\n\n\
             [[servers]]\nname = \"main\"\ncluster = \"main\"\nprotocol = \"{protocol}\"\naddress = \"{server}\"\n\
             tls = \"disable\"\nrole = \"primary\"\nbudget = {}\n{}\n[[databases]]\nname = \"*\"\ncluster = \"main\"\n\n{}",
            self.budget, self.server_keys, self.sections
        );
        for (user, login) in self.users.iter().chain(&[(OPERATOR, Login::Scram)]) {
            let _ = writeln!(text, "[[users]]\nname = \"{user}\"\npassword = \"{}\"\n", password(user, *login));
        }
        let _ = writeln!(text, "[admin]\nusers = [\"{OPERATOR}\"]");
        text
    }
}

/// One row of a console answer, by column name.
pub(crate) struct Row {
    cells: Vec<(String, String)>,
}

impl Row {
    /// The cell of the first column that has one of these names; empty when there is none.
    pub(crate) fn cell(&self, name: &str) -> &str {
        self.cells.iter().find(|(column, _)| column == name).map_or("", |(_, value)| value)
    }
}

/// Asks Evenkeel's console, as its operator.
pub(crate) fn console(evenkeel: &Evenkeel, command: &str) -> Result<Vec<Row>> {
    let mut wire: Wire = evenkeel.client(OPERATOR, PASSWORD, CONSOLE)?;
    let (columns, rows) = wire.query_named(command)?;
    let cells = |row: Vec<Option<String>>| {
        columns.iter().cloned().zip(row.into_iter().map(Option::unwrap_or_default)).collect()
    };
    Ok(rows.into_iter().map(|row| Row { cells: cells(row) }).collect())
}

/// The password of every user here.
pub(crate) const PASSWORD: &str = "even-keel";
/// The user who may use the console.
pub(crate) const OPERATOR: &str = "operator";
/// The name of the console's database.
pub(crate) const CONSOLE: &str = "evenkeel";
