//! Many MySQL clients, few server connections, and random lives: each sees what is its own, and nobody ever what is
//! another's.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use std::time::{Duration, Instant};

use common::script::{Dice, seed};
use common::{DATABASE, PASSWORD, USER};
use mysql::{MySetup, code, done, fails_with};
use testkit::mysql::{Answer, Client, Kind, Row, Server, capability};
use testkit::{MyWire, Result};

const CLIENTS: usize = 10;
const BUDGET: u32 = 3;
/// Three users, so that connections also move between routes.
const USERS: [&str; 3] = [USER, "clerk", "auditor"];
const RUN: Duration = Duration::from_secs(7);
/// Sessions end and begin anew after about so many steps.
const STEPS_MAX: usize = 40;
const COM_RESET_CONNECTION: u8 = 31;

/// What holds for sessions that have just begun, on this server.
struct Ground {
    address: String,
    /// The variable of the isolation level.
    isolation: &'static str,
    fresh: Settings,
}

/// What can be seen of a session.
#[derive(Clone, Debug, PartialEq)]
struct Settings {
    database: String,
    sql_mode: String,
    time_zone: String,
    isolation: String,
    autocommit: String,
    charset: String,
    /// `group_concat_max_len`, which is a number of its own for each client that sets it.
    length: String,
    /// `@mine`.
    variable: Option<String>,
    insert_id: u64,
}

/// A client that knows what it must see.
struct Life<'g> {
    ground: &'g Ground,
    wire: MyWire,
    number: usize,
    token: String,
    dice: Dice,
    own: Settings,
    /// Whether it has a temporary table, and a statement prepared in SQL.
    scratch: bool,
    named: bool,
    /// The number of its prepared statement.
    prepared: Option<u32>,
    /// Whether matching rows count as changed.
    counts_found: bool,
    /// How many rows of its own are in its table.
    rows: u64,
}

impl<'g> Life<'g> {
    fn begin(ground: &'g Ground, number: usize, mut dice: Dice) -> Result<Self> {
        let token = format!("client {number} life {}", dice.roll(1_000_000));
        let counts_found = dice.roll(2) == 0;
        let abilities = if counts_found { capability::FOUND_ROWS } else { 0 };
        let client = Client::new(USERS[number % USERS.len()], PASSWORD, Some(DATABASE)).with(abilities);
        let wire = MyWire::log_in_as(&ground.address, &client)?;
        let own = ground.fresh.clone();
        let (scratch, named, prepared) = (false, false, None);
        let mut life = Self { ground, wire, number, token, dice, own, scratch, named, prepared, counts_found, rows: 0 };
        life.look()?;
        Ok(life)
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        self.wire.query(sql).map(drop).map_err(|error| error.context(format!("{}: {sql}", self.token)))
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.dice.roll(from.len())]
    }

    /// One random thing that a client does, and whether what it saw was its own.
    fn step(&mut self) -> Result<()> {
        match self.dice.roll(20) {
            0..3 => self.set_one()?,
            3 => self.set_names()?,
            4 => self.set_in_a_transaction()?,
            5 => self.set_for_the_next_transaction()?,
            6 => self.use_another()?,
            7 => self.insert()?,
            8 => self.look_back()?,
            9 => self.warn()?,
            10 => self.keep_variable()?,
            11 => self.keep_table()?,
            12 => self.keep_statement()?,
            13 => self.prepare()?,
            14 => self.lock_by_name()?,
            15 => self.lock_tables()?,
            16 => self.read_by_handler()?,
            17 => self.distribute()?,
            18 => self.fail()?,
            _ => self.reset()?,
        }
        if self.own.autocommit == "0" {
            self.run("commit")?;
        }
        self.look()
    }

    /// Whatever is visible of a session must be this client's.
    fn look(&mut self) -> Result<()> {
        let question = format!(
            "select database(), @@sql_mode, @@time_zone, @@{}, @@autocommit, @@character_set_client, \
             @@group_concat_max_len, @mine, last_insert_id()",
            self.ground.isolation
        );
        let seen = Settings::of(&self.wire.query(&question)?[0]);
        assert_eq!(seen, self.own, "{}", self.token);
        Ok(())
    }

    fn set_one(&mut self) -> Result<()> {
        let value = match self.dice.roll(5) {
            0 => {
                let mode = self.pick(&["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "NO_ZERO_DATE"]);
                self.own.sql_mode = mode.to_owned();
                format!("sql_mode = '{mode}'")
            }
            1 => {
                let zone = self.pick(&["+01:00", "-02:30", "SYSTEM", "+11:15"]);
                self.own.time_zone = zone.to_owned();
                format!("time_zone = '{zone}'")
            }
            2 => {
                self.own.autocommit = self.pick(&["0", "1"]).to_owned();
                format!("autocommit = {}", self.own.autocommit)
            }
            3 => {
                let level = self.pick(&["READ-COMMITTED", "SERIALIZABLE", "REPEATABLE-READ"]);
                self.own.isolation = level.to_owned();
                format!("session transaction isolation level {}", level.replace('-', " "))
            }
            _ => {
                self.own.length = (4096 + 1000 * self.number + self.dice.roll(1000)).to_string();
                // Also as part of a text with several, and by an expression.
                match self.dice.roll(3) {
                    0 => format!("group_concat_max_len = {}", self.own.length),
                    1 => format!("@@session.group_concat_max_len = 1 * {}; select 1", self.own.length),
                    _ => format!("group_concat_max_len = 7, @@group_concat_max_len := {}", self.own.length),
                }
            }
        };
        self.run(&format!("set {value}"))
    }

    fn set_names(&mut self) -> Result<()> {
        self.own.charset = self.pick(&["latin1", "utf8mb4", "cp1251"]).to_owned();
        self.run(&format!("set names {}", self.own.charset))
    }

    /// Settings are no part of transactions: a rollback leaves them.
    fn set_in_a_transaction(&mut self) -> Result<()> {
        self.run("begin")?;
        self.set_one()?;
        let end = self.pick(&["rollback", "commit"]);
        self.run(end)
    }

    fn set_for_the_next_transaction(&mut self) -> Result<()> {
        self.run("set transaction read only")?;
        if self.dice.roll(2) == 0 {
            self.look()?;
        }
        self.run("begin")?;
        let insert = format!("insert into {} (owner) values ('{}')", self.table(), self.token);
        assert_eq!(fails_with(&mut self.wire, &insert), 1792, "the next transaction is read-only");
        self.run("rollback")?;
        self.run("begin")?;
        self.own.insert_id = done(&mut self.wire, &insert)?.insert_id;
        self.run("rollback")
    }

    fn use_another(&mut self) -> Result<()> {
        self.own.database = self.pick(&[DATABASE, "elsewhere"]).to_owned();
        if self.dice.roll(2) == 0 {
            return self.run(&format!("use {}", self.own.database));
        }
        let name = self.own.database.clone();
        self.wire.send_command(2, name.as_bytes())?;
        self.wire.read_answer().map(drop)
    }

    fn table(&self) -> String {
        format!("{DATABASE}.ledger_{}", self.number)
    }

    /// Rows of a transaction, which is committed or not.
    fn insert(&mut self) -> Result<()> {
        let (table, token) = (self.table(), self.token.clone());
        let rows = 1 + self.dice.roll(3) as u64;
        let values = vec![format!("('{token}')"); rows as usize].join(", ");
        self.run("begin")?;
        let inserted = done(&mut self.wire, &format!("insert into {table} (owner) values {values}"))?;
        assert_eq!(inserted.affected, rows);
        assert!(inserted.insert_id / 1_000_000 == self.number as u64 + 1, "{} of {token}", inserted.insert_id);
        self.own.insert_id = inserted.insert_id;
        assert_eq!(self.count()?, self.rows + rows);
        if self.dice.roll(2) == 0 {
            self.run("commit")?;
            self.rows += rows;
        } else {
            self.run("rollback")?;
        }
        assert_eq!(self.count()?, self.rows);
        Ok(())
    }

    fn count(&mut self) -> Result<u64> {
        let sql = format!("select count(*) from {} where owner = '{}'", self.table(), self.token);
        Ok(self.wire.value(&sql)?.parse()?)
    }

    /// What the functions say that look back at the last statement.
    fn look_back(&mut self) -> Result<()> {
        let table = self.table();
        if self.dice.roll(2) == 0 {
            let rows = 2 + self.dice.roll(30);
            let series = (0..rows).map(|n| format!("select {n}")).collect::<Vec<_>>().join(" union all ");
            self.run(&format!("select sql_calc_found_rows * from ({series}) as series limit 1"))?;
            assert_eq!(self.wire.value("select found_rows()")?, rows.to_string(), "{}", self.token);
            return Ok(());
        }
        let update = format!("update {table} set n = 5 where owner = '{}'", self.token);
        self.run(&update)?;
        let again = done(&mut self.wire, &update)?;
        let expected = if self.counts_found { self.rows } else { 0 };
        assert_eq!(again.affected, expected, "{}: CLIENT_FOUND_ROWS is {}", self.token, self.counts_found);
        assert_eq!(self.wire.value("select row_count()")?, expected.to_string(), "{}", self.token);
        Ok(())
    }

    fn warn(&mut self) -> Result<()> {
        let word = self.token.replace(' ', "_");
        self.run(&format!("select cast('{word}' as signed)"))?;
        let warnings = self.wire.query("show warnings")?;
        assert!(format!("{warnings:?}").contains(&word), "{word} in {warnings:?}");
        // A statement that touches no table clears nothing on MariaDB.
        self.run(&format!("select n from {DATABASE}.common_table"))?;
        assert!(self.wire.query("show warnings")?.is_empty());
        Ok(())
    }

    fn keep_variable(&mut self) -> Result<()> {
        self.own.variable = Some(format!("{} {}", self.token, self.dice.roll(1000)));
        self.run(&format!("set @mine = '{}'", self.own.variable.as_deref().unwrap()))
    }

    fn keep_table(&mut self) -> Result<()> {
        if self.scratch {
            assert_eq!(self.wire.value(&format!("select owner from {DATABASE}.scratch"))?, self.token);
            self.run(&format!("drop temporary table {DATABASE}.scratch"))?;
        } else {
            let sql = format!("create temporary table {DATABASE}.scratch as select '{}' as owner", self.token);
            self.run(&sql)?;
        }
        self.scratch = !self.scratch;
        Ok(())
    }

    fn keep_statement(&mut self) -> Result<()> {
        if self.named {
            assert_eq!(self.wire.value("execute mine")?, self.token);
            self.run("deallocate prepare mine")?;
        } else {
            self.run(&format!("prepare mine from 'select ''{}'''", self.token))?;
        }
        self.named = !self.named;
        Ok(())
    }

    fn prepare(&mut self) -> Result<()> {
        let (id, token) = match self.prepared {
            Some(id) => (id, self.token.clone()),
            // Parameters only: MariaDB mixes no text of the statement's character set with a value of a later one.
            None => (self.wire.prepare("select concat(?, ?)")?.id, self.token.clone()),
        };
        let Answer::Rows(table) = self.wire.execute(id, &[Some(&token), Some("!")])? else { panic!("no rows") };
        assert_eq!(table.rows, [[Some(format!("{token}!"))]]);
        self.prepared = Some(id);
        if self.dice.roll(3) == 0 {
            self.wire.close_statement(id)?;
            let error = self.wire.execute(id, &[Some(&token), Some("!")]).unwrap_err();
            assert_eq!(code(&error), 1243, "{error:#}");
            self.prepared = None;
        }
        Ok(())
    }

    fn lock_by_name(&mut self) -> Result<()> {
        let name = format!("lock {}", self.number);
        assert_eq!(self.wire.value(&format!("select get_lock('{name}', 10)"))?, "1");
        assert_eq!(self.wire.value(&format!("select is_free_lock('{name}')"))?, "0");
        self.look()?;
        if self.dice.roll(2) == 0 {
            assert_eq!(self.wire.value(&format!("select release_lock('{name}')"))?, "1");
        }
        Ok(())
    }

    fn lock_tables(&mut self) -> Result<()> {
        let table = self.table();
        self.run(&format!("lock tables {table} write"))?;
        assert_eq!(self.count()?, self.rows);
        self.look()?;
        assert_eq!(fails_with(&mut self.wire, &format!("select 1 from {DATABASE}.common_table")), 1100);
        self.run("unlock tables")
    }

    fn read_by_handler(&mut self) -> Result<()> {
        self.run(&format!("handler {DATABASE}.common_table open as mine"))?;
        self.look()?;
        assert_eq!(self.wire.value("handler mine read first")?, "1");
        self.run("handler mine close")
    }

    fn distribute(&mut self) -> Result<()> {
        let (table, token) = (self.table(), self.token.clone());
        self.run(&format!("xa start '{token}'"))?;
        let inserted = done(&mut self.wire, &format!("insert into {table} (owner) values ('{token}')"))?;
        self.own.insert_id = inserted.insert_id;
        self.look()?;
        self.run(&format!("xa end '{token}'"))?;
        if self.dice.roll(2) == 0 {
            self.run(&format!("xa commit '{token}' one phase"))?;
            self.rows += 1;
        } else {
            self.run(&format!("xa rollback '{token}'"))?;
        }
        assert_eq!(self.count()?, self.rows);
        Ok(())
    }

    /// Errors change nothing, but perhaps what stood before them in the same text.
    fn fail(&mut self) -> Result<()> {
        match self.dice.roll(3) {
            0 => assert_eq!(fails_with(&mut self.wire, "select no_such_column"), 1054),
            1 => assert_eq!(fails_with(&mut self.wire, "set sql_mode = 'no such mode'"), 1231),
            _ => {
                self.own.length = (4096 + 1000 * self.number).to_string();
                let sql = format!("set group_concat_max_len = {}; select no_such_column", self.own.length);
                self.wire.send_query(&sql)?;
                self.wire.read_answer()?;
                assert_eq!(code(&self.wire.read_answer().unwrap_err()), 1054);
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        self.wire.send_command(COM_RESET_CONNECTION, b"")?;
        self.wire.read_answer()?;
        self.own = Settings { database: self.own.database.clone(), ..self.ground.fresh.clone() };
        (self.scratch, self.named) = (false, false);
        if let Some(id) = self.prepared.take() {
            let error = self.wire.execute(id, &[Some("gone"), Some("!")]).unwrap_err();
            assert_eq!(code(&error), 1243, "{error:#}");
        }
        Ok(())
    }

    /// Some leave in the middle of something.
    fn leave(mut self, how: usize) -> Result<()> {
        let insert = format!("insert into {} (owner) values ('left behind')", self.table());
        match how {
            0 => ["begin", "set time_zone = '+10:00'"].iter().try_for_each(|sql| self.wire.query(sql).map(drop))?,
            1 => self.wire.send_query("set @mine = 'left behind', sql_mode = 'ANSI'")?,
            2 => ["begin", &insert].iter().try_for_each(|sql| self.wire.query(sql).map(drop))?,
            3 => self.wire.query("set transaction isolation level read uncommitted").map(drop)?,
            4 => self.wire.query("do last_insert_id(77), get_lock('left behind', 0)").map(drop)?,
            _ => self.wire.quit()?,
        }
        Ok(())
    }
}

impl Settings {
    fn of(row: &Row) -> Self {
        let text = |at: usize| row[at].clone().unwrap_or_default();
        Self {
            database: text(0),
            sql_mode: text(1),
            time_zone: text(2),
            isolation: text(3),
            autocommit: text(4),
            charset: text(5),
            length: text(6),
            variable: row[7].clone(),
            insert_id: text(8).parse().unwrap(),
        }
    }
}

fn prepare_ground(server: &Server, address: String) -> Result<Ground> {
    let mut sql = format!(
        "create database elsewhere; use {DATABASE}; create table common_table (n int); insert into common_table values (1);"
    );
    for user in USERS {
        sql.push_str(&format!("grant all on elsewhere.* to {user}@'%';"));
    }
    for number in 0..CLIENTS {
        sql.push_str(&format!(
            "create table ledger_{number} (id int auto_increment primary key, owner varchar(64), n int) \
             auto_increment = {};",
            (number + 1) * 1_000_000
        ));
    }
    server.sql(&sql)?;
    let isolation = match server.kind() {
        Kind::MariaDb => "tx_isolation",
        Kind::MySql => "transaction_isolation",
    };
    let mut direct = MyWire::log_in(&server.address(), USER, PASSWORD, Some(DATABASE))?;
    let question = format!(
        "select database(), @@sql_mode, @@time_zone, @@{isolation}, @@autocommit, @@character_set_client, \
         @@group_concat_max_len, null, 0"
    );
    let fresh = Settings::of(&direct.query(&question)?[0]);
    Ok(Ground { address, isolation, fresh })
}

#[test]
fn nobody_ever_sees_what_is_anothers() -> Result<()> {
    let seed = seed("ISOLATION_SEED");
    let setup = USERS[1..].iter().fold(MySetup::new().budget(BUDGET), |setup, name| setup.user(name));
    let setup =
        setup.toml("[prepared]\nmax_per_server = 4\n[pool]\nreuse = \"least_recent\"\ncheckout_timeout = \"60s\"");
    setup.on_each(|server| {
        let scene = setup.before(server)?;
        let ground = prepare_ground(server, scene.evenkeel.mysql_address())?;
        let deadline = Instant::now() + RUN;
        let steps = std::thread::scope(|scope| {
            let lives = (0..CLIENTS).map(|number| {
                let ground = &ground;
                scope.spawn(move || -> Result<usize> {
                    let mut dice = Dice::new(seed + number as u64);
                    let mut steps = 0;
                    while Instant::now() < deadline {
                        let mut life = Life::begin(ground, number, Dice::new(seed + dice.roll(1 << 30) as u64))?;
                        for _ in 0..dice.roll(STEPS_MAX) {
                            life.step()?;
                            steps += 1;
                        }
                        life.leave(dice.roll(8))?;
                    }
                    Ok(steps)
                })
            });
            let running: Vec<_> = lives.collect();
            running.into_iter().map(|life| life.join().unwrap()).sum::<Result<usize>>()
        })?;
        println!("{steps} steps on {}", server.kind().name());
        assert!(steps > 100, "only {steps} steps in {RUN:?}");
        scene.at_rest()?;
        let left = (0..CLIENTS).map(|number| format!("select * from ledger_{number} where owner = 'left behind'"));
        assert_eq!(scene.sql(&left.collect::<Vec<_>>().join(" union all "))?, "", "what was left is rolled back");
        Ok(())
    })
}
