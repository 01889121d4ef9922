//! The classes of one server, and which of them takes what.

use std::sync::Arc;

use crate::class::CLASSES_MAX;
use crate::traffic::{Slots, Traffic, Workload};
use crate::{Choice, Class, ClassIndex, Takes, Who, nearest};

mod preset;
#[cfg(test)]
mod tests;

/// The name of the class that takes what no other takes.
pub const DEFAULT_CLASS: &str = "default";

/// The name of the class for sessions whose state pins them.
pub const RESERVED_CLASS: &str = "reserved";

/// The classes of one server. The first that takes the traffic wins; the default class, at place 0, comes last.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    list: Vec<Class>,
    /// By class: those that may use what is left of its cap.
    lends_to: Vec<Vec<ClassIndex>>,
    reserved: Option<ClassIndex>,
}

impl Default for Classes {
    /// [`Classes::single`].
    fn default() -> Self {
        Self::single()
    }
}

/// Why a list of classes makes no sense, and the name of the class at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassError {
    /// More than there may be.
    #[error("a server has at most {} classes beside the default class, these are {count}", CLASSES_MAX - 1)]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Two of one name.
    #[error("there is already a class named `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The name of the default class.
    #[error("the class `default` takes what no other class takes and has no cap, so it cannot be declared")]
    Default,
    /// A class for pinned sessions that takes traffic as well.
    #[error("the class `reserved` is for pinned sessions: it can have a cap, but takes no traffic by rule")]
    ReservedTakes,
    /// One that lends what it does not have.
    #[error("class `{name}` has no cap, so there is nothing it could lend")]
    NothingToLend {
        /// The lender.
        name: String,
    },
    /// One that lends to nobody.
    #[error("class `{name}` lends to an unknown class `{to}`")]
    UnknownBorrower {
        /// The lender.
        name: String,
        /// To whom it should lend.
        to: String,
        /// The class that may have been meant.
        nearest: Option<String>,
    },
    /// One that lends to who has no limit.
    #[error("class `{name}` lends to `{to}`, which has no cap and so never needs to borrow")]
    NeedlessLoan {
        /// The lender.
        name: String,
        /// To whom it should lend.
        to: String,
    },
    /// One that lends to itself.
    #[error("class `{name}` lends to itself")]
    OwnBorrower {
        /// The lender.
        name: String,
    },
}

impl Classes {
    /// One pool for everything: the default class alone.
    #[must_use]
    pub fn single() -> Self {
        Self { list: vec![Class::new(DEFAULT_CLASS)], lends_to: vec![Vec::new()], reserved: None }
    }

    /// VTTablet's pools with its sizes.
    #[must_use]
    pub fn vttablet() -> Self {
        Self::new(preset::vttablet()).expect("the preset is tested")
    }

    /// The default class, followed by these. One named `reserved` is for pinned sessions and takes no traffic.
    ///
    /// # Errors
    /// The first [`ClassError`] found.
    pub fn new(declared: Vec<Class>) -> Result<Self, ClassError> {
        if declared.len() >= CLASSES_MAX {
            return Err(ClassError::TooMany { count: declared.len() });
        }
        let mut list = Self::single().list;
        for class in declared {
            if &*class.name == DEFAULT_CLASS {
                return Err(ClassError::Default);
            }
            if list.iter().any(|other| other.name == class.name) {
                return Err(ClassError::Duplicate { name: class.name.to_string() });
            }
            if &*class.name == RESERVED_CLASS && !class.takes.is_everything() {
                return Err(ClassError::ReservedTakes);
            }
            list.push(class);
        }
        let lends_to = list.iter().map(|class| borrowers(class, &list)).collect::<Result<_, _>>()?;
        let reserved = list.iter().position(|class| &*class.name == RESERVED_CLASS).and_then(ClassIndex::new);
        Ok(Self { list, lends_to, reserved })
    }

    /// The classes of the preset, in its order, as if they had been declared.
    #[must_use]
    pub fn preset() -> Vec<Class> {
        preset::vttablet()
    }

    /// Which class takes which of a session's work. A pass over the classes: asked when a session begins, and when what it
    /// says of itself changes.
    #[must_use]
    pub fn of(&self, who: &Who<'_>) -> Choice {
        let mut choice = Choice::default();
        let mut left = Slots::ALL;
        for (index, class) in self.taking() {
            let taken = class.takes.slots().and(left);
            if !taken.is_empty() && class.takes.fits(who) {
                choice.set(taken, index);
                left = left.without(taken);
            }
        }
        if who.workload == Workload::Olap {
            choice.stream_statements();
        }
        choice
    }

    /// All of them, by index.
    #[must_use]
    pub fn list(&self) -> &[Class] {
        &self.list
    }

    /// All of them with their places.
    pub fn iter(&self) -> impl Iterator<Item = (ClassIndex, &Class)> {
        self.list.iter().enumerate().filter_map(|(place, class)| Some((ClassIndex::new(place)?, class)))
    }

    /// One of them. Panics on an index of another server.
    #[must_use]
    pub fn get(&self, class: ClassIndex) -> &Class {
        &self.list[class.get()]
    }

    /// The one of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<ClassIndex> {
        self.iter().find(|(_, class)| &*class.name == name).map(|(index, _)| index)
    }

    /// Those that may use what is left of this one's cap.
    #[must_use]
    pub fn lends_to(&self, class: ClassIndex) -> &[ClassIndex] {
        self.lends_to.get(class.get()).map_or(&[], Vec::as_slice)
    }

    /// Where sessions go whose state pins them; `None`: they stay where they are.
    #[must_use]
    pub const fn reserved(&self) -> Option<ClassIndex> {
        self.reserved
    }

    /// Whether all traffic goes to the default class.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.taking().next().is_none()
    }

    /// Those whose connections the transaction limiter shares out: what takes transactions and nothing else; or the default
    /// class, if there is none.
    #[must_use]
    pub fn transactional(&self) -> Vec<ClassIndex> {
        let only = |class: &Class| class.takes.traffic == [Traffic::Transaction];
        let classes: Vec<_> = self.taking().filter(|(_, class)| only(class)).map(|(index, _)| index).collect();
        if classes.is_empty() { vec![ClassIndex::DEFAULT] } else { classes }
    }

    /// Whether this class may get work of this user on this database.
    #[must_use]
    pub fn may_concern(&self, class: ClassIndex, user: &str, database: &str) -> bool {
        self.list.get(class.get()).is_some_and(|class| class.takes.may_concern(user, database))
    }

    /// Those that a class before them leaves nothing: (the class, the one that takes it all).
    pub fn shadowed(&self) -> impl Iterator<Item = (&Class, &Class)> {
        self.taking().filter_map(|(index, class)| {
            let earlier = self.taking().take_while(move |(other, _)| *other < index);
            let mut all_of_it = earlier.filter(|(_, earlier)| earlier.takes.includes(&class.takes));
            all_of_it.next().map(|(_, earlier)| (class, earlier))
        })
    }

    /// Whether something is left for the default class, as far as rules tell without looking at a client.
    #[must_use]
    pub fn leaves_something(&self) -> bool {
        let unconditional = |class: &Class| {
            let of_kinds = Takes {
                traffic: class.takes.traffic.clone(),
                statements: class.takes.statements.clone(),
                ..Takes::default()
            };
            class.takes == of_kinds
        };
        let taken = self.taking().filter(|(_, class)| unconditional(class));
        !taken.fold(Slots::ALL, |left, (_, class)| left.without(class.takes.slots())).is_empty()
    }

    /// Those that take traffic by their rule.
    fn taking(&self) -> impl Iterator<Item = (ClassIndex, &Class)> {
        self.iter().filter(|(index, _)| *index != ClassIndex::DEFAULT && Some(*index) != self.reserved)
    }
}

fn borrowers(lender: &Class, list: &[Class]) -> Result<Vec<ClassIndex>, ClassError> {
    let name = || lender.name.to_string();
    if lender.cap.is_none() && !lender.lends_to.is_empty() {
        return Err(ClassError::NothingToLend { name: name() });
    }
    let borrower = |to: &Arc<str>| {
        if *to == lender.name {
            return Err(ClassError::OwnBorrower { name: name() });
        }
        let place = list.iter().position(|class| class.name == *to);
        let Some(index) = place.and_then(ClassIndex::new) else {
            let names = list.iter().map(|class| &*class.name).filter(|name| *name != DEFAULT_CLASS);
            let nearest = nearest(to, names).map(Into::into);
            return Err(ClassError::UnknownBorrower { name: name(), to: to.to_string(), nearest });
        };
        if list[index.get()].cap.is_none() {
            return Err(ClassError::NeedlessLoan { name: name(), to: to.to_string() });
        }
        Ok(index)
    };
    lender.lends_to.iter().map(borrower).collect()
}
