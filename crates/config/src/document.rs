//! From text to keys: TOML with all its mistakes found at once.
//!
//! Serde stops at the first mistake. Here it is noted, the key that holds it is taken out of the tree, and the rest is read
//! again, until nothing is wrong any more. That keeps the keys plain serde types, and the messages complete.

use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use crate::keys::File;
use crate::phrase;
use crate::problem::{PROBLEMS_MAX, Problem, Source};

/// A file that was read, kept to find the places of keys in it.
pub(crate) struct Document<'t> {
    source: Source<'t>,
    root: DeTable<'t>,
}

impl<'t> Document<'t> {
    /// Reads a file.
    ///
    /// # Errors
    /// All mistakes of syntax; or if there are none, all unknown keys and values of a wrong kind.
    pub(crate) fn read(source: Source<'t>) -> Result<(Self, File), Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(source.text);
        if !errors.is_empty() {
            let at = |error: &toml::de::Error| source.problem(error.span(), "", error.message().into(), None);
            let mut problems: Vec<Problem> = errors.iter().map(at).collect();
            problems.sort_by_key(|problem| (problem.line, problem.column));
            // What follows the first mistake of a line is a consequence of it more often than not.
            problems.dedup_by_key(|problem| problem.line);
            return Err(problems);
        }
        let span = root.span();
        let root = inherit_pool(root.into_inner());
        let mut left = root.clone();
        let mut problems = Vec::new();
        loop {
            let error = match File::deserialize(Deserializer::from(Spanned::new(span.clone(), left.clone()))) {
                Ok(file) if problems.is_empty() => return Ok((Self { source, root }, file)),
                Ok(_) => return Err(problems),
                Err(error) => error,
            };
            let culprit = error.span().and_then(|span| take_out(&mut left, &span));
            let give_up = culprit.is_none() || problems.len() == PROBLEMS_MAX;
            let key = culprit.unwrap_or_default();
            let (message, hint) = phrase::of_serde(error.message(), &key);
            problems.push(source.problem(error.span(), &key, message, hint));
            if give_up {
                return Err(problems);
            }
        }
    }

    /// The place of a key like `["servers", "2", "budget"]`, or of the nearest table around it that exists.
    pub(crate) fn span(&self, path: &[&str]) -> Option<Range<usize>> {
        let (first, rest) = path.split_first()?;
        let mut place = self.root.get(*first)?;
        for step in rest {
            let inner = match place.get_ref() {
                DeValue::Table(table) => table.get(*step),
                DeValue::Array(entries) => step.parse::<usize>().ok().and_then(|index| entries.get(index)),
                _ => None,
            };
            place = inner.unwrap_or(place);
        }
        Some(place.span())
    }

    /// The text that places refer to.
    pub(crate) fn source(&self) -> Source<'t> {
        self.source
    }
}

/// Copies what `[pool]` says into every `[servers.pool]` that does not say it itself, places included.
fn inherit_pool(mut root: DeTable<'_>) -> DeTable<'_> {
    let Some(DeValue::Table(general)) = root.get("pool").map(|pool| pool.get_ref().clone()) else { return root };
    let Some(DeValue::Array(servers)) = root.get_mut("servers").map(Spanned::get_mut) else { return root };
    for server in servers.iter_mut() {
        let DeValue::Table(server) = server.get_mut() else { continue };
        let Some(DeValue::Table(own)) = server.get_mut("pool").map(Spanned::get_mut) else { continue };
        for (key, value) in &general {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    root
}

/// Removes every key that stands at `span`, or holds it, and returns its name: where the tree does not fit the keys.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let mut found = None;
    let entries = std::mem::take(table).into_iter().filter_map(|(key, mut value)| {
        let inner = match value.get_mut() {
            DeValue::Table(inner) => take_out(inner, span),
            DeValue::Array(entries) => take_out_entry(entries, span),
            _ => None,
        };
        let name = key.get_ref();
        if let Some(inner) = inner {
            found = Some(if inner.is_empty() { name.to_string() } else { format!("{name}.{inner}") });
        } else if key.span() == *span || (value.span().start <= span.start && span.end <= value.span().end) {
            found = Some(name.to_string());
            return None;
        }
        Some((key, value))
    });
    *table = entries.collect();
    found
}

/// The same for a list: an entry that lacks a key is removed as a whole, and its name is empty.
fn take_out_entry(entries: &mut DeArray<'_>, span: &Range<usize>) -> Option<String> {
    let mut found = None;
    let kept = std::mem::replace(entries, DeArray::new()).into_iter().filter_map(|mut entry| {
        let DeValue::Table(table) = entry.get_mut() else { return Some(entry) };
        match take_out(table, span) {
            Some(name) => found = Some(name),
            None if entry.span() == *span => {
                found = Some(String::new());
                return None;
            }
            None => {}
        }
        Some(entry)
    });
    *entries = kept.collect();
    found
}
