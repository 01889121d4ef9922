//! What is known of a server beyond its greeting: asked once, by the first connection to it.

use std::collections::HashMap;

use mysql::{Capabilities, settings::Settings, view::TextRow};
use sql::mysql::Mode;

use super::{
    connector::{self, ServerError},
    server::ServerConnection,
};

/// What is known of a server.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Its version, as it says it.
    pub(crate) version: Vec<u8>,
    /// What it can do.
    pub(crate) capabilities: Capabilities,
    /// How texts are to be read under the `sql_mode` with which sessions begin, which is this.
    pub(crate) reading: Mode,
    pub(crate) sql_mode: Vec<u8>,
    /// The collation of sessions that ask for one that it does not know.
    default: Collation,
    /// By number, as clients name them in a handshake.
    collations: HashMap<u16, Collation>,
    /// How texts are told, by the character set that results are wanted in.
    forms: HashMap<Vec<u8>, TextForm>,
}

/// What the definition of a column with texts says of its character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextForm {
    /// The number of its default collation.
    pub(crate) collation: u16,
    /// The most bytes of a character.
    pub(crate) char_len_max: u32,
    /// The server is MariaDB.
    pub(crate) mariadb: bool,
}

impl TextForm {
    /// UTF-8, as MySQL tells it.
    pub(crate) const UTF8MB4: Self = Self { collation: 45, char_len_max: 4, mariadb: false };
}

/// A collation and its character set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collation {
    /// Its name.
    pub(crate) name: Vec<u8>,
    /// Its character set's name.
    pub(crate) charset: Vec<u8>,
}

/// Character sets whose texts are not ASCII, so that no client can write in them.
const NOT_FOR_CLIENTS: [&[u8]; 4] = [b"ucs2", b"utf16", b"utf16le", b"utf32"];

impl Facts {
    /// Asks the server.
    pub(super) async fn ask(server: &mut ServerConnection) -> Result<Self, ServerError> {
        let rows = connector::rows(server, b"SHOW COLLATION").await?;
        let mut collations = HashMap::new();
        for row in rows {
            // Collation, Charset, Id, …; MariaDB's collations for any character set have no number.
            let mut values = TextRow::new(&row);
            let mut next = || values.next().flatten();
            let (Some(name), Some(charset), Some(id)) = (next(), next(), next()) else { continue };
            let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) else { continue };
            collations.insert(id, Collation { name: name.to_vec(), charset: charset.to_vec() });
        }
        let mariadb = server.session.is_mariadb;
        let forms = text_forms(&connector::rows(server, b"SHOW CHARACTER SET").await?, &collations, mariadb);
        let text = b"SELECT @@GLOBAL.character_set_server, @@GLOBAL.collation_server, @@SESSION.sql_mode";
        let rows = connector::rows(server, text).await?;
        let mut values = TextRow::new(rows.first().map(Vec::as_slice).unwrap_or_default());
        let mut next = || values.next().flatten().unwrap_or_default().to_vec();
        let (charset, name, sql_mode) = (next(), next(), next());
        let reading = Mode { mariadb, ..Mode::STANDARD }.with_sql_mode(&sql_mode);
        Ok(Self {
            version: server.session.version.clone(),
            capabilities: server.session.offered,
            reading,
            sql_mode,
            default: Collation { name, charset },
            collations,
            forms,
        })
    }

    /// How texts are told to a session that wants results in this character set. NULL is that of the servers' own messages.
    pub(crate) fn text_form(&self, charset: Option<&[u8]>) -> TextForm {
        const UTF8MB3: u16 = 33;
        let known = charset.and_then(|name| self.forms.get(name));
        known.copied().unwrap_or(TextForm { collation: UTF8MB3, char_len_max: 3, mariadb: self.reading.mariadb })
    }

    /// Whether the server refuses logins with this collation: no client can write in it. Its character set.
    pub(crate) fn refused_charset(&self, id: u16) -> Option<&[u8]> {
        self.collations.get(&id).filter(|known| !known.is_for_clients()).map(|known| known.charset.as_slice())
    }

    /// What a reset leads back to, for a session that began with these settings. MySQL 9 forgets the character set that the client
    /// asked for at its login, and keeps the mode; MariaDB 10.11 does the opposite.
    pub(crate) fn after_reset(&self, startup: &Settings) -> Settings {
        let mut settings = self.after_change_user(startup);
        if !self.reading.mariadb {
            self.default.set(&mut settings);
        }
        settings
    }

    /// The settings of a session that begins by a change of user, which a login would begin with these. MariaDB 10.11 forgets the mode
    /// that a client asked for by its capabilities.
    pub(crate) fn after_change_user(&self, startup: &Settings) -> Settings {
        if !self.reading.mariadb {
            return startup.clone();
        }
        let mut settings = Settings::in_schema(startup.schema());
        for (name, value) in startup.iter().filter(|(name, _)| *name != b"sql_mode") {
            settings.set(name, value);
        }
        settings
    }

    /// The collation that a client asks for by number; the server's own when it is unknown, as servers have it.
    pub(crate) fn collation(&self, id: u16) -> &Collation {
        let known = self.collations.get(&id).filter(|known| known.is_for_clients());
        known.unwrap_or(&self.default)
    }

    /// What `SET NAMES charset COLLATE collation` comes to, if the server takes it for certain.
    pub(crate) fn names(&self, charset: &[u8], collation: &[u8]) -> Option<&Collation> {
        let known = self.collations.values().find(|known| known.name.eq_ignore_ascii_case(collation))?;
        (known.charset.eq_ignore_ascii_case(charset) && known.is_for_clients()).then_some(known)
    }
}

/// From the rows of `SHOW CHARACTER SET`: name, description, default collation, most bytes of a character.
fn text_forms(rows: &[Vec<u8>], collations: &HashMap<u16, Collation>, mariadb: bool) -> HashMap<Vec<u8>, TextForm> {
    let form = |row: &Vec<u8>| {
        let mut values = TextRow::new(row);
        let mut next = || values.next().flatten();
        let (charset, _, default, len) = (next()?, next()?, next()?, next()?);
        let collation = *collations.iter().find(|(_, collation)| collation.name == default)?.0;
        let char_len_max = std::str::from_utf8(len).ok()?.parse().ok()?;
        Some((charset.to_vec(), TextForm { collation, char_len_max, mariadb }))
    };
    rows.iter().filter_map(form).collect()
}

impl Collation {
    /// Makes it what a session speaks and hears.
    pub(crate) fn set(&self, settings: &mut Settings) {
        for name in [&b"character_set_client"[..], b"character_set_connection", b"character_set_results"] {
            settings.set(name, &self.charset);
        }
        settings.set(b"collation_connection", &self.name);
    }

    fn is_for_clients(&self) -> bool {
        !NOT_FOR_CLIENTS.contains(&self.charset.as_slice())
    }
}
