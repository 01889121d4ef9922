//! What a light user waits beside a heavy one, and how evenly equal users share: one budget of 20 server connections.

use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::bouncer::Ini;
use testkit::{Install, Options, PgBouncer, Postgres};

use super::Arguments;
use super::contender::{Contender, build_evenkeel};
use crate::load::{Load, Plan, Sight};
use crate::report::{Table, jain, ms, whole};
use crate::scene::{PASSWORD, Scene};

/// One contender's figures.
struct Verdict {
    name: String,
    /// Queries per second of the heavy user with nobody else there.
    heavy_alone: f64,
    cases: Vec<(Case, Shared)>,
    equals: Equals,
}

/// How the light user comes to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// It arrives while the heavy one saturates the budget.
    Joins,
    /// It was busy before the heavy one came.
    BusyBefore,
    /// It sends 20 queries a second.
    Paced,
}

/// A light and a heavy user at the same time.
struct Shared {
    light: Sight,
    heavy: Sight,
}

/// Users who all want more than their share.
struct Equals {
    jain: f64,
    /// Queries per second of all together.
    total: f64,
    /// Queries per second of as many clients of one single user.
    one_pool: f64,
    /// Connections the server authorised per second.
    reconnects: f64,
    errors: u64,
}

/// Runs every case against Evenkeel and PgBouncer and says which targets are met.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let binary = build_evenkeel()?;
    let users: Vec<String> = std::iter::once("heavy".to_owned())
        .chain(std::iter::once("light".to_owned()))
        .chain((1..=EQUALS).map(|number| format!("equal{number}")))
        .collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let scene = Scene { budget: BUDGET, users: &names, databases: &["app"] };
    let pg = scene.postgres(Options::new().set("log_connections", "on"))?;
    let contenders =
        [Contender::evenkeel(scene.evenkeel(&binary, &pg)?), Contender::pgbouncer(pgbouncer(&names, &pg)?)];
    let window = arguments.duration().max(WINDOW_MIN);
    let mut verdicts = Vec::new();
    for contender in &contenders {
        println!("fairness: {}, about {} s", contender.name, (window * 6 + SETTLE * 10).as_secs());
        verdicts.push(judge(contender, &pg, window)?);
    }
    print(&verdicts);
    Ok(())
}

fn pgbouncer(users: &[&str], pg: &Postgres) -> Result<PgBouncer> {
    let budget = BUDGET.to_string();
    let ini = Ini::new()
        .database("app", &format!("host=127.0.0.1 port={}", pg.port()))
        .set("auth_type", "scram-sha-256")
        .set("default_pool_size", &budget)
        .set("max_db_connections", &budget);
    let ini = users.iter().fold(ini, |ini, user| ini.user(user, PASSWORD));
    PgBouncer::start(&Install::with_pgbouncer()?, &ini)
}

fn judge(contender: &Contender, pg: &Postgres, window: Duration) -> Result<Verdict> {
    let heavy_alone = {
        let heavy = Load::start(&heavy(contender))?.logged_in()?;
        watch(&heavy, SETTLE, window).per_second()
    };
    let mut cases = Vec::new();
    for case in [Case::Joins, Case::BusyBefore, Case::Paced] {
        cases.push((case, together(contender, case, window)?));
    }
    Ok(Verdict { name: contender.name.clone(), heavy_alone, cases, equals: equals(contender, pg, window)? })
}

fn together(contender: &Contender, case: Case, window: Duration) -> Result<Shared> {
    let light_plan = light(contender, if case == Case::Paced { PACE * LIGHT_CLIENTS } else { Duration::ZERO });
    let (light, heavy, from) = if case == Case::BusyBefore {
        let light = Load::start(&light_plan)?.logged_in()?;
        std::thread::sleep(SETTLE);
        let from = Instant::now();
        (light, Load::start(&heavy(contender))?, from)
    } else {
        let heavy = Load::start(&heavy(contender))?.logged_in()?;
        std::thread::sleep(SETTLE);
        // From the first query on: a client that starves at the start must not be excused.
        let from = Instant::now();
        (Load::start(&light_plan)?, heavy, from)
    };
    std::thread::sleep(window.saturating_sub(from.elapsed()));
    Ok(Shared { light: light.since(from), heavy: heavy.since(from) })
}

fn equals(contender: &Contender, pg: &Postgres, window: Duration) -> Result<Equals> {
    let one_pool = {
        let all =
            Load::start(&plan(contender, "equal1", EQUALS * EQUAL_CLIENTS, SLEEP, Duration::ZERO))?.logged_in()?;
        watch(&all, SETTLE, window).per_second()
    };
    let loads = (1..=EQUALS)
        .map(|number| Load::start(&plan(contender, &format!("equal{number}"), EQUAL_CLIENTS, SLEEP, Duration::ZERO)))
        .collect::<Result<Vec<_>>>()?;
    std::thread::sleep(SETTLE + SETTLE);
    let (from, authorised) = (Instant::now(), authorised(pg));
    std::thread::sleep(window);
    let sights: Vec<Sight> = loads.iter().map(|load| load.since(from)).collect();
    let shares: Vec<f64> = sights.iter().map(Sight::per_second).collect();
    #[allow(clippy::cast_precision_loss)]
    let reconnects = (self::authorised(pg) - authorised) as f64 / from.elapsed().as_secs_f64();
    let errors = sights.iter().map(|sight| sight.errors).sum();
    Ok(Equals { jain: jain(&shares), total: shares.iter().sum(), one_pool, reconnects, errors })
}

/// Connections the server has let in so far, from its log.
fn authorised(pg: &Postgres) -> usize {
    pg.log().matches("connection authorized").count()
}

fn watch(load: &Load, settle: Duration, window: Duration) -> Sight {
    std::thread::sleep(settle);
    let from = Instant::now();
    std::thread::sleep(window);
    load.since(from)
}

fn heavy(contender: &Contender) -> Plan {
    plan(contender, "heavy", HEAVY_CLIENTS, SLEEP, Duration::ZERO)
}

fn light(contender: &Contender, period: Duration) -> Plan {
    plan(contender, "light", LIGHT_CLIENTS as usize, "select 1", period)
}

fn plan(contender: &Contender, user: &str, clients: usize, sql: &str, period: Duration) -> Plan {
    Plan {
        address: format!("127.0.0.1:{}", contender.port),
        user: user.to_owned(),
        password: PASSWORD.to_owned(),
        database: "app".to_owned(),
        clients,
        sql: sql.to_owned(),
        period,
    }
}

fn print(verdicts: &[Verdict]) {
    println!(
        "\nLight user (2 clients, `select 1`) beside a heavy one (100 clients, `{SLEEP}`), budget {BUDGET} connections\n"
    );
    let mut table = Table::new([
        "case",
        "pooler",
        "light login ms",
        "p50 ms",
        "p99 ms",
        "max ms",
        "light q/s",
        "heavy q/s",
        "of alone %",
        "errors",
    ]);
    for verdict in verdicts {
        for (case, shared) in &verdict.cases {
            table.row([
                case.text().to_owned(),
                verdict.name.clone(),
                ms(shared.light.logins.max()),
                ms(shared.light.latencies.quantile(0.5)),
                ms(shared.light.latencies.quantile(0.99)),
                ms(shared.light.latencies.max()),
                whole(shared.light.per_second()),
                whole(shared.heavy.per_second()),
                format!("{:.1}", 100.0 * shared.heavy.per_second() / verdict.heavy_alone),
                (shared.light.errors + shared.heavy.errors).to_string(),
            ]);
        }
    }
    print!("{}", table.markdown());
    println!("\n{EQUALS} equal users with {EQUAL_CLIENTS} clients each, `{SLEEP}`\n");
    let head = ["pooler", "Jain's index", "total q/s", "one pool q/s", "of one pool %", "reconnects/s", "errors"];
    let mut table = Table::new(head);
    for Verdict { name, equals, .. } in verdicts {
        table.row([
            name.clone(),
            format!("{:.4}", equals.jain),
            whole(equals.total),
            whole(equals.one_pool),
            format!("{:.1}", 100.0 * equals.total / equals.one_pool),
            format!("{:.1}", equals.reconnects),
            equals.errors.to_string(),
        ]);
    }
    print!("{}", table.markdown());
    println!();
    if let Some(ours) = verdicts.first() {
        targets(ours);
    }
}

fn targets(ours: &Verdict) {
    let check = |what: &str, met: bool| println!("{} {what}", if met { "met   " } else { "MISSED" });
    for (case, shared) in &ours.cases {
        let p99 = shared.light.latencies.quantile(0.99);
        check(&format!("light p99 {} ms < 10 ms ({})", ms(p99), case.text()), p99 < Duration::from_millis(10));
        let share = 100.0 * shared.heavy.per_second() / ours.heavy_alone;
        check(&format!("heavy keeps {share:.1} % ≥ 90 % ({})", case.text()), share >= 90.0);
    }
    check(&format!("Jain's index {:.4} ≥ 0.98", ours.equals.jain), ours.equals.jain >= 0.98);
    let total = 100.0 * ours.equals.total / ours.equals.one_pool;
    check(&format!("total {total:.1} % ≥ 98 % of one pool"), total >= 98.0);
}

impl Case {
    fn text(self) -> &'static str {
        match self {
            Self::Joins => "joins",
            Self::BusyBefore => "busy before",
            Self::Paced => "20 queries/s",
        }
    }
}

const BUDGET: u32 = 20;
const HEAVY_CLIENTS: usize = 100;
const LIGHT_CLIENTS: u32 = 2;
const EQUALS: usize = 8;
const EQUAL_CLIENTS: usize = 25;
const SLEEP: &str = "select pg_sleep(0.005)";
/// One light query every 50 ms, all clients together.
const PACE: Duration = Duration::from_millis(50);
const SETTLE: Duration = Duration::from_secs(2);
/// Less would leave the p99 of 20 queries a second to chance.
const WINDOW_MIN: Duration = Duration::from_secs(8);
