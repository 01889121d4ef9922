//! What a server stores instead of the password.

use subtle::ConstantTimeEq as _;

use super::PASSWORD_LEN_MAX;
use super::crypt::{DIGEST_TEXT_LEN, sha256_crypt};
use crate::fixed::Fixed;
use crate::{Error, Secret, hex};

/// The stored form of a password, as in MySQL's `mysql.user.authentication_string`.
///
/// It checks the password itself, at the price of [`Rounds`]; it neither checks fast answers nor logs in anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    rounds: Rounds,
    salt: [u8; Self::SALT_LEN],
    digest: Fixed<DIGEST_TEXT_LEN>,
}

/// How often the password is hashed: a multiple of 1,000, up to 4,095,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// 1 to 4,095: what three hexadecimal digits hold.
    thousands: u16,
}

impl Rounds {
    /// What MySQL uses unless `caching_sha2_password_digest_rounds` says otherwise.
    pub const DEFAULT: Self = Self { thousands: 5 };

    /// The number of rounds.
    pub fn get(self) -> u32 {
        u32::from(self.thousands) * 1_000
    }

    /// Reads the three digits of the stored form.
    fn parse(digits: &[u8]) -> Option<Self> {
        let &[high, middle, low] = digits else { return None };
        let bytes = hex::decode(&[b'0', high, middle, low])?;
        let thousands = u16::from_be_bytes(bytes.as_slice().try_into().ok()?);
        (thousands > 0).then_some(Self { thousands })
    }
}

impl Verifier {
    /// How the stored form begins.
    pub const PREFIX: &str = "$A$";

    /// How the stored form begins when MySQL prints it in digits (`print_identified_with_as_hex`).
    pub const PREFIX_HEX: &str = "0x244124";

    /// Length in bytes of a salt.
    pub const SALT_LEN: usize = 20;

    /// Length in bytes of the stored form: `$A$`, three digits, `$`, salt and digest.
    pub const TEXT_LEN: usize = 7 + Self::SALT_LEN + DIGEST_TEXT_LEN;

    /// The verifier of `password`, with a salt made of `random` bytes. Takes [`Rounds`]: a millisecond or two.
    ///
    /// # Errors
    /// [`Error::PasswordTooLong`] beyond [`PASSWORD_LEN_MAX`].
    pub fn from_password(password: &Secret, random: [u8; Self::SALT_LEN], rounds: Rounds) -> Result<Self, Error> {
        if password.expose().len() > PASSWORD_LEN_MAX {
            return Err(Error::PasswordTooLong { max: PASSWORD_LEN_MAX });
        }
        // As MySQL's `generate_user_salt`: text of seven bits, without the two bytes that would end it early.
        let salt = random.map(|byte| match byte & 0x7f {
            0 | b'$' => (byte & 0x7f) + 1,
            byte => byte,
        });
        let digest = sha256_crypt(password.expose(), &salt, rounds.get());
        Ok(Self { rounds, salt, digest: Fixed::new(digest) })
    }

    /// Reads `$A$<rounds>$<salt><digest>`, or the same printed as `0x…`, in which form the salt's control characters survive.
    ///
    /// # Errors
    /// [`Error::NotASha2Verifier`] for any other text.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let expected = |expected| move || Error::NotASha2Verifier { expected };
        let decoded = match text.strip_prefix(b"0x") {
            Some(digits) => &*hex::decode(digits).ok_or_else(expected("hexadecimal digits"))?,
            None => text,
        };
        let rest = decoded.strip_prefix(Self::PREFIX.as_bytes()).ok_or_else(expected("$A$"))?;
        let (rounds, rest) = rest.split_at_checked(3).ok_or_else(expected("three digits of rounds"))?;
        let rounds = Rounds::parse(rounds).ok_or_else(expected("three digits of rounds"))?;
        let rest = rest.strip_prefix(b"$").ok_or_else(expected("$ before the salt"))?;
        let (&salt, digest) = rest.split_first_chunk().ok_or_else(expected("a salt of 20 bytes"))?;
        let digest = <[u8; DIGEST_TEXT_LEN]>::try_from(digest).map_err(|_| expected("a digest of 43 characters")())?;
        // No `$` in the salt: MySQL makes none, and its hashing would stop there.
        if salt.contains(&b'$') || !digest.iter().all(|&byte| is_digest_character(byte)) {
            return Err(expected("a salt without $, then a digest")());
        }
        Ok(Self { rounds, salt, digest: Fixed::new(digest) })
    }

    /// The stored form.
    pub fn to_text(&self) -> Secret {
        let mut text = format!("{}{:03X}$", Self::PREFIX, self.rounds.thousands).into_bytes();
        text.extend_from_slice(&self.salt);
        text.extend_from_slice(self.digest.expose());
        Secret::new(text)
    }

    /// How many rounds a check takes.
    pub fn rounds(&self) -> Rounds {
        self.rounds
    }

    /// Whether `password` is the one. Takes [`Rounds`]: not for a thread that serves connections.
    pub fn accepts(&self, password: &Secret) -> bool {
        if password.expose().len() > PASSWORD_LEN_MAX {
            return false;
        }
        let digest = sha256_crypt(password.expose(), &self.salt, self.rounds.get());
        digest.ct_eq(self.digest.expose()).into()
    }
}

fn is_digest_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored by MySQL 8 for `foobar`, as it prints it.
    const HEX: &str = "0x24412430303524031A69251C34295C4B35167C7F1E5A7B63091349503974624D34504B5A424679354856336868686F52485A736E4A733368786E427575516C73446469496537";

    #[test]
    fn a_verifier_of_a_real_server() {
        let verifier = Verifier::parse(HEX.as_bytes()).unwrap();
        assert_eq!(verifier.rounds(), Rounds::DEFAULT);
        assert!(verifier.accepts(&Secret::from("foobar")));
        assert!(!verifier.accepts(&Secret::from("foobaz")));
        assert!(!verifier.accepts(&Secret::from("")));
        assert_eq!(Verifier::parse(verifier.to_text().expose()), Ok(verifier.clone()));
        assert_eq!(verifier.to_text().expose().len(), Verifier::TEXT_LEN);
        assert!(format!("{verifier:?}").ends_with("digest: … }"), "{verifier:?}");
    }

    #[test]
    fn made_here_and_checked_here() {
        let rounds = Rounds::parse(b"001").unwrap();
        for len in [1, 31, 32, 33, 64, 256] {
            let password = Secret::new(vec![b'x'; len]);
            let verifier = Verifier::from_password(&password, [b'$'; 20], rounds).unwrap();
            assert!(verifier.accepts(&password));
            assert!(!verifier.accepts(&Secret::new(vec![b'x'; len - 1])));
            assert_eq!(Verifier::parse(verifier.to_text().expose()), Ok(verifier));
        }
    }

    #[test]
    fn a_password_too_long_costs_nothing() {
        let long = Secret::new(vec![b'x'; 257]);
        assert_eq!(
            Verifier::from_password(&long, [1; 20], Rounds::DEFAULT),
            Err(Error::PasswordTooLong { max: PASSWORD_LEN_MAX })
        );
        assert!(!Verifier::parse(HEX.as_bytes()).unwrap().accepts(&long));
    }

    #[test]
    fn rounds_are_three_digits() {
        assert_eq!(Rounds::parse(b"FFF").map(Rounds::get), Some(4_095_000));
        assert_eq!(Rounds::parse(b"00a").map(Rounds::get), Some(10_000));
        for other in [&b"000"[..], b"00G", b"05", b"0005", b"+05"] {
            assert_eq!(Rounds::parse(other), None);
        }
    }

    #[test]
    fn refuses_other_texts() {
        let text = Verifier::parse(HEX.as_bytes()).unwrap().to_text();
        let text = text.expose();
        let with = |at: usize, byte| {
            let mut changed = text.to_vec();
            changed[at] = byte;
            changed
        };
        for other in [
            b"".to_vec(),
            b"$A$".to_vec(),
            b"$A$005$".to_vec(),
            text[..69].to_vec(),
            [text, b"x"].concat(),
            with(1, b'B'),
            with(5, b'G'),
            with(6, b'!'),
            with(10, b'$'),
            with(30, b'$'),
            with(69, b'='),
            HEX.as_bytes()[..HEX.len() - 1].to_vec(),
        ] {
            assert!(Verifier::parse(&other).is_err(), "{}", other.escape_ascii());
        }
    }
}
