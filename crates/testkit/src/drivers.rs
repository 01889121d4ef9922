//! Interpreters that find the drivers `cargo xtask setup` installed, to run scripts as users write them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cache;
use crate::install::{HINT, clean};
use crate::process::run;

/// An interpreter and its drivers.
#[derive(Clone, Debug)]
pub struct Runtime {
    program: PathBuf,
    /// What stands before the script.
    arguments: Vec<String>,
    environment: Vec<(&'static str, PathBuf)>,
}

/// Python with `mysql.connector`, `pymysql` and `MySQLdb`.
///
/// # Errors
/// When they are not installed; the message says how to get them.
pub fn python() -> Result<Runtime> {
    let folder = installed("python")?;
    Ok(Runtime { program: folder.join("bin/python"), arguments: vec!["-B".to_owned()], environment: Vec::new() })
}

/// Node with `mysql2`.
///
/// # Errors
/// As [`python`].
pub fn node() -> Result<Runtime> {
    let modules = installed("node")?.join("node_modules");
    Ok(Runtime { program: "node".into(), arguments: Vec::new(), environment: vec![("NODE_PATH", modules)] })
}

/// Java, as source files of one class, with MariaDB's Connector/J.
///
/// # Errors
/// As [`python`], and when there is no compiler, only a runtime.
pub fn java() -> Result<Runtime> {
    run(clean("javac").arg("-version")).context("no Java compiler")?;
    ensure!(Path::new(CONNECTOR_J).exists(), "no {CONNECTOR_J}: {HINT}");
    let arguments = ["-XX:TieredStopAtLevel=1", "-cp", CONNECTOR_J].map(str::to_owned).into();
    Ok(Runtime { program: "java".into(), arguments, environment: Vec::new() })
}

impl Runtime {
    /// A command that runs `script`, to which arguments may be added.
    #[must_use]
    pub fn command(&self, script: &Path) -> Command {
        let mut command = clean("env");
        command.arg(&self.program).args(&self.arguments).arg(script);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `script` to its end and returns its standard output, trimmed.
    ///
    /// # Errors
    /// When it fails; the message carries its standard error.
    pub fn run(&self, script: &Path, arguments: &[&str]) -> Result<String> {
        run(self.command(script).args(arguments))
    }
}

/// The folder of the cache that holds the drivers of a language.
#[must_use]
pub fn folder(cache: &Path, language: &str) -> PathBuf {
    cache.join(format!("drivers-{language}"))
}

fn installed(language: &str) -> Result<PathBuf> {
    // Written last by the setup.
    let stamp = cache::find(&format!("drivers-{language}/pins"));
    let folder = stamp.as_deref().and_then(Path::parent).map(Path::to_owned);
    folder.with_context(|| format!("no drivers for {language} in the cache: {HINT}"))
}

/// Debian's package `libmariadb-java`.
const CONNECTOR_J: &str = "/usr/share/java/mariadb-java-client.jar";
