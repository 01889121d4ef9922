//! What a user's configured secret is, and which logins it can check or perform.

use std::fmt;

use crate::md5::{self, Md5Hash};
use crate::scram::Verifier;
use crate::{Error, Secret, caching_sha2, ed25519, native};

/// A configured secret: a password, or one of the forms in which PostgreSQL, MySQL and MariaDB store one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The password itself: checks and performs every method.
    Plain(Secret),
    /// `md5` and 32 digits: the md5 method, and checking cleartext passwords.
    Md5(Md5Hash),
    /// `SCRAM-SHA-256$…`: checks SCRAM and cleartext; logs in only with keys recovered from a client.
    Scram(Verifier),
    /// `*` and 40 digits: checks `mysql_native_password` and cleartext; logs in only with what a client's login taught.
    Native(native::Hash),
    /// `$A$005$…`: checks cleartext, and with what a login taught `caching_sha2_password`; logs in only with the same.
    CachingSha2(caching_sha2::Verifier),
    /// `ed25519:` and 43 characters: checks MariaDB's `ed25519` and cleartext, and logs in nowhere.
    Ed25519(ed25519::PublicKey),
}

/// How a server or a client wants the password proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The password as it is (`AuthenticationCleartextPassword`).
    Cleartext,
    /// The salted md5 of a stored md5 hash (`AuthenticationMD5Password`).
    Md5,
    /// SCRAM-SHA-256 (`AuthenticationSASL`).
    Scram,
    /// MySQL's `mysql_native_password`.
    Native,
    /// MySQL's `caching_sha2_password`.
    CachingSha2,
    /// MariaDB's `ed25519`.
    Ed25519,
}

/// The form of a [`Credential`], for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Credential::Plain`].
    Plain,
    /// [`Credential::Md5`].
    Md5,
    /// [`Credential::Scram`].
    Scram,
    /// [`Credential::Native`].
    Native,
    /// [`Credential::CachingSha2`].
    CachingSha2,
    /// [`Credential::Ed25519`].
    Ed25519,
}

/// Whether a credential can log in to a server by some method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerLogin {
    /// With nothing else.
    Possible,
    /// With the [`ClientKeys`](crate::scram::ClientKeys) recovered from a client that logged in here by SCRAM, provided the
    /// server stores the very same verifier.
    NeedsClientKeys,
    /// With what a client's login here by the same method taught ([`Learned`](crate::Learned)).
    NeedsLearned,
    /// Not at all.
    Impossible,
}

impl Credential {
    /// Recognises the form of a configured text, as PgBouncer does: a verifier, a hash, or else a password.
    ///
    /// Stricter in one point: a text that begins like a verifier and is none is refused. As a password it would let in
    /// whoever has read the configuration.
    ///
    /// # Errors
    /// Those of [`Verifier::parse`], [`caching_sha2::Verifier::parse`] and [`ed25519::PublicKey::parse`], and
    /// [`Error::EmptyPassword`].
    pub fn parse(text: Secret) -> Result<Self, Error> {
        let bytes = text.expose();
        if bytes.is_empty() {
            Err(Error::EmptyPassword)
        } else if bytes.starts_with(Verifier::PREFIX.as_bytes()) {
            Verifier::parse(bytes).map(Self::Scram)
        } else if [caching_sha2::Verifier::PREFIX, caching_sha2::Verifier::PREFIX_HEX]
            .iter()
            .any(|prefix| bytes.starts_with(prefix.as_bytes()))
        {
            caching_sha2::Verifier::parse(bytes).map(Self::CachingSha2)
        } else if let Some(key) = bytes.strip_prefix(ed25519::PublicKey::PREFIX.as_bytes()) {
            ed25519::PublicKey::parse(key).map(Self::Ed25519)
        } else if let Some(hash) = native::Hash::parse(bytes) {
            Ok(Self::Native(hash))
        } else if let Some(hash) = Md5Hash::parse(bytes) {
            Ok(Self::Md5(hash))
        } else {
            Ok(Self::Plain(text))
        }
    }

    /// Whether a client can be asked to log in by `method`, given only this.
    ///
    /// `caching_sha2_password` ends with the password itself when nothing else is known, so every form can check it.
    pub fn can_check(&self, method: Method) -> bool {
        match (self, method) {
            (_, Method::Cleartext | Method::CachingSha2) | (Self::Plain(_), _) => true,
            (Self::Md5(_), Method::Md5) | (Self::Scram(_), Method::Scram) => true,
            (Self::Native(_), Method::Native) | (Self::Ed25519(_), Method::Ed25519) => true,
            (_, Method::Md5 | Method::Scram | Method::Native | Method::Ed25519) => false,
        }
    }

    /// Whether we can log in to a server that asks for `method`.
    pub fn server_login(&self, method: Method) -> ServerLogin {
        match (self, method) {
            (Self::Plain(_), _) | (Self::Md5(_), Method::Md5) => ServerLogin::Possible,
            (Self::Scram(_), Method::Scram) => ServerLogin::NeedsClientKeys,
            (Self::Native(_), Method::Native) | (Self::CachingSha2(_), Method::CachingSha2) => {
                ServerLogin::NeedsLearned
            }
            (_, _) => ServerLogin::Impossible,
        }
    }

    /// Checks a cleartext password. An empty one is always wrong, as for PostgreSQL.
    ///
    /// Expensive (a millisecond or more) when this is a verifier of SCRAM or of `caching_sha2_password`.
    pub fn accepts_cleartext(&self, user: &[u8], password: &Secret) -> bool {
        if password.is_empty() {
            return false;
        }
        match self {
            Self::Plain(own) => own == password,
            Self::Md5(hash) => *hash == Md5Hash::from_password(password, user),
            Self::Scram(verifier) => verifier.accepts(password),
            Self::Native(hash) => *hash == native::Hash::from_password(password),
            Self::CachingSha2(verifier) => verifier.accepts(password),
            Self::Ed25519(key) => *key == ed25519::PublicKey::from_password(password),
        }
    }

    /// Checks a client's md5 response (without the closing NUL) to `salt`.
    ///
    /// # Errors
    /// [`Error::CannotUse`] for any form but a password and an md5 hash.
    pub fn accepts_md5(&self, user: &[u8], salt: [u8; md5::SALT_LEN], response: &[u8]) -> Result<bool, Error> {
        self.with_md5_hash(user, |hash| hash.accepts(salt, response))
    }

    /// Our response to a server that asks for md5 (without the closing NUL).
    ///
    /// # Errors
    /// [`Error::CannotUse`] for any form but a password and an md5 hash.
    pub fn md5_response(&self, user: &[u8], salt: [u8; md5::SALT_LEN]) -> Result<[u8; md5::TEXT_LEN], Error> {
        self.with_md5_hash(user, |hash| hash.response(salt))
    }

    /// The configured verifier, if that is what this is. For a password, make one once with [`Verifier::from_password`].
    pub fn verifier(&self) -> Option<&Verifier> {
        match self {
            Self::Scram(verifier) => Some(verifier),
            Self::Plain(_) | Self::Md5(_) | Self::Native(_) | Self::CachingSha2(_) | Self::Ed25519(_) => None,
        }
    }

    /// The configured password, if that is what this is.
    ///
    /// # Errors
    /// For any other form, [`Error::NeedsClientKeys`] or [`Error::NeedsLearned`] where a client's login helps out with `method`
    /// ([`Credential::server_login`]), else [`Error::CannotUse`].
    pub fn password_for(&self, method: Method) -> Result<&Secret, Error> {
        match (self, self.server_login(method)) {
            (Self::Plain(password), _) => Ok(password),
            (_, ServerLogin::NeedsClientKeys) => Err(Error::NeedsClientKeys),
            (_, ServerLogin::NeedsLearned) => Err(Error::NeedsLearned { secret: self.kind() }),
            (_, _) => Err(Error::CannotUse { secret: self.kind(), method }),
        }
    }

    /// Which form this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Plain(_) => Kind::Plain,
            Self::Md5(_) => Kind::Md5,
            Self::Scram(_) => Kind::Scram,
            Self::Native(_) => Kind::Native,
            Self::CachingSha2(_) => Kind::CachingSha2,
            Self::Ed25519(_) => Kind::Ed25519,
        }
    }

    fn with_md5_hash<T>(&self, user: &[u8], use_hash: impl FnOnce(&Md5Hash) -> T) -> Result<T, Error> {
        match self {
            Self::Plain(password) => Ok(use_hash(&Md5Hash::from_password(password, user))),
            Self::Md5(hash) => Ok(use_hash(hash)),
            _ => Err(Error::CannotUse { secret: self.kind(), method: Method::Md5 }),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cleartext => "cleartext password",
            Self::Md5 => "md5",
            Self::Scram => "SCRAM-SHA-256",
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
            Self::Ed25519 => "ed25519",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "password",
            Self::Md5 => "md5 hash",
            Self::Scram => "SCRAM verifier",
            Self::Native => "mysql_native_password hash",
            Self::CachingSha2 => "caching_sha2_password verifier",
            Self::Ed25519 => "ed25519 public key",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "md54a0a68b43b6cd5cf266fa02f196e2371";
    const SCRAM: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    const NATIVE: &str = "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4";
    const SHA2: &str = "0x24412430303524031A69251C34295C4B35167C7F1E5A7B63091349503974624D34504B5A424679354856336868686F52485A736E4A733368786E427575516C73446469496537";
    const ED25519: &str = "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY";

    fn parse(text: &str) -> Credential {
        Credential::parse(Secret::from(text)).unwrap()
    }

    #[test]
    fn forms_are_recognised() {
        for (text, kind) in [
            ("pencil", Kind::Plain),
            ("md5", Kind::Plain),
            ("md5 is no hash", Kind::Plain),
            ("SCRAM-SHA-256", Kind::Plain),
            (MD5, Kind::Md5),
            (&MD5.to_uppercase(), Kind::Plain),
            (SCRAM, Kind::Scram),
            (NATIVE, Kind::Native),
            (&NATIVE[..40], Kind::Plain),
            (&NATIVE[1..], Kind::Plain),
            (SHA2, Kind::CachingSha2),
            ("0x24", Kind::Plain),
            (ED25519, Kind::Ed25519),
            (&ED25519[8..], Kind::Plain),
        ] {
            assert_eq!(parse(text).kind(), kind, "{text}");
        }
        assert_eq!(Credential::parse(Secret::from("")), Err(Error::EmptyPassword));
        assert!(matches!(Credential::parse(Secret::from(&SCRAM[..60])), Err(Error::NotAVerifier { .. })));
        assert!(matches!(Credential::parse(Secret::from("$A$005$")), Err(Error::NotASha2Verifier { .. })));
        assert!(matches!(Credential::parse(Secret::from(&SHA2[..60])), Err(Error::NotASha2Verifier { .. })));
        assert_eq!(Credential::parse(Secret::from("ed25519:x")), Err(Error::NotAnEd25519Key));
        let stored = caching_sha2::Verifier::parse(SHA2.as_bytes()).unwrap().to_text();
        assert_eq!(Credential::parse(stored), Ok(parse(SHA2)));
    }

    #[test]
    fn what_each_form_can_do() {
        use ServerLogin::{Impossible, NeedsClientKeys, NeedsLearned, Possible};
        const METHODS: [Method; 6] =
            [Method::Cleartext, Method::Md5, Method::Scram, Method::Native, Method::CachingSha2, Method::Ed25519];
        const NO: ServerLogin = Impossible;
        for (text, check, login) in [
            ("pencil", [true; 6], [Possible; 6]),
            (MD5, [true, true, false, false, true, false], [NO, Possible, NO, NO, NO, NO]),
            (SCRAM, [true, false, true, false, true, false], [NO, NO, NeedsClientKeys, NO, NO, NO]),
            (NATIVE, [true, false, false, true, true, false], [NO, NO, NO, NeedsLearned, NO, NO]),
            (SHA2, [true, false, false, false, true, false], [NO, NO, NO, NO, NeedsLearned, NO]),
            (ED25519, [true, false, false, false, true, true], [NO; 6]),
        ] {
            let credential = parse(text);
            assert_eq!(METHODS.map(|method| credential.can_check(method)), check, "{text}");
            assert_eq!(METHODS.map(|method| credential.server_login(method)), login, "{text}");
            assert_eq!(credential.password_for(Method::Cleartext).is_ok(), login[0] == Possible);
            assert_eq!(credential.verifier().is_some(), text == SCRAM);
        }
    }

    #[test]
    fn why_a_form_cannot_log_in() {
        for (text, method, why) in [
            (SCRAM, Method::Scram, "a SCRAM verifier needs the keys of a client's login first"),
            (
                SCRAM,
                Method::Cleartext,
                "the configured SCRAM verifier cannot be used for cleartext password authentication",
            ),
            (
                NATIVE,
                Method::Native,
                "a mysql_native_password hash needs a client's login first, which tells what answers the server",
            ),
            (ED25519, Method::Ed25519, "the configured ed25519 public key cannot be used for ed25519 authentication"),
            (MD5, Method::Scram, "the configured md5 hash cannot be used for SCRAM-SHA-256 authentication"),
        ] {
            assert_eq!(parse(text).password_for(method).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn cleartext_is_checked_against_each_form() {
        for (text, password) in [
            ("secret", "secret"),
            (MD5, "secret"),
            (SCRAM, "pencil"),
            (NATIVE, "mypass"),
            (SHA2, "foobar"),
            (ED25519, "secret"),
        ] {
            let credential = parse(text);
            assert!(credential.accepts_cleartext(b"alice", &Secret::from(password)));
            assert!(!credential.accepts_cleartext(b"alice", &Secret::from("wrong")));
            assert!(!credential.accepts_cleartext(b"alice", &Secret::from("")));
        }
        assert!(!parse(MD5).accepts_cleartext(b"bob", &Secret::from("secret")));
        assert!(!Credential::Plain(Secret::from("")).accepts_cleartext(b"bob", &Secret::from("")));
    }

    #[test]
    fn md5_both_ways() {
        let salt = [1, 2, 3, 4];
        let response = parse("secret").md5_response(b"alice", salt).unwrap();
        assert_eq!(parse(MD5).md5_response(b"ignored: it is in the hash", salt), Ok(response));
        assert_eq!(parse(MD5).accepts_md5(b"alice", salt, &response), Ok(true));
        assert_eq!(parse("secret").accepts_md5(b"bob", salt, &response), Ok(false));
        let refused = Err(Error::CannotUse { secret: Kind::Scram, method: Method::Md5 });
        assert_eq!(parse(SCRAM).md5_response(b"alice", salt), refused);
    }
}
