//! The fair, budgeted asynchronous connection pool.

mod checkout;
mod connector;
mod core;
mod error;
mod handoff;
mod keeper;
mod lease;
mod observer;
mod pool;
mod settings;
mod shared;
mod snapshot;
mod table;
mod tasks;

pub use checkout::{Checkout, Pending};
pub use connector::{ConnectError, Connector};
pub use error::{CheckoutError, ConnectFault, Timeout};
pub use lease::Lease;
pub use observer::Observer;
pub use pool::{CloseReport, Pool};
pub use scheduler::{
    ClassId, ClassLimits, CloseReason, ConnId, ConnectFailure, Faults, Home, Refusal, Reuse, RouteId, RouteLimits,
    RouteView, StateKey, Time, Totals,
};
pub use settings::Settings;
pub use snapshot::{Activity, ConnectionView, Snapshot};
