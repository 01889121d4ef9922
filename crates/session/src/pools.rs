//! The pool of a server, whatever it speaks.

use pool::{ClassId, ClassLimits, Pool, RouteId, RouteLimits, RouteView, Settings, Snapshot, Totals, TransactionLimit};

use crate::{mysql::MyConnector, postgres::PgConnector};

/// The pool of one server: what can be asked of it without knowing the protocol.
#[derive(Debug, Clone)]
pub enum AnyPool {
    /// To a PostgreSQL server.
    Postgres(Pool<PgConnector>),
    /// To a MySQL or MariaDB server.
    Mysql(Pool<MyConnector>),
}

/// The same call on the pool, of whichever protocol.
macro_rules! on {
    ($any:expr, $pool:ident => $call:expr) => {
        match $any {
            AnyPool::Postgres($pool) => $call,
            AnyPool::Mysql($pool) => $call,
        }
    };
}

impl AnyPool {
    /// Its numbers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        on!(self, pool => pool.totals())
    }

    /// Everything there is to see, as of one instant.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        on!(self, pool => pool.snapshot())
    }

    /// One of its routes.
    #[must_use]
    pub fn route(&self, route: RouteId) -> Option<RouteView> {
        on!(self, pool => pool.route(route))
    }

    /// What holds for it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        on!(self, pool => pool.settings())
    }

    /// Lends nothing any more until [`AnyPool::resume`].
    pub fn pause(&self) {
        on!(self, pool => pool.pause());
    }

    /// Lends again.
    pub fn resume(&self) {
        on!(self, pool => pool.resume());
    }

    /// Replaces every connection, each as soon as nobody has it.
    pub fn reconnect(&self) {
        on!(self, pool => pool.reconnect());
    }

    /// Caps a class.
    pub fn set_class(&self, class: ClassId, limits: ClassLimits) {
        on!(self, pool => pool.set_class(class, limits));
    }

    pub(crate) fn remove_class(&self, class: ClassId) {
        on!(self, pool => pool.remove_class(class));
    }

    pub(crate) fn set_transaction_limit(&self, limit: TransactionLimit) {
        on!(self, pool => pool.set_transaction_limit(limit));
    }

    pub(crate) fn set_settings(&self, settings: Settings) {
        on!(self, pool => pool.set_settings(settings));
    }

    pub(crate) fn set_route_limits(&self, route: RouteId, limits: RouteLimits) {
        on!(self, pool => pool.set_route_limits(route, limits));
    }

    pub(crate) fn add_sibling(&self, of: RouteId, limits: RouteLimits) -> Option<RouteId> {
        on!(self, pool => pool.add_sibling(of, limits))
    }

    pub(crate) fn remove_route(&self, route: RouteId) {
        on!(self, pool => pool.remove_route(route));
    }

    pub(crate) fn open_ahead(&self, route: RouteId, connections: u32) {
        on!(self, pool => pool.open_ahead(route, connections));
    }

    pub(crate) async fn close(&self, within: std::time::Duration) -> pool::CloseReport {
        on!(self, pool => pool.close(within).await)
    }
}
