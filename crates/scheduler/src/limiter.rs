//! How many transactions one party may have at once: a part of what the classes for transactions can hold.
//!
//! Whoever is over its part is refused at once and never queued, so that one user's long transactions cannot keep everybody
//! else's out (VTTablet's transaction limiter: `tx_limiter.go`, `transaction_limit_per_user`). In three points it does better:
//! the capacity is asked for at each decision, so the limit is right after a resize; a dry run keeps books of what would be
//! held if it were none, so that it tells exactly what would be refused; and what was let in is given back once, by a value.

use std::collections::HashMap;
use std::sync::Arc;

use crate::classes::ClassSet;

/// What holds for everybody's transactions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransactionLimit {
    /// Whether it is in force.
    pub mode: LimitMode,
    /// The part of the capacity that one party may have, from above 0 to 1.
    pub fraction: f64,
    /// The classes whose capacity this is.
    pub classes: ClassSet,
}

/// Whether a limit is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LimitMode {
    /// Nothing is counted.
    #[default]
    Off,
    /// Who is over the limit is refused.
    On,
    /// What would be refused is counted, and let in.
    DryRun,
}

/// How a transaction was let in. To be given back to [`TransactionLimiter::end`] when it is over.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a transaction that is not ended counts for ever"]
pub enum Admission {
    /// Within the limit.
    Within,
    /// Beyond it, by a dry run.
    Beyond,
}

/// A transaction too many.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{held} transactions are under way, and {limit} are allowed at once: {fraction} of {capacity} connections")]
pub struct OverLimit {
    /// The party's transactions.
    pub held: u32,
    /// The most it may have.
    pub limit: u32,
    /// The part of the capacity that one party may have.
    pub fraction: f64,
    /// Connections that the classes for transactions can hold.
    pub capacity: u32,
}

/// Counts the transactions of every party. A party is whatever the caller's keys tell apart.
#[derive(Debug, Default)]
pub struct TransactionLimiter {
    limit: TransactionLimit,
    parties: HashMap<Arc<str>, Party>,
    /// What parties were refused that are no longer remembered.
    forgotten: Refusals,
}

/// What one party has and was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Party {
    /// Its transactions.
    pub held: u32,
    /// Those of them that are within the limit: by a dry run some are not.
    pub within: u32,
    /// What it was refused so far.
    pub refusals: Refusals,
}

/// Transactions that were too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals {
    /// They were refused.
    pub refused: u64,
    /// They would have been refused, had it not been a dry run.
    pub dry_run: u64,
    /// They were open before it could be told that they would be transactions, so there was nothing left to refuse.
    pub exceeded: u64,
}

/// The limit as it stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransactionView {
    /// Whether it is in force.
    pub mode: LimitMode,
    /// The part of the capacity that one party may have.
    pub fraction: f64,
    /// Connections that the classes for transactions can hold now.
    pub capacity: u32,
    /// The most transactions of one party now.
    pub limit: u32,
    /// What all parties together were refused so far.
    pub refusals: Refusals,
    /// Every party that has a transaction, and those that were refused one, by name.
    pub parties: Vec<(Arc<str>, Party)>,
}

/// The most parties without a transaction that are remembered for having been refused one.
const REMEMBERED_MAX: usize = 1_000;

impl TransactionLimiter {
    /// Changes the limit. Nobody loses a transaction; what began while nothing was counted is not counted.
    pub fn set_limit(&mut self, limit: TransactionLimit) {
        self.limit = limit;
    }

    /// The limit.
    #[must_use]
    pub const fn limit(&self) -> &TransactionLimit {
        &self.limit
    }

    /// Lets a transaction of this party in, given the present capacity. `None`: nothing is counted.
    ///
    /// # Errors
    /// [`OverLimit`]: the party has as many as it may have.
    pub fn begin(&mut self, party: &Arc<str>, capacity: u32) -> Result<Option<Admission>, OverLimit> {
        let fraction = self.limit.fraction;
        let limit = most(fraction, capacity);
        if self.limit.mode == LimitMode::Off {
            return Ok(None);
        }
        let known = match self.parties.get_mut(party) {
            Some(known) => known,
            None => self.parties.entry(Arc::clone(party)).or_default(),
        };
        let admission = match self.limit.mode {
            LimitMode::On if known.held >= limit => {
                known.refusals.refused += 1;
                return Err(OverLimit { held: known.held, limit, fraction, capacity });
            }
            // What it would have refused before does not count: it would not be there.
            LimitMode::DryRun if known.within >= limit => {
                known.refusals.dry_run += 1;
                Admission::Beyond
            }
            _ => Admission::Within,
        };
        known.held += 1;
        known.within += u32::from(admission == Admission::Within);
        Ok(Some(admission))
    }

    /// Counts a transaction of this party that is open already, for what opened it did not look like one. It is let in whatever
    /// the limit, and counted as any other, so the next one is refused. `None`: nothing is counted.
    pub fn join(&mut self, party: &Arc<str>, capacity: u32) -> Option<Admission> {
        let limit = most(self.limit.fraction, capacity);
        let counted = match self.limit.mode {
            LimitMode::Off => return None,
            LimitMode::On => |party: &Party| party.held,
            // A limit in force could not have refused it either: a dry run has it in its books as well.
            LimitMode::DryRun => |party: &Party| party.within,
        };
        let known = self.parties.entry(Arc::clone(party)).or_default();
        known.refusals.exceeded += u64::from(counted(known) >= limit);
        known.held += 1;
        known.within += 1;
        Some(Admission::Within)
    }

    /// A transaction is over.
    pub fn end(&mut self, party: &Arc<str>, admission: Admission) {
        let Some(known) = self.parties.get_mut(party) else {
            debug_assert!(false, "who has a transaction is known");
            return;
        };
        known.held -= 1;
        known.within -= u32::from(admission == Admission::Within);
        let Party { held, refusals, .. } = *known;
        if held == 0 && (refusals == Refusals::default() || self.parties.len() > REMEMBERED_MAX) {
            self.parties.remove(party);
            self.forgotten.add(refusals);
        }
    }

    /// The limit as it stands, given the present capacity.
    #[must_use]
    pub fn view(&self, capacity: u32) -> TransactionView {
        let TransactionLimit { mode, fraction, .. } = self.limit;
        let mut refusals = self.forgotten;
        self.parties.values().for_each(|party| refusals.add(party.refusals));
        let mut parties: Vec<_> = self.parties.iter().map(|(key, party)| (Arc::clone(key), *party)).collect();
        parties.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        TransactionView { mode, fraction, capacity, limit: most(fraction, capacity), refusals, parties }
    }
}

impl TransactionView {
    /// Whether anything is counted.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.mode != LimitMode::Off
    }
}

impl Refusals {
    const fn add(&mut self, other: Self) {
        self.refused += other.refused;
        self.dry_run += other.dry_run;
        self.exceeded += other.exceeded;
    }
}

/// The most transactions of one party: the whole part of the fraction, and never none.
fn most(fraction: f64, capacity: u32) -> u32 {
    // Decimal fractions are not exact in binary: 0.29 of 100 is 29.
    const ROUNDING: f64 = 1e-9;
    ((fraction * f64::from(capacity) + ROUNDING) as u32).max(1)
}

#[cfg(test)]
mod tests;
