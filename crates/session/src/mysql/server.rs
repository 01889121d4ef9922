//! A logged-in server connection: its socket, what it owes, and the session state it holds.

use std::sync::Arc;

use mysql::{Capabilities, dial::Session, exchange::Exchange, settings::Settings, statement::ServerStatements};
use route::Address;

use super::connector::{Habits, Login, fresh};
use crate::{
    cancel::{CancelTarget, Means},
    stream::Stream,
};

/// A server connection that can be lent.
#[derive(Debug)]
pub struct ServerConnection {
    pub(crate) stream: Stream,
    pub(crate) exchange: Exchange,
    pub(crate) cancel: Arc<CancelTarget>,
    /// What holds here now.
    pub(crate) settings: Settings,
    /// What held here right after the login, as far as clients have settings of their own in its place.
    pub(crate) fresh: Settings,
    /// What `init_sql` has set beyond that: it stands in for the server's defaults.
    pub(crate) base: Settings,
    /// The role that the login gave, as the server writes it; `None`: none, or a server that knows no roles.
    pub(crate) role: Option<Vec<u8>>,
    /// Statements prepared here.
    pub(crate) statements: ServerStatements,
    /// Numbers of statements to be closed before the next command.
    pub(crate) to_close: Vec<u32>,
    /// What the connection's `LAST_INSERT_ID()` says.
    pub(crate) insert_id: InsertId,
    /// Whose statement has left the conditions that it would tell of.
    pub(crate) conditions: Conditions,
    /// Whether a text may hold several statements.
    pub(crate) texts: Texts,
    /// What was agreed on at the login, by which another user can log in.
    pub(crate) session: Session,
    /// Who is logged in.
    pub(crate) login: Arc<Login>,
    /// What the server will tell of its session that we caused ourselves.
    pub(crate) echo: Echo,
    /// What is done with every connection to the server, as of its login.
    pub(crate) habits: Arc<Habits>,
    fitness: Fitness,
}

/// Whether a server takes several statements in one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Texts {
    /// It does.
    Many,
    /// It refuses all behind the first.
    One,
}

/// What a connection's `LAST_INSERT_ID()` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InsertId {
    /// This.
    Known(u64),
    /// What a client has made of it: to be asked before the connection goes back.
    Of {
        /// The client's number.
        client: u64,
        /// What it said before, if that was another client's: if it says so still, the client has made nothing of it.
        before: Option<u64>,
    },
}

/// Whose statement has left the conditions that a connection would tell of (`SHOW WARNINGS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// Somebody's who had it before, perhaps.
    Foreign,
    /// That of the client that holds it.
    Own,
}

/// Whether a change of session state that the server tells next may be of our own making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    /// It cannot.
    None,
    /// It may: a statement was prepared.
    Prepared,
}

/// Whether a connection may serve again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    Fit,
    Unfit(&'static str),
}

impl ServerConnection {
    /// A connection that has just logged in.
    pub(crate) fn new(
        stream: Stream,
        session: Session,
        login: Arc<Login>,
        address: Address,
        habits: Arc<Habits>,
    ) -> Self {
        let fresh = fresh(login.database.as_bytes());
        Self {
            stream,
            exchange: Exchange::new(session.capabilities, session.status),
            cancel: Arc::new(CancelTarget::new(address, session.connection_id, means(&login, &habits))),
            settings: fresh.clone(),
            fresh,
            base: Settings::default(),
            role: None,
            statements: ServerStatements::new(habits.statements_max),
            to_close: Vec::new(),
            insert_id: InsertId::Known(0),
            conditions: Conditions::Foreign,
            texts: Texts::Many,
            session,
            login,
            echo: Echo::None,
            habits,
            fitness: Fitness::Fit,
        }
    }

    /// The server's number for this connection, as its process list shows it.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.cancel.process()
    }

    /// The server's version, as it says it.
    pub(crate) fn version(&self) -> String {
        String::from_utf8_lossy(&self.session.version).into_owned()
    }

    /// Under which capabilities its packets are read and written.
    pub(crate) fn capabilities(&self) -> Capabilities {
        self.exchange.capabilities()
    }

    /// Why it must not serve again, if so.
    pub(crate) fn unfit(&self) -> Option<&'static str> {
        match self.fitness {
            Fitness::Unfit(why) => Some(why),
            Fitness::Fit => None,
        }
    }

    /// Marks it as not to serve again. The first reason stays.
    pub(crate) fn spoil(&mut self, why: &'static str) {
        if self.fitness == Fitness::Fit {
            self.fitness = Fitness::Unfit(why);
        }
    }

    /// Whether it can be lent to anybody: nothing owed, no transaction, nothing doubtful.
    pub(crate) fn is_clean(&self) -> bool {
        self.fitness == Fitness::Fit && self.exchange.is_settled() && !self.exchange.in_transaction()
    }

    /// Whether it is clean and silent. An idle server only speaks to say goodbye.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_clean() && self.stream.is_quiet()
    }

    /// Notes that a client whose last insert id is `own` may have got another one. What another client may have made of it stays
    /// that one's: the two could not be told apart.
    pub(crate) fn doubt_insert_id(&mut self, client: u64, own: u64) {
        if let InsertId::Known(id) = self.insert_id {
            self.insert_id = InsertId::Of { client, before: (id != own).then_some(id) };
        }
    }

    /// Notes that the variables here are these; the current database is what it is.
    pub(crate) fn take_variables(&mut self, wanted: &Settings) {
        let schema = self.settings.schema().to_vec();
        self.settings = wanted.clone();
        self.settings.set_schema(&schema);
    }

    /// Notes that somebody has logged in here anew, in this database. Queries here are killed in this user's name from now
    /// on: servers let nobody kill those of others. If it is the same user, whoever was told how to kill one still knows, and
    /// requests that are on their way count.
    pub(crate) fn enter(&mut self, session: Session, login: Arc<Login>, schema: &[u8]) {
        if !Arc::ptr_eq(&self.login, &login) {
            let (address, process) = (self.cancel.address().clone(), self.process());
            self.cancel = Arc::new(CancelTarget::new(address, process, means(&login, &self.habits)));
        }
        self.exchange = Exchange::new(session.capabilities, session.status);
        self.session = session;
        self.fresh = fresh(login.database.as_bytes());
        self.login = login;
        self.renew();
        self.settings.set_schema(schema);
    }

    /// Notes that the session here is as after the login again. How many statements a text may hold is no part of it.
    pub(crate) fn renew(&mut self) {
        self.settings = self.fresh.clone();
        self.base = Settings::default();
        self.statements.clear();
        self.to_close.clear();
        self.insert_id = InsertId::Known(0);
        self.echo = Echo::None;
    }
}

fn means(login: &Arc<Login>, habits: &Arc<Habits>) -> Means {
    Means::Mysql { login: login.clone(), habits: habits.clone() }
}
