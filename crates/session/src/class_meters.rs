//! What is measured of each class of a server, where there are several.

use std::{array, sync::OnceLock};

use meter::Histogram;
use pool::{CLASSES_MAX, ClassId};

/// What is measured of one class.
#[derive(Debug, Default)]
pub struct ClassMeters {
    /// Waits for a connection, waits of no time included.
    pub wait: Histogram,
    /// From a lease to its end, whatever class it began in.
    pub hold: Histogram,
    /// Connects that succeeded, login included.
    pub connect: Histogram,
}

/// The classes of a server, by number. With one class there are none: what could be measured of it is measured of its routes,
/// and a lease should cost no more than it must.
#[derive(Debug)]
pub(crate) struct MetersByClass([OnceLock<Box<ClassMeters>>; CLASSES_MAX]);

impl MetersByClass {
    pub(crate) fn new() -> Self {
        Self(array::from_fn(|_| OnceLock::new()))
    }

    /// Measures a class from now on.
    pub(crate) fn measure(&self, class: ClassId) {
        if let Some(meters) = self.0.get(class.number()) {
            meters.get_or_init(Box::default);
        }
    }

    /// Forgets what was measured of a class.
    pub(crate) fn clear(&self, class: ClassId) {
        if let Some(meters) = self.get(class) {
            meters.wait.clear();
            meters.hold.clear();
            meters.connect.clear();
        }
    }

    pub(crate) fn get(&self, class: ClassId) -> Option<&ClassMeters> {
        self.0.get(class.number())?.get().map(Box::as_ref)
    }
}
