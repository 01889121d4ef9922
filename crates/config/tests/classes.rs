//! What `[[classes]]` and `servers.classes` become, and what is said of those that make no sense.

use config::{Applies, Config, diff};
use route::{ClassIndex, Classes, LimitKey, LimitMode, ServerIndex, SessionState, StatementKind, Traffic, Who};

/// A file with these sections and a server of these keys.
fn file(sections: &str, server: &str) -> String {
    format!(
        "{sections}\n[[servers]]\nname = \"a\"\naddress = \"db\"\n{server}\n[[databases]]\nname = \"*\"\ncluster = \"a\"\n\
         [[users]]\nname = \"app\"\npassword = \"x\"\n"
    )
}

fn read(sections: &str, server: &str) -> Config {
    Config::from_toml(&file(sections, server), "e.toml").unwrap_or_else(|problems| panic!("{problems}"))
}

fn classes(config: &Config) -> &Classes {
    &config.table().server(ServerIndex(0)).classes
}

/// Names and caps in the order in which they are asked.
fn list(config: &Config) -> Vec<(&str, Option<u32>)> {
    classes(config).list().iter().map(|class| (&*class.name, class.cap)).collect()
}

fn said(sections: &str, server: &str) -> String {
    match Config::from_toml(&file(sections, server), "e.toml") {
        Ok(_) => panic!("this is taken as right:\n{sections}\n{server}"),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn one_class_is_the_default_and_reserving_adds_another() {
    let config = read("", "");
    assert!(classes(&config).is_single() && classes(&config).reserved().is_none());
    for sections in [
        "[pool]\nmax_reserved = 5",
        "[pool]\nmax_reserved = 5\nsession_state = \"reserve\"",
        "[pool]\nmax_reserved = 5\n[[routes]]\nuser = \"app\"\nsession_state = \"reserve\"",
    ] {
        let config = read(sections, "classes = \"single\"");
        assert!(classes(&config).is_single());
        assert_eq!(list(&config), [("default", None), ("reserved", Some(5))], "{sections}");
    }
    let config = read("[[routes]]\nuser = \"app\"\nsession_state = \"reserve\"", "");
    assert_eq!(list(&config), [("default", None), ("reserved", None)]);
    assert_eq!(config.table().resolve("app", "x").unwrap().terms.session_state, SessionState::Reserve);
}

#[test]
fn the_preset_is_one_word() {
    let config = read("", "classes = \"vttablet\"\nbudget = 400");
    assert_eq!(*classes(&config), Classes::vttablet());
    let config = read("[pool]\nmax_reserved = 9", "classes = \"vttablet\"");
    let reserved = classes(&config).reserved().unwrap();
    assert_eq!(classes(&config).get(reserved).cap, Some(9));
}

#[test]
fn a_table_gives_caps_and_a_list_takes_those_declared() {
    let sections = "[[classes]]\nname = \"reports\"\nusers = [\"r*\"]\ncap = 8\nlends_to = [\"oltp\", \"stream\"]\n\
                    [[classes]]\nname = \"oltp\"\ncap = 30\n[[classes]]\nname = \"unused\"\n";
    let config = read(sections, "classes = { oltp = 12, reports = 3, transaction = 0, reserved = 2 }");
    // Own classes are asked before the preset's, `reserved` is always there, and a cap of 0 is none.
    let expected =
        [("default", None), ("reports", Some(3)), ("transaction", None), ("oltp", Some(12)), ("reserved", Some(2))];
    assert_eq!(list(&config), expected);
    let config = read(sections, "classes = [\"oltp\", \"reports\"]");
    assert_eq!(list(&config), [("default", None), ("reports", Some(8)), ("oltp", Some(30)), ("reserved", None)]);
    // It lends to those that this server has.
    let (reports, oltp) = (ClassIndex::new(1).unwrap(), ClassIndex::new(2).unwrap());
    assert_eq!(classes(&config).lends_to(reports), [oltp]);
}

#[test]
fn a_class_of_the_preset_can_be_changed() {
    let config = read(
        "[[classes]]\nname = \"dba\"\nusers = [\"root\"]\n[[classes]]\nname = \"oltp\"\ncap = 30\nmetric = \"mine\"",
        "classes = \"vttablet\"",
    );
    let get = |name: &str| classes(&config).get(classes(&config).named(name).unwrap());
    assert_eq!((&*get("dba").metric, get("dba").cap), ("dba_conn_pool", Some(20)));
    assert_eq!((&*get("oltp").metric, get("oltp").cap), ("mine", Some(30)));
    let names = |config: &Config| list(config).iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&config), names(&read("", "classes = \"vttablet\"")), "the order is the preset's");
    let class = |user| {
        let choice = classes(&config).of(&Who::new(user, "x"));
        &*classes(&config).get(choice.class(Traffic::Statement, StatementKind::Select)).name
    };
    assert_eq!((class("root"), class("vt_dba"), class("app")), ("dba", "oltp", "oltp"));
}

#[test]
fn every_key_of_a_class_is_heard() {
    let config = read(
        r#"
        [[classes]]
        name = "etl"
        cap = 4
        traffic = ["statement", "stream"]
        users = ["etl_*"]
        databases = ["dw"]
        applications = ["airflow*"]
        attributes = { team = "data*" }
        capability = "found_rows"
        statements = ["insert", "copy"]
        workload = "olap"
        lends_to = ["web"]
        metric = "etl_conn_pool"

        [[classes]]
        name = "web"
        cap = 9
        "#,
        "classes = [\"web\", \"etl\"]",
    );
    assert_eq!(list(&config), [("default", None), ("etl", Some(4)), ("web", Some(9)), ("reserved", None)]);
    let (etl, web) = (ClassIndex::new(1).unwrap(), ClassIndex::new(2).unwrap());
    assert_eq!(classes(&config).lends_to(etl), [web]);
    assert_eq!(&*classes(&config).get(etl).metric, "etl_conn_pool");
    let attribute = |name: &str| (name == "team").then_some(&b"data-eng"[..]);
    let who = Who {
        application: "airflow-2",
        attributes: &attribute,
        found_rows: true,
        workload: route::Workload::Olap,
        ..Who::new("etl_1", "dw")
    };
    let class = |who: &Who<'_>, kind| classes(&config).of(who).class(Traffic::Statement, kind);
    assert_eq!(class(&who, StatementKind::Copy), etl);
    assert_eq!(class(&who, StatementKind::Select), web);
    for other in [
        Who { user: "x", ..who },
        Who { database: "x", ..who },
        Who { application: "x", ..who },
        Who { attributes: &|_| None, ..who },
        Who { found_rows: false, ..who },
        Who { workload: route::Workload::Dba, ..who },
    ] {
        assert_eq!(class(&other, StatementKind::Copy), web, "{other:?}");
    }
}

#[test]
fn what_can_hardly_be_meant_is_told() {
    let config =
        read("[[classes]]\nname = \"reports\"\n[[classes]]\nname = \"oltp\"\ncap = 30", "classes = [\"oltp\"]");
    assert_eq!(
        config.doubts(),
        [
            "server `a`: class `oltp` has a cap of 30, which its budget of 20 never lets it reach",
            "class `reports` is declared, and no server has it in its `classes`"
        ]
    );
    assert!(read("", "").doubts().is_empty());
}

#[test]
fn a_rule_lifts_the_limit_of_waiters() {
    let text = r#"
        [pool]
        max_waiters_per_route = 10
        [[servers]]
        name = "a"
        address = "127.0.0.1:5432"
        [[databases]]
        name = "*"
        server = "a"
        [[users]]
        name = "app"
        password = "x"
        [[routes]]
        database = "batch"
        max_waiters = 0
    "#;
    let config = Config::from_toml(text, "e.toml").unwrap();
    let limit = |database| config.table().limits(ServerIndex(0), ClassIndex::DEFAULT, "app", database).max_waiters;
    assert_eq!((limit("shop"), limit("batch")), (Some(10), None));
}

#[test]
fn limits_modes_and_rules_are_heard() {
    let config = read(
        "[transaction_limit]\nmode = \"dry_run\"\nper_user = 0.25\nby = [\"user\", \"address\"]\n\
         [[routes]]\nclass = \"oltp\"\ncap = 3",
        "classes = { oltp = 16 }",
    );
    let server = config.table().server(ServerIndex(0));
    let limit = &server.transaction_limit;
    assert_eq!((limit.mode, limit.fraction), (LimitMode::DryRun, 0.25));
    assert_eq!(limit.by, [LimitKey::User, LimitKey::Address]);
    let oltp = server.classes.named("oltp").unwrap();
    assert_eq!(config.table().limits(ServerIndex(0), oltp, "app", "x").cap, Some(3));
    assert_eq!(config.table().limits(ServerIndex(0), ClassIndex::DEFAULT, "app", "x").cap, None);
}

#[test]
fn what_makes_no_sense_is_told_with_place_and_nearest_name() {
    let class = |keys: &str| format!("[[classes]]\nname = \"reports\"\n{keys}");
    for (sections, server, expected) in [
        (String::new(), "classes = \"vtablet\"", "unknown value `vtablet`"),
        (String::new(), "classes = \"vtablet\"", "did you mean `vttablet`?"),
        (String::new(), "classes = { oltpp = 3 }", "there is no class named `oltpp`"),
        (String::new(), "classes = { oltpp = 3 }", "did you mean `oltp`?"),
        (String::new(), "classes = { oltpp = 3 }", "e.toml:5:21: servers.classes.oltpp"),
        (String::new(), "classes = [\"oltp\", \"oltp\"]", "there is already a class named `oltp`"),
        (String::new(), "classes = { default = 3 }", "takes what no other class takes"),
        (String::new(), "classes = { oltp = -3 }", "expected a whole number"),
        (String::new(), "classes = 3", "\"vttablet\", a list of classes, or a table"),
        (class("traffic = [\"transactions\"]"), "", "did you mean `transaction`?"),
        (class("capabilty = \"found_rows\""), "", "did you mean `capability`?"),
        (class("metric = \"a-b\""), "", "e.toml:3:10: classes.metric"),
        (class("lends_to = [\"oltq\"]"), "", "did you mean `oltp`?"),
        (class("cap = 2\nlends_to = [\"reports\"]"), "classes = [\"reports\"]", "class `reports` lends to itself"),
        (class("lends_to = [\"oltp\"]"), "classes = [\"reports\", \"oltp\"]", "nothing it could lend"),
        (class("[[classes]]\nname = \"reports\""), "", "e.toml:4:8: classes.name"),
        (class("[[classes]]\nname = \"default\""), "", "cannot be declared"),
        (class("[[classes]]\nname = \"reserved\"\nusers = [\"app\"]"), "", "takes no traffic by rule"),
        ("[transaction_limit]\nper_user = 0.0".into(), "", "a fraction above 0, and at most 1, is expected"),
        ("[transaction_limit]\nper_user = nan".into(), "", "a fraction above 0, and at most 1, is expected"),
        ("[transaction_limit]\nby = []".into(), "", "at least one of"),
        ("[[routes]]\nclass = \"oltq\"".into(), "classes = [\"oltp\"]", "no server has a class named `oltq`"),
        (
            "[[routes]]\nclass = \"oltp\"\npool_mode = \"session\"".into(),
            "classes = [\"oltp\"]",
            "leave out the `class`",
        ),
    ] {
        let said = said(&sections, server);
        assert!(said.contains(expected), "{sections}\n{server}\n{said}");
    }
}

#[test]
fn differences_of_classes_are_named_and_apply_at_once() {
    let old = read("[[classes]]\nname = \"reports\"\ncap = 8", "classes = { reports = 8, oltp = 3 }");
    let new = read(
        "[[classes]]\nname = \"reports\"\ncap = 9\nusers = [\"r\"]\n[metrics]\nvttablet_names = true\n\
         [transaction_limit]\nmode = \"on\"",
        "classes = { reports = 8, oltp = 4 }",
    );
    let changes = diff(&old, &new);
    assert!(changes.iter().all(|change| change.applies == Applies::Live));
    let texts: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "[transaction_limit] mode: \"off\" -> \"on\"",
            "[metrics] vttablet_names: false -> true",
            "class reports cap: 8 -> 9",
            "class reports users: null -> [\"r\"]",
            "server a classes.oltp: 3 -> 4",
        ]
    );
}
