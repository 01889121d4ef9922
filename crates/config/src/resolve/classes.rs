//! The classes of each server, out of those declared and those of the preset.

use route::{Class, ClassError, Classes, DEFAULT_CLASS, Pattern, RESERVED_CLASS, Takes};

use super::Check;
use crate::keys::{Capability, ClassKeys, File, PoolKeys, ServerClasses, ServerKeys, SessionState};
use crate::phrase;
use crate::values::Cap;

impl Check<'_> {
    /// What is wrong with single entries of `[[classes]]`.
    pub(super) fn declared_classes(&mut self, declared: &[ClassKeys]) {
        let all = in_order(declared);
        for (class, index) in declared.iter().zip(0_usize..) {
            let index = index.to_string();
            let path = |key| ["classes", &*index, key];
            self.name(&class.name, &path("name"));
            if class.name == DEFAULT_CLASS {
                self.wrong(&path("name"), ClassError::Default.to_string());
            }
            if class.name == RESERVED_CLASS && class.has_rule() {
                self.wrong(&path("name"), ClassError::ReservedTakes.to_string());
            }
            if declared.iter().take_while(|other| !std::ptr::eq(*other, class)).any(|other| other.name == class.name) {
                self.wrong(&path("name"), ClassError::Duplicate { name: class.name.clone() }.to_string());
            }
            for to in &class.lends_to {
                self.known(to, &all, &path("lends_to"));
            }
            let in_names = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if class.metric.as_ref().is_some_and(|name| name.is_empty() || !name.chars().all(in_names)) {
                self.wrong(&path("metric"), "the name of a metric consists of ASCII letters, digits and `_`");
            }
        }
    }

    /// The classes of one server. Where they make no sense a problem is noted, and one class for everything stands in for
    /// them.
    pub(super) fn classes(&mut self, file: &File, server: &ServerKeys, index: usize) -> Classes {
        let index = index.to_string();
        let path = ["servers", &*index, "classes"];
        let all = in_order(&file.classes);
        let given = self.given(&server.classes, &all, &path);
        let cap_of = |class: &Class| {
            let (_, cap) = given.iter().find(|(name, _)| **name == *class.name)?;
            Some(cap.map_or(class.cap, Cap::get))
        };
        let mut list: Vec<Class> =
            all.iter().filter_map(|class| Some(Class { cap: cap_of(class)?, ..class.clone() })).collect();
        let pool = server.pool.as_ref().unwrap_or(&file.pool);
        if !list.is_empty() || is_reserving(file, pool) {
            complete_reserved(&mut list, &all, pool);
        }
        let names: Vec<_> = list.iter().map(|class| class.name.clone()).collect();
        for class in &mut list {
            // One declaration serves servers with different classes.
            class.lends_to.retain(|to| names.contains(to));
        }
        Classes::new(list).unwrap_or_else(|error| {
            self.wrong(&path, error.to_string());
            Classes::single()
        })
    }

    /// The names that a server gives, with the caps that it gives them.
    fn given(&mut self, classes: &ServerClasses, all: &[Class], path: &[&str]) -> Vec<(String, Option<Cap>)> {
        let given: Vec<(String, Option<Cap>, String)> = match classes {
            ServerClasses::Single => Vec::new(),
            ServerClasses::Vttablet => {
                return Classes::preset().iter().map(|class| (class.name.to_string(), None)).collect();
            }
            ServerClasses::Named(names) => {
                names.iter().zip(0_usize..).map(|(name, place)| (name.clone(), None, place.to_string())).collect()
            }
            ServerClasses::Capped(caps) => {
                caps.iter().map(|(name, cap)| (name.clone(), Some(*cap), name.clone())).collect()
            }
        };
        let mut once: Vec<(String, Option<Cap>)> = Vec::with_capacity(given.len());
        for (name, cap, place) in given {
            let place = [path, &[&*place]].concat();
            if name == DEFAULT_CLASS {
                self.wrong(&place, ClassError::Default.to_string());
            } else if once.iter().any(|(other, _)| *other == name) {
                self.wrong(&place, ClassError::Duplicate { name }.to_string());
            } else if self.known(&name, all, &place) {
                once.push((name, cap));
            }
        }
        once
    }

    /// Whether there is such a class; if not, a problem is noted.
    fn known(&mut self, name: &str, all: &[Class], path: &[&str]) -> bool {
        let is_known = all.iter().any(|class| &*class.name == name);
        if !is_known {
            let hint = phrase::did_you_mean(name, all.iter().map(|class| &*class.name).collect());
            let message = format!("there is no class named `{name}`, neither in `[[classes]]` nor in the preset");
            self.problems.push(self.places.problem(path, message, Some(hint)));
        }
        is_known
    }
}

/// Every class that can be named, in the order in which they are asked: those of one's own, then the preset's, with what is
/// declared of them.
fn in_order(declared: &[ClassKeys]) -> Vec<Class> {
    let preset = Classes::preset();
    let is_own = |keys: &&ClassKeys| preset.iter().all(|class| *class.name != keys.name);
    let mut all: Vec<Class> =
        declared.iter().filter(is_own).map(|keys| changed(Class::new(&keys.name), keys)).collect();
    all.extend(preset.into_iter().map(|class| match declared.iter().find(|keys| keys.name == *class.name) {
        Some(keys) => changed(class, keys),
        None => class,
    }));
    all
}

/// A class with what is declared of it.
fn changed(class: Class, keys: &ClassKeys) -> Class {
    Class {
        name: class.name,
        metric: keys.metric.as_deref().map_or(class.metric, Into::into),
        cap: keys.cap.map_or(class.cap, Cap::get),
        takes: if keys.has_rule() { takes(keys) } else { class.takes },
        lends_to: keys.lends_to.iter().map(|to| to.as_str().into()).collect(),
    }
}

fn takes(keys: &ClassKeys) -> Takes {
    let patterns = |names: &[String]| names.iter().map(Pattern::new).collect();
    Takes {
        traffic: keys.traffic.iter().copied().map(Into::into).collect(),
        statements: keys.statements.iter().copied().map(Into::into).collect(),
        users: patterns(&keys.users),
        databases: patterns(&keys.databases),
        applications: patterns(&keys.applications),
        attributes: keys.attributes.iter().map(|(name, value)| (name.clone(), Pattern::new(value))).collect(),
        found_rows: keys.capability.map(|Capability::FoundRows| true),
        workload: keys.workload.map(Into::into),
    }
}

/// Whether some session may keep a connection of this pool by configuration.
fn is_reserving(file: &File, pool: &PoolKeys) -> bool {
    let reserve = |state: Option<SessionState>| state == Some(SessionState::Reserve);
    pool.max_reserved.get().is_some()
        || reserve(Some(pool.session_state))
        || file.databases.iter().any(|database| reserve(database.session_state))
        || file.users.iter().any(|user| reserve(user.session_state))
        || file.routes.iter().any(|route| reserve(route.session_state))
}

/// The class for pinned sessions, if it is not there, and its cap, if it has none.
fn complete_reserved(list: &mut Vec<Class>, all: &[Class], pool: &PoolKeys) {
    let is_reserved = |class: &&mut Class| &*class.name == RESERVED_CLASS;
    if list.iter_mut().find(is_reserved).is_none() {
        list.extend(all.iter().find(|class| &*class.name == RESERVED_CLASS).cloned());
    }
    if let Some(reserved) = list.iter_mut().find(is_reserved) {
        reserved.cap = reserved.cap.or_else(|| pool.max_reserved.get());
    }
}
