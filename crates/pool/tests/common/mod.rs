//! What the tests of both adapters do to a pool on a real server.

use std::task::Poll;
use std::time::Duration;

use pool::{Connector, Pool};

/// Polls a future so often and drops it.
pub(crate) async fn abandon(polls: usize, future: impl Future) {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        if std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await.is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until nothing is lent, opened, closed or waited for; no promise was broken on the way.
pub(crate) async fn all_is_back<C: Connector>(pool: &Pool<C>) {
    for _ in 0..2_000 {
        let snapshot = pool.snapshot();
        assert!(snapshot.faults.is_clean(), "{:?}", snapshot.faults);
        let totals = snapshot.totals;
        if totals.in_use + totals.connecting + totals.closing + totals.waiting == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not at rest: {:?}", pool.snapshot());
}
