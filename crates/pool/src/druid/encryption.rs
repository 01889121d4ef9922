//! How the driver encrypted the link to the server.
//!
//! That link is Evenkeel's now, so what the application asked of it becomes `tls` and `tls_ca`: left out, the link would fall
//! to `prefer`, which trusts whoever answers.
//!
//! Sources: pgjdbc 42 (`org.postgresql.jdbc.SslMode`), MySQL Connector/J 8 (security properties; the older switches count only
//! without `sslMode`), MariaDB Connector/J 3 (`org.mariadb.jdbc.export.SslMode`, `Configuration`).

use super::effect::Effect;
use super::setting::{Place, Setting, Value};
use super::url::Driver;

/// What the parameters of a URL, and of `connectionProperties`, say together.
pub(super) struct Encryption<'t> {
    driver: Driver,
    parameters: Vec<(&'t str, &'t str)>,
}

/// What a parameter is for.
enum Role {
    /// It says, maybe with others, what `tls` is.
    Mode,
    /// The file of the certificates that may sign the server's.
    Roots,
    /// Something else of the encryption.
    Other,
}

/// A value that is none of its parameter's.
struct Unclear;

/// A value of `tls`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl<'t> Encryption<'t> {
    pub(super) fn new(driver: Driver, parameters: Vec<(&'t str, &'t str)>) -> Self {
        Self { driver, parameters }
    }

    /// What a parameter does; [`None`]: it has nothing to do with encryption.
    pub(super) fn effect(&self, name: &str, value: &str) -> Option<Effect> {
        let role = self.role(name)?;
        let Ok(mode) = self.mode() else {
            return Some(match role {
                Role::Mode => Effect::unreadable(if is(name, "sslMode") {
                    "disable, prefer, require, verify-ca or verify-full, or the driver's other names for them,"
                } else {
                    "true or false"
                }),
                Role::Roots | Role::Other => Effect::ignored(OURS),
            });
        };
        Some(match role {
            Role::Mode => mode.map_or_else(|| Effect::ignored(OURS), |mode| self.encrypted(name, mode)),
            Role::Roots => roots(value, mode),
            Role::Other => Effect::ignored(OURS),
        })
    }

    fn encrypted(&self, name: &str, mode: Mode) -> Effect {
        if !is(name, "sslMode") && self.get("sslMode").is_some() {
            return Effect::holds("the driver looks at it only without sslMode");
        }
        let why = match mode {
            Mode::Disable => "",
            Mode::Prefer if self.driver == Driver::Mysql && !is(name, "sslMode") => {
                "the certificate is not checked; Connector/J 5 does check it, as `verify_ca` does"
            }
            Mode::Prefer | Mode::Require => {
                "the certificate is not checked; `verify_full` is for links across networks"
            }
            Mode::VerifyCa | Mode::VerifyFull => {
                "without `tls_ca` the operating system says whom to trust; Java has a list of its own"
            }
        };
        Effect::mapped(vec![server("tls", mode.name())], why)
    }

    fn role(&self, name: &str) -> Option<Role> {
        let modes: &[&str] = match self.driver {
            Driver::Postgres => &["sslmode", "ssl"],
            Driver::Mysql => &["sslMode", "useSSL", "requireSSL", "verifyServerCertificate"],
            Driver::Mariadb => &["sslMode", "useSsl", "trustServerCertificate", "disableSslHostnameVerification"],
        };
        let roots = match self.driver {
            Driver::Postgres => Some("sslrootcert"),
            // Its trust store is one of Java's formats.
            Driver::Mysql => None,
            Driver::Mariadb => Some("serverSslCert"),
        };
        let lower = name.to_ascii_lowercase();
        if modes.iter().any(|mode| is(name, mode)) {
            Some(Role::Mode)
        } else if roots.is_some_and(|roots| is(name, roots)) {
            Some(Role::Roots)
        } else {
            let telling = ["ssl", "tls", "certificate", "keystore", "truststore"];
            telling.iter().any(|part| lower.contains(part)).then_some(Role::Other)
        }
    }

    /// What `tls` is; `None`: nothing is said of it.
    fn mode(&self) -> Result<Option<Mode>, Unclear> {
        if let Some(mode) = self.get("sslMode") {
            return Mode::read(mode).map(Some);
        }
        let on = |name| self.get(name).map(switch).transpose();
        match self.driver {
            Driver::Postgres => Ok(match self.get("ssl") {
                // A name alone switches it on.
                Some("") => Some(Mode::VerifyFull),
                Some(value) => Some(if switch(value)? { Mode::VerifyFull } else { Mode::Prefer }),
                None => None,
            }),
            Driver::Mysql => Ok(match (on("useSSL")?, on("requireSSL")?, on("verifyServerCertificate")?) {
                (None, None, None) => None,
                (Some(false), ..) => Some(Mode::Disable),
                (_, _, Some(true)) => Some(Mode::VerifyCa),
                (_, Some(true), _) => Some(Mode::Require),
                _ => Some(Mode::Prefer),
            }),
            Driver::Mariadb => {
                let trusting = on("trustServerCertificate")?.unwrap_or(false);
                let nameless = on("disableSslHostnameVerification")?.unwrap_or(false);
                Ok(on("useSsl")?.map(|on| match (on, trusting, nameless) {
                    (false, ..) => Mode::Disable,
                    (true, true, _) => Mode::Require,
                    (true, false, true) => Mode::VerifyCa,
                    (true, false, false) => Mode::VerifyFull,
                }))
            }
        }
    }

    fn get(&self, name: &str) -> Option<&'t str> {
        self.parameters.iter().rev().find(|(known, _)| is(known, name)).map(|(_, value)| *value)
    }
}

impl Mode {
    /// A value of `sslMode`, by any driver's name.
    fn read(text: &str) -> Result<Self, Unclear> {
        match &*text.to_ascii_lowercase().replace('_', "-") {
            "disable" | "disabled" => Ok(Self::Disable),
            "allow" | "prefer" | "preferred" => Ok(Self::Prefer),
            "require" | "required" | "trust" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" | "verify-identity" => Ok(Self::VerifyFull),
            _ => Err(Unclear),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify_ca",
            Self::VerifyFull => "verify_full",
        }
    }
}

/// The file of the certificates that may sign the server's.
fn roots(value: &str, mode: Option<Mode>) -> Effect {
    let path = value.strip_prefix("file:").unwrap_or(value);
    let is_file = !path.is_empty() && !["${", "classpath:", "-----BEGIN"].iter().any(|mark| path.contains(mark));
    match mode {
        // The configuration refuses `tls_ca` where no certificate is checked.
        None | Some(Mode::Disable | Mode::Prefer | Mode::Require) => Effect::ignored(
            "the driver checks no certificate in this mode; to have it checked: `tls = \"verify_full\"` and `tls_ca`",
        ),
        Some(Mode::VerifyCa | Mode::VerifyFull) if is_file => {
            Effect::mapped(vec![server("tls_ca", path)], "a PEM file; its path is relative to the configuration's")
        }
        Some(Mode::VerifyCa | Mode::VerifyFull) => Effect::unreadable("the path of a PEM file"),
    }
}

fn switch(value: &str) -> Result<bool, Unclear> {
    match &*value.to_ascii_lowercase() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(Unclear),
    }
}

/// Connector/J does not tell upper case from lower case in names, and no two parameters differ in nothing else.
fn is(name: &str, known: &str) -> bool {
    name.eq_ignore_ascii_case(known)
}

fn server(key: &'static str, text: &str) -> Setting {
    Setting { place: Place::Server, key, value: Value::Text(text.into()) }
}

const OURS: &str = "the link to the server is Evenkeel's now: set `tls = \"verify_full\"`, and `tls_ca`, `tls_certificate` and \
                    `tls_key`, which are PEM files";

#[cfg(test)]
mod tests {
    use super::*;

    /// What is set for the last of these parameters.
    fn set(driver: Driver, parameters: &[(&str, &str)]) -> Vec<String> {
        let (name, value) = parameters.last().expect("there is one");
        let effect = Encryption::new(driver, parameters.to_vec()).effect(name, value).expect("it is of encryption");
        effect.settings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_drivers_words_become_ours() {
        use Driver::{Mariadb, Mysql, Postgres};
        for (driver, parameters, tls) in [
            (Postgres, &[("sslmode", "verify-full")][..], "verify_full"),
            (Postgres, &[("sslmode", "allow")], "prefer"),
            (Postgres, &[("ssl", "")], "verify_full"),
            (Postgres, &[("ssl", "true")], "verify_full"),
            (Postgres, &[("ssl", "false")], "prefer"),
            (Mysql, &[("sslMode", "VERIFY_IDENTITY")], "verify_full"),
            (Mysql, &[("sslmode", "VERIFY_CA")], "verify_ca"),
            (Mysql, &[("sslMode", "DISABLED")], "disable"),
            (Mysql, &[("useSSL", "true")], "prefer"),
            (Mysql, &[("useSSL", "false")], "disable"),
            (Mysql, &[("requireSSL", "true")], "require"),
            (Mysql, &[("requireSSL", "true"), ("useSSL", "false")], "disable"),
            (Mysql, &[("requireSSL", "true"), ("verifyServerCertificate", "true")], "verify_ca"),
            (Mariadb, &[("sslMode", "trust")], "require"),
            (Mariadb, &[("useSsl", "true")], "verify_full"),
            (Mariadb, &[("trustServerCertificate", "true"), ("useSSL", "true")], "require"),
            (Mariadb, &[("disableSslHostnameVerification", "true"), ("useSSL", "true")], "verify_ca"),
        ] {
            assert_eq!(set(driver, parameters), [format!("tls = \"{tls}\"")], "{parameters:?}");
        }
    }

    #[test]
    fn ssl_mode_overrides_the_older_switches() {
        assert!(set(Driver::Mysql, &[("sslMode", "REQUIRED"), ("useSSL", "false")]).is_empty());
        assert_eq!(set(Driver::Mysql, &[("useSSL", "false"), ("sslMode", "REQUIRED")]), ["tls = \"require\""]);
    }

    #[test]
    fn roots_are_named_where_something_is_checked() {
        for (mode, roots, expected) in [
            ("verify-full", "/etc/ca.crt", &["tls_ca = \"/etc/ca.crt\""][..]),
            ("verify-ca", "ca.crt", &["tls_ca = \"ca.crt\""]),
            ("require", "/etc/ca.crt", &[]),
            ("verify-full", "${ca}", &[]),
        ] {
            assert_eq!(set(Driver::Postgres, &[("sslmode", mode), ("sslrootcert", roots)]), expected, "{mode} {roots}");
        }
        let file = set(Driver::Mariadb, &[("sslMode", "verify-full"), ("serverSslCert", "file:/etc/ca.crt")]);
        assert_eq!(file, ["tls_ca = \"/etc/ca.crt\""]);
    }

    #[test]
    fn what_cannot_be_mapped_names_the_keys() {
        for (driver, name) in [
            (Driver::Mysql, "trustCertificateKeyStoreUrl"),
            (Driver::Mysql, "enabledTLSProtocols"),
            (Driver::Postgres, "sslkey"),
            (Driver::Mariadb, "trustServerCertificate"),
        ] {
            let effect =
                Encryption::new(driver, vec![(name, "true")]).effect(name, "true").expect("it is of encryption");
            assert!(
                effect.settings.is_empty() && effect.why.contains("tls = \"verify_full\""),
                "{name}: {}",
                effect.why
            );
        }
        assert!(Encryption::new(Driver::Mysql, Vec::new()).effect("socketTimeout", "1").is_none());
    }

    #[test]
    fn placeholders_are_unreadable() {
        for parameter in [("sslMode", "${mode}"), ("useSSL", "${ssl}")] {
            assert!(set(Driver::Mysql, &[parameter]).is_empty());
        }
    }
}
