//! What a server keeps instead of the password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::derive::{ClientKeys, Derivation, Iterations};
use super::key::Key;
use crate::{Error, Secret};

/// The stored form of a SCRAM password, as in PostgreSQL's `pg_authid.rolpassword`.
///
/// It checks a client and signs for the server, and cannot log in by itself: ClientKey is only known by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(super) derivation: Derivation,
    pub(super) stored_key: Key,
    pub(super) server_key: Key,
}

impl Verifier {
    /// How the text form begins; PostgreSQL and PgBouncer tell verifiers from passwords by it.
    pub const PREFIX: &str = "SCRAM-SHA-256$";

    /// The verifier of `password`. Expensive (PBKDF2): compute it once per user and keep it.
    pub fn from_password(password: &Secret, derivation: Derivation) -> Self {
        Self::from(&ClientKeys::derive(password, derivation))
    }

    /// The verifier for a user who does not exist.
    ///
    /// A refusal at once would tell which users exist, so the exchange runs to its end and fails there, like PostgreSQL's
    /// `mock_scram_secret`. The salt depends on `seed` and `user` alone: asked twice, it must not change. `seed` must be secret,
    /// and outlive a restart if probing across restarts matters. `iterations` should be those of real users. No ClientKey
    /// hashes to this StoredKey, short of inverting SHA-256.
    pub fn mock(seed: &Key, user: &[u8], iterations: Iterations) -> Self {
        const SALT_LEN: usize = 16;
        let salt = seed.hmac(&[b"mock salt\0", user]);
        Self {
            derivation: Derivation::new(&salt.expose()[..SALT_LEN], iterations).expect("16 bytes are a legal salt"),
            stored_key: seed.hmac(&[b"mock stored key\0", user]),
            server_key: seed.hmac(&[b"mock server key\0", user]),
        }
    }

    /// Reads `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the last three in base64.
    ///
    /// # Errors
    /// [`Error::NotAVerifier`] for any other text, [`Error::IterationsOutOfRange`] and [`Error::SaltLength`] for values beyond
    /// our limits.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let expected = |expected| move || Error::NotAVerifier { expected };
        let rest = text.strip_prefix(Self::PREFIX.as_bytes()).ok_or_else(expected("SCRAM-SHA-256$"))?;
        let (derivation, keys) = split(rest, b'$').ok_or_else(expected("$ between salt and keys"))?;
        let (iterations, salt) = split(derivation, b':').ok_or_else(expected("iterations:salt"))?;
        let (stored_key, server_key) = split(keys, b':').ok_or_else(expected("stored key:server key"))?;

        let iterations = Iterations::parse(iterations).ok_or_else(expected("a decimal iteration count"))??;
        let salt = BASE64.decode(salt).map_err(|_| expected("a salt in base64")())?;
        let key = |text| decode_key(text).ok_or_else(expected("32-byte keys in base64"));
        Ok(Self {
            derivation: Derivation::new(&salt, iterations)?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// The text form that [`Verifier::parse`] reads and PostgreSQL accepts in `ALTER ROLE … PASSWORD`.
    pub fn to_text(&self) -> Secret {
        Secret::from(format!(
            "{}{}:{}${}:{}",
            Self::PREFIX,
            self.derivation.iterations().get(),
            BASE64.encode(self.derivation.salt()),
            BASE64.encode(self.stored_key.expose()),
            BASE64.encode(self.server_key.expose()),
        ))
    }

    /// The salt and iteration count a client is told.
    pub fn derivation(&self) -> &Derivation {
        &self.derivation
    }

    /// Whether `password` is the one. Expensive (PBKDF2): SCRAM itself never needs it, cleartext logins do.
    pub fn accepts(&self, password: &Secret) -> bool {
        let (client_key, _) = self.derivation.keys(password);
        client_key.hash() == self.stored_key
    }
}

impl From<&ClientKeys> for Verifier {
    fn from(keys: &ClientKeys) -> Self {
        Self {
            derivation: keys.derivation.clone(),
            stored_key: keys.client_key.hash(),
            server_key: keys.server_key.clone(),
        }
    }
}

/// Decodes base64 of exactly one key; `None` for anything else.
pub(super) fn decode_key(text: &[u8]) -> Option<Key> {
    let bytes = BASE64.decode(text).ok()?;
    Some(Key::new(bytes.try_into().ok()?))
}

/// What stands before and after the first `separator`.
fn split(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let mut parts = text.splitn(2, |&byte| byte == separator);
    Some((parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    /// The password `pencil` with the salt of RFC 7677; the text is what other implementations store for it.
    #[test]
    fn reads_and_writes_postgresql_s_form() {
        let verifier = Verifier::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(verifier.to_text().expose(), TEXT.as_bytes());
        assert_eq!(Verifier::from_password(&Secret::from("pencil"), verifier.derivation().clone()), verifier);
        assert!(verifier.accepts(&Secret::from("pencil")));
        assert!(!verifier.accepts(&Secret::from("pencils")));
    }

    #[test]
    fn agrees_with_postgres_protocol() {
        for password in ["pencil", "", "päss\u{ad}wörd", "\u{2168}", "\u{627}1"] {
            let theirs = postgres_protocol::password::scram_sha_256(password.as_bytes());
            let verifier = Verifier::parse(theirs.as_bytes()).unwrap();
            assert!(verifier.accepts(&Secret::from(password)), "{password:?}");
            assert_eq!(verifier.to_text().expose(), theirs.as_bytes());
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "pencil",
            "SCRAM-SHA-256",
            "SCRAM-SHA-256$",
            "SCRAM-SHA-256$4096",
            "SCRAM-SHA-256$4096:$:",
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$short:short",
            &TEXT.replace("4096", "0"),
            &TEXT.replace("4096", "1000001"),
            &TEXT.replace("4096", "-1"),
            &TEXT.replace("W22Z", "W2!Z"),
            &TEXT[..TEXT.len() - 1],
            &format!("{TEXT}x"),
            &TEXT.to_lowercase(),
        ] {
            assert!(Verifier::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn mock_depends_on_user_and_seed_alone() {
        let mock = |seed, user: &str| Verifier::mock(&Key::new([seed; 32]), user.as_bytes(), Iterations::DEFAULT);
        assert_eq!(mock(1, "bob"), mock(1, "bob"));
        assert_ne!(mock(1, "bob").derivation(), mock(1, "eve").derivation());
        assert_ne!(mock(1, "bob").derivation(), mock(2, "bob").derivation());
        assert_eq!(mock(1, "bob").derivation().salt().len(), 16);
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", Verifier::parse(TEXT.as_bytes()).unwrap());
        assert!(shown.contains("stored_key: Key(…), server_key: Key(…)"), "{shown}");
    }
}
