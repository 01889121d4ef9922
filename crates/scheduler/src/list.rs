//! Doubly linked lists threaded through the values of a [`Slots`] table: no allocation, O(1) removal from the middle.

use crate::slots::Slots;

const NIL: u32 = u32::MAX;

/// What a value keeps to be a member of one list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links {
    before: u32,
    after: u32,
}

impl Links {
    pub(crate) const UNLINKED: Self = Self { before: NIL, after: NIL };
}

/// A value that can be a member.
pub(crate) trait Linked {
    fn links(&self) -> &Links;
    fn links_mut(&mut self) -> &mut Links;
}

/// The ends and the length of one list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    front: u32,
    back: u32,
    len: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self { front: NIL, back: NIL, len: 0 };

    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) const fn front(&self) -> Option<u32> {
        some(self.front)
    }

    pub(crate) const fn back(&self) -> Option<u32> {
        some(self.back)
    }

    pub(crate) fn push_back<T: Linked>(&mut self, slots: &mut Slots<T>, index: u32) {
        self.insert_before(slots, None, index);
    }

    /// Inserts before `after`, or at the back when that is `None`.
    pub(crate) fn insert_before<T: Linked>(&mut self, slots: &mut Slots<T>, after: Option<u32>, index: u32) {
        let (before, after) = match after {
            Some(after) => (slots[after].links().before, after),
            None => (self.back, NIL),
        };
        *slots[index].links_mut() = Links { before, after };
        if before == NIL {
            self.front = index
        } else {
            slots[before].links_mut().after = index
        }
        if after == NIL {
            self.back = index
        } else {
            slots[after].links_mut().before = index
        }
        self.len += 1;
    }

    /// Unlinks a member.
    pub(crate) fn remove<T: Linked>(&mut self, slots: &mut Slots<T>, index: u32) {
        let Links { before, after } = std::mem::replace(slots[index].links_mut(), Links::UNLINKED);
        if before == NIL {
            self.front = after
        } else {
            slots[before].links_mut().after = after
        }
        if after == NIL {
            self.back = before
        } else {
            slots[after].links_mut().before = before
        }
        self.len -= 1;
    }

    /// The member after `index`.
    pub(crate) fn after<T: Linked>(slots: &Slots<T>, index: u32) -> Option<u32> {
        some(slots[index].links().after)
    }

    /// The member before `index`.
    pub(crate) fn before<T: Linked>(slots: &Slots<T>, index: u32) -> Option<u32> {
        some(slots[index].links().before)
    }
}

const fn some(index: u32) -> Option<u32> {
    if index == NIL { None } else { Some(index) }
}
