//! What came from a client that holds no server connection: is it a unit of work, and does it need a server?

use pg::{
    frame::{Header, client},
    write,
};

use super::Client;
use crate::{
    fault::Fault,
    flow::{BUFFER_LEN, BUFFER_LEN_MAX, Flow},
};

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intake {
    /// A unit of work is here; it needs a server connection.
    Unit,
    /// Wait for more from the client.
    More,
    /// The client says goodbye.
    Leave,
}

/// What of the client's messages is skipped, as a server skips them after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    /// Nothing.
    No,
    /// The unit of work at hand, which was answered with an error.
    Unit,
    /// Everything up to `Sync`: the unit began in the extended protocol.
    ToSync,
}

impl Client {
    /// Looks at what was read. What a server would ignore, or answer without doing anything, ends here.
    pub(super) fn take_in(&mut self) -> Result<Intake, Fault> {
        loop {
            if self.work.up.is_amid_message() {
                return Ok(Intake::More);
            }
            let Some(header) = Header::peek(self.work.up.unscanned())? else { return Ok(Intake::More) };
            let up = &mut self.work.up;
            match (header.tag, self.skip) {
                (client::TERMINATE, _) => return Ok(Intake::Leave),
                (client::SYNC, _) => {
                    up.drop(header.total);
                    self.skip = Skip::No;
                    write::ready_for_query(self.work.down.insert(), b'I');
                }
                (client::QUERY | client::FUNCTION_CALL, Skip::Unit) => {
                    up.drop(header.total);
                    self.skip = Skip::No;
                    write::ready_for_query(self.work.down.insert(), b'I');
                }
                (_, Skip::Unit | Skip::ToSync) => {
                    up.drop(header.total);
                    self.skip = Skip::ToSync;
                }
                // Left over from a COPY that failed, or nothing to flush.
                (client::COPY_DATA | client::COPY_DONE | client::COPY_FAIL | client::FLUSH, Skip::No) => {
                    up.drop(header.total);
                }
                (_, Skip::No) => return unit(up),
            }
        }
    }
}

/// Whether a unit of work is complete enough to be worth a server connection: to its end, or to what the client wants
/// an answer to, or to what can be kept here at all.
fn unit(up: &mut Flow) -> Result<Intake, Fault> {
    let mut at = 0;
    let mut wanted = 0;
    while let Some(header) = Header::peek(up.unscanned().get(at..).unwrap_or_default())? {
        let whole = up.unscanned().len() >= at + header.total;
        match header.tag {
            client::QUERY | client::FUNCTION_CALL | client::SYNC | client::FLUSH if whole => return Ok(Intake::Unit),
            // A text is looked at whole; until it is here, no server connection need wait for it.
            client::QUERY | client::PARSE if !whole && at + header.total <= BUFFER_LEN_MAX => {
                wanted = at + header.total;
                break;
            }
            _ if !whole => return Ok(if at + header.total > BUFFER_LEN { Intake::Unit } else { Intake::More }),
            _ => at += header.total,
        }
    }
    up.make_room(wanted);
    // A pipeline that fills the buffer without an end is sent on in parts.
    Ok(if up.wants_more() { Intake::More } else { Intake::Unit })
}
