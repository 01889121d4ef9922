//! Bytes that must not be shown.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A password or another secret text.
///
/// It is wiped when dropped, `Debug` shows nothing of it, and comparing two takes the same time wherever they differ (their
/// lengths do show). There is no `Display` on purpose: [`Secret::expose`] is the one way out, and easy to search for.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; they need not be UTF-8, as PostgreSQL's passwords need not.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves, for hashing or for the wire, never for a log.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing in it; PostgreSQL refuses empty passwords.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?} {:#?}", Secret::from("hunter2"), Secret::from("hunter2"));
        assert_eq!(shown, "Secret(…) Secret(…)");
    }

    #[test]
    fn equality_is_that_of_the_bytes() {
        assert_eq!(Secret::from("a"), Secret::new(vec![b'a']));
        assert_ne!(Secret::from("a"), Secret::from("b"));
        assert_ne!(Secret::from("a"), Secret::from("aa"));
        assert!(Secret::from("").is_empty());
    }
}
