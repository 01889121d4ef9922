//! What tests, the demo and benchmarks need beyond cargo: PostgreSQL, PgBouncer, MariaDB, MySQL, sysbench, the drivers of
//! other languages, cargo-nextest.
//!
//! As root on Debian (and its relatives) missing packages are installed; anybody else is told the command. Nothing that is
//! installed starts by itself or creates a cluster of its own: a test machine should run only what a test started.
//! MySQL and the drivers are no packages; they are kept in a folder of their own, outside the checkout, and may be missing.

mod apt;
mod drivers;
mod mysql;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use testkit::Install;
use testkit::install::is_root;
use testkit::mysql::{Kind, skipped};

use crate::shell::{cargo, has, step};

/// Installs or names what is missing.
pub(crate) fn run() -> Result<()> {
    packages(&[POSTGRES, PGBOUNCER, MARIADB, SYSBENCH, DRIVERS, JAVA])?;
    // What is no package.
    for (what, outcome) in
        [("MySQL", mysql::install()), ("Python drivers", drivers::python()), ("Node drivers", drivers::node())]
    {
        if let Err(why) = outcome {
            skipped(what, &format!("{why:#}"));
        }
    }
    nextest()?;
    println!("setup: everything is there, except what it says is SKIPPED");
    Ok(())
}

/// PostgreSQL's server programs and PgBouncer.
pub(crate) fn servers() -> Result<()> {
    packages(&[POSTGRES, PGBOUNCER])
}

/// MariaDB's server programs and sysbench; MySQL's too where they can be had.
pub(crate) fn mysql_servers() -> Result<()> {
    packages(&[MARIADB, SYSBENCH])?;
    if let Err(why) = mysql::install() {
        skipped("MySQL", &format!("{why:#}"));
    }
    Ok(())
}

/// The test runner.
pub(crate) fn nextest() -> Result<()> {
    if has("cargo-nextest") {
        return Ok(());
    }
    step("install cargo-nextest (a few minutes, once)", &mut cargo(&["install", "--locked", "cargo-nextest"]))
}

/// Something that comes in Debian's packages.
struct Need {
    packages: &'static [&'static str],
    is_there: fn() -> bool,
    /// Tests without it are skipped, instead of failing.
    optional: bool,
}

/// Installs the packages of needs that are not met, or says what to install.
fn packages(needs: &[Need]) -> Result<()> {
    let unmet: Vec<&Need> = needs.iter().filter(|need| !(need.is_there)()).collect();
    let of = |needs: &[&Need]| needs.iter().flat_map(|need| need.packages).copied().collect::<Vec<_>>();
    if unmet.is_empty() {
        return Ok(());
    }
    if is_root() && has("apt-get") {
        return apt::install(&of(&unmet));
    }
    let command = if has("apt-get") {
        "sudo apt-get install --no-install-recommends"
    } else {
        "your system's package manager, for what Debian calls"
    };
    let (optional, required): (Vec<&Need>, Vec<&Need>) = unmet.into_iter().partition(|need| need.optional);
    if !required.is_empty() {
        bail!("missing; use {command} {}", of(&[required, optional].concat()).join(" "));
    }
    skipped(&of(&optional).join(" "), &format!("to have them, use {command}"));
    Ok(())
}

/// Keeps two setups from writing the same part of the cache; the lock ends with the value.
fn lock(cache: &Path, name: &str) -> Result<File> {
    fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let path = cache.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock()?;
    Ok(file)
}

const POSTGRES: Need =
    Need { packages: &["postgresql", "postgresql-client"], is_there: || Install::from_env().is_ok(), optional: false };
const PGBOUNCER: Need =
    Need { packages: &["pgbouncer"], is_there: || Install::with_pgbouncer().is_ok(), optional: false };
const MARIADB: Need = Need {
    packages: &["mariadb-server", "mariadb-client"],
    is_there: || testkit::mysql::Install::find(Kind::MariaDb).is_ok() && has("mariadb"),
    optional: false,
};
const SYSBENCH: Need = Need { packages: &["sysbench"], is_there: || has("sysbench"), optional: false };
/// What building and running the drivers takes; mysqlclient is C around MariaDB's library.
const DRIVERS: Need = Need {
    packages: &["python3-venv", "python3-dev", "gcc", "pkg-config", "libmariadb-dev"],
    is_there: || {
        let python = Command::new(drivers::PYTHON)
            .args(["-c", "import ensurepip, sysconfig; open(sysconfig.get_path('include') + '/Python.h')"])
            .output();
        python.is_ok_and(|output| output.status.success())
            && has("gcc")
            && has("pkg-config")
            && Path::new("/usr/include/mariadb/mysql.h").exists()
    },
    optional: true,
};
/// The driver only: a whole Java for its sake would be too much.
const JAVA: Need = Need {
    packages: &["libmariadb-java"],
    is_there: || !has("javac") || Path::new("/usr/share/java/mariadb-java-client.jar").exists(),
    optional: true,
};
