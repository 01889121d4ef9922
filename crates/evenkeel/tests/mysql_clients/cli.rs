//! The command lines: what users type into them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::mysql::{Cli, Kind};
use testkit::poll_until;
use testkit::process::run_within;

use crate::order::{Channel, Mode, Order, Outcome, Task};

const MIB: usize = 1 << 20;
const LIMIT: Duration = Duration::from_secs(10);
/// Less than the sleep that is interrupted.
const SLEEP_LIMIT: Duration = Duration::from_secs(20);

/// Tries a feature, or only logs in.
pub(crate) fn attempt(kind: Kind, order: &Order, feature: Option<&str>) -> Outcome {
    let line = match Line::new(kind, order) {
        Ok(line) => line,
        Err(error) => return Outcome::Fails(format!("{error:#}")),
    };
    Outcome::of(match feature {
        None => line.says("select 1", "1"),
        Some("queries") => line.queries(),
        Some("types") => line.types(),
        Some("transactions") => line.transactions(),
        Some("autocommit") => line.autocommit(),
        Some("prepared") => line.prepared(),
        Some("pieces") => line.pieces(),
        Some("big-rows") => line.big_rows(),
        Some("big-parameters") => line.big_parameters(),
        Some("statements") => line.says("select 1; select 'two', 2; set @x = 3; select @x + 0", "1\ntwo\t2\n3"),
        Some("procedures") => line.procedures(),
        Some("local-infile" | "local-infile-refused") => line.local_infile(),
        Some("settings") => line.settings(),
        Some("kill") => line.kill(),
        Some("change-user") => return Outcome::Missing,
        Some("reset") if kind == Kind::MariaDb => return Outcome::Missing,
        Some("reset") => line.reset(),
        Some("warnings") => line.warnings(),
        Some("insert-id") => line.insert_id(),
        Some("found-rows") => return Outcome::Missing,
        Some("compression") => line.compression(),
        Some(other) => Err(anyhow::anyhow!("no such feature: {other}")),
    })
}

/// A command line, and where it goes.
struct Line<'o> {
    kind: Kind,
    cli: Cli,
    order: &'o Order,
}

impl<'o> Line<'o> {
    fn new(kind: Kind, order: &'o Order) -> Result<Self> {
        let mut cli =
            Cli::new(kind, order.port, &order.user, &order.password)?.option("--default-character-set=utf8mb4");
        if kind == Kind::MySql {
            // Its own commands, such as `source`, which are off by default.
            cli = cli.option("--commands");
        }
        if kind == Kind::MySql && order.channel != Channel::Tls {
            cli = cli.option("--get-server-public-key");
        }
        let options = match (kind, order.channel) {
            (Kind::MariaDb, Channel::Plain) => vec!["--skip-ssl".to_owned()],
            (Kind::MariaDb, Channel::Compressed) => vec!["--skip-ssl".to_owned(), "--compress".to_owned()],
            (Kind::MariaDb, Channel::Tls) => vec!["--ssl".to_owned(), format!("--ssl-ca={}", order.ca.display())],
            (Kind::MySql, Channel::Plain) => vec!["--ssl-mode=DISABLED".to_owned()],
            (Kind::MySql, Channel::Compressed) => {
                ["--ssl-mode=DISABLED", "--compression-algorithms=zstd"].map(str::to_owned).into()
            }
            (Kind::MySql, Channel::Tls) => {
                vec!["--ssl-mode=VERIFY_CA".to_owned(), format!("--ssl-ca={}", order.ca.display())]
            }
        };
        Ok(Self { kind, cli: options.iter().fold(cli, |cli, option| cli.option(option)), order })
    }

    fn run(&self, sql: &str) -> Result<String> {
        self.cli.sql(&self.order.database, sql)
    }

    fn with(&self, option: &str) -> Self {
        Self { kind: self.kind, cli: self.cli.clone().option(option), order: self.order }
    }

    /// What is said about a script in a file, as `source` or a redirection would have it.
    fn source(&self, script: &str) -> Result<String> {
        let file = tempfile::Builder::new().suffix(".sql").tempfile()?;
        fs::write(file.path(), script)?;
        self.run(&format!("source {}", file.path().display()))
    }

    fn says(&self, sql: &str, expected: &str) -> Result<()> {
        equal(&self.run(sql)?, expected, sql)
    }

    /// Runs what must fail with this error.
    fn fails(&self, sql: &str, number: u16) -> Result<()> {
        let error = self.run(sql).err().with_context(|| format!("{sql} does not fail"))?.to_string();
        ensure!(error.contains(&format!("ERROR {number}")), "{sql}: {error}");
        Ok(())
    }

    fn compression(&self) -> Result<()> {
        [1, 60, 5_000, 70_000, 300_000]
            .into_iter()
            .try_for_each(|length| self.says(&format!("select repeat('na', {length})"), &"na".repeat(length)))
    }

    fn queries(&self) -> Result<()> {
        self.says("select 1, 'a', null", "1\ta\tNULL")?;
        self.run("drop table if exists t_queries; create table t_queries (id int primary key, word varchar(40))")?;
        self.with("-vv").run("insert into t_queries values (1, 'it''s'), (2, 'b')").and_then(|said| {
            ensure!(said.contains("2 rows affected") && said.contains("Records: 2"), "{said}");
            Ok(())
        })?;
        self.fails("insert into t_queries values (1, 'again')", 1062)?;
        self.fails("selec", 1064)?;
        self.says("select id, word from t_queries order by id", "1\tit's\n2\tb")?;
        let status = self.run("status")?;
        ensure!(status.contains(&self.order.user) && status.contains(&self.order.database), "{status}");
        self.says("use information_schema; select database()", "information_schema")
    }

    fn types(&self) -> Result<()> {
        self.run(
            "drop table if exists t_types; create table t_types (i int, u bigint unsigned, d decimal(20,6), f double, \
             s varchar(100) character set utf8mb4, b blob, t datetime(6), m time, y date, n int null, e enum('a','b')); \
             insert into t_types values (-2147483648, 18446744073709551615, 12345678901234.567891, 0.1, 'naïve 🐘 “quoted”', \
             0x00ff0a5c27, '2024-02-29 23:59:59.123456', '-08:30:01', '1999-12-31', null, 'b')",
        )?;
        self.says(
            "select i, u, d, f, s, hex(b), t, m, y, n, e from t_types",
            "-2147483648\t18446744073709551615\t12345678901234.567891\t0.1\tnaïve 🐘 “quoted”\t00FF0A5C27\t\
             2024-02-29 23:59:59.123456\t-08:30:01\t1999-12-31\tNULL\tb",
        )
    }

    fn transactions(&self) -> Result<()> {
        self.run("drop table if exists t_transactions; create table t_transactions (n int)")?;
        self.says(
            "start transaction; insert into t_transactions values (1); rollback; select count(*) from t_transactions; \
             start transaction; insert into t_transactions values (2); commit; select n from t_transactions",
            "0\n2",
        )?;
        // Leaving is a rollback.
        self.run("start transaction; insert into t_transactions values (3)")?;
        self.says("select count(*) from t_transactions", "1")
    }

    fn autocommit(&self) -> Result<()> {
        self.run("drop table if exists t_autocommit; create table t_autocommit (n int)")?;
        self.with("--init-command=set autocommit = 0").run("insert into t_autocommit values (1)")?;
        self.says("select count(*) from t_autocommit; select @@autocommit", "0\n1")?;
        self.with("--init-command=set autocommit = 0")
            .says("insert into t_autocommit values (1); commit; select @@autocommit", "0")?;
        self.says("select count(*) from t_autocommit", "1")
    }

    fn prepared(&self) -> Result<()> {
        self.says(
            "prepare s from 'select ? + 1'; set @one = 1; execute s using @one; set @one = null; execute s using @one; \
             deallocate prepare s",
            "2\nNULL",
        )?;
        self.fails("prepare s from 'select 1'; deallocate prepare s; execute s", 1243)
    }

    fn pieces(&self) -> Result<()> {
        let rows = (0..1000).map(|n| format!("({n})")).collect::<Vec<_>>().join(", ");
        self.run(&format!(
            "drop table if exists t_pieces; create table t_pieces (n int); insert into t_pieces values {rows}"
        ))?;
        let expected = (0..1000).map(|n: u32| n.to_string()).collect::<Vec<_>>().join("\n");
        self.with("--quick").says("select n from t_pieces order by n", &expected)
    }

    fn big_rows(&self) -> Result<()> {
        let line = self.with("--max-allowed-packet=128M");
        let said = line.run(&format!("select repeat('x', {}); select 1", 17 * MIB))?;
        let (row, rest) = said.split_once('\n').context("one row")?;
        ensure!(row.len() == 17 * MIB && row.bytes().all(|byte| byte == b'x') && rest == "1", "{} bytes", row.len());
        Ok(())
    }

    fn big_parameters(&self) -> Result<()> {
        let line = self.with("--max-allowed-packet=128M");
        let said = line.source(&format!("select length('{}');\nselect 1;\n", "x".repeat(17 * MIB)))?;
        equal(&said, &format!("{}\n1", 17 * MIB), "a text of 17 MiB")
    }

    fn procedures(&self) -> Result<()> {
        self.source(
            "drop procedure if exists two_results;\ndelimiter //\n\
             create procedure two_results(a int) begin select a; select a + 1, 'b'; end//\ndelimiter ;\n",
        )?;
        self.says("call two_results(41); select 1; call two_results(1)", "41\n42\tb\n1\n1\n2\tb")
    }

    fn local_infile(&self) -> Result<()> {
        let file = tempfile::Builder::new().suffix(".csv").tempfile()?;
        fs::write(file.path(), (0..20_000).map(|n| format!("{n},word {n}\n")).collect::<String>())?;
        self.run("drop table if exists t_infile; create table t_infile (n int, word varchar(20))")?;
        let load =
            format!("load data local infile '{}' into table t_infile fields terminated by ','", file.path().display());
        let line = self.with("--local-infile=1");
        if matches!(self.order.task, Task::Features { mode: Mode::Statement, .. }) {
            let error = line.run(&load).err().context("the file was loaded")?.to_string();
            ensure!(["1148", "3948", "2068", "4166"].iter().any(|number| error.contains(number)), "{error}");
            return line.says("select count(*) from t_infile", "0");
        }
        line.run(&load)?;
        line.says("select count(*), max(word) from t_infile", "20000\tword 9999")
    }

    fn settings(&self) -> Result<()> {
        self.says(
            "set time_zone = '+05:00', sql_mode = 'ANSI_QUOTES'; set names latin1; \
             select @@time_zone, @@sql_mode, @@character_set_client, @mine; select 1; \
             set names utf8mb4; set @mine = 2; select '🐘', @@time_zone, @mine + 0",
            "+05:00\tANSI_QUOTES\tlatin1\tNULL\n1\n🐘\t+05:00\t2",
        )?;
        self.says("select @@time_zone", "SYSTEM")
    }

    fn kill(&self) -> Result<()> {
        self.run("drop table if exists t_kill; create table t_kill (id bigint)")?;
        let sql = "insert into t_kill values (connection_id()); select sleep(25); select 'after'";
        let sleepy = self.with("--force");
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let mut command = sleepy.cli.command();
                command.args([&format!("--database={}", self.order.database), "--execute", sql]);
                run_within(SLEEP_LIMIT, &command)
            });
            let find = "select count(*) from information_schema.processlist where info = 'select sleep(25)'";
            poll_until(LIMIT, "the query", || Ok((self.run(find)? == "1").then_some(())))?;
            self.run(&format!("kill query {}", self.run("select id from t_kill")?))?;
            // Interrupted, it is a result or an error, as the server has it; what follows runs in any case.
            match sleeper.join() {
                Ok(Ok(said)) => equal(&said, "1\nafter", "sleeping"),
                Ok(Err(error)) => {
                    ensure!(error.to_string().contains("1317"), "{error}");
                    Ok(())
                }
                Err(_) => Err(anyhow::anyhow!("the sleeper panicked")),
            }
        })
    }

    fn reset(&self) -> Result<()> {
        // Its own commands are understood at the beginning of a line only.
        equal(&self.source("set @mine = 1;\nresetconnection\nselect @mine;\n")?, "NULL", "a reset")
    }

    fn warnings(&self) -> Result<()> {
        let said = self.with("--show-warnings").run("select cast('abc' as signed)")?;
        ensure!(said.starts_with('0') && said.contains("1292"), "{said}");
        let said = self.run(
            "select cast('abc' as signed); show warnings; \
             select count(*) > 0 from information_schema.engines; show warnings",
        )?;
        ensure!(said.matches("1292").count() == 1 && said.ends_with("\n1"), "{said}");
        Ok(())
    }

    fn insert_id(&self) -> Result<()> {
        self.run(
            "drop table if exists t_insert_id; create table t_insert_id (id int primary key auto_increment, n int)",
        )?;
        self.says(
            "insert into t_insert_id (n) values (1); select last_insert_id(); select 'x'; select last_insert_id(); \
             insert into t_insert_id (n) values (2); select last_insert_id()",
            "1\nx\n1\n2",
        )?;
        self.says("select last_insert_id()", "0")
    }
}

fn equal(seen: &str, expected: &str, about: &str) -> Result<()> {
    let about: String = about.chars().take(200).collect();
    ensure!(seen == expected, "{about}\ngave {seen:?}\nnot  {expected:?}");
    Ok(())
}
