//! A server, Evenkeel in front of it, and what both sides' sessions find there.

use std::collections::HashMap;

use testkit::mysql::{Client, Kind, Login, MyWire, Options, Server, capability};
use testkit::{Evenkeel, Result, Speaks};

use super::common::binary;
use super::texts::ROUTINES;

/// Sessions of a script.
pub const SESSIONS: usize = 4;
/// Of them, those that may keep a server connection between commands.
pub const STICKY: usize = 2;
/// Server connections: the other sessions share the one that is left.
const BUDGET: usize = STICKY + 1;
const PASSWORD: &str = "open sesame";
/// Who sessions are, and whom they change to.
pub const USERS: [&str; 2] = ["app", "two"];

/// One of the two ways to the server. Names of the two sides' databases are equally long, and are told apart by nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Direct,
    Through,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Direct, Self::Through];

    /// The name of its database.
    pub fn database(self) -> &'static str {
        match self {
            Self::Direct => "alpha",
            Self::Through => "bravo",
        }
    }
}

pub struct Scene {
    pub evenkeel: Evenkeel,
    pub server: Server,
    /// For each collation, by number, the first of the same character set.
    pub collations: HashMap<u16, u16>,
}

impl Scene {
    pub fn start(kind: Kind) -> Result<Self> {
        let mut options = Options::new().set("innodb_lock_wait_timeout", "1").set("lock_wait_timeout", "1");
        for user in USERS {
            options = options.user(user, PASSWORD, Login::Usual);
        }
        let databases = Side::BOTH.map(|side| [side.database().to_owned(), format!("{}2", side.database())]);
        let databases: Vec<_> = databases.into_iter().flatten().collect();
        options = databases.iter().fold(options, |options, name| options.database(name));
        let server = Server::start(kind, options)?;
        for side in Side::BOTH {
            let mut wire = server.superuser(Some(side.database()))?;
            for routine in ROUTINES {
                wire.query(routine)?;
            }
        }
        let all = "select id, (select min(id) from information_schema.collations as first where \
                   first.character_set_name = every.character_set_name) from information_schema.collations as every \
                   where id is not null";
        let number = |value: &Option<String>| value.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
        let rows = server.superuser(None)?.query(all)?;
        let collations = rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect();
        let evenkeel = Evenkeel::start_for(Speaks::MySql, binary(), &config(&server, &databases))?;
        let scene = Self { evenkeel, server, collations };
        // Whoever comes first is greeted before anything is known of the server, and offered less.
        scene.client(Side::Through, capability::PLAIN, 45)?.quit()?;
        Ok(scene)
    }

    /// Makes the tables of all sessions anew, and ends what earlier scripts left behind.
    pub fn renew(&self) -> Result<()> {
        let mut wire = self.server.superuser(None)?;
        // Sessions that have just been left may still hold their tables.
        wire.query("set lock_wait_timeout = 30")?;
        for row in wire.query("xa recover")? {
            let name = row.last().cloned().flatten().unwrap_or_default();
            let _ = wire.query(&format!("xa rollback '{name}'"));
        }
        for side in Side::BOTH {
            wire.query(&format!("use {}", side.database()))?;
            for session in 0..SESSIONS {
                wire.query(&super::texts::tables(session))?;
            }
        }
        Ok(())
    }

    /// A client of one side.
    pub fn client(&self, side: Side, capabilities: u32, collation: u8) -> Result<MyWire> {
        let address = match side {
            Side::Direct => self.server.address(),
            Side::Through => self.evenkeel.mysql_address(),
        };
        let mut client = Client::new(USERS[0], PASSWORD, Some(side.database()));
        client.capabilities = capabilities;
        client.collation = collation;
        MyWire::log_in_as(&address, &client)
    }

    /// `COM_CHANGE_USER`; the answer to it is still to be read.
    pub fn change_user(&self, wire: &mut MyWire, side: Side, user: usize) -> Result<()> {
        let challenge = wire.greeting().map(|greeting| greeting.challenge.clone()).unwrap_or_default();
        let mut body = [USERS[user].as_bytes(), b"\0"].concat();
        // An answer that fits no login: the server then asks for the one that it wants.
        body.extend([0]);
        body.extend(side.database().as_bytes());
        body.extend(b"\0\x2d\0mysql_clear_password\0");
        wire.send_command(0x11, &body)?;
        wire.finish_login(PASSWORD, &challenge)
    }

    pub fn log_end(&self) -> String {
        let log = self.evenkeel.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn config(server: &Server, databases: &[String]) -> String {
    let mut text = format!(
        "[log]\nlevel = \"debug\"\n[pool]\ncheckout_timeout = \"3s\"\n[[servers]]\nname = \"main\"\nprotocol = \"mysql\"\naddress = \"{}\"\nbudget = {BUDGET}\n",
        server.address()
    );
    for name in databases {
        text.push_str(&format!("[[databases]]\nname = \"{name}\"\nserver = \"main\"\n"));
    }
    for name in USERS {
        text.push_str(&format!("[[users]]\nname = \"{name}\"\npassword = \"{PASSWORD}\"\n"));
    }
    text
}

/// Capabilities that sessions may have or not have; the rest is [`capability::PLAIN`].
pub const OPTIONAL: [u32; 6] = [
    capability::DEPRECATE_EOF,
    // What a client without EOF packets does not hear at the end of rows, it hears later, which we spare us: no driver is like that.
    capability::SESSION_TRACK | capability::DEPRECATE_EOF,
    capability::MULTI_STATEMENTS,
    capability::FOUND_ROWS,
    QUERY_ATTRIBUTES,
    IGNORE_SPACE,
];

pub const QUERY_ATTRIBUTES: u32 = 1 << 27;
pub const IGNORE_SPACE: u32 = 1 << 8;
