//! One class: a typed pool of a server, with a cap and what it takes.

use std::sync::Arc;

use crate::Pattern;
use crate::traffic::{Slots, StatementKind, Traffic, Who, Workload};

/// A class's place among those of its server; 0 is the default class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClassIndex(u8);

impl ClassIndex {
    /// The class that takes what no other takes.
    pub const DEFAULT: Self = Self(0);

    /// The class at this place. `None`: no server has so many.
    #[must_use]
    pub fn new(place: usize) -> Option<Self> {
        u8::try_from(place).ok().filter(|place| usize::from(*place) < CLASSES_MAX).map(Self)
    }

    /// Its place.
    #[must_use]
    pub fn get(self) -> usize {
        self.0.into()
    }
}

/// The most classes of one server, the default class included: a set of them fits a machine word.
pub const CLASSES_MAX: usize = 64;

/// A typed pool of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Its name, unique on its server.
    pub name: Arc<str>,
    /// Its name in metrics: VTTablet's name of the pool, if there is one.
    pub metric: Arc<str>,
    /// The most server connections of all its routes together; `None`: only the budget limits it.
    pub cap: Option<u32>,
    /// Which traffic it takes.
    pub takes: Takes,
    /// The classes that may use what is left of its cap.
    pub lends_to: Vec<Arc<str>>,
}

impl Class {
    /// A class without a cap that takes everything.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            metric: format!("{name}_pool").into(),
            cap: None,
            takes: Takes::default(),
            lends_to: Vec::new(),
        }
    }
}

/// Which traffic a class takes: what fits all of these. An empty list fits everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Takes {
    /// Any of these kinds of traffic.
    pub traffic: Vec<Traffic>,
    /// Texts whose statement is any of these kinds.
    pub statements: Vec<StatementKind>,
    /// Clients of any of these users.
    pub users: Vec<Pattern>,
    /// Clients of any of these databases, as they name them.
    pub databases: Vec<Pattern>,
    /// Clients that call themselves any of these: `application_name`, or the attribute `program_name`.
    pub applications: Vec<Pattern>,
    /// MySQL clients with all of these connection attributes, each fitting its pattern.
    pub attributes: Vec<(String, Pattern)>,
    /// MySQL clients that set `CLIENT_FOUND_ROWS` (`true`), or did not (`false`); `None`: both.
    pub found_rows: Option<bool>,
    /// Sessions that chose this by `SET workload`.
    pub workload: Option<Workload>,
}

impl Takes {
    /// Whether it takes everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The traffic and statements, of whoever they are.
    pub(crate) fn slots(&self) -> Slots {
        Slots::of(&self.traffic, &self.statements)
    }

    /// Whether a session is of those it takes work from.
    pub(crate) fn fits(&self, who: &Who<'_>) -> bool {
        self.may_concern(who.user, who.database)
            && any(&self.applications, who.application)
            && self.found_rows.is_none_or(|wanted| wanted == who.found_rows)
            && self.workload.is_none_or(|wanted| wanted == who.workload)
            && self.attributes.iter().all(|(name, pattern)| (who.attributes)(name).is_some_and(|v| pattern.fits(v)))
    }

    /// Whether it surely takes all that `other` takes. Patterns are compared as they are written.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        fn all<T: PartialEq>(these: &[T], those: &[T]) -> bool {
            these.is_empty() || (!those.is_empty() && those.iter().all(|that| these.contains(that)))
        }
        other.slots().without(self.slots()).is_empty()
            && all(&self.users, &other.users)
            && all(&self.databases, &other.databases)
            && all(&self.applications, &other.applications)
            && self.attributes.iter().all(|attribute| other.attributes.contains(attribute))
            && (self.found_rows.is_none() || self.found_rows == other.found_rows)
            && (self.workload.is_none() || self.workload == other.workload)
    }

    /// Whether it may take work of this user on this database.
    pub(crate) fn may_concern(&self, user: &str, database: &str) -> bool {
        any(&self.users, user) && any(&self.databases, database)
    }
}

fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
}
