//! Java properties: `name=value`, a line each.
//!
//! Source: the documentation of `java.util.Properties.load`, without the escapes that no name or number of a pool needs.

use super::Bean;
use super::translate::is_telling;

/// What may stand before a property of Druid's, longest first.
const PREFIXES: [&str; 3] = ["spring.datasource.druid.", "spring.datasource.", "druid."];

/// The data source of a properties file; `None` if it has none.
pub(super) fn bean(text: &str) -> Option<Bean> {
    let lines = logical_lines(text);
    let pairs: Vec<(&str, String)> = lines.iter().filter_map(|line| pair(line)).collect();
    let prefixed: Vec<_> = pairs.iter().filter_map(|(key, value)| Some((strip(key)?, value))).collect();
    let properties: Vec<(String, String)> = if prefixed.is_empty() {
        // A file of its own: plain names, some of which are Druid's.
        let plain: Vec<_> = pairs.iter().map(|(key, value)| (camel(key), value.clone())).collect();
        if plain.iter().any(|(name, _)| is_telling(name)) { plain } else { Vec::new() }
    } else {
        prefixed.into_iter().map(|(key, value)| (camel(key), value.clone())).collect()
    };
    (!properties.is_empty()).then_some(Bean { name: None, properties })
}

fn strip(key: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix))
}

/// Lines without comments; one that ends in a backslash goes on in the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let line = line.trim_start();
        if !goes_on && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let (content, more) = line.strip_suffix('\\').map_or((line, false), |content| (content, true));
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => last.push_str(content),
            None => lines.push(content.into()),
        }
        goes_on = more;
    }
    lines
}

/// Splits at the first `=`, `:` or blank.
fn pair(line: &str) -> Option<(&str, String)> {
    let end = line.find(|c: char| matches!(c, '=' | ':') || c.is_whitespace())?;
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim();
    Some((key, value.replace("\\:", ":").replace("\\=", "=")))
}

/// Spring's `max-active` is Druid's `maxActive`.
fn camel(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let mut upper = false;
    for c in key.chars() {
        match c {
            '-' => upper = true,
            c if upper => {
                name.extend(c.to_uppercase());
                upper = false;
            }
            c => name.push(c),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        bean(text).map(|bean| bean.properties).unwrap_or_default()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect()
    }

    #[test]
    fn each_way_of_writing_is_read() {
        let expected = owned(&[("maxActive", "20"), ("url", "jdbc:mysql://db:3306/shop?a=b")]);
        for text in [
            "# a comment\ndruid.maxActive=20\ndruid.url = jdbc:mysql://db:3306/shop?a=b\n",
            "spring.datasource.druid.max-active: 20\nspring.datasource.url=jdbc\\:mysql\\://db\\:3306/shop?a\\=b\nserver.port=80",
            "maxActive 20\n! another\n\nurl=jdbc:mysql:\\\n    //db:3306/shop?a=b",
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_file_about_something_else_has_no_data_source() {
        assert_eq!(bean("server.port=80\nname=x\n"), None);
        assert_eq!(bean(""), None);
        assert_eq!(bean("\\"), None);
    }
}
