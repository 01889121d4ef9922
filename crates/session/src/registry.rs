//! All client connections: how many there are of each kind, how each can be reached, and what it does.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use slab::Slab;
use subtle::ConstantTimeEq;

use crate::{approach::Approach, stream::Peer};

mod entry;

pub(crate) use entry::{Alarm, KEY_LEN};
pub use entry::{ClientEntry, Phase};

/// How many clients may be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// In all.
    pub total: usize,
    /// Of one user, where the user's own entry does not say otherwise.
    pub per_user: Option<usize>,
    /// Of one database, where the database's own entry does not say otherwise.
    pub per_database: Option<usize>,
    /// From one IP address; unix sockets are not limited.
    pub per_address: Option<usize>,
}

/// Operators that are let in although all places for clients are taken: someone must be able to look.
pub const OPERATORS_MAX: usize = 8;

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    /// Which, in words for a client.
    pub(crate) what: &'static str,
    /// How many it allows.
    pub(crate) limit: usize,
}

/// Who wants in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Party {
    /// A client of a database.
    Client,
    /// Somebody who wants the console.
    Operator,
}

/// All client connections.
#[derive(Debug)]
pub struct Registry {
    epoch: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    limits: ClientLimits,
    last_number: u64,
    entries: Slab<Option<Arc<ClientEntry>>>,
    per_user: HashMap<Arc<str>, usize>,
    per_database: HashMap<Arc<str>, usize>,
    per_address: HashMap<IpAddr, usize>,
}

impl Inner {
    /// Counts a client for its user and database; a limit of the entry itself beats the general one.
    fn count_names(
        &mut self,
        user: &Arc<str>,
        user_limit: Option<u32>,
        database: &Arc<str>,
        database_limit: Option<u32>,
    ) -> Result<(), Full> {
        let limit =
            |own: Option<u32>, general: Option<usize>| own.map(|own| own as usize).or(general).unwrap_or(usize::MAX);
        let (user_limit, database_limit) =
            (limit(user_limit, self.limits.per_user), limit(database_limit, self.limits.per_database));
        count(&mut self.per_user, user.clone(), user_limit, "client connections exceeded (max_clients of the user)")?;
        let counted = count(
            &mut self.per_database,
            database.clone(),
            database_limit,
            "client connections exceeded (max_clients of the database)",
        );
        if let Err(full) = counted {
            uncount(&mut self.per_user, user);
            return Err(full);
        }
        Ok(())
    }
}

/// The place of somebody who has not logged in yet. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Admission {
    registry: Arc<Registry>,
    peer: Peer,
    /// `None` once a [`Presence`] has taken it over.
    seat: Option<Seat>,
}

/// What was counted for somebody.
#[derive(Debug)]
struct Seat {
    place: usize,
    number: u64,
    ip: Option<IpAddr>,
    names: Option<(Arc<str>, Arc<str>)>,
}

/// The place of a client that has logged in. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Presence {
    registry: Arc<Registry>,
    entry: Arc<ClientEntry>,
}

impl Registry {
    /// Nobody yet.
    #[must_use]
    pub fn new(limits: ClientLimits) -> Self {
        let inner = Inner {
            limits,
            last_number: 0,
            entries: Slab::new(),
            per_user: HashMap::new(),
            per_database: HashMap::new(),
            per_address: HashMap::new(),
        };
        Self { epoch: Instant::now(), inner: Mutex::new(inner) }
    }

    /// Changes the limits. Who is connected stays.
    pub fn set_limits(&self, limits: ClientLimits) {
        self.lock().limits = limits;
    }

    /// Everyone who has logged in.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<ClientEntry>> {
        self.lock().entries.iter().filter_map(|(_, entry)| entry.clone()).collect()
    }

    /// How many are connected, logged in or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nobody is connected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The client to whom this cancel key was given. Takes as long with a thousand clients as with one.
    pub(crate) fn find(&self, process: u32, key: &[u8]) -> Option<Arc<ClientEntry>> {
        let entry = self.lock().entries.get((process as usize).checked_sub(1)?)?.clone()?;
        // Clients of protocol 3.0 were given the first 4 bytes.
        let known = entry.key.get(..key.len()).filter(|_| matches!(key.len(), 4 | KEY_LEN))?;
        bool::from(known.ct_eq(key)).then_some(entry)
    }

    /// The client with this number.
    pub(crate) fn find_whole_number(&self, number: u64) -> Option<Arc<ClientEntry>> {
        self.entries().into_iter().find(|entry| entry.number == number)
    }

    /// The client with this number, of which only the lower 32 bits are looked at, as MySQL clients know it.
    #[must_use]
    pub fn find_number(&self, number: u64) -> Option<Arc<ClientEntry>> {
        self.entries().into_iter().find(|entry| entry.number as u32 == number as u32)
    }

    /// Lets someone in who has not logged in yet.
    pub(crate) fn admit(self: &Arc<Self>, peer: Peer, party: Party) -> Result<Admission, Full> {
        let mut inner = self.lock();
        let spare = if party == Party::Operator { OPERATORS_MAX } else { 0 };
        if inner.entries.len() >= inner.limits.total.saturating_add(spare) {
            return Err(Full { what: "no more connections allowed (max_clients)", limit: inner.limits.total });
        }
        let limit = inner.limits.per_address;
        let ip = peer.ip().filter(|_| limit.is_some());
        if let (Some(ip), Some(limit)) = (ip, limit) {
            count(&mut inner.per_address, ip, limit, "client connections exceeded (max_clients_per_address)")?;
        }
        inner.last_number += 1;
        let (place, number) = (inner.entries.insert(None), inner.last_number);
        drop(inner);
        Ok(Admission { registry: self.clone(), peer, seat: Some(Seat { place, number, ip, names: None }) })
    }

    /// Raises the alarms that are due.
    pub(crate) fn raise_due(&self) {
        let now = self.now_ms();
        for entry in self.entries() {
            if entry.due.load(Relaxed) <= now {
                entry.due.store(u64::MAX, Relaxed);
                if let Some(alarm) = Alarm::from_code(entry.due_alarm.load(Relaxed)) {
                    entry.raise(alarm);
                }
            }
        }
    }

    /// Sets when an alarm for this client is due; `None` for never.
    pub(crate) fn set_due(&self, entry: &ClientEntry, due: Option<(Instant, Alarm)>) {
        match due {
            None => entry.due.store(u64::MAX, Relaxed),
            Some((at, alarm)) => {
                entry.due_alarm.store(alarm as u8, Relaxed);
                let ms = at.saturating_duration_since(self.epoch).as_millis();
                entry.due.store(u64::try_from(ms).unwrap_or(u64::MAX), Relaxed);
            }
        }
    }

    fn leave(&self, place: usize, ip: Option<IpAddr>, names: Option<(&Arc<str>, &Arc<str>)>) {
        let mut inner = self.lock();
        inner.entries.try_remove(place);
        if let Some(ip) = &ip {
            uncount(&mut inner.per_address, ip);
        }
        if let Some((user, database)) = names {
            uncount(&mut inner.per_user, user);
            uncount(&mut inner.per_database, database);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time between two looks at what is due. Time limits are exact to this.
pub(crate) const DUE_INTERVAL: Duration = Duration::from_millis(50);

impl Admission {
    /// Its number: unique, never used again.
    pub(crate) fn number(&self) -> u64 {
        self.seat.as_ref().map_or(0, |seat| seat.number)
    }

    /// Counts the client for its user and database; a limit of the entry itself beats the general one.
    pub(crate) fn name(
        &mut self,
        user: &Arc<str>,
        user_limit: Option<u32>,
        database: &Arc<str>,
        database_limit: Option<u32>,
    ) -> Result<(), Full> {
        let mut inner = self.registry.lock();
        inner.count_names(user, user_limit, database, database_limit)?;
        drop(inner);
        if let Some(seat) = &mut self.seat {
            seat.names = Some((user.clone(), database.clone()));
        }
        Ok(())
    }

    /// Makes the client visible and reachable, with a cancel key of its own.
    pub(crate) fn enter(
        mut self,
        user: Arc<str>,
        database: Arc<str>,
        key: [u8; KEY_LEN],
        approach: Approach,
    ) -> Presence {
        let Seat { place, number, ip, .. } = self.seat.take().expect("only this, which consumes, takes the seat");
        let process = u32::try_from(place + 1).unwrap_or(u32::MAX);
        let entry = Arc::new(ClientEntry::new(number, process, key, (user, database), self.peer, ip, approach));
        if let Some(place) = self.registry.lock().entries.get_mut(place) {
            *place = Some(entry.clone());
        }
        Presence { registry: self.registry.clone(), entry }
    }
}

impl Presence {
    /// The client becomes another user's, or goes to another database; a limit of the entry itself beats the general one.
    /// Its number stays.
    pub(crate) fn rename(
        &mut self,
        (user, user_limit): (Arc<str>, Option<u32>),
        (database, database_limit): (Arc<str>, Option<u32>),
    ) -> Result<(), Full> {
        let old = self.entry.clone();
        let entry = Arc::new(ClientEntry::new(
            old.number,
            old.process,
            old.key,
            (user.clone(), database.clone()),
            old.peer,
            old.counted_ip,
            old.approach,
        ));
        let mut inner = self.registry.lock();
        inner.count_names(&user, user_limit, &database, database_limit)?;
        uncount(&mut inner.per_user, &old.user);
        uncount(&mut inner.per_database, &old.database);
        if let Some(place) = inner.entries.get_mut(old.process as usize - 1) {
            *place = Some(entry.clone());
        }
        drop(inner);
        self.entry = entry;
        Ok(())
    }

    /// The client as others see it.
    pub(crate) fn entry(&self) -> &Arc<ClientEntry> {
        &self.entry
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(Seat { place, ip, names, .. }) = self.seat.take() {
            self.registry.leave(place, ip, names.as_ref().map(|(user, database)| (user, database)));
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let ClientEntry { process, counted_ip, user, database, .. } = &*self.entry;
        self.registry.leave(*process as usize - 1, *counted_ip, Some((user, database)));
    }
}

fn count<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, limit: usize, what: &'static str) -> Result<(), Full> {
    let count = counts.entry(key).or_insert(0);
    if *count >= limit {
        return Err(Full { what, limit });
    }
    *count += 1;
    Ok(())
}

fn uncount<K: Hash + Eq + ?Sized>(counts: &mut HashMap<impl std::borrow::Borrow<K> + Hash + Eq, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const PLAIN: Approach = Approach { protocol: route::Protocol::Postgres, encryption: None, compression: None };

    fn registry(total: usize, per_user: Option<usize>) -> Arc<Registry> {
        Arc::new(Registry::new(ClientLimits { total, per_user, per_database: None, per_address: Some(2) }))
    }

    fn named(mut admission: Admission) -> Admission {
        admission.name(&"u".into(), None, &"d".into(), None).unwrap();
        admission
    }

    #[test]
    fn limits_hold_and_places_come_back() {
        let registry = registry(3, Some(1));
        let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
        let (user, database): (Arc<str>, Arc<str>) = ("u".into(), "d".into());
        let mut one = registry.admit(peer, Party::Client).unwrap();
        one.name(&user, None, &database, None).unwrap();
        let mut two = registry.admit(peer, Party::Client).unwrap();
        assert!(two.name(&user, None, &database, None).unwrap_err().what.contains("of the user"));
        two.name(&user, Some(2), &database, None).unwrap();
        assert!(registry.admit(peer, Party::Client).unwrap_err().what.contains("per_address"));
        let three = registry.admit(Peer::Unix, Party::Client).unwrap();
        assert!(registry.admit(Peer::Unix, Party::Client).unwrap_err().what.contains("(max_clients)"));
        drop(registry.admit(Peer::Unix, Party::Operator).unwrap());
        drop((one, two, three));
        assert!(registry.is_empty());
        let mut again = registry.admit(peer, Party::Client).unwrap();
        again.name(&user, None, &database, None).unwrap();
    }

    #[test]
    fn only_the_right_key_finds_a_client() {
        let registry = registry(9, None);
        let admission = registry.admit(Peer::Unix, Party::Client).unwrap();
        let presence = named(admission).enter("u".into(), "d".into(), [7; KEY_LEN], PLAIN);
        let entry = presence.entry().clone();
        assert!(registry.find(entry.process(), &[7; 4]).is_some());
        assert!(registry.find(entry.process(), &[7; KEY_LEN]).is_some());
        for key in [&[][..], &[7], &[7; 5], &[8; 4], &[7; 64]] {
            assert!(registry.find(entry.process(), key).is_none(), "{key:?}");
        }
        assert!(registry.find(0, &[7; 4]).is_none());
        assert!(registry.find(u32::MAX, &[7; 4]).is_none());
        drop(presence);
        assert!(registry.find(entry.process(), &[7; 4]).is_none());
    }

    #[test]
    fn what_is_due_is_raised_once() {
        let registry = registry(9, None);
        let admission = registry.admit(Peer::Unix, Party::Client).unwrap();
        let presence = named(admission).enter("u".into(), "d".into(), [7; KEY_LEN], PLAIN);
        let entry = presence.entry();
        registry.set_due(entry, Some((registry.epoch, Alarm::QueryTimeout)));
        registry.raise_due();
        assert_eq!(entry.poll_alarm(Waker::noop()), Some(Alarm::QueryTimeout));
        registry.raise_due();
        assert_eq!(entry.poll_alarm(Waker::noop()), None);
    }
}
