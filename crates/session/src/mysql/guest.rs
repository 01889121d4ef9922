//! Users that the configuration does not name: the server itself checks their passwords.

use std::{sync::Arc, time::Duration};

use auth::{Credential, Secret};
use mysql::ErrorReply;
use subtle::ConstantTimeEq;

use super::{connector, greet::Refusal};
use crate::{
    driver::Driver,
    engine::{Engine, GuestKey},
    lane::Flavour,
    mysql::Login,
    secrets::UserSecret,
};

/// The most logins at once by which passwords of guests are checked. Each takes a connection of the server for a moment,
/// outside its budget.
pub(crate) const CHECKS_MAX: usize = 4;

/// How long a password is taken that a server has accepted, before the server is asked again: an account may have been
/// locked, or got another password.
const TRUSTED_FOR: Duration = Duration::from_secs(60);

/// Errors by which a server says that this password, or the account as such, is no good (any more): access denied, the
/// account is locked, the password expired or is blocked after failures. MySQL's and MariaDB's numbers differ.
const REVOKED: [u16; 6] = [1045, 1698, 1862, 3118, 3955, 4151];

/// Checks a guest's password: against the one that a server has accepted lately, else by logging in to the server with it.
/// From then on the guest's connections log in with it.
pub(super) async fn verify(
    engine: &Arc<Engine>,
    user: &Arc<str>,
    database: &Arc<str>,
    flavour: Flavour,
    password: Secret,
) -> Result<(), Refusal> {
    let found = engine.driver(user, database);
    let (server, driver, resolved) = found.map_err(|error| super::greet::no_lane(error, database))?;
    let Driver::Mysql(driver) = driver else { return Err(ErrorReply::unknown_database(database).into()) };
    let key = GuestKey { server, server_user: resolved.server_user, user: user.clone() };
    let known = engine.guest(&key).filter(|known| is_same(&known.secret, &password));
    if known.as_ref().is_some_and(|known| known.accepted.elapsed() < TRUSTED_FOR) {
        return Ok(());
    }
    let is_known = known.is_some();
    let secret = known.map_or_else(|| Arc::new(UserSecret::new(Credential::Plain(password))), |known| known.secret);
    let login = Login {
        user: key.server_user.clone(),
        database: resolved.server_database,
        secret: Some(secret.clone()),
        flavour,
    };
    let turn = engine.guest_checks.acquire().await;
    driver.try_login(&login).await.map_err(|error| match error.said() {
        Some((code, sqlstate, message)) => {
            if is_known && REVOKED.contains(&code) {
                engine.expel_guest(&key);
            }
            Refusal::from(ErrorReply::new(code, sqlstate, message.to_owned()))
        }
        None => ErrorReply::read_error(format!("The database server cannot check the password: {error}")).into(),
    })?;
    drop(turn);
    engine.admit_guest(key, secret);
    Ok(())
}

fn is_same(known: &UserSecret, password: &Secret) -> bool {
    match &**known.credential() {
        Credential::Plain(known) => known.expose().ct_eq(password.expose()).into(),
        _ => false,
    }
}

/// Logs in and out again.
pub(super) async fn try_login(
    address: &route::Address,
    habits: &connector::Habits,
    login: &Login,
) -> Result<(), connector::ServerError> {
    let stream = habits.dialling.connect(address).await?;
    let (mut stream, _session) = connector::greet(stream, login, address, habits).await?;
    let mut packet = Vec::new();
    mysql::write::command(&mut packet, mysql::command::Command::Quit, b"");
    stream.write_all(&packet).await?;
    stream.shut_down().await;
    Ok(())
}
