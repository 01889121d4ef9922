//! `mysql_async`, in our own process.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts, Value, WhiteListFsHandler};

use crate::order::{Channel, Mode, Order, Outcome, Task};
use crate::scene::SECOND;

const MIB: usize = 1 << 20;
/// For one feature.
const LIMIT: Duration = Duration::from_secs(60);

/// Tries a feature, or only logs in.
pub(crate) fn attempt(order: &Order, feature: Option<&str>) -> Outcome {
    if matches!(feature, Some("found-rows")) {
        // Counts rows found always.
        return Outcome::Missing;
    }
    outcome_of(run(order, feature))
}

/// What comes of an attempt, in its own runtime and in time.
pub(crate) fn outcome_of(attempt: impl Future<Output = Result<()>>) -> Outcome {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::Fails(error.to_string()),
    };
    let in_time = async { tokio::time::timeout(LIMIT, attempt).await.context("it takes too long")? };
    Outcome::of(runtime.block_on(in_time))
}

async fn run(order: &Order, feature: Option<&str>) -> Result<()> {
    let user = User { order };
    match feature {
        None => user.log_in().await,
        Some("queries") => user.queries().await,
        Some("types") => user.types().await,
        Some("transactions") => user.transactions().await,
        Some("autocommit") => user.autocommit().await,
        Some("prepared") => user.prepared().await,
        Some("pieces") => user.pieces().await,
        Some("big-rows") => user.big_rows().await,
        Some("big-parameters") => user.big_parameters().await,
        Some("statements") => user.statements().await,
        Some("procedures") => user.procedures().await,
        Some("local-infile" | "local-infile-refused") => user.local_infile().await,
        Some("settings") => user.settings().await,
        Some("kill") => user.kill().await,
        Some("change-user") => user.change_user().await,
        Some("reset") => user.reset().await,
        Some("warnings") => user.warnings().await,
        Some("insert-id") => user.insert_id().await,
        Some("compression") => user.compression().await,
        Some(other) => anyhow::bail!("no such feature: {other}"),
    }
}

struct User<'o> {
    order: &'o Order,
}

impl User<'_> {
    fn options(&self) -> OptsBuilder {
        let Order { port, user, password, database, channel, ca, .. } = self.order;
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(*port)
            .user(Some(user))
            .pass(Some(password))
            .db_name(Some(database))
            .prefer_socket(false)
            .enable_cleartext_plugin(*channel == Channel::Tls);
        match channel {
            Channel::Plain => options,
            Channel::Compressed => options.compression(mysql_async::Compression::default()),
            Channel::Tls => options.ssl_opts(SslOpts::default().with_root_certs(vec![ca.clone().into()])),
        }
    }

    async fn connect(&self) -> Result<Conn> {
        Ok(Conn::new(Opts::from(self.options())).await?)
    }

    async fn log_in(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        equal(conn.query_first("select 1").await?, Some(1))?;
        Ok(conn.disconnect().await?)
    }

    async fn queries(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        equal(conn.query_first("select 1, 'a', null").await?, Some((1, "a".to_owned(), None::<u8>)))?;
        conn.query_drop("drop table if exists t_queries").await?;
        conn.query_drop("create table t_queries (id int primary key, word varchar(40))").await?;
        conn.query_drop("insert into t_queries values (1, 'x'), (2, 'y')").await?;
        equal(conn.affected_rows(), 2)?;
        fails(conn.query_drop("insert into t_queries values (1, 'again')").await, 1062)?;
        fails(conn.query_drop("selec").await, 1064)?;
        conn.ping().await?;
        let rows: Vec<(u8, String)> = conn.query("select id, word from t_queries order by id").await?;
        equal(rows, vec![(1, "x".to_owned()), (2, "y".to_owned())])?;
        Ok(conn.disconnect().await?)
    }

    async fn types(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        conn.query_drop("drop table if exists t_types").await?;
        conn.query_drop(
            "create table t_types (i int, u bigint unsigned, f double, s varchar(100) character set utf8mb4, b blob, \
             t datetime(6), m time, n int null)",
        )
        .await?;
        let values = vec![
            Value::Int(-2_147_483_648),
            Value::UInt(u64::MAX),
            Value::Double(0.1),
            Value::Bytes("naïve 🐘 “quoted”".into()),
            Value::Bytes((0..=255).collect()),
            Value::Date(2024, 2, 29, 23, 59, 59, 123_456),
            Value::Time(true, 1, 8, 30, 1, 0),
            Value::NULL,
        ];
        conn.exec_drop("insert into t_types values (?, ?, ?, ?, ?, ?, ?, ?)", values.clone()).await?;
        for _ in 0..2 {
            let row: Row =
                conn.exec_first("select * from t_types where i = ?", (-2_147_483_648,)).await?.context("a row")?;
            equal(row.unwrap(), values.clone())?;
        }
        let row: Row = conn.query_first("select i, f, hex(b), m, n from t_types").await?.context("a row")?;
        let hex: String = (0..=255).map(|byte| format!("{byte:02X}")).collect();
        let texts = ["-2147483648", "0.1", &hex, "-32:30:01"].map(|text| Value::Bytes(text.into()));
        equal(row.unwrap(), texts.into_iter().chain([Value::NULL]).collect())?;
        Ok(conn.disconnect().await?)
    }

    async fn transactions(&self) -> Result<()> {
        let (mut writer, mut reader) = (self.connect().await?, self.connect().await?);
        writer.query_drop("drop table if exists t_transactions").await?;
        writer.query_drop("create table t_transactions (n int)").await?;
        let count = "select count(*) from t_transactions";
        for (commits, rows) in [(true, 1), (false, 1), (true, 2)] {
            let mut transaction = writer.start_transaction(mysql_async::TxOpts::default()).await?;
            transaction.exec_drop("insert into t_transactions values (?)", (1,)).await?;
            ensure!(reader.query_first(count).await? < transaction.query_first::<u32, _>(count).await?);
            if commits {
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            equal(reader.query_first(count).await?, Some(rows))?;
        }
        // What is dropped is rolled back before the next statement.
        let mut transaction = writer.start_transaction(mysql_async::TxOpts::default()).await?;
        transaction.query_drop("insert into t_transactions values (1)").await?;
        drop(transaction);
        equal(writer.query_first(count).await?, Some(2))?;
        writer.disconnect().await?;
        Ok(reader.disconnect().await?)
    }

    async fn autocommit(&self) -> Result<()> {
        let (mut writer, mut reader) = (self.connect().await?, self.connect().await?);
        writer.query_drop("drop table if exists t_autocommit").await?;
        writer.query_drop("create table t_autocommit (n int)").await?;
        writer.query_drop("set autocommit = 0").await?;
        writer.query_drop("insert into t_autocommit values (1)").await?;
        equal(reader.query_first("select count(*) from t_autocommit").await?, Some(0))?;
        writer.query_drop("rollback").await?;
        equal(writer.query_first("select count(*), @@autocommit from t_autocommit").await?, Some((0, 0)))?;
        equal(reader.query_first("select @@autocommit").await?, Some(1))?;
        writer.query_drop("commit").await?;
        writer.disconnect().await?;
        Ok(reader.disconnect().await?)
    }

    async fn prepared(&self) -> Result<()> {
        let Task::Features { mode, .. } = self.order.task else { return Ok(()) };
        let mut conns = [self.connect().await?, self.connect().await?, self.connect().await?];
        let mut statements = Vec::new();
        for conn in &mut conns {
            statements.push(conn.prep("select ? + 1, @@pseudo_thread_id").await?);
        }
        let mut servers = std::collections::BTreeSet::new();
        for round in 0..12 {
            if mode != Mode::Statement {
                conns[round % 3].query_drop("start transaction").await?;
            }
            for (number, (conn, statement)) in (0_u32..).zip(conns.iter_mut().zip(&statements)) {
                let (sum, server): (u32, u64) = conn.exec_first(statement, (number,)).await?.context("a row")?;
                equal(sum, number + 1)?;
                servers.insert(server);
            }
            if mode != Mode::Statement {
                conns[round % 3].query_drop("rollback").await?;
            }
        }
        if mode == Mode::Transaction {
            equal(servers.len(), 2)?;
        }
        fails(conns[0].prep("select ? from nowhere").await.map(drop), 1146)?;
        for (conn, statement) in conns.into_iter().zip(statements) {
            let mut conn = conn;
            conn.close(statement).await?;
            conn.disconnect().await?;
        }
        Ok(())
    }

    async fn pieces(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        conn.query_drop("drop table if exists t_pieces").await?;
        conn.query_drop("create table t_pieces (n int)").await?;
        let rows = (0..1000).map(|n| format!("({n})")).collect::<Vec<_>>().join(", ");
        conn.query_drop(format!("insert into t_pieces values {rows}")).await?;
        let mut result = conn.exec_iter("select n from t_pieces order by n", ()).await?;
        let mut expected = 0;
        while let Some(row) = result.next().await? {
            equal(mysql_async::from_row::<u32>(row), expected)?;
            expected += 1;
        }
        equal(expected, 1000)?;
        result.drop_result().await?;
        Ok(conn.disconnect().await?)
    }

    async fn big_rows(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        for length in [300_000, 17 * MIB, (1 << 24) - 1 - 4] {
            let value: Vec<u8> = conn.query_first(format!("select repeat('x', {length})")).await?.context("a row")?;
            equal(value.len(), length)?;
            equal(conn.query_first("select 1").await?, Some(1))?;
        }
        Ok(conn.disconnect().await?)
    }

    async fn big_parameters(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        for length in [300_000, 17 * MIB] {
            let text = format!("select length('{}')", "x".repeat(length));
            equal(conn.query_first(text).await?, Some(length))?;
            equal(conn.exec_first("select length(?)", (vec![b'x'; length],)).await?, Some(length))?;
            equal(conn.query_first("select 1").await?, Some(1))?;
        }
        Ok(conn.disconnect().await?)
    }

    async fn statements(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        let mut result = conn.query_iter("select 1; select 2; set @x = 3; select @x + 0").await?;
        let mut seen: Vec<Vec<u8>> = Vec::new();
        while !result.is_empty() || result.affected_rows() == 0 && seen.len() < 4 {
            seen.push(result.collect().await?);
        }
        equal(seen, vec![vec![1], vec![2], vec![], vec![3]])?;
        drop(result);
        fails(conn.query_iter("select 1; selec").await?.drop_result().await, 1064)?;
        equal(conn.query_first("select 1").await?, Some(1))?;
        Ok(conn.disconnect().await?)
    }

    async fn procedures(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        conn.query_drop("drop procedure if exists two_results").await?;
        conn.query_drop("create procedure two_results(a int) begin select a; select a + 1; end").await?;
        for _ in 0..2 {
            let mut result = conn.exec_iter("call two_results(?)", (41,)).await?;
            let first: Vec<u8> = result.collect().await?;
            let second: Vec<u8> = result.collect().await?;
            equal((first, second), (vec![41], vec![42]))?;
            result.drop_result().await?;
            equal(conn.query_first("select 1").await?, Some(1))?;
        }
        Ok(conn.disconnect().await?)
    }

    async fn local_infile(&self) -> Result<()> {
        let refused = matches!(self.order.task, Task::Features { mode: Mode::Statement, .. });
        let file = tempfile::Builder::new().suffix(".csv").tempfile()?;
        std::fs::write(file.path(), (0..20_000).map(|n| format!("{n},word {n}\n")).collect::<String>())?;
        let handler = WhiteListFsHandler::new([file.path()]);
        let mut conn = Conn::new(Opts::from(self.options().local_infile_handler(Some(handler)))).await?;
        conn.query_drop("drop table if exists t_infile").await?;
        conn.query_drop("create table t_infile (n int, word varchar(20))").await?;
        let path = file.path().display();
        let load = format!("load data local infile '{path}' into table t_infile fields terminated by ','");
        let loaded = conn.query_drop(load).await;
        if refused {
            let number = match loaded {
                Err(mysql_async::Error::Server(error)) => error.code,
                other => anyhow::bail!("not refused: {other:?}"),
            };
            ensure!([1148, 3948, 4166].contains(&number), "refused with {number}");
        } else {
            loaded?;
        }
        let rows = if refused { 0 } else { 20_000 };
        equal(conn.query_first("select count(*) from t_infile").await?, Some(rows))?;
        Ok(conn.disconnect().await?)
    }

    async fn settings(&self) -> Result<()> {
        let (mut one, mut other) = (self.connect().await?, self.connect().await?);
        one.query_drop("set time_zone = '+05:00', sql_mode = 'ANSI_QUOTES'").await?;
        one.query_drop("set names latin1").await?;
        other.query_drop("set @mine = 'other'").await?;
        for _ in 0..4 {
            let seen = one.query_first("select @@time_zone, @@sql_mode, @@character_set_client, @mine").await?;
            let expected = ["+05:00", "ANSI_QUOTES", "latin1"].map(str::to_owned).into();
            equal(
                seen.map(|(a, b, c, d): (String, String, String, Option<u8>)| (vec![a, b, c], d)),
                Some((expected, None)),
            )?;
            let seen = other.exec_first("select @@time_zone, @mine", ()).await?;
            equal(seen, Some(("SYSTEM".to_owned(), "other".to_owned())))?;
        }
        one.disconnect().await?;
        Ok(other.disconnect().await?)
    }

    async fn kill(&self) -> Result<()> {
        let (mut victim, mut killer) = (self.connect().await?, self.connect().await?);
        let number = victim.id();
        equal(victim.query_first("select connection_id()").await?, Some(number))?;
        let began = Instant::now();
        let sleeping = tokio::spawn(async move {
            let slept = victim.query_first::<u8, _>("select sleep(25)").await;
            (victim, slept)
        });
        let find = "select count(*) from information_schema.processlist where info = 'select sleep(25)'";
        while killer.query_first::<u8, _>(find).await? != Some(1) {
            ensure!(began.elapsed() < Duration::from_secs(10), "it does not begin to sleep");
        }
        killer.query_drop(format!("kill query {number}")).await?;
        let (mut victim, slept) = sleeping.await?;
        ensure!(began.elapsed() < Duration::from_secs(20), "it slept to the end");
        if slept.as_ref().ok() != Some(&Some(1)) {
            fails(slept.map(drop), 1317)?;
        }
        equal(victim.query_first("select 1").await?, Some(1))?;
        victim.disconnect().await?;
        Ok(killer.disconnect().await?)
    }

    async fn change_user(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        conn.query_drop("set @mine = 1").await?;
        for user in [SECOND, &self.order.user, SECOND] {
            let options = mysql_async::ChangeUserOpts::new()
                .with_user(Some(user.to_owned()))
                .with_pass(Some(self.order.password.clone()))
                .with_db_name(Some(self.order.database.clone()));
            conn.change_user(options).await?;
            let seen: Option<(String, Option<u8>)> = conn.query_first("select current_user(), @mine").await?;
            equal(seen, Some((format!("{user}@%"), None)))?;
        }
        Ok(conn.disconnect().await?)
    }

    async fn reset(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        conn.query_drop("set @mine = 1, time_zone = '+03:00'").await?;
        conn.query_drop("create temporary table t_reset (n int)").await?;
        ensure!(conn.reset().await?, "no reset");
        let seen: Option<(Option<u8>, String)> = conn.query_first("select @mine, @@time_zone").await?;
        equal(seen, Some((None, "SYSTEM".to_owned())))?;
        fails(conn.query_drop("select * from t_reset").await, 1146)?;
        Ok(conn.disconnect().await?)
    }

    async fn warnings(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        conn.query_drop("select cast('abc' as signed)").await?;
        equal(conn.get_warnings(), 1)?;
        let seen: Option<(String, u16, String)> = conn.query_first("show warnings").await?;
        equal(seen.map(|(level, code, _)| (level, code)), Some(("Warning".to_owned(), 1292)))?;
        // MariaDB keeps them until a statement reads a table.
        conn.query_drop("select count(*) from information_schema.engines").await?;
        equal(conn.query_first::<Row, _>("show warnings").await?.is_none(), true)?;
        Ok(conn.disconnect().await?)
    }

    async fn insert_id(&self) -> Result<()> {
        let (mut conn, mut other) = (self.connect().await?, self.connect().await?);
        conn.query_drop("drop table if exists t_insert_id").await?;
        conn.query_drop("create table t_insert_id (id int primary key auto_increment, n int)").await?;
        for expected in [1, 3, 5] {
            conn.exec_drop("insert into t_insert_id (n) values (?)", (1,)).await?;
            equal(conn.last_insert_id(), Some(expected))?;
            other.query_drop("insert into t_insert_id (n) values (2)").await?;
            equal(conn.query_first("select last_insert_id()").await?, Some(expected))?;
            equal(other.exec_first("select last_insert_id()", ()).await?, Some(expected + 1))?;
        }
        conn.disconnect().await?;
        Ok(other.disconnect().await?)
    }

    async fn compression(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        for length in [1, 60, 5_000, 70_000, 300_000] {
            let text = "na".repeat(length);
            equal(conn.exec_first("select ?", (&text,)).await?, Some(text))?;
        }
        Ok(conn.disconnect().await?)
    }
}

fn fails(result: mysql_async::Result<()>, number: u16) -> Result<()> {
    match result {
        Err(mysql_async::Error::Server(error)) => equal(error.code, number),
        other => anyhow::bail!("{other:?} instead of error {number}"),
    }
}

pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(seen: T, expected: T) -> Result<()> {
    ensure!(seen == expected, "{seen:?} is not {expected:?}");
    Ok(())
}
