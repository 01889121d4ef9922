//! Resetting a session, and becoming another user.

use mysql::{
    handshake,
    packet::{HEADER_LEN, Header},
    view::OkPacket,
    write,
};
use route::Workload;

use super::{Client, Held, tidy};
use crate::{
    flow::Flow,
    mysql::{
        fault::Fault,
        greet::{Admitted, Reentry},
    },
};

impl Client {
    /// `COM_RESET_CONNECTION`: the session is as it began. What a server connection holds of it is wiped in the background.
    pub(super) fn reset_connection(&mut self, header: Header, held: &mut Held) {
        if let Some(mut lease) = held.take() {
            self.shared.end_lease();
            if let Some(placing) = &mut self.placing {
                placing.leave(&mut lease, &self.route);
            }
            tidy::release_cleaned(lease);
        }
        self.state.reset(self.route.shared.facts().as_deref());
        self.words.workload = Workload::default();
        self.show_pin();
        self.answer_ok(header, 0);
    }

    /// `COM_CHANGE_USER`: another login on the same connection, with a session that begins anew.
    pub(super) async fn change_user(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let body = self.work.up.unscanned().get(HEADER_LEN + 1..header.total()).unwrap_or_default();
        let command = handshake::ChangeUser::parse(body, self.capabilities)?;
        self.work.up.drop(header.total());
        self.flush().await?;
        if let Some(mut lease) = held.take() {
            self.shared.end_lease();
            if let Some(placing) = &mut self.placing {
                placing.leave(&mut lease, &self.route);
            }
            tidy::release_cleaned(lease);
        }
        let reentry = Reentry {
            stream: &mut self.stream,
            capabilities: self.capabilities,
            presence: &mut self.presence,
            greeted: self.greeted,
            read: std::mem::take(&mut self.work.up).into_unscanned(),
        };
        // Boxed: it is rare, and needs far more room than a session.
        let admitted = Box::pin(reentry.change_user(&self.engine, command)).await;
        let Admitted { route, state, words, mut sequence, read } = admitted.map_err(|_told| Fault::ClientGone)?;
        self.route.meters().clients.dec();
        route.meters().clients.inc();
        self.mode = route.terms().pool_mode;
        self.route = route;
        self.shared = self.presence.entry().clone();
        self.vigil = crate::vigil::Vigil::new(self.engine.registry.clone(), self.shared.clone(), &self.route.terms);
        self.state = state;
        (self.words, self.placing) = (words, None);
        self.work.up = Flow::holding(&read);
        self.work.open_up(&self.engine.buffers, self.route.handling.load().message_len_max);
        self.show_pin();
        let ok = OkPacket { status: self.shown_status(), ..OkPacket::default() };
        write::ok(self.work.down.insert(), &mut sequence, self.capabilities, &ok);
        Ok(())
    }
}
