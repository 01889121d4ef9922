//! What differs between servers of the two protocols: how connections are made, and what sessions share.

use std::{error::Error, sync::Arc, time::Duration};

use pool::{Checkout, RouteId, RouteLimits};
use route::Protocol;

use crate::{
    engine::LaneError,
    lane::{Lane, Link, Names},
    mysql::{self, Mysql},
    observe::ServerMeters,
    plan::{Plan, ServerPlan},
    pools::AnyPool,
    postgres::{self, Postgres},
    secrets::UserSecret,
};

/// Makes the connections of one server, and the routes to it.
#[derive(Debug, Clone)]
pub(crate) enum Driver {
    Postgres(postgres::Driver),
    Mysql(mysql::Driver),
}

/// A route as the sessions of its protocol use it.
#[derive(Debug, Clone)]
pub(crate) enum AnyLink {
    Postgres(Arc<Link<Postgres>>),
    Mysql(Arc<Link<Mysql>>),
}

impl Driver {
    /// The driver of a server; `number` is one that no other driver has had.
    pub(crate) fn new(
        number: u32,
        server: &route::Server,
        plan: &Plan,
        own: &ServerPlan,
        meters: &Arc<ServerMeters>,
    ) -> Self {
        match server.protocol {
            Protocol::Postgres => Self::Postgres(postgres::Driver::new(number, server, plan, own, meters)),
            Protocol::Mysql => Self::Mysql(mysql::Driver::new(number, server, plan, own, meters)),
        }
    }

    /// Takes over what a changed configuration says.
    pub(crate) fn update(&self, plan: &Plan, own: &ServerPlan) {
        match self {
            Self::Postgres(driver) => driver.update(plan, own),
            Self::Mysql(driver) => driver.update(plan, own),
        }
    }

    pub(crate) fn pool(&self) -> AnyPool {
        match self {
            Self::Postgres(driver) => AnyPool::Postgres(driver.pool.clone()),
            Self::Mysql(driver) => AnyPool::Mysql(driver.pool.clone()),
        }
    }

    /// What is known of the server, if it is a MySQL server that has been reached.
    pub(crate) fn mysql_facts(&self) -> Option<Arc<mysql::Facts>> {
        match self {
            Self::Postgres(_) => None,
            Self::Mysql(driver) => driver.facts(),
        }
    }

    /// Opens a route in the pool; `lane` makes what it is to everybody else.
    pub(crate) fn open(
        &self,
        names: &Names,
        secret: Option<Arc<UserSecret>>,
        limits: RouteLimits,
        lane: impl FnOnce(RouteId) -> Lane,
    ) -> AnyLink {
        match self {
            Self::Postgres(driver) => AnyLink::Postgres(Arc::new(driver.open(names, secret, limits, lane))),
            Self::Mysql(driver) => AnyLink::Mysql(Arc::new(driver.open(names, secret, limits, lane))),
        }
    }
}

impl AnyLink {
    /// What it is to everybody else.
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        match self {
            Self::Postgres(link) => link.lane(),
            Self::Mysql(link) => link.lane(),
        }
    }

    /// As a PostgreSQL client's session uses it.
    pub(crate) fn postgres(self) -> Result<Arc<Link<Postgres>>, LaneError> {
        match self {
            Self::Postgres(link) => Ok(link),
            Self::Mysql(_) => Err(LaneError::OtherProtocol("MySQL")),
        }
    }

    /// As a MySQL client's session uses it.
    pub(crate) fn mysql(self) -> Result<Arc<Link<Mysql>>, LaneError> {
        match self {
            Self::Mysql(link) => Ok(link),
            Self::Postgres(_) => Err(LaneError::OtherProtocol("PostgreSQL")),
        }
    }

    /// Takes a connection and gives it back. Returns the server's version.
    pub(crate) async fn probe(&self, within: Duration) -> Result<String, Box<dyn Error + Send + Sync>> {
        match self {
            Self::Postgres(link) => {
                let lease = link.pool.checkout(link.id, Checkout::new().within(within)).await?;
                Ok(lease.version())
            }
            Self::Mysql(link) => {
                let lease = link.pool.checkout(link.id, Checkout::new().within(within)).await?;
                Ok(lease.version())
            }
        }
    }
}
