use route::Protocol;
use session::{ConsoleRole, Listener, console::Answer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant, sleep},
};

use super::World;
use crate::{Shutdown, State, tables::TOPICS};

#[tokio::test]
async fn every_table_is_built_in_full() {
    let world = World::with_server().await;
    let _lease = world.lease("app", "shop").await;
    for topic in TOPICS {
        let statement = format!("SHOW {}", topic.name);
        let Answer::Table(table) = world.run_as(ConsoleRole::Viewer, &statement).await else { panic!("{statement}") };
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{statement}");
        assert_eq!(table.rows.is_empty(), matches!(topic.name, "CLIENTS" | "PROCESSLIST"), "{statement}");
        assert!(!format!("{table:?}").contains("xyzzy"), "{statement} shows a secret");
    }
}

#[tokio::test]
async fn routes_pools_and_servers_agree() {
    let world = World::with_server().await;
    let lease = world.lease("app", "shop").await;
    drop(world.lease("app", "stock").await);
    let text = |text: &str| Some(text.to_owned());

    let routes = world.rows("SHOW ROUTES").await;
    let names: Vec<_> = routes.iter().map(|route| route["database"].as_deref().unwrap()).collect();
    assert_eq!(names, ["shop", "stock"]);
    for (column, shop, stock) in [
        ("held", "1", "1"),
        ("in_use", "1", "0"),
        ("idle", "0", "1"),
        ("share_percent", "50", "50"),
        ("quota", "1", "1"),
        ("leases", "1", "1"),
        ("pool_mode", "session", "session"),
        ("server_user", "app", "owner"),
        ("server_database", "shop", "all"),
    ] {
        assert_eq!((&routes[0][column], &routes[1][column]), (&text(shop), &text(stock)), "{column}");
    }
    let pools = world.rows("SHOW POOLS").await;
    assert_eq!((&pools[0]["sv_active"], &pools[1]["sv_idle"]), (&text("1"), &text("1")));

    let servers = world.rows("SHOW SERVERS").await;
    let mut states: Vec<_> = servers.iter().map(|row| (row["database"].clone(), row["state"].clone())).collect();
    states.sort();
    assert_eq!(states, [(text("shop"), text("active")), (text("stock"), text("idle"))]);
    assert!(servers.iter().all(|row| row["idle_us"].is_some() != row["lent_us"].is_some()));

    let budgets = world.rows("SHOW BUDGETS").await;
    assert_eq!((&budgets[0]["budget"], &budgets[0]["in_use"]), (&text("2"), &text("1")));
    assert_eq!(budgets[0]["active_routes"], text("2"));
    let databases = world.rows("SHOW DATABASES").await;
    let held: Vec<_> = databases.iter().map(|row| row["current_connections"].clone().unwrap()).collect();
    assert_eq!(held, ["1", "1"], "stock counts for *");
    assert_eq!(databases[0]["max_client_connections"], text("40"));
    assert_eq!(databases[1]["force_user"], text("owner"));
    assert_eq!(world.rows("SHOW USERS").await[0]["current_connections"], text("2"));
    assert_eq!(world.rows("SHOW FAULTS").await[0]["over_budget"], text("0"));
    drop(lease);
}

#[tokio::test]
async fn settings_of_drivers_are_answered() {
    let world = World::without_server().await;
    assert_eq!(world.rows("show client_encoding;").await[0]["client_encoding"].as_deref(), Some("UTF8"));
    assert_eq!(world.run("SET extra_float_digits = 3").await, Answer::Done("SET"));
    let version = world.rows("SHOW VERSION").await;
    assert_eq!(version[0]["version"].as_deref(), Some("Evenkeel 1.2.3"));
    let Answer::Notice("SHOW", help) = world.run("SHOW HELP").await else { panic!() };
    let text = help.detail.unwrap();
    assert!(text.contains("POOLS|") && text.contains("SHUTDOWN WAIT_FOR_CLIENTS"), "{text}");
}

#[tokio::test]
async fn viewers_may_only_look() {
    let world = World::without_server().await;
    for statement in ["RELOAD", "PAUSE", "RESUME", "RECONNECT", "KILL 1", "SHUTDOWN"] {
        let Answer::Failed(reply) = world.run_as(ConsoleRole::Viewer, statement).await else { panic!("{statement}") };
        assert_eq!((&*reply.code, &*reply.message), ("42501", "admin access needed"));
    }
    assert_eq!(*world.helm.shutdown.lock().unwrap(), None);
}

#[tokio::test]
async fn mistakes_are_told_with_what_was_probably_meant() {
    let world = World::without_server().await;
    let Answer::Failed(reply) = world.run("SHOW POLLS").await else { panic!() };
    assert_eq!(&*reply.code, "42601");
    assert!(reply.hint.unwrap().starts_with("Did you mean SHOW POOLS?"));
    for (statement, code, message) in [
        ("RELOAD; RELOAD", "42601", "the console takes one statement at a time"),
        ("SET work_mem = 1", "42P02", "unknown key: pool.work_mem"),
        ("SET", "42601", "SET takes one key and its value: SET pool.max_lifetime = '30m'"),
        ("SET listen.http = 'off'", "55P02", "listen.http cannot be changed while the program runs"),
        ("SET users.app.password = 'hunter2'", "55P02", "users.app.password cannot be changed while the program runs"),
        (
            "SET servers.pg-a.budget = 0",
            "22023",
            "SET: servers.budget: server `pg-a` has a budget of 0, so no client could ever be served",
        ),
        ("KILL 99", "42704", "client not found"),
        ("RESUME", "55000", "pooler is not paused"),
    ] {
        assert_eq!(world.failure(statement).await, (code.into(), message.into()));
    }
}

#[tokio::test]
async fn a_key_that_is_set_is_told_and_a_mistake_with_what_was_meant() {
    let world = World::without_server().await;
    let Answer::Notice("SET", notice) = world.run("SET max_lifetime = '30m'").await else { panic!() };
    assert_eq!(notice.message, "changed until the next RELOAD or restart: the file is as it was");
    assert_eq!(notice.detail.as_deref(), Some("[pool] max_lifetime: \"1h\" -> \"30m\""));
    let Answer::Notice("SET", notice) = world.run("SET pool.max_lifetime = '60m'").await else { panic!() };
    assert_eq!((&*notice.message, notice.detail), ("nothing changed: the key has that value already", None));
    for (statement, hint) in [
        ("SET pool.max_liftime = '30m'", "Did you mean pool.max_lifetime?"),
        ("SET pool.mode = sesion", "did you mean `session`?"),
        ("SET x.y = 1", "SHOW CONFIG lists all keys."),
        ("SET runtime.workers = 2", "Change the configuration file and restart."),
        ("SET admin.users = 'x'", "Change the configuration file and RELOAD."),
    ] {
        let Answer::Failed(reply) = world.run(statement).await else { panic!("{statement}") };
        assert_eq!(reply.hint.as_deref(), Some(hint), "{statement}");
    }
    let rows = world.rows("SHOW CONFIG").await;
    assert!(rows.iter().all(|row| row["changed"].as_deref() == Some("no")), "this one keeps nothing");
}

#[tokio::test]
async fn the_program_is_steered() {
    let world = World::without_server().await;
    let Answer::Notice("RELOAD", notice) = world.run("RELOAD").await else { panic!() };
    assert_eq!(notice.message, "configuration reloaded: nothing changed");
    *world.helm.reload.lock().unwrap() = Ok(vec!["limits.max_clients: 1 to 2".into()]);
    let Answer::Notice("RELOAD", notice) = world.run("RELOAD").await else { panic!() };
    assert_eq!(notice.detail.as_deref(), Some("limits.max_clients: 1 to 2"));
    *world.helm.reload.lock().unwrap() = Err("1:2: no such key".into());
    assert_eq!(world.failure("RELOAD").await.0, "F0000");
    for (statement, how) in [("SHUTDOWN", Shutdown::Now), ("SHUTDOWN WAIT_FOR_CLIENTS", Shutdown::WhenIdle)] {
        assert_eq!(world.run(statement).await, Answer::Done("SHUTDOWN"));
        assert_eq!(*world.helm.shutdown.lock().unwrap(), Some(how));
    }
}

#[tokio::test]
async fn a_pause_waits_for_what_is_in_use() {
    let world = World::with_server().await;
    let lease = world.lease("app", "shop").await;
    let give_back = async {
        sleep(Duration::from_millis(60)).await;
        let begun = world.rows("SHOW STATE").await;
        drop(lease);
        begun
    };
    let began = Instant::now();
    let (answer, during) = tokio::join!(world.run("PAUSE shop"), give_back);
    assert_eq!(answer, Answer::Done("PAUSE"));
    assert!(began.elapsed() >= Duration::from_millis(60));
    assert_eq!(during[1]["value"].as_deref(), Some("yes"), "paused while it waits");
    assert_eq!(world.failure("PAUSE").await, ("55000".into(), "already suspended/paused".into()));
    assert_eq!(world.run("RESUME").await, Answer::Done("RESUME"));
    assert_eq!(world.rows("SHOW STATE").await[1]["value"].as_deref(), Some("no"));
}

#[tokio::test]
async fn a_pause_ends_when_it_is_resumed_or_time_is_up() {
    let world = World::with_server().await;
    let _lease = world.lease("app", "shop").await;
    let resume = async {
        sleep(Duration::from_millis(30)).await;
        world.run("RESUME shop").await
    };
    let (paused, resumed) = tokio::join!(world.failure("PAUSE"), resume);
    assert_eq!(resumed, Answer::Done("RESUME"));
    assert_eq!(paused.1, "the pause was ended by RESUME");
    tokio::time::pause();
    let began = Instant::now();
    assert_eq!(world.failure("PAUSE").await.1, "paused, but not all server connections are back");
    assert!(began.elapsed() >= Duration::from_secs(60));
    assert_eq!(world.rows("SHOW STATE").await[1]["value"].as_deref(), Some("yes"), "the pause holds");
}

#[tokio::test]
async fn reconnect_replaces_idle_connections() {
    let world = World::with_server().await;
    drop(world.lease("app", "shop").await);
    assert_eq!(world.run("RECONNECT shop").await, Answer::Done("RECONNECT"));
    let closes = world.rows("SHOW SERVERS").await;
    let gone = closes.iter().all(|row| row["close_reason"].as_deref() == Some("reconnect"));
    assert!(gone, "{closes:?}");
}

#[tokio::test]
async fn a_client_is_seen_and_killed() {
    let world = World::with_server().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(Listener::Tcp(listener).accept_all(world.engine.clone(), Protocol::Postgres));
    world.control.set_state(State::Ready);
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"\0\0\0\x20\0\x03\0\0user\0app\0database\0shop\0\0").await.unwrap();
    let mut greeting = Vec::new();
    while !greeting.ends_with(b"Z\0\0\0\x05I") {
        assert_ne!(client.read_buf(&mut greeting).await.unwrap(), 0, "{}", String::from_utf8_lossy(&greeting));
    }
    let clients = world.rows("SHOW CLIENTS").await;
    let (shown, id) = (&clients[0], clients[0]["id"].clone().unwrap());
    assert_eq!(shown["phase"].as_deref(), Some("idle"));
    assert_eq!((shown["protocol"].as_deref(), shown["tls"].as_deref()), (Some("postgres"), Some("")));
    let processes = world.rows("SHOW FULL PROCESSLIST").await;
    let process = &processes[0];
    assert_eq!((&process["Id"], &process["db"]), (&Some(id.clone()), &Some("shop".into())));
    assert_eq!((process["Command"].as_deref(), process["Info"].as_deref()), (Some("Sleep"), None));
    assert_eq!(world.run(&format!("KILL QUERY {id}")).await, Answer::Done("KILL"), "it stays connected");
    assert_eq!(shown["port"], Some(client.local_addr().unwrap().port().to_string()));
    assert_eq!(world.rows("SHOW LISTS").await[6]["items"].as_deref(), Some("1"), "used_clients");
    assert_eq!(world.run(&format!("KILL {id}")).await, Answer::Done("KILL"));
    let mut goodbye = Vec::new();
    client.read_to_end(&mut goodbye).await.unwrap();
    assert!(String::from_utf8_lossy(&goodbye).contains("57P01"), "{}", String::from_utf8_lossy(&goodbye));
    accepting.abort();
}

#[tokio::test]
async fn classes_are_shown_with_what_they_may_have_and_have() {
    let world = World::with_classes().await;
    let lease = world.lease("app", "shop").await;
    let rows = world.rows("SHOW CLASSES").await;
    let seen: Vec<_> =
        rows.iter().map(|row| ["class", "capacity", "in_use"].map(|name| row[name].as_deref())).collect();
    assert_eq!(seen[0], [Some("default"), None, Some("1")]);
    for (class, capacity) in [("transaction", "2"), ("oltp", "1"), ("stream", "5")] {
        assert!(seen.contains(&[Some(class), Some(capacity), Some("0")]), "{class} is not in {seen:?}");
    }
    drop(lease);
    let rows = world.rows("SHOW CLASSES").await;
    assert_eq!((rows[0]["in_use"].as_deref(), rows[0]["leases"].as_deref()), (Some("0"), Some("1")));
    let rows = world.rows("SHOW TRANSACTION LIMITS").await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0]["mode"].as_deref(), rows[0]["limit"].as_deref()), (Some("off"), None));
}
