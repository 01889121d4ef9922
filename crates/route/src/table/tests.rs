use std::time::Duration;

use super::*;
use crate::{Class, Classes, Limits, Overrides, Pattern, PoolMode, Role, SessionState, Takes, Target, Timeout};

fn server(name: &str, cluster: &str, role: Role) -> Server {
    Server { role, ..Server::new(name, cluster, "10.0.0.5:5432".parse().unwrap(), 10) }
}

fn cluster(name: &str) -> Target {
    Target::Cluster(name.into())
}

/// Two servers of one cluster, a database by name, one for the replica, one for the rest; three users.
fn table(rules: Vec<Rule>) -> Result<Table, Vec<Fault>> {
    Table::new(
        vec![server("a", "shop", Role::Replica), server("b", "shop", Role::Primary)],
        vec![
            Database::new("shop", cluster("shop")),
            Database { server_database: Some("shop".into()), ..Database::new("shop_ro", Target::Server("a".into())) },
            Database { server_user: Some("guest".into()), ..Database::new("*", cluster("shop")) },
        ],
        vec![User::new("app"), User { server_user: Some("root".into()), ..User::new("boss") }, User::new("report")],
        rules,
    )
}

fn faults(result: Result<Table, Vec<Fault>>) -> Vec<String> {
    let faults = result.expect_err("the table has faults");
    faults.iter().map(|f| format!("{:?} {}: {} ({:?})", f.subject, f.key, f.what, f.nearest)).collect()
}

#[test]
fn names_lead_to_servers() {
    let table = table(vec![]).unwrap();
    let found = |user, database| {
        let found = table.resolve(user, database).unwrap();
        let server = &table.server(found.server).name;
        format!("{server} {} {} {:?}", found.server_user, found.server_database, found.identity)
    };
    assert_eq!(found("app", "shop"), "b app shop Client");
    assert_eq!(found("app", "shop_ro"), "a app shop Client");
    assert_eq!(found("boss", "shop"), "b root shop User");
    assert_eq!(found("boss", "orders"), "b guest orders Database");
}

#[test]
fn an_unknown_name_is_refused_and_the_user_comes_first() {
    let table = Table::new(
        vec![Server::new("a", "shop", "db".parse().unwrap(), 1)],
        vec![Database::new("orders", cluster("shop"))],
        vec![User::new("app")],
        vec![],
    )
    .unwrap();
    let nearest = Some("orders".to_owned());
    assert_eq!(table.resolve("app", "ordres"), Err(NoRoute::UnknownDatabase { name: "ordres".into(), nearest }));
    assert_eq!(table.resolve("ap", "ordres"), Err(NoRoute::UnknownUser { name: "ap".into() }));
}

#[test]
fn rule_beats_user_beats_database_beats_server() {
    let second = Duration::from_secs;
    let mut server = server("a", "shop", Role::Auto);
    server.terms.timeouts.query = Timeout::After(second(1));
    server.terms.limits.cap = Some(9);
    let database = Database {
        overrides: Overrides {
            pool_mode: Some(PoolMode::Session),
            query_timeout: Some(Timeout::After(second(2))),
            checkout_timeout: Some(second(2)),
            ..Overrides::default()
        },
        ..Database::new("shop", cluster("shop"))
    };
    let user = User {
        overrides: Overrides {
            query_timeout: Some(Timeout::After(second(3))),
            client_idle_timeout: Some(Timeout::After(second(3))),
            ..Overrides::default()
        },
        ..User::new("app")
    };
    let rule = Rule {
        weight: Some(7),
        min_idle: Some(2),
        overrides: Overrides { query_timeout: Some(Timeout::Off), ..Overrides::default() },
        ..Rule::new("app", "shop")
    };
    let never = Rule { weight: Some(100), ..Rule::new("*", "*") };
    let table = Table::new(vec![server], vec![database], vec![user, User::new("other")], vec![rule, never]).unwrap();

    let terms = table.resolve("app", "shop").unwrap().terms;
    assert_eq!(terms.pool_mode, PoolMode::Session);
    assert_eq!(terms.timeouts.checkout, second(2));
    assert_eq!(terms.timeouts.query, Timeout::Off);
    assert_eq!(terms.timeouts.client_idle, Timeout::After(second(3)));
    assert_eq!(terms.limits, Limits { weight: 7, cap: Some(9), min_idle: 2, ..Limits::default() });
    let other = table.resolve("other", "shop").unwrap().terms;
    assert_eq!((other.limits.weight, other.timeouts.query), (100, Timeout::After(second(2))));
}

#[test]
fn guarantees_must_fit_the_budget() {
    let rule = |user, database, guarantee| Rule { guarantee: Some(guarantee), ..Rule::new(user, database) };
    // Server b: app on shop 4, and 2 for each of three users on `*`: 10 of 10. Server a: 3 of 10.
    let fits = vec![rule("app", "shop", 4), rule("*", "shop_ro", 1), rule("*", "shop", 0), rule("*", "*", 2)];
    assert!(table(fits).is_ok());
    let over = vec![rule("app", "shop", 5), rule("*", "shop_ro", 1), rule("*", "shop", 0), rule("*", "*", 2)];
    assert_eq!(
        faults(table(over)),
        [
            "Server(1) budget: the guarantees of the routes to server `b` add up to 11 connections, its budget is 10 (None)"
        ]
    );
    // A name that only a rule gives to `*` counts as well.
    let by_name = vec![rule("app", "orders", 11)];
    assert_eq!(faults(table(by_name)).len(), 1);
}

#[test]
fn a_rule_promises_no_more_than_the_cap_that_its_server_gives_it() {
    let with_caps = |rules| {
        let mut servers = vec![server("a", "shop", Role::Replica), server("b", "shop", Role::Primary)];
        servers[0].terms.limits.cap = Some(3);
        servers[1].terms.limits.cap = Some(5);
        let databases = vec![Database::new("ro", Target::Server("a".into())), Database::new("rw", cluster("shop"))];
        Table::new(servers, databases, vec![User::new("app"), User::new("boss")], rules)
    };
    let rule = |database, guarantee| Rule { guarantee: Some(guarantee), ..Rule::new("app", database) };
    assert_eq!(
        faults(with_caps(vec![rule("ro", 4), Rule { min_idle: Some(6), ..rule("*", 5) }])),
        [
            "Rule(0) guarantee: guarantee 4 is above 3, the `max` of server `a` for each route without a `cap`: give this \
             one a `cap` (None)",
            "Rule(1) min_idle: min_idle 6 is above 5, the `max` of server `b` for each route without a `cap`: give this one \
             a `cap` (None)",
        ]
    );
    assert_eq!(faults(with_caps(vec![rule("*", 4)])).len(), 1, "it is too much for one of the servers");
    assert!(with_caps(vec![rule("ro", 3), rule("*", 5)]).is_ok(), "the second one decides on one server only");
    assert!(with_caps(vec![Rule { cap: Some(9), ..rule("*", 4) }]).is_ok());
}

/// A server with the classes `web`, for user `app` alone, and `reserved`; everybody else is in the default class.
fn classed(rules: Vec<Rule>) -> Result<Table, Vec<Fault>> {
    let takes = Takes { users: vec![Pattern::new("app")], ..Takes::default() };
    let classes = Classes::new(vec![Class { takes, ..Class::new("web") }, Class::new("reserved")]).unwrap();
    Table::new(
        vec![Server { classes, ..server("a", "shop", Role::Auto) }],
        vec![Database::new("shop", cluster("shop"))],
        vec![User::new("app"), User::new("report")],
        rules,
    )
}

fn of_class(class: &str, rule: Rule) -> Rule {
    Rule { class: Some(Pattern::new(class)), ..rule }
}

#[test]
fn a_rule_for_a_class_limits_the_routes_of_that_class() {
    let session = Overrides { session_state: Some(SessionState::Reserve), ..Overrides::default() };
    let table = classed(vec![
        of_class("we*", Rule { cap: Some(3), ..Rule::new("app", "*") }),
        Rule { cap: Some(8), overrides: session, ..Rule::new("*", "shop") },
    ])
    .unwrap();
    let cap = |class: &str, user| {
        let class = table.servers()[0].classes.named(class).unwrap();
        table.limits(ServerIndex(0), class, user, "shop").cap
    };
    assert_eq!(cap("web", "app"), Some(3));
    assert_eq!(cap("default", "app"), Some(8));
    assert_eq!(cap("reserved", "app"), Some(8));
    assert_eq!(cap("web", "report"), Some(8));
    // What holds for the session comes from the rule for all classes.
    let terms = table.resolve("app", "shop").unwrap().terms;
    assert_eq!((terms.session_state, terms.limits.cap), (SessionState::Reserve, Some(8)));
}

#[test]
fn guarantees_count_in_each_class_that_may_need_them() {
    let rule = |class, guarantee| of_class(class, Rule { guarantee: Some(guarantee), ..Rule::new("*", "*") });
    // `app` in all three classes, `report` in two: 4 + 3 × 2 = 10 of 10.
    assert!(classed(vec![rule("web", 4), rule("default", 3)]).is_ok());
    assert!(classed(vec![rule("*", 2)]).is_ok());
    let over = faults(classed(vec![rule("*", 3)]));
    assert_eq!(
        over,
        [
            "Server(0) budget: the guarantees of the routes to server `a` add up to 15 connections, its budget is 10 (None)"
        ]
    );
}

#[test]
fn a_rule_for_a_class_says_nothing_of_sessions_and_names_a_class_that_exists() {
    let mode = Overrides { query_timeout: Some(Timeout::Off), ..Overrides::default() };
    let found = faults(classed(vec![
        of_class("wbe", Rule::new("*", "*")),
        of_class("web", Rule { overrides: mode, ..Rule::new("*", "*") }),
    ]));
    assert_eq!(
        found,
        [
            "Rule(0) class: no server has a class named `wbe` (Some(\"web\"))",
            "Rule(1) query_timeout: a rule for a class holds for connections of that class, but `query_timeout` is for \
             whole sessions: leave out the `class` (None)",
        ]
    );
}

#[test]
fn clusters_have_one_primary() {
    let check = |roles: &[Role]| {
        let servers = roles.iter().zip(["a", "b", "c"]).map(|(role, name)| server(name, "shop", *role)).collect();
        Table::new(servers, vec![Database::new("x", cluster("shop"))], vec![], vec![])
    };
    for (roles, primary) in
        [(&[Role::Auto][..], "a"), (&[Role::Replica, Role::Auto], "b"), (&[Role::Auto, Role::Auto, Role::Primary], "c")]
    {
        let table = check(roles).unwrap();
        assert_eq!(&*table.server(table.server_of(DatabaseIndex(0))).name, primary, "{roles:?}");
    }
    for (roles, message) in [
        (
            &[Role::Replica, Role::Replica][..],
            "Server(0) role: cluster `shop` has no primary: give one of its servers the role \"primary\" (None)",
        ),
        (&[Role::Primary, Role::Primary], "Server(1) role: cluster `shop` has two primaries, `a` and `b` (None)"),
        (
            &[Role::Auto, Role::Replica, Role::Auto],
            "Server(2) role: servers `a` and `c` of cluster `shop` both have the role \"auto\": name the primary (None)",
        ),
    ] {
        assert_eq!(faults(check(roles)), [message]);
    }
}

#[test]
fn every_contradiction_is_found_at_once() {
    let found = faults(Table::new(
        vec![server("a", "shop", Role::Auto), Server { budget: 0, ..server("a", "crm", Role::Auto) }],
        vec![
            Database::new("x", cluster("shpo")),
            Database::new("x", Target::Server("a".into())),
            Database::new("y", Target::Server("elsewhere".into())),
        ],
        vec![User::new("app"), User::new("app")],
        vec![
            Rule { weight: Some(0), cap: Some(0), ..Rule::new("appp", "yy") },
            Rule { guarantee: Some(3), min_idle: Some(4), cap: Some(2), ..Rule::new("a*", "x*") },
        ],
    ));
    assert_eq!(
        found,
        [
            "Server(1) name: there is already a server named `a` (None)",
            "Database(1) name: there is already a database named `x` (None)",
            "User(1) name: there is already a user named `app` (None)",
            "Server(1) budget: server `a` has a budget of 0, so no client could ever be served (None)",
            "Database(0) cluster: database `x` names an unknown cluster `shpo` (Some(\"shop\"))",
            "Database(2) server: database `y` names an unknown server `elsewhere` (None)",
            "Rule(0) user: no user is named `appp` (Some(\"app\"))",
            "Rule(0) database: no database is named `yy` (None)",
            "Rule(0) weight: a weight is at least 1: a route of weight 0 would never be served when others are (None)",
            "Rule(0) cap: a cap is at least 1: a route with cap 0 could never be served (None)",
            "Rule(1) guarantee: guarantee 3 is above the cap 2 of the same route (None)",
            "Rule(1) min_idle: min_idle 4 is above the cap 2 of the same route (None)",
        ]
    );
}

#[test]
fn a_cluster_speaks_one_protocol() {
    let mysql = |name, role| Server { protocol: Protocol::Mysql, ..server(name, "shop", role) };
    let found = faults(Table::new(
        vec![server("a", "shop", Role::Primary), mysql("b", Role::Replica)],
        vec![Database::new("shop", cluster("shop"))],
        vec![],
        vec![],
    ));
    assert_eq!(
        found,
        ["Server(1) protocol: server `b` speaks MySQL and server `a` PostgreSQL: all servers of cluster `shop` must \
             speak one protocol (None)"]
    );
}

/// A PostgreSQL server with a database by name, a MySQL server with another and with any other name.
fn mixed(any: &str, guest: Option<User>, rules: Vec<Rule>) -> Result<Table, Vec<Fault>> {
    let servers =
        vec![server("pg", "pg", Role::Auto), Server { protocol: Protocol::Mysql, ..server("my", "my", Role::Auto) }];
    let sales = Database { server_database: Some("sales_eu".into()), ..Database::new("sales", cluster("my")) };
    let databases = vec![Database::new("shop", cluster("pg")), sales, Database::new("*", cluster(any))];
    match guest {
        None => Table::new(servers, databases, vec![User::new("app")], rules),
        Some(guest) => Table::with_guests(servers, databases, vec![User::new("app")], guest, rules),
    }
}

#[test]
fn who_names_no_database_is_at_home_on_a_mysql_server() {
    for (any, entry) in [("my", "*"), ("pg", "sales")] {
        let table = mixed(any, None, vec![]).unwrap();
        let found = table.resolve("app", "").unwrap();
        assert_eq!(&*table.database(found.database).name, entry);
        assert_eq!((&*table.server(found.server).name, &*found.server_database), ("my", ""));
    }
}

#[test]
fn guests_are_let_in_to_mysql_servers_only() {
    let unknown = |table: &Table, database| match table.resolve("zoe", database) {
        Err(NoRoute::UnknownUser { .. }) => true,
        Ok(_) => false,
        Err(other) => panic!("{other}"),
    };
    let closed = mixed("my", None, vec![]).unwrap();
    assert!(unknown(&closed, "sales") && unknown(&closed, "shop") && closed.guest().is_none());

    let rule = Rule { weight: Some(4), ..Rule::new("zoe", "*") };
    let guest = User { max_clients: Some(3), ..User::new("guest") };
    assert_eq!(faults(mixed("my", None, vec![rule.clone()])).len(), 1);
    let open = mixed("my", Some(guest), vec![rule]).unwrap();
    assert!(unknown(&open, "shop") && !unknown(&open, "sales") && !unknown(&open, ""));
    let found = open.resolve("zoe", "sales").unwrap();
    assert_eq!((&*found.server_user, found.identity, found.terms.limits.weight), ("zoe", Identity::Client, 4));
    assert_eq!(open.user(found.user).max_clients, Some(3));
    assert_eq!((open.users().len(), open.user_index("zoe")), (1, None));
    let known = open.resolve("app", "sales").unwrap();
    assert_eq!((&*open.user(known.user).name, open.user(known.user).max_clients), ("app", None));
}
