//! A real MariaDB or MySQL behind a real Evenkeel.
//!
//! Starting a server takes longer than most tests, so a test here is several cases on one server of each kind, each
//! case with an Evenkeel of its own.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "compiled into every test file, each of which uses its own part"
)]

use testkit::mysql::{Answer, Client, Done, Kind, Login, Options, SUPERUSER, Server, ServerError, for_each_server};
use testkit::{Evenkeel, MyWire, Result, Speaks, poll_until};

use crate::common::{DATABASE, PASSWORD, SetupFor, USER, binary};
use crate::watch::{self, Shown};

/// What kind of [`MyScene`].
pub type MySetup = SetupFor<Options>;

impl MySetup {
    /// Runs a test on a server of each kind, with these users and [`DATABASE`].
    pub fn on_each(&self, test: impl FnMut(&mut Server) -> Result<()>) -> Result<()> {
        for_each_server(&self.all_options(), test)
    }

    /// As [`MySetup::on_each`], on a MariaDB only.
    pub fn on_mariadb(&self, test: impl FnOnce(&mut Server) -> Result<()>) -> Result<()> {
        test(&mut Server::start(Kind::MariaDb, self.all_options())?)
    }

    /// An Evenkeel before a server.
    pub fn before<'s>(&self, server: &'s Server) -> Result<MyScene<'s>> {
        Ok(MyScene { evenkeel: self.evenkeel(&server.address())?, server })
    }

    /// An Evenkeel before whatever listens at `address`.
    pub fn evenkeel(&self, address: &str) -> Result<Evenkeel> {
        Evenkeel::start_for(Speaks::MySql, binary(), &self.config(address))
    }

    /// The configuration, all but its `[listen]` section.
    pub fn config(&self, address: &str) -> String {
        self.config_for("mysql", address)
    }

    fn all_options(&self) -> Options {
        let users = self.users.iter();
        let options = users.fold(self.options.clone(), |all, name| all.user(name, PASSWORD, Login::Usual));
        self.databases.iter().fold(options, |all, name| all.database(name))
    }
}

/// A server and an Evenkeel in front of it.
pub struct MyScene<'s> {
    pub evenkeel: Evenkeel,
    pub server: &'s Server,
}

impl MyScene<'_> {
    /// A client of [`USER`] on [`DATABASE`], through Evenkeel.
    pub fn client(&self) -> Result<MyWire> {
        self.client_of(USER)
    }

    /// A client of this user on [`DATABASE`], through Evenkeel.
    pub fn client_of(&self, user: &str) -> Result<MyWire> {
        client_of(&self.evenkeel, user)
    }

    /// A client of [`USER`] that can do more than others.
    pub fn client_with(&self, capabilities: u32) -> Result<MyWire> {
        let client = Client::new(USER, PASSWORD, Some(DATABASE)).with(capabilities);
        MyWire::log_in_as(&self.evenkeel.mysql_address(), &client)
    }

    /// The same client as [`MyScene::client`] without Evenkeel in between.
    pub fn direct(&self) -> Result<MyWire> {
        MyWire::log_in(&self.server.address(), USER, PASSWORD, Some(DATABASE))
    }

    /// Runs SQL as the superuser, in [`DATABASE`].
    pub fn sql(&self, sql: &str) -> Result<String> {
        self.server.sql(&format!("use {DATABASE}; {sql}"))
    }

    /// A client that keeps a server connection from others until [`MyHolder::release`].
    pub fn hold(&self) -> Result<MyHolder> {
        let mut wire = self.client()?;
        wire.query("begin")?;
        let connection = connection(&mut wire)?;
        Ok(MyHolder { wire, connection })
    }

    /// Waits until nothing is lent, nobody waits, no query of a client's runs on the server, no transaction is open there, and
    /// the server has as many connections as Evenkeel holds; then somebody is served.
    pub fn at_rest(&self) -> Result<()> {
        watch::at_rest(&self.evenkeel)?;
        until_says(
            self.server,
            "select count(*) from information_schema.processlist where user = 'app' and command not in ('Sleep', 'Daemon')",
            "0",
        )?;
        until_says(self.server, "select count(*) from information_schema.innodb_trx", "0")?;
        poll_until(watch::SOON, "as many connections on the server as are held", || {
            let ours = self.server.processlist()?.iter().filter(|session| session.user != SUPERUSER).count();
            Ok((ours == watch::held(&self.evenkeel)? as usize).then_some(()))
        })?;
        assert_eq!(self.client()?.value("select 'served'")?, "served");
        Ok(())
    }
}

/// A client in the middle of a transaction.
pub struct MyHolder {
    wire: MyWire,
    connection: u64,
}

impl MyHolder {
    /// The server's number of the connection that serves it.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Ends the transaction, and then the session.
    pub fn release(mut self) -> Result<()> {
        self.wire.query("rollback")?;
        self.wire.quit()
    }
}

/// A client of this user on [`DATABASE`].
pub fn client_of(evenkeel: &Evenkeel, user: &str) -> Result<MyWire> {
    evenkeel.mysql_client(user, PASSWORD, Some(DATABASE))
}

/// The console over MySQL's protocol, as [`USER`].
pub fn console(evenkeel: &Evenkeel) -> Result<MyWire> {
    evenkeel.mysql_client(USER, PASSWORD, Some("evenkeel"))
}

/// What the console shows of `topic`.
pub fn show(console: &mut MyWire, topic: &str) -> Result<Shown> {
    match console.answers(&format!("show {topic}"))?.pop() {
        Some(Answer::Rows(table)) => Ok(Shown { names: table.columns, rows: table.rows }),
        other => panic!("show {topic}: {other:?}"),
    }
}

/// The server's own number of the connection at work: tells server connections apart. Asked in a way that the pooler does
/// not answer itself, as it does for `CONNECTION_ID()`.
pub fn connection(wire: &mut MyWire) -> Result<u64> {
    Ok(wire.value("select id from information_schema.processlist where info like '%who serves me%'")?.parse()?)
}

/// The number of the error that a server, or Evenkeel, answered; 0 when there was none.
pub fn code(error: &anyhow::Error) -> u16 {
    error.downcast_ref::<ServerError>().map_or(0, |error| error.code)
}

/// The number of the error with which `sql` fails.
pub fn fails_with(wire: &mut MyWire, sql: &str) -> u16 {
    match wire.query(sql) {
        Ok(rows) => panic!("{sql} gave {rows:?}"),
        Err(error) => {
            assert!(code(&error) != 0, "{sql} had no answer: {error:#}");
            code(&error)
        }
    }
}

/// What a statement without rows did.
pub fn done(wire: &mut MyWire, sql: &str) -> Result<Done> {
    match wire.answers(sql)?.pop() {
        Some(Answer::Done(done)) => Ok(done),
        other => panic!("{sql} gave {other:?}"),
    }
}

/// Reads the answer to a question that was sent before, which is one value.
pub fn read_value(wire: &mut MyWire) -> Result<String> {
    match wire.read_answer()? {
        Answer::Rows(table) if table.rows.len() == 1 => Ok(table.rows[0][0].clone().unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

/// Reads until an error comes, which must be what ends the session; its number.
pub fn last_words(wire: &mut MyWire) -> Result<u16> {
    let packet = wire.read_payload()?;
    assert_eq!(packet.body.first(), Some(&0xff), "{packet:?}");
    assert_eq!(wire.read_to_close()?, b"", "nothing follows a session's end");
    Ok(u16::from_le_bytes([packet.body[1], packet.body[2]]))
}

/// Waits until a query of the superuser's says `expected`.
pub fn until_says(server: &Server, sql: &str, expected: &str) -> Result<()> {
    let (mut last, mut wire) = (String::new(), server.superuser(None)?);
    let answer = poll_until(watch::SOON, sql, || {
        last = wire.value(sql)?;
        Ok((last == expected).then_some(()))
    });
    answer.map_err(|error| error.context(format!("it said {last:?} instead of {expected:?}")))
}

/// Waits until so many sessions of the server run a statement that begins like this.
pub fn until_running(server: &Server, begins: &str, count: u32) -> Result<()> {
    let sql = format!(
        "select count(*) from information_schema.processlist where command <> 'Sleep' and info like '{begins}%'"
    );
    until_says(server, &sql, &count.to_string())
}

/// The value of one of the server's own counters.
pub fn status(server: &Server, name: &str) -> Result<u64> {
    let line = server.sql(&format!("show global status like '{name}'"))?;
    Ok(line.split_whitespace().last().unwrap_or_default().parse()?)
}
