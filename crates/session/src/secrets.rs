//! What proves who somebody is: towards us, and from us towards servers.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use auth::{
    Credential, Learned,
    scram::{ClientKeys, Derivation, Iterations, KeyCache, Verifier},
};

/// A user's credential with what was derived from it: a login costs no key derivation but the first.
#[derive(Debug)]
pub struct UserSecret {
    credential: Arc<Credential>,
    verifier: OnceLock<Verifier>,
    keys: Mutex<KeyCache>,
    learned: Mutex<Learned>,
}

impl UserSecret {
    /// Nothing derived yet.
    #[must_use]
    pub fn new(credential: Credential) -> Self {
        Self {
            credential: Arc::new(credential),
            verifier: OnceLock::new(),
            keys: Mutex::new(KeyCache::default()),
            learned: Mutex::default(),
        }
    }

    /// The credential.
    #[must_use]
    pub fn credential(&self) -> &Arc<Credential> {
        &self.credential
    }

    /// The verifier to check a SCRAM login with: the configured one, or one derived from the password once, which takes
    /// about a millisecond. `None` for other hashes and keys.
    pub(crate) fn verifier(&self, salt: impl FnOnce() -> [u8; SALT_LEN]) -> Option<&Verifier> {
        match &*self.credential {
            Credential::Scram(verifier) => Some(verifier),
            Credential::Md5(_) | Credential::Native(_) | Credential::CachingSha2(_) | Credential::Ed25519(_) => None,
            Credential::Plain(password) => Some(self.verifier.get_or_init(|| {
                let derivation = Derivation::new(&salt(), Iterations::DEFAULT)
                    .expect("a salt of 16 bytes is within the bounds of a derivation");
                Verifier::from_password(password, derivation)
            })),
        }
    }

    /// Keys that a client has proved with. They log in to servers that hold the same verifier.
    pub(crate) fn learn(&self, keys: ClientKeys) {
        if matches!(&*self.credential, Credential::Scram(_)) {
            self.with_keys(|cache| cache.insert(Arc::new(keys)));
        }
    }

    /// What MySQL clients' logins have taught of the password.
    pub(crate) fn learned(&self) -> Learned {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what the login of a MySQL client has taught.
    pub(crate) fn learn_mysql(&self, learned: Learned) {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).learn(learned);
    }

    pub(crate) fn with_keys<T>(&self, use_keys: impl FnOnce(&mut KeyCache) -> T) -> T {
        use_keys(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Bytes of a salt, as PostgreSQL makes them (`SCRAM_DEFAULT_SALT_LEN`, `src/include/common/scram-common.h`).
pub(crate) const SALT_LEN: usize = 16;

/// Random bytes from the operating system.
///
/// # Panics
/// When the operating system has none: nothing that must be unpredictable can be made then.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    bytes
}
