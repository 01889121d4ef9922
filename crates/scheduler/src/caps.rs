//! Whose cap each connection counts against.
//!
//! A class's connections count against its own cap as far as that goes. Beyond it they count against the caps of classes that
//! lend to it, which thereby have less for themselves and for others: what a class has itself and what it has lent are
//! together never more than its cap. A connection more or less is a number here, and no connection is a borrowed one: when
//! any of a class's connections goes, a loan is given back before room of its own becomes free, and when own room becomes
//! free otherwise, a loan is given back for it. So a class owes something only while its own cap is used up.
//!
//! Connections that fit nowhere, because limits have just been lowered, count as the class's own: its *excess*.

use crate::classes::{ClassId, ClassLimits, ClassSet};

/// The accounts of all classes, by number.
#[derive(Debug, Default)]
pub(crate) struct Caps {
    accounts: Vec<Account>,
    /// All loans together.
    loans: u32,
}

/// What one class has of its cap, lends and borrows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    limits: ClassLimits,
    /// The classes that lend to it.
    lenders: ClassSet,
    /// Its connections that count against its own cap, an excess included.
    own: u32,
    /// What others have of its cap.
    lent: u32,
    /// What it has of others' caps, by the number of the lender; as long as it had to be so far.
    loans: Vec<u32>,
}

impl Account {
    /// The class's connections, in every state.
    pub(crate) fn permits(&self) -> u32 {
        self.own + self.borrowed()
    }

    /// What it has of others' caps.
    pub(crate) fn borrowed(&self) -> u32 {
        self.loans.iter().sum()
    }

    /// What it has of whose cap.
    fn loans(&self) -> impl Iterator<Item = (usize, u32)> {
        self.loans.iter().copied().enumerate().filter(|(_, loan)| *loan > 0)
    }

    /// What others have of its cap.
    pub(crate) const fn lent(&self) -> u32 {
        self.lent
    }

    /// What holds for it.
    pub(crate) const fn limits(&self) -> &ClassLimits {
        &self.limits
    }

    /// What is left of its own cap; `None`: it has none.
    pub(crate) const fn room(&self) -> Option<u32> {
        match self.limits.cap {
            Some(cap) => Some(cap.saturating_sub(self.own + self.lent)),
            None => None,
        }
    }

    /// Whether there is something left of its own cap.
    pub(crate) const fn has_room(&self) -> bool {
        !matches!(self.room(), Some(0))
    }

    /// How many connections it has too many.
    pub(crate) const fn excess(&self) -> u32 {
        match self.limits.cap {
            Some(cap) => (self.own + self.lent).saturating_sub(cap),
            None => 0,
        }
    }
}

impl Caps {
    /// The account of a class.
    pub(crate) fn of(&self, class: usize) -> &Account {
        &self.accounts[class]
    }

    /// Sets what holds for a class, and sorts all connections anew. One that is not known is made.
    pub(crate) fn set(&mut self, class: usize, limits: ClassLimits) {
        self.make(class);
        self.accounts[class].limits = limits;
        for borrower in 0..self.accounts.len() {
            let lends = |(number, account): (usize, &Account)| {
                let to = ClassId::new(borrower).is_some_and(|to| account.limits.lends_to.contains(to));
                ClassId::new(number).filter(|_| to && number != borrower)
            };
            self.accounts[borrower].lenders = self.accounts.iter().enumerate().filter_map(lends).collect();
        }
        self.sort();
    }

    /// A class without connections is no more: it has no cap, lends nothing and nobody lends to it.
    pub(crate) fn forget(&mut self, class: ClassId) {
        for account in &mut self.accounts {
            account.limits.lends_to = account.limits.lends_to.without(class);
        }
        self.set(class.number(), ClassLimits::default());
    }

    /// Makes a class known, without a cap.
    pub(crate) fn make(&mut self, class: usize) {
        if self.accounts.len() <= class {
            self.accounts.resize_with(class + 1, Account::default);
        }
    }

    /// Whether a class may have one connection more.
    pub(crate) fn has_room(&self, class: usize) -> bool {
        self.of(class).has_room() || self.lender(class).is_some()
    }

    /// How many connections more a class may have, what others would lend it included; `None`: no cap limits it.
    pub(crate) fn reachable(&self, class: usize) -> Option<u32> {
        let lenders = self.of(class).lenders.iter().map(|lender| self.of(lender.number()).room());
        lenders.chain([self.of(class).room()]).try_fold(0_u32, |sum, room| Some(sum.saturating_add(room?)))
    }

    /// Whether a connection may leave class `from` and enter class `to`.
    pub(crate) fn may_move(&self, from: usize, to: usize) -> bool {
        if from == to || self.has_room(to) {
            return true;
        }
        let giver = self.of(from);
        match giver.borrowed() {
            _ if giver.excess() > 0 => false,
            0 => self.lends(from, to),
            _ => self.useful_loan(from, to).is_some(),
        }
    }

    /// Whether any class has something of another's cap.
    pub(crate) const fn are_loans_out(&self) -> bool {
        self.loans > 0
    }

    /// Whether class `debtor` has something of the cap of `lender` that its next connection to go gives back, and that is of use
    /// there: the debtor has nothing too much, which would go first, and the lender has nothing left.
    pub(crate) fn owes(&self, debtor: usize, lender: usize) -> bool {
        let owner = self.of(lender);
        let owed = || self.of(debtor).loans.get(lender).is_some_and(|loan| *loan > 0);
        let none_too_much = || owner.excess() == 0 && self.of(debtor).excess() == 0;
        self.loans > 0 && !owner.has_room() && none_too_much() && owed()
    }

    /// One connection more in a class. False if it has no room for it.
    pub(crate) fn enter(&mut self, class: usize) -> bool {
        if !self.of(class).has_room()
            && let Some(lender) = self.lender(class)
        {
            self.borrow(class, lender);
            return true;
        }
        let fits = self.of(class).has_room();
        self.accounts[class].own += 1;
        fits
    }

    /// One connection less in a class: its excess goes first, then what it has borrowed. `to`: the class that is to have room
    /// then, if that can be. When it has had the chance to use it, [`Caps::settle`] is due.
    pub(crate) fn leave(&mut self, class: usize, to: usize) {
        let giver = self.of(class);
        if giver.excess() > 0 || giver.borrowed() == 0 {
            self.accounts[class].own -= 1;
            return;
        }
        let largest = || giver.loans().max_by_key(|(_, loan)| *loan).map(|(lender, _)| lender);
        if let Some(lender) = self.useful_loan(class, to).or_else(largest) {
            self.repay(class, lender);
        }
    }

    /// A connection leaves one class and enters another. False if that has no room for it.
    pub(crate) fn change(&mut self, from: usize, to: usize) -> bool {
        if from == to {
            return true;
        }
        self.leave(from, to);
        let fits = self.enter(to);
        self.settle();
        fits
    }

    /// Gives loans back for which there is room of one's own. Who gets one back needs less of others then, so this goes on
    /// until nobody owes beside room of his own.
    pub(crate) fn settle(&mut self) {
        while self.loans > 0
            && let Some((class, lender)) = self.debt_beside_room()
        {
            self.repay(class, lender);
            self.accounts[class].own += 1;
        }
    }

    fn borrow(&mut self, class: usize, lender: usize) {
        let loans = &mut self.accounts[class].loans;
        if loans.len() <= lender {
            loans.resize(lender + 1, 0);
        }
        loans[lender] += 1;
        self.accounts[lender].lent += 1;
        self.loans += 1;
    }

    fn repay(&mut self, class: usize, lender: usize) {
        self.accounts[class].loans[lender] -= 1;
        self.accounts[lender].lent -= 1;
        self.loans -= 1;
    }

    /// Who owes what to whom although it has room of its own.
    fn debt_beside_room(&self) -> Option<(usize, usize)> {
        let with_room = self.accounts.iter().enumerate().filter(|(_, account)| account.has_room());
        with_room.into_iter().find_map(|(class, account)| Some((class, account.loans().next()?.0)))
    }

    /// The lender of a class that can give what comes back from it to another: that one itself, or one that lends to it.
    fn useful_loan(&self, from: usize, to: usize) -> Option<usize> {
        let lenders =
            || self.of(from).loans().map(|(lender, _)| lender).filter(|lender| self.of(*lender).excess() == 0);
        lenders().find(|lender| *lender == to).or_else(|| lenders().find(|lender| self.lends(*lender, to)))
    }

    /// The class that would lend a connection to this one: the one with the most room left.
    fn lender(&self, class: usize) -> Option<usize> {
        let lenders = self.of(class).lenders;
        if lenders.is_empty() {
            return None;
        }
        let lenders = lenders.iter().map(ClassId::number).filter(|lender| self.of(*lender).has_room());
        lenders.max_by_key(|lender| self.of(*lender).room().unwrap_or(u32::MAX))
    }

    fn lends(&self, lender: usize, to: usize) -> bool {
        ClassId::new(lender).is_some_and(|lender| self.of(to).lenders.contains(lender))
    }

    /// Sorts all connections anew: to every class its own first, then loans.
    fn sort(&mut self) {
        let permits: Vec<u32> = self.accounts.iter().map(Account::permits).collect();
        for (account, permits) in self.accounts.iter_mut().zip(&permits) {
            account.own = account.limits.cap.map_or(*permits, |cap| cap.min(*permits));
            account.lent = 0;
            account.loans.clear();
        }
        self.loans = 0;
        for (class, permits) in permits.into_iter().enumerate() {
            for _ in self.of(class).permits()..permits {
                self.enter(class);
            }
        }
    }
}

#[cfg(test)]
mod tests;
