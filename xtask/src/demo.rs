//! The demo: a real server, 20 connections to it, three users, two databases, 200 clients, and who got what; with PostgreSQL
//! first, then with MariaDB and with MySQL. Then classes, and a limit on transactions.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::mysql::{self, Install, Kind, skipped};
use testkit::{Evenkeel, Login, Options, Postgres};

use crate::bench::build_evenkeel;
use crate::load::{Introduction, Load, Plan, Protocol, Sight};
use crate::report::{Table, ms, whole};
use crate::scene::{CONSOLE, OPERATOR, PASSWORD, Scene, console};
use crate::setup;

mod classes;

/// When the demo ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// After one table.
    Once,
    /// On Ctrl-C; every server and folder goes with it.
    UntilInterrupted,
}

/// One user of the demo in one database.
struct Crowd {
    user: &'static str,
    database: &'static str,
    clients: usize,
    work: Work,
    period: Duration,
}

/// What each client of a crowd does.
#[derive(Clone, Copy)]
enum Work {
    /// Keeps the server waiting for so many milliseconds.
    Sleep(u32),
    /// As little as there is.
    One,
}

/// A server, Evenkeel in front of it and clients at work, for as long as the value lives.
struct Show {
    // Fields drop in this order: the clients before what they talk to.
    loads: Vec<Load>,
    evenkeel: Evenkeel,
    server: Server,
}

enum Server {
    Postgres(Postgres),
    MySql(mysql::Server),
}

impl Server {
    fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::MySql(server) => server.kind().name(),
        }
    }

    /// Its name, version and address.
    fn describe(&self) -> Result<String> {
        let (version, address) = match self {
            Self::Postgres(pg) => (pg.psql("show server_version")?, pg.address()),
            Self::MySql(server) => (server.install().version().to_owned(), server.address()),
        };
        Ok(format!("{} {version} on {address}", self.name()))
    }
}

/// Runs the demo.
pub(crate) fn run(length: Length) -> Result<()> {
    testkit::process::raise_file_limit();
    setup::servers()?;
    setup::mysql_servers()?;
    let binary = build_evenkeel()?;
    let mut shows = vec![Show::start(&binary, Backend::Postgres)?];
    for kind in Kind::ALL {
        if length == Length::Once {
            // One after the other, so that nobody works beside the one that is shown.
            shows.clear();
        }
        match (kind, Install::find(kind)) {
            (Kind::MySql, Err(why)) => skipped(kind.name(), &format!("{why:#}")),
            _ => shows.push(Show::start(&binary, Backend::MySql(kind))?),
        }
    }
    classes::show(&binary)?;
    match length {
        Length::Once => println!("\nAll of it has ended. Without --once it goes on, and says where to look meanwhile."),
        Length::UntilInterrupted => go_on(&shows),
    }
    Ok(())
}

/// Says where to look, and again and again how it goes.
fn go_on(shows: &[Show]) {
    shows.iter().for_each(Show::addresses);
    println!("\nCtrl-C ends it. Until then, every {} s:\n", LINE_PERIOD.as_secs());
    loop {
        let from = Instant::now();
        std::thread::sleep(LINE_PERIOD);
        shows.iter().for_each(|show| show.live_line(from));
    }
}

/// What to start.
#[derive(Clone, Copy)]
enum Backend {
    Postgres,
    MySql(Kind),
}

impl Show {
    /// Starts everything, lets it run and prints who got what.
    fn start(binary: &Path, backend: Backend) -> Result<Self> {
        let scene = Scene {
            budget: 20,
            users: &["reports", "shop", "cron"].map(|user| (user, Login::Scram)),
            databases: &["sales", "stock"],
            ..Scene::default()
        };
        let (server, evenkeel) = match backend {
            Backend::Postgres => {
                println!("==> start PostgreSQL and Evenkeel");
                let pg = scene.postgres(Options::new())?;
                let evenkeel = scene.evenkeel(binary, &pg)?;
                (Server::Postgres(pg), evenkeel)
            }
            Backend::MySql(kind) => {
                println!("\n==> start {} and Evenkeel", kind.name());
                let server = scene.mysql(kind, mysql::Options::new())?;
                let evenkeel = scene.evenkeel_mysql(binary, &server)?;
                (Server::MySql(server), evenkeel)
            }
        };
        println!("    {}\n    configuration {}", server.describe()?, evenkeel.config_file().display());
        if let Backend::Postgres = backend {
            println!();
            for line in std::fs::read_to_string(evenkeel.config_file())?.lines() {
                println!("        {line}");
            }
        } else {
            println!("    as above, but for where it listens, and protocol = \"mysql\"");
        }
        let count: usize = CROWDS.iter().map(|crowd| crowd.clients).sum();
        println!("\n==> {count} clients of 3 users in 2 databases, {} server connections\n", scene.budget);
        let mut show = Self { loads: Vec::new(), evenkeel, server };
        for crowd in &CROWDS {
            let load = Load::start(&show.plan(crowd))?.logged_in()?;
            show.loads.push(load);
        }
        std::thread::sleep(SETTLE);
        let from = Instant::now();
        std::thread::sleep(WINDOW);
        show.print(from)?;
        Ok(show)
    }

    /// The table of who got what since `from`.
    ///
    /// # Errors
    /// When a client got an error: the demo is also a test.
    fn print(&self, from: Instant) -> Result<()> {
        let sights: Vec<_> = self.loads.iter().map(|load| load.since(from)).collect();
        print!("{}", self.table(&sights)?);
        if let Server::MySql(_) = self.server {
            println!("\n{}", self.moves()?);
        }
        for (crowd, sight) in CROWDS.iter().zip(&sights) {
            let error = sight.last_error.as_deref().unwrap_or_default();
            ensure!(sight.errors == 0, "{}@{} had {} errors: {error}", crowd.user, crowd.database, sight.errors);
        }
        Ok(())
    }

    fn table(&self, sights: &[Sight]) -> Result<String> {
        let routes = console(&self.evenkeel, "SHOW ROUTES")?;
        let total: f64 = sights.iter().map(Sight::per_second).sum();
        let mut table = Table::new([
            "route",
            "clients",
            "each",
            "transactions",
            "per second",
            "share %",
            "held",
            "wait p50 ms",
            "wait p99 ms",
            "answer p99 ms",
            "errors",
        ]);
        for (crowd, sight) in CROWDS.iter().zip(sights) {
            let route =
                routes.iter().find(|row| row.cell("user") == crowd.user && row.cell("database") == crowd.database);
            let route = route.with_context(|| format!("SHOW ROUTES has no {}@{}", crowd.user, crowd.database))?;
            table.row([
                format!("{}@{}", crowd.user, crowd.database),
                crowd.clients.to_string(),
                self.text(crowd),
                sight.queries.to_string(),
                whole(sight.per_second()),
                format!("{:.1}", 100.0 * sight.per_second() / total),
                route.cell("held").to_owned(),
                ms(micros(route.cell("wait_p50_us"))),
                ms(micros(route.cell("wait_p99_us"))),
                ms(sight.latencies.quantile(0.99)),
                sight.errors.to_string(),
            ]);
        }
        Ok(table.markdown())
    }

    /// How often a connection went from one user or database to another since the start, and what that cost.
    fn moves(&self) -> Result<String> {
        let total = |metric: &str| {
            let value = self.evenkeel.metric(&format!("evenkeel_server_{metric}_total{{server=\"main\"}}"))?;
            anyhow::Ok(value)
        };
        let (opened, moved, rekeyed) = (total("connects")?, total("moves")?, total("rekeys")?);
        Ok(format!(
            "{opened} connections opened; a slot went to another user or database {moved} times, {rekeyed} of them by changing \
             the user of the live connection (a re-key) instead of a reconnect"
        ))
    }

    /// Where to look while it lasts.
    fn addresses(&self) {
        let ports = self.evenkeel.ports();
        println!("\n{}", self.server.name());
        println!("metrics  http://127.0.0.1:{}/metrics", ports.http());
        let address = self.evenkeel.address();
        println!("console  psql 'postgres://{OPERATOR}:{PASSWORD}@{address}/{CONSOLE}' -c 'SHOW ROUTES'");
        match self.server {
            Server::Postgres(_) => println!("clients  psql 'postgres://shop:{PASSWORD}@{address}/sales'"),
            Server::MySql(_) => {
                println!("clients  mariadb -h 127.0.0.1 -P {} -u shop -p{PASSWORD} sales", self.evenkeel.mysql_port());
            }
        }
    }

    fn live_line(&self, from: Instant) {
        let parts: Vec<String> = CROWDS
            .iter()
            .zip(&self.loads)
            .map(|(crowd, load)| {
                let sight = load.since(from);
                let (rate, p99) = (whole(sight.per_second()), ms(sight.latencies.quantile(0.99)));
                format!("{}@{} {rate}/s p99 {p99} ms", crowd.user, crowd.database)
            })
            .collect();
        println!("{:<10} {}", self.server.name(), parts.join(" · "));
    }

    fn plan(&self, crowd: &Crowd) -> Plan {
        let (protocol, address) = match self.server {
            Server::Postgres(_) => (Protocol::Postgres, self.evenkeel.address()),
            Server::MySql(_) => (Protocol::MySql, self.evenkeel.mysql_address()),
        };
        Plan {
            protocol,
            address,
            user: crowd.user.to_owned(),
            password: PASSWORD.to_owned(),
            database: crowd.database.to_owned(),
            clients: crowd.clients,
            sql: self.sql(crowd),
            period: crowd.period,
            introduction: Introduction::default(),
        }
    }

    fn sql(&self, crowd: &Crowd) -> String {
        match (crowd.work, &self.server) {
            (Work::One, _) => "select 1".to_owned(),
            (Work::Sleep(millis), Server::Postgres(_)) => format!("select pg_sleep(0.{millis:03})"),
            (Work::Sleep(millis), Server::MySql(_)) => format!("select sleep(0.{millis:03})"),
        }
    }

    fn text(&self, crowd: &Crowd) -> String {
        if crowd.period.is_zero() {
            self.sql(crowd)
        } else {
            format!("{} every {} ms", self.sql(crowd), crowd.period.as_millis())
        }
    }
}

fn micros(cell: &str) -> Duration {
    Duration::from_micros(cell.parse().unwrap_or_default())
}

/// A heavy user, a middling one in two databases, and a light one that must not feel the others.
const CROWDS: [Crowd; 4] = [
    Crowd { user: "reports", database: "sales", clients: 120, work: Work::Sleep(5), period: Duration::ZERO },
    Crowd { user: "shop", database: "sales", clients: 40, work: Work::Sleep(2), period: Duration::ZERO },
    Crowd { user: "shop", database: "stock", clients: 36, work: Work::Sleep(2), period: Duration::ZERO },
    Crowd { user: "cron", database: "stock", clients: 4, work: Work::One, period: Duration::from_millis(100) },
];
const SETTLE: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(5);
const LINE_PERIOD: Duration = Duration::from_secs(2);
