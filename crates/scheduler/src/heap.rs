//! A priority queue whose members can be re-keyed and removed by their index.

/// A four-ary min-heap over dense indices: at most one entry per index, found in O(1), moved in O(log n).
///
/// The standard heap cannot remove from the middle. Leaving dead entries behind instead would make a queue of deadlines
/// grow with the rate of grants rather than with the number of waiters.
#[derive(Debug)]
pub(crate) struct Heap<K> {
    entries: Vec<(K, u32)>,
    /// Where an index stands in `entries`, or [`ABSENT`].
    places: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;
const ARITY: usize = 4;

impl<K> Default for Heap<K> {
    fn default() -> Self {
        Self { entries: Vec::new(), places: Vec::new() }
    }
}

impl<K: Copy + Ord> Heap<K> {
    /// Enters `index` under `key`, or moves it there.
    pub(crate) fn set(&mut self, index: u32, key: K) {
        if self.places.len() <= index as usize {
            self.places.resize(index as usize + 1, ABSENT);
        }
        let place = self.places[index as usize];
        if place == ABSENT {
            self.entries.push((key, index));
            self.rise(self.entries.len() - 1);
        } else {
            let place = place as usize;
            let before = self.entries[place].0;
            if key == before {
                return;
            }
            self.entries[place].0 = key;
            if key < before { self.rise(place) } else { self.sink(place) }
        }
    }

    /// Removes `index` if it is in.
    pub(crate) fn remove(&mut self, index: u32) {
        let Some(place) = self.place(index) else { return };
        self.places[index as usize] = ABSENT;
        self.entries.swap_remove(place);
        if place < self.entries.len() {
            self.sink(place);
            self.rise(place);
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn contains(&self, index: u32) -> bool {
        self.place(index).is_some()
    }

    /// The least key and its index.
    pub(crate) fn peek(&self) -> Option<(K, u32)> {
        self.entries.first().copied()
    }

    /// Some of the entries after the least: the one next to it is among them, and it costs nothing to find them.
    pub(crate) fn next_few(&self) -> &[(K, u32)] {
        self.entries.get(1..self.entries.len().min(1 + ARITY)).unwrap_or_default()
    }

    fn place(&self, index: u32) -> Option<usize> {
        self.places.get(index as usize).copied().filter(|place| *place != ABSENT).map(|place| place as usize)
    }

    fn rise(&mut self, mut place: usize) {
        let entry = self.entries[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.entries[parent].0 <= entry.0 {
                break;
            }
            self.put(place, self.entries[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.entries[place];
        loop {
            let first = place * ARITY + 1;
            let last = (first + ARITY).min(self.entries.len());
            let Some(least) = (first..last).min_by_key(|child| self.entries[*child].0) else { break };
            if entry.0 <= self.entries[least].0 {
                break;
            }
            self.put(place, self.entries[least]);
            place = least;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: (K, u32)) {
        self.entries[place] = entry;
        self.places[entry.1 as usize] = place as u32;
    }
}
