//! Loads made by hand, and what is said of them.

use meter::{Exposition, Histogram};

use super::{
    super::{
        demand::Demand,
        exposition::{Distribution, Page},
        look::{RouteName, ServerEntry},
    },
    *,
};

/// So many durations of this many milliseconds.
fn distribution(count: u64, ms: u64) -> Distribution {
    let histogram = Histogram::new();
    (0..count).for_each(|_| histogram.record(Duration::from_millis(ms)));
    let mut page = Exposition::new();
    page.histogram("x_seconds", "X.").sample(&[], &histogram.snapshot());
    let page = Page::parse(&page.finish());
    page.distributions("x_seconds").into_values().next().unwrap_or_default()
}

/// What 20 s with so many leases a second of 10 ms look like.
fn load(rate: u32, kept: u32) -> Load {
    let rate = f64::from(rate);
    Load {
        rate,
        demand: Demand { rate, hold: 0.01, basis: Basis::Whole },
        holds: distribution((rate * 20.0) as u64, 10),
        waits: distribution((rate * 20.0) as u64, 0),
        kept,
        in_use_max: 9.0,
        waiting_max: 0.0,
    }
}

fn route(user: &str, rate: u32, guarantee: u32) -> RouteLoad {
    let name = RouteName { server: "main".into(), database: "shop".into(), user: user.into(), flavour: String::new() };
    RouteLoad { name, load: load(rate, 0), guarantee }
}

fn server(all: Load, routes: Vec<RouteLoad>) -> ServerLoad {
    let entry = ServerEntry {
        server: "main".into(),
        cluster: "c".into(),
        address: "db:5432".into(),
        protocol: "postgres".into(),
        budget: 20,
        effective_budget: 20,
    };
    ServerLoad { entry, all, routes, classes: Vec::new() }
}

fn said(server: ServerLoad, limits: &[(&str, ServerLimit)], terms: &Terms) -> String {
    let limits = limits.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect();
    let node = Node::parse("http://node").unwrap();
    answer(&node, Duration::from_secs(20), &[server], &limits, terms).unwrap().text
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn busy_routes_are_guaranteed_what_they_use_anyway() {
    let text = said(server(load(800, 0), vec![route("heavy", 750, 0), route("light", 50, 3)]), &[], &Terms::plain());
    // 8 busy on average.
    has(
        &text,
        &[
            "Budget: 16 connections to the server\n",
            "99 % of the statements find a connection free",
            "busy anyway, so nobody is poorer for it\n",
            "the fair share is enough for so little; it has 3, which others may miss\n",
            "\n  [[routes]]\n  user = \"heavy\"\n  database = \"shop\"\n  guarantee = 7\n",
        ],
    );
    assert!(!text.contains("user = \"light\""), "{text}");
}

#[test]
fn what_is_kept_is_added_and_taken_from_the_limit() {
    let limit = ServerLimit { max_connections: 30, reserve: 3, others: 2 };
    let text = said(server(load(800, 5), vec![route("app", 800, 0)]), &[("main", limit)], &Terms::plain());
    has(
        &text,
        &[
            "Budget: 21 connections to the server\n  16: the fewest",
            "  5: kept by clients all the time",
            "Room: 21 of the 25",
        ],
    );
    let only_kept = Load { rate: 0.0, demand: Demand::default(), holds: Distribution::default(), ..load(0, 6) };
    has(&said(server(only_kept, vec![]), &[], &Terms::plain()), &["Budget: 6 connections", "budget = 6\n"]);
}

#[test]
fn a_limit_that_binds_is_named_and_other_instances_are_no_strangers() {
    let limit = ServerLimit { max_connections: 15, reserve: 3, others: 2 };
    let busy = || server(load(800, 0), vec![route("app", 800, 0)]);
    has(
        &said(busy(), &[("main", limit)], &Terms::plain()),
        &["Budget: 10 connections", "(the connections it lets in)"],
    );
    let two = Terms { instances: 2, ..Terms::plain() };
    let limit = ServerLimit { max_connections: 103, reserve: 3, others: 95 };
    has(
        &said(busy(), &[("main", limit)], &two),
        &["Budget: 16 connections of each of 2 instances, 32 in all\n", "Room: 32 of the 100"],
    );
}

#[test]
fn doubts_are_told() {
    let demand = Demand { rate: 1_600.0, hold: 0.01, basis: Basis::Busiest };
    let held_back = Load { waiting_max: 7.0, waits: distribution(16_000, 500), demand, ..load(800, 0) };
    let mut slow = server(held_back, vec![route("app", 800, 0)]);
    slow.entry.effective_budget = 12;
    has(
        &said(slow, &[], &Terms::plain()),
        &[
            "sized for the busiest part of the time, 1,600 leases a second kept for 10 ms; the mean was 800 kept for 10 ms",
            "Busy: 8 on average; sized for 16, the busiest part of the time",
            "clients waited: more work may come once they wait less",
            "the server lets in 12 only",
            "more connections can make the server slower",
            "Seen: 99 % waited at most 524.3 ms; the formula says that 12 are too few",
        ],
    );
    let few = Load { holds: distribution(10, 10), ..load(1, 0) };
    has(&said(server(few, vec![]), &[], &Terms::plain()), &["only 10 leases ended meanwhile"]);
    let none = Load::default();
    has(&said(server(none, vec![]), &[], &Terms::plain()), &["nothing to size: nobody used it"]);
}

#[test]
fn waits_that_the_formula_does_not_know_are_told() {
    let told = "clients waited much longer than the formula says";
    let waited = |ms| {
        let all = Load { waits: distribution(16_000, ms), ..load(800, 0) };
        said(server(all, vec![route("app", 800, 0)]), &[], &Terms::plain()).contains(told)
    };
    // 8 of 20 are busy, and nobody should wait.
    assert!(waited(50) && !waited(1));
}

#[test]
fn names_from_clients_move_no_cursor_and_paste_no_line() {
    let odd = "a\u{1b}[2J\"\n[admin]\n\"";
    let text = said(server(load(800, 0), vec![route(odd, 790, 0), route("b", 10, 0)]), &[], &Terms::plain());
    assert!(!text.contains('\u{1b}') && !text.contains("\n[admin]"), "{text}");
}

#[test]
fn what_a_nodes_server_speaks_is_known_and_keeps_no_reserve_of_another_protocol() {
    let node = Node::parse("http://node").unwrap();
    let limit = Some(ServerLimit { max_connections: 200, reserve: 3, others: 0 });
    for (name, protocol, usable) in [("mysql", Protocol::Mysql, "200"), ("postgres", Protocol::Postgres, "197")] {
        let mut server = server(load(800, 0), vec![route("app", 800, 0)]);
        server.entry.protocol = name.into();
        let terms = Terms { limit, ..Terms::plain() };
        let answer = answer(&node, Duration::from_secs(20), &[server], &BTreeMap::new(), &terms).unwrap();
        assert_eq!(answer.protocol, Some(protocol));
        has(&answer.text, &[&format!("of the {usable} connections that pools may hold")]);
    }
}
