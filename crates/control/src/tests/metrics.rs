use std::collections::BTreeSet;

use meter::Exposition;

use super::World;
use crate::{
    facts::Facts,
    metrics::{self, OTHER},
    reference,
};

#[tokio::test]
async fn the_page_has_every_documented_metric_and_no_other() {
    let world = World::with_server().await;
    drop(world.lease("app", "shop").await);
    world.engine.lane("app", "shop").unwrap().meters().wait.record(std::time::Duration::from_millis(3));
    let page = metrics::page(&world.control.view);
    let written: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let documentation = reference::metrics_page();
    let documented: Vec<_> = documentation.lines().filter_map(|line| line.strip_prefix("| `evenkeel_")).collect();
    let documented: BTreeSet<_> = documented
        .iter()
        .map(|line| {
            let (name, rest) = line.split_once("` | ").unwrap();
            format!("evenkeel_{name} {}", rest.split_once(" |").unwrap().0)
        })
        .collect();
    assert_eq!(written, documented.iter().map(String::as_str).collect());

    for line in [
        "evenkeel_build_info{version=\"1.2.3\"} 1",
        "evenkeel_state{state=\"starting\"} 1",
        "evenkeel_state{state=\"ready\"} 0",
        "evenkeel_server_info{server=\"pg-a\",protocol=\"postgres\"} 1",
        "evenkeel_server_budget{server=\"pg-a\"} 2",
        "evenkeel_server_rekeys_total{server=\"pg-a\"} 0",
        "evenkeel_server_connections{server=\"pg-a\",state=\"idle\"} 1",
        "evenkeel_server_connects_total{server=\"pg-a\"} 1",
        "evenkeel_server_connect_seconds_count{server=\"pg-a\"} 1",
        "evenkeel_server_closes_total{server=\"pg-a\",reason=\"max_lifetime\"} 0",
        "evenkeel_server_faults_total{server=\"pg-a\",promise=\"over_budget\"} 0",
        "evenkeel_route_held_connections{server=\"pg-a\",database=\"shop\",user=\"app\"} 1",
        "evenkeel_route_wait_seconds_bucket{server=\"pg-a\",database=\"shop\",user=\"app\",le=\"0.004096\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("evenkeel_route_query_seconds_bucket"), "a histogram without values is left out");
}

/// As VTTablet names them, where that is wanted, and nowhere else.
#[tokio::test]
async fn classes_have_vttablets_names_on_request() {
    let world = World::with_server().await;
    drop(world.lease("app", "shop").await);
    assert!(!metrics::page(&world.control.view).contains("vttablet_"));

    let world = World::with_classes().await;
    let lease = world.lease("app", "shop").await;
    let limit = pool::TransactionLimit {
        mode: pool::LimitMode::On,
        fraction: 0.4,
        classes: pool::ClassSet::EMPTY.with(pool::ClassId::DEFAULT),
    };
    let lane = world.engine.lane("app", "shop").unwrap();
    let session::AnyPool::Postgres(pool) = lane.pool() else { panic!("the server speaks PostgreSQL") };
    pool.set_transaction_limit(limit);
    let party = std::sync::Arc::from("app");
    let permit = pool.begin_transaction(&party).unwrap();
    assert!(pool.begin_transaction(&party).is_err(), "0.4 of 2 is less than 1, which everybody has");
    let page = metrics::page(&world.control.view);
    for line in [
        "vttablet_transaction_pool_capacity{server=\"pg-a\",class=\"transaction\"} 2",
        "vttablet_transaction_pool_available{server=\"pg-a\",class=\"transaction\"} 1",
        "vttablet_stream_conn_pool_max_cap{server=\"pg-a\",class=\"stream\"} 2",
        "vttablet_default_pool_in_use{server=\"pg-a\",class=\"default\"} 1",
        "vttablet_default_pool_get{server=\"pg-a\",class=\"default\"} 1",
        "vttablet_tx_limiter_rejections{server=\"pg-a\",user=\"app\"} 1",
        "evenkeel_transaction_limit{server=\"pg-a\"} 1",
        "evenkeel_class_in_use_connections{server=\"pg-a\",class=\"default\"} 1",
        "evenkeel_class_wait_seconds_count{server=\"pg-a\",class=\"default\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    let written: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE vttablet_")).collect();
    assert!(written.contains("transaction_pool_wait_time counter") && written.contains("conn_pool_active gauge"));
    drop((lease, permit));
}

#[tokio::test]
async fn what_is_beyond_the_limit_is_added_up() {
    let world = World::without_server().await;
    for database in ["a", "b", "c", "d", OTHER] {
        let lane = world.engine.lane("app", database).unwrap();
        lane.meters().queries.add(10);
        lane.meters().query.record(std::time::Duration::from_micros(64));
    }
    let facts = Facts::of(&world.engine);
    let routes_page = |shown_max| {
        let mut page = Exposition::new();
        metrics::write_routes(&mut page, &facts.routes, shown_max);
        page.finish()
    };
    let page = routes_page(2);
    let samples = |name: &str| -> Vec<String> {
        page.lines().filter_map(|line| line.strip_prefix(name)).map(Into::into).collect()
    };
    let labels = |database, user| format!("{{server=\"pg-a\",database=\"{database}\",user=\"{user}\"}}");
    let (a, b, other) = (labels("a", "app"), labels("b", "app"), labels(OTHER, OTHER));
    assert_eq!(samples("evenkeel_route_queries_total"), [format!("{a} 10"), format!("{b} 10"), format!("{other} 30")]);
    assert_eq!(samples("evenkeel_route_query_seconds_count").last(), Some(&format!("{other} 3")));
    let all = routes_page(5);
    assert!(!all.contains(&other), "nothing is left over");
}
