//! Sorts what the server says: what the client may see is passed on, in the form that it knows, and what tells something
//! of the session is noted.
//!
//! Server connections report what changes in their session and leave out EOF packets where they can; clients may have
//! agreed to neither. Packets that exist on one side only move the numbers of those that follow.

use mysql::{
    Capabilities, ErrorReply, Status,
    exchange::Event,
    packet::{HEADER_LEN, Header},
    view::{self, Change, EofPacket, ErrPacket, OkPacket, SessionChanges},
    write,
};

use super::{
    state::State,
    work::{OwedEof, Prefix, Preparing, Upload, Work, renumber},
};
use crate::mysql::{
    fault::ServerFault,
    server::{InsertId, ServerConnection},
};

/// Sorts replies for one client.
pub(crate) struct Replier<'a> {
    pub(crate) capabilities: Capabilities,
    pub(crate) state: &'a mut State,
    /// The client's number.
    pub(crate) client: u64,
    pub(crate) server: &'a mut ServerConnection,
}

impl Replier<'_> {
    /// Sorts all packets that are here.
    pub(crate) fn run(&mut self, work: &mut Work) -> Result<(), ServerFault> {
        while let Some(header) = Header::peek(work.down.unscanned()) {
            if work.down.is_amid_message() {
                return Ok(());
            }
            let here = work.down.unscanned().get(HEADER_LEN..).unwrap_or_default();
            let first = match here.first() {
                Some(&first) => first,
                None if header.len == 0 => 0,
                None => return Ok(()),
            };
            let whole = work.reply.preparing.is_some() || self.server.exchange.needs_whole(header.len, first);
            if whole && here.len() < header.len {
                return match work.down.make_room(header.total()) {
                    true => Ok(()),
                    false => Err(ServerFault::TooLong),
                };
            }
            self.packet(header, work)?;
        }
        Ok(())
    }

    fn packet(&mut self, header: Header, work: &mut Work) -> Result<(), ServerFault> {
        let here = work.down.unscanned().get(HEADER_LEN..).unwrap_or_default();
        let payload = here.get(..header.len).unwrap_or(here);
        let event = self.server.exchange.handle(header.len, payload)?;
        if work.reply.preparing.is_some() || matches!(event, Event::Prepared(_)) {
            return self.preparing(header, event, work);
        }
        match event {
            Event::Part => {
                self.settle_eof(work);
                pass(header, work);
            }
            Event::LastColumn => {
                pass(header, work);
                if !self.deprecates_eof() {
                    work.reply.eof = OwedEof::BeforeRows;
                }
            }
            Event::ColumnsEnd if self.deprecates_eof() => work.down.drop(header.total()),
            Event::ColumnsEnd => pass(header, work),
            Event::FileWanted => {
                pass(header, work);
                work.upload = Upload::File(header.sequence.wrapping_add(1));
            }
            Event::Done { .. } => self.done(header, work)?,
            Event::Failed => self.failed(header, work)?,
            Event::Prepared(_) | Event::LastDefinition { .. } | Event::DefinitionsEnd { .. } => {}
        }
        Ok(())
    }

    /// A client that knows EOF packets gets the one behind the columns.
    fn settle_eof(&self, work: &mut Work) {
        if std::mem::take(&mut work.reply.eof) == OwedEof::BeforeRows {
            // Of what the result before it said of itself, nothing: there may be no cursor here, and rows follow.
            const OF_RESULT: Status =
                Status(Status::MORE_RESULTS_EXISTS.0 | Status::CURSOR_EXISTS.0 | Status::LAST_ROW_SENT.0);
            let status = self.server.exchange.status().without(OF_RESULT);
            work.reply.sequence = work.reply.sequence.wrapping_add(1);
            let mut sequence = work.reply.sequence;
            write::eof(work.down.insert(), &mut sequence, EofPacket { warnings: 0, status });
        }
    }

    fn done(&mut self, header: Header, work: &mut Work) -> Result<(), ServerFault> {
        if std::mem::take(&mut work.reply.prefix) == Prefix::Set {
            // Ours: what it set is known, and its result is nobody's.
            work.down.drop(header.total());
            return Ok(());
        }
        let Work { down, reply, .. } = work;
        let payload = down.unscanned().get(HEADER_LEN..header.total()).unwrap_or_default();
        let ends_rows = payload.first() == Some(&view::EOF);
        let is_eof = ends_rows && header.len <= EOF_LEN;
        let ok = self.read_end(payload, is_eof)?;
        let (warnings, new) = self.state.warned(ok.warnings);
        reply.warnings = new;
        self.remember(&ok, ends_rows);
        self.state.note(&ok, self.server);
        if ok.status.contains(Status::CURSOR_EXISTS) {
            // The one EOF that there is says that a cursor is open; no rows follow.
            reply.eof = OwedEof::No;
        }
        let same_form = !ends_rows || is_eof != self.deprecates_eof();
        let tells_changes = ok.status.contains(Status::SESSION_STATE_CHANGED);
        let shown = self.shown(ok.changes);
        let others = ok.warnings != warnings || (is_eof && tells_changes);
        if !same_form || reply.eof != OwedEof::No || !shown.is_empty() || others {
            let info = ok.info.to_vec();
            let end = OkPacket { info: &info, changes: SessionChanges::default(), warnings, ..ok };
            self.rewrite(header, ends_rows, end, &shown, work);
        } else if tells_changes {
            conceal_changes(header, work);
        } else {
            pass(header, work);
        }
        Ok(())
    }

    fn read_end<'p>(&self, payload: &'p [u8], is_eof: bool) -> Result<OkPacket<'p>, ServerFault> {
        if is_eof {
            let EofPacket { warnings, status } = EofPacket::parse(payload)?;
            return Ok(OkPacket { warnings, status, ..OkPacket::default() });
        }
        Ok(OkPacket::parse(payload, self.server.capabilities())?)
    }

    /// Writes the end of a result in the client's form, with what it may know of the session's changes.
    fn rewrite(&self, header: Header, ends_rows: bool, end: OkPacket<'_>, shown: &[u8], work: &mut Work) {
        self.settle_eof(work);
        // What was just written reads back; if it did not, the client would only hear less.
        let changes = SessionChanges::parse(shown).unwrap_or_default();
        let end = OkPacket { changes, status: end.status.without(Status::SESSION_STATE_CHANGED), ..end };
        work.reply.sequence = work.reply.sequence.wrapping_add(1);
        let mut sequence = work.reply.sequence;
        work.down.drop(header.total());
        let out = work.down.insert();
        if ends_rows {
            write::result_end(out, &mut sequence, self.capabilities, &end);
        } else {
            write::ok(out, &mut sequence, self.capabilities, &end);
        }
    }

    /// Of what changed, what the client hears, as on the wire.
    fn shown(&self, changes: SessionChanges<'_>) -> Vec<u8> {
        let mut shown = Vec::new();
        if !self.capabilities.contains(Capabilities::SESSION_TRACK) {
            return shown;
        }
        // MySQL tells everybody that a transaction has begun or ended: where it tells us what would begin it anew.
        let is_told = |change: &Change<'_>| matches!(change, Change::TransactionState(_));
        let tells_all =
            !self.state.reading().mariadb && { changes }.any(|change| matches!(change, Change::Characteristics(_)));
        for change in changes.filter(|change| self.state.hears_of(change) || (tells_all && is_told(change))) {
            change.write(&mut shown);
        }
        shown
    }

    /// What the functions that look back will answer.
    fn remember(&mut self, ok: &OkPacket<'_>, ends_rows: bool) {
        if ends_rows {
            return self.state.returned(self.server.exchange.rows());
        }
        self.state.memory.row_count = i64::try_from(ok.affected_rows).unwrap_or(i64::MAX);
        let (id, known) = (ok.last_insert_id, self.server.insert_id);
        if id == 0 {
            return;
        }
        // What the connection said before, whoever's it was, could not be told from it.
        if known != InsertId::Known(id) && self.state.may_have_given(id) {
            return self.server.doubt_insert_id(self.client, self.state.memory.insert_id);
        }
        self.state.memory.insert_id = id;
        if matches!(known, InsertId::Known(_)) {
            self.server.insert_id = InsertId::Known(id);
        }
    }

    fn failed(&mut self, header: Header, work: &mut Work) -> Result<(), ServerFault> {
        // An error among the rows, of which there may be none yet.
        self.settle_eof(work);
        let packet = work.down.unscanned().get(..header.total()).unwrap_or_default();
        let error = ErrPacket::parse(packet.get(HEADER_LEN..).unwrap_or_default())?;
        if std::mem::take(&mut work.reply.prefix) == Prefix::Set {
            return Err(ServerFault::Settings(String::from_utf8_lossy(error.message).into_owned()));
        }
        if is_farewell(error.code) {
            self.server.spoil("the server said goodbye");
        }
        if self.state.may_have_inserted() {
            self.server.doubt_insert_id(self.client, self.state.memory.insert_id);
        }
        self.state.fail(error.code, error.message);
        work.reply.failure = Some(error.code);
        work.reply.preparing = None;
        if std::mem::take(&mut work.out_of_time) {
            work.reply.sequence = work.reply.sequence.wrapping_add(1);
            let mut sequence = work.reply.sequence;
            work.down.drop(header.total());
            let reply = ErrorReply::statement_timeout(
                "Query execution was interrupted, maximum statement execution time exceeded (timeouts.query)",
            );
            reply.write(work.down.insert(), &mut sequence, self.capabilities);
        } else {
            pass(header, work);
        }
        Ok(())
    }

    /// Collects what is said of a statement that is being prepared; the client is told at the end, in its own terms.
    fn preparing(&mut self, header: Header, event: Event, work: &mut Work) -> Result<(), ServerFault> {
        let payload = work.down.unscanned().get(HEADER_LEN..).unwrap_or_default();
        match event {
            Event::Prepared(first) => work.reply.preparing = Some(Preparing { first, definitions: Vec::new(), len: 0 }),
            Event::Failed => return self.failed(header, work),
            Event::Part | Event::LastDefinition { .. } => {
                let Some(definition) = payload.get(..header.len).map(Box::<[u8]>::from) else {
                    // Not here as a whole yet; it was judged by its header, so it must be asked for again.
                    return Err(ServerFault::TooLong);
                };
                if let Some(preparing) = &mut work.reply.preparing {
                    preparing.len += definition.len();
                    if preparing.len > DEFINITIONS_LEN_MAX {
                        return Err(ServerFault::TooLong);
                    }
                    preparing.definitions.push(definition);
                }
            }
            _ => {}
        }
        work.down.drop(header.total());
        Ok(())
    }

    fn deprecates_eof(&self) -> bool {
        self.capabilities.contains(Capabilities::DEPRECATE_EOF)
    }
}

/// The most bytes of definitions of one prepared statement: 65,535 parameters and 4,096 columns with long names.
const DEFINITIONS_LEN_MAX: usize = 32 * 1024 * 1024;

/// Payload bytes of an EOF packet.
const EOF_LEN: usize = 5;

/// Passes a packet on under the number that the client expects.
fn pass(header: Header, work: &mut Work) {
    work.reply.sequence = work.reply.sequence.wrapping_add(1);
    if work.reply.sequence != header.sequence {
        renumber(&mut work.down, work.reply.sequence);
    }
    work.down.forward(header.total());
}

/// Passes an OK packet on without what changed: MySQL tells with every statement that it has a new number.
fn conceal_changes(header: Header, work: &mut Work) {
    let payload = work.down.unscanned_mut().get_mut(HEADER_LEN..header.total());
    let Some(kept) = payload.and_then(OkPacket::cut_changes) else { return pass(header, work) };
    if let Some(place) = work.down.unscanned_mut().first_chunk_mut() {
        *place = Header { len: kept, ..header }.to_bytes();
    }
    pass(Header { len: kept, ..header }, work);
    work.down.drop(header.len - kept);
}

/// Errors with which a server ends a connection by itself: it shuts down, the connection was killed or idle for too long.
fn is_farewell(code: u16) -> bool {
    matches!(code, 1053 | 1927 | 3169 | 4031)
}
