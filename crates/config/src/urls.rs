//! A configuration without a file: connection URLs, as libpq reads them.

use auth::Secret;

use crate::keys::{DatabaseKeys, File, ServerAddress, ServerKeys, UserKeys};
use crate::phrase::did_you_mean;
use crate::problem::Problem;
use crate::resolve;
use crate::values::{SecretText, Written as _};

/// Parameters of a URL that mean something here.
const PARAMETERS: [&str; 4] = ["budget", "host", "port", "sslmode"];

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
    user: String,
    password: Secret,
    address: ServerAddress,
    database: Option<String>,
    budget: Option<u32>,
}

impl Url {
    fn parse(url: &str) -> Result<Self, Wrong> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest =
            rest.ok_or_else(|| Wrong::new("scheme", "a URL looks like postgres://user:password@host:port/database"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let parameters = Parameters::parse(query)?;
        if user.is_empty() {
            return Err(Wrong::new("user", "the user is missing: postgres://user:password@…"));
        }
        if password.is_empty() {
            return Err(Wrong::new("password", "the password is missing: postgres://user:password@…"));
        }
        let database = decode_text("database", database)?;
        Ok(Self {
            user: decode_text("user", user)?,
            password: Secret::new(decode("password", password)?),
            address: parameters.address(host)?,
            database: (!database.is_empty()).then_some(database),
            budget: parameters.budget,
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
        file.databases.extend(self.database.map(|database| DatabaseKeys::on_server(database, name.clone())));
        if number == 1 {
            file.databases.push(DatabaseKeys::on_server("*".into(), name.clone()));
        }
        file.servers.push(ServerKeys::new(name, self.address, self.budget));
    }
}

/// What follows the question mark.
#[derive(Default)]
struct Parameters {
    host: Option<String>,
    port: Option<String>,
    budget: Option<u32>,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, Wrong> {
        let mut parameters = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "host" => parameters.host = Some(decode_text("host", value)?),
                "port" => parameters.port = Some(decode_text("port", value)?),
                "budget" => {
                    let budget = value.parse().map_err(|_| Wrong::new("budget", "a whole number is expected"))?;
                    parameters.budget = Some(budget);
                }
                // Whoever asks for encryption must not get a connection without it.
                "sslmode" if !matches!(value, "disable" | "allow" | "prefer") => {
                    return Err(Wrong::new("sslmode", "connections to servers are not encrypted by this version"));
                }
                "sslmode" => {}
                _ => {
                    let name = decode_text("parameter", name)?;
                    let hint = Some(did_you_mean(&name, PARAMETERS.to_vec()));
                    return Err(Wrong { part: "parameter", message: format!("unknown parameter `{name}`"), hint });
                }
            }
        }
        Ok(parameters)
    }

    /// Host and port, from here or from before the path.
    fn address(&self, authority: &str) -> Result<ServerAddress, Wrong> {
        let host = match &self.host {
            Some(host) => host.clone(),
            None if authority.is_empty() => "localhost".into(),
            // A socket's directory may be written %2Ftmp in the place of the host.
            None => decode_text("host", authority)?,
        };
        if host.contains(',') {
            return Err(Wrong::new("host", "one URL is one server: give several URLs instead of several hosts"));
        }
        let text = self.port.as_ref().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        ServerAddress::read(&text).map_err(|error| Wrong::new("host", error.to_string()))
    }
}

fn decode_text(part: &'static str, text: &str) -> Result<String, Wrong> {
    String::from_utf8(decode(part, text)?).map_err(|_| Wrong::new(part, "it is not UTF-8 after percent-decoding"))
}

/// Percent-decoding (RFC 3986, section 2.1). A plus sign stays one: this is no form.
fn decode(part: &'static str, text: &str) -> Result<Vec<u8>, Wrong> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(Wrong::new(part, "a % is followed by two hexadecimal digits; a % itself is written %25"));
        };
        bytes.push((high * 16 + low) as u8);
        rest = &after[2..];
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use crate::{Config, ConsoleAccess};
    use auth::{Credential, Secret};

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
            ("mysql://a:hunter2@h", "URL 1: scheme: a URL looks like postgres://user:password@host:port/database"),
            ("postgres://h/shop", "URL 1: user: the user is missing: postgres://user:password@…"),
            ("postgres://app@h", "URL 1: password: the password is missing: postgres://user:password@…"),
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
                "postgres://a:hunter2@h?sslmode=require",
                "URL 1: sslmode: connections to servers are not encrypted by this version",
            ),
            ("postgres://a:hunter2@h/evenkeel", "the URLs: name: the name `evenkeel` leads to the admin console"),
        ] {
            let problems = Config::from_urls(&[url]).unwrap_err().to_string();
            assert_eq!(problems.trim_end(), message, "{url}");
        }
        let twice = Config::from_urls(&["postgres://a:hunter2@h/x", "postgres://a:hunter3@h/x"]).unwrap_err();
        assert_eq!(twice.to_string(), "URL 2: password: user `a` has another password in an earlier URL\n");
        assert!(Config::from_urls::<&str>(&[]).is_err());
    }
}
