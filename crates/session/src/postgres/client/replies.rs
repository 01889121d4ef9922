//! Server to client: which of the server's messages the client sees, and what they say about the session.

use pg::{
    ErrorReply,
    exchange::{Audience, Event, Expect, Transaction},
    frame::{HEADER_LEN, Header, server as tag},
    statement::NAME_PREFIX,
    view, write,
};

use super::{
    state::State,
    work::{Retry, Suspect, Work},
};
use crate::postgres::{fault::ServerFault, server::ServerConnection};

/// Longest message whose body is looked at, in bytes. Longer errors pass unseen; nothing else that matters is as long.
pub(super) const BODY_LEN_MAX: usize = 64 * 1024;

/// What came of the replies that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Units of work that were answered to the end.
    pub(crate) answered: u32,
    /// Errors that the client saw.
    pub(crate) errors: u32,
}

/// Sorts what was read from the server.
pub(crate) struct Replier<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) server: &'a mut ServerConnection,
}

impl Replier<'_> {
    /// Sorts all that is in `work.down`. Stops where a unit must be sent again ([`Retry::Again`]).
    ///
    /// # Errors
    /// [`ServerFault`] when the server connection must not be used any more.
    pub(crate) fn run(&mut self, work: &mut Work) -> Result<Seen, ServerFault> {
        let mut seen = Seen::default();
        // What was sent behind an error that had been seen already.
        self.undo();
        self.write_fakes(work);
        while !work.down.is_amid_message() && !matches!(work.retry, Retry::Again { .. }) {
            let Some(header) = Header::peek(work.down.unscanned())? else { break };
            let body = if needs_body(header) {
                match work.down.unscanned().get(HEADER_LEN..header.total) {
                    Some(body) => body,
                    None => {
                        work.down.make_room(header.total);
                        break;
                    }
                }
            } else {
                &[]
            };
            let reply = self.server.exchange.handle(header.tag, body).inspect_err(|_| {
                log_farewell(header.tag, body);
            })?;
            let mut audience = reply.audience;
            let mut reworded = None;
            match reply.event {
                Event::Progress if header.tag == tag::PARAMETER_STATUS => self.parameter(body, audience)?,
                Event::Accepted if audience == Audience::Client => work.retry.disarm(),
                Event::Completed if audience == Audience::Client => {
                    work.retry.disarm();
                    self.state.completed(view::command_tag(body), self.server);
                }
                Event::Failed => {
                    let unanswered = self.undo();
                    if audience == Audience::Us {
                        let message = view::error_field(body, b'M').unwrap_or_default();
                        return Err(ServerFault::Settings(String::from_utf8_lossy(message).into_owned()));
                    }
                    if let Some(faked) = second_chance(work.retry, body) {
                        work.retry = Retry::Draining { faked: faked.saturating_sub(unanswered) };
                    } else {
                        work.retry = Retry::Off;
                        seen.errors += 1;
                        reworded = if work.out_of_time && view::error_field(body, b'C') == Some(b"57014") {
                            Some(out_of_time())
                        } else {
                            self.reword(body)
                        };
                        self.fail(body);
                    }
                }
                Event::Ready => match work.retry {
                    Retry::Draining { faked } => {
                        audience = Audience::Us;
                        work.retry = Retry::Again { faked };
                    }
                    _ => {
                        seen.answered += u32::from(audience == Audience::Client);
                        self.ready(audience, work);
                    }
                },
                Event::Progress | Event::Accepted | Event::Completed => {}
            }
            if audience == Audience::Us || matches!(work.retry, Retry::Draining { .. }) {
                work.down.drop(header.total);
            } else if let Some(body) = reworded {
                work.down.drop(header.total);
                write::message(work.down.insert(), tag::ERROR_RESPONSE, |out| out.extend_from_slice(&body));
            } else {
                work.down.forward(header.total);
            }
            self.write_fakes(work);
        }
        Ok(seen)
    }

    fn ready(&mut self, audience: Audience, work: &mut Work) {
        if audience == Audience::Client {
            work.retry.disarm();
            self.state.unit_ended();
            if self.server.exchange.transaction() == Transaction::Idle {
                self.state.settle(self.server);
            }
        }
    }

    fn parameter(&mut self, body: &[u8], audience: Audience) -> Result<(), ServerFault> {
        let (name, value) = view::parameter_status(body)?;
        self.server.report(name, value);
        if audience == Audience::Client {
            self.state.reported(name, value, self.server);
        }
        Ok(())
    }

    /// The body of an error that speaks of a prepared statement by our name for it, with the client's instead.
    fn reword(&self, body: &[u8]) -> Option<Vec<u8>> {
        let start = body.windows(NAME_PREFIX.len()).position(|window| window == NAME_PREFIX)?;
        let rest = body.get(start..)?;
        let digits = rest.iter().skip(NAME_PREFIX.len()).take_while(|byte| byte.is_ascii_digit()).count();
        let (ours, after) = rest.split_at_checked(NAME_PREFIX.len() + digits)?;
        if !body.get(..start)?.ends_with(b"prepared statement \"") {
            return None;
        }
        // One that has no name any more was the unnamed one, and replaced in the same unit.
        let theirs = self.state.statements.name_of(ours).unwrap_or_default();
        Some([body.get(..start)?, theirs, after].concat())
    }

    fn fail(&mut self, body: &[u8]) {
        self.state.failed();
        // `V` is the severity that is never translated (PostgreSQL 9.6 and newer).
        if view::error_field(body, b'V').is_some_and(|severity| severity != b"ERROR") {
            self.server.spoil("the server ended the session");
        }
    }

    /// Takes back what was noted for messages that the server skipped, the last one first. Returns how many of them are
    /// `Parse` messages that we would have answered ourselves.
    fn undo(&mut self) -> u32 {
        let mut unanswered = 0;
        let skipped: Vec<_> = self.server.exchange.take_skipped().collect();
        for expect in skipped.into_iter().rev() {
            self.server.undo(&expect);
            unanswered += u32::from(matches!(expect, Expect::FakeParse { .. }));
            match expect {
                Expect::Parse { name: Some(name), .. } | Expect::FakeParse { name: Some(name) } => {
                    self.state.statements.remove(&name);
                }
                // A later unit may have replaced it already.
                Expect::Parse { audience: Audience::Client, statement: Some(statement), name: None } => {
                    self.state.statements.remove_unnamed(&statement);
                }
                Expect::FakeParse { name: None } => drop(self.state.statements.remove(b"")),
                // A later unit of the pipeline may have used the unnamed statement's name again.
                Expect::FakeClose { closed: Some((name, statement)) } if self.state.statements.get(&name).is_none() => {
                    self.state.statements.insert(&name, statement);
                }
                _ => {}
            }
        }
        unanswered
    }

    /// Writes the replies of our own making whose turn has come.
    fn write_fakes(&mut self, work: &mut Work) {
        while let Some(fake) = self.server.exchange.poll_fake() {
            let tag = if matches!(fake, Expect::FakeParse { .. }) { tag::PARSE_COMPLETE } else { tag::CLOSE_COMPLETE };
            write::message(work.down.insert(), tag, |_| {});
            work.own_pending += HEADER_LEN;
        }
    }
}

fn needs_body(header: Header) -> bool {
    matches!(header.tag, tag::READY_FOR_QUERY | tag::COMMAND_COMPLETE | tag::ERROR_RESPONSE | tag::PARAMETER_STATUS)
        && header.total <= BODY_LEN_MAX
}

/// Whether the failure may come from an outdated shared statement, so that the unit deserves a second try; if so, how
/// many replies of it the client has seen.
fn second_chance(retry: Retry, body: &[u8]) -> Option<u32> {
    let Retry::Armed { faked, suspect } = retry else { return None };
    // 26000: the statement does not exist (any more); 0A000: "cached plan must not change result type".
    let deserved = match (suspect, view::error_field(body, b'C')) {
        (Suspect::Any, _) | (_, Some(b"26000")) | (Suspect::Outdated, Some(b"0A000")) => true,
        (Suspect::Missing | Suspect::Outdated, _) => false,
    };
    deserved.then_some(faked)
}

/// The body of the error for a query that was canceled because of its time limit, not at the client's wish.
fn out_of_time() -> Vec<u8> {
    let reply = ErrorReply::error("57014", "canceling statement due to query timeout")
        .hint("The limit is timeouts.query, or query_timeout of the user, database or route.");
    let mut message = Vec::new();
    reply.write(&mut message);
    message.split_off(HEADER_LEN)
}

/// An error that answers nothing is a server's farewell; only the log can take it.
fn log_farewell(tag: u8, body: &[u8]) {
    if tag == tag::ERROR_RESPONSE {
        let field = |kind| String::from_utf8_lossy(view::error_field(body, kind).unwrap_or_default()).into_owned();
        tracing::info!(sqlstate = field(b'C'), message = field(b'M'), "the server ended a connection");
    }
}
