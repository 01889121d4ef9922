use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;

/// Counts itself: as many must be made as are dropped, and never two at once for one place.
struct Token(Arc<AtomicUsize>);

impl Token {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn an_outcome_waits_for_its_waiter() {
    let mut places = Places::new();
    let place = places.take("first");
    assert!(matches!(places.look(place, Waker::noop().clone()), Look::Waiting(None)));
    assert!(matches!(places.look(place, Waker::noop().clone()), Look::Waiting(Some(_))));
    assert!(matches!(places.settle(place, 7), Ok(Some(_))));
    assert!(matches!(places.settle(place, 8), Err(8)), "settled once");
    assert!(places.waiting_mut(place).is_none());
    assert!(matches!(places.look(place, Waker::noop().clone()), Look::Settled("first", 7)));
    assert!(matches!(places.look(place, Waker::noop().clone()), Look::Gone));
}

#[test]
fn a_stale_place_does_not_find_the_next_tenant() {
    let mut places = Places::new();
    let old = places.take("old");
    assert!(matches!(places.leave(old), Some(Left::Waiting("old", None))));
    let new = places.take("new");
    assert_eq!(old.index, new.index, "the place is used again");
    assert!(matches!(places.settle(old, 1), Err(1)));
    assert!(places.leave(old).is_none());
    assert_eq!(places.waiting_mut(new), Some(&mut "new"));
}

#[test]
fn a_waiter_that_leaves_takes_its_outcome_with_it() {
    let alive = Arc::new(AtomicUsize::new(0));
    let mut places = Places::new();
    let place = places.take(());
    assert!(places.settle(place, Token::new(&alive)).is_ok());
    assert_eq!(alive.load(SeqCst), 1);
    let Some(Left::Settled(token)) = places.leave(place) else { panic!("it was settled") };
    drop(token);
    assert_eq!(alive.load(SeqCst), 0);
}

/// Every interleaving of a hand-off, by loom: the places behind a lock, wakers woken outside of it, as the pool does.
mod interleavings {
    use loom::future::block_on;
    use loom::sync::{Arc, Mutex};
    use loom::thread;
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::task::Poll;

    use super::super::*;

    /// A pool in small: places, the queue of those who wait, and connections that nobody has.
    struct Model {
        places: Places<(), u8>,
        queue: VecDeque<Place>,
        idle: Vec<u8>,
    }

    impl Model {
        fn new() -> Self {
            Self { places: Places::new(), queue: VecDeque::new(), idle: Vec::new() }
        }

        /// Gives a connection to the first who waits.
        fn give(&mut self, connection: u8) -> Option<Waker> {
            let Some(place) = self.queue.pop_front() else {
                self.idle.push(connection);
                return None;
            };
            self.places.settle(place, connection).expect("who leaves also leaves the queue")
        }

        fn attach(&mut self) -> Result<u8, Place> {
            self.idle.pop().ok_or_else(|| {
                let place = self.places.take(());
                self.queue.push_back(place);
                place
            })
        }

        fn leave(&mut self, place: Place) -> Option<Waker> {
            match self.places.leave(place) {
                Some(Left::Settled(connection)) => self.give(connection),
                Some(Left::Waiting((), waker)) => {
                    self.queue.retain(|other| *other != place);
                    waker
                }
                None => None,
            }
        }
    }

    fn give_back(model: &Mutex<Model>, connection: u8) {
        let waker = model.lock().unwrap().give(connection);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn attach(model: &Mutex<Model>) -> u8 {
        let place = match model.lock().unwrap().attach() {
            Ok(connection) => return connection,
            Err(place) => place,
        };
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let look = model.lock().unwrap().places.look(place, waker);
            match look {
                Look::Settled((), connection) => Poll::Ready(connection),
                Look::Waiting(_) => Poll::Pending,
                Look::Gone => panic!("nobody else gives the place up"),
            }
        })
        .await
    }

    #[test]
    fn a_return_meets_two_who_ask() {
        loom::model(|| {
            let model = Arc::new(Mutex::new(Model::new()));
            let other = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    let connection = block_on(attach(&model));
                    give_back(&model, connection);
                })
            };
            give_back(&model, 1);
            // Would sleep for ever, and loom would say so, were a wake-up lost.
            let connection = block_on(attach(&model));
            give_back(&model, connection);
            other.join().unwrap();
            assert_eq!(model.lock().unwrap().idle, [1]);
        });
    }

    #[test]
    fn a_grant_meets_a_waiter_that_leaves_while_another_waits() {
        loom::model(|| {
            let model = Arc::new(Mutex::new(Model::new()));
            let hasty = model.lock().unwrap().attach().expect_err("nothing is idle yet");
            let patient = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    let connection = block_on(attach(&model));
                    give_back(&model, connection);
                })
            };
            let leaver = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    let waker = model.lock().unwrap().leave(hasty);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                })
            };
            give_back(&model, 1);
            leaver.join().unwrap();
            patient.join().unwrap();
            let model = model.lock().unwrap();
            assert_eq!(model.idle, [1], "the connection is lost or doubled");
            assert!(model.queue.is_empty());
        });
    }
}
