//! A configuration without a file: connection URLs, as libpq and the MySQL clients read them.

mod parameters;

use auth::Secret;

use crate::keys::{DatabaseKeys, File, Protocol, ServerAddress, ServerKeys, UserKeys};
use crate::problem::Problem;
use crate::resolve;
use crate::values::SecretText;

use parameters::{Parameters, Tls, decode, decode_text};

/// How URLs begin.
const SCHEMES: [(&str, Protocol); 4] = [
    ("postgres://", Protocol::Postgres),
    ("postgresql://", Protocol::Postgres),
    ("mysql://", Protocol::Mysql),
    ("mariadb://", Protocol::Mysql),
];

/// Problems are with one URL, or with all. The URLs themselves are not shown, they hold passwords.
pub(crate) struct Places;

impl resolve::Places for Places {
    fn problem(&self, path: &[&str], message: String, hint: Option<String>) -> Problem {
        let number = |index: &&str| index.parse::<usize>().ok().map(|index| format!("URL {}", index + 1));
        match path {
            ["servers", index, key] => Problem::without_place(number(index).unwrap_or_default(), key, message, hint),
            _ => Problem::without_place("the URLs".into(), path.last().unwrap_or(&""), message, hint),
        }
    }
}

/// The keys that a file would need to say the same.
pub(crate) fn read(urls: &[&str]) -> Result<File, Vec<Problem>> {
    let mut file = File::default();
    let mut problems = Vec::new();
    for (url, number) in urls.iter().zip(1_usize..) {
        match Url::parse(url) {
            Ok(url) => url.add_to(&mut file, number, &mut problems),
            Err(wrong) => problems.push(wrong.problem(number)),
        }
    }
    if problems.is_empty() { Ok(file) } else { Err(problems) }
}

/// What is wrong with a part of a URL.
struct Wrong {
    part: &'static str,
    message: String,
    hint: Option<String>,
}

impl Wrong {
    fn new(part: &'static str, message: impl Into<String>) -> Self {
        Self { part, message: message.into(), hint: None }
    }

    fn problem(self, number: usize) -> Problem {
        Problem::without_place(format!("URL {number}"), self.part, self.message, self.hint)
    }
}

/// What one URL says.
struct Url {
    protocol: Protocol,
    user: String,
    password: Secret,
    address: ServerAddress,
    database: Option<String>,
    budget: Option<u32>,
    tls: Tls,
}

impl Url {
    fn parse(url: &str) -> Result<Self, Wrong> {
        let known = SCHEMES.iter().find_map(|(scheme, protocol)| Some((url.strip_prefix(scheme)?, *protocol)));
        let (rest, protocol) = known.ok_or_else(|| {
            Wrong::new("scheme", "a URL looks like postgres://user:password@host:port/database, or mysql://…")
        })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let parameters = Parameters::parse(query, protocol)?;
        if user.is_empty() {
            return Err(Wrong::new("user", "the user is missing: //user:password@…"));
        }
        if password.is_empty() {
            return Err(Wrong::new("password", "the password is missing: //user:password@…"));
        }
        let database = decode_text("database", database)?;
        Ok(Self {
            protocol,
            user: decode_text("user", user)?,
            password: Secret::new(decode("password", password)?),
            address: parameters.address(host, protocol)?,
            database: (!database.is_empty()).then_some(database),
            budget: parameters.budget,
            tls: parameters.tls,
        })
    }

    fn add_to(self, file: &mut File, number: usize, problems: &mut Vec<Problem>) {
        let name = if number == 1 { "url".to_owned() } else { format!("url-{number}") };
        let password = SecretText(self.password);
        match file.users.iter().find(|user| user.name == self.user) {
            None => {
                file.admin.users.push(self.user.clone());
                file.users.push(UserKeys::new(self.user, password));
            }
            Some(known) if known.password.as_ref() != Some(&password) => {
                let message = format!("user `{}` has another password in an earlier URL", known.name);
                problems.push(Wrong::new("password", message).problem(number));
            }
            Some(_) => {}
        }
        if self.protocol == Protocol::Mysql && self.database.is_none() && number > 1 {
            let message = "the database is missing: other names lead to the first URL's server";
            problems.push(Wrong::new("database", message).problem(number));
        }
        file.databases.extend(self.database.map(|database| DatabaseKeys::on_server(database, name.clone())));
        if number == 1 {
            file.databases.push(DatabaseKeys::on_server("*".into(), name.clone()));
        }
        file.servers.push(ServerKeys {
            tls: self.tls.mode,
            tls_ca: self.tls.ca,
            tls_certificate: self.tls.certificate,
            tls_key: self.tls.key,
            ..ServerKeys::new(name, self.protocol, self.address, self.budget)
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, ConsoleAccess};
    use auth::{Credential, Secret};
    use route::Protocol;
    use tls::Mode;

    #[test]
    fn a_url_is_a_configuration() {
        let config = Config::from_urls(&[
            "postgres://app:p%40ss%2Fw@db.internal:5433/shop?budget=40&sslmode=prefer",
            "postgresql://b%C3%B6ss:x@/crm?host=/run/pg&port=7",
            "postgres://app:p%40ss%2Fw@[::1]",
            "postgres://app:p%40ss%2Fw@%2Ftmp/tmp",
        ])
        .unwrap();
        let found = |user, database| {
            let route = config.table().resolve(user, database).unwrap();
            let server = config.table().server(route.server);
            format!("{} {} {} {}", server.address, server.budget, route.server_user, route.server_database)
        };
        assert_eq!(found("app", "shop"), "db.internal:5433 40 app shop");
        assert_eq!(found("böss", "crm"), "/run/pg/.s.PGSQL.7 20 böss crm");
        assert_eq!(found("böss", "other"), "db.internal:5433 40 böss other");
        assert_eq!(found("app", "tmp"), "/tmp/.s.PGSQL.5432 20 app tmp");
        assert_eq!(config.table().servers()[2].address.to_string(), "[::1]:5432");
        assert_eq!(config.client_credential("app"), Some(&Credential::Plain(Secret::from("p@ss/w"))));
        assert_eq!(config.client_credential("nobody"), None);
        assert_eq!(config.console_access("app"), ConsoleAccess::Admin);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, message) in [
            (
                "mssql://a:hunter2@h",
                "URL 1: scheme: a URL looks like postgres://user:password@host:port/database, or mysql://…",
            ),
            ("postgres://h/shop", "URL 1: user: the user is missing: //user:password@…"),
            ("postgres://app@h", "URL 1: password: the password is missing: //user:password@…"),
            (
                "postgres://a:hunter2%4@h",
                "URL 1: password: a % is followed by two hexadecimal digits; a % itself is written %25",
            ),
            ("postgres://a%FF:hunter2@h", "URL 1: user: it is not UTF-8 after percent-decoding"),
            ("postgres://a:hunter2@h:x", "URL 1: host: `x` is no port: a port is a number from 1 to 65535"),
            (
                "postgres://a:hunter2@h,i",
                "URL 1: host: one URL is one server: give several URLs instead of several hosts",
            ),
            (
                "postgres://a:hunter2@h?budgt=3",
                "URL 1: parameter: unknown parameter `budgt`\n  = did you mean `budget`?",
            ),
            ("postgres://a:hunter2@h?budget=x", "URL 1: budget: a whole number is expected"),
            (
                "postgres://a:hunter2@h?budget=0",
                "URL 1: budget: server `url` has a budget of 0, so no client could ever be served",
            ),
            (
                "postgres://a:hunter2@h?sslmode=verify_full",
                "URL 1: sslmode: unknown value `verify_full`\n  = did you mean `verify-full`?",
            ),
            (
                "postgres://a:hunter2@h?sslmode=verify-ca&sslrootcert=/nowhere/ca.pem",
                "URL 1: tls_ca: cannot read /nowhere/ca.pem: No such file or directory (os error 2)",
            ),
            (
                "postgres://a:hunter2@h?sslcert=/nowhere/cert.pem",
                "URL 1: tls_certificate: `tls_key` is missing: a certificate and its key belong together",
            ),
            (
                "mysql://a:hunter2@h?ssl-mode=REQUIRE",
                "URL 1: ssl-mode: unknown value `REQUIRE`\n  = did you mean `REQUIRED`?",
            ),
            (
                "mysql://a:hunter2@h?sslmode=require",
                "URL 1: parameter: unknown parameter `sslmode`\n  = did you mean `ssl-mode`?",
            ),
            (
                "mysql://a:hunter2@h?socket=/tmp/my.sock&ssl-mode=REQUIRED",
                "URL 1: tls: connections over a unix socket are not encrypted",
            ),
            (
                "mysql://a:hunter2@%2Ftmp:3306",
                "URL 1: host: a MySQL socket has no port: give its path, or its directory for `mysql.sock` in it",
            ),
            ("postgres://a:hunter2@h/evenkeel", "the URLs: name: the name `evenkeel` leads to the admin console"),
        ] {
            let problems = Config::from_urls(&[url]).unwrap_err().to_string();
            assert_eq!(problems.trim_end(), message, "{url}");
        }
        let twice = Config::from_urls(&["postgres://a:hunter2@h/x", "postgres://a:hunter3@h/x"]).unwrap_err();
        assert_eq!(twice.to_string(), "URL 2: password: user `a` has another password in an earlier URL\n");
        let nowhere = Config::from_urls(&["postgres://a:hunter2@h/x", "mysql://a:hunter2@h"]).unwrap_err();
        assert_eq!(
            nowhere.to_string(),
            "URL 2: database: the database is missing: other names lead to the first URL's server\n"
        );
        assert!(Config::from_urls::<&str>(&[]).is_err());
    }

    #[test]
    fn both_protocols_can_be_served_at_once() {
        let config = Config::from_urls(&[
            "postgres://app:x@pg.internal/shop?sslmode=disable",
            "mysql://app:x@my.internal/sales?ssl-mode=required&budget=7",
            "mariadb://app:x@/stock?socket=/run/mysqld/mysqld.sock",
        ])
        .unwrap();
        let table = config.table();
        let found = |protocol, database| {
            let server = table.resolve("app", database).unwrap().server;
            assert_eq!(table.server(server).protocol, protocol);
            let mode = config.server_tls(server).map(|tls| tls.connector.mode());
            (table.server(server).address.to_string(), table.server(server).budget, mode)
        };
        assert_eq!(found(Protocol::Postgres, "shop"), ("pg.internal:5432".into(), 20, None));
        assert_eq!(found(Protocol::Postgres, "any"), ("pg.internal:5432".into(), 20, None));
        assert_eq!(found(Protocol::Mysql, "sales"), ("my.internal:3306".into(), 7, Some(Mode::Require)));
        assert_eq!(found(Protocol::Mysql, "stock"), ("/run/mysqld/mysqld.sock".into(), 20, None));
        let listeners: Vec<_> = config.listeners().map(|(protocol, at)| format!("{protocol} {at}")).collect();
        assert_eq!(listeners, ["PostgreSQL 127.0.0.1:6432", "MySQL 127.0.0.1:6033"]);

        let alone = Config::from_urls(&["mysql://app:x@my.internal"]).unwrap();
        assert!(alone.table().resolve("app", "any").is_ok());
        assert_eq!(alone.listeners().map(|(protocol, _)| protocol).collect::<Vec<_>>(), [Protocol::Mysql]);
    }
}
