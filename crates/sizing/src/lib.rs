//! How large pools should be: numbers in, numbers and their derivations out.
//!
//! It knows no server, no configuration and no clock. Every result can say how it came about ([`Derivation`]), so that a
//! person can follow it and disagree. The program's `evenkeel size` asks for needs ([`Needs::advise`]) and for measured
//! points ([`Fit::of`]); the page docs/sizing.md explains what the answers mean.
//!
//! ```
//! use std::time::Duration;
//! use sizing::{Needs, Target, Workload};
//!
//! let work = Workload::new(5_000.0, Duration::from_millis(5)).unwrap();
//! let target = Target::Percentile { percent: 99.0, wait: Duration::from_millis(1) };
//! let advice = Needs::new(work, target).advise().unwrap();
//! assert_eq!((advice.ideal, advice.budget), (25, 34));
//! println!("{}", advice.derivation);
//! ```

mod advice;
mod curve;
mod derivation;
mod doubt;
mod error;
mod examples;
mod fit;
mod number;
mod queue;
mod rules;
mod solve;
mod sum;
mod workload;

pub use advice::{ASSUMPTIONS, Advice, Binding, Cap, Needs, Tasks, Warning};
pub use curve::{Curve, Knee};
pub use derivation::{Derivation, Derived, Step};
pub use doubt::{Confidence, Doubt};
pub use error::Error;
pub use examples::{Example, examples};
pub use fit::{Fit, POINTS_MAX, Point};
pub use number::{count, real, time};
pub use queue::{Queue, Target, variability};
pub use rules::{by_cores, connects_by_lifetime, connects_by_uses, deadlock_floor, waiters};
pub use sum::{Amount, Room, ServerLimit, Sum, Term, VtTablet, limit_per_user};
pub use workload::{LOAD_MAX, Nodes, Workload, ceiling, headroom, per_connection, queued_inside};
