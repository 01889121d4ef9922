//! The heap, the list and the table against what the standard library would say.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::heap::Heap;
use crate::list::{Linked, Links, List};
use crate::slots::Slots;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Entries set, moved and removed in any order: the least is always in front, ties aside.
    #[test]
    fn a_heap_is_a_sorted_map(steps in prop::collection::vec((0_u32..40, prop::option::weighted(0.7, 0_u64..30)), 1..300)) {
        let mut heap = Heap::default();
        let mut model = BTreeMap::new();
        for (index, key) in steps {
            match key {
                Some(key) => {
                    heap.set(index, key);
                    model.insert(index, key);
                }
                None => {
                    heap.remove(index);
                    model.remove(&index);
                }
            }
            prop_assert_eq!(heap.contains(index), model.contains_key(&index));
            prop_assert_eq!(heap.peek().map(|(key, _)| key), model.values().min().copied());
            if let Some((key, index)) = heap.peek() {
                prop_assert_eq!(model[&index], key);
            }
        }
        // Emptied from the front it comes out in order.
        let mut sorted: Vec<u64> = model.into_values().collect();
        sorted.sort_unstable();
        let drained: Vec<u64> = std::iter::from_fn(|| {
            let (key, index) = heap.peek()?;
            heap.remove(index);
            Some(key)
        })
        .collect();
        prop_assert_eq!(drained, sorted);
    }

    /// Members come and go anywhere: the list reads the same from both ends as a vector would.
    #[test]
    fn a_list_is_a_vector(steps in prop::collection::vec((any::<bool>(), any::<usize>()), 1..100)) {
        let (mut slots, mut list, mut model) = (Slots::new(), List::EMPTY, Vec::new());
        for (insert, place) in steps {
            if insert || model.is_empty() {
                let (index, _) = slots.insert(Member(Links::UNLINKED));
                let place = place % (model.len() + 1);
                list.insert_before(&mut slots, model.get(place).copied(), index);
                model.insert(place, index);
            } else {
                let index = model.remove(place % model.len());
                list.remove(&mut slots, index);
                slots.remove(index);
            }
            let forth: Vec<u32> = std::iter::successors(list.front(), |index| List::after(&slots, *index)).collect();
            let mut back: Vec<u32> = std::iter::successors(list.back(), |index| List::before(&slots, *index)).collect();
            back.reverse();
            prop_assert_eq!((&forth, &back, list.len() as usize), (&model, &model, model.len()));
        }
    }
}

#[derive(Debug)]
struct Member(Links);

impl Linked for Member {
    fn links(&self) -> &Links {
        &self.0
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.0
    }
}

#[test]
fn a_reused_place_has_a_new_generation() {
    let mut slots = Slots::new();
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let (index, generation) = slots.insert(());
        assert_eq!(index, 0, "places are dense");
        assert!(ids.insert(generation));
        assert!(slots.has(index, generation));
        slots.remove(index);
        assert!(!slots.has(index, generation));
    }
}
