//! Which class of connections a command is for, and where a lease moves when the session turns out to need it otherwise.

use mysql::{
    Capabilities, ErrorReply, Status,
    command::{Query, StmtExecute},
    handshake::Attributes,
    packet::Header,
    statement::Statement,
};
use pool::{Lease, NoTransfer, OverLimit};
use route::{ClassIndex, PoolMode, Traffic, Who, Workload};
use sql::mysql::{Assignment, Effects, Scope, Verdict};

use super::{Client, demand};
use crate::{
    demand::{Demand, SetsSettings},
    lane::Lane,
    mysql::{connector::MyConnector, fault::Fault},
    pin::Pin,
    placing::{Holds, Keeps, Placing, Queue},
    seats::Era,
};

/// What a client says of itself, as far as its class depends on it.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// The attributes of its connection. Kept only where there are classes when it logs in.
    pub(crate) attributes: Option<Box<Attributes>>,
    /// What it chose by `SET workload`.
    pub(crate) workload: Workload,
}

impl Words {
    /// Those of a client that has just come.
    pub(crate) fn new(lane: &Lane, attributes: &Attributes) -> Self {
        let keeps = lane.seats.era() != Era::PLAIN && !attributes.is_empty();
        Self { attributes: keeps.then(|| Box::new(attributes.clone())), workload: Workload::default() }
    }
}

/// Vitess's name for the variable by which a session says what work it does.
const WORKLOAD: &[u8] = b"workload";

impl Client {
    /// What a text asks for.
    pub(super) fn demand(&self, text: &[u8], verdict: Verdict) -> Demand {
        if self.route.seats.era() == Era::PLAIN {
            return Demand::ANY;
        }
        let mut demand = demand::of_text(verdict);
        if demand.settings == SetsSettings::Yes && !self.state.reserves(text) {
            demand.settings = SetsSettings::No;
        }
        self.within_autocommit(demand)
    }

    /// What the execution of a statement asks for; `body` begins with its number and flags.
    pub(super) fn demand_of_execution(&self, statement: &Statement, body: &[u8]) -> Demand {
        let demand = self.demand(statement.text(), statement.verdict());
        match StmtExecute::asks_for_cursor(body) && demand.traffic == Traffic::Statement {
            true => demand.as_traffic(Traffic::Stream),
            false => demand,
        }
    }

    /// The same for a session that has to end every transaction itself: whatever it does opens one.
    pub(super) fn within_autocommit(&self, demand: Demand) -> Demand {
        match self.state.status.contains(Status::AUTOCOMMIT) {
            true => demand,
            false => demand.as_traffic(Traffic::Transaction),
        }
    }

    /// Where a command waits that asks for this. Where there is nothing to choose, it does not matter.
    ///
    /// # Errors
    /// The answer to a transaction too many.
    pub(super) fn choose_queue(&mut self, demand: Demand) -> Result<Queue, ErrorReply> {
        let era = self.route.seats.era();
        if era == Era::PLAIN {
            self.placing = None;
            return Ok(Queue { route: self.route.id, keeps: Keeps::No });
        }
        let words = self.words.workload as u64;
        let mut placing = match self.placing.take() {
            Some(placing) if placing.is_for(era, words) => placing,
            _ => Box::new(self.choice(era, words)),
        };
        let (lane, pool) = (self.route.lane(), &self.route.pool);
        let queue = placing.enter(demand, self.state.session_state, &self.engine, lane, pool);
        self.placing = Some(placing);
        queue.map_err(|over| too_many(&over))
    }

    fn choice(&self, era: Era, words: u64) -> Placing<MyConnector> {
        let attribute = |name: &str| self.words.attributes.as_ref()?.get(name.as_bytes());
        let application = String::from_utf8_lossy(attribute("program_name").unwrap_or_default());
        let who = Who {
            application: &application,
            attributes: &attribute,
            found_rows: self.capabilities.contains(Capabilities::FOUND_ROWS),
            workload: self.words.workload,
            ..Who::new(&self.route.user, &self.route.database)
        };
        Placing::new(era, words, &who, &self.shared, &self.route.seats.seating())
    }

    /// Makes the connection at hand the session's own, as far as classes go.
    ///
    /// # Errors
    /// There is no room for one more.
    pub(super) fn reserve(&mut self, lease: &mut Lease<MyConnector>) -> Result<(), ErrorReply> {
        let Some(reserved) = self.route.seats.seating().classes.reserved() else { return Ok(()) };
        self.move_to(lease, (reserved, Traffic::Statement)).map_err(|why| {
            ErrorReply::user_limit(format!(
                "A changed setting makes the server connection the session's own (session_state = \"reserve\"), and there is \
                 no room for another such session (max_reserved): {why}. Close some, raise it, or let settings be replayed"
            ))
        })
    }

    /// Behind a command: moves the lease to the class where what the session holds now belongs.
    ///
    /// # Errors
    /// The session has to end: it may not keep the connection.
    pub(super) fn keep_place(&mut self, lease: &mut Lease<MyConnector>) -> Result<(), Fault> {
        let Some(placing) = &self.placing else { return Ok(()) };
        let pinned = self.mode == PoolMode::Session || self.state.is_pinned_for_good();
        let holds = match (lease.exchange.in_transaction(), pinned) {
            (false, true) => Holds::Session,
            (true, false) => Holds::Transaction,
            (false, false) | (true, true) => Holds::Nothing,
        };
        let reserved = self.route.seats.seating().classes.reserved();
        let Some(destination) = placing.destination(holds, reserved) else { return Ok(()) };
        if self.state.pin() == Some(Pin::Reserved) {
            return self.reserve(lease).map_err(|reply| Fault::Refused(Box::new(reply)));
        }
        if let Err(why) = self.move_to(lease, destination) {
            tracing::debug!(client = self.shared.number(), %why, "the lease stays in its class");
        }
        Ok(())
    }

    /// Before a command that opens a transaction on a connection that is held already: it counts as any other.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn open_transaction(
        &mut self,
        demand: Demand,
        lease: &mut Lease<MyConnector>,
    ) -> Result<(), ErrorReply> {
        let kept = self.mode == PoolMode::Session || self.state.is_pinned_for_good() || lease.exchange.in_transaction();
        let Some(placing) = self.placing.as_mut().filter(|_| !kept && demand.traffic == Traffic::Transaction) else {
            return Ok(());
        };
        let Some(destination) = placing.destination(Holds::Transaction, None) else { return Ok(()) };
        placing.count(destination, &self.route.pool).map_err(|over| too_many(&over))?;
        if let Err(why) = self.move_to(lease, destination) {
            tracing::debug!(client = self.shared.number(), %why, "the lease stays in its class");
        }
        Ok(())
    }

    fn move_to(
        &mut self,
        lease: &mut Lease<MyConnector>,
        destination: (ClassIndex, Traffic),
    ) -> Result<(), NoTransfer> {
        let Some(placing) = &mut self.placing else { return Ok(()) };
        placing.move_lease(lease, destination, &self.engine, self.route.lane(), &self.route.pool, &self.shared)
    }

    /// `SET workload` is for us where there are classes: no server knows that variable. Returns whether it was that.
    pub(super) fn choose_workload(&mut self, header: Header, verdict: Verdict) -> bool {
        if !verdict.is_single_set() || verdict.effects != Effects::SETS || self.route.seats.era() == Era::PLAIN {
            return false;
        }
        let packet = self.command_body(header.total());
        let Ok(query) = Query::parse(packet, self.capabilities) else { return false };
        let chosen = workload(query.text, self.state.reading());
        match chosen {
            None => return false,
            Some(Err(reply)) => {
                self.drop_command(header);
                self.deny(&reply);
            }
            Some(Ok(workload)) => {
                self.words.workload = workload;
                self.state.set_is_answered();
                self.answer_ok(header, 0);
                self.route.meters().answered(1, 0);
            }
        }
        true
    }
}

fn too_many(over: &OverLimit) -> ErrorReply {
    ErrorReply::user_limit(format!(
        "Too many transactions of one user (transaction_limit): {over}. End transactions sooner, or raise \
         transaction_limit.per_user or the caps of the classes for transactions"
    ))
}

/// The workload that a `SET` chooses; `None`: it is about something else.
fn workload(text: &[u8], mode: sql::mysql::Mode) -> Option<Result<Workload, ErrorReply>> {
    let is_workload = |assignment: &Assignment<'_>| matches!(assignment, Assignment::System { scope: Scope::Session, name, .. } if name.eq_ignore_ascii_case(WORKLOAD));
    let mut assignments = sql::mysql::assignments(text, mode)?;
    let count = assignments.clone().count();
    let Some(Assignment::System { value, .. }) = assignments.find(is_workload) else { return None };
    if count > 1 {
        return Some(Err(ErrorReply::not_supported("workload is set by a statement of its own")));
    }
    let name = value.plain().map(String::from_utf8_lossy).unwrap_or_default();
    Some(Workload::parse(&name).ok_or_else(|| {
        let message =
            format!("Variable 'workload' can't be set to the value of '{name}': oltp, olap and dba are known");
        ErrorReply::new(1231, *b"42000", message)
    }))
}
