//! The demo's last part: VTTablet's pools as classes, each driven to its cap on a real server, and a limit on the
//! transactions of one user. It is also a test: a class that opens more than its term of the formula fails it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::mysql::{self, Install, Kind, Server, capability};
use testkit::{Evenkeel, Login, poll_until};

use crate::load::{Introduction, Load, Plan, Protocol};
use crate::report::{Table, ms, whole};
use crate::scene::{PASSWORD, Row, Scene, console};

/// Starts a server and Evenkeel with the preset, and shows what the classes and the limit do.
pub(super) fn show(binary: &Path) -> Result<()> {
    let kind = if Install::find(Kind::MySql).is_ok() { Kind::MySql } else { Kind::MariaDb };
    println!("\n==> start {} and Evenkeel with VTTablet's pools, classes = \"vttablet\"", kind.name());
    let server = scene(DRY_RUN).mysql(kind, mysql::Options::new().max_connections(BUDGET + OBSERVERS))?;
    let evenkeel = scene(DRY_RUN).evenkeel_mysql(binary, &server)?;
    saturate(&server, &evenkeel)?;
    evenkeel.reload(&scene(LIMITED).config_mysql(&server))?;
    limit(&evenkeel)
}

/// Drives every class beyond its cap, and compares what each holds with Vitess's formula.
fn saturate(server: &Server, evenkeel: &Evenkeel) -> Result<()> {
    let clients: usize = PRESET.iter().map(|drive| drive.term + BEYOND).sum();
    println!("\n==> {clients} clients, {BEYOND} more in each class than it has connections\n");
    let loads: Vec<_> = PRESET.iter().map(|drive| Load::start(&drive.plan(evenkeel))).collect::<Result<_>>()?;
    let full = || {
        let classes = by_name(evenkeel, "SHOW CLASSES", "class")?;
        let in_use = |drive: &Drive| classes.get(drive.class).map(|row| row.cell("in_use").to_owned());
        let full = PRESET.iter().all(|drive| in_use(drive) == Some(drive.term.to_string()));
        Ok(full.then_some(classes))
    };
    let classes = poll_until(SATURATED_WITHIN, "every class to be full", full)?;
    let sessions = server.processlist()?.into_iter().filter(|session| session.user != "root").count();
    let from = Instant::now();
    std::thread::sleep(WINDOW);
    let mut table = Table::new([
        "class",
        "VTTablet's metric",
        "of the formula",
        "capacity",
        "in use",
        "waiting",
        "statements/s",
        "answer p99 ms",
        "errors",
    ]);
    let mut sum = 0;
    for (drive, load) in PRESET.iter().zip(&loads) {
        let row = &classes[drive.class];
        let capacity = |metric: &str| {
            evenkeel.metric(&format!("vttablet_{metric}_capacity{{server=\"main\",class=\"{}\"}}", drive.class))
        };
        let sight = load.since(from);
        table.row([
            drive.class.to_owned(),
            format!("vttablet_{}_…", drive.metric),
            drive.term.to_string(),
            whole(capacity(drive.metric)?),
            row.cell("in_use").to_owned(),
            row.cell("waiting").to_owned(),
            whole(sight.per_second()),
            ms(sight.latencies.quantile(0.99)),
            sight.errors.to_string(),
        ]);
        ensure!(sight.errors == 0, "{}: {}", drive.class, sight.last_error.unwrap_or_default());
        sum += drive.term;
    }
    print!("{}", table.markdown());
    let terms = by_name(evenkeel, "SHOW SUM", "term")?;
    let caps = terms.get("caps").context("SHOW SUM has no term caps")?;
    println!(
        "\nSHOW SUM says {} = {}; the server counts {sessions} sessions",
        caps.cell("how"),
        caps.cell("connections")
    );
    ensure!(caps.cell("connections") == sum.to_string(), "the formula says {sum}");
    ensure!(sessions <= sum, "the server counts {sessions} sessions, the formula says {sum}");
    let parties = by_name(evenkeel, "SHOW TRANSACTION_LIMITS", "party")?;
    let web = parties.get(WEB).context("SHOW TRANSACTION_LIMITS has no party web")?;
    println!(
        "transaction_limit, dry run: {WEB} has {} transactions; with mode = \"on\" the limit would be {}, and {} would have been refused",
        web.cell("transactions"),
        web.cell("limit"),
        web.cell("dry_run"),
    );
    Ok(())
}

/// One user that wants all connections for transactions, and one that wants a few, under the limit.
fn limit(evenkeel: &Evenkeel) -> Result<()> {
    println!("\n==> reload with mode = \"on\": two users with transactions of 50 ms\n");
    let crowds = [(GREEDY, 40), (MODEST, 4)];
    let start = |(user, clients)| Load::start(&plan(evenkeel, user, clients, "begin;\nselect sleep(0.050);\ncommit"));
    let loads: Vec<_> = crowds.into_iter().map(start).collect::<Result<_>>()?;
    let from = Instant::now();
    let mut most = BTreeMap::new();
    let mut parties = BTreeMap::new();
    while from.elapsed() < WINDOW {
        parties = by_name(evenkeel, "SHOW TRANSACTION_LIMITS", "party")?;
        for (user, _) in crowds {
            let now: u32 = parties.get(user).map_or(Ok(0), |row| row.cell("transactions").parse())?;
            let most = most.entry(user).or_insert(now);
            *most = now.max(*most);
        }
        std::thread::sleep(LOOK_PERIOD);
    }
    let mut table =
        Table::new(["user", "clients", "transactions at once", "limit", "per second", "answer p99 ms", "refused"]);
    for ((user, clients), load) in crowds.iter().zip(&loads) {
        let sight = load.since(from);
        let row = parties.get(*user).with_context(|| format!("SHOW TRANSACTION_LIMITS has no party {user}"))?;
        let (limit, refused): (u32, u64) = (row.cell("limit").parse()?, row.cell("refused").parse()?);
        table.row([
            (*user).to_owned(),
            clients.to_string(),
            most[user].to_string(),
            limit.to_string(),
            whole(sight.per_second()),
            ms(sight.latencies.quantile(0.99)),
            refused.to_string(),
        ]);
        ensure!(most[user] <= limit, "{user} had {} transactions, the limit is {limit}", most[user]);
        ensure!((refused > 0) == (*user == GREEDY), "{user} was refused {refused} transactions");
    }
    print!("{}", table.markdown());
    Ok(())
}

/// Who drives a class of the preset, and by what.
struct Drive {
    class: &'static str,
    /// VTTablet's name of the pool in its metrics.
    metric: &'static str,
    /// Its term of the formula of Vitess's page on connection pools.
    term: usize,
    user: &'static str,
    sql: &'static str,
    introduction: Introduction,
}

const STATEMENT: &str = "select sleep(0.200)";
const TRANSACTION: &str = "begin;\nselect sleep(0.200);\ncommit";

const fn drive(class: &'static str, metric: &'static str, term: usize, program: &'static str) -> Drive {
    let introduction = Introduction { program: Some(program), capabilities: 0, opening: None };
    Drive { class, metric, term, user: WEB, sql: STATEMENT, introduction }
}

impl Drive {
    const fn begins(self) -> Self {
        Self { sql: TRANSACTION, ..self }
    }

    const fn of(self, user: &'static str) -> Self {
        Self { user, ..self }
    }

    const fn says(self, capabilities: u32, opening: Option<&'static str>) -> Self {
        let introduction = Introduction { capabilities, opening, ..self.introduction };
        Self { introduction, ..self }
    }

    fn plan(&self, evenkeel: &Evenkeel) -> Plan {
        let introduction = self.introduction.clone();
        Plan { introduction, ..plan(evenkeel, self.user, self.term + BEYOND, self.sql) }
    }
}

fn plan(evenkeel: &Evenkeel, user: &str, clients: usize, sql: &str) -> Plan {
    Plan {
        protocol: Protocol::MySql,
        address: evenkeel.mysql_address(),
        user: user.to_owned(),
        password: PASSWORD.to_owned(),
        database: "shop".to_owned(),
        clients,
        sql: sql.to_owned(),
        period: Duration::ZERO,
        introduction: Introduction::default(),
    }
}

/// The preset, and what is done about transactions beyond the limit.
fn scene(sections: &'static str) -> Scene<'static> {
    Scene {
        budget: BUDGET,
        users: &[(WEB, Login::Scram), ("vt_dba", Login::Scram), (GREEDY, Login::Scram), (MODEST, Login::Scram)],
        databases: &["shop"],
        server_keys: "classes = \"vttablet\"\n",
        sections,
    }
}

/// A table of the console by the cells of one column.
fn by_name(evenkeel: &Evenkeel, command: &str, column: &str) -> Result<BTreeMap<String, Row>> {
    Ok(console(evenkeel, command)?.into_iter().map(|row| (row.cell(column).to_owned(), row)).collect())
}

/// VTTablet's pools.
const PRESET: [Drive; 10] = [
    drive("transaction", "transaction_pool", 20, "web").begins(),
    drive("found_rows", "found_rows_pool", 20, "web").begins().says(capability::FOUND_ROWS, None),
    drive("oltp", "conn_pool", 16, "web"),
    drive("stream", "stream_conn_pool", 200, "web").says(0, Some("set workload = 'olap'")),
    drive("dba", "dba_conn_pool", 20, "mysql").of("vt_dba"),
    drive("app", "app_conn_pool", 40, "vreplication-1"),
    drive("tx_read", "tx_read_pool", 3, "tx_read"),
    drive("online_ddl_executor", "online_ddl_executor_pool", 3, "gh-ost"),
    drive("table_gc", "table_gc_pool", 2, "table_gc"),
    drive("throttler", "throttler_pool", 2, "throttler"),
];
/// How many more clients come than a class has connections.
const BEYOND: usize = 4;
const BUDGET: u32 = 340;
/// Connections of the server beyond the budget.
const OBSERVERS: u32 = 40;
const WEB: &str = "web";
const GREEDY: &str = "greedy";
const MODEST: &str = "modest";
const DRY_RUN: &str = "[transaction_limit]\nmode = \"dry_run\"\nper_user = 0.4\n\n[metrics]\nvttablet_names = true\n\n";
const LIMITED: &str = "[transaction_limit]\nmode = \"on\"\nper_user = 0.4\n\n[metrics]\nvttablet_names = true\n\n";
const SATURATED_WITHIN: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(4);
const LOOK_PERIOD: Duration = Duration::from_millis(100);
