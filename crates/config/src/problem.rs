//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;

/// Most problems that are reported at once; a file with more is better looked at from the top.
pub(crate) const PROBLEMS_MAX: usize = 50;

/// Longest excerpt of a line that is shown, in characters.
const EXCERPT_LEN_MAX: usize = 120;

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        problems.truncate(PROBLEMS_MAX);
        Self(problems)
    }

    /// The problems, in the order of the file. At least one.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// One thing that is wrong. Its texts never show a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file's name, or which URL it was.
    pub source: String,
    /// Line in the file, from 1; 0 when there is no file or no one place in it.
    pub line: usize,
    /// Column in the line, in characters, from 1; 0 likewise.
    pub column: usize,
    /// The key, such as `pool.max_lifetime`; empty for errors of the syntax.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What may have been meant, or what to do.
    pub hint: Option<String>,
    /// The line, with carets under the place, ready to print.
    excerpt: Option<String>,
}

impl Problem {
    /// A problem with something that is no file.
    pub(crate) fn without_place(source: String, key: &str, message: String, hint: Option<String>) -> Self {
        Self { source, line: 0, column: 0, key: key.into(), message, hint, excerpt: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        writeln!(f, ": {}", self.message)?;
        f.write_str(self.excerpt.as_deref().unwrap_or_default())?;
        self.hint.iter().try_for_each(|hint| writeln!(f, "  = {hint}"))
    }
}

/// A text and its name: turns byte ranges into places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'t> {
    pub(crate) name: &'t str,
    pub(crate) text: &'t str,
}

impl Source<'_> {
    /// A problem at `span`, or with the file as a whole.
    pub(crate) fn problem(
        self,
        span: Option<Range<usize>>,
        key: &str,
        message: String,
        hint: Option<String>,
    ) -> Problem {
        let (line, column, excerpt) = span.map_or((0, 0, None), |span| {
            let place = self.place(span);
            (place.line, place.indent + 1, excerpt(&place, secret_start(place.content)))
        });
        Problem { source: self.name.into(), line, column, key: key.into(), message, hint, excerpt }
    }

    /// A problem at `span` of a text whose keys are not known, so that any string may be a secret: none is shown.
    pub(crate) fn syntax_problem(self, span: Option<Range<usize>>, message: String) -> Problem {
        let has_long_strings = self.text.contains("\"\"\"") || self.text.contains("'''");
        let (line, column, excerpt) = span.map_or((0, 0, None), |span| {
            let place = self.place(span);
            let hide = place.content.find(['"', '\'']).into_iter().chain(secret_start(place.content)).min();
            let excerpt = if has_long_strings { None } else { excerpt(&place, hide) };
            (place.line, place.indent + 1, excerpt)
        });
        Problem { source: self.name.into(), line, column, key: String::new(), message, hint: None, excerpt }
    }

    fn place(&self, span: Range<usize>) -> Place<'_> {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let indent = before[line_start..].chars().count();
        let content = self.text[line_start..].lines().next().unwrap_or_default();
        let marked = self.text.get(span).and_then(|marked| marked.lines().next()).unwrap_or_default().chars().count();
        Place { line, content, indent, marked: marked.max(1) }
    }
}

/// A marked part of a line.
struct Place<'t> {
    /// From 1.
    line: usize,
    /// The whole line.
    content: &'t str,
    /// Characters before the mark.
    indent: usize,
    /// Characters marked, at least 1.
    marked: usize,
}

/// The line up to the end of the marked place, and carets under it. Nothing is shown from byte `hide` on.
fn excerpt(place: &Place<'_>, hide: Option<usize>) -> Option<String> {
    let Place { line, content, indent, marked } = *place;
    let open = hide.unwrap_or(content.len());
    let shown: String = content[..open].chars().take(indent + marked).collect();
    let len = shown.chars().count();
    if len < indent || indent + marked > EXCERPT_LEN_MAX {
        return None;
    }
    let ellipsis = if shown.len() < content.trim_end().len() { " …" } else { "" };
    // Control characters would let a file steer the terminal; a tab would shift the carets.
    let text: String = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let carets = "^".repeat(marked.min(len - indent).max(1));
    let gutter = line.to_string();
    let pad = " ".repeat(gutter.len());
    Some(format!("{pad} |\n{gutter} | {text}{ellipsis}\n{pad} | {}{carets}\n", " ".repeat(indent)))
}

/// Where the value of something that may be a secret starts: behind a key like `password`, also a misspelt one, or at a
/// verifier, a URL or a string of several lines.
fn secret_start(content: &str) -> Option<usize> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut words = content.split_inclusive(|c| !in_word(c)).scan(0, |end, word| {
        *end += word.len();
        Some((word.trim_end_matches(|c| !in_word(c)).to_ascii_lowercase(), *end))
    });
    let key = words.find(|(word, _)| {
        let names_a_place = word.ends_with("_env") || word.ends_with("_file");
        let like = word.contains("pass") || word.contains("pwd") || word.contains("secret");
        !names_a_place && (like || route::nearest(word, ["password", "server_password"]).is_some())
    });
    let marks = ["SCRAM-SHA-256", "://", "\"\"\"", "'''"].iter().filter_map(|mark| content.find(mark));
    marks.chain(key.map(|(_, end)| end)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, what: &str) -> String {
        let start = text.find(what).expect("the text holds it");
        let source = Source { name: "e.toml", text };
        source.problem(Some(start..start + what.len()), "a.b", "wrong".into(), Some("hint".into())).to_string()
    }

    #[test]
    fn the_place_is_marked() {
        assert_eq!(
            at("x = 1\n\té = \"5 q\"\n", "\"5 q\""),
            "e.toml:2:6: a.b: wrong\n  |\n2 |  é = \"5 q\"\n  |      ^^^^^\n  = hint\n"
        );
        let source = Source { name: "e.toml", text: "" };
        assert_eq!(source.problem(None, "", "empty".into(), None).to_string(), "e.toml: empty\n");
        assert_eq!(source.problem(Some(7..9), "", "off".into(), None).line, 1);
    }

    #[test]
    fn a_secret_is_never_shown() {
        for text in [
            "password = \"hunter2\"",
            "{ name = \"a\", password = \"hunter2\", x = 1 }",
            "server_password = 'hunter2'",
            "PassWord=\"hunter2\"",
            "password_env = \"OK\", password = \"hunter2\"",
            "x = \"SCRAM-SHA-256$4096:hunter2\"",
            "url = \"postgres://app:hunter2@db/x\"",
            "x = \"\"\"hunter2\"\"\"",
            "pasword = \"hunter2\"",
            "{ pwd = \"hunter2\", budget = \"x\" }",
        ] {
            for start in 0..text.len() {
                let source = Source { name: "e.toml", text };
                let shown = source.problem(Some(start..start + 1), "", "wrong".into(), None).to_string();
                assert!(!shown.contains("hunter2") && !shown.contains("unter"), "{shown}");
            }
        }
        assert!(at("password_env = 5", "5").contains("password_env = 5"));
    }

    #[test]
    fn long_lines_are_cut() {
        let text = format!("x = \"{}\"", "y".repeat(500));
        assert!(at(&text, "x").contains("1 | x …\n"));
        assert!(!at(&format!("{text} = z"), " = z").contains('|'));
    }
}
