//! Classes: what each had to do, and the cap that it needs for it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use sizing::{Queue, Workload, real, time};

use super::{load::hold_time, look::ClassEntry};
use crate::size::{
    Terms,
    text::{shown, table},
};

/// What one class of a server had to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClassLoad {
    pub(super) server: String,
    pub(super) name: String,
    /// Its cap; [`None`]: only the budget limits it.
    capacity: Option<u32>,
    /// Leases per second.
    rate: f64,
    /// How long each was kept, in seconds.
    hold: f64,
    /// How often all it may have was lent meanwhile.
    exhausted: u64,
}

/// The cap that a class should have, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Capped<'a> {
    pub(super) name: &'a str,
    /// 0: none.
    pub(super) cap: u32,
    because: String,
}

/// What every class did between two looks, this long apart; nothing of a server with one class only, and nothing of classes
/// whose counters went back.
pub(super) fn loads(before: &[ClassEntry], after: &[ClassEntry], length: Duration) -> Vec<ClassLoad> {
    let known: BTreeMap<(&str, &str), &ClassEntry> =
        before.iter().map(|entry| ((&*entry.server, &*entry.class), entry)).collect();
    let mut of_server: BTreeMap<&str, u32> = BTreeMap::new();
    for entry in after {
        *of_server.entry(&entry.server).or_default() += 1;
    }
    let load = |entry: &ClassEntry| {
        let earlier = known.get(&(&*entry.server, &*entry.class)).copied();
        let since = |now: u64, then: fn(&ClassEntry) -> u64| now.checked_sub(earlier.map_or(0, then));
        let leases = since(entry.leases, |entry| entry.leases)? as f64;
        let held = since(entry.hold_us, |entry| entry.hold_us)? as f64 / 1e6;
        let seconds = length.as_secs_f64().max(1e-3);
        // More than all it may have lent for all the time were leases from before.
        let held = entry.capacity.map_or(held, |capacity| held.min(f64::from(capacity) * seconds));
        Some(ClassLoad {
            server: entry.server.clone(),
            name: entry.class.clone(),
            capacity: entry.capacity,
            rate: leases / seconds,
            hold: if leases > 0.0 { held / leases } else { 0.0 },
            exhausted: since(entry.exhausted, |entry| entry.exhausted)?,
        })
    };
    after.iter().filter(|entry| of_server[&*entry.server] > 1).filter_map(load).collect()
}

/// The cap of each class. As caps are hard, each class is a queue of its own, and needs more than its part of one for all.
///
/// # Errors
/// A load that cannot be worked with.
pub(super) fn caps<'a>(classes: &'a [ClassLoad], variation: f64, terms: &Terms) -> Result<Vec<Capped<'a>>> {
    classes.iter().map(|class| class.capped(variation, terms)).collect()
}

impl ClassLoad {
    fn capped(&self, variation: f64, terms: &Terms) -> Result<Capped<'_>> {
        let capped = |cap, because: &str| Capped { name: &self.name, cap, because: because.to_owned() };
        let Some(now) = self.capacity else {
            return Ok(capped(0, "it has none, and the budget limits it"));
        };
        if self.rate <= 0.0 || self.hold <= 0.0 {
            return Ok(capped(now, "it had nothing to do: as it is"));
        }
        let work = Workload::new(self.rate, hold_time(self.hold))?.varying(variation)?;
        let queue = Queue::least(&work, terms.target)?.value;
        let full = if self.exhausted > 0 { "; it was full meanwhile, so look again after a change" } else { "" };
        Ok(capped(queue.connections(), &format!("the fewest for the wait{full}")))
    }
}

/// A row for each class.
pub(super) fn rows(classes: &[ClassLoad], caps: &[Capped<'_>]) -> String {
    let head = ["class", "leases/s", "kept for", "busy", "all lent", "cap now", "cap", "because"];
    let mut rows = vec![head.map(str::to_owned)];
    let cap = |cap: u32| if cap == 0 { "none".to_owned() } else { cap.to_string() };
    for (class, capped) in classes.iter().zip(caps) {
        rows.push([
            shown(&class.name),
            real(class.rate),
            if class.rate > 0.0 { time(class.hold) } else { "-".into() },
            real(class.rate * class.hold),
            class.exhausted.to_string(),
            cap(class.capacity.unwrap_or(0)),
            cap(capped.cap),
            capped.because.clone(),
        ]);
    }
    table(1, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(
        server: &str,
        class: &str,
        capacity: Option<u32>,
        leases: u64,
        hold_us: u64,
        exhausted: u64,
    ) -> ClassEntry {
        ClassEntry { server: server.into(), class: class.into(), capacity, leases, hold_us, exhausted }
    }

    #[test]
    fn each_class_is_a_queue_of_its_own() {
        let before = [entry("a", "oltp", Some(16), 1_000, 0, 0), entry("a", "transaction", Some(20), 0, 0, 5)];
        let after = [
            entry("a", "default", None, 0, 0, 0),
            // 100 a second of 80 ms: 8 are busy.
            entry("a", "oltp", Some(16), 2_000, 80_000_000, 0),
            // 10 a second of 100 ms: 1 is busy.
            entry("a", "transaction", Some(20), 100, 10_000_000, 8),
            entry("a", "dba", Some(3), 0, 0, 0),
            entry("b", "default", None, 500, 5_000_000, 0),
        ];
        let classes = loads(&before, &after, Duration::from_secs(10));
        assert_eq!(classes.len(), 4, "b has one class only: {classes:?}");
        let caps = caps(&classes, 1.0, &Terms::plain()).unwrap();
        let found: Vec<(&str, u32)> = caps.iter().map(|capped| (capped.name, capped.cap)).collect();
        assert_eq!(found, [("default", 0), ("oltp", 16), ("transaction", 5), ("dba", 3)]);
        let text = rows(&classes, &caps);
        for part in ["it was full meanwhile", "it had nothing to do: as it is", "it has none, and the budget limits it"]
        {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn counters_that_went_back_say_nothing() {
        let before = [entry("a", "x", Some(1), 10, 10, 0), entry("a", "y", Some(1), 0, 0, 0)];
        let after = [entry("a", "x", Some(1), 5, 20, 0), entry("a", "y", Some(1), 5, 20, 0)];
        let classes = loads(&before, &after, Duration::from_secs(1));
        assert_eq!(classes.iter().map(|class| &*class.name).collect::<Vec<_>>(), ["y"]);
    }
}
