//! From text to keys: TOML with all its mistakes found at once.
//!
//! Serde stops at the first mistake. Here it is noted, the key that holds it is taken out of the tree, and the rest is read
//! again, until nothing is wrong any more. That keeps the keys plain serde types, and the messages complete.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use crate::keys::File;
use crate::problem::{PROBLEMS_MAX, Problem, Source};
use crate::{foreign, phrase};

/// A file that was read, kept to find the places of keys in it.
pub(crate) struct Document<'t> {
    source: Source<'t>,
    root: DeTable<'t>,
    /// The keys of `[pool]` that each server says itself.
    own_pool_keys: Vec<BTreeSet<String>>,
}

impl<'t> Document<'t> {
    /// Reads a file.
    ///
    /// # Errors
    /// That it is a file of another program; or if not, all mistakes of syntax; or if there are none, all unknown keys and
    /// values of a wrong kind.
    pub(crate) fn read(source: Source<'t>) -> Result<(Self, File), Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(source.text);
        if (!errors.is_empty() || root.get_ref().contains_key("pgbouncer"))
            && let Some(problem) = foreign::recognise(source)
        {
            return Err(vec![problem]);
        }
        if !errors.is_empty() {
            let at = |error: &toml::de::Error| source.syntax_problem(error.span(), error.message().into());
            let mut problems: Vec<Problem> = errors.iter().take(PROBLEMS_MAX).map(at).collect();
            problems.sort_by_key(|problem| (problem.line, problem.column));
            // What follows the first mistake of a line is a consequence of it more often than not.
            problems.dedup_by_key(|problem| problem.line);
            return Err(problems);
        }
        let span = root.span();
        let root = root.into_inner();
        let own_pool_keys = own_pool_keys(&root);
        let root = inherit_pool(root);
        let mut left = root.clone();
        let (mut problems, mut spoiled) = (Vec::new(), Vec::new());
        loop {
            let error = match File::deserialize(Deserializer::from(Spanned::new(span.clone(), left.clone()))) {
                Ok(file) if problems.is_empty() => return Ok((Self { source, root, own_pool_keys }, file)),
                Ok(_) => return Err(problems),
                Err(error) => error,
            };
            let taken = error.span().and_then(|span| take_out(&mut left, &span));
            let give_up = taken.is_none() || problems.len() == PROBLEMS_MAX;
            let taken = taken.unwrap_or_default();
            // A key that was taken out for its value is not missing.
            let is_consequence = error.message().starts_with("missing field")
                && spoiled.iter().any(|(entry, key)| {
                    Some(entry) == error.span().as_ref() && error.message().contains(&format!("`{key}`"))
                });
            if !is_consequence {
                let (message, hint) = phrase::of_serde(error.message(), &taken.name);
                problems.push(source.problem(error.span(), &taken.name, message, hint));
            }
            spoiled.extend(taken.from.map(|entry| (entry, taken.key)));
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

    /// The keys of `[pool]` that each server says itself, by its place.
    pub(crate) fn into_own_pool_keys(self) -> Vec<BTreeSet<String>> {
        self.own_pool_keys
    }

    /// The text that places refer to.
    pub(crate) fn source(&self) -> Source<'t> {
        self.source
    }
}

/// The keys in every `[servers.pool]`.
fn own_pool_keys(root: &DeTable<'_>) -> Vec<BTreeSet<String>> {
    let Some(DeValue::Array(servers)) = root.get("servers").map(Spanned::get_ref) else { return Vec::new() };
    let keys = |server: &Spanned<DeValue<'_>>| {
        let DeValue::Table(server) = server.get_ref() else { return BTreeSet::new() };
        let Some(DeValue::Table(pool)) = server.get("pool").map(Spanned::get_ref) else { return BTreeSet::new() };
        pool.keys().map(|key| key.get_ref().to_string()).collect()
    };
    servers.iter().map(keys).collect()
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

/// A key that was taken out.
#[derive(Default)]
struct Taken {
    /// Its name from the top: `servers.address`.
    name: String,
    /// Its own name: `address`. Empty when a whole entry was taken out.
    key: String,
    /// The place of the entry that lost it, for a key of an entry in a list.
    from: Option<Range<usize>>,
}

/// Removes every key that stands at `span`, or holds it: where the tree does not fit the keys.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<Taken> {
    let mut found: Option<Taken> = None;
    let entries = std::mem::take(table).into_iter().filter_map(|(key, mut value)| {
        let inner = match value.get_mut() {
            DeValue::Table(inner) => take_out(inner, span),
            DeValue::Array(entries) => take_out_entry(entries, span),
            _ => None,
        };
        let name = key.get_ref();
        let is_here = inner.is_none()
            && (key.span() == *span || (value.span().start <= span.start && span.end <= value.span().end));
        let taken = match inner {
            Some(inner) if inner.name.is_empty() => Some(Taken { name: name.to_string(), ..inner }),
            Some(inner) => Some(Taken { name: format!("{name}.{}", inner.name), ..inner }),
            None => is_here.then(|| Taken { name: name.to_string(), key: name.to_string(), from: None }),
        };
        // What `[servers.pool]` inherited stands in `[pool]`, so the shorter name is the one in the file.
        if let Some(taken) =
            taken.filter(|taken| found.as_ref().is_none_or(|found| taken.name.len() < found.name.len()))
        {
            found = Some(taken);
        }
        (!is_here).then_some((key, value))
    });
    *table = entries.collect();
    found
}

/// The same for a list. An entry that lacks a key is removed as a whole.
fn take_out_entry(entries: &mut DeArray<'_>, span: &Range<usize>) -> Option<Taken> {
    let mut found = None;
    let kept = std::mem::replace(entries, DeArray::new()).into_iter().filter_map(|mut entry| {
        let place = entry.span();
        let DeValue::Table(table) = entry.get_mut() else { return Some(entry) };
        match take_out(table, span) {
            Some(taken) => found = Some(Taken { from: Some(place), ..taken }),
            None if place == *span => {
                found = Some(Taken::default());
                return None;
            }
            None => {}
        }
        Some(entry)
    });
    *entries = kept.collect();
    found
}
