//! The pool of a MySQL server, and the routes to it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use mysql::{
    settings::Settings,
    statement::{Age, Interner, Statement},
};
use pool::{Pool, RouteId, RouteLimits};
use route::Address;
use sql::mysql::{Mode, Verdict};

use super::{
    connector::{Habits, Login, MyConnector, ServerError},
    facts::Facts,
    guest,
};
use crate::{
    lane::{Lane, Link, Names, Protocol},
    observe::{ServerMeters, Watch},
    plan::{Plan, ServerPlan},
    secrets::UserSecret,
    stream::Codecs,
};

/// The most statements that are kept although no client and no server connection uses them, for each server.
const STATEMENTS_KEPT: usize = 10_000;

/// MySQL and MariaDB, as a type.
#[derive(Debug)]
pub(crate) enum Mysql {}

impl Protocol for Mysql {
    type Connector = MyConnector;
    type Shared = Shared;
}

/// What the sessions of a route share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    facts: Arc<ArcSwapOption<Facts>>,
    interner: Arc<Mutex<Interner>>,
    schema: Arc<Schema>,
    /// What happens to the server's connections.
    pub(crate) meters: Arc<ServerMeters>,
}

/// How old what is known of the server's tables may be.
#[derive(Debug)]
struct Schema {
    began: Instant,
    /// Counts the changes that were seen.
    changes: AtomicU64,
}

/// Changes of tables that clients make elsewhere are noticed after this time at the latest, where a statement is prepared
/// without asking the server.
const SCHEMA_AGE: Duration = Duration::from_secs(60);

impl Shared {
    /// Of which time the schema is that descriptions of statements may be from.
    pub(crate) fn schema_age(&self) -> Age {
        let minutes = self.schema.began.elapsed().as_secs() / SCHEMA_AGE.as_secs();
        Age(minutes << 32 | self.schema.changes.load(Relaxed) & u64::from(u32::MAX))
    }

    /// A client may have changed the schema.
    pub(crate) fn schema_changed(&self) {
        self.schema.changes.fetch_add(1, Relaxed);
    }

    /// What is known of the server, once a connection has asked it.
    pub(crate) fn facts(&self) -> Option<Arc<Facts>> {
        self.facts.load_full()
    }

    /// How texts are to be read under the server's default settings.
    pub(crate) fn reading(&self) -> Mode {
        self.facts.load().as_ref().map_or(Mode::STANDARD, |facts| facts.reading)
    }

    /// The statement with this text under these settings.
    pub(crate) fn intern(&self, text: &[u8], context: &Settings, verdict: Verdict) -> Arc<Statement> {
        self.interner.lock().unwrap_or_else(PoisonError::into_inner).intern(text, context, verdict)
    }
}

/// Makes the connections of one server, and the routes to it.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    pub(crate) pool: Pool<MyConnector>,
    address: Address,
    habits: Arc<ArcSwap<Habits>>,
    codecs: Arc<Codecs>,
    shared: Shared,
}

impl Driver {
    pub(crate) fn new(
        number: u32,
        server: &route::Server,
        plan: &Plan,
        own: &ServerPlan,
        meters: &Arc<ServerMeters>,
    ) -> Self {
        let codecs = Arc::default();
        let habits = Arc::new(ArcSwap::from_pointee(habits(plan, own, &codecs)));
        let facts = Arc::new(ArcSwapOption::empty());
        let connector = MyConnector {
            address: server.address.clone(),
            habits: habits.clone(),
            facts: facts.clone(),
            meters: meters.clone(),
        };
        meters.watch_leaks(own.pool.leak_timeout.is_some());
        let pool = Pool::new(connector, own.pool.clone(), Watch(meters.clone()));
        let address = server.address.clone();
        Self {
            pool,
            address,
            habits,
            codecs,
            shared: Shared {
                facts,
                interner: Arc::new(Mutex::new(Interner::new(STATEMENTS_KEPT).numbered(number))),
                schema: Arc::new(Schema { began: Instant::now(), changes: AtomicU64::new(0) }),
                meters: meters.clone(),
            },
        }
    }

    /// Takes over what a changed configuration says.
    pub(crate) fn update(&self, plan: &Plan, own: &ServerPlan) {
        self.habits.store(Arc::new(habits(plan, own, &self.codecs)));
        self.shared.meters.watch_leaks(own.pool.leak_timeout.is_some());
    }

    /// What is known of the server, once a connection has asked it.
    pub(crate) fn facts(&self) -> Option<Arc<Facts>> {
        self.shared.facts()
    }

    /// Logs in and out again, to see whether the server lets this user in.
    pub(crate) async fn try_login(&self, login: &Login) -> Result<(), ServerError> {
        guest::try_login(&self.address, &self.habits.load_full(), login).await
    }

    /// Opens a route; `lane` makes what it is to everybody else.
    pub(crate) fn open(
        &self,
        names: &Names,
        secret: Option<Arc<UserSecret>>,
        limits: RouteLimits,
        lane: impl FnOnce(RouteId) -> Lane,
    ) -> Link<Mysql> {
        let login = Login {
            user: names.server_user.clone(),
            database: names.server_database.clone(),
            secret,
            flavour: names.flavour,
        };
        let id = self.pool.add_route(login, limits);
        Link::new(Arc::new(lane(id)), self.pool.clone(), self.shared.clone())
    }
}

fn habits(plan: &Plan, own: &ServerPlan, codecs: &Arc<Codecs>) -> Habits {
    Habits {
        statements_max: plan.prepared.per_server_max,
        init_sql: own.init_sql.clone(),
        validation_query: own.validation_query.clone(),
        local_infile: plan.mysql.local_infile,
        compression: own.compression,
        codecs: codecs.clone(),
        asks_census: own.asks_census,
        dialling: own.dialling.clone(),
    }
}
