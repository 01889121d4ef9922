//! A lane's routes in its server's scheduler: one in each class that its clients have used.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use pool::{ClassId, RouteId};
use route::{ClassIndex, Classes};

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
    /// By the class's name, which stays when a changed configuration gives it another number.
    routes: Vec<(Arc<str>, RouteId)>,
    by_class: Vec<Option<RouteId>>,
}

impl Seats {
    /// The seats of a new lane: one, in the default class.
    pub(crate) fn new(first: RouteId, classes: Arc<Classes>, era: Era) -> Self {
        let routes = vec![(classes.get(ClassIndex::DEFAULT).name.clone(), first)];
        Self { era: AtomicU32::new(era.0), seating: ArcSwap::from_pointee(Seating::new(classes, routes)) }
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
        let Seating { classes, mut routes, .. } = Seating::clone(&self.seating.load());
        routes.push((classes.get(class).name.clone(), route));
        self.seating.store(Arc::new(Seating::new(classes, routes)));
    }

    /// Takes over the classes of a changed configuration. Each route stays in the class of its name; those whose class is no
    /// more (`None`) go on in the default class until it is wanted again. Returns every route and its class.
    pub(crate) fn change(&self, classes: Arc<Classes>, era: Era) -> Vec<(RouteId, Option<ClassIndex>)> {
        let seating = Seating::new(classes, self.seating.load().routes.clone());
        let routes = seating.routes.iter().map(|(name, route)| (*route, seating.classes.named(name))).collect();
        self.seating.store(Arc::new(seating));
        self.era.store(era.0, Relaxed);
        routes
    }
}

impl Seating {
    fn new(classes: Arc<Classes>, routes: Vec<(Arc<str>, RouteId)>) -> Self {
        let route = |name: &str| routes.iter().find(|(known, _)| **known == *name).map(|(_, route)| *route);
        let by_class = classes.iter().map(|(_, class)| route(&class.name)).collect();
        Self { classes, routes, by_class }
    }

    /// The route in a class, if there is one.
    pub(crate) fn route(&self, class: ClassIndex) -> Option<RouteId> {
        self.by_class.get(class.get()).copied().flatten()
    }

    /// All routes.
    pub(crate) fn routes(&self) -> impl Iterator<Item = RouteId> {
        self.routes.iter().map(|(_, route)| *route)
    }
}

/// A class as the scheduler knows it.
pub(crate) fn class_id(class: ClassIndex) -> ClassId {
    ClassId::new(class.get()).expect("a server has no more classes than a scheduler")
}
