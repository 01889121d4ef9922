//! One setting on one server: an Evenkeel that has it, the clients that see its effect, and the change at run time.

use std::time::Duration;

use anyhow::Context;
use testkit::wire::Row;
use testkit::{Cut, Evenkeel, Result, poll_until};

use crate::common::{DATABASE, PASSWORD, USER};
use crate::place::{Guest, OTHERS, Place};
use crate::watch::{self, ADMIN, SOON};

/// A setting, two values of it, and an experiment that shows the difference.
pub(crate) struct Case {
    /// The key in `[pool]`.
    pub(crate) setting: &'static str,
    /// At first, and from a reload on; as the configuration writes them.
    pub(crate) values: [&'static str; 2],
    /// What else `[pool]` says; `{gate}` is an `init_sql` that passes [`Stage::shut_gate`].
    pub(crate) beside: &'static str,
    /// The most server connections.
    pub(crate) budget: u32,
    /// What is done, in the words of the page.
    pub(crate) done: &'static str,
    /// Does it, and says what came of it, in the words of the page: the same on every server.
    pub(crate) see: fn(&mut Stage<'_>) -> Result<String>,
}

/// What a case found on a server: for each value, what came of it.
pub(crate) type Seen = [String; 2];

/// Where a case is tried.
pub(crate) struct Stage<'p> {
    pub(crate) place: &'p Place,
    pub(crate) keel: Evenkeel,
    /// Between Evenkeel and the server.
    pub(crate) cut: Cut,
    /// The superuser, past Evenkeel.
    pub(crate) admin: Guest,
    console: Guest,
    case: &'p Case,
    /// Which of the case's values holds.
    turn: usize,
    /// Clients of [`USER`] that wait for their next experiment; they live through the change.
    resting: Vec<Guest>,
}

/// What the metrics say of the server, as of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) connecting: u32,
    pub(crate) idle: u32,
    pub(crate) in_use: u32,
    pub(crate) closing: u32,
    pub(crate) waiting: u32,
}

/// A rest this long would have shown an effect that a setting of a fraction of it has.
pub(crate) const LONG: Duration = Duration::from_millis(500);

impl Case {
    /// Tries both values on a server, the second one from a reload on.
    pub(crate) fn try_on(&self, place: &Place) -> Result<Seen> {
        let said = || format!("{} on {}", self.setting, place.name());
        let mut stage = Stage::open(self, place).with_context(said)?;
        let at_first = (self.see)(&mut stage).with_context(said)?;
        stage.change().with_context(said)?;
        let then = (self.see)(&mut stage).with_context(said)?;
        stage.close().with_context(said)?;
        Ok([at_first, then])
    }

    fn config(&self, place: &Place, address: &str, turn: usize) -> String {
        let Self { setting, values, beside, budget, .. } = self;
        let (protocol, value) = (place.protocol(), values[turn]);
        let gate = place.tongue(
            "init_sql = \"select pg_advisory_lock(1), pg_advisory_unlock(1)\"",
            "init_sql = \"do get_lock('gate', 60), release_lock('gate')\"",
        );
        let beside = beside.replace("{gate}", gate);
        let mut text = format!(
            "{ADMIN}\n[pool]\n{beside}\n{setting} = {value}\n\
             [[servers]]\nname = \"main\"\nprotocol = \"{protocol}\"\naddress = \"{address}\"\nbudget = {budget}\n\
             [[databases]]\nname = \"{DATABASE}\"\nserver = \"main\"\n"
        );
        for name in std::iter::once(USER).chain(OTHERS) {
            text.push_str(&format!("[[users]]\nname = \"{name}\"\npassword = \"{PASSWORD}\"\n"));
        }
        text
    }
}

impl<'p> Stage<'p> {
    fn open(case: &'p Case, place: &'p Place) -> Result<Self> {
        let cut = Cut::before(&place.address())?;
        let keel = place.evenkeel(&case.config(place, &cut.address(), 0))?;
        let console = place.client(&keel, USER, "evenkeel")?;
        let mut admin = place.admin()?;
        admin.run("delete from events")?;
        Ok(Self { place, keel, cut, admin, console, case, turn: 0, resting: Vec::new() })
    }

    /// The second value takes effect.
    fn change(&mut self) -> Result<()> {
        self.turn = 1;
        self.keel.reload(&self.case.config(self.place, &self.cut.address(), 1))?;
        watch::until_logged(&self.keel, "configuration reloaded")?;
        self.admin.run("delete from events")
    }

    /// Nobody was lost and no promise broken.
    fn close(mut self) -> Result<()> {
        self.cut.end_silence();
        watch::at_rest(&self.keel)?;
        anyhow::ensure!(!self.resting.is_empty(), "nobody has lived through the change");
        for guest in &mut self.resting {
            assert_eq!(guest.value("select 'still here'")?, "still here");
        }
        Ok(())
    }

    // ---- the case

    /// The value that holds, without quotes.
    pub(crate) fn value(&self) -> &'static str {
        self.case.values[self.turn].trim_matches('"')
    }

    /// Whether the second value holds.
    pub(crate) fn is_changed(&self) -> bool {
        self.turn == 1
    }

    // ---- clients

    /// So many clients of [`USER`]: those that rest first.
    pub(crate) fn guests(&mut self, count: usize) -> Result<Vec<Guest>> {
        while self.resting.len() < count {
            self.resting.push(self.place.client(&self.keel, USER, DATABASE)?);
        }
        Ok(self.resting.drain(..count).collect())
    }

    /// One of them.
    pub(crate) fn guest(&mut self) -> Result<Guest> {
        self.guests(1)?.pop().context("a guest")
    }

    /// A client of another user.
    pub(crate) fn stranger(&self, user: &str) -> Result<Guest> {
        self.place.client(&self.keel, user, DATABASE)
    }

    /// They have done their part.
    pub(crate) fn rest(&mut self, guests: impl IntoIterator<Item = Guest>) {
        self.resting.extend(guests);
    }

    /// So many connections of [`USER`] are made at once, and fall idle. Returns the server's numbers of them, the lowest
    /// first.
    pub(crate) fn fill(&mut self, count: usize) -> Result<Vec<u64>> {
        let mut guests = self.guests(count)?;
        let mut sessions = Vec::new();
        for guest in &mut guests {
            guest.run("begin")?;
            sessions.push(guest.server_session()?);
        }
        for guest in &mut guests {
            guest.run("commit")?;
        }
        self.rest(guests);
        sessions.sort_unstable();
        Ok(sessions)
    }

    // ---- the server

    /// No connection of [`USER`] is left there.
    pub(crate) fn empty(&mut self) -> Result<()> {
        self.order("reconnect")?;
        self.until("an empty pool", |stage| Ok(stage.sessions(USER)?.is_empty().then_some(())))?;
        self.until_totals("an empty pool", |totals| totals.idle + totals.connecting + totals.closing == 0).map(drop)
    }

    /// From now on a connect with the gate's `init_sql` takes until [`Stage::open_gate`].
    pub(crate) fn shut_gate(&mut self) -> Result<()> {
        self.admin.run(self.place.tongue("select pg_advisory_lock(1)", "select get_lock('gate', 60)"))
    }

    pub(crate) fn open_gate(&mut self) -> Result<()> {
        self.admin.run(self.place.tongue("select pg_advisory_unlock(1)", "select release_lock('gate')"))
    }

    /// Whoever reads the events waits, until [`Stage::unlock_events`].
    pub(crate) fn lock_events(&mut self) -> Result<()> {
        self.admin.run(self.place.tongue("begin", "select 1"))?;
        self.admin.run(self.place.tongue("lock table events", "lock tables events write"))
    }

    pub(crate) fn unlock_events(&mut self) -> Result<()> {
        self.admin.run(self.place.tongue("commit", "unlock tables"))
    }

    // ---- what is seen

    /// The numbers of the connections that the server has of a user.
    pub(crate) fn sessions(&mut self, user: &str) -> Result<Vec<u64>> {
        self.place.sessions(&mut self.admin, user)
    }

    /// Events noted on the server, see the cases' `init_sql` and `validation_query`.
    pub(crate) fn events(&mut self) -> Result<u32> {
        Ok(self.admin.value("select count(*) from events")?.parse()?)
    }

    pub(crate) fn totals(&self) -> Result<Totals> {
        let (_, page) = self.keel.http("/metrics")?;
        let find = |sample: &str| {
            let found = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
            anyhow::Ok(found.with_context(|| format!("no {sample}"))?.trim().parse::<u32>()?)
        };
        let state = |state| find(&format!("evenkeel_server_connections{{server=\"main\",state=\"{state}\"}}"));
        Ok(Totals {
            connecting: state("connecting")?,
            idle: state("idle")?,
            in_use: state("in_use")?,
            closing: state("closing")?,
            waiting: find("evenkeel_server_waiting_clients{server=\"main\"}")?,
        })
    }

    /// Connections closed so far for a reason.
    pub(crate) fn closed(&self, reason: &str) -> Result<u32> {
        watch::whole(&self.keel, &format!("evenkeel_server_closes_total{{server=\"main\",reason=\"{reason}\"}}"))
    }

    /// Connects that failed so far.
    pub(crate) fn connect_failures(&self) -> Result<u32> {
        watch::whole(&self.keel, "evenkeel_server_connect_failures_total{server=\"main\"}")
    }

    /// Waits of [`USER`]'s clients that ended without a connection so far.
    pub(crate) fn refusals(&self) -> Result<u32> {
        self.of_route("evenkeel_route_refusals_total")
    }

    /// Queries of [`USER`]'s clients that were answered so far.
    pub(crate) fn answered(&self) -> Result<u32> {
        self.of_route("evenkeel_route_queries_total")
    }

    fn of_route(&self, family: &str) -> Result<u32> {
        let labels = format!("server=\"main\",database=\"{DATABASE}\",user=\"{USER}\"");
        watch::whole(&self.keel, &format!("{family}{{{labels}}}"))
    }

    /// A table of the console's.
    pub(crate) fn show(&mut self, topic: &str) -> Result<Shown> {
        let (names, rows) = self.console.table(&format!("show {topic}"))?;
        Ok(Shown { names, rows })
    }

    /// Gives the console an order.
    pub(crate) fn order(&mut self, command: &str) -> Result<()> {
        self.console.run(command)
    }

    /// What was logged so far, in lines.
    pub(crate) fn log(&self) -> Vec<String> {
        self.keel.log().lines().map(ToOwned::to_owned).collect()
    }

    // ---- what is waited for

    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Result<Option<T>>) -> Result<T> {
        poll_until(SOON, what, || look(self))
    }

    /// Waits until the totals are so.
    pub(crate) fn until_totals(&mut self, what: &str, are_so: impl Fn(Totals) -> bool) -> Result<Totals> {
        self.until(what, |stage| Ok(Some(stage.totals()?).filter(|totals| are_so(*totals))))
    }

    /// Whether there are connections, and none of them has had anything to do for long.
    pub(crate) fn has_rested(&mut self) -> Result<bool> {
        let servers = self.show("servers")?;
        let rested = |row| servers.micros(row, "idle_us") >= LONG;
        Ok(!servers.rows.is_empty() && servers.rows.iter().all(rested))
    }

    /// Whether a client has had a connection for long.
    pub(crate) fn has_held(&mut self) -> Result<bool> {
        let servers = self.show("servers")?;
        Ok(servers.rows.iter().any(|row| servers.micros(row, "lent_us") >= LONG))
    }

    /// Whether a client has waited for long for a connection, or for the test of one.
    pub(crate) fn has_waited(&mut self) -> Result<bool> {
        self.is_long("waiting")
    }

    /// Whether a client has worked for long: on its present query.
    pub(crate) fn has_worked(&mut self) -> Result<bool> {
        self.is_long("active")
    }

    fn is_long(&mut self, phase: &str) -> Result<bool> {
        let clients = self.show("clients")?;
        let long = |row: &&Row| clients.get(row, "phase") == phase && clients.micros(row, "phase_us") >= LONG;
        Ok(clients.rows.iter().any(|row| long(&row)))
    }

    /// Waits until something happens, which is true, or, while it must not happen, until this has been so for long.
    pub(crate) fn until_or_long(
        &mut self,
        what: &str,
        mut is_long: impl FnMut(&mut Self) -> Result<bool>,
        mut happens: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<bool> {
        self.until(what, |stage| {
            if happens(stage)? {
                return Ok(Some(true));
            }
            // A machine that is busy may take longer than that for what does happen.
            Ok((!stage.is_changed() && is_long(stage)? && !happens(stage)?).then_some(false))
        })
    }

    /// Waits until a client is told something that asked, when so many had been told something before; or, while it must not
    /// be, until it has waited for long.
    pub(crate) fn until_told(&mut self, before: u32) -> Result<bool> {
        self.until_or_long(
            "an answer",
            |stage| Ok(stage.has_waited()? || stage.has_worked()?),
            |stage| Ok(stage.told()? > before),
        )
    }

    /// How often clients of [`USER`] were answered or refused.
    pub(crate) fn told(&self) -> Result<u32> {
        Ok(self.answered()? + self.refusals()?)
    }
}

/// A table of the console's.
pub(crate) struct Shown {
    names: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

impl Shown {
    /// The value in a row's column; null is empty.
    pub(crate) fn get<'a>(&self, row: &'a Row, name: &str) -> &'a str {
        let place = self.names.iter().position(|known| known == name);
        let place = place.unwrap_or_else(|| panic!("no column {name} in {:?}", self.names));
        row[place].as_deref().unwrap_or_default()
    }

    /// The microseconds in a row's column; nothing is zero.
    pub(crate) fn micros(&self, row: &Row, name: &str) -> Duration {
        Duration::from_micros(self.get(row, name).parse().unwrap_or_default())
    }
}
