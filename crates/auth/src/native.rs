//! `mysql_native_password`: the method of MySQL before version 8 and of MariaDB.
//!
//! The server keeps SHA1(SHA1(password)) and sends a nonce; the client answers
//! `SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password)))`. Whoever keeps the former and sees the latter learns
//! SHA1(password), which is all a client needs: that is how a user known here only by a hash is logged in to servers.
//!
//! Source: MySQL source documentation, "Native Authentication"; `sql-common/password.cc` (`scramble`, `check_scramble`).

use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

use crate::fixed::Fixed;
use crate::plugin::Nonce;
use crate::{Secret, hex};

/// Length in bytes of an answer, and of both hashes.
pub const ANSWER_LEN: usize = 20;

/// Length in bytes of a stored hash: `*` and 40 hexadecimal digits.
pub const TEXT_LEN: usize = 41;

/// SHA1(password). It answers every challenge, so it is as secret as the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage1(Fixed<ANSWER_LEN>);

/// SHA1(SHA1(password)): what `mysql.user` stores. It checks answers; by itself it makes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash(Fixed<ANSWER_LEN>);

impl Stage1 {
    /// The first hash of `password`.
    pub fn from_password(password: &Secret) -> Self {
        Self(Fixed::new(Sha1::digest(password.expose()).into()))
    }

    /// What the server keeps.
    pub fn hash(&self) -> Hash {
        Hash(Fixed::new(Sha1::digest(self.0.expose()).into()))
    }

    /// The answer to `nonce`.
    pub fn answer(&self, nonce: &Nonce) -> [u8; ANSWER_LEN] {
        *self.0.xor(&self.hash().mask(nonce)).expose()
    }
}

impl Hash {
    /// The stored hash of `password`.
    pub fn from_password(password: &Secret) -> Self {
        Stage1::from_password(password).hash()
    }

    /// Recognises a stored hash: `*` and exactly 40 hexadecimal digits, as `SHOW CREATE USER` prints it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"*")?;
        let bytes = hex::decode(digits)?;
        Some(Self(Fixed::new(bytes.as_slice().try_into().ok()?)))
    }

    /// The text form that [`Hash::parse`] reads and `CREATE USER … AS` takes.
    pub fn to_text(&self) -> Secret {
        let mut text = b"*".to_vec();
        hex::encode(self.0.expose(), &mut text);
        Secret::new(text)
    }

    /// Checks the answer to `nonce`; a right one tells SHA1(password).
    pub fn accept(&self, nonce: &Nonce, answer: &[u8]) -> Option<Stage1> {
        let answer: &[u8; ANSWER_LEN] = answer.try_into().ok()?;
        let told = Stage1(Fixed::new(*answer).xor(&self.mask(nonce)));
        let right: bool = told.hash().0.expose().ct_eq(self.0.expose()).into();
        right.then_some(told)
    }

    fn mask(&self, nonce: &Nonce) -> [u8; ANSWER_LEN] {
        Sha1::new().chain_update(nonce).chain_update(self.0.expose()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::auth::plugins::mysql_native_password::scramble_native;

    const NONCE: Nonce = *b"\x4e\x52\x33\x48\x50\x3a\x71\x49\x59\x61\x5f\x39\x3d\x64\x62\x3f\x53\x64\x7b\x60";

    /// `SELECT PASSWORD('mypass')`, in MySQL's reference manual of version 5.7.
    #[test]
    fn hash_is_what_mysql_stores() {
        let hash = Hash::from_password(&Secret::from("mypass"));
        assert_eq!(hash.to_text().expose(), b"*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4");
    }

    #[test]
    fn answers_are_those_of_mysql_common() {
        for password in ["pencil", "p\u{e4}ss", "a", "G!ider27"] {
            let theirs = scramble_native(&NONCE, password.as_bytes()).unwrap();
            let stage1 = Stage1::from_password(&Secret::from(password));
            assert_eq!(stage1.answer(&NONCE), theirs);
            assert_eq!(stage1.hash().accept(&NONCE, &theirs), Some(stage1));
        }
    }

    /// Pass-through: what one login tells answers the next server's challenge.
    #[test]
    fn a_login_tells_what_the_next_needs() {
        let client = Stage1::from_password(&Secret::from("pencil"));
        let told = client.hash().accept(&NONCE, &client.answer(&NONCE)).unwrap();
        assert_eq!(told.answer(&[7; 20]), client.answer(&[7; 20]));
    }

    #[test]
    fn wrong_answers_are_refused() {
        let stage1 = Stage1::from_password(&Secret::from("pencil"));
        let (hash, right) = (stage1.hash(), stage1.answer(&NONCE));
        assert!(hash.accept(&[1; 20], &right).is_none());
        assert!(hash.accept(&NONCE, &right[..19]).is_none());
        assert!(hash.accept(&NONCE, b"").is_none());
        // The stored hash alone, which a thief holds, answers nothing.
        assert!(hash.accept(&NONCE, &hash.mask(&NONCE)).is_none());
        for at in 0..right.len() {
            let mut wrong = right;
            wrong[at] ^= 1;
            assert!(hash.accept(&NONCE, &wrong).is_none(), "byte {at}");
        }
    }

    #[test]
    fn only_exact_texts_are_hashes() {
        let hash = Hash::from_password(&Secret::from("mypass"));
        let text = hash.to_text();
        assert_eq!(text.expose().len(), TEXT_LEN);
        assert_eq!(Hash::parse(text.expose()), Some(hash.clone()));
        assert_eq!(Hash::parse(&text.expose().to_ascii_lowercase()), Some(hash.clone()));
        for other in [&text.expose()[..40], &text.expose()[1..], b"*", b"*6C8989366EAF75BB670AD8EA7A7FC1176A95CEFG"] {
            assert_eq!(Hash::parse(other), None);
        }
        assert_eq!(format!("{hash:?}"), "Hash(…)");
    }
}
