//! What kind of server to start.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::Kind;

/// How a user proves who it is; the names are those of the servers' plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// As the server does by itself: `mysql_native_password` on MariaDB, `caching_sha2_password` on MySQL.
    Usual,
    /// `mysql_native_password`; MySQL 9 has no such plugin any more.
    Native,
    /// MariaDB's `ed25519`.
    Ed25519,
    /// MySQL's `caching_sha2_password`.
    CachingSha2,
    /// MySQL's `sha256_password`.
    Sha256,
    /// By the operating system's account at the other end of the unix socket; the password is not asked for.
    UnixSocket,
}

/// What a server is started with. The default: no users but the superuser, no databases, quick and careless storage.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(super) users: Vec<User>,
    pub(super) databases: Vec<String>,
    pub(super) settings: Vec<(String, String)>,
    pub(super) tls: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
pub(super) struct User {
    name: String,
    password: String,
    login: Login,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user, from any host, who may do everything in the databases of [`Options::database`].
    #[must_use]
    pub fn user(mut self, name: &str, password: &str, login: Login) -> Self {
        self.users.push(User { name: name.to_owned(), password: password.to_owned(), login });
        self
    }

    /// Adds a database.
    #[must_use]
    pub fn database(mut self, name: &str) -> Self {
        self.databases.push(name.to_owned());
        self
    }

    /// Sets `max_connections`.
    #[must_use]
    pub fn max_connections(self, count: u32) -> Self {
        self.set("max_connections", &count.to_string())
    }

    /// Sets any server setting, as a line of `my.cnf`; the last value of a name wins.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers TLS, with a certificate of the server's own authority for these host names or addresses.
    ///
    /// Without it MariaDB offers none, and MySQL one that it signed itself.
    #[must_use]
    pub fn tls(mut self, names: &[&str]) -> Self {
        self.tls = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// The SQL that creates users and databases.
    pub(super) fn script(&self, kind: Kind) -> Result<String> {
        let mut sql = String::new();
        for database in &self.databases {
            writeln!(sql, "create database {};", identifier(database))?;
        }
        // The one login of each server that is not loaded by itself.
        let (login, load) = match kind {
            Kind::MariaDb => (Login::Ed25519, "install plugin ed25519 soname 'auth_ed25519';\n"),
            Kind::MySql => (Login::UnixSocket, "install plugin auth_socket soname 'auth_socket.so';\n"),
        };
        if self.users.iter().any(|user| user.login == login) {
            sql.push_str(load);
        }
        for user in &self.users {
            let name = literal(&user.name);
            writeln!(sql, "create user {name}@'%' identified {};", identified(kind, user)?)?;
            for database in &self.databases {
                writeln!(sql, "grant all on {}.* to {name}@'%';", identifier(database))?;
            }
        }
        Ok(sql)
    }
}

/// The rest of `create user … identified`.
fn identified(kind: Kind, user: &User) -> Result<String> {
    let password = literal(&user.password);
    Ok(match (kind, user.login) {
        (_, Login::Usual) => format!("by {password}"),
        (Kind::MariaDb, Login::Native) => format!("via mysql_native_password using password({password})"),
        (Kind::MariaDb, Login::Ed25519) => format!("via ed25519 using password({password})"),
        (Kind::MariaDb, Login::UnixSocket) => "via unix_socket".to_owned(),
        (Kind::MySql, Login::CachingSha2) => format!("with caching_sha2_password by {password}"),
        (Kind::MySql, Login::Sha256) => format!("with sha256_password by {password}"),
        (Kind::MySql, Login::UnixSocket) => "with auth_socket".to_owned(),
        (kind, login) => bail!("{} has no login {login:?}", kind.name()),
    })
}

pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_quotes_names_and_passwords() {
        let options = Options::new().user("o'dd", r"pa\ss'", Login::Native).database("a`b");
        assert_eq!(
            options.script(Kind::MariaDb).unwrap(),
            "create database `a``b`;\n\
             create user 'o''dd'@'%' identified via mysql_native_password using password('pa\\\\ss''');\n\
             grant all on `a``b`.* to 'o''dd'@'%';\n"
        );
    }

    #[test]
    fn a_login_that_a_server_does_not_have_is_refused_by_name() {
        for (kind, login) in [(Kind::MariaDb, Login::CachingSha2), (Kind::MySql, Login::Ed25519)] {
            let error = Options::new().user("u", "p", login).script(kind).unwrap_err().to_string();
            assert!(error.contains(kind.name()) && error.contains(&format!("{login:?}")), "{error}");
        }
    }
}
