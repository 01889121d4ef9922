//! What the tests of the program share: a real PostgreSQL behind a real Evenkeel, and messages of the wire protocol.
//!
//! A test asks for a [`Scene`]; everything in it has ports and folders of its own and ends with the test.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "compiled into every test file, each of which uses its own part"
)]

pub mod script;
pub mod setup;

use std::path::Path;

use testkit::wire::{Message, ServerError};
use testkit::{Evenkeel, Login, Options, Postgres, Result, Wire};

pub use script::Script;
pub use setup::SetupFor;

/// The password of every user.
pub const PASSWORD: &str = "open sesame";
/// The user and the database of tests that need only one of each.
pub const USER: &str = "app";
pub const DATABASE: &str = "shop";

/// A PostgreSQL server and an Evenkeel in front of it.
pub struct Scene {
    pub evenkeel: Evenkeel,
    pub pg: Postgres,
}

/// What kind of [`Scene`].
pub type Setup = SetupFor<Options>;

impl Setup {
    /// Starts both.
    pub fn start(&self) -> Result<Scene> {
        let pg = self.postgres()?;
        let evenkeel = self.evenkeel(&pg.address())?;
        Ok(Scene { evenkeel, pg })
    }

    /// Starts PostgreSQL only.
    pub fn postgres(&self) -> Result<Postgres> {
        let options = self.users.iter().fold(self.options.clone(), |all, name| all.user(name, PASSWORD, Login::Scram));
        Postgres::start(self.databases.iter().fold(options, |all, name| all.database(name)))
    }

    /// Starts Evenkeel only, for a server that listens at `address`.
    pub fn evenkeel(&self, address: &str) -> Result<Evenkeel> {
        Evenkeel::start(binary(), &self.config(address))
    }

    /// The configuration, all but its `[listen]` section.
    pub fn config(&self, address: &str) -> String {
        self.config_for("postgres", address)
    }
}

impl Scene {
    /// A client of [`USER`] on [`DATABASE`], through Evenkeel.
    pub fn client(&self) -> Result<Wire> {
        self.client_with(&[])
    }

    /// As [`Scene::client`], with more parameters in its startup message.
    pub fn client_with(&self, parameters: &[(&str, &str)]) -> Result<Wire> {
        log_in_with(&self.evenkeel.address(), parameters)
    }

    /// The same client without Evenkeel in between.
    pub fn direct(&self) -> Result<Wire> {
        self.direct_with(&[])
    }

    /// As [`Scene::direct`], with more parameters in its startup message.
    pub fn direct_with(&self, parameters: &[(&str, &str)]) -> Result<Wire> {
        log_in_with(&self.pg.address(), parameters)
    }

    /// A client that keeps a server connection from others until [`Holder::release`]: the one used last, if it is free.
    pub fn hold(&self) -> Result<Holder> {
        let mut wire = self.client()?;
        wire.query("begin")?;
        let backend = backend(&mut wire)?;
        Ok(Holder { wire, backend })
    }
}

/// A client in the middle of a transaction.
pub struct Holder {
    wire: Wire,
    backend: u32,
}

impl Holder {
    /// The process that serves it.
    pub fn backend(&self) -> u32 {
        self.backend
    }

    /// Ends the transaction, and then the session.
    pub fn release(mut self) -> Result<()> {
        self.wire.query("rollback")?;
        self.wire.terminate()
    }
}

/// The program under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_evenkeel"))
}

/// Logs [`USER`] in to [`DATABASE`], with these further parameters.
pub fn log_in_with(address: &str, parameters: &[(&str, &str)]) -> Result<Wire> {
    let mut wire = Wire::connect(address)?;
    wire.start(&[&[("user", USER), ("database", DATABASE)], parameters].concat())?;
    wire.authenticate(USER, PASSWORD)?;
    Ok(wire)
}

/// The process id of the server's side: tells server connections apart.
pub fn backend(wire: &mut Wire) -> Result<u32> {
    Ok(wire.value("select pg_backend_pid()")?.parse()?)
}

/// The SQLSTATE of what a server, or Evenkeel, answered.
pub fn sqlstate(error: &anyhow::Error) -> &str {
    error.downcast_ref::<ServerError>().map_or("not an answer", |error| &error.code)
}

/// The SQLSTATE with which `sql` fails.
pub fn fails_with(wire: &mut Wire, sql: &str) -> String {
    match wire.query(sql) {
        Ok(rows) => panic!("{sql} gave {rows:?}"),
        Err(error) => sqlstate(&error).to_owned(),
    }
}

/// The types of messages, in order, as text: `12DCZ`.
pub fn tags(messages: &[Message]) -> String {
    messages.iter().map(|message| char::from(message.tag)).collect()
}

/// The SQLSTATE of every error among messages, in order.
pub fn errors(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|message| message.tag == b'E').filter_map(|message| message.field(b'C')).collect()
}

/// The first column of every row among messages; null is `-`.
pub fn column(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|message| message.tag == b'D').map(|message| first_value(&message.body)).collect()
}

/// The one value of a reply with one row.
pub fn only(messages: &[Message]) -> String {
    match column(messages).as_slice() {
        [value] => value.clone(),
        _ => panic!("not one row: {messages:?}"),
    }
}

fn first_value(row: &[u8]) -> String {
    let Some((length, rest)) = row.get(2..).and_then(<[u8]>::split_first_chunk::<4>) else { panic!("no column") };
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => String::from_utf8_lossy(&rest[..length]).into_owned(),
        Err(_) => "-".to_owned(),
    }
}
