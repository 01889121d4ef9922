//! Who gets which server connection next.
//!
//! One [`Scheduler`] shares one server's **budget** of connections among **routes** (class, user, database). It is pure:
//! events and times go in, [`Decision`]s come out. It knows no socket, no clock, no task, and not what a database is.
//! The caller (crate `pool`) carries the decisions out and reports what came of them.
//!
//! Life of a connection, as seen here: `Open` is decided (the permit is taken at that instant) → connecting →
//! [`Scheduler::handle_connected`] → idle or granted → in use → [`Scheduler::detach`] → idle, granted again, or closing →
//! [`Scheduler::handle_closed`] (only now is the permit free).

mod allot;
mod class;
mod clock;
mod conn;
mod connect;
mod control;
mod heap;
mod lease;
mod list;
mod pace;
mod rng;
mod route;
mod scheduler;
mod slots;
#[cfg(test)]
mod tests;
mod types;
mod upkeep;
mod view;
mod waiter;

pub use scheduler::Scheduler;
pub use types::*;
pub use view::{CloseCounts, Faults, RouteView, Totals};
