//! Names with `*` in them.

use std::fmt;

/// A name pattern: `*` stands for any run of characters, also none; everything else for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that this text spells. Every text is one.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The one name that it matches, when it has no `*`.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(self.0.as_str())
    }

    /// Whether the whole `name` fits. Time is at most proportional to both lengths multiplied: no backtracking explosion.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.fits(name.as_bytes())
    }

    /// The same for what may be no text.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let (mut p, mut n) = (0, 0);
        // Where to go on when a literal does not fit: behind the last star, with that star eating one byte more.
        let mut retry: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    retry = Some((p + 1, n));
                    p += 1;
                }
                Some(byte) if *byte == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((after_star, eaten)) = retry else { return false };
                    retry = Some((after_star, eaten + 1));
                    (p, n) = (after_star, eaten + 1);
                }
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_names() {
        for (pattern, fits, fits_not) in [
            ("app", &["app"][..], &["", "ap", "apps", "App"][..]),
            ("*", &["", "a", "*", "é"], &[]),
            ("app_*", &["app_", "app_eu"], &["app", "my_app_eu"]),
            ("*_ro", &["x_ro", "_ro", "a_ro_ro"], &["ro", "x_rox"]),
            ("a*b*c", &["abc", "aXbXc", "abbcc", "abcbc"], &["ab", "acb", "abcd"]),
            ("", &[""], &["a"]),
        ] {
            let pattern = Pattern::new(pattern);
            for name in fits {
                assert!(pattern.matches(name), "{pattern} fits {name}");
            }
            for name in fits_not {
                assert!(!pattern.matches(name), "{pattern} does not fit {name}");
            }
        }
        assert_eq!(Pattern::new("app").exact(), Some("app"));
        assert_eq!(Pattern::new("app*").exact(), None);
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = Pattern::new("a*".repeat(50) + "b");
        assert!(!pattern.matches(&"a".repeat(5_000)));
    }
}
