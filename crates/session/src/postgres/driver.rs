//! The pool of a PostgreSQL server, and the routes to it.

use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use pg::{dial::Parameters, statement::Interner};
use pool::{Pool, RouteId, RouteLimits};

use super::connector::{Habits, Login, PgConnector};
use crate::{
    lane::{Lane, Link, Names, Protocol},
    observe::{ServerMeters, Watch},
    plan::{Plan, ServerPlan},
    secrets::UserSecret,
};

/// The most statements that are kept although no client and no server connection uses them, for each server.
const STATEMENTS_KEPT: usize = 10_000;

/// PostgreSQL, as a type.
#[derive(Debug)]
pub(crate) enum Postgres {}

impl Protocol for Postgres {
    type Connector = PgConnector;
    type Shared = Shared;
}

/// What the sessions of a route share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// What the server last reported of itself at a login.
    pub(crate) parameters: Arc<ArcSwapOption<Parameters>>,
    /// The statements that sessions of this server have prepared.
    pub(crate) interner: Arc<Mutex<Interner>>,
    /// What happens to the server's connections.
    pub(crate) meters: Arc<ServerMeters>,
}

/// Makes the connections of one server, and the routes to it.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    pub(crate) pool: Pool<PgConnector>,
    habits: Arc<ArcSwap<Habits>>,
    interner: Arc<Mutex<Interner>>,
    meters: Arc<ServerMeters>,
}

impl Driver {
    pub(crate) fn new(
        number: u32,
        server: &route::Server,
        plan: &Plan,
        own: &ServerPlan,
        meters: &Arc<ServerMeters>,
    ) -> Self {
        let habits = Arc::new(ArcSwap::from_pointee(habits(plan, own)));
        let connector = PgConnector::new(server.address.clone(), habits.clone(), meters.clone());
        meters.watch_leaks(own.pool.leak_timeout.is_some());
        let pool = Pool::new(connector, own.pool.clone(), Watch(meters.clone()));
        let interner = Arc::new(Mutex::new(Interner::new(STATEMENTS_KEPT).numbered(number)));
        Self { pool, habits, interner, meters: meters.clone() }
    }

    /// Takes over what a changed configuration says.
    pub(crate) fn update(&self, plan: &Plan, own: &ServerPlan) {
        self.habits.store(Arc::new(habits(plan, own)));
        self.meters.watch_leaks(own.pool.leak_timeout.is_some());
    }

    /// Opens a route; `lane` makes what it is to everybody else.
    pub(crate) fn open(
        &self,
        names: &Names,
        secret: Option<Arc<UserSecret>>,
        limits: RouteLimits,
        lane: impl FnOnce(RouteId) -> Lane,
    ) -> Link<Postgres> {
        let parameters = Arc::new(ArcSwapOption::empty());
        let login = Login {
            user: names.server_user.clone(),
            database: names.server_database.clone(),
            secret,
            parameters: parameters.clone(),
        };
        let id = self.pool.add_route(login, limits);
        let shared = Shared { parameters, interner: self.interner.clone(), meters: self.meters.clone() };
        Link::new(Arc::new(lane(id)), self.pool.clone(), shared)
    }
}

fn habits(plan: &Plan, own: &ServerPlan) -> Habits {
    Habits {
        statements_max: plan.prepared.per_server_max,
        init_sql: own.init_sql.clone(),
        validation_query: own.validation_query.clone(),
        asks_census: own.asks_census,
        dialling: own.dialling.clone(),
    }
}
