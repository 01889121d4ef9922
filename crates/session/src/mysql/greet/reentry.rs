//! `COM_CHANGE_USER`: a client that is served already logs in anew.

use std::sync::Arc;

use mysql::{
    Capabilities,
    handshake::{ChangeUser, Nonce},
    login::Opening,
};
use tokio::time::timeout;

use super::{CHARSET, Guest, Refusal, limits, text};
use crate::{
    engine::Engine,
    lane::Link,
    mysql::{
        Mysql,
        client::{State, Words},
    },
    registry::Presence,
    stream::Stream,
};

/// A client that logs in anew on its connection.
pub(in crate::mysql) struct Reentry<'a> {
    pub(in crate::mysql) stream: &'a mut Stream,
    pub(in crate::mysql) capabilities: Capabilities,
    pub(in crate::mysql) presence: &'a mut Presence,
    /// The nonce of our greeting.
    pub(in crate::mysql) greeted: Nonce,
    /// What it sent ahead.
    pub(in crate::mysql) read: Vec<u8>,
}

/// A client that has logged in anew and waits to be told so.
pub(in crate::mysql) struct Admitted {
    pub(in crate::mysql) route: Arc<Link<Mysql>>,
    pub(in crate::mysql) state: State,
    pub(in crate::mysql) words: Words,
    pub(in crate::mysql) sequence: u8,
    /// What it sent behind its proof.
    pub(in crate::mysql) read: Vec<u8>,
}

/// A client's session is over.
pub(in crate::mysql) struct Left;

impl Reentry<'_> {
    /// `COM_CHANGE_USER`: who it is, under which limits, and where its work goes from now on. A client that is refused is
    /// told, and its session ends, as on a server.
    ///
    /// # Errors
    /// It is gone, or was refused and told.
    pub(in crate::mysql) async fn change_user(
        self,
        engine: &Arc<Engine>,
        command: ChangeUser,
    ) -> Result<Admitted, Left> {
        let peer = self.presence.entry().peer;
        let mut guest = Guest {
            stream: self.stream,
            read: self.read,
            out: Vec::new(),
            sequence: 1,
            capabilities: self.capabilities,
        };
        let limit = engine.plan().login_timeout;
        let changed = timeout(limit, guest.change_user(engine, &command, self.greeted, self.presence)).await;
        match changed.unwrap_or(Err(Refusal::Gone)) {
            Ok(admitted) => Ok(admitted),
            Err(Refusal::Gone) => Err(Left),
            Err(Refusal::Told(reply)) => {
                guest.refuse(&reply).await;
                Err(Left)
            }
            Err(Refusal::Secret { user, why }) => {
                tracing::info!(%peer, user = %String::from_utf8_lossy(&user), %why, "change of user refused");
                let host = peer.ip().map_or_else(|| "localhost".to_owned(), |ip| ip.to_string());
                guest.refuse(&why.reply(&user, &host)).await;
                Err(Left)
            }
        }
    }
}

impl Guest<'_> {
    async fn change_user(
        &mut self,
        engine: &Arc<Engine>,
        command: &ChangeUser,
        greeted: Nonce,
        presence: &mut Presence,
    ) -> Result<Admitted, Refusal> {
        let plan = engine.plan();
        let user = text(&command.user)?;
        let entry = plan.users.get(&*user).cloned();
        let accepted = self.authenticate(engine, &plan, Opening::ChangeUser(command), entry.as_ref(), greeted).await?;
        let database = command.database.clone().unwrap_or_default();
        let charset = command.charset.unwrap_or_else(|| u16::from(CHARSET));
        let (route, settings) = self.find_route(engine, &user, &database, charset, accepted).await?;
        let (user_limit, database_limit) = limits(&plan, &user, &route)?;
        presence.rename((user, user_limit), (route.database.clone(), database_limit))?;
        let facts = route.shared.facts();
        let settings = facts.map_or_else(|| settings.clone(), |facts| facts.after_change_user(&settings));
        let state = State::new(settings, route.shared.reading());
        let words = Words::new(&route, &command.attributes);
        self.write().await?;
        Ok(Admitted { route, state, words, sequence: self.sequence, read: std::mem::take(&mut self.read) })
    }
}
