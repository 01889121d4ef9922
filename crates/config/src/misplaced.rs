//! Keys that their section does not have: what was meant, and where it belongs.

use crate::{pgbouncer, phrase, reference};

/// What to do about the unknown key `found` in a section that has `known`.
///
/// What another section calls exactly so is rather meant than what is called a little alike here, unless that is the same
/// word.
pub(crate) fn hint(found: &str, known: Vec<&str>) -> String {
    if let Some(key) = same_word(found, &known) {
        return format!("did you mean `{key}`?");
    }
    let sections = phrase::listed(&reference::sections_with(&reference::schema(), found));
    match (pgbouncer::explain(found), sections) {
        (Some(said), Some(sections)) => format!("{said}; {sections} may have a `{found}` of their own"),
        (Some(said), None) => said,
        (None, Some(sections)) => format!("`{found}` belongs to {sections}"),
        (None, None) => phrase::did_you_mean(found, known),
    }
}

/// The one key that is `found` in the plural or singular, or with something in front: `server_user` for `user`.
fn same_word<'k>(found: &str, known: &[&'k str]) -> Option<&'k str> {
    let is_plural = |many: &str, one: &str| many.strip_prefix(one).is_some_and(|end| matches!(end, "s" | "es"));
    let is_same = |key: &str| {
        let is_end = key.strip_suffix(found).is_some_and(|front| front.ends_with('_'));
        is_end || is_plural(key, found) || is_plural(found, key)
    };
    let mut same = known.iter().filter(|key| is_same(key));
    same.next().filter(|_| same.next().is_none()).copied()
}
