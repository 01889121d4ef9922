//! The project's own commands: `cargo xtask demo`, `test`, `bench`, `tidy`, `ci`, `setup`.
//!
//! Everything a contributor runs beyond plain cargo is here, in Rust, so that nobody needs another tool. It knows the
//! product only from outside, through `testkit`; `bench` and `demo` measure what a user would.

mod bench;
mod ci;
mod demo;
mod load;
mod report;
mod scene;
mod setup;
mod shell;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what tests and the demo need, or say what to install.
    Setup,
    /// Show Evenkeel sharing 20 connections of a real server fairly between three users and 200 clients: of PostgreSQL, then
    /// of MariaDB and MySQL.
    Demo {
        /// Print one table and end, instead of live lines until Ctrl-C.
        #[arg(long)]
        once: bool,
    },
    /// Run all tests.
    Test,
    /// Check layers, file lengths, unfinished work and links.
    Tidy,
    /// Everything that must pass before a change is merged.
    Ci,
    /// Measure, beside PgBouncer or MySQL Router where there is something to compare.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // Not returned from main, which would add a backtrace no reader of a failed step wants.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Arguments::parse().command {
        Command::Setup => setup::run(),
        Command::Demo { once } => demo::run(if once { demo::Length::Once } else { demo::Length::UntilInterrupted }),
        Command::Test => ci::test(),
        Command::Tidy => tidy::run(),
        Command::Ci => ci::run(),
        Command::Bench(arguments) => bench::run(&arguments),
    }
}
