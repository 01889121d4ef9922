//! Who proves what to whom: secrets are taken out of the keys, and looked up where they are kept elsewhere.

use auth::Credential;

use super::Check;
use crate::UserLogin;
use crate::keys::{DatabaseKeys, File, UserKeys};
use crate::secrets::Given;

impl Check<'_> {
    fn secret(&mut self, given: Given<'_>, path: &[&str]) -> Option<Credential> {
        given.read(self.directory).unwrap_or_else(|refused| {
            self.wrong(&[path, &[&refused.key]].concat(), refused.message);
            None
        })
    }

    pub(super) fn admin(&mut self, file: &mut File) -> Option<Credential> {
        let admin = &mut file.admin;
        let given = Given {
            key: "password",
            text: admin.password.take(),
            env: admin.password_env.as_deref(),
            file: admin.password_file.as_deref(),
        };
        let is_given = given.is_given();
        let credential = self.secret(given, &["admin"]);
        for (key, names) in [("users", &admin.users), ("stats_users", &admin.stats_users)] {
            for name in names.iter().filter(|name| !is_given && !file.users.iter().any(|user| user.name == **name)) {
                let message =
                    format!("`{name}` could not log in: there is no user of this name and no `password` here");
                let hint = route::nearest(name, file.users.iter().map(|user| &*user.name));
                let hint = hint.map(|name| format!("did you mean `{name}`?"));
                self.problems.push(self.places.problem(&["admin", key], message, hint));
            }
        }
        credential
    }

    /// What each user proves to us; `None` where that is unknown, which is a problem already.
    pub(super) fn clients(&mut self, users: &mut [UserKeys]) -> Vec<Option<Credential>> {
        let mut clients = Vec::with_capacity(users.len());
        for (user, index) in users.iter_mut().zip(0_usize..) {
            let (name, index) = (&user.name, index.to_string());
            let given = Given {
                key: "password",
                text: user.password.take(),
                env: user.password_env.as_deref(),
                file: user.password_file.as_deref(),
            };
            if !given.is_given() {
                let message = format!("user `{name}` has no password");
                let hint = "give one of `password`, `password_env` and `password_file`".into();
                self.problems.push(self.places.problem(&["users", &index], message, Some(hint)));
            }
            clients.push(self.secret(given, &["users", &index]));
        }
        clients
    }

    /// What we prove to servers for each user: its own server password, else that of the user it becomes, else its own.
    pub(super) fn user_logins(
        &mut self,
        users: &mut [UserKeys],
        clients: &[Option<Credential>],
    ) -> Vec<Option<UserLogin>> {
        let mut logins = Vec::with_capacity(users.len());
        for index in 0..users.len() {
            let path = index.to_string();
            let user = &mut users[index];
            let given = Given {
                key: "server_password",
                text: user.server_password.take(),
                env: user.server_password_env.as_deref(),
                file: user.server_password_file.as_deref(),
            };
            let is_given = given.is_given();
            let own = self.secret(given, &["users", &path]);
            let Some(client) = clients.get(index).cloned().flatten() else {
                logins.push(None);
                continue;
            };
            let server = match &users[index].server_user {
                None => own.unwrap_or_else(|| client.clone()),
                Some(_) if is_given => own.unwrap_or_else(|| client.clone()),
                Some(name) => match (credential_of(name, users, clients), &client) {
                    (Some(credential), _) => credential,
                    (None, Credential::Plain(_)) => client.clone(),
                    (None, _) => {
                        // A hash or verifier belongs to one name and salt: useless for another user.
                        let message = format!("there is no password to log in to the server as `{name}`");
                        let hint = "give `server_password`, or a `[[users]]` entry of that name".into();
                        let path = ["users", &path, "server_user"];
                        self.problems.push(self.places.problem(&path, message, Some(hint)));
                        client.clone()
                    }
                },
            };
            logins.push(Some(UserLogin { client, server }));
        }
        logins
    }

    pub(super) fn database_logins(
        &mut self,
        databases: &mut [DatabaseKeys],
        users: &[UserKeys],
        clients: &[Option<Credential>],
    ) -> Vec<Option<Credential>> {
        let mut logins = Vec::with_capacity(databases.len());
        for (database, index) in databases.iter_mut().zip(0_usize..) {
            let path = index.to_string();
            let given = Given {
                key: "server_password",
                text: database.server_password.take(),
                env: database.server_password_env.as_deref(),
                file: database.server_password_file.as_deref(),
            };
            let is_given = given.is_given();
            let own = self.secret(given, &["databases", &path]);
            let login = match &database.server_user {
                None if is_given => {
                    self.wrong(&["databases", &path, "server_password"], "a password needs a `server_user`");
                    None
                }
                None => None,
                Some(name) => {
                    let login = own.or_else(|| credential_of(name, users, clients));
                    if login.is_none() && !is_given {
                        let message = format!("there is no password to log in to the server as `{name}`");
                        let hint = "give `server_password`, or a `[[users]]` entry of that name".into();
                        let path = ["databases", &path, "server_user"];
                        self.problems.push(self.places.problem(&path, message, Some(hint)));
                    }
                    login
                }
            };
            logins.push(login);
        }
        logins
    }
}

fn credential_of(name: &str, users: &[UserKeys], clients: &[Option<Credential>]) -> Option<Credential> {
    let index = users.iter().position(|user| user.name == name)?;
    clients.get(index).cloned().flatten()
}
