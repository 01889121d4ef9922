//! A table with reusable places, each with a generation, so that a stale id finds nothing.

use std::ops::{Index, IndexMut};

/// Values at dense indices. A place is reused after removal under the next generation.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Vec<Entry<T>>,
    vacant: Vec<u32>,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), vacant: Vec::new() }
    }

    /// The index at which the next value will stand.
    pub(crate) fn next_index(&self) -> u32 {
        self.vacant.last().copied().unwrap_or(self.entries.len() as u32)
    }

    /// Stores `value` and returns its index and generation.
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        if let Some(index) = self.vacant.pop() {
            let entry = &mut self.entries[index as usize];
            entry.value = Some(value);
            return (index, entry.generation);
        }
        let index = self.entries.len() as u32;
        self.entries.push(Entry { generation: 0, value: Some(value) });
        (index, 0)
    }

    /// Removes what stands at `index`; every id given out for it is stale from now on.
    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let entry = self.entries.get_mut(index as usize)?;
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.vacant.push(index);
        Some(value)
    }

    /// Whether this very value, not a later tenant of its place, is still there.
    pub(crate) fn has(&self, index: u32, generation: u32) -> bool {
        self.entries.get(index as usize).is_some_and(|entry| entry.generation == generation && entry.value.is_some())
    }

    /// The generation of the tenant at `index`, to make an id of it.
    pub(crate) fn generation(&self, index: u32) -> u32 {
        self.entries[index as usize].generation
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| Some((index as u32, entry.value.as_ref()?)))
    }
}

/// Indices kept in lists and heaps always name live values: whoever removes a value unlinks it first.
impl<T> Index<u32> for Slots<T> {
    type Output = T;
    fn index(&self, index: u32) -> &T {
        self.entries[index as usize].value.as_ref().expect("linked indices are live")
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        self.entries[index as usize].value.as_mut().expect("linked indices are live")
    }
}
