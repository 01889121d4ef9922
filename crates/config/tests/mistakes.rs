//! Every mistake is told with its place, its key and what may have been meant.

use config::{Config, Problems};

/// A file that is right, to be spoiled.
const GOOD: &str = r#"[[servers]]
name = "a"
cluster = "shop"
address = "db:5432"
budget = 10
[[databases]]
name = "shop"
cluster = "shop"
[[users]]
name = "app"
password = "hunter2"
"#;

fn problems(text: &str) -> Problems {
    match Config::from_toml(text, "e.toml") {
        Ok(_) => panic!("this is taken as right:\n{text}"),
        Err(problems) => problems,
    }
}

/// What is said about `GOOD` with a section in front.
fn before(section: &str) -> String {
    problems(&format!("{section}\n{GOOD}")).to_string()
}

/// What is said about `GOOD` with one text replaced.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    problems(&GOOD.replacen(from, to, 1)).to_string()
}

#[test]
fn good_is_good() {
    Config::from_toml(GOOD, "e.toml").unwrap();
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest_known() {
    assert_eq!(
        before("[pool]\nmax_liftime = \"1h\""),
        r"e.toml:2:1: pool.max_liftime: unknown key `max_liftime`
  |
2 | max_liftime …
  | ^^^^^^^^^^^
  = did you mean `max_lifetime`?
"
    );
    assert_eq!(
        before("[limit]"),
        r"e.toml:1:2: limit: unknown key `limit`
  |
1 | [limit …
  |  ^^^^^
  = did you mean `limits`?
"
    );
    assert_eq!(
        before("[log]\ncolour = true"),
        r"e.toml:2:1: log.colour: unknown key `colour`
  |
2 | colour …
  | ^^^^^^
  = known are `level`, `format`
"
    );
}

#[test]
fn a_misspelt_password_is_not_shown() {
    let said = with("password", "pasword");
    assert!(said.starts_with("e.toml:11:1: users.pasword: unknown key `pasword`\n"), "{said}");
    assert!(said.contains("= did you mean `password`?"), "{said}");
    for (from, to) in [("password =", "pasword ="), ("\"hunter2\"", "\"hunter2"), ("\"hunter2\"", "[\"hunter2\"]")] {
        assert!(!with(from, to).contains("unter"), "{}", with(from, to));
    }
    let number = with("\"hunter2\"", "4711");
    assert!(number.contains("users.password: expected a string\n") && !number.contains("4711"), "{number}");
}

#[test]
fn a_value_of_the_wrong_kind_is_explained() {
    assert_eq!(
        before("[timeouts]\nlogin = \"5\""),
        r#"e.toml:2:9: timeouts.login: `5` has no unit: write "5s" for seconds or "5ms" for milliseconds
  |
2 | login = "5"
  |         ^^^
"#
    );
    for (section, said) in [
        (
            "[timeouts]\nlogin = 5",
            "2:9: timeouts.login: expected a duration with its unit, as in \"5s\", found the number `5`",
        ),
        ("[timeouts]\nlogin = \"off\"", "2:9: timeouts.login: this duration cannot be 0 or off"),
        (
            "[timeouts]\nquery = \"5 sec\"",
            "2:9: timeouts.query: a duration is written with its unit, as in \"5s\", \"250ms\" or \"1h30m\"",
        ),
        ("[timeouts]\nquery = \"5sec\"", "2:9: timeouts.query: `sec` is no unit of time: use d, h, m, s, ms, us or ns"),
        (
            "[runtime]\nrelay_buffer = \"16KB\"",
            "2:16: runtime.relay_buffer: `KB` is no unit of size: use B, KiB, MiB or GiB",
        ),
        (
            "[runtime]\nworkers = -1",
            "2:11: runtime.workers: expected a whole number from 0 to 65535, found the number `-1`",
        ),
        (
            "[limits]\nmax_clients = \"many\"",
            "2:15: limits.max_clients: expected a whole number from 0 to 4294967295, found the text \"many\"",
        ),
        ("[pool]\nmode = \"transactoin\"", "2:8: pool.mode: unknown value `transactoin`"),
        (
            "[pool]\ntest_on_return = \"yes\"",
            "2:18: pool.test_on_return: expected true or false, found the text \"yes\"",
        ),
        ("[listen]\nhttp = \"x:99999\"", "2:8: listen.http: `99999` is no port: a port is a number from 1 to 65535"),
        ("[listen]\nhttp = \"/tmp\"", "2:8: listen.http: HTTP is served on host:port only, not on a unix socket"),
        (
            "[listen]\npostgres = [\"a:1\", \"::1\"]",
            "2:20: listen.postgres: write an IPv6 address in brackets: `[::1]` or `[::1]:port`",
        ),
        ("[listen]\npostgres = \"a:1\"", "2:12: listen.postgres: expected a list, found the text \"a:1\""),
        ("[routes]\nuser = \"app\"", "1:1: routes: expected a list of tables, found one table"),
        (
            "[[routes]]\nweight = 1.5",
            "2:10: routes.weight: expected a whole number from 0 to 4294967295, found the number `1.5`",
        ),
    ] {
        let found = before(section);
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    assert!(before("[pool]\nmode = \"transactoin\"").contains("= did you mean `transaction`?"));
    assert!(before("[routes]\nuser = \"app\"").contains("write `[[routes]]` in double brackets"));
}

#[test]
fn a_contradiction_points_at_the_key_to_change() {
    for (from, to, said) in [
        (
            "budget = 10",
            "budget = 0",
            "5:10: servers.budget: server `a` has a budget of 0, so no client could ever be served",
        ),
        ("db:5432", "db:x", "4:11: servers.address: `x` is no port: a port is a number from 1 to 65535"),
        (
            "cluster = \"shop\"\naddress",
            "cluster = \"shpo\"\naddress",
            "8:11: databases.cluster: database `shop` names an unknown cluster `shop`",
        ),
        (
            "name = \"shop\"",
            "name = \"pgbouncer\"",
            "7:8: databases.name: the name `pgbouncer` leads to the admin console",
        ),
        ("name = \"shop\"", "name = \"a\\u0000b\"", "7:8: databases.name: a name cannot contain control characters"),
        ("name = \"app\"", "name = \"\"", "10:8: users.name: a name has 1 to 255 bytes"),
        ("password = \"hunter2\"", "", "9:1: users: user `app` has no password"),
        ("password = \"hunter2\"", "password = \"\"", "11:12: users.password: the password is empty"),
        (
            "password = \"hunter2\"",
            "password_env = \"EVENKEEL_UNSET\"",
            "11:16: users.password_env: the environment variable `EVENKEEL_UNSET` is not set",
        ),
        (
            "password = \"hunter2\"",
            "password = \"a\"\npassword_env = \"b\"",
            "11:12: users.password: give only one of `password`, `password_env` and `password_file`",
        ),
        (
            "password = \"hunter2\"",
            "password = \"md5e5c2e0d7a2cf0fe6dc4a8d3e3c6b8a5f\"\nserver_user = \"root\"",
            "12:15: users.server_user: there is no password to log in to the server as `root`",
        ),
        (
            "name = \"shop\"",
            "name = \"shop\"\nserver_user = \"root\"",
            "8:15: databases.server_user: there is no password to log in to the server as `root`",
        ),
        (
            "name = \"shop\"",
            "name = \"shop\"\nserver_password = \"x\"",
            "8:19: databases.server_password: a password needs a `server_user`",
        ),
        (
            "name = \"shop\"\n",
            "name = \"shop\"\nserver = \"a\"\n",
            "6:1: databases: database `shop` needs either a `cluster` or a `server`",
        ),
        (
            "budget = 10",
            "budget = 10\npool = { min_idle = 3, max = 2 }",
            "6:21: servers.pool.min_idle: min_idle 3 is above the cap 2 of the same route",
        ),
        ("name = \"a\"\n", "", "1:1: servers: the key `name` is missing"),
        (
            "[[users]]",
            "[[users]]\nname = \"b\"\npassword = \"x\"\n[[users]]\nname = \"b\"\npassword = \"x\"\n[[users]]",
            "13:8: users.name: there is already a user named `b`",
        ),
    ] {
        let found = with(from, to);
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
    for (section, said) in [
        ("[listen]\npostgres = []", "2:12: listen.postgres: there is no address, so no client could connect"),
        ("[limits]\nmax_clients = 0", "2:15: limits.max_clients: with 0, no client could connect"),
        ("[pool]\nlifetime_jitter = 0.7", "2:19: pool.lifetime_jitter: a fraction from 0 to 0.5 is expected"),
        ("[pool]\nlifetime_jitter = nan", "2:19: pool.lifetime_jitter: a fraction from 0 to 0.5 is expected"),
        ("[pool]\nmin_idle = 2\nmax = 1", "2:12: pool.min_idle: min_idle 2 is above the cap 1 of the same route"),
        ("[pool]\ninit_sql = \"select 1\\u0000\"", "2:12: pool.init_sql: SQL cannot contain a zero byte"),
        (
            "[admin]\nusers = [\"ap\"]",
            "2:9: admin.users: `ap` could not log in: there is no user of this name and no `password` here",
        ),
        ("[[routes]]\nuser = \"appp\"", "2:8: routes.user: no user is named `appp`"),
        ("[[routes]]\ndatabase = \"shpo\"", "2:12: routes.database: no database is named `shpo`"),
        (
            "[[routes]]\nguarantee = 11",
            "7:10: servers.budget: the guarantees of the routes to server `a` add up to 11 connections, its budget is 10",
        ),
        (
            "[[servers]]\nname = \"b\"\ncluster = \"x\"\naddress = \"db\"\nrole = \"replica\"",
            "5:8: servers.role: cluster `x` has no primary: give one of its servers the role \"primary\"",
        ),
        (
            "[[servers]]\nname = \"b\"\ncluster = \"shop\"\naddress = \"db\"",
            "5:1: servers.role: servers `b` and `a` of cluster `shop` both have the role \"auto\": name the primary",
        ),
    ] {
        let found = before(section);
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    assert!(before("[[routes]]\ndatabase = \"shpo\"").contains("= did you mean `shop`?"));
}

/// What is said about keys of a server of `GOOD`.
fn with_server(keys: &str) -> String {
    with("budget = 10\n", &format!("budget = 10\n{keys}\n"))
}

#[test]
fn keys_of_tls_must_fit_together() {
    let nowhere = "No such file or directory (os error 2)";
    for (section, said) in [
        ("mode = \"require\"", "2:8: tls.mode: encryption needs a `certificate` and its `key`".to_owned()),
        ("mode = \"on\"", "2:8: tls.mode: unknown value `on`".into()),
        ("key = \"k.pem\"", "2:7: tls.key: `certificate` is missing: a certificate and its key belong together".into()),
        (
            "client_ca = \"ca.pem\"",
            "1:1: tls: clients show certificates only where they are shown one: give a `certificate`".into(),
        ),
        (
            "certificate = \"nowhere.pem\"",
            "2:15: tls.certificate: `key` is missing: a certificate and its key belong together".into(),
        ),
        (
            "certificate = \"src\"\nkey = \"nowhere.pem\"",
            "2:15: tls.certificate: cannot read src: Is a directory (os error 21)".into(),
        ),
        (
            "certificate = \"nowhere.pem\"\nkey = \"Cargo.toml\"",
            format!("2:15: tls.certificate: cannot read nowhere.pem: {nowhere}"),
        ),
        (
            "certificate = \"Cargo.toml\"\nkey = \"Cargo.toml\"",
            "2:15: tls.certificate: Cargo.toml: no certificate in it (BEGIN CERTIFICATE)".into(),
        ),
        (
            "certificate = \"Cargo.toml\"\nkey = \"Cargo.toml\"\nclient_certificates = \"required\"",
            "4:23: tls.client_certificates: certificates of clients are checked by a `client_ca`".into(),
        ),
    ] {
        let found = before(&format!("[tls]\n{section}"));
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    for (keys, said) in [
        ("tls = \"verify-full\"", "6:7: servers.tls: unknown value `verify-full`"),
        (
            "tls_ca = \"Cargo.toml\"",
            "6:10: servers.tls_ca: no certificate is checked unless `tls` is \"verify_ca\" or \"verify_full\"",
        ),
        (
            "tls = \"verify_ca\"\ntls_ca = \"nowhere.pem\"",
            "7:10: servers.tls_ca: cannot read nowhere.pem: No such file or directory (os error 2)",
        ),
        (
            "tls_key = \"Cargo.toml\"",
            "6:11: servers.tls_key: `tls_certificate` is missing: a certificate and its key belong together",
        ),
        ("tls_server_name = \"\"", "6:19: servers.tls_server_name: a name is expected"),
    ] {
        let found = with_server(keys);
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    let bad_key = with_server("tls_certificate = \"../tls/tests/fixtures/sha1.crt\"\ntls_key = \"Cargo.toml\"");
    let said = "e.toml:7:11: servers.tls_key: Cargo.toml: no private key in it (BEGIN PRIVATE KEY)\n";
    assert!(bad_key.starts_with(said), "{bad_key}");
    let unix = with("\"db:5432\"", "\"/run/pg\"\ntls = \"require\"");
    assert!(unix.starts_with("e.toml:5:7: servers.tls: connections over a unix socket are not encrypted\n"), "{unix}");
    assert!(with_server("tls = \"verify-full\"").contains("= did you mean `verify_full`?"));
    assert!(before("[tls]\ncertifcate = \"x\"").contains("= did you mean `certificate`?"));
}

#[test]
fn keys_of_mysql_must_fit_together() {
    for (section, said) in [
        (
            "server_version = \"MySQL 8\"",
            "2:18: mysql.server_version: a version as in \"8.0.36\" is expected, of at most 64 characters",
        ),
        (
            "server_version = \"8.0\\u0000\"",
            "2:18: mysql.server_version: a version as in \"8.0.36\" is expected, of at most 64 characters",
        ),
        ("auth_plugin = \"sha256_password\"", "2:15: mysql.auth_plugin: unknown value `sha256_password`"),
        ("unknown_users = \"pass\"", "2:17: mysql.unknown_users: unknown value `pass`"),
        ("binlog_dump = true", "2:15: mysql.binlog_dump: expected a text in quotes"),
        ("compression = [\"zlib\", \"zlib\"]", "2:15: mysql.compression: each way to compress is named once"),
        ("compression = [\"lz4\"]", "2:16: mysql.compression: unknown value `lz4`"),
        (
            "rsa_key = \"nowhere.pem\"",
            "2:11: mysql.rsa_key: cannot read nowhere.pem: No such file or directory (os error 2)",
        ),
        (
            "rsa_key = \"Cargo.toml\"",
            "2:11: mysql.rsa_key: Cargo.toml: not an RSA key: expected a PEM text with a PRIVATE KEY or an RSA PRIVATE \
             KEY, not encrypted",
        ),
        ("max_packet = \"1023B\"", "2:14: mysql.max_packet: a size from 1KiB to 1GiB is expected"),
        ("max_packet = \"2GiB\"", "2:14: mysql.max_packet: a size from 1KiB to 1GiB is expected"),
        ("localinfile = true", "2:1: mysql.localinfile: unknown key `localinfile`"),
    ] {
        let found = before(&format!("[mysql]\n{section}"));
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    for (keys, said) in [
        ("compression = \"zlib\"", "6:15: servers.compression: server `a` speaks PostgreSQL, which has no compression"),
        ("protocol = \"mariadb\"", "6:12: servers.protocol: unknown value `mariadb`"),
        (
            "protocol = \"mysql\"\n[[servers]]\nname = \"b\"\ncluster = \"shop\"\nrole = \"replica\"\naddress = \"db2\"",
            "7:1: servers.protocol: server `b` speaks PostgreSQL and server `a` MySQL: all servers of cluster `shop` must \
             speak one protocol",
        ),
    ] {
        let found = with_server(keys);
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    let socket = with("\"db:5432\"", "\"/run/mysqld:3306\"\nprotocol = \"mysql\"");
    let said = "e.toml:4:11: servers.address: a MySQL socket has no port: give its path, or its directory for \
                `mysql.sock` in it\n";
    assert!(socket.starts_with(said), "{socket}");
}

#[test]
fn places_to_listen_must_serve_somebody() {
    for (section, said) in [
        (
            "mysql = [\"/tmp:3306\"]",
            "2:10: listen.mysql: a MySQL socket has no port: give its path, or its directory for `mysql.sock` in it",
        ),
        (
            "mysql = [\"127.0.0.1:6432\"]",
            "2:9: listen.mysql: 127.0.0.1:6432 is the address for PostgreSQL clients already",
        ),
        (
            "proxy_protocol = [\"10.0.0.0/8\", \"10.0.0.1/8\"]",
            "2:33: listen.proxy_protocol: `10.0.0.1/8` is an address within a network: the network is `10.0.0.0/8`",
        ),
        (
            "proxy_protocol = [\"balancer\"]",
            "2:19: listen.proxy_protocol: `balancer` is no network: write it as in \"10.0.0.0/8\", or an IP address",
        ),
    ] {
        let found = before(&format!("[listen]\n{section}"));
        assert_eq!(found.lines().next().unwrap(), format!("e.toml:{said}"), "{found}");
    }
    let deaf = problems(&format!("[listen]\nmysql = []\n{}", GOOD.replace("budget", "protocol = \"mysql\"\nbudget")));
    let said = "e.toml:2:9: listen.mysql: there is no address, so no client could connect\n";
    assert!(deaf.to_string().starts_with(said), "{deaf}");
}

#[test]
fn an_empty_file_says_what_is_needed() {
    assert_eq!(
        problems("").to_string(),
        "e.toml: servers: there is no `[[servers]]`, so there is nowhere to go\n\
         \ne.toml: databases: there is no `[[databases]]`, so no client could ask for one\n\
         \ne.toml: users: there is no `[[users]]`, so nobody could log in\n"
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = format!(
        "[pool]\nmode = \"fast\"\nmax_lifetme = \"1h\"\nidle_timeout = 7\n[log]\nlevel = \"loud\"\n{GOOD}[servers.x]\n\
         [[servers]]\nname = \"b\"\npool = {{ max_uses = -3 }}\n"
    )
    .replace("[servers.x]\n", "");
    let found = problems(&text);
    let places: Vec<(usize, &str)> = found.list().iter().map(|p| (p.line, p.key.as_str())).collect();
    assert_eq!(
        places,
        [
            (2, "pool.mode"),
            (3, "pool.max_lifetme"),
            (4, "pool.idle_timeout"),
            (6, "log.level"),
            (18, "servers"),
            (20, "servers.pool.max_uses"),
        ]
    );
    let meaning = GOOD.replace("budget = 10", "budget = 0").replace("name = \"shop\"", "name = \"evenkeel\"");
    assert_eq!(problems(&format!("[[routes]]\nweight = 0\n{meaning}")).list().len(), 3);
}

#[test]
fn an_inherited_mistake_is_told_once() {
    let text = format!("[pool]\nmax_uses = \"x\"\n{GOOD}").replace("budget = 10", "pool = { max = 3 }");
    assert_eq!(problems(&text).list().len(), 1);
}

#[test]
fn syntax_is_told_with_its_place() {
    let found = problems("[pool]\nmode = = 3\n[log\nlevel = \"info\"\n");
    let places: Vec<usize> = found.list().iter().map(|problem| problem.line).collect();
    assert_eq!(places, [2, 3], "{found}");
    assert!(found.list().iter().all(|problem| problem.key.is_empty() && problem.column > 0));
}

#[test]
fn hostile_texts_are_refused_in_peace() {
    for text in ["[".repeat(100_000), "a = [".to_owned() + &"[".repeat(2_000), "x.".repeat(50_000) + "y = 1"] {
        assert!(!problems(&text).list().is_empty());
    }
    let many: String = (0..2_000).map(|n| format!("key{n} = 1\n")).collect();
    let found = problems(&many);
    assert!(found.list().len() <= 51, "{}", found.list().len());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    /// Cut, doubled and overwritten files never panic, and what is said about them never shows the password.
    #[test]
    fn mutilated_files_are_refused_in_peace(at in 0..1_000_usize, len in 0..80_usize, put in "[\\[\\]\"'=\\.\\{\\},\n#a0é-]{0,4}") {
        let text = include_str!("../../../evenkeel.example.toml").replace("secret\"", "hunter2\"");
        let at = (0..=(at * text.len() / 1_000)).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let end = (at + len..).find(|end| *end >= text.len() || text.is_char_boundary(*end)).unwrap().min(text.len());
        let text = format!("{}{put}{}", &text[..at], &text[end..]);
        // A password without its key and quotes is a word like any other.
        proptest::prop_assume!(text.contains("word = \"hunter2"));
        if let Err(problems) = Config::from_toml(&text, "e.toml") {
            proptest::prop_assert!(!problems.to_string().contains("hunter2"), "{problems}");
        }
    }
}
