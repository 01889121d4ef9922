//! The fair, budgeted asynchronous connection pool.
//!
//! A [`Pool`] lends connections to one server to any number of **routes** (think: user and database) out of one
//! **budget**. Who gets the next one is decided by crate `scheduler`; this crate gives its decisions hands: it opens,
//! tests, re-keys and closes connections in tasks of its own, each with a deadline, and hands them to waiters one by one. It does
//! not know what a database is or what travels on a connection: a [`Connector`] says how one is made, judged and ended.
//! The proxy's crate `session` uses it, and so may any application that wants a pool of its own.
//!
//! Features: `tokio-postgres` and `mysql-async` bring connectors for these drivers (modules `postgres` and `mysql`), `serde` reads
//! [`Settings`] and [`Options`] from a configuration, `druid` translates data sources of Druid (module `druid`).
//!
//! What can be relied on, each point with a test named after what would go wrong:
//! - A checkout may be dropped at any point: no connection, permit or turn is lost.
//! - Waiters are served in order of arrival, by hand-off: nobody overtakes, no wake-up gets lost.
//! - A waiter never waits for *its* connect: whichever is there first serves it, a connect or a return.
//! - There are never more connections than the budget, while resizing and closing too; a permit is free when the socket
//!   is closed, and it becomes free whatever the connector does: fail, hang or panic.
//! - Every wait has a deadline, every queue a limit, and an error says why.
//! - No foreign code runs under the pool's lock, and dropping a lease neither blocks nor spawns.
//!
//! ```
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//!
//! /// Makes connections that are only their user's name.
//! struct Names;
//!
//! impl pool::Connector for Names {
//!     type Connection = String;
//!     type Route = &'static str;
//!     type Error = Infallible;
//!
//!     async fn connect(&self, user: &Arc<&'static str>) -> Result<String, pool::ConnectError<Infallible>> {
//!         Ok(user.to_string())
//!     }
//!     fn is_reusable(&self, name: &mut String) -> bool {
//!         !name.is_empty()
//!     }
//!     async fn validate(&self, _: &mut String) -> Result<(), Infallible> {
//!         Ok(())
//!     }
//!     async fn close(&self, _: String, _: pool::CloseReason) {}
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = pool::Pool::new(Names, pool::Settings { budget: 2, ..Default::default() }, ());
//! let class = pool::ClassId::default();
//! let limits = pool::RouteLimits { class, weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None };
//! let ada = pool.add_route("ada", limits);
//!
//! let lease = pool.checkout(ada, pool::Checkout::new()).await?;
//! assert_eq!(*lease, "ada");
//! drop(lease); // gives it back
//!
//! let report = pool.close(Duration::from_secs(1)).await;
//! assert_eq!((report.closed, report.abandoned), (1, 0));
//! # Ok(())
//! # }
//! ```
//!
//! To see it beside deadpool and bb8: `cargo run --release -p evenkeel-pool --example compare`.

mod adapters;
mod checkout;
mod connector;
#[cfg(feature = "druid")]
pub mod druid;
mod error;
mod handoff;
mod keeper;
#[cfg(feature = "serde")]
mod keys;
mod lease;
mod ledger;
mod observer;
mod options;
mod pool;
mod settings;
mod shared;
mod snapshot;
mod table;
mod tasks;
mod transaction;

#[cfg(feature = "mysql-async")]
pub use adapters::mysql;
#[cfg(feature = "tokio-postgres")]
pub use adapters::postgres;
pub use checkout::{Checkout, Pending};
pub use connector::{Account, ConnectError, Connector};
pub use error::{CheckoutError, ConnectFault, Timeout};
pub use lease::Lease;
pub use observer::{Observer, Overdue};
pub use options::{OnReturn, Options, Session};
pub use pool::{CloseReport, Pool};
pub use scheduler::{
    BlockedBy, CLASSES_MAX, ClassId, ClassLimits, ClassSet, ClassView, CloseCounts, CloseReason, ConnId,
    ConnectFailure, Faults, Home, LimitMode, Moves, NoTransfer, OverLimit, Party, Realm, Refusal, Refusals, Reuse,
    RouteId, RouteLimits, RouteView, StateKey, Time, Totals, TransactionLimit, TransactionView,
};
pub use settings::Settings;
pub use snapshot::{Activity, ConnectionView, Snapshot};
pub use transaction::TransactionPermit;
