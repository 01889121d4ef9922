//! How a result came about, to be printed beside it.

use std::fmt;

/// One line: what it is, the formula, the same with its numbers, and what comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is worked out: `connections that are busy on average`.
    pub what: String,
    /// The formula in words: `queries per second × response time`.
    pub formula: &'static str,
    /// The formula with its numbers: `5,000 × 5 ms`.
    pub filled: String,
    /// What comes out: `25`.
    pub value: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} = {} = {}", self.what, self.formula, self.filled, self.value)
    }
}

/// The lines that lead to a result, first one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derivation(Vec<Step>);

impl Derivation {
    /// The lines, first one first.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    pub(crate) fn push(
        &mut self,
        what: impl Into<String>,
        formula: &'static str,
        filled: impl Into<String>,
        value: impl Into<String>,
    ) {
        self.0.push(Step { what: what.into(), formula, filled: filled.into(), value: value.into() });
    }

    /// Adds the lines of `derived` and gives its value.
    pub(crate) fn take<T>(&mut self, derived: Derived<T>) -> T {
        self.0.extend(derived.derivation.0);
        derived.value
    }
}

impl fmt::Display for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// A result and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived<T> {
    /// The result.
    pub value: T,
    /// How it came about.
    pub derivation: Derivation,
}

impl<T> Derived<T> {
    pub(crate) fn of(
        value: T,
        what: impl Into<String>,
        formula: &'static str,
        filled: impl Into<String>,
        shown: impl Into<String>,
    ) -> Self {
        let mut derivation = Derivation::default();
        derivation.push(what, formula, filled, shown);
        Self { value, derivation }
    }
}
