//! The smallest honest pool: most recently used first, waiters first come first served, a release hands over directly.
//!
//! Every server connection has a home: the runtime whose reactor it is registered with. A client takes an idle
//! connection of its own runtime when there is one, else any other; the queue knows no homes, because jumping it by home
//! would break the order inside a route, which the real scheduler guarantees.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use tokio::net::TcpStream;

/// A logged-in server connection, idle or lent.
pub(crate) struct ServerConn {
    /// The socket, registered with the reactor of runtime `home`.
    pub stream: TcpStream,
    /// Index of the runtime that opened it.
    pub home: usize,
}

/// Where a client waits; one per client for its whole life, so waiting allocates nothing.
#[derive(Default)]
pub(crate) struct Seat {
    state: Mutex<SeatState>,
}

#[derive(Default)]
enum SeatState {
    #[default]
    Empty,
    Waiting(Waker),
    Granted(ServerConn),
}

/// All idle server connections, by home, and everyone who waits for one.
pub(crate) struct Pool {
    shelf: Mutex<Shelf>,
}

struct Shelf {
    idle: Vec<Vec<ServerConn>>,
    waiters: VecDeque<Arc<Seat>>,
}

impl Pool {
    /// An empty pool for `homes` runtimes.
    pub(crate) fn new(homes: usize) -> Self {
        let idle = (0..homes).map(|_| Vec::new()).collect();
        Self { shelf: Mutex::new(Shelf { idle, waiters: VecDeque::new() }) }
    }

    /// Borrows a connection, of runtime `home` if one is idle there.
    pub async fn attach(&self, home: usize, seat: &Arc<Seat>) -> ServerConn {
        {
            let mut shelf = lock(&self.shelf);
            if let Some(conn) = shelf.take_idle(home) {
                return conn;
            }
            shelf.waiters.push_back(Arc::clone(seat));
        }
        std::future::poll_fn(|cx| {
            let mut state = lock(&seat.state);
            match std::mem::take(&mut *state) {
                SeatState::Granted(conn) => Poll::Ready(conn),
                SeatState::Empty | SeatState::Waiting(_) => {
                    *state = SeatState::Waiting(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Gives a connection to the first waiter, or shelves it.
    pub(crate) fn detach(&self, conn: ServerConn) {
        let heir = {
            let mut shelf = lock(&self.shelf);
            match shelf.waiters.pop_front() {
                Some(seat) => seat,
                None => return shelf.idle[conn.home].push(conn),
            }
        };
        let before = std::mem::replace(&mut *lock(&heir.state), SeatState::Granted(conn));
        if let SeatState::Waiting(waker) = before {
            waker.wake();
        }
    }
}

impl Shelf {
    fn take_idle(&mut self, home: usize) -> Option<ServerConn> {
        self.idle[home].pop().or_else(|| self.idle.iter_mut().find_map(Vec::pop))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
