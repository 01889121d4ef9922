//! The whole crate against a tiny engine: one server, which is a few lines of this file, or absent.

mod console;
mod documents;
mod http;
mod metrics;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use config::{Config, Given};
use pool::{Checkout, Lease};
use session::{
    AnyPool, AuthMethod, ClientLimits, ClientTls, ConsoleRole, Dialling, Engine, MysqlPlan, PgConnector, Plan,
    Prepared, ServerPlan, UserEntry,
    console::{Answer, Console as _, Operator},
    proxy_header::Trusted,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{Control, SetError, Shutdown, Steering};

/// A control over an engine, and what it was told to do.
struct World {
    engine: Arc<Engine>,
    control: Arc<Control>,
    helm: Arc<Helm>,
}

/// Notes what it is told to do.
struct Helm {
    config: Arc<Config>,
    reload: Mutex<Result<Vec<String>, String>>,
    shutdown: Mutex<Option<Shutdown>>,
}

impl Steering for Helm {
    fn reload(&self) -> Result<Vec<String>, String> {
        self.reload.lock().unwrap().clone()
    }

    fn set(&self, key: &str, value: Given<'_>) -> Result<Vec<String>, SetError> {
        let changed = self.config.amended(key, value)?;
        Ok(config::diff(&self.config, &changed).iter().map(ToString::to_string).collect())
    }

    fn shutdown(&self, how: Shutdown) {
        *self.shutdown.lock().unwrap() = Some(how);
    }

    fn config(&self) -> Arc<Config> {
        self.config.clone()
    }
}

impl World {
    /// With a server at this port, the database `shop` on it, and a user `app` who is trusted.
    fn new(port: u16) -> Self {
        Self::with(port, "", "")
    }

    /// The same, with more said of the server, and more at the end.
    fn with(port: u16, server: &str, more: &str) -> Self {
        let text = format!(
            r#"
            [admin]
            users = ["app"]
            [[servers]]
            name = "pg-a"
            cluster = "c"
            address = "127.0.0.1:{port}"
            budget = 2
            {server}
            [[databases]]
            name = "shop"
            cluster = "c"
            max_clients = 40
            [[databases]]
            name = "*"
            cluster = "c"
            server_database = "all"
            server_user = "owner"
            server_password = "xyzzy-1"
            [[users]]
            name = "app"
            password = "xyzzy-2"
            pool_mode = "session"
            {more}
            "#
        );
        let config = Config::from_toml(&text, "test.toml").unwrap();
        let engine = Engine::new(plan(&config), 16 * 1024);
        let (reload, shutdown) = (Mutex::new(Ok(Vec::new())), Mutex::new(None));
        let helm = Arc::new(Helm { config: Arc::new(config), reload, shutdown });
        let control = Control::new(engine.clone(), helm.clone(), "1.2.3");
        Self { engine, control, helm }
    }

    /// With a server that lets everybody in and says no more.
    async fn with_server() -> Self {
        Self::new(Self::serve().await)
    }

    /// The same, with VTTablet's classes and metrics.
    async fn with_classes() -> Self {
        let more = "[metrics]\nvttablet_names = true";
        Self::with(Self::serve().await, "classes = { transaction = 2, oltp = 1, stream = 5 }", more)
    }

    /// The port of a new server.
    async fn serve() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(welcome(stream));
            }
        });
        port
    }

    /// With a server that nobody answers for.
    async fn without_server() -> Self {
        // Bound and closed again: as free as a port can be.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        Self::new(port)
    }

    async fn run(&self, statement: &str) -> Answer {
        self.run_as(ConsoleRole::Admin, statement).await
    }

    async fn run_as(&self, role: ConsoleRole, statement: &str) -> Answer {
        self.control.run(statement, &Operator { user: "app".into(), role }).await
    }

    /// The rows of a table, each value under its column's name.
    async fn rows(&self, statement: &str) -> Vec<HashMap<&'static str, Option<String>>> {
        let Answer::Table(table) = self.run(statement).await else { panic!("{statement} shows no table") };
        let named = |row: Vec<_>| table.columns.iter().map(|(name, _)| *name).zip(row).collect();
        table.rows.into_iter().map(named).collect()
    }

    /// What a statement failed with: code and message.
    async fn failure(&self, statement: &str) -> (String, String) {
        match self.run(statement).await {
            Answer::Failed(reply) => (reply.code.into(), reply.message.into()),
            other => panic!("{statement}: {other:?}"),
        }
    }

    async fn lease(&self, user: &str, database: &str) -> Lease<PgConnector> {
        let lane = self.engine.lane(user, database).unwrap();
        let AnyPool::Postgres(pool) = lane.pool() else { panic!("the server speaks PostgreSQL") };
        pool.checkout(lane.id(), Checkout::new()).await.unwrap()
    }
}

fn plan(config: &Config) -> Plan {
    let unlimited = ClientLimits { total: 50, per_user: None, per_database: None, per_address: None };
    let pool = |server: &route::Server| pool::Settings { budget: server.budget, ..pool::Settings::default() };
    let server = |server| ServerPlan {
        pool: pool(server),
        init_sql: "".into(),
        validation_query: "".into(),
        asks_census: false,
        dialling: Dialling::default(),
        compression: None,
    };
    Plan {
        table: config.table().clone(),
        servers: config.table().servers().iter().map(server).collect(),
        users: HashMap::from([("app".into(), UserEntry { secret: None, server_secret: None })]),
        databases: HashMap::new(),
        demand: AuthMethod::Trust,
        limits: unlimited,
        balancers: Trusted::default(),
        client_tls: ClientTls::Never,
        login_timeout: Duration::from_secs(5),
        mysql: MysqlPlan::default(),
        prepared: Prepared::default(),
        message_len_max: 1 << 20,
        console: HashMap::from([("app".into(), ConsoleRole::Admin)]),
    }
}

/// What a server says to one client. It answers nothing after the login.
async fn welcome(mut stream: TcpStream) {
    let len = stream.read_u32().await.unwrap_or(4).saturating_sub(4) as usize;
    let _startup = stream.read_exact(&mut vec![0; len]).await;
    let mut greeting = Vec::from(*b"R\0\0\0\x08\0\0\0\0");
    greeting.extend(b"S\0\0\0\x16server_version\x0015\0");
    greeting.extend(b"K\0\0\0\x0c\0\0\x10\x01\0\0\0\x07");
    greeting.extend(b"Z\0\0\0\x05I");
    // Silent from here on, until the other side leaves.
    if stream.write_all(&greeting).await.is_ok() {
        let _end = stream.read_to_end(&mut Vec::new()).await;
    }
}
