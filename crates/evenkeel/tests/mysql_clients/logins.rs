//! How clients prove who they are.
//!
//! Every login is tried by every client, on connections that are encrypted and others that are not. What a client cannot do
//! is no failure, unless the page says that it can.

use std::fmt::Write as _;

use anyhow::Result;
use auth::{Secret, caching_sha2, ed25519, native};
use testkit::mysql::{Login, Options, Server};
use testkit::{Evenkeel, Speaks};

use crate::client::{CLIENTS, Client};
use crate::order::{Channel, Order, Outcome, Report, Task};
use crate::scene::{Identity, PASSWORD, USER, binary};
use crate::table::{Found, Table};

/// A way to log in that is tried.
pub(crate) struct Way {
    /// What readers call it.
    title: &'static str,
    /// What the user is called that logs in so.
    user: User,
    password: &'static str,
    channel: Channel,
    at: At,
    expected: Expected,
}

/// Whom a client logs in as.
#[derive(Clone, Copy)]
enum User {
    /// This one.
    Named(&'static str),
    /// One of its own with this prefix, whose login nobody has tried before.
    Own(&'static str),
}

/// Which Evenkeel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// One that offers `caching_sha2_password` first.
    Sha2,
    /// One that offers `mysql_native_password` first.
    Native,
    /// One that asks the server about users it does not know.
    AskServer,
    /// One whose users all have passwords, as those then seem to have whom it does not know. Elsewhere they are asked in the
    /// way of any user, which a client may not know.
    Passwords,
}

/// What a login ends with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Success,
    /// Error 1045.
    Denied,
}

/// The server that the logins lead to, and one Evenkeel of each kind before it.
pub(crate) struct Doors {
    sha2: Evenkeel,
    native: Evenkeel,
    ask_server: Evenkeel,
    passwords: Evenkeel,
}

/// The user that only the server knows.
const GUEST: &str = "guest";
const DATABASE: &str = "shop";

/// What the server is started with, beside what others want of it.
pub(crate) fn options(others: Options) -> Options {
    others.user(GUEST, PASSWORD, Login::Usual).database(DATABASE)
}

pub(crate) const WAYS: &[Way] = &{
    use Channel::{Plain, Tls};
    const fn way(title: &'static str, user: User, channel: Channel, at: At) -> Way {
        Way { title, user, password: PASSWORD, channel, at, expected: Expected::Success }
    }
    const fn denied(title: &'static str, user: &'static str, channel: Channel, at: At) -> Way {
        Way { title, user: User::Named(user), password: "wrong", channel, at, expected: Expected::Denied }
    }
    const HASHED: User = User::Own("hashed");
    const SIGNED: User = User::Own("signed");
    [
        way("password, `caching_sha2_password` first", User::Named(USER), Plain, At::Sha2),
        way("the same over TLS", User::Named(USER), Tls, At::Sha2),
        way("password, `mysql_native_password` first", User::Named(USER), Plain, At::Native),
        way("the same over TLS", User::Named(USER), Tls, At::Native),
        way("hash `*…`", HASHED, Plain, At::Sha2),
        way("hash `*…`, over TLS", HASHED, Tls, At::Sha2),
        way("hash `$A$005$…`, in full by RSA", User::Own("rsa"), Plain, At::Sha2),
        way("hash `$A$005$…`, in full over TLS", User::Own("tls"), Tls, At::Sha2),
        way("the same again, fast without TLS", User::Own("tls"), Plain, At::Sha2),
        way("key `ed25519:…`", SIGNED, Plain, At::Sha2),
        way("key `ed25519:…`, over TLS", SIGNED, Tls, At::Sha2),
        way("the server's word, by RSA", User::Named(GUEST), Plain, At::AskServer),
        way("the server's word, over TLS", User::Named(GUEST), Tls, At::AskServer),
        denied("wrong password: 1045", USER, Plain, At::Sha2),
        denied("wrong password over TLS: 1045", USER, Tls, At::Native),
        denied("unknown user: 1045", "nobody", Plain, At::Passwords),
        denied("wrong password, by the server's word: 1045", GUEST, Tls, At::AskServer),
    ]
};

impl Doors {
    pub(crate) fn open(server: &Server, identity: &Identity) -> Result<Self> {
        let start = |mysql: &str, users: &str| {
            let config = config(server, identity, mysql) + users;
            Evenkeel::start_for(Speaks::MySql, binary(), &config)
        };
        let users = users_with_other_credentials()?;
        Ok(Self {
            sha2: start("", &users)?,
            native: start("auth_plugin = \"mysql_native_password\"", &users)?,
            ask_server: start("unknown_users = \"ask_server\"", &users)?,
            passwords: start("", "")?,
        })
    }

    /// What a client is to do to try every way.
    pub(crate) fn orders(&self, client: &Client, identity: &Identity) -> Vec<Order> {
        WAYS.iter().map(|way| self.order(way, client, identity)).collect()
    }

    fn order(&self, way: &Way, client: &Client, identity: &Identity) -> Order {
        let evenkeel = match way.at {
            At::Sha2 => &self.sha2,
            At::Native => &self.native,
            At::AskServer => &self.ask_server,
            At::Passwords => &self.passwords,
        };
        let user = match way.user {
            User::Named(name) => name.to_owned(),
            User::Own(prefix) => own(prefix, client),
        };
        Order {
            port: evenkeel.mysql_port(),
            user,
            password: way.password.to_owned(),
            database: DATABASE.to_owned(),
            channel: way.channel,
            ca: identity.ca(),
            task: Task::Login("login".to_owned()),
        }
    }
}

/// What a client's reports about every way come to.
pub(crate) fn judge(client: &Client, reports: &[Vec<Report>]) -> Vec<Found> {
    let judge = |(way, reports): (&Way, &Vec<Report>)| {
        let outcome = reports.first().map(|report| &report.outcome);
        let worked = match (outcome, way.expected) {
            (Some(Outcome::Works), Expected::Success) => true,
            (Some(Outcome::Fails(why)), Expected::Denied) => why.contains("1045"),
            _ => false,
        };
        if !worked {
            println!("{}: {}: {outcome:?}", client.name, way.title);
        }
        if worked { Found::Works } else { Found::Missing }
    };
    WAYS.iter().zip(reports).map(judge).collect()
}

/// An empty table of all ways.
pub(crate) fn table() -> Table {
    let rows = WAYS.iter().enumerate().map(|(number, _)| row(number)).collect();
    Table::new("login", rows, CLIENTS.map(|client| client.name.to_owned()).into())
}

/// How a row of the table begins; two ways may have the same title.
pub(crate) fn row(number: usize) -> String {
    format!("{}. {}", number + 1, WAYS[number].title)
}

fn own(prefix: &str, client: &Client) -> String {
    format!("{prefix}_{}", client.database())
}

/// A configuration with one user, who has a password.
fn config(server: &Server, identity: &Identity, mysql: &str) -> String {
    format!(
        "{tls}\n[mysql]\n{mysql}\n[[servers]]\nname = \"main\"\nprotocol = \"mysql\"\naddress = \"{address}\"\nbudget = 20\n\
         [[databases]]\nname = \"{DATABASE}\"\nserver = \"main\"\n[[users]]\nname = \"{USER}\"\npassword = \"{PASSWORD}\"\n",
        tls = identity.section("prefer"),
        address = server.address(),
    )
}

/// Users of each client whose password Evenkeel does not know, only what proves it.
fn users_with_other_credentials() -> Result<String> {
    let password = Secret::from(PASSWORD);
    let text = |secret: Secret| String::from_utf8(secret.expose().to_vec());
    let hash = text(native::Hash::from_password(&password).to_text())?;
    let salt = *b"salt of twenty bytes";
    let verifier = caching_sha2::Verifier::from_password(&password, salt, caching_sha2::Rounds::DEFAULT)?;
    let verifier = text(verifier.to_text())?;
    let key = format!("{}{}", ed25519::PublicKey::PREFIX, ed25519::PublicKey::from_password(&password).to_text());
    let mut users = String::new();
    for client in CLIENTS {
        for (prefix, credential) in [("hashed", &hash), ("signed", &key), ("rsa", &verifier), ("tls", &verifier)] {
            // What proves the user here proves nothing to servers of another kind, and need not.
            write!(
                users,
                "[[users]]\nname = \"{name}\"\npassword = '''{credential}'''\nserver_user = \"{USER}\"\n\
                 server_password = \"{PASSWORD}\"\n",
                name = own(prefix, &client),
            )?;
        }
    }
    Ok(users)
}
