//! Where secrets come from: the file itself, the environment, another file.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use auth::{Credential, Secret};

use crate::values::SecretText;

/// Longest secret file, in bytes: far above any password or verifier, far below what would hurt.
const SECRET_FILE_LEN_MAX: u64 = 64 << 10;

/// The three keys that one secret may be given by.
pub(crate) struct Given<'a> {
    /// The key's name, `password` or `server_password`.
    pub(crate) key: &'static str,
    pub(crate) text: Option<SecretText>,
    pub(crate) env: Option<&'a str>,
    pub(crate) file: Option<&'a str>,
}

/// Why there is no secret, and the key to change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) key: String,
    pub(crate) message: String,
}

impl Given<'_> {
    /// Whether any of the keys is there.
    pub(crate) fn is_given(&self) -> bool {
        self.text.is_some() || self.env.is_some() || self.file.is_some()
    }

    /// Reads the secret, if any of the keys is given. Relative files start at `directory`.
    pub(crate) fn read(self, directory: &Path) -> Result<Option<Credential>, Refused> {
        let (key_env, key_file) = (format!("{}_env", self.key), format!("{}_file", self.key));
        let refused = |key: &str, message: String| Refused { key: key.into(), message };
        let (key, secret) = match (self.text, self.env, self.file) {
            (None, None, None) => return Ok(None),
            (Some(text), None, None) => (self.key, text.0),
            (None, Some(name), None) => (&*key_env, from_env(name).map_err(|message| refused(&key_env, message))?),
            (None, None, Some(path)) => {
                (&*key_file, from_file(&directory.join(path)).map_err(|message| refused(&key_file, message))?)
            }
            _ => {
                let message = format!("give only one of `{}`, `{key_env}` and `{key_file}`", self.key);
                return Err(refused(self.key, message));
            }
        };
        Credential::parse(secret).map(Some).map_err(|error| refused(key, error.to_string()))
    }
}

fn from_env(name: &str) -> Result<Secret, String> {
    let unset = || format!("the environment variable `{name}` is not set");
    // The standard library panics on names that no variable can have.
    let valid = !name.is_empty() && !name.contains(['=', '\0']);
    let value = if valid { std::env::var_os(name) } else { None };
    value.map(OsString::into_vec).map(Secret::new).ok_or_else(unset)
}

/// The secret that a file holds, without the end of its last line.
pub(crate) fn from_file(path: &Path) -> Result<Secret, String> {
    let unreadable = |error| format!("cannot read {}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    file.take(SECRET_FILE_LEN_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_FILE_LEN_MAX {
        return Err(format!("{} is longer than {SECRET_FILE_LEN_MAX} bytes", path.display()));
    }
    // Editors end a file with a line feed; it is not part of the password.
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(text: Option<&str>, env: Option<&'a str>, file: Option<&'a str>) -> Given<'a> {
        Given { key: "password", text: text.map(|text| SecretText(Secret::from(text))), env, file }
    }

    fn message(given: Given<'_>) -> String {
        let refused = given.read(Path::new("/nowhere")).unwrap_err();
        format!("{}: {}", refused.key, refused.message)
    }

    #[test]
    fn each_source_is_read() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("secret"), "hunter2\r\n").unwrap();
        let plain = |text: &str| Ok(Some(Credential::Plain(Secret::from(text))));
        let read = |given: Given<'_>| given.read(directory.path());
        assert_eq!(read(given(Some("hunter2"), None, None)), plain("hunter2"));
        assert_eq!(read(given(None, Some("CARGO_PKG_NAME"), None)), plain("evenkeel-config"));
        assert_eq!(read(given(None, None, Some("secret"))), plain("hunter2"));
        assert_eq!(read(given(None, None, None)), Ok(None));
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_is_shown() {
        assert_eq!(
            message(given(None, Some("EVENKEEL_UNSET"), None)),
            "password_env: the environment variable `EVENKEEL_UNSET` is not set"
        );
        assert_eq!(message(given(None, Some("a=b"), None)), "password_env: the environment variable `a=b` is not set");
        assert!(message(given(None, None, Some("x"))).starts_with("password_file: cannot read /nowhere/x: "));
        assert!(message(given(None, None, Some("/dev/zero"))).contains("longer than 65536 bytes"));
        let both = message(given(Some("hunter2"), Some("X"), None));
        assert_eq!(both, "password: give only one of `password`, `password_env` and `password_file`");
        assert!(message(given(Some(""), None, None)).starts_with("password: "));
        assert!(!message(given(Some("SCRAM-SHA-256$hunter2"), None, None)).contains("hunter2"));
    }
}
