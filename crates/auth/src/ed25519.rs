//! MariaDB's `ed25519`: the client signs a nonce with a key made from the password.
//!
//! Ed25519 as in RFC 8032, except that the secret seed is the password itself, of any length, instead of 32 random bytes. No
//! library signs with such keys, hence the few lines of group arithmetic here; those that touch secrets take constant time. The
//! server stores the public key. An answer tells nothing that would answer another server.
//!
//! Source: MariaDB, `plugin/auth_ed25519`; documentation, "Authentication Plugin - ed25519".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use crate::{Error, Secret};

/// Length in bytes of the random bytes a server sends to be signed; unlike a greeting's, they may be zero.
pub const NONCE_LEN: usize = 32;

/// Length in bytes of a signature.
pub const ANSWER_LEN: usize = 64;

/// What a MariaDB server stores. It checks signatures and makes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    encoded: [u8; Self::LEN],
    point: EdwardsPoint,
}

impl PublicKey {
    /// How a public key is marked where a password could stand as well: its 43 characters alone could be one.
    pub const PREFIX: &str = "ed25519:";

    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The public key of `password`.
    pub fn from_password(password: &Secret) -> Self {
        SigningKey::from_password(password).public
    }

    /// Reads the 43 characters of base64 that MariaDB stores, without [`PublicKey::PREFIX`].
    ///
    /// # Errors
    /// [`Error::NotAnEd25519Key`] for any other text, and for one that is no point on the curve.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let bytes = BASE64.decode(text).map_err(|_| Error::NotAnEd25519Key)?;
        let encoded = <[u8; Self::LEN]>::try_from(bytes).map_err(|_| Error::NotAnEd25519Key)?;
        let point = CompressedEdwardsY(encoded).decompress().ok_or(Error::NotAnEd25519Key)?;
        // The neutral element and its like would accept signatures that anybody can make.
        if point.is_small_order() {
            return Err(Error::NotAnEd25519Key);
        }
        Ok(Self { encoded, point })
    }

    /// The text that MariaDB stores.
    pub fn to_text(&self) -> String {
        BASE64.encode(self.encoded)
    }

    /// Whether `answer` is a signature of `nonce`.
    pub fn accepts(&self, nonce: &[u8; NONCE_LEN], answer: &[u8]) -> bool {
        let Ok(answer) = <&[u8; ANSWER_LEN]>::try_from(answer) else { return false };
        let (r, s) = answer.split_at(32);
        let s = s.try_into().ok().and_then(|s| Scalar::from_canonical_bytes(s).into_option());
        let Some(s) = s else { return false };
        let challenge = hash(&[r, &self.encoded, nonce]);
        // Everything here is public, so the time may show it.
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-self.point, &s);
        expected.compress().as_bytes() == r
    }
}

/// Signs `nonce` with the key of `password`.
pub fn sign(password: &Secret, nonce: &[u8; NONCE_LEN]) -> [u8; ANSWER_LEN] {
    let key = SigningKey::from_password(password);
    let secret_nonce = Zeroizing::new(hash(&[key.prefix.as_slice(), nonce]));
    let r = EdwardsPoint::mul_base(&secret_nonce).compress();
    let challenge = hash(&[r.as_bytes(), &key.public.encoded, nonce]);
    let s = challenge * *key.scalar + *secret_nonce;

    let mut answer = [0; ANSWER_LEN];
    let (first, second) = answer.split_at_mut(32);
    first.copy_from_slice(r.as_bytes());
    second.copy_from_slice(s.as_bytes());
    answer
}

/// What RFC 8032, section 5.1.5, makes of a seed.
struct SigningKey {
    scalar: Zeroizing<Scalar>,
    prefix: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl SigningKey {
    fn from_password(password: &Secret) -> Self {
        let expanded = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(password.expose())));
        let mut halves = [Zeroizing::new([0; 32]), Zeroizing::new([0; 32])];
        for (half, bytes) in halves.iter_mut().zip(expanded.chunks_exact(32)) {
            half.copy_from_slice(bytes);
        }
        let [integer, prefix] = halves;
        let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(clamp_integer(*integer)));
        let point = EdwardsPoint::mul_base(&scalar);
        Self { scalar, prefix, public: PublicKey { encoded: point.compress().to_bytes(), point } }
    }
}

/// The SHA-512 digest of `parts` as a scalar.
fn hash(parts: &[&[u8]]) -> Scalar {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MariaDB, `plugin/auth_ed25519/ed25519-t.c`: password `foobar`, a nonce of 32 letters A.
    const FOOBAR_SIGNATURE: [u8; ANSWER_LEN] = [
        232, 61, 201, 63, 67, 63, 51, 53, 86, 73, 238, 35, 170, 117, 146, 214, 26, 17, 35, 9, 8, 132, 245, 141, 48, 99,
        66, 58, 36, 228, 48, 84, 115, 254, 187, 168, 88, 162, 249, 57, 35, 85, 79, 238, 167, 106, 68, 117, 56, 135,
        171, 47, 20, 14, 133, 79, 15, 229, 124, 160, 176, 100, 138, 14,
    ];
    const NONCE: [u8; NONCE_LEN] = [b'A'; NONCE_LEN];

    #[test]
    fn mariadb_s_own_vectors() {
        let foobar = Secret::from("foobar");
        let key = PublicKey::from_password(&foobar);
        assert_eq!(key.encoded[..4], [170, 253, 166, 27]);
        assert_eq!(key.encoded[28..], [79, 151, 0, 159]);
        assert_eq!(sign(&foobar, &NONCE), FOOBAR_SIGNATURE);
        assert!(key.accepts(&NONCE, &FOOBAR_SIGNATURE));
        // MariaDB's documentation: ed25519_password("secret").
        let secret = PublicKey::from_password(&Secret::from("secret"));
        assert_eq!(secret.to_text(), "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY");
        assert_eq!(PublicKey::parse(secret.to_text().as_bytes()), Ok(secret));
    }

    #[test]
    fn signatures_are_checked() {
        let key = PublicKey::from_password(&Secret::from("foobar"));
        assert!(!key.accepts(&[b'B'; NONCE_LEN], &FOOBAR_SIGNATURE));
        assert!(!key.accepts(&NONCE, &FOOBAR_SIGNATURE[..63]));
        assert!(!key.accepts(&NONCE, b""));
        assert!(!key.accepts(&NONCE, &[0; ANSWER_LEN]));
        assert!(!PublicKey::from_password(&Secret::from("foobaz")).accepts(&NONCE, &FOOBAR_SIGNATURE));
        for at in 0..ANSWER_LEN {
            let mut wrong = FOOBAR_SIGNATURE;
            wrong[at] ^= 1;
            assert!(!key.accepts(&NONCE, &wrong), "byte {at}");
        }
        // The same signature with the group's order added to its second half: valid only for careless verifiers.
        let mut malleable = FOOBAR_SIGNATURE;
        let order = hex_order();
        let mut carry = 0;
        for (byte, add) in malleable[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        assert!(!key.accepts(&NONCE, &malleable));
    }

    /// The order of the base point, little-endian: 2^252 + 27742317777372353535851937790883648493.
    fn hex_order() -> [u8; 32] {
        let mut order = [0; 32];
        order[..16].copy_from_slice(&27_742_317_777_372_353_535_851_937_790_883_648_493_u128.to_le_bytes());
        order[31] = 0x10;
        order
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJ",
            "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJYA",
            "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY=",
            "ZIgUREUg5PVgQ6LskhXmO eZLS0nC8be6HPjYWR4YJY",
            // No point of the curve; the neutral element.
            "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(PublicKey::parse(text.as_bytes()), Err(Error::NotAnEd25519Key), "{text}");
        }
    }
}
