//! One client connection as others see it, and what it is told from outside.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::{Duration, Instant},
};

use atomic_waker::AtomicWaker;

use crate::{
    approach::Approach,
    cancel::{CancelTarget, Underway},
    pin::Pin,
    stream::Peer,
};

/// Bytes of the key by which a client proves, on another connection, that a cancel request is its own.
pub(crate) const KEY_LEN: usize = 32;

/// What a client connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing; no transaction is open.
    Idle,
    /// Waiting for a server connection.
    Waiting,
    /// Waiting for the server's answer, or taking it in.
    Active,
    /// Nothing, with a transaction open or the server connection held otherwise.
    Holding,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Idle, Self::Waiting, Self::Active, Self::Holding];

    /// As the console shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Holding => "holding",
        }
    }
}

/// What a session is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Alarm {
    /// The client asked on another connection to stop what it waits for.
    Cancel = 1,
    QueryTimeout,
    /// A query that was asked to stop after its time has not done so.
    QueryStuck,
    TransactionTimeout,
    HoldingTimeout,
    IdleTimeout,
    /// An operator ends it.
    Kill,
    /// The program is about to end: leave when nothing is under way.
    Drain,
}

impl Alarm {
    const ALL: [Self; 8] = [
        Self::Cancel,
        Self::QueryTimeout,
        Self::QueryStuck,
        Self::TransactionTimeout,
        Self::HoldingTimeout,
        Self::IdleTimeout,
        Self::Kill,
        Self::Drain,
    ];

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|alarm| *alarm as u8 == code)
    }
}

/// One client connection as others see it.
#[derive(Debug)]
pub struct ClientEntry {
    pub(super) number: u64,
    pub(super) process: u32,
    pub(super) key: [u8; KEY_LEN],
    /// User name.
    pub user: Arc<str>,
    /// Database name, as the client asked for it.
    pub database: Arc<str>,
    /// Where it came from.
    pub peer: Peer,
    /// How it came.
    pub approach: Approach,
    /// When it came.
    pub since: Instant,
    /// The address it is counted for.
    pub(super) counted_ip: Option<IpAddr>,
    phase: AtomicU8,
    /// When its present work or silence began, in microseconds after `since`.
    changed_us: AtomicU64,
    /// Process number of the server connection it holds; 0 for none.
    server: AtomicU32,
    /// Why it keeps that beyond its transaction; 0 for no reason.
    pin: AtomicU8,
    alarm: AtomicU8,
    waker: AtomicWaker,
    /// When an alarm is due, in milliseconds since the registry began; `u64::MAX` for never.
    pub(super) due: AtomicU64,
    pub(super) due_alarm: AtomicU8,
    lent: Mutex<Option<Lent>>,
    /// An outline of what it asked last, where somebody watches for leaks.
    asked: Mutex<Option<Box<str>>>,
}

/// The server connection that a client holds.
#[derive(Debug)]
struct Lent {
    target: Arc<CancelTarget>,
    /// The class that it counts against, where there are several.
    class: Option<Arc<str>>,
}

impl ClientEntry {
    pub(super) fn new(
        number: u64,
        process: u32,
        key: [u8; KEY_LEN],
        (user, database): (Arc<str>, Arc<str>),
        peer: Peer,
        counted_ip: Option<IpAddr>,
        approach: Approach,
    ) -> Self {
        Self {
            number,
            process,
            key,
            user,
            database,
            peer,
            counted_ip,
            approach,
            since: Instant::now(),
            phase: AtomicU8::new(Phase::Idle as u8),
            changed_us: AtomicU64::new(0),
            server: AtomicU32::new(0),
            pin: AtomicU8::new(0),
            alarm: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            due: AtomicU64::new(u64::MAX),
            due_alarm: AtomicU8::new(0),
            lent: Mutex::new(None),
            asked: Mutex::new(None),
        }
    }

    /// Its number: unique, never used again.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Relaxed)).min(Phase::ALL.len() - 1)]
    }

    /// For how long it has been at its present work, waited, or been silent. What we answer ourselves, without a server
    /// connection, does not count as work.
    #[must_use]
    pub fn phase_age(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_micros(self.changed_us.load(Relaxed)))
    }

    /// Process number of the server connection that it holds, if any.
    #[must_use]
    pub fn server_process(&self) -> Option<u32> {
        Some(self.server.load(Relaxed)).filter(|&process| process != 0)
    }

    /// Why it keeps its server connection beyond the transaction, if it does.
    #[must_use]
    pub fn pin(&self) -> Option<Pin> {
        Pin::from_code(self.pin.load(Relaxed))
    }

    /// What it asked last, without the values; `None` where nobody watches for leaks.
    #[must_use]
    pub fn asked(&self) -> Option<Box<str>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes an outline of what it asks.
    pub(crate) fn note_asked(&self, outline: String) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(outline.into());
    }

    /// Nobody watches any more.
    pub(crate) fn forget_asked(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn set_pin(&self, pin: Option<Pin>) {
        self.pin.store(pin.map_or(0, Pin::code), Relaxed);
    }

    /// Ends it: it is told that an administrator did.
    pub fn kill(&self) {
        self.raise(Alarm::Kill);
    }

    /// Stops what it runs or waits for, and nothing else. Must be called inside a tokio runtime.
    pub fn stop_query(&self) {
        match self.cancel_target() {
            Some(underway) => drop(tokio::spawn(underway.deliver())),
            None => self.raise(Alarm::Cancel),
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// Notes that its present work or silence began at this instant.
    pub(crate) fn note_change(&self, at: Instant) {
        let us = at.saturating_duration_since(self.since).as_micros();
        self.changed_us.store(u64::try_from(us).unwrap_or(u64::MAX), Relaxed);
    }

    /// The class of the server connection that it holds, where the server has several.
    #[must_use]
    pub fn class(&self) -> Option<Arc<str>> {
        self.lock_lent().as_ref()?.class.clone()
    }

    /// Notes on which server connection it works from now on, and in which class that counts.
    pub(crate) fn begin_lease(&self, target: &Arc<CancelTarget>, class: Option<Arc<str>>) {
        self.server.store(target.process(), Relaxed);
        *self.lock_lent() = Some(Lent { target: target.clone(), class });
    }

    /// Notes that the server connection counts in another class from now on.
    pub(crate) fn move_lease(&self, class: Option<Arc<str>>) {
        if let Some(lent) = &mut *self.lock_lent() {
            lent.class = class;
        }
    }

    /// Notes that its server connection goes back. From here on no cancel request for this client can reach it;
    /// those already on their way are in the target's count.
    pub(crate) fn end_lease(&self) {
        self.server.store(0, Relaxed);
        *self.lock_lent() = None;
    }

    /// Where a cancel request for this client must go now, if it must. Counted as on its way until it is dropped.
    pub(crate) fn cancel_target(&self) -> Option<Underway> {
        self.lock_lent().as_ref().and_then(|lent| Underway::new(&lent.target))
    }

    pub(crate) fn raise(&self, alarm: Alarm) {
        self.alarm.store(alarm as u8, Relaxed);
        self.waker.wake();
    }

    /// Takes the alarm, and asks to be woken by the next one.
    pub(crate) fn poll_alarm(&self, waker: &Waker) -> Option<Alarm> {
        self.waker.register(waker);
        if self.alarm.load(Relaxed) == 0 { None } else { Alarm::from_code(self.alarm.swap(0, Relaxed)) }
    }

    fn lock_lent(&self) -> MutexGuard<'_, Option<Lent>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
