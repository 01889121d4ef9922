//! Logging in to a server, and changing the user of a live connection.

use std::sync::Arc;

use auth::{Channel, Learned};
use mysql::{
    Capabilities,
    dial::{Account, ChangeUser, Dial, KeySource, Session, Step, Tls, Wanted},
    exchange::Exchange,
    packet::Packet,
    settings::Settings,
};
use route::Address;

use super::{Login, MyConnector, ServerError, query};
use crate::{
    cancel::{CancelTarget, Means},
    lane::Flavour,
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
        let cancel = CancelTarget::new(
            self.address.clone(),
            session.connection_id,
            Means::Mysql { login: login.clone(), habits: habits.clone() },
        );
        let mut server = ServerConnection::new(stream, session, login.clone(), cancel, habits.statements_max);
        set_up(&mut server).await?;
        if self.facts.load().is_none() {
            let facts = Facts::ask(&mut server).await.map_err(ServerError::into_fatal)?;
            self.facts.store(Some(Arc::new(facts)));
        }
        if !habits.init_sql.is_empty() {
            query(&mut server, habits.init_sql.as_bytes()).await.map_err(ServerError::into_fatal)?;
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

/// Makes the session ours: character sets, and what the server is to tell.
pub(super) async fn set_up(server: &mut ServerConnection) -> Result<(), ServerError> {
    let tracks = server.capabilities().contains(Capabilities::SESSION_TRACK);
    query(server, if tracks { SET_UP } else { SET_UP_UNTRACKED }).await.map_err(ServerError::into_fatal)
}

/// Logs another user in on a live connection.
pub(super) async fn change_user(server: &mut ServerConnection, to: &Arc<Login>) -> Result<(), ServerError> {
    let (mut out, mut sequence) = (Vec::new(), 0);
    let keys = keys(server.stream.is_secure_channel());
    let mut change = ChangeUser::begin(account(to), &server.session, keys, &mut sequence, &mut out)?;
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
                server.exchange = Exchange::new(session.capabilities, session.status);
                server.session = session;
                server.login = to.clone();
                server.renew(fresh(to.database.as_bytes()));
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
    let mut capabilities = Capabilities::NONE;
    if login.flavour == Flavour::FoundRows {
        capabilities |= Capabilities::FOUND_ROWS;
    }
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
