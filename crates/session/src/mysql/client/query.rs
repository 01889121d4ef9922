//! Texts: what is asked of a server connection because of them, and how they are rewritten on the way.

use memchr::memchr;
use mysql::{
    ErrorReply,
    command::{Command, Query},
    exchange,
    packet::{HEADER_LEN, Header},
};
use sql::{
    Count,
    mysql::{Effects, Function, Substitution, Verdict},
};

use super::{
    Client, Held,
    prepare::{Begins, Brought, Front, Needs, Past},
    work::Prefix,
};
use crate::{
    demand::Demand,
    mysql::{fault::Fault, server::Conditions},
    pin::Pin,
};

/// Bytes of a command before its body.
const BODY_AT: usize = HEADER_LEN + 1;

/// When a text runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// At once, behind what the client did last, on a connection that need not be the one that ran it.
    Now,
    /// Again and again, once it is prepared.
    Later,
}

/// The longest name that servers give a column, in bytes.
const NAME_LEN_MAX: usize = 255;

/// What a text asks that the connection at hand cannot know.
const REWRITTEN: Effects = Effects::FOUND_ROWS.union(Effects::ROW_COUNT).union(Effects::CONNECTION_ID);

impl Client {
    /// A text to run.
    pub(super) async fn query(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let total = header.total();
        let body = self.work.up.unscanned().get(BODY_AT..total).unwrap_or_default();
        let query = Query::parse(body, self.capabilities)?;
        let verdict = sql::mysql::inspect(query.text, self.state.reading());
        if self.choose_workload(header, verdict) || self.answer_here(header, verdict, held)? {
            return Ok(());
        }
        let body = self.work.up.unscanned().get(BODY_AT..total).unwrap_or_default();
        let query = Query::parse(body, self.capabilities)?;
        let demand = self.demand(query.text, verdict);
        self.note_asked(query.text);
        self.state.begin_text(query.text, verdict);
        let needs = self.needs(query.text, verdict, held);
        let text = self.rewritten(query.text, verdict, Runs::Now);
        if let Some(reply) = self.refusal_of(verdict) {
            self.drop_command(header);
            self.deny(&reply);
            return Ok(());
        }
        if !self.acquire(demand, held).await? {
            self.drop_command(header);
            return Ok(());
        }
        let Brought::Ready { front } = self.bring(held, &needs).await? else {
            self.drop_command(header);
            return Ok(());
        };
        let Some(lease) = held else { return Ok(()) };
        let capabilities = lease.capabilities();
        let body = self.work.up.unscanned().get(BODY_AT..total).unwrap_or_default();
        let query = Query::parse(body, self.capabilities)?;
        if front.is_empty() && text.is_none() && Command::reads_alike(self.capabilities, capabilities) {
            self.work.up.forward(total);
        } else {
            let mut packet = Vec::new();
            let mut whole = front;
            if !whole.is_empty() {
                whole.push(b';');
                self.work.reply.prefix = Prefix::Set;
            }
            whole.extend_from_slice(text.as_deref().unwrap_or(query.text));
            Query { attributes: query.attributes, text: &whole }.write(&mut packet, &mut 0, capabilities);
            self.replace_command(header, &packet);
        }
        self.converse(exchange::Asked::Results, held).await
    }

    /// A text that is too large to be looked at.
    pub(super) async fn query_large(&mut self, header: Header, held: &mut Held) -> Result<(), Fault> {
        let demand = self.within_autocommit(Demand::ANY);
        if !self.acquire(demand, held).await? || self.bring(held, &Needs::text(self.texts)).await? == Brought::Denied {
            self.drop_command(header);
            return Ok(());
        }
        let Some(lease) = held else { return Ok(()) };
        let capabilities = lease.capabilities();
        if Command::reads_alike(self.capabilities, capabilities) {
            self.work.up.forward(header.total());
        } else {
            let here = self.beginning(header);
            let query = Query::parse(here.get(1..).unwrap_or_default(), self.capabilities)?;
            let (mut packet, len) = (Vec::new(), here.len());
            query.write(&mut packet, &mut 0, capabilities);
            self.pass_moved(header, len, packet.get(HEADER_LEN..).unwrap_or_default());
        }
        self.converse(exchange::Asked::Results, held).await
    }

    /// What the text needs of its connection.
    fn needs(&self, text: &[u8], verdict: Verdict, held: &Held) -> Needs {
        let effects = verdict.effects;
        let semicolon = memchr(b';', text);
        let inside = semicolon.is_some_and(|at| !text[at + 1..].trim_ascii().is_empty());
        let closed = inside || verdict.statements != Count::One || effects.intersects(Effects::LOCAL_INFILE);
        Needs {
            insert_id: effects.intersects(Effects::LAST_INSERT_ID.union(Effects::CALLS)),
            // Without a semicolon there is but one statement, whatever the server would take.
            texts: inside.then_some(self.texts),
            begins: Begins::Told,
            front: if closed { Front::Closed } else { Front::Open },
            past: past(effects, held),
        }
    }

    /// The text as it must be for a connection that did not run the client's statement before; `None`: as it is.
    pub(super) fn rewritten(&self, text: &[u8], verdict: Verdict, runs: Runs) -> Option<Vec<u8>> {
        if !verdict.effects.intersects(REWRITTEN) {
            return None;
        }
        let (mut out, mut copied, mut values) = (Vec::with_capacity(text.len() + 64), 0, 0);
        for change in sql::mysql::substitutions(text, self.state.reading())? {
            match change {
                Substitution::Value { call, function } => {
                    let value = match (function, runs) {
                        (Function::ConnectionId, _) => {
                            format!("CAST({} AS UNSIGNED)", self.shared.number() as u32)
                        }
                        (_, Runs::Later) => continue,
                        (Function::RowCount, Runs::Now) => self.state.memory.row_count.to_string(),
                        (Function::FoundRows, Runs::Now) => match self.state.memory.found_rows() {
                            Some(rows) => rows.to_string(),
                            None => continue,
                        },
                    };
                    values += 1;
                    // The call stays, for the type that it has and the warnings that it gives.
                    out.extend_from_slice(text.get(copied..call.start)?);
                    out.extend_from_slice(format!("IF(1,{value},").as_bytes());
                    out.extend_from_slice(text.get(call.clone())?);
                    out.push(b')');
                    copied = call.end;
                }
                Substitution::Name { item } => {
                    out.extend_from_slice(text.get(copied..item.end)?);
                    out.extend_from_slice(b" AS `");
                    for &byte in text.get(item.clone())?.iter().take(NAME_LEN_MAX) {
                        out.push(byte);
                        if byte == b'`' {
                            out.push(b'`');
                        }
                    }
                    out.push(b'`');
                    copied = item.end;
                }
            }
        }
        if values == 0 {
            return None;
        }
        out.extend_from_slice(text.get(copied..)?);
        Some(out)
    }

    /// Why a text is not carried out at all, if so.
    pub(super) fn refusal_of(&mut self, verdict: Verdict) -> Option<ErrorReply> {
        let effects = verdict.effects;
        if effects.intersects(Effects::LOCAL_INFILE) {
            let wanted = self.capabilities.contains(mysql::Capabilities::LOCAL_FILES);
            if !wanted || !self.engine.plan().mysql.local_infile {
                return Some(ErrorReply::not_allowed(
                    "Loading local data is disabled; this must be enabled on both the client and server sides (here: mysql.local_infile)",
                ));
            }
        }
        if effects.intersects(Effects::KILL) {
            return Some(ErrorReply::not_supported(
                "KILL is possible through the pooler as one statement with a number",
            ));
        }
        if effects.intersects(Effects::LASTVAL) && !self.state.knows_sequences() {
            return Some(ErrorReply::not_supported(
                "The last value of a sequence is known only to the connection that advanced it. Ask in the same \
                 transaction; from now on this session keeps its connection behind NEXTVAL",
            ));
        }
        None
    }

    /// Ends a client connection of the same user, as `KILL` does.
    pub(super) fn kill_connection(&mut self, id: u64) {
        self.kill(id, crate::registry::Alarm::Kill);
    }

    /// Stops what another connection of the same user runs, or ends it.
    pub(super) fn kill(&mut self, id: u64, how: crate::registry::Alarm) {
        let Some(entry) = self.engine.registry.find_number(id) else {
            return self.deny(&ErrorReply::unknown_thread(id));
        };
        if entry.user != self.shared.user {
            return self.deny(&ErrorReply::kill_denied(id));
        }
        tracing::info!(client = entry.number(), by = self.shared.number(), ?how, "killed by its user");
        match how {
            crate::registry::Alarm::Cancel => entry.stop_query(),
            how => entry.raise(how),
        }
        let ok = mysql::view::OkPacket { status: self.shown_status(), ..Default::default() };
        mysql::write::ok(self.work.down.insert(), &mut 1, self.capabilities, &ok);
    }

    /// Holds the connection for what only it can answer later.
    pub(super) fn pin_for_row_counts(&mut self, effects: Effects) {
        if effects.intersects(Effects::FOUND_ROWS.union(Effects::ROW_COUNT)) {
            self.state.pin_for(Pin::RowCounts);
        }
    }
}

/// Whose conditions a text would see that looks at those of the statement before it.
pub(super) fn past(effects: Effects, held: &Held) -> Past {
    let are_own = held.as_ref().is_some_and(|lease| lease.conditions == Conditions::Own);
    match effects.intersects(Effects::READS_DIAGNOSTICS) && !are_own {
        true => Past::Foreign,
        false => Past::Unseen,
    }
}
