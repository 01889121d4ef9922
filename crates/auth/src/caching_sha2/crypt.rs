//! SHA-crypt with SHA-256, as MySQL uses it: with a salt of 20 bytes instead of 16.
//!
//! Source: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512"; the step numbers below are that document's.

use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// Length in characters of a digest in SHA-crypt's own base64.
pub(super) const DIGEST_TEXT_LEN: usize = 43;

/// Bytes of a SHA-256 digest.
const LEN: usize = 32;

/// The digest of `password` after `rounds` rounds. The time grows with `rounds` and with the square of the password's length.
pub(super) fn sha256_crypt(password: &[u8], salt: &[u8], rounds: u32) -> [u8; DIGEST_TEXT_LEN] {
    let mut digest = initial(password, salt);
    let p = Zeroizing::new(sequence(password, password.len(), password.len()));
    let s = sequence(salt, 16 + usize::from(digest[0]), salt.len());
    // 21.
    for round in 0..rounds {
        let mut hash = Sha256::new();
        let odd = round % 2 == 1;
        hash.update(if odd { p.as_slice() } else { &digest });
        if round % 3 != 0 {
            hash.update(&s);
        }
        if round % 7 != 0 {
            hash.update(p.as_slice());
        }
        hash.update(if odd { digest.as_slice() } else { &p });
        digest = hash.finalize().into();
    }
    let text = to_text(&digest);
    digest.zeroize();
    text
}

/// Steps 1 to 12: what the first round begins with.
fn initial(password: &[u8], salt: &[u8]) -> [u8; LEN] {
    let b = Sha256::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut a = Sha256::new().chain_update(password).chain_update(salt);
    // 9. and 10.
    for part in password.chunks(LEN) {
        a.update(&b[..part.len()]);
    }
    // 11.
    let mut bits = password.len();
    while bits > 0 {
        a.update(if bits & 1 == 1 { &b } else { password });
        bits >>= 1;
    }
    a.finalize().into()
}

/// Steps 13 to 20: the digest of `times` times `text`, repeated up to `len` bytes.
fn sequence(text: &[u8], times: usize, len: usize) -> Vec<u8> {
    let mut hash = Sha256::new();
    for _ in 0..times {
        hash.update(text);
    }
    hash.finalize().iter().copied().cycle().take(len).collect()
}

/// Step 22: groups of three bytes in a prescribed order, each as four characters, the lowest bits first.
fn to_text(digest: &[u8; LEN]) -> [u8; DIGEST_TEXT_LEN] {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    /// Byte positions, the highest of a group first. The two bytes left over are written as three characters at the end.
    const ORDER: [[usize; 3]; 10] = [
        [0, 10, 20],
        [21, 1, 11],
        [12, 22, 2],
        [3, 13, 23],
        [24, 4, 14],
        [15, 25, 5],
        [6, 16, 26],
        [27, 7, 17],
        [18, 28, 8],
        [9, 19, 29],
    ];
    let byte = |at: usize| u32::from(digest[at]);
    let groups = ORDER.iter().map(|&[high, middle, low]| byte(high) << 16 | byte(middle) << 8 | byte(low));
    let last = byte(31) << 8 | byte(30);
    let mut text = [0; DIGEST_TEXT_LEN];
    for (characters, group) in text.chunks_mut(4).zip(groups.chain([last])) {
        for (place, character) in characters.iter_mut().enumerate() {
            *character = ALPHABET[(group >> (6 * place)) as usize & 0x3f];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl passwd -5`; the inputs are those of Drepper's document, "Test vectors".
    #[test]
    fn known_digests() {
        for (password, salt, rounds, digest) in [
            ("Hello world!", "saltstring", 5_000, "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            ("Hello world!", "saltstringsaltst", 10_000, "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
            (
                "we have a short salt string but not a short password",
                "short",
                77_777,
                "JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/",
            ),
        ] {
            let ours = sha256_crypt(password.as_bytes(), salt.as_bytes(), rounds);
            assert_eq!(ours.escape_ascii().to_string(), digest, "{password}");
        }
    }
}
