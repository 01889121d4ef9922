//! Brings a server connection to where its client believes to be: settings, current database, last insert id, and whether
//! a text may hold several statements.
//!
//! Most leases need none of it, because the pool prefers a connection whose settings match. Where it is needed and the
//! command is one plain text, it goes out in front of the text, in the same packet; the server runs the text only if the
//! `SET` before it succeeded.

use mysql::{command::Command, exchange, packet::Header, settings::Settings, write};

use super::{Client, Held, command::ask_insert_id};
use crate::mysql::{
    connector::{self, ServerError},
    fault::{Fault, ServerFault},
    server::{InsertId, ServerConnection, Texts},
};

/// What a command needs of its connection beyond the session's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Needs {
    /// That it remembers the client's last insert id.
    pub(super) insert_id: bool,
    /// How many statements the text may hold; `None`: it holds one, whatever the server would take.
    pub(super) texts: Option<Texts>,
    /// Who tells the state that a command begins.
    pub(super) begins: Begins,
    /// Whether a `SET` may go out in front of the command's text.
    pub(super) front: Front,
    /// Whether it looks at what the statement before it left there.
    pub(super) past: Past,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Brought {
    /// The command may go out.
    Ready {
        /// The `SET` that must go out in front of its text; empty: none.
        front: Vec<u8>,
    },
    /// It may not, and was answered.
    Denied,
}

/// Who tells the session's state that a command begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Begins {
    /// Whoever passes the command on.
    #[default]
    Here,
    /// Somebody who knows what is in it has done so.
    Told,
}

/// Whether a command looks at what the statement before it left on the connection: its conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Past {
    /// It does not, or that was the client's own.
    #[default]
    Unseen,
    /// It does, and that was somebody else's.
    Foreign,
}

/// Whether a `SET` may go out in front of the command's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Front {
    /// It is no such text.
    #[default]
    Closed,
    /// It is one statement without a semicolon that could end it early.
    Open,
}

/// Clears what the statement before it left. MariaDB keeps that through statements that read no table; a derived one
/// counts as one.
const FORGET: &[u8] = b"DO (SELECT 1 FROM (SELECT 1) AS nothing)";

impl Needs {
    /// A text that was not looked at.
    pub(super) fn text(texts: Texts) -> Self {
        Self { texts: Some(texts), begins: Begins::Told, ..Self::default() }
    }
}

impl Client {
    /// Brings the connection to where the client believes to be. Where that fails for a reason that concerns the client,
    /// answers the command with it.
    pub(super) async fn bring(&mut self, held: &mut Held, needs: &Needs) -> Result<Brought, Fault> {
        let Some(lease) = held else { return Ok(Brought::Denied) };
        let server: &mut ServerConnection = lease;
        let number = self.shared.number();
        if let InsertId::Of { client, before: Some(before) } = server.insert_id
            && needs.insert_id
            && client == number
        {
            // Nobody has asked yet what the client's last insert came to.
            match self.attended(server, ask_insert_id).await? {
                Ok(told) => self.state.memory.learn_insert_id(told, Some(before)),
                Err(error) => {
                    self.lost(held, ServerFault::Settings(error.to_string()), super::lease::Seen::Nothing)?;
                    return Ok(Brought::Denied);
                }
            }
        }
        let insert_id = match server.insert_id {
            InsertId::Known(id) => needs.insert_id && id != self.state.memory.insert_id,
            // Whoever has made something of it has left without being asked. From here on it could be taken for this client's.
            InsertId::Of { client, .. } => client != number,
        };
        let same = server.settings.converge(&mut self.state.settings)
            && server.to_close.is_empty()
            && needs.past == Past::Unseen;
        if same && !insert_id && needs.texts.is_none_or(|texts| texts == server.texts) {
            return Ok(Brought::Ready { front: Vec::new() });
        }
        let goal =
            Goal { settings: self.state.settings.clone(), insert_id: insert_id.then_some(self.state.memory.insert_id) };
        match self.attended(server, async |server| goal.reach(server, needs).await).await? {
            Ok(front) => Ok(Brought::Ready { front }),
            Err(error) => {
                self.lost(held, ServerFault::Settings(error.to_string()), super::lease::Seen::Nothing)?;
                Ok(Brought::Denied)
            }
        }
    }

    /// Puts another packet in the place of the command at hand. It is passed on at once.
    pub(super) fn replace_command(&mut self, header: Header, packet: &[u8]) {
        self.work.up.drop(header.total());
        self.work.up.insert().extend_from_slice(packet);
    }
}

/// Where a client believes to be.
struct Goal {
    settings: Settings,
    /// Its last insert id, if the connection must know it.
    insert_id: Option<u64>,
}

impl Goal {
    /// Brings a connection there. Returns the `SET` that must go out in front of the command's text, if one may.
    async fn reach(&self, server: &mut ServerConnection, needs: &Needs) -> Result<Vec<u8>, ServerError> {
        close_statements(server).await?;
        if needs.past == Past::Foreign {
            match connector::query(server, FORGET).await {
                // In a state that allows nothing else, in which others have left nothing either.
                Ok(()) | Err(ServerError::Statement { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let wanted = &self.settings;
        adopt_schema(server, wanted).await?;
        let mut text = Vec::new();
        server.settings.write_change(wanted, &server.base, &mut text);
        if let Some(insert_id) = self.insert_id {
            text.extend_from_slice(if text.is_empty() { b"SET " } else { b", " });
            text.extend_from_slice(format!("@@SESSION.last_insert_id={insert_id}").as_bytes());
        }
        if !text.is_empty() {
            // The text behind it would be read by a character set that it was not written for.
            let rereads = server.settings.get(b"character_set_client") != wanted.get(b"character_set_client");
            if needs.front == Front::Closed || server.texts == Texts::One || rereads {
                connector::query(server, &text).await.map_err(ServerError::into_fatal)?;
                text.clear();
            }
            server.take_variables(wanted);
            if let Some(insert_id) = self.insert_id {
                server.insert_id = InsertId::Known(insert_id);
            }
        }
        if let Some(texts) = needs.texts
            && texts != server.texts
        {
            let option: u16 = if texts == Texts::Many { 0 } else { 1 };
            let mut packet = Vec::new();
            write::command(&mut packet, Command::SetOption, &option.to_le_bytes());
            connector::run(server, exchange::Asked::Simple, &packet).await.map_err(ServerError::into_fatal)?;
            server.texts = texts;
        }
        Ok(text)
    }
}

/// Closes the statements that the connection has no more room for; that is not answered.
pub(super) async fn close_statements(server: &mut ServerConnection) -> Result<(), ServerError> {
    let mut packet = Vec::new();
    for id in std::mem::take(&mut server.to_close) {
        write::command(&mut packet, Command::StmtClose, &id.to_le_bytes());
    }
    Ok(server.stream.write_all(&packet).await?)
}

/// Brings a connection to these settings, whoever's they are.
pub(super) async fn adopt(server: &mut ServerConnection, wanted: &Settings) -> Result<(), ServerError> {
    adopt_schema(server, wanted).await?;
    let mut text = Vec::new();
    server.settings.write_change(wanted, &server.base, &mut text);
    if !text.is_empty() {
        connector::query(server, &text).await.map_err(ServerError::into_fatal)?;
        server.take_variables(wanted);
    }
    Ok(())
}

/// Makes a database the current one, or none. None it is also where the database is gone or closed to the user: whoever is
/// in it can go on to another one, and finds no table of a third.
async fn adopt_schema(server: &mut ServerConnection, wanted: &Settings) -> Result<(), ServerError> {
    if server.settings.schema() == wanted.schema() {
        return Ok(());
    }
    if wanted.schema().is_empty() {
        // No command leads back to no database but a new login.
        return connector::log_in_anew(server, Some(b"")).await;
    }
    let mut packet = Vec::new();
    write::command(&mut packet, Command::InitDb, wanted.schema());
    match connector::run(server, exchange::Asked::Simple, &packet).await {
        Ok(()) => server.settings.set_schema(wanted.schema()),
        Err(ServerError::Statement { .. }) if server.settings.schema().is_empty() => {}
        Err(ServerError::Statement { .. }) => connector::log_in_anew(server, Some(b"")).await?,
        Err(error) => return Err(error),
    }
    Ok(())
}
