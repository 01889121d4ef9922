//! Databases, users and routes: where a client's work goes, and under which limits.
//!
//! A [`Table`] answers one question: a client came as this user and asks for this database; which server, as whom, under
//! which [`Terms`]? It is pure: no I/O, no clock, no secrets, and it does not know how servers are scheduled, so its limits
//! are plain numbers. `config` builds and checks it, `session` asks it once per login.
//!
//! ```
//! use route::{Database, Server, Table, Target, User};
//!
//! let table = Table::new(
//!     vec![Server::new("pg-a", "shop", "10.0.0.5:5432".parse().unwrap(), 40)],
//!     vec![Database::new("*", Target::Cluster("shop".into()))],
//!     vec![User::new("app")],
//!     vec![],
//! )
//! .unwrap();
//! let found = table.resolve("app", "orders").unwrap();
//! assert_eq!(&*table.server(found.server).name, "pg-a");
//! assert_eq!(&*found.server_database, "orders");
//! ```

mod address;
mod check;
mod class;
mod classes;
mod doubt;
mod entries;
mod fault;
mod pattern;
mod protocol;
mod reach;
mod table;
mod terms;
mod traffic;
mod transaction_limit;

pub use address::{Address, AddressError};
pub use class::{CLASSES_MAX, Class, ClassIndex, Takes};
pub use classes::{ClassError, Classes, DEFAULT_CLASS, RESERVED_CLASS};
pub use doubt::Doubt;
pub use entries::{Database, Role, Rule, Server, Target, User};
pub use fault::{Fault, Subject, What};
pub use pattern::Pattern;
pub use protocol::Protocol;
pub use reach::{Reach, Scope};
pub use table::{DatabaseIndex, Identity, NoRoute, Resolved, ServerIndex, Table, UserIndex};
pub use terms::{Limits, Overrides, PoolMode, SessionState, Terms, Timeout, Timeouts};
pub use traffic::{Choice, StatementKind, Traffic, Who, Workload};
pub use transaction_limit::{LimitKey, LimitMode, TransactionLimit};
pub use words::nearest;
