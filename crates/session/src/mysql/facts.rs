//! What is known of a server beyond its greeting: asked once, by the first connection to it.

use std::collections::HashMap;

use mysql::{Capabilities, view::TextRow};
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
        let text = b"SELECT @@GLOBAL.character_set_server, @@GLOBAL.collation_server, @@SESSION.sql_mode";
        let rows = connector::rows(server, text).await?;
        let mut values = TextRow::new(rows.first().map(Vec::as_slice).unwrap_or_default());
        let mut next = || values.next().flatten().unwrap_or_default().to_vec();
        let (charset, name, sql_mode) = (next(), next(), next());
        let reading = Mode { mariadb: server.session.is_mariadb, ..Mode::STANDARD }.with_sql_mode(&sql_mode);
        Ok(Self {
            version: server.session.version.clone(),
            capabilities: server.session.offered,
            reading,
            sql_mode,
            default: Collation { name, charset },
            collations,
        })
    }

    /// The collation that a client asks for by number; the server's own when it is unknown or no client can write in it,
    /// as servers have it.
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

impl Collation {
    fn is_for_clients(&self) -> bool {
        !NOT_FOR_CLIENTS.contains(&self.charset.as_slice())
    }
}
