//! Documentation written from the keys: the JSON schema and the reference page.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::keys::File;

/// Start of the reference page.
const HEAD: &str = "\
# Configuration reference

The file is TOML: `evenkeel serve --config evenkeel.toml`. `evenkeel check` reports mistakes with line and column: all those of
syntax; where there are none, all unknown keys and values of a wrong kind; and where there are none of these either, all
values and names that do not fit together. A commented example is `evenkeel.example.toml`; editors complete keys with
`docs/reference/config.schema.json`.

Durations carry their unit: `\"5s\"`, `\"250ms\"`, `\"1h30m\"` (d, h, m, s, ms, us, ns). Sizes too: `\"16KiB\"` (B, KiB, MiB, GiB).
A key without a default must be given; *none* means that nothing holds unless it is given. **Restart** marks keys that are
read once at the start; all others apply on reload, without losing a client.

This page is written from the source of the keys (`crates/config/src/keys.rs`): do not edit it.
";

/// The JSON schema of the file, for editors.
#[must_use]
pub fn schema() -> Value {
    schemars::schema_for!(File).to_value()
}

/// The reference page, in Markdown: one table per section.
#[must_use]
pub fn page() -> String {
    let schema = schema();
    let mut page = String::from(HEAD);
    for (section, keys) in entries(&schema) {
        let heading = heading(section, keys);
        let keys_of = resolve(&schema, keys.get("items").unwrap_or(keys));
        let about = text(keys, "description").or_else(|| text(keys_of, "description")).unwrap_or_default();
        let required: Vec<&str> =
            keys_of.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        push(&mut page, format_args!("\n## `{heading}`\n\n{}\n\n", one_line(about)));
        push(&mut page, format_args!("| key | kind | default | what it does |\n|---|---|---|---|\n"));
        for (key, about) in entries(keys_of) {
            let resolved = resolve(&schema, about);
            let default = match about.get("default") {
                Some(value) if !value.is_null() => format!("`{value}`"),
                _ if required.contains(&&**key) => "required".into(),
                _ => "none".into(),
            };
            let restart = if about.get("x-restart").is_some() { " **Restart.**" } else { "" };
            let what =
                one_line(text(about, "description").or_else(|| text(resolved, "description")).unwrap_or_default());
            let values = values(resolved).map(|values| format!(" {values}")).unwrap_or_default();
            push(
                &mut page,
                format_args!("| `{key}` | {} | {default} | {what}{values}{restart} |\n", kind(&schema, about)),
            );
        }
    }
    page
}

/// Whether a changed key needs a restart; sections and keys as in the file, `schema` as [`schema()`] returns it.
#[must_use]
pub fn needs_restart(schema: &Value, section: &str, key: &str) -> bool {
    let section = schema.get("properties").and_then(|sections| sections.get(section));
    let keys = section.map(|section| resolve(schema, section)).and_then(|section| section.get("properties"));
    keys.and_then(|keys| keys.get(key)).is_some_and(|key| key.get("x-restart").is_some())
}

/// Whether a section has this key.
pub(crate) fn has_key(schema: &Value, section: &str, key: &str) -> bool {
    keys(schema, section).is_some_and(|keys| keys.contains_key(key))
}

/// The keys of a section.
pub(crate) fn keys_of(schema: &Value, section: &str) -> Vec<String> {
    keys(schema, section).into_iter().flat_map(|keys| keys.keys().cloned()).collect()
}

/// The sections that have this key, as a file writes them: `[pool]`, `[[servers]]`.
pub(crate) fn sections_with(schema: &Value, key: &str) -> Vec<String> {
    let sections = entries(schema).filter(|(section, _)| has_key(schema, section, key));
    sections.map(|(section, about)| heading(section, about)).collect()
}

/// A section as a file writes it.
fn heading(section: &str, about: &Value) -> String {
    if about.get("items").is_some() { format!("[[{section}]]") } else { format!("[{section}]") }
}

/// The keys of a section, or of its entries, with what is said of them.
fn keys<'a>(schema: &'a Value, section: &str) -> Option<&'a Map<String, Value>> {
    let section = schema.get("properties")?.get(section)?;
    let section = section.get("items").unwrap_or(section);
    resolve(schema, section).get("properties")?.as_object()
}

fn entries(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).map(Map::iter).into_iter().flatten()
}

/// The schema behind a reference, or behind "this or null".
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(inner) = alternatives(schema).find(|inner| text(inner, "type") != Some("null"))
        && text(inner, "const").is_none()
    {
        return resolve(root, inner);
    }
    let name = text(schema, "$ref").and_then(|path| path.strip_prefix("#/$defs/"));
    name.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema)
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array());
    lists.flatten()
}

/// The kind of a value in a word or two.
fn kind(root: &Value, schema: &Value) -> String {
    let resolved = resolve(root, schema);
    if alternatives(resolved).any(|value| text(value, "const").is_some()) {
        return "one of".into();
    }
    if let Some(items) = resolved.get("items") {
        return match &*kind(root, items) {
            "one of" => "list of these".into(),
            items => format!("list of {items}"),
        };
    }
    let name = match resolved.get("type") {
        Some(Value::Array(either)) => either.first().and_then(Value::as_str),
        one => one.and_then(Value::as_str),
    };
    match (text(resolved, "format"), name) {
        (Some("double"), _) => "number".into(),
        (Some("uint8" | "uint16" | "uint32" | "uint64"), _) | (None, Some("integer")) => "number".into(),
        (Some(format), _) => format.into(),
        (None, Some("boolean")) => "true or false".into(),
        (None, Some("object")) => "table".into(),
        (None, other) => other.unwrap_or("value").into(),
    }
}

/// What each of the named values means, also of a list.
fn values(schema: &Value) -> Option<String> {
    let named = alternatives(schema.get("items").unwrap_or(schema)).filter_map(|value| {
        Some(format!("`\"{}\"`: {}", text(value, "const")?, one_line(text(value, "description")?)))
    });
    let named: Vec<String> = named.map(|value| value.trim_end_matches('.').into()).collect();
    (!named.is_empty()).then(|| format!("{}.", named.join("; ")))
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key)?.as_str()
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a String cannot fail");
}
