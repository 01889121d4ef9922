//! The words for classes: their ids, sets of them, and what holds for one.

use std::fmt;

/// The most classes of one server: a set of them fits a machine word.
pub const CLASSES_MAX: usize = 64;

/// A class: a typed pool with a cap of its own inside the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClassId(u8);

impl ClassId {
    /// The class that always exists. It has no cap at first.
    pub const DEFAULT: Self = Self(0);

    /// The class with this number. `None`: there are never as many as [`CLASSES_MAX`] before it.
    #[must_use]
    pub const fn new(number: usize) -> Option<Self> {
        if number < CLASSES_MAX { Some(Self(number as u8)) } else { None }
    }

    /// Its number, from 0.
    #[must_use]
    pub const fn number(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A set of classes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ClassSet(u64);

impl ClassSet {
    /// No class.
    pub const EMPTY: Self = Self(0);

    /// This set and one class more.
    #[must_use]
    pub const fn with(self, class: ClassId) -> Self {
        Self(self.0 | 1 << class.0)
    }

    /// This set without a class.
    #[must_use]
    pub const fn without(self, class: ClassId) -> Self {
        Self(self.0 & !(1 << class.0))
    }

    /// Whether a class is in it.
    #[must_use]
    pub const fn contains(self, class: ClassId) -> bool {
        self.0 & 1 << class.0 != 0
    }

    /// Whether no class is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The classes in it, by number.
    pub fn iter(self) -> impl Iterator<Item = ClassId> {
        (0..CLASSES_MAX).filter_map(ClassId::new).filter(move |class| self.contains(*class))
    }
}

impl FromIterator<ClassId> for ClassSet {
    fn from_iter<I: IntoIterator<Item = ClassId>>(classes: I) -> Self {
        classes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for ClassSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(ClassId::number)).finish()
    }
}

/// What holds for one class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassLimits {
    /// The most connections of all its routes together; `None`: only the budget limits it.
    pub cap: Option<u32>,
    /// The classes that may use what is left of its cap, each beyond its own. What is lent comes back as soon as this class
    /// asks for it and a connection there has nothing to do; no lease is ended for it.
    pub lends_to: ClassSet,
}

impl ClassLimits {
    /// A hard cap: nothing is lent.
    #[must_use]
    pub const fn capped(cap: u32) -> Self {
        Self { cap: Some(cap), lends_to: ClassSet::EMPTY }
    }
}

/// Which limit a request met that got no connection in time, as of the moment when its time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockedBy {
    /// Its route held as many as its cap allows.
    Route {
        /// The cap.
        cap: u32,
    },
    /// Its class held as many as its cap and what others lend it allow.
    Class {
        /// The class.
        class: ClassId,
        /// Its cap.
        cap: u32,
    },
    /// Neither: there was no slot left for it in the server's budget, or connects take long.
    Budget,
}

/// Why a connection in use stays with its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NoTransfer {
    /// The route is not (any more) known.
    #[error("no such route")]
    UnknownRoute,
    /// The connection is not (any more) in use.
    #[error("the connection is not in use")]
    NotInUse,
    /// The routes are no siblings.
    #[error("the routes differ in more than their class")]
    NoSibling,
    /// The class has no room, or others wait for it.
    #[error("class {class} has no room ({cap})")]
    ClassFull {
        /// The class.
        class: ClassId,
        /// Its cap.
        cap: u32,
    },
    /// The route may hold no more.
    #[error("the route may hold no more connections ({cap})")]
    RouteFull {
        /// Its cap.
        cap: u32,
    },
}
