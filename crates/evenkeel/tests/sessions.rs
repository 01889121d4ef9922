//! When a lease ends, and what passes through it: the pooling modes, pipelines, errors, COPY, and large messages.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;

use common::{Setup, backend};
use testkit::Result;

#[test]
fn a_lease_ends_with_its_transaction() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let first = backend(&mut wire)?;
    let held = scene.hold()?;
    assert_eq!(held.backend(), first, "the connection used last was free");
    wire.query("begin")?;
    let second = backend(&mut wire)?;
    assert_ne!(second, first);
    held.release()?;
    assert_eq!(backend(&mut wire)?, second, "inside a transaction the server stays");
    wire.query("savepoint a")?;
    assert_eq!(common::fails_with(&mut wire, "select 1/0"), "22012");
    wire.query("rollback to a")?;
    assert_eq!(backend(&mut wire)?, second);
    wire.query("commit")?;
    let held = scene.hold()?;
    assert_eq!(held.backend(), second, "after COMMIT it is free again");
    assert_ne!(backend(&mut wire)?, second);
    Ok(())
}
