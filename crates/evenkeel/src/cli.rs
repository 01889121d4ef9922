//! The command line.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use config::Config;

use crate::{check, import::Format, serve, size::Size};

/// A fair, budgeted connection pooler for PostgreSQL, MySQL and MariaDB.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

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
    /// Say how large pools should be: for stated needs, or by what was measured.
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
    #[arg(short, long, value_name = "FILE", env = "EVENKEEL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Serve this database without a file: postgres://user:password@host:port/database?budget=20. May be repeated.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub(crate) postgres: Vec<String>,
    /// The same for MySQL and MariaDB: mysql://user:password@host:port/database?ssl-mode=REQUIRED. May be given beside
    /// --postgres, and repeated.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub(crate) mysql: Vec<String>,
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
        if let Some(path) = &self.config {
            return Ok(Config::load(path)?);
        }
        match (&*self.postgres, &*self.mysql) {
            ([], []) => bail!("nothing to serve: give --config FILE, --postgres URL or --mysql URL"),
            (postgres, []) => Config::from_urls(postgres).context("--postgres"),
            ([], mysql) => Config::from_urls(mysql).context("--mysql"),
            (postgres, mysql) => Config::from_urls(&[postgres, mysql].concat()).context("--postgres and --mysql"),
        }
    }
}
