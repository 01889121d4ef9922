//! The pool against a server that does what a script says.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod fake;

mod cancel;
mod classes;
mod faults;
mod lend;
mod lifecycle;
mod recycle;
mod rekey;
mod storm;
mod tests_of_connections;
