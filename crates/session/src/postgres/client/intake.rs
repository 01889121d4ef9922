//! What came from a client that holds no server connection: is it a unit of work, and does it need a server?

use std::sync::{Arc, PoisonError};

use pg::{
    frame::{Header, Message, client, server},
    statement::Statement,
    view::{self, Parse, Target},
    write,
};
use route::PoolMode;

use super::Client;
use crate::{flow::Flow, postgres::fault::Fault};

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
                (client::PARSE | client::CLOSE, Skip::No) if self.mode != PoolMode::Statement => {
                    match self.answer_here()? {
                        Some(len) => self.work.up.drop(len),
                        None => return unit(&mut self.work.up),
                    }
                }
                (_, Skip::No) => return unit(up),
            }
        }
    }
}

impl Client {
    /// Answers a unit that only names and forgets statements, all of them known to be good: no server need be asked.
    /// Returns its length; `None` when a server must be asked after all.
    ///
    /// Besides the saving, this lets programs through that prepare statements one after the other while others of their
    /// own connections hold everything the route may have (pgbench does).
    fn answer_here(&mut self) -> Result<Option<usize>, Fault> {
        let Some(steps) = self.steps()? else { return Ok(None) };
        let mut len = 0;
        for (step, total) in steps {
            len += total;
            let tag = match step {
                Step::Name(name, statement) => {
                    self.state.statements.insert(&name, statement);
                    server::PARSE_COMPLETE
                }
                Step::Forget(name) => {
                    self.state.statements.remove(&name);
                    server::CLOSE_COMPLETE
                }
                Step::End => {
                    write::ready_for_query(self.work.down.insert(), b'I');
                    continue;
                }
            };
            write::message(self.work.down.insert(), tag, |_| {});
        }
        Ok(Some(len))
    }

    /// What such a unit does, message by message with their lengths.
    fn steps(&self) -> Result<Option<Vec<(Step, usize)>>, Fault> {
        let mut rest = self.work.up.unscanned();
        let mut steps: Vec<(Step, usize)> = Vec::new();
        let mut texts_len = 0;
        while let Some((message, after)) = Message::split(rest)? {
            let step = match message.tag {
                client::SYNC => Step::End,
                client::CLOSE => match view::target(message.tag, message.body)? {
                    Target::Statement(name) => Step::Forget(name.into()),
                    Target::Portal(_) => return Ok(None),
                },
                client::PARSE => {
                    let Parse { name, text, types } = view::parse(message.body)?;
                    let taken = self.state.statements.get(name).is_some()
                        || steps.iter().any(|(step, _)| matches!(step, Step::Name(other, _) if **other == *name));
                    texts_len += text.len();
                    let room = self.state.statements.has_room(texts_len)
                        && self.state.statements.len() + steps.len()
                            < self.route.handling.load().prepared.per_client_max;
                    if name.is_empty() || taken || !room {
                        return Ok(None);
                    }
                    let known =
                        self.route.shared.interner.lock().unwrap_or_else(PoisonError::into_inner).proven(text, types);
                    match known {
                        Some(statement) => Step::Name(name.into(), statement),
                        None => return Ok(None),
                    }
                }
                _ => return Ok(None),
            };
            let end = matches!(step, Step::End);
            steps.push((step, rest.len() - after.len()));
            if end {
                return Ok(Some(steps));
            }
            rest = after;
        }
        Ok(None)
    }
}

/// One message of a unit that is answered without a server.
enum Step {
    Name(Box<[u8]>, Arc<Statement>),
    Forget(Box<[u8]>),
    End,
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
            client::QUERY | client::PARSE if !whole && at + header.total <= up.len_max() => {
                wanted = at + header.total;
                break;
            }
            _ if !whole => return Ok(if at + header.total > up.capacity() { Intake::Unit } else { Intake::More }),
            _ => at += header.total,
        }
    }
    up.make_room(wanted);
    // A pipeline that fills the buffer without an end is sent on in parts.
    Ok(if up.wants_more() { Intake::More } else { Intake::Unit })
}
