//! Hashes that lost something on their way here, and count as passwords now.

use auth::Credential;

use crate::Config;

/// How stored hashes begin, what follows in hexadecimal digits, and what they are called.
const HASHES: [(&str, usize, &str); 2] = [("md5", 32, "an md5 hash"), ("*", 40, "a mysql_native_password hash")];

/// How many digits a damaged hash may lack or have too many, where not all of them are digits.
const DAMAGE_MAX: usize = 4;

impl Config {
    /// Passwords that look like damaged hashes, without showing them.
    pub(super) fn damaged_hashes(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let mut look =
            |whose: String, credential: &Credential| {
                doubts.extend(resembles(credential).map(|hash| {
                    format!("{whose} looks like {hash} that is damaged, and is taken as the password itself")
                }));
            };
        for (user, login) in self.table.users().iter().zip(&self.users) {
            look(format!("user `{}`: the password", user.name), &login.client);
            if login.server != login.client {
                look(format!("user `{}`: the password for the server", user.name), &login.server);
            }
        }
        for (database, credential) in self.table.databases().iter().zip(&self.databases) {
            let whose = || format!("database `{}`: the password for the server", database.name);
            credential.iter().for_each(|credential| look(whose(), credential));
        }
        self.admin.iter().for_each(|credential| look("[admin]: the password".into(), credential));
        doubts
    }
}

/// The hash that a plain password was probably meant to be: it has the beginning, and then digits alone or the length.
fn resembles(credential: &Credential) -> Option<&'static str> {
    let Credential::Plain(password) = credential else { return None };
    let fits = |(start, len, _): &&(&str, usize, &str)| {
        password.expose().strip_prefix(start.as_bytes()).is_some_and(|rest| {
            let is_digits = !rest.is_empty() && rest.iter().all(u8::is_ascii_hexdigit);
            is_digits || rest.len().abs_diff(*len) <= DAMAGE_MAX
        })
    };
    HASHES.iter().find(fits).map(|(.., name)| *name)
}
