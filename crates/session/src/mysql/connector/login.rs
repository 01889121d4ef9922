//! Logging in to a server, and changing the user of a live connection.

use std::sync::Arc;

use auth::{Channel, Learned};
use mysql::{
    Capabilities,
    dial::{Account, ChangeUser, Dial, KeySource, Session, Step, Tls, Wanted},
    packet::Packet,
    settings::{Settings, is_bookkeeping},
    view::TextRow,
};
use route::Address;

use super::{Login, MyConnector, ServerError, query, rows, talk::changes};
use crate::{
    census,
    mysql::{compression, facts::Facts, server::ServerConnection},
    stream::Stream,
};

/// The most bytes a server may send before it says that it is ready.
const GREETING_LEN_MAX: usize = 256 * 1024;

/// Longest payload that we tell a server we take, in bytes: the most there is.
const PACKET_LEN_MAX: u32 = 1 << 30;

/// `utf8mb4_general_ci`: known to every server from MySQL 5.5 and MariaDB 5.5 on.
const CHARSET: u8 = 45;

/// What a session's character sets are after our logins. Clients' own follow by `SET`.
const FRESH: [(&[u8], &[u8]); 4] = [
    (b"character_set_client", b"utf8mb4"),
    (b"character_set_connection", b"utf8mb4"),
    (b"character_set_results", b"utf8mb4"),
    (b"collation_connection", b"utf8mb4_general_ci"),
];

/// Makes a session's character sets those of [`FRESH`], also after a reset, and has the server tell what changes.
const SET_UP: &[u8] = b"SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, @@SESSION.session_track_schema=ON, \
    @@SESSION.session_track_state_change=ON, @@SESSION.session_track_transaction_info='CHARACTERISTICS', \
    @@SESSION.session_track_system_variables='*'";

/// The same on servers that track nothing.
const SET_UP_UNTRACKED: &[u8] = b"SET NAMES utf8mb4 COLLATE utf8mb4_general_ci";

/// The settings of a session that has just begun in this database.
pub(in crate::mysql) fn fresh(schema: &[u8]) -> Settings {
    let mut settings = Settings::in_schema(schema);
    for (name, value) in FRESH {
        settings.set(name, value);
    }
    settings
}

impl MyConnector {
    pub(super) async fn log_in(&self, login: &Arc<Login>) -> Result<ServerConnection, ServerError> {
        let habits = self.habits.load_full();
        let stream = habits.dialling.connect(&self.address).await?;
        let (stream, session) = greet(stream, login, &self.address, &habits).await?;
        let mut server = ServerConnection::new(stream, session, login.clone(), self.address.clone(), habits);
        set_up(&mut server).await?;
        server.role = role(&mut server).await?;
        if self.facts.load().is_none() {
            let facts = Facts::ask(&mut server).await.map_err(ServerError::into_fatal)?;
            self.facts.store(Some(Arc::new(facts)));
        }
        if server.habits.asks_census {
            census::ask_mysql(&self.meters, &login.user, &mut server).await?;
        }
        Ok(server)
    }
}

/// From a connected socket to a session.
pub(in crate::mysql) async fn greet(
    mut stream: Stream,
    login: &Login,
    address: &Address,
    habits: &super::Habits,
) -> Result<(Stream, Session), ServerError> {
    let tls = habits.dialling.tls_for(address);
    let mut dial =
        Dial::new(account(login), wanted(login, &stream, habits, tls.map(|(connector, _)| connector.mode())));
    let (mut bytes, mut out, mut total, mut sequence) = (Vec::new(), Vec::new(), 0, 0);
    loop {
        let mut step = None;
        while let Some((packet, rest)) = Packet::split(&bytes) {
            sequence = packet.sequence.wrapping_add(1);
            let left = rest.len();
            step = Some(dial.handle(packet.payload, &mut sequence, &mut out)?);
            bytes.drain(..bytes.len() - left);
            if !matches!(step, Some(Step::Wait)) {
                break;
            }
        }
        stream.write_all(&out).await?;
        out.clear();
        match step {
            Some(Step::Ready(session)) => {
                compression::begin_with_server(&mut stream, session.capabilities, &habits.codecs);
                return Ok((stream, session));
            }
            Some(Step::StartTls) => {
                // It asks for TLS only when it was told to.
                let Some((connector, name)) = tls else { return Err(ServerError::Closed) };
                stream.start_tls_client(connector, name).await?;
                dial.encrypted(&mut sequence, &mut out)?;
                stream.write_all(&out).await?;
                out.clear();
            }
            Some(Step::Wait) | None => {}
        }
        match stream.read_some(&mut bytes).await? {
            0 => return Err(ServerError::Closed),
            read => total += read,
        }
        if total > GREETING_LEN_MAX {
            return Err(ServerError::Flood);
        }
    }
}

/// Makes a session that has just begun ours: character sets, what the server is to tell, and what the configuration wants
/// to be run on each.
pub(super) async fn set_up(server: &mut ServerConnection) -> Result<(), ServerError> {
    let tracks = server.capabilities().contains(Capabilities::SESSION_TRACK);
    query(server, if tracks { SET_UP } else { SET_UP_UNTRACKED }).await.map_err(ServerError::into_fatal)?;
    let init_sql = server.habits.init_sql.clone();
    if init_sql.is_empty() {
        return Ok(());
    }
    let changed = changes(server, init_sql.as_bytes()).await.map_err(ServerError::into_fatal)?;
    for (name, value) in changed.iter().filter(|(name, _)| !is_bookkeeping(name)) {
        // Where clients have settings of their own, these are followed. The rest stays as it is for all of them.
        let place = if server.settings.get(name).is_some() { &mut server.settings } else { &mut server.base };
        place.set(name, value);
    }
    Ok(())
}

/// The session's role.
pub(super) async fn role(server: &mut ServerConnection) -> Result<Option<Vec<u8>>, ServerError> {
    match rows(server, b"SELECT CURRENT_ROLE()").await {
        Ok(rows) => {
            let name = rows.first().and_then(|row| TextRow::new(row).next().flatten());
            Ok(name.filter(|name| *name != b"NONE").map(<[u8]>::to_vec))
        }
        // Servers before MySQL 8.0 and MariaDB 10.0 know no roles.
        Err(ServerError::Statement { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Logs a user in on a live connection, in this database; empty: in none.
pub(super) async fn change_user(
    server: &mut ServerConnection,
    to: &Arc<Login>,
    schema: &[u8],
) -> Result<(), ServerError> {
    let (mut out, mut sequence) = (Vec::new(), 0);
    let keys = keys(server.stream.is_secure_channel());
    let account = Account { database: (!schema.is_empty()).then(|| schema.to_vec()), ..account(to) };
    let mut change = ChangeUser::begin(account, &server.session, keys, &mut sequence, &mut out)?;
    server.stream.write_all(&out).await?;
    let (mut bytes, mut total) = (Vec::new(), 0);
    loop {
        match server.stream.read_some(&mut bytes).await? {
            0 => return Err(ServerError::Closed),
            read => total += read,
        }
        if total > GREETING_LEN_MAX {
            return Err(ServerError::Flood);
        }
        while let Some((packet, rest)) = Packet::split(&bytes) {
            sequence = packet.sequence.wrapping_add(1);
            let left = rest.len();
            out.clear();
            let step = change.handle(packet.payload, &mut sequence, &mut out)?;
            bytes.drain(..bytes.len() - left);
            if let Step::Ready(session) = step {
                server.enter(session, to.clone(), schema);
                return set_up(server).await;
            }
            server.stream.write_all(&out).await?;
        }
    }
}

fn account(login: &Login) -> Account {
    let database = (!login.database.is_empty()).then(|| login.database.as_bytes().to_vec());
    Account {
        user: login.user.as_bytes().to_vec(),
        database,
        credential: login.secret.as_ref().map(|secret| secret.credential().clone()),
        learned: login.secret.as_ref().map_or_else(Learned::default, |secret| secret.learned()),
    }
}

fn wanted(login: &Login, stream: &Stream, habits: &super::Habits, tls: Option<tls::Mode>) -> Wanted {
    let mut capabilities = login.flavour.capabilities();
    if habits.local_infile {
        capabilities |= Capabilities::LOCAL_FILES;
    }
    if let Some(way) = habits.compression {
        capabilities |= compression::capability(way);
    }
    let secure = stream.is_secure_channel();
    Wanted {
        capabilities,
        tls: match tls {
            None => Tls::Off,
            Some(mode) if mode.is_optional() => Tls::IfOffered,
            Some(_) => Tls::Required,
        },
        channel: if secure { Channel::Secure } else { Channel::Plain },
        keys: keys(secure),
        max_packet: PACKET_LEN_MAX,
        charset: CHARSET,
    }
}

/// On a connection that others can read, the server is asked for its key: safe from those who listen.
fn keys(secure: bool) -> KeySource {
    if secure { KeySource::Never } else { KeySource::Ask }
}
