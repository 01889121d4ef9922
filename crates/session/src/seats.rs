//! A lane's routes in its server's scheduler: one in each class that its clients have used.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use pool::{ClassId, RouteId};
use route::{Class, ClassIndex, Classes, LimitKey, LimitMode, TransactionLimit};

use crate::class_numbers::{ClassIds, ClassNumbers};

/// Counts the configurations under which sessions have something to choose. Sessions compare it with that of their last
/// choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Era(u32);

impl Era {
    /// There is nothing to choose: one class, and no limit on transactions.
    pub(crate) const PLAIN: Self = Self(0);

    /// The next one.
    pub(crate) const fn next(self) -> Self {
        match self.0.wrapping_add(1) {
            0 => Self(1),
            next => Self(next),
        }
    }
}

/// What holds for the classes of a server. Cheap to share.
#[derive(Debug, Clone)]
pub(crate) struct ClassRules {
    classes: Arc<Classes>,
    ids: ClassIds,
    limited_by: Arc<[LimitKey]>,
}

impl ClassRules {
    /// Those of a server, which knows its classes by these numbers.
    pub(crate) fn new(classes: &Classes, ids: ClassIds, limit: &TransactionLimit) -> Self {
        let limited_by = if limit.mode == LimitMode::Off { &[][..] } else { &limit.by };
        Self { classes: Arc::new(classes.clone()), ids, limited_by: limited_by.into() }
    }

    /// Those of a server of which nothing is known yet.
    pub(crate) fn none() -> Self {
        Self { classes: Arc::default(), ids: ClassNumbers::new().ids().clone(), limited_by: [].into() }
    }

    /// The classes.
    pub(crate) fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Under which numbers the pool knows them.
    pub(crate) fn ids(&self) -> &ClassIds {
        &self.ids
    }

    /// Whether no session has anything to choose.
    pub(crate) fn is_plain(&self) -> bool {
        self.classes.list().len() == 1 && self.limited_by.is_empty()
    }
}

/// A lane's routes by class. Sessions read it at every lease; what changes it holds the engine's lock.
#[derive(Debug)]
pub(crate) struct Seats {
    era: AtomicU32,
    seating: ArcSwap<Seating>,
}

/// The classes of a server, and which of them a lane has a route in.
#[derive(Debug, Clone)]
pub(crate) struct Seating {
    pub(crate) classes: Arc<Classes>,
    ids: ClassIds,
    /// What tells apart those whose transactions are limited; nothing: they are not.
    pub(crate) limited_by: Arc<[LimitKey]>,
    /// By the class's name, which stays when a changed configuration gives it another number.
    routes: Vec<(Arc<str>, RouteId)>,
    by_class: Vec<Option<RouteId>>,
}

impl Seats {
    /// The seats of a new lane: one, in the default class.
    pub(crate) fn new(first: RouteId, rules: ClassRules, era: Era) -> Self {
        let routes = vec![(rules.classes.get(ClassIndex::DEFAULT).name.clone(), first)];
        Self { era: AtomicU32::new(era.0), seating: ArcSwap::from_pointee(Seating::new(rules, routes)) }
    }

    /// Under which configuration sessions choose now.
    pub(crate) fn era(&self) -> Era {
        Era(self.era.load(Relaxed))
    }

    /// The classes, and the routes in them.
    pub(crate) fn seating(&self) -> Arc<Seating> {
        self.seating.load_full()
    }

    /// The route in a class, if there is one.
    pub(crate) fn route(&self, class: ClassIndex) -> Option<RouteId> {
        self.seating.load().route(class)
    }

    /// Adds a route.
    pub(crate) fn add(&self, class: ClassIndex, route: RouteId) {
        let Seating { classes, ids, limited_by, mut routes, .. } = Seating::clone(&self.seating.load());
        routes.push((classes.get(class).name.clone(), route));
        self.seating.store(Arc::new(Seating::new(ClassRules { classes, ids, limited_by }, routes)));
    }

    /// Takes over the classes of a changed configuration. Each route stays in the class of its name; those whose class is no
    /// more (`None`) go on in the default class until it is wanted again. Returns every route and its class.
    pub(crate) fn change(&self, rules: ClassRules, era: Era) -> Vec<(RouteId, Option<ClassIndex>)> {
        let seating = Seating::new(rules, self.seating.load().routes.clone());
        let routes = seating.routes.iter().map(|(name, route)| (*route, seating.classes.named(name))).collect();
        self.seating.store(Arc::new(seating));
        self.era.store(era.0, Relaxed);
        routes
    }
}

impl Seating {
    /// The routes of a lane, by the names of their classes.
    pub(crate) fn new(rules: ClassRules, routes: Vec<(Arc<str>, RouteId)>) -> Self {
        let ClassRules { classes, ids, limited_by } = rules;
        let route = |name: &str| routes.iter().find(|(known, _)| **known == *name).map(|(_, route)| *route);
        let by_class = classes.iter().map(|(_, class)| route(&class.name)).collect();
        Self { classes, ids, limited_by, routes, by_class }
    }

    /// The route in a class, if there is one.
    pub(crate) fn route(&self, class: ClassIndex) -> Option<RouteId> {
        self.by_class.get(class.get()).copied().flatten()
    }

    /// The class that the pool knows by this number; `None`: it is no more.
    pub(crate) fn class(&self, id: ClassId) -> Option<&Class> {
        self.ids.index(id).map(|index| self.classes.get(index))
    }

    /// All routes.
    pub(crate) fn routes(&self) -> impl Iterator<Item = RouteId> {
        self.routes.iter().map(|(_, route)| *route)
    }
}
