//! Under which numbers the pool of a server knows its classes.
//!
//! The pool keeps a class's past by its number. So a class keeps its number for as long as one of its name is configured,
//! wherever that stands, and a number that is free again is given away as late as possible, without its past.

use std::{collections::VecDeque, sync::Arc};

use pool::{CLASSES_MAX, ClassId};
use route::{ClassIndex, Classes};

/// The numbers of the classes of one server, through all its configurations.
#[derive(Debug, Clone)]
pub(crate) struct ClassNumbers {
    used: ClassIds,
    /// Numbers of no class, the one that has been free for longest first.
    free: VecDeque<ClassId>,
}

/// The number of each class under one configuration. Cheap to share.
#[derive(Debug, Clone)]
pub(crate) struct ClassIds(Arc<[ClassId]>);

impl ClassNumbers {
    /// Those of a server with the default class alone.
    pub(crate) fn new() -> Self {
        Self { used: ClassIds([ClassId::DEFAULT].into()), free: (1..CLASSES_MAX).filter_map(ClassId::new).collect() }
    }

    /// The classes change. Returns the numbers of those that are no more: their past is to be forgotten.
    pub(crate) fn change(&mut self, old: &Classes, new: &Classes) -> Vec<ClassId> {
        let of_old = |name: &str| old.named(name).map(|index| self.used.of(index));
        let gone: Vec<ClassId> = old
            .iter()
            .filter(|(_, class)| new.named(&class.name).is_none())
            .map(|(index, _)| self.used.of(index))
            .collect();
        let kept: Vec<Option<ClassId>> = new.list().iter().map(|class| of_old(&class.name)).collect();
        self.free.extend(&gone);
        let number = |kept: Option<ClassId>| kept.or_else(|| self.free.pop_front());
        self.used = ClassIds(kept.into_iter().filter_map(number).collect());
        debug_assert_eq!(self.used.0.len(), new.list().len(), "a server has no more classes than there are numbers");
        gone
    }

    /// Those of the present configuration.
    pub(crate) fn ids(&self) -> &ClassIds {
        &self.used
    }
}

impl ClassIds {
    /// The number of a class; an index of another configuration is taken for the default class.
    pub(crate) fn of(&self, class: ClassIndex) -> ClassId {
        self.0.get(class.get()).copied().unwrap_or(ClassId::DEFAULT)
    }

    /// The class with this number. `None`: none has it, or none any more.
    pub(crate) fn index(&self, id: ClassId) -> Option<ClassIndex> {
        self.0.iter().position(|known| *known == id).and_then(ClassIndex::new)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use route::Class;

    use super::*;

    fn classes(names: &[String]) -> Classes {
        Classes::new(names.iter().map(|name| Class::new(name)).collect()).unwrap()
    }

    fn named(names: &[&str]) -> Classes {
        classes(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    fn number(numbers: &ClassNumbers, classes: &Classes, name: &str) -> usize {
        numbers.ids().of(classes.named(name).unwrap()).number()
    }

    #[test]
    fn a_class_keeps_its_number_and_a_free_one_is_used_last() {
        let mut numbers = ClassNumbers::new();
        let first = named(&["a", "b", "c"]);
        assert_eq!(numbers.change(&Classes::single(), &first), []);
        assert_eq!(["default", "a", "b", "c"].map(|name| number(&numbers, &first, name)), [0, 1, 2, 3]);
        let second = named(&["new", "c", "b"]);
        assert_eq!(numbers.change(&first, &second), ClassId::new(1).into_iter().collect::<Vec<_>>());
        assert_eq!(["default", "new", "c", "b"].map(|name| number(&numbers, &second, name)), [0, 4, 3, 2]);
        assert_eq!(ClassId::new(1).and_then(|id| numbers.ids().index(id)), None);
        assert_eq!(ClassId::new(4).and_then(|id| numbers.ids().index(id)), second.named("new"));
        let third = named(&["a"]);
        assert_eq!(numbers.change(&second, &third).len(), 3);
        assert_eq!(number(&numbers, &third, "a"), 5, "its past is gone, and nobody else's is in its place");
    }

    #[test]
    fn there_are_always_enough_numbers() {
        let mut numbers = ClassNumbers::new();
        let mut old = Classes::single();
        for round in 0..5 {
            let names: Vec<_> = (1..CLASSES_MAX).map(|class| format!("{round}-{class}")).collect();
            let new = classes(&names);
            numbers.change(&old, &new);
            let ids: HashSet<ClassId> = new.iter().map(|(index, _)| numbers.ids().of(index)).collect();
            assert_eq!(ids.len(), CLASSES_MAX);
            old = new;
        }
    }
}
