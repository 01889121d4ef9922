//! `sqlx`, in our own process: statements with parameters are prepared, and kept for the connection.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::{ConnectOptions, Connection, Row, query, query_as, query_scalar, raw_sql};

use crate::asynchronous::{equal, outcome_of};
use crate::order::{Channel, Mode, Order, Outcome, Task};

const MIB: usize = 1 << 20;

/// Tries a feature, or only logs in.
pub(crate) fn attempt(order: &Order, feature: Option<&str>) -> Outcome {
    match feature {
        // It counts rows found always.
        Some("local-infile" | "local-infile-refused" | "change-user" | "reset" | "found-rows" | "compression") => {
            Outcome::Missing
        }
        feature => outcome_of(run(order, feature)),
    }
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
        Some("settings") => user.settings().await,
        Some("kill") => user.kill().await,
        Some("warnings") => user.warnings().await,
        Some("insert-id") => user.insert_id().await,
        Some(other) => anyhow::bail!("no such feature: {other}"),
    }
}

struct User<'o> {
    order: &'o Order,
}

impl User<'_> {
    async fn connect(&self) -> Result<MySqlConnection> {
        let Order { port, user, password, database, channel, ca, .. } = self.order;
        let options = MySqlConnectOptions::new().host("127.0.0.1").port(*port);
        let options = options.username(user).password(password).database(database);
        let options = match channel {
            Channel::Plain | Channel::Compressed => options.ssl_mode(MySqlSslMode::Disabled),
            Channel::Tls => options.ssl_mode(MySqlSslMode::VerifyCa).ssl_ca(ca),
        };
        Ok(options.connect().await?)
    }

    async fn log_in(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        equal(query_scalar::<_, i64>("select 1").fetch_one(&mut conn).await?, 1)?;
        Ok(conn.close().await?)
    }

    async fn queries(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        let row: (i64, String, Option<i64>) = query_as("select 1, 'a', null").fetch_one(&mut conn).await?;
        equal(row, (1, "a".to_owned(), None))?;
        fresh_table(&mut conn, "t_queries", "id int primary key, word varchar(40)").await?;
        let inserted = query("insert into t_queries values (1, ?), (2, ?)").bind("it's").bind("b");
        equal(inserted.execute(&mut conn).await?.rows_affected(), 2)?;
        fails(query("insert into t_queries values (1, 'again')").execute(&mut conn).await, 1062)?;
        fails(raw_sql("selec").execute(&mut conn).await, 1064)?;
        conn.ping().await?;
        let rows: Vec<(i32, String)> =
            query_as("select id, word from t_queries order by id").fetch_all(&mut conn).await?;
        equal(rows, vec![(1, "it's".to_owned()), (2, "b".to_owned())])?;
        Ok(conn.close().await?)
    }

    async fn types(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        let columns = "i int, u bigint unsigned, f double, s varchar(100) character set utf8mb4, b blob, n int null";
        fresh_table(&mut conn, "t_types", columns).await?;
        let bytes: Vec<u8> = (0..=255).collect();
        let insert = query("insert into t_types values (?, ?, ?, ?, ?, ?)").bind(i32::MIN).bind(u64::MAX).bind(0.1);
        insert.bind("naïve 🐘 “quoted”").bind(&bytes).bind(None::<i32>).execute(&mut conn).await?;
        for _ in 0..2 {
            let row: (i32, u64, f64, String, Vec<u8>, Option<i32>) =
                query_as("select * from t_types where i = ?").bind(i32::MIN).fetch_one(&mut conn).await?;
            equal(row, (i32::MIN, u64::MAX, 0.1, "naïve 🐘 “quoted”".to_owned(), bytes.clone(), None))?;
        }
        let row = raw_sql("select i, u, n from t_types").fetch_one(&mut conn).await?;
        equal((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?), (i32::MIN, u64::MAX, None::<i32>))?;
        Ok(conn.close().await?)
    }

    async fn transactions(&self) -> Result<()> {
        let (mut writer, mut reader) = (self.connect().await?, self.connect().await?);
        fresh_table(&mut writer, "t_transactions", "n int").await?;
        let count = "select count(*) from t_transactions";
        for (commits, rows) in [(true, 1), (false, 1), (true, 2)] {
            let mut transaction = writer.begin().await?;
            query("insert into t_transactions values (?)").bind(1).execute(&mut *transaction).await?;
            let inside: i64 = query_scalar(count).fetch_one(&mut *transaction).await?;
            ensure!(query_scalar::<_, i64>(count).fetch_one(&mut reader).await? < inside);
            if commits {
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            equal(query_scalar::<_, i64>(count).fetch_one(&mut reader).await?, rows)?;
        }
        // What is dropped is rolled back before the next statement.
        let mut transaction = writer.begin().await?;
        raw_sql("insert into t_transactions values (1)").execute(&mut *transaction).await?;
        drop(transaction);
        equal(query_scalar::<_, i64>(count).fetch_one(&mut writer).await?, 2)?;
        writer.close().await?;
        Ok(reader.close().await?)
    }

    async fn autocommit(&self) -> Result<()> {
        let (mut writer, mut reader) = (self.connect().await?, self.connect().await?);
        fresh_table(&mut writer, "t_autocommit", "n int").await?;
        let count = "select count(*) from t_autocommit";
        raw_sql("set autocommit = 0").execute(&mut writer).await?;
        query("insert into t_autocommit values (1)").execute(&mut writer).await?;
        equal(query_scalar::<_, i64>(count).fetch_one(&mut reader).await?, 0)?;
        raw_sql("rollback").execute(&mut writer).await?;
        equal(query_scalar::<_, i64>(count).fetch_one(&mut writer).await?, 0)?;
        equal(query_scalar::<_, i64>("select @@autocommit").fetch_one(&mut reader).await?, 1)?;
        raw_sql("commit").execute(&mut writer).await?;
        writer.close().await?;
        Ok(reader.close().await?)
    }

    async fn prepared(&self) -> Result<()> {
        let Task::Features { mode, .. } = self.order.task else { return Ok(()) };
        let mut conns = [self.connect().await?, self.connect().await?, self.connect().await?];
        let mut servers = std::collections::BTreeSet::new();
        for round in 0..12 {
            if mode != Mode::Statement {
                raw_sql("start transaction").execute(&mut conns[round % 3]).await?;
            }
            for (number, conn) in (0_i64..).zip(&mut conns) {
                let (sum, server): (i64, u64) =
                    query_as("select ? + 1, cast(@@pseudo_thread_id as unsigned)").bind(number).fetch_one(conn).await?;
                equal(sum, number + 1)?;
                servers.insert(server);
            }
            if mode != Mode::Statement {
                raw_sql("rollback").execute(&mut conns[round % 3]).await?;
            }
        }
        if mode == Mode::Transaction {
            equal(servers.len(), 2)?;
        }
        fails(query("select ? from nowhere").bind(1).execute(&mut conns[0]).await, 1146)?;
        for mut conn in conns {
            conn.clear_cached_statements().await?;
            conn.close().await?;
        }
        Ok(())
    }

    async fn pieces(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        fresh_table(&mut conn, "t_pieces", "n int").await?;
        let rows = (0..1000).map(|n| format!("({n})")).collect::<Vec<_>>().join(", ");
        raw_sql(&format!("insert into t_pieces values {rows}")).execute(&mut conn).await?;
        let (mut expected, ordered) = (0, "select n from t_pieces order by n");
        let mut numbers = query_scalar::<_, i32>(ordered).fetch(&mut conn);
        while let Some(number) = std::future::poll_fn(|cx| numbers.as_mut().poll_next(cx)).await {
            equal(number?, expected)?;
            expected += 1;
        }
        drop(numbers);
        equal(expected, 1000)?;
        Ok(conn.close().await?)
    }

    async fn big_rows(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        for length in [300_000, 17 * MIB, (1 << 24) - 1 - 4] {
            let row = raw_sql(&format!("select repeat('x', {length})")).fetch_one(&mut conn).await?;
            equal(row.try_get::<&[u8], _>(0)?.len(), length)?;
            equal(query_scalar::<_, i64>("select 1").fetch_one(&mut conn).await?, 1)?;
        }
        Ok(conn.close().await?)
    }

    async fn big_parameters(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        for length in [300_000, 17 * MIB] {
            let found =
                query_scalar::<_, i64>("select length(?)").bind(vec![b'x'; length]).fetch_one(&mut conn).await?;
            equal(found, length as i64)?;
            let row = raw_sql(&format!("select length('{}')", "x".repeat(length))).fetch_one(&mut conn).await?;
            equal(row.try_get::<i64, _>(0)?, length as i64)?;
        }
        Ok(conn.close().await?)
    }

    async fn statements(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        let rows = raw_sql("select 1; select 2; set @x = 3; select @x + 0").fetch_all(&mut conn).await?;
        let numbers = rows.iter().map(|row| row.try_get::<i64, _>(0)).collect::<Result<Vec<_>, _>>()?;
        equal(numbers, vec![1, 2, 3])?;
        fails(raw_sql("select 1; selec").execute(&mut conn).await, 1064)?;
        equal(query_scalar::<_, i64>("select 1").fetch_one(&mut conn).await?, 1)?;
        Ok(conn.close().await?)
    }

    async fn procedures(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        raw_sql("drop procedure if exists two_results").execute(&mut conn).await?;
        let body = "create procedure two_results(a int) begin select a; select a + 1; end";
        raw_sql(body).execute(&mut conn).await?;
        for _ in 0..2 {
            let rows = raw_sql("call two_results(41)").fetch_all(&mut conn).await?;
            equal(rows.len(), 2)?;
            equal(rows[0].try_get::<i32, _>(0)?, 41)?;
            equal(query_scalar::<_, i64>("select 1").fetch_one(&mut conn).await?, 1)?;
        }
        Ok(conn.close().await?)
    }

    async fn settings(&self) -> Result<()> {
        let (mut one, mut other) = (self.connect().await?, self.connect().await?);
        raw_sql("set time_zone = '+05:00', sql_mode = 'ANSI_QUOTES'").execute(&mut one).await?;
        raw_sql("set names latin1").execute(&mut one).await?;
        raw_sql("set @mine = 'other'").execute(&mut other).await?;
        for _ in 0..4 {
            let seen =
                "select convert(concat_ws(',', @@time_zone, @@sql_mode, @@character_set_client, @mine) using utf8mb4)";
            let seen: String = query_scalar(seen).fetch_one(&mut one).await?;
            equal(&*seen, "+05:00,ANSI_QUOTES,latin1")?;
            // What sqlx sets itself when it connects.
            let seen = "select convert(concat_ws(',', @@time_zone, @mine) using utf8mb4)";
            let seen: String = query_scalar(seen).fetch_one(&mut other).await?;
            equal(&*seen, "+00:00,other")?;
        }
        one.close().await?;
        Ok(other.close().await?)
    }

    async fn kill(&self) -> Result<()> {
        let (mut victim, mut killer) = (self.connect().await?, self.connect().await?);
        let number: u64 = query_scalar("select cast(connection_id() as unsigned)").fetch_one(&mut victim).await?;
        let began = Instant::now();
        let find = "select count(*) from information_schema.processlist where info = 'select sleep(25)'";
        let kill = async {
            while query_scalar::<_, i64>(find).fetch_one(&mut killer).await? != 1 {
                ensure!(began.elapsed() < Duration::from_secs(10), "it does not begin to sleep");
            }
            raw_sql(&format!("kill query {number}")).execute(&mut killer).await?;
            Ok(())
        };
        let (slept, killed) = tokio::join!(raw_sql("select sleep(25)").fetch_one(&mut victim), kill);
        killed?;
        ensure!(began.elapsed() < Duration::from_secs(20), "it slept to the end");
        match slept {
            Ok(row) => equal(row.try_get::<i32, _>(0)?, 1)?,
            slept => fails(slept, 1317)?,
        }
        equal(query_scalar::<_, i64>("select 1").fetch_one(&mut victim).await?, 1)?;
        victim.close().await?;
        Ok(killer.close().await?)
    }

    async fn warnings(&self) -> Result<()> {
        let mut conn = self.connect().await?;
        raw_sql("select cast('abc' as signed)").execute(&mut conn).await?;
        let rows = raw_sql("show warnings").fetch_all(&mut conn).await?;
        equal(rows.len(), 1)?;
        equal(rows[0].try_get_unchecked::<u32, _>(1)?, 1292)?;
        Ok(conn.close().await?)
    }

    async fn insert_id(&self) -> Result<()> {
        let (mut conn, mut other) = (self.connect().await?, self.connect().await?);
        fresh_table(&mut conn, "t_insert_id", "id int primary key auto_increment, n int").await?;
        let last = "select cast(last_insert_id() as unsigned)";
        for expected in [1, 3, 5] {
            let inserted = query("insert into t_insert_id (n) values (?)").bind(1).execute(&mut conn).await?;
            equal(inserted.last_insert_id(), expected)?;
            raw_sql("insert into t_insert_id (n) values (2)").execute(&mut other).await?;
            equal(query_scalar::<_, u64>(last).fetch_one(&mut conn).await?, expected)?;
            equal(query_scalar::<_, u64>(last).fetch_one(&mut other).await?, expected + 1)?;
        }
        conn.close().await?;
        Ok(other.close().await?)
    }
}

async fn fresh_table(conn: &mut MySqlConnection, name: &str, columns: &str) -> Result<()> {
    raw_sql(&format!("drop table if exists {name}; create table {name} ({columns})")).execute(conn).await?;
    Ok(())
}

fn fails<T: std::fmt::Debug>(result: sqlx::Result<T>, number: u16) -> Result<()> {
    let error = match result {
        Err(sqlx::Error::Database(error)) => error,
        other => anyhow::bail!("{other:?} instead of error {number}"),
    };
    equal(error.downcast_ref::<MySqlDatabaseError>().number(), number)
}
