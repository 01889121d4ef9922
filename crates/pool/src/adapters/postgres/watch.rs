//! A socket that is watched, and the driver's task that is listened to: together they tell at any moment, without asking the
//! server, whether a connection is at rest.
//!
//! `tokio-postgres` moves bytes in a task of its own and does not say what it still has to do: not which queries were
//! abandoned, nor whether a transaction is open. Two observations make up for it. What passed on the wire is counted
//! ([`Traffic`]). And a request that has been made but not yet written has called the driver, which has not come to an end of it
//! since ([`Stage`]); the socket wakes the same task, but in another way, as it brings no requests.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use atomic_waker::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::traffic::{Session, Traffic};

/// How often a driver is let go first; one that is busy for longer has something to do.
const TURNS_MAX: u32 = 100;

/// What is known of one connection.
pub(super) struct Watch {
    traffic: Mutex<Traffic>,
    /// The driver's [`Stage`].
    stage: AtomicU8,
    /// The driver's task.
    task: AtomicWaker,
}

/// What the driver is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// It has done all there was to do, and nobody has called it since.
    Quiet,
    /// It is running because its socket woke it, and nobody has called it.
    Reading,
    /// Somebody who wants something has called it.
    Called,
    /// It is running, and does what it was called for.
    Handling,
}

impl Watch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            traffic: Mutex::new(Traffic::new()),
            stage: AtomicU8::new(Stage::Called as u8),
            task: AtomicWaker::new(),
        })
    }

    /// Whether nothing is under way and no transaction is open. `false` may also mean that it cannot be told right now.
    pub(super) fn is_at_rest(&self) -> bool {
        // First the stage: what the driver does before it falls quiet is in the traffic then.
        let stage = self.stage.load(Ordering::SeqCst);
        let traffic = self.traffic();
        // The answer that ends a query wakes its caller while the driver goes on reading: it has no more to say.
        traffic.is_done() && (stage == Stage::Reading as u8 || stage == Stage::Quiet as u8 && traffic.is_read())
    }

    /// Lets the driver do what it can do by itself, and says whether that has brought the connection to rest.
    ///
    /// The answer that ends a query wakes its caller while the driver is still looking for more to read, on another thread
    /// perhaps: a lease that is dropped right then cannot be told from one that left something behind, a moment later it can.
    pub(super) async fn comes_to_rest(&self) -> bool {
        for _ in 0..TURNS_MAX {
            if self.is_at_rest() {
                return true;
            }
            if self.stage.load(Ordering::SeqCst) == Stage::Quiet as u8 {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.is_at_rest()
    }

    /// Whether a request that was sent is not answered yet.
    pub(super) fn is_answering(&self) -> bool {
        self.traffic().is_answering()
    }

    /// Where the session stood when the server last answered.
    pub(super) fn session(&self) -> Session {
        self.traffic().session()
    }

    /// Goes from one stage to another, if it is there.
    fn change(&self, from: Stage, to: Stage) -> bool {
        self.stage.compare_exchange(from as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        // Counting cannot panic, and if it did the counts would not add up, which is no rest.
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.stage.store(Stage::Called as u8, Ordering::SeqCst);
        self.task.wake();
    }
}

/// Wakes the driver's task without calling it.
struct Nudge(Arc<Watch>);

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.0.task.wake();
    }
}

/// The driver of a connection, listened to.
pub(super) struct Driver<F> {
    connection: F,
    watch: Arc<Watch>,
    /// What the driver is to wake: the watch, which wakes the task.
    waker: Waker,
}

impl<F> Driver<F> {
    pub(super) fn new(connection: F, watch: Arc<Watch>) -> Self {
        let waker = Waker::from(Arc::clone(&watch));
        Self { connection, watch, waker }
    }
}

impl<F: Future + Unpin> Future for Driver<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { connection, watch, waker } = &mut *self;
        watch.task.register(cx.waker());
        // A call that comes in between is not lost: it makes one of these the other.
        let reading = watch.change(Stage::Quiet, Stage::Reading);
        let running = if reading { Stage::Reading } else { Stage::Handling };
        if !reading {
            watch.stage.store(running as u8, Ordering::SeqCst);
        }
        let polled = Pin::new(connection).poll(&mut Context::from_waker(waker));
        if polled.is_pending() {
            // Unless it has been called while it ran: then it runs again.
            watch.change(running, Stage::Quiet);
        }
        polled
    }
}

/// A stream whose bytes are counted.
pub(super) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
    /// The driver's, by which it is called.
    call: Waker,
    /// What the socket gets instead.
    nudge: Waker,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, watch: Arc<Watch>) -> Self {
        let call = Waker::from(Arc::clone(&watch));
        let nudge = Waker::from(Arc::new(Nudge(Arc::clone(&watch))));
        Self { stream, watch, call, nudge }
    }

    /// The stream, and what it is to wake: during the login whoever waits for it.
    fn parts<'a>(&'a mut self, cx: &'a Context<'_>) -> (Pin<&'a mut S>, Context<'a>, &'a Watch)
    where
        S: Unpin,
    {
        let waker = if cx.waker().will_wake(&self.call) { &self.nudge } else { cx.waker() };
        (Pin::new(&mut self.stream), Context::from_waker(waker), &self.watch)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let (stream, mut cx, watch) = self.parts(cx);
        let polled = stream.poll_read(&mut cx, buf);
        match &polled {
            Poll::Pending => watch.traffic().nothing_to_read(),
            Poll::Ready(Ok(())) => watch.traffic().received(buf.filled().get(before..).unwrap_or_default()),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (stream, mut cx, watch) = self.parts(cx);
        let polled = stream.poll_write(&mut cx, bytes);
        match &polled {
            Poll::Pending => watch.traffic().no_room_to_write(),
            Poll::Ready(Ok(written)) => watch.traffic().sent(bytes.get(..*written).unwrap_or(bytes)),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (stream, mut cx, _) = self.parts(cx);
        stream.poll_flush(&mut cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (stream, mut cx, _) = self.parts(cx);
        stream.poll_shutdown(&mut cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Watched<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::mpsc;

    use super::*;

    /// A driver that copies what it is told to the stream, as the real one does.
    #[tokio::test]
    async fn a_request_that_is_not_yet_written_is_no_rest() {
        let watch = Watch::new();
        let (near, mut far) = duplex(64);
        let mut near = Watched::new(near, Arc::clone(&watch));
        let (ask, mut asked) = mpsc::unbounded_channel::<&'static [u8]>();
        let connection = Box::pin(poll_fn(move |cx| {
            let mut bytes = [0; 64];
            let mut buf = ReadBuf::new(&mut bytes);
            while Pin::new(&mut near).poll_read(cx, &mut buf)?.is_ready() {
                buf.clear();
            }
            while let Poll::Ready(Some(request)) = asked.poll_recv(cx) {
                assert!(Pin::new(&mut near).poll_write(cx, request)?.is_ready());
            }
            Poll::<io::Result<()>>::Pending
        }));
        let mut driver = Driver::new(connection, Arc::clone(&watch));
        let mut run = || assert!(Pin::new(&mut driver).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        ask.send(b"\0\0\0\x04").unwrap();
        run();
        far.write_all(b"Z\0\0\0\x05I").await.unwrap();
        assert!(!watch.is_at_rest(), "called by its socket");
        run();
        assert!(watch.is_at_rest());
        ask.send(b"S\0\0\0\x04").unwrap();
        assert!(!watch.is_at_rest() && !watch.is_answering(), "asked, and not yet written");
        run();
        assert!(watch.is_answering());
        let mut bytes = [0; 9];
        far.read_exact(&mut bytes).await.unwrap();
        far.write_all(b"Z\0\0\0\x05T").await.unwrap();
        run();
        assert!(!watch.is_at_rest() && !watch.is_answering());
        assert_eq!(watch.session(), Session::InTransaction);
    }
}
