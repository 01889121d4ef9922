//! The command-line clients, as users run them.

use std::process::Command;

use anyhow::Result;

use super::{Install, Kind};
use crate::process::run;

/// A command-line client, and whom it logs in as where.
#[derive(Clone, Debug)]
pub struct Cli {
    install: Install,
    arguments: Vec<String>,
}

impl Cli {
    /// MariaDB's `mariadb` or MySQL's `mysql`, for 127.0.0.1:`port`.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn new(kind: Kind, port: u16, user: &str, password: &str) -> Result<Self> {
        let install = Install::find(kind)?;
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            "--batch".to_owned(),
            "--skip-column-names".to_owned(),
            "--protocol=TCP".to_owned(),
            "--host=127.0.0.1".to_owned(),
            format!("--port={port}"),
            format!("--user={user}"),
            // An empty value would make the client ask for one.
            if password.is_empty() { "--skip-password".to_owned() } else { format!("--password={password}") },
        ];
        // Where an unpacked client finds logins that are not built in, such as MySQL's mysql_native_password.
        let places = install.places().into_iter().filter(|(name, _)| *name == "plugin-dir");
        arguments.extend(places.map(|(name, value)| format!("--{name}={value}")));
        Ok(Self { install, arguments })
    }

    /// Adds an option, such as `--ssl-mode=REQUIRED` or `--compress`.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.arguments.push(option.to_owned());
        self
    }

    /// The command, to which a database and input may be added.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = self.install.program(self.install.client_name());
        command.args(&self.arguments);
        command
    }

    /// Runs SQL in a database; rows are lines, columns split by tabs.
    ///
    /// # Errors
    /// When the login or a statement fails, with the server's message.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        run(self.command().arg(format!("--database={database}")).args(["--execute", sql]))
    }
}
