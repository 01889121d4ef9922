//! What of a client's prepared statements is open on its server connection: cursors, and parameters sent ahead.

use super::State;
use crate::pin::Pin;

/// A statement of the client's that is set apart on the server connection, because something of it is open there: nobody
/// else may execute it meanwhile. Nor afterwards: MySQL 9 answers an execution without a cursor wrongly that follows one
/// with a cursor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    /// The client's number.
    id: u32,
    what: Open,
    /// The server's number.
    pub(super) server_id: u32,
}

/// What of a prepared statement is open on a server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// A cursor with rows to be fetched.
    Cursor,
    /// Parameters that were sent ahead of the execution.
    LongData,
}

impl State {
    /// Notes that something of a statement is opened by the command under way, or ahead of one.
    pub(crate) fn open(&mut self, id: u32, what: Open, server_id: u32) {
        self.open.push(Opened { id, what, server_id });
        if what == Open::Cursor {
            self.underway.cursor = Some(id);
        }
        self.pin_for_what_is_open();
    }

    /// Rows of a statement's cursor are fetched by the command under way.
    pub(crate) fn fetching(&mut self, id: u32) {
        self.underway.cursor = Some(id);
    }

    /// The server's number of a statement of which this is open.
    pub(crate) fn opened(&self, id: u32, what: Open) -> Option<u32> {
        self.open.iter().find(|opened| opened.id == id && opened.what == what).map(|opened| opened.server_id)
    }

    /// The server's numbers of statements that were set apart and are no longer needed; told once.
    pub(crate) fn take_outdated(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.outdated)
    }

    /// Nothing of a statement is open any more.
    pub(crate) fn close(&mut self, id: u32) {
        let outdated = &mut self.outdated;
        self.open.retain(|opened| {
            let stays = opened.id != id;
            if !stays && !outdated.contains(&opened.server_id) {
                outdated.push(opened.server_id);
            }
            stays
        });
        self.pin_for_what_is_open();
    }

    pub(super) fn pin_for_what_is_open(&mut self) {
        for (what, pin) in [(Open::Cursor, Pin::HoldCursor), (Open::LongData, Pin::LongData)] {
            match self.open.iter().any(|opened| opened.what == what) {
                true => self.pin_for(pin),
                false => self.unpin(pin),
            }
        }
    }
}
