//! The connector for `tokio-postgres` on a real server: what holders leave behind, and what becomes of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod common;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use common::{abandon, all_is_back};
use pool::postgres::{self, Postgres};
use pool::{Checkout, CheckoutError, CloseReason, Lease, OnReturn, Options, Pool, RouteId, Session, Settings};
use testkit::cut::Weather;
use testkit::{Cut, Login};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

/// One server for all tests of the file.
struct World {
    server: testkit::Postgres,
    runtime: tokio::runtime::Runtime,
}

type App = (Pool<Postgres>, RouteId);

impl World {
    fn start() -> Self {
        let options = testkit::Options::new().user("app", "secret", Login::Scram).database("shop").max_connections(20);
        let server = testkit::Postgres::start(options).unwrap();
        server.psql_in("shop", "create table t (n int); grant all on t to app").unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { server, runtime }
    }

    fn url(&self) -> String {
        self.server.url("app", "shop").unwrap()
    }

    /// Backends of the application that are doing something, and all of them.
    fn backends(&self) -> (usize, usize) {
        let question =
            "select count(*) filter (where state <> 'idle'), count(*) from pg_stat_activity where usename = 'app'";
        let answer = self.server.psql(question).unwrap();
        let (busy, all) = answer.split_once('|').unwrap();
        (busy.parse().unwrap(), all.parse().unwrap())
    }

    fn backends_become(&self, wanted: (usize, usize)) {
        testkit::poll_until(Duration::from_secs(20), "the backends", || Ok((self.backends() == wanted).then_some(())))
            .unwrap();
    }
}

/// One connection, so that whoever comes next meets what the one before left behind.
fn alone(session: Session) -> Options {
    let settings = Settings { budget: 1, validate_timeout: Duration::from_millis(500), ..Settings::default() };
    Options { settings, session, ..Options::default() }
}

fn open(url: &str, options: &Options) -> App {
    postgres::from_url(url, options).unwrap()
}

async fn lend((pool, app): &App) -> Lease<Postgres> {
    pool.checkout(*app, Checkout::new().within(Duration::from_secs(20))).await.unwrap()
}

async fn backend(lease: &Lease<Postgres>) -> i32 {
    lease.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0)
}

#[test]
fn what_a_holder_leaves_behind() {
    let world = World::start();
    world.runtime.block_on(async {
        let app = open(&world.url(), &alone(Session::default()));
        a_used_connection_goes_back_as_it_is(&app).await;
        an_abandoned_begin_is_rolled_back(&app).await;
        an_open_transaction_is_rolled_back(&world, &app).await;
        a_transaction_dropped_by_an_error_keeps_its_connection(&app).await;
        copies_are_followed(&app).await;
        an_answer_still_held_does_not_hold_up_the_next(&app).await;
        all_is_back(&app.0).await;
        assert!(app.0.close(Duration::from_secs(5)).await.abandoned == 0);
    });
    world.backends_become((0, 0));
    world.runtime.block_on(an_abandoned_query_is_cancelled_and_its_connection_closed(&world));
    world.runtime.block_on(a_storm_of_abandoned_queries_mixes_nothing_up(&world));
    world.runtime.block_on(a_session_is_reset_if_so_asked(&world));
    world.runtime.block_on(refusals_say_whose_fault_they_are(&world));
    world.runtime.block_on(a_silent_server_costs_a_permit_no_longer_than_its_deadline(&world));
    world.runtime.block_on(a_unix_socket_serves_as_well(&world));
    world.runtime.block_on(encryption_is_agreed_on_as_the_url_says(&world));
    world.backends_become((0, 0));
}

async fn a_used_connection_goes_back_as_it_is(app: &App) {
    let first = backend(&lend(app).await).await;
    for _ in 0..200 {
        let lease = lend(app).await;
        assert_eq!(lease.query_one("select 7", &[]).await.unwrap().get::<_, i32>(0), 7);
    }
    let statement = lend(app).await.prepare("select $1::int").await.unwrap();
    let lease = lend(app).await;
    assert_eq!(lease.query_one(&statement, &[&5]).await.unwrap().get::<_, i32>(0), 5, "a statement outlives its lease");
    assert_eq!(backend(&lease).await, first);
}

/// At every point at which it can be: the next holder is in no transaction.
async fn an_abandoned_begin_is_rolled_back(app: &App) {
    for polls in 0..6 {
        let lease = lend(app).await;
        abandon(polls, lease.batch_execute("begin; insert into t values (1)")).await;
        drop(lease);
        let lease = lend(app).await;
        // Inside a transaction the time stands still.
        let mut times = Vec::new();
        for _ in 0..2 {
            times.push(lease.query_one("select now()::text", &[]).await.unwrap().get::<_, String>(0));
        }
        assert_ne!(times[0], times[1], "after {polls} polls");
    }
    let left: i64 = lend(app).await.query_one("select count(*) from t", &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
}

async fn an_open_transaction_is_rolled_back(world: &World, app: &App) {
    let lease = lend(app).await;
    let first = backend(&lease).await;
    lease.batch_execute("begin; insert into t values (1)").await.unwrap();
    drop(lease);
    all_is_back(&app.0).await;
    assert_eq!(world.backends(), (0, 1), "not idle in transaction");
    let lease = lend(app).await;
    lease.batch_execute("begin; select 1/0").await.unwrap_err();
    drop(lease);
    let lease = lend(app).await;
    assert_eq!(lease.query_one("select count(*) from t", &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(backend(&lease).await, first, "it was settled, not replaced");
}

async fn a_transaction_dropped_by_an_error_keeps_its_connection(app: &App) {
    let first = backend(&lend(app).await).await;
    for _ in 0..20 {
        let mut lease = lend(app).await;
        let transaction = lease.transaction().await.unwrap();
        transaction.execute("insert into t values (1)", &[]).await.unwrap();
        transaction.execute("no such thing", &[]).await.unwrap_err();
        drop(transaction);
        drop(lease);
    }
    assert_eq!(backend(&lend(app).await).await, first);
}

async fn copies_are_followed(app: &App) {
    use bytes::Bytes;
    use futures_util::{SinkExt, StreamExt};
    let first = backend(&lend(app).await).await;
    let lease = lend(app).await;
    let mut sink = std::pin::pin!(lease.copy_in::<_, Bytes>("copy t from stdin").await.unwrap());
    sink.send(Bytes::from_static(b"1\n2\n")).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2);
    drop(lease);
    // One that ends in an error, one that is abandoned, and one whose rows nobody reads.
    let lease = lend(app).await;
    let mut sink = std::pin::pin!(lease.copy_in::<_, Bytes>("copy t from stdin").await.unwrap());
    sink.send(Bytes::from_static(b"not a number\n")).await.unwrap();
    sink.finish().await.unwrap_err();
    drop(lease);
    let lease = lend(app).await;
    {
        let sink = lease.copy_in::<_, Bytes>("copy t from stdin").await.unwrap();
        let mut sink = Box::pin(sink);
        sink.send(Bytes::from_static(b"3\n")).await.unwrap();
    }
    drop(lease);
    let lease = lend(app).await;
    {
        let rows = lease.copy_out("copy (select * from generate_series(1, 100000)) to stdout").await.unwrap();
        let mut rows = std::pin::pin!(rows);
        rows.next().await.unwrap().unwrap();
    }
    drop(lease);
    let lease = lend(app).await;
    assert_eq!(lease.query_one("select count(*) from t", &[]).await.unwrap().get::<_, i64>(0), 2);
    assert_eq!(backend(&lease).await, first, "all of them came to rest");
    lease.execute("delete from t", &[]).await.unwrap();
}

async fn an_answer_still_held_does_not_hold_up_the_next(app: &App) {
    let lease = lend(app).await;
    let nothing: [i32; 0] = [];
    let answer = lease.query_raw("select * from generate_series(1, 1000000)", nothing).await.unwrap();
    let first = backend_of(app);
    drop(lease);
    // The driver cannot go on while nobody takes the rows: the connection does not come to rest.
    let lease = lend(app).await;
    assert_eq!(lease.query_one("select 7", &[]).await.unwrap().get::<_, i32>(0), 7);
    assert_ne!(backend_of(app), first, "replaced");
    drop(answer);
}

/// Which connection the pool has lent.
fn backend_of((pool, _): &App) -> pool::ConnId {
    pool.snapshot().connections.iter().find(|seen| matches!(seen.activity, pool::Activity::Lent { .. })).unwrap().id
}

async fn an_abandoned_query_is_cancelled_and_its_connection_closed(world: &World) {
    let app = open(&world.url(), &alone(Session::default()));
    for frozen in [false, true] {
        let lease = lend(&app).await;
        let first = backend(&lease).await;
        let process = u32::try_from(first).unwrap();
        if frozen {
            world.server.pause_backend(process).unwrap();
        }
        let query = lease.query_one("select pg_sleep(600)", &[]);
        assert!(tokio::time::timeout(Duration::from_millis(100), query).await.is_err());
        drop(lease);
        if frozen {
            // The request comes before the backend has seen the query, and is forgotten: another has to follow.
            world.server.until_cancel_is_pending(process).unwrap();
            world.server.resume_backend(process).unwrap();
        }
        let lease = lend(&app).await;
        assert_ne!(backend(&lease).await, first);
        // The server does not work on for nobody: the budget holds there too.
        world.backends_become((0, 1));
    }
    all_is_back(&app.0).await;
    app.0.close(Duration::from_secs(5)).await;
}

/// Sixteen tasks on four connections; each asks for its own number and drops the question at some point.
async fn a_storm_of_abandoned_queries_mixes_nothing_up(world: &World) {
    let mut options = alone(Session::default());
    options.settings.budget = 4;
    let (pool, route) = open(&world.url(), &options);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16_i32 {
        let pool = pool.clone();
        tasks.spawn(async move {
            for turn in 0..60 {
                let lease = pool.checkout(route, Checkout::new().within(Duration::from_secs(60))).await.unwrap();
                let number = task * 1_000 + turn;
                let text = format!("begin; set local application_name = '{number}'; insert into t values ({number})");
                let polls = usize::try_from((task + turn) % 5).unwrap();
                abandon(polls, lease.batch_execute(&text)).await;
                drop(lease);
                let lease = pool.checkout(route, Checkout::new().within(Duration::from_secs(60))).await.unwrap();
                let seen =
                    lease.query_one("select $1::int, current_setting('application_name')", &[&number]).await.unwrap();
                assert_eq!((seen.get::<_, i32>(0), seen.get::<_, &str>(1)), (number, ""));
            }
        });
    }
    tasks.join_all().await;
    let app = (pool, route);
    let left: i64 = lend(&app).await.query_one("select count(*) from t", &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    all_is_back(&app.0).await;
    assert!(world.backends().1 <= 4);
    app.0.close(Duration::from_secs(5)).await;
}

async fn a_session_is_reset_if_so_asked(world: &World) {
    let init_sql = "set statement_timeout = '77s'".to_owned();
    for on_return in [OnReturn::Settle, OnReturn::Reset] {
        let session = Session { init_sql: init_sql.clone(), on_return, ..Session::default() };
        let app = open(&world.url(), &alone(session));
        let lease = lend(&app).await;
        let first = backend(&lease).await;
        let sets = "set work_mem = '1234kB'; set statement_timeout = '5s'; create temporary table mine (n int); \
                    select pg_advisory_lock(5)";
        lease.batch_execute(sets).await.unwrap();
        drop(lease);
        let lease = lend(&app).await;
        assert_eq!(backend(&lease).await, first);
        let asked = "select current_setting('work_mem') = '1234kB', current_setting('statement_timeout'), \
                     to_regclass('pg_temp.mine') is not null, count(*) from pg_locks where locktype = 'advisory'";
        let seen = lease.query_one(asked, &[]).await.unwrap();
        let seen = (seen.get::<_, bool>(0), seen.get::<_, String>(1), seen.get::<_, bool>(2), seen.get::<_, i64>(3));
        match on_return {
            OnReturn::Settle => assert_eq!(seen, (true, "5s".to_owned(), true, 1)),
            OnReturn::Reset => assert_eq!(seen, (false, "77s".to_owned(), false, 0)),
        }
        drop(lease);
        app.0.close(Duration::from_secs(5)).await;
    }
}

async fn refusals_say_whose_fault_they_are(world: &World) {
    let session = Session::default();
    for (wrong, says) in
        [(world.url().replace("secret", "wrong"), "28P01"), (world.url().replace("/shop", "/nowhere"), "3D000")]
    {
        let (pool, app) = open(&wrong, &alone(session.clone()));
        let refused = pool.checkout(app, Checkout::new()).await.unwrap_err();
        assert!(matches!(&refused, CheckoutError::LoginRefused(_)), "{refused:?}");
        assert!(refused.to_string().contains(says) && !refused.to_string().contains("wrong\""), "{refused}");
    }
    // A URL that asks for encryption gets none by accident.
    let (pool, app) = open(&format!("{}?sslmode=require", world.url()), &alone(session));
    let late = pool.checkout(app, Checkout::new().within(Duration::from_secs(1))).await.unwrap_err();
    assert!(late.to_string().contains("TLS"), "{late}");
}

async fn a_silent_server_costs_a_permit_no_longer_than_its_deadline(world: &World) {
    let cut = Cut::before(&world.server.address()).unwrap();
    let url = world.url().replace(&world.server.address(), &cut.address());
    let mut options = alone(Session::default());
    options.settings.test_on_checkout = Some(Duration::ZERO);
    let app = open(&url, &options);
    drop(lend(&app).await);
    // One that is still being settled would pass for tested.
    all_is_back(&app.0).await;
    cut.set(Weather::Stalled);
    let (pool, route) = &app;
    let late = pool.checkout(*route, Checkout::new().within(Duration::from_millis(200))).await;
    assert!(matches!(late, Err(CheckoutError::Timeout(_))), "{late:?}");
    cut.set(Weather::Clear);
    assert_eq!(lend(&app).await.query_one("select 7", &[]).await.unwrap().get::<_, i32>(0), 7);
    // Cut off in the hands of a holder.
    let lease = lend(&app).await;
    cut.cut();
    lease.query_one("select 7", &[]).await.unwrap_err();
    drop(lease);
    drop(lend(&app).await);
    let closed = pool.totals().closes;
    assert!(closed.get(CloseReason::Unusable) + closed.get(CloseReason::Invalid) >= 1, "{closed:?}");
    all_is_back(&app.0).await;
    pool.close(Duration::from_secs(5)).await;
}

async fn a_unix_socket_serves_as_well(world: &World) {
    let mut config = tokio_postgres::Config::new();
    config.host_path(world.server.socket_dir()).port(world.server.port()).user("app").password("secret").dbname("shop");
    let options = alone(Session { validation_query: "select 1".to_owned(), ..Session::default() });
    let app = options.open(Postgres::new(options.session.clone()), config, ());
    let lease = lend(&app).await;
    let first = backend(&lease).await;
    let asked = tokio::time::timeout(Duration::from_millis(100), lease.query_one("select pg_sleep(600)", &[])).await;
    assert!(asked.is_err());
    drop(lease);
    let lease = lend(&app).await;
    assert_ne!(backend(&lease).await, first);
    world.backends_become((0, 1));
    drop(lease);
    app.0.close(Duration::from_secs(5)).await;
}

/// What stands for TLS: it counts handshakes and leaves the bytes as they are, and so does [`encrypting`] on the other side.
#[derive(Clone, Default)]
struct Unveiled(Arc<AtomicUsize>);

struct Bare(Socket);

impl MakeTlsConnect<Socket> for Unveiled {
    type Stream = Bare;
    type TlsConnect = Self;
    type Error = std::io::Error;

    fn make_tls_connect(&mut self, _: &str) -> std::io::Result<Self> {
        Ok(self.clone())
    }
}

impl TlsConnect<Socket> for Unveiled {
    type Stream = Bare;
    type Error = std::io::Error;
    type Future = std::future::Ready<std::io::Result<Bare>>;

    fn connect(self, socket: Socket) -> Self::Future {
        self.0.fetch_add(1, SeqCst);
        std::future::ready(Ok(Bare(socket)))
    }
}

impl TlsStream for Bare {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Bare {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Bare {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Says yes to every request for TLS and hands the rest to the server; its address.
async fn encrypting(server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let server = server.clone();
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await.unwrap();
                assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "an SSLRequest");
                client.write_all(b"S").await.unwrap();
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

async fn encryption_is_agreed_on_as_the_url_says(world: &World) {
    let encrypting = encrypting(world.server.address()).await;
    let encrypted = world.url().replace(&world.server.address(), &encrypting);
    let options = alone(Session::default());
    for (url, handshakes) in [
        (format!("{}?sslmode=disable", world.url()), 0),
        (format!("{}?sslmode=prefer", world.url()), 0),
        (format!("{encrypted}?sslmode=prefer"), 1),
        (format!("{encrypted}?sslmode=require"), 1),
    ] {
        let tls = Unveiled::default();
        let connector = Postgres::with_tls(tls.clone(), Session::default());
        let (pool, route) = options.open(connector, url.parse().unwrap(), ());
        let lend = || pool.checkout(route, Checkout::new().within(Duration::from_secs(20)));
        let lease = lend().await.unwrap();
        assert_eq!(tls.0.load(SeqCst), handshakes, "{url}");
        // What is encrypted is watched as well, and a cancellation goes the same way.
        assert!(
            tokio::time::timeout(Duration::from_millis(100), lease.batch_execute("select pg_sleep(600)"))
                .await
                .is_err()
        );
        drop(lease);
        assert_eq!(lend().await.unwrap().query_one("select 7", &[]).await.unwrap().get::<_, i32>(0), 7);
        world.backends_become((0, 1));
        let made = tls.0.load(SeqCst);
        assert!(made >= handshakes * 3, "{url}: {made} for two connections and a cancellation");
        assert!(handshakes > 0 || made == 0, "{url}: {made}");
        pool.close(Duration::from_secs(5)).await;
        world.backends_become((0, 0));
    }
    let connector = Postgres::with_tls(Unveiled::default(), Session::default());
    let (pool, route) = options.open(connector, format!("{}?sslmode=require", world.url()).parse().unwrap(), ());
    let late = pool.checkout(route, Checkout::new().within(Duration::from_secs(1))).await.unwrap_err();
    assert!(matches!(&late, CheckoutError::Timeout(told) if told.last_connect_error.is_some()), "{late}");
    world.backends_become((0, 0));
}
