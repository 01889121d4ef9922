//! Servers, and an Evenkeel in front of one for each pool mode and client.

use std::path::{Path, PathBuf};

use testkit::certificates::Files;
use testkit::mysql::{Login, Options, Server};
use testkit::{Authority, Evenkeel, Result, Speaks};

use crate::client::CLIENTS;
use crate::order::{Mode, Order, Task};

/// The user that clients begin as.
pub(crate) const USER: &str = "app";
/// The user that clients change to.
pub(crate) const SECOND: &str = "second";

/// The password of both; a space would end the word in an order.
pub(crate) const PASSWORD: &str = "open-sesame";

/// What servers are started with: a database for each client, and room for large packets.
pub(crate) fn options() -> Options {
    let options = Options::new()
        .user(USER, PASSWORD, Login::Usual)
        .user(SECOND, PASSWORD, Login::Usual)
        .set("max_allowed_packet", "128M")
        .set("local_infile", "ON")
        .tls(&["127.0.0.1"]);
    CLIENTS.iter().fold(options, |options, client| options.database(&client.database()))
}

/// Our certificate, as clients see it.
pub(crate) struct Identity {
    files: Files,
    _folder: tempfile::TempDir,
}

impl Identity {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new("the matrix of clients")?;
        let files = authority.write(&authority.issue(&["127.0.0.1", "localhost"])?, folder.path())?;
        Ok(Self { files, _folder: folder })
    }

    /// The certificate to trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.files.authority.clone()
    }

    /// The `[tls]` section, and what makes clients use it.
    pub(crate) fn section(&self, mode: &str) -> String {
        let Files { certificate, key, .. } = &self.files;
        format!("[tls]\nmode = \"{mode}\"\ncertificate = \"{}\"\nkey = \"{}\"\n", certificate.display(), key.display())
    }
}

/// An Evenkeel in this mode for clients of one database.
pub(crate) fn evenkeel(server: &Server, mode: Mode, identity: &Identity, database: &str) -> Result<Evenkeel> {
    let (budget, infile, tls, server_tls) = match mode {
        Mode::Transaction => (2, true, "prefer", "disable"),
        Mode::Session => (4, true, "require", "require"),
        Mode::Statement => (2, false, "prefer", "disable"),
    };
    let config = format!(
        "{tls}\n[pool]\nmode = \"{mode}\"\n[mysql]\nlocal_infile = {infile}\n\
         [[servers]]\nname = \"main\"\nprotocol = \"mysql\"\naddress = \"{address}\"\nbudget = {budget}\n\
         tls = \"{server_tls}\"\n[[databases]]\nname = \"{database}\"\nserver = \"main\"\n\
         [[users]]\nname = \"{USER}\"\npassword = \"{PASSWORD}\"\n[[users]]\nname = \"{SECOND}\"\npassword = \"{PASSWORD}\"\n",
        tls = identity.section(tls),
        mode = mode.name(),
        address = server.address(),
    );
    Evenkeel::start_for(Speaks::MySql, binary(), &config)
}

/// The program under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_evenkeel"))
}

/// What a client is to do without a pooler, as in session mode.
pub(crate) fn order_for(server: &Server, database: &str, words: Vec<&'static str>) -> Result<Order> {
    Ok(Order {
        port: server.port(),
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        database: database.to_owned(),
        channel: Mode::Session.channel(),
        ca: server.tls()?.authority.clone(),
        task: Task::Features { mode: Mode::Session, words },
    })
}

/// What a client is to do in this mode.
pub(crate) fn order(port: u16, mode: Mode, identity: &Identity, database: &str, words: Vec<&'static str>) -> Order {
    Order {
        port,
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        database: database.to_owned(),
        channel: mode.channel(),
        ca: identity.ca(),
        task: Task::Features { mode, words },
    }
}
