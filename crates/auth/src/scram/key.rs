//! The 32-byte keys of SCRAM and the two functions that relate them.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A SHA-256 sized key: ClientKey, StoredKey, ServerKey, or a signature made with one.
///
/// Wiped when dropped, compared in constant time, invisible in `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; Self::LEN]);

impl Key {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Takes the bytes of a key kept elsewhere.
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves, for storage, never for a log.
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// `H(self)`: the StoredKey of a ClientKey.
    pub(crate) fn hash(&self) -> Self {
        Self(Sha256::digest(self.0).into())
    }

    /// `HMAC(self, parts joined)`.
    pub(crate) fn hmac(&self, parts: &[&[u8]]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        Self(mac.finalize().into_bytes().into())
    }

    /// `self XOR other`: ClientKey with ClientSignature gives the proof, and the proof with it gives ClientKey back.
    pub(crate) fn xor(&self, other: &Self) -> Self {
        let mut out = self.clone();
        for (byte, with) in out.0.iter_mut().zip(&other.0) {
            *byte ^= with;
        }
        out
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}
