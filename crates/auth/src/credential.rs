//! What a user's configured secret is, and which logins it can check or perform.

use std::fmt;

use crate::md5::{self, Md5Hash};
use crate::scram::Verifier;
use crate::{Error, Secret};

/// A configured secret in one of the forms PostgreSQL stores and PgBouncer's `userlist.txt` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The password itself: checks and performs every method.
    Plain(Secret),
    /// `md5` and 32 digits: the md5 method, and checking cleartext passwords.
    Md5(Md5Hash),
    /// `SCRAM-SHA-256$…`: checks SCRAM and cleartext; logs in only with keys recovered from a client.
    Scram(Verifier),
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
}

/// Whether a credential can log in to a server by some method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerLogin {
    /// With nothing else.
    Possible,
    /// With the [`ClientKeys`](crate::scram::ClientKeys) recovered from a client that logged in here by SCRAM, provided the
    /// server stores the very same verifier.
    NeedsClientKeys,
    /// Not at all.
    Impossible,
}

impl Credential {
    /// Recognises the form of a configured text, as PgBouncer does: a verifier, an md5 hash, or else a password.
    ///
    /// Stricter in one point: a text that begins like a verifier and is none is refused. As a password it would let in
    /// whoever has read the configuration.
    ///
    /// # Errors
    /// Those of [`Verifier::parse`], and [`Error::EmptyPassword`].
    pub fn parse(text: Secret) -> Result<Self, Error> {
        let bytes = text.expose();
        if bytes.is_empty() {
            Err(Error::EmptyPassword)
        } else if bytes.starts_with(Verifier::PREFIX.as_bytes()) {
            Verifier::parse(bytes).map(Self::Scram)
        } else if let Some(hash) = Md5Hash::parse(bytes) {
            Ok(Self::Md5(hash))
        } else {
            Ok(Self::Plain(text))
        }
    }

    /// Whether a client can be asked to log in by `method`, given only this.
    pub fn can_check(&self, method: Method) -> bool {
        match (self, method) {
            (_, Method::Cleartext) | (Self::Plain(_), _) => true,
            (Self::Md5(_), Method::Md5) | (Self::Scram(_), Method::Scram) => true,
            (Self::Md5(_), Method::Scram) | (Self::Scram(_), Method::Md5) => false,
        }
    }

    /// Whether we can log in to a server that asks for `method`.
    pub fn server_login(&self, method: Method) -> ServerLogin {
        match (self, method) {
            (Self::Plain(_), _) | (Self::Md5(_), Method::Md5) => ServerLogin::Possible,
            (Self::Scram(_), Method::Scram) => ServerLogin::NeedsClientKeys,
            (Self::Md5(_) | Self::Scram(_), _) => ServerLogin::Impossible,
        }
    }

    /// Checks a cleartext password. An empty one is always wrong, as for PostgreSQL.
    ///
    /// Expensive (PBKDF2, about a millisecond) when this is a SCRAM verifier.
    pub fn accepts_cleartext(&self, user: &[u8], password: &Secret) -> bool {
        if password.is_empty() {
            return false;
        }
        match self {
            Self::Plain(own) => own == password,
            Self::Md5(hash) => *hash == Md5Hash::from_password(password, user),
            Self::Scram(verifier) => verifier.accepts(password),
        }
    }

    /// Checks a client's md5 response (without the closing NUL) to `salt`.
    ///
    /// # Errors
    /// [`Error::CannotUse`] for a SCRAM verifier.
    pub fn accepts_md5(&self, user: &[u8], salt: [u8; md5::SALT_LEN], response: &[u8]) -> Result<bool, Error> {
        self.with_md5_hash(user, |hash| hash.accepts(salt, response))
    }

    /// Our response to a server that asks for md5 (without the closing NUL).
    ///
    /// # Errors
    /// [`Error::CannotUse`] for a SCRAM verifier.
    pub fn md5_response(&self, user: &[u8], salt: [u8; md5::SALT_LEN]) -> Result<[u8; md5::TEXT_LEN], Error> {
        self.with_md5_hash(user, |hash| hash.response(salt))
    }

    /// The configured verifier, if that is what this is. For a password, make one once with [`Verifier::from_password`].
    pub fn verifier(&self) -> Option<&Verifier> {
        match self {
            Self::Scram(verifier) => Some(verifier),
            Self::Plain(_) | Self::Md5(_) => None,
        }
    }

    /// The configured password, if that is what this is.
    ///
    /// # Errors
    /// [`Error::NeedsClientKeys`] for a SCRAM verifier and SCRAM; otherwise [`Error::CannotUse`], naming `method`, for the other
    /// forms.
    pub fn password_for(&self, method: Method) -> Result<&Secret, Error> {
        match self {
            Self::Plain(password) => Ok(password),
            Self::Scram(_) if method == Method::Scram => Err(Error::NeedsClientKeys),
            Self::Md5(_) | Self::Scram(_) => Err(Error::CannotUse { secret: self.kind(), method }),
        }
    }

    /// Which form this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Plain(_) => Kind::Plain,
            Self::Md5(_) => Kind::Md5,
            Self::Scram(_) => Kind::Scram,
        }
    }

    fn with_md5_hash<T>(&self, user: &[u8], use_hash: impl FnOnce(&Md5Hash) -> T) -> Result<T, Error> {
        match self {
            Self::Plain(password) => Ok(use_hash(&Md5Hash::from_password(password, user))),
            Self::Md5(hash) => Ok(use_hash(hash)),
            Self::Scram(_) => Err(Error::CannotUse { secret: self.kind(), method: Method::Md5 }),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cleartext => "cleartext password",
            Self::Md5 => "md5",
            Self::Scram => "SCRAM-SHA-256",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "password",
            Self::Md5 => "md5 hash",
            Self::Scram => "SCRAM verifier",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "md54a0a68b43b6cd5cf266fa02f196e2371";
    const SCRAM: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

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
        ] {
            assert_eq!(parse(text).kind(), kind, "{text}");
        }
        assert_eq!(Credential::parse(Secret::from("")), Err(Error::EmptyPassword));
        assert!(matches!(Credential::parse(Secret::from(&SCRAM[..60])), Err(Error::NotAVerifier { .. })));
    }

    #[test]
    fn what_each_form_can_do() {
        use Method::{Cleartext, Md5, Scram};
        use ServerLogin::{Impossible, NeedsClientKeys, Possible};
        for (text, check, login) in [
            ("pencil", [true, true, true], [Possible, Possible, Possible]),
            (MD5, [true, true, false], [Impossible, Possible, Impossible]),
            (SCRAM, [true, false, true], [Impossible, Impossible, NeedsClientKeys]),
        ] {
            let credential = parse(text);
            assert_eq!([Cleartext, Md5, Scram].map(|method| credential.can_check(method)), check, "{text}");
            assert_eq!([Cleartext, Md5, Scram].map(|method| credential.server_login(method)), login, "{text}");
            assert_eq!(credential.password_for(Cleartext).is_ok(), login[0] == Possible);
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
            (MD5, Method::Scram, "the configured md5 hash cannot be used for SCRAM-SHA-256 authentication"),
        ] {
            assert_eq!(parse(text).password_for(method).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn cleartext_is_checked_against_each_form() {
        for (text, password) in [("secret", "secret"), (MD5, "secret"), (SCRAM, "pencil")] {
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
