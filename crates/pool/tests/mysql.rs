//! The connector for `mysql_async` on real servers: what holders leave behind, and what becomes of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod common;

use std::task::Poll;
use std::time::Duration;

use common::{abandon, all_is_back};
use mysql_async::prelude::Queryable;
use mysql_async::{Row, TxOpts};
use pool::mysql::{self, Mysql};
use pool::{Checkout, CheckoutError, Lease, OnReturn, Options, Pool, RouteId, Session, Settings};
use testkit::mysql::{Login, Server, for_each_server};

type App = (Pool<Mysql>, RouteId);

#[test]
fn what_a_holder_leaves_behind() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let options = testkit::mysql::Options::new().user("app", "secret", Login::Usual).database("shop");
    for_each_server(&options, |server| {
        server.sql("create table shop.t (n int)")?;
        runtime.block_on(async {
            let app = open(&url(server), &alone(Session::default()));
            a_used_connection_serves_again(&app).await;
            open_transactions_are_rolled_back(&app).await;
            results_left_unread_are_read_to_their_end(&app).await;
            an_abandoned_query_closes_its_connection(&app).await;
            an_abandoned_query_ends_on_the_server(server, &app).await;
            all_is_back(&app.0).await;
            assert_eq!(app.0.close(Duration::from_secs(5)).await.abandoned, 0);
            a_session_is_reset_if_so_asked(server).await;
            a_storm_of_abandoned_queries_mixes_nothing_up(server).await;
            refusals_say_whose_fault_they_are(server).await;
        });
        Ok(())
    })
    .unwrap();
}

fn url(server: &Server) -> String {
    // MySQL's usual login wants a secure way for the password; its key exchange serves without TLS.
    format!("mysql://app:secret@{}/shop?prefer_socket=false", server.address())
}

/// One connection, so that whoever comes next meets what the one before left behind.
fn alone(session: Session) -> Options {
    let settings = Settings { budget: 1, ..Settings::default() };
    Options { settings, session, ..Options::default() }
}

fn open(url: &str, options: &Options) -> App {
    mysql::from_url(url, options).unwrap()
}

async fn lend((pool, app): &App) -> Lease<Mysql> {
    pool.checkout(*app, Checkout::new().within(Duration::from_secs(20))).await.unwrap()
}

async fn count(lease: &mut Lease<Mysql>) -> u64 {
    lease.query_first("select count(*) from t").await.unwrap().unwrap()
}

async fn a_used_connection_serves_again(app: &App) {
    let first = lend(app).await.id();
    for _ in 0..50 {
        let mut lease = lend(app).await;
        let answer: Option<u32> = lease.exec_first("select ? + 0", (7,)).await.unwrap();
        assert_eq!((answer, lease.id()), (Some(7), first));
    }
}

async fn open_transactions_are_rolled_back(app: &App) {
    let mut lease = lend(app).await;
    let first = lease.id();
    lease.query_drop("begin").await.unwrap();
    lease.query_drop("insert into t values (1)").await.unwrap();
    drop(lease);
    assert_eq!(count(&mut lend(app).await).await, 0);
    let mut lease = lend(app).await;
    let mut transaction = lease.start_transaction(TxOpts::default()).await.unwrap();
    transaction.query_drop("insert into t values (1)").await.unwrap();
    transaction.query_drop("no such thing").await.unwrap_err();
    drop(transaction);
    drop(lease);
    let mut lease = lend(app).await;
    assert_eq!(count(&mut lease).await, 0);
    // One that was committed stays.
    lease.query_drop("begin; insert into t values (1); commit").await.unwrap();
    drop(lease);
    let mut lease = lend(app).await;
    assert_eq!(count(&mut lease).await, 1);
    lease.query_drop("delete from t").await.unwrap();
    assert_eq!(lease.id(), first, "it was settled, not replaced");
}

async fn results_left_unread_are_read_to_their_end(app: &App) {
    let first = lend(app).await.id();
    let many = "select 1 union all select 2; select 3; select no_such_column";
    let mut lease = lend(app).await;
    drop(lease.query_iter(many).await.unwrap());
    drop(lease);
    let mut lease = lend(app).await;
    let answer: Option<u32> = lease.query_first("select 7").await.unwrap();
    assert_eq!((answer, lease.id()), (Some(7), first), "neither the rows nor the error of somebody else");
}

async fn an_abandoned_query_closes_its_connection(app: &App) {
    let mut lease = lend(app).await;
    let first = lease.id();
    assert!(tokio::time::timeout(Duration::from_millis(100), lease.query_drop("select sleep(3)")).await.is_err());
    drop(lease);
    let mut lease = lend(app).await;
    assert_ne!(lease.id(), first);
    assert_eq!(lease.query_first("select 7").await.unwrap(), Some(7));
}

/// What runs on the server and holds this.
fn running(server: &Server, what: &str) -> String {
    server
        .sql(&format!("select count(*) from information_schema.processlist where info like 'select /*{what}*/%'"))
        .unwrap()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..4_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within twenty seconds: {what}");
}

/// It works for hours, and asks nobody whether its client is still there.
async fn an_abandoned_query_ends_on_the_server(server: &Server, app: &App) {
    let mut lease = lend(app).await;
    lease.query_drop("begin").await.unwrap();
    lease.query_drop("insert into t values (1)").await.unwrap();
    {
        let mut query = std::pin::pin!(lease.query_drop("select /*abandoned*/ benchmark(10000000000, sha2('x', 512))"));
        let poll = std::future::poll_fn(|cx| Poll::Ready(query.as_mut().poll(cx).is_ready()));
        assert!(!poll.await);
        eventually("it runs", || running(server, "abandoned") == "1").await;
    }
    drop(lease);
    eventually("nothing runs", || running(server, "abandoned") == "0").await;
    assert_eq!(count(&mut lend(app).await).await, 0, "and what it had begun is undone");
    // The same of a task that is cut off while it waits for an answer.
    let (pool, route) = app.clone();
    let task = tokio::spawn(async move {
        let mut lease = pool.checkout(route, Checkout::new()).await.unwrap();
        lease.query_drop("select /*cut off*/ benchmark(10000000000, sha2('x', 512))").await
    });
    eventually("it runs", || running(server, "cut off") == "1").await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    eventually("nothing runs", || running(server, "cut off") == "0").await;
    all_is_back(&app.0).await;
    let left = "select count(*) from information_schema.processlist where user = 'app'";
    eventually("one connection is left", || server.sql(left).unwrap().parse::<u32>().unwrap() <= 1).await;
}

async fn a_session_is_reset_if_so_asked(server: &Server) {
    let init_sql = "set session sort_buffer_size = 77824".to_owned();
    for on_return in [OnReturn::Settle, OnReturn::Reset] {
        let session = Session { init_sql: init_sql.clone(), on_return, ..Session::default() };
        let app = open(&url(server), &alone(session));
        let mut lease = lend(&app).await;
        let first = lease.id();
        lease.query_drop("set @mine = 5, session sort_buffer_size = 65536").await.unwrap();
        lease.query_drop("create temporary table mine (n int)").await.unwrap();
        drop(lease);
        let mut lease = lend(&app).await;
        assert_eq!(lease.id(), first);
        let seen: (Option<u64>, u64) =
            lease.query_first("select @mine, @@session.sort_buffer_size").await.unwrap().unwrap();
        let temporary: Result<Option<Row>, _> = lease.query_first("select * from mine").await;
        match on_return {
            OnReturn::Settle => assert_eq!((seen, temporary.is_ok()), ((Some(5), 65_536), true)),
            OnReturn::Reset => assert_eq!((seen, temporary.is_ok()), ((None, 77_824), false)),
        }
        drop(lease);
        app.0.close(Duration::from_secs(5)).await;
    }
}

/// Eight tasks on three connections; each asks for its own number and drops the question at some point.
async fn a_storm_of_abandoned_queries_mixes_nothing_up(server: &Server) {
    let mut options = alone(Session::default());
    options.settings.budget = 3;
    let (pool, route) = open(&url(server), &options);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8_u32 {
        let pool = pool.clone();
        tasks.spawn(async move {
            for turn in 0..25 {
                let mut lease = pool.checkout(route, Checkout::new().within(Duration::from_secs(60))).await.unwrap();
                let number = task * 1_000 + turn;
                let text = format!("begin; insert into t values ({number}); select {number}; select {number}");
                let polls = usize::try_from((task + turn) % 5).unwrap();
                abandon(polls, lease.query_drop(text)).await;
                drop(lease);
                let mut lease = pool.checkout(route, Checkout::new().within(Duration::from_secs(60))).await.unwrap();
                let seen: Option<(u32, u64)> =
                    lease.exec_first("select ? + 0, count(*) from t", (number,)).await.unwrap();
                assert_eq!(seen, Some((number, 0)));
            }
        });
    }
    tasks.join_all().await;
    let app = (pool, route);
    all_is_back(&app.0).await;
    app.0.close(Duration::from_secs(5)).await;
}

async fn refusals_say_whose_fault_they_are(server: &Server) {
    for wrong in [url(server).replace("secret", "wrong"), url(server).replace("/shop", "/nowhere")] {
        let (pool, app) = open(&wrong, &alone(Session::default()));
        let refused = pool.checkout(app, Checkout::new()).await.unwrap_err();
        assert!(matches!(&refused, CheckoutError::LoginRefused(_)), "{refused:?}");
    }
}
