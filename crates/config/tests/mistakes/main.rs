//! Every mistake is told with its place, its key and what may have been meant.

mod sections;
mod unknown_keys;

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

/// The last line of what is said about `GOOD` with a section in front.
fn hint(section: &str) -> String {
    let said = before(section);
    said.lines().last().and_then(|line| line.strip_prefix("  = ")).unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// What is said about keys of a server of `GOOD`.
fn with_server(keys: &str) -> String {
    with("budget = 10\n", &format!("budget = 10\n{keys}\n"))
}

#[test]
fn good_is_good() {
    Config::from_toml(GOOD, "e.toml").unwrap();
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
fn a_file_of_another_program_is_recognised() {
    let bouncer = "[databases]\nshop = host=10.0.0.5 password=hunter2\n[pgbouncer]\nlisten_port = 6432\n";
    assert_eq!(
        problems(bouncer).to_string(),
        "e.toml:3:1: this looks like a file of PgBouncer\n  |\n3 | [pgbouncer]\n  | ^^^^^^^^^^^\n  \
         = docs/from-pgbouncer.md says what each setting becomes\n"
    );
    for (name, text, said) in [
        ("e.toml", "[pgbouncer]\nlisten_port = 6432", "e.toml:1:1: this looks like a file of PgBouncer"),
        ("users.ini", "[databases]\nshop = host=db", "users.ini: this looks like a file of PgBouncer"),
        ("p.cnf", "datadir=\"/x\"\n mysql_variables=\n{\n}", "p.cnf:2:2: this looks like a file of ProxySQL"),
        ("r.conf", "[DEFAULT]\n[routing:rw]\nx=y", "r.conf:2:1: this looks like a file of MySQL Router"),
        ("e.toml", "[databases]\nshop = host=db", "e.toml:2:8: string values must be quoted, expected literal string"),
    ] {
        let found = Config::from_toml(text, name).unwrap_err().to_string();
        assert_eq!(found.lines().next().unwrap(), said, "{found}");
    }
    // What is right is not looked at.
    Config::from_toml(GOOD, "evenkeel.ini").unwrap();
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
        let text = include_str!("../../../../evenkeel.example.toml").replace("secret\"", "hunter2\"");
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
