//! The Evenkeel program.
fn main() {}
