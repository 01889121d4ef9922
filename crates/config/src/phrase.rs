//! Serde's messages in the words of somebody who edits a file.

use route::nearest;

use crate::misplaced;

/// Serde's words for kinds of values, and ours.
const KINDS: [(&str, &str); 12] = [
    ("a boolean", "true or false"),
    ("a sequence", "a list"),
    ("a map", "a table"),
    ("map", "a table"),
    ("sequence", "a list"),
    ("string", "the text"),
    ("integer", "the number"),
    ("floating point", "the number"),
    ("boolean", "the value"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("f64", "a number"),
];

/// Message and hint for what serde said about `key`. Values of secret keys are not repeated.
pub(crate) fn of_serde(message: &str, key: &str) -> (String, Option<String>) {
    // Serde quotes names in backticks: first what was found, then what was expected.
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let found = quoted.next().unwrap_or_default();
        return (format!("unknown key `{found}`"), Some(misplaced::hint(found, quoted.collect())));
    }
    if message.starts_with("unknown variant") {
        let found = quoted.next().unwrap_or_default();
        return (format!("unknown value `{found}`"), Some(did_you_mean(found, quoted.collect())));
    }
    if message.starts_with("missing field") {
        return (format!("the key `{}` is missing", quoted.next().unwrap_or_default()), None);
    }
    if key.ends_with("password") {
        return ("expected a string".into(), None);
    }
    if message == "wanted string or table" {
        return ("expected a text in quotes".into(), None);
    }
    if message == "invalid type: map, expected a sequence" {
        let hint = format!("write `[[{key}]]` in double brackets: there may be several");
        return ("expected a list of tables, found one table".into(), Some(hint));
    }
    let mismatch = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match mismatch.and_then(|mismatch| mismatch.split_once(", expected ")) {
        Some((found, expected)) => (format!("expected {}, found {}", ours(expected), found_in_ours(found)), None),
        None => (message.into(), None),
    }
}

/// The nearest of the known names, else all of them.
pub(crate) fn did_you_mean(found: &str, known: Vec<&str>) -> String {
    match nearest(found, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// `` `a`, `b` and `c` ``; `None` without any.
pub(crate) fn listed(names: &[String]) -> Option<String> {
    let (last, others) = names.split_last()?;
    let others: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
    Some(if others.is_empty() { format!("`{last}`") } else { format!("{} and `{last}`", others.join(", ")) })
}

fn ours(kind: &str) -> &str {
    KINDS.iter().find(|(serde, _)| *serde == kind).map_or(kind, |(_, ours)| ours)
}

/// ``floating point `1.5` `` and the like: the kind in our words, the value as it is.
fn found_in_ours(found: &str) -> String {
    let (kind, value) = found.split_at(found.find(['`', '"']).unwrap_or(found.len()));
    format!("{} {value}", ours(kind.trim_end())).trim_end().into()
}
