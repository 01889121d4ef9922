//! PostgreSQL's `md5` method: a stored hash of password and user name, salted again at each login.
//!
//! Source: `src/common/md5_common.c` (`pg_md5_encrypt`) and the protocol chapter "Message Flow", `AuthenticationMD5Password`.

use std::fmt;

use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Secret;

/// Length in bytes of a stored hash and of a response: `md5` and 32 hexadecimal digits.
pub const TEXT_LEN: usize = 35;

/// Length in bytes of the salt a server sends.
pub const SALT_LEN: usize = 4;

const PREFIX: &[u8; 3] = b"md5";

/// The stored form of a password, `md5` + hex(md5(password + user)).
///
/// Whoever has it can log in by `md5` as that user, so it is as secret as the password.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Md5Hash {
    /// The whole text, prefix included.
    text: [u8; TEXT_LEN],
}

impl Md5Hash {
    /// The hash that PostgreSQL would store for `password` of `user`.
    pub fn from_password(password: &Secret, user: &[u8]) -> Self {
        Self { text: digest_text(password.expose(), user) }
    }

    /// Recognises a stored hash: `md5` and exactly 32 lower-case hexadecimal digits, the test PostgreSQL and PgBouncer use.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let hexadecimal = digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !hexadecimal {
            return None;
        }
        Some(Self { text: text.try_into().ok()? })
    }

    /// What a client that knows this hash answers to `salt`: the body of its password message, without the closing NUL.
    pub fn response(&self, salt: [u8; SALT_LEN]) -> [u8; TEXT_LEN] {
        let [_, _, _, digits @ ..] = &self.text;
        digest_text(digits, &salt)
    }

    /// Whether `response` (without the closing NUL) is the right answer to `salt`.
    pub fn accepts(&self, salt: [u8; SALT_LEN], response: &[u8]) -> bool {
        self.response(salt).ct_eq(response).into()
    }

    /// The stored form, as it stands in a user list.
    pub fn expose(&self) -> &[u8; TEXT_LEN] {
        &self.text
    }
}

impl PartialEq for Md5Hash {
    fn eq(&self, other: &Self) -> bool {
        self.text.ct_eq(&other.text).into()
    }
}

impl Eq for Md5Hash {}

impl fmt::Debug for Md5Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Md5Hash(…)")
    }
}

/// `md5` followed by the digest of `head` and `tail` in lower-case hexadecimal.
fn digest_text(head: &[u8], tail: &[u8]) -> [u8; TEXT_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Md5::new().chain_update(head).chain_update(tail).finalize();
    let mut text = [0; TEXT_LEN];
    let (prefix, digits) = text.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(digest) {
        let nibbles = [byte >> 4, byte & 0x0f];
        pair.copy_from_slice(&nibbles.map(|nibble| DIGITS[usize::from(nibble)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf secretalice | md5sum`.
    #[test]
    fn hash_is_what_postgresql_stores() {
        let hash = Md5Hash::from_password(&Secret::from("secret"), b"alice");
        assert_eq!(hash.expose(), b"md54a0a68b43b6cd5cf266fa02f196e2371");
    }

    #[test]
    fn response_is_what_other_clients_send() {
        for (user, password, salt) in
            [("alice", "secret", *b"\x01\x02\x03\x04"), ("", "", [0; 4]), ("ü", "p,=", [255; 4])]
        {
            let theirs = postgres_protocol::authentication::md5_hash(user.as_bytes(), password.as_bytes(), salt);
            let hash = Md5Hash::from_password(&Secret::from(password), user.as_bytes());
            assert_eq!(hash.response(salt).as_slice(), theirs.as_bytes());
            assert!(hash.accepts(salt, theirs.as_bytes()));
        }
    }

    #[test]
    fn wrong_responses_are_refused() {
        let hash = Md5Hash::from_password(&Secret::from("secret"), b"alice");
        let right = hash.response(*b"salt");
        assert!(!hash.accepts(*b"tlas", &right));
        assert!(!hash.accepts(*b"salt", &right[..34]));
        assert!(!hash.accepts(*b"salt", b""));
        assert!(!hash.accepts(*b"salt", hash.expose()));
        for at in 0..right.len() {
            let mut wrong = right;
            wrong[at] ^= 1;
            assert!(!hash.accepts(*b"salt", &wrong), "byte {at}");
        }
    }

    #[test]
    fn only_exact_texts_are_hashes() {
        let text = *Md5Hash::from_password(&Secret::from("secret"), b"alice").expose();
        assert_eq!(Md5Hash::parse(&text).unwrap().expose(), &text);
        assert!(Md5Hash::parse(&text[..34]).is_none());
        assert!(Md5Hash::parse(&text.to_ascii_uppercase()).is_none());
        assert!(Md5Hash::parse(b"md5").is_none());
        assert!(Md5Hash::parse(b"md5zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz").is_none());
        assert!(!format!("{:?}", Md5Hash::parse(&text)).contains("4a0a"));
    }
}
