//! MySQL, which Debian has only in its unstable suite, unpacked beside the machine's own packages.
//!
//! apt itself fetches and verifies the packages, into folders of its own as if nothing were installed yet, so that it
//! brings every library down to the C library. They are unpacked, not installed: no root, no scripts, no chroot, and the
//! machine's packages stay as they are. About 60 MB and a quarter of a minute, once per machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testkit::cache;
use testkit::mysql::{Install, Kind, UNPACKED};
use testkit::process::run;

use super::{apt, lock};
use crate::shell::{has, step};

/// Makes sure that MySQL is there.
pub(super) fn install() -> Result<()> {
    if Install::find(Kind::MySql).is_ok() {
        return Ok(());
    }
    ensure!(has("apt-get") && has("dpkg-deb"), "only Debian and its relatives have it as a package");
    let cache = cache::writable()?;
    let _lock = lock(&cache, UNPACKED)?;
    if Install::find(Kind::MySql).is_ok() {
        return Ok(());
    }
    let work = Work { folder: cache.join("mysql.work") };
    work.configure(&mirror()?)?;
    step("look for MySQL", work.apt().args(["update", "-qq"]))?;
    step("fetch MySQL", work.apt().args(["install", "-y", "-qq", "--download-only"]).args(PACKAGES))?;
    println!("==> unpack MySQL");
    let root = work.unpack()?;
    // Renamed last, so that what is there is whole.
    let place = cache.join(UNPACKED);
    fs::rename(&root, &place).with_context(|| format!("cannot create {}", place.display()))?;
    let installed = Install::find(Kind::MySql)?;
    fs::remove_dir_all(&work.folder)?;
    println!("    MySQL {} is in {}", installed.version(), place.display());
    Ok(())
}

/// Where the packages are worked on; what was fetched stays if something fails, for the next attempt.
struct Work {
    folder: PathBuf,
}

impl Work {
    /// Tells apt to work here, but otherwise as the machine's owner configured it: proxies, certificates, what may expire.
    fn configure(&self, mirror: &str) -> Result<()> {
        let at = |name: &str| self.folder.join(name);
        for name in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(at(name)).with_context(|| format!("cannot write to {}", self.folder.display()))?;
        }
        let mut source = format!("Types: deb\nURIs: {mirror}\nSuites: unstable\nComponents: main\n");
        if let Some(keys) = KEYRINGS.iter().find(|keys| Path::new(keys).exists()) {
            source.push_str(&format!("Signed-By: {keys}\n"));
        }
        fs::write(at("unstable.sources"), source)?;
        // Nothing is installed, as far as apt can see.
        fs::write(at("status"), "")?;
        let settings = [
            ("Dir::Etc::SourceList", at("unstable.sources")),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("Dir::Etc::Preferences", "/dev/null".into()),
            ("Dir::Etc::PreferencesParts", "/dev/null".into()),
            ("Dir::State", self.folder.clone()),
            ("Dir::State::Lists", at("lists")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache", self.folder.clone()),
            ("Dir::Cache::Archives", at("archives")),
            ("APT::Install-Recommends", "false".into()),
            // The account apt would fetch as cannot write here.
            ("APT::Sandbox::User", "".into()),
            ("Acquire::Retries", "2".into()),
            ("Acquire::http::Timeout", "30".into()),
            ("Acquire::https::Timeout", "30".into()),
        ];
        let lines: Vec<String> =
            settings.iter().map(|(name, value)| format!("{name} \"{}\";\n", value.display())).collect();
        fs::write(at("apt.conf"), lines.concat())?;
        Ok(())
    }

    /// `apt-get`, here, for a bounded time.
    fn apt(&self) -> Command {
        let apt = apt::apt();
        let mut command = Command::new("timeout");
        command.arg(LIMIT_SECONDS).arg(apt.get_program()).env("APT_CONFIG", self.folder.join("apt.conf"));
        command.envs(apt.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Unpacks everything that was fetched, into the folder returned.
    fn unpack(&self) -> Result<PathBuf> {
        let root = self.folder.join("root");
        run(Command::new("rm").arg("-rf").arg(&root))?;
        fs::create_dir(&root)?;
        for entry in fs::read_dir(self.folder.join("archives"))? {
            let package = entry?.path();
            if package.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root))?;
            }
        }
        ensure!(root.join("usr/sbin/mysqld").exists(), "no server in what was fetched");
        Ok(root)
    }
}

/// The Debian mirror that this machine's apt is configured with: the one it has its own suite from.
fn mirror() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("which system this is")?;
    let fact = |name: &str| release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    ensure!(fact("ID").is_some_and(|id| id.trim_matches('"') == "debian"), "only Debian's mirrors have it");
    let codename = fact("VERSION_CODENAME").context("no codename in /etc/os-release")?.trim_matches('"');
    let known = run(Command::new("apt-get").args(["indextargets", "--format", INDEX_FORMAT, "Created-By: Packages"]))?;
    find_mirror(&known, codename).with_context(|| format!("apt has no mirror of Debian's {codename}"))
}

/// The mirror of suite `codename` in lines of [`INDEX_FORMAT`].
fn find_mirror(known: &str, codename: &str) -> Option<String> {
    known.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (mirror, suite, component) = (words.next()?, words.next()?, words.next()?);
        (suite == codename && component == "main").then(|| mirror.to_owned())
    })
}

const INDEX_FORMAT: &str = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
const PACKAGES: [&str; 2] = ["mysql-server-core", "mysql-client-core"];
const LIMIT_SECONDS: &str = "600";
/// Debian's keys, under their names before and since 2025.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_systems_own_suite() {
        let known = "http://other.example/tool stable main\nhttp://security.example/debian-security trixie-security main\n\
                     http://mirror.example/debian/ trixie contrib\nhttp://mirror.example/debian/ trixie main\n";
        assert_eq!(find_mirror(known, "trixie").as_deref(), Some("http://mirror.example/debian/"));
        assert_eq!(find_mirror(known, "forky"), None);
    }
}
