//! `caching_sha2_password`: the default method since MySQL 8.
//!
//! The server stores a salted hash of 5,000 rounds ([`Verifier`]) and, once somebody has proved to know the password, keeps
//! SHA256(SHA256(password)) in memory. With that it checks the *fast* answer,
//! `SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce)`; without it, it asks for the password itself (*full*
//! authentication), which goes over an encrypted connection as it is, and else encrypted with the server's [RSA key](crate::rsa).
//!
//! A right fast answer tells SHA256(password), which answers the next server's challenge while that server's cache is warm.
//!
//! Source: MySQL source documentation, "Caching_sha2_password information"; `sql/auth/sha2_password.cc`.

mod crypt;
mod verifier;

pub use verifier::{Rounds, Verifier};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::Secret;
use crate::fixed::Fixed;
use crate::plugin::Nonce;

/// Length in bytes of a fast answer.
pub const ANSWER_LEN: usize = 32;

/// Longest password, in bytes, that full authentication looks at (MySQL: `CACHING_SHA2_PASSWORD_MAX_PASSWORD_LENGTH`).
///
/// The salted hash costs the square of the password's length, so a longer one must not be believed.
pub const PASSWORD_LEN_MAX: usize = 256;

/// What a server says when its cache has confirmed the fast answer (`AuthMoreData`).
pub const FAST_OK: u8 = 3;

/// What a server says when it wants the password itself (`AuthMoreData`).
pub const FULL: u8 = 4;

/// What a client says when it wants the server's RSA key.
pub const PUBLIC_KEY_REQUEST: u8 = 2;

/// SHA256(password). It answers every fast challenge, so it is as secret as the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage1(Fixed<ANSWER_LEN>);

/// SHA256(SHA256(password)): what a server keeps in memory. It checks fast answers; by itself it makes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage2(Fixed<ANSWER_LEN>);

impl Stage1 {
    /// The first hash of `password`.
    pub fn from_password(password: &Secret) -> Self {
        Self(Fixed::new(Sha256::digest(password.expose()).into()))
    }

    /// What a server keeps.
    pub fn stage2(&self) -> Stage2 {
        Stage2(Fixed::new(Sha256::digest(self.0.expose()).into()))
    }

    /// The fast answer to `nonce`.
    pub fn answer(&self, nonce: &Nonce) -> [u8; ANSWER_LEN] {
        *self.0.xor(&self.stage2().mask(nonce)).expose()
    }
}

impl Stage2 {
    /// Checks the fast answer to `nonce`; a right one tells SHA256(password).
    pub fn accept(&self, nonce: &Nonce, answer: &[u8]) -> Option<Stage1> {
        self.unmask(self.mask(nonce), answer)
    }

    /// Whether this is the fast answer of sqlx up to its version 0.8, which hashes nonce and hash in the wrong order (sqlx
    /// #4244). Whoever makes it knows the password, but must be asked for it in full: servers do so after every wrong answer, and
    /// these versions cannot go on after a right one.
    pub fn accepts_swapped(&self, nonce: &Nonce, answer: &[u8]) -> bool {
        self.unmask(self.swapped_mask(nonce), answer).is_some()
    }

    fn unmask(&self, mask: [u8; ANSWER_LEN], answer: &[u8]) -> Option<Stage1> {
        let answer: &[u8; ANSWER_LEN] = answer.try_into().ok()?;
        let told = Stage1(Fixed::new(*answer).xor(&mask));
        let right: bool = told.stage2().0.expose().ct_eq(self.0.expose()).into();
        right.then_some(told)
    }

    fn mask(&self, nonce: &Nonce) -> [u8; ANSWER_LEN] {
        Sha256::new().chain_update(self.0.expose()).chain_update(nonce).finalize().into()
    }

    fn swapped_mask(&self, nonce: &Nonce) -> [u8; ANSWER_LEN] {
        Sha256::new().chain_update(nonce).chain_update(self.0.expose()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;

    const NONCE: Nonce = *b"\x4e\x52\x33\x48\x50\x3a\x71\x49\x59\x61\x5f\x39\x3d\x64\x62\x3f\x53\x64\x7b\x60";

    #[test]
    fn answers_are_those_of_mysql_common() {
        for password in ["pencil", "p\u{e4}ss", "a", "G!ider27"] {
            let theirs = scramble_sha256(&NONCE, password.as_bytes()).unwrap();
            let stage1 = Stage1::from_password(&Secret::from(password));
            assert_eq!(stage1.answer(&NONCE), theirs);
            assert_eq!(stage1.stage2().accept(&NONCE, &theirs), Some(stage1));
        }
    }

    #[test]
    fn the_answer_of_old_versions_of_sqlx_is_known() {
        // As in its `scramble_sha256`, version 0.8.6.
        let stage1 = Stage1::from_password(&Secret::from("pencil"));
        let stage2 = Sha256::digest(stage1.0.expose());
        let mask = Sha256::digest([&NONCE[..], &stage2[..]].concat());
        let answer: Vec<u8> = stage1.0.expose().iter().zip(mask).map(|(one, other)| one ^ other).collect();
        let stage2 = stage1.stage2();
        assert!(stage2.accepts_swapped(&NONCE, &answer) && stage2.accept(&NONCE, &answer).is_none());
        assert!(!stage2.accepts_swapped(&[1; 20], &answer) && !stage2.accepts_swapped(&NONCE, &stage1.answer(&NONCE)));
        assert!(!stage2.accepts_swapped(&NONCE, &stage2.swapped_mask(&NONCE)));
    }

    #[test]
    fn wrong_answers_are_refused() {
        let stage1 = Stage1::from_password(&Secret::from("pencil"));
        let (stage2, right) = (stage1.stage2(), stage1.answer(&NONCE));
        assert!(stage2.accept(&[1; 20], &right).is_none());
        assert!(stage2.accept(&NONCE, &right[..31]).is_none());
        assert!(stage2.accept(&NONCE, b"").is_none());
        assert!(stage2.accept(&NONCE, &stage2.mask(&NONCE)).is_none());
        for at in 0..right.len() {
            let mut wrong = right;
            wrong[at] ^= 1;
            assert!(stage2.accept(&NONCE, &wrong).is_none(), "byte {at}");
        }
        assert_eq!(format!("{stage1:?} {stage2:?}"), "Stage1(…) Stage2(…)");
    }
}
