//! Counters and latency histograms that cost nanoseconds.
//!
//! What the data path counts lives here, and how it is told to Prometheus. The crate does not know what is counted: who
//! owns a [`Counter`] or [`Histogram`] gives it a name when it writes the [`Exposition`]. Recording is one or two relaxed
//! atomic additions, never a lock and never an allocation; everything that costs more happens on a [`Snapshot`].
//! `pool` and `session` record, `control` shows.
//!
//! ```
//! use meter::{Exposition, Histogram};
//! use std::time::Duration;
//!
//! let wait = Histogram::new();
//! wait.record(Duration::from_millis(3));
//! let snapshot = wait.snapshot();
//! assert!(snapshot.quantile(0.5) <= Duration::from_micros(3_584));
//!
//! let mut page = Exposition::new();
//! page.histogram("evenkeel_wait_seconds", "Time a client waited for a server connection.")
//!     .sample(&[("database", "shop")], &snapshot);
//! assert!(page.finish().contains("evenkeel_wait_seconds_count{database=\"shop\"} 1"));
//! ```

mod cell;
mod exposition;
mod histogram;

pub use cell::{Counter, Gauge};
pub use exposition::{CONTENT_TYPE, Exposition, Family, ForeignKind, HistogramFamily, Number};
pub use histogram::{Histogram, Snapshot};
