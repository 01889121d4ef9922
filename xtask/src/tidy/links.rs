//! Relative links in documents lead somewhere.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::sources::files;
use crate::shell::root;

/// Looks at every Markdown file; returns a line for each dead link.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in files(&root(), "md")? {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let folder = path.parent().unwrap_or(&path);
        for target in targets(&text) {
            if !leads_somewhere(folder, target) {
                let shown = path.strip_prefix(root()).unwrap_or(&path);
                faults.push(format!("{}: the link to {target} leads nowhere", shown.display()));
            }
        }
    }
    Ok(faults)
}

/// What stands between `](` and `)`.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

fn leads_somewhere(folder: &Path, target: &str) -> bool {
    let path = target.split('#').next().unwrap_or(target);
    path.is_empty() || target.contains("://") || target.starts_with("mailto:") || folder.join(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links_must_exist_and_others_are_left_alone() {
        let text = "[a](README.md#top) [b](https://example.org/x) [c](#here) [d](gone.md)";
        let dead: Vec<_> = targets(text).filter(|target| !leads_somewhere(&root(), target)).collect();
        let readme = root().join("README.md").exists();
        assert_eq!(dead, if readme { vec!["gone.md"] } else { vec!["README.md#top", "gone.md"] });
    }
}
