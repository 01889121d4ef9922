//! The Evenkeel program: command line, wiring, listeners, signals.
//!
//! It makes a [`session::Plan`] of the configuration, an [`session::Engine`] of the plan, and gives the engine sockets.
//! What it decides itself: the runtime (`runtime`), how many clients the file descriptors allow (`descriptors`), and
//! what signals mean (`serve`).

mod check;
mod cli;
mod descriptors;
mod fit;
mod import;
mod log;
mod plan;
mod runtime;
mod serve;
mod size;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.command.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("evenkeel: {error:#}");
            ExitCode::FAILURE
        }
    }
}
