//! The command line.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use config::Config;

use crate::{check, import::Format, serve, size::Size};

/// A fair, budgeted connection pooler for PostgreSQL, MySQL and MariaDB.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = BEGINNING)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const BEGINNING: &str = "\
To begin with, in front of a server that is there:
  evenkeel serve --postgres postgres://user:password@host/database
  evenkeel serve --mysql mysql://user:password@host/database
With a file: evenkeel check evenkeel.toml, then evenkeel serve evenkeel.toml. Its keys: evenkeel reference.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients until told to stop. SIGHUP reloads the configuration; SIGTERM lets transactions finish first.
    Serve(Source),
    /// Say what is wrong with a configuration, and whether its servers can be reached.
    Check {
        #[command(flatten)]
        source: Source,
        /// Look at the configuration only; connect to no server.
        #[arg(long)]
        offline: bool,
    },
    /// Print the reference of all configuration keys.
    Reference {
        /// Print the JSON schema instead, for editors.
        #[arg(long)]
        schema: bool,
    },
    /// Say how large pools should be: for stated needs, for a running node, or by what was measured.
    Size(Box<Size>),
    /// Write a configuration from the settings of another pool.
    Import {
        #[command(subcommand)]
        format: Format,
    },
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct Source {
    /// The configuration file.
    #[arg(value_name = "FILE", conflicts_with_all = ["config", "postgres", "mysql"])]
    file: Option<PathBuf>,
    /// The same, by name.
    #[arg(short, long, value_name = "FILE", env = "EVENKEEL_CONFIG")]
    config: Option<PathBuf>,
    /// Serve this database without a file: postgres://user:password@host:port/database?budget=20. May be repeated.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    postgres: Vec<String>,
    /// The same for MySQL and MariaDB: mysql://user:password@host:port/database?ssl-mode=REQUIRED. May be given beside
    /// --postgres, and repeated.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    mysql: Vec<String>,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Serve(source) => serve::run(source),
            Self::Check { source, offline } => check::run(&source, offline),
            Self::Reference { schema } => {
                if schema {
                    println!("{:#}", config::reference::schema());
                } else {
                    print!("{}", config::reference::page());
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Size(size) => size.run(),
            Self::Import { format } => format.run(),
        }
    }
}

impl Source {
    /// Reads the configuration.
    pub(crate) fn load(&self) -> Result<Config> {
        if let Some(path) = self.file.as_ref().or(self.config.as_ref()) {
            return Ok(Config::load(path)?);
        }
        match (&*self.postgres, &*self.mysql) {
            ([], []) => bail!("there is no configuration: name its file, or give --postgres URL or --mysql URL"),
            (postgres, []) => Config::from_urls(postgres).context("--postgres"),
            ([], mysql) => Config::from_urls(mysql).context("--mysql"),
            (postgres, mysql) => Config::from_urls(&[postgres, mysql].concat()).context("--postgres and --mysql"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn file(arguments: &[&str]) -> Option<PathBuf> {
        let cli = Cli::try_parse_from([&["evenkeel", "serve"], arguments].concat()).ok()?;
        let Command::Serve(source) = cli.command else { return None };
        source.file.or(source.config)
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_is_named_with_its_key_or_without_and_once() {
        for arguments in [&["a.toml"][..], &["--config", "a.toml"], &["-c", "a.toml"]] {
            assert_eq!(file(arguments), Some("a.toml".into()), "{arguments:?}");
        }
        for arguments in [&["a.toml", "--config", "a.toml"][..], &["a.toml", "--mysql", "mysql://a:b@c/d"], &["a", "b"]]
        {
            assert_eq!(file(arguments), None, "{arguments:?}");
        }
    }
}
