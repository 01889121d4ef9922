//! What the pools go through.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, yield_now};

use crate::contender::{Contender, Source};

/// One task, nobody else: nanoseconds of a checkout with its return.
pub(crate) fn uncontended<P: Contender>() -> f64 {
    const CYCLES: u32 = 300_000;
    one_thread().block_on(async {
        let pool = P::new(8, Source::default());
        drop(pool.get().await);
        let mut best = f64::INFINITY;
        for _ in 0..7 {
            let began = Instant::now();
            for _ in 0..CYCLES {
                drop(pool.get().await);
            }
            best = best.min(began.elapsed().as_nanos() as f64 / f64::from(CYCLES));
        }
        best
    })
}

/// Many tasks for few connections for one second.
pub(crate) fn contended<P: Contender>() -> String {
    two_threads().block_on(async {
        let pool = P::new(8, Source::default());
        let until = Instant::now() + Duration::from_secs(1);
        let mut tasks = JoinSet::new();
        for _ in 0..64 {
            let pool = pool.clone();
            tasks.spawn(async move {
                let mut waits = Vec::new();
                while Instant::now() < until {
                    let asked = Instant::now();
                    let guard = pool.get().await;
                    waits.push(asked.elapsed());
                    yield_now().await;
                    drop(guard);
                }
                waits
            });
        }
        let per_task = tasks.join_all().await;
        let jain = jain(per_task.iter().map(Vec::len));
        let mut waits: Vec<Duration> = per_task.into_iter().flatten().collect();
        waits.sort_unstable();
        let at = |q: f64| waits[((waits.len() - 1) as f64 * q) as usize];
        let (count, most) = (waits.len(), at(1.0));
        format!(
            "{count:8} leases/s   wait p50 {:>9.1?}  p99 {:>9.1?}  max {most:>9.1?}   Jain over tasks {jain:.3}",
            at(0.5),
            at(0.99)
        )
    })
}

/// How many later requests were served before each one.
pub(crate) fn fairness<P: Contender>() -> String {
    one_thread().block_on(async {
        let pool = P::new(8, Source::default());
        let (asked, served) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..64 {
            let (pool, asked, served) = (pool.clone(), Arc::clone(&asked), Arc::clone(&served));
            tasks.spawn(async move {
                let mut overtaken = Vec::new();
                for _ in 0..500 {
                    let mine = asked.fetch_add(1, SeqCst);
                    let guard = pool.get().await;
                    overtaken.push(served.fetch_add(1, SeqCst).saturating_sub(mine));
                    yield_now().await;
                    drop(guard);
                }
                overtaken
            });
        }
        let overtaken: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
        let mean = overtaken.iter().sum::<u64>() as f64 / overtaken.len() as f64;
        let most = overtaken.iter().max().copied().unwrap_or(0);
        format!("overtaken by: mean {mean:8.2}   max {most:6}   of {}", overtaken.len())
    })
}

/// Checkouts dropped at random; can the whole pool be had afterwards?
pub(crate) fn storm<P: Contender>() -> String {
    two_threads().block_on(async {
        let source = Source::default();
        let pool = P::new(8, source.clone());
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for task in 0..64_u64 {
            let pool = pool.clone();
            tasks.spawn(async move {
                for turn in 0..3_000 {
                    let polls = (task.wrapping_mul(31) + turn * 7) % 4;
                    if let Some(guard) = for_polls(polls, pool.get()).await {
                        yield_now().await;
                        drop(guard);
                    }
                }
            });
        }
        tasks.join_all().await;
        let took = began.elapsed();
        let all = async {
            let mut guards = Vec::new();
            for _ in 0..8 {
                guards.push(pool.get().await);
            }
        };
        let verdict = match tokio::time::timeout(Duration::from_secs(2), all).await {
            Ok(()) => "all 8 at hand",
            Err(_) => "connections LOST",
        };
        format!("{took:>9.1?}   afterwards {verdict}, {} connects in all", source.connects())
    })
}

/// HikariCP's spike.
pub(crate) fn spike<P: Contender>() -> String {
    two_threads().block_on(async {
        let source = Source::default();
        let pool = P::new(50, source.clone());
        let mut guards = Vec::new();
        for _ in 0..5 {
            guards.push(pool.get().await);
        }
        drop(guards);
        let before = source.connects();
        source.take_from_now_on(Duration::from_millis(150));
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..50 {
            let pool = pool.clone();
            tasks.spawn(async move {
                let guard = pool.get().await;
                let waited = began.elapsed();
                tokio::time::sleep(Duration::from_millis(2)).await;
                drop(guard);
                waited
            });
        }
        let mut waits = tasks.join_all().await;
        let took = began.elapsed();
        waits.sort_unstable();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let surplus = source.connects() - before;
        format!(
            "all done in {took:>9.1?}   wait p50 {:>9.1?}  max {:>9.1?}   new connects {surplus}",
            waits[25], waits[49]
        )
    })
}

/// Jain's index: 1 when all have the same.
fn jain(counts: impl Iterator<Item = usize>) -> f64 {
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for count in counts {
        let x = count as f64;
        (n, sum, squares) = (n + 1.0, sum + x, squares + x * x);
    }
    sum * sum / (n * squares)
}

/// Awaits a future for so many polls, then drops it.
async fn for_polls<F: Future>(polls: u64, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be made")
}
