//! Real database clusters in temporary folders, for tests, the demo and benchmarks.
//!
//! What it deliberately does not know: any crate of the product. It starts programs, speaks to them from outside, and
//! breaks what lies between them, so it can never agree with a mistake of ours. Its main types are [`Postgres`],
//! [`mysql::Server`], [`PgBouncer`], [`Evenkeel`], [`Cut`] and [`Wire`]; integration tests and `xtask` call it.
//!
//! ```no_run
//! use testkit::{Login, Options, Postgres};
//!
//! let pg = Postgres::start(Options::new().user("app", "secret", Login::Scram).database("shop"))?;
//! assert_eq!(pg.psql("select 1")?, "1");
//! # anyhow::Ok(())
//! ```
//!
//! Nothing waits by sleeping: [`poll_until`] asks again until a deadline. Everything started here ends with the value that
//! owns it, with the test that panics, and with the process that is killed (see [`process`]).

pub mod bouncer;
pub mod cache;
pub mod certificates;
mod channel;
pub mod cut;
pub mod drivers;
pub mod evenkeel;
pub mod install;
pub mod mysql;
pub mod pgbench;
mod poll;
mod port;
pub mod postgres;
pub mod process;
pub mod sysbench;
mod template;
pub mod wire;

pub use bouncer::PgBouncer;
pub use certificates::Authority;
pub use cut::Cut;
pub use evenkeel::{Evenkeel, Speaks};
pub use install::Install;
pub use mysql::MyWire;
pub use pgbench::Pgbench;
pub use poll::poll_until;
pub use port::Port;
pub use postgres::{Login, Options, Postgres, Stop};
pub use process::Process;
pub use sysbench::Sysbench;
pub use wire::Wire;

/// What everything here returns: a chain of contexts to print, because no test reacts to a kind of failure of its tools.
pub use anyhow::Result;
