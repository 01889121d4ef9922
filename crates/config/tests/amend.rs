//! Keys that are changed while the program runs.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

use config::{AmendError, Config, Given, diff};

fn config() -> Config {
    let text = r#"
        [pool]
        max_lifetime = "2h"
        [[classes]]
        name = "reports"
        cap = 3
        users = ["report*"]
        [[servers]]
        name = "pg-a"
        address = "127.0.0.1:5432"
        budget = 9
        classes = ["reports"]
        [[servers]]
        name = "pg.b"
        address = "127.0.0.1:5433"
        pool = { checkout_timeout = "7s" }
        [[databases]]
        name = "*"
        cluster = "pg-a"
        server_user = "owner"
        server_password = "xyzzy"
        [[users]]
        name = "app"
        password = "xyzzy"
        [[routes]]
        user = "app"
        weight = 2
    "#;
    Config::from_toml(text, "test.toml").unwrap()
}

/// What has changed from one to the other, a line each.
fn changes(from: &Config, to: &Config) -> Vec<String> {
    diff(from, to).iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_is_changed_by_the_name_under_which_it_is_shown() {
    for (key, value, change) in [
        ("pool.min_idle", Given::Word("2"), "[pool] min_idle: 0 -> 2"),
        ("pool.min_idle", Given::Text("2"), "[pool] min_idle: 0 -> 2"),
        ("pool.lifetime_jitter", Given::Word("0.25"), "[pool] lifetime_jitter: 0.1 -> 0.25"),
        ("pool.mode", Given::Word("session"), "[pool] mode: \"transaction\" -> \"session\""),
        ("pool.leak_timeout", Given::Text("30s"), "[pool] leak_timeout: \"off\" -> \"30s\""),
        ("pool.test_on_return", Given::Word("true"), "[pool] test_on_return: false -> true"),
        // What looks like a number is one only where a number is wanted.
        ("pool.validation_query", Given::Text("1"), "[pool] validation_query: \"\" -> \"1\""),
        ("limits.max_clients", Given::Word("77"), "[limits] max_clients: 10000 -> 77"),
        ("timeouts.query", Given::Text("1m"), "[timeouts] query: \"off\" -> \"1m\""),
        ("log.level", Given::Word("debug"), "[log] level: \"info\" -> \"debug\""),
        ("metrics.vttablet_names", Given::Word("true"), "[metrics] vttablet_names: false -> true"),
        ("transaction_limit.mode", Given::Text("dry_run"), "[transaction_limit] mode: \"off\" -> \"dry_run\""),
        ("transaction_limit.by", Given::Text("[\"address\"]"), "[transaction_limit] by: [\"user\"] -> [\"address\"]"),
        ("servers.pg-a.budget", Given::Word("12"), "server pg-a budget: 9 -> 12"),
        ("servers.pg.b.budget", Given::Word("12"), "server pg.b budget: 20 -> 12"),
        (
            "servers.pg.b.pool.checkout_timeout",
            Given::Text("1s"),
            "server pg.b pool.checkout_timeout: \"7s\" -> \"1s\"",
        ),
        ("classes.reports.cap", Given::Word("5"), "class reports cap: 3 -> 5"),
        ("databases.*.checkout_timeout", Given::Text("1s"), "database * checkout_timeout: null -> \"1s\""),
        ("users.app.pool_mode", Given::Word("session"), "user app pool_mode: null -> \"session\""),
        ("routes.0.weight", Given::Word("3"), "route 1 weight: 2 -> 3"),
    ] {
        let old = config();
        let new = old.amended(key, value).unwrap_or_else(|error| panic!("{key}: {error}"));
        // Of [pool], a server with one of its own follows.
        assert_eq!(changes(&old, &new)[0], change, "{key}");
        assert!(new.is_amended(key) && !old.is_amended(key), "{key}");
        // Nothing else is another one: no secret was lost on the way.
        assert_eq!(new.client_credential("app"), old.client_credential("app"));
        assert_eq!(new.database_credential("*"), old.database_credential("*"));
    }
}

#[test]
fn servers_follow_the_pool_in_what_they_do_not_say_themselves() {
    let old = config();
    let new = old.amended("pool.max_lifetime", Given::Text("1h")).unwrap();
    let pools = ["[pool] max_lifetime: \"2h\" -> \"1h\"", "server pg.b pool.max_lifetime: \"2h\" -> \"1h\""];
    assert_eq!(changes(&old, &new), pools);
    assert!(new.is_amended("servers.pg.b.pool.max_lifetime"));
    let new = old.amended("pool.checkout_timeout", Given::Text("1s")).unwrap();
    assert_eq!(changes(&old, &new), ["[pool] checkout_timeout: \"5s\" -> \"1s\""]);
    assert!(!new.is_amended("servers.pg.b.pool.checkout_timeout"));
    // What a server was told for itself is its own from then on.
    let own = old.amended("servers.pg.b.pool.max_lifetime", Given::Text("3h")).unwrap();
    let new = own.amended("pool.max_lifetime", Given::Text("1h")).unwrap();
    assert_eq!(changes(&own, &new), ["[pool] max_lifetime: \"2h\" -> \"1h\""]);
    // And one that said nothing begins with what held for it.
    let own = old.amended("servers.pg-a.pool.max_uses", Given::Word("9")).unwrap();
    assert_eq!(own.pool(route::ServerIndex(0)).max_lifetime, old.pool(route::ServerIndex(0)).max_lifetime);
    assert!(own.amended("pool.max_lifetime", Given::Text("1h")).unwrap().is_amended("servers.pg-a.pool.max_lifetime"));
    assert!(!own.is_amended("pool.max_uses"));
}

#[test]
fn a_cap_that_no_server_takes_is_refused() {
    let text = r#"
        [[classes]]
        name = "reports"
        cap = 3
        [[servers]]
        name = "pg-a"
        address = "127.0.0.1:5432"
        classes = { reports = 2 }
        [[databases]]
        name = "*"
        server = "pg-a"
        [[users]]
        name = "app"
        password = "xyzzy"
    "#;
    let alone = Config::from_toml(text, "test.toml").unwrap();
    let error = alone.amended("classes.reports.cap", Given::Word("5")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "classes.reports.cap: no server takes it: servers.pg-a.classes gives the class a cap of its own"
    );
    let other = "[[servers]]\nname = \"pg-b\"\naddress = \"127.0.0.1:5433\"\nclasses = [\"reports\"]\n";
    let beside = Config::from_toml(&format!("{text}\n{other}"), "test.toml").unwrap();
    assert!(beside.amended("classes.reports.cap", Given::Word("5")).is_ok());
}

#[test]
fn changes_add_up() {
    let old = config();
    let one = old.amended("pool.max", Given::Word("4")).unwrap();
    let two = one.amended("pool.initial", Given::Word("4")).unwrap();
    assert!(two.is_amended("pool.max") && two.is_amended("pool.initial"));
    assert_eq!(changes(&old, &two).len(), 4, "in [pool], and for the server that has one of its own");
}

#[test]
fn mistakes_are_told_as_in_the_file() {
    let config = config();
    for (key, value, message) in [
        ("pool.max_liftime", "1h", "unknown key: pool.max_liftime (pool.max_lifetime)"),
        ("pol.max_lifetime", "1h", "unknown key: pol.max_lifetime (pool.max_lifetime)"),
        ("max_lifetime", "1h", "unknown key: max_lifetime (pool.max_lifetime)"),
        ("pool.max_clients", "9", "unknown key: pool.max_clients (limits.max_clients)"),
        ("pool.query_timeout", "5s", "unknown key: pool.query_timeout (timeouts.query)"),
        ("pool.auth_type", "md5", "unknown key: pool.auth_type ()"),
        ("servers.pg-a.pool.max_use", "1", "unknown key: servers.pg-a.pool.max_use (servers.pg-a.pool.max_uses)"),
        ("servers.pg-c.budget", "1", "unknown key: servers.pg-c.budget (servers.pg-a.budget)"),
        ("routes.1.weight", "1", "unknown key: routes.1.weight ()"),
        ("", "1", "unknown key:  ()"),
        ("pool.", "1", "unknown key: pool. ()"),
        (
            "pool.max_lifetime",
            "10",
            "pool.max_lifetime: `10` has no unit: write \"10s\" for seconds or \"10ms\" for milliseconds",
        ),
        ("pool.mode", "sesion", "pool.mode: unknown value `sesion` (did you mean `session`?)"),
        (
            "pool.min_idle",
            "many",
            "pool.min_idle: expected a whole number from 0 to 4294967295, found the text \"many\"",
        ),
        (
            "servers.pg-a.budget",
            "-1",
            "servers.pg-a.budget: expected a whole number from 0 to 4294967295, found the text \"-1\"",
        ),
    ] {
        let told = match config.amended(key, Given::Text(value)).unwrap_err() {
            ref error @ AmendError::Unknown { ref nearest, .. } => {
                format!("{error} ({})", nearest.as_deref().unwrap_or_default())
            }
            ref error @ AmendError::Value { hint: Some(ref hint), .. } => format!("{error} ({hint})"),
            error => error.to_string(),
        };
        assert_eq!(told, message);
    }
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    let config = config();
    for (key, value, words) in [
        ("pool.connect_concurrency", "0", "connect_concurrency"),
        ("pool.lifetime_jitter", "0.9", "0 to 0.5"),
        ("limits.max_clients", "0", "no client could connect"),
        ("servers.pg-a.budget", "0", "budget"),
        ("routes.0.guarantee", "100", "guarantee"),
    ] {
        let error = config.amended(key, Given::Word(value)).unwrap_err();
        assert!(matches!(error, AmendError::Invalid(_)), "{key}: {error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_names_places_or_proves_something_stays() {
    let config = config();
    for (key, needs_restart) in [
        ("listen.postgres", true),
        ("runtime.workers", true),
        ("listen.auth", false),
        ("tls.client_certificates", false),
        ("admin.users", false),
        ("mysql.max_packet", false),
        ("servers.pg-a.address", false),
        ("servers.pg-a.name", false),
        ("databases.*.server_password", false),
        ("users.app.password", false),
        ("users.app.server_user", false),
        ("routes.0.user", false),
        ("classes.reports.users", false),
    ] {
        let given = Given::Text("hunter2");
        match config.amended(key, given).unwrap_err() {
            error @ AmendError::Fixed { restart, .. } => {
                assert_eq!(restart, needs_restart, "{key}");
                assert!(!format!("{error:?} {error} {given:?}").contains("hunter2"), "{error:?}");
            }
            other => panic!("{key}: {other:?}"),
        }
    }
}
