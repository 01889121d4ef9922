//! Lending allocates nothing once a pool has warmed up, whether a connection is at hand or has to be waited for.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pool::{Checkout, ClassId, CloseReason, ConnectError, Connector, Lease, Pending, Pool, RouteLimits, Settings};

struct Bytes;

impl Connector for Bytes {
    type Connection = [u8; 4096];
    type Route = ();
    type Error = Infallible;

    async fn connect(&self, _: &Arc<()>) -> Result<[u8; 4096], ConnectError<Infallible>> {
        Ok([0; 4096])
    }
    fn is_reusable(&self, _: &mut [u8; 4096]) -> bool {
        true
    }
    async fn validate(&self, _: &mut [u8; 4096]) -> Result<(), Infallible> {
        Ok(())
    }
    async fn close(&self, _: [u8; 4096], _: CloseReason) {}
}

fn poll(pending: &mut Pending<Bytes>) -> Poll<Lease<Bytes>> {
    let polled = Pin::new(pending).poll(&mut Context::from_waker(Waker::noop()));
    polled.map(|result| result.expect("the pool is not closed and time stands still"))
}

fn ready(pending: &mut Pending<Bytes>) -> Lease<Bytes> {
    match poll(pending) {
        Poll::Ready(lease) => lease,
        Poll::Pending => panic!("a connection was at hand"),
    }
}

#[tokio::test(start_paused = true)]
async fn lending_allocates_nothing() {
    let pool = Pool::new(Bytes, Settings { budget: 1, ..Settings::default() }, ());
    let route = pool.add_route(
        (),
        RouteLimits { class: ClassId::DEFAULT, weight: 1, guarantee: 0, cap: None, min_idle: 0, max_waiters: None },
    );
    assert_eq!(pool.warm(route, 1).await, 1);
    let at_hand = || drop(ready(&mut pool.start_checkout(route, Checkout::new())));
    let waited_for = || {
        let lease = ready(&mut pool.start_checkout(route, Checkout::new()));
        let mut waiters = [pool.start_checkout(route, Checkout::new()), pool.start_checkout(route, Checkout::new())];
        assert!(poll(&mut waiters[0]).is_pending() && poll(&mut waiters[1]).is_pending());
        drop(lease);
        drop(ready(&mut waiters[0]));
        drop(ready(&mut waiters[1]));
    };
    waited_for();
    let cycles = |cycle: &dyn Fn()| allocation_counter::measure(|| (0..1_000).for_each(|_| cycle())).count_total;
    assert_eq!(cycles(&at_hand), 0, "with a connection at hand");
    assert_eq!(cycles(&waited_for), 0, "with a wait");
}
