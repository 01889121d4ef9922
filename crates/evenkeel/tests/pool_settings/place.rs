//! A real server of any kind, its clients, and what it says of itself.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use testkit::mysql::{self, Answer, Install, Kind, skipped};
use testkit::wire::Row;
use testkit::{Evenkeel, Login, MyWire, Postgres, Result, Speaks, Wire};

use crate::common::{DATABASE, PASSWORD, USER, binary};

/// Users beside [`USER`], each with a route of its own.
pub(crate) const OTHERS: [&str; 3] = ["second", "third", "fourth"];

/// Questions asked of MySQL servers so far about who answers them.
static QUESTIONS: AtomicU32 = AtomicU32::new(0);

/// A running server.
pub(crate) enum Place {
    Postgres(Postgres),
    MySql(mysql::Server),
}

impl Place {
    /// A server of each kind that is installed.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let names = || std::iter::once(USER).chain(OTHERS);
        let options = names().fold(testkit::Options::new(), |all, name| all.user(name, PASSWORD, Login::Scram));
        let mut places = vec![Self::Postgres(Postgres::start(options.database(DATABASE))?)];
        let options = names().fold(mysql::Options::new(), |all, name| all.user(name, PASSWORD, mysql::Login::Usual));
        for kind in Kind::ALL {
            match Install::find(kind) {
                Err(why) if kind == Kind::MySql => skipped(kind.name(), &format!("{why:#}")),
                _ => places.push(Self::MySql(mysql::Server::start(kind, options.clone().database(DATABASE))?)),
            }
        }
        for place in &places {
            let mut admin = place.admin()?;
            admin.run("create table events (what varchar(20))")?;
            if let Self::Postgres(_) = place {
                admin.run("grant all on events to public")?;
            }
        }
        Ok(places)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::MySql(server) => server.kind().name(),
        }
    }

    pub(crate) fn address(&self) -> String {
        match self {
            Self::Postgres(server) => server.address(),
            Self::MySql(server) => server.address(),
        }
    }

    /// The line of a `[[servers]]` entry that names the protocol.
    pub(crate) fn protocol(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::MySql(_) => "mysql",
        }
    }

    /// An Evenkeel for clients of its protocol.
    pub(crate) fn evenkeel(&self, config: &str) -> Result<Evenkeel> {
        let speaks = match self {
            Self::Postgres(_) => Speaks::Postgres,
            Self::MySql(_) => Speaks::MySql,
        };
        Evenkeel::start_for(speaks, binary(), config)
    }

    /// A client through Evenkeel.
    pub(crate) fn client(&self, evenkeel: &Evenkeel, user: &str, database: &str) -> Result<Guest> {
        match self {
            Self::Postgres(_) => Ok(Guest::Postgres(evenkeel.client(user, PASSWORD, database)?)),
            Self::MySql(_) => Ok(Guest::MySql(evenkeel.mysql_client(user, PASSWORD, Some(database))?)),
        }
    }

    /// The superuser, on the server itself.
    pub(crate) fn admin(&self) -> Result<Guest> {
        match self {
            Self::Postgres(server) => Ok(Guest::Postgres(server.superuser(DATABASE)?)),
            Self::MySql(server) => Ok(Guest::MySql(server.superuser(Some(DATABASE))?)),
        }
    }

    /// Freezes the server.
    pub(crate) fn pause(&self) -> Result<()> {
        match self {
            Self::Postgres(server) => server.pause(),
            Self::MySql(server) => server.pause(),
        }
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) -> Result<()> {
        match self {
            Self::Postgres(server) => server.resume(),
            Self::MySql(server) => server.resume(),
        }
    }

    /// What is said to PostgreSQL, or to the others.
    pub(crate) fn tongue<'a>(&self, postgres: &'a str, mysql: &'a str) -> &'a str {
        match self {
            Self::Postgres(_) => postgres,
            Self::MySql(_) => mysql,
        }
    }

    /// The sessions of a user that the server has now, by its own numbers, the lowest first.
    pub(crate) fn sessions(&self, admin: &mut Guest, user: &str) -> Result<Vec<u64>> {
        let sql = match self {
            Self::Postgres(_) => format!("select pid from pg_stat_activity where usename = '{user}' order by pid"),
            Self::MySql(_) => {
                format!("select id from information_schema.processlist where user = '{user}' order by id")
            }
        };
        let rows = admin.rows(&sql)?;
        rows.into_iter().map(|row| Ok(row[0].clone().context("a number")?.parse()?)).collect()
    }
}

/// A client of either protocol.
pub(crate) enum Guest {
    Postgres(Wire),
    MySql(MyWire),
}

impl Guest {
    /// Runs a statement whose answer does not matter.
    pub(crate) fn run(&mut self, sql: &str) -> Result<()> {
        self.rows(sql).map(drop)
    }

    /// The rows of a query.
    pub(crate) fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        match self {
            Self::Postgres(wire) => wire.query(sql),
            Self::MySql(wire) => wire.query(sql),
        }
    }

    /// The one value of a query.
    pub(crate) fn value(&mut self, sql: &str) -> Result<String> {
        match self {
            Self::Postgres(wire) => wire.value(sql),
            Self::MySql(wire) => wire.value(sql),
        }
    }

    /// The rows of a query, with the names of the columns.
    pub(crate) fn table(&mut self, sql: &str) -> Result<(Vec<String>, Vec<Row>)> {
        match self {
            Self::Postgres(wire) => wire.query_named(sql),
            Self::MySql(wire) => match wire.answers(sql)?.pop() {
                Some(Answer::Rows(table)) => Ok((table.columns, table.rows)),
                other => anyhow::bail!("{sql} gave {other:?}"),
            },
        }
    }

    /// Sends a query; [`Guest::heard`] reads its answer.
    pub(crate) fn ask(&mut self, sql: &str) -> Result<()> {
        match self {
            Self::Postgres(wire) => wire.send_query(sql),
            Self::MySql(wire) => wire.send_query(sql),
        }
    }

    /// The answer to what was asked.
    pub(crate) fn heard(&mut self) -> Result<Heard> {
        match self {
            Self::Postgres(wire) => {
                let messages = wire.read_until_ready()?;
                let error = messages.iter().find(|message| message.tag == b'E');
                Ok(error.map_or(Heard::Served, |error| {
                    let code = error.field(b'C').unwrap_or_default();
                    assert_eq!(code, "53300", "{error:?}");
                    Heard::Refused
                }))
            }
            Self::MySql(wire) => match wire.read_answer() {
                Ok(_) => Ok(Heard::Served),
                Err(error) => {
                    let code = error.downcast_ref::<mysql::ServerError>().map(|error| error.code);
                    // Waited too long, or may not wait.
                    assert!(matches!(code, Some(1203 | 1205)), "{error:#}");
                    Ok(Heard::Refused)
                }
            },
        }
    }

    /// The server's number of the connection that serves it.
    pub(crate) fn server_session(&mut self) -> Result<u64> {
        let number = match self {
            Self::Postgres(wire) => wire.value("select pg_backend_pid()")?,
            // Asked in a way that the pooler does not answer itself, as it does for CONNECTION_ID(), and each time in other words:
            // a connection that has just answered may still be shown with its question.
            Self::MySql(wire) => {
                let question = QUESTIONS.fetch_add(1, Ordering::Relaxed);
                wire.value(&format!(
                    "select id from information_schema.processlist where info like '%who serves me: {question}.%'"
                ))?
            }
        };
        Ok(number.parse()?)
    }
}

/// What a client was told that asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The answer.
    Served,
    /// That it gets no connection.
    Refused,
}
