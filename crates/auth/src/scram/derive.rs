//! From a password to keys.

use sha2::Sha256;
use zeroize::Zeroize as _;

use super::key::Key;
use super::saslprep::prepare;
use crate::{Error, Secret};

/// How often PBKDF2 hashes: at least once, at most [`Iterations::MAX`] times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Iterations(u32);

impl Iterations {
    /// What PostgreSQL uses unless `scram_iterations` says otherwise.
    pub const DEFAULT: Self = Self(4096);

    /// The most we compute for a server that asks.
    ///
    /// A server names the count and its client does the work, so without a bound a hostile or misconfigured server holds a
    /// core for minutes (PgBouncer's CVE-2026-6669). A million rounds take about a quarter of a second.
    pub const MAX: Self = Self(1_000_000);

    /// Checks a count.
    ///
    /// # Errors
    /// [`Error::IterationsOutOfRange`] for zero and for more than [`Iterations::MAX`].
    pub fn new(count: u32) -> Result<Self, Error> {
        if (1..=Self::MAX.0).contains(&count) {
            Ok(Self(count))
        } else {
            Err(Error::IterationsOutOfRange { got: count, max: Self::MAX.0 })
        }
    }

    /// Reads a count written in decimal digits; `None` when it is not even that.
    pub(super) fn parse(digits: &[u8]) -> Option<Result<Self, Error>> {
        let digits = std::str::from_utf8(digits).ok().filter(|text| !text.is_empty())?;
        // `parse` would also take a sign. A count too large for u32 is out of range, not malformed.
        let decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
        decimal.then(|| Self::new(digits.parse().unwrap_or(u32::MAX)))
    }

    /// The count.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// Salt and iteration count: everything besides the password that determines the keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Derivation {
    salt: Box<[u8]>,
    iterations: Iterations,
}

impl Derivation {
    /// The longest salt accepted, in bytes; PostgreSQL makes 16 (`SCRAM_DEFAULT_SALT_LEN`).
    pub const SALT_LEN_MAX: usize = 128;

    /// Checks the salt's length and copies it.
    ///
    /// # Errors
    /// [`Error::SaltLength`] when it is empty or longer than [`Derivation::SALT_LEN_MAX`].
    pub fn new(salt: &[u8], iterations: Iterations) -> Result<Self, Error> {
        if (1..=Self::SALT_LEN_MAX).contains(&salt.len()) {
            Ok(Self { salt: salt.into(), iterations })
        } else {
            Err(Error::SaltLength { len: salt.len(), max: Self::SALT_LEN_MAX })
        }
    }

    /// The salt's bytes; not secret, every client that asks is told.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The iteration count.
    pub fn iterations(&self) -> Iterations {
        self.iterations
    }

    /// ClientKey and ServerKey of `password`, by PBKDF2: the expensive step.
    pub(super) fn keys(&self, password: &Secret) -> (Key, Key) {
        let prepared = prepare(password.expose());
        let mut salted = [0; Key::LEN];
        pbkdf2::pbkdf2_hmac::<Sha256>(&prepared, &self.salt, self.iterations.get(), &mut salted);
        let salted_password = Key::new(salted);
        salted.zeroize();
        (salted_password.hmac(&[b"Client Key"]), salted_password.hmac(&[b"Server Key"]))
    }
}

/// What a client needs to prove a password, and to check the server, without the password.
///
/// Made by [`Challenged::derive`](super::Challenged::derive), or recovered from a client that logged in here
/// ([`Accepted::keys`](super::Accepted::keys)). Bound to one salt and iteration count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKeys {
    pub(super) client_key: Key,
    pub(super) server_key: Key,
    pub(super) derivation: Derivation,
}

impl ClientKeys {
    /// Derives the keys of `password`: the one expensive call (PBKDF2), so not on a thread that serves connections.
    pub fn derive(password: &Secret, derivation: Derivation) -> Self {
        let (client_key, server_key) = derivation.keys(password);
        Self { client_key, server_key, derivation }
    }

    /// Takes over keys kept elsewhere, such as those handed on at a restart.
    pub fn new(client_key: Key, server_key: Key, derivation: Derivation) -> Self {
        Self { client_key, server_key, derivation }
    }

    /// The key whose hash is the StoredKey.
    pub fn client_key(&self) -> &Key {
        &self.client_key
    }

    /// The key that signs for the server.
    pub fn server_key(&self) -> &Key {
        &self.server_key
    }

    /// The salt and iteration count they hold for.
    pub fn derivation(&self) -> &Derivation {
        &self.derivation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterations_are_bounded() {
        assert!(Iterations::new(0).is_err());
        assert_eq!(Iterations::new(1_000_000), Ok(Iterations::MAX));
        assert_eq!(Iterations::new(1_000_001), Err(Error::IterationsOutOfRange { got: 1_000_001, max: 1_000_000 }));
        assert_eq!(Iterations::parse(b"4096"), Some(Ok(Iterations::DEFAULT)));
        assert!(matches!(Iterations::parse(b"99999999999999"), Some(Err(Error::IterationsOutOfRange { .. }))));
        for malformed in [&b""[..], b"+1", b"-1", b"1 ", b"0x10", b"\xff"] {
            assert_eq!(Iterations::parse(malformed), None, "{}", malformed.escape_ascii());
        }
    }

    #[test]
    fn salts_are_bounded() {
        assert!(Derivation::new(&[], Iterations::DEFAULT).is_err());
        assert!(Derivation::new(&[0; 128], Iterations::DEFAULT).is_ok());
        assert_eq!(Derivation::new(&[0; 129], Iterations::DEFAULT), Err(Error::SaltLength { len: 129, max: 128 }));
    }
}
