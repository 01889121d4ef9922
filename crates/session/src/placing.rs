//! A session's place among the classes of its server: which of them takes what it sends, and what its lease counts as.

use std::sync::Arc;

use pool::{BlockedBy, Connector, Lease, NoTransfer, OverLimit, Pool, RouteId, TransactionPermit};
use route::{Choice, ClassIndex, LimitKey, SessionState, Traffic, Who};

use crate::{
    demand::{Demand, SetsSettings},
    engine::Engine,
    lane::Lane,
    registry::ClientEntry,
    seats::{Era, Seating},
};

/// What a session has chosen. It has none where there is nothing to choose.
#[derive(Debug)]
pub(crate) struct Placing<C: Connector> {
    /// Under which configuration, and from which words of the client's, by their fingerprint.
    chosen_for: (Era, u64),
    choice: Choice,
    place: Place,
    limit: Option<Limit>,
    /// The transaction under way, where it counts.
    permit: Option<TransactionPermit<C>>,
}

/// Whose transactions are counted together with the session's.
#[derive(Debug)]
struct Limit {
    party: Arc<str>,
    /// Those of them that are in one of these classes.
    classes: Vec<ClassIndex>,
}

/// What a session's lease counts as.
#[derive(Debug)]
struct Place {
    class: ClassIndex,
    traffic: Traffic,
}

/// Where a unit of work waits for its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) route: RouteId,
    pub(crate) keeps: Keeps,
}

/// Whether a unit of work makes its connection the session's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    No,
    /// It does, if there is room for another session that has one.
    Reserved,
}

/// What a session holds its connection for, between its units of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing: it goes back.
    Nothing,
    /// A transaction.
    Transaction,
    /// The session, inside a transaction or not.
    Session,
}

impl<C: Connector> Placing<C> {
    /// The choice of this client under a configuration, from words of its own with this fingerprint.
    pub(crate) fn new(era: Era, words: u64, who: &Who<'_>, client: &ClientEntry, seating: &Seating) -> Self {
        let limit = (!seating.limited_by.is_empty()).then(|| Limit {
            party: party(&seating.limited_by, who, client),
            classes: seating.classes.transactional(),
        });
        Self {
            chosen_for: (era, words),
            choice: seating.classes.of(who),
            place: Place { class: ClassIndex::DEFAULT, traffic: Traffic::Statement },
            limit,
            permit: None,
        }
    }

    /// Whether it is the choice under this configuration, from these words.
    pub(crate) fn is_for(&self, era: Era, words: u64) -> bool {
        self.chosen_for == (era, words)
    }

    /// Which class takes this.
    fn class(&self, demand: Demand) -> ClassIndex {
        self.choice.class(demand.traffic, demand.kind)
    }

    /// A lease is asked for that is to count as this. Returns where.
    ///
    /// # Errors
    /// It would be for a transaction too many.
    pub(crate) fn enter(
        &mut self,
        demand: Demand,
        session_state: SessionState,
        engine: &Engine,
        lane: &Arc<Lane>,
        pool: &Pool<C>,
    ) -> Result<Queue, OverLimit> {
        let class = self.class(demand);
        self.place = Place { class, traffic: demand.traffic };
        self.count((class, demand.traffic), pool)?;
        let keeps = match demand.keeps(session_state) {
            true => Keeps::Reserved,
            false => Keeps::No,
        };
        Ok(Queue { route: engine.seat(lane, class), keeps })
    }

    /// Counts a lease in this class among the transactions that are limited, if it is one.
    ///
    /// # Errors
    /// It is one too many.
    pub(crate) fn count(&mut self, (class, traffic): (ClassIndex, Traffic), pool: &Pool<C>) -> Result<(), OverLimit> {
        // First of all: the one before is over.
        self.permit = None;
        let limit = self.limit.as_ref().filter(|limit| limit.classes.contains(&class));
        if let Some(limit) = limit.filter(|_| traffic == Traffic::Transaction) {
            self.permit = pool.begin_transaction(&limit.party)?;
        }
        Ok(())
    }

    /// Whether a unit of work must wait for the end of the lease under way, because it is for another one: of another class,
    /// or of a transaction, of which not everybody may have one more.
    pub(crate) fn is_elsewhere(&self, demand: Demand, session_state: SessionState) -> bool {
        if self.place.traffic == Traffic::Transaction {
            return false;
        }
        demand.traffic == Traffic::Transaction || demand.keeps(session_state) || self.class(demand) != self.place.class
    }

    /// To which class the lease belongs, and as what, for what is held now; `None`: it counts as that already.
    pub(crate) fn destination(&self, holds: Holds, reserved: Option<ClassIndex>) -> Option<(ClassIndex, Traffic)> {
        match holds {
            Holds::Session => {
                let reserved = reserved.filter(|&reserved| reserved != self.place.class)?;
                Some((reserved, Traffic::Statement))
            }
            Holds::Transaction if self.place.traffic != Traffic::Transaction => {
                let opened = Demand::ANY.as_traffic(Traffic::Transaction);
                Some((self.class(opened), Traffic::Transaction))
            }
            Holds::Transaction | Holds::Nothing => None,
        }
    }

    /// Moves the lease there.
    ///
    /// # Errors
    /// It stays where it is.
    pub(crate) fn move_lease(
        &mut self,
        lease: &mut Lease<C>,
        (class, traffic): (ClassIndex, Traffic),
        engine: &Engine,
        lane: &Arc<Lane>,
        pool: &Pool<C>,
        client: &ClientEntry,
    ) -> Result<(), NoTransfer> {
        self.recount((class, traffic), pool);
        let route = engine.seat(lane, class);
        if lease.route() != route {
            lease.transfer(route)?;
        }
        self.place = Place { class, traffic };
        client.move_lease(self.class_name(lane));
        Ok(())
    }

    /// Counts a lease under way as what it has turned out to be. A transaction is one wherever its lease finds a place, and if
    /// what opened it did not look like it, such as a call of a procedure, there is nothing left to refuse.
    fn recount(&mut self, (class, traffic): (ClassIndex, Traffic), pool: &Pool<C>) {
        let limit = self.limit.as_ref().filter(|limit| limit.classes.contains(&class));
        match limit.filter(|_| traffic == Traffic::Transaction) {
            Some(limit) if self.permit.is_none() => self.permit = pool.join_transaction(&limit.party),
            Some(_) => {}
            None => self.permit = None,
        }
    }

    /// The lease is about to end. What was a session's own goes to no class in particular: all others may take it from there,
    /// and the next session may have one of its own.
    pub(crate) fn leave(&mut self, lease: &mut Lease<C>, lane: &Lane) {
        self.end();
        if lane.seats.seating().classes.reserved() == Some(self.place.class)
            && let Err(why) = lease.transfer(lane.id)
        {
            tracing::debug!(%why, "a connection stays in the class of reserved ones");
        }
    }

    /// There is no lease any more, or there was none to be had.
    pub(crate) fn end(&mut self) {
        self.permit = None;
    }

    /// The class that the lease counts in.
    pub(crate) fn class_name(&self, lane: &Lane) -> Option<Arc<str>> {
        Some(lane.seats.seating().classes.list().get(self.place.class.get())?.name.clone())
    }
}

impl Demand {
    /// Whether the session keeps the connection from then on, if settings are treated like this.
    fn keeps(self, session_state: SessionState) -> bool {
        (session_state, self.settings) == (SessionState::Reserve, SetsSettings::Yes)
    }
}

/// Whose transactions are counted together: of those who are alike in these.
fn party(by: &[LimitKey], who: &Who<'_>, client: &ClientEntry) -> Arc<str> {
    let part = |key: &LimitKey| match key {
        LimitKey::User => who.user.to_owned(),
        LimitKey::Application => who.application.to_owned(),
        LimitKey::Address => client.peer.ip().map_or_else(|| "unix".to_owned(), |ip| ip.to_string()),
    };
    by.iter().map(part).collect::<Vec<_>>().join("/").into()
}

/// What is to be done about a limit that kept somebody waiting for too long.
pub(crate) fn advice(blocked_by: BlockedBy, seating: &Seating) -> String {
    match blocked_by {
        BlockedBy::Class { class, cap } => {
            let name = seating.class(class).map_or("default", |class| &*class.name);
            format!(
                "The class {name} has all of its {cap} connections in use. Shorten what uses them, or raise the cap of the \
                 class (servers.classes, or cap in [[classes]])."
            )
        }
        BlockedBy::Route { cap } => format!(
            "This user has all of its {cap} connections to this database in use. Shorten transactions, or raise the cap \
             (cap in [[routes]])."
        ),
        _ => "The server connections of this route are busy. Shorten transactions, or raise the server's budget \
              (servers.budget)."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use route::{Class, Classes, StatementKind, TransactionLimit};

    use super::*;
    use crate::{class_numbers::ClassNumbers, postgres::PgConnector, seats::ClassRules};

    fn placed(traffic: Traffic) -> (Placing<PgConnector>, Classes) {
        let classes = Classes::vttablet();
        let choice = classes.of(&Who::new("ada", "shop"));
        let class = choice.class(traffic, StatementKind::Other);
        let place = Place { class, traffic };
        (Placing { chosen_for: (Era::PLAIN, 0), choice, place, limit: None, permit: None }, classes)
    }

    #[test]
    fn a_unit_of_another_class_waits_for_the_end_of_the_lease() {
        let (replay, reserve) = (SessionState::Replay, SessionState::Reserve);
        let (placing, _) = placed(Traffic::Statement);
        let select = Demand::statement(StatementKind::Select);
        let sets = Demand { settings: SetsSettings::Yes, ..Demand::ANY };
        assert!(!placing.is_elsewhere(select, replay));
        assert!(placing.is_elsewhere(select.as_traffic(Traffic::Stream), replay));
        assert!(placing.is_elsewhere(select.as_traffic(Traffic::Transaction), replay));
        assert!(placing.is_elsewhere(sets, reserve) && !placing.is_elsewhere(sets, replay));
        // What follows a BEGIN that is not answered yet may be anything inside its transaction.
        let (inside, _) = placed(Traffic::Transaction);
        for demand in [select, select.as_traffic(Traffic::Stream), select.as_traffic(Traffic::Transaction), sets] {
            assert!(!inside.is_elsewhere(demand, reserve));
        }
    }

    #[test]
    fn a_lease_moves_to_where_what_it_is_held_for_belongs() {
        let (placing, classes) = placed(Traffic::Statement);
        let (reserved, transaction) = (classes.reserved().unwrap(), classes.named("transaction").unwrap());
        assert_eq!(placing.destination(Holds::Nothing, Some(reserved)), None);
        assert_eq!(placing.destination(Holds::Transaction, Some(reserved)), Some((transaction, Traffic::Transaction)));
        assert_eq!(placing.destination(Holds::Session, Some(reserved)), Some((reserved, Traffic::Statement)));
        assert_eq!(placing.destination(Holds::Session, None), None);
        let (mut placing, _) = placed(Traffic::Transaction);
        assert_eq!(placing.destination(Holds::Transaction, Some(reserved)), None);
        placing.place = Place { class: reserved, traffic: Traffic::Statement };
        assert_eq!(placing.destination(Holds::Session, Some(reserved)), None);
    }

    #[test]
    fn advice_names_class_and_setting() {
        // Before a reload, `stream` was the second class; it still has that number.
        let before = Classes::new(vec![Class::new("old"), Class::new("stream")]).unwrap();
        let classes = Classes::vttablet();
        let mut numbers = ClassNumbers::new();
        numbers.change(&Classes::single(), &before);
        numbers.change(&before, &classes);
        let rules = ClassRules::new(&classes, numbers.ids().clone(), &TransactionLimit::default());
        let seating = Seating::new(rules, Vec::new());
        let class = pool::ClassId::new(2).unwrap();
        let advice = advice(BlockedBy::Class { class, cap: 200 }, &seating);
        assert!(advice.contains("class stream") && advice.contains("200") && advice.contains("servers.classes"));
        assert!(super::advice(BlockedBy::Route { cap: 3 }, &seating).contains("cap in [[routes]]"));
        assert!(super::advice(BlockedBy::Budget, &seating).contains("servers.budget"));
    }
}
