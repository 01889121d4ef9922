//! A good file becomes what it says; two files differ in what they say.

use std::time::Duration;

use auth::{Credential, Secret};
use config::{Applies, Change, Config, ConsoleAccess, Subject, What, diff};
use route::{Identity, ServerIndex};

const FILE: &str = r#"
[pool]
max_lifetime = "2h"
min_idle = 1

[limits]
max_clients_per_user = 7

[admin]
users = ["app"]
stats_users = ["watch"]
password = "console"

[[servers]]
name = "a"
address = "/run/pg"

[[servers]]
name = "b"
cluster = "crm"
address = "b.internal"
budget = 40
[servers.pool]
max = 9
max_lifetime = "off"

[[databases]]
name = "shop"
cluster = "a"
query_timeout = "3s"

[[databases]]
name = "crm"
cluster = "crm"
server_user = "crm"
server_password = "inside"

[[databases]]
name = "legacy"
server = "b"
server_user = "app"

[[users]]
name = "app"
password = "outside"
max_clients = 0

[[users]]
name = "alias"
password = "outside too"
server_user = "app"

[[users]]
name = "other"
password = "md5e5c2e0d7a2cf0fe6dc4a8d3e3c6b8a5f"
server_password = "plain"
query_timeout = "off"

[[routes]]
user = "a*"
weight = 2
"#;

fn read(text: &str) -> Config {
    Config::from_toml(text, "e.toml").unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_server_inherits_what_it_does_not_change() {
    let config = read(FILE);
    let (a, b) = (config.pool(ServerIndex(0)), config.pool(ServerIndex(1)));
    assert_eq!(a.max_lifetime.get(), Some(Duration::from_secs(7_200)));
    assert_eq!((a.max.get(), a.min_idle), (None, 1));
    assert_eq!(b.max_lifetime.get(), None);
    assert_eq!((b.max.get(), b.min_idle), (Some(9), 1));
    assert_eq!(b.connect_timeout, a.connect_timeout);
    let terms = |user, database| config.table().resolve(user, database).unwrap().terms;
    assert_eq!(terms("app", "crm").limits.cap, Some(9));
    assert_eq!(terms("app", "crm").limits.weight, 2);
    assert_eq!(terms("app", "shop").timeouts.query, route::Timeout::After(Duration::from_secs(3)));
    assert_eq!(terms("other", "shop").timeouts.query, route::Timeout::Off);
    let max_clients = |user| config.table().user(config.table().user_index(user).unwrap()).max_clients;
    assert_eq!((max_clients("app"), max_clients("alias")), (None, Some(7)));
}

#[test]
fn each_login_has_its_credential() {
    let config = read(FILE);
    let server = |user, database| {
        let route = config.table().resolve(user, database).unwrap();
        (route.server_user.to_string(), route.identity, config.server_credential(&route).clone())
    };
    let plain = |text: &str| Credential::Plain(Secret::from(text));
    assert_eq!(server("app", "shop"), ("app".into(), Identity::Client, plain("outside")));
    assert_eq!(server("alias", "shop"), ("app".into(), Identity::User, plain("outside")));
    assert_eq!(server("other", "shop"), ("other".into(), Identity::Client, plain("plain")));
    assert_eq!(server("other", "crm"), ("crm".into(), Identity::Database, plain("inside")));
    assert_eq!(server("other", "legacy"), ("app".into(), Identity::Database, plain("outside")));
    assert_eq!(config.client_credential("alias"), Some(&plain("outside too")));
    assert!(matches!(config.client_credential("other"), Some(Credential::Md5(_))));
    assert_eq!(config.client_credential("watch"), Some(&plain("console")));
    assert_eq!(config.client_credential("nobody"), None);
    assert_eq!(config.console_access("app"), ConsoleAccess::Admin);
    assert_eq!(config.console_access("watch"), ConsoleAccess::Stats);
    assert_eq!(config.console_access("other"), ConsoleAccess::None);
}

#[test]
fn secrets_show_nowhere() {
    let config = read(FILE);
    let shown = format!("{config:?} {} {:?}", serde_json::to_string(config.keys()).unwrap(), diff(&config, &config));
    for secret in ["outside", "inside", "console\"", "plain\"", "md5e5c2"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn the_same_file_makes_no_difference() {
    assert_eq!(diff(&read(FILE), &read(FILE)), []);
}

#[test]
fn each_difference_is_named() {
    let new = FILE
        .replace("max_lifetime = \"2h\"", "max_lifetime = \"120m\"\nmax_uses = 5")
        .replace(
            "[limits]",
            "[listen]\npostgres = [\"/tmp\"]\n[runtime]\nworkers = 3\nrelay_buffer = \"8KiB\"\n[limits]",
        )
        .replace("budget = 40", "")
        .replace("\"inside\"", "\"inside out\"")
        .replace("\"outside too\"", "\"elsewhere\"")
        .replace("\"console\"", "\"cockpit\"")
        .replace("name = \"other\"", "name = \"another\"")
        .replace("max = 9", "max = 10")
        .replace("weight = 2", "weight = 3\n[[routes]]");
    let (live, restart) = (Applies::Live, Applies::Restart);
    let key = |key: &str, from: &str, to: &str| What::Key { key: key.into(), from: from.into(), to: to.into() };
    let change = |subject, what, applies| Change { subject, what, applies };
    assert_eq!(
        diff(&read(FILE), &read(&new)),
        [
            change(
                Subject::Section("listen"),
                key("postgres", "[\"127.0.0.1:6432\"]", "[\"/tmp/.s.PGSQL.6432\"]"),
                restart
            ),
            change(Subject::Section("pool"), key("max_uses", "0", "5"), live),
            change(Subject::Section("runtime"), key("workers", "0", "3"), restart),
            change(Subject::Section("runtime"), key("relay_buffer", "\"16KiB\"", "\"8KiB\""), restart),
            change(Subject::Section("admin"), What::Secret, live),
            change(Subject::Server("b".into()), key("budget", "40", "20"), live),
            change(Subject::Server("b".into()), key("pool.max", "9", "10"), live),
            change(Subject::Server("b".into()), key("pool.max_uses", "0", "5"), live),
            change(Subject::Database("crm".into()), What::Secret, live),
            change(Subject::User("other".into()), What::Removed, live),
            change(Subject::User("another".into()), What::Added, live),
            change(Subject::User("alias".into()), What::Secret, live),
            change(Subject::Route(0), key("weight", "2", "3"), live),
            change(Subject::Route(1), What::Added, live),
        ]
    );
}
