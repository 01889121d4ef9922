//! Keys derived before.

use std::sync::Arc;

use super::derive::{ClientKeys, Derivation};

/// The keys of *one* password, by the salt and iteration count they were derived with.
///
/// A server asks for the same pair until the user's password is changed there, and replicas share their primary's, so a handful
/// of entries saves every login but the first its PBKDF2. The least recently used entry makes room. Make one cache per
/// configured password and drop it with the password: salts are public, so keys of two passwords must not meet in one cache.
#[derive(Debug)]
pub struct KeyCache {
    /// Most recently used first.
    entries: Vec<Arc<ClientKeys>>,
    capacity: usize,
}

impl KeyCache {
    /// Entries kept by [`KeyCache::default`].
    pub const CAPACITY_DEFAULT: usize = 8;

    /// A cache of at most `capacity` entries, and at least one.
    pub fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), capacity: capacity.max(1) }
    }

    /// The keys for `derivation`, if they were derived before.
    pub fn get(&mut self, derivation: &Derivation) -> Option<Arc<ClientKeys>> {
        let at = self.entries.iter().position(|keys| keys.derivation() == derivation)?;
        self.entries[..=at].rotate_right(1);
        self.entries.first().cloned()
    }

    /// Keeps `keys`, replacing those of the same derivation.
    pub fn insert(&mut self, keys: Arc<ClientKeys>) {
        self.entries.retain(|kept| kept.derivation() != keys.derivation());
        self.entries.truncate(self.capacity - 1);
        self.entries.insert(0, keys);
    }

    /// Forgets the keys for `derivation`, as after a login they failed: perhaps the password has changed.
    pub fn remove(&mut self, derivation: &Derivation) {
        self.entries.retain(|kept| kept.derivation() != derivation);
    }
}

impl Default for KeyCache {
    fn default() -> Self {
        Self::new(Self::CAPACITY_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Iterations, Key};
    use super::*;

    fn keys(salt: u8, client_key: u8) -> Arc<ClientKeys> {
        let derivation = Derivation::new(&[salt], Iterations::DEFAULT).unwrap();
        Arc::new(ClientKeys::new(Key::new([client_key; 32]), Key::new([0; 32]), derivation))
    }

    #[test]
    fn keeps_the_recently_used_within_its_capacity() {
        let mut cache = KeyCache::new(2);
        for salt in [1, 2] {
            cache.insert(keys(salt, salt));
        }
        assert!(cache.get(keys(1, 1).derivation()).is_some());
        cache.insert(keys(3, 3));
        assert!(cache.get(keys(2, 2).derivation()).is_none());
        assert_eq!(cache.get(keys(1, 1).derivation()), Some(keys(1, 1)));
        assert_eq!(cache.get(keys(3, 3).derivation()), Some(keys(3, 3)));
        assert_eq!(cache.entries.len(), 2);
    }

    #[test]
    fn salt_and_count_must_both_match() {
        let mut cache = KeyCache::default();
        cache.insert(keys(1, 1));
        let other = Derivation::new(&[1], Iterations::new(4097).unwrap()).unwrap();
        assert!(cache.get(&other).is_none());
    }

    #[test]
    fn replaces_and_removes() {
        let mut cache = KeyCache::new(0);
        cache.insert(keys(1, 1));
        cache.insert(keys(1, 2));
        assert_eq!(cache.get(keys(1, 2).derivation()), Some(keys(1, 2)));
        cache.remove(keys(1, 2).derivation());
        assert!(cache.get(keys(1, 2).derivation()).is_none());
    }
}
