//! Who gets which server connection next.
//!
//! One [`Scheduler`] shares one server's **budget** of connections among **routes** (class, user, database). It is pure:
//! events and times go in, [`Decision`]s come out. It knows no socket, no clock, no task, and not what a database is.
//! The caller (crate `pool`) carries the decisions out and reports what came of them.
//!
//! Life of a connection, as seen here: `Open` is decided (the permit is taken at that instant) → connecting →
//! [`Scheduler::handle_connected`] → idle or granted → in use → [`Scheduler::detach`] → idle, granted again, or closing →
//! [`Scheduler::handle_closed`] (only now is the permit free). When its slot moves to another route the connection is closed
//! and another one opened, or it is re-keyed: → logging in anew → [`Scheduler::handle_rekeyed`] → idle or granted.
//!
//! ```
//! use std::time::Duration;
//! use scheduler::*;
//!
//! let limits = Limits {
//!     budget: 1,
//!     connect_concurrency: 1,
//!     max_waiters: 100,
//!     reuse: Reuse::MostRecent,
//!     reclaim_after: Duration::from_millis(100),
//!     retention_connects: 4,
//!     moves: Moves::Reconnect,
//!     probe_after: Duration::from_secs(1),
//! };
//! let forever =
//!     Recycling { idle_timeout: None, max_idle_timeout: None, max_lifetime: None, lifetime_jitter: 0.0, max_uses: None };
//! let now = Time(0);
//! let mut scheduler = Scheduler::new(limits, forever, 7, now);
//! let route = scheduler.add_route(
//!     RouteLimits { class: ClassId::DEFAULT, weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None },
//!     None,
//!     now,
//! );
//!
//! let request = Request { state: StateKey(0), home: Home(0), deadline: now.after(Duration::from_secs(5)) };
//! let Attach::Queued(first) = scheduler.attach(route, request, now) else { panic!("nothing is open yet") };
//! let Some(Decision::Open { conn, .. }) = scheduler.poll_decision() else { panic!("the budget has room") };
//! scheduler.handle_connected(conn, StateKey(0), Home(0), Duration::from_millis(5), now);
//! assert_eq!(scheduler.poll_decision(), Some(Decision::Grant { ticket: first, conn }));
//!
//! let Attach::Queued(second) = scheduler.attach(route, request, now) else { panic!("the budget is used up") };
//! scheduler.detach(conn, Detach::Keep(StateKey(0)), now);
//! assert_eq!(scheduler.poll_decision(), Some(Decision::Grant { ticket: second, conn }));
//! ```
//!
//! # What it promises
//!
//! Each of these is a property test, and a counter in [`Faults`] that must stay zero in production.
//!
//! - **I1, the budget holds.** Connections in every state, from connecting to closing, are never more than the budget,
//!   and per class and route never more than the cap, unless a limit has just been lowered; then none is opened.
//! - **I2, nothing lies idle beside a waiter.** No idle connection of a route beside a waiter of that route, ever. A free
//!   slot goes to whoever may have it within the event that frees it. An idle connection of another route is taken as
//!   the rules for moving a slot say (below).
//! - **I3, first come, first served** within a route. A newcomer gets nothing while somebody waits.
//! - **I4, every wait ends exactly once**: with a grant, an expiry, or the caller's own [`Scheduler::cancel`]. A waiter
//!   whose deadline has passed is not granted anything, also when the clock has not been heard yet.
//! - **I5, no permit is lost.** When everything has left, nothing is in use and nothing held.
//! - **I6, no starvation.** A route below its fair share gets a slot within a bounded number of releases, whatever the
//!   others do. Bounded, not next: a slot is moved only when that is worth a reconnect.
//! - **I7, service in proportion to weight** for routes that always have waiters. Service is time: the length of leases,
//!   not their number, so long transactions buy nothing.
//!
//! # How a slot moves
//!
//! Inside a route a connection goes from hand to hand. Between routes a move costs a reconnect, or, between routes of one
//! [`Realm`], at least a new login on the live connection ([`Decision::Rekey`]), so it needs a reason; the reasons are
//! listed in `allot.rs`. In short: guarantees first, then the smaller grows at the larger's expense until neither would
//! gain, then what does not divide evenly goes round slowly, by service had. Running leases are never cut short. A route
//! at or below its share keeps its idle connections for [`Limits::reclaim_after`]; about twenty connect times is a good
//! value. More keeps slots idle beside waiters, less makes users who think between requests reconnect each time.
//!
//! # What it costs
//!
//! An attach that finds an idle connection, and a detach where nobody waits, are O(1) and allocate nothing. With waiters
//! they are O(log n) in the number of *waiting* routes. Nothing but commands ([`Scheduler::set_limits`] and its like)
//! looks at all routes. `examples/cost.rs` measures it, `examples/fairness.rs` simulates the rest.

mod allot;
mod caps;
mod class;
mod classes;
mod clock;
mod conn;
mod connect;
mod control;
mod heap;
mod lease;
mod limiter;
mod list;
mod pace;
mod rekey;
mod rng;
mod route;
mod scheduler;
mod siblings;
mod slots;
#[cfg(test)]
mod tests;
mod types;
mod upkeep;
mod view;
mod waiter;

pub use classes::*;
pub use limiter::*;
pub use scheduler::Scheduler;
pub use types::*;
pub use view::{ClassView, CloseCounts, Faults, RouteView, Totals};
