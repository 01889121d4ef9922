//! The pools, behind one face.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use pool::{Checkout, ClassId, CloseReason, ConnectError, Connector, Pool, RouteId, RouteLimits, Settings};

/// How connections are made, and how many were.
#[derive(Clone, Default)]
pub(crate) struct Source {
    connect_ms: Arc<AtomicUsize>,
    connects: Arc<AtomicUsize>,
}

impl Source {
    pub(crate) fn take_from_now_on(&self, time: Duration) {
        self.connect_ms.store(time.as_millis() as usize, SeqCst);
    }

    pub(crate) fn connects(&self) -> usize {
        self.connects.load(SeqCst)
    }

    async fn connect(&self) {
        self.connects.fetch_add(1, SeqCst);
        match self.connect_ms.load(SeqCst) {
            0 => {}
            ms => tokio::time::sleep(Duration::from_millis(ms as u64)).await,
        }
    }
}

/// A pool under test.
pub(crate) trait Contender: Clone + Send + Sync + 'static {
    const NAME: &'static str;
    type Guard: Send + 'static;
    /// An empty pool; called on its runtime.
    fn new(max: u32, source: Source) -> Self;
    fn get(&self) -> impl Future<Output = Self::Guard> + Send;
}

#[derive(Clone)]
pub(crate) struct Evenkeel(Pool<Source>, RouteId);

impl Connector for Source {
    type Connection = ();
    type Route = ();
    type Error = Infallible;

    async fn connect(&self, _: &Arc<()>) -> Result<(), ConnectError<Infallible>> {
        self.connect().await;
        Ok(())
    }

    fn is_reusable(&self, (): &mut ()) -> bool {
        true
    }

    async fn validate(&self, (): &mut ()) -> Result<(), Infallible> {
        Ok(())
    }

    async fn close(&self, (): (), _: CloseReason) {}
}

impl Contender for Evenkeel {
    const NAME: &'static str = "evenkeel";
    type Guard = pool::Lease<Source>;

    fn new(max: u32, source: Source) -> Self {
        let settings = Settings { budget: max, test_on_checkout: None, ..Settings::default() };
        let pool = Pool::new(source, settings, ());
        let limits = RouteLimits {
            class: ClassId::default(),
            weight: 1,
            guarantee: 0,
            cap: None,
            min_idle: 0,
            max_waiters: None,
        };
        let route = pool.add_route((), limits);
        Self(pool, route)
    }

    async fn get(&self) -> Self::Guard {
        self.0.checkout(self.1, Checkout::new()).await.expect("connects do not fail here")
    }
}

#[derive(Clone)]
pub(crate) struct Deadpool(deadpool::managed::Pool<Source>);

impl deadpool::managed::Manager for Source {
    type Type = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        self.connect().await;
        Ok(())
    }

    async fn recycle(
        &self,
        (): &mut (),
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl Contender for Deadpool {
    const NAME: &'static str = "deadpool";
    type Guard = deadpool::managed::Object<Source>;

    fn new(max: u32, source: Source) -> Self {
        let pool = deadpool::managed::Pool::builder(source).max_size(max as usize).build();
        Self(pool.expect("without timeouts it needs no runtime"))
    }

    async fn get(&self) -> Self::Guard {
        self.0.get().await.expect("connects do not fail here")
    }
}

#[derive(Clone)]
pub(crate) struct Bb8(bb8::Pool<Source>);

impl bb8::ManageConnection for Source {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self) -> Result<(), Infallible> {
        self.connect().await;
        Ok(())
    }

    async fn is_valid(&self, (): &mut ()) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, (): &mut ()) -> bool {
        false
    }
}

impl Contender for Bb8 {
    const NAME: &'static str = "bb8";
    type Guard = bb8::PooledConnection<'static, Source>;

    fn new(max: u32, source: Source) -> Self {
        Self(bb8::Pool::builder().max_size(max).test_on_check_out(false).build_unchecked(source))
    }

    async fn get(&self) -> Self::Guard {
        self.0.get_owned().await.expect("connects do not fail here")
    }
}
