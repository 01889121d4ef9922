//! What logins have told of a password.

use crate::{Secret, caching_sha2, native};

/// Hashes of *one* user's password, learned from logins that succeeded here. Never the password itself.
///
/// Two uses. Towards clients: with SHA256(password) known, `caching_sha2_password` needs no full authentication any more.
/// Towards servers: a user configured by a hash is logged in with what its client has proved. Keep one per configured
/// credential and drop it with the credential: after a change of password it would go on letting the old one in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learned {
    /// SHA1(password): answers `mysql_native_password`.
    pub native: Option<native::Stage1>,
    /// SHA256(password): answers `caching_sha2_password`, as long as the server's cache knows the password.
    pub sha2: Option<caching_sha2::Stage1>,
}

impl Learned {
    /// All there is to learn, from the password itself.
    pub fn from_password(password: &Secret) -> Self {
        Self {
            native: Some(native::Stage1::from_password(password)),
            sha2: Some(caching_sha2::Stage1::from_password(password)),
        }
    }

    /// Takes over what `newer` knows.
    pub fn learn(&mut self, newer: Self) {
        self.native = newer.native.or_else(|| self.native.take());
        self.sha2 = newer.sha2.or_else(|| self.sha2.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_knowledge_wins_and_older_stays() {
        let [old, new] = ["old", "new"].map(|text| Learned::from_password(&Secret::from(text)));
        let mut learned = Learned::default();
        learned.learn(old.clone());
        learned.learn(Learned { native: new.native.clone(), sha2: None });
        assert_eq!(learned, Learned { native: new.native, sha2: old.sha2 });
        assert_eq!(format!("{:?}", learned.native), "Some(Stage1(…))");
    }
}
