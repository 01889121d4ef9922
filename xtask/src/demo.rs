//! The demo: a real PostgreSQL, 20 server connections, three users, two databases, 200 clients, and who got what.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::{Evenkeel, Login, Options};

use crate::bench::build_evenkeel;
use crate::load::{Load, Plan};
use crate::report::{Table, ms, whole};
use crate::scene::{CONSOLE, OPERATOR, PASSWORD, Scene, console};
use crate::setup;

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
    sql: &'static str,
    period: Duration,
}

/// Runs the demo.
pub(crate) fn run(length: Length) -> Result<()> {
    testkit::process::raise_file_limit();
    setup::servers()?;
    let binary = build_evenkeel()?;
    let scene = Scene {
        budget: 20,
        users: &["reports", "shop", "cron"].map(|user| (user, Login::Scram)),
        databases: &["sales", "stock"],
    };
    println!("==> start PostgreSQL and Evenkeel");
    let pg = scene.postgres(Options::new())?;
    let evenkeel = scene.evenkeel(&binary, &pg)?;
    println!("    PostgreSQL {} on {}", pg.psql("show server_version")?, pg.address());
    println!("    configuration {}:\n", evenkeel.config_file().display());
    for line in std::fs::read_to_string(evenkeel.config_file())?.lines() {
        println!("        {line}");
    }
    let count: usize = CROWDS.iter().map(|crowd| crowd.clients).sum();
    println!("\n==> {count} clients of 3 users in 2 databases, {} server connections\n", scene.budget);
    let loads =
        CROWDS.iter().map(|crowd| Load::start(&crowd.plan(&evenkeel))?.logged_in()).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(SETTLE);
    let from = Instant::now();
    std::thread::sleep(WINDOW);
    print!("{}", table(&evenkeel, &loads, from)?);
    addresses(&evenkeel);
    if length == Length::UntilInterrupted {
        println!("\nCtrl-C ends it. Until then, every {} s:\n", LINE_PERIOD.as_secs());
        loop {
            let from = Instant::now();
            std::thread::sleep(LINE_PERIOD);
            live_line(&loads, from);
        }
    }
    Ok(())
}

fn table(evenkeel: &Evenkeel, loads: &[Load], from: Instant) -> Result<String> {
    let routes = console(evenkeel, "SHOW ROUTES")?;
    let sights: Vec<_> = loads.iter().map(|load| load.since(from)).collect();
    let total: f64 = sights.iter().map(crate::load::Sight::per_second).sum();
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
    for (crowd, sight) in CROWDS.iter().zip(&sights) {
        let route = routes.iter().find(|row| row.cell("user") == crowd.user && row.cell("database") == crowd.database);
        let route = route.with_context(|| format!("SHOW ROUTES has no {}@{}", crowd.user, crowd.database))?;
        table.row([
            format!("{}@{}", crowd.user, crowd.database),
            crowd.clients.to_string(),
            crowd.text(),
            sight.queries.to_string(),
            whole(sight.per_second()),
            format!("{:.1}", 100.0 * sight.per_second() / total),
            route.cell("held").to_owned(),
            ms(micros(route.cell("wait_p50_us"))),
            ms(micros(route.cell("wait_p99_us"))),
            ms(sight.latencies.quantile(0.99)),
            sight.errors.to_string(),
        ]);
        if let Some(error) = &sight.last_error {
            println!("{}@{}: {error}", crowd.user, crowd.database);
        }
    }
    Ok(table.markdown())
}

fn micros(cell: &str) -> Duration {
    Duration::from_micros(cell.parse().unwrap_or_default())
}

fn addresses(evenkeel: &Evenkeel) {
    let ports = evenkeel.ports();
    println!("\nmetrics  http://127.0.0.1:{}/metrics", ports.http());
    println!("console  psql 'postgres://{OPERATOR}:{PASSWORD}@{}/{CONSOLE}' -c 'SHOW ROUTES'", evenkeel.address());
    println!("clients  psql 'postgres://shop:{PASSWORD}@{}/sales'", evenkeel.address());
}

fn live_line(loads: &[Load], from: Instant) {
    let parts: Vec<String> = CROWDS
        .iter()
        .zip(loads)
        .map(|(crowd, load)| {
            let sight = load.since(from);
            let (rate, p99) = (whole(sight.per_second()), ms(sight.latencies.quantile(0.99)));
            format!("{}@{} {rate}/s p99 {p99} ms", crowd.user, crowd.database)
        })
        .collect();
    println!("{}", parts.join(" · "));
}

impl Crowd {
    fn plan(&self, evenkeel: &Evenkeel) -> Plan {
        Plan {
            address: evenkeel.address(),
            user: self.user.to_owned(),
            password: PASSWORD.to_owned(),
            database: self.database.to_owned(),
            clients: self.clients,
            sql: self.sql.to_owned(),
            period: self.period,
        }
    }

    fn text(&self) -> String {
        if self.period.is_zero() {
            self.sql.to_owned()
        } else {
            format!("{} every {} ms", self.sql, self.period.as_millis())
        }
    }
}

/// A heavy user, a middling one in two databases, and a light one that must not feel the others.
const CROWDS: [Crowd; 4] = [
    Crowd { user: "reports", database: "sales", clients: 120, sql: "select pg_sleep(0.005)", period: Duration::ZERO },
    Crowd { user: "shop", database: "sales", clients: 40, sql: "select pg_sleep(0.002)", period: Duration::ZERO },
    Crowd { user: "shop", database: "stock", clients: 36, sql: "select pg_sleep(0.002)", period: Duration::ZERO },
    Crowd { user: "cron", database: "stock", clients: 4, sql: "select 1", period: Duration::from_millis(100) },
];
const SETTLE: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(5);
const LINE_PERIOD: Duration = Duration::from_secs(2);
