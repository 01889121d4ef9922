//! The pool against a server that does what a script says.

mod fake;

mod cancel;
mod faults;
mod lend;
mod lifecycle;
mod recycle;
mod storm;
mod tests_of_connections;
