//! What is answered without a server connection, because the answer is certain.

use mysql::{
    Capabilities,
    command::Query,
    packet::{HEADER_LEN, Header},
    view::{Change, OkPacket, SessionChanges},
    write,
};
use sql::mysql::{Effects, Kill, Verdict};

use super::{Client, Held};
use crate::{
    mysql::{fault::Fault, server::Conditions},
    registry::Alarm,
};

/// What may be answered here.
const CANDIDATES: Effects = Effects::SETS.union(Effects::READS_DIAGNOSTICS).union(Effects::KILL);

impl Client {
    /// Answers the text at hand, if no server connection is needed for it. Returns whether it did.
    pub(super) fn answer_here(&mut self, header: Header, verdict: Verdict, held: &Held) -> Result<bool, Fault> {
        if !verdict.effects.intersects(CANDIDATES) {
            return Ok(false);
        }
        let body = self.work.up.unscanned().get(HEADER_LEN + 1..header.total()).unwrap_or_default();
        let query = Query::parse(body, self.capabilities)?;
        let (text, mode) = (query.text.to_vec(), self.state.reading());
        if let Some(kill) = sql::mysql::kill_target(&text, mode) {
            let (id, how) = match kill {
                Kill::Query { id } => (id, Alarm::Cancel),
                Kill::Connection { id } => (id, Alarm::Kill),
                Kill::Other => return Ok(false),
            };
            self.work.up.drop(header.total());
            self.kill(id, how);
            return Ok(true);
        }
        // What the client's statements have left on the connection that it holds is told there.
        let are_here = held.as_ref().is_none_or(|lease| lease.conditions == Conditions::Foreign);
        if are_here && let Some(asked) = sql::mysql::show_diagnostics(&text, mode) {
            let Some(facts) = self.route.shared.facts() else { return Ok(false) };
            self.work.up.drop(header.total());
            let (capabilities, status) = (self.capabilities, self.shown_status());
            let form = facts.text_form(self.state.settings.get(b"character_set_results"));
            self.state.memory.diagnostics.answer(&asked, form, self.work.down.insert(), capabilities, status);
            self.state.looked_back(&asked, verdict);
            self.route.meters().answered(1, 0);
            return Ok(true);
        }
        if held.is_some() {
            return Ok(false);
        }
        let Some(changes) = self.certain_settings(&text, verdict) else { return Ok(false) };
        self.work.up.drop(header.total());
        self.set_here(&changes);
        Ok(true)
    }

    /// What a text sets, if it does nothing else and each value is known to be one that the server takes.
    fn certain_settings(&self, text: &[u8], verdict: Verdict) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        if !verdict.is_single_set() || verdict.effects != Effects::SETS || !self.state.hears_as_usual() {
            return None;
        }
        let facts = self.route.shared.facts()?;
        let mut changes = Vec::new();
        for assignment in sql::mysql::assignments(text, self.state.reading())? {
            self.state.certain(&assignment, &facts, &mut changes)?;
        }
        Some(changes)
    }

    /// Takes settings over and tells the client what a server would.
    fn set_here(&mut self, changes: &[(Vec<u8>, Vec<u8>)]) {
        let mut told = Vec::new();
        for (name, value) in changes {
            self.state.set_here(name, value);
            let change = Change::SystemVariable { name, value };
            if self.state.hears_of(&change) {
                change.write(&mut told);
            }
        }
        self.state.set_is_answered();
        let status = self.shown_status();
        let changes = match self.capabilities.contains(Capabilities::SESSION_TRACK) {
            true => SessionChanges::parse(&told).unwrap_or_default(),
            false => SessionChanges::default(),
        };
        let ok = OkPacket { status, changes, ..OkPacket::default() };
        write::ok(self.work.down.insert(), &mut 1, self.capabilities, &ok);
        self.route.meters().answered(1, 0);
    }
}
