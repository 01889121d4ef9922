use proptest::prelude::*;

use super::*;
use crate::traffic::StatementKind;
use crate::{Pattern, Takes};

fn named(name: &str, cap: u32, takes: Takes) -> Class {
    Class { cap: Some(cap), takes, ..Class::new(name) }
}

fn patterns(names: &[&str]) -> Vec<Pattern> {
    names.iter().map(|name| Pattern::new(*name)).collect()
}

/// The names of the classes for a statement, a transaction and a stream.
fn names<'c>(classes: &'c Classes, who: &Who<'_>) -> [&'c str; 3] {
    let choice = classes.of(who);
    Traffic::ALL.map(|traffic| &*classes.get(choice.class(traffic, StatementKind::Select)).name)
}

#[test]
fn one_class_takes_everything() {
    let classes = Classes::single();
    let choice = classes.of(&Who::new("app", "shop"));
    assert!(classes.is_single() && choice.is_single() && classes.reserved().is_none());
    assert_eq!(names(&classes, &Who::new("app", "shop")), ["default"; 3]);
    assert_eq!(classes.transactional(), [ClassIndex::DEFAULT]);
    // A class for pinned sessions changes nothing of where traffic goes.
    let reserved = Classes::new(vec![named("reserved", 5, Takes::default())]).unwrap();
    assert!(reserved.is_single() && reserved.of(&Who::new("app", "shop")).is_single());
    assert_eq!(reserved.reserved().map(ClassIndex::get), Some(1));
}

#[test]
fn the_preset_is_vttablets_page() {
    let classes = Classes::vttablet();
    let of = |name: &str| {
        let class = classes.get(classes.named(name).unwrap());
        (&*class.metric, class.cap)
    };
    for (name, metric, cap) in [
        ("transaction", "transaction_pool", Some(20)),
        ("found_rows", "found_rows_pool", Some(20)),
        ("oltp", "conn_pool", Some(16)),
        ("stream", "stream_conn_pool", Some(200)),
        ("dba", "dba_conn_pool", Some(20)),
        ("app", "app_conn_pool", Some(40)),
        ("tx_read", "tx_read_pool", Some(3)),
        ("online_ddl_executor", "online_ddl_executor_pool", Some(3)),
        ("table_gc", "table_gc_pool", Some(2)),
        ("throttler", "throttler_pool", Some(2)),
        ("reserved", "reserved_pool", None),
    ] {
        assert_eq!(of(name), (metric, cap), "{name}");
    }
    assert_eq!(classes.list().iter().filter_map(|class| class.cap).sum::<u32>(), 326);
    assert_eq!(classes.list().len(), 12);
    assert!(!classes.is_single());
    assert_eq!(classes.shadowed().count(), 0);
    assert!(!classes.leaves_something() && Classes::single().leaves_something());
    let limited: Vec<_> = classes.transactional().iter().map(|class| &*classes.get(*class).name).collect();
    // The limiter shares out both pools, as Vitess's does.
    assert_eq!(limited, ["found_rows", "transaction"]);
}

#[test]
fn the_preset_sorts_clients_and_what_they_send() {
    let classes = Classes::vttablet();
    let app = Who::new("app", "shop");
    let olap = Workload::Olap;
    for (who, expected) in [
        (app, ["oltp", "transaction", "stream"]),
        (Who { found_rows: true, ..app }, ["oltp", "found_rows", "stream"]),
        (Who { workload: olap, ..app }, ["stream", "transaction", "stream"]),
        (Who { workload: Workload::Dba, ..app }, ["oltp", "transaction", "stream"]),
        (Who::new("vt_dba", "shop"), ["dba"; 3]),
        (Who { found_rows: true, workload: olap, ..Who::new("vt_dba", "shop") }, ["dba"; 3]),
        (Who { application: "vtctldclient", ..app }, ["app"; 3]),
        (Who { application: "gh-ost/1.1", ..app }, ["online_ddl_executor"; 3]),
        (Who { application: "tx_read", ..app }, ["tx_read"; 3]),
        (Who { application: "psql", ..app }, ["oltp", "transaction", "stream"]),
    ] {
        assert_eq!(names(&classes, &who), expected, "{who:?}");
    }
}

#[test]
fn every_key_of_a_rule_must_hold() {
    let attribute = |name: &str| (name == "team").then_some(&b"bill\xffing"[..]);
    let who = Who {
        application: "etl-7",
        attributes: &attribute,
        found_rows: true,
        workload: Workload::Dba,
        ..Who::new("app", "shop")
    };
    let takes = Takes {
        traffic: vec![Traffic::Transaction, Traffic::Statement],
        statements: vec![StatementKind::Insert, StatementKind::Copy],
        users: patterns(&["x", "a*"]),
        databases: patterns(&["shop"]),
        applications: patterns(&["etl-*"]),
        attributes: vec![("team".into(), Pattern::new("bill*"))],
        found_rows: Some(true),
        workload: Some(Workload::Dba),
    };
    let class = |takes: Takes, kind| {
        let classes = Classes::new(vec![named("etl", 1, takes)]).unwrap();
        let choice = classes.of(&who);
        Traffic::ALL.map(|traffic| choice.class(traffic, kind).get())
    };
    assert_eq!(class(takes.clone(), StatementKind::Insert), [1, 1, 0]);
    assert_eq!(class(takes.clone(), StatementKind::Copy), [1, 1, 0]);
    assert_eq!(class(takes.clone(), StatementKind::Select), [0, 0, 0]);
    for other in [
        Takes { users: patterns(&["x"]), ..takes.clone() },
        Takes { databases: patterns(&["sh"]), ..takes.clone() },
        Takes { applications: patterns(&["etl"]), ..takes.clone() },
        Takes { attributes: vec![("team".into(), Pattern::new("sales"))], ..takes.clone() },
        Takes { attributes: vec![("os".into(), Pattern::new("*"))], ..takes.clone() },
        Takes { found_rows: Some(false), ..takes.clone() },
        Takes { workload: Some(Workload::Oltp), ..takes.clone() },
    ] {
        assert_eq!(class(other.clone(), StatementKind::Insert), [0, 0, 0], "{other:?}");
    }
}

#[test]
fn the_first_that_takes_it_wins_and_may_leave_nothing() {
    let writes = Takes { statements: vec![StatementKind::Insert], ..Takes::default() };
    let all = Takes { traffic: vec![Traffic::Statement], ..Takes::default() };
    let late = Takes { traffic: vec![Traffic::Statement], users: patterns(&["app"]), ..Takes::default() };
    let classes = Classes::new(vec![named("w", 1, writes), named("s", 1, all), named("late", 1, late)]).unwrap();
    let choice = classes.of(&Who::new("app", "shop"));
    let class = |traffic, kind| &*classes.get(choice.class(traffic, kind)).name;
    assert_eq!(class(Traffic::Statement, StatementKind::Insert), "w");
    assert_eq!(class(Traffic::Transaction, StatementKind::Insert), "w");
    assert_eq!(class(Traffic::Statement, StatementKind::Select), "s");
    assert_eq!(class(Traffic::Transaction, StatementKind::Select), "default");
    let shadowed: Vec<_> = classes.shadowed().map(|(class, by)| (&*class.name, &*by.name)).collect();
    assert_eq!(shadowed, [("late", "s")]);
}

#[test]
fn what_makes_no_sense_is_said() {
    let class = |name: &str| named(name, 2, Takes::default());
    let lending =
        |name: &str, to: &[&str]| Class { lends_to: to.iter().map(|to| (*to).into()).collect(), ..class(name) };
    let open = |name: &str| Class { cap: None, ..class(name) };
    let many = (0..64).map(|n| class(&n.to_string())).collect();
    let traffic = Takes { traffic: vec![Traffic::Stream], ..Takes::default() };
    for (classes, message) in [
        (many, "a server has at most 63 classes beside the default class, these are 64"),
        (vec![class("a"), class("a")], "there is already a class named `a`"),
        (
            vec![class("default")],
            "the class `default` takes what no other class takes and has no cap, so it cannot be declared",
        ),
        (
            vec![named("reserved", 1, traffic)],
            "the class `reserved` is for pinned sessions: it can have a cap, but takes no traffic by rule",
        ),
        (vec![lending("a", &["b"])], "class `a` lends to an unknown class `b`"),
        (vec![lending("a", &["a"])], "class `a` lends to itself"),
        (
            vec![lending("a", &["b"]), open("b")],
            "class `a` lends to `b`, which has no cap and so never needs to borrow",
        ),
        (
            vec![lending("a", &["default"])],
            "class `a` lends to `default`, which has no cap and so never needs to borrow",
        ),
        (
            vec![Class { cap: None, ..lending("a", &["b"]) }, class("b")],
            "class `a` has no cap, so there is nothing it could lend",
        ),
    ] {
        assert_eq!(Classes::new(classes).unwrap_err().to_string(), message);
    }
    let near = Classes::new(vec![lending("oltp", &["straem"]), class("stream")]).unwrap_err();
    assert!(matches!(near, ClassError::UnknownBorrower { nearest: Some(name), .. } if name == "stream"));
    let classes = Classes::new(vec![lending("a", &["c", "b"]), class("b"), class("c")]).unwrap();
    let to: Vec<_> = classes.lends_to(classes.named("a").unwrap()).iter().map(|class| class.get()).collect();
    assert_eq!(to, [3, 2]);
    assert!(classes.lends_to(ClassIndex::DEFAULT).is_empty());
}

/// Any class out of few names, so that some overlap.
fn any_takes() -> impl Strategy<Value = Takes> {
    let traffic = prop::sample::subsequence(Traffic::ALL.to_vec(), 0..=3);
    let statements = prop::sample::subsequence(StatementKind::ALL.to_vec(), 0..=9);
    let names = prop::sample::subsequence(vec!["a", "b", "*"], 0..=2);
    let workload = prop::option::of(prop::sample::select(vec![Workload::Oltp, Workload::Olap, Workload::Dba]));
    (traffic, statements, names.clone(), names, prop::option::of(any::<bool>()), workload).prop_map(
        |(traffic, statements, users, applications, found_rows, workload)| Takes {
            traffic,
            statements,
            users: patterns(&users),
            applications: patterns(&applications),
            found_rows,
            workload,
            ..Takes::default()
        },
    )
}

/// The class of one statement by the words of the rule, one class after the other.
fn by_the_words(classes: &Classes, who: &Who<'_>, traffic: Traffic, kind: StatementKind) -> usize {
    let traffic = match traffic {
        Traffic::Statement if who.workload == Workload::Olap => Traffic::Stream,
        traffic => traffic,
    };
    let has = |list: &[Pattern], name: &str| list.is_empty() || list.iter().any(|pattern| pattern.matches(name));
    let takes = |takes: &Takes| {
        (takes.traffic.is_empty() || takes.traffic.contains(&traffic))
            && (takes.statements.is_empty() || takes.statements.contains(&kind))
            && has(&takes.users, who.user)
            && has(&takes.applications, who.application)
            && takes.found_rows.is_none_or(|wanted| wanted == who.found_rows)
            && takes.workload.is_none_or(|wanted| wanted == who.workload)
    };
    classes.list().iter().skip(1).position(|class| takes(&class.takes)).map_or(0, |place| place + 1)
}

proptest! {
    #[test]
    fn a_choice_is_what_the_rules_say_one_by_one(
        rules in prop::collection::vec(any_takes(), 0..6),
        user in prop::sample::select(vec!["a", "b", "c"]),
        application in prop::sample::select(vec!["", "a", "b"]),
        found_rows: bool,
        workload in prop::sample::select(vec![Workload::Oltp, Workload::Olap, Workload::Dba]),
    ) {
        let list = rules.into_iter().enumerate().map(|(n, takes)| named(&n.to_string(), 1, takes)).collect();
        let classes = Classes::new(list).unwrap();
        let who = Who { application, found_rows, workload, ..Who::new(user, "shop") };
        let choice = classes.of(&who);
        let shadowed: Vec<_> = classes.shadowed().map(|(class, _)| classes.named(&class.name)).collect();
        for traffic in Traffic::ALL {
            for kind in StatementKind::ALL {
                let class = choice.class(traffic, kind);
                prop_assert!(class != ClassIndex::DEFAULT || classes.leaves_something());
                prop_assert_eq!(class.get(), by_the_words(&classes, &who, traffic, kind));
                prop_assert!(!shadowed.contains(&Some(class)), "{:?} was said to get nothing", class);
            }
        }
    }
}
