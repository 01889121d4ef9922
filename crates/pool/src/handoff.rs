//! How an outcome gets to a waiter that may leave at any moment.
//!
//! A waiter has a [`Place`]. Whoever settles it leaves the outcome *in* the place and wakes the waiter, so there is
//! nothing to race for; a waiter that leaves takes a settled outcome with it and must pass it on. All of this happens
//! under the pool's lock, but nothing foreign runs there: wakers go in and come out by value, and are woken and dropped
//! by the caller, outside.

use std::mem;
use std::task::Waker;

/// A waiter's place. A stale one finds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    index: u32,
    generation: u32,
}

/// All places: of waiters that are `W`, for outcomes that are `T`.
pub(crate) struct Places<W, T> {
    slots: Vec<Slot<W, T>>,
    vacant: Vec<u32>,
}

struct Slot<W, T> {
    generation: u32,
    state: State<W, T>,
}

enum State<W, T> {
    Vacant,
    Waiting { waiter: W, waker: Option<Waker> },
    Settled { waiter: W, outcome: T },
}

/// What a waiter finds when it looks.
pub(crate) enum Look<W, T> {
    /// The outcome; the place is gone.
    Settled(W, T),
    /// Nothing yet. The waker it left the last time comes back, to be dropped outside the lock.
    Waiting(Option<Waker>),
    /// The place is not (any more) known.
    Gone,
}

/// What a waiter leaves behind.
pub(crate) enum Left<W, T> {
    /// It still waited.
    Waiting(W, Option<Waker>),
    /// It had an outcome that it did not take.
    Settled(T),
}

impl<W, T> Places<W, T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), vacant: Vec::new() }
    }

    /// Nobody waits, and no outcome waits for anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.vacant.len() == self.slots.len()
    }

    /// Takes a place for a waiter. There are never more than the pool admits waiters.
    pub(crate) fn take(&mut self, waiter: W) -> Place {
        let state = State::Waiting { waiter, waker: None };
        match self.vacant.pop() {
            Some(index) => {
                let slot = &mut self.slots[index as usize];
                slot.state = state;
                Place { index, generation: slot.generation }
            }
            None => {
                let index = u32::try_from(self.slots.len()).expect("fewer waiters than max_waiters, which is a u32");
                self.slots.push(Slot { generation: 0, state });
                Place { index, generation: 0 }
            }
        }
    }

    /// The waiter at a place, while it waits.
    pub(crate) fn waiting_mut(&mut self, place: Place) -> Option<&mut W> {
        match &mut self.slot_mut(place)?.state {
            State::Waiting { waiter, .. } => Some(waiter),
            State::Vacant | State::Settled { .. } => None,
        }
    }

    /// The waiter looks for its outcome and leaves a waker in case there is none.
    pub(crate) fn look(&mut self, place: Place, waker: Waker) -> Look<W, T> {
        let Some(slot) = self.slot_mut(place) else { return Look::Gone };
        match &mut slot.state {
            State::Waiting { waker: known, .. } => Look::Waiting(known.replace(waker)),
            State::Settled { .. } | State::Vacant => match self.vacate(place) {
                State::Settled { waiter, outcome } => Look::Settled(waiter, outcome),
                State::Waiting { .. } | State::Vacant => Look::Gone,
            },
        }
    }

    /// Leaves an outcome for the waiter and returns its waker, if it left one.
    ///
    /// # Errors
    /// Nobody waits there (any more): the outcome comes back.
    pub(crate) fn settle(&mut self, place: Place, outcome: T) -> Result<Option<Waker>, T> {
        let Some(slot) = self.slot_mut(place) else { return Err(outcome) };
        match mem::replace(&mut slot.state, State::Vacant) {
            State::Waiting { waiter, waker } => {
                slot.state = State::Settled { waiter, outcome };
                Ok(waker)
            }
            other => {
                slot.state = other;
                Err(outcome)
            }
        }
    }

    /// The waiter goes away.
    pub(crate) fn leave(&mut self, place: Place) -> Option<Left<W, T>> {
        self.slot_mut(place)?;
        match self.vacate(place) {
            State::Waiting { waiter, waker } => Some(Left::Waiting(waiter, waker)),
            State::Settled { outcome, .. } => Some(Left::Settled(outcome)),
            State::Vacant => None,
        }
    }

    fn slot_mut(&mut self, place: Place) -> Option<&mut Slot<W, T>> {
        let slot = self.slots.get_mut(place.index as usize)?;
        (slot.generation == place.generation && !matches!(slot.state, State::Vacant)).then_some(slot)
    }

    /// Frees a place that [`slot_mut`](Self::slot_mut) found.
    fn vacate(&mut self, place: Place) -> State<W, T> {
        let slot = &mut self.slots[place.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.push(place.index);
        mem::replace(&mut slot.state, State::Vacant)
    }
}

#[cfg(test)]
mod tests;
