//! Password authentication, both sides of every exchange: pure, no I/O.
