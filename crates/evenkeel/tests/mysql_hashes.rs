//! A user of whom only a hash is configured: what `evenkeel check` says, and what clients are told where a hash is not enough.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod mysql;
mod watch;

use std::process::Command;
use std::{fs, str};

use auth::{Secret, caching_sha2, native};
use common::{DATABASE, PASSWORD, USER, binary};
use mysql::{MyScene, MySetup};
use testkit::mysql::{Client, Kind, scramble};
use testkit::{Evenkeel, MyWire, Result, Speaks};

#[test]
fn a_hash_lets_in_as_far_as_it_goes() -> Result<()> {
    MySetup::new().on_each(|server| {
        let config = MySetup::new().config(&server.address());
        let config = config.replace(&format!("\"{PASSWORD}\""), &format!("'''{}'''", hash_for(server.kind())?));
        checked(&config)?;
        let evenkeel = Evenkeel::start_for(Speaks::MySql, binary(), &config)?;
        let scene = MyScene { evenkeel, server };
        if server.kind() == Kind::MySql {
            wants_the_password_itself(&scene)?;
        }
        assert_eq!(scene.client()?.value("select current_user()")?, format!("{USER}@%"));
        scene.at_rest()
    })
}

/// Before a user has logged in and afterwards. What Evenkeel has learned then shows in how it asks.
#[test]
fn a_wrong_password_and_an_unknown_user_are_refused_by_the_same_steps() -> Result<()> {
    MySetup::new().on_each(|server| {
        let config = MySetup::new().config(&server.address());
        let hash = hash_for(Kind::MySql)?;
        let server_login = format!("server_user = \"{USER}\"\nserver_password = \"{PASSWORD}\"");
        let config = config.replace(&format!("\"{PASSWORD}\""), &format!("'''{hash}'''\n{server_login}"));
        let evenkeel = Evenkeel::start_for(Speaks::MySql, binary(), &config)?;
        let first_answer = |user| first_answer_to(&evenkeel, user);
        assert_eq!(first_answer(USER)?, ASKS_IN_FULL);
        assert_eq!(first_answer("nobody")?, ASKS_IN_FULL);
        evenkeel.mysql_client(USER, PASSWORD, Some(DATABASE))?.quit()?;
        assert_eq!(first_answer(USER)?, REFUSES);
        assert_eq!(first_answer("nobody")?, REFUSES);
        Ok(())
    })
}

const ASKS_IN_FULL: u8 = 1;
const REFUSES: u8 = 0xff;

/// How the first answer to a wrong proof begins.
fn first_answer_to(evenkeel: &Evenkeel, user: &str) -> Result<u8> {
    let mut wire = MyWire::connect(&evenkeel.mysql_address())?;
    let greeting = wire.greet()?.clone();
    let answer = scramble(&greeting.plugin, "wrong", &greeting.challenge).unwrap();
    wire.send_login(&Client::new(user, "wrong", Some(DATABASE)), &greeting.plugin, &answer)?;
    Ok(wire.read()?.body[0])
}

/// What proves the password as the server's accounts keep it.
fn hash_for(kind: Kind) -> Result<String> {
    let password = Secret::from(PASSWORD);
    let text = match kind {
        Kind::MariaDb => native::Hash::from_password(&password).to_text(),
        Kind::MySql => {
            let salt = *b"salt of twenty bytes";
            caching_sha2::Verifier::from_password(&password, salt, caching_sha2::Rounds::DEFAULT)?.to_text()
        }
    };
    Ok(str::from_utf8(text.expose())?.to_owned())
}

fn checked(config: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("evenkeel.toml");
    fs::write(&file, config)?;
    let output = Command::new(binary()).args(["check", "--config"]).arg(&file).output()?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    let note = format!("{USER} on {DATABASE}: note: cannot be tried before a client has logged in");
    assert!(output.status.success() && said.contains(&note), "{said}");
    assert!(said.contains("cannot be tried yet: 1.") && !said.contains("failed"), "{said}");
    Ok(())
}

/// As MySQL does of everybody until it has seen it once: Evenkeel knows what proves it, and not the password.
fn wants_the_password_itself(scene: &MyScene<'_>) -> Result<()> {
    scene.server.sql("flush privileges")?;
    let error = scene.client().and_then(|mut wire| wire.value("select 1")).unwrap_err().to_string();
    assert!(error.contains("only a hash of it is known here: configure the password"), "{error}");
    // Once somebody else has logged in with it, the server remembers, and a hash will do.
    scene.direct()?.quit()
}
