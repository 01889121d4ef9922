//! What a light user waits beside a heavy one, and how evenly equal users share: one budget of 20 server connections, with
//! PostgreSQL beside PgBouncer, and with MySQL and MariaDB. (Of MySQL's proxies none has a budget to be fair with.)

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::bouncer::Ini;
use testkit::mysql::{self, Kind, skipped};
use testkit::{Install, Login, Options, PgBouncer, Postgres};

use super::Arguments;
use super::contender::{Contender, build_evenkeel, order};
use crate::load::{Introduction, Load, Plan, Protocol, Sight};
use crate::report::{Table, jain, median, whole};
use crate::scene::{PASSWORD, Scene};

/// How often a slot went to another route since the start.
#[derive(Clone, Copy)]
struct Moves {
    /// Connections that were opened.
    opened: f64,
    /// Connections that went over alive.
    in_place: f64,
}

type CountMoves<'a> = dyn Fn(&Contender) -> Result<Moves> + 'a;

/// One contender's figures of all rounds.
struct Verdict {
    name: String,
    rounds: Vec<Round>,
}

/// Every case once.
struct Round {
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
    /// Connections opened per second.
    reconnects: f64,
    /// Connections that went to another user alive, per second.
    rekeys: f64,
    errors: u64,
}

/// Runs every case against Evenkeel and PgBouncer and says which targets are met.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let binary = build_evenkeel()?;
    let users = users();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let logins: Vec<_> = names.iter().map(|name| (*name, Login::Md5)).collect();
    let scene = Scene { budget: BUDGET, users: &logins, databases: &["app"], ..Scene::default() };
    let pg = scene.postgres(Options::new().set("log_connections", "on"))?;
    let contenders =
        [Contender::evenkeel(scene.evenkeel(&binary, &pg)?), Contender::pgbouncer(pgbouncer(&names, &pg)?)];
    // From the server's log: PgBouncer does not say.
    let moves = |_: &Contender| {
        #[allow(clippy::cast_precision_loss)]
        let opened = pg.log().matches("connection authorized").count() as f64;
        Ok(Moves { opened, in_place: 0.0 })
    };
    print("PostgreSQL", &compete(arguments, "PostgreSQL", &contenders, &moves)?);
    Ok(())
}

/// As [`run`], with clients of MySQL and MariaDB, and Evenkeel alone.
pub(crate) fn run_mysql(arguments: &Arguments) -> Result<()> {
    let binary = build_evenkeel()?;
    let users = users();
    let logins: Vec<_> = users.iter().map(|name| (name.as_str(), Login::Scram)).collect();
    let scene = Scene { budget: BUDGET, users: &logins, databases: &["app"], ..Scene::default() };
    for kind in Kind::ALL.into_iter().filter(|kind| arguments.covers(*kind)) {
        if let (Kind::MySql, Err(why)) = (kind, mysql::Install::find(kind)) {
            skipped(kind.name(), &format!("{why:#}"));
            continue;
        }
        let server = scene.mysql(kind, mysql::Options::new())?;
        let contenders = [Contender::evenkeel_mysql(scene.evenkeel_mysql(&binary, &server)?)];
        print(kind.name(), &compete(arguments, kind.name(), &contenders, &moves_of_evenkeel)?);
    }
    Ok(())
}

fn users() -> Vec<String> {
    let equals = (1..=EQUALS).map(|number| format!("equal{number}"));
    ["heavy", "light"].map(str::to_owned).into_iter().chain(equals).collect()
}

/// As Evenkeel counts them.
fn moves_of_evenkeel(contender: &Contender) -> Result<Moves> {
    let evenkeel = contender.as_evenkeel().context("only Evenkeel can tell")?;
    let total = |metric: &str| evenkeel.metric(&format!("evenkeel_server_{metric}_total{{server=\"main\"}}"));
    Ok(Moves { opened: total("connects")?, in_place: total("rekeys")? })
}

/// All rounds of all contenders, in front of a server of this name.
fn compete(
    arguments: &Arguments,
    server: &str,
    contenders: &[Contender],
    moves: &CountMoves<'_>,
) -> Result<Vec<Verdict>> {
    let window = arguments.duration().max(WINDOW_MIN);
    let mut verdicts: Vec<Verdict> =
        contenders.iter().map(|contender| Verdict { name: contender.name.clone(), rounds: Vec::new() }).collect();
    for round in 0..arguments.repeat.max(1) {
        for index in order(contenders.len(), round) {
            let (name, seconds) = (&contenders[index].name, (window * 6 + SETTLE * 10).as_secs());
            let rounds = arguments.repeat.max(1);
            println!("fairness: {server}, round {} of {rounds}, {name}, about {seconds} s", round + 1);
            verdicts[index].rounds.push(judge(&contenders[index], moves, window)?);
        }
    }
    Ok(verdicts)
}

fn pgbouncer(users: &[&str], pg: &Postgres) -> Result<PgBouncer> {
    let budget = BUDGET.to_string();
    let ini = Ini::new()
        .database("app", &format!("host=127.0.0.1 port={}", pg.port()))
        .set("auth_type", "md5")
        .set("default_pool_size", &budget)
        .set("max_db_connections", &budget);
    let ini = users.iter().fold(ini, |ini, user| ini.user(user, PASSWORD));
    PgBouncer::start(&Install::with_pgbouncer()?, &ini)
}

fn judge(contender: &Contender, moves: &CountMoves<'_>, window: Duration) -> Result<Round> {
    let heavy_alone = {
        let heavy = Load::start(&heavy(contender))?.logged_in()?;
        watch(&heavy, SETTLE, window).per_second()
    };
    let mut cases = Vec::new();
    for case in CASES {
        cases.push((case, together(contender, case, window)?));
    }
    Ok(Round { heavy_alone, cases, equals: equals(contender, moves, window)? })
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

fn equals(contender: &Contender, moves: &CountMoves<'_>, window: Duration) -> Result<Equals> {
    let one_pool = {
        let all = Load::start(&plan(contender, "equal1", EQUALS * EQUAL_CLIENTS, sleep(contender), Duration::ZERO))?
            .logged_in()?;
        watch(&all, SETTLE, window).per_second()
    };
    let loads = (1..=EQUALS)
        .map(|number| {
            Load::start(&plan(contender, &format!("equal{number}"), EQUAL_CLIENTS, sleep(contender), Duration::ZERO))
        })
        .collect::<Result<Vec<_>>>()?;
    std::thread::sleep(SETTLE + SETTLE);
    let (from, before) = (Instant::now(), moves(contender)?);
    std::thread::sleep(window);
    let sights: Vec<Sight> = loads.iter().map(|load| load.since(from)).collect();
    let shares: Vec<f64> = sights.iter().map(Sight::per_second).collect();
    let (after, seconds) = (moves(contender)?, from.elapsed().as_secs_f64());
    Ok(Equals {
        jain: jain(&shares),
        total: shares.iter().sum(),
        one_pool,
        reconnects: (after.opened - before.opened) / seconds,
        rekeys: (after.in_place - before.in_place) / seconds,
        errors: sights.iter().map(|sight| sight.errors).sum(),
    })
}

fn watch(load: &Load, settle: Duration, window: Duration) -> Sight {
    std::thread::sleep(settle);
    let from = Instant::now();
    std::thread::sleep(window);
    load.since(from)
}

fn heavy(contender: &Contender) -> Plan {
    plan(contender, "heavy", HEAVY_CLIENTS, sleep(contender), Duration::ZERO)
}

fn light(contender: &Contender, period: Duration) -> Plan {
    plan(contender, "light", LIGHT_CLIENTS as usize, "select 1", period)
}

/// A statement that keeps the server waiting for 5 ms.
fn sleep(contender: &Contender) -> &'static str {
    match contender.protocol {
        Protocol::Postgres => "select pg_sleep(0.005)",
        Protocol::MySql => "select sleep(0.005)",
    }
}

fn plan(contender: &Contender, user: &str, clients: usize, sql: &str, period: Duration) -> Plan {
    Plan {
        protocol: contender.protocol,
        address: format!("127.0.0.1:{}", contender.port),
        user: user.to_owned(),
        password: PASSWORD.to_owned(),
        database: "app".to_owned(),
        clients,
        sql: sql.to_owned(),
        period,
        introduction: Introduction::default(),
    }
}

impl Verdict {
    /// Median over the rounds of a figure of one case.
    fn of_case(&self, case: Case, figure: impl Fn(&Shared) -> f64) -> f64 {
        let in_case =
            |round: &Round| round.cases.iter().find(|(known, _)| *known == case).map(|(_, shared)| figure(shared));
        median(&self.rounds.iter().filter_map(in_case).collect::<Vec<_>>())
    }

    /// Median over the rounds of a light user's time, in milliseconds.
    fn light_ms(&self, case: Case, time: impl Fn(&Sight) -> Duration) -> f64 {
        self.of_case(case, |shared| time(&shared.light).as_secs_f64() * 1000.0)
    }

    /// What the heavy user keeps of what it has alone, in percent; median over the rounds.
    fn heavy_keeps(&self, case: Case) -> f64 {
        let kept = |round: &Round| {
            let shared = round.cases.iter().find(|(known, _)| *known == case);
            shared.map(|(_, shared)| 100.0 * shared.heavy.per_second() / round.heavy_alone)
        };
        median(&self.rounds.iter().filter_map(kept).collect::<Vec<_>>())
    }

    /// Median over the rounds of a figure of the equal users.
    fn of_equals(&self, figure: impl Fn(&Equals) -> f64) -> f64 {
        median(&self.rounds.iter().map(|round| figure(&round.equals)).collect::<Vec<_>>())
    }

    fn errors(&self, case: Case) -> u64 {
        let cases = self.rounds.iter().flat_map(|round| &round.cases).filter(|(known, _)| *known == case);
        cases.map(|(_, shared)| shared.light.errors + shared.heavy.errors).sum()
    }
}

impl Equals {
    /// Throughput together, in percent of what one shared pool yields.
    fn of_one_pool(&self) -> f64 {
        100.0 * self.total / self.one_pool
    }
}

fn print(server: &str, verdicts: &[Verdict]) {
    println!(
        "\n{server}: light user (2 clients, `select 1`) beside a heavy one (100 clients, queries that sleep for 5 ms), \
         budget {BUDGET} connections; medians\n"
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
    for (case, verdict) in CASES.iter().flat_map(|case| verdicts.iter().map(move |verdict| (*case, verdict))) {
        table.row([
            case.text().to_owned(),
            verdict.name.clone(),
            format!("{:.2}", verdict.light_ms(case, |light| light.logins.max())),
            format!("{:.2}", verdict.light_ms(case, |light| light.latencies.quantile(0.5))),
            format!("{:.2}", verdict.light_ms(case, |light| light.latencies.quantile(0.99))),
            format!("{:.2}", verdict.light_ms(case, |light| light.latencies.max())),
            whole(verdict.of_case(case, |shared| shared.light.per_second())),
            whole(verdict.of_case(case, |shared| shared.heavy.per_second())),
            format!("{:.1}", verdict.heavy_keeps(case)),
            verdict.errors(case).to_string(),
        ]);
    }
    print!("{}", table.markdown());
    println!("\n{EQUALS} equal users with {EQUAL_CLIENTS} clients each, queries that sleep for 5 ms; medians\n");
    let head =
        ["pooler", "Jain's index", "total q/s", "one pool q/s", "of one pool %", "reconnects/s", "re-keys/s", "errors"];
    let mut table = Table::new(head);
    for verdict in verdicts {
        table.row([
            verdict.name.clone(),
            format!("{:.4}", verdict.of_equals(|equals| equals.jain)),
            whole(verdict.of_equals(|equals| equals.total)),
            whole(verdict.of_equals(|equals| equals.one_pool)),
            format!("{:.1}", verdict.of_equals(Equals::of_one_pool)),
            format!("{:.1}", verdict.of_equals(|equals| equals.reconnects)),
            format!("{:.1}", verdict.of_equals(|equals| equals.rekeys)),
            verdict.rounds.iter().map(|round| round.equals.errors).sum::<u64>().to_string(),
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
    for case in CASES {
        let p99 = ours.light_ms(case, |light| light.latencies.quantile(0.99));
        check(&format!("light p99 {p99:.2} ms < 10 ms ({})", case.text()), p99 < 10.0);
        let share = ours.heavy_keeps(case);
        check(&format!("heavy keeps {share:.1} % ≥ 90 % ({})", case.text()), share >= 90.0);
    }
    let jain = ours.of_equals(|equals| equals.jain);
    check(&format!("Jain's index {jain:.4} ≥ 0.98"), jain >= 0.98);
    let total = ours.of_equals(Equals::of_one_pool);
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

const CASES: [Case; 3] = [Case::Joins, Case::BusyBefore, Case::Paced];
const BUDGET: u32 = 20;
const HEAVY_CLIENTS: usize = 100;
const LIGHT_CLIENTS: u32 = 2;
const EQUALS: usize = 8;
const EQUAL_CLIENTS: usize = 25;
/// One light query every 50 ms, all clients together.
const PACE: Duration = Duration::from_millis(50);
const SETTLE: Duration = Duration::from_secs(2);
/// Less would leave the p99 of 20 queries a second to chance.
const WINDOW_MIN: Duration = Duration::from_secs(8);
