//! What the pool knows of each connection, by the scheduler's ids.

use std::panic::Location;

use scheduler::{CloseReason, ConnId, RouteId, StateKey, Time};

/// Who asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallSite {
    /// The place in the caller's source.
    pub(crate) place: &'static Location<'static>,
    /// The number that the caller goes by.
    pub(crate) borrower: u64,
}

/// All connections that hold a permit. `T` is the connector's connection.
pub(crate) struct Table<T> {
    slots: Vec<Option<Entry<T>>>,
}

/// One connection. It is boxed once, when it is opened, so that lending it moves a pointer whatever its size.
pub(crate) struct Entry<T> {
    pub(crate) id: ConnId,
    /// Whose it is; while it is re-keyed, whose it will be.
    pub(crate) route: RouteId,
    /// When its connect began.
    pub(crate) born: Time,
    /// Leases so far.
    pub(crate) uses: u64,
    /// Its session state when it was last given back.
    pub(crate) state: StateKey,
    /// When it last came back from use, logged in anew or passed a test: what is known of the server's side of it.
    pub(crate) fresh_at: Time,
    pub(crate) login: Login,
    pub(crate) phase: Phase<T>,
}

/// Whether the credentials that a connection logged in with are still those of its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    Current,
    Outdated,
}

/// Where a connection is.
pub(crate) enum Phase<T> {
    /// A connect is under way, or waits to be started.
    Connecting,
    /// With a task that logs it in anew, or waiting for one.
    Rekeying { since: Time },
    /// Here, for anyone of its route.
    Idle { connection: Box<T> },
    /// With a caller.
    Lent { since: Time, site: CallSite, leak: Leak },
    /// With a task that validates it.
    Testing,
    /// With a task that closes it.
    Closing { reason: CloseReason },
}

/// Whether a lease has been reported as a leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leak {
    Unreported,
    Reported,
}

impl<T> Table<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// Enters a connection whose connect was just decided.
    pub(crate) fn open(&mut self, id: ConnId, route: RouteId, now: Time) {
        let index = id.index();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(Entry {
            id,
            route,
            born: now,
            uses: 0,
            state: StateKey::default(),
            fresh_at: now,
            login: Login::Current,
            phase: Phase::Connecting,
        });
    }

    pub(crate) fn get(&self, id: ConnId) -> Option<&Entry<T>> {
        self.slots.get(id.index())?.as_ref().filter(|entry| entry.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Entry<T>> {
        self.slots.get_mut(id.index())?.as_mut().filter(|entry| entry.id == id)
    }

    /// Forgets a connection whose permit is free.
    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Entry<T>> {
        self.get_mut(id)?;
        self.slots[id.index()].take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.slots.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.slots.iter_mut().flatten()
    }
}

impl<T> Entry<T> {
    /// Moves an idle connection out, into the given phase.
    pub(crate) fn take_idle(&mut self, next: Phase<T>) -> Option<Box<T>> {
        match std::mem::replace(&mut self.phase, next) {
            Phase::Idle { connection } => Some(connection),
            other => {
                self.phase = other;
                None
            }
        }
    }
}
